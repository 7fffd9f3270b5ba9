//! Whole chains through the cloud: messages to metrics to alarms to topics, and metrics to policies to counts.

use serde_json::{Value, json};

use super::CATCH_UP_LIMIT;
use crate::model::cloudwatch::MINUTE;
use crate::model::{Cloud, Now, Scope, Service};

struct World {
    cloud: Cloud,
    minute: i64,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            cloud: Cloud {
                endpoint: "http://127.0.0.1:4566".into(),
                ..Cloud::default()
            },
            minute: 1_000,
        };
        world.tell(Service::Sqs, "CreateQueue", json!({"QueueName": "orders"}));
        world.pass(0);
        world
    }

    fn scope() -> Scope {
        Scope {
            account: "123456789012".into(),
            region: "eu-west-1".into(),
        }
    }

    fn now(&self) -> Now {
        Now {
            real: self.minute * MINUTE,
            fast: self.minute * MINUTE,
        }
    }

    fn tell(&mut self, service: Service, operation: &str, input: Value) -> Value {
        let now = self.now();
        let answer = self.cloud.handle(service, &Self::scope(), operation, &input, now);
        answer.unwrap_or_else(|fault| panic!("{operation}: {}: {}", fault.code, fault.message))
    }

    fn pass(&mut self, minutes: i64) {
        self.minute += minutes;
        let now = self.now();
        self.cloud.tick(now);
    }

    fn send(&mut self, count: usize) {
        for _ in 0..count {
            let url = "http://127.0.0.1:4566/123456789012/orders";
            self.tell(
                Service::Sqs,
                "SendMessage",
                json!({"QueueUrl": url, "MessageBody": "{}"}),
            );
        }
    }

    /// Returns the newest sums of a metric of the queue, the newest first.
    fn queue_metric(&mut self, name: &str) -> Vec<f64> {
        let metric = json!({"Namespace": "AWS/SQS", "MetricName": name, "Dimensions": [{"Name": "QueueName", "Value": "orders"}]});
        let query = json!({"Id": "m1", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}});
        let end = self.minute * 60;
        let input = json!({"MetricDataQueries": [query], "StartTime": end - 86_400, "EndTime": end});
        let answer = self.tell(Service::CloudWatch, "GetMetricData", input);
        serde_json::from_value(answer["MetricDataResults"][0]["Values"].clone()).expect("a list of numbers")
    }
}

#[test]
fn queues_report_gauges_every_minute_and_counters_once() {
    let mut world = World::new();
    world.send(3);
    world.pass(1);
    world.pass(1);
    assert_eq!(world.queue_metric("ApproximateNumberOfMessagesVisible"), [3.0, 3.0]);
    assert_eq!(world.queue_metric("NumberOfMessagesSent"), [0.0, 3.0]);
    assert_eq!(world.queue_metric("ApproximateAgeOfOldestMessage"), [120.0, 60.0]);
}

#[test]
fn a_tick_within_the_minute_reports_nothing() {
    let mut world = World::new();
    world.pass(1);
    let reported = world.queue_metric("NumberOfMessagesSent").len();
    let within = Now {
        real: world.now().real + 59_000,
        fast: world.now().fast + 59_000,
    };
    world.cloud.tick(within);
    assert_eq!(world.queue_metric("NumberOfMessagesSent").len(), reported);
}

#[test]
fn minutes_between_two_ticks_are_made_up_for_within_a_limit() {
    let mut world = World::new();
    world.pass(5);
    assert_eq!(world.queue_metric("NumberOfMessagesSent").len(), 5);
    world.pass(CATCH_UP_LIMIT + 40);
    assert_eq!(
        world.queue_metric("NumberOfMessagesSent").len(),
        5 + usize::try_from(CATCH_UP_LIMIT).expect("it is small")
    );
}

/// "Monitoring queues using CloudWatch": a queue without activity for six hours reports nothing.
#[test]
fn an_idle_queue_falls_silent_after_six_hours() {
    let mut world = World::new();
    for _ in 0..8 {
        world.pass(60);
    }
    // The first minute reported counts as its activity.
    assert_eq!(world.queue_metric("NumberOfMessagesSent").len(), 360);
    world.send(1);
    world.pass(1);
    assert_eq!(world.queue_metric("NumberOfMessagesSent")[0], 1.0);
}

#[test]
fn looking_at_a_queue_keeps_it_active() {
    let mut world = World::new();
    for _ in 0..8 {
        world.pass(60);
        let url = "http://127.0.0.1:4566/123456789012/orders";
        world.tell(
            Service::Sqs,
            "GetQueueAttributes",
            json!({"QueueUrl": url, "AttributeNames": ["All"]}),
        );
    }
    assert_eq!(world.queue_metric("NumberOfMessagesSent").len(), 480);
}

