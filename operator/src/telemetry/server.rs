//! `/livez`, `/readyz` and `/metrics`.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::Metrics;

/// When each input last made progress; ready means that all of them did lately and have been read to their ends.
#[derive(Debug, Clone)]
pub struct Progress {
    inputs: Arc<Mutex<BTreeMap<&'static str, Input>>>,
    patience: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Input {
    last: Instant,
    caught_up: bool,
}

impl Progress {
    /// Expects progress of each of `inputs` at least every `patience`.
    pub fn new(inputs: &[&'static str], patience: Duration) -> Self {
        let fresh = Input {
            last: Instant::now(),
            caught_up: false,
        };
        let inputs = inputs.iter().map(|name| (*name, fresh)).collect();
        Self {
            inputs: Arc::new(Mutex::new(inputs)),
            patience,
        }
    }

    /// Notes that an input made progress, and whether it has reached its end.
    pub fn made(&self, input: &'static str, caught_up: bool) {
        let mut inputs = self.inputs.lock().unwrap_or_else(PoisonError::into_inner);
        inputs.insert(
            input,
            Input {
                last: Instant::now(),
                caught_up,
            },
        );
    }

    /// Returns what stands still, or has yet to be read to its end.
    pub fn hindrances(&self) -> Vec<String> {
        let inputs = self.inputs.lock().unwrap_or_else(PoisonError::into_inner);
        let judge = |(name, input): (&&'static str, &Input)| {
            let still = input.last.elapsed();
            match () {
                () if still > self.patience => Some(format!("{name}: no progress for {} s", still.as_secs())),
                () if !input.caught_up => Some(format!("{name}: not read to its end yet")),
                () => None,
            }
        };
        inputs.iter().filter_map(judge).collect()
    }

    /// Whether something stands still so long that only a restart can help: three times the patience.
    pub fn is_wedged(&self) -> bool {
        let inputs = self.inputs.lock().unwrap_or_else(PoisonError::into_inner);
        inputs
            .get(PASSES)
            .is_some_and(|input| input.last.elapsed() > self.patience * 3)
    }
}

/// The input that is the control loop itself. The others may stand still because Kafka does, which no restart mends.
pub const PASSES: &str = "passes";

/// Serves until `shutdown`.
pub async fn serve(
    listener: TcpListener,
    metrics: Metrics,
    progress: Progress,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let router = Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route(
            "/metrics",
            get(|State((metrics, _)): State<(Metrics, Progress)>| async move { metrics.text() }),
        )
        .with_state((metrics, progress));
    axum::serve(listener, router).with_graceful_shutdown(shutdown).await
}

async fn livez(State((_, progress)): State<(Metrics, Progress)>) -> (StatusCode, &'static str) {
    if progress.is_wedged() {
        (StatusCode::SERVICE_UNAVAILABLE, "the control loop stands still\n")
    } else {
        (StatusCode::OK, "ok\n")
    }
}

async fn readyz(State((_, progress)): State<(Metrics, Progress)>) -> (StatusCode, String) {
    let hindrances = progress.hindrances();
    if hindrances.is_empty() {
        (StatusCode::OK, "ok\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", hindrances.join("\n")))
    }
}
