//! From what is and what should be to the steps between, in an order that is safe to stop after any of them.

use std::collections::BTreeMap;

use crate::plan::action::{Action, CountCause};
use crate::plan::resources::{
    Alarm, DeploymentProgress, FOREIGN_TARGET, Observed, Resources, Scaling, Service, ServiceLife, Suspension,
};

/// How the count of tasks is ruled in this pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CountRule {
    /// Application Auto Scaling owns it, but for the step up from 0, which takes this many tasks.
    Scaled {
        /// The tasks to wake with.
        wake: i32,
    },
    /// No task, for this cause.
    Zero(CountCause),
    /// Exactly this many: there is no scaling.
    Fixed(i32),
}

/// What the steps need beside the two sides.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// How the count is ruled.
    pub count: CountRule,
    /// The client token of a create.
    pub token: String,
    /// Ownership tags of what has no tags in [`Resources`].
    pub tags: BTreeMap<String, String>,
    /// How many task definitions stay registered beside those in use; none once the connector is removed.
    pub keep_revisions: usize,
    /// The ARN of a task definition that stays registered, because it may have to take another's place.
    pub keep_definition: Option<String>,
    /// Whether tasks that start from none are deployed anew.
    pub redeploy: bool,
    /// Whether the service is deployed anew though it runs what is wanted: that failed, and is asked for again.
    pub retry: bool,
}

/// The most task definitions that one pass cleans up: their API category allows one call a second.
const CLEANED_PER_PASS: usize = 5;

/// Returns the steps from `observed` to `desired`. A service comes before its scaling and alarms; on the way out the order
/// is reversed. What is foreign is in no step, and nothing is done to a service that still drains.
pub fn diff(desired: &Resources, observed: &Observed, rules: &Rules) -> Vec<Action> {
    let foreign = observed.is_taken();
    let mut actions = Vec::new();
    let scaling = desired.scaling.as_ref();
    match &desired.service {
        Some(service) if !foreign => match observed.life {
            ServiceLife::Draining => alarm_steps(desired, observed, rules, &mut actions),
            // Who pauses or waits for a task must not wait for a change of the service that AWS may refuse; nor may the
            // alarms, which are muted with the tasks and armed with them.
            ServiceLife::Active if count_is_urgent(observed, rules) => {
                count_steps(scaling, observed, rules, &mut actions);
                alarm_steps(desired, observed, rules, &mut actions);
                policy_steps(scaling, observed, &mut actions);
                service_steps(service, observed, rules, &mut actions);
            }
            ServiceLife::Active | ServiceLife::Absent => {
                service_steps(service, observed, rules, &mut actions);
                count_steps(scaling, observed, rules, &mut actions);
                policy_steps(scaling, observed, &mut actions);
                alarm_steps(desired, observed, rules, &mut actions);
            }
        },
        _ => removal_steps(observed, foreign, &mut actions),
    }
    if actions.is_empty() {
        cleanup_steps(observed, rules, &mut actions);
    }
    actions
}

/// Whether tasks have to stop, or the first one has to start.
fn count_is_urgent(observed: &Observed, rules: &Rules) -> bool {
    matches!(rules.count, CountRule::Zero(_)) || observed.counts.desired == 0
}

fn service_steps(service: &Service, observed: &Observed, rules: &Rules, actions: &mut Vec<Action>) {
    let current = observed.resources.service.as_ref();
    if rules.retry && current.is_some() {
        actions.push(Action::Redeploy);
    }
    if current == Some(service) {
        return;
    }
    let new_definition =
        current.map(|current| &current.revision.task_definition) != Some(&service.revision.task_definition);
    let registered = new_definition.then(|| registered(service, observed)).flatten();
    if new_definition && registered.is_none() {
        let content = Box::new(service.revision.task_definition.clone());
        actions.push(Action::RegisterTaskDefinition {
            content,
            tags: rules.tags.clone(),
        });
    }
    let Some(current) = current else {
        actions.push(Action::CreateService {
            service: Box::new(service.clone()),
            desired_count: first_count(rules.count),
            token: rules.token.clone(),
            task_definition: registered,
        });
        return;
    };
    let retagged = Service {
        tags: service.tags.clone(),
        ..current.clone()
    };
    if &retagged != service {
        actions.push(Action::UpdateService {
            service: Box::new(service.clone()),
            task_definition: registered,
            new_revision: current.revision != service.revision,
        });
    }
    if current.tags != service.tags {
        let gone = current.tags.keys().filter(|key| !service.tags.contains_key(*key));
        actions.push(Action::TagService {
            set: service.tags.clone(),
            remove: gone.cloned().collect(),
        });
    }
}

