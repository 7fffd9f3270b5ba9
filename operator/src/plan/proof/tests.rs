use penstock_crds::{Connector, Phase};

use super::*;
use crate::cloud::fake::nothing;
use crate::plan::accept::fresh_state;
use crate::plan::desired::{Surroundings, desired};
use crate::plan::resources::{Counts, Deployment, RegisteredRevision, ServiceLife, TaskHealth};
use crate::samples::{connector, orders_spec, owner};

const ARN: &str = "arn:aws:ecs:eu-west-1:123456789012:task-definition/penstock-orders:1";

fn state() -> State {
    fresh_state("topic/0/7".to_owned(), 7)
}

/// Two tasks that run what the document asks, brought by a deployment that is over.
fn running(change: impl FnOnce(&mut Connector)) -> Observed {
    let mut connector = connector(&orders_spec());
    change(&mut connector);
    let around = Surroundings::of(&owner(), &nothing());
    let resources = desired(&connector, Phase::Awake, &state(), None, &around);
    let revision = resources.service.as_ref().map(|service| service.revision.clone());
    let content = revision.as_ref().map(|revision| revision.task_definition.clone());
    Observed {
        resources,
        life: ServiceLife::Active,
        task_definition_arn: Some(ARN.to_owned()),
        revisions: vec![RegisteredRevision {
            arn: ARN.to_owned(),
            content,
        }],
        counts: Counts {
            desired: 2,
            running: 2,
            pending: 0,
        },
        deployment: Some(Deployment {
            id: "1".to_owned(),
            progress: DeploymentProgress::Completed,
            reason: None,
            revision,
        }),
        ..nothing()
    }
}

fn healthy(mut observed: Observed, healthy: i32) -> Observed {
    observed.tasks = Tasks::Seen(TaskHealth {
        healthy,
        ..TaskHealth::default()
    });
    observed
}

fn progressed(mut observed: Observed, progress: DeploymentProgress) -> Observed {
    observed.deployment.as_mut().expect("there is one").progress = progress;
    observed
}

fn proven_by(observed: &Observed) -> Option<Proven> {
    let mut state = state();
    remember(&mut state, observed);
    state.proven
}

#[test]
fn a_deployment_that_is_over_proves_nothing_without_a_healthy_task() {
    assert_eq!(proven_by(&running(|_| ())), None);
    assert_eq!(proven_by(&healthy(running(|_| ()), 0)), None);
    assert!(proven_by(&healthy(running(|_| ()), 1)).is_some());
}

#[test]
fn healthy_tasks_prove_nothing_while_a_deployment_moves_or_when_their_own_failed() {
    use DeploymentProgress::{Failed, InProgress, RollingBack};
    for progress in [InProgress, RollingBack, Failed] {
        let observed = progressed(healthy(running(|_| ()), 2), progress);
        assert_eq!(proven_by(&observed), None, "{progress:?}");
    }
    let mut went_back = progressed(healthy(running(|_| ()), 2), Failed);
    let other = running(|connector| connector.task.image = "bad:1".to_owned());
    went_back.deployment.as_mut().expect("there is one").revision = other.resources.service.map(|one| one.revision);
    assert!(proven_by(&went_back).is_some(), "ECS went back to it, and it lives");
}

#[test]
fn a_proven_revision_is_found_again_in_full() {
    let spot = penstock_crds::CapacityProvider {
        name: "FARGATE_SPOT".to_owned(),
        base: 1,
        weight: 2,
    };
    let on_spot = |connector: &mut Connector| {
        connector.service.capacity = penstock_crds::Capacity::Providers(vec![spot]);
        connector.service.public_ip = true;
    };
    for observed in [running(|_| ()), running(on_spot)] {
        let observed = healthy(observed, 2);
        let mut state = state();
        remember(&mut state, &observed);
        let text = serde_json::to_string(&state).expect("a state is JSON");
        let state: State = serde_json::from_str(&text).expect("what was written is read");
        let current = &observed.resources.service.as_ref().expect("it runs").revision;
        assert!(is_proven(&state, current));
        assert_eq!(revision(&state, &observed).as_ref(), Some(current));
        let gone = Observed {
            revisions: Vec::new(),
            ..observed
        };
        assert_eq!(revision(&state, &gone), None, "its task definition is gone");
    }
}

#[test]
fn a_proven_revision_whose_deployment_fails_later_is_no_longer_trusted() {
    let mut state = state();
    remember(&mut state, &healthy(running(|_| ()), 2));
    assert!(state.proven.is_some());
    remember(
        &mut state,
        &progressed(running(|_| ()), DeploymentProgress::RollingBack),
    );
    assert_eq!(state.proven, None);
}

#[test]
fn tasks_are_asked_about_whenever_some_run() {
    let observed = running(|_| ());
    assert!(asks_for_tasks(&observed));
    let moving = progressed(observed.clone(), DeploymentProgress::InProgress);
    assert!(
        asks_for_tasks(&moving),
        "nobody looks after the tasks that are being replaced"
    );
    for counts in [
        Counts::default(),
        Counts {
            desired: 2,
            ..Counts::default()
        },
    ] {
        let empty = Observed {
            counts,
            ..observed.clone()
        };
        assert!(!asks_for_tasks(&empty), "{counts:?}: there is nobody to ask about");
    }
}
