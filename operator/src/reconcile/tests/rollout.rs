//! A rollout is told for what it is while it lasts, a request is done once its calls were made, and what worked yesterday
//! has to work today.

use penstock_crds::Handled;

use super::ready::with_image;
use super::*;
use crate::plan::resources::{TaskHealth, Tasks};

/// What the user asks beside the document.
fn asking(told: &Wanted, target: TargetStateSpec) -> Wanted {
    Wanted {
        target: Some(target),
        ..told.clone()
    }
}

fn reconcile_now(told: &Wanted) -> Wanted {
    asking(
        told,
        TargetStateSpec {
            reconcile_at: Some(ticking()),
            ..TargetStateSpec::default()
        },
    )
}

impl World {
    fn handled(&self) -> Handled {
        self.ctx.memory.get(&orders()).state.expect("it was accepted").handled
    }

    /// Lets the newest deployment fail as ECS does when it goes back to what ran before.
    fn fail_and_go_back_to(&self, before: &Observed) {
        self.fail_on_the_spot(DeploymentProgress::Failed);
        self.cloud.meddle(&orders(), |observed| {
            observed.resources.service = before.resources.service.clone();
            observed.task_definition_arn = before.task_definition_arn.clone();
            observed.counts.running = observed.counts.desired;
        });
    }

    pub(super) fn is(&self, kind: ConditionType, truth: Truth, reason: &str) {
        assert_eq!(self.condition(kind), (truth, reason.to_owned()), "{kind:?}");
    }
}

#[tokio::test]
async fn tasks_that_stop_being_healthy_later_end_readiness_until_they_are_again() {
    let (world, told) = running().await;
    world.is(ConditionType::Ready, Truth::True, "TasksRunning");
    world.health(
        0,
        Some("task 1 is UNHEALTHY: container penstock-bridge fails its health check"),
    );
    world.pass(&told).await;
    world.is(ConditionType::Ready, Truth::False, "NotHealthy");
    world.is(ConditionType::Degraded, Truth::True, "TasksFailing");
    assert_eq!(world.status().expect("written").health, Health::Unhealthy);
    world.health(3, None);
    assert_eq!(world.pass(&told).await, Next::Resync);
    world.is(ConditionType::Ready, Truth::True, "TasksRunning");
    world.is(ConditionType::Degraded, Truth::False, "AsWanted");
    let records = world.records();
    for _ in 0..10 {
        world.pass(&told).await;
    }
    assert_eq!(world.records(), records, "an idle pass writes no record");
}

#[tokio::test]
async fn a_document_is_in_sync_only_once_its_deployment_is_over() {
    let (world, _) = running().await;
    let told = with_image("penstock-bridge:2", 8);
    world.pass(&told).await;
    world.is(ConditionType::Synced, Truth::Unknown, "Applying");
    world.pass(&told).await;
    world.is(ConditionType::Synced, Truth::Unknown, "Deploying");
    world.is(ConditionType::Progressing, Truth::True, "Deploying");
    world.is(ConditionType::Ready, Truth::True, "TasksRunning");
    world.cloud.settle();
    world.pass(&told).await;
    world.is(ConditionType::Synced, Truth::True, "InSync");
}

#[tokio::test]
async fn tasks_that_a_deployment_may_take_away_are_looked_at_while_it_moves() {
    let (world, _) = running().await;
    let frugal = |image: &str, generation| {
        let mut told = with_image(image, generation);
        let Latest::Written(written) = &mut told.connector else {
            panic!("it was written")
        };
        let service = written
            .document
            .spec
            .service
            .as_mut()
            .expect("the sample has a service");
        service.rollout = Some(penstock_crds::RolloutSpec {
            minimum_healthy_percent: Some(0),
            maximum_percent: Some(100),
        });
        told
    };
    world.converge(&frugal("penstock-bridge:1", 8)).await;
    let told = frugal("penstock-bridge:2", 9);
    world.pass(&told).await;
    world.health(0, None);
    world.pass(&told).await;
    world.is(ConditionType::Ready, Truth::False, "NotHealthy");
    world.health(3, None);
    world.cloud.settle();
    world.pass(&told).await;
    world.is(ConditionType::Ready, Truth::True, "TasksRunning");
}

