//! Connections to one endpoint.
//!
//! A connection is driven by the task that waits for its answer, so no call crosses from one task to another. Whoever
//! gives up drops the connection with its future: only one whose answer was read to its end goes back to the others.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1;
use hyper::http::response::Parts;
use hyper::{Request, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tower_service::Service;

use super::chain;
use super::error::Failure;
use crate::source::access::CONNECT_TIMEOUT;

/// How long a connection may rest, well below the minute after which AWS closes it.
const REST: Duration = Duration::from_secs(30);

/// The most connections that rest. A call more than that pays for a connection of its own.
const MOST_AT_REST: usize = 256;

/// The most that a connection reads at once, and keeps.
const READ_BUFFER: usize = 64 * 1024;

type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

/// The connections to one endpoint, those at rest kept for the next call.
#[derive(Debug)]
pub(super) struct Connections {
    uri: Uri,
    connector: Connector,
    resting: Mutex<Resting>,
}

#[derive(Debug, Default)]
struct Resting {
    /// Counts renewals; a connection of an earlier one does not come back.
    renewal: u64,
    /// The one that came last is taken first, so that those too many grow old.
    connections: VecDeque<(Instant, Box<Connection>)>,
}

#[derive(Debug, Clone)]
enum Connector {
    Plain(HttpConnector),
    Secure(HttpsConnector<HttpConnector>),
}

/// Some kilobytes with TLS, so it is passed on in a box.
#[derive(Debug)]
struct Connection {
    requests: http1::SendRequest<Full<Bytes>>,
    /// Nothing once the connection has ended: a request that it did not take is given up with it.
    driver: Option<http1::Connection<Stream, Full<Bytes>>>,
    renewal: u64,
}

/// An answer whose body is still to be read.
pub(super) struct Answer<'a> {
    /// Status and headers.
    pub(super) head: Parts,
    body: Incoming,
    connection: Box<Connection>,
    connections: &'a Connections,
}

impl Connections {
    /// Makes none yet. For an endpoint of `https` the machine's root certificates are read.
    pub(super) fn new(uri: Uri) -> Result<Self, String> {
        let mut plain = HttpConnector::new();
        plain.set_nodelay(true);
        // A little less than the whole, so that its reason is what is told.
        plain.set_connect_timeout(Some(CONNECT_TIMEOUT - Duration::from_millis(200)));
        let connector = match uri.scheme_str() {
            Some("http") => Connector::Plain(plain),
            Some("https") => {
                plain.enforce_http(false);
                let roots = HttpsConnectorBuilder::new().with_native_roots();
                let roots = roots.map_err(|error| format!("there are no root certificates: {error}"))?;
                Connector::Secure(roots.https_only().enable_http1().wrap_connector(plain))
            }
            other => return Err(format!("an endpoint begins with http or https, not {other:?}")),
        };
        Ok(Self {
            uri,
            connector,
            resting: Mutex::default(),
        })
    }