/// Returns the ARN of an ACTIVE revision that already holds what is wanted: one that a pass registered before it was cut short.
fn registered(service: &Service, observed: &Observed) -> Option<String> {
    let wanted = Some(&service.revision.task_definition);
    observed
        .revisions
        .iter()
        .find(|revision| revision.content.as_ref() == wanted)
        .map(|revision| revision.arn.clone())
}

fn first_count(rule: CountRule) -> i32 {
    match rule {
        CountRule::Scaled { wake } => wake,
        CountRule::Zero(_) => 0,
        CountRule::Fixed(count) => count,
    }
}

/// Every registration clamps the live count into its range. So a sleeper is first given tasks and then a bound of 1, and
/// first a bound of 0 and then no task: in between, nobody else moves the count the wrong way.
fn count_steps(desired: Option<&Scaling>, observed: &Observed, rules: &Rules, actions: &mut Vec<Action>) {
    let foreign = observed.foreign.contains_key(FOREIGN_TARGET);
    let exists = observed.life == ServiceLife::Active;
    let count = observed.counts.desired;
    let current = observed.resources.scaling.as_ref();
    let set = |wanted, cause| Action::SetDesiredCount {
        count: wanted,
        cause,
        redeploy: rules.redeploy && count == 0 && wanted > 0,
    };
    match (desired, rules.count) {
        (Some(_), CountRule::Scaled { wake }) if exists && count == 0 => {
            let resumed = current.is_some_and(|current| current.suspended == Suspension::All);
            actions.push(set(wake, if resumed { CountCause::Resume } else { CountCause::Wake }));
        }
        _ => {}
    }
    match desired {
        _ if foreign => {}
        Some(desired) => target_step(desired, observed, rules, actions),
        None if current.is_some() => actions.push(Action::DeregisterScalableTarget),
        None => {}
    }
    match rules.count {
        CountRule::Zero(cause) if exists && count != 0 => actions.push(set(0, cause)),
        CountRule::Fixed(fixed) if exists && count != fixed => actions.push(set(fixed, CountCause::Fixed)),
        _ => {}
    }
}

/// Registers the target when it differs, and also when somebody put the count outside its bounds: AWS moves it back in.
fn target_step(desired: &Scaling, observed: &Observed, rules: &Rules, actions: &mut Vec<Action>) {
    let bounds = |scaling: &Scaling| (scaling.min, scaling.max, scaling.suspended);
    let (min, max, suspended) = bounds(desired);
    let count = observed.counts.desired;
    let awake = matches!(rules.count, CountRule::Scaled { .. }) && observed.life == ServiceLife::Active && count != 0;
    let strays = awake && !(min..=max).contains(&count);
    if observed.resources.scaling.as_ref().map(bounds) != Some((min, max, suspended)) || strays {
        actions.push(Action::RegisterScalableTarget {
            min,
            max,
            suspended: suspended == Suspension::All,
            tags: rules.tags.clone(),
        });
    }
}

fn policy_steps(desired: Option<&Scaling>, observed: &Observed, actions: &mut Vec<Action>) {
    let Some(desired) = desired.filter(|_| !observed.foreign.contains_key(FOREIGN_TARGET)) else {
        return;
    };
    let current = observed.resources.scaling.as_ref().map(|current| &current.policies);
    for (name, policy) in &desired.policies {
        if current.and_then(|current| current.get(name)) != Some(policy) {
            actions.push(Action::PutScalingPolicy {
                name: name.clone(),
                policy: Box::new(policy.clone()),
            });
        }
    }
    let stray = current
        .into_iter()
        .flatten()
        .map(|(name, _)| name)
        .filter(|name| !desired.policies.contains_key(*name));
    actions.extend(stray.map(|name| Action::DeleteScalingPolicy { name: name.clone() }));
}

