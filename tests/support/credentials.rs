//! Credentials for a task, as ECS serves them: temporary, and replaced before they expire.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::error::io;
use crate::{Error, clock};

/// Hands out an access key per question. Dropping it closes its port.
#[derive(Debug)]
pub struct Credentials {
    url: String,
    issued: Arc<Mutex<Vec<Key>>>,
    serving: JoinHandle<()>,
}

/// An access key and the end of its life, in milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The access key.
    pub id: String,
    /// When it expires.
    pub until: i64,
}

impl Credentials {
    /// Serves keys that live that long.
    pub async fn start(life: Duration) -> Result<Self, Error> {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .map_err(io("open the credentials' port"))?;
        let port = listener
            .local_addr()
            .map_err(io("ask for the credentials' port"))?
            .port();
        let issued = Arc::new(Mutex::default());
        Ok(Self {
            url: format!("http://127.0.0.1:{port}/credentials"),
            issued: Arc::clone(&issued),
            serving: tokio::spawn(serve(listener, life, issued)),
        })
    }

    /// Returns what is to stand in `AWS_CONTAINER_CREDENTIALS_FULL_URI`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns every key that was handed out, in order.
    pub fn issued(&self) -> Vec<Key> {
        keys(&self.issued).clone()
    }
}

impl Drop for Credentials {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

type Keys = Arc<Mutex<Vec<Key>>>;

fn keys(issued: &Keys) -> MutexGuard<'_, Vec<Key>> {
    issued.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: TcpListener, life: Duration, issued: Keys) {
    while let Ok((stream, _)) = listener.accept().await {
        let service = service_fn(|_: Request<Incoming>| {
            let body = issue(life, &issued);
            async move { Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(body)))) }
        });
        // One at a time, and closed after it: SDKs ask seldom.
        let conversation = http1::Builder::new()
            .keep_alive(false)
            .serve_connection(TokioIo::new(stream), service);
        let _ = tokio::time::timeout(Duration::from_secs(5), conversation).await;
    }
}

fn issue(life: Duration, issued: &Keys) -> String {
    let mut issued = keys(issued);
    let key = Key {
        id: format!("KEY{}", issued.len() + 1),
        until: clock::now() + i64::try_from(life.as_millis()).unwrap_or(i64::MAX),
    };
    let until = jiff::Timestamp::from_millisecond(key.until).unwrap_or_default();
    let said = json!({
        "AccessKeyId": key.id, "SecretAccessKey": "not-a-secret", "Token": "not-a-token", "Expiration": until.to_string(),
    });
    issued.push(key);
    said.to_string()
}
