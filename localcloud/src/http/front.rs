//! From a request to its answer.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::request::{self, Protocol, Request};
use super::{Options, SharedCloud, answer, api, check, gzip, wait};
use crate::model::{Answer, Fault, Millis, Scope, Service};

/// The most bytes of one body, packed or not: the 1 MiB of an SQS batch, with room for how JSON escapes it.
const BODY_LIMIT: usize = 16 * 1024 * 1024;

/// How long a request may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(30);

/// What every request is answered with.
pub(super) struct Front {
    pub(super) cloud: SharedCloud,
    pub(super) options: Options,
    pub(super) stopping: CancellationToken,
}

/// Says that the front answers.
pub(super) async fn health() -> &'static str {
    "ok\n"
}

/// Answers one request.
pub(super) async fn answer(State(front): State<Arc<Front>>, request: axum::extract::Request) -> Response {
    let request_id = uuid::Uuid::new_v4().to_string();
    let (parts, body) = request.into_parts();
    let protocol = request::protocol(parts.uri.path(), &parts.headers);
    let credential = match request::credential(&parts.headers) {
        Ok(credential) => credential,
        Err(fault) => return answer::failure(protocol, None, &fault, &request_id),
    };
    let api = api::of(credential.service);
    let read = match read_body(&parts.headers, body).await {
        Ok(body) => request::read(protocol, credential, parts.uri.path(), &parts.headers, &body),
        Err(fault) => Err(fault),
    };
    match read {
        Ok(request) => front.answer(protocol, request, &request_id).await,
        Err(fault) => answer::failure(protocol, Some(api), &fault, &request_id),
    }
}

impl Front {
    async fn answer(&self, protocol: Protocol, request: Request, request_id: &str) -> Response {
        let (service, region) = (request.credential.service, request.credential.region.clone());
        let outcome = match self.account(&request) {
            Ok(account) => self.call(&request, &Scope { account, region }).await,
            Err(fault) => Err(fault),
        };
        let mut answer = match outcome {
            Ok(output) => answer::success(
                protocol,
                request.api,
                &request.name,
                request.operation,
                output,
                request_id,
            ),
            Err(fault) => {
                debug!(?service, operation = %request.name, code = %fault.code, message = %fault.message, "Refused");
                answer::failure(protocol, Some(request.api), &fault, request_id)
            }
        };
        // CloudWatch dates its answers, as its data points, by its own clock, which may run fast.
        if service == Service::CloudWatch
            && let Some(date) = http_date(self.cloud.now().fast)
        {
            answer.headers_mut().insert(header::DATE, date);
        }
        answer
    }

    fn account(&self, request: &Request) -> Result<String, Fault> {
        let key = &request.credential.access_key_id;
        let known = self.cloud.with(|cloud, now| cloud.sts.account_of(key, now))?;
        Ok(known.unwrap_or_else(|| self.options.account.clone()))
    }

    async fn call(&self, request: &Request, scope: &Scope) -> Answer {
        let service = request.credential.service;
        if let Some(shape) = &request.operation.input {
            let violations = check::violations(request.api, shape, &request.input);
            if let Some(fault) = check::refusal(service, &violations) {
                return Err(fault);
            }
        }
        if service == Service::Sqs && !self.options.sqs_delay.is_zero() {
            tokio::time::sleep(self.options.sqs_delay).await;
        }
        if service == Service::Sqs && request.name == "ReceiveMessage" {
            return wait::receive(&self.cloud, &self.stopping, scope, &request.input).await;
        }
        let key = &request.credential.access_key_id;
        let answer = self
            .cloud
            .with(|cloud, now| cloud.handle_as(key, service, scope, &request.name, &request.input, now));
        if matches!(service, Service::Sqs | Service::Sns) {
            self.cloud.announce();
        }
        answer
    }
}

async fn read_body(headers: &http::HeaderMap, body: axum::body::Body) -> Result<Vec<u8>, Fault> {
    let refused = |code: &str, status: StatusCode, why: String| Fault {
        code: code.to_owned(),
        message: format!("could not read the body: {why}"),
        status: status.as_u16(),
    };
    let bytes = tokio::time::timeout(ARRIVAL, axum::body::to_bytes(body, BODY_LIMIT))
        .await
        .map_err(|late| refused("RequestTimeout", StatusCode::REQUEST_TIMEOUT, late.to_string()))?
        .map_err(|error| {
            refused(
                "RequestEntityTooLarge",
                StatusCode::PAYLOAD_TOO_LARGE,
                error.to_string(),
            )
        })?;
    match request::header(headers, "content-encoding") {
        Some("gzip") => gzip::unpack(&bytes, BODY_LIMIT).map_err(|why| Fault::client("SerializationException", why)),
        _ => Ok(bytes.to_vec()),
    }
}

/// Returns a time as the `Date` header spells it.
fn http_date(at: Millis) -> Option<HeaderValue> {
    let at = jiff::Timestamp::from_millisecond(at).ok()?;
    HeaderValue::from_str(&at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()).ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_date_is_spelled_as_http_spells_it() {
        let date = super::http_date(784_111_777_000).expect("it is in range");
        assert_eq!(date, "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
