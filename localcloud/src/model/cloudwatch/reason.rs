//! Why an alarm is in its state, in the words that CloudWatch uses.

use serde_json::{Value, json};

use super::alarm::Settings;
use super::judge::{Missing, Rule, State};
use crate::model::Millis;

/// A value with the beginning of its period.
pub(super) type Point = (Millis, f64);

/// Returns the reason for a change to `state`; `points` are the real values that were evaluated, the newest first.
pub(super) fn reason(settings: &Settings, state: State, points: &[Point]) -> String {
    let rule = settings.rule();
    if state == State::InsufficientData {
        return format!(
            "Insufficient Data: {} unknown.",
            counted(rule.periods, "datapoint was", "datapoints were")
        );
    }
    if points.is_empty() {
        return format!(
            "Threshold Crossed: no datapoints were received for {} and {}.",
            counted(rule.periods, "period", "periods"),
            filled(rule, rule.periods)
        );
    }
    let is_alarm = state == State::Alarm;
    let listed: Vec<&Point> = points
        .iter()
        .filter(|(_, value)| settings.breaches(*value) == is_alarm)
        .collect();
    if listed.is_empty() {
        return unsettled(settings, rule, state, points);
    }
    let tail = match rule.missing {
        Missing::Breaching | Missing::NotBreaching if points.len() < rule.periods => {
            format!(" and {}", filled(rule, rule.periods - points.len()))
        }
        _ => String::new(),
    };
    format!(
        "Threshold Crossed: {} {} {}{tail} {}.",
        values(&listed, points.len()),
        verb(listed.len(), is_alarm),
        relation(settings),
        transition(rule, is_alarm)
    )
}

/// Returns the reason for a state that the filled-in points decided against all real ones, or that too few real ones left.
fn unsettled(settings: &Settings, rule: Rule, state: State, points: &[Point]) -> String {
    let listed: Vec<&Point> = points.iter().collect();
    let breaching = state != State::Alarm;
    let (values, relation) = (values(&listed, points.len()), relation(settings));
    let verb = verb(listed.len(), breaching);
    match rule.missing {
        Missing::Breaching | Missing::NotBreaching => {
            let filled = filled(rule, rule.periods.saturating_sub(points.len()));
            format!("Threshold Crossed: {values} {verb} {relation} and {filled}.")
        }
        Missing::Missing | Missing::Ignore => {
            format!(
                "Threshold Crossed: {values} {verb} {relation}, and {} are needed for an alarm.",
                rule.to_alarm
            )
        }
    }
}

/// Returns the listed values among the last `of`.
fn values(listed: &[&Point], of: usize) -> String {
    let values: Vec<String> = listed.iter().map(|point| written(point)).collect();
    format!(
        "{} out of the last {of} datapoints [{}]",
        listed.len(),
        values.join(", ")
    )
}

fn relation(settings: &Settings) -> String {
    let words = settings
        .comparison_operator
        .map_or("compared with", |operator| operator.words());
    format!("{words} the threshold ({:?})", settings.threshold.unwrap_or_default())
}

/// Returns the reason as the JSON that goes beside it.
pub(super) fn reason_data(settings: &Settings, period: i64, points: &[Point], now: Millis) -> String {
    let values: Vec<f64> = points.iter().rev().map(|(_, value)| *value).collect();
    let mut data = json!({
        "version": "1.0",
        "queryDate": timestamp(now),
        "period": period,
        "recentDatapoints": values,
        "threshold": settings.threshold,
    });
    if let (Some((start, _)), Some(members)) = (points.last(), data.as_object_mut()) {
        members.insert("startDate".to_owned(), json!(timestamp(*start)));
    }
    if let (Some(statistic), Some(members)) = (settings.statistic, data.as_object_mut()) {
        members.insert("statistic".to_owned(), Value::from(statistic.name()));
    }
    data.to_string()
}

/// Returns a time as CloudWatch writes it into messages, such as `2020-12-04T03:57:01.659+0000`.
pub(super) fn timestamp(at: Millis) -> String {
    formatted(at, "%Y-%m-%dT%H:%M:%S%.3f+0000")
}

fn formatted(at: Millis, format: &str) -> String {
    jiff::Timestamp::from_millisecond(at)
        .unwrap_or_default()
        .strftime(format)
        .to_string()
}

fn written((at, value): &Point) -> String {
    format!("{value:?} ({})", formatted(*at, "%d/%m/%y %H:%M:%S"))
}

