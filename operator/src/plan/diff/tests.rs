//! Any observed state, foreign and draining resources included, is brought to any desired one.

use proptest::prelude::*;

use super::*;
use crate::cloud::fake::{after, nothing, settle};
use crate::plan::desired::{Surroundings, desired, tags};
use crate::plan::owner::Holder;
use crate::plan::resources::{Alarm, Deployment, FOREIGN_DEFINITIONS, FOREIGN_SERVICE, Policy, RegisteredRevision};
use crate::samples::{connector, home, orders_spec, owner};

/// A whole set of resources from a sample document, varied in the fields that the numbers pick.
fn resources(memory: u32, max: u32, label: u8, alarms: u8, policies: u8, threshold: u64) -> Resources {
    let mut spec = orders_spec();
    spec.task.as_mut().expect("the sample has a task").memory = Some(512 * memory);
    let scaling = spec.scaling.as_mut().expect("the sample scales");
    scaling.max = Some(max);
    scaling.cpu = (policies > 1).then_some(60);
    spec.alarms.as_mut().expect("the sample has alarms").oldest_message_age = Some(penstock_crds::AlarmSpec {
        threshold: Some(threshold),
        enabled: Some(alarms > 0),
        ..Default::default()
    });
    let connector = connector(&spec);
    let judged = crate::plan::accept::accept(
        &connector.name,
        &crate::samples::wanted(spec, i64::from(label), "topic/0/1"),
        None,
        &home(),
    );
    let state = judged.expect("a document was written").state;
    let around = Surroundings {
        owner: owner(),
        home: home(),
        container_insights: policies.is_multiple_of(2),
    };
    assert!(tags(&connector, &state, &around).contains_key("penstock:connector"));
    desired(&connector, penstock_crds::Phase::Awake, &state, None, &around)
}

prop_compose! {
    fn any_resources()(
        memory in 1u32..=2, max in 1u32..4, label in 0u8..3, alarms in 0u8..3, policies in 0u8..4, threshold in 1u64..3,
        service in any::<bool>(), scaling in any::<bool>(),
    ) -> Resources {
        let mut made = resources(memory, max, label, alarms, policies, threshold);
        if !service {
            made = Resources { alarms: made.alarms, ..Resources::default() };
        }
        if !scaling {
            made.scaling = None;
        }
        made
    }
}

prop_compose! {
    fn any_observed()(
        resources in any_resources(), count in 0i32..4, draining in any::<bool>(), foreign_service in prop::bool::weighted(0.2),
        foreign_alarm in prop::bool::weighted(0.2), foreign_target in prop::bool::weighted(0.2),
        foreign_definitions in prop::bool::weighted(0.2), registered in any::<bool>(), stray_policy in any::<bool>(),
        stray_alarm in any::<bool>(), inactive in 0usize..3, deploying in any::<bool>(),
    ) -> Observed {
        let mut observed = Observed { resources, ..nothing() };
        observed.counts.desired = count;
        observed.life = match (&observed.resources.service, draining) {
            (Some(_), _) => ServiceLife::Active,
            (None, true) => ServiceLife::Draining,
            (None, false) => ServiceLife::Absent,
        };
        if let Some(service) = observed.resources.service.as_ref().filter(|_| registered) {
            let content = Some(service.revision.task_definition.clone());
            observed.revisions = vec![RegisteredRevision { arn: "arn:definition/penstock-orders:1".to_owned(), content }];
            observed.task_definition_arn = Some("arn:definition/penstock-orders:1".to_owned());
        }
        if let Some(scaling) = observed.resources.scaling.as_mut().filter(|_| stray_policy) {
            let policy: Option<Policy> = scaling.policies.values().next().cloned();
            scaling.policies.extend(policy.map(|policy| ("penstock-orders-old".to_owned(), policy)));
        }
        let alarm: Option<Alarm> = observed.resources.alarms.values().next().cloned();
        if stray_alarm {
            observed.resources.alarms.extend(alarm.map(|alarm| ("penstock-orders-old".to_owned(), alarm)));
        }
        if foreign_service {
            observed.foreign.insert(FOREIGN_SERVICE.to_owned(), Holder::default());
            observed.resources.service = None;
            observed.resources.scaling = None;
            observed.life = ServiceLife::Active;
        }
        if foreign_alarm {
            observed.foreign.insert(FOREIGN_ALARM.to_owned(), Holder::default());
            observed.resources.alarms.remove(FOREIGN_ALARM);
        }
        if foreign_target {
            observed.foreign.insert(FOREIGN_TARGET.to_owned(), Holder::default());
            observed.resources.scaling = None;
        }
        if foreign_definitions {
            observed.foreign.insert(FOREIGN_DEFINITIONS.to_owned(), Holder::default());
        }
        observed.inactive_revisions = (0..inactive).map(|number| format!("arn:definition/penstock-orders:0{number}")).collect();
        if deploying {
            observed.deployment =
                Some(Deployment { id: "1".to_owned(), progress: DeploymentProgress::InProgress, reason: None, revision: None });
        }
        observed
    }
}

