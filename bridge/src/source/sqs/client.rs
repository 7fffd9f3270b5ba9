//! One call: sign it, send it, wait so long and no longer, and read the answer to its end.
//!
//! No call is made a second time for its own sake but those that [`Call::again`] allows. A clock that is off and
//! credentials that ended are mended once, as the service refused the request and did nothing.

use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::provider::SharedCredentialsProvider;
use bytes::{Bytes, BytesMut};
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use hyper::http::uri::PathAndQuery;
use hyper::{Method, Request, StatusCode, Uri};
use tokio::time::{Instant, timeout_at};

use super::clock::Clock;
use super::credentials::{Credentials, Keys};
use super::error::{Failure, Refusal, Remedy};
use super::http::{Answer, Connections};
use super::sign::{Signer, TARGET};
use super::wire::Operation;
use crate::source::{Error, Room};

/// The largest answer that is read. Ten messages hold 1 MiB each at most, and JSON may take two bytes and more for one.
const LARGEST_ANSWER: usize = 32 << 20;

/// The most that is read of an error.
const LARGEST_ERROR: usize = 64 << 10;

/// How much more room is asked for at a time where the length of an answer is not known before.
const STEP: usize = 1 << 20;

/// The pause before another attempt at a service that failed.
const PAUSE: Duration = Duration::from_millis(50);

/// Makes codes come as they did before SQS spoke JSON, as the SDKs want them.
const QUERY_MODE: HeaderName = HeaderName::from_static("x-amzn-query-mode");

/// What calls need of the way to SQS.
#[derive(Debug)]
pub(super) struct Client {
    connections: Connections,
    credentials: Arc<Credentials>,
    clock: Arc<Clock>,
    signer: Signer,
    path: Uri,
    headers: HeaderMap,
}

/// One call.
#[derive(Debug)]
pub(super) struct Call<'a> {
    /// What is asked for.
    pub(super) operation: Operation,
    /// With which words.
    pub(super) request: Bytes,
    /// How long it may take, the time for which it waits for room aside.
    pub(super) limit: Duration,
    /// Whether a second attempt may follow one that failed at a connection or at the service itself. The first then has
    /// half of the time.
    pub(super) again: bool,
    /// The room for the answer, if it may be large.
    pub(super) room: Option<&'a Room>,
}

impl Client {
    /// Makes a client for an endpoint.
    pub(super) fn new(
        endpoint: &str,
        region: &str,
        provider: Option<SharedCredentialsProvider>,
        clock: Clock,
    ) -> Result<Self, String> {
        let uri: Uri = endpoint
            .parse()
            .map_err(|error| format!("the endpoint {endpoint} is no URL: {error}"))?;
        let host = uri.authority().map(|authority| authority.as_str()).unwrap_or_default();
        // Names and passwords in a URL are no part of the host.
        let host = host.rsplit('@').next().unwrap_or_default();
        let host =
            HeaderValue::from_str(host).map_err(|error| format!("the endpoint {endpoint} has no host: {error}"))?;
        let path = format!("{}/", uri.path().trim_end_matches('/'));
        let target: PathAndQuery = path
            .parse()
            .map_err(|error| format!("the endpoint {endpoint} has no path: {error}"))?;
        let headers = HeaderMap::from_iter([
            (HOST, host),
            (CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.0")),
            (QUERY_MODE, HeaderValue::from_static("true")),
            (
                USER_AGENT,
                HeaderValue::from_static(concat!("penstock-bridge/", env!("CARGO_PKG_VERSION"))),
            ),
        ]);
        let clock = Arc::new(clock);
        Ok(Self {
            connections: Connections::new(uri)?,
            credentials: Credentials::new(provider, clock.clone()),
            clock,
            signer: Signer::new(region, &path),
            path: Uri::from(target),
            headers,
        })
    }

    /// Makes a call.
    pub(super) async fn call(&self, call: Call<'_>) -> Result<Bytes, Error> {
        let end = Instant::now() + call.limit;
        let (mut again, mut clock, mut credentials) = (call.again, true, true);
        loop {
            let keys = self.keys(end).await?;
            let now = Instant::now();
            let attempt_end = if again { now + (end - now) / 2 } else { end };
            let failure = match self.attempt(&call, &keys, Deadline(attempt_end)).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            if matches!(failure, Failure::TimeOut) {
                self.connections.doubt(now);
            }
            let is_mended = match failure.remedy() {
                Remedy::Again if again => {
                    again = false;
                    self.pause(&failure, end).await
                }
                Remedy::Clock if clock => {
                    clock = false;
                    self.learns_the_time(&failure)
                }
                Remedy::Credentials if credentials => {
                    credentials = false;
                    let others = timeout_at(end, self.credentials.instead_of(&keys)).await;
                    others.is_ok_and(|others| others.is_some())
                }
                _ => false,
            };
            if !is_mended {
                return Err(failure.into());
            }
        }
    }

    /// Lets go of every connection.
    pub(super) fn renew(&self) {
        self.connections.renew();
    }

    async fn keys(&self, end: Instant) -> Result<Arc<Keys>, Error> {
        let keys = timeout_at(end, self.credentials.keys()).await;
        let keys = keys.unwrap_or_else(|_| Err("their provider does not answer in time".to_owned()));
        keys.map_err(|error| Failure::Identify(error).into())
    }

    async fn attempt(&self, call: &Call<'_>, keys: &Keys, mut deadline: Deadline) -> Result<Bytes, Failure> {
        let request = self.signed(call, keys);
        let mut answer = deadline.hold(self.connections.send(request)).await?;
        if answer.head.status == StatusCode::OK {
            let body = read(&mut answer, &mut deadline, call.room).await?;
            answer.end().await;
            return Ok(body);
        }
        let (status, headers) = (answer.head.status, std::mem::take(&mut answer.head.headers));
        let body = read_start(&mut answer, &deadline).await?;
        if let Some(body) = &body {
            answer.end().await;
            return Err(Failure::Refuse(Refusal::read(status, &headers, body, keys)));
        }
        Err(Failure::Refuse(Refusal::read(status, &headers, &[], keys)))
    }

    fn signed(&self, call: &Call<'_>, keys: &Keys) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(call.request.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.path.clone();
        let headers = request.headers_mut();
        headers.clone_from(&self.headers);
        headers.insert(TARGET, HeaderValue::from_static(call.operation.target()));
        self.signer.sign(headers, keys, self.clock.now(), &call.request);
        request
    }

    /// Waits a moment if the service failed; a connection that broke is made anew at once. Returns whether time is left.
    async fn pause(&self, failure: &Failure, end: Instant) -> bool {
        if matches!(failure, Failure::Refuse(_)) {
            tokio::time::sleep(PAUSE.mul_f64(rand::random_range(0.5..1.5))).await;
        }
        Instant::now() < end
    }

    fn learns_the_time(&self, failure: &Failure) -> bool {
        let Failure::Refuse(refusal) = failure else {
            return false;
        };
        let is_off = refusal.at.is_some_and(|theirs| self.clock.learn(theirs));
        if is_off {
            tracing::warn!("This machine's clock is minutes off the service's; signing by the service's clock");
        }
        is_off
    }
}

/// When an attempt ends.
#[derive(Debug, Clone, Copy)]
struct Deadline(Instant);

impl Deadline {
    async fn hold<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        timeout_at(self.0, work).await.unwrap_or(Err(Failure::TimeOut))
    }

