//! From SQS's messages to ours. What a message holds is taken once, and moved from there on.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use crate::source::{Header, Message, Receipt};

/// Reads the messages of an answer. One without id or receipt could never be settled; SQS sends none.
pub(super) fn messages(answer: &[u8]) -> Result<Vec<Message>, serde_json::Error> {
    let answer: ReceiveAnswer = serde_json::from_slice(answer)?;
    Ok(answer.messages.unwrap_or_default().0)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ReceiveAnswer {
    messages: Option<Ours>,
}

/// Messages that are made ours one by one, as they are read.
#[derive(Default)]
struct Ours(Vec<Message>);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Received {
    message_id: Option<String>,
    receipt_handle: Option<String>,
    #[serde(rename = "MD5OfBody")]
    md5_of_body: Option<String>,
    body: Option<String>,
    attributes: Option<SystemAttributes>,
    message_attributes: Option<CustomAttributes>,
}

/// What is asked for.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SystemAttributes {
    sent_timestamp: Option<String>,
    approximate_receive_count: Option<String>,
    approximate_first_receive_timestamp: Option<String>,
    message_group_id: Option<String>,
    message_deduplication_id: Option<String>,
    sequence_number: Option<String>,
}

/// What the sender added, by name.
#[derive(Default)]
struct CustomAttributes(Vec<(String, CustomAttribute)>);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CustomAttribute {
    string_value: Option<String>,
    binary_value: Option<Binary>,
    #[serde(default)]
    data_type: String,
}

/// Bytes that travel as base64.
struct Binary(Vec<u8>);

impl Received {
    fn ours(self) -> Option<Message> {
        let (id, receipt) = (self.message_id?, self.receipt_handle?);
        let system = self.attributes.unwrap_or_default();
        let mut custom = self.message_attributes.unwrap_or_default().0;
        let number = |text: &Option<String>| text.as_deref().and_then(|text| text.parse::<u64>().ok());
        let sent_at = number(&system.sent_timestamp);
        let receive_count = number(&system.approximate_receive_count).and_then(|count| u32::try_from(count).ok());
        let sequence = system.sequence_number.as_deref().and_then(|text| text.parse().ok());
        let mut headers = Vec::with_capacity(8 + 2 * custom.len());
        headers.push(Header::text("sqs.message.id", id.as_str()));
        let known = [
            ("sqs.md5.of.body", self.md5_of_body),
            ("sqs.sent.timestamp", system.sent_timestamp),
            ("sqs.approximate.receive.count", system.approximate_receive_count),
            (
                "sqs.approximate.first.receive.timestamp",
                system.approximate_first_receive_timestamp,
            ),
            ("sqs.message.group.id", system.message_group_id.clone()),
            ("sqs.message.deduplication.id", system.message_deduplication_id),
            ("sqs.sequence.number", system.sequence_number),
        ];
        headers.extend(
            known
                .into_iter()
                .filter_map(|(name, value)| Some(Header::text(name, value?))),
        );
        custom.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        for (name, attribute) in custom {
            headers.extend(attribute.headers(&name));
        }
        Some(Message {
            id,
            receipt: Receipt(receipt),
            body: self.body.unwrap_or_default(),
            headers,
            group: system.message_group_id,
            sequence,
            sent_at,
            receive_count: receive_count.unwrap_or(1),
        })
    }
}

impl CustomAttribute {
    /// Makes its value and its type headers, a type such as `Number.price` included.
    fn headers(self, name: &str) -> [Header; 2] {
        let text = self.string_value.map(Bytes::from);
        let value = text.or_else(|| self.binary_value.map(|binary| Bytes::from(binary.0)));
        let name = format!("sqs.message.attribute.{name}");
        let kind = Header::text(format!("{name}.type"), self.data_type);
        [
            Header {
                name: name.into(),
                value: value.unwrap_or_default(),
            },
            kind,
        ]
    }
}

impl<'de> Deserialize<'de> for Ours {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Messages;
        impl<'de> Visitor<'de> for Messages {
            type Value = Ours;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("messages")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut messages = Vec::with_capacity(10);
                while let Some(received) = list.next_element::<Received>()? {
                    messages.extend(received.ours());
                }
                Ok(Ours(messages))
            }
        }
        deserializer.deserialize_seq(Messages)
    }
}

impl<'de> Deserialize<'de> for CustomAttributes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = CustomAttributes;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("attributes by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some((name, attribute)) = map.next_entry::<String, Option<CustomAttribute>>()? {
                    entries.extend(attribute.map(|attribute| (name, attribute)));
                }
                Ok(CustomAttributes(entries))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

