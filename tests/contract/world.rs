//! An AWS to ask, and what was made in it, so that nothing is left behind.

use std::sync::{Mutex, PoisonError};

use aws_config::{BehaviorVersion, SdkConfig};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use penstock_tests::aws::Endpoint;
use penstock_tests::unique;

use crate::check::{Failure, done, there};
use crate::made::Made;

/// Where the services of checks live.
#[derive(Debug, Clone, Default)]
pub(crate) struct Network {
    /// A subnet's id; empty where no check needs one.
    pub(crate) subnet: String,
    /// A security group's id, where the default one of the VPC will not do.
    pub(crate) security_group: Option<String>,
}

/// One AWS, real or emulated, as one check sees it.
pub(crate) struct World {
    config: SdkConfig,
    account: String,
    network: Network,
    made: Mutex<Vec<Made>>,
}

impl World {
    /// Returns an emulated AWS in which services live in `network`.
    pub(crate) fn local(endpoint: &Endpoint, network: &Network) -> Self {
        Self::new(endpoint.config(), endpoint.account().to_owned(), network.clone())
    }

    /// Returns AWS itself, by the credentials and the region in the environment. The subnet may be empty: no check that needs one is run then.
    pub(crate) async fn aws(network: &Network) -> Result<Self, Failure> {
        let tls = aws_smithy_http_client::Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .build_https();
        let config = aws_config::defaults(BehaviorVersion::latest())
            .http_client(tls)
            .load()
            .await;
        there("a region in the environment", config.region())?;
        let identity = aws_sdk_sts::Client::new(&config).get_caller_identity().send().await;
        let account = there("the account", done("ask who we are", identity)?.account)?;
        Ok(Self::new(config, account, network.clone()))
    }

    fn new(config: SdkConfig, account: String, network: Network) -> Self {
        let made = Mutex::default();
        Self {
            config,
            account,
            network,
            made,
        }
    }

    /// Returns the same AWS for another check.
    pub(crate) fn fresh(&self) -> Self {
        Self::new(self.config.clone(), self.account.clone(), self.network.clone())
    }

    /// Returns the same AWS as somebody else sees it.
    pub(crate) fn with_credentials(&self, credentials: aws_credential_types::Credentials) -> Self {
        let provider = aws_credential_types::provider::SharedCredentialsProvider::new(credentials);
        let config = self.config.to_builder().credentials_provider(provider).build();
        Self::new(config, self.account.clone(), self.network.clone())
    }

    /// Returns the account's twelve digits.
    pub(crate) fn account(&self) -> &str {
        &self.account
    }

    /// Returns the region.
    pub(crate) fn region(&self) -> &str {
        self.config.region().map_or("", |region| region.as_ref())
    }

    /// Returns where services live.
    pub(crate) fn network(&self) -> &Network {
        &self.network
    }

    /// Returns a name that nobody else uses.
    pub(crate) fn name(&self, stem: &str) -> String {
        unique(&format!("penstock-contract-{stem}"))
    }

    /// Notes what was made, so that [`World::clear`] removes it whatever becomes of the check.
    pub(crate) fn note(&self, made: Made) {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).push(made);
    }

    /// Removes what the check made, the newest first. Returns what could not be removed.
    pub(crate) async fn clear(&self) -> Vec<String> {
        let made = std::mem::take(&mut *self.made.lock().unwrap_or_else(PoisonError::into_inner));
        let mut left = Vec::new();
        for one in made.into_iter().rev() {
            left.extend(one.remove(self).await.err());
        }
        left
    }

    /// Returns a client for ECS.
    pub(crate) fn ecs(&self) -> aws_sdk_ecs::Client {
        aws_sdk_ecs::Client::new(&self.config)
    }

    /// Returns a client for Application Auto Scaling.
    pub(crate) fn scaling(&self) -> aws_sdk_applicationautoscaling::Client {
        aws_sdk_applicationautoscaling::Client::new(&self.config)
    }

    /// Returns a client for CloudWatch.
    pub(crate) fn cloudwatch(&self) -> aws_sdk_cloudwatch::Client {
        aws_sdk_cloudwatch::Client::new(&self.config)
    }

    /// Returns a client for SQS.
    pub(crate) fn sqs(&self) -> aws_sdk_sqs::Client {
        aws_sdk_sqs::Client::new(&self.config)
    }

    /// Returns a client for SNS.
    pub(crate) fn sns(&self) -> aws_sdk_sns::Client {
        aws_sdk_sns::Client::new(&self.config)
    }

    /// Returns a client for STS.
    pub(crate) fn sts(&self) -> aws_sdk_sts::Client {
        aws_sdk_sts::Client::new(&self.config)
    }

    /// Returns a client for Secrets Manager.
    pub(crate) fn secrets(&self) -> aws_sdk_secretsmanager::Client {
        aws_sdk_secretsmanager::Client::new(&self.config)
    }
}
