//! SDK clients for an AWS that runs on this machine, and for no other.

use std::net::IpAddr;
use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use hyper::Uri;

use crate::Error;

/// An account and region of an emulated AWS. Its credentials are as good as public: the access key is the account's id, which localcloud
/// takes for the account (moto has one account for everybody who assumed no role).
#[derive(Debug, Clone)]
pub struct Endpoint {
    url: String,
    account: String,
    region: String,
}

impl Endpoint {
    /// Returns the endpoint at `url`, if that is plain HTTP on a loopback address.
    pub fn new(url: &str, account: &str, region: &str) -> Result<Self, Error> {
        if !is_loopback(url) {
            return Err(Error::NotLoopback {
                endpoint: url.to_owned(),
            });
        }
        Ok(Self {
            url: url.to_owned(),
            account: account.to_owned(),
            region: region.to_owned(),
        })
    }

    /// Returns the same AWS, seen from another account.
    #[must_use]
    pub fn in_account(&self, account: &str) -> Self {
        Self {
            account: account.to_owned(),
            ..self.clone()
        }
    }

    /// Returns the same AWS, seen from another region.
    #[must_use]
    pub fn in_region(&self, region: &str) -> Self {
        Self {
            region: region.to_owned(),
            ..self.clone()
        }
    }

    /// Returns its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the account's twelve digits.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// Returns the region.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Returns the environment that makes a program's SDK call this endpoint, and find nothing else: no profile, no instance role.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT_URL", self.url.clone()),
            ("AWS_REGION", self.region.clone()),
            ("AWS_ACCESS_KEY_ID", self.account.clone()),
            ("AWS_SECRET_ACCESS_KEY", "not-a-secret".to_owned()),
            ("AWS_CONFIG_FILE", "/dev/null".to_owned()),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null".to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ]
    }

    /// Returns what every SDK client is made from. Its HTTP client knows no TLS, so it could not reach AWS if it tried.
    pub fn config(&self) -> SdkConfig {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(3))
            .operation_attempt_timeout(Duration::from_secs(30))
            .operation_timeout(Duration::from_secs(60))
            .build();
        let credentials = Credentials::new(&self.account, "not-a-secret", None, None, "penstock-tests");
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(&self.url)
            .region(Region::new(self.region.clone()))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .timeout_config(timeouts)
            .build()
    }

    /// Returns a client for ECS.
    pub fn ecs(&self) -> aws_sdk_ecs::Client {
        aws_sdk_ecs::Client::new(&self.config())
    }

    /// Returns a client for Application Auto Scaling.
    pub fn scaling(&self) -> aws_sdk_applicationautoscaling::Client {
        aws_sdk_applicationautoscaling::Client::new(&self.config())
    }

    /// Returns a client for CloudWatch.
    pub fn cloudwatch(&self) -> aws_sdk_cloudwatch::Client {
        aws_sdk_cloudwatch::Client::new(&self.config())
    }

    /// Returns a client for SQS.
    pub fn sqs(&self) -> aws_sdk_sqs::Client {
        aws_sdk_sqs::Client::new(&self.config())
    }

    /// Returns a client for SNS.
    pub fn sns(&self) -> aws_sdk_sns::Client {
        aws_sdk_sns::Client::new(&self.config())
    }

    /// Returns a client for STS.
    pub fn sts(&self) -> aws_sdk_sts::Client {
        aws_sdk_sts::Client::new(&self.config())
    }

    /// Returns a client for Secrets Manager.
    pub fn secrets(&self) -> aws_sdk_secretsmanager::Client {
        aws_sdk_secretsmanager::Client::new(&self.config())
    }
}

fn is_loopback(url: &str) -> bool {
    let Ok(uri) = url.parse::<Uri>() else { return false };
    let host = uri
        .host()
        .unwrap_or_default()
        .trim_start_matches('[')
        .trim_end_matches(']');
    uri.scheme_str() == Some("http") && host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_http_on_loopback_is_accepted() {
        for good in ["http://127.0.0.1:4566", "http://127.0.0.1:4566/", "http://[::1]:4566"] {
            assert!(Endpoint::new(good, "111122223333", "eu-west-1").is_ok(), "{good}");
        }
        for bad in [
            "https://ecs.eu-west-1.amazonaws.com",
            "http://sqs.eu-west-1.amazonaws.com",
            "http://127.0.0.1@sqs.eu-west-1.amazonaws.com",
            "http://127.0.0.1.example.com:4566",
            "https://127.0.0.1:4566",
            "http://10.0.0.1:4566",
            "127.0.0.1:4566",
            "",
        ] {
            assert!(
                matches!(
                    Endpoint::new(bad, "111122223333", "eu-west-1"),
                    Err(Error::NotLoopback { .. })
                ),
                "{bad}"
            );
        }
    }
}
