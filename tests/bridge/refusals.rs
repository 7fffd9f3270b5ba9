//! What the bridge cannot work with it says at once, by name, and exits with a code that tells it from a fault of its own.

use std::fs;

use penstock_tests::elasticmq::ElasticMq;
use penstock_tests::kafka::Broker;
use penstock_tests::ports::free_port;
use penstock_tests::process::Program;
use penstock_tests::rundir;
use penstock_tests::sqs_proxy::{Fault, Operation, Refusal, When};
use serde_json::{Value, json};

use penstock_tests::bridge::queue::{Queue, letters};
use penstock_tests::bridge::rig::{self, Rig, SOON};

async fn program() -> Program {
    rig::program(ElasticMq::shared().await.endpoint(), free_port())
}

/// Runs it to its end, which must have that code, and whose log must hold those words.
async fn assert_refused(program: Program, code: i32, words: &[&str]) {
    let (status, log) = program.run(SOON).await.expect("it ends");
    assert_eq!(status.code(), Some(code), "{log}");
    for word in words {
        assert!(log.contains(word), "{word} is not in {log}");
    }
}

async fn assert_config_refused(config: &Value, words: &[&str]) {
    let program = program().await.env("PENSTOCK_CONNECTOR", config.to_string());
    assert_refused(program, 78, words).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_or_topic_that_does_not_exist_is_named() {
    let rig = Rig::new(Broker::shared().await, Queue::standard(&[]).await).await;
    let without_queue = rig.proxy.queue_url(&rig.queue.url).replace("/orders-", "/nonesuch-");
    let wrong = |over: Value| {
        let mut config = rig.config.clone();
        penstock_tests::stage::lay(&mut config, over);
        config
    };
    assert_config_refused(
        &wrong(json!({"source": {"queueUrl": without_queue}})),
        &["nonesuch-", "make the queue"],
    )
    .await;
    assert_config_refused(
        &wrong(json!({"sink": {"topic": "no-such-topic"}})),
        &["`no-such-topic` does not exist"],
    )
    .await;
    let over = json!({"errors": {"deadLetterTopic": "no-dead-letters"}});
    assert_config_refused(&wrong(over), &["`no-dead-letters` does not exist"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_configuration_is_refused_by_the_field_that_is_wrong() {
    let rig = Rig::new(Broker::shared().await, Queue::standard(&[]).await).await;
    let scram = json!({"scram": {
        "username": {"secret": "kafka", "key": "username"}, "password": {"secret": "kafka", "key": "password"}, "tls": false,
    }});
    for (over, words) in [
        (
            json!({"source": {"maxMessages": 11}}),
            ["source.maxMessages", "1 to 10"],
        ),
        (json!({"source": {"waitTime": "21s"}}), ["source.waitTime", "20s"]),
        (
            json!({"source": {"visibilityTimeout": "0s"}}),
            ["source.visibilityTimeout", "1s"],
        ),
        (json!({"source": {"receivers": 0}}), ["source.receivers", "1 to 256"]),
        (json!({"sink": {"linger": "2s"}}), ["sink.linger", "1s"]),
        (json!({"drainTimeout": "0s"}), ["drainTimeout", "1s"]),
        (json!({"sink": {"topics": "orders"}}), ["PENSTOCK_CONNECTOR", "topics"]),
        (
            json!({"kafka": {"bootstrapServers": []}}),
            ["connection to Kafka", "bootstrap"],
        ),
    ] {
        let mut config = rig.config.clone();
        penstock_tests::stage::lay(&mut config, over);
        assert_config_refused(&config, &words).await;
    }
    let mut config = rig.config.clone();
    config["kafka"]["security"] = scram;
    assert_config_refused(&config, &["PENSTOCK_KAFKA_USERNAME", "kafka.security"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_that_may_not_settle_messages_does_not_begin() {
    for (operation, action) in [
        (Operation::Delete, "sqs:DeleteMessage"),
        (Operation::ChangeVisibility, "sqs:ChangeMessageVisibility"),
    ] {
        let rig = Rig::new(Broker::shared().await, Queue::standard(&[]).await).await;
        rig.proxy
            .rule(operation, When::Always, Fault::Refuse(Refusal::AccessDenied));
        rig.queue.send(&letters(10)).await;
        let bridge = rig.bridge().await;
        let status = bridge.process.ended(SOON).await.expect("it ends");
        assert_eq!(status.code(), Some(78));
        let log = bridge.process.log_text();
        assert!(log.contains(&format!("allow {action} ")), "{log}");
        assert_eq!((rig.queue.counts().await, rig.records().await.len()), ((10, 0), 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_run_by_hand_is_refused_with_every_fault() {
    let file = rundir::fresh_data_directory("by-hand")
        .expect("a directory")
        .join("connector.yaml");
    let spec = json!({
        "source": {"sqs": {"queueUrl": "orders", "region": "eu-west-1", "maxMessages": 11}},
        "sink": {"kafka": {"topic": "orders"}},
        "kafka": {"bootstrapServers": ["localhost:9092"]},
    });
    let document =
        json!({"apiVersion": "penstock.dev/v1", "kind": "Connector", "metadata": {"name": "orders"}, "spec": spec});
    fs::write(&file, document.to_string()).expect("it is written");
    let by_hand = program().await.arg("--connector").arg(&file);
    assert_refused(
        by_hand,
        78,
        &["spec.source.sqs.queueUrl", "spec.source.sqs.maxMessages"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_command_line_or_none_at_all_is_refused() {
    assert_refused(program().await.arg("--conector"), 64, &["--connector"]).await;
    assert_refused(program().await, 78, &["PENSTOCK_CONNECTOR", "--connector"]).await;
    let garbled = program().await.env("PENSTOCK_CONNECTOR", "orders");
    assert_refused(garbled, 78, &["PENSTOCK_CONNECTOR"]).await;
    let rig = Rig::new(Broker::shared().await, Queue::standard(&[]).await).await;
    let small = program().await.env("PENSTOCK_CONNECTOR", rig.config.to_string());
    assert_refused(small.args(["--max-in-flight", "9"]), 78, &["--max-in-flight", "is 9"]).await;
}
