//! Two bridges on one queue: groups keep their order, and one takes over what the other left.

use nix::sys::signal::Signal;
use penstock_tests::bridge::{LATER, Queue, Rig};
use penstock_tests::kafka::Broker;
use serde_json::json;

/// What a bridge that is killed may have stored and not deleted.
const MAX_IN_FLIGHT: usize = 100;

async fn pair(queue: Queue) -> Rig<'static> {
    let rig = Rig::new(Broker::shared().await, queue).await;
    rig.set(json!({"source": {"visibilityTimeout": "5s"}}))
        .arguments(&["--max-in-flight", &MAX_IN_FLIGHT.to_string()])
}

#[tokio::test(flavor = "multi_thread")]
async fn two_bridges_on_one_queue_keep_the_order_of_groups_and_repeat_nothing() {
    let run = async |queue| {
        let rig = pair(queue).await;
        let other = rig.bridge().await;
        let bridge = rig.bridge().await;
        let sent = rig.queue.send(&rig.queue.letters(1_000)).await;
        rig.queue.emptied(LATER).await;
        other.stops_with(0).await;
        rig.finish(bridge, &sent, 0).await;
    };
    let [standard, fifo] = Queue::of_each_kind().await;
    tokio::join!(run(standard), run(fifo));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_takes_over_from_one_that_is_killed_again_and_again() {
    const KILLS: u64 = 3;
    let run = async |queue| {
        let rig = pair(queue).await;
        let bridge = rig.bridge().await;
        let sent = rig.queue.send(&rig.queue.letters(1_500)).await;
        for kill in 1..=KILLS {
            let victim = rig.bridge().await;
            rig.stored(&victim, kill * 300, LATER).await;
            victim.process.kill().await.expect("it is gone");
        }
        rig.finish(bridge, &sent, KILLS as usize * MAX_IN_FLIGHT).await;
    };
    let [standard, fifo] = Queue::of_each_kind().await;
    tokio::join!(run(standard), run(fifo));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_that_wakes_up_after_its_leases_ran_out_breaks_no_order() {
    let run = async |queue| {
        let rig = pair(queue).await;
        let sleeper = rig.bridge().await;
        let sent = rig.queue.send(&rig.queue.letters(1_500)).await;
        rig.stored(&sleeper, 100, LATER).await;
        sleeper.process.signal(Signal::SIGSTOP).expect("it runs");
        let bridge = rig.bridge().await;
        // Only what the sleeper held can be missing, and only its leases hide that: when all is there, they have run out.
        rig.queue.emptied(LATER).await;
        sleeper.process.signal(Signal::SIGCONT).expect("it sleeps");
        assert!(matches!(sleeper.stop().await, Some(0 | 75)));
        rig.finish(bridge, &sent, MAX_IN_FLIGHT).await;
    };
    let [standard, fifo] = Queue::of_each_kind().await;
    tokio::join!(run(standard), run(fifo));
}