fn verb(count: usize, is_alarm: bool) -> &'static str {
    match (count, is_alarm) {
        (1, true) => "was",
        (_, true) => "were",
        (1, false) => "was not",
        (_, false) => "were not",
    }
}

fn transition(rule: Rule, is_alarm: bool) -> String {
    let (needed, way) = if is_alarm {
        (rule.to_alarm, "OK -> ALARM")
    } else {
        (rule.periods - rule.to_alarm + 1, "ALARM -> OK")
    };
    format!(
        "(minimum {} for {way} transition)",
        counted(needed, "datapoint", "datapoints")
    )
}

fn filled(rule: Rule, count: usize) -> String {
    let treated = match rule.missing {
        Missing::Breaching => "Breaching",
        Missing::NotBreaching => "NonBreaching",
        Missing::Missing | Missing::Ignore => "Missing",
    };
    format!(
        "{} treated as [{treated}]",
        counted(count, "missing datapoint was", "missing datapoints were")
    )
}

fn counted(count: usize, one: &str, many: &str) -> String {
    if count == 1 {
        format!("1 {one}")
    } else {
        format!("{count} {many}")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{reason, reason_data, timestamp};
    use crate::model::cloudwatch::alarm::Settings;
    use crate::model::cloudwatch::judge::State;
    use crate::model::cloudwatch::wire::read;

    fn settings(periods: usize, to_alarm: usize) -> Settings {
        let input = json!({
            "AlarmName": "a", "MetricName": "Age", "Namespace": "N", "Statistic": "Maximum", "Period": 60,
            "EvaluationPeriods": periods, "DatapointsToAlarm": to_alarm, "Threshold": 50,
            "ComparisonOperator": "GreaterThanThreshold", "TreatMissingData": "breaching",
        });
        read(&input, "Code").expect("the settings are sound")
    }

    /// The first reason is the one of the sample event in "Alarm events and EventBridge".
    #[test]
    fn reasons_read_as_those_of_cloudwatch() {
        let point = (1_570_035_540_000, 99.5);
        assert_eq!(
            reason(&settings(1, 1), State::Alarm, &[point]),
            "Threshold Crossed: 1 out of the last 1 datapoints [99.5 (02/10/19 16:59:00)] was greater than the threshold (50.0) \
             (minimum 1 datapoint for OK -> ALARM transition)."
        );
        assert_eq!(
            reason(&settings(3, 2), State::Ok, &[(60_000, 1.0), (0, 2.0)]),
            "Threshold Crossed: 2 out of the last 2 datapoints [1.0 (01/01/70 00:01:00), 2.0 (01/01/70 00:00:00)] were not \
             greater than the threshold (50.0) and 1 missing datapoint was treated as [Breaching] \
             (minimum 2 datapoints for ALARM -> OK transition)."
        );
        assert_eq!(
            reason(&settings(3, 3), State::InsufficientData, &[]),
            "Insufficient Data: 3 datapoints were unknown."
        );
        assert_eq!(
            reason(&settings(3, 3), State::Alarm, &[]),
            "Threshold Crossed: no datapoints were received for 3 periods and 3 missing datapoints were treated as [Breaching]."
        );
    }

    #[test]
    fn a_breach_that_is_not_enough_yet_is_told_as_one() {
        let mut settings = settings(3, 2);
        settings.treat_missing_data = None;
        assert_eq!(
            reason(&settings, State::Ok, &[(60_000, 99.5)]),
            "Threshold Crossed: 1 out of the last 1 datapoints [99.5 (01/01/70 00:01:00)] was greater than the threshold (50.0), \
             and 2 are needed for an alarm."
        );
    }

    #[test]
    fn many_datapoints_are_counted_in_plain_words() {
        let points: Vec<_> = (0..11).map(|minute| (minute * 60_000, 99.5)).collect();
        assert!(reason(&settings(11, 11), State::Alarm, &points).contains("11 out of the last 11 datapoints ["));
    }

    #[test]
    fn times_are_written_with_milliseconds_and_offset() {
        assert_eq!(timestamp(1_607_054_221_659), "2020-12-04T03:57:01.659+0000");
    }

    #[test]
    fn the_reason_data_lists_the_values_from_the_oldest() {
        let data = reason_data(&settings(1, 1), 60, &[(60_000, 2.0), (0, 1.0)], 120_000);
        let data: serde_json::Value = serde_json::from_str(&data).expect("it is JSON");
        assert_eq!(data["recentDatapoints"], json!([1.0, 2.0]));
        assert_eq!(data["startDate"], json!("1970-01-01T00:00:00.000+0000"));
        assert_eq!(data["statistic"], json!("Maximum"));
    }
}
