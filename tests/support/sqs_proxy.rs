//! A proxy before SQS that does to calls what networks and services do to them, and writes down what passed.
//!
//! It speaks the SDKs' JSON protocol over plain HTTP. A [`Rule`] says which calls meet which [`Fault`], and how often. Whatever SQS hands out and
//! whatever somebody asks it to delete is told to an [`Observer`]; a [`Journal`] is one that keeps it.

mod connection;
mod faults;
mod journal;
mod rules;
mod wire;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

pub use faults::{Entries, Fault, Refusal};
pub use journal::{Delete, Handout, Journal, Observer};
pub use rules::{Rule, When};
pub use wire::Operation;

use crate::aws::Endpoint;
use crate::error::io;
use crate::{Error, clock};
use connection::{Freezable, Line, Lines};
use rules::Rules;
use wire::{Cut, Payload};

/// How long SQS may take beyond the wait that a call asks for. A caller that gives up then, and asks again, can be given the same messages twice.
const LATE: Duration = Duration::from_secs(3);

/// A proxy. Dropping it closes its port and every connection.
pub struct SqsProxy {
    endpoint: Endpoint,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

/// What the connections share.
struct Shared {
    upstream: Client<HttpConnector, Payload>,
    authority: String,
    rules: Rules,
    lines: Lines,
    observer: Arc<dyn Observer>,
    /// The latest answer to a receive call that held messages, to be given a second time.
    latest: Mutex<Option<Bytes>>,
    /// Access keys whose time is over.
    expired: Mutex<HashSet<String>>,
}

impl SqsProxy {
    /// Starts one before `upstream`; `observer` is told what passes.
    pub async fn start(upstream: &Endpoint, observer: Arc<dyn Observer>) -> Result<Self, Error> {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .map_err(io("open the proxy's port"))?;
        let port = listener.local_addr().map_err(io("ask for the proxy's port"))?.port();
        let endpoint = Endpoint::new(
            &format!("http://127.0.0.1:{port}"),
            upstream.account(),
            upstream.region(),
        )?;
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let shared = Arc::new(Shared {
            upstream: Client::builder(TokioExecutor::new()).build(connector),
            authority: authority(upstream.url()),
            rules: Rules::default(),
            lines: Lines::default(),
            observer,
            latest: Mutex::default(),
            expired: Mutex::default(),
        });
        let serving = tokio::spawn(serve(listener, shared.clone()));
        Ok(Self {
            endpoint,
            shared,
            serving,
        })
    }

    /// Returns where it answers.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Returns the address of a queue as it is seen through the proxy.
    pub fn queue_url(&self, url: &str) -> String {
        let path = url.parse::<Uri>().map(|uri| uri.path().to_owned()).unwrap_or_default();
        format!("{}{path}", self.endpoint.url())
    }

    /// Adds a rule. A call meets the first rule that wants it, in the order in which they were added.
    pub fn rule(&self, operation: Operation, when: When, fault: Fault) -> Arc<Rule> {
        self.shared.rules.add(operation, when, fault)
    }

    /// Answers calls that are signed with this access key with [`Refusal::ExpiredToken`] from now on.
    pub fn expire(&self, access_key: &str) {
        self.shared.expired().insert(access_key.to_owned());
    }

    /// Makes every connection of this moment hang for ever, with neither side closing it. New ones work.
    pub fn freeze(&self) {
        self.shared.lines.freeze_all();
    }
}

impl Drop for SqsProxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn authority(url: &str) -> String {
    let uri: Uri = url.parse().unwrap_or_default();
    uri.authority().map(ToString::to_string).unwrap_or_default()
}

/// The set ends every connection when the task ends.
async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    connections.spawn(converse(stream, shared.clone()));
                }
            }
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

async fn converse(stream: TcpStream, shared: Arc<Shared>) {
    // Without it, small answers wait for an acknowledgement.
    let _ = stream.set_nodelay(true);
    let line = shared.lines.open();
    let io = TokioIo::new(Freezable::new(stream, line.clone()));
    let service = service_fn(|request| answer(request, shared.clone(), line.clone()));
    // A connection that a fault or the caller broke is no news.
    let _ = http1::Builder::new().serve_connection(io, service).await;
}

/// Answers one call; an error closes the connection unanswered.
async fn answer(request: Request<Incoming>, shared: Arc<Shared>, line: Line) -> Result<wire::Answer, Cut> {
    let at = clock::now();
    let call = wire::Call::read(request).await?;
    for entry in call.entries() {
        match entry.visibility_timeout {
            Some(seconds) => shared.observer.hiding(&entry.receipt_handle, seconds, at),
            None => shared.observer.deleting(&entry.receipt_handle, at),
        }
    }
    shared.observer.called(call.operation, at);
    if call.access_key().is_some_and(|key| shared.expired().contains(key)) {
        return Ok(Refusal::ExpiredToken.reply().answer());
    }
    match shared.rules.fault(call.operation) {
        Some(fault) => faults::answer(&shared, &line, call, fault).await,
        None => Ok(shared.forward(call).await?.answer()),
    }
}

/// Tells of a call that SQS left without an answer for too long, also when the caller went away meanwhile.
struct Watch<'a> {
    observer: &'a dyn Observer,
    operation: Operation,
    due: Instant,
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if Instant::now() > self.due {
            self.observer.late(self.operation);
        }
    }
}

impl Shared {
    /// Has SQS execute the call.
    async fn forward(&self, call: wire::Call) -> Result<wire::Reply, Cut> {
        let (operation, entries) = (call.operation, call.entries());
        let _watch = Watch {
            observer: &*self.observer,
            operation,
            due: Instant::now() + call.wait() + LATE,
        };
        let request = call.into_upstream(&self.authority)?;
        let response = self.upstream.request(request).await.map_err(|_| Cut)?;
        let reply = wire::Reply::read(response).await?;
        if operation == Operation::Receive && reply.is_success() {
            self.note_handouts(&reply.body);
        }
        self.note_refusals(&entries, &reply);
        Ok(reply)
    }

    fn note_handouts(&self, body: &Bytes) {
        let at = clock::now();
        let count = wire::handouts(body, |handout| self.observer.handed_out(handout, at));
        if count > 0 {
            *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(body.clone());
        }
    }

    fn note_refusals(&self, entries: &[wire::Entry], reply: &wire::Reply) {
        if entries.is_empty() {
            return;
        }
        let at = clock::now();
        for (id, code) in wire::failures(&reply.body) {
            for entry in entries.iter().filter(|entry| entry.id == id) {
                self.observer.refused(&entry.receipt_handle, &code, at);
            }
        }
    }

    fn expired(&self) -> MutexGuard<'_, HashSet<String>> {
        self.expired.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn latest(&self) -> Option<Bytes> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
