//! SIGTERM: everything is handed over or given back, in time, and the exit code says which.

use nix::sys::signal::Signal;
use penstock_tests::kafka::Broker;
use serde_json::json;

use penstock_tests::bridge::queue::{Queue, letters, letters_in_groups};
use penstock_tests::bridge::rig::{LATER, Rig, SOON, STOPPED};

/// Long enough for a busy SQS to take everything back after Kafka was given up, which happens at four fifths of it.
const DRAIN: &str = "15s";

/// Stops one bridge after the other in the middle of its work, each as the topic has grown by `step` records.
async fn stop_again_and_again(rig: &Rig<'_>, stops: u64, step: u64) {
    for stop in 1..=stops {
        // A process that has just begun knows no signals yet.
        let bridge = rig.healthy_bridge().await;
        rig.stored(&bridge, stop * step, SOON).await;
        bridge.stops_with(0).await;
        let (waiting, held) = rig.queue.counts().await;
        assert_eq!(held, 0, "a message is still held after stop {stop}");
        assert!(waiting > 0, "stop {stop} met no load");
    }
    let bridge = rig.bridge().await;
    rig.queue.emptied(LATER).await;
    bridge.stops_with(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_under_load_it_hands_over_everything_in_time_and_nothing_twice() {
    let rig = Rig::new(Broker::shared().await, Queue::standard(&[]).await).await;
    let sent = rig.queue.send(&letters(12_000)).await;
    stop_again_and_again(&rig, 8, 800).await;
    rig.verdict(&sent).await.assert_sound(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_over_a_fifo_queue_it_keeps_the_order_and_stores_nothing_twice() {
    let rig = Rig::new(Broker::shared().await, Queue::fifo().await).await;
    let sent = rig.queue.send(&letters_in_groups(3_000, 20)).await;
    stop_again_and_again(&rig, 4, 150).await;
    rig.verdict(&sent).await.assert_sound(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_as_soon_as_it_answers_it_ends_as_one_that_holds_nothing() {
    let rig = Rig::new(Broker::shared().await, Queue::standard(&[]).await).await;
    let bridge = rig.bridge().await;
    bridge.stops_with(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_come_to_an_open_call_during_a_stop_are_not_kept() {
    let rig = Rig::new(Broker::shared().await, Queue::standard(&[]).await).await;
    let rig = rig.set(json!({"source": {"waitTime": "20s", "visibilityTimeout": "10m"}, "drainTimeout": DRAIN}));
    let bridge = rig.healthy_bridge().await;
    bridge.process.signal(Signal::SIGTERM).expect("it runs");
    let sent = rig.queue.send(&letters(10)).await;
    assert_eq!(
        bridge.process.ended(STOPPED).await.expect("it ends in time").code(),
        Some(0)
    );
    let waiting = rig.queue.given_back().await;
    let stored = rig.records().await.len() as u64;
    assert_eq!(waiting + stored, sent.len() as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_while_kafka_hangs_it_gives_everything_back_and_exits_with_75() {
    let broker = Broker::start().await.expect("a broker of its own");
    let rig = Rig::new(&broker, Queue::standard(&[]).await).await;
    let rig = rig.set(json!({"source": {"visibilityTimeout": "10m"}, "drainTimeout": DRAIN}));
    let rig = rig.arguments(&["--max-in-flight", "200"]);
    let bridge = rig.healthy_bridge().await;
    broker.suspend().expect("it runs");
    let sent = rig.queue.send(&letters(500)).await;
    bridge
        .metrics_when("a bridge that holds what it may", |metrics| {
            metrics.get("inflight") > 150.0
        })
        .await;
    bridge.stops_with(75).await;
    assert_eq!(rig.queue.given_back().await, 500, "everything is visible again");
    broker.resume().expect("it runs");
    let bridge = rig.bridge().await;
    rig.queue.emptied(SOON).await;
    bridge.stops_with(0).await;
    // What Kafka took without an answer may be there twice.
    rig.verdict(&sent).await.assert_sound(200);
}
