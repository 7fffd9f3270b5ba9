//! Which operation a request asks for, in which protocol, and on whose behalf.

use http::HeaderMap;
use serde_json::{Map, Value};

use super::api::{self, Api, Operation};
use super::query::Form;
use super::{cbor, json};
use crate::model::{Fault, Service};

/// The protocol of a request, which is also that of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// awsJson 1.0.
    Json10,
    /// awsJson 1.1.
    Json11,
    /// RPC v2 CBOR.
    Cbor,
    /// awsQuery.
    Query,
}

/// Who signed a request, and for what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// Names the account, or a session.
    pub access_key_id: String,
    /// The region that the request was signed for.
    pub region: String,
    /// The service that the request was signed for.
    pub service: Service,
}

/// A request that names an operation of the service it was signed for.
#[derive(Debug)]
pub struct Request {
    /// Who signed it.
    pub credential: Credential,
    /// The service's API model.
    pub api: &'static Api,
    /// The operation's name.
    pub name: String,
    /// The operation.
    pub operation: &'static Operation,
    /// Its input, not yet held against the model.
    pub input: Value,
}

/// Returns the protocol that a request speaks.
pub fn protocol(path: &str, headers: &HeaderMap) -> Protocol {
    let content_type = header(headers, "content-type").unwrap_or_default();
    if header(headers, "smithy-protocol") == Some("rpc-v2-cbor") || path.contains("/operation/") {
        Protocol::Cbor
    } else if content_type.starts_with("application/x-amz-json-1.1") {
        Protocol::Json11
    } else if content_type.starts_with("application/x-www-form-urlencoded") {
        Protocol::Query
    } else {
        Protocol::Json10
    }
}

/// Reads the credential out of the Authorization header; the signature itself is not verified.
pub fn credential(headers: &HeaderMap) -> Result<Credential, Fault> {
    let missing = || Fault {
        code: "MissingAuthenticationTokenException".to_owned(),
        message: "the request has no Authorization header of Signature Version 4".to_owned(),
        status: 403,
    };
    let authorization = header(headers, "authorization").ok_or_else(missing)?;
    let scope = authorization.split("Credential=").nth(1).ok_or_else(missing)?;
    let scope = scope.split([',', ' ']).next().unwrap_or_default();
    let parts: Vec<&str> = scope.split('/').collect();
    let [access_key_id, _date, region, service, "aws4_request"] = parts[..] else {
        return Err(missing());
    };
    let service = api::service_signed_as(service).ok_or_else(|| {
        let known: Vec<&str> = api::SERVICES.into_iter().map(api::signing_name).collect();
        let message = format!("localcloud has no service {service}; it has {}", known.join(", "));
        Fault::client("UnknownOperationException", message)
    })?;
    Ok(Credential {
        access_key_id: access_key_id.to_owned(),
        region: region.to_owned(),
        service,
    })
}

/// Reads the operation and its input.
pub fn read(
    protocol: Protocol,
    credential: Credential,
    path: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Request, Fault> {
    let api = api::of(credential.service);
    let form = if protocol == Protocol::Query {
        Form::read(body)
    } else {
        Form::default()
    };
    let name = match protocol {
        Protocol::Json10 | Protocol::Json11 => name_in_target(api, headers),
        Protocol::Cbor => name_in_path(api, path),
        Protocol::Query => name_in_form(api, &form),
    };
    let unknown = || {
        let service = api::signing_name(credential.service);
        let what = header(headers, "x-amz-target")
            .or(form.action.as_deref())
            .unwrap_or(path);
        Fault::client(
            "UnknownOperationException",
            format!("localcloud has no operation {what} of {service}"),
        )
    };
    let name = name.ok_or_else(unknown)?;
    let operation = api.operations.get(&name).ok_or_else(unknown)?;
    let input = match (protocol, &operation.input) {
        (Protocol::Json10 | Protocol::Json11, _) => json::decode(body)?,
        (Protocol::Cbor, _) => cbor::decode(body)?,
        (Protocol::Query, Some(shape)) => form.decode(api, api.shape(shape)),
        (Protocol::Query, None) => Value::Object(Map::new()),
    };
    Ok(Request {
        credential,
        api,
        name,
        operation,
        input,
    })
}

/// Returns the text of a header.
pub fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn name_in_target(api: &Api, headers: &HeaderMap) -> Option<String> {
    let (prefix, name) = header(headers, "x-amz-target")?.rsplit_once('.')?;
    (api.metadata.target_prefix.as_deref() == Some(prefix)).then(|| name.to_owned())
}

fn name_in_path(api: &Api, path: &str) -> Option<String> {
    let (service, name) = path.strip_prefix("/service/")?.split_once("/operation/")?;
    (api.metadata.target_prefix.as_deref() == Some(service)).then(|| name.to_owned())
}

fn name_in_form(api: &Api, form: &Form) -> Option<String> {
    let speaks_query = api.metadata.xml_namespace.is_some();
    let right_version = form.version.as_ref() == Some(&api.metadata.api_version);
    form.action.clone().filter(|_| speaks_query && right_version)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::{Protocol, credential, protocol, read};
    use crate::model::Service;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| ((*name).parse().expect("a name"), HeaderValue::from_static(value)))
            .collect()
    }

    const SIGNED: &str = "AWS4-HMAC-SHA256 Credential=111122223333/20261121/eu-west-1/monitoring/aws4_request, \
        SignedHeaders=host, Signature=00";

    #[test]
    fn account_region_and_service_come_from_the_signature() {
        let found = credential(&headers(&[("authorization", SIGNED)])).expect("it is signed");
        assert_eq!(
            (found.access_key_id.as_str(), found.region.as_str(), found.service),
            ("111122223333", "eu-west-1", Service::CloudWatch)
        );
        assert_eq!(credential(&HeaderMap::new()).expect_err("it is not signed").status, 403);
    }

    #[test]
    fn cloudwatch_is_asked_in_three_protocols() {
        let signed = || credential(&headers(&[("authorization", SIGNED)])).expect("it is signed");
        let json = headers(&[
            ("content-type", "application/x-amz-json-1.0"),
            ("x-amz-target", "GraniteServiceVersion20100801.ListMetrics"),
        ]);
        let form = headers(&[("content-type", "application/x-www-form-urlencoded; charset=utf-8")]);
        let cbor = headers(&[("smithy-protocol", "rpc-v2-cbor")]);
        let path = "/service/GraniteServiceVersion20100801/operation/ListMetrics";
        let query = b"Action=ListMetrics&Version=2010-08-01".as_slice();
        for (path, headers, body, expected) in [
            ("/", json, b"{}".as_slice(), Protocol::Json10),
            ("/", form, query, Protocol::Query),
            (path, cbor, b"".as_slice(), Protocol::Cbor),
        ] {
            let spoken = protocol(path, &headers);
            assert_eq!(spoken, expected);
            let request = read(spoken, signed(), path, &headers, body).expect("it is an operation");
            assert_eq!(request.name, "ListMetrics");
        }
    }

    #[test]
    fn a_target_of_another_service_is_refused() {
        let signed = credential(&headers(&[("authorization", SIGNED)])).expect("it is signed");
        let headers = headers(&[("x-amz-target", "AmazonSQS.ListQueues")]);
        let fault = read(Protocol::Json10, signed, "/", &headers, b"{}").expect_err("SQS is not CloudWatch");
        assert_eq!(fault.code, "UnknownOperationException");
    }
}
