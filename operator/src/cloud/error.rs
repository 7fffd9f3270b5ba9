//! The SDKs' errors in our words.

use std::error::Error as StdError;

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::{ConnectorError, SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use penstock_kafka::chain;

use crate::cloud::Error;

/// The code of a refusal by something that does not know the operation, as emulators do not.
pub(super) const NOT_IMPLEMENTED: &str = "NotImplemented";

/// The longest message that is passed on.
const LONGEST: usize = 500;

const THROTTLES: [&str; 10] = [
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottled",
    "RequestThrottledException",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "SlowDown",
    "PriorRequestNotComplete",
    "KmsThrottled",
];

const DENIALS: [&str; 20] = [
    "AccessDenied",
    "AccessDeniedException",
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "FailedResourceAccessException",
    "IncompleteSignature",
    "IncompleteSignatureException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "InvalidSecurity",
    "KmsAccessDenied",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "NotAuthorized",
    "OptInRequired",
    "SignatureDoesNotMatch",
    "UnauthorizedOperation",
    "UnrecognizedClient",
    "UnrecognizedClientException",
];

const WAITS: [&str; 4] = [
    "ConcurrentUpdateException",
    "ConcurrentModificationException",
    "ConflictException",
    "UpdateInProgressException",
];

/// Messages of codes that say too little by themselves.
const WAIT_MESSAGES: [&str; 5] = [
    "still Draining",
    "concurrent attempts to create a new revision",
    "cannot be stopped while it is scaled above 0",
    "ECS service doesn't exist",
    "is not in an ACTIVE state",
];

const UNKNOWN_OPERATIONS: [&str; 5] = [
    "UnknownOperation",
    "UnknownOperationException",
    "InvalidAction",
    "NotImplemented",
    "NotImplementedException",
];

/// Returns what a failed call means to us. Nothing in it is secret.
pub(super) fn from_sdk<E>(operation: &str, failure: &SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    match failure {
        SdkError::ServiceError(context) => {
            let raw = context.raw();
            from_service(operation, raw, context.err().code(), context.err().message())
        }
        SdkError::ResponseError(context) => from_unreadable(operation, context.raw()),
        _ => from_unsent(operation, failure),
    }
}

fn from_service(operation: &str, raw: &HttpResponse, code: Option<&str>, message: Option<&str>) -> Error {
    let Some(code) = code.filter(|code| !code.is_empty()) else {
        return from_unreadable(operation, raw);
    };
    let text = message_of(code, message);
    let operation = operation.to_owned();
    if THROTTLES.contains(&code) || raw.status().as_u16() == 429 || text.contains("Rate exceeded") {
        return Error::Throttle { operation };
    }
    let request_id = request_id(raw);
    if UNKNOWN_OPERATIONS.contains(&code) {
        return Error::Refuse {
            operation,
            code: NOT_IMPLEMENTED.to_owned(),
            message: text,
            request_id,
        };
    }
    if DENIALS.contains(&code) {
        return Error::Deny {
            operation,
            message: format!("{code}: {text}"),
            request_id,
        };
    }
    if WAITS.contains(&code) || WAIT_MESSAGES.iter().any(|part| text.contains(part)) {
        return Error::Wait {
            operation,
            message: text,
        };
    }
    if raw.status().as_u16() >= 500 || code == "ServerException" {
        return Error::Fail {
            operation,
            message: format!("{code}: {text}"),
        };
    }
    Error::Refuse {
        operation,
        code: code.to_owned(),
        message: text,
        request_id,
    }
}

/// A refused signature is answered with everything that was signed, the session token among it.
fn message_of(code: &str, message: Option<&str>) -> String {
    if code.contains("Signature") {
        return "the request's signature was refused: check the credentials and the clock".to_owned();
    }
    one_line(message.unwrap_or("no message"))
}

/// An answer that is not AWS's: an error page of a proxy, or of an emulator that does not know the operation.
fn from_unreadable(operation: &str, raw: &HttpResponse) -> Error {
    let status = raw.status().as_u16();
    let message = format!("HTTP {status} without an AWS error code");
    let is_page = raw
        .headers()
        .get("content-type")
        .is_some_and(|kind| kind.starts_with("text/html"));
    let operation = operation.to_owned();
    match status {
        404 | 501 => {
            let request_id = request_id(raw);
            Error::Refuse {
                operation,
                code: NOT_IMPLEMENTED.to_owned(),
                message,
                request_id,
            }
        }
        500 if is_page => Error::Refuse {
            operation,
            code: NOT_IMPLEMENTED.to_owned(),
            message,
            request_id: None,
        },
        500.. => Error::Fail { operation, message },
        _ => Error::Reach {
            operation,
            reason: message,
        },
    }
}

fn from_unsent<E>(operation: &str, failure: &SdkError<E, HttpResponse>) -> Error
where
    E: StdError + 'static,
{
    let operation = operation.to_owned();
    let text = one_line(&chain(failure));
    let lost = matches!(failure, SdkError::TimeoutError(_))
        || find::<ConnectorError>(failure).is_some_and(|error| error.is_io() || error.is_timeout());
    let credentials = find::<CredentialsError>(failure);
    match credentials {
        Some(CredentialsError::ProviderTimedOut(_)) => Error::Reach {
            operation,
            reason: format!("credentials did not come in time: {text}"),
        },
        Some(_) if !lost => Error::Deny {
            operation,
            message: format!("no credentials: {text}"),
            request_id: None,
        },
        _ if matches!(failure, SdkError::ConstructionFailure(_)) => Error::Refuse {
            operation,
            code: "InvalidRequest".to_owned(),
            message: text,
            request_id: None,
        },
        _ => Error::Reach {
            operation,
            reason: text,
        },
    }
}

fn request_id(raw: &HttpResponse) -> Option<String> {
    let headers = raw.headers();
    headers
        .get("x-amzn-requestid")
        .or_else(|| headers.get("x-amz-request-id"))
        .map(str::to_owned)
}

fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    sources(error).find_map(|error| error.downcast_ref())
}