#[test]
fn an_alarm_on_a_deep_queue_reaches_the_queue_behind_its_topic() {
    let mut world = World::new();
    world.tell(Service::Sqs, "CreateQueue", json!({"QueueName": "inbox"}));
    world.tell(Service::Sns, "CreateTopic", json!({"Name": "ops"}));
    let (topic, queue) = (
        "arn:aws:sns:eu-west-1:123456789012:ops",
        "arn:aws:sqs:eu-west-1:123456789012:inbox",
    );
    let subscribe = json!({"TopicArn": topic, "Protocol": "sqs", "Endpoint": queue});
    world.tell(Service::Sns, "Subscribe", subscribe);
    let lost = "arn:aws:sns:eu-west-1:123456789012:lost";
    let alarm = json!({
        "AlarmName": "deep", "Namespace": "AWS/SQS", "MetricName": "ApproximateNumberOfMessagesVisible", "Statistic": "Maximum",
        "Dimensions": [{"Name": "QueueName", "Value": "orders"}], "Period": 60, "EvaluationPeriods": 2, "Threshold": 5,
        "ComparisonOperator": "GreaterThanThreshold", "AlarmActions": [topic, lost],
    });
    world.tell(Service::CloudWatch, "PutMetricAlarm", alarm);
    world.send(6);
    world.pass(1);
    world.pass(1);
    let url = "http://127.0.0.1:4566/123456789012/inbox";
    let received = world.tell(
        Service::Sqs,
        "ReceiveMessage",
        json!({"QueueUrl": url, "MaxNumberOfMessages": 10}),
    );
    let messages = received["Messages"].as_array().expect("the alarm was delivered");
    let envelope: Value = serde_json::from_str(messages[0]["Body"].as_str().unwrap_or_default()).expect("an envelope");
    assert_eq!(
        (messages.len(), &envelope["Subject"]),
        (1, &json!("ALARM: \"deep\" in EU (Ireland)"))
    );
    let message: Value = serde_json::from_str(envelope["Message"].as_str().unwrap_or_default()).expect("a message");
    assert_eq!(message["NewStateValue"], json!("ALARM"));
    let history = world.tell(
        Service::CloudWatch,
        "DescribeAlarmHistory",
        json!({"HistoryItemType": "Action"}),
    );
    let mut summaries: Vec<&str> = Vec::new();
    for item in history["AlarmHistoryItems"].as_array().expect("a list") {
        summaries.push(item["HistorySummary"].as_str().unwrap_or_default());
    }
    assert_eq!(
        summaries,
        [
            format!("Failed to execute action {lost}"),
            format!("Successfully executed action {topic}")
        ]
    );
}

#[test]
fn a_stored_policy_moves_the_count_of_a_service() {
    let mut world = World::new();
    world.tell(Service::Ecs, "CreateCluster", json!({"clusterName": "main"}));
    let container = json!({"name": "bridge", "image": "bridge:1", "essential": true});
    let definition = json!({
        "family": "orders", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
        "containerDefinitions": [container],
    });
    world.tell(Service::Ecs, "RegisterTaskDefinition", definition);
    let network = json!({"awsvpcConfiguration": {"subnets": ["subnet-1"], "securityGroups": ["sg-1"]}});
    let service = json!({
        "cluster": "main", "serviceName": "orders", "taskDefinition": "orders:1", "desiredCount": 0, "launchType": "FARGATE",
        "networkConfiguration": network,
    });
    world.tell(Service::Ecs, "CreateService", service);
    let target = json!({"ServiceNamespace": "ecs", "ResourceId": "service/main/orders", "ScalableDimension": "ecs:service:DesiredCount"});
    let with = |members: Value| {
        let mut input = target.clone();
        input
            .as_object_mut()
            .expect("an object")
            .extend(members.as_object().expect("an object").clone());
        input
    };
    world.tell(
        Service::Scaling,
        "RegisterScalableTarget",
        with(json!({"MinCapacity": 0, "MaxCapacity": 5})),
    );
    let metric = json!({
        "Namespace": "AWS/SQS", "MetricName": "ApproximateNumberOfMessagesVisible", "Statistic": "Average",
        "Dimensions": [{"Name": "QueueName", "Value": "orders"}],
    });
    let tracking = json!({"TargetValue": 10, "CustomizedMetricSpecification": metric});
    let policy = json!({
        "PolicyName": "backlog", "PolicyType": "TargetTrackingScaling", "TargetTrackingScalingPolicyConfiguration": tracking,
    });
    let put = world.tell(Service::Scaling, "PutScalingPolicy", with(policy));
    let alarms = world.tell(
        Service::CloudWatch,
        "DescribeAlarms",
        json!({"AlarmNamePrefix": "TargetTracking-"}),
    );
    assert_eq!(alarms["MetricAlarms"][0]["AlarmName"], put["Alarms"][0]["AlarmName"]);
    world.send(20);
    world.pass(1);
    let described = world.tell(
        Service::Ecs,
        "DescribeServices",
        json!({"cluster": "main", "services": ["orders"]}),
    );
    assert_eq!(described["services"][0]["desiredCount"], json!(1));
}
