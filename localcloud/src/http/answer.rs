//! Encodes what the cloud model answered, in the protocol of the request.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::api::{Api, Operation, Shape};
use super::json::without_nulls;
use super::request::Protocol;
use super::{cbor, xml};
use crate::model::Fault;

/// Encodes an output.
pub fn success(
    protocol: Protocol,
    api: &Api,
    name: &str,
    operation: &Operation,
    output: Value,
    request_id: &str,
) -> Response {
    let output = if output.is_null() { json!({}) } else { output };
    let shape = operation.output.as_ref().map(|name| api.shape(name));
    let body = match (protocol, shape) {
        (Protocol::Json10 | Protocol::Json11, _) => without_nulls(output).to_string().into_bytes(),
        (Protocol::Cbor, Some(shape)) => cbor::encode(api, shape, &output),
        (Protocol::Cbor, None) => Vec::new(),
        (Protocol::Query, _) => xml::encode(api, name, operation, &output, request_id).into_bytes(),
    };
    respond(protocol, StatusCode::OK, body, request_id)
}

/// Encodes a refusal. `api` is absent when the request named no service.
pub fn failure(protocol: Protocol, api: Option<&Api>, fault: &Fault, request_id: &str) -> Response {
    let shape = api.and_then(|api| api.find_shape(&fault.code));
    let told = shape.and_then(|shape| shape.error.as_ref());
    let query_code = told.and_then(|told| told.code.as_deref()).unwrap_or(&fault.code);
    let status = told.and_then(|told| told.http_status_code).unwrap_or(fault.status);
    let message_name = shape.map_or("message", message_name);
    let body = match protocol {
        Protocol::Json10 | Protocol::Json11 => json!({"__type": fault.code, message_name: fault.message})
            .to_string()
            .into_bytes(),
        Protocol::Cbor => cbor::encode_error(&format!("com.amazonaws#{}", fault.code), message_name, &fault.message),
        Protocol::Query => xml::encode_error(api, query_code, &fault.message, status, request_id).into_bytes(),
    };
    let code = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = respond(protocol, code, body, request_id);
    if api.is_some_and(|api| api.metadata.aws_query_compatible.is_some()) && protocol != Protocol::Query {
        let side = if status < 500 { "Sender" } else { "Receiver" };
        if let Ok(value) = HeaderValue::from_str(&format!("{query_code};{side}")) {
            response.headers_mut().insert("x-amzn-query-error", value);
        }
    }
    response
}

/// Returns how an error's shape spells the member for people: `message`, or `Message`.
fn message_name(shape: &Shape) -> &str {
    shape
        .members
        .keys()
        .find(|name| name.eq_ignore_ascii_case("message"))
        .map_or("message", String::as_str)
}

fn respond(protocol: Protocol, status: StatusCode, body: Vec<u8>, request_id: &str) -> Response {
    let content_type = match protocol {
        Protocol::Json10 => "application/x-amz-json-1.0",
        Protocol::Json11 => "application/x-amz-json-1.1",
        Protocol::Cbor => "application/cbor",
        Protocol::Query => "text/xml",
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    if protocol == Protocol::Cbor {
        headers.insert("smithy-protocol", HeaderValue::from_static("rpc-v2-cbor"));
    }
    if let Ok(value) = HeaderValue::from_str(request_id) {
        headers.insert("x-amzn-requestid", value);
    }
    response
}
