//! What every client shares beside its settings: how it gets a token, and where its log lines go.
//!
//! A client with callbacks of its own embeds a [`Context`] and forwards `log`, `error` and `generate_oauth_token` to it,
//! with `ENABLE_REFRESH_OAUTH_TOKEN` set as here.

use std::sync::{Arc, mpsc};
use std::time::{Duration, SystemTime};

use aws_config::BehaviorVersion;
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_smithy_http_client::tls;
use rdkafka::ClientContext;
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{DeliveryResult, ProducerContext};
use tokio::runtime::Handle;
use tokio::sync::OnceCell;
use tracing::{debug, error, info, warn};

use crate::complaint::{Complaints, explain};
use crate::iam::{self, Token, TokenError};
use crate::{Security, Settings, chain};

/// The longest that a client waits for AWS credentials; librdkafka asks again ten seconds after a failure.
const CREDENTIALS_TIMEOUT: Duration = Duration::from_secs(15);

/// Gives every client its tokens and takes its log lines; cheap to clone.
#[derive(Clone)]
pub struct Context {
    client_id: Arc<str>,
    complaints: Arc<Complaints>,
    iam: Option<Arc<IamTokens>>,
}

/// Makes MSK IAM tokens; the credentials come from the process's default chain.
struct IamTokens {
    region: String,
    runtime: Option<Handle>,
    credentials: OnceCell<Option<SharedCredentialsProvider>>,
}

impl Context {
    /// Returns the context of clients with these settings. For MSK IAM it must be called inside a tokio runtime, which
    /// fetches the credentials later on.
    pub fn new(settings: &Settings) -> Self {
        let iam = match &settings.security {
            Security::MskIam { region } => Some(Arc::new(IamTokens {
                region: region.clone(),
                runtime: Handle::try_current().ok(),
                credentials: OnceCell::new(),
            })),
            _ => None,
        };
        Self {
            client_id: settings.client_id.as_str().into(),
            complaints: Arc::default(),
            iam,
        }
    }

    /// Returns what the clients of this context complained of lately; clones share it.
    pub(crate) fn complaints(&self) -> &Complaints {
        &self.complaints
    }

    /// Returns a fresh token if these settings need one. It waits for AWS: never call it on a runtime's worker thread.
    pub(crate) fn token(&self) -> Option<Result<Token, TokenError>> {
        self.iam.as_ref().map(|iam| iam.token_from_any_thread())
    }
}

impl IamTokens {
    /// Callbacks of librdkafka are synchronous, and come on whatever thread polls. The credentials are fetched on the
    /// runtime and waited for here, which also holds on a thread of that runtime, where `block_on` would panic.
    fn token_from_any_thread(self: &Arc<Self>) -> Result<Token, TokenError> {
        let runtime = self.runtime.as_ref().ok_or(TokenError::FindRuntime)?;
        let (sender, receiver) = mpsc::sync_channel(1);
        let this = Arc::clone(self);
        runtime.spawn(async move {
            // The receiver may have given up; then nobody needs the answer.
            let _ = sender.send(this.credentials().await);
        });
        let answer = receiver.recv_timeout(CREDENTIALS_TIMEOUT);
        let credentials = answer.map_err(|_| TokenError::AwaitCredentials(CREDENTIALS_TIMEOUT))??;
        #[expect(
            clippy::disallowed_methods,
            reason = "a signature carries the wall clock; this callback is the edge"
        )]
        let now = SystemTime::now();
        iam::token(&self.region, credentials, now)
    }

    async fn credentials(&self) -> Result<Credentials, TokenError> {
        let provider = self.credentials.get_or_init(default_chain).await;
        let missing = || aws_credential_types::provider::error::CredentialsError::not_loaded_no_source();
        let provider = provider
            .as_ref()
            .ok_or_else(|| TokenError::FindCredentials(missing()))?;
        provider
            .provide_credentials()
            .await
            .map_err(TokenError::FindCredentials)
    }
}