fn sources<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn StdError + 'static)| (*error).source()).take(20)
}

/// Returns a text without line breaks and not longer than a status bears.
pub(super) fn one_line(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    let line = words.join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use aws_sdk_ecs::operation::create_service::CreateServiceError;
    use aws_smithy_runtime_api::http::StatusCode;
    use aws_smithy_types::body::SdkBody;
    use aws_smithy_types::error::ErrorMetadata;

    use super::*;

    fn response(status: u16) -> HttpResponse {
        let mut response = HttpResponse::new(StatusCode::try_from(status).unwrap(), SdkBody::empty());
        response.headers_mut().insert("x-amzn-requestid", "id-1");
        response
    }

    fn mapped(status: u16, code: &str, message: &str) -> Error {
        let metadata = ErrorMetadata::builder().code(code).message(message).build();
        from_sdk(
            "CreateService",
            &SdkError::service_error(CreateServiceError::generic(metadata), response(status)),
        )
    }

    #[test]
    fn codes_become_kinds() {
        let cases = [
            (400, "ThrottlingException", "Rate exceeded", "throttle"),
            (400, "ClientException", "Rate exceeded", "throttle"),
            (400, "AccessDeniedException", "User is not authorized", "deny"),
            (403, "ExpiredToken", "The security token is expired", "deny"),
            (
                400,
                "InvalidParameterException",
                "Creation of service was not idempotent.",
                "refuse",
            ),
            (
                400,
                "InvalidParameterException",
                "Unable to Start a service that is still Draining.",
                "wait",
            ),
            (400, "ConcurrentUpdateException", "again", "wait"),
            (500, "ServerException", "Service Unavailable", "fail"),
            (400, "ClusterNotFoundException", "Cluster not found.", "refuse"),
        ];
        for (status, code, message, kind) in cases {
            assert_eq!(mapped(status, code, message).kind(), kind, "{code}: {message}");
        }
    }

    #[test]
    fn a_refusal_carries_code_message_and_request_id() {
        let Error::Refuse {
            code,
            message,
            request_id,
            ..
        } = mapped(400, "InvalidParameterException", "bad\n  subnet")
        else {
            panic!("not a refusal")
        };
        assert_eq!(
            (code.as_str(), message.as_str()),
            ("InvalidParameterException", "bad subnet")
        );
        assert_eq!(request_id.as_deref(), Some("id-1"));
    }

    #[test]
    fn a_refused_signature_never_repeats_what_was_signed() {
        let echo = "The Canonical String should have been 'x-amz-security-token:FwoGZXIvYXdzEJ'";
        for code in ["SignatureDoesNotMatch", "InvalidSignatureException"] {
            assert!(!mapped(403, code, echo).to_string().contains("FwoGZXIvYXdzEJ"));
        }
    }

    #[test]
    fn a_page_instead_of_an_answer_means_that_the_operation_is_not_known() {
        let mut page = response(500);
        page.headers_mut().insert("content-type", "text/html; charset=utf-8");
        let failure: SdkError<CreateServiceError, HttpResponse> = SdkError::response_error("not JSON", page);
        let Error::Refuse { code, .. } = from_sdk("X", &failure) else {
            panic!("not a refusal")
        };
        assert_eq!(code, NOT_IMPLEMENTED);
    }

    #[test]
    fn missing_credentials_are_a_denial_and_a_timeout_is_not() {
        let missing = CredentialsError::not_loaded("nothing configured");
        let failure: SdkError<CreateServiceError, HttpResponse> =
            SdkError::dispatch_failure(ConnectorError::other(missing.into(), None));
        assert_eq!(from_sdk("X", &failure).kind(), "deny");
        let failure: SdkError<CreateServiceError, HttpResponse> = SdkError::timeout_error("10 s are over");
        assert_eq!(from_sdk("X", &failure).kind(), "reach");
    }

    #[test]
    fn a_long_message_is_cut() {
        let text = "é ".repeat(600);
        assert_eq!(one_line(&text).chars().count(), LONGEST + 1);
    }
}
