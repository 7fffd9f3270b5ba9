//! The operations as a caller sees them, and alarms over time.

use serde_json::{Value, json};

use super::{CloudWatch, MINUTE};
use crate::model::{Answer, Call, Fault, Now, Scope};

fn scope() -> Scope {
    Scope {
        account: "123456789012".into(),
        region: "eu-west-1".into(),
    }
}

fn ask(cloudwatch: &mut CloudWatch, operation: &str, input: Value, minute: i64) -> Answer {
    let now = Now {
        real: 0,
        fast: minute * MINUTE,
    };
    cloudwatch.handle(&Call {
        scope: &scope(),
        operation,
        input: &input,
        now,
    })
}

fn tell(cloudwatch: &mut CloudWatch, operation: &str, input: Value, minute: i64) -> Value {
    ask(cloudwatch, operation, input, minute).expect("the call is sound")
}

fn refusal(operation: &str, input: Value) -> Fault {
    ask(&mut CloudWatch::default(), operation, input, 100).expect_err("the call is wrong")
}

/// Puts one value into a minute and closes it.
fn minute(cloudwatch: &mut CloudWatch, minute: i64, value: f64) {
    tell(cloudwatch, "PutMetricData", datum(json!({"Value": value})), minute);
    cloudwatch.close_minute(&scope(), (minute + 1) * MINUTE);
}

fn datum(values: Value) -> Value {
    let mut datum = json!({"MetricName": "Depth", "Dimensions": [{"Name": "Queue", "Value": "orders"}]});
    datum
        .as_object_mut()
        .expect("an object")
        .extend(values.as_object().expect("an object").clone());
    json!({"Namespace": "App", "MetricData": [datum]})
}

fn alarm() -> Value {
    json!({
        "AlarmName": "deep", "AlarmDescription": "too many", "MetricName": "Depth", "Namespace": "App", "Statistic": "Average",
        "Dimensions": [{"Name": "Queue", "Value": "orders"}], "Period": 60, "EvaluationPeriods": 3, "DatapointsToAlarm": 2,
        "Threshold": 10.0, "ComparisonOperator": "GreaterThanThreshold",
        "AlarmActions": ["arn:aws:sns:eu-west-1:123456789012:ops"], "OKActions": ["arn:aws:sns:eu-west-1:123456789012:calm"],
        "Tags": [{"Key": "team", "Value": "data"}],
    })
}

