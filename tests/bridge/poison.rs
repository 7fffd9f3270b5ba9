//! A message that Kafka refuses for its own content: it leaves alone, and its neighbours notice nothing.

use aws_sdk_sqs::types::QueueAttributeName;
use penstock_tests::kafka::Broker;
use penstock_tests::wait_until;
use serde_json::json;

use penstock_tests::bridge::checker::{judge, message_id};
use penstock_tests::bridge::queue::{Letter, Queue, letters, letters_in_groups};
use penstock_tests::bridge::rig::{Rig, SOON};

const TOPIC: [(&str, &str); 1] = [("max.message.bytes", "50000")];

fn too_large() -> String {
    "poison ".repeat(10_000)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poison_message_is_alone_in_the_dead_letters_with_its_cause() {
    let rig = Rig::with_topic(Broker::shared().await, Queue::standard(&[]).await, &TOPIC).await;
    let mut letters = letters(400);
    letters[200] = Letter::plain(too_large());
    let sent = rig.queue.send(&letters).await;
    let bridge = rig.healthy_bridge().await;
    rig.queue.emptied(SOON).await;
    let metrics = bridge
        .metrics_when("its count", |metrics| metrics.get("records_dlq_total") > 0.0)
        .await;
    assert_eq!(
        (
            metrics.get("records_failed_total"),
            metrics.get("records_retried_total")
        ),
        (1.0, 1.0)
    );
    bridge.stops_with(0).await;
    rig.verdict(&sent).await.assert_sound(0);
    let dead = rig.dead().await;
    assert_eq!(dead.iter().map(message_id).collect::<Vec<_>>(), [sent[200].id.clone()]);
    let header = |name: &str| {
        dead[0]
            .header(name)
            .unwrap_or_else(|| panic!("no {name} in {:?}", dead[0].headers))
    };
    assert_eq!(dead[0].key_text(), sent[200].id, "the key is as it was");
    assert_eq!(
        header("sqs.approximate.receive.count"),
        "1",
        "the headers are as they were"
    );
    assert_eq!(header("__connect.errors.topic"), rig.topic);
    assert_eq!(header("__connect.errors.connector.name"), "orders");
    assert_eq!(header("__connect.errors.stage"), "KAFKA_PRODUCE");
    assert!(header("__connect.errors.exception.class.name").ends_with("TooLargeException"));
    assert!(!header("__connect.errors.exception.message").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poison_message_of_a_group_does_not_disturb_the_order_of_the_others() {
    let rig = Rig::with_topic(Broker::shared().await, Queue::fifo().await, &TOPIC).await;
    let mut letters = letters_in_groups(100, 5);
    letters[42] = Letter::grouped(too_large(), "customer-2");
    let sent = rig.queue.send(&letters).await;
    let bridge = rig.healthy_bridge().await;
    rig.queue.emptied(SOON).await;
    bridge.stops_with(0).await;
    rig.verdict(&sent).await.assert_sound(0);
    assert_eq!(
        rig.dead().await.iter().map(message_id).collect::<Vec<_>>(),
        [sent[42].id.clone()]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_dead_letter_topic_a_poison_message_is_left_to_the_queues_redrive() {
    let bin = Queue::standard(&[]).await;
    let policy = json!({"deadLetterTargetArn": bin.arn().await, "maxReceiveCount": 2}).to_string();
    let queue = Queue::standard(&[(QueueAttributeName::RedrivePolicy, policy)]).await;
    let mut rig = Rig::with_topic(Broker::shared().await, queue, &TOPIC)
        .await
        .set(json!({"errors": {"maxRetries": 0}}));
    let errors = rig.config["errors"].as_object_mut().expect("an object");
    errors.remove("deadLetterTopic");
    let mut letters = letters(100);
    letters[50] = Letter::plain(too_large());
    let mut sent = rig.queue.send(&letters).await;
    let bridge = rig.healthy_bridge().await;
    let left = wait_until("the poison message in the queue's own dead letters", SOON, || async {
        let bodies = bin.take().await;
        if bodies.is_empty() {
            Err("nothing there")
        } else {
            Ok(bodies)
        }
    });
    assert!(
        left.await.expect("it is moved") == [too_large()],
        "another message, or not as it was"
    );
    rig.queue.emptied(SOON).await;
    let metrics = bridge.metrics().await.expect("it answers");
    assert_eq!(
        (metrics.get("records_dlq_total"), metrics.get("records_released_total")),
        (0.0, 2.0)
    );
    bridge.stops_with(0).await;
    sent.remove(50);
    judge(&sent, &rig.records().await, &[]).assert_sound(0);
}
