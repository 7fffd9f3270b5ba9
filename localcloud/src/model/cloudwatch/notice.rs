//! What an alarm tells a topic: the subject and the JSON message that CloudWatch sends to SNS.

use serde_json::{Value, json};

use super::alarm::Alarm;
use super::judge::State;
use super::query::MetricDataQuery;
use super::reason::timestamp;
use super::store::Dimension;
use crate::model::{Millis, Scope};

/// SNS takes at most this many characters as a subject.
const SUBJECT_LIMIT: usize = 100;

/// One message on its way to a topic.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// The alarm that sends it.
    pub alarm: String,
    /// The topic.
    pub topic_arn: String,
    /// Such as `ALARM: "hot" in EU (Ireland)`.
    pub subject: String,
    /// JSON.
    pub message: String,
    /// When the state changed.
    pub at: Millis,
}

/// Returns the subject of a change to the alarm's present state.
pub(super) fn subject(alarm: &Alarm, scope: &Scope) -> String {
    let whole = format!(
        "{}: \"{}\" in {}",
        alarm.state.name(),
        alarm.settings.alarm_name,
        region_name(&scope.region)
    );
    whole.chars().take(SUBJECT_LIMIT).collect()
}

/// Returns the message of a change from `old` to the alarm's present state.
pub(super) fn message(alarm: &Alarm, old: State, scope: &Scope) -> Value {
    let settings = &alarm.settings;
    json!({
        "AlarmName": settings.alarm_name,
        "AlarmDescription": settings.alarm_description,
        "AWSAccountId": scope.account,
        "AlarmConfigurationUpdatedTimestamp": timestamp(alarm.configured),
        "NewStateValue": alarm.state.name(),
        "NewStateReason": alarm.reason,
        "StateChangeTime": timestamp(alarm.updated),
        "Region": region_name(&scope.region),
        "AlarmArn": alarm.arn,
        "OldStateValue": old.name(),
        "OKActions": settings.ok_actions,
        "AlarmActions": settings.alarm_actions,
        "InsufficientDataActions": settings.insufficient_data_actions,
        "Trigger": trigger(alarm),
    })
}

fn trigger(alarm: &Alarm) -> Value {
    let settings = &alarm.settings;
    let rule = settings.rule();
    let mut trigger = json!({
        "Period": alarm.queries.period(),
        "EvaluationPeriods": rule.periods,
        "DatapointsToAlarm": rule.to_alarm,
        "ComparisonOperator": settings.comparison_operator,
        "Threshold": settings.threshold,
        "TreatMissingData": rule.missing.name(),
        "EvaluateLowSampleCountPercentile": "",
    });
    let watched = match &settings.metrics {
        Some(queries) => json!({"Metrics": queries.iter().map(query).collect::<Vec<_>>()}),
        None => json!({
            "MetricName": settings.metric_name,
            "Namespace": settings.namespace,
            "StatisticType": "Statistic",
            "Statistic": settings.statistic.map(|statistic| shouted(statistic.name())),
            "Unit": settings.unit,
            "Dimensions": dimensions(settings.dimensions.as_deref().unwrap_or_default()),
        }),
    };
    if let (Value::Object(trigger), Value::Object(watched)) = (&mut trigger, watched) {
        trigger.extend(watched);
    }
    trigger
}

fn query(query: &MetricDataQuery) -> Value {
    let mut written = json!({"Id": query.id, "ReturnData": query.is_returned()});
    let Value::Object(members) = &mut written else {
        return written;
    };
    members.extend(
        query
            .expression
            .iter()
            .map(|text| ("Expression".to_owned(), json!(text))),
    );
    members.extend(query.label.iter().map(|label| ("Label".to_owned(), json!(label))));
    members.extend(query.metric_stat.iter().map(|stat| {
        let metric = json!({
            "Namespace": stat.metric.namespace,
            "MetricName": stat.metric.metric_name,
            "Dimensions": dimensions(&stat.metric.dimensions),
        });
        (
            "MetricStat".to_owned(),
            json!({"Metric": metric, "Period": stat.period, "Stat": stat.stat}),
        )
    }));
    written
}

/// In these messages, and nowhere else, the members of a dimension are in lower case.
fn dimensions(dimensions: &[Dimension]) -> Vec<Value> {
    dimensions
        .iter()
        .map(|dimension| json!({"name": dimension.name, "value": dimension.value}))
        .collect()
}

/// Returns `SampleCount` as `SAMPLE_COUNT`.
fn shouted(name: &str) -> String {
    let mut shouted = String::new();
    for (index, letter) in name.chars().enumerate() {
        if index > 0 && letter.is_ascii_uppercase() {
            shouted.push('_');
        }
        shouted.push(letter.to_ascii_uppercase());
    }
    shouted
}

/// Returns the name that messages give a region; one that is not in the list goes by its code.
fn region_name(region: &str) -> &str {
    match region {
        "us-east-1" => "US East (N. Virginia)",
        "us-east-2" => "US East (Ohio)",
        "us-west-1" => "US West (N. California)",
        "us-west-2" => "US West (Oregon)",
        "ca-central-1" => "Canada (Central)",
        "eu-central-1" => "EU (Frankfurt)",
        "eu-west-1" => "EU (Ireland)",
        "eu-west-2" => "EU (London)",
        "eu-west-3" => "EU (Paris)",
        "eu-north-1" => "EU (Stockholm)",
        "eu-south-1" => "EU (Milan)",
        "ap-south-1" => "Asia Pacific (Mumbai)",
        "ap-southeast-1" => "Asia Pacific (Singapore)",
        "ap-southeast-2" => "Asia Pacific (Sydney)",
        "ap-northeast-1" => "Asia Pacific (Tokyo)",
        "ap-northeast-2" => "Asia Pacific (Seoul)",
        "ap-northeast-3" => "Asia Pacific (Osaka)",
        "sa-east-1" => "South America (Sao Paulo)",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::{SUBJECT_LIMIT, region_name, shouted};

    #[test]
    fn statistics_are_shouted_and_unknown_regions_go_by_their_code() {
        assert_eq!(
            (shouted("SampleCount").as_str(), shouted("Average").as_str()),
            ("SAMPLE_COUNT", "AVERAGE")
        );
        assert_eq!(
            (region_name("eu-west-1"), region_name("xx-test-9")),
            ("EU (Ireland)", "xx-test-9")
        );
        assert_eq!(SUBJECT_LIMIT, 100);
    }
}
