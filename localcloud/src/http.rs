//! The wire protocols that the SDKs speak, on one port.
//!
//! Every request is read by the API model that AWS publishes ([`api`]): decoded from the protocol it came in ([`json`],
//! [`cbor`], [`query`]), held against the model's constraints ([`check`]), answered by the cloud model, and encoded by the shape of
//! the output. Account and region come from the signature, which is not verified: every caller may do everything.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub mod answer;
pub mod api;
pub mod cbor;
pub mod check;
mod front;
mod gzip;
pub mod json;
pub mod query;
pub mod request;
mod shared;
mod wait;
pub mod xml;

pub use shared::{Clocks, SharedCloud};

/// How often policies, alarms, deployments and timeouts are looked at.
const TICK: Duration = Duration::from_millis(100);

/// How long requests in hand may take once the front stops.
const GRACE: Duration = Duration::from_secs(3);

/// What a caller without an account in its access key id belongs to.
pub const DEFAULT_ACCOUNT: &str = "123456789012";

/// How the front behaves, beside what the cloud model says.
#[derive(Debug, Clone)]
pub struct Options {
    /// The account of every access key id that names none itself.
    pub account: String,
    /// How long each SQS call takes at least, as a round trip does.
    pub sqs_delay: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            account: DEFAULT_ACCOUNT.to_owned(),
            sqs_delay: Duration::ZERO,
        }
    }
}

/// Why the front stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The listener has no address.
    #[error("could not read the address that the front listens on")]
    ReadAddress(#[source] std::io::Error),
    /// The server gave up.
    #[error("could not serve")]
    Serve(#[source] std::io::Error),
}

/// Answers calls on `listener` and keeps the cloud's clockwork going until `shutdown` is done; then answers what is in hand.
///
/// Queue URLs begin with the listener's own address, unless the cloud already has an endpoint.
pub async fn serve(
    listener: TcpListener,
    cloud: SharedCloud,
    options: Options,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Error> {
    let address = listener.local_addr().map_err(Error::ReadAddress)?;
    cloud.with(|cloud, _| {
        if cloud.endpoint.is_empty() {
            cloud.set_endpoint(format!("http://{address}"));
        }
    });
    let stopping = CancellationToken::new();
    let front = Arc::new(front::Front {
        cloud: cloud.clone(),
        options,
        stopping: stopping.clone(),
    });
    let router = Router::new()
        .route("/_localcloud/health", get(front::health))
        .fallback(front::answer)
        .with_state(front);
    let clockwork = tokio::spawn(keep_ticking(cloud, stopping.clone()));
    let stop = {
        let stopping = stopping.clone();
        async move {
            shutdown.await;
            stopping.cancel();
        }
    };
    let listener = listener.tap_io(|stream| {
        // Small answers must not wait for the acknowledgement of earlier ones; without the option they are late, not wrong.
        let _ = stream.set_nodelay(true);
    });
    let serving = axum::serve(listener, router).with_graceful_shutdown(stop);
    let served = tokio::select! {
        served = serving => served,
        // Whoever holds a connection open without finishing a request is not waited for any longer.
        () = grace_over(&stopping) => Ok(()),
    };
    stopping.cancel();
    // The clockwork only ends by the token, so there is no failure of its own to report.
    let _ = clockwork.await;
    served.map_err(Error::Serve)
}

/// Ends a while after the front began to stop.
async fn grace_over(stopping: &CancellationToken) {
    stopping.cancelled().await;
    tokio::time::sleep(GRACE).await;
}

/// Lets the cloud do what it does by itself, and wakes long polls for messages that became visible by time.
async fn keep_ticking(cloud: SharedCloud, stopping: CancellationToken) {
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            _ = interval.tick() => {}
        }
        cloud.with(|cloud, now| cloud.tick(now));
        cloud.announce();
    }
}

#[cfg(test)]
mod tests;
