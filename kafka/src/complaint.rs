//! What librdkafka complains of, in words that name our settings instead of its own.
//!
//! A request that gets no answer does not know why. A complaint does, but it comes another way, and the same one only every 30 seconds;
//! so the last is kept for whoever has to explain a failure.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rdkafka::error::KafkaError;
use tokio::time::Instant;

/// For how long a complaint explains failures: longer than librdkafka keeps an identical one to itself.
const FRESH: Duration = Duration::from_secs(60);

/// The last complaint of a client.
#[derive(Debug, Default)]
pub(crate) struct Complaints {
    last: Mutex<Option<(Instant, String)>>,
}

impl Complaints {
    /// Keeps a complaint, explained.
    pub(crate) fn note(&self, complaint: &str) {
        let explained = explain(complaint);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), explained));
    }

    /// Returns the last complaint, unless that is long ago.
    pub(crate) fn recent(&self) -> Option<String> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = last.as_ref().filter(|(at, _)| at.elapsed() < FRESH);
        fresh.map(|(_, complaint)| complaint.clone())
    }
}

/// Says what to look at when nobody answered and nobody complained.
pub(crate) fn silence(waited: Duration) -> String {
    format!(
        "no broker answered within {waited:?}; check that the addresses are those of brokers. A listener that speaks TLS \
         does not answer a client without TLS: see --kafka-security and --kafka-tls, or `kafka.security` in a document"
    )
}

/// Returns what a complaint means and what to do, with the complaint itself; one that needs no explanation comes back as it is.
pub(crate) fn explain(complaint: &str) -> String {
    let said = BESIDE_THE_POINT.iter().fold(complaint, |said, hint| {
        said.split_once(hint).map_or(said, |(before, _)| before)
    });
    match meaning(complaint) {
        Some(meaning) => format!("{meaning} ({said})"),
        None => complaint.to_owned(),
    }
}

/// Returns what is wrong with the certificate or key that a client could not be made with, to go behind the step that failed.
pub(crate) fn amiss(error: &KafkaError) -> String {
    let text = error.to_string();
    let advice = if !text.contains("ssl.") {
        return String::new();
    } else if LOCKED.iter().any(|mark| text.contains(mark)) {
        "the private key is locked and its password is missing or wrong: give it by PENSTOCK_KAFKA_PRIVATE_KEY_PASSWORD or \
         --kafka-private-key-password-file, or `privateKeyPassword` in a document"
    } else if text.contains("key values mismatch") {
        "the private key does not belong to the client certificate: give the two of one pair"
    } else {
        "a certificate or the private key cannot be used: give them as PEM, unchanged"
    };
    format!("; {advice}")
}

/// What librdkafka says of a private key that its password does not open.
const LOCKED: [&str; 3] = ["bad password read", "maybe wrong password", "bad decrypt"];

/// Hints of librdkafka that name its own settings, which nobody here can set.
const BESIDE_THE_POINT: [&str; 3] = [
    ": broker certificate could not be verified",
    ": client SSL authentication might be",
    ": connecting to a PLAINTEXT broker listener?",
];

/// What brokers answer, as TLS alerts, to a client certificate that they do not take, or miss.
const REFUSALS: [&str; 7] = [
    "alert bad certificate",
    "alert certificate expired",
    "alert certificate required",
    "alert certificate revoked",
    "alert certificate unknown",
    "alert unknown ca",
    "alert unsupported certificate",
];

fn meaning(complaint: &str) -> Option<&'static str> {
    if complaint.contains("certificate verify failed") {
        return Some(
            "the broker's certificate is not trusted: no authority that is trusted here signed it, it has expired, or it names \
             another host; give the authority's certificate as PEM by --kafka-ca-file, or `caCertificates` in a document, and \
             the broker's address as its certificate has it",
        );
    }
    if REFUSALS.iter().any(|alert| complaint.contains(alert)) {
        return Some(
            "the broker wants another client certificate: the one that was shown, if any, is expired or signed by an authority \
             that the broker does not trust; give one that it trusts with --kafka-security mutual-tls, or `mutualTls` in a \
             document, or the address of a listener that asks for none",
        );
    }
    complaint.contains("PLAINTEXT broker listener?").then_some(
        "the listener at this address does not seem to speak TLS: give the address of one that does, or leave TLS out by \
         --kafka-tls false or --kafka-security plaintext, or `tls: false` or `plaintext` in a document",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNTRUSTED: &str = "sasl_ssl://127.0.0.1:29173/bootstrap: SSL handshake failed: error:0A000086:SSL routines::certificate \
                             verify failed: broker certificate could not be verified, verify that ssl.ca.location is correctly \
                             configured or root CA certificates are installed (install ca-certificates package) (after 5ms in \
                             state SSL_HANDSHAKE)";

    #[test]
    fn an_untrusted_broker_is_explained_in_our_words_alone() {
        let text = explain(UNTRUSTED);
        assert!(
            text.contains("--kafka-ca-file") && text.contains("127.0.0.1:29173"),
            "{text}"
        );
        assert!(!text.contains("ssl.ca.location"), "{text}");
    }

    #[test]
    fn what_says_enough_by_itself_is_left_as_it_is() {
        let complaint = "127.0.0.1:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused";
        assert_eq!(explain(complaint), complaint);
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_complaint_explains_for_a_while() {
        let complaints = Complaints::default();
        assert_eq!(complaints.recent(), None);
        complaints.note("one");
        complaints.note("two");
        assert_eq!(complaints.recent().as_deref(), Some("two"));
        tokio::time::advance(FRESH).await;
        assert_eq!(complaints.recent(), None);
    }

    #[test]
    fn only_faults_of_certificates_and_keys_are_explained_as_such() {
        let creation = |text: &str| amiss(&KafkaError::ClientCreation(text.to_owned()));
        assert_eq!(creation("out of memory"), "");
        assert!(
            creation("ssl.key.pem failed: error:0: maybe wrong password")
                .contains("PENSTOCK_KAFKA_PRIVATE_KEY_PASSWORD")
        );
        assert!(creation("ssl.key.pem failed: key values mismatch").contains("one pair"));
        assert!(creation("ssl.ca.pem failed: no start line").contains("PEM"));
    }
}
