//! Messages that Kafka refuses for their own content, of every kind: they leave alone, and their neighbours are neither lost nor stored twice.

use aws_sdk_sqs::types::QueueAttributeName;
use penstock_tests::bridge::audit::Metrics;
use penstock_tests::bridge::checker::{judge, message_id};
use penstock_tests::bridge::queue::letters_in_groups;
use penstock_tests::bridge::{Bridge, LATER, Letter, Queue, Rig, Sent};
use penstock_tests::kafka::Broker;
use penstock_tests::{unique, wait_until};
use serde_json::json;

const MESSAGES: usize = 200;
/// Every so many messages one is poison.
const EVERY: usize = 40;

const LIMIT: (&str, &str) = ("max.message.bytes", "50000");

/// Returns letters of which some are larger than the limit.
fn letters(queue: &Queue) -> Vec<Letter> {
    let mut letters = queue.letters(MESSAGES);
    for (number, letter) in letters.iter_mut().enumerate().skip(EVERY / 2).step_by(EVERY) {
        letter.body = format!("{number:06} poison ").repeat(5_000);
    }
    letters
}

fn is_poison(sent: &Sent) -> bool {
    sent.body.contains("poison")
}

/// Returns what is poison and what is not.
fn parted(sent: Vec<Sent>) -> (Vec<Sent>, Vec<Sent>) {
    sent.into_iter().partition(is_poison)
}

fn ids(sent: &[Sent]) -> Vec<String> {
    let mut ids: Vec<String> = sent.iter().map(|sent| sent.id.clone()).collect();
    ids.sort();
    ids
}

/// Returns once the broker holds to the lower limit, which a record of 60,000 bytes exceeds. It answers before it does; but it does what it is
/// told in order, so another topic, whose limit is lowered afterwards, tells.
async fn lower(rig: &Rig<'_>, limit: (&str, &str)) {
    let probe = unique("probe");
    rig.broker.topic(&probe, 1, &[]).await.expect("a topic");
    for topic in [&rig.topic, &probe] {
        let lowered = rig.broker.change_topic(topic, limit.0, limit.1);
        lowered.await.expect("the limit is lowered");
    }
    let large = vec![b'x'; 60_000];
    let refused = wait_until("a limit that is held to", LATER, || async {
        match rig.broker.produce(&probe, "probe", Some(&large)).await {
            Ok(_) => Err("the record is taken"),
            Err(_) => Ok(()),
        }
    });
    refused.await.expect("what is too large is refused");
}

