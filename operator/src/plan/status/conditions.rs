//! The conditions of a status: each judged from one outcome, with a reason for programs and a message for people.

use penstock_crds::{Condition, ConditionType, Connector, Phase, Status, Truth};

use super::ownership::{ORPHANED, is_orphaned, left_behind, name_taken, orphaned};
use super::{Outcome, is_gone};
use crate::plan::accept::Verdict;
use crate::plan::desired::Surroundings;
use crate::plan::home::left_out;
use crate::plan::polled::is_polled;
use crate::plan::resources::{DeploymentProgress, Observed, ServiceLife, TaskHealth, Tasks};

mod scaling;

use scaling::scaling_limited;

/// The reason of a connector that is ready because its tasks work, and not because none is needed.
const TASKS_RUNNING: &str = "TasksRunning";
/// The reason of a connector too few of whose tasks pass their health check.
const NOT_HEALTHY: &str = "NotHealthy";
/// The reason of a connector whose tasks ran and could not be asked for their health.
const HEALTH_UNKNOWN: &str = "HealthUnknown";
/// The reason of a connector whose queue could not be read, though something depends on it.
const QUEUE_UNKNOWN: &str = "QueueUnknown";

/// How many faults stand in a condition's message.
const FAULTS_IN_A_MESSAGE: usize = 3;

