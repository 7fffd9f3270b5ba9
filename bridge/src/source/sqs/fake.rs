//! A service of our own making, byte by byte, so that it can do what a real one does on its bad days.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// What it does when a request came.
#[derive(Debug, Clone)]
pub(super) enum Reply {
    /// Writes these bytes and keeps the connection.
    Keep(Vec<u8>),
    /// Writes these bytes and closes the connection.
    Cut(Vec<u8>),
    /// Writes some bytes, and others once the test lets it.
    Halves(Vec<u8>, Vec<u8>),
    /// Says nothing and keeps the connection.
    Silence,
}

/// What it was asked.
#[derive(Debug, Clone)]
pub(super) struct Heard {
    pub(super) head: String,
    pub(super) body: String,
    /// Connections are counted from 0.
    pub(super) connection: usize,
}

impl Heard {
    /// Returns a header.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut pairs = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        pairs
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }
}

#[derive(Debug, Default)]
struct State {
    replies: VecDeque<Reply>,
    heard: Vec<Heard>,
    connections: usize,
    closed: Vec<usize>,
    /// Replies that were written to their end.
    written: usize,
}

/// A service on loopback. What it has no reply for is answered with an empty object.
#[derive(Debug)]
pub(super) struct Service {
    endpoint: String,
    state: Arc<Mutex<State>>,
    second_halves: Arc<Semaphore>,
}

impl Service {
    /// Starts one that replies to its first requests like this, in order.
    pub(super) async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it has an address");
        let state = Arc::new(Mutex::new(State {
            replies: replies.into_iter().collect(),
            ..State::default()
        }));
        let second_halves = Arc::new(Semaphore::new(0));
        let service = Self {
            endpoint: format!("http://{address}"),
            state: state.clone(),
            second_halves: second_halves.clone(),
        };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, state.clone(), second_halves.clone()));
            }
        });
        service
    }

    /// Replies to the next request like this.
    pub(super) fn next(&self, reply: Reply) {
        self.state().replies.push_back(reply);
    }

    /// Returns where it is.
    pub(super) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Returns what it was asked, in order.
    pub(super) fn heard(&self) -> Vec<Heard> {
        self.state().heard.clone()
    }

    /// Returns how many connections there were.
    pub(super) fn connections(&self) -> usize {
        self.state().connections
    }

    /// Returns how many replies were written to their end.
    pub(super) fn written(&self) -> usize {
        self.state().written
    }

    /// Writes one second half.
    pub(super) fn go_on(&self) {
        self.second_halves.add_permits(1);
    }

    /// Waits until the other side has closed a connection.
    pub(super) async fn until_closed(&self, connection: usize) {
        self.until("a connection is closed", |state| state.closed.contains(&connection))
            .await;
    }

    /// Waits until it was asked so often.
    pub(super) async fn until_heard(&self, requests: usize) {
        self.until("a request comes", |state| state.heard.len() >= requests)
            .await;
    }

    /// Waits until so many replies are written.
    pub(super) async fn until_written(&self, replies: usize) {
        self.until("a reply is written", |state| state.written >= replies).await;
    }

    async fn until(&self, what: &str, condition: impl Fn(&State) -> bool) {
        let wait = async {
            while !condition(&self.state()) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let limit = Duration::from_secs(20);
        assert!(timeout(limit, wait).await.is_ok(), "never: {what}; {:?}", self.heard());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics inside")
    }
}

async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>, second_halves: Arc<Semaphore>) {
    let lock = || state.lock().expect("no test panics inside");
    let number = {
        let mut state = lock();
        state.connections += 1;
        state.connections - 1
    };
    let mut buffer = Vec::new();
    while let Some((head, body)) = request(&mut stream, &mut buffer).await {
        let reply = {
            let mut state = lock();
            state.heard.push(Heard {
                head,
                body,
                connection: number,
            });
            state.replies.pop_front()
        };
        let written = match reply.unwrap_or_else(|| Reply::Keep(ok("{}"))) {
            Reply::Keep(bytes) => stream.write_all(&bytes).await,
            Reply::Cut(bytes) => {
                let _ = stream.write_all(&bytes).await;
                return;
            }
            Reply::Halves(first, second) => {
                let _ = stream.write_all(&first).await;
                second_halves.acquire().await.expect("it is never closed").forget();
                stream.write_all(&second).await
            }
            Reply::Silence => Ok(()),
        };
        lock().written += usize::from(written.is_ok());
    }
    lock().closed.push(number);
}

/// Reads one request; none once the other side has closed the connection.
async fn request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<(String, String)> {
    loop {
        let end = buffer.windows(4).position(|window| window == b"\r\n\r\n");
        if let Some(end) = end {
            let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.and_then(|text| text.parse().ok()).unwrap_or_default();
            if buffer.len() >= end + 4 + length {
                let body = String::from_utf8_lossy(&buffer[end + 4..end + 4 + length]).into_owned();
                buffer.drain(..end + 4 + length);
                return Some((head, body));
            }
        }
        if stream.read_buf(buffer).await.unwrap_or_default() == 0 {
            return None;
        }
    }
}

/// Returns a good answer.
pub(super) fn ok(body: &str) -> Vec<u8> {
    answer(200, &[], body)
}

/// Returns an error as SQS tells it.
pub(super) fn error(status: u16, code: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let body = format!(r#"{{"__type":"com.amazonaws.sqs#{code}","message":"told by the service"}}"#);
    answer(status, headers, &body)
}

/// Returns any answer.
pub(super) fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let headers: String = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let length = body.len();
    format!("HTTP/1.1 {status} So\r\n{headers}content-length: {length}\r\n\r\n{body}").into_bytes()
}
