//! `spec.scaling`.

use super::faults::Faults;
use crate::{BacklogTarget, Duration, Scaling, ScalingSpec};

/// As many tasks as ECS lets one service have.
pub(super) const MOST_TASKS: u32 = 5000;

pub(super) fn scaling(spec: Option<&ScalingSpec>, faults: &mut Faults) -> Option<Scaling> {
    let spec = spec?;
    let (min, max) = bounds(spec, faults);
    let cooldowns = spec.cooldowns.clone().unwrap_or_default();
    let percent = "is not a share of the task's that use can be held at";
    let mut cooldown = |name: &str, value, default, least| {
        faults.whole_seconds(
            &format!("spec.scaling.cooldowns.{name}"),
            value,
            Duration::from_secs(default),
            Duration::from_secs(least)..=Duration::from_secs(24 * 3600),
            "is not a wait that makes sense here",
        )
    };
    let cooldown_out = cooldown("out", cooldowns.out, 60, 0);
    let cooldown_in = cooldown("in", cooldowns.r#in, 300, 0);
    // Below this a task would be started and stopped for single messages, and Fargate bills each for a minute.
    let cooldown_sleep = cooldown("sleep", cooldowns.sleep, 300, 10);
    Some(Scaling {
        min,
        max,
        backlog_per_task: spec
            .backlog
            .as_ref()
            .and_then(|backlog| backlog_per_task(backlog, faults)),
        memory: faults.within("spec.scaling.memory", spec.memory, 75, 1..=100, percent),
        cpu: spec
            .cpu
            .map(|cpu| faults.within("spec.scaling.cpu", Some(cpu), 1, 1..=100, percent)),
        cooldown_out,
        cooldown_in,
        cooldown_sleep,
        running_tasks: spec.running_tasks.unwrap_or_default(),
    })
}

fn bounds(spec: &ScalingSpec, faults: &mut Faults) -> (u32, u32) {
    let min = spec.min.unwrap_or(1);
    let Some(max) = spec.max else {
        faults.missing("spec.scaling.max", "say how many tasks may run at most");
        return (min, min.clamp(1, MOST_TASKS));
    };
    let sound = faults.within(
        "spec.scaling.max",
        Some(max),
        1,
        1..=MOST_TASKS,
        "is not a number of tasks that one ECS service can have",
    );
    if min > max {
        let why = match spec.min {
            Some(_) => format!("is more than `spec.scaling.max`, {max}"),
            None => format!("(the default) is more than `spec.scaling.max`, {max}"),
        };
        faults.refuse("spec.scaling.min", min, why, "lower it, or raise the maximum");
    }
    // A refused maximum is not walked through by the checks that count up to it.
    (min, sound.clamp(1, MOST_TASKS))
}

fn backlog_per_task(backlog: &BacklogTarget, faults: &mut Faults) -> Option<u64> {
    let path = "spec.scaling.backlog";
    match *backlog {
        BacklogTarget::PerTask { per_task } => {
            let why = "is not a number of messages that one task can have waiting";
            Some(faults.within(&format!("{path}.perTask"), Some(per_task), 1, 1..=1_000_000_000, why))
        }
        BacklogTarget::Latency {
            acceptable_latency,
            processing_time,
        } => {
            if processing_time.as_millis() == 0 {
                faults.refuse(
                    &format!("{path}.processingTime"),
                    processing_time,
                    "is no time that a message can take",
                    "measure how long one task takes for one message, such as `20ms`",
                );
                return None;
            }
            if processing_time > acceptable_latency {
                let why = format!(
                    "is longer than the acceptable latency, {acceptable_latency}, so that no number of tasks would do"
                );
                faults.refuse(
                    &format!("{path}.processingTime"),
                    processing_time,
                    why,
                    "raise `acceptableLatency`, or correct the processing time",
                );
                return None;
            }
            if acceptable_latency > Duration::from_secs(14 * 24 * 3600) {
                faults.refuse(
                    &format!("{path}.acceptableLatency"),
                    acceptable_latency,
                    "is longer than SQS keeps a message",
                    "use at most 14 days",
                );
            }
            Some(acceptable_latency.as_millis().div_ceil(processing_time.as_millis()))
        }
    }
}
