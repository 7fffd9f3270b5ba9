//! How the bridge reaches SQS: region, endpoint, credentials, and the SDK's client for what is asked seldom.

use std::time::Duration;

use aws_config::sts::AssumeRoleProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::endpoint::{DefaultResolver, Params, ResolveEndpoint};
use aws_sdk_sqs::config::{StalledStreamProtectionConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_smithy_http_client::tls;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_types::service_config::ServiceConfigKey;
use penstock_crds::{SqsSource, queue_endpoint};

/// How long a connection may take.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long an attempt of a call that is made seldom may take, and all attempts together.
const SELDOM_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(8);
const SELDOM_TIMEOUT: Duration = Duration::from_secs(18);

/// What is known of the way to SQS.
#[derive(Debug, Clone)]
pub struct Access {
    /// The SDK's client, for calls that are made seldom.
    pub(super) seldom: Client,
    /// Where calls go, or why that is not known.
    pub(super) endpoint: Result<String, String>,
    /// The region that signatures name.
    pub(super) region: String,
    /// Who we are.
    pub(super) credentials: Option<SharedCredentialsProvider>,
}

/// Finds the way to a queue as AWS's SDKs do: `AWS_ENDPOINT_URL`, the shared configuration and the default chain of
/// credentials hold. Where they leave the endpoint open, the host in the queue's URL says it.
pub async fn connect(source: &SqsSource, connector: &str) -> Access {
    let shared = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(source.region.clone()))
        .http_client(http_client())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .load()
        .await;
    connect_by(&shared, source, connector).await
}

/// Finds the way to a queue by a configuration that somebody else has loaded.
pub async fn connect_by(shared: &SdkConfig, source: &SqsSource, connector: &str) -> Access {
    let credentials = match &source.assume_role {
        Some(_) => assumed(source, connector, shared).await,
        None => shared.credentials_provider(),
    };
    let chosen = chosen_endpoint(shared, &source.queue_url);
    Access {
        seldom: seldom(shared, credentials.clone(), chosen.clone()),
        endpoint: endpoint(shared, &source.region, chosen).await,
        region: source.region.clone(),
        credentials,
    }
}

fn seldom(shared: &SdkConfig, credentials: Option<SharedCredentialsProvider>, chosen: Option<String>) -> Client {
    // One more attempt at once covers connections that were closed while idle; longer waits are the caller's.
    let retry = RetryConfig::standard()
        .with_max_attempts(2)
        .with_initial_backoff(Duration::from_millis(50));
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(SELDOM_ATTEMPT_TIMEOUT)
        .operation_timeout(SELDOM_TIMEOUT)
        .build();
    let mut config = aws_sdk_sqs::config::Builder::from(shared)
        .timeout_config(timeouts)
        .retry_config(retry);
    config.set_credentials_provider(credentials);
    if chosen.is_some() {
        config.set_endpoint_url(chosen);
    }
    Client::from_conf(config.build())
}

/// Returns the endpoint that somebody chose: in the environment or the shared configuration, be it by the kind alone, else by the
/// host of the queue's URL.
fn chosen_endpoint(shared: &SdkConfig, queue_url: &str) -> Option<String> {
    let names_kind = shared.use_fips() == Some(true) || shared.use_dual_stack() == Some(true);
    let by_url = || queue_endpoint(queue_url).filter(|_| !names_kind);
    named_endpoint(shared).or_else(by_url)
}

/// Returns where the SDK would send calls to: the endpoint that was chosen, else what AWS's rules say of the region.
async fn endpoint(shared: &SdkConfig, region: &str, chosen: Option<String>) -> Result<String, String> {
    let params = Params::builder()
        .region(region)
        .set_use_fips(shared.use_fips())
        .set_use_dual_stack(shared.use_dual_stack())
        .set_endpoint(chosen)
        .build()
        .map_err(|error| error.to_string())?;
    let resolver = DefaultResolver::new();
    let resolved = ResolveEndpoint::resolve_endpoint(&resolver, &params).await;
    resolved
        .map(|endpoint| endpoint.url().to_owned())
        .map_err(|error| error.to_string())
}

