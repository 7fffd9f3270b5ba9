//! Target tracking policies: what keeps a metric at a value, and the two alarms that watch it.

use serde::Deserialize;
use serde_json::{Value, json};

use super::tracking::Tracking;
use super::{
    DIMENSION, HIGH_DATAPOINTS, LOW_DATAPOINTS, LOW_SHARE, NAMESPACE, Scaling, VALIDATION, check_filter,
    check_resource, missing_target, refused,
};
use crate::model::cloudwatch::wire::{members, page, read, seconds};
use crate::model::cloudwatch::{AlarmChange, Comparison, Settings, arn};
use crate::model::{Answer, Call, Fault, Millis, Scope};

/// "The maximum request size is 50 KB" with metric math.
const PAYLOAD_LIMIT: usize = 50 * 1_024;
/// Scaling policies per scalable target.
const POLICIES_LIMIT: usize = 50;
/// The largest page of policies, and the size of one that does not say.
const PAGE: usize = 10;

/// One stored policy.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Policy {
    /// Its ARN.
    pub arn: String,
    /// What was put.
    pub tracking: Tracking,
    /// When it was first put.
    pub created: Millis,
    /// The names of the alarm above the target and the one below it.
    pub alarms: [String; 2],
}

impl Policy {
    /// Returns the names of its alarms.
    pub(super) fn alarm_names(&self) -> impl Iterator<Item = &String> {
        self.alarms.iter()
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Put {
    policy_name: String,
    service_namespace: String,
    resource_id: String,
    scalable_dimension: String,
    policy_type: Option<String>,
    target_tracking_scaling_policy_configuration: Option<Tracking>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Delete {
    policy_name: String,
    service_namespace: String,
    resource_id: String,
    scalable_dimension: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Describe {
    policy_names: Option<Vec<String>>,
    service_namespace: String,
    resource_id: Option<String>,
    scalable_dimension: Option<String>,
    max_results: Option<usize>,
    next_token: Option<String>,
}

impl Scaling {
    /// Answers `PutScalingPolicy`: creates or overwrites a policy and makes its two alarms, also if somebody deleted them.
    pub(super) fn put_policy(&mut self, call: &Call<'_>) -> Answer {
        if call.input.to_string().len() > PAYLOAD_LIMIT {
            return Err(refused("the request is larger than 50 KB"));
        }
        let wanted: Put = read(call.input, VALIDATION)?;
        check_resource(
            &wanted.service_namespace,
            &wanted.resource_id,
            &wanted.scalable_dimension,
        )?;
        let tracking = self.check_put(&wanted)?;
        let policy = self.policy(&wanted, tracking, call);
        let settings = policy.alarms(&wanted.resource_id);
        for settings in &settings {
            settings.check()?;
        }
        let answer = json!({"PolicyARN": policy.arn, "Alarms": policy.describe_alarms(call.scope)});
        if let Some(target) = self.targets.get_mut(&wanted.resource_id) {
            target.policies.insert(wanted.policy_name, policy);
        }
        self.alarm_changes.extend(
            settings
                .into_iter()
                .map(|settings| AlarmChange::Put(Box::new(settings))),
        );
        Ok(answer)
    }

    fn check_put(&self, wanted: &Put) -> Result<Tracking, Fault> {
        let target = self
            .targets
            .get(&wanted.resource_id)
            .ok_or_else(|| missing_target(&wanted.resource_id))?;
        let known = target.policies.get(&wanted.policy_name);
        match wanted.policy_type.as_deref() {
            Some("TargetTrackingScaling") => {}
            None if known.is_some() => {}
            None => return Err(refused("PolicyType is required when a policy is created")),
            Some(other) => {
                return Err(refused(format!(
                    "PolicyType: {other} is not modelled here, only TargetTrackingScaling is"
                )));
            }
        }
        let needed = || refused("TargetTrackingScalingPolicyConfiguration is required");
        let tracking = wanted
            .target_tracking_scaling_policy_configuration
            .clone()
            .ok_or_else(needed)?;
        tracking.check()?;
        let is_same_metric = |other: &Tracking| {
            other.predefined_metric_specification == tracking.predefined_metric_specification
                && other.customized_metric_specification == tracking.customized_metric_specification
        };
        let mut others = target.policies.iter().filter(|(name, _)| **name != wanted.policy_name);
        if others.any(|(_, policy)| is_same_metric(&policy.tracking)) {
            return Err(refused(
                "Only one TargetTrackingScaling policy for a given metric specification is allowed.",
            ));
        }
        if known.is_none() && target.policies.len() >= POLICIES_LIMIT {
            let message = format!("a scalable target can have at most {POLICIES_LIMIT} scaling policies");
            return Err(Fault::client("LimitExceededException", message));
        }
        Ok(tracking)
    }

    /// Returns the policy as it will be stored; one that is known keeps its ARN and the names of its alarms.
    fn policy(&mut self, wanted: &Put, tracking: Tracking, call: &Call<'_>) -> Policy {
        let known = self
            .targets
            .get(&wanted.resource_id)
            .and_then(|target| target.policies.get(&wanted.policy_name));
        if let Some(known) = known {
            return Policy {
                tracking,
                ..known.clone()
            };
        }
        let id = self.ids.uuid();
        let (resource, name) = (&wanted.resource_id, &wanted.policy_name);
        let path = format!("scalingPolicy:{id}:resource/{NAMESPACE}/{resource}:policyName/{name}");
        let mut alarm = |side: &str| format!("TargetTracking-{resource}-Alarm{side}-{}", self.ids.uuid());
        let alarms = [alarm("High"), alarm("Low")];
        Policy {
            arn: call.scope.arn("autoscaling", &path),
            tracking,
            created: call.now.fast,
            alarms,
        }
    }

    /// Answers `DeleteScalingPolicy`, which takes the alarms along.
    pub(super) fn delete_policy(&mut self, input: &Value) -> Answer {
        let wanted: Delete = read(input, VALIDATION)?;
        check_resource(
            &wanted.service_namespace,
            &wanted.resource_id,
            &wanted.scalable_dimension,
        )?;
        let target = self.targets.get_mut(&wanted.resource_id);
        let policy = target.and_then(|target| target.policies.remove(&wanted.policy_name));
        let missing = || {
            let message = format!(
                "No scaling policy found for service namespace: {NAMESPACE}, resource ID: {}, scalable dimension: {DIMENSION}: {}",
                wanted.resource_id, wanted.policy_name
            );
            Fault::client("ObjectNotFoundException", message)
        };
        let policy = policy.ok_or_else(missing)?;
        self.alarm_changes
            .extend(policy.alarms.into_iter().map(AlarmChange::Delete));
        Ok(json!({}))
    }

    /// Answers `DescribeScalingPolicies`.
    pub(super) fn describe_policies(&self, call: &Call<'_>) -> Answer {
        let wanted: Describe = read(call.input, VALIDATION)?;
        check_filter(
            &wanted.service_namespace,
            wanted.resource_id.as_deref(),
            wanted.scalable_dimension.as_deref(),
        )?;
        let covers = |resource: &String, name: &String| {
            wanted.resource_id.as_ref().is_none_or(|id| id == resource)
                && wanted
                    .policy_names
                    .as_ref()
                    .is_none_or(|names| names.is_empty() || names.contains(name))
        };
        let all = self
            .targets
            .iter()
            .flat_map(|(id, target)| target.policies.iter().map(move |(name, policy)| (id, name, policy)));
        let found = all.filter(|(resource, name, _)| covers(resource, name));
        let mut described: Vec<(String, Value)> = found
            .map(|(resource, name, policy)| {
                (
                    format!("{resource}\n{name}"),
                    policy.describe(resource, name, call.scope),
                )
            })
            .collect();
        described.sort_by(|(left, _), (right, _)| left.cmp(right));
        let limit = wanted.max_results.unwrap_or(PAGE).min(PAGE);
        let (policies, next) = page(
            described,
            wanted.next_token.as_deref(),
            limit,
            "InvalidNextTokenException",
        )?;
        let mut answer = json!({"ScalingPolicies": policies});
        if let (Some(next), Some(members)) = (next, answer.as_object_mut()) {
            members.insert("NextToken".to_owned(), json!(next));
        }
        Ok(answer)
    }
}

impl Policy {
    /// Returns the alarm above the target and the one below it.
    fn alarms(&self, resource_id: &str) -> [Settings; 2] {
        let [high, low] = &self.alarms;
        let target = self.tracking.target_value;
        let sides = [
            (high, Comparison::GreaterThanThreshold, target, HIGH_DATAPOINTS),
            (low, Comparison::LessThanThreshold, target * LOW_SHARE, LOW_DATAPOINTS),
        ];
        sides.map(|(name, comparison, threshold, datapoints)| {
            let mut settings = self.alarm(name, comparison, threshold, datapoints);
            self.tracking.watch(&mut settings, resource_id);
            settings
        })
    }

    fn alarm(&self, name: &str, comparison: Comparison, threshold: f64, datapoints: usize) -> Settings {
        Settings {
            alarm_name: name.to_owned(),
            alarm_description: Some(format!(
                "DO NOT EDIT OR DELETE. For TargetTrackingScaling policy {}.",
                self.arn
            )),
            actions_enabled: true,
            ok_actions: Vec::new(),
            alarm_actions: vec![self.arn.clone()],
            insufficient_data_actions: Vec::new(),
            metric_name: None,
            namespace: None,
            statistic: None,
            dimensions: None,
            period: None,
            unit: None,
            evaluation_periods: Some(datapoints),
            datapoints_to_alarm: None,
            threshold: Some(threshold),
            comparison_operator: Some(comparison),
            treat_missing_data: None,
            metrics: None,
            tags: None,
        }
    }

    fn describe_alarms(&self, scope: &Scope) -> Vec<Value> {
        self.alarms
            .iter()
            .map(|name| json!({"AlarmName": name, "AlarmARN": arn(scope, name)}))
            .collect()
    }

    fn describe(&self, resource_id: &str, name: &str, scope: &Scope) -> Value {
        json!({
            "PolicyARN": self.arn,
            "PolicyName": name,
            "ServiceNamespace": NAMESPACE,
            "ResourceId": resource_id,
            "ScalableDimension": DIMENSION,
            "PolicyType": "TargetTrackingScaling",
            "TargetTrackingScalingPolicyConfiguration": members(&self.tracking),
            "Alarms": self.describe_alarms(scope),
            "CreationTime": seconds(self.created),
        })
    }
}