/// A connector that was ready, and whose second image is being rolled out the usual way: none goes before another is healthy.
async fn rolling_out() -> (World, Wanted) {
    let (world, _) = running().await;
    let told = with_image("penstock-bridge:2", 8);
    world.pass(&told).await;
    world.pass(&told).await;
    world.is(ConditionType::Progressing, Truth::True, "Deploying");
    world.is(ConditionType::Ready, Truth::True, "TasksRunning");
    (world, told)
}

#[tokio::test]
async fn tasks_that_fail_their_health_check_while_others_are_to_replace_them_end_readiness() {
    let (world, told) = rolling_out().await;
    world.health(0, None);
    world.pass(&told).await;
    world.is(ConditionType::Ready, Truth::False, "NotHealthy");
    assert_eq!(world.message(ConditionType::Ready), "0 of 3 tasks are healthy");
    assert_ne!(world.status().expect("written").health, Health::Healthy);
    world.cloud.meddle(&orders(), |observed| {
        observed.tasks = Tasks::Seen(TaskHealth {
            healthy: 0,
            former: 3,
            cause: Some("task 1 is UNHEALTHY".to_owned()),
        });
    });
    world.pass(&told).await;
    world.is(ConditionType::Ready, Truth::True, "TasksRunning");
    world.is(ConditionType::Degraded, Truth::True, "TasksFailing");
    world.health(3, None);
    world.cloud.settle();
    world.pass(&told).await;
    world.is(ConditionType::Ready, Truth::True, "TasksRunning");
    world.is(ConditionType::Degraded, Truth::False, "AsWanted");
}

#[tokio::test]
async fn health_that_is_not_read_during_a_deployment_is_not_held_against_tasks_for_the_rest_of_it() {
    let (world, told) = rolling_out().await;
    world.cloud.meddle(&orders(), |observed| {
        observed.tasks = Tasks::Unknown {
            denied: false,
            why: "late".to_owned(),
        };
    });
    world.pass(&told).await;
    world.is(ConditionType::Ready, Truth::True, "HealthUnknown");
    world.pass(&told).await;
    world.is(ConditionType::Ready, Truth::Unknown, "HealthUnknown");
    world.health(1, None);
    world.pass(&told).await;
    world.is(ConditionType::Ready, Truth::True, "TasksRunning");
    world.cloud.meddle(&orders(), |observed| {
        observed.tasks = Tasks::Unknown {
            denied: true,
            why: "no".to_owned(),
        };
    });
    world.pass(&told).await;
    world.is(ConditionType::Ready, Truth::Unknown, "AccessDenied");
}

#[tokio::test]
async fn a_restart_is_carried_out_only_once_its_calls_were_made() {
    for (allowed, lose_reply) in [(0, false), (1, false), (1, true)] {
        let (world, told) = running().await;
        let at = Some(ticking());
        let told = asking(
            &told,
            TargetStateSpec {
                restarted_at: at,
                ..TargetStateSpec::default()
            },
        );
        world.cloud.fail_after(allowed, lose_reply);
        world.pass(&told).await;
        world.cloud.heal();
        assert_eq!(world.handled().restarted_at, None, "after {allowed} calls");
        let world = world.restarted();
        world.pass(&told).await;
        assert_eq!(world.handled().restarted_at, at, "after {allowed} calls");
    }
}

#[tokio::test]
async fn a_request_is_done_though_an_alarm_is_refused_after_it() {
    let (world, told) = running().await;
    let at = Some(ticking());
    let told = asking(
        &told,
        TargetStateSpec {
            restarted_at: at,
            ..TargetStateSpec::default()
        },
    );
    world
        .cloud
        .meddle(&orders(), |observed| observed.resources.alarms.clear());
    world.cloud.refuse("PutMetricAlarm");
    world.pass(&told).await;
    world.is(ConditionType::Synced, Truth::False, "ApplyFailed");
    assert_eq!(world.handled().restarted_at, at);
}

