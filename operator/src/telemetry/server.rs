//! `/livez`, `/readyz` and `/metrics`.

use std::future::Future;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;

use super::{Metrics, Progress};

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
