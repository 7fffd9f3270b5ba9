use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use penstock_crds::ConnectorSpec;
use tokio::time::Instant;

use super::*;
use crate::cloud::fake::Fake;
use crate::journal;
use crate::memory::{Change, Memory};
use crate::observe::Observer;
use crate::orphans::{Orphans, Sighting};
use crate::plan::accept::accept;
use crate::plan::resources::{QueueDepth, ServiceLife};
use crate::reconcile::QUEUE_LIMIT;
use crate::samples::{home, orders_spec, owner, wanted};
use crate::telemetry::Metrics;

/// Brokers that take nothing: rounds write nothing themselves.
#[derive(Default)]
struct NoBroker;

impl Journal for NoBroker {
    async fn publish(&self, _: &Name, _: &Change) -> Result<(), journal::Error> {
        Err(journal::Error::Write("no broker".to_owned()))
    }
}

fn noon() -> Timestamp {
    Timestamp::from_second(1_800_000_000).expect("in range")
}

fn context(remembered: BTreeMap<Name, Remembered>) -> Context<Fake, NoBroker> {
    let cloud = Arc::new(Fake::default());
    Context {
        observer: Observer::start(Arc::clone(&cloud)),
        cloud,
        journal: NoBroker,
        memory: Memory::new(remembered),
        owner: owner(),
        home: home(),
        orphans: Orphans::default(),
        metrics: Metrics::default(),
        now: noon,
        audit_period: Duration::from_secs(60),
    }
}

fn around() -> Surroundings {
    Surroundings {
        owner: owner(),
        home: home(),
        container_insights: false,
    }
}

fn name(text: &str) -> Name {
    text.parse().expect("a sound name")
}

/// A queue of that name, in the account and region of the tests or in another region.
fn queue_url(region: &str, name: &str) -> String {
    format!("https://sqs.{region}.amazonaws.com/123456789012/{name}")
}

/// A connector with that queue, as it is remembered in that phase.
fn remembered(queue_url: &str, phase: Phase) -> Remembered {
    remembered_as(queue_url, phase, |_| {})
}

/// The same with a document that was changed.
fn remembered_as(queue_url: &str, phase: Phase, change: impl FnOnce(&mut ConnectorSpec)) -> Remembered {
    let mut spec: ConnectorSpec = orders_spec();
    let source = spec.source.as_mut().and_then(|source| source.sqs.as_mut());
    source.expect("the sample has a queue").queue_url = Some(queue_url.to_owned());
    change(&mut spec);
    let judged = accept(&name("orders"), &wanted(spec, 7, "topic/0/7"), None, &home());
    let state = State {
        phase,
        ..judged.expect("it is wanted").state
    };
    assert!(state.accepted.is_some(), "the document is sound");
    Remembered {
        state: Some(state),
        status: None,
    }
}

fn deep() -> QueueDepth {
    QueueDepth {
        visible: 90,
        ..QueueDepth::default()
    }
}

