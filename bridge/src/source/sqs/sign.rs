//! Signatures, as AWS's "Signature Version 4" has them.
//!
//! The crate `aws-sigv4` derives the keys and computes the signature. The text that is signed is put together here, since
//! every request has the same form: that takes a third of the time of the crate's way for requests of any form.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sigv4::sign::v4::calculate_signature;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest, Sha256};

use super::credentials::Keys;

/// The service's name in signatures.
pub(super) const SERVICE: &str = "sqs";

const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
pub(super) const TARGET: HeaderName = HeaderName::from_static("x-amz-target");

const ONE_DAY: u64 = 24 * 3600;

/// Signs requests to one endpoint.
#[derive(Debug)]
pub(super) struct Signer {
    region: String,
    /// The path as signatures have it.
    path: String,
}

impl Signer {
    /// Makes one for a region and the path of its endpoint.
    pub(super) fn new(region: &str, path: &str) -> Self {
        Self {
            region: region.to_owned(),
            path: canonical(path),
        }
    }

    /// Adds the date, the session's token and the signature to the headers of a POST. They hold the content's type, the
    /// host and the target already; those are signed, and whatever else they hold is not.
    pub(super) fn sign(&self, headers: &mut HeaderMap, keys: &Keys, time: SystemTime, body: &[u8]) {
        let stamp = stamp(time);
        let day = stamp.get(..8).unwrap_or_default();
        if let Ok(date) = HeaderValue::from_str(&stamp) {
            headers.insert(DATE, date);
        }
        if let Some(token) = keys.token() {
            headers.insert(TOKEN, token.clone());
        }
        // In the order of the alphabet, as the signature wants them.
        let (mut lines, mut names) = (String::with_capacity(512), String::with_capacity(80));
        for name in [CONTENT_TYPE, HOST, DATE, TOKEN, TARGET] {
            let Some(value) = headers.get(&name).and_then(|value| value.to_str().ok()) else {
                continue;
            };
            add(&mut lines, &[name.as_str(), ":", value.trim(), "\n"]);
            if !names.is_empty() {
                names.push(';');
            }
            names.push_str(name.as_str());
        }
        let mut request = String::with_capacity(lines.len() + 256);
        add(
            &mut request,
            &["POST\n", &self.path, "\n\n", &lines, "\n", &names, "\n", &digest(body)],
        );
        let mut text = String::with_capacity(192);
        let (region, hash) = (self.region.as_str(), digest(request.as_bytes()));
        add(&mut text, &["AWS4-HMAC-SHA256\n", &stamp, "\n"]);
        add(&mut text, &[day, "/", region, "/", SERVICE, "/aws4_request\n", &hash]);
        let key = keys.signing_key(seconds(time) / ONE_DAY, time, region);
        let signature = calculate_signature(key, text.as_bytes());
        let mut value = String::with_capacity(320);
        add(
            &mut value,
            &[
                "AWS4-HMAC-SHA256 Credential=",
                keys.id(),
                "/",
                day,
                "/",
                region,
                "/",
                SERVICE,
            ],
        );
        add(
            &mut value,
            &["/aws4_request, SignedHeaders=", &names, ", Signature=", &signature],
        );
        if let Ok(mut value) = HeaderValue::try_from(value) {
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
    }
}

fn add(text: &mut String, parts: &[&str]) {
    parts.iter().for_each(|part| text.push_str(part));
}

/// Returns a time as `20260131T235959Z`.
fn stamp(time: SystemTime) -> String {
    let whole = DateTime::from(UNIX_EPOCH + Duration::from_secs(seconds(time)));
    let text = whole.fmt(Format::DateTime).unwrap_or_default();
    text.chars().filter(|letter| !matches!(letter, '-' | ':')).collect()
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn digest(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = |byte: u8| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
    Sha256::digest(bytes)
        .into_iter()
        .flat_map(digits)
        .map(char::from)
        .collect()
}

/// Writes a path as signatures have it: everything but letters, digits, `-._~` and the slash as `%XX`, a `%` too.
fn canonical(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use aws_credential_types::Credentials;
    use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
    use aws_sigv4::sign::v4;
    use aws_smithy_runtime_api::client::identity::Identity;

    use super::*;

    const BODY: &[u8] = br#"{"QueueUrl":"https://sqs.eu-west-1.amazonaws.com/111122223333/orders"}"#;

    fn headers() -> HeaderMap {
        HeaderMap::from_iter([
            (CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.0")),
            (HOST, HeaderValue::from_static("sqs.eu-west-1.amazonaws.com")),
            (TARGET, HeaderValue::from_static("AmazonSQS.ReceiveMessage")),
        ])
    }

    /// Signs the same request the crate's own way.
    fn as_the_crate_does(credentials: &Credentials, path: &str, time: SystemTime) -> String {
        let identity: Identity = credentials.clone().into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region("eu-west-1")
            .name(SERVICE)
            .time(time)
            .settings(SigningSettings::default())
            .build()
            .expect("complete")
            .into();
        let headers = headers();
        let pairs = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().expect("text")));
        let uri = format!("https://sqs.eu-west-1.amazonaws.com{path}");
        let request = SignableRequest::new("POST", uri, pairs, SignableBody::Bytes(BODY)).expect("a request");
        let (instructions, _) = sign(request, &params).expect("a signature").into_parts();
        let value = instructions.headers().find(|(name, _)| *name == "authorization");
        value.expect("a signature").1.to_owned()
    }

    #[test]
    fn a_signature_is_the_one_that_the_crate_makes_for_requests_of_any_form() {
        let plain = Credentials::new("AKIDEXAMPLE", "secret", None, None, "test");
        let session = Credentials::new("ASIAEXAMPLE", "other", Some("to/ken+=".to_owned()), None, "test");
        let times = [0, 86_399, 86_400, 951_782_400, 1_763_716_392].map(Duration::from_secs);
        for credentials in [plain, session] {
            let keys = Keys::new(credentials.clone()).expect("keys");
            for time in times.map(|since| UNIX_EPOCH + since) {
                for path in ["/", "/proxy/", "/a%20b/"] {
                    let mut signed = headers();
                    Signer::new("eu-west-1", path).sign(&mut signed, &keys, time, BODY);
                    let value = signed[AUTHORIZATION].to_str().expect("text");
                    assert_eq!(value, as_the_crate_does(&credentials, path, time), "{path} at {time:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_secret_is_not_printed() {
        let session = Credentials::new("ASIAEXAMPLE", "s3cr3t", Some("t0k3n".to_owned()), None, "test");
        let keys = Keys::new(session).expect("keys");
        let mut signed = headers();
        Signer::new("eu-west-1", "/").sign(&mut signed, &keys, UNIX_EPOCH, BODY);
        let printed = format!("{signed:?} {keys:?}");
        for secret in ["s3cr3t", "t0k3n", "Signature="] {
            assert!(!printed.contains(secret), "{printed}");
        }
    }
}
