//! Ready keeps its word after a wake and a resume, and what was deployed while no task was wanted is watched once it runs.

use super::*;
use crate::plan::resources::{Counts, TaskHealth, Tasks};

fn idle() -> QueueDepth {
    QueueDepth::default()
}

/// The document with another image, written at `generation`.
pub(super) fn with_image(image: &str, generation: i64) -> Wanted {
    let mut spec = orders_spec();
    spec.task.as_mut().expect("the sample has a task").image = Some(image.to_owned());
    wanted(spec, generation, "topic/0/7")
}

fn asked(told: &Wanted, state: TargetMode) -> Wanted {
    Wanted {
        target: Some(TargetStateSpec {
            state: Some(state),
            ..TargetStateSpec::default()
        }),
        ..told.clone()
    }
}

impl World {
    pub(super) fn health(&self, healthy: i32, cause: Option<&str>) {
        let seen = TaskHealth {
            healthy,
            former: 0,
            cause: cause.map(str::to_owned),
        };
        self.cloud
            .meddle(&orders(), |observed| observed.tasks = Tasks::Seen(seen));
    }

    /// Lets the newest deployment fail as ECS does when the last one that ended well was of the same revision.
    pub(super) fn fail_on_the_spot(&self, progress: DeploymentProgress) {
        self.cloud.meddle(&orders(), |observed| {
            observed.last_failure = Some("container penstock-bridge exit code 78".to_owned());
            observed.counts.running = 0;
            observed.deployment.as_mut().expect("it was deployed").progress = progress;
        });
    }

    pub(super) fn image(&self) -> String {
        let service = self.cloud.observed(&orders()).resources.service.expect("it runs");
        service.revision.task_definition.container.image
    }

    pub(super) fn deployment(&self) -> Deployment {
        self.cloud.observed(&orders()).deployment.expect("it was deployed")
    }

