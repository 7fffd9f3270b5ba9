//! Messages that are held for longer than their visibility timeout stay the bridge's.

use std::time::Duration;

use penstock_tests::kafka::Broker;
use serde_json::json;
use tokio::time::Instant;

use penstock_tests::bridge::queue::{Queue, letters};
use penstock_tests::bridge::rig::{Rig, SOON};

#[tokio::test(flavor = "multi_thread")]
async fn while_kafka_hangs_leases_are_extended_and_nothing_is_handed_out_again() {
    const VISIBILITY: Duration = Duration::from_secs(8);
    let broker = Broker::start().await.expect("a broker of its own");
    let rig = Rig::new(&broker, Queue::standard(&[]).await).await;
    let rig = rig
        .set(json!({"source": {"visibilityTimeout": format!("{}s", VISIBILITY.as_secs())}}))
        .arguments(&["--max-in-flight", "100"]);
    let bridge = rig.healthy_bridge().await;
    broker.suspend().expect("it runs");
    let sent = rig.queue.send(&letters(300)).await;
    let full = bridge
        .metrics_when("a bridge that holds what it may", |metrics| {
            metrics.get("inflight") > 90.0
        })
        .await;
    let (held, since) = (full.get("inflight"), Instant::now());
    let extended = bridge.metrics_when("leases extended for three times their length, or one lost", |metrics| {
        let is_extended = since.elapsed() > VISIBILITY * 3 && metrics.get("lease_extended_total") >= held * 3.0;
        is_extended || metrics.get("lease_lost_total") > 0.0
    });
    assert_eq!(extended.await.get("lease_lost_total"), 0.0);
    broker.resume().expect("it runs");
    rig.queue.emptied(SOON).await;
    bridge.stops_with(0).await;
    rig.verdict(&sent).await.assert_sound(0);
    for record in rig.records().await {
        assert_eq!(
            record.header("sqs.approximate.receive.count").as_deref(),
            Some("1"),
            "{record:?}"
        );
    }
}
