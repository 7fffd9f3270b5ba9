//! The operations as a caller sees them, and policies over time.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{FULFILMENT_LIMIT, HIGH_DATAPOINTS, LOW_DATAPOINTS, Scaling, ServiceState};
use crate::model::cloudwatch::{CloudWatch, MINUTE, MetricKey, Samples};
use crate::model::{Answer, Call, Fault, Now, Scope};

const RESOURCE: &str = "service/main/orders";

fn scope() -> Scope {
    Scope {
        account: "123456789012".into(),
        region: "eu-west-1".into(),
    }
}

/// One service with its target, and the metric `App/Backlog` that its policies follow.
struct World {
    scaling: Scaling,
    cloudwatch: CloudWatch,
    service: ServiceState,
    minute: i64,
}

impl World {
    fn new(count: i32) -> Self {
        let service = ServiceState {
            desired: count,
            running: count,
            deploying: false,
        };
        Self {
            scaling: Scaling::default(),
            cloudwatch: CloudWatch::default(),
            service,
            minute: 100,
        }
    }

    fn registered(count: i32, minimum: i32, maximum: i32) -> Self {
        let mut world = Self::new(count);
        world.tell(
            "RegisterScalableTarget",
            json!({"MinCapacity": minimum, "MaxCapacity": maximum}),
        );
        world
    }

    fn with_policy(count: i32, minimum: i32, maximum: i32, changes: Value) -> Self {
        let mut world = Self::registered(count, minimum, maximum);
        world.tell("PutScalingPolicy", policy("backlog", changes));
        world
    }

    fn ask(&mut self, operation: &str, mut input: Value) -> Answer {
        let members = input.as_object_mut().expect("an object");
        members.entry("ServiceNamespace").or_insert(json!("ecs"));
        if !operation.starts_with("Describe") {
            members.entry("ResourceId").or_insert(json!(RESOURCE));
            members
                .entry("ScalableDimension")
                .or_insert(json!("ecs:service:DesiredCount"));
        }
        let now = Now {
            real: 0,
            fast: self.minute * MINUTE,
        };
        self.scaling
            .note_count(RESOURCE, Some((self.service.desired, self.service.running)));
        let answer = self.scaling.handle(&Call {
            scope: &scope(),
            operation,
            input: &input,
            now,
        });
        self.apply();
        answer
    }

    fn tell(&mut self, operation: &str, input: Value) -> Value {
        self.ask(operation, input).expect("the call is sound")
    }

    fn refusal(&mut self, operation: &str, input: Value) -> Fault {
        self.ask(operation, input).expect_err("the call is wrong")
    }

    fn apply(&mut self) {
        for (resource, desired) in self.scaling.take_count_changes() {
            assert_eq!(resource, RESOURCE);
            self.service.desired = desired;
        }
        let changes = self.scaling.take_alarm_changes();
        self.cloudwatch
            .apply(changes, &scope(), self.minute * MINUTE)
            .expect("the alarms are sound");
    }

    /// Lets minutes pass in which the metric has this value, and the service starts its tasks within the minute.
    fn pass(&mut self, minutes: usize, value: Option<f64>) {
        for _ in 0..minutes {
            self.pass_unfulfilled(value);
            self.service.running = self.service.desired;
        }
    }

    fn pass_unfulfilled(&mut self, value: Option<f64>) {
        let key = MetricKey::of("App", "Backlog", &[]);
        if let Some(value) = value {
            self.cloudwatch
                .report(&key, "None", self.minute * MINUTE, Samples::one(value));
        }
        self.minute += 1;
        let end = self.minute * MINUTE;
        self.cloudwatch.close_minute(&scope(), end);
        let services = BTreeMap::from([(RESOURCE.to_owned(), self.service)]);
        self.scaling.close_minute(&self.cloudwatch, &services, end);
        self.apply();
    }

    fn tell_cloudwatch(&mut self, operation: &str, input: &Value) {
        let call = Call {
            scope: &scope(),
            operation,
            input,
            now: Now { real: 0, fast: 0 },
        };
        self.cloudwatch.handle(&call).expect("the call is sound");
    }

    fn activities(&mut self, with_not_scaled: bool) -> Vec<Value> {
        let wanted = json!({"ResourceId": RESOURCE, "IncludeNotScaledActivities": with_not_scaled});
        self.tell("DescribeScalingActivities", wanted)["ScalingActivities"]
            .as_array()
            .expect("a list")
            .clone()
    }
}

