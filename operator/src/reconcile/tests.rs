//! Passes on the fake cloud: every guarantee that needs no real AWS.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;
use penstock_crds::{ConditionType, Health, Phase, Status, TargetMode, TargetStateSpec, Truth};

use super::*;
use crate::cloud::fake::{self, Fake};
use crate::plan::accept::Latest;
use crate::plan::owner::Holder;
use crate::plan::resources::{Deployment, DeploymentProgress, QueueDepth, ServiceLife, Suspension};
use crate::samples::{connector, home, orders, orders_spec, owner, profile, wanted, withdrawn};

mod home;
mod labels;
mod lives;
mod outage;
mod ready;
mod rollout;
mod told;

/// A log that both topics share in the tests; a restart reads it back and nothing else.
#[derive(Debug, Default)]
struct Log(std::sync::Mutex<Vec<Change>>, std::sync::Mutex<Brokers>);

#[derive(Debug, Clone, Copy, Default, PartialEq)]
enum Brokers {
    #[default]
    Answer,
    Refuse,
    /// They take everything, and the answer is lost.
    LoseTheAnswer,
    /// They take nothing and never answer.
    Hang,
}

impl Log {
    /// Lets the brokers take nothing, or everything again.
    fn refuse(&self, refuses: bool) {
        self.let_brokers(if refuses { Brokers::Refuse } else { Brokers::Answer });
    }

    fn let_brokers(&self, behave: Brokers) {
        *self.1.lock().expect("unpoisoned") = behave;
    }
}

impl Journal for Arc<Log> {
    async fn publish(&self, _: &Name, change: &Change) -> Result<(), journal::Error> {
        let brokers = *self.1.lock().expect("unpoisoned");
        match brokers {
            Brokers::Hang => return std::future::pending().await,
            Brokers::Refuse => return Err(journal::Error::Write("no broker".to_owned())),
            Brokers::Answer | Brokers::LoseTheAnswer => {}
        }
        self.0
            .lock()
            .expect("no test panics while it writes")
            .push(change.clone());
        match brokers {
            Brokers::LoseTheAnswer => Err(journal::Error::Write("no answer".to_owned())),
            _ => Ok(()),
        }
    }
}

static SECONDS: AtomicI64 = AtomicI64::new(0);

/// Every look at the clock is a second later, so that nothing may depend on two looks being equal.
fn ticking() -> Timestamp {
    Timestamp::from_second(1_800_000_000 + SECONDS.fetch_add(1, Ordering::Relaxed)).expect("in range")
}

struct World {
    cloud: Arc<Fake>,
    log: Arc<Log>,
    ctx: Arc<Context<Fake, Arc<Log>>>,
}

impl World {
    fn new() -> Self {
        Self::over(Arc::default(), Arc::default())
    }

    fn over(cloud: Arc<Fake>, log: Arc<Log>) -> Self {
        let memory = Memory::default();
        for change in log.0.lock().expect("no test panics while it writes").iter() {
            memory.keep(&orders(), change);
        }
        let ctx = Context {
            cloud: Arc::clone(&cloud),
            observer: Observer::start(Arc::clone(&cloud)),
            journal: Arc::clone(&log),
            memory,
            owner: owner(),
            home: home(),
            orphans: Orphans::default(),
            audit_period: Duration::MAX,
            metrics: Metrics::default(),
            now: ticking,
        };
        Self {
            cloud,
            log,
            ctx: Arc::new(ctx),
        }
    }

    /// Forgets everything but the topics and AWS, as a killed process does.
    fn restarted(self) -> Self {
        Self::over(self.cloud, self.log)
    }

    async fn pass(&self, wanted: &Wanted) -> Next {
        reconcile(&self.ctx, &orders(), wanted).await
    }

    /// Makes passes until one does nothing, ending what is in motion in between.
    async fn converge(&self, wanted: &Wanted) {
        for _ in 0..12 {
            self.cloud.take_calls();
            self.pass(wanted).await;
            let calls = self.cloud.take_calls();
            let moving = self.cloud.observed(&orders());
            self.cloud.settle();
            if calls.is_empty() && moving == self.cloud.observed(&orders()) {
                return;
            }
        }
        panic!("no rest after twelve passes: {:?}", self.status());
    }

    fn status(&self) -> Option<Status> {
        self.ctx.memory.get(&orders()).status
    }

    fn phase(&self) -> Option<Phase> {
        self.ctx.memory.get(&orders()).state.map(|state| state.phase)
    }

    /// The generation of the document in force.
    fn accepted(&self) -> Option<i64> {
        let state = self.ctx.memory.get(&orders()).state?;
        state.accepted.map(|accepted| accepted.generation)
    }

