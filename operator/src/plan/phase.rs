//! Whether tasks are wanted: one total step from the last phase to the next.

use jiff::{SignedDuration, Timestamp};
use penstock_crds::{Connector, Phase, TargetMode};

use crate::plan::resources::QueueDepth;

/// What the next phase follows from.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// The connector in force.
    pub connector: &'a Connector,
    /// What the user asked.
    pub mode: TargetMode,
    /// The phase so far.
    pub last: Phase,
    /// Since when the queue has been empty.
    pub idle_since: Option<Timestamp>,
    /// The queue, if it could be read; an unknown queue neither wakes nor sends to sleep.
    pub queue: Option<QueueDepth>,
    /// How many tasks the service is told to run.
    pub count: i32,
    /// The time of the pass.
    pub now: Timestamp,
}

/// Returns what a phase was asked for by.
pub fn mode(phase: Phase) -> TargetMode {
    match phase {
        Phase::Awake | Phase::Asleep => TargetMode::Running,
        Phase::Paused => TargetMode::Paused,
        Phase::Stopped => TargetMode::Stopped,
    }
}

/// Returns the phase that a connector begins with.
pub fn first(mode: TargetMode) -> Phase {
    match mode {
        TargetMode::Running => Phase::Awake,
        TargetMode::Paused => Phase::Paused,
        TargetMode::Stopped => Phase::Stopped,
    }
}

/// Returns the next phase and since when the queue has been empty.
pub fn next(inputs: Inputs<'_>) -> (Phase, Option<Timestamp>) {
    match inputs.mode {
        TargetMode::Stopped => (Phase::Stopped, None),
        TargetMode::Paused => (Phase::Paused, None),
        TargetMode::Running => running(inputs),
    }
}

fn running(inputs: Inputs<'_>) -> (Phase, Option<Timestamp>) {
    let Some(scaling) = inputs.connector.scaling.as_ref().filter(|scaling| scaling.min == 0) else {
        return (Phase::Awake, None);
    };
    let Some(queue) = inputs.queue else {
        // Where the calls that were to stop the tasks failed, the queue that was seen empty then may not be so any more.
        let phase = if inputs.last == Phase::Asleep && inputs.count == 0 {
            Phase::Asleep
        } else {
            Phase::Awake
        };
        return (phase, inputs.idle_since);
    };
    if queue.backlog() > 0 {
        return (Phase::Awake, None);
    }
    if inputs.last == Phase::Asleep {
        return (Phase::Asleep, inputs.idle_since);
    }
    // Delayed messages will need a task soon, and deletes mean that one was at work between two looks.
    if queue.delayed > 0 || queue.deleted.is_some_and(|deleted| deleted > 0) {
        return (Phase::Awake, Some(inputs.now));
    }
    let since = if inputs.last == Phase::Awake {
        inputs.idle_since.unwrap_or(inputs.now)
    } else {
        inputs.now
    };
    let cooldown = SignedDuration::try_from(scaling.cooldown_sleep.to_std()).unwrap_or(SignedDuration::MAX);
    if inputs.now.duration_since(since) >= cooldown {
        (Phase::Asleep, Some(since))
    } else {
        (Phase::Awake, Some(since))
    }
}

/// Returns the number of tasks that a connector wakes with: enough for the backlog, within its bounds.
pub fn wake_count(connector: &Connector, queue: Option<QueueDepth>) -> i32 {
    let Some(scaling) = &connector.scaling else { return 1 };
    let backlog = queue.map_or(0, QueueDepth::backlog);
    let needed = scaling
        .backlog_per_task
        .map_or(1, |per_task| backlog.div_ceil(per_task.max(1)));
    let (fewest, most) = (u64::from(scaling.min.max(1)), u64::from(scaling.max.max(1)));
    i32::try_from(needed.clamp(fewest.min(most), most)).unwrap_or(i32::MAX)
}
