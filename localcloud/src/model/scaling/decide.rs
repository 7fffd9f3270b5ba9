//! How many tasks the target tracking policies of one target want: values in, a decision out.
//!
//! After "Target tracking scaling policies" (sections "Considerations", "Multiple scaling policies" and "Define cooldown
//! period") in the Application Auto Scaling User Guide, and "Service auto scaling" in the Amazon ECS Developer Guide.

use super::activity::NotScaled;
use crate::model::Millis;

/// The count that is, and the range it may move in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Capacity {
    /// What the service wants.
    pub desired: i32,
    /// What runs: "the actual running task count is the value that is used as the starting point".
    pub running: i32,
    /// The lower bound.
    pub minimum: i32,
    /// The upper bound.
    pub maximum: i32,
}

/// What one policy says in this minute.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Signal {
    /// The alarm above the target stands.
    pub high: bool,
    /// The alarm below the target stands.
    pub low: bool,
    /// The metric's value in the minute that just ended, if there is one.
    pub value: Option<f64>,
    /// What the value should be.
    pub target: f64,
    /// The policy takes no part in scaling in.
    pub disable_scale_in: bool,
    /// Milliseconds to wait after it scaled out.
    pub scale_out_cooldown: Millis,
    /// Milliseconds to wait after it scaled in.
    pub scale_in_cooldown: Millis,
}

/// Which way a count moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// Up.
    Out,
    /// Down.
    In,
}

/// The time after a scaling activity; it counts from the activity's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cooldown {
    /// What the activity did.
    pub direction: Direction,
    /// What ran before it: while the cooldown lasts, capacity already added counts as part of the next scale-out.
    pub base: i32,
    /// How long it lasts.
    pub length: Millis,
    /// When it is over; unknown as long as the activity is under way.
    pub ends: Option<Millis>,
}

impl Cooldown {
    /// Says whether the cooldown lasts.
    pub(super) fn holds(&self, now: Millis) -> bool {
        self.ends.is_none_or(|ends| now < ends)
    }
}

/// What keeps a target from moving, whatever its policies say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Brakes {
    /// `DynamicScalingInSuspended`
    pub scale_in_suspended: bool,
    /// `DynamicScalingOutSuspended`
    pub scale_out_suspended: bool,
    /// "Application Auto Scaling turns off scale-in processes while Amazon ECS deployments are in progress."
    pub deploying: bool,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// Nothing, and nothing to report.
    Stay,
    /// Nothing, for a reason that is reported in the name of the policy.
    Refuse {
        /// Its place in the list of signals.
        policy: usize,
        /// The way it would have gone.
        direction: Direction,
        /// Why not.
        reason: NotScaled,
    },
    /// Set the desired count in the name of the policy.
    Set {
        /// Its place in the list of signals.
        policy: usize,
        /// The new count.
        desired: i32,
        /// What follows.
        cooldown: Cooldown,
    },
}

/// Decides for one target.
pub(super) fn decide(
    capacity: Capacity,
    signals: &[Signal],
    cooldown: Option<Cooldown>,
    brakes: Brakes,
    now: Millis,
) -> Decision {
    let cooldown = cooldown.filter(|cooldown| cooldown.holds(now));
    if signals.iter().any(|signal| signal.high && signal.value.is_some()) {
        if brakes.scale_out_suspended {
            Decision::Stay
        } else {
            scale_out(capacity, signals, cooldown)
        }
    } else if brakes.scale_in_suspended || brakes.deploying || cooldown.is_some_and(|it| it.direction == Direction::In)
    {
        Decision::Stay
    } else {
        scale_in(capacity, signals)
    }
}

/// "It will scale out if any of the target tracking policies are ready"; the one that wants most wins.
fn scale_out(capacity: Capacity, signals: &[Signal], cooldown: Option<Cooldown>) -> Decision {
    let cooling = cooldown.filter(|cooldown| cooldown.direction == Direction::Out);
    let base = cooling.map_or(capacity.running, |cooldown| cooldown.base);
    let ready = signals.iter().enumerate().filter(|(_, signal)| signal.high);
    let Some((policy, wanted)) = largest(ready, base) else {
        return Decision::Stay;
    };
    let desired = wanted.clamp(capacity.minimum, capacity.maximum);
    let refuse = |reason| Decision::Refuse {
        policy,
        direction: Direction::Out,
        reason,
    };
    if desired > capacity.desired {
        let length = signals.get(policy).map_or(0, |signal| signal.scale_out_cooldown);
        let cooldown = Cooldown {
            direction: Direction::Out,
            base,
            length,
            ends: None,
        };
        Decision::Set {
            policy,
            desired,
            cooldown,
        }
    } else if capacity.desired >= capacity.maximum {
        refuse(NotScaled::Maximum(capacity.maximum))
    } else if cooling.is_some() {
        Decision::Stay
    } else {
        refuse(NotScaled::Desired(capacity.desired))
    }
}

/// "It will scale in only if all of the target tracking policies with the scale-in portion enabled are ready"; the one
/// that wants most wins here as well.
fn scale_in(capacity: Capacity, signals: &[Signal]) -> Decision {
    let enabled = || {
        signals
            .iter()
            .enumerate()
            .filter(|(_, signal)| !signal.disable_scale_in)
    };
    if !enabled().all(|(_, signal)| signal.low && signal.value.is_some()) {
        return Decision::Stay;
    }
    let Some((policy, wanted)) = largest(enabled(), capacity.running) else {
        return Decision::Stay;
    };
    let desired = wanted.clamp(capacity.minimum, capacity.maximum);
    let refuse = |reason| Decision::Refuse {
        policy,
        direction: Direction::In,
        reason,
    };
    if desired < capacity.desired {
        let length = signals.get(policy).map_or(0, |signal| signal.scale_in_cooldown);
        let cooldown = Cooldown {
            direction: Direction::In,
            base: capacity.running,
            length,
            ends: None,
        };
        Decision::Set {
            policy,
            desired,
            cooldown,
        }
    } else if capacity.desired <= capacity.minimum {
        refuse(NotScaled::Minimum(capacity.minimum))
    } else {
        refuse(NotScaled::Desired(capacity.desired))
    }
}

/// Returns the policy that wants the most tasks, and how many; at equality the first.
fn largest<'a>(signals: impl Iterator<Item = (usize, &'a Signal)>, base: i32) -> Option<(usize, i32)> {
    let wanted = signals.filter_map(|(policy, signal)| Some((policy, wanted(base, signal.value?, signal.target))));
    wanted.reduce(|best, next| if next.1 > best.1 { next } else { best })
}

/// Returns the count at which the metric would be at its target, rounded up both ways: it "always acts conservatively by
/// rounding". Nothing is proportional to zero tasks: then it is "the minimum possible amount", unless the metric is 0.
fn wanted(base: i32, value: f64, target: f64) -> i32 {
    match base {
        0 => i32::from(value > 0.0),
        base => (f64::from(base) * value / target)
            .ceil()
            .clamp(0.0, f64::from(i32::MAX)) as i32,
    }
}

#[cfg(test)]
mod tests;