/// A policy that keeps `App/Backlog` at 100.
fn policy(name: &str, changes: Value) -> Value {
    let metric = json!({"MetricName": "Backlog", "Namespace": "App", "Statistic": "Average"});
    let mut tracking = json!({"TargetValue": 100, "CustomizedMetricSpecification": metric, "ScaleOutCooldown": 60, "ScaleInCooldown": 120});
    let members = tracking.as_object_mut().expect("an object");
    for (name, value) in changes.as_object().expect("an object") {
        if value.is_null() {
            members.remove(name)
        } else {
            members.insert(name.clone(), value.clone())
        };
    }
    json!({"PolicyName": name, "PolicyType": "TargetTrackingScaling", "TargetTrackingScalingPolicyConfiguration": tracking})
}

/// `RegisterScalableTarget`: "Application Auto Scaling adjusts the capacity to place it within these bounds, even if you
/// don't include the MinCapacity or MaxCapacity request parameters."
#[test]
fn every_registration_clamps_the_live_count() {
    for (count, expected) in [(0, 2), (2, 2), (3, 3), (5, 5), (9, 5)] {
        let world = World::registered(count, 2, 5);
        assert_eq!(world.service.desired, expected, "{count} in 2..=5");
    }
    let mut world = World::registered(3, 2, 5);
    world.service.desired = 9;
    world.tell(
        "RegisterScalableTarget",
        json!({"SuspendedState": {"DynamicScalingInSuspended": true}}),
    );
    assert_eq!(world.service.desired, 5);
    let activity = &world.activities(false)[0];
    assert_eq!(activity["Cause"], json!("maximum capacity was set to 5"));
    assert_eq!(activity["Description"], json!("Setting desired count to 5."));
}

#[test]
fn what_a_registration_does_not_name_stays() {
    let mut world = World::registered(3, 2, 5);
    world.tell(
        "RegisterScalableTarget",
        json!({"SuspendedState": {"DynamicScalingInSuspended": true}}),
    );
    world.tell("RegisterScalableTarget", json!({"MaxCapacity": 7}));
    let target =
        world.tell("DescribeScalableTargets", json!({"ResourceIds": [RESOURCE]}))["ScalableTargets"][0].clone();
    assert_eq!((&target["MinCapacity"], &target["MaxCapacity"]), (&json!(2), &json!(7)));
    assert_eq!(
        target["SuspendedState"],
        json!({"DynamicScalingInSuspended": true, "DynamicScalingOutSuspended": false, "ScheduledScalingSuspended": false})
    );
    let role = "arn:aws:iam::123456789012:role/aws-service-role/ecs.application-autoscaling.amazonaws.com/\
                AWSServiceRoleForApplicationAutoScaling_ECSService";
    assert_eq!(target["RoleARN"], json!(role));
}

#[test]
fn a_registration_that_makes_no_sense_is_refused() {
    let cases = [
        (json!({"MinCapacity": 5, "MaxCapacity": 2}), "less than minimum"),
        (json!({"MinCapacity": -1, "MaxCapacity": 2}), "0 or greater"),
        (json!({"MinCapacity": 1}), "MaxCapacity is required"),
        (
            json!({"MinCapacity": 1, "MaxCapacity": 2, "RoleARN": "arn:aws:iam::123456789012:role/mine"}),
            "RoleARN",
        ),
        (
            json!({"MinCapacity": 1, "MaxCapacity": 2, "ServiceNamespace": "dynamodb"}),
            "ServiceNamespace",
        ),
        (
            json!({"MinCapacity": 1, "MaxCapacity": 2, "ResourceId": "service/orders"}),
            "ResourceId",
        ),
    ];
    for (input, part) in cases {
        let fault = World::new(1).refusal("RegisterScalableTarget", input);
        assert_eq!(fault.code, "ValidationException");
        assert!(fault.message.contains(part), "{}", fault.message);
    }
    let mut world = World::registered(1, 1, 2);
    assert!(
        world
            .refusal("RegisterScalableTarget", json!({"MinCapacity": 3}))
            .message
            .contains("less than minimum")
    );
    assert!(
        world
            .refusal("RegisterScalableTarget", json!({"Tags": {"a": "b"}}))
            .message
            .contains("TagResource")
    );
}

