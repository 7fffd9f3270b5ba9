//! The way to Kafka breaks, hangs or slows down, and the broker itself vanishes: nothing is lost, and nothing comes twice.

use std::time::Duration;

use penstock_tests::bridge::audit::Metrics;
use penstock_tests::bridge::{Bridge, LATER, Queue, Rig};
use penstock_tests::kafka::Broker;
use penstock_tests::sqs_proxy::{Fault, Operation, Refusal, When};
use serde_json::json;
use tokio::time::Instant;

/// How many messages a run moves, and after how many records its link fails once more.
const MESSAGES: usize = 600;
const STEP: u64 = 100;
/// How long records may take to be stored over a connection that is there.
const UNHEARD: Duration = Duration::from_secs(15);

async fn linked(queue: Queue) -> Rig<'static> {
    Rig::new(Broker::shared().await, queue).await.linked().await
}

/// Lets the link fail once more each time that the topic has grown, until almost everything is stored.
async fn moves_while(rig: Rig<'_>, fail: impl AsyncFn(&Rig<'_>, &Bridge)) {
    let bridge = rig.healthy_bridge().await;
    let sent = rig.queue.send(&rig.queue.letters(MESSAGES)).await;
    for failure in 1..MESSAGES as u64 / STEP {
        rig.stored(&bridge, failure * STEP, LATER).await;
        fail(&rig, &bridge).await;
    }
    rig.finish(bridge, &sent, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_is_cut_again_and_again_loses_and_repeats_nothing() {
    let cut = async |rig: &Rig<'_>, _: &Bridge| rig.link().cut();
    let [standard, fifo] = Queue::of_each_kind().await;
    tokio::join!(
        moves_while(linked(standard).await, cut),
        moves_while(linked(fifo).await, cut)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn records_whose_acknowledgement_is_lost_are_stored_once() {
    let lose_answers = async |rig: &Rig<'_>, bridge: &Bridge| {
        // What Kafka takes now, the bridge does not hear of. A connection that is just being made gets no further than its first question
        // meanwhile, and nothing over it; then everything passes until it is heard that it does, and it is tried again.
        let mut is_unheard = false;
        for _ in 0..LATER.as_secs() / UNHEARD.as_secs() {
            rig.link().hold_answers();
            is_unheard = rig.stored_unheard(bridge, MESSAGES as u64, UNHEARD).await;
            if is_unheard {
                break;
            }
            let heard = bridge.metrics().await.expect("it answers").get("records_out_total");
            rig.link().open();
            let hears = |metrics: &Metrics| metrics.get("records_out_total") > heard;
            bridge.metrics_when("a connection that works again", hears).await;
        }
        assert!(is_unheard, "no record was stored of which the bridge did not hear");
        rig.link().cut();
        rig.link().open();
    };
    let [standard, fifo] = Queue::of_each_kind().await;
    tokio::join!(
        moves_while(linked(standard).await, lose_answers),
        moves_while(linked(fifo).await, lose_answers)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_refuses_connections_is_waited_for() {
    let run = async |queue| {
        let rig = linked(queue).await.arguments(&["--max-in-flight", "50"]);
        let bridge = rig.healthy_bridge().await;
        let sent = rig.queue.send(&rig.queue.letters(MESSAGES)).await;
        rig.stored(&bridge, STEP, LATER).await;
        rig.link().refuse();
        // A fast bridge may have moved all of the others by now.
        let more = rig.queue.send_after(&sent, &rig.queue.letters(MESSAGES)).await;
        bridge.full().await;
        rig.link().open();
        let sent: Vec<_> = sent.into_iter().chain(more).collect();
        rig.finish(bridge, &sent, 0).await;
    };
    let [standard, fifo] = Queue::of_each_kind().await;
    tokio::join!(run(standard), run(fifo));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_link_repeats_nothing_though_leases_are_short() {
    let run = async |queue| {
        let rig = linked(queue).await.set(json!({"source": {"visibilityTimeout": "6s"}}));
        rig.link().slow(Duration::from_millis(50));
        let bridge = rig.bridge().await;
        let sent = rig.queue.send(&rig.queue.letters(200)).await;
        rig.finish(bridge, &sent, 0).await;
    };
    let [standard, fifo] = Queue::of_each_kind().await;
    tokio::join!(run(standard), run(fifo));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_killed_or_restarted_under_load_loses_and_repeats_nothing() {
    let broker = Broker::start().await.expect("a broker of its own");
    let [standard, fifo] = Queue::of_each_kind().await;
    let rigs = [Rig::new(&broker, standard).await, Rig::new(&broker, fifo).await];
    let (mut bridges, mut sent) = (Vec::new(), Vec::new());
    for rig in &rigs {
        bridges.push(rig.healthy_bridge().await);
        sent.push(rig.queue.send(&rig.queue.letters(4 * MESSAGES)).await);
    }
    for (failure, killed) in [(1, true), (2, false)] {
        for (rig, bridge) in rigs.iter().zip(&bridges) {
            rig.stored(bridge, failure * STEP, LATER).await;
        }
        if killed {
            broker.kill().await.expect("it is gone");
        }
        broker.restart().await.expect("it comes back");
    }
    for ((rig, bridge), sent) in rigs.iter().zip(bridges).zip(sent) {
        rig.finish(bridge, &sent, 0).await;
    }
}

/// Kafka is asked and does not answer: no delete may pass for as long as that lasts.
async fn deletes_nothing(queue: Queue, silence: impl Fn(&Rig<'_>)) {
    let rig = linked(queue).await.set(json!({"source": {"visibilityTimeout": "6s"}}));
    let bridge = rig.healthy_bridge().await;
    silence(&rig);
    let sent = rig.queue.send(&rig.queue.letters(50)).await;
    // An extension comes seconds after a message, and a delete within milliseconds of its record.
    let extended = |metrics: &Metrics| metrics.get("lease_extended_total") >= sent.len() as f64;
    bridge
        .metrics_when("every lease extended, or a delete", |metrics| {
            extended(metrics) || !rig.journal.deleted().is_empty()
        })
        .await;
    assert!(rig.journal.deleted().is_empty(), "a message was deleted unacknowledged");
    rig.link().open();
    rig.finish(bridge, &sent, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_deleted_while_kafka_does_not_answer() {
    let [standard, fifo] = Queue::of_each_kind().await;
    tokio::join!(
        deletes_nothing(standard, |rig| rig.link().stall()),
        deletes_nothing(fifo, |rig| rig.link().hold_answers()),
    );
}

/// Kafka hangs for ten times the visibility timeout; the messages held are handed out once.
async fn holds_on(rig: Rig<'_>, visibility: Duration, broker: &Broker) {
    let rig = rig
        .set(json!({"source": {"visibilityTimeout": format!("{}s", visibility.as_secs())}}))
        .arguments(&["--max-in-flight", "100"]);
    let bridge = rig.healthy_bridge().await;
    broker.suspend().expect("it runs");
    let sent = rig.queue.send(&rig.queue.letters(200)).await;
    let held = bridge.full().await.get("inflight");
    let since = Instant::now();
    let extended = bridge.metrics_when("leases extended for ten times their length", |metrics| {
        since.elapsed() > visibility * 10 && metrics.get("lease_extended_total") >= held * 10.0
    });
    assert_eq!(extended.await.get("lease_lost_total"), 0.0);
    broker.resume().expect("it runs");
    rig.finish(bridge, &sent, 0).await;
    assert_eq!(rig.most_handouts(), 1, "a message was handed out again");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_kafka_hangs_for_ten_leases_no_message_is_handed_out_again() {
    // Ten of them stay below the minute after which the sink is begun anew.
    let visibility = Duration::from_secs(5);
    let (one, other) = (
        Broker::start().await.expect("a broker of its own"),
        Broker::start().await.expect("a broker of its own"),
    );
    let [standard, fifo] = Queue::of_each_kind().await;
    tokio::join!(
        holds_on(Rig::new(&one, standard).await, visibility, &one),
        holds_on(Rig::new(&other, fifo).await, visibility, &other),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_leases_are_counted_and_break_no_order() {
    let run = async |queue| {
        let rig = linked(queue).await.set(json!({"source": {"visibilityTimeout": "2s"}}));
        let rig = rig.arguments(&["--max-in-flight", "60"]);
        let bridge = rig.healthy_bridge().await;
        let refused = rig.proxy.rule(
            Operation::ChangeVisibility,
            When::Always,
            Fault::Refuse(Refusal::Internal),
        );
        rig.link().stall();
        let sent = rig.queue.send(&rig.queue.letters(200)).await;
        bridge
            .metrics_when("lost leases", |metrics| metrics.get("lease_lost_total") > 0.0)
            .await;
        refused.off();
        rig.link().open();
        // What was lost comes again, and may be stored twice.
        rig.finish(bridge, &sent, sent.len()).await;
    };
    let [standard, fifo] = Queue::of_each_kind().await;
    tokio::join!(run(standard), run(fifo));
}
