//! Memory stays within the base and twice the buffer's limit, whatever comes in and whatever Kafka does.

use penstock_tests::bridge::queue::letters;
use penstock_tests::bridge::stall::peak_during;
use penstock_tests::bridge::{LATER, Queue, Rig, SOON};
use penstock_tests::kafka::Broker;
use serde_json::json;

const MEBIBYTE: u64 = 1 << 20;
const BUFFER: u64 = 16 * MEBIBYTE;

/// Many small messages pass, then the link stalls and the largest come, or they come while it works.
async fn stays_within(queue: Queue, stalled: bool) {
    let settings = [("max.message.bytes", "2097152")];
    let rig = Rig::with_topic(Broker::shared().await, queue, &settings).await;
    let rig = rig
        .linked()
        .await
        .set(json!({"source": {"receivers": 8}}))
        .arguments(&["--max-buffer-bytes", &BUFFER.to_string()]);
    let bridge = rig.healthy_bridge().await;
    let mut sent = rig.queue.send(&rig.queue.letters(500)).await;
    rig.queue.emptied(SOON).await;
    let base = bridge.resident_bytes().expect("it runs");
    if stalled {
        rig.link().stall();
    }
    let letters = rig.queue.largest_letters(60);
    let work = async {
        let large = rig.queue.send_singly_after(&sent, &letters).await;
        if stalled {
            bridge.full().await;
            rig.link().open();
        }
        rig.queue.emptied(LATER).await;
        large
    };
    let (peak, large) = peak_during(&bridge, work).await;
    sent.extend(large);
    rig.finish(bridge, &sent, 0).await;
    let over = (peak.saturating_sub(base)) / MEBIBYTE;
    eprintln!("{over} MiB over a base of {} MiB, buffer 16 MiB", base / MEBIBYTE);
    assert!(peak <= base + 2 * BUFFER, "{over} MiB over the base");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_largest_messages_and_kafka_stalled_memory_stays_within_its_bound() {
    stays_within(Queue::standard(&[]).await, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_largest_messages_of_a_fifo_queue_and_kafka_stalled_memory_stays_within_its_bound() {
    stays_within(Queue::fifo().await, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_from_small_to_the_largest_messages_stays_within_its_bound() {
    stays_within(Queue::standard(&[]).await, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_held_is_given_back_when_it_is_gone() {
    let rig = Rig::new(Broker::shared().await, Queue::standard(&[]).await).await;
    let bridge = rig.healthy_bridge().await;
    let sent = rig.queue.send(&letters(3_000)).await;
    rig.queue.emptied(LATER).await;
    let idle = |metrics: &penstock_tests::bridge::audit::Metrics| {
        ["inflight", "deletes_pending", "buffered_bytes"]
            .iter()
            .all(|name| metrics.get(name) == 0.0)
    };
    bridge.metrics_when("a bridge that holds nothing", idle).await;
    rig.finish(bridge, &sent, 0).await;
}