#[test]
fn a_service_that_is_not_there_cannot_be_registered() {
    let mut scaling = Scaling::default();
    scaling.note_count(RESOURCE, None);
    let input = json!({
        "ServiceNamespace": "ecs", "ResourceId": RESOURCE, "ScalableDimension": "ecs:service:DesiredCount",
        "MinCapacity": 1, "MaxCapacity": 2,
    });
    let now = Now { real: 0, fast: 0 };
    let call = Call {
        scope: &scope(),
        operation: "RegisterScalableTarget",
        input: &input,
        now,
    };
    let fault = scaling.handle(&call).expect_err("there is no service");
    assert_eq!(fault.message, "ECS service doesn't exist: service/main/orders");
}

#[test]
fn a_policy_makes_two_alarms_that_go_with_it() {
    let mut world = World::registered(1, 1, 5);
    let put = world.tell("PutScalingPolicy", policy("backlog", json!({})));
    let names: Vec<String> = (0..2)
        .map(|index| {
            put["Alarms"][index]["AlarmName"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        })
        .collect();
    assert!(
        names[0].starts_with("TargetTracking-service/main/orders-AlarmHigh-"),
        "{names:?}"
    );
    assert!(
        names[1].starts_with("TargetTracking-service/main/orders-AlarmLow-"),
        "{names:?}"
    );
    let settings: Vec<_> = names
        .iter()
        .map(|name| world.cloudwatch.alarm(name).expect("it was made").settings.clone())
        .collect();
    assert_eq!(
        (settings[0].threshold, settings[0].evaluation_periods),
        (Some(100.0), Some(HIGH_DATAPOINTS))
    );
    assert_eq!(
        (settings[1].threshold, settings[1].evaluation_periods),
        (Some(90.0), Some(LOW_DATAPOINTS))
    );
    assert_eq!(json!(settings[0].alarm_actions), json!([put["PolicyARN"]]));
    world.tell("DeleteScalingPolicy", json!({"PolicyName": "backlog"}));
    assert!(names.iter().all(|name| world.cloudwatch.alarm(name).is_none()));
}

#[test]
fn an_update_keeps_the_names_and_remakes_alarms_that_were_deleted() {
    let mut world = World::registered(1, 1, 5);
    let first = world.tell("PutScalingPolicy", policy("backlog", json!({})));
    let name = first["Alarms"][0]["AlarmName"].as_str().unwrap_or_default().to_owned();
    world.tell_cloudwatch("DeleteAlarms", &json!({"AlarmNames": [name]}));
    let second = world.tell("PutScalingPolicy", policy("backlog", json!({"TargetValue": 50})));
    assert_eq!(first, second);
    assert_eq!(
        world.cloudwatch.alarm(&name).and_then(|alarm| alarm.settings.threshold),
        Some(50.0)
    );
}

#[test]
fn deregistering_takes_policies_and_alarms_along() {
    let mut world = World::with_policy(1, 1, 5, json!({}));
    let alarms = world.tell("DescribeScalingPolicies", json!({}))["ScalingPolicies"][0]["Alarms"].clone();
    world.tell("DeregisterScalableTarget", json!({}));
    assert_eq!(
        world.tell("DescribeScalingPolicies", json!({}))["ScalingPolicies"],
        json!([])
    );
    assert!(
        world
            .cloudwatch
            .alarm(alarms[0]["AlarmName"].as_str().unwrap_or_default())
            .is_none()
    );
    assert_eq!(
        world.refusal("DeregisterScalableTarget", json!({})).code,
        "ObjectNotFoundException"
    );
    assert_eq!(
        world.refusal("PutScalingPolicy", policy("backlog", json!({}))).code,
        "ObjectNotFoundException"
    );
}

#[test]
fn a_wrong_policy_is_refused_by_the_member() {
    let flat = json!({"MetricName": "Backlog", "Namespace": "App"});
    let query = json!({"Id": "e1", "Expression": "m1 / m2"});
    let predefined = |name: &str| json!({"PredefinedMetricType": name});
    let cases = [
        (policy("p", json!({"TargetValue": 0})), "TargetValue"),
        (policy("p", json!({"ScaleInCooldown": -1})), "ScaleInCooldown"),
        (
            policy("p", json!({"CustomizedMetricSpecification": null})),
            "exactly one",
        ),
        (policy("p", json!({"CustomizedMetricSpecification": flat})), "Statistic"),
        (
            policy("p", json!({"CustomizedMetricSpecification": {"Metrics": [query]}})),
            "`m1`",
        ),
        (
            policy(
                "p",
                json!({"CustomizedMetricSpecification": {"Metrics": [query], "Namespace": "App"}}),
            ),
            "excludes",
        ),
        (
            policy(
                "p",
                json!({"PredefinedMetricSpecification": predefined("ECSServiceAverageCPUUtilization")}),
            ),
            "exactly one",
        ),
        (
            policy(
                "p",
                json!({"CustomizedMetricSpecification": null, "PredefinedMetricSpecification": predefined("ALBRequestCountPerTarget")}),
            ),
            "ALBRequestCountPerTarget",
        ),
        (
            json!({"PolicyName": "p", "PolicyType": "StepScaling", "StepScalingPolicyConfiguration": {}}),
            "StepScalingPolicyConfiguration",
        ),
        (
            json!({"PolicyName": "p", "PolicyType": "TargetTrackingScaling"}),
            "TargetTrackingScalingPolicyConfiguration",
        ),
        (json!({"PolicyName": "p"}), "PolicyType"),
    ];
    for (input, part) in cases {
        let fault = World::registered(1, 1, 5).refusal("PutScalingPolicy", input);
        assert!(fault.message.contains(part), "{part}: {}", fault.message);
    }
    let mut world = World::with_policy(1, 1, 5, json!({}));
    let twice = world.refusal("PutScalingPolicy", policy("other", json!({"TargetValue": 7})));
    assert!(
        twice.message.contains("given metric specification"),
        "{}",
        twice.message
    );
    let large = policy(
        "p",
        json!({"CustomizedMetricSpecification": {"Metrics": [{"Id": "e1", "Label": "x".repeat(51_200), "Expression": "1"}]}}),
    );
    assert!(world.refusal("PutScalingPolicy", large).message.contains("50 KB"));
}

#[test]
fn policies_and_targets_come_in_pages() {
    let mut world = World::registered(1, 1, 5);
    for number in 0..11 {
        let metric = json!({"MetricName": format!("M{number}"), "Namespace": "App", "Statistic": "Average"});
        world.tell(
            "PutScalingPolicy",
            policy(
                &format!("p{number:02}"),
                json!({"CustomizedMetricSpecification": metric}),
            ),
        );
    }
    let first = world.tell("DescribeScalingPolicies", json!({}));
    let second = world.tell("DescribeScalingPolicies", json!({"NextToken": first["NextToken"]}));
    assert_eq!(first["ScalingPolicies"].as_array().map(Vec::len), Some(10));
    assert_eq!(second["ScalingPolicies"][0]["PolicyName"], json!("p10"));
    let named = world.tell("DescribeScalingPolicies", json!({"PolicyNames": ["p03"]}));
    assert_eq!(named["ScalingPolicies"].as_array().map(Vec::len), Some(1));
    assert_eq!(
        world.refusal("DescribeScalingPolicies", json!({"NextToken": "x"})).code,
        "InvalidNextTokenException"
    );
    let alone = json!({"ScalableDimension": "ecs:service:DesiredCount"});
    assert!(
        world
            .refusal("DescribeScalingPolicies", alone)
            .message
            .contains("resource ID")
    );
}

#[test]
fn three_minutes_above_the_target_scale_out_in_proportion() {
    let mut world = World::with_policy(2, 1, 10, json!({}));
    world.pass(2, Some(250.0));
    assert_eq!(world.service.desired, 2);
    world.pass(1, Some(250.0));
    assert_eq!(world.service.desired, 5);
    let activity = &world.activities(false)[0];
    assert_eq!(activity["Description"], json!("Setting desired count to 5."));
    assert_eq!(activity["StatusCode"], json!("InProgress"));
    let cause = activity["Cause"].as_str().unwrap_or_default();
    assert!(
        cause.starts_with("monitor alarm TargetTracking-service/main/orders-AlarmHigh-"),
        "{cause}"
    );
    assert!(cause.ends_with(" in state ALARM triggered policy backlog"), "{cause}");
    world.pass(1, Some(100.0));
    let activity = &world.activities(false)[0];
    assert_eq!(activity["StatusCode"], json!("Successful"));
    assert_eq!(
        activity["StatusMessage"],
        json!("Successfully set desired count to 5. Change successfully fulfilled by ecs.")
    );
}

#[test]
fn fifteen_minutes_below_nine_tenths_scale_in_and_the_cooldown_holds_the_next() {
    let mut world = World::with_policy(8, 1, 10, json!({"ScaleInCooldown": 300}));
    world.pass(14, Some(50.0));
    assert_eq!(world.service.desired, 8);
    world.pass(1, Some(50.0));
    assert_eq!(world.service.desired, 4);
    // The activity ends at the next minute, and five more have to pass.
    world.pass(5, Some(50.0));
    assert_eq!(world.service.desired, 4);
    world.pass(1, Some(50.0));
    assert_eq!(world.service.desired, 2);
}

#[test]
fn values_between_nine_tenths_and_the_target_change_nothing() {
    let mut world = World::with_policy(4, 1, 10, json!({}));
    world.pass(40, Some(95.0));
    assert_eq!((world.service.desired, world.activities(true).len()), (4, 0));
}

#[test]
fn a_metric_that_ends_holds_the_count() {
    let mut world = World::with_policy(4, 1, 10, json!({}));
    world.pass(14, Some(10.0));
    world.pass(40, None);
    assert_eq!(world.service.desired, 4);
}

#[test]
fn disable_scale_in_only_ever_adds() {
    let mut world = World::with_policy(4, 1, 10, json!({"DisableScaleIn": true}));
    world.pass(40, Some(10.0));
    assert_eq!(world.service.desired, 4);
    world.pass(3, Some(200.0));
    assert_eq!(world.service.desired, 8);
}

#[test]
fn tasks_that_do_not_start_hold_back_all_but_a_larger_scale_out() {
    let mut world = World::with_policy(2, 1, 20, json!({}));
    world.pass(2, Some(200.0));
    for _ in 0..10 {
        world.pass_unfulfilled(Some(200.0));
    }
    assert_eq!((world.service.desired, world.service.running), (4, 2));
    world.pass_unfulfilled(Some(400.0));
    assert_eq!(world.service.desired, 8);
    assert_eq!(world.activities(false)[1]["StatusCode"], json!("Overridden"));
    for _ in 0..=FULFILMENT_LIMIT / MINUTE {
        world.pass_unfulfilled(Some(100.0));
    }
    assert_eq!(world.activities(false)[0]["StatusCode"], json!("Unfulfilled"));
}

/// "Including not scaled activities" in "Scaling activities for Application Auto Scaling".
#[test]
fn a_maximum_that_holds_is_reported_once_per_standing_alarm() {
    let mut world = World::with_policy(3, 1, 3, json!({}));
    world.pass(10, Some(500.0));
    assert_eq!(world.activities(false).len(), 0);
    let activities = world.activities(true);
    assert_eq!(activities.len(), 1);
    assert_eq!(
        activities[0]["NotScaledReasons"],
        json!([{"Code": "AlreadyAtMaxCapacity", "MaxCapacity": 3}])
    );
    assert_eq!(activities[0]["StatusCode"], json!("Failed"));
    assert_eq!(
        activities[0]["Description"],
        json!("Attempting to scale due to alarm triggered")
    );
    world.pass(3, Some(95.0));
    world.pass(3, Some(500.0));
    assert_eq!(world.activities(true).len(), 2);
}

/// "Suspending and resuming scaling": policies and alarms stay, and alarms in breach are acted on after resuming.
#[test]
fn suspended_scaling_waits_and_resumes_with_the_standing_alarm() {
    let mut world = World::with_policy(2, 1, 10, json!({}));
    world.tell(
        "RegisterScalableTarget",
        json!({"SuspendedState": {"DynamicScalingOutSuspended": true}}),
    );
    world.pass(10, Some(200.0));
    assert_eq!(world.service.desired, 2);
    world.tell(
        "RegisterScalableTarget",
        json!({"SuspendedState": {"DynamicScalingOutSuspended": false}}),
    );
    world.pass(1, Some(200.0));
    assert_eq!(world.service.desired, 4);
}

/// "Service auto scaling": at capacity 0 one data point is waited for, and the first step is the least possible.
#[test]
fn from_zero_one_data_point_suffices_and_the_step_is_small() {
    let mut world = World::with_policy(0, 0, 10, json!({}));
    world.pass(5, None);
    assert_eq!(world.service.desired, 0);
    world.pass(1, Some(5_000.0));
    assert_eq!(world.service.desired, 1);
}

#[test]
fn scale_in_waits_while_a_deployment_is_in_progress() {
    let mut world = World::with_policy(4, 1, 10, json!({}));
    world.service.deploying = true;
    world.pass(30, Some(10.0));
    assert_eq!(world.service.desired, 4);
    world.service.deploying = false;
    world.pass(1, Some(10.0));
    assert_eq!(world.service.desired, 1);
}

#[test]
fn a_deleted_alarm_disarms_its_policy() {
    let mut world = World::with_policy(2, 1, 10, json!({}));
    let policies = world.tell("DescribeScalingPolicies", json!({}));
    let name = policies["ScalingPolicies"][0]["Alarms"][0]["AlarmName"].clone();
    world.tell_cloudwatch("DeleteAlarms", &json!({"AlarmNames": [name]}));
    world.pass(10, Some(500.0));
    assert_eq!(world.service.desired, 2);
}

#[test]
fn tags_of_a_target_are_kept_by_its_arn() {
    let mut world = World::new(1);
    let input = json!({"MinCapacity": 1, "MaxCapacity": 2, "Tags": {"a": "1"}});
    let arn = world.tell("RegisterScalableTarget", input)["ScalableTargetARN"].clone();
    let mut ask = |operation: &str, input: Value| {
        let now = Now { real: 0, fast: 0 };
        world.scaling.handle(&Call {
            scope: &scope(),
            operation,
            input: &input,
            now,
        })
    };
    ask("TagResource", json!({"ResourceARN": arn, "Tags": {"b": "2"}})).expect("the target is there");
    ask("UntagResource", json!({"ResourceARN": arn, "TagKeys": ["a"]})).expect("the target is there");
    assert_eq!(
        ask("ListTagsForResource", json!({"ResourceARN": arn})),
        Ok(json!({"Tags": {"b": "2"}}))
    );
    let fault = ask("ListTagsForResource", json!({"ResourceARN": "arn:aws:x"})).expect_err("no such target");
    assert_eq!(fault.code, "ResourceNotFoundException");
}

/// Walks through a long random load: the count stays in the range, tasks are never taken within the cooldown of the last
/// scale-in, and never added within that of a scale-out unless the load asks for more than before it.
#[test]
fn no_load_leaves_the_range_or_breaks_a_cooldown() {
    let mut moves = (0, 0);
    for seed in 1..=20_u64 {
        let mut world = World::with_policy(3, 2, 9, json!({"ScaleOutCooldown": 300, "ScaleInCooldown": 600}));
        let mut state = seed;
        let (mut last_in, mut last_out) = (None::<i64>, None::<(i64, i32)>);
        for _ in 0..600 {
            // A step of a linear congruential generator every half hour gives loads that last long enough to scale in.
            if world.minute % 30 == 0 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
            }
            let load = [0.0, 20.0, 50.0, 95.0, 150.0, 400.0][(state >> 33) as usize % 6];
            let (before, running) = (world.service.desired, world.service.running);
            world.pass(1, Some(load));
            let after = world.service.desired;
            assert!((2..=9).contains(&after), "seed {seed}: {after}");
            if after < before {
                let waited = last_in.is_none_or(|at| world.minute - at >= 11);
                assert!(
                    waited,
                    "seed {seed}: scaled in at {last_in:?} and again at {}",
                    world.minute
                );
                moves.0 += 1;
                last_in = Some(world.minute);
                last_out = None;
            } else if after > before {
                let base = last_out
                    .filter(|(at, _)| world.minute - at < 6)
                    .map_or(running, |(_, base)| base);
                assert!(
                    f64::from(base) * load / 100.0 > f64::from(before),
                    "seed {seed}: {before} to {after} at {load}"
                );
                moves.1 += 1;
                last_out = Some((world.minute, base));
                last_in = None;
            }
        }
    }
    assert!(
        moves.0 > 50 && moves.1 > 50,
        "the loads hardly moved anything: {moves:?}"
    );
}

#[test]
fn an_alarm_whose_actions_are_off_or_others_scales_nothing() {
    let others = "arn:aws:sns:eu-west-1:123456789012:hot";
    for (count, actions) in [(1, None), (0, None), (1, Some(others))] {
        let mut world = World::with_policy(count, 0, 10, json!({}));
        let policies = world.tell("DescribeScalingPolicies", json!({}))["ScalingPolicies"].clone();
        let name = policies[0]["Alarms"][0]["AlarmName"].as_str().unwrap_or_default();
        match actions {
            None => world.tell_cloudwatch("DisableAlarmActions", &json!({"AlarmNames": [name]})),
            Some(others) => {
                let alarm = world.cloudwatch.alarm(name).expect("it was made");
                let mut settings = serde_json::to_value(&alarm.settings).expect("settings are JSON");
                settings["AlarmActions"] = json!([others]);
                world.tell_cloudwatch("PutMetricAlarm", &settings);
            }
        }
        world.pass(5, Some(500.0));
        assert_eq!(world.service.desired, count, "{actions:?}");
    }
}