fn named_endpoint(shared: &SdkConfig) -> Option<String> {
    let general = shared.endpoint_url().map(str::to_owned);
    if shared.get_origin("endpoint_url").is_client_config() {
        return general;
    }
    let key = ServiceConfigKey::builder()
        .service_id("SQS")
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url")
        .build()
        .expect("all three parts are there");
    let own = shared
        .service_config()
        .and_then(|configuration| configuration.load_config(key));
    own.or(general)
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

fn http_client() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
        .build_https()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration() -> aws_config::SdkConfig {
        SdkConfig::builder().behavior_version(BehaviorVersion::latest()).build()
    }

    /// The endpoint of a queue whose URL begins with `origin`.
    async fn endpoint_of(shared: &SdkConfig, origin: &str, region: &str) -> Result<String, String> {
        let queue_url = format!("{origin}/123456789012/orders");
        endpoint(shared, region, chosen_endpoint(shared, &queue_url)).await
    }

    /// As [`endpoint_of`], for the host that SQS itself prints.
    async fn usual(shared: &SdkConfig, region: &str) -> Result<String, String> {
        endpoint_of(shared, &format!("https://sqs.{region}.amazonaws.com"), region).await
    }

    #[test]
    fn a_session_name_fits_what_sts_takes() {
        assert_eq!(session_name("orders"), "penstock-orders");
        assert_eq!(session_name(&"a".repeat(63)).len(), 64);
    }

    #[tokio::test]
    async fn an_endpoint_that_nobody_names_follows_from_the_region() {
        for (region, endpoint_of_it) in [
            ("eu-west-1", "https://sqs.eu-west-1.amazonaws.com"),
            ("cn-north-1", "https://sqs.cn-north-1.amazonaws.com.cn"),
        ] {
            assert_eq!(
                usual(&configuration(), region).await.as_deref(),
                Ok(endpoint_of_it),
                "{region}"
            );
        }
    }

    #[tokio::test]
    async fn fips_and_both_kinds_of_address_change_the_endpoint() {
        let fips = configuration().to_builder().use_fips(true).build();
        let dual = configuration().to_builder().use_dual_stack(true).build();
        assert_eq!(
            usual(&fips, "us-east-1").await.as_deref(),
            Ok("https://sqs-fips.us-east-1.amazonaws.com")
        );
        assert_eq!(
            usual(&dual, "eu-west-1").await.as_deref(),
            Ok("https://sqs.eu-west-1.api.aws")
        );
    }

    /// What `AWS_ENDPOINT_URL_SQS` says, for a configuration that came from the environment.
    #[derive(Debug)]
    struct OwnEndpoint;

    impl aws_types::service_config::LoadServiceConfig for OwnEndpoint {
        fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
            (key.service_id() == "SQS").then(|| "http://127.0.0.1:2".to_owned())
        }
    }

    #[tokio::test]
    async fn an_endpoint_for_sqs_alone_goes_before_the_general_one() {
        let general = configuration().to_builder().endpoint_url("http://127.0.0.1:1").build();
        let both = general.to_builder().service_config(OwnEndpoint).build();
        assert_eq!(usual(&general, "eu-west-1").await.as_deref(), Ok("http://127.0.0.1:1"));
        assert_eq!(usual(&both, "eu-west-1").await.as_deref(), Ok("http://127.0.0.1:2"));
    }

    #[tokio::test]
    async fn the_queues_url_names_the_endpoint_where_the_environment_does_not() {
        let of_vpc = "https://vpce-0a1b2c-d3e4.sqs.eu-west-1.vpce.amazonaws.com";
        let general = configuration().to_builder().endpoint_url("http://127.0.0.1:1").build();
        let fips = configuration().to_builder().use_fips(true).build();
        for (shared, origin, expected) in [
            (configuration(), of_vpc, of_vpc),
            (
                configuration(),
                "https://sqs.eu-west-1.api.aws",
                "https://sqs.eu-west-1.api.aws",
            ),
            (configuration(), "http://127.0.0.1:9324", "http://127.0.0.1:9324"),
            (
                configuration(),
                "https://eu-west-1.queue.amazonaws.com",
                "https://sqs.eu-west-1.amazonaws.com",
            ),
            (general.clone(), of_vpc, "http://127.0.0.1:1"),
            (general, "http://127.0.0.1:9324", "http://127.0.0.1:1"),
            (fips, of_vpc, "https://sqs-fips.eu-west-1.amazonaws.com"),
        ] {
            assert_eq!(
                endpoint_of(&shared, origin, "eu-west-1").await.as_deref(),
                Ok(expected),
                "{origin}"
            );
        }
    }
}