    /// Sends a request and returns once the answer begins.
    pub(super) async fn send(&self, request: Request<Full<Bytes>>) -> Result<Answer<'_>, Failure> {
        let mut connection = match self.take().await {
            Some(connection) => connection,
            // Apart, since it is large and seldom: what is awaited here is part of every call.
            None => Box::pin(self.connect()).await?,
        };
        let answer = connection.requests.send_request(request);
        let answer = connection.drive(answer).await;
        let (head, body) = answer.map_err(|error| Failure::Break(chain(&error)))?.into_parts();
        Ok(Answer {
            head,
            body,
            connection,
            connections: self,
        })
    }

    /// Lets go of every connection: those at rest now, those in use when their answer is there.
    pub(super) fn renew(&self) {
        let mut resting = self.resting();
        resting.renewal += 1;
        resting.connections.clear();
    }

    /// Lets go of what rests since before a call began that got no answer. Whatever took that answer, a way that is dead
    /// or an address that moved, may have taken these connections too, and trying one after another would cost the caller
    /// a limit each.
    pub(super) fn doubt(&self, began: Instant) {
        self.resting().connections.retain(|(since, _)| *since >= began);
    }

    async fn take(&self) -> Option<Box<Connection>> {
        loop {
            let mut connection = {
                let mut resting = self.resting();
                resting.drop_old(Instant::now());
                resting.connections.pop_back()?.1
            };
            if connection.is_ready().await {
                return Some(connection);
            }
        }
    }

    fn give_back(&self, connection: Box<Connection>) {
        let now = Instant::now();
        let mut resting = self.resting();
        resting.drop_old(now);
        if connection.renewal == resting.renewal && resting.connections.len() < MOST_AT_REST {
            resting.connections.push_back((now, connection));
        }
    }

    async fn connect(&self) -> Result<Box<Connection>, Failure> {
        let renewal = self.resting().renewal;
        let connecting = async {
            let stream = self.connector.clone().open(self.uri.clone()).await?;
            let made = http1::Builder::new().max_buf_size(READ_BUFFER).handshake(stream).await;
            made.map_err(|error| chain(&error))
        };
        let limit = CONNECT_TIMEOUT;
        let made = timeout(limit, connecting)
            .await
            .unwrap_or_else(|_| Err(format!("no connection within {} s", limit.as_secs())));
        let host = self.uri.host().unwrap_or_default();
        let (requests, driver) = made.map_err(|why| Failure::Connect(format!("{host}: {why}")))?;
        Ok(Box::new(Connection {
            requests,
            driver: Some(driver),
            renewal,
        }))
    }

    fn resting(&self) -> MutexGuard<'_, Resting> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how many rest.
    #[cfg(test)]
    pub(super) fn at_rest(&self) -> usize {
        self.resting().connections.len()
    }
}

impl Resting {
    fn drop_old(&mut self, now: Instant) {
        while self
            .connections
            .pop_front_if(|(since, _)| now.duration_since(*since) > REST)
            .is_some()
        {}
    }
}

impl Connector {
    async fn open(self, uri: Uri) -> Result<Stream, String> {
        match self {
            Self::Plain(mut plain) => {
                poll_fn(|context| plain.poll_ready(context))
                    .await
                    .map_err(|error| chain(&error))?;
                let stream = plain.call(uri).await.map_err(|error| chain(&error))?;
                Ok(MaybeHttpsStream::Http(stream))
            }
            Self::Secure(mut secure) => {
                poll_fn(|context| secure.poll_ready(context))
                    .await
                    .map_err(|error| chain(&*error))?;
                secure.call(uri).await.map_err(|error| chain(&*error))
            }
        }
    }
}

impl Connection {
    /// Waits for something that the connection brings.
    async fn drive<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(|context| {
            // What waits says what it wants, the connection brings it, and then it may be there.
            if let Poll::Ready(done) = work.as_mut().poll(context) {
                return Poll::Ready(done);
            }
            self.turn(context);
            work.as_mut().poll(context)
        })
        .await
    }

    fn turn(&mut self, context: &mut Context<'_>) {
        if let Some(driver) = &mut self.driver
            && Pin::new(driver).poll(context).is_ready()
        {
            self.driver = None;
        }
    }

    /// Whether it may carry a request now. One that the other side has closed may not.
    async fn is_ready(&mut self) -> bool {
        poll_fn(|context| {
            self.turn(context);
            Poll::Ready(self.driver.is_some() && self.requests.is_ready())
        })
        .await
    }
}

impl Answer<'_> {
    /// Returns the length of the body, if the answer says.
    pub(super) fn length(&self) -> Option<usize> {
        let length = self.body.size_hint().exact()?;
        Some(usize::try_from(length).unwrap_or(usize::MAX))
    }

    /// Returns the next part of the body.
    pub(super) async fn part(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            let frame = self.connection.drive(self.body.frame()).await;
            match frame {
                Some(Ok(frame)) => {
                    // Trailers are of no interest.
                    if let Ok(part) = frame.into_data() {
                        return Ok(Some(part));
                    }
                }
                Some(Err(error)) => return Err(Failure::Break(chain(&error))),
                None => return Ok(None),
            }
        }
    }

    /// Gives the connection to the next call. The body has to be read to its end.
    pub(super) async fn end(mut self) {
        drop(self.body);
        if self.connection.is_ready().await {
            self.connections.give_back(self.connection);
        }
    }
}
