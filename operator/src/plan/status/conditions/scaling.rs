//! Whether the scaling can do what the load asks: it has room, its inputs can be trusted, and nobody else scales too.

use std::collections::BTreeSet;

use jiff::SignedDuration;

use super::super::{Outcome, task_counts};
use super::{Judgement, no, unknown, yes};
use crate::plan::accept::Verdict;
use crate::plan::desired::{Surroundings, uses_container_insights};
use crate::plan::resources::{Activity, Observed};

/// How long ago the first of the minutes began whose samples are counted: five that end up to two minutes ago.
const SAMPLED: SignedDuration = SignedDuration::from_mins(7);
/// Fewer minutes with samples prove nothing.
const FEWEST_SAMPLES: usize = 3;

pub(super) fn scaling_limited(outcome: Outcome<'_>) -> Judgement {
    let (Verdict::Keep(connector, _), Some(observed)) = (&outcome.judged.verdict, outcome.observed) else {
        return unknown("Unobserved", "");
    };
    let (Some(wanted), Some(_)) = (&connector.scaling, &observed.resources.scaling) else {
        return no("NoScaling", "");
    };
    // Nothing scales by a number that nobody publishes, whatever the load.
    if uses_container_insights(connector, &Surroundings::of(outcome.owner, observed)) && !observed.container_insights {
        return yes(
            "NoContainerInsights",
            "scaling.runningTasks is containerInsights, and the cluster has none: the backlog policy and the alarms at the \
             maximum read metrics that do not exist; turn Container Insights on for the cluster, or leave \
             scaling.runningTasks out",
        );
    }
    let most = i64::from(wanted.max);
    let at_most = i64::from(observed.counts.desired) >= most;
    let overloaded = wanted
        .backlog_per_task
        .zip(outcome.queue)
        .is_some_and(|(target, queue)| queue.backlog() > target.saturating_mul(u64::from(wanted.max)));
    if at_most && overloaded {
        return yes(
            "AtMaximum",
            format!("all {most} tasks run and the load asks for more; raise scaling.max"),
        );
    }
    let backlog_policy = outcome.owner.name.policy_name(outcome.name, "backlog");
    // Of a backlog, the queue itself tells how it is now.
    let is_outdated = |refused: &&Activity| outcome.queue.is_some() && refused.cause.contains(&backlog_policy);
    if let Some(refused) = refused(observed).filter(|refused| at_most && !is_outdated(refused)) {
        return yes(
            "AtMaximum",
            format!(
                "all {most} tasks run, and Application Auto Scaling asked for more at {}; raise scaling.max",
                refused.at
            ),
        );
    }
    if let Some(samples) = mistrusted_samples(outcome, observed) {
        let samples: Vec<_> = samples.iter().map(f64::to_string).collect();
        return yes(
            "RunningCountUntrusted",
            format!(
                "CPUUtilization had {} samples in the last minutes, in each of which {} tasks ran; turn Container Insights on for the cluster",
                samples.join(", "),
                observed.counts.running
            ),
        );
    }
    if !observed.foreign_policies.is_empty() {
        return yes("ScaledByOthers", scaled_by_others(&observed.foreign_policies));
    }
    no("WithinBounds", "")
}

/// Returns the newest activity if it was refused for the maximum. It stays the newest for as long as nothing else happens.
fn refused(observed: &Observed) -> Option<&Activity> {
    let newest = observed.last_activity.as_ref();
    newest.filter(|activity| activity.not_scaled_reason.as_deref() == Some("AlreadyAtMaxCapacity"))
}

fn scaled_by_others(policies: &BTreeSet<String>) -> String {
    let names: Vec<_> = policies.iter().map(|name| format!("`{name}`")).collect();
    format!(
        "the scalable target has policies that this operator did not make and leaves alone, {}: they \
         move the count too; delete them, unless that is meant",
        names.join(", ")
    )
}

/// The free count of running tasks is a number of samples; when it strays from what ECS counts, policies would divide by
/// the wrong number. Both sides have to be about the same minutes: the count was the same in all of them as far as was
/// seen, and no minute has that number of samples.
fn mistrusted_samples<'a>(outcome: Outcome<'_>, observed: &'a Observed) -> Option<&'a [f64]> {
    let samples = &observed.sample_counts;
    let running = f64::from(observed.counts.running);
    let since = task_counts(outcome, observed).running_since?;
    let steady = observed.counts.running == observed.counts.desired
        && !observed.is_deploying()
        && outcome.now.duration_since(since) >= SAMPLED;
    let strays = samples.len() >= FEWEST_SAMPLES && samples.iter().all(|count| (count - running).abs() >= 0.5);
    (steady && strays).then_some(samples)
}
