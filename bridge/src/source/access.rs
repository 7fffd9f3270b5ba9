//! How the bridge reaches SQS: credentials, regions, timeouts.
//!
//! Long polls and deletes have a client each, so that polls that wait never hold up a delete.

use std::time::Duration;

use aws_config::sts::AssumeRoleProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::{StalledStreamProtectionConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_smithy_http_client::tls;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use penstock_crds::SqsSource;

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long an attempt of a call that does not wait may take, and all attempts together.
const SETTLE_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(8);
const SETTLE_TIMEOUT: Duration = Duration::from_secs(18);

/// How much longer than its own wait an attempt of a receive call may take, and all attempts together.
const RECEIVE_ATTEMPT_MARGIN: Duration = Duration::from_secs(5);
const RECEIVE_MARGIN: Duration = Duration::from_secs(10);

/// The clients for one queue.
#[derive(Debug, Clone)]
pub struct Access {
    /// For long polls.
    pub receive: Client,
    /// For everything else.
    pub settle: Client,
}

/// Makes the clients. `AWS_ENDPOINT_URL` and the default chain of credentials hold, as everywhere in AWS's SDKs.
pub async fn connect(source: &SqsSource, connector: &str) -> Access {
    let shared = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(source.region.clone()))
        .http_client(http_client())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .load()
        .await;
    let role = assumed(source, connector, &shared).await;
    let wait = source.wait_time.to_std();
    let receive = timeouts(wait + RECEIVE_ATTEMPT_MARGIN, wait + RECEIVE_MARGIN);
    let settle = timeouts(SETTLE_ATTEMPT_TIMEOUT, SETTLE_TIMEOUT);
    Access {
        receive: client(&shared, role.clone(), receive),
        settle: client(&shared, role, settle),
    }
}

fn client(shared: &SdkConfig, role: Option<SharedCredentialsProvider>, timeouts: TimeoutConfig) -> Client {
    // One more attempt at once covers connections that were closed while idle; longer waits are the pump's.
    let retry = RetryConfig::standard()
        .with_max_attempts(2)
        .with_initial_backoff(Duration::from_millis(50));
    let mut config = aws_sdk_sqs::config::Builder::from(shared)
        .http_client(http_client())
        .timeout_config(timeouts)
        .retry_config(retry);
    config.set_credentials_provider(role.or_else(|| shared.credentials_provider()));
    Client::from_conf(config.build())
}

async fn assumed(source: &SqsSource, connector: &str, shared: &SdkConfig) -> Option<SharedCredentialsProvider> {
    let role = source.assume_role.as_ref()?;
    let session = role.session_name.clone().unwrap_or_else(|| session_name(connector));
    let mut provider = AssumeRoleProvider::builder(&role.arn)
        .session_name(session)
        .region(Region::new(source.region.clone()))
        .configure(shared);
    if let Some(id) = &role.external_id {
        provider = provider.external_id(id);
    }
    Some(SharedCredentialsProvider::new(provider.build().await))
}

/// STS takes at most 64 characters.
fn session_name(connector: &str) -> String {
    format!("penstock-{connector}").chars().take(64).collect()
}

fn timeouts(attempt: Duration, operation: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(attempt)
        .operation_timeout(operation)
        .build()
}

fn http_client() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
        .build_https()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_name_fits_what_sts_takes() {
        assert_eq!(session_name("orders"), "penstock-orders");
        assert_eq!(session_name(&"a".repeat(63)).len(), 64);
    }
}
