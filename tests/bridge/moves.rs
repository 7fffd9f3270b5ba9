//! Moving messages without a fault: everything once, in order where there is one, as it was sent.

use std::collections::BTreeMap;
use std::fs;

use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::MessageAttributeValue;
use penstock_tests::kafka::Broker;
use penstock_tests::ports::free_port;
use penstock_tests::{records::Record, rundir};
use serde_json::json;

use penstock_tests::bridge::queue::{Letter, Queue, letters, letters_in_groups};
use penstock_tests::bridge::rig::{Bridge, LATER, Rig, SOON};

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_messages_arrive_once() {
    let rig = Rig::new(Broker::shared().await, Queue::standard(&[]).await).await;
    let sent = rig.queue.send(&letters(2_000)).await;
    let bridge = rig.healthy_bridge().await;
    rig.queue.emptied(LATER).await;
    rig.verdict(&sent).await.assert_sound(0);
    assert_eq!(rig.dead().await, []);
    bridge.stops_with(0).await;
    for record in rig.records().await {
        assert_eq!(
            record.key_text(),
            record.header("sqs.message.id").expect("the id"),
            "the key is the id"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_times_what_the_buffer_holds_passes_and_leaves_it_empty() {
    let rig = Rig::new(Broker::shared().await, Queue::standard(&[]).await).await;
    let rig = rig.arguments(&["--max-buffer-bytes", &(1 << 20).to_string()]);
    let bridge = rig.healthy_bridge().await;
    let large = |number| Letter::plain(format!("{number:08}").repeat(2_000));
    let sent = rig.queue.send(&(0..400).map(large).collect::<Vec<_>>()).await;
    rig.queue.emptied(SOON).await;
    let look = || async {
        let metrics = bridge.metrics().await.ok_or_else(|| "no metrics".to_owned())?;
        match metrics.get("buffered_bytes") {
            0.0 => Ok(()),
            bytes => Err(format!("{bytes} bytes")),
        }
    };
    let empty = bridge.process.ready("a buffer with nothing in it", SOON, look);
    empty.await.expect("what is done with takes no room");
    bridge.stops_with(0).await;
    rig.verdict(&sent).await.assert_sound(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_a_fifo_queue_arrive_once_and_in_the_order_of_their_groups() {
    let rig = Rig::new(Broker::shared().await, Queue::fifo().await).await;
    let sent = rig.queue.send(&letters_in_groups(400, 20)).await;
    let bridge = rig.healthy_bridge().await;
    rig.queue.emptied(SOON).await;
    rig.verdict(&sent).await.assert_sound(0);
    bridge.stops_with(0).await;
    for record in rig.records().await {
        let header = |name: &str| record.header(name).unwrap_or_else(|| panic!("no {name} in {record:?}"));
        assert_eq!(
            record.key_text(),
            header("sqs.message.group.id"),
            "the key is the group"
        );
        assert!(header("sqs.sequence.number").parse::<u128>().is_ok());
        assert!(!header("sqs.message.deduplication.id").is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_carry_what_sqs_knows_of_a_message_and_its_attributes() {
    let rig = Rig::new(Broker::shared().await, Queue::standard(&[]).await).await;
    let blob = vec![0, 159, 146, 150, 255];
    let text = |kind: &str, value: &str| {
        MessageAttributeValue::builder()
            .data_type(kind)
            .string_value(value)
            .build()
    };
    let binary = MessageAttributeValue::builder()
        .data_type("Binary")
        .binary_value(Blob::new(blob.clone()))
        .build();
    let letter = Letter {
        attributes: vec![
            ("tenant", text("String", "Zürich")),
            ("price", text("Number", "12.5")),
            ("stamp", binary),
        ]
        .into_iter()
        .map(|(name, value)| (name, value.expect("an attribute")))
        .collect(),
        ..Letter::plain("körper")
    };
    let sent = rig.queue.send(&[letter]).await;
    let bridge = rig.healthy_bridge().await;
    rig.queue.emptied(SOON).await;
    bridge.stops_with(0).await;
    rig.verdict(&sent).await.assert_sound(0);
    let record = rig.records().await.remove(0);
    assert_headers(&record, &sent[0].id, &blob);
}

fn assert_headers(record: &Record, id: &str, blob: &[u8]) {
    let headers: BTreeMap<&str, &[u8]> = record
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_slice()))
        .collect();
    let expected: [(&str, &[u8]); 8] = [
        ("sqs.message.id", id.as_bytes()),
        ("sqs.approximate.receive.count", b"1"),
        ("sqs.message.attribute.tenant", "Zürich".as_bytes()),
        ("sqs.message.attribute.tenant.type", b"String"),
        ("sqs.message.attribute.price", b"12.5"),
        ("sqs.message.attribute.price.type", b"Number"),
        ("sqs.message.attribute.stamp", blob),
        ("sqs.message.attribute.stamp.type", b"Binary"),
    ];
    for (name, value) in expected {
        assert_eq!(headers.get(name), Some(&value), "{name} in {record:?}");
    }
    for name in [
        "sqs.md5.of.body",
        "sqs.sent.timestamp",
        "sqs.approximate.first.receive.timestamp",
    ] {
        assert!(headers.contains_key(name), "{name} in {record:?}");
    }
    let receipt = headers.keys().find(|name| name.contains("receipt"));
    assert_eq!(receipt, None, "a receipt lets anybody delete the message");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_runs_by_hand_from_its_documents() {
    let rig = Rig::new(Broker::shared().await, Queue::standard(&[]).await).await;
    let home = rundir::fresh_data_directory("by-hand").expect("a directory");
    let (connector, profile) = (home.join("connector.yaml"), home.join("profile.yaml"));
    let document = |kind: &str, name: &str, spec: serde_json::Value| {
        json!({"apiVersion": "penstock.dev/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}).to_string()
    };
    let spec = json!({
        "profile": "default",
        "source": {"sqs": {"queueUrl": rig.config["source"]["queueUrl"], "region": "eu-west-1", "waitTime": "1s"}},
        "sink": {"kafka": {"topic": rig.topic}},
    });
    fs::write(&connector, document("Connector", "orders", spec)).expect("it is written");
    let spec = json!({"kafka": {"bootstrapServers": [rig.broker.bootstrap()], "security": {"plaintext": {}}}});
    fs::write(&profile, document("Profile", "default", spec)).expect("it is written");
    let port = free_port();
    let program = rig
        .program(port)
        .arg("--connector")
        .arg(&connector)
        .arg("--profile")
        .arg(&profile);
    let bridge = Bridge::start(program, port);
    bridge.healthy().await;
    let sent = rig.queue.send(&letters(100)).await;
    rig.queue.emptied(SOON).await;
    rig.verdict(&sent).await.assert_sound(0);
    bridge.stops_with(0).await;
}
