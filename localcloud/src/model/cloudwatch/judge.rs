//! When an alarm changes state: M out of N, and what missing data means.
//!
//! After "Using Amazon CloudWatch alarms" in the Amazon CloudWatch User Guide, sections "How alarm state is evaluated when data is missing" and
//! "Avoiding premature transitions to alarm state". The guide does not say how many points beyond N are retrieved; its
//! examples retrieve 5 for N = 3, so the model retrieves N + 2. Nor does it name the state of an alarm whose few points all
//! breach and are too recent (`- - - - X`): here it is `OK`, as when one of them did not breach.

use serde::{Deserialize, Serialize};

/// How many points beyond the evaluation periods are looked at, in case some are missing.
pub(super) const EXTRA_POINTS: usize = 2;

/// The three states of an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Within the threshold.
    #[serde(rename = "OK")]
    Ok,
    /// Outside of it.
    #[serde(rename = "ALARM")]
    Alarm,
    /// Not known.
    #[serde(rename = "INSUFFICIENT_DATA")]
    InsufficientData,
}

impl State {
    /// Returns the name that the API uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Alarm => "ALARM",
            Self::InsufficientData => "INSUFFICIENT_DATA",
        }
    }
}

/// What `TreatMissingData` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Missing {
    /// Missing is missing.
    #[default]
    Missing,
    /// The state stays.
    Ignore,
    /// Missing is bad.
    Breaching,
    /// Missing is good.
    NotBreaching,
}

impl Missing {
    /// Returns the name that the API uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Ignore => "ignore",
            Self::Breaching => "breaching",
            Self::NotBreaching => "notBreaching",
        }
    }
}

/// M, N and the treatment of missing data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// N: `EvaluationPeriods`.
    pub periods: usize,
    /// M: `DatapointsToAlarm`.
    pub to_alarm: usize,
    /// `TreatMissingData`.
    pub missing: Missing,
}

/// Returns the state after an evaluation of `range`, which holds `periods` + [`EXTRA_POINTS`] points, the newest last;
/// nothing means that the present state stays. A point says whether it breaches.
pub(super) fn judge(range: &[Option<bool>], rule: Rule) -> Option<State> {
    let newest: Vec<bool> = range.iter().rev().flatten().copied().take(rule.periods).collect();
    let breaching = newest.iter().filter(|breaches| **breaches).count();
    let filled = rule.periods - newest.len();
    if breaching >= rule.to_alarm {
        return Some(State::Alarm);
    }
    match rule.missing {
        _ if filled == 0 => Some(State::Ok),
        Missing::Breaching if breaching + filled >= rule.to_alarm => Some(State::Alarm),
        Missing::Breaching | Missing::NotBreaching => Some(State::Ok),
        Missing::Missing if newest.is_empty() => Some(State::InsufficientData),
        Missing::Missing if is_old_enough(range, rule) => Some(State::Alarm),
        Missing::Missing => Some(State::Ok),
        Missing::Ignore if newest.contains(&false) => Some(State::Ok),
        Missing::Ignore => None,
    }
}

/// "Alarms are designed to always go into ALARM state when the oldest available breaching datapoint is at least as old as the value of Datapoints to
/// Alarm, and all other more recent data points are breaching or missing": the published tables show that a point that
/// does not breach, anywhere in the range, rules it out.
fn is_old_enough(range: &[Option<bool>], rule: Rule) -> bool {
    let oldest = range.iter().position(|point| *point == Some(true));
    !range.contains(&Some(false)) && oldest.is_some_and(|index| range.len() - index >= rule.to_alarm)
}

#[cfg(test)]
mod tests {
    use super::{Missing, Rule, State, judge};

    /// What the tables call "Retain current state".
    const RETAIN: Option<State> = None;
    const OK: Option<State> = Some(State::Ok);
    const ALARM: Option<State> = Some(State::Alarm);
    const INSUFFICIENT: Option<State> = Some(State::InsufficientData);

    type Row = (&'static str, [Option<State>; 4]);

    fn check(table: &[Row], to_alarm: usize) {
        let treatments = [
            Missing::Missing,
            Missing::Ignore,
            Missing::Breaching,
            Missing::NotBreaching,
        ];
        for (points, expected) in table {
            let range: Vec<Option<bool>> = points
                .split(' ')
                .map(|point| (point != "-").then_some(point == "X"))
                .collect();
            for (missing, expected) in treatments.into_iter().zip(expected) {
                let state = judge(
                    &range,
                    Rule {
                        periods: 3,
                        to_alarm,
                        missing,
                    },
                );
                assert_eq!(state, *expected, "{points} with {missing:?}");
            }
        }
    }

    /// The first table of "How alarm state is evaluated when data is missing": 3 out of 3, evaluation range 5.
    #[test]
    fn three_of_three_follows_the_published_table() {
        let table = [
            ("0 - X - X", [OK, OK, OK, OK]),
            ("0 - - - -", [OK, OK, OK, OK]),
            ("- - - - -", [INSUFFICIENT, RETAIN, ALARM, OK]),
            ("0 X X - X", [ALARM, ALARM, ALARM, ALARM]),
            ("- - X - -", [ALARM, RETAIN, ALARM, OK]),
        ];
        check(&table, 3);
    }

    /// The second table of the same section: 2 out of 3, evaluation range 5.
    #[test]
    fn two_of_three_follows_the_published_table() {
        let table = [
            ("0 - X - X", [ALARM, ALARM, ALARM, ALARM]),
            ("0 0 X 0 X", [ALARM, ALARM, ALARM, ALARM]),
            ("0 - X - -", [OK, OK, ALARM, OK]),
            ("- - - - 0", [OK, OK, ALARM, OK]),
            ("- - - X -", [ALARM, RETAIN, ALARM, OK]),
        ];
        check(&table, 2);
    }

    /// "Avoiding premature transitions to alarm state": neither `- - - - X` nor `- - - X -` is an alarm yet.
    #[test]
    fn a_lone_recent_breach_is_no_alarm_yet() {
        for range in [
            [None, None, None, None, Some(true)],
            [None, None, None, Some(true), None],
        ] {
            for missing in [Missing::Missing, Missing::Ignore, Missing::NotBreaching] {
                let state = judge(
                    &range,
                    Rule {
                        periods: 3,
                        to_alarm: 3,
                        missing,
                    },
                );
                assert_ne!(state, ALARM, "{missing:?}");
            }
        }
    }

    /// "If no data points in the evaluation range are missing": the extra points from farther back are ignored.
    #[test]
    fn complete_data_is_judged_by_the_newest_points_alone() {
        let range = [Some(true), Some(true), Some(false), Some(false), Some(true)];
        assert_eq!(
            judge(
                &range,
                Rule {
                    periods: 3,
                    to_alarm: 2,
                    missing: Missing::Breaching
                }
            ),
            OK
        );
    }
}