struct Judgement(Truth, &'static str, String);

/// Returns all conditions; a condition whose truth did not change keeps the time of its last change.
pub(super) fn conditions(outcome: Outcome<'_>) -> Vec<Condition> {
    let judged = [
        (ConditionType::Ready, ready(outcome)),
        (ConditionType::Synced, synced(outcome)),
        (ConditionType::Progressing, progressing(outcome)),
        (ConditionType::Degraded, degraded(outcome)),
        (ConditionType::ScalingLimited, scaling_limited(outcome)),
    ];
    let mut found: Vec<_> = judged
        .into_iter()
        .map(|(kind, judgement)| condition(outcome, kind, judgement))
        .collect();
    if is_gone(outcome) {
        found.push(condition(outcome, ConditionType::Deleted, deleted(outcome)));
    }
    found
}

fn deleted(outcome: Outcome<'_>) -> Judgement {
    let (state, name) = (&outcome.judged.state, outcome.name);
    // Orphans are looked for by their services.
    if state.accepted.is_none() && outcome.previous.is_some_and(is_orphaned) {
        let service = outcome.owner.name.service_name(name);
        return yes(
            "Removed",
            format!(
                "the service `{service}` is gone; whether it left a scalable target, alarms or task definitions was not \
                 looked at: `penstock prune` takes them along, and who deletes a service by hand does not"
            ),
        );
    }
    let left = outcome
        .observed
        .and_then(|observed| left_behind(outcome.owner, outcome.name, observed));
    yes(
        "Removed",
        left.unwrap_or_else(|| "everything that the connector made is gone".to_owned()),
    )
}

fn condition(outcome: Outcome<'_>, kind: ConditionType, Judgement(status, reason, message): Judgement) -> Condition {
    let before = outcome
        .previous
        .and_then(|previous| previous.conditions.iter().find(|one| one.r#type == kind));
    let since = before
        .filter(|before| before.status == status)
        .map_or(outcome.now, |before| before.last_transition_time);
    Condition {
        r#type: kind,
        status,
        reason: reason.to_owned(),
        message,
        last_transition_time: since,
        observed_generation: Some(outcome.judged.state.generation),
    }
}

fn yes(reason: &'static str, message: impl Into<String>) -> Judgement {
    Judgement(Truth::True, reason, message.into())
}

fn no(reason: &'static str, message: impl Into<String>) -> Judgement {
    Judgement(Truth::False, reason, message.into())
}

fn unknown(reason: &'static str, message: impl Into<String>) -> Judgement {
    Judgement(Truth::Unknown, reason, message.into())
}

/// Ready is a promise: tasks run and have passed their health check, or the connector sleeps on a queue seen empty.
fn ready(outcome: Outcome<'_>) -> Judgement {
    let connector = match &outcome.judged.verdict {
        Verdict::Keep(connector, _) => connector,
        Verdict::Remove => return no("Deleting", "the connector was withdrawn"),
        Verdict::Refuse => return no("Refused", "no document has been accepted yet"),
        Verdict::Orphan => return no(ORPHANED, "there is no document"),
    };
    let Some(observed) = outcome.observed else {
        return unknown(
            "Unobserved",
            outcome
                .failure
                .map(|failure| failure.message.clone())
                .unwrap_or_default(),
        );
    };
    match outcome.plan.map_or(outcome.judged.state.phase, |plan| plan.state.phase) {
        Phase::Paused => no("Paused", "paused on request"),
        Phase::Stopped => no("Stopped", "stopped on request"),
        Phase::Asleep => asleep(outcome, observed),
        Phase::Awake => awake(outcome, observed, connector),
    }
}

fn asleep(outcome: Outcome<'_>, observed: &Observed) -> Judgement {
    match outcome.queue {
        None => unknown(
            QUEUE_UNKNOWN,
            outcome
                .queue_trouble
                .unwrap_or("the queue could not be read, so nobody knows whether a message waits"),
        ),
        Some(queue) if queue.backlog() > 0 => no("Waking", "messages wait and no task runs yet"),
        Some(_) if observed.life != ServiceLife::Active => no("ServiceMissing", "there is no service that could wake"),
        Some(_) => yes("Asleep", "the queue is empty; the first message wakes a task"),
    }
}

fn awake(outcome: Outcome<'_>, observed: &Observed, connector: &Connector) -> Judgement {
    let counts = observed.counts;
    let fewest = connector.scaling.as_ref().map_or(1, |scaling| scaling.min.max(1));
    if observed.life != ServiceLife::Active {
        return no("ServiceMissing", "there is no service yet");
    }
    if counts.running == 0 {
        return no("NoTaskRunning", observed.trouble().unwrap_or("no task runs yet"));
    }
    if i64::from(counts.running) < i64::from(fewest) {
        return no(
            "TooFewTasks",
            with_cause(
                format!("{} of at least {fewest} tasks run", counts.running),
                observed.trouble(),
            ),
        );
    }
    let was_ready = tasks_were_ready(outcome.previous);
    match observed.deployment.as_ref().map(|deployment| deployment.progress) {
        Some(DeploymentProgress::Completed) => by_health(observed, fewest, was_ready),
        // Tasks that have proved themselves go on working while others replace them.
        Some(DeploymentProgress::InProgress | DeploymentProgress::RollingBack)
            if was_ready || has_proved_itself(outcome) =>
        {
            by_health(observed, fewest, was_ready)
        }
        Some(DeploymentProgress::Failed) => match by_health(observed, fewest, was_ready) {
            Judgement(Truth::True, reason, _) => yes(
                reason,
                format!("{} tasks run, though the last deployment failed", counts.running),
            ),
            Judgement(_, NOT_HEALTHY, message) => no("DeploymentFailed", format!("the deployment failed; {message}")),
            unknown => unknown,
        },
        Some(_) | None => {
            let waiting = "tasks have yet to pass their health check".to_owned();
            no("Deploying", with_cause(waiting, observed.trouble()))
        }
    }
}

/// Whether a revision of the connector is known to live, so that its tasks work while others replace them.
fn has_proved_itself(outcome: Outcome<'_>) -> bool {
    let state = outcome.plan.map_or(&outcome.judged.state, |plan| &plan.state);
    state.proven.is_some()
}

/// Whether a status says that the connector's tasks work.
fn tasks_were_ready(status: Option<&Status>) -> bool {
    let conditions = status.into_iter().flat_map(|status| &status.conditions);
    let mut ready = conditions.filter(|one| one.r#type == ConditionType::Ready && one.status == Truth::True);
    ready.any(|one| one.reason == TASKS_RUNNING)
}

/// Judges tasks that run by their health check, those of any revision while a deployment replaces them. That a deployment
/// ended well is not enough: the count may have risen since. Tasks that were ready before stay so over one failure to ask,
/// unless AWS denies it: that does not pass.
fn by_health(observed: &Observed, fewest: u32, was_ready: bool) -> Judgement {
    let counts = observed.counts;
    let seen = match &observed.tasks {
        Tasks::Seen(seen) => seen,
        Tasks::Unknown { denied: true, why } => return unknown("AccessDenied", why),
        Tasks::Unknown { why, .. } if was_ready => {
            return yes(HEALTH_UNKNOWN, format!("{} tasks run; {why}", counts.running));
        }
        Tasks::Unknown { why, .. } => return unknown(HEALTH_UNKNOWN, why),
        Tasks::Unasked => return unknown(HEALTH_UNKNOWN, "the health of the tasks was not read"),
    };
    let is_moving = observed.is_deploying();
    let healthy = seen.healthy.saturating_add(if is_moving { seen.former } else { 0 });
    let told = format!("{healthy} of {} tasks are healthy", counts.desired);
    if i64::from(healthy) < i64::from(fewest) {
        return no(NOT_HEALTHY, with_cause(told, seen.cause.as_deref()));
    }
    let running = format!("{} tasks run", counts.running);
    yes(
        TASKS_RUNNING,
        match &observed.unplaced {
            Some(unplaced) if is_moving => format!("{running}; {unplaced}"),
            None if is_moving => format!("{running}, others are on their way"),
            _ if healthy < counts.running => told,
            _ => running,
        },
    )
}

fn with_cause(text: String, cause: Option<&str>) -> String {
    match cause {
        Some(cause) => format!("{text}; {cause}"),
        None => text,
    }
}

fn synced(outcome: Outcome<'_>) -> Judgement {
    if let Some(failure) = outcome.failure {
        return match outcome.observed {
            None => unknown(failure.reason, failure.message.clone()),
            Some(_) => no(failure.reason, failure.message.clone()),
        };
    }
    let faults = &outcome.judged.faults;
    if !faults.is_empty() {
        let more = faults.len().saturating_sub(FAULTS_IN_A_MESSAGE);
        let rest = (more > 0).then(|| format!("and {more} more, see `faults`"));
        let told = super::told_faults(&faults[..faults.len() - more])
            .into_iter()
            .chain(rest);
        return no("Refused", told.collect::<Vec<_>>().join("; "));
    }
    if outcome.judged.verdict == Verdict::Orphan {
        return no(ORPHANED, orphaned(outcome));
    }
    // Who was withdrawn needs no name.
    let wanted = matches!(outcome.judged.verdict, Verdict::Keep(..));
    if let Some(observed) = outcome.observed.filter(|seen| wanted && !seen.foreign.is_empty()) {
        return no("NameTaken", name_taken(outcome.owner, outcome.name, observed));
    }
    match outcome.plan.filter(|plan| plan.held) {
        Some(plan) => no(
            "RolledBack",
            plan.state
                .rolled_back
                .as_ref()
                .map(|one| one.cause.clone())
                .unwrap_or_default(),
        ),
        None if is_draining(outcome) => no("Waiting", "the old service has to drain before a new one can be made"),
        None if !outcome.taken.is_empty() => unknown("Applying", "AWS was changed and will be looked at again"),
        None if outcome.observed.is_some_and(Observed::is_deploying) => {
            unknown("Deploying", "the tasks that the document asks for are on their way")
        }
        None => yes("InSync", in_sync(outcome)),
    }
}

/// What a connector goes without is told, as nobody asked for that either.
fn in_sync(outcome: Outcome<'_>) -> String {
    let said = "AWS holds what the document asks".to_owned();
    let (Verdict::Keep(connector, _), Some(observed)) = (&outcome.judged.verdict, outcome.observed) else {
        return said;
    };
    let has_alarms = outcome.plan.is_some_and(|plan| plan.state.phase != Phase::Stopped);
    let home = Surroundings::of(outcome.owner, observed).home;
    match left_out(connector, &home).filter(|_| has_alarms) {
        Some(left_out) => format!("{said}; {left_out}"),
        None => said,
    }
}

fn is_draining(outcome: Outcome<'_>) -> bool {
    let wanted = outcome.plan.is_some_and(|plan| plan.desired.service.is_some());
    wanted
        && outcome
            .observed
            .is_some_and(|observed| observed.life == ServiceLife::Draining)
}

fn progressing(outcome: Outcome<'_>) -> Judgement {
    if is_gone(outcome) {
        return no("Settled", "");
    }
    if outcome.judged.verdict == Verdict::Remove {
        return yes("Deleting", "resources are being removed");
    }
    match outcome.observed {
        Some(observed) if observed.life == ServiceLife::Draining => {
            yes("Draining", "tasks of the old service are stopping")
        }
        Some(observed) if observed.is_deploying() => yes("Deploying", deployment_reason(observed)),
        _ if !outcome.taken.is_empty() => yes("Applying", "AWS was changed and will be looked at again"),
        _ => no("Settled", ""),
    }
}

fn deployment_reason(observed: &Observed) -> String {
    observed
        .deployment
        .as_ref()
        .and_then(|deployment| deployment.reason.clone())
        .unwrap_or_default()
}

fn degraded(outcome: Outcome<'_>) -> Judgement {
    if let Some(failure) = outcome.failure.filter(|failure| !failure.waiting) {
        return yes(failure.reason, failure.message.clone());
    }
    let synced = synced(outcome);
    if synced.0 == Truth::False && synced.1 != "Waiting" {
        return yes(synced.1, synced.2);
    }
    let plan = outcome.plan;
    if let Some(rolled_back) = plan.and_then(|plan| plan.state.rolled_back.as_ref()) {
        let name = outcome.name;
        let remedy = format!("fix the document, or run `penstock restart {name}` to try it once more");
        return yes("RolledBack", format!("{}; {remedy}", rolled_back.cause));
    }
    let unplaced = outcome.observed.and_then(|observed| observed.unplaced.as_deref());
    if let Some(unplaced) = unplaced {
        return yes("NoRoom", unplaced);
    }
    if let Some(trouble) = lacks_queue(outcome) {
        return yes(QUEUE_UNKNOWN, trouble);
    }
    match outcome.observed {
        Some(observed) if failing(observed) => yes("TasksFailing", observed.last_failure.clone().unwrap_or_default()),
        _ => no("AsWanted", ""),
    }
}

/// Returns why the queue could not be read where the operator's own work depends on it.
pub(super) fn lacks_queue(outcome: Outcome<'_>) -> Option<&str> {
    let (Verdict::Keep(connector, _), Some(observed)) = (&outcome.judged.verdict, outcome.observed) else {
        return None;
    };
    let phase = outcome.plan.map_or(outcome.judged.state.phase, |plan| plan.state.phase);
    let is_needed = is_polled(connector, &Surroundings::of(outcome.owner, observed));
    let is_watched = matches!(phase, Phase::Awake | Phase::Asleep);
    outcome.queue_trouble.filter(|_| is_watched && is_needed)
}

/// Whether tasks are missing because they fail, and not because they are on their way.
fn failing(observed: &Observed) -> bool {
    let is_missing = observed.counts.running < observed.counts.desired && observed.last_failure.is_some();
    is_missing || matches!(observed.tasks, Tasks::Seen(TaskHealth { cause: Some(_), .. }))
}
