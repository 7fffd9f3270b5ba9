//! The token of Amazon MSK's IAM authentication: a presigned URL that the broker shows to IAM.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The longest that MSK accepts.
const LIFETIME: Duration = Duration::from_secs(900);

/// Says who asks in the broker's logs; MSK requires it.
const USER_AGENT: &str = concat!("penstock/", env!("CARGO_PKG_VERSION"));

/// A token and the end of its life.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token {
    /// The presigned URL in base64; a secret.
    pub(crate) value: String,
    /// When it ends, in milliseconds since 1970.
    pub(crate) expires_at_millis: i64,
}

/// Why no token could be made.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// There is no runtime that could fetch the credentials.
    #[error("the client was made outside a tokio runtime, so AWS credentials cannot be fetched")]
    FindRuntime,
    /// The credentials did not come in time.
    #[error("AWS credentials did not come within {0:?}: check the task role or the credentials endpoint")]
    AwaitCredentials(Duration),
    /// There are no credentials.
    #[error("found no AWS credentials for MSK IAM: give the process a task role or set AWS_PROFILE")]
    FindCredentials(#[source] aws_credential_types::provider::error::CredentialsError),
    /// The request could not be signed.
    #[error("could not sign the MSK IAM token: {0}")]
    Sign(String),
}

/// Returns a token for `region`, signed with `credentials` at `now`.
pub(crate) fn token(region: &str, credentials: Credentials, now: SystemTime) -> Result<Token, TokenError> {
    let refuse = |error: &dyn std::fmt::Display| TokenError::Sign(error.to_string());
    let url = format!("https://kafka.{region}.amazonaws.com/?Action=kafka-cluster%3AConnect");
    let session_ends = credentials.expiry();
    let identity: Identity = credentials.into();
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(LIFETIME);
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("kafka-cluster")
        .time(now)
        .settings(settings)
        .build()
        .map_err(|error| refuse(&error))?;
    let request = SignableRequest::new("GET", url.as_str(), std::iter::empty(), SignableBody::Bytes(&[]))
        .map_err(|error| refuse(&error))?;
    let (instructions, _) = sign(request, &params.into())
        .map_err(|error| refuse(&error))?
        .into_parts();
    let mut signed = http::Request::get(url).body(()).map_err(|error| refuse(&error))?;
    instructions.apply_to_request_http1x(&mut signed);
    let url = format!("{}&User-Agent={}", signed.uri(), USER_AGENT.replace('/', "%2F"));
    // It is void with the credentials that signed it.
    let end = session_ends.map_or(now + LIFETIME, |end| end.min(now + LIFETIME));
    let end = end.duration_since(UNIX_EPOCH).unwrap_or_default();
    let expires_at_millis = i64::try_from(end.as_millis()).unwrap_or(i64::MAX);
    Ok(Token {
        value: URL_SAFE_NO_PAD.encode(url),
        expires_at_millis,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_void_with_the_credentials_that_signed_it() {
        let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let end = |lasts| {
            let credentials = Credentials::new("AKIDEXAMPLE", "canary-secret", None, Some(now + lasts), "test");
            token("eu-west-1", credentials, now)
                .expect("it can be signed")
                .expires_at_millis
        };
        assert_eq!(end(Duration::from_secs(300)), 1_700_000_300_000);
        assert_eq!(end(LIFETIME * 2), 1_700_000_900_000);
    }

    fn signed(session: Option<&str>) -> (String, i64) {
        let session = session.map(str::to_owned);
        let credentials = Credentials::new("AKIDEXAMPLE", "canary-secret", session, None, "test");
        let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let token = token("eu-west-1", credentials, now).expect("it can be signed");
        let url = URL_SAFE_NO_PAD
            .decode(token.value)
            .expect("it is base64 without padding");
        (String::from_utf8(url).expect("it is a URL"), token.expires_at_millis)
    }

    #[test]
    fn the_token_is_a_presigned_connect_to_the_regions_cluster() {
        let (url, expires) = signed(None);
        assert!(
            url.starts_with("https://kafka.eu-west-1.amazonaws.com/?Action=kafka-cluster%3AConnect&"),
            "{url}"
        );
        for part in [
            "X-Amz-Algorithm=AWS4-HMAC-SHA256",
            "X-Amz-Credential=AKIDEXAMPLE%2F20231114%2Feu-west-1%2Fkafka-cluster%2Faws4_request",
            "X-Amz-Date=20231114T221320Z",
            "X-Amz-Expires=900",
            "X-Amz-SignedHeaders=host",
            "X-Amz-Signature=",
            "User-Agent=penstock%2F",
        ] {
            assert!(url.contains(part), "{part} is missing in {url}");
        }
        assert!(!url.contains("canary"), "{url}");
        assert_eq!(expires, 1_700_000_900_000);
    }

    #[test]
    fn the_token_of_a_role_names_its_session() {
        assert!(signed(Some("session")).0.contains("X-Amz-Security-Token=session"));
        assert!(!signed(None).0.contains("X-Amz-Security-Token"));
    }
}