#[tokio::test]
async fn alarms_are_muted_with_the_tasks_and_armed_with_them_though_aws_refuses_the_service() {
    let (world, _) = running().await;
    let told = with_image("penstock-bridge:2", 8);
    world.cloud.refuse("RegisterTaskDefinition");
    for (mode, armed) in [(TargetMode::Paused, false), (TargetMode::Running, true)] {
        let target = TargetStateSpec {
            state: Some(mode),
            ..TargetStateSpec::default()
        };
        world.pass(&asking(&told, target)).await;
        world.is(ConditionType::Synced, Truth::False, "ApplyFailed");
        let observed = world.cloud.observed(&orders());
        assert_eq!(observed.counts.desired > 0, armed);
        let alarms: Vec<_> = observed.resources.alarms.into_values().collect();
        assert_eq!(alarms.len(), 4);
        assert!(alarms.iter().all(|alarm| alarm.actions_enabled == armed), "{mode:?}");
    }
}

#[tokio::test]
async fn a_first_deployment_that_failed_is_made_once_more_when_the_user_asks() {
    let world = World::new();
    world.cloud.set_queue(busy());
    let told = wanted(orders_spec(), 7, "topic/0/7");
    world.pass(&told).await;
    world.fail_on_the_spot(DeploymentProgress::Failed);
    for _ in 0..3 {
        world.pass(&told).await;
    }
    world.is(ConditionType::Degraded, Truth::True, "RolledBack");
    world.cloud.take_calls();
    let again = reconcile_now(&told);
    // The first try does not reach AWS.
    world.cloud.fail_after(0, false);
    world.pass(&again).await;
    world.cloud.heal();
    for _ in 0..3 {
        world.pass(&again).await;
    }
    assert_eq!(world.cloud.take_calls(), ["UpdateService forceNewDeployment=true"]);
    world.is(ConditionType::Progressing, Truth::True, "Deploying");
    world.fail_on_the_spot(DeploymentProgress::Failed);
    for _ in 0..3 {
        world.pass(&again).await;
    }
    assert_eq!(world.cloud.take_calls(), Vec::<String>::new(), "no loop");
    world.is(ConditionType::Degraded, Truth::True, "RolledBack");
    let again = reconcile_now(&told);
    world.pass(&again).await;
    world.cloud.meddle(&orders(), |observed| observed.last_failure = None);
    world.converge(&again).await;
    world.is(ConditionType::Ready, Truth::True, "TasksRunning");
    world.is(ConditionType::Degraded, Truth::False, "AsWanted");
}

#[tokio::test]
async fn tasks_that_work_are_not_replaced_for_a_failure_of_what_was_taken_back() {
    let (world, told) = running().await;
    world.converge(&told).await;
    let before = world.cloud.observed(&orders());
    world.pass(&with_image("bad:1", 8)).await;
    world.fail_and_go_back_to(&before);
    let mut back = told.clone();
    let Latest::Written(written) = &mut back.connector else {
        panic!("a document was written")
    };
    written.generation = 9;
    world.converge(&back).await;
    world.is(ConditionType::Ready, Truth::True, "TasksRunning");
    world.cloud.take_calls();
    let asked = reconcile_now(&back);
    world.pass(&asked).await;
    world.pass(&asked).await;
    assert_eq!(world.cloud.take_calls(), Vec::<String>::new());
}

#[tokio::test]
async fn a_service_that_was_deleted_by_hand_is_made_of_what_proved_itself_and_not_of_what_failed() {
    let (world, _) = running().await;
    world.converge(&with_image("penstock-bridge:1", 7)).await;
    let before = world.cloud.observed(&orders());
    let bad = with_image("bad:1", 8);
    world.pass(&bad).await;
    world.fail_and_go_back_to(&before);
    world.pass(&bad).await;
    world.is(ConditionType::Synced, Truth::False, "RolledBack");
    world.cloud.meddle(&orders(), |observed| {
        observed.resources.service = None;
        (observed.life, observed.counts) = (ServiceLife::Absent, Default::default());
        (observed.deployment, observed.task_definition_arn) = (None, None);
    });
    world.cloud.take_calls();
    world.pass(&bad).await;
    assert_eq!(world.cloud.take_calls()[0], "CreateService");
    assert_eq!(world.image(), "penstock-bridge:1");
    world.is(ConditionType::Synced, Truth::False, "RolledBack");
}