impl<'de> Deserialize<'de> for Binary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        let bytes = aws_smithy_types::base64::decode(&*text);
        bytes
            .map(Self)
            .map_err(|_| D::Error::custom("a binary value is not base64"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn one(message: &serde_json::Value) -> Message {
        let answer = json!({"Messages": [message], "ResultMetadata": {"More": [1, 2]}});
        let messages = messages(answer.to_string().as_bytes()).expect("it can be read");
        messages.into_iter().next().expect("a message")
    }

    fn received() -> Message {
        one(&json!({
            "MessageId": "m-1", "ReceiptHandle": "receipt-1", "Body": "hello",
            "MD5OfBody": "5d41402abc4b2a76b9719d911017c592", "MD5OfMessageAttributes": "0",
            "Attributes": {
                "SequenceNumber": "18870000000000000000", "SentTimestamp": "1700000000123", "ApproximateReceiveCount": "4",
                "ApproximateFirstReceiveTimestamp": "1700000000456", "MessageGroupId": "customer-7",
                "MessageDeduplicationId": "d-1", "SenderId": "AIDA",
            },
            "MessageAttributes": {
                "price": {"StringValue": "12.50", "DataType": "Number.eur"},
                "blob": {"BinaryValue": "AP8=", "DataType": "Binary"},
            },
        }))
    }

    #[test]
    fn every_attribute_becomes_a_header_and_the_receipt_none() {
        let message = received();
        let headers: Vec<_> = message
            .headers
            .iter()
            .map(|header| (header.name.as_ref(), header.value.as_ref()))
            .collect();
        assert_eq!(
            headers,
            [
                ("sqs.message.id", &b"m-1"[..]),
                ("sqs.md5.of.body", b"5d41402abc4b2a76b9719d911017c592"),
                ("sqs.sent.timestamp", b"1700000000123"),
                ("sqs.approximate.receive.count", b"4"),
                ("sqs.approximate.first.receive.timestamp", b"1700000000456"),
                ("sqs.message.group.id", b"customer-7"),
                ("sqs.message.deduplication.id", b"d-1"),
                ("sqs.sequence.number", b"18870000000000000000"),
                ("sqs.message.attribute.blob", &[0, 255]),
                ("sqs.message.attribute.blob.type", b"Binary"),
                ("sqs.message.attribute.price", b"12.50"),
                ("sqs.message.attribute.price.type", b"Number.eur"),
            ]
        );
    }

    #[test]
    fn group_order_and_age_are_known() {
        let message = received();
        assert_eq!(message.group.as_deref(), Some("customer-7"));
        assert_eq!(message.sequence, Some(18_870_000_000_000_000_000));
        assert_eq!((message.sent_at, message.receive_count), (Some(1_700_000_000_123), 4));
        assert_eq!((message.id.as_str(), message.receipt.0.as_str()), ("m-1", "receipt-1"));
    }

    #[test]
    fn a_body_is_what_was_sent_whatever_it_holds() {
        for body in [
            "",
            "{\"a\":\"b\\\\c\"}",
            "grüße 漢字 🦀",
            "line\nfeed\ttab\r",
            "\u{2028}\u{fffd}/",
        ] {
            let message = one(&json!({"MessageId": "m", "ReceiptHandle": "r", "Body": body}));
            assert_eq!(message.body, body);
        }
        let escaped = br#"{"Messages":[{"MessageId":"m","ReceiptHandle":"r","Body":"\ud83e\udd80\/\u0009"}]}"#;
        assert_eq!(messages(escaped).expect("it can be read")[0].body, "🦀/\t");
    }

    #[test]
    fn what_is_missing_or_null_is_empty() {
        for answer in ["{}", r#"{"Messages":null}"#, r#"{"Messages":[]}"#] {
            assert!(messages(answer.as_bytes()).expect("it can be read").is_empty());
        }
        let bare = one(&json!({"MessageId": "m", "ReceiptHandle": "r", "Attributes": null, "MessageAttributes": null}));
        assert_eq!((bare.body.as_str(), bare.receive_count, bare.headers.len()), ("", 1, 1));
    }

    #[test]
    fn an_answer_that_is_none_is_told_apart() {
        for answer in [
            "<html>",
            "",
            "[]",
            r#"{"Messages":[{"Body":7}]}"#,
            r#"{"Messages":[{"Body":"half"#,
        ] {
            assert!(messages(answer.as_bytes()).is_err(), "{answer}");
        }
    }
}
