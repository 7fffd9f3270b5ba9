//! What a service says, made ours, and nothing secret repeated.

use aws_credential_types::Credentials;

use super::*;

const TOKEN: &str = "IQoJb3JpZ2luX2VjEXAMPLETOKEN/+==";
const SECRET: &str = "wJalrXUtnFEMIexample";

fn keys() -> Keys {
    let secrets = Credentials::new("ASIAEXAMPLE", SECRET, Some(TOKEN.to_owned()), None, "test");
    Keys::new(secrets).expect("keys")
}

fn refusal(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Refusal {
    let headers = headers
        .iter()
        .map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")));
    let status = StatusCode::from_u16(status).expect("a status");
    Refusal::read(status, &headers.collect(), body.as_bytes(), &keys())
}

fn kind(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> ErrorKind {
    Error::from(Failure::Refuse(refusal(status, headers, body))).kind
}

fn coded(code: &str) -> ErrorKind {
    kind(
        400,
        &[],
        &format!(r#"{{"__type":"com.amazonaws.sqs#{code}","message":"so"}}"#),
    )
}

#[test]
fn a_code_stands_in_a_header_or_in_the_body() {
    let body = r#"{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"The specified queue does not exist."}"#;
    let older = [("x-amzn-query-error", "AWS.SimpleQueueService.NonExistentQueue;Sender")];
    assert_eq!(
        refusal(400, &older, body).to_string(),
        "AWS.SimpleQueueService.NonExistentQueue: The specified queue does not exist."
    );
    assert_eq!(
        refusal(400, &[], body).to_string(),
        "QueueDoesNotExist: The specified queue does not exist."
    );
    assert_eq!(kind(400, &older, body), ErrorKind::Missing);
    assert_eq!(kind(400, &[], body), ErrorKind::Missing);
    assert_eq!(
        kind(400, &[("x-amzn-errortype", "OverLimit:http://internal.example/")], ""),
        ErrorKind::OverLimit
    );
}

#[test]
fn codes_have_kinds() {
    assert_eq!(coded("OverLimit"), ErrorKind::OverLimit);
    for throttled in ["RequestThrottled", "ThrottlingException", "KmsThrottled", "SlowDown"] {
        assert_eq!(coded(throttled), ErrorKind::Throttled, "{throttled}");
    }
    for denied in ["AccessDenied", "AccessDeniedException", "KmsAccessDenied"] {
        assert_eq!(coded(denied), ErrorKind::Denied, "{denied}");
    }
    for unknown in [
        "ExpiredToken",
        "InvalidClientTokenId",
        "SignatureDoesNotMatch",
        "RequestExpired",
    ] {
        assert_eq!(coded(unknown), ErrorKind::Credentials, "{unknown}");
    }
    assert_eq!(coded("InternalFailure"), ErrorKind::Unavailable);
}

#[test]
fn an_answer_without_a_code_is_told_by_its_status() {
    let page = "<html><body>503 Service Temporarily Unavailable</body></html>";
    assert_eq!(kind(503, &[], page), ErrorKind::Unavailable);
    assert_eq!(kind(403, &[], page), ErrorKind::Denied);
    assert_eq!(kind(429, &[], ""), ErrorKind::Throttled);
    assert_eq!(
        refusal(503, &[], page).to_string(),
        "HTTP status 503: no reason that can be read"
    );
}

#[test]
fn remedies_follow_from_what_was_said() {
    let remedy = |status, code: &str| {
        let body = format!(r#"{{"__type":"{code}","Message":"so"}}"#);
        Failure::Refuse(refusal(status, &[], &body)).remedy()
    };
    assert_eq!(remedy(403, "ExpiredToken"), Remedy::Credentials);
    assert_eq!(remedy(403, "SignatureDoesNotMatch"), Remedy::Clock);
    assert_eq!(remedy(500, "InternalFailure"), Remedy::Again);
    assert_eq!(
        remedy(503, "ThrottlingException"),
        Remedy::None,
        "it asks for fewer calls"
    );
    assert_eq!(remedy(400, "InvalidParameterValue"), Remedy::None);
    assert_eq!(Failure::Break("reset".to_owned()).remedy(), Remedy::Again);
}

#[test]
fn the_services_time_is_known() {
    let refusal = refusal(403, &[("date", "Fri, 21 Nov 2025 09:13:12 GMT")], "{}");
    let since = refusal.at.expect("a time").duration_since(SystemTime::UNIX_EPOCH);
    assert_eq!(since.expect("after 1970").as_secs(), 1_763_716_392);
}

#[test]
fn nothing_secret_is_repeated() {
    let receipt = "AQEB".repeat(60);
    let signature = "0f".repeat(32);
    let request = format!("POST\\n/\\n\\nhost:sqs\\nx-amz-security-token:{TOKEN}\\n\\n{signature}");
    let told = [
        format!(
            "The request signature we calculated does not match the signature you provided.\\n\\nThe Canonical String for this request should have been\\n'{request}'"
        ),
        format!("Value {receipt} for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired."),
        format!("token {TOKEN} and key {SECRET} and signature {signature} are wrong"),
    ];
    for text in told {
        let body = format!(r#"{{"__type":"SignatureDoesNotMatch","message":"{text}"}}"#);
        let shown = Error::from(Failure::Refuse(refusal(403, &[], &body))).to_string();
        for secret in [TOKEN, SECRET, &signature, &receipt] {
            assert!(!shown.contains(secret), "{shown}");
        }
        assert!(shown.contains("SignatureDoesNotMatch: "), "{shown}");
    }
}

#[test]
fn names_of_queues_may_be_read() {
    let url = format!("https://sqs.eu-west-1.amazonaws.com/111122223333/{}", "q".repeat(80));
    assert_eq!(readable(&url, &keys()), url);
}
