//! What is taken as an alarm, and what is refused.

use serde_json::{Value, json};

use super::Settings;
use crate::model::Scope;
use crate::model::cloudwatch::wire::read;

fn single() -> Value {
    json!({
        "AlarmName": "old", "MetricName": "Age", "Namespace": "AWS/SQS", "Statistic": "Maximum", "Period": 60,
        "Dimensions": [{"Name": "QueueName", "Value": "orders"}], "EvaluationPeriods": 3, "Threshold": 600.0,
        "ComparisonOperator": "GreaterThanThreshold",
    })
}

fn math() -> Value {
    let metric = json!({"Namespace": "AWS/ECS", "MetricName": "CPUUtilization", "Dimensions": []});
    json!({
        "AlarmName": "hot", "EvaluationPeriods": 15, "DatapointsToAlarm": 5, "Threshold": 1,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold", "TreatMissingData": "notBreaching",
        "Metrics": [
            {"Id": "e1", "Expression": "IF(cpu > 85, 1, 0)", "ReturnData": true},
            {"Id": "cpu", "ReturnData": false, "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Average"}},
        ],
    })
}

/// Returns the settings with some members changed; null takes a member away.
fn checked(mut base: Value, changes: Value) -> Result<(), String> {
    let members = base.as_object_mut().expect("the base is an object");
    for (name, value) in changes.as_object().expect("the changes are an object") {
        if value.is_null() {
            members.remove(name)
        } else {
            members.insert(name.clone(), value.clone())
        };
    }
    let settings: Settings = read(&base, "ValidationError").map_err(|fault| fault.message)?;
    let scope = Scope {
        account: "123456789012".into(),
        region: "eu-west-1".into(),
    };
    settings.check_actions(&scope).map_err(|fault| fault.message)?;
    settings.check().map(|_| ()).map_err(|fault| fault.message)
}

#[test]
fn sound_alarms_are_taken() {
    assert_eq!(checked(single(), json!({})), Ok(()));
    assert_eq!(checked(math(), json!({})), Ok(()));
    assert_eq!(
        checked(math(), json!({"OKActions": ["arn:aws:sns:eu-west-1:123456789012:ops"]})),
        Ok(())
    );
}

#[test]
fn a_wrong_alarm_is_refused_by_the_member() {
    let cases = [
        (single(), json!({"EvaluationPeriods": null}), "EvaluationPeriods"),
        (single(), json!({"Threshold": null}), "Threshold"),
        (single(), json!({"DatapointsToAlarm": 4}), "DatapointsToAlarm"),
        (single(), json!({"Namespace": null}), "Namespace"),
        (single(), json!({"Statistic": null}), "Statistic"),
        (single(), json!({"Period": 10}), "Period"),
        (single(), json!({"Period": 60, "EvaluationPeriods": 1_441}), "86400"),
        (single(), json!({"Period": 3_600, "EvaluationPeriods": 169}), "604800"),
        (single(), json!({"MetricName": null}), "MetricName and Metrics"),
        (single(), json!({"ExtendedStatistic": "p99"}), "ExtendedStatistic"),
        (
            single(),
            json!({"ComparisonOperator": "GreaterThanUpperThreshold"}),
            "ComparisonOperator",
        ),
        (
            single(),
            json!({"EvaluateLowSampleCountPercentile": "ignore"}),
            "EvaluateLowSampleCountPercentile",
        ),
        (single(), json!({"Metrics": math()["Metrics"]}), "exclude each other"),
        (math(), json!({"Period": 60}), "Period"),
        (math(), json!({"Dimensions": []}), "Dimensions"),
        (math(), json!({"WarmUpConfiguration": {}}), "WarmUpConfiguration"),
        (
            math(),
            json!({"AlarmActions": ["arn:aws:sns:us-east-1:123456789012:ops"]}),
            "us-east-1",
        ),
        (
            math(),
            json!({"AlarmActions": ["arn:aws:sns:eu-west-1:210987654321:ops"]}),
            "another account",
        ),
        (
            math(),
            json!({"AlarmActions": ["arn:aws:lambda:eu-west-1:123456789012:function:f"]}),
            "AlarmActions",
        ),
    ];
    for (base, changes, part) in cases {
        let refusal = checked(base, changes.clone()).expect_err("the change is wrong");
        assert!(refusal.contains(part), "{changes}: {refusal}");
    }
}

#[test]
fn at_most_ten_metrics_and_ten_expressions_are_taken() {
    let expressions: Vec<Value> = (0..11)
        .map(|number| json!({"Id": format!("e{number}"), "Expression": "1", "ReturnData": false}))
        .collect();
    let refusal = checked(math(), json!({"Metrics": expressions})).expect_err("eleven expressions");
    assert!(refusal.contains("at most 10"), "{refusal}");
}

#[test]
fn an_alarm_looks_back_a_week_when_its_periods_are_of_an_hour_or_more() {
    for (period, periods) in [(60, 1_440), (3_600, 168), (86_400, 7)] {
        let changes = json!({"Period": period, "EvaluationPeriods": periods});
        assert_eq!(checked(single(), changes), Ok(()));
    }
}
