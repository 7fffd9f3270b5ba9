//! Calls and connections that hang: no call waits for ever, and a part that gets nothing done says so.

use std::sync::Arc;

use penstock_tests::bridge::{Bridge, LATER, Queue, Rig};
use penstock_tests::kafka::Broker;
use penstock_tests::sqs_proxy::{Fault, Operation, Rule, When};
use penstock_tests::wait_until;
use serde_json::{Value, json};

/// One call of the operation hangs; everything arrives, and nothing twice.
async fn outlives(queue: Queue, operation: Operation, fault: Fault) {
    let rig = Rig::new(Broker::shared().await, queue).await;
    // Longer than any call may take, so that every lease outlasts the call that hangs.
    let rig = rig.set(json!({"source": {"visibilityTimeout": "60s"}}));
    let bridge = rig.healthy_bridge().await;
    let hung = rig.proxy.rule(operation, When::Next(1), fault);
    let sent = rig.queue.send(&rig.queue.letters(200)).await;
    met(&hung).await;
    rig.finish(bridge, &sent, 0).await;
}

async fn met(rule: &Arc<Rule>) {
    let met = wait_until("a call that hangs", LATER, || {
        std::future::ready(if rule.hits() > 0 { Ok(()) } else { Err("none") })
    });
    met.await.expect("the call is made");
}

macro_rules! hangs {
    ($($name:ident: $operation:ident, $fault:ident;)*) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                let [standard, fifo] = Queue::of_each_kind().await;
                tokio::join!(
                    outlives(standard, Operation::$operation, Fault::$fault),
                    outlives(fifo, Operation::$operation, Fault::$fault),
                );
            }
        )*
    };
}

hangs! {
    a_receive_call_that_is_never_answered_is_given_up: Receive, BlackHole;
    a_receive_call_on_a_connection_that_hangs_is_given_up: Receive, HalfOpen;
    a_delete_that_is_never_answered_is_made_again: Delete, BlackHole;
    a_delete_on_a_connection_that_hangs_is_made_again: Delete, HalfOpen;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_every_connection_hangs_at_once_new_ones_are_made() {
    let run = async |queue| {
        let rig = Rig::new(Broker::shared().await, queue).await;
        let rig = rig.set(json!({"source": {"visibilityTimeout": "60s"}}));
        let bridge = rig.healthy_bridge().await;
        let sent = rig.queue.send(&rig.queue.letters(400)).await;
        rig.stored(&bridge, 50, LATER).await;
        rig.proxy.freeze();
        rig.finish(bridge, &sent, 0).await;
    };
    let [standard, fifo] = Queue::of_each_kind().await;
    tokio::join!(run(standard), run(fifo));
}

/// Kafka stalls for longer than the visibility timeout, and one call that extends leases hangs.
async fn keeps_its_leases(queue: Queue, fault: Fault) {
    let rig = Rig::new(Broker::shared().await, queue).await.linked().await;
    let rig = rig
        .set(json!({"source": {"visibilityTimeout": "10s"}}))
        .arguments(&["--max-in-flight", "50"]);
    let bridge = rig.healthy_bridge().await;
    rig.link().stall();
    let hung = rig.proxy.rule(Operation::ChangeVisibility, When::Next(1), fault);
    let sent = rig.queue.send(&rig.queue.letters(60)).await;
    let held = bridge.full().await.get("inflight");
    met(&hung).await;
    let extended = bridge.metrics_when("every lease extended twice, or one lost", |metrics| {
        metrics.get("lease_extended_total") >= held * 2.0 || metrics.get("lease_lost_total") > 0.0
    });
    assert_eq!(extended.await.get("lease_lost_total"), 0.0);
    rig.link().open();
    rig.finish(bridge, &sent, 0).await;
    assert_eq!(rig.most_handouts(), 1, "a message was handed out again");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_extension_that_is_never_answered_costs_no_lease() {
    let [standard, fifo] = Queue::of_each_kind().await;
    tokio::join!(
        keeps_its_leases(standard, Fault::BlackHole),
        keeps_its_leases(fifo, Fault::BlackHole)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_extension_on_a_connection_that_hangs_costs_no_lease() {
    let [standard, fifo] = Queue::of_each_kind().await;
    tokio::join!(
        keeps_its_leases(standard, Fault::HalfOpen),
        keeps_its_leases(fifo, Fault::HalfOpen)
    );
}

/// Waits until health is red and names the part.
async fn red(bridge: &Bridge, part: &str) {
    let look = || async {
        let (status, text) = bridge.page("healthz").await.ok_or_else(|| "no answer".to_owned())?;
        let said: Value = serde_json::from_str(&text).unwrap_or_default();
        let stalled = said["parts"]
            .as_array()
            .is_some_and(|parts| parts.iter().any(|one| one["part"] == part && one["stalled"] == true));
        if status != 200 && stalled { Ok(()) } else { Err(text) }
    };
    bridge
        .process
        .ready(&format!("red health for {part}"), LATER, look)
        .await
        .expect("it says that it stands still");
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledgements_that_stay_away_until_the_sink_is_begun_anew_cost_no_second_copy() {
    let run = async |queue| {
        let rig = Rig::new(Broker::shared().await, queue).await.linked().await;
        let rig = rig.set(json!({"source": {"visibilityTimeout": "60s"}}));
        let bridge = rig.healthy_bridge().await;
        let first = rig.queue.send(&rig.queue.letters(100)).await;
        rig.queue.emptied(LATER).await;
        rig.link().hold_answers();
        let more = rig.queue.send_after(&first, &rig.queue.letters(300)).await;
        assert!(rig.stored_unheard(&bridge, 400, LATER).await);
        red(&bridge, "send").await;
        rig.link().open();
        let sent: Vec<_> = first.into_iter().chain(more).collect();
        rig.finish(bridge, &sent, 0).await;
    };
    let [standard, fifo] = Queue::of_each_kind().await;
    tokio::join!(run(standard), run(fifo));
}

/// Nothing that the part does gets done, until it is let go again.
async fn says_that_it_stands_still(part: &str, operation: Operation) {
    let rig = Rig::new(Broker::shared().await, Queue::standard(&[]).await).await;
    let bridge = rig.healthy_bridge().await;
    let stall = rig.proxy.rule(operation, When::Always, Fault::BlackHole);
    let sent = rig.queue.send(&rig.queue.letters(50)).await;
    red(&bridge, part).await;
    stall.off();
    bridge.healthy().await;
    rig.finish(bridge, &sent, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_gets_nothing_done_turns_health_red_and_green_again() {
    let sending = async {
        let rig = Rig::new(Broker::shared().await, Queue::standard(&[]).await)
            .await
            .linked()
            .await;
        let bridge = rig.healthy_bridge().await;
        rig.link().stall();
        let sent = rig.queue.send(&rig.queue.letters(50)).await;
        red(&bridge, "send").await;
        rig.link().open();
        bridge.healthy().await;
        rig.finish(bridge, &sent, 0).await;
    };
    tokio::join!(
        sending,
        says_that_it_stands_still("receive", Operation::Receive),
        says_that_it_stands_still("settle", Operation::Delete),
    );
}
