//! From the outcome of a pass, failed ones too, to the status, whether it is news, and when to look again.

use std::time::Duration;

use jiff::Timestamp;
use penstock_crds::{
    API_VERSION, ActionStatus, Condition, ConditionType, Connector, Fault, Health, Name, Phase, ResourceStatus,
    ScalingStatus, Status, TaskCounts, Truth,
};

use crate::plan::accept::{Judged, Verdict};
use crate::plan::decide::Plan;
use crate::plan::desired::{Surroundings, is_foreign_queue, uses_container_insights};
use crate::plan::owner::Owner;
use crate::plan::resources::{FOREIGN_SERVICE, Observed, QueueDepth, ServiceLife, Tasks};

mod conditions;
mod ownership;

pub use ownership::{ORPHANED, is_orphaned, name_taken};

/// Everything that a status is made from.
#[derive(Debug, Clone, Copy)]
pub struct Outcome<'a> {
    /// The operator.
    pub owner: &'a Owner,
    /// The connector.
    pub name: &'a Name,
    /// What was judged.
    pub judged: &'a Judged,
    /// What was decided, unless the pass failed before.
    pub plan: Option<&'a Plan>,
    /// What was seen, unless that failed.
    pub observed: Option<&'a Observed>,
    /// The queue, if it was read.
    pub queue: Option<QueueDepth>,
    /// Why it could not be read, in words.
    pub queue_trouble: Option<&'a str>,
    /// The calls that were made.
    pub taken: &'a [ActionStatus],
    /// What cut the pass short.
    pub failure: Option<&'a Failure>,
    /// The last status.
    pub previous: Option<&'a Status>,
    /// The time of the pass.
    pub now: Timestamp,
}

/// What cut a pass short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The step, as its error says it.
    pub message: String,
    /// What kind of failure, one CamelCase word.
    pub reason: &'static str,
    /// Whether it is only a matter of waiting, no fault.
    pub waiting: bool,
}

/// When to look at a connector again without being asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// At the resync.
    Resync,
    /// After this time: something is in motion.
    After(Duration),
    /// Once something in AWS may have come that has to come first: after waits that grow, to a minute at most.
    Wait,
    /// After a backoff that grows with each failure.
    Backoff,
    /// Never: the connector is gone.
    Forget,
}

/// How soon a deployment or a drain is looked at again.
const IN_MOTION: Duration = Duration::from_secs(5);
/// How soon tasks that start or stop are looked at again, so that the status follows them.
const TASKS_COMING: Duration = Duration::from_secs(15);
/// How soon tasks that fail are looked at again: ECS itself waits longer and longer.
const TASKS_FAILING: Duration = Duration::from_secs(60);

/// Makes the status of a pass.
pub fn status(outcome: Outcome<'_>) -> Status {
    let state = outcome.plan.map_or(&outcome.judged.state, |plan| &plan.state);
    let accepted = state.accepted.as_ref();
    let gone = is_gone(outcome);
    let conditions = conditions::conditions(outcome);
    let previous = outcome.previous;
    Status {
        api_version: API_VERSION.to_owned(),
        kind: "Connector".to_owned(),
        name: outcome.name.to_string(),
        time: outcome.now,
        uid: Some(state.uid.clone()).filter(|uid| !uid.is_empty()),
        observed_generation: Some(state.generation),
        accepted_generation: accepted.map(|accepted| accepted.generation),
        hash: accepted.map(|accepted| accepted.hash.clone()),
        phase: (!state.deleting && accepted.is_some()).then_some(state.phase),
        health: health(outcome, &conditions, gone),
        conditions,
        resources: outcome.observed.map_or_else(
            || previous.map(|previous| previous.resources.clone()).unwrap_or_default(),
            |observed| resources(outcome, observed),
        ),
        tasks: outcome.observed.map_or_else(
            || previous.map(|previous| previous.tasks).unwrap_or_default(),
            |observed| task_counts(outcome, observed),
        ),
        scaling: outcome.observed.map_or_else(
            || previous.and_then(|previous| previous.scaling.clone()),
            |observed| scaling(outcome, observed),
        ),
        differences: outcome.plan.map(|plan| plan.differences.clone()).unwrap_or_default(),
        actions: outcome.taken.to_vec(),
        actor: outcome.judged.actor.clone(),
        last_failure: outcome.observed.map_or_else(
            || previous.and_then(|previous| previous.last_failure.clone()),
            |observed| observed.trouble().map(str::to_owned),
        ),
        faults: told_faults(&outcome.judged.faults),
    }
}

