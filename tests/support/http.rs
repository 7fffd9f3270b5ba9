//! Getting a page from loopback: health checks, metrics, readiness.

use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::Uri;
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::time::timeout;

use crate::Error;

const LIMIT: Duration = Duration::from_secs(10);
const LARGEST: usize = 16 * 1024 * 1024;

/// Gets `url` and returns the status and the text of the body.
pub async fn get(url: &str) -> Result<(u16, String), Error> {
    let failed = |reason: String| Error::Http {
        url: url.to_owned(),
        reason,
    };
    let address: Uri = url.parse().map_err(|error| failed(format!("{error}")))?;
    let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let exchange = async {
        let response = client.get(address).await.map_err(|error| failed(format!("{error}")))?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), LARGEST)
            .collect()
            .await
            .map_err(|error| failed(error.to_string()))?;
        Ok((status, String::from_utf8_lossy(&body.to_bytes()).into_owned()))
    };
    timeout(LIMIT, exchange)
        .await
        .map_err(|_| failed(format!("no answer within {} s", LIMIT.as_secs())))?
}
