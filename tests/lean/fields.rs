//! Every field of a message.

use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::{Message as SdkMessage, MessageAttributeValue, MessageSystemAttributeName as SystemAttribute};
use penstock_bridge::source::Message;
use serde_json::json;

use crate::rig::{Target, text};

/// Returns the headers that a message should have, by what the SDK read of it.
fn headers_of(message: &SdkMessage, receive_count: &str) -> Vec<(String, Vec<u8>)> {
    let system = |name: SystemAttribute| message.attributes().and_then(|all| all.get(&name)).cloned();
    let fixed = [
        ("sqs.message.id", message.message_id.clone()),
        ("sqs.md5.of.body", message.md5_of_body.clone()),
        ("sqs.sent.timestamp", system(SystemAttribute::SentTimestamp)),
        ("sqs.approximate.receive.count", Some(receive_count.to_owned())),
        (
            "sqs.approximate.first.receive.timestamp",
            system(SystemAttribute::ApproximateFirstReceiveTimestamp),
        ),
        ("sqs.message.group.id", system(SystemAttribute::MessageGroupId)),
        (
            "sqs.message.deduplication.id",
            system(SystemAttribute::MessageDeduplicationId),
        ),
        ("sqs.sequence.number", system(SystemAttribute::SequenceNumber)),
    ];
    let fixed = fixed
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.into_bytes())));
    let mut names: Vec<_> = message.message_attributes().into_iter().flatten().collect();
    names.sort_by_key(|(name, _)| (*name).clone());
    let own = names.into_iter().flat_map(|(name, attribute)| {
        let name = format!("sqs.message.attribute.{name}");
        let text = attribute.string_value().map(|text| text.as_bytes().to_vec());
        let bytes = attribute.binary_value().map(|bytes| bytes.as_ref().to_vec());
        let kind = (format!("{name}.type"), attribute.data_type().as_bytes().to_vec());
        [(name, text.or(bytes).unwrap_or_default()), kind]
    });
    fixed.chain(own).collect()
}

/// Holds that a message is what the SDK read before.
pub(crate) fn compare(ours: &Message, theirs: &SdkMessage) {
    let system = |name: SystemAttribute| theirs.attributes().and_then(|all| all.get(&name)).cloned();
    let headers: Vec<_> = ours
        .headers
        .iter()
        .map(|header| (header.name.to_string(), header.value.to_vec()))
        .collect();
    assert_eq!(headers, headers_of(theirs, &ours.receive_count.to_string()));
    assert_eq!(Some(ours.body.as_str()), theirs.body());
    assert_eq!(Some(ours.id.as_str()), theirs.message_id());
    assert_eq!(ours.group, system(SystemAttribute::MessageGroupId));
    let sequence = system(SystemAttribute::SequenceNumber).and_then(|text| text.parse().ok());
    assert_eq!(ours.sequence, sequence);
    let sent_at = system(SystemAttribute::SentTimestamp).and_then(|text| text.parse().ok());
    assert_eq!(ours.sent_at, sent_at);
    let seen_before = system(SystemAttribute::ApproximateReceiveCount).and_then(|text| text.parse::<u32>().ok());
    assert!(Some(ours.receive_count) > seen_before, "{ours:?} after {theirs:?}");
    assert!(!ours.receipt.0.is_empty());
}

pub(crate) async fn every_field_is_what_the_sdk_reads(target: &Target) {
    let every_byte: Vec<u8> = (0..=255).collect();
    let binary = |kind: &str, bytes: &[u8]| {
        let attribute = MessageAttributeValue::builder().data_type(kind);
        attribute.binary_value(Blob::new(bytes)).build().expect("complete")
    };
    let attributes = [
        ("name", text("String", "plain")),
        (
            "Grüße",
            text("String", "ünï \u{1F980} \"quoted\" \\ </script> \u{2028}"),
        ),
        ("lines", text("String.text", "one\ntwo\r\n\tthree")),
        ("whole", text("Number", "42")),
        ("price", text("Number.eur", "-12.50")),
        ("bytes", binary("Binary", &every_byte)),
        ("picture", binary("Binary.png", b"\x89PNG\r\n\x1a\n\0")),
        ("one", binary("Binary", &[0])),
        ("app.a-b_c", text("String", "a name of many parts")),
        ("json", text("String", r#"{"a":["b\\c",null]}"#)),
    ];
    // AWS takes letters, digits, hyphens, underscores and dots in names.
    let allowed: Vec<_> = attributes.iter().filter(|(name, _)| name.is_ascii()).cloned().collect();
    let queue = target.standard().await;
    let long = r#"{"order":"0123456789","path":"C:\\dir\\","note":"ü"},"#.repeat(4000);
    let bodies = [
        "hello",
        "grüße <&> \u{1F980}\n\t\r \u{2028} \u{fffd} \u{e000}",
        r#"{"a":"b","c":["\"",1,null],"path":"C:\\x\/y"}"#,
        "\\u0041 \\n no escapes of ours \\",
        &long,
        " ",
    ];
    for body in bodies {
        queue.send(body, None, &[]).await;
    }
    queue.send("all of them", None, &allowed).await;
    queue.send("one of them", None, &allowed[..1]).await;
    let theirs = queue.look_at_all(bodies.len() + 2).await;
    let ours = queue.receive_all(bodies.len() + 2).await;
    assert_eq!(ours.len(), theirs.len());
    for message in &ours {
        compare(message, &theirs[&message.id]);
    }
    let all = ours.iter().find(|message| message.body == "all of them");
    let headers = &all.expect("it came").headers;
    let bytes = headers
        .iter()
        .find(|header| header.name == "sqs.message.attribute.bytes");
    assert_eq!(bytes.map(|header| header.value.to_vec()), Some(every_byte));
}

pub(crate) async fn attributes_are_left_out_where_the_settings_say_so(target: &Target) {
    let queue = target
        .queue(&penstock_tests::unique("lean"), &json!({"attributes": false}))
        .await;
    queue.send("hello", None, &[("name", text("String", "plain"))]).await;
    let message = queue.receive_all(1).await.remove(0);
    let own = message
        .headers
        .iter()
        .filter(|header| header.name.starts_with("sqs.message.attribute"));
    assert_eq!(own.count(), 0, "{message:?}");
    assert_eq!(message.receive_count, 1);
}
