//! SIGTERM while Kafka or SQS fail: the bridge ends in time, and leaves nothing hidden that it could give back.

use nix::sys::signal::Signal;
use penstock_tests::bridge::rig::STOPPED;
use penstock_tests::bridge::{Bridge, LATER, Queue, Rig};
use penstock_tests::kafka::Broker;
use penstock_tests::sqs_proxy::{Fault, Operation, When};
use penstock_tests::wait_until;
use serde_json::json;

/// Long enough for a busy SQS to take everything back after Kafka was given up, which happens at four fifths of it.
const DRAIN: &str = "15s";

async fn linked(queue: Queue) -> Rig<'static> {
    let rig = Rig::new(Broker::shared().await, queue).await.linked().await;
    rig.set(json!({"source": {"visibilityTimeout": "10m"}, "drainTimeout": DRAIN}))
        .arguments(&["--max-in-flight", "100"])
}

/// Stops a bridge that cannot reach Kafka: everything is visible again, and comes to Kafka by the next one.
async fn gives_everything_back(queue: Queue, break_off: impl Fn(&Rig<'_>)) {
    let rig = linked(queue).await;
    let bridge = rig.healthy_bridge().await;
    break_off(&rig);
    let sent = rig.queue.send(&rig.queue.letters(200)).await;
    bridge.full().await;
    bridge.stops_with(75).await;
    assert_eq!(rig.queue.given_back().await, 200, "everything is visible again");
    rig.link().open();
    let bridge = rig.bridge().await;
    // What Kafka took without an answer may be there twice.
    rig.finish(bridge, &sent, 100).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_while_the_link_to_kafka_hangs_it_gives_everything_back_and_exits_with_75() {
    let [standard, fifo] = Queue::of_each_kind().await;
    tokio::join!(
        gives_everything_back(standard, |rig| rig.link().stall()),
        gives_everything_back(fifo, |rig| rig.link().stall()),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_while_kafka_refuses_connections_it_gives_everything_back_and_exits_with_75() {
    let [standard, fifo] = Queue::of_each_kind().await;
    tokio::join!(
        gives_everything_back(standard, |rig| rig.link().refuse()),
        gives_everything_back(fifo, |rig| rig.link().refuse()),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_while_sqs_answers_nothing_it_ends_in_time_and_says_so() {
    let run = async |queue| {
        let rig = Rig::new(Broker::shared().await, queue).await;
        let rig = rig.set(json!({"source": {"visibilityTimeout": "10s"}, "drainTimeout": "5s"}));
        let bridge = rig.healthy_bridge().await;
        let holes = [Operation::Delete, Operation::ChangeVisibility]
            .map(|operation| rig.proxy.rule(operation, When::Always, Fault::BlackHole));
        let sent = rig.queue.send(&rig.queue.letters(100)).await;
        bridge
            .metrics_when("deletes that wait", |metrics| metrics.get("deletes_pending") > 0.0)
            .await;
        bridge.stops_with(75).await;
        holes.iter().for_each(|hole| hole.off());
        let bridge = rig.bridge().await;
        // What was stored and not deleted is stored again.
        rig.finish(bridge, &sent, sent.len()).await;
    };
    let [standard, fifo] = Queue::of_each_kind().await;
    tokio::join!(run(standard), run(fifo));
}

async fn draining(bridge: &Bridge) {
    let look = || async {
        match bridge.page("healthz").await {
            Some((_, text)) if text.contains("draining") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    };
    bridge
        .process
        .ready("a bridge that stops", LATER, look)
        .await
        .expect("it says so");
}

#[tokio::test(flavor = "multi_thread")]
async fn once_told_to_stop_it_asks_for_no_more_messages() {
    let rig = linked(Queue::standard(&[]).await).await;
    let bridge = rig.healthy_bridge().await;
    rig.link().stall();
    let sent = rig.queue.send(&rig.queue.letters(300)).await;
    bridge.full().await;
    bridge.process.signal(Signal::SIGTERM).expect("it runs");
    draining(&bridge).await;
    let asked = rig.journal.calls(Operation::Receive);
    bridge.process.ended(STOPPED).await.expect("it ends in time");
    assert_eq!(rig.journal.calls(Operation::Receive), asked);
    rig.link().open();
    let bridge = rig.bridge().await;
    rig.finish(bridge, &sent, 100).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_under_load_on_a_link_that_is_cut_it_stores_nothing_twice() {
    let run = async |queue| {
        let rig = linked(queue).await;
        let sent = rig.queue.send(&rig.queue.letters(800)).await;
        for stop in 1..=4 {
            let bridge = rig.healthy_bridge().await;
            rig.stored(&bridge, stop * 100, LATER).await;
            rig.link().cut();
            bridge.stops_with(0).await;
            rig.queue.given_back().await;
        }
        let bridge = rig.bridge().await;
        rig.finish(bridge, &sent, 0).await;
    };
    let [standard, fifo] = Queue::of_each_kind().await;
    tokio::join!(run(standard), run(fifo));
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_a_long_poll_that_is_open_at_the_stop_are_not_kept() {
    let run = async |queue| {
        let rig = Rig::new(Broker::shared().await, queue).await;
        let rig = rig.set(json!({"source": {"waitTime": "20s", "visibilityTimeout": "10m"}, "drainTimeout": DRAIN}));
        let bridge = rig.healthy_bridge().await;
        let open = wait_until("an open long poll", LATER, || {
            let calls = rig.journal.calls(Operation::Receive);
            std::future::ready(if calls > 0 { Ok(()) } else { Err("none") })
        });
        open.await.expect("it asks for messages");
        bridge.process.signal(Signal::SIGTERM).expect("it runs");
        let sent = rig.queue.send(&rig.queue.letters(10)).await;
        let status = bridge.process.ended(STOPPED).await.expect("it ends in time");
        assert_eq!(status.code(), Some(0));
        let waiting = rig.queue.given_back().await;
        let stored = rig.records().await.len() as u64;
        assert_eq!(waiting + stored, sent.len() as u64);
    };
    let [standard, fifo] = Queue::of_each_kind().await;
    tokio::join!(run(standard), run(fifo));
}
