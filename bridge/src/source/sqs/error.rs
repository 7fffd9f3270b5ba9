//! Why a call failed, in SQS's words and in ours.

use std::borrow::Cow;
use std::time::SystemTime;

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use hyper::StatusCode;
use hyper::header::{DATE, HeaderMap};
use serde::Deserialize;

use super::credentials::Keys;
use crate::source::{Error, ErrorKind};

/// Why one attempt of a call brought nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// There is no connection.
    #[error("could not connect to {0}")]
    Connect(String),
    /// The connection broke before the answer was complete.
    #[error("the connection broke: {0}")]
    Break(String),
    /// The time was up.
    #[error("no answer in time")]
    TimeOut,
    /// There was an answer which is none of SQS's.
    #[error("the answer cannot be read: {0}")]
    Read(String),
    /// We do not know who we are.
    #[error("there are no credentials: {0}")]
    Identify(String),
    /// The service said no.
    #[error("{0}")]
    Refuse(Refusal),
}

/// What the service said instead of an answer, free of secrets.
#[derive(Debug, thiserror::Error)]
#[error("{code}: {message}")]
pub(super) struct Refusal {
    status: StatusCode,
    code: String,
    message: String,
    /// The service's time.
    pub(super) at: Option<SystemTime>,
}

/// What may help against a failure, at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remedy {
    /// The service's clock, if ours is off.
    Clock,
    /// Other credentials.
    Credentials,
    /// Another attempt.
    Again,
    /// Nothing.
    None,
}

impl Failure {
    /// Returns what may help.
    pub(super) fn remedy(&self) -> Remedy {
        match self {
            Self::Connect(_) | Self::Break(_) | Self::TimeOut => Remedy::Again,
            Self::Read(_) | Self::Identify(_) => Remedy::None,
            Self::Refuse(refusal) => refusal.remedy(),
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let kind = match &failure {
            Failure::TimeOut => ErrorKind::Timeout,
            Failure::Identify(_) => ErrorKind::Credentials,
            Failure::Refuse(refusal) => refusal.kind(),
            Failure::Connect(_) | Failure::Break(_) | Failure::Read(_) => ErrorKind::Unavailable,
        };
        Self {
            kind,
            message: failure.to_string(),
        }
    }
}

/// The body of an answer that is an error. Services disagree about the case of one name.
#[derive(Default, Deserialize)]
struct Told<'a> {
    #[serde(borrow, rename = "__type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, alias = "Message")]
    message: Option<Cow<'a, str>>,
}

impl Refusal {
    /// Reads what the service said. `keys` signed the request; nothing of them is repeated.
    pub(super) fn read(status: StatusCode, headers: &HeaderMap, body: &[u8], keys: &Keys) -> Self {
        let told: Told<'_> = serde_json::from_slice(body).unwrap_or_default();
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        // Codes of the older protocol stand in a header: `AWS.SimpleQueueService.NonExistentQueue;Sender`.
        let older = header("x-amzn-query-error").and_then(|value| value.split(';').next());
        let code = older.or(told.kind.as_deref()).or(header("x-amzn-errortype"));
        let code = code.map(bare).filter(|code| !code.is_empty());
        let message = told.message.filter(|message| !message.is_empty());
        Self {
            status,
            code: code.map_or_else(
                || format!("HTTP status {}", status.as_u16()),
                |code| readable(code, keys),
            ),
            message: message.map_or_else(
                || "no reason that can be read".to_owned(),
                |message| readable(&message, keys),
            ),
            at: header(DATE.as_str()).and_then(date),
        }
    }

    fn remedy(&self) -> Remedy {
        match name(&self.code) {
            "ExpiredToken"
            | "ExpiredTokenException"
            | "TokenRefreshRequired"
            | "InvalidClientTokenId"
            | "InvalidAccessKeyId"
            | "UnrecognizedClientException" => Remedy::Credentials,
            "RequestTimeTooSkewed"
            | "RequestExpired"
            | "RequestInTheFuture"
            | "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "AuthFailure" => Remedy::Clock,
            _ if self.status.is_server_error() && self.kind() == ErrorKind::Unavailable => Remedy::Again,
            _ => Remedy::None,
        }
    }

