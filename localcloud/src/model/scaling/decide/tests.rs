//! The published rules, and properties over many states.

use super::{Brakes, Capacity, Cooldown, Decision, Direction, NotScaled, Signal, decide};

const MINUTE: i64 = 60_000;

fn capacity(desired: i32) -> Capacity {
    Capacity {
        desired,
        running: desired,
        minimum: 1,
        maximum: 10,
    }
}

fn signal(value: f64, target: f64) -> Signal {
    Signal {
        high: value > target,
        low: value < target * 0.9,
        value: Some(value),
        target,
        disable_scale_in: false,
        scale_out_cooldown: MINUTE,
        scale_in_cooldown: 5 * MINUTE,
    }
}

fn count(capacity: Capacity, signals: &[Signal]) -> Option<i32> {
    match decide(capacity, signals, None, Brakes::default(), 0) {
        Decision::Set { desired, .. } => Some(desired),
        Decision::Stay | Decision::Refuse { .. } => None,
    }
}

fn cooldown(direction: Direction, base: i32) -> Option<Cooldown> {
    Some(Cooldown {
        direction,
        base,
        length: MINUTE,
        ends: Some(MINUTE),
    })
}

/// "Considerations": scales out proportionally to the metric, rounding up.
#[test]
fn out_is_proportional_and_rounded_up() {
    assert_eq!(count(capacity(2), &[signal(150.0, 100.0)]), Some(3));
    assert_eq!(count(capacity(3), &[signal(110.0, 100.0)]), Some(4));
    assert_eq!(count(capacity(2), &[signal(900.0, 100.0)]), Some(10));
}

#[test]
fn in_is_rounded_up_and_stays_above_the_minimum() {
    assert_eq!(count(capacity(5), &[signal(50.0, 100.0)]), Some(3));
    assert_eq!(count(capacity(5), &[signal(0.0, 100.0)]), Some(1));
    assert_eq!(
        count(
            Capacity {
                minimum: 0,
                ..capacity(5)
            },
            &[signal(0.0, 100.0)]
        ),
        Some(0)
    );
}

/// "Service auto scaling": the running count is the starting point, which prevents runaway scaling.
#[test]
fn the_running_count_is_the_starting_point() {
    let starting = Capacity {
        running: 2,
        ..capacity(4)
    };
    assert_eq!(count(starting, &[signal(200.0, 100.0)]), None);
    assert_eq!(count(starting, &[signal(300.0, 100.0)]), Some(6));
}

/// "Service auto scaling": at zero it scales out by the minimum possible amount.
#[test]
fn from_zero_it_goes_to_the_least_possible() {
    let asleep = Capacity {
        minimum: 0,
        ..capacity(0)
    };
    assert_eq!(count(asleep, &[signal(5_000.0, 100.0)]), Some(1));
    assert_eq!(
        count(Capacity { minimum: 2, ..asleep }, &[signal(5_000.0, 100.0)]),
        Some(2)
    );
}

/// "Considerations": missing data is no low utilization, and nothing is scaled on it.
#[test]
fn missing_data_moves_nothing() {
    let silent = |high, low| Signal {
        high,
        low,
        value: None,
        ..signal(0.0, 100.0)
    };
    assert_eq!(count(capacity(5), &[silent(true, false)]), None);
    assert_eq!(count(capacity(5), &[silent(false, true)]), None);
    assert_eq!(count(capacity(5), &[signal(10.0, 100.0), silent(false, false)]), None);
}

/// "Multiple scaling policies": out if any, in only if all that are enabled agree, the largest capacity wins.
#[test]
fn any_policy_scales_out_and_all_must_agree_to_scale_in() {
    assert_eq!(
        count(capacity(4), &[signal(10.0, 100.0), signal(150.0, 100.0)]),
        Some(6)
    );
    assert_eq!(
        count(capacity(4), &[signal(150.0, 100.0), signal(200.0, 100.0)]),
        Some(8)
    );
    assert_eq!(count(capacity(4), &[signal(10.0, 100.0), signal(95.0, 100.0)]), None);
    assert_eq!(count(capacity(4), &[signal(10.0, 100.0), signal(75.0, 100.0)]), Some(3));
}

#[test]
fn a_policy_with_scale_in_disabled_has_no_vote_against_it() {
    let out_only = Signal {
        disable_scale_in: true,
        ..signal(95.0, 100.0)
    };
    assert_eq!(count(capacity(4), &[signal(10.0, 100.0), out_only]), Some(1));
    assert_eq!(
        count(
            capacity(4),
            &[Signal {
                disable_scale_in: true,
                ..signal(10.0, 100.0)
            }]
        ),
        None
    );
    assert_eq!(count(capacity(4), &[]), None);
}