async fn dead_ids(rig: &Rig<'_>) -> Vec<String> {
    let mut ids: Vec<_> = rig.dead().await.iter().map(message_id).collect();
    ids.sort();
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_among_its_neighbours_is_parked_alone() {
    let run = async |queue| {
        let rig = Rig::with_topic(Broker::shared().await, queue, &[LIMIT]).await;
        let sent = rig.queue.send(&letters(&rig.queue)).await;
        let bridge = rig.bridge().await;
        rig.finish(bridge, &sent, 0).await;
        let (poison, _) = parted(sent);
        assert_eq!(dead_ids(&rig).await, ids(&poison));
    };
    let [standard, fifo] = Queue::of_each_kind().await;
    tokio::join!(run(standard), run(fifo));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_that_is_lowered_while_the_bridge_runs_makes_poison_of_what_is_larger_alone() {
    let run = async |queue| {
        let rig = Rig::new(Broker::shared().await, queue).await;
        let bridge = rig.healthy_bridge().await;
        let before = rig.queue.send(&letters(&rig.queue)).await;
        rig.queue.emptied(LATER).await;
        lower(&rig, LIMIT).await;
        let after = rig.queue.send_after(&before, &letters(&rig.queue)).await;
        let (poison, _) = parted(after.clone());
        let sent: Vec<Sent> = before.into_iter().chain(after).collect();
        rig.finish(bridge, &sent, 0).await;
        assert_eq!(dead_ids(&rig).await, ids(&poison));
    };
    let [standard, fifo] = Queue::of_each_kind().await;
    tokio::join!(run(standard), run(fifo));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_kafka_does_not_trust_makes_poison_of_nothing() {
    let run = async |queue| {
        let rig = Rig::new(Broker::shared().await, queue).await;
        let (trust, for_ever) = ("message.timestamp.before.max.ms", i64::MAX.to_string());
        lower(&rig, (trust, "0")).await;
        let bridge = rig.healthy_bridge().await;
        let sent = rig.queue.send(&rig.queue.letters(MESSAGES)).await;
        let refused = wait_until("records refused for their time", LATER, || async {
            let metrics = bridge.metrics().await.ok_or("it does not answer")?;
            let refused = metrics.get("sink_errors_total");
            if refused > 0.0 {
                Ok(())
            } else {
                Err(format!("{refused} errors"))
            }
        });
        refused.await.expect("the clock is not trusted");
        let trusted = rig.broker.change_topic(&rig.topic, trust, &for_ever);
        trusted.await.expect("the clock is trusted");
        let metrics = bridge.metrics().await.expect("it answers");
        assert_eq!(metrics.get("records_retried_total"), 0.0, "it is about no message");
        rig.finish(bridge, &sent, 0).await;
        assert_eq!(dead_ids(&rig).await, Vec::<String>::new());
    };
    let [standard, fifo] = Queue::of_each_kind().await;
    tokio::join!(run(standard), run(fifo));
}

/// A queue that takes poison, and one of the same kind that leaves it there after two deliveries.
async fn with_redrive(fifo: bool) -> (Queue, Queue) {
    let bin = if fifo {
        Queue::fifo().await
    } else {
        Queue::standard(&[]).await
    };
    let policy = json!({"deadLetterTargetArn": bin.arn().await, "maxReceiveCount": 2}).to_string();
    let attributes = [(QueueAttributeName::RedrivePolicy, policy)];
    let queue = if fifo {
        Queue::fifo_with(&attributes).await
    } else {
        Queue::standard(&attributes).await
    };
    (bin, queue)
}

/// Waits until the queue for poison holds all of it, and judges the rest.
async fn is_left_to_redrive(rig: Rig<'_>, bin: Queue, bridge: Bridge, sent: Vec<Sent>) {
    let (poison, neighbours) = parted(sent);
    let left = wait_until("the poison in the queue's own dead letters", LATER, || async {
        match bin.counts().await {
            (count, 0) if count == poison.len() as u64 => Ok(()),
            counts => Err(format!("{counts:?}")),
        }
    });
    left.await.expect("it is moved");
    rig.queue.emptied(LATER).await;
    let metrics = bridge.metrics().await.expect("it answers");
    assert_eq!(metrics.get("records_dlq_total"), 0.0);
    bridge.stops_with(0).await;
    let verdict = judge(&neighbours, &rig.records().await, &rig.dead().await);
    verdict.assert_sound(0);
    let deleted = rig.journal.deleted();
    assert!(
        !poison.iter().any(|poison| deleted.contains(&poison.id)),
        "poison was deleted"
    );
}

async fn without_dead_letters(fifo: bool) {
    let (bin, queue) = with_redrive(fifo).await;
    let rig = Rig::with_topic(Broker::shared().await, queue, &[LIMIT]).await;
    let mut rig = rig.set(json!({"errors": {"maxRetries": 0}}));
    let errors = rig.config["errors"].as_object_mut().expect("an object");
    errors.remove("deadLetterTopic");
    let sent = rig.queue.send(&letters(&rig.queue)).await;
    let bridge = rig.bridge().await;
    is_left_to_redrive(rig, bin, bridge, sent).await;
}

async fn with_dead_letters_that_refuse(fifo: bool) {
    let (bin, queue) = with_redrive(fifo).await;
    let rig = Rig::with_topic(Broker::shared().await, queue, &[LIMIT]).await;
    rig.broker
        .change_topic(&rig.dead_letters, LIMIT.0, LIMIT.1)
        .await
        .expect("the limit is lowered");
    let rig = rig.set(json!({"errors": {"maxRetries": 0}}));
    let sent = rig.queue.send(&letters(&rig.queue)).await;
    let bridge = rig.bridge().await;
    is_left_to_redrive(rig, bin, bridge, sent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_dead_letters_poison_is_left_to_the_redrive_policy_of_its_queue() {
    without_dead_letters(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_dead_letters_poison_of_a_group_is_left_to_the_redrive_policy_of_its_queue() {
    without_dead_letters(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_that_the_dead_letters_refuse_too_is_left_to_the_redrive_policy_of_its_queue() {
    with_dead_letters_that_refuse(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_of_a_group_that_the_dead_letters_refuse_too_is_left_to_the_redrive_policy_of_its_queue() {
    with_dead_letters_that_refuse(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_goes_on_behind_its_poison_in_order() {
    let rig = Rig::with_topic(Broker::shared().await, Queue::fifo().await, &[LIMIT]).await;
    let mut letters = letters_in_groups(60, 2);
    for letter in letters.iter_mut().skip(10).step_by(7) {
        letter.body = "poison ".repeat(10_000);
    }
    let sent = rig.queue.send(&letters).await;
    let bridge = rig.bridge().await;
    rig.finish(bridge, &sent, 0).await;
    let (poison, _) = parted(sent);
    assert_eq!(dead_ids(&rig).await, ids(&poison));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_waits_behind_a_message_that_is_refused_until_it_passes_and_no_other_group_does() {
    let rig = Rig::new(Broker::shared().await, Queue::fifo().await).await;
    let rig = rig.set(json!({"errors": {"maxRetries": 100, "backoff": "1s"}}));
    let bridge = rig.healthy_bridge().await;
    lower(&rig, LIMIT).await;
    // Of the first of two groups one passes, one is refused, and eighteen come behind it.
    let mut letters = letters_in_groups(40, 2);
    letters[2].body = "too large for now ".repeat(5_000);
    let sent = rig.queue.send(&letters).await;
    rig.stored(&bridge, 21, LATER).await;
    let tried = |metrics: &Metrics| metrics.get("records_retried_total") >= 2.0;
    bridge.metrics_when("a message that is refused again", tried).await;
    assert_eq!(
        rig.records().await.len(),
        21,
        "something overtook what its group waits for"
    );
    let raised = rig.broker.change_topic(&rig.topic, LIMIT.0, "2097152");
    raised.await.expect("the limit is raised");
    rig.finish(bridge, &sent, 0).await;
    assert!(rig.dead().await.is_empty());
}
