//! Calls and answers of SQS as they go over the wire: JSON over HTTP.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use http_body_util::{BodyExt, Either, Full, Limited, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING};
use hyper::{Method, Request, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Handout as Told;

/// The most that a call or an answer may hold: ten messages of 1 MiB as JSON, and room to spare.
const LARGEST: usize = 64 << 20;

/// What is sent on to SQS.
pub(super) type Payload = Full<Bytes>;

/// What the caller gets.
pub(super) type Answer = Response<Either<Payload, Torn>>;

/// A body that breaks off: its pieces, then an error.
pub(super) type Torn = StreamBody<futures::stream::Iter<std::array::IntoIter<Result<Frame<Bytes>, Cut>, 2>>>;

/// The connection is cut here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cut;

impl fmt::Display for Cut {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("the proxy cut the connection")
    }
}

impl std::error::Error for Cut {}

impl From<std::convert::Infallible> for Cut {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

/// What a call asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// `ReceiveMessage`.
    Receive,
    /// `DeleteMessage` and `DeleteMessageBatch`.
    Delete,
    /// `ChangeMessageVisibility` and `ChangeMessageVisibilityBatch`.
    ChangeVisibility,
    /// `SendMessage` and `SendMessageBatch`.
    Send,
    /// Everything else, such as `GetQueueAttributes`.
    Other,
}

impl Operation {
    fn of(headers: &HeaderMap) -> Self {
        let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok());
        match target.and_then(|target| target.strip_prefix("AmazonSQS.")) {
            Some("ReceiveMessage") => Self::Receive,
            Some("DeleteMessage" | "DeleteMessageBatch") => Self::Delete,
            Some("ChangeMessageVisibility" | "ChangeMessageVisibilityBatch") => Self::ChangeVisibility,
            Some("SendMessage" | "SendMessageBatch") => Self::Send,
            _ => Self::Other,
        }
    }
}

/// A call that came in.
pub(super) struct Call {
    pub(super) operation: Operation,
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Call {
    pub(super) async fn read(request: Request<Incoming>) -> Result<Self, Cut> {
        let (head, body) = request.into_parts();
        let body = Limited::new(body, LARGEST).collect().await.map_err(|_| Cut)?;
        Ok(Self {
            operation: Operation::of(&head.headers),
            method: head.method,
            path: head.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
            headers: head.headers,
            body: body.to_bytes(),
        })
    }

    /// Returns the access key that signed it.
    pub(super) fn access_key(&self) -> Option<&str> {
        let header = self.headers.get("authorization")?.to_str().ok()?;
        header.split_once("Credential=")?.1.split('/').next()
    }

    /// Returns the deliveries that it settles: deletes, or hides.
    pub(super) fn entries(&self) -> Vec<Entry> {
        if !matches!(self.operation, Operation::Delete | Operation::ChangeVisibility) {
            return Vec::new();
        }
        let asked: Asked = serde_json::from_slice(&self.body).unwrap_or_default();
        let single = asked.receipt_handle.map(|receipt_handle| Entry {
            id: String::new(),
            receipt_handle,
            visibility_timeout: asked.visibility_timeout,
        });
        asked.entries.into_iter().chain(single).collect()
    }

    /// Returns how long it asks SQS to wait for a message.
    pub(super) fn wait(&self) -> Duration {
        match self.operation {
            Operation::Receive => Duration::from_secs(self.json()["WaitTimeSeconds"].as_u64().unwrap_or(20)),
            _ => Duration::ZERO,
        }
    }

    /// Returns what it says, to be changed.
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Returns the same call that says something else.
    pub(super) fn saying(mut self, said: &Value) -> Self {
        self.body = said.to_string().into();
        self
    }

    pub(super) fn into_upstream(self, authority: &str) -> Result<Request<Payload>, Cut> {
        let mut request = Request::new(Full::new(self.body));
        *request.method_mut() = self.method;
        *request.uri_mut() = format!("http://{authority}{}", self.path).parse().map_err(|_| Cut)?;
        *request.headers_mut() = self.headers;
        for name in [HOST, CONTENT_LENGTH, TRANSFER_ENCODING] {
            request.headers_mut().remove(name);
        }
        Ok(request)
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Asked {
    entries: Vec<Entry>,
    receipt_handle: Option<String>,
    visibility_timeout: Option<u64>,
}

/// One delivery in a call that settles.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Entry {
    #[serde(default)]
    pub(super) id: String,
    pub(super) receipt_handle: String,
    #[serde(default)]
    pub(super) visibility_timeout: Option<u64>,
}

/// An answer of SQS, or one in its name.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Reply {
    pub(super) async fn read(response: Response<Incoming>) -> Result<Self, Cut> {
        let (head, body) = response.into_parts();
        let body = Limited::new(body, LARGEST).collect().await.map_err(|_| Cut)?;
        let mut headers = head.headers;
        headers.remove(TRANSFER_ENCODING);
        headers.remove(CONTENT_LENGTH);
        Ok(Self {
            status: head.status,
            headers,
            body: body.to_bytes(),
        })
    }

    /// Makes one that says that the call worked.
    pub(super) fn success(body: Bytes) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.0"));
        Self {
            status: StatusCode::OK,
            headers,
            body,
        }
    }