/// An alarm tells of changes of its state alone, and to be armed is none: what went to ALARM while it was muted would stay
/// silent for as long as it lasts. So it is made anew when it is armed.
fn alarm_steps(desired: &Resources, observed: &Observed, rules: &Rules, actions: &mut Vec<Action>) {
    let current = &observed.resources.alarms;
    let changed =
        |(name, alarm): &(&String, &Alarm)| current.get(*name) != Some(*alarm) && !observed.foreign.contains_key(*name);
    let is_armed = |(name, alarm): &(&String, &Alarm)| {
        let is_muted = current.get(*name).is_some_and(|current| !current.actions_enabled);
        is_muted && alarm.actions_enabled
    };
    let changed: Vec<_> = desired.alarms.iter().filter(changed).collect();
    let armed: Vec<_> = changed.iter().copied().filter(is_armed).collect();
    if !armed.is_empty() {
        let names = armed.into_iter().map(|(name, _)| name.clone()).collect();
        actions.push(Action::DeleteAlarms { names });
    }
    actions.extend(changed.into_iter().map(|(name, alarm)| Action::PutAlarm {
        name: name.clone(),
        alarm: Box::new(alarm.clone()),
        tags: rules.tags.clone(),
    }));
    let stray: Vec<_> = current
        .keys()
        .filter(|name| !desired.alarms.contains_key(*name))
        .cloned()
        .collect();
    if !stray.is_empty() {
        actions.push(Action::DeleteAlarms { names: stray });
    }
}

fn removal_steps(observed: &Observed, foreign: bool, actions: &mut Vec<Action>) {
    // One that is ours also goes where the service has become somebody else's, which it would go on scaling.
    if observed.resources.scaling.is_some() {
        actions.push(Action::DeregisterScalableTarget);
    }
    if observed.life == ServiceLife::Active && !foreign {
        if observed.counts.desired != 0 {
            actions.push(Action::SetDesiredCount {
                count: 0,
                cause: CountCause::Delete,
                redeploy: false,
            });
        }
        actions.push(Action::DeleteService);
    }
    // Last, so that a refusal here leaves no task running.
    if !observed.resources.alarms.is_empty() {
        actions.push(Action::DeleteAlarms {
            names: observed.resources.alarms.keys().cloned().collect(),
        });
    }
}

/// Task definitions go last, and only while nothing is in motion that may still need one. Those that we registered in a
/// family that has become somebody else's go too, as they would keep its owner from coming back.
fn cleanup_steps(observed: &Observed, rules: &Rules, actions: &mut Vec<Action>) {
    let settled = observed
        .deployment
        .as_ref()
        .is_none_or(|one| one.progress == DeploymentProgress::Completed);
    let quiet = match observed.life {
        ServiceLife::Active => settled,
        ServiceLife::Absent => true,
        ServiceLife::Draining => false,
    };
    if !quiet {
        return;
    }
    let keep_revisions = if observed.is_taken() { 0 } else { rules.keep_revisions };
    let in_use = observed
        .task_definition_arn
        .as_ref()
        .filter(|_| observed.life == ServiceLife::Active);
    let kept = [in_use, rules.keep_definition.as_ref()];
    let spare = observed
        .revisions
        .iter()
        .map(|one| &one.arn)
        .filter(|arn| !kept.contains(&Some(*arn)))
        .skip(keep_revisions);
    actions.extend(
        spare
            .take(CLEANED_PER_PASS)
            .map(|arn| Action::DeregisterTaskDefinition { arn: arn.clone() }),
    );
    if !observed.inactive_revisions.is_empty() {
        let arns = observed.inactive_revisions.iter().take(10).cloned().collect();
        actions.push(Action::DeleteTaskDefinitions { arns });
    }
}

#[cfg(test)]
mod tests;
