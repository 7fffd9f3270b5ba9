//! Names that stop resolving are waited for, and nothing is lost. The outage of SQS is said once; Kafka's client says its own again every so often.
//!
//! A name is looked up only for a new connection, so those that are open are cut as the names go.

use std::cell::Cell;
use std::sync::Arc;

use penstock_tests::bridge::{Bridge, LATER, Queue, Rig};
use penstock_tests::kafka::Broker;
use penstock_tests::names::Names;
use penstock_tests::ports::free_port;
use penstock_tests::sqs_proxy::{Fault, Operation, Rule, When};
use penstock_tests::wait_until;
use serde_json::json;

const SQS: &str = "sqs.penstock.test";
const KAFKA: &str = "kafka.penstock.test";

/// How many calls fail without reaching the queue, so that no connection is left which needs no name.
const UNREACHED: f64 = 4.0;
/// How many lines the outage of SQS may cost: one for each part that notices, and once more when a call that was open before works meanwhile.
const LINES: usize = 4;

/// Returns names that can be forgotten, where the machine lets us.
async fn names() -> Option<Names> {
    Names::told(&[SQS, KAFKA]).await.expect("unshare and mount run")
}

/// Joins a queue to topics of a broker, both of which the bridge knows by name alone.
async fn named(broker: &Broker, queue: Queue) -> Rig<'_> {
    let rig = Rig::new(broker, queue).await.linked().await;
    let by_name = |address: &str, name: &str| address.replace("127.0.0.1", name);
    let (kafka, queue_url) = (
        by_name(&rig.link().bootstrap(), KAFKA),
        by_name(&rig.proxy.queue_url(&rig.queue.url), SQS),
    );
    rig.set(
        json!({"kafka": {"bootstrapServers": [kafka]}, "source": {"queueUrl": queue_url, "visibilityTimeout": "10m"}}),
    )
}

fn start(rig: &Rig<'_>, names: &Names) -> Bridge {
    let port = free_port();
    let endpoint = rig.proxy.endpoint();
    let program = names.ours("penstock-bridge").expect("the bridge is built");
    let program = program
        .envs(endpoint.environment())
        .env("AWS_ENDPOINT_URL", endpoint.url().replace("127.0.0.1", SQS))
        .env("PENSTOCK_LISTEN", format!("127.0.0.1:{port}"))
        .env("PENSTOCK_CONNECTOR", rig.config.to_string());
    Bridge::start(program, port)
}

/// Returns how many lines say that calls to SQS fail.
fn lines(bridge: &Bridge) -> usize {
    let log = bridge.process.log_text();
    log.matches("it is tried again until it works").count()
}

/// Waits until calls to SQS fail that meet none of the rules, and Kafka's client misses its broker's name. It remembers for a second where that led,
/// so its connection is cut again until then.
async fn missed(rig: &Rig<'_>, bridge: &Bridge, cuts: &[Arc<Rule>]) {
    let last = Cell::new((0, 0.0));
    let unreached = bridge.metrics_when("names that are missed", |metrics| {
        let (hits, errors) = (
            cuts.iter().map(|cut| cut.hits()).sum(),
            metrics.get("source_errors_total"),
        );
        if hits != last.get().0 {
            last.set((hits, errors));
        }
        let is_resolved = !bridge.process.log_text().contains("Failed to resolve");
        if is_resolved {
            rig.link().cut();
        }
        !is_resolved && errors >= last.get().1 + UNREACHED
    });
    unreached.await;
}

/// Both names are forgotten while messages are held, without which Kafka's client would have no need to connect, and told again.
async fn outlasts(broker: &Broker, names: &Names, queue: Queue) {
    let rig = named(broker, queue).await;
    let bridge = start(&rig, names);
    bridge.healthy().await;
    rig.link().stall();
    let sent = rig.queue.send(&rig.queue.letters(100)).await;
    bridge.full().await;
    names.forget().expect("the hosts are written");
    let cuts = [Operation::Receive, Operation::Delete]
        .map(|operation| rig.proxy.rule(operation, When::Always, Fault::DropCall));
    missed(&rig, &bridge, &cuts).await;
    let (lines, log) = (lines(&bridge), bridge.process.log().display().to_string());
    assert!((1..=LINES).contains(&lines), "{lines} lines about one outage in {log}");
    cuts.iter().for_each(|cut| cut.off());
    rig.link().open();
    names.tell().expect("the hosts are written");
    rig.finish(bridge, &sent, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_stop_resolving_are_waited_for_and_nothing_is_lost() {
    let (Some(one), Some(other)) = (names().await, names().await) else {
        return;
    };
    let broker = Broker::start_called(KAFKA).await.expect("a broker of its own");
    let [standard, fifo] = Queue::of_each_kind().await;
    tokio::join!(outlasts(&broker, &one, standard), outlasts(&broker, &other, fifo));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_that_starts_before_its_names_resolve_waits_for_them() {
    let Some(names) = names().await else { return };
    let broker = Broker::start_called(KAFKA).await.expect("a broker of its own");
    let rig = named(&broker, Queue::standard(&[]).await).await;
    names.forget().expect("the hosts are written");
    let bridge = start(&rig, &names);
    let sent = rig.queue.send(&rig.queue.letters(100)).await;
    let complains = wait_until("a word about either name", LATER, || {
        let log = bridge.process.log_text();
        let said = ["failed to lookup address", KAFKA]
            .iter()
            .all(|words| log.contains(words));
        std::future::ready(if said { Ok(()) } else { Err(log) })
    });
    complains.await.expect("it says what it misses");
    names.tell().expect("the hosts are written");
    bridge.healthy().await;
    rig.finish(bridge, &sent, 0).await;
}
