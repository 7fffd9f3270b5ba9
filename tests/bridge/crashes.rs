//! SIGKILL: nothing is lost, and what comes twice is at most what was held.

use std::time::Duration;

use penstock_tests::kafka::Broker;
use serde_json::json;

use penstock_tests::bridge::queue::{Queue, letters, letters_in_groups};
use penstock_tests::bridge::rig::{Rig, SOON};

/// What a bridge that is killed may have stored and not deleted.
const MAX_IN_FLIGHT: usize = 200;

/// Kills one bridge after the other, each as the topic has grown by `step` records, and lets a last one finish.
async fn kill_again_and_again(rig: &Rig<'_>, kills: u64, step: u64) {
    for kill in 1..=kills {
        let bridge = rig.bridge().await;
        rig.stored(&bridge, kill * step, SOON).await;
        bridge.process.kill().await.expect("it is gone");
    }
    let bridge = rig.bridge().await;
    rig.queue.emptied(Duration::from_secs(120)).await;
    bridge.stops_with(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_message_deleted_before_it_was_stored_would_be_noticed() {
    let rig = Rig::new(Broker::shared().await, Queue::standard(&[]).await).await;
    let sent = rig.queue.send(&letters(100)).await;
    let lost = rig.queue.lose_one().await;
    let bridge = rig.bridge().await;
    rig.queue.emptied(SOON).await;
    bridge.stops_with(0).await;
    assert_eq!(rig.verdict(&sent).await.lost, [lost]);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_twenty_times_over_fifty_thousand_messages_it_loses_none() {
    const KILLS: usize = 20;
    let rig = Rig::new(Broker::shared().await, Queue::standard(&[]).await).await;
    let rig = rig.set(json!({"source": {"visibilityTimeout": "10s", "receivers": 8}}));
    let rig = rig.arguments(&["--max-in-flight", &MAX_IN_FLIGHT.to_string()]);
    let sent = rig.queue.send(&letters(50_000)).await;
    kill_again_and_again(&rig, KILLS as u64, 2_400).await;
    let verdict = rig.verdict(&sent).await;
    eprintln!("{} duplicates after {KILLS} kills", verdict.duplicates);
    verdict.assert_sound(KILLS * MAX_IN_FLIGHT);
    let records = rig.records().await;
    let came_back = records
        .iter()
        .filter(|record| record.header("sqs.approximate.receive.count").as_deref() != Some("1"));
    assert!(came_back.count() > 0, "no kill met a bridge that held a message");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_over_a_fifo_queue_it_keeps_the_order_of_first_copies() {
    const KILLS: usize = 4;
    let rig = Rig::new(Broker::shared().await, Queue::fifo().await).await;
    let rig = rig.set(json!({"source": {"visibilityTimeout": "5s"}}));
    let rig = rig.arguments(&["--max-in-flight", &MAX_IN_FLIGHT.to_string()]);
    let sent = rig.queue.send(&letters_in_groups(1_000, 20)).await;
    kill_again_and_again(&rig, KILLS as u64, 200).await;
    rig.verdict(&sent).await.assert_sound(KILLS * MAX_IN_FLIGHT);
}
