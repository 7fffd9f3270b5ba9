//! From a message to a record: its key and its headers. Pure.

use penstock_crds::RecordKey;
use rdkafka::message::{Header as NativeHeader, OwnedHeaders};

use crate::sink::Cause;
use crate::source::Message;

/// What the headers of a dead letter name beside the cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The topic that refused the message.
    pub(crate) topic: String,
    /// The connector that moved it.
    pub(crate) connector: String,
}

/// Returns the record's key. A message without a group has no group for a key.
pub(crate) fn key(message: &Message, by: RecordKey) -> Option<&str> {
    match by {
        RecordKey::MessageId => Some(&message.id),
        RecordKey::MessageGroupId => message.group.as_deref(),
        RecordKey::None => None,
    }
}

/// Returns the record's headers; a dead letter has its own after those of the message, which stay as they are.
pub(crate) fn headers(message: &Message, cause: Option<(&Origin, &Cause)>) -> OwnedHeaders {
    let own = message
        .headers
        .iter()
        .map(|header| (header.name.as_ref(), header.value.as_ref()));
    let cause = cause
        .map(|(origin, cause)| cause_headers(origin, cause))
        .into_iter()
        .flatten();
    let cause = cause.map(|(name, value)| (name, value.as_bytes()));
    own.chain(cause).fold(
        OwnedHeaders::new_with_capacity(message.headers.len() + 8),
        |headers, (key, value)| {
            headers.insert(NativeHeader {
                key,
                value: Some(value),
            })
        },
    )
}

/// The names that Kafka Connect uses. Partition, offset, task and stack trace have no counterpart here and are left out.
fn cause_headers<'a>(origin: &'a Origin, cause: &'a Cause) -> [(&'static str, &'a str); 6] {
    [
        ("__connect.errors.topic", &origin.topic),
        ("__connect.errors.connector.name", &origin.connector),
        ("__connect.errors.stage", "KAFKA_PRODUCE"),
        ("__connect.errors.class.name", "dev.penstock.bridge.KafkaSink"),
        ("__connect.errors.exception.class.name", cause.class),
        ("__connect.errors.exception.message", &cause.message),
    ]
}

#[cfg(test)]
mod tests {
    use rdkafka::message::Headers;

    use super::*;
    use crate::pump::fake::{grouped, message};

    fn written(headers: &OwnedHeaders) -> Vec<(String, String)> {
        let text = |value: Option<&[u8]>| String::from_utf8_lossy(value.unwrap_or_default()).into_owned();
        headers
            .iter()
            .map(|header| (header.key.to_owned(), text(header.value)))
            .collect()
    }

    #[test]
    fn the_key_is_what_the_document_says() {
        let message = grouped(3, "customer-7");
        assert_eq!(key(&message, RecordKey::MessageId), Some("message-3"));
        assert_eq!(key(&message, RecordKey::MessageGroupId), Some("customer-7"));
        assert_eq!(key(&message, RecordKey::None), None);
    }

    #[test]
    fn a_message_without_a_group_has_no_group_key() {
        assert_eq!(key(&message(3), RecordKey::MessageGroupId), None);
    }

    #[test]
    fn a_dead_letter_keeps_its_headers_and_gains_the_cause() {
        let message = message(3);
        let origin = Origin {
            topic: "orders".to_owned(),
            connector: "shop".to_owned(),
        };
        let cause = Cause {
            class: "org.example.TooLarge",
            message: "too large".to_owned(),
        };
        let plain = written(&headers(&message, None));
        let dead = written(&headers(&message, Some((&origin, &cause))));
        assert_eq!(plain, [("sqs.message.id".to_owned(), "message-3".to_owned())]);
        assert_eq!(dead[..1], plain);
        for (name, value) in [
            ("__connect.errors.topic", "orders"),
            ("__connect.errors.connector.name", "shop"),
            ("__connect.errors.stage", "KAFKA_PRODUCE"),
            ("__connect.errors.exception.class.name", "org.example.TooLarge"),
            ("__connect.errors.exception.message", "too large"),
        ] {
            assert!(dead.contains(&(name.to_owned(), value.to_owned())), "{name}");
        }
    }
}