    fn condition(&self, kind: ConditionType) -> (Truth, String) {
        let status = self.status().expect("a status was written");
        let found = status
            .conditions
            .into_iter()
            .find(|one| one.r#type == kind)
            .expect("every status has it");
        (found.status, found.reason)
    }
}

fn busy() -> QueueDepth {
    QueueDepth {
        visible: 250,
        ..QueueDepth::default()
    }
}

#[tokio::test]
async fn a_document_becomes_resources_and_then_nothing_is_written() {
    let world = World::new();
    world.cloud.set_queue(busy());
    let wanted = wanted(orders_spec(), 7, "topic/0/7");
    world.converge(&wanted).await;
    let observed = world.cloud.observed(&orders());
    assert_eq!(observed.life, ServiceLife::Active);
    assert_eq!(observed.counts.desired, 3, "250 messages at 100 a task wake three");
    assert_eq!(
        observed
            .resources
            .scaling
            .as_ref()
            .map(|scaling| (scaling.min, scaling.max)),
        Some((1, 6))
    );
    assert_eq!(observed.resources.alarms.len(), 4);
    assert_eq!(world.condition(ConditionType::Ready).0, Truth::True);
    let records = world.log.0.lock().expect("unpoisoned").len();
    for _ in 0..10 {
        assert_eq!(world.pass(&wanted).await, Next::Resync);
    }
    assert_eq!(world.cloud.take_calls(), Vec::<String>::new());
    assert_eq!(
        world.log.0.lock().expect("unpoisoned").len(),
        records,
        "an idle pass writes no record"
    );
}

/// A connector that runs as its document asks.
async fn running() -> (World, Wanted) {
    let (world, _) = settled(Scenario::Delete).await;
    (world, wanted(orders_spec(), 7, "topic/0/7"))
}

/// The scenarios of the kill test: what the topic says, and what AWS holds before.
async fn settled(scenario: Scenario) -> (World, Wanted) {
    let world = World::new();
    world.cloud.set_queue(busy());
    let before = wanted(orders_spec(), 7, "topic/0/7");
    match scenario {
        Scenario::Create => (world, before),
        Scenario::Update => {
            world.converge(&before).await;
            let mut spec = orders_spec();
            spec.task.as_mut().expect("the sample has a task").image = Some("penstock-bridge:2".to_owned());
            spec.scaling.as_mut().expect("the sample scales").max = Some(9);
            (world, wanted(spec, 8, "topic/0/7"))
        }
        Scenario::Delete => {
            world.converge(&before).await;
            (world, withdrawn())
        }
        Scenario::Sleep => {
            world.converge(&before).await;
            world.cloud.set_queue(QueueDepth::default());
            world.pass(&before).await;
            SECONDS.fetch_add(301, Ordering::Relaxed);
            (world, before)
        }
        Scenario::Wake => {
            world.converge(&before).await;
            world.cloud.set_queue(QueueDepth::default());
            world.pass(&before).await;
            SECONDS.fetch_add(301, Ordering::Relaxed);
            world.converge(&before).await;
            assert_eq!(world.phase(), Some(Phase::Asleep));
            world.cloud.set_queue(busy());
            (world, before)
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Scenario {
    Create,
    Update,
    Delete,
    Sleep,
    Wake,
}

#[tokio::test]
async fn a_pass_killed_after_any_call_is_completed_by_the_next() {
    use Scenario::{Create, Delete, Sleep, Update, Wake};
    for change in [Create, Update, Delete, Sleep, Wake] {
        let (undisturbed, wanted) = settled(change).await;
        undisturbed.converge(&wanted).await;
        let end = undisturbed.cloud.observed(&orders());
        for lose_reply in [false, true] {
            for allowed in 0..12 {
                let (world, wanted) = settled(change).await;
                world.cloud.fail_after(allowed, lose_reply);
                let first = world.pass(&wanted).await;
                world.cloud.heal();
                let creates = world.cloud.creates();
                let world = world.restarted();
                world.converge(&wanted).await;
                let reached = world.cloud.observed(&orders());
                let what = format!("{change:?}, killed after {allowed} calls, reply lost: {lose_reply}, {first:?}");
                assert_eq!(reached.resources, end.resources, "{what}");
                assert_eq!((reached.counts, reached.life), (end.counts, end.life), "{what}");
                assert_eq!(reached.revisions, end.revisions, "nothing is registered twice: {what}");
                assert!(
                    world.cloud.creates() <= 1.max(creates),
                    "one service for one create: {what}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_withdrawn_connector_leaves_nothing_and_says_so() {
    let (world, wanted) = settled(Scenario::Delete).await;
    world.converge(&wanted).await;
    let observed = world.cloud.observed(&orders());
    assert!(fake::is_empty(&observed.resources), "{observed:?}");
    assert!(
        observed.revisions.is_empty() && observed.inactive_revisions.is_empty(),
        "{observed:?}"
    );
    let status = world.status().expect("the last record stays");
    assert_eq!(status.health, Health::Deleted);
    assert_eq!(world.ctx.memory.get(&orders()).state, None);
    assert_eq!(world.pass(&wanted).await, Next::Forget);
}

#[tokio::test]
async fn a_connector_without_document_and_tombstone_is_reported_and_kept() {
    let (world, told) = running().await;
    world.cloud.meddle(&orders(), |observed| observed.counts.running = 2);
    world.pass(&told).await;
    world.cloud.take_calls();
    let before = world.status().expect("it runs");
    let next = world.pass(&Wanted::default()).await;
    assert_eq!(next, Next::Resync, "nobody looks at what moves there");
    assert_eq!(world.cloud.take_calls(), Vec::<String>::new());
    assert_eq!(world.cloud.observed(&orders()).life, ServiceLife::Active);
    assert_eq!(
        world.condition(ConditionType::Degraded),
        (Truth::True, "Orphaned".to_owned())
    );
    let told = world.message(ConditionType::Degraded);
    assert!(told.contains("a null record") && !told.contains("prune"), "{told}");
    let after = world.status().expect("written");
    assert_eq!((after.resources, after.tasks), (before.resources, before.tasks));
    assert_eq!(after.tasks.running, 2, "they go on");
}

#[tokio::test]
async fn a_bad_edit_is_refused_and_the_old_document_still_repaired() {
    let (world, before) = running().await;
    world.converge(&before).await;
    let mut spec = orders_spec();
    spec.task.as_mut().expect("the sample has a task").memory = Some(500);
    let bad = wanted(spec, 8, "topic/0/7");
    let good = world.cloud.observed(&orders()).resources;
    world
        .cloud
        .meddle(&orders(), |observed| observed.resources.alarms.clear());
    world.converge(&bad).await;
    assert_eq!(world.cloud.observed(&orders()).resources, good);
    let status = world.status().expect("a status was written");
    assert_eq!(
        (status.observed_generation, status.accepted_generation),
        (Some(8), Some(7))
    );
    assert_eq!(
        world.condition(ConditionType::Synced),
        (Truth::False, "Refused".to_owned())
    );
    assert!(status.faults[0].contains("spec.task.memory"), "{:?}", status.faults);
}

#[tokio::test]
async fn a_document_with_more_faults_than_a_record_holds_is_still_told_of() {
    let world = World::new();
    let faults = (0..20_000).map(|number| penstock_crds::Fault {
        path: format!("spec.{}{number}", "x".repeat(500)),
        value: None,
        why: "is not a field that exists here".to_owned(),
        remedy: "remove it".to_owned(),
    });
    let refused = Wanted {
        refused: Some((3, faults.collect())),
        ..Wanted::default()
    };
    world.pass(&refused).await;
    let status = world.status().expect("a status was written");
    assert_eq!(status.faults.last().map(String::as_str), Some("and 19950 more"));
    let bytes = serde_json::to_vec(&status).expect("it serializes").len();
    assert!(bytes < 256 * 1024, "{bytes} bytes");
}

#[tokio::test]
async fn a_profile_that_vanishes_disturbs_nobody() {
    let world = World::new();
    world.cloud.set_queue(busy());
    let mut spec = orders_spec();
    spec.profile = Some("default".to_owned());
    spec.service.as_mut().expect("the sample has a service").cluster = None;
    let mut told = wanted(spec, 7, "topic/0/7");
    told.profile = Some((3, profile()));
    world.converge(&told).await;
    told.profile = None;
    let before = world.cloud.observed(&orders());
    world.converge(&told).await;
    assert_eq!(world.cloud.observed(&orders()), before);
    assert_eq!(
        world.condition(ConditionType::Synced),
        (Truth::False, "Refused".to_owned())
    );
}

#[tokio::test]
async fn drift_is_repaired_and_named() {
    let (world, told) = running().await;
    world.converge(&told).await;
    let good = world.cloud.observed(&orders()).resources;
    world.cloud.meddle(&orders(), |observed| {
        let scaling = observed.resources.scaling.as_mut().expect("it scales");
        scaling
            .policies
            .get_mut("penstock-orders-backlog")
            .expect("the policy is there")
            .target = 1.0;
    });
    world.pass(&told).await;
    let status = world.status().expect("a status was written");
    assert_eq!(status.differences[0].field, "policies.penstock-orders-backlog.target");
    assert_eq!(status.actions[0].operation, "PutScalingPolicy penstock-orders-backlog");
    world.converge(&told).await;
    assert_eq!(world.cloud.observed(&orders()).resources, good);
}

#[tokio::test]
async fn a_change_that_does_not_last_is_made_less_and_less_often() {
    let (world, told) = running().await;
    world.converge(&told).await;
    let undo = |observed: &mut Observed| {
        let service = observed.resources.service.as_mut().expect("it runs");
        service.minimum_healthy_percent = 0;
    };
    world.cloud.meddle(&orders(), undo);
    assert!(
        matches!(world.pass(&told).await, Next::After(_)),
        "the first repair is looked at soon"
    );
    world.cloud.meddle(&orders(), undo);
    assert_eq!(world.pass(&told).await, Next::Backoff, "the second was in vain");
    assert_eq!(world.pass(&told).await, Next::Resync, "and all is well once it lasts");
}

#[tokio::test]
async fn a_target_suspended_in_part_is_repaired() {
    let (world, told) = running().await;
    world.converge(&told).await;
    let good = world.cloud.observed(&orders()).resources;
    world.cloud.meddle(&orders(), |observed| {
        observed.resources.scaling.as_mut().expect("it scales").suspended = Suspension::Part;
    });
    world.pass(&told).await;
    let status = world.status().expect("a status was written");
    assert_eq!(status.differences[0].field, "suspended");
    world.converge(&told).await;
    assert_eq!(world.cloud.observed(&orders()).resources, good);
}

#[tokio::test]
async fn a_service_deleted_by_hand_is_made_again_with_a_fresh_token() {
    let (world, told) = running().await;
    world.converge(&told).await;
    let good = world.cloud.observed(&orders()).resources;
    world.cloud.meddle(&orders(), |observed| {
        observed.resources.service = None;
        observed.life = ServiceLife::Draining;
    });
    world.converge(&told).await;
    assert_eq!(world.cloud.observed(&orders()).resources, good);
    assert_eq!(world.cloud.creates(), 2);
}

#[tokio::test]
async fn a_create_whose_reply_was_lost_is_repeated_with_its_token_though_nobody_sees_the_service_yet() {
    let (world, told) = settled(Scenario::Create).await;
    world.cloud.freeze();
    world.cloud.fail_after(1, true);
    world.pass(&told).await;
    world.cloud.heal();
    let world = world.restarted();
    world.pass(&told).await;
    assert_eq!(world.cloud.creates(), 1, "the second create is the first one, repeated");
    world.cloud.thaw();
    world.converge(&told).await;
    assert_eq!(world.cloud.creates(), 1);
}

#[tokio::test]
async fn a_revision_that_was_rolled_back_is_not_tried_again_until_asked() {
    let (world, told) = settled(Scenario::Update).await;
    let old = world
        .cloud
        .observed(&orders())
        .resources
        .service
        .expect("it runs")
        .revision;
    world.pass(&told).await;
    let bad = world
        .cloud
        .observed(&orders())
        .resources
        .service
        .expect("it runs")
        .revision;
    let roll_back = |observed: &mut Observed| {
        observed.resources.service.as_mut().expect("it runs").revision = old.clone();
        observed.last_failure = Some("CannotPullContainerError: no such image".to_owned());
        observed.deployment = Some(Deployment {
            id: "77".to_owned(),
            progress: DeploymentProgress::Failed,
            reason: None,
            revision: Some(bad.clone()),
        });
    };
    world.cloud.meddle(&orders(), roll_back);
    world.cloud.take_calls();
    for _ in 0..3 {
        world.pass(&told).await;
    }
    assert_eq!(world.cloud.take_calls(), Vec::<String>::new(), "no redeploy loop");
    assert_eq!(
        world.condition(ConditionType::Synced),
        (Truth::False, "RolledBack".to_owned())
    );
    assert_eq!(
        world.condition(ConditionType::Ready).0,
        Truth::True,
        "the earlier revision runs"
    );
    let world = world.restarted();
    world.pass(&told).await;
    assert_eq!(
        world.cloud.take_calls(),
        Vec::<String>::new(),
        "not after a restart either"
    );
    let mut asked = told.clone();
    asked.target = Some(TargetStateSpec {
        reconcile_at: Some(ticking()),
        ..TargetStateSpec::default()
    });
    world.pass(&asked).await;
    assert!(
        world
            .cloud
            .take_calls()
            .iter()
            .any(|call| call.starts_with("UpdateService")),
        "tried once more"
    );
    world.pass(&asked).await;
    assert_eq!(world.cloud.take_calls(), Vec::<String>::new(), "and only once");
}

#[tokio::test]
async fn an_idle_connector_falls_asleep_and_a_message_wakes_it_with_what_the_backlog_needs() {
    let (world, told) = settled(Scenario::Sleep).await;
    world.pass(&told).await;
    let calls = world.cloud.take_calls();
    assert_eq!(
        calls,
        [
            "RegisterScalableTarget min=0 max=6 suspended=false",
            "UpdateService desiredCount=0 (Sleep)"
        ],
        "the bound goes first, else it would be clamped up again"
    );
    world.converge(&told).await;
    assert_eq!(
        world.condition(ConditionType::Ready),
        (Truth::True, "Asleep".to_owned())
    );
    world.cloud.set_queue(QueueDepth {
        visible: 401,
        ..QueueDepth::default()
    });
    world.pass(&told).await;
    let calls = world.cloud.take_calls();
    assert_eq!(
        calls,
        [
            "UpdateService desiredCount=5 (Wake)",
            "RegisterScalableTarget min=1 max=6 suspended=false"
        ],
        "the count goes first, else it would be clamped to 1"
    );
}

#[tokio::test]
async fn a_message_that_comes_while_sleep_is_decided_keeps_the_connector_awake() {
    for late in [
        QueueDepth {
            visible: 1,
            ..QueueDepth::default()
        },
        QueueDepth {
            delayed: 1,
            ..QueueDepth::default()
        },
    ] {
        let (world, told) = settled(Scenario::Sleep).await;
        world.cloud.set_queue_from_the_second_read(late);
        world.pass(&told).await;
        assert_eq!(world.cloud.take_calls(), Vec::<String>::new(), "{late:?}");
        assert_eq!(world.phase(), Some(Phase::Awake), "{late:?}");
        assert_eq!(world.cloud.observed(&orders()).counts.desired, 3);
    }
    // A pass that was cut short has decided on sleep and left the tasks.
    let (world, told) = settled(Scenario::Sleep).await;
    world.cloud.fail_after(1, false);
    world.pass(&told).await;
    world.cloud.heal();
    world.cloud.take_calls();
    world.cloud.set_queue_from_the_second_read(busy());
    world.pass(&told).await;
    let calls = world.cloud.take_calls();
    assert_eq!(calls, ["RegisterScalableTarget min=1 max=6 suspended=false"]);
}

#[tokio::test]
async fn deletes_from_the_queue_or_messages_in_flight_put_sleep_off() {
    for awake in [
        QueueDepth {
            deleted: Some(1),
            ..QueueDepth::default()
        },
        QueueDepth {
            in_flight: 1,
            ..QueueDepth::default()
        },
        QueueDepth {
            delayed: 1,
            ..QueueDepth::default()
        },
    ] {
        let (world, told) = settled(Scenario::Sleep).await;
        world.cloud.set_queue(awake);
        world.pass(&told).await;
        assert_eq!(world.phase(), Some(Phase::Awake), "{awake:?}");
    }
}

#[tokio::test]
async fn paused_keeps_everything_but_tasks_and_resume_brings_them_back() {
    let (world, mut told) = running().await;
    world.converge(&told).await;
    told.target = Some(TargetStateSpec {
        state: Some(TargetMode::Paused),
        ..TargetStateSpec::default()
    });
    world.converge(&told).await;
    let observed = world.cloud.observed(&orders());
    assert_eq!((observed.life, observed.counts.desired), (ServiceLife::Active, 0));
    let scaling = observed.resources.scaling.expect("the target stays");
    assert_eq!((scaling.min, scaling.suspended), (0, Suspension::All));
    assert!(
        observed.resources.alarms.values().all(|alarm| !alarm.actions_enabled),
        "alarms are muted"
    );
    assert_eq!(world.status().expect("written").health, Health::Paused);
    told.target = Some(TargetStateSpec {
        state: Some(TargetMode::Running),
        ..TargetStateSpec::default()
    });
    world.pass(&told).await;
    let calls = world.cloud.take_calls();
    assert_eq!(calls[0], "UpdateService desiredCount=3 (Resume)");
    let alarms: Vec<_> = calls.iter().filter(|call| call.contains("Alarm")).collect();
    assert!(
        alarms[0].starts_with("DeleteAlarms") && alarms.len() == 5,
        "what went to ALARM meanwhile would stay silent in one that is only armed: {alarms:?}"
    );
    world.converge(&told).await;
    assert_eq!(world.condition(ConditionType::Ready).0, Truth::True);
}

#[tokio::test]
async fn calls_that_no_status_could_tell_are_told_by_the_next_one_that_is_written() {
    let (world, told) = running().await;
    world.converge(&told).await;
    let undo = |observed: &mut Observed| {
        let service = observed.resources.service.as_mut().expect("it runs");
        service.minimum_healthy_percent = 0;
    };
    world.log.refuse(true);
    world
        .cloud
        .meddle(&orders(), |observed| observed.resources.alarms.clear());
    assert_eq!(world.pass(&told).await, Next::Backoff);
    world.cloud.meddle(&orders(), undo);
    assert_eq!(world.pass(&told).await, Next::Backoff);
    world.log.refuse(false);
    world.pass(&told).await;
    let operations = |world: &World| {
        let actions = world.status().expect("written").actions;
        actions.into_iter().map(|action| action.operation).collect::<Vec<_>>()
    };
    let made = operations(&world);
    assert_eq!(made.len(), 5, "four alarms and the service: {made:?}");
    assert!(made[0].starts_with("PutMetricAlarm"), "{made:?}");
    assert_eq!(made[4], "UpdateService");
    world.pass(&told).await;
    assert_eq!(operations(&world), Vec::<String>::new(), "each is told once");

    world.log.refuse(true);
    for _ in 0..150 {
        world.cloud.meddle(&orders(), undo);
        world.pass(&told).await;
    }
    world.log.refuse(false);
    world.pass(&told).await;
    assert_eq!(operations(&world).len(), 100, "of very many, the latest");
}

#[tokio::test]
async fn the_writer_of_the_newer_record_is_named() {
    let (world, mut told) = running().await;
    let Latest::Written(written) = &mut told.connector else {
        panic!("a document was written")
    };
    written.actor = Some("ci".to_owned());
    world.converge(&told).await;
    assert_eq!(world.status().expect("written").actor.as_deref(), Some("ci"));
    told.target = Some(TargetStateSpec {
        state: Some(TargetMode::Paused),
        ..TargetStateSpec::default()
    });
    (told.target_generation, told.target_actor) = (Some(9), Some("oncall".to_owned()));
    world.converge(&told).await;
    assert_eq!(world.status().expect("written").actor.as_deref(), Some("oncall"));
}

#[tokio::test]
async fn what_was_just_changed_is_not_called_synced_before_it_was_seen() {
    let (world, told) = settled(Scenario::Create).await;
    world.pass(&told).await;
    assert_eq!(
        world.condition(ConditionType::Synced),
        (Truth::Unknown, "Applying".to_owned())
    );
    world.converge(&told).await;
    assert_eq!(
        world.condition(ConditionType::Synced),
        (Truth::True, "InSync".to_owned())
    );
}

#[tokio::test]
async fn stopped_removes_the_service_and_keeps_document_and_history() {
    let (world, mut told) = running().await;
    world.converge(&told).await;
    told.target = Some(TargetStateSpec {
        state: Some(TargetMode::Stopped),
        ..TargetStateSpec::default()
    });
    world.converge(&told).await;
    assert!(fake::is_empty(&world.cloud.observed(&orders()).resources));
    assert_eq!(world.status().expect("written").health, Health::Stopped);
    assert!(world.ctx.memory.get(&orders()).state.is_some());
}

#[tokio::test]
async fn a_restart_replaces_the_tasks_once() {
    let (world, mut told) = running().await;
    world.converge(&told).await;
    told.target = Some(TargetStateSpec {
        restarted_at: Some(ticking()),
        ..TargetStateSpec::default()
    });
    world.pass(&told).await;
    let updates = |calls: Vec<String>| calls.into_iter().filter(|call| call == "UpdateService").count();
    assert_eq!(updates(world.cloud.take_calls()), 1);
    let world = world.restarted();
    world.converge(&told).await;
    world.pass(&told).await;
    assert_eq!(updates(world.cloud.take_calls()), 0);
}

#[tokio::test]
async fn somebody_elses_service_of_our_name_is_left_alone() {
    let world = World::new();
    world.cloud.meddle(&orders(), |observed| {
        observed.foreign.insert(
            "service".to_owned(),
            Holder {
                operator: Some("penstock@elsewhere/first".to_owned()),
                connector: Some("orders".to_owned()),
            },
        );
        observed.life = ServiceLife::Active;
        observed.counts.desired = 2;
    });
    let before = world.cloud.observed(&orders());
    world.pass(&wanted(orders_spec(), 7, "topic/0/7")).await;
    assert_eq!(
        world.condition(ConditionType::Synced),
        (Truth::False, "NameTaken".to_owned())
    );
    let told = world.message(ConditionType::Degraded);
    assert!(
        told.contains("`penstock@elsewhere/first`") && told.contains("--name") && told.contains("--installation"),
        "{told}"
    );
    let state = world.ctx.memory.get(&orders()).state.expect("it was accepted");
    assert_eq!(state.owner, None, "nothing was made");
    world.pass(&withdrawn()).await;
    assert_eq!(world.status().expect("written").health, Health::Deleted);
    assert_eq!(
        world.condition(ConditionType::Degraded).0,
        Truth::False,
        "who was withdrawn needs no name"
    );
    assert_eq!(world.cloud.take_calls(), Vec::<String>::new());
    assert_eq!(world.cloud.observed(&orders()), before);
}

#[tokio::test]
async fn who_made_something_and_where_is_remembered_for_as_long_as_it_is_there() {
    let (world, told) = running().await;
    let made_by = |world: &World| {
        let state = world.ctx.memory.get(&orders()).state.expect("it is wanted");
        state.owner.zip(state.home)
    };
    let ours = Some((owner().tag(), "123456789012/eu-west-1".to_owned()));
    assert_eq!(made_by(&world), ours);
    let mut stopped = told.clone();
    stopped.target = Some(TargetStateSpec {
        state: Some(TargetMode::Stopped),
        ..TargetStateSpec::default()
    });
    world.converge(&stopped).await;
    assert!(!world.cloud.observed(&orders()).revisions.is_empty());
    assert_eq!(made_by(&world), ours, "its task definitions are still there");
    world.cloud.meddle(&orders(), |observed| observed.revisions.clear());
    world.pass(&stopped).await;
    assert_eq!(made_by(&world), None);
}

/// Something of the connector in AWS, and neither document nor state.
async fn orphaned() -> World {
    let (world, _) = running().await;
    let forgotten = World::over(Arc::clone(&world.cloud), Arc::default());
    forgotten.cloud.take_calls();
    forgotten.look_for_orphans(&[]).await;
    forgotten
}

impl World {
    fn records(&self) -> usize {
        self.log.0.lock().expect("unpoisoned").len()
    }

    /// Makes the round, and every pass that it asks for.
    async fn look_for_orphans(&self, documents: &[Name]) {
        let queue = crate::queue::Queue::new(std::time::Duration::from_secs(300));
        let documents = || documents.iter().cloned().collect();
        let clusters = ["data".to_owned()].into();
        crate::rounds::look_for_orphans(&self.ctx, &queue, &clusters, documents).await;
        while queue.depth().0 > 0 {
            let (name, _) = queue.next().await.expect("one is due");
            let next = reconcile(&self.ctx, &name, &Wanted::default()).await;
            queue.done(&name, next);
        }
    }
}

#[tokio::test]
async fn an_orphan_is_told_of_once_with_what_it_is_and_what_to_do() {
    let world = orphaned().await;
    assert_eq!(
        world.condition(ConditionType::Degraded),
        (Truth::True, "Orphaned".to_owned())
    );
    assert_eq!(world.condition(ConditionType::Ready).0, Truth::False);
    let told = world.message(ConditionType::Degraded);
    assert!(
        told.contains("`penstock-orders`") && told.contains("`penstock prune orders --confirm`"),
        "{told}"
    );
    let status = world.status().expect("written");
    assert_eq!((status.health, status.observed_generation), (Health::Degraded, Some(7)));
    assert_eq!(status.uid.as_deref(), Some("topic/0/7"));
    assert!(status.resources.iter().any(|one| one.r#type == "AWS::ECS::Service"));
    assert_eq!(world.ctx.memory.get(&orders()).state, None, "it is nobody's to keep");
    let records = world.records();
    for _ in 0..3 {
        world.look_for_orphans(&[]).await;
    }
    assert_eq!(world.records(), records, "told once");
    assert_eq!(world.cloud.take_calls(), Vec::<String>::new(), "and left alone");
}

#[tokio::test]
async fn an_orphan_that_is_gone_is_told_to_be_deleted_but_only_after_a_look() {
    let world = orphaned().await;
    world.cloud.meddle(&orders(), |observed| *observed = fake::nothing());
    let world = world.restarted();
    world.pass(&Wanted::default()).await;
    assert_eq!(
        world.status().expect("written").health,
        Health::Degraded,
        "nobody looked yet"
    );
    world.look_for_orphans(&[]).await;
    assert_eq!(world.status().expect("written").health, Health::Deleted);
    assert_eq!(
        world.condition(ConditionType::Deleted),
        (Truth::True, "Removed".to_owned())
    );
    let told = world.message(ConditionType::Deleted);
    assert!(
        told.contains("was not looked at"),
        "its service alone is known to be gone: {told}"
    );
    let records = world.records();
    world.look_for_orphans(&[]).await;
    assert_eq!(world.records(), records);
}

#[tokio::test]
async fn an_orphan_whose_document_is_written_again_is_taken_over_and_told_of_no_more() {
    let world = orphaned().await;
    let told = wanted(orders_spec(), 30, "topic/0/30");
    world.converge(&told).await;
    assert_eq!(world.cloud.creates(), 1, "the service itself was kept");
    world.look_for_orphans(&[orders()]).await;
    assert_eq!(world.condition(ConditionType::Synced).0, Truth::True);
}

#[tokio::test]
async fn a_service_that_comes_back_after_its_removal_ended_is_an_orphan() {
    let (world, told) = settled(Scenario::Delete).await;
    let before = world.cloud.observed(&orders());
    world.converge(&told).await;
    assert_eq!(world.status().expect("written").health, Health::Deleted);
    world.cloud.meddle(&orders(), |observed| *observed = before);
    world.look_for_orphans(&[]).await;
    assert_eq!(
        world.condition(ConditionType::Degraded),
        (Truth::True, "Orphaned".to_owned())
    );
}

#[tokio::test]
async fn a_document_that_was_never_accepted_ends_with_its_tombstone() {
    let world = World::new();
    let fault = penstock_crds::Fault {
        path: "spec".to_owned(),
        value: None,
        why: "is missing".to_owned(),
        remedy: "write it".to_owned(),
    };
    let refused = Wanted {
        refused: Some((3, vec![fault])),
        ..Wanted::default()
    };
    world.pass(&refused).await;
    assert_eq!(world.status().expect("written").health, Health::Unassigned);
    assert_eq!(world.pass(&withdrawn()).await, Next::Forget);
    let status = world.status().expect("written");
    assert_eq!((status.health, status.observed_generation), (Health::Deleted, Some(3)));
    let records = world.records();
    world.pass(&withdrawn()).await;
    assert_eq!(world.records(), records, "once");
}

#[tokio::test]
async fn another_cluster_for_a_running_connector_is_refused_until_it_is_stopped() {
    let (world, told) = running().await;
    world.converge(&told).await;
    let mut spec = orders_spec();
    spec.service.as_mut().expect("the sample has a service").cluster = Some("other".to_owned());
    let mut moved = wanted(spec, 8, "topic/0/7");
    world.pass(&moved).await;
    assert_eq!(
        world.condition(ConditionType::Synced),
        (Truth::False, "Refused".to_owned())
    );
    moved.target = Some(TargetStateSpec {
        state: Some(TargetMode::Stopped),
        ..TargetStateSpec::default()
    });
    world.converge(&moved).await;
    moved.target = None;
    world.pass(&moved).await;
    assert_eq!(world.accepted(), Some(8));
}

#[tokio::test]
async fn another_cluster_is_refused_while_a_stop_whose_calls_failed_has_left_the_service() {
    for allowed in 0..4 {
        let (world, told) = running().await;
        world.converge(&told).await;
        let stopped = Some(TargetStateSpec {
            state: Some(TargetMode::Stopped),
            ..TargetStateSpec::default()
        });
        let stop = Wanted {
            target: stopped.clone(),
            ..told.clone()
        };
        world.cloud.fail_after(allowed, false);
        world.pass(&stop).await;
        assert_eq!(world.phase(), Some(Phase::Stopped));
        let mut spec = orders_spec();
        spec.service.as_mut().expect("the sample has a service").cluster = Some("other".to_owned());
        let moved = Wanted {
            target: stopped,
            ..wanted(spec, 8, "topic/0/7")
        };
        world.pass(&moved).await;
        assert_eq!(
            world.condition(ConditionType::Synced).0,
            Truth::False,
            "{allowed} calls were made, and the service is still there"
        );
        assert_eq!(world.accepted(), Some(7), "{allowed}");
        world.cloud.heal();
        let world = world.restarted();
        world.converge(&moved).await;
        world.pass(&moved).await;
        assert_eq!(world.accepted(), Some(8), "{allowed}");
        assert!(fake::is_empty(&world.cloud.observed(&orders()).resources));
    }
}

#[tokio::test]
async fn a_new_incarnation_takes_over_what_the_old_one_left() {
    let (world, _) = settled(Scenario::Delete).await;
    let again = wanted(orders_spec(), 20, "topic/0/20");
    world.converge(&again).await;
    let service = world.cloud.observed(&orders()).resources.service.expect("it runs");
    assert_eq!(service.tags["penstock:uid"], "topic/0/20");
    assert_eq!(world.cloud.creates(), 1, "the service itself was kept");
    assert_eq!(connector(&orders_spec()).name, orders());
    assert!(matches!(again.connector, Latest::Written(_)));
}