/// The most faults that one status tells; a status has to fit a Kafka record.
const MOST_FAULTS: usize = 50;
/// The most characters of one of them.
const FAULT_CHARACTERS: usize = 1000;

/// Returns the faults in words, few and short enough for a record.
fn told_faults(faults: &[Fault]) -> Vec<String> {
    let text = |fault: &Fault| fault.to_string().chars().take(FAULT_CHARACTERS).collect();
    let more = faults.len().saturating_sub(MOST_FAULTS);
    let rest = (more > 0).then(|| format!("and {more} more"));
    faults.iter().take(MOST_FAULTS).map(text).chain(rest).collect()
}

/// Whether nothing of a removed connector is left.
pub fn is_gone(outcome: Outcome<'_>) -> bool {
    let removed = outcome.judged.verdict == Verdict::Remove && outcome.failure.is_none();
    let absent = |observed: &Observed| observed.life == ServiceLife::Absent || observed.is_taken();
    removed
        && outcome.taken.is_empty()
        && outcome.plan.is_some_and(|plan| plan.actions.is_empty())
        && outcome.observed.is_some_and(absent)
}

/// Whether a status says anything that the last one did not; times alone are no news.
pub fn is_news(previous: Option<&Status>, next: &Status) -> bool {
    let Some(previous) = previous else { return true };
    let mut timeless = next.clone();
    timeless.time = previous.time;
    for condition in &mut timeless.conditions {
        let before = previous
            .conditions
            .iter()
            .find(|before| before.r#type == condition.r#type);
        if let Some(before) = before {
            condition.last_transition_time = before.last_transition_time;
        }
    }
    &timeless != previous
}

/// Says when to look again.
pub fn next(outcome: Outcome<'_>, status: &Status) -> Next {
    if is_gone(outcome) {
        // A document that could not take over what was removed is judged as a new one now.
        let stands = !outcome.judged.faults.is_empty();
        return if stands {
            Next::After(Duration::ZERO)
        } else {
            Next::Forget
        };
    }
    if let Some(failure) = outcome.failure {
        return match failure {
            Failure { waiting: true, .. } => Next::Wait,
            _ => Next::Backoff,
        };
    }
    if is_in_vain(outcome.previous, status) {
        return Next::Backoff;
    }
    let progressing = holds(&status.conditions, ConditionType::Progressing, Truth::True);
    if progressing || !outcome.taken.is_empty() {
        Next::After(IN_MOTION)
    } else if outcome.observed.is_some_and(is_moving) || is_awaited(outcome, status) {
        Next::After(if outcome.observed.is_some_and(|seen| seen.last_failure.is_some()) {
            TASKS_FAILING
        } else {
            TASKS_COMING
        })
    } else if conditions::lacks_queue(outcome).is_some() {
        // It may be back in a second, and nobody else says when it is.
        Next::Backoff
    } else {
        Next::Resync
    }
}

/// Whether tasks are about to start or to stop.
fn is_moving(observed: &Observed) -> bool {
    observed.counts.running != observed.counts.desired || observed.counts.pending > 0
}

/// Whether tasks run that have yet to show that they are healthy. What a permission keeps from being read changes when
/// somebody grants it, which nobody need watch for.
fn is_awaited(outcome: Outcome<'_>, status: &Status) -> bool {
    let is_ready = holds(&status.conditions, ConditionType::Ready, Truth::True);
    outcome.observed.is_some_and(|observed| match &observed.tasks {
        Tasks::Seen(seen) => !is_ready || seen.healthy < observed.counts.running,
        Tasks::Unknown { denied, .. } => !is_ready && !denied,
        Tasks::Unasked => false,
    })
}

/// Whether the pass did what the one before it did, about the same differences: somebody undoes it, or AWS does not keep
/// it, and doing it more often helps nobody.
fn is_in_vain(previous: Option<&Status>, status: &Status) -> bool {
    let Some(previous) = previous else { return false };
    let operations = |status: &Status| {
        let operations = status.actions.iter().map(|action| action.operation.clone());
        operations.collect::<Vec<_>>()
    };
    !status.actions.is_empty()
        && !status.differences.is_empty()
        && previous.differences == status.differences
        && operations(previous) == operations(status)
}

fn health(outcome: Outcome<'_>, conditions: &[Condition], gone: bool) -> Health {
    let is = |kind, truth| holds(conditions, kind, truth);
    let state = outcome.plan.map_or(&outcome.judged.state, |plan| &plan.state);
    match &outcome.judged.verdict {
        Verdict::Remove if gone => Health::Deleted,
        Verdict::Remove => without_tasks(outcome, conditions, Health::Stopped),
        Verdict::Refuse => Health::Unassigned,
        Verdict::Orphan => Health::Degraded,
        Verdict::Keep(..) => match state.phase {
            Phase::Paused => without_tasks(outcome, conditions, Health::Paused),
            Phase::Stopped => without_tasks(outcome, conditions, Health::Stopped),
            _ if outcome.observed.is_none() => Health::Unassigned,
            _ if is(ConditionType::Ready, Truth::False) && is(ConditionType::Progressing, Truth::True) => {
                if outcome
                    .previous
                    .is_some_and(|previous| previous.health == Health::Healthy)
                {
                    Health::Restarting
                } else {
                    Health::Unassigned
                }
            }
            _ if is(ConditionType::Ready, Truth::False) => Health::Unhealthy,
            Phase::Awake if is(ConditionType::Ready, Truth::Unknown) => Health::Unassigned,
            _ if is(ConditionType::Degraded, Truth::True) => Health::Degraded,
            _ => Health::Healthy,
        },
    }
}

/// Returns the word of a connector that shall run no task: `rests` only once none is seen to run, as AWS may refuse to stop
/// them. The tasks of a service that lost its tags are not seen.
fn without_tasks(outcome: Outcome<'_>, conditions: &[Condition], rests: Health) -> Health {
    let is_seen = |observed: &Observed| !observed.foreign.contains_key(FOREIGN_SERVICE);
    match outcome.observed {
        None => Health::Unassigned,
        Some(observed) if observed.counts.running == 0 && is_seen(observed) => rests,
        Some(_) if holds(conditions, ConditionType::Degraded, Truth::True) => Health::Degraded,
        Some(_) => Health::Restarting,
    }
}

fn holds(conditions: &[Condition], kind: ConditionType, truth: Truth) -> bool {
    conditions.iter().any(|one| one.r#type == kind && one.status == truth)
}

fn resources(outcome: Outcome<'_>, observed: &Observed) -> Vec<ResourceStatus> {
    let entry = |kind: &str, name: &str, arn: Option<&String>| ResourceStatus {
        r#type: kind.to_owned(),
        name: name.to_owned(),
        arn: arn.cloned(),
    };
    let mut found = Vec::new();
    let service = outcome.owner.name.service_name(outcome.name);
    if observed.resources.service.is_some() {
        found.push(entry("AWS::ECS::Service", &service, observed.service_arn.as_ref()));
        found.push(entry(
            "AWS::ECS::TaskDefinition",
            &service,
            observed.task_definition_arn.as_ref(),
        ));
    }
    if let Some(scaling) = &observed.resources.scaling {
        let target = "AWS::ApplicationAutoScaling::ScalableTarget";
        found.push(entry(target, &service, observed.arns.get(&service)));
        for policy in scaling.policies.keys() {
            found.push(entry(
                "AWS::ApplicationAutoScaling::ScalingPolicy",
                policy,
                observed.arns.get(policy),
            ));
        }
    }
    for alarm in observed.resources.alarms.keys() {
        found.push(entry("AWS::CloudWatch::Alarm", alarm, observed.arns.get(alarm)));
    }
    found
}

fn task_counts(outcome: Outcome<'_>, observed: &Observed) -> TaskCounts {
    let counts = observed.counts;
    let before = outcome.previous.map(|previous| previous.tasks);
    let since = before.filter(|before| before.running == counts.running);
    TaskCounts {
        desired: counts.desired,
        running: counts.running,
        pending: counts.pending,
        running_since: since.and_then(|before| before.running_since).or(Some(outcome.now)),
    }
}

fn scaling(outcome: Outcome<'_>, observed: &Observed) -> Option<ScalingStatus> {
    let scaling = observed.resources.scaling.as_ref()?;
    let around = Surroundings::of(outcome.owner, observed);
    let source = |connector: &Connector| {
        if is_foreign_queue(connector, &around) {
            "operator"
        } else if uses_container_insights(connector, &around) {
            "containerInsights"
        } else {
            "sampleCount"
        }
    };
    let from = match &outcome.judged.verdict {
        Verdict::Keep(connector, _) => Some(source(connector).to_owned()),
        _ => None,
    };
    let activity = observed.last_activity.as_ref();
    Some(ScalingStatus {
        min: scaling.min,
        max: scaling.max,
        policies: scaling.policies.keys().cloned().collect(),
        foreign_policies: observed.foreign_policies.iter().cloned().collect(),
        running_tasks_from: from,
        last_activity: activity.map(|activity| activity.description.clone()),
        not_scaled: activity.and_then(|activity| activity.not_scaled_reason.clone()),
    })
}

#[cfg(test)]
mod tests;