async fn default_chain() -> Option<SharedCredentialsProvider> {
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
        .build_https();
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .load()
        .await
        .credentials_provider()
}

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        let client = &*self.client_id;
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
                error!(target: "librdkafka", client, facility, "{message}");
            }
            RDKafkaLogLevel::Warning => warn!(target: "librdkafka", client, facility, "{message}"),
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
                info!(target: "librdkafka", client, facility, "{message}");
            }
            RDKafkaLogLevel::Debug => debug!(target: "librdkafka", client, facility, "{message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // The end of a partition comes this way too, and is no error.
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::PartitionEOF)
            || matches!(error, KafkaError::PartitionEOF(_))
        {
            return debug!(target: "librdkafka", client = &*self.client_id, "{reason}");
        }
        // That all brokers are down follows from the complaints about each, and says less.
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            self.complaints.note(reason);
        }
        warn!(target: "librdkafka", client = &*self.client_id, error = %error, "{}", explain(reason));
    }

    fn generate_oauth_token(&self, _config: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        // Librdkafka keeps the text alone, and reports it as an error each time that it is another: the causes have to be in it.
        let token = self
            .token()
            .ok_or("these settings need no token")?
            .map_err(|error| chain(&error))?;
        Ok(OAuthToken {
            token: token.value,
            principal_name: "penstock".to_owned(),
            lifetime_ms: token.expires_at_millis,
        })
    }
}

impl ConsumerContext for Context {}

impl ProducerContext for Context {
    type DeliveryOpaque = ();

    /// A record that failed fails its transaction, so there is nothing to remember of a single one.
    fn delivery(&self, result: &DeliveryResult<'_>, _opaque: ()) {
        if let Err((error, _)) = result {
            warn!(client = &*self.client_id, error = %error, "Kafka did not take a record");
        }
    }
}

#[cfg(test)]
mod tests {
    use aws_credential_types::provider::error::CredentialsError;
    use aws_credential_types::provider::future::ProvideCredentials as ProvideCredentialsFuture;

    use super::*;

    #[test]
    fn only_msk_iam_needs_a_token() {
        let settings = Settings {
            bootstrap_servers: vec!["localhost:9092".to_owned()],
            security: Security::Plaintext,
            client_id: "test".to_owned(),
        };
        assert!(Context::new(&settings).token().is_none());
    }

    #[derive(Debug)]
    struct Refusing;

    impl ProvideCredentials for Refusing {
        fn provide_credentials<'a>(&'a self) -> ProvideCredentialsFuture<'a>
        where
            Self: 'a,
        {
            ProvideCredentialsFuture::ready(Err(CredentialsError::provider_error("the role is gone")))
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_token_that_cannot_be_made_is_told_with_every_cause() {
        let context = Context {
            client_id: "test".into(),
            complaints: Arc::default(),
            iam: Some(Arc::new(IamTokens {
                region: "eu-west-1".to_owned(),
                runtime: Handle::try_current().ok(),
                credentials: OnceCell::new_with(Some(Some(SharedCredentialsProvider::new(Refusing)))),
            })),
        };
        let made =
            tokio::task::spawn_blocking(move || context.generate_oauth_token(None).map_err(|error| error.to_string()));
        let error = made.await.expect("no panic").err().expect("there is no token");
        assert!(error.starts_with("found no AWS credentials for MSK IAM"), "{error}");
        assert!(error.ends_with("the role is gone"), "{error}");
    }

    #[test]
    fn a_token_outside_a_runtime_is_an_error_not_a_panic() {
        let settings = Settings {
            bootstrap_servers: vec!["localhost:9098".to_owned()],
            security: Security::MskIam {
                region: "eu-west-1".to_owned(),
            },
            client_id: "test".to_owned(),
        };
        let token = Context::new(&settings).token().expect("MSK IAM needs a token");
        assert!(matches!(token, Err(TokenError::FindRuntime)));
    }
}