#[tokio::test(start_paused = true)]
async fn the_backlog_of_a_queue_elsewhere_is_published_per_running_task_and_nothing_more_is_read() {
    let far = |phase| remembered(&queue_url("us-east-1", "orders"), phase);
    let near = remembered(&queue_url("eu-west-1", "orders"), Phase::Awake);
    let ctx = context(BTreeMap::from([
        (name("far"), far(Phase::Awake)),
        (name("idle"), far(Phase::Awake)),
        (name("asleep"), far(Phase::Asleep)),
        (name("near"), near),
    ]));
    ctx.cloud.set_queue(deep());
    for awake in ["far", "asleep", "near"] {
        ctx.cloud.meddle(&name(awake), |observed| observed.counts.running = 3);
    }
    publish_backlogs(&ctx, &around(), &Silent::default()).await;
    assert_eq!(ctx.cloud.take_backlogs(), [(name("far"), 30.0)]);
    assert_eq!(ctx.cloud.observations(), 0, "an observation costs a dozen calls");
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_does_not_answer_holds_up_no_other_connector_and_not_the_next_round() {
    let silent = queue_url("eu-west-1", "silent");
    let ctx = context(BTreeMap::from([
        (name("a-silent"), remembered(&silent, Phase::Asleep)),
        (
            name("orders"),
            remembered(&queue_url("eu-west-1", "orders"), Phase::Asleep),
        ),
    ]));
    ctx.cloud.set_queue(deep());
    ctx.cloud.silence_queue(&silent);
    let queue = Queue::new(Duration::from_secs(300));
    let began = Instant::now();
    look_at_queues(&ctx, &queue, &Silent::default()).await;
    assert_eq!(queue.depth().0, 1, "the one that answers wakes");
    assert!(began.elapsed() <= QUEUE_LIMIT, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn queues_that_do_not_answer_are_asked_beside_the_others_until_they_do() {
    let silent_url = queue_url("us-east-1", "silent");
    let mut connectors: BTreeMap<_, _> = (0..300)
        .map(|n| (name(&format!("a-{n}")), remembered(&silent_url, Phase::Asleep)))
        .collect();
    connectors.insert(name("a-awake"), remembered(&silent_url, Phase::Awake));
    let near = queue_url("eu-west-1", "orders");
    connectors.insert(name("orders"), remembered(&near, Phase::Asleep));
    let ctx = context(connectors);
    ctx.cloud.set_queue(deep());
    ctx.cloud.silence_queue(&silent_url);
    ctx.cloud
        .meddle(&name("a-awake"), |observed| observed.counts.running = 3);
    let silent = Silent::default();
    look_at_queues(&ctx, &Queue::new(Duration::from_secs(300)), &silent).await;
    let queue = Queue::new(Duration::from_secs(300));
    let began = Instant::now();
    look_at_queues(&ctx, &queue, &silent).await;
    publish_backlogs(&ctx, &around(), &silent).await;
    assert_eq!(began.elapsed(), Duration::ZERO, "the next rounds wait for none of them");
    assert_eq!(queue.depth().0, 1, "the one that answers wakes");

    ask_silent_queues(&ctx, &around(), &silent).await;
    assert!(silent.has(&name("a-299")), "it goes on being silent");
    ctx.cloud.let_queues_answer();
    ask_silent_queues(&ctx, &around(), &silent).await;
    look_at_queues(&ctx, &queue, &silent).await;
    publish_backlogs(&ctx, &around(), &silent).await;
    // The one that is awake saw nothing new in its queue.
    assert_eq!(queue.depth().0, 301, "those that answer again wake too");
    assert_eq!(ctx.cloud.take_backlogs(), [(name("a-awake"), 30.0)]);
}

#[tokio::test(start_paused = true)]
async fn a_queue_elsewhere_whose_backlog_only_an_alarm_reads_has_it_published() {
    let far = queue_url("us-east-1", "orders");
    let threshold = |spec: &mut ConnectorSpec| {
        spec.scaling = None;
        let alarms = spec.alarms.as_mut().expect("the sample has alarms");
        let alarm = serde_json::json!({ "threshold": 50 });
        alarms.backlog_high_and_max_scaled_out = serde_json::from_value(alarm).expect("it is of the right shape");
    };
    let ctx = context(BTreeMap::from([
        (name("watched"), remembered_as(&far, Phase::Awake, threshold)),
        (
            name("unread"),
            remembered_as(&far, Phase::Awake, |spec| spec.scaling = None),
        ),
    ]));
    ctx.cloud.set_queue(deep());
    for running in ["watched", "unread"] {
        ctx.cloud.meddle(&name(running), |observed| observed.counts.running = 1);
    }
    publish_backlogs(&ctx, &around(), &Silent::default()).await;
    assert_eq!(ctx.cloud.take_backlogs(), [(name("watched"), 90.0)]);
}

#[tokio::test]
async fn a_cluster_that_cannot_be_looked_into_hides_no_orphan_of_another_and_forgets_none_of_its_own() {
    let ctx = context(BTreeMap::new());
    let queue = Queue::new(Duration::from_secs(300));
    let clusters = ["data", "locked"].map(str::to_owned).into();
    ctx.cloud
        .meddle(&name("lost"), |observed| observed.life = ServiceLife::Active);
    for denied in [["locked"], ["data"]] {
        ctx.cloud.deny_clusters(&denied);
        look_for_orphans(&ctx, &queue, &clusters, BTreeSet::new).await;
        let sighting = ctx.orphans.get(&name("lost"), None);
        assert!(matches!(sighting, Sighting::Present(_)), "{denied:?}: {sighting:?}");
    }
    assert_eq!(ctx.orphans.get(&name("other"), None), Sighting::Unknown);
    ctx.cloud.deny_clusters(&[]);
    ctx.cloud
        .meddle(&name("lost"), |observed| observed.life = ServiceLife::Absent);
    look_for_orphans(&ctx, &queue, &clusters, BTreeSet::new).await;
    assert_eq!(ctx.orphans.get(&name("lost"), None), Sighting::Absent);
}

#[tokio::test]
async fn what_is_unfinished_has_its_pass_though_no_cluster_can_be_looked_into() {
    let wire = serde_json::json!({
        "apiVersion": "penstock.dev/v1", "kind": "Connector", "name": "gone", "time": "2026-01-01T12:00:00Z",
        "health": "UNASSIGNED", "conditions": [],
    });
    let told = Remembered {
        state: None,
        status: Some(serde_json::from_value(wire).expect("a small status")),
    };
    let ctx = context(BTreeMap::from([(name("gone"), told)]));
    ctx.cloud.deny_clusters(&["data"]);
    let queue = Queue::new(Duration::from_secs(300));
    look_for_orphans(&ctx, &queue, &["data".to_owned()].into(), BTreeSet::new).await;
    assert_eq!(queue.depth().0, 1);
}

#[tokio::test]
async fn a_round_asks_for_the_end_of_a_few_old_statuses_at_a_time() {
    let wire = serde_json::json!({
        "apiVersion": "penstock.dev/v1", "kind": "Connector", "name": "gone", "time": "2026-01-01T12:00:00Z",
        "health": "DELETED", "conditions": [],
    });
    let gone = Remembered {
        state: None,
        status: Some(serde_json::from_value(wire).expect("a small status")),
    };
    let ctx = context((0..20).map(|n| (name(&format!("gone-{n}")), gone.clone())).collect());
    let queue = Queue::new(Duration::from_secs(300));
    end_old_statuses(&ctx, &queue);
    assert_eq!(queue.depth().0, ENDED_AT_ONCE);
}
