//! What passes by itself or is mended from outside while the bridge runs: said once, waited out, recovered from.

use std::time::Duration;

use penstock_tests::binaries::ours;
use penstock_tests::bridge::{Bridge, LATER, Queue, Rig};
use penstock_tests::credentials::Credentials;
use penstock_tests::kafka::Broker;
use penstock_tests::ports::free_port;
use penstock_tests::sqs_proxy::{Fault, Operation, Refusal, When};
use penstock_tests::{clock, wait_until};
use serde_json::json;

/// How many calls fail before it is over. The pauses between them grow to many seconds.
const REFUSALS: u64 = 8;
/// How many lines such an outage may cost: one for each part that notices, and once more when a call that was open before it works meanwhile.
const COMPLAINTS: usize = 4;

/// Every receive call is refused for a while, and so is every delete of what a call brings that was open before.
async fn outlasts(queue: Queue, refusal: Refusal) {
    let rig = Rig::new(Broker::shared().await, queue).await;
    let bridge = rig.healthy_bridge().await;
    let before = bridge.complaints();
    let fault = Fault::Refuse(refusal);
    let rules = [Operation::Delete, Operation::Receive].map(|operation| rig.proxy.rule(operation, When::Always, fault));
    let mut sent = rig.queue.send(&rig.queue.letters(100)).await;
    let met = wait_until("refused calls, and a word about them", LATER, || {
        let hits: u64 = rules.iter().map(|rule| rule.hits()).sum();
        let said = hits >= REFUSALS && bridge.complaints() > before;
        std::future::ready(if said { Ok(()) } else { Err(hits) })
    });
    met.await.expect("calls are made again, and it says so");
    let complaints = bridge.complaints() - before;
    assert!(
        complaints <= COMPLAINTS,
        "{complaints} lines about one outage in {}",
        bridge.process.log().display()
    );
    rules.iter().for_each(|rule| rule.off());
    let more = rig.queue.send_after(&sent, &rig.queue.letters(100)).await;
    sent.extend(more);
    rig.finish(bridge, &sent, 0).await;
}

macro_rules! outages {
    ($($name:ident: $refusal:ident;)*) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                let [standard, fifo] = Queue::of_each_kind().await;
                tokio::join!(outlasts(standard, Refusal::$refusal), outlasts(fifo, Refusal::$refusal));
            }
        )*
    };
}

outages! {
    throttling_is_said_once_and_waited_out: Throttled;
    too_many_messages_in_flight_are_said_once_and_waited_out: OverLimit;
    a_queue_missing_by_the_older_code_is_said_once_and_waited_for: NonExistentQueue;
    a_queue_missing_by_the_newer_code_is_said_once_and_waited_for: QueueDoesNotExist;
    an_expired_token_is_said_once_and_waited_out: ExpiredToken;
    denied_access_is_said_once_and_waited_out: AccessDenied;
    a_service_that_is_unavailable_is_said_once_and_waited_out: Unavailable;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_is_deleted_and_made_again_is_read_again() {
    let run = async |queue| {
        let rig = Rig::new(Broker::shared().await, queue).await;
        let bridge = rig.healthy_bridge().await;
        let mut sent = rig.queue.send(&rig.queue.letters(100)).await;
        rig.queue.emptied(LATER).await;
        rig.queue.remove().await;
        bridge
            .metrics_when("calls that miss the queue", |metrics| {
                metrics.get("source_errors_total") >= 2.0
            })
            .await;
        rig.queue.make().await;
        let more = rig.queue.send_after(&sent, &rig.queue.letters(100)).await;
        sent.extend(more);
        rig.finish(bridge, &sent, 0).await;
    };
    let [standard, fifo] = Queue::of_each_kind().await;
    tokio::join!(run(standard), run(fifo));
}

/// Starts a bridge that has the credentials of a task.
fn with_task_credentials(rig: &Rig<'_>, credentials: &Credentials) -> Bridge {
    let port = free_port();
    let mut environment = rig.proxy.endpoint().environment();
    environment.retain(|(name, _)| !matches!(*name, "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY"));
    let program = ours("penstock-bridge").expect("the bridge is built").envs(environment);
    let program = program
        .env("AWS_CONTAINER_CREDENTIALS_FULL_URI", credentials.url())
        .env("PENSTOCK_LISTEN", format!("127.0.0.1:{port}"))
        .env("PENSTOCK_CONNECTOR", rig.config.to_string());
    Bridge::start(program, port)
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_of_a_task_are_replaced_before_they_expire() {
    let credentials = Credentials::start(Duration::from_secs(20)).await.expect("a server");
    let rig = Rig::new(Broker::shared().await, Queue::standard(&[]).await).await;
    let bridge = with_task_credentials(&rig, &credentials);
    bridge.healthy().await;
    let mut sent = rig.queue.send(&rig.queue.letters(50)).await;
    let replaced = wait_until("an expired key and its successor's successor", LATER, || {
        let (issued, now) = (credentials.issued(), clock::now());
        let expired: Vec<_> = issued.iter().filter(|key| key.until <= now).collect();
        expired.iter().for_each(|key| rig.proxy.expire(&key.id));
        let enough = !expired.is_empty() && issued.len() >= 3;
        std::future::ready(if enough { Ok(()) } else { Err(format!("{issued:?}")) })
    });
    replaced.await.expect("keys are replaced");
    let more = rig.queue.send_after(&sent, &rig.queue.letters(50)).await;
    sent.extend(more);
    rig.queue.emptied(LATER).await;
    let metrics = bridge.metrics().await.expect("it answers");
    assert_eq!(metrics.get("source_errors_total"), 0.0, "no call used an expired key");
    rig.finish(bridge, &sent, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_void_before_its_time_is_replaced() {
    let credentials = Credentials::start(Duration::from_secs(3600)).await.expect("a server");
    let rig = Rig::new(Broker::shared().await, Queue::standard(&[]).await).await;
    let bridge = with_task_credentials(&rig, &credentials);
    bridge.healthy().await;
    for key in credentials.issued() {
        rig.proxy.expire(&key.id);
    }
    let sent = rig.queue.send(&rig.queue.letters(50)).await;
    rig.finish(bridge, &sent, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_a_group_that_sqs_repeats_is_stored_once() {
    let rig = Rig::new(Broker::shared().await, Queue::fifo().await).await;
    let bridge = rig.healthy_bridge().await;
    let sent = rig.queue.send(&rig.queue.letters(10)).await;
    rig.queue.emptied(LATER).await;
    let repeated = rig.proxy.rule(Operation::Receive, When::Next(3), Fault::RepeatMessages);
    let again = bridge.metrics_when("repeated messages", |metrics| {
        repeated.hits() == 3 && metrics.get("records_in_total") > sent.len() as f64 && metrics.get("inflight") == 0.0
    });
    again.await;
    rig.finish(bridge, &sent, 0).await;
    assert!(
        json!(rig.journal.handouts()).to_string().contains(":4"),
        "repeated thrice"
    );
}
