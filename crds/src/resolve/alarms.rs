//! `spec.alarms`.

use std::collections::BTreeSet;

use super::arn;
use super::faults::Faults;
use crate::{Alarm, AlarmKind, AlarmSpec, AlarmsSpec, Duration, Scaling};

/// CloudWatch takes no more actions for one state of an alarm.
const MOST_TOPICS: usize = 5;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

pub(super) fn alarms(spec: Option<&AlarmsSpec>, scaling: Option<&Scaling>, faults: &mut Faults) -> Vec<Alarm> {
    let spec = spec.cloned().unwrap_or_default();
    let topics = topics(&spec, faults);
    AlarmKind::ALL
        .into_iter()
        .filter_map(|kind| alarm(kind, settings(&spec, kind), scaling, &topics, faults))
        .filter(|_| !topics.is_empty())
        .collect()
}

fn topics(spec: &AlarmsSpec, faults: &mut Faults) -> Vec<String> {
    let path = "spec.alarms.topics";
    let topics = spec.topics.clone().unwrap_or_default();
    // An empty list is how a connector does without the alarms of its profile, whose settings stay.
    if spec.topics.is_none() && AlarmKind::ALL.into_iter().any(|kind| settings(spec, kind).is_some()) {
        faults.missing_for(
            path,
            "so that the settings of the alarms would do nothing",
            "name the ARN of an SNS topic to tell, remove the settings, or write `topics: []` for no alarm at all",
        );
    }
    if topics.len() > MOST_TOPICS {
        faults.hide(
            path,
            format!("are {}, and CloudWatch tells at most {MOST_TOPICS}", topics.len()),
            "remove some, or let one topic tell the others",
        );
    }
    let mut seen = BTreeSet::new();
    for (index, topic) in topics.iter().enumerate() {
        let path = format!("{path}[{index}]");
        arn::check_topic(&path, topic, faults);
        if !seen.insert(topic) {
            faults.refuse(&path, topic, "stands there twice", "remove one of them");
        }
    }
    topics
}

fn settings(spec: &AlarmsSpec, kind: AlarmKind) -> Option<&AlarmSpec> {
    match kind {
        AlarmKind::HighCpuUsageAndMaxScaledOut => spec.high_cpu_usage_and_max_scaled_out.as_ref(),
        AlarmKind::HighRamUsageAndMaxScaledOut => spec.high_ram_usage_and_max_scaled_out.as_ref(),
        AlarmKind::BacklogHighAndMaxScaledOut => spec.backlog_high_and_max_scaled_out.as_ref(),
        AlarmKind::OldestMessageAge => spec.oldest_message_age.as_ref(),
    }
}

/// Returns the alarm, unless it is switched off or has nothing to compare with.
fn alarm(
    kind: AlarmKind,
    settings: Option<&AlarmSpec>,
    scaling: Option<&Scaling>,
    topics: &[String],
    faults: &mut Faults,
) -> Option<Alarm> {
    let path = format!("spec.alarms.{}", kind.as_str());
    let spec = settings.cloned().unwrap_or_default();
    let threshold = threshold(kind, &spec, scaling);
    check_threshold(&path, kind, &spec, faults);
    let (period, evaluation_periods, datapoints_to_alarm) = window(&path, &spec, faults);
    if spec.enabled == Some(false) {
        return None;
    }
    if threshold.is_none() && settings.is_some() {
        faults.missing_for(
            &format!("{path}.threshold"),
            "and there is no `spec.scaling.backlog` to take it from",
            "write the messages per task above which it counts, or set `spec.scaling.backlog`",
        );
    }
    Some(Alarm {
        kind,
        asked: settings.is_some(),
        threshold: threshold?,
        period,
        evaluation_periods,
        datapoints_to_alarm,
        topics: topics.to_vec(),
    })
}

fn threshold(kind: AlarmKind, spec: &AlarmSpec, scaling: Option<&Scaling>) -> Option<u64> {
    spec.threshold.or(match kind {
        AlarmKind::HighCpuUsageAndMaxScaledOut => Some(85),
        AlarmKind::HighRamUsageAndMaxScaledOut => Some(80),
        AlarmKind::BacklogHighAndMaxScaledOut => scaling.and_then(|scaling| scaling.backlog_per_task),
        AlarmKind::OldestMessageAge => Some(300),
    })
}

fn check_threshold(path: &str, kind: AlarmKind, spec: &AlarmSpec, faults: &mut Faults) {
    let (most, why) = match kind {
        AlarmKind::HighCpuUsageAndMaxScaledOut | AlarmKind::HighRamUsageAndMaxScaledOut => {
            (100, "is not a share of the task's in percent")
        }
        AlarmKind::BacklogHighAndMaxScaledOut => (1_000_000_000, "is not a number of messages per task"),
        AlarmKind::OldestMessageAge => (
            14 * 24 * 3600,
            "is not an age in seconds that a message in SQS can have",
        ),
    };
    if spec.threshold.is_some() {
        faults.within(&format!("{path}.threshold"), spec.threshold, 1, 1..=most, why);
    }
}

/// Returns the length of a data point, how many are looked at, and how many must be above.
fn window(path: &str, spec: &AlarmSpec, faults: &mut Faults) -> (Duration, u32, u32) {
    let evaluation_periods = faults.within(
        &format!("{path}.evaluationPeriods"),
        spec.evaluation_periods,
        15,
        1..=10_080,
        "is not a number of data points that CloudWatch can look at",
    );
    let datapoints = spec.datapoints_to_alarm.unwrap_or(evaluation_periods.clamp(1, 5));
    if datapoints == 0 || datapoints > evaluation_periods.max(1) {
        let why = format!("is not between 1 and the number of data points looked at, {evaluation_periods}");
        faults.refuse(
            &format!("{path}.datapointsToAlarm"),
            datapoints,
            why,
            "lower it, or raise `evaluationPeriods`",
        );
    }
    let period = period(path, spec, evaluation_periods, faults);
    (period, evaluation_periods, datapoints)
}

fn period(path: &str, spec: &AlarmSpec, evaluation_periods: u32, faults: &mut Faults) -> Duration {
    let period = spec.period.unwrap_or(MINUTE);
    let path = format!("{path}.period");
    if period < MINUTE || period > DAY || !period.as_millis().is_multiple_of(MINUTE.as_millis()) {
        faults.refuse(
            &path,
            period,
            "is not a length that a data point of these metrics can have",
            "use a multiple of 60s, at most one day",
        );
        return period;
    }
    let (longest, name) = if period < HOUR {
        (DAY, "a day")
    } else {
        (WEEK, "a week")
    };
    if period.as_secs() * u64::from(evaluation_periods) > longest.as_secs() {
        let why = format!(
            "times {evaluation_periods} data points is longer than {name}, the most that CloudWatch looks back with it"
        );
        faults.refuse(&path, period, why, "lower `period` or `evaluationPeriods`");
    }
    period
}