    /// Waits for room. That time is the pump's, not the service's.
    async fn wait_for(&mut self, room: &Room, bytes: usize) -> Result<(), Failure> {
        let began = Instant::now();
        let granted = room.grow(bytes).await;
        self.0 += began.elapsed();
        granted.map_err(|why| Failure::Read(why.to_string()))
    }
}

/// Reads a body to its end. What is not reserved is asked for before it is read.
async fn read(answer: &mut Answer<'_>, deadline: &mut Deadline, room: Option<&Room>) -> Result<Bytes, Failure> {
    let length = answer.length();
    if let Some(length) = length.filter(|length| *length > LARGEST_ANSWER) {
        return Err(Failure::Read(format!(
            "it has {length} bytes, and SQS sends none so large"
        )));
    }
    let mut granted = room.map_or(usize::MAX, |room| room.reserved);
    if let (Some(room), Some(length)) = (room, length.filter(|length| *length > granted)) {
        deadline.wait_for(room, length).await?;
        granted = length;
    }
    let mut body = Body::default();
    while let Some(part) = deadline.hold(answer.part()).await? {
        let total = body.length() + part.len();
        if total > LARGEST_ANSWER {
            return Err(Failure::Read(format!("it goes on after {LARGEST_ANSWER} bytes")));
        }
        if let Some(room) = room.filter(|_| total > granted) {
            granted = total + STEP;
            deadline.wait_for(room, granted).await?;
        }
        body.add(part, length);
    }
    Ok(body.end())
}

/// Reads the body of an error, if it is not too long.
async fn read_start(answer: &mut Answer<'_>, deadline: &Deadline) -> Result<Option<Bytes>, Failure> {
    let mut body = Body::default();
    while let Some(part) = deadline.hold(answer.part()).await? {
        if body.length() + part.len() > LARGEST_ERROR {
            return Ok(None);
        }
        body.add(part, None);
    }
    Ok(Some(body.end()))
}

/// The parts of a body. The first is often the whole, and is not copied then.
#[derive(Debug, Default)]
struct Body {
    first: Bytes,
    all: BytesMut,
}

impl Body {
    fn length(&self) -> usize {
        self.first.len() + self.all.len()
    }

    fn add(&mut self, part: Bytes, whole_length: Option<usize>) {
        if self.length() == 0 {
            self.first = part;
            return;
        }
        if self.all.is_empty() {
            self.all.reserve(whole_length.unwrap_or(self.first.len() + part.len()));
            self.all.extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.all.extend_from_slice(&part);
    }

    fn end(self) -> Bytes {
        if self.all.is_empty() {
            self.first
        } else {
            self.all.freeze()
        }
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
