//! A stall of Kafka while the largest messages wait, outlived within the memory that a small task has.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, interval, sleep_until};

use super::queue::Queue;
use super::rig::{Bridge, Rig, program_from};
use crate::binaries::bin;
use crate::cgroup::Cgroup;
use crate::kafka::Broker;
use crate::ports::free_port;

/// What the kernel lets the bridge have, in MiB. The smallest task of Fargate has 512.
pub const LIMIT_MEBIBYTES: u64 = 256;

/// How many of the largest messages wait: twice what the bridge holds by default, so that it is full.
pub const MESSAGES: usize = 128;

/// Kafka stalls until the bridge holds what it may of the largest messages, and for as long as `length` at least. Then everything is handed over.
/// Returns the most memory that was resident, in bytes; nothing where this machine gives no control group to us, which is said.
///
/// # Panics
/// When anything is lost, altered, out of order, deleted too early or stored twice, or the kernel killed the bridge.
pub async fn outlive(broker: &Broker, queue: Queue, length: Duration) -> Option<u64> {
    let group = Cgroup::with_memory(LIMIT_MEBIBYTES << 20)?;
    let rig = Rig::with_topic(broker, queue, &[("max.message.bytes", "2097152")]).await;
    let rig = rig.linked().await.set(json!({"source": {"visibilityTimeout": "60s"}}));
    let port = free_port();
    let path = bin("penstock-bridge").expect("the bridge is built");
    let program = program_from(group.program("penstock-bridge", path), rig.proxy.endpoint(), port);
    let bridge = Bridge::start(program.env("PENSTOCK_CONNECTOR", rig.config.to_string()), port);
    bridge.healthy().await;
    let letters = rig.queue.largest_letters(MESSAGES);
    let work = async {
        rig.link().stall();
        let opens = Instant::now() + length;
        let sent = rig.queue.send_singly_after(&[], &letters).await;
        bridge.full().await;
        sleep_until(opens).await;
        rig.link().open();
        rig.queue.emptied(super::LATER).await;
        sent
    };
    let (peak, sent) = peak_during(&bridge, work).await;
    rig.finish(bridge, &sent, 0).await;
    assert_eq!(group.kills(), 0, "the kernel killed the bridge");
    Some(peak)
}

/// Returns the most memory that the bridge had while `work` went on, in bytes.
pub async fn peak_during<T>(bridge: &Bridge, work: impl Future<Output = T>) -> (u64, T) {
    let peak = AtomicU64::new(0);
    let watching = async {
        let mut pause = interval(Duration::from_millis(20));
        loop {
            pause.tick().await;
            peak.fetch_max(bridge.resident_bytes().unwrap_or_default(), Ordering::Relaxed);
        }
    };
    tokio::select! {
        () = watching => unreachable!("it goes on for ever"),
        outcome = work => (peak.load(Ordering::Relaxed), outcome),
    }
}