fn state(cloudwatch: &mut CloudWatch) -> String {
    let described = tell(cloudwatch, "DescribeAlarms", json!({"AlarmNames": ["deep"]}), 0);
    described["MetricAlarms"][0]["StateValue"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn statistics_of_a_period_cover_all_values_put_into_it() {
    let mut cloudwatch = CloudWatch::default();
    tell(
        &mut cloudwatch,
        "PutMetricData",
        datum(json!({"Values": [2.0, 8.0], "Counts": [3.0, 1.0]})),
        100,
    );
    tell(
        &mut cloudwatch,
        "PutMetricData",
        datum(json!({"Value": 6.0, "Timestamp": 100.0 * 60.0 + 59.0})),
        101,
    );
    let set = json!({"SampleCount": 2.0, "Sum": 10.0, "Minimum": 1.0, "Maximum": 9.0});
    tell(
        &mut cloudwatch,
        "PutMetricData",
        datum(json!({"StatisticValues": set})),
        101,
    );
    let wanted = json!({
        "Namespace": "App", "MetricName": "Depth", "Dimensions": [{"Name": "Queue", "Value": "orders"}], "Period": 60,
        "StartTime": 6_000, "EndTime": 6_180, "Statistics": ["Average", "Sum", "Minimum", "Maximum", "SampleCount"],
    });
    let points = tell(&mut cloudwatch, "GetMetricStatistics", wanted, 102)["Datapoints"].clone();
    assert_eq!(
        points,
        json!([
            {"Timestamp": 6_000.0, "Unit": "None", "Average": 4.0, "Sum": 20.0, "Minimum": 2.0, "Maximum": 8.0, "SampleCount": 5.0},
            {"Timestamp": 6_060.0, "Unit": "None", "Average": 5.0, "Sum": 10.0, "Minimum": 1.0, "Maximum": 9.0, "SampleCount": 2.0},
        ])
    );
}

#[test]
fn metric_data_comes_newest_first_with_gaps_left_out() {
    let mut cloudwatch = CloudWatch::default();
    for (at, value) in [(100, 10.0), (102, 30.0)] {
        tell(&mut cloudwatch, "PutMetricData", datum(json!({"Value": value})), at);
    }
    let metric =
        json!({"Namespace": "App", "MetricName": "Depth", "Dimensions": [{"Name": "Queue", "Value": "orders"}]});
    let queries = json!([
        {"Id": "m1", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}, "ReturnData": false},
        {"Id": "e1", "Expression": "m1 / 10", "Label": "tenths"},
    ]);
    let mut wanted = json!({"MetricDataQueries": queries, "StartTime": 6_000, "EndTime": 6_180});
    let newest = tell(&mut cloudwatch, "GetMetricData", wanted.clone(), 103)["MetricDataResults"].clone();
    assert_eq!(
        newest,
        json!([{"Id": "e1", "Label": "tenths", "Timestamps": [6_120.0, 6_000.0], "Values": [3.0, 1.0], "StatusCode": "Complete"}])
    );
    wanted["ScanBy"] = json!("TimestampAscending");
    assert_eq!(
        tell(&mut cloudwatch, "GetMetricData", wanted, 103)["MetricDataResults"][0]["Values"],
        json!([1.0, 3.0])
    );
}

#[test]
fn metrics_are_listed_by_namespace_name_and_dimension() {
    let mut cloudwatch = CloudWatch::default();
    tell(&mut cloudwatch, "PutMetricData", datum(json!({"Value": 1.0})), 100);
    let mut count = |filter: Value, minute: i64| {
        tell(&mut cloudwatch, "ListMetrics", filter, minute)["Metrics"]
            .as_array()
            .map(Vec::len)
    };
    assert_eq!(count(json!({}), 100), Some(1));
    assert_eq!(
        count(json!({"Namespace": "App", "Dimensions": [{"Name": "Queue"}]}), 100),
        Some(1)
    );
    assert_eq!(
        count(json!({"Dimensions": [{"Name": "Queue", "Value": "other"}]}), 100),
        Some(0)
    );
    assert_eq!(count(json!({"MetricName": "depth"}), 100), Some(0));
    assert_eq!(count(json!({"RecentlyActive": "PT3H"}), 281), Some(0));
}

#[test]
fn what_is_not_modelled_is_refused_by_name() {
    let metric = json!({"Metric": {"Namespace": "App", "MetricName": "Depth"}, "Period": 60, "Stat": "p99"});
    let query = json!({"Id": "m1", "MetricStat": metric});
    let range = |members: Value| {
        let mut input = json!({"MetricDataQueries": [query], "StartTime": 0, "EndTime": 60});
        input
            .as_object_mut()
            .expect("an object")
            .extend(members.as_object().expect("an object").clone());
        input
    };
    let cases = [
        (
            "PutMetricData",
            json!({"Namespace": "AWS/SQS", "MetricData": []}),
            "AWS/",
        ),
        (
            "PutMetricData",
            datum(json!({"Value": 1.0, "StorageResolution": 1})),
            "MetricData[0].StorageResolution",
        ),
        (
            "PutMetricData",
            datum(json!({"Value": 1.0, "Values": [1.0]})),
            "exactly one",
        ),
        ("PutMetricData", datum(json!({"Value": 1e200})), "2^360"),
        (
            "PutMetricData",
            datum(json!({"Value": 1.0, "Timestamp": 100.0 * 60.0 + 7_201.0})),
            "2 hours in the future",
        ),
        (
            "PutMetricData",
            json!({"Namespace": "App", "EntityMetricData": []}),
            "EntityMetricData",
        ),
        ("GetMetricData", range(json!({})), "p99"),
        ("GetMetricData", range(json!({"MaxDatapoints": 10})), "MaxDatapoints"),
        ("GetMetricData", range(json!({"LabelOptions": {}})), "LabelOptions"),
        (
            "DescribeAlarms",
            json!({"ParentsOfAlarmName": "a"}),
            "ParentsOfAlarmName",
        ),
        ("PutCompositeAlarm", json!({}), "PutCompositeAlarm"),
    ];
    for (operation, input, part) in cases {
        let fault = refusal(operation, input);
        assert!(fault.message.contains(part), "{operation}: {}", fault.message);
    }
}

#[test]
fn a_new_alarm_knows_nothing_and_its_state_changes_with_the_data() {
    let mut cloudwatch = CloudWatch::default();
    tell(&mut cloudwatch, "PutMetricAlarm", alarm(), 99);
    assert_eq!(state(&mut cloudwatch), "INSUFFICIENT_DATA");
    let mut seen = Vec::new();
    for (number, value) in [5.0, 50.0, 5.0, 50.0, 5.0, 5.0].into_iter().enumerate() {
        minute(&mut cloudwatch, 100 + number as i64, value);
        seen.push(state(&mut cloudwatch));
    }
    assert_eq!(seen, ["OK", "OK", "OK", "ALARM", "OK", "OK"]);
}

#[test]
fn data_that_ends_takes_the_alarm_back_to_not_knowing() {
    let mut cloudwatch = CloudWatch::default();
    tell(&mut cloudwatch, "PutMetricAlarm", alarm(), 99);
    minute(&mut cloudwatch, 100, 5.0);
    for later in 101..=105 {
        cloudwatch.close_minute(&scope(), (later + 1) * MINUTE);
    }
    assert_eq!(state(&mut cloudwatch), "INSUFFICIENT_DATA");
}

#[test]
fn each_change_of_state_tells_the_topics_of_that_state_once() {
    let mut cloudwatch = CloudWatch::default();
    tell(&mut cloudwatch, "PutMetricAlarm", alarm(), 99);
    for number in 100..104 {
        minute(&mut cloudwatch, number, 50.0);
    }
    let notices = cloudwatch.take_notices();
    let sent: Vec<_> = notices
        .iter()
        .map(|notice| (notice.topic_arn.as_str(), notice.subject.as_str()))
        .collect();
    // The first breach alone is within M of N, so the alarm passes through OK.
    let expected = [
        (
            "arn:aws:sns:eu-west-1:123456789012:calm",
            "OK: \"deep\" in EU (Ireland)",
        ),
        (
            "arn:aws:sns:eu-west-1:123456789012:ops",
            "ALARM: \"deep\" in EU (Ireland)",
        ),
    ];
    assert_eq!(sent, expected);
    assert!(cloudwatch.take_notices().is_empty());
}

#[test]
fn the_message_has_the_members_that_cloudwatch_documents() {
    let mut cloudwatch = CloudWatch::default();
    tell(&mut cloudwatch, "PutMetricAlarm", alarm(), 99);
    minute(&mut cloudwatch, 100, 50.0);
    minute(&mut cloudwatch, 101, 50.0);
    let notice = cloudwatch.take_notices().pop().expect("the alarm went off");
    let mut message: Value = serde_json::from_str(&notice.message).expect("the message is JSON");
    let reason = message["NewStateReason"].take();
    assert!(
        reason
            .as_str()
            .is_some_and(|reason| reason.starts_with("Threshold Crossed: 2 out of the last 2 datapoints [50.0 ("))
    );
    assert_eq!(
        message,
        json!({
            "AlarmName": "deep",
            "AlarmDescription": "too many",
            "AWSAccountId": "123456789012",
            "AlarmConfigurationUpdatedTimestamp": "1970-01-01T01:39:00.000+0000",
            "NewStateValue": "ALARM",
            "NewStateReason": null,
            "StateChangeTime": "1970-01-01T01:42:00.000+0000",
            "Region": "EU (Ireland)",
            "AlarmArn": "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:deep",
            "OldStateValue": "OK",
            "OKActions": ["arn:aws:sns:eu-west-1:123456789012:calm"],
            "AlarmActions": ["arn:aws:sns:eu-west-1:123456789012:ops"],
            "InsufficientDataActions": [],
            "Trigger": {
                "MetricName": "Depth",
                "Namespace": "App",
                "StatisticType": "Statistic",
                "Statistic": "AVERAGE",
                "Unit": null,
                "Dimensions": [{"name": "Queue", "value": "orders"}],
                "Period": 60,
                "EvaluationPeriods": 3,
                "DatapointsToAlarm": 2,
                "ComparisonOperator": "GreaterThanThreshold",
                "Threshold": 10.0,
                "TreatMissingData": "missing",
                "EvaluateLowSampleCountPercentile": "",
            },
        })
    );
}

#[test]
fn an_alarm_on_metric_math_watches_the_expression_and_says_so() {
    let mut cloudwatch = CloudWatch::default();
    let metric =
        json!({"Namespace": "App", "MetricName": "Depth", "Dimensions": [{"Name": "Queue", "Value": "orders"}]});
    let put = json!({
        "AlarmName": "deep", "EvaluationPeriods": 1, "Threshold": 1, "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "TreatMissingData": "notBreaching", "AlarmActions": ["arn:aws:sns:eu-west-1:123456789012:ops"],
        "Metrics": [
            {"Id": "e1", "Expression": "IF(m1 > 10 AND m1 < 60, 1, 0)", "Label": "in between", "ReturnData": true},
            {"Id": "m1", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Maximum"}, "ReturnData": false},
        ],
    });
    tell(&mut cloudwatch, "PutMetricAlarm", put, 99);
    minute(&mut cloudwatch, 100, 70.0);
    assert_eq!(state(&mut cloudwatch), "OK");
    minute(&mut cloudwatch, 101, 50.0);
    assert_eq!(state(&mut cloudwatch), "ALARM");
    let notice = cloudwatch.take_notices().pop().expect("the alarm went off");
    let message: Value = serde_json::from_str(&notice.message).expect("the message is JSON");
    let metrics = &message["Trigger"]["Metrics"];
    let expression =
        json!({"Id": "e1", "Expression": "IF(m1 > 10 AND m1 < 60, 1, 0)", "Label": "in between", "ReturnData": true});
    assert_eq!(metrics[0], expression);
    assert_eq!(
        metrics[1]["MetricStat"]["Metric"]["Dimensions"],
        json!([{"name": "Queue", "value": "orders"}])
    );
    assert_eq!(metrics[1]["MetricStat"]["Stat"], json!("Maximum"));
}

#[test]
fn an_update_keeps_the_state_overwrites_the_rest_and_ignores_tags() {
    let mut cloudwatch = CloudWatch::default();
    tell(&mut cloudwatch, "PutMetricAlarm", alarm(), 99);
    minute(&mut cloudwatch, 100, 50.0);
    minute(&mut cloudwatch, 101, 50.0);
    let mut update = alarm();
    let members = update.as_object_mut().expect("an object");
    members.remove("AlarmDescription");
    members.insert("Threshold".into(), json!(100.0));
    members.insert("Tags".into(), json!([{"Key": "team", "Value": "other"}]));
    tell(&mut cloudwatch, "PutMetricAlarm", update, 102);
    let described = tell(&mut cloudwatch, "DescribeAlarms", json!({}), 102)["MetricAlarms"][0].clone();
    assert_eq!(
        (&described["StateValue"], &described["Threshold"]),
        (&json!("ALARM"), &json!(100.0))
    );
    assert_eq!(described.get("AlarmDescription"), None);
    assert_eq!(described["AlarmConfigurationUpdatedTimestamp"], json!(6_120.0));
    let arn = json!({"ResourceARN": described["AlarmArn"]});
    assert_eq!(
        tell(&mut cloudwatch, "ListTagsForResource", arn, 0)["Tags"],
        json!([{"Key": "team", "Value": "data"}])
    );
}

#[test]
fn an_alarm_whose_actions_are_off_changes_in_silence() {
    let mut cloudwatch = CloudWatch::default();
    tell(&mut cloudwatch, "PutMetricAlarm", alarm(), 99);
    tell(
        &mut cloudwatch,
        "DisableAlarmActions",
        json!({"AlarmNames": ["deep", "unknown"]}),
        99,
    );
    minute(&mut cloudwatch, 100, 50.0);
    minute(&mut cloudwatch, 101, 50.0);
    assert_eq!(
        (state(&mut cloudwatch).as_str(), cloudwatch.take_notices().len()),
        ("ALARM", 0)
    );
    tell(
        &mut cloudwatch,
        "EnableAlarmActions",
        json!({"AlarmNames": ["deep"]}),
        102,
    );
    minute(&mut cloudwatch, 102, 5.0);
    minute(&mut cloudwatch, 103, 5.0);
    assert_eq!(
        (state(&mut cloudwatch).as_str(), cloudwatch.take_notices().len()),
        ("OK", 1)
    );
}

#[test]
fn a_state_set_by_hand_acts_and_lasts_until_the_next_evaluation() {
    let mut cloudwatch = CloudWatch::default();
    tell(&mut cloudwatch, "PutMetricAlarm", alarm(), 99);
    minute(&mut cloudwatch, 100, 5.0);
    cloudwatch.take_notices();
    let set = json!({"AlarmName": "deep", "StateValue": "ALARM", "StateReason": "a drill"});
    tell(&mut cloudwatch, "SetAlarmState", set, 101);
    assert_eq!(
        (state(&mut cloudwatch).as_str(), cloudwatch.take_notices().len()),
        ("ALARM", 1)
    );
    minute(&mut cloudwatch, 101, 5.0);
    assert_eq!(state(&mut cloudwatch), "OK");
    let unknown = json!({"AlarmName": "x", "StateValue": "OK", "StateReason": ""});
    assert_eq!(refusal("SetAlarmState", unknown).code, "ResourceNotFound");
}

#[test]
fn alarms_are_described_by_name_prefix_state_action_and_page() {
    let mut cloudwatch = CloudWatch::default();
    for name in ["a1", "a2", "b1"] {
        let mut put = alarm();
        put["AlarmName"] = json!(name);
        tell(&mut cloudwatch, "PutMetricAlarm", put, 99);
    }
    let mut names = |filter: Value| -> Vec<Value> {
        let described = tell(&mut cloudwatch, "DescribeAlarms", filter, 99);
        described["MetricAlarms"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|alarm| alarm["AlarmName"].clone())
            .collect()
    };
    assert_eq!(names(json!({"AlarmNamePrefix": "a"})), ["a1", "a2"]);
    assert_eq!(names(json!({"AlarmNames": ["b1", "unknown"]})), ["b1"]);
    assert_eq!(names(json!({"StateValue": "ALARM"})).len(), 0);
    assert_eq!(names(json!({"AlarmTypes": ["CompositeAlarm"]})).len(), 0);
    assert_eq!(names(json!({"ActionPrefix": "arn:aws:sns:eu-west-1"})).len(), 3);
    let first = tell(&mut cloudwatch, "DescribeAlarms", json!({"MaxRecords": 2}), 99);
    let second = tell(
        &mut cloudwatch,
        "DescribeAlarms",
        json!({"MaxRecords": 2, "NextToken": first["NextToken"]}),
        99,
    );
    assert_eq!(second["MetricAlarms"].as_array().map(Vec::len), Some(1));
    assert_eq!(second.get("NextToken"), None);
    assert_eq!(
        refusal("DescribeAlarms", json!({"NextToken": "x"})).code,
        "InvalidNextToken"
    );
    assert!(
        refusal("DescribeAlarms", json!({"AlarmNames": ["a"], "AlarmNamePrefix": "a"}))
            .message
            .contains("exclude")
    );
}

#[test]
fn deleting_deletes_all_named_or_none_and_keeps_the_history() {
    let mut cloudwatch = CloudWatch::default();
    tell(&mut cloudwatch, "PutMetricAlarm", alarm(), 99);
    let fault = ask(
        &mut cloudwatch,
        "DeleteAlarms",
        json!({"AlarmNames": ["deep", "unknown"]}),
        100,
    )
    .expect_err("unknown");
    assert_eq!(
        (fault.code.as_str(), state(&mut cloudwatch).as_str()),
        ("ResourceNotFound", "INSUFFICIENT_DATA")
    );
    tell(&mut cloudwatch, "DeleteAlarms", json!({"AlarmNames": ["deep"]}), 100);
    assert_eq!(state(&mut cloudwatch), "");
    let history = tell(
        &mut cloudwatch,
        "DescribeAlarmHistory",
        json!({"AlarmName": "deep"}),
        101,
    );
    assert_eq!(
        history["AlarmHistoryItems"][0]["HistorySummary"],
        json!("Alarm \"deep\" deleted")
    );
}

#[test]
fn tags_are_added_replaced_and_removed() {
    let mut cloudwatch = CloudWatch::default();
    tell(&mut cloudwatch, "PutMetricAlarm", alarm(), 99);
    let arn = "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:deep";
    let tags = json!([{"Key": "team", "Value": "other"}, {"Key": "tier", "Value": "1"}]);
    tell(
        &mut cloudwatch,
        "TagResource",
        json!({"ResourceARN": arn, "Tags": tags}),
        100,
    );
    tell(
        &mut cloudwatch,
        "UntagResource",
        json!({"ResourceARN": arn, "TagKeys": ["tier"]}),
        100,
    );
    let listed = tell(&mut cloudwatch, "ListTagsForResource", json!({"ResourceARN": arn}), 100);
    assert_eq!(listed["Tags"], json!([{"Key": "team", "Value": "other"}]));
    assert_eq!(
        refusal("ListTagsForResource", json!({"ResourceARN": arn})).code,
        "ResourceNotFoundException"
    );
}
