//! Single calls to SQS that go wrong now and then, in every way that calls go wrong: everything arrives, in order, and nothing is deleted early.

use std::time::Duration;

use penstock_tests::bridge::{LATER, Letter, Queue, Rig};
use penstock_tests::kafka::Broker;
use penstock_tests::sqs_proxy::{Entries, Fault, Operation, Refusal, When};
use serde_json::json;

/// How many messages a run moves, and how many calls in a hundred go wrong.
const MESSAGES: usize = 200;
const PERCENT: u64 = 30;

/// What a run may store twice.
#[derive(Clone, Copy)]
enum Repeats {
    /// Nothing: every message stays leased until it is deleted.
    None,
    /// What SQS itself hands out twice.
    OfTheQueue,
}

/// Moves messages on a queue of each kind while the fault meets calls of the operation.
async fn survives(operation: Operation, fault: Fault, repeats: Repeats) {
    let [standard, fifo] = Queue::of_each_kind().await;
    tokio::join!(
        survives_on(standard, operation, fault, repeats),
        survives_on(fifo, operation, fault, repeats),
    );
}

async fn survives_on(queue: Queue, operation: Operation, fault: Fault, repeats: Repeats) {
    let rig = Rig::new(Broker::shared().await, queue).await;
    // A reply that is lost hides its messages for one visibility timeout.
    let visibility = if operation == Operation::Receive { "6s" } else { "10s" };
    let rig = rig.set(json!({"source": {"visibilityTimeout": visibility}}));
    let sent = rig.queue.send(&rig.queue.letters(MESSAGES)).await;
    // The first call that meets it, whatever the dice say.
    let first = rig.proxy.rule(operation, When::Next(1), fault);
    let rule = rig.proxy.rule(operation, When::Percent(PERCENT, 1), fault);
    let bridge = rig.bridge().await;
    let most = match repeats {
        Repeats::None => 0,
        Repeats::OfTheQueue => sent.len(),
    };
    rig.finish(bridge, &sent, most).await;
    assert!(first.hits() + rule.hits() > 0, "no call met {fault:?}");
}

macro_rules! calls {
    ($($name:ident: $operation:ident, $fault:expr, $repeats:ident;)*) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                survives(Operation::$operation, $fault, Repeats::$repeats).await;
            }
        )*
    };
}

calls! {
    receive_calls_that_are_dropped_are_made_again: Receive, Fault::DropCall, None;
    messages_of_a_receive_reply_that_is_lost_come_again: Receive, Fault::DropReply, None;
    messages_of_a_receive_reply_that_breaks_off_come_again: Receive, Fault::CutReply, None;
    receive_calls_that_fail_are_made_again: Receive, Fault::Refuse(Refusal::Internal), None;
    receive_calls_that_fail_after_they_took_effect_lose_nothing: Receive, Fault::RefuseAfter(Refusal::Unavailable), None;
    messages_that_are_handed_out_twice_are_stored_at_least_once: Receive, Fault::RepeatMessages, OfTheQueue;
    deletes_that_are_dropped_are_made_again: Delete, Fault::DropCall, None;
    deletes_whose_reply_is_lost_are_made_again: Delete, Fault::DropReply, None;
    deletes_whose_reply_breaks_off_are_made_again: Delete, Fault::CutReply, None;
    deletes_that_fail_are_made_again: Delete, Fault::Refuse(Refusal::Internal), None;
    deletes_that_fail_after_they_took_effect_are_made_again: Delete, Fault::RefuseAfter(Refusal::Internal), None;
    deletes_that_are_throttled_are_made_again: Delete, Fault::Refuse(Refusal::Throttled), None;
    deletes_that_are_slow_are_waited_for: Delete, Fault::Delay(Duration::from_secs(1)), None;
    entries_of_a_delete_that_failed_are_deleted_again: Delete, Fault::FailEntries(Entries::Untouched), None;
    entries_of_a_delete_that_were_executed_and_called_failed_are_no_matter: Delete, Fault::FailEntries(Entries::Executed), None;
}

/// Groups whose messages come by the batch, so that all but the first of each wait for a delete that fails.
#[tokio::test(flavor = "multi_thread")]
async fn deletes_of_many_groups_go_on_once_they_work_again() {
    let [_, queue] = Queue::of_each_kind().await;
    let rig = Rig::new(Broker::shared().await, queue).await;
    let rig = rig.set(json!({"source": {"visibilityTimeout": "10s"}}));
    let letter = |number: usize| Letter::grouped(json!({"n": number}).to_string(), format!("customer-{}", number / 10));
    let letters: Vec<_> = (0..500).map(letter).collect();
    let sent = rig.queue.send(&letters).await;
    let throttled = Fault::Refuse(Refusal::Throttled);
    let rule = rig.proxy.rule(Operation::Delete, When::Always, throttled);
    let bridge = rig.bridge().await;
    rig.stored(&bridge, sent.len() as u64, LATER).await;
    assert!(rule.hits() > 0, "no delete was throttled");
    rule.off();
    rig.finish(bridge, &sent, 0).await;
}