    fn kind(&self) -> ErrorKind {
        match (kind_of(&self.code), self.status) {
            (ErrorKind::Unavailable, StatusCode::TOO_MANY_REQUESTS) => ErrorKind::Throttled,
            (ErrorKind::Unavailable, StatusCode::FORBIDDEN) => ErrorKind::Denied,
            (ErrorKind::Unavailable, StatusCode::UNAUTHORIZED) => ErrorKind::Credentials,
            (kind, _) => kind,
        }
    }
}

/// Returns what a code of SQS's means for us.
pub(super) fn kind_of(code: &str) -> ErrorKind {
    match name(code) {
        "NonExistentQueue" | "QueueDoesNotExist" | "QueueDeletedRecently" => ErrorKind::Missing,
        "OverLimit" => ErrorKind::OverLimit,
        "RequestThrottled"
        | "RequestThrottledException"
        | "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "TooManyRequestsException"
        | "RequestLimitExceeded"
        | "BandwidthLimitExceeded"
        | "SlowDown"
        | "KmsThrottled" => ErrorKind::Throttled,
        "AccessDenied"
        | "AccessDeniedException"
        | "KmsAccessDenied"
        | "InvalidSecurity"
        | "InvalidAddress"
        | "OptInRequired" => ErrorKind::Denied,
        "ExpiredToken"
        | "ExpiredTokenException"
        | "TokenRefreshRequired"
        | "InvalidClientTokenId"
        | "InvalidAccessKeyId"
        | "UnrecognizedClientException"
        | "SignatureDoesNotMatch"
        | "InvalidSignatureException"
        | "RequestTimeTooSkewed"
        | "RequestExpired"
        | "RequestInTheFuture"
        | "AuthFailure"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "IncompleteSignature"
        | "IncompleteSignatureException" => ErrorKind::Credentials,
        _ => ErrorKind::Unavailable,
    }
}

/// Returns a code without the name of the service that the older protocol puts before it.
fn name(code: &str) -> &str {
    code.rsplit('.').next().unwrap_or(code)
}

/// Returns a code without its namespace and what may follow: `com.amazonaws.sqs#OverLimit:http://…` is `OverLimit`.
fn bare(code: &str) -> &str {
    let code = code.split(':').next().unwrap_or(code);
    code.rsplit('#').next().unwrap_or(code)
}

fn date(text: &str) -> Option<SystemTime> {
    let time = DateTime::from_str(text, Format::HttpDate).ok()?;
    SystemTime::try_from(time).ok()
}

/// Returns what may stand in a log of what a service said. An answer about a wrong signature repeats the request that
/// should have been signed, with the session's token, from its second line on; others repeat receipts.
fn readable(text: &str, keys: &Keys) -> String {
    readable_by_anybody(&keys.conceal(text))
}

/// The same where the keys are not known.
pub(super) fn readable_by_anybody(text: &str) -> String {
    const LONGEST: usize = 400;
    let first = text.trim_start().lines().next().unwrap_or_default();
    let mut cut: String = conceal_long_words(first).chars().take(LONGEST).collect();
    if first.chars().count() > LONGEST {
        cut.push('…');
    }
    cut
}

/// Takes out what looks like a receipt, a token or a signature: receipts have hundreds of letters, signatures 64 digits.
fn conceal_long_words(text: &str) -> String {
    const LONGEST: usize = 100;
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || "+/=_-#%".contains(letter);
    let is_secret = |word: &str| {
        word.len() > LONGEST || (word.len() >= 40 && word.bytes().all(|letter| letter.is_ascii_hexdigit()))
    };
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|letter| !is_part(letter)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        kept.push_str(if is_secret(word) { "…" } else { word });
        let next = after.find(is_part).unwrap_or(after.len());
        let (between, after) = after.split_at(next);
        kept.push_str(between);
        rest = after;
    }
    kept
}

#[cfg(test)]
#[path = "error_tests.rs"]
mod tests;