/// "Define cooldown period": a larger scale-out may start, and capacity already added counts.
#[test]
fn in_a_scale_out_cooldown_only_a_larger_scale_out_starts() {
    let decision = |value, running| {
        let capacity = Capacity { running, ..capacity(4) };
        decide(
            capacity,
            &[signal(value, 100.0)],
            cooldown(Direction::Out, 2),
            Brakes::default(),
            0,
        )
    };
    assert_eq!(decision(200.0, 4), Decision::Stay);
    assert!(matches!(
        decision(300.0, 4),
        Decision::Set {
            desired: 6,
            cooldown: Cooldown { base: 2, .. },
            ..
        }
    ));
}

#[test]
fn a_scale_in_cooldown_blocks_scaling_in_but_not_out() {
    let decision = |value, now| {
        decide(
            capacity(4),
            &[signal(value, 100.0)],
            cooldown(Direction::In, 6),
            Brakes::default(),
            now,
        )
    };
    assert_eq!(decision(10.0, 0), Decision::Stay);
    assert!(matches!(decision(10.0, MINUTE), Decision::Set { desired: 1, .. }));
    let out = decision(200.0, 0);
    assert!(matches!(
        out,
        Decision::Set {
            desired: 8,
            cooldown: Cooldown {
                direction: Direction::Out,
                ..
            },
            ..
        }
    ));
}

#[test]
fn brakes_hold_one_direction_each() {
    let with = |brakes, value| decide(capacity(4), &[signal(value, 100.0)], None, brakes, 0);
    let deploying = Brakes {
        deploying: true,
        ..Brakes::default()
    };
    assert_eq!(with(deploying, 10.0), Decision::Stay);
    assert!(matches!(with(deploying, 200.0), Decision::Set { desired: 8, .. }));
    assert_eq!(
        with(
            Brakes {
                scale_out_suspended: true,
                ..Brakes::default()
            },
            200.0
        ),
        Decision::Stay
    );
    assert_eq!(
        with(
            Brakes {
                scale_in_suspended: true,
                ..Brakes::default()
            },
            10.0
        ),
        Decision::Stay
    );
}

/// "Understanding not scaled reason codes" in "Scaling activities for Application Auto Scaling".
#[test]
fn a_bound_that_holds_a_policy_back_is_named() {
    let reason = |capacity, value| match decide(capacity, &[signal(value, 100.0)], None, Brakes::default(), 0) {
        Decision::Refuse { reason, .. } => Some(reason),
        Decision::Stay | Decision::Set { .. } => None,
    };
    assert_eq!(reason(capacity(10), 200.0), Some(NotScaled::Maximum(10)));
    assert_eq!(reason(capacity(1), 10.0), Some(NotScaled::Minimum(1)));
    assert_eq!(
        reason(
            Capacity {
                running: 1,
                ..capacity(4)
            },
            200.0
        ),
        Some(NotScaled::Desired(4))
    );
}

/// "Service auto scaling": a count outside of the range moves to its bound only in the direction of the activity.
#[test]
fn a_count_outside_of_the_range_moves_only_with_the_activity() {
    let below = Capacity {
        minimum: 3,
        ..capacity(2)
    };
    assert_eq!(count(below, &[signal(101.0, 100.0)]), Some(3));
    assert_eq!(count(below, &[signal(10.0, 100.0)]), None);
    let above = Capacity {
        maximum: 3,
        ..capacity(5)
    };
    assert_eq!(count(above, &[signal(200.0, 100.0)]), None);
    assert_eq!(count(above, &[signal(80.0, 100.0)]), Some(3));
}

/// Walks through many states: what is set lies in the range and moves the way its cooldown says.
#[test]
fn no_decision_leaves_the_range_or_goes_the_wrong_way() {
    for desired in 0..12 {
        for running in 0..12 {
            for value in [0.0, 1.0, 50.0, 89.0, 95.0, 101.0, 180.0, 1e9] {
                let capacity = Capacity {
                    desired,
                    running,
                    minimum: 2,
                    maximum: 7,
                };
                let Decision::Set {
                    desired: set, cooldown, ..
                } = decide(capacity, &[signal(value, 100.0)], None, Brakes::default(), 0)
                else {
                    continue;
                };
                assert!((2..=7).contains(&set), "{capacity:?} at {value} was set to {set}");
                assert_eq!(
                    set > desired,
                    cooldown.direction == Direction::Out,
                    "{capacity:?} at {value} went to {set}"
                );
            }
        }
    }
}