    /// Makes one that says why the call did not work: `shape` in the body, and where there is one the `code` of the older protocol.
    pub(super) fn failure(status: u16, shape: &str, code: Option<&str>) -> Self {
        let body = json!({"__type": shape, "message": "the proxy says so"}).to_string();
        let mut reply = Self {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            ..Self::success(body.into())
        };
        let blame = if status < 500 { "Sender" } else { "Receiver" };
        if let Some(value) = code.and_then(|code| HeaderValue::from_str(&format!("{code};{blame}")).ok()) {
            reply
                .headers
                .insert(HeaderName::from_static("x-amzn-query-error"), value);
        }
        reply
    }

    /// Returns the same answer that says something else.
    pub(super) fn saying(mut self, body: Bytes) -> Self {
        self.body = body;
        self
    }

    pub(super) fn is_success(&self) -> bool {
        self.status.is_success()
    }

    pub(super) fn answer(self) -> Answer {
        let mut answer = Response::new(Either::Left(Full::new(self.body)));
        *answer.status_mut() = self.status;
        *answer.headers_mut() = self.headers;
        answer
    }

    /// Returns the answer whose body breaks off in the middle.
    pub(super) fn torn(self) -> Answer {
        let half = self.body.slice(..self.body.len() / 2);
        let pieces = [Ok(Frame::data(half)), Err(Cut)];
        let mut answer = Response::new(Either::Right(StreamBody::new(futures::stream::iter(pieces))));
        *answer.status_mut() = self.status;
        *answer.headers_mut() = self.headers;
        answer
            .headers_mut()
            .insert(CONTENT_LENGTH, HeaderValue::from(self.body.len()));
        answer
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Received<'a> {
    #[serde(borrow, default)]
    messages: Vec<Message<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Message<'a> {
    #[serde(borrow)]
    message_id: Cow<'a, str>,
    #[serde(borrow)]
    receipt_handle: Cow<'a, str>,
    #[serde(borrow)]
    body: Cow<'a, str>,
}

/// Tells `with` of each message that an answer to a receive call holds, and returns how many there are.
pub(super) fn handouts(body: &Bytes, mut with: impl FnMut(&Told<'_>)) -> usize {
    let Ok(received) = serde_json::from_slice::<Received<'_>>(body) else {
        return 0;
    };
    for message in &received.messages {
        with(&Told {
            id: &message.message_id,
            receipt: &message.receipt_handle,
            body: &message.body,
        });
    }
    received.messages.len()
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Settled {
    failed: Vec<Refused>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Refused {
    id: String,
    code: String,
}

/// Returns the entries that an answer calls failed, with the codes.
pub(super) fn failures(body: &Bytes) -> Vec<(String, String)> {
    let settled: Settled = serde_json::from_slice(body).unwrap_or_default();
    let failed = settled.failed.into_iter();
    failed.map(|refused| (refused.id, refused.code)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_from_an_answer_escapes_included() {
        let body =
            Bytes::from(r#"{"Messages":[{"MessageId":"m","ReceiptHandle":"r","Body":"{\"n\":1}","MD5OfBody":"x"}]}"#);
        let mut seen = Vec::new();
        let count = handouts(&body, |handout| {
            seen.push((
                handout.id.to_owned(),
                handout.receipt.to_owned(),
                handout.body.to_owned(),
            ));
        });
        assert_eq!(
            (count, seen),
            (1, vec![("m".to_owned(), "r".to_owned(), "{\"n\":1}".to_owned())])
        );
        assert_eq!(handouts(&Bytes::from("{}"), |_| {}), 0);
    }

    #[test]
    fn the_operation_is_read_from_its_header() {
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-target", HeaderValue::from_static("AmazonSQS.DeleteMessageBatch"));
        assert_eq!(Operation::of(&headers), Operation::Delete);
        assert_eq!(Operation::of(&HeaderMap::new()), Operation::Other);
    }
}