const FOREIGN_ALARM: &str = "penstock-orders-highCpuUsageAndMaxScaledOut";

/// What can be reached: what is wanted, but for what somebody else owns.
fn reachable(desired: &Resources, observed: &Observed) -> Resources {
    let drained = Observed {
        life: if observed.life == ServiceLife::Draining {
            ServiceLife::Absent
        } else {
            observed.life
        },
        ..observed.clone()
    };
    let mut reachable = desired.clone();
    if drained.is_taken() || reachable.service.is_none() {
        return Resources::default();
    }
    if observed.foreign.contains_key(FOREIGN_TARGET) {
        reachable.scaling = None;
    }
    reachable.alarms.retain(|name, _| !observed.foreign.contains_key(name));
    reachable
}

fn rules(desired: &Resources) -> Rules {
    let count = match (&desired.service, &desired.scaling) {
        (None, _) => CountRule::Zero(CountCause::Delete),
        (Some(_), Some(_)) => CountRule::Scaled { wake: 1 },
        (Some(_), None) => CountRule::Fixed(1),
    };
    Rules {
        count,
        token: "token".to_owned(),
        tags: BTreeMap::new(),
        keep_revisions: 3,
        keep_definition: None,
        redeploy: false,
        retry: false,
    }
}

proptest! {
    #[test]
    fn applying_the_diff_reaches_the_desired(desired in any_resources(), start in any_observed()) {
        let goal = reachable(&desired, &start);
        let mut observed = start.clone();
        for _ in 0..8 {
            let mut registered = None;
            for action in diff(&desired, &observed, &rules(&desired)) {
                registered = after(&mut observed, &action, registered.as_deref()).or(registered);
            }
            settle(&mut observed);
        }
        prop_assert_eq!(&observed.resources, &goal);
        prop_assert_eq!(diff(&desired, &observed, &rules(&desired)), vec![]);
        prop_assert!(observed.revisions.len() <= 4 && observed.inactive_revisions.is_empty());
        if goal.service.is_some() {
            prop_assert!(observed.counts.desired >= 1);
        }
    }

    #[test]
    fn what_is_foreign_is_in_no_action(desired in any_resources(), observed in any_observed()) {
        for action in diff(&desired, &observed, &rules(&desired)) {
            let text = action.to_string();
            if observed.foreign.contains_key(FOREIGN_ALARM) {
                prop_assert!(!text.contains(FOREIGN_ALARM), "{text}");
            }
            if observed.foreign.contains_key(FOREIGN_TARGET) {
                let scales = action.operation().contains("Scalable") || action.operation().contains("Scaling");
                prop_assert!(!scales, "{text}");
            }
            // What is still done there is the removal of our own, known by its tags.
            let of_ours = matches!(
                action,
                Action::DeleteAlarms { .. } | Action::DeregisterScalableTarget | Action::DeregisterTaskDefinition { .. }
                    | Action::DeleteTaskDefinitions { .. }
            );
            if observed.is_taken() {
                prop_assert!(of_ours, "{text}");
            }
        }
    }

    #[test]
    fn a_draining_service_is_waited_for(desired in any_resources(), mut observed in any_observed()) {
        observed.life = ServiceLife::Draining;
        observed.resources.service = None;
        let touches = |action: &Action| matches!(
            action,
            Action::CreateService { .. } | Action::UpdateService { .. } | Action::DeleteService | Action::SetDesiredCount { .. }
        );
        prop_assert!(!diff(&desired, &observed, &rules(&desired)).iter().any(touches));
    }
}
