//! `/healthz` and `/metrics`, and the other end of `/healthz`: `penstock-bridge health`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::Request;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

use crate::pump::Voice;

/// How long `penstock-bridge health` waits; ECS gives a health check five seconds unless told otherwise.
const ASK_TIMEOUT: Duration = Duration::from_secs(4);

/// The most of an answer that is read.
const LONGEST_ANSWER: usize = 64 * 1024;

/// Serves until the process ends.
pub async fn serve(listener: TcpListener, voice: Voice) {
    let router = Router::new()
        .route("/healthz", get(healthz))
        .route("/metrics", get(metrics))
        .with_state(voice);
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "Health and metrics are not served any more");
    }
}

async fn healthz(State(voice): State<Voice>) -> Response {
    let report = voice.health.report(Instant::now());
    let status = if report.healthy {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(report)).into_response()
}

async fn metrics(State(voice): State<Voice>) -> Response {
    match voice.telemetry.render() {
        Ok(text) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Why the bridge is not known to be healthy.
#[derive(Debug, thiserror::Error)]
pub enum HealthError {
    /// Nobody answers.
    #[error("no bridge answers at {address}: {why}")]
    Unreachable {
        /// Where it was looked for.
        address: SocketAddr,
        /// What went wrong.
        why: String,
    },
    /// The bridge says that it is not healthy.
    #[error("{0}")]
    Unhealthy(String),
}

/// Asks the bridge that listens at `listen` how it is, and returns what it says.
pub async fn ask_health(listen: SocketAddr) -> Result<String, HealthError> {
    let address = reachable(listen);
    let unreachable = |why: String| HealthError::Unreachable { address, why };
    let answer = timeout(ASK_TIMEOUT, ask(address)).await;
    let (status, body) = answer
        .map_err(|_| unreachable(format!("no answer within {} s", ASK_TIMEOUT.as_secs())))?
        .map_err(unreachable)?;
    if status == StatusCode::OK {
        Ok(body)
    } else {
        Err(HealthError::Unhealthy(body))
    }
}

async fn ask(address: SocketAddr) -> Result<(StatusCode, String), String> {
    let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.map_err(|error| error.to_string())?;
    tokio::spawn(connection);
    let request = Request::get("/healthz")
        .header(header::HOST, address.to_string())
        .body(Empty::<Bytes>::new());
    let request = request.map_err(|error| error.to_string())?;
    let answer = sender.send_request(request).await.map_err(|error| error.to_string())?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), LONGEST_ANSWER)
        .collect()
        .await
        .map_err(|error| error.to_string())?;
    Ok((status, String::from_utf8_lossy(&body.to_bytes()).into_owned()))
}

/// Where a listener on every address is reached from this machine.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::health::{Health, Phase};
    use crate::telemetry::Telemetry;

    async fn served() -> (SocketAddr, Voice) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let voice = Voice {
            telemetry: Arc::new(Telemetry::new("orders")),
            health: Arc::new(Health::new(Instant::now())),
        };
        tokio::spawn(serve(listener, voice.clone()));
        (address, voice)
    }

    #[tokio::test]
    async fn health_says_why_it_is_red_and_when_it_is_green() {
        let (address, voice) = served().await;
        let error = ask_health(address).await.expect_err("it still starts").to_string();
        assert!(error.contains("still checks"), "{error}");
        voice.health.enter(Phase::Running, Instant::now());
        let body = ask_health(address).await.expect("healthy");
        assert!(body.contains("\"healthy\":true"), "{body}");
    }

    #[tokio::test]
    async fn nobody_there_is_said() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        drop(listener);
        let error = ask_health(address).await.expect_err("nobody").to_string();
        assert!(error.contains("no bridge answers"), "{error}");
    }

    #[test]
    fn a_listener_on_every_address_is_asked_on_this_machine() {
        let asked = |listen: &str| reachable(listen.parse().expect("an address")).to_string();
        assert_eq!(asked("0.0.0.0:8080"), "127.0.0.1:8080");
        assert_eq!(asked("[::]:8080"), "[::1]:8080");
        assert_eq!(asked("10.0.0.7:9"), "10.0.0.7:9");
    }
}
