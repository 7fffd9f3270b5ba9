//! A limit to the bridge's memory, as a task has one: the default settings live within it, whatever waits in the queue.

use penstock_tests::binaries::bin;
use penstock_tests::bridge::{Bridge, Letter, Queue, Rig};
use penstock_tests::cgroup::Cgroup;
use penstock_tests::kafka::Broker;
use penstock_tests::ports::free_port;
use serde_json::json;

const MEBIBYTE: usize = 1 << 20;
const LIMIT: u64 = 256 * MEBIBYTE as u64;

/// Twice what the bridge holds by default, so that it is full.
const MESSAGES: usize = 128;

/// Returns as much as a message may be.
fn largest(queue: &Queue, number: usize) -> Letter {
    let body = format!("{number:08}").repeat(MEBIBYTE / 8);
    if queue.is_fifo() {
        Letter::grouped(body, format!("customer-{}", number % 100))
    } else {
        Letter::plain(body)
    }
}

fn start(rig: &Rig<'_>, group: &Cgroup) -> Bridge {
    let port = free_port();
    let path = bin("penstock-bridge").expect("the bridge is built");
    let program = group
        .program("penstock-bridge", path)
        .envs(rig.proxy.endpoint().environment())
        .env("PENSTOCK_LISTEN", format!("127.0.0.1:{port}"))
        .env("PENSTOCK_CONNECTOR", rig.config.to_string());
    Bridge::start(program, port)
}

/// Kafka stalls until the bridge holds what it may of the largest messages, and opens; everything is handed over.
async fn lives_within(queue: Queue) {
    let Some(group) = Cgroup::with_memory(LIMIT) else {
        return;
    };
    let rig = Rig::with_topic(Broker::shared().await, queue, &[("max.message.bytes", "2097152")]).await;
    let rig = rig.linked().await.set(json!({"source": {"visibilityTimeout": "60s"}}));
    let bridge = start(&rig, &group);
    bridge.healthy().await;
    rig.link().stall();
    let letters: Vec<_> = (0..MESSAGES).map(|number| largest(&rig.queue, number)).collect();
    let sent = rig.queue.send_singly_after(&[], &letters).await;
    bridge.full().await;
    rig.link().open();
    rig.finish(bridge, &sent, 0).await;
    assert_eq!(group.kills(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_256_mib_and_the_largest_messages_it_outlives_a_stall_of_kafka_and_hands_over_everything() {
    lives_within(Queue::standard(&[]).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_256_mib_and_the_largest_messages_of_a_fifo_queue_it_outlives_a_stall_of_kafka() {
    lives_within(Queue::fifo().await).await;
}
