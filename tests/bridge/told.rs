//! What the bridge tells: health, metrics that add up, and no secret.

use std::fs;
use std::time::Duration;

use penstock_tests::bridge::audit::Audit;
use penstock_tests::elasticmq::ElasticMq;
use penstock_tests::kafka::{Broker, SCRAM_PASSWORD, SCRAM_USER};
use penstock_tests::ports::free_port;
use penstock_tests::process::Program;
use penstock_tests::{unique, wait_until};
use serde_json::{Value, json};

use penstock_tests::bridge::queue::{Letter, Queue, letters};
use penstock_tests::bridge::rig::{Bridge, LATER, Rig, SOON, program};

/// How often a bridge is scraped whose figures are the matter.
const OFTEN: Duration = Duration::from_millis(20);

async fn asked(port: u16) -> (Option<i32>, String) {
    let health = program(ElasticMq::shared().await.endpoint(), port).arg("health");
    let (status, said) = health.run(SOON).await.expect("it answers");
    (status.code(), said)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_health_command_tells_a_bridge_that_works_from_one_that_does_not() {
    let rig = Rig::new(Broker::shared().await, Queue::standard(&[]).await).await;
    let bridge = rig.healthy_bridge().await;
    let (code, said) = asked(bridge.port).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("\"phase\":\"running\""), "{said}");
    bridge.stops_with(0).await;
    let (code, said) = asked(bridge.port).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("no bridge answers"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_that_waits_for_kafka_is_not_healthy_and_stops_when_told() {
    let rig = Rig::new(Broker::shared().await, Queue::standard(&[]).await).await;
    let nobody = format!("127.0.0.1:{}", free_port());
    let bridge = rig.set(json!({"kafka": {"bootstrapServers": [nobody]}})).bridge().await;
    let waits = wait_until("a server that says it waits", SOON, || async {
        match asked(bridge.port).await {
            (Some(1), said) if said.contains("starting") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    waits.await.expect("it says so");
    bridge.stops_with(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_every_scrape_received_is_what_became_of_it() {
    let settings = [("max.message.bytes", "50000")];
    let rig = Rig::with_topic(Broker::shared().await, Queue::standard(&[]).await, &settings).await;
    let rig = rig.arguments(&["--max-in-flight", "200"]);
    let mut letters = letters(6_000);
    for poison in letters.iter_mut().step_by(500) {
        *poison = Letter::plain("poison ".repeat(10_000));
    }
    let sent = rig.queue.send(&letters).await;
    let bridge = rig.bridge().await;
    let audit = Audit::begin(bridge.port, OFTEN);
    rig.stored(&bridge, 2_000, LATER).await;
    let busy = wait_until("scrapes that found it at work", SOON, || {
        let seen = audit.seen();
        std::future::ready(if seen.busy > 10 {
            Ok(())
        } else {
            Err(format!("{seen:?}"))
        })
    });
    busy.await.expect("it is scraped while it works");
    // What is held at the stop is given back, which must add up too.
    bridge.stops_with(0).await;
    let seen = audit.seen();
    assert!(seen.most_in_flight <= 200.0, "more is held than may be: {seen:?}");
    let bridge = rig.bridge().await;
    let audit = Audit::begin(bridge.port, OFTEN);
    rig.queue.emptied(LATER).await;
    assert!(audit.seen().scrapes > 0);
    bridge.stops_with(0).await;
    rig.verdict(&sent).await.assert_sound(0);
    assert_eq!(rig.dead().await.len(), 12);
}

fn scram(broker: &Broker) -> Value {
    let reference = |key: &str| json!({"secret": "kafka", "key": key});
    json!({
        "bootstrapServers": [broker.sasl_bootstrap()],
        "security": {"scram": {"username": reference("username"), "password": reference("password"), "tls": false}},
    })
}

fn with_password(program: Program, config: &Value, password: &str) -> Program {
    program
        .env("PENSTOCK_CONNECTOR", config.to_string())
        .env("PENSTOCK_KAFKA_USERNAME", SCRAM_USER)
        .env("PENSTOCK_KAFKA_PASSWORD", password)
        .env("PENSTOCK_LOG", "debug")
}

/// Everything that anybody may read of a process.
async fn said(bridge: &Bridge) -> String {
    let pages = [bridge.page("metrics").await, bridge.page("healthz").await];
    let pages: Vec<String> = pages.into_iter().flatten().map(|(_, text)| text).collect();
    let arguments = fs::read_to_string(format!("/proc/{}/cmdline", bridge.process.pid())).unwrap_or_default();
    assert!(pages.len() == 2 && !arguments.is_empty(), "the bridge does not answer");
    format!("{}{arguments}{}", pages.concat(), bridge.process.log_text())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_used_and_never_told() {
    let mut rig = Rig::new(Broker::shared().await, Queue::standard(&[]).await).await;
    rig.config["kafka"] = scram(rig.broker);
    let port = free_port();
    let bridge = Bridge::start(with_password(rig.program(port), &rig.config, SCRAM_PASSWORD), port);
    let sent = rig.queue.send(&letters(50)).await;
    bridge.healthy().await;
    rig.queue.emptied(SOON).await;
    assert!(
        !said(&bridge).await.contains(SCRAM_PASSWORD),
        "see {}",
        bridge.process.log().display()
    );
    bridge.stops_with(0).await;
    assert!(!bridge.process.log_text().contains(SCRAM_PASSWORD));
    rig.verdict(&sent).await.assert_sound(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_complained_of_without_being_told() {
    let mut rig = Rig::new(Broker::shared().await, Queue::standard(&[]).await).await;
    rig.config["kafka"] = scram(rig.broker);
    let (canary, port) = (unique("canary"), free_port());
    let bridge = Bridge::start(with_password(rig.program(port), &rig.config, &canary), port);
    let complains = wait_until("a complaint about the password", SOON, || {
        let log = bridge.process.log_text();
        std::future::ready(if log.contains("uthentication") {
            Ok(())
        } else {
            Err(log)
        })
    });
    complains.await.expect("it complains");
    assert!(
        !said(&bridge).await.contains(&canary),
        "see {}",
        bridge.process.log().display()
    );
    bridge.stops_with(0).await;
}