    pub(super) fn message(&self, kind: ConditionType) -> String {
        let status = self.status().expect("a status was written");
        let found = status.conditions.into_iter().find(|one| one.r#type == kind);
        found.expect("every status has it").message
    }

    fn proven(&self) -> bool {
        self.ctx
            .memory
            .get(&orders())
            .state
            .is_some_and(|state| state.proven.is_some())
    }
}

/// A connector that sleeps, and whose revision has proved itself.
async fn asleep() -> (World, Wanted) {
    let (world, told) = settled(Scenario::Sleep).await;
    world.converge(&told).await;
    assert_eq!(world.phase(), Some(Phase::Asleep));
    assert!(world.proven());
    (world, told)
}

/// A connector that sleeps, and whose image was changed meanwhile.
async fn changed_asleep() -> (World, Wanted) {
    let (world, _) = asleep().await;
    let told = with_image("penstock-bridge:2", 8);
    world.converge(&told).await;
    assert_eq!(world.image(), "penstock-bridge:2");
    assert_eq!(world.deployment().progress, DeploymentProgress::Completed);
    assert_eq!(
        world.condition(ConditionType::Ready),
        (Truth::True, "Asleep".to_owned())
    );
    world.cloud.set_queue(busy());
    (world, told)
}

#[tokio::test]
async fn a_task_that_finds_no_room_is_told_with_the_reason_until_there_is_some() {
    let (world, told) = running().await;
    world.converge(&told).await;
    let why = "ECS was unable to place a task because no container instance met all of its requirements.";
    world.cloud.meddle(&orders(), |observed| {
        observed.counts = Counts {
            desired: 3,
            running: 0,
            pending: 0,
        };
        observed.unplaced = Some(why.to_owned());
        observed.last_failure = Some("container penstock-bridge exit code 78".to_owned());
    });
    world.pass(&told).await;
    assert_eq!(
        world.condition(ConditionType::Degraded),
        (Truth::True, "NoRoom".to_owned())
    );
    assert_eq!(world.message(ConditionType::Degraded), why);
    assert_eq!(world.message(ConditionType::Ready), why);
    let last_failure = world.status().expect("a status was written").last_failure;
    assert_eq!(last_failure.as_deref(), Some(why));
    world.cloud.meddle(&orders(), |observed| {
        (observed.unplaced, observed.last_failure) = (None, None);
    });
    world.cloud.settle();
    world.pass(&told).await;
    assert_eq!(world.condition(ConditionType::Degraded).0, Truth::False);
}

#[tokio::test]
async fn a_woken_connector_is_ready_only_once_its_tasks_are_healthy() {
    let (world, told) = asleep().await;
    world.cloud.set_queue(busy());
    world.pass(&told).await;
    assert_eq!(world.cloud.take_calls()[0], "UpdateService desiredCount=3 (Wake)");
    assert_eq!(world.condition(ConditionType::Ready).0, Truth::False);
    world.cloud.settle();
    world.health(0, Some("task 1 is UNHEALTHY"));
    assert_eq!(world.pass(&told).await, Next::After(std::time::Duration::from_secs(60)));
    assert_eq!(
        world.condition(ConditionType::Ready),
        (Truth::False, "NotHealthy".to_owned())
    );
    assert_eq!(
        world.message(ConditionType::Ready),
        "0 of 3 tasks are healthy; task 1 is UNHEALTHY"
    );
    assert_eq!(
        world.condition(ConditionType::Degraded),
        (Truth::True, "TasksFailing".to_owned())
    );
    world.health(0, None);
    assert_eq!(
        world.pass(&told).await,
        Next::After(std::time::Duration::from_secs(15)),
        "they may just be starting"
    );
    world.health(1, None);
    assert!(
        matches!(world.pass(&told).await, Next::After(_)),
        "the others are on their way"
    );
    assert_eq!(
        world.condition(ConditionType::Ready),
        (Truth::True, "TasksRunning".to_owned())
    );
    world.health(3, None);
    assert_eq!(world.pass(&told).await, Next::Resync);
    let looks = world.cloud.looks_at_tasks();
    for _ in 0..10 {
        world.pass(&told).await;
    }
    assert_eq!(
        world.cloud.looks_at_tasks(),
        looks + 10,
        "what is healthy need not stay so"
    );
}

#[tokio::test]
async fn tasks_that_are_still_stopping_make_no_woken_connector_ready() {
    let (world, told) = asleep().await;
    world.cloud.set_queue(busy());
    world.cloud.meddle(&orders(), |observed| observed.counts.running = 1);
    world.health(0, None);
    world.pass(&told).await;
    assert_ne!(world.condition(ConditionType::Ready).0, Truth::True);
}

#[tokio::test]
async fn a_resumed_connector_is_ready_only_once_its_tasks_are_healthy() {
    let (world, told) = running().await;
    world.converge(&told).await;
    world.converge(&asked(&told, TargetMode::Paused)).await;
    let resumed = asked(&told, TargetMode::Running);
    world.pass(&resumed).await;
    world.cloud.settle();
    world.health(0, None);
    world.pass(&resumed).await;
    assert_eq!(
        world.condition(ConditionType::Ready),
        (Truth::False, "NotHealthy".to_owned())
    );
    world.health(3, None);
    world.pass(&resumed).await;
    assert_eq!(world.condition(ConditionType::Ready).0, Truth::True);
}

#[tokio::test]
async fn health_that_may_not_be_read_stops_no_repair_and_the_status_names_the_permission() {
    let (world, told) = asleep().await;
    world.cloud.set_queue(busy());
    world.pass(&told).await;
    world.cloud.settle();
    world.cloud.take_calls();
    world.cloud.meddle(&orders(), |observed| {
        observed.resources.alarms.clear();
        observed.tasks = Tasks::Unknown {
            denied: true,
            why: "no".to_owned(),
        };
    });
    world.pass(&told).await;
    assert_eq!(
        world.condition(ConditionType::Ready),
        (Truth::Unknown, "AccessDenied".to_owned())
    );
    let message = world.message(ConditionType::Ready);
    assert!(message.contains("`ecs:ListTasks`"), "{message}");
    assert_eq!(world.status().expect("written").health, Health::Unassigned);
    assert_eq!(world.cloud.take_calls().len(), 4, "the alarms are back");
    world.pass(&told).await;
    assert_eq!(world.pass(&told).await, Next::Resync, "only a person can change it");
    world.cloud.meddle(&orders(), |observed| {
        observed.tasks = Tasks::Unknown {
            denied: false,
            why: "late".to_owned(),
        };
    });
    assert!(matches!(world.pass(&told).await, Next::After(_)));
    assert_eq!(
        world.condition(ConditionType::Ready),
        (Truth::Unknown, "HealthUnknown".to_owned())
    );
}

#[tokio::test]
async fn tasks_that_were_ready_stay_so_over_one_failure_to_read_their_health() {
    let (world, told) = running().await;
    world.converge(&told).await;
    let forgetful = with_image("penstock-bridge:2", 8);
    world.pass(&forgetful).await;
    world.cloud.settle();
    world.cloud.meddle(&orders(), |observed| {
        observed.tasks = Tasks::Unknown {
            denied: false,
            why: "late".to_owned(),
        };
    });
    let looks = world.cloud.looks_at_tasks();
    world.pass(&forgetful).await;
    assert_eq!(world.cloud.looks_at_tasks(), looks + 1, "the new image is not proven");
    world.is(ConditionType::Ready, Truth::True, "HealthUnknown");
    let message = world.message(ConditionType::Ready);
    assert!(
        message.contains("3 tasks run; ") && message.contains("late"),
        "{message}"
    );
    assert_eq!(world.pass(&forgetful).await, Next::After(Duration::from_secs(15)));
    world.is(ConditionType::Ready, Truth::Unknown, "HealthUnknown");
    world.health(3, None);
    world.pass(&forgetful).await;
    world.is(ConditionType::Ready, Truth::True, "TasksRunning");
}

#[tokio::test]
async fn tasks_that_were_ready_are_not_said_to_be_once_their_health_may_not_be_read_any_more() {
    let (world, told) = running().await;
    world.is(ConditionType::Ready, Truth::True, "TasksRunning");
    world.cloud.meddle(&orders(), |observed| {
        observed.tasks = Tasks::Unknown {
            denied: true,
            why: "no".to_owned(),
        };
    });
    assert_eq!(world.pass(&told).await, Next::Resync, "only a person can change it");
    world.is(ConditionType::Ready, Truth::Unknown, "AccessDenied");
}

#[tokio::test]
async fn what_was_deployed_asleep_is_deployed_anew_when_it_wakes() {
    let (world, told) = changed_asleep().await;
    let before = world.deployment().id;
    world.pass(&told).await;
    let calls = world.cloud.take_calls();
    assert_eq!(
        calls,
        [
            "UpdateService desiredCount=3 forceNewDeployment=true (Wake)",
            "RegisterScalableTarget min=1 max=6 suspended=false"
        ]
    );
    assert_ne!(world.deployment().id, before);
    world.pass(&told).await;
    assert_ne!(
        world.condition(ConditionType::Ready).0,
        Truth::True,
        "it is still deployed"
    );
    world.converge(&told).await;
    assert_eq!(world.condition(ConditionType::Ready).0, Truth::True);
    world.cloud.set_queue(idle());
    world.pass(&told).await;
    SECONDS.fetch_add(301, Ordering::Relaxed);
    world.converge(&told).await;
    world.cloud.set_queue(busy());
    world.cloud.take_calls();
    world.pass(&told).await;
    assert_eq!(
        world.cloud.take_calls()[0],
        "UpdateService desiredCount=3 (Wake)",
        "by now it has proved itself"
    );
}

#[tokio::test]
async fn what_was_deployed_while_paused_is_deployed_anew_when_it_is_resumed() {
    let (world, told) = running().await;
    world.converge(&told).await;
    world.converge(&asked(&told, TargetMode::Paused)).await;
    let mut spec = orders_spec();
    spec.scaling = None;
    spec.task.as_mut().expect("the sample has a task").image = Some("penstock-bridge:2".to_owned());
    for (changed, call) in [
        (
            with_image("penstock-bridge:2", 8),
            "UpdateService desiredCount=3 forceNewDeployment=true (Resume)",
        ),
        (
            wanted(spec, 9, "topic/0/7"),
            "UpdateService desiredCount=1 forceNewDeployment=true (Fixed)",
        ),
    ] {
        world.converge(&asked(&changed, TargetMode::Paused)).await;
        world.cloud.take_calls();
        world.cloud.fail_after(1, false);
        world.pass(&asked(&changed, TargetMode::Running)).await;
        world.cloud.heal();
        let calls = world.cloud.take_calls();
        assert!(calls.iter().any(|made| made == call), "{calls:?}");
        // Paused again before anybody saw a task.
        world.converge(&asked(&changed, TargetMode::Paused)).await;
    }
}

#[tokio::test]
async fn a_deployment_that_aws_refuses_keeps_no_connector_from_waking() {
    let (world, told) = changed_asleep().await;
    world.cloud.refuse("forceNewDeployment");
    world.pass(&told).await;
    assert_eq!(
        world.cloud.take_calls(),
        [
            "UpdateService desiredCount=3 (Wake)",
            "RegisterScalableTarget min=1 max=6 suspended=false"
        ]
    );
    let actions = world.status().expect("written").actions;
    assert!(actions[0].operation.contains("forceNewDeployment"), "{actions:?}");
    assert!(
        actions[0]
            .error
            .as_ref()
            .is_some_and(|error| error.contains("not today")),
        "the audit tells what was refused: {actions:?}"
    );
    assert_eq!(actions[1].error, None);
}

#[tokio::test]
async fn a_wake_killed_after_any_call_deploys_what_was_changed_asleep_once() {
    for lose_reply in [false, true] {
        for allowed in 0..4 {
            let (world, told) = changed_asleep().await;
            let before: u32 = world.deployment().id.parse().expect("the fake counts");
            world.cloud.fail_after(allowed, lose_reply);
            world.pass(&told).await;
            world.cloud.heal();
            let world = world.restarted();
            world.converge(&told).await;
            let what = format!("killed after {allowed} calls, reply lost: {lose_reply}");
            assert_eq!(world.deployment().id, (before + 1).to_string(), "{what}");
            let counts = world.cloud.observed(&orders()).counts;
            assert_eq!((counts.desired, counts.running), (3, 3), "{what}");
            assert_eq!(world.condition(ConditionType::Ready).0, Truth::True, "{what}");
        }
    }
}

#[tokio::test]
async fn an_image_that_fails_at_the_wake_gives_way_to_the_one_that_proved_itself() {
    for progress in [DeploymentProgress::RollingBack, DeploymentProgress::Failed] {
        let (world, told) = changed_asleep().await;
        world.pass(&told).await;
        world.fail_on_the_spot(progress);
        world.cloud.take_calls();
        world.pass(&told).await;
        assert_eq!(
            world.cloud.take_calls(),
            Vec::<String>::new(),
            "the first look only tells"
        );
        assert_ne!(world.condition(ConditionType::Ready).0, Truth::True);
        assert_eq!(
            world.condition(ConditionType::Degraded),
            (Truth::True, "RolledBack".to_owned())
        );
        let cause = world.message(ConditionType::Degraded);
        assert!(cause.contains("exit code 78"), "{cause}");
        let world = world.restarted();
        world.pass(&told).await;
        assert_eq!(world.cloud.take_calls(), ["UpdateService"], "{progress:?}");
        assert_eq!(world.image(), "penstock-bridge:1");
        assert_ne!(world.condition(ConditionType::Ready).0, Truth::True);
        world.cloud.settle();
        for _ in 0..3 {
            world.pass(&told).await;
        }
        assert_eq!(world.cloud.take_calls(), Vec::<String>::new(), "no loop");
        assert_eq!(
            world.condition(ConditionType::Ready).0,
            Truth::True,
            "the earlier image runs"
        );
        assert_eq!(
            world.condition(ConditionType::Synced),
            (Truth::False, "RolledBack".to_owned())
        );
        let mended = with_image("penstock-bridge:3", 9);
        world.converge(&mended).await;
        assert_eq!(world.image(), "penstock-bridge:3");
        assert_eq!(
            world.condition(ConditionType::Degraded),
            (Truth::False, "AsWanted".to_owned())
        );
        assert_eq!(world.condition(ConditionType::Ready).0, Truth::True);
    }
}

#[tokio::test]
async fn if_the_proven_image_fails_as_well_nothing_is_tried_again() {
    let (world, told) = changed_asleep().await;
    world.pass(&told).await;
    world.fail_on_the_spot(DeploymentProgress::RollingBack);
    let bad = world.cloud.observed(&orders()).resources.service;
    world.pass(&told).await;
    world.pass(&told).await;
    assert_eq!(world.image(), "penstock-bridge:1");
    // The proven one fails, and ECS goes back to the other.
    world.fail_on_the_spot(DeploymentProgress::Failed);
    world
        .cloud
        .meddle(&orders(), |observed| observed.resources.service = bad.clone());
    world.cloud.take_calls();
    for _ in 0..5 {
        world.pass(&told).await;
    }
    assert_eq!(world.cloud.take_calls(), Vec::<String>::new(), "no loop");
    assert_eq!(
        world.condition(ConditionType::Degraded),
        (Truth::True, "RolledBack".to_owned())
    );
    assert_ne!(world.condition(ConditionType::Ready).0, Truth::True);
}

#[tokio::test]
async fn a_revision_that_ecs_went_back_to_and_that_lives_is_kept() {
    let (world, _) = running().await;
    world.converge(&with_image("penstock-bridge:1", 7)).await;
    // Nobody saw the second image healthy, and the third fails.
    world.pass(&with_image("penstock-bridge:2", 8)).await;
    let second = world.cloud.observed(&orders()).resources.service;
    world.cloud.settle();
    let third = with_image("bad:1", 9);
    world.pass(&third).await;
    world.fail_on_the_spot(DeploymentProgress::Failed);
    world.cloud.meddle(&orders(), |observed| {
        observed.resources.service = second.clone();
        observed.counts.running = observed.counts.desired;
    });
    for _ in 0..3 {
        world.pass(&third).await;
    }
    assert_eq!(world.image(), "penstock-bridge:2");
    assert_eq!(world.condition(ConditionType::Ready).0, Truth::True);
}

#[tokio::test]
async fn a_revision_that_ecs_went_back_to_and_that_is_dead_gives_way_to_the_proven_one() {
    let (world, told) = changed_asleep().await;
    world.pass(&told).await;
    let second = world.cloud.observed(&orders()).resources.service;
    let third = with_image("bad:1", 9);
    world.pass(&third).await;
    world.fail_on_the_spot(DeploymentProgress::Failed);
    world
        .cloud
        .meddle(&orders(), |observed| observed.resources.service = second.clone());
    for _ in 0..2 {
        world.pass(&third).await;
    }
    assert_eq!(world.image(), "penstock-bridge:1");
}

#[tokio::test]
async fn without_a_proven_image_a_failure_at_the_resume_is_told_and_not_repeated() {
    let world = World::new();
    world.cloud.set_queue(busy());
    let told = wanted(orders_spec(), 7, "topic/0/7");
    world.converge(&asked(&told, TargetMode::Paused)).await;
    let resumed = asked(&told, TargetMode::Running);
    world.pass(&resumed).await;
    assert_eq!(
        world.cloud.take_calls()[0],
        "UpdateService desiredCount=3 forceNewDeployment=true (Resume)",
        "nobody has seen a task of it"
    );
    world.fail_on_the_spot(DeploymentProgress::Failed);
    for _ in 0..5 {
        world.pass(&resumed).await;
        assert_eq!(
            world.condition(ConditionType::Degraded),
            (Truth::True, "RolledBack".to_owned())
        );
        assert_eq!(world.condition(ConditionType::Ready).0, Truth::False);
    }
    assert_eq!(world.cloud.take_calls(), Vec::<String>::new(), "no loop");
    // Should the count go back to 0 with the failure, it is raised, and nothing is deployed for it.
    world.cloud.meddle(&orders(), |observed| observed.counts.desired = 0);
    world.pass(&resumed).await;
    assert_eq!(world.cloud.take_calls(), ["UpdateService desiredCount=3 (Wake)"]);
    // Asking by pause and resume is a new try, and one that lives ends the matter.
    world.converge(&asked(&told, TargetMode::Paused)).await;
    world.cloud.take_calls();
    world.pass(&resumed).await;
    assert!(world.cloud.take_calls()[0].contains("forceNewDeployment=true"));
    world.cloud.meddle(&orders(), |observed| observed.last_failure = None);
    world.converge(&resumed).await;
    assert_eq!(
        world.condition(ConditionType::Degraded),
        (Truth::False, "AsWanted".to_owned())
    );
    assert_eq!(world.condition(ConditionType::Ready).0, Truth::True);
}

#[tokio::test]
async fn the_definition_of_the_proven_revision_is_not_cleaned_up() {
    let (world, _) = asleep().await;
    for number in 2..10 {
        world
            .converge(&with_image(&format!("penstock-bridge:{number}"), 10 + number))
            .await;
    }
    let observed = world.cloud.observed(&orders());
    let images: Vec<_> = observed
        .revisions
        .iter()
        .filter_map(|one| one.content.as_ref())
        .map(|content| content.container.image.as_str())
        .collect();
    assert!(images.contains(&"penstock-bridge:1"), "{images:?}");
    assert_eq!(
        images.len(),
        5,
        "the one in use, three to look back on, and the proven one: {images:?}"
    );
}

#[tokio::test]
async fn what_is_made_anew_after_a_stop_has_nothing_to_fall_back_on() {
    let (world, told) = running().await;
    world.converge(&told).await;
    assert!(world.proven());
    world.converge(&asked(&told, TargetMode::Stopped)).await;
    assert!(!world.proven());
}
