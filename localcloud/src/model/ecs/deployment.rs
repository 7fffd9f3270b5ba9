//! What a rollout is made of: workloads, their revisions, and the deployments that bring them up.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::capacity::{CapacityItem, LaunchType, launch_type};
use super::placement::Placement;
use super::wire::{Empty, put, seconds, to_json};
use crate::model::Millis;

/// What a service's tasks are started with. Another workload means another deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Workload {
    /// The ARN of the task definition.
    pub(super) definition: String,
    /// What holds without a strategy; no update changes it.
    pub(super) launch_type: LaunchType,
    /// Empty means the launch type.
    pub(super) strategy: Vec<CapacityItem>,
    pub(super) platform_version: String,
    pub(super) network: NetworkConfiguration,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NetworkConfiguration {
    pub(super) awsvpc_configuration: AwsVpcConfiguration,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct AwsVpcConfiguration {
    pub(super) subnets: Vec<String>,
    #[serde(default)]
    pub(super) security_groups: Vec<String>,
    #[serde(default)]
    pub(super) assign_public_ip: AssignPublicIp,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum AssignPublicIp {
    Enabled,
    #[default]
    Disabled,
}

/// How a service rolls out, with the defaults of ECS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct DeploymentConfiguration {
    #[serde(default)]
    pub(super) deployment_circuit_breaker: CircuitBreaker,
    #[serde(default = "two_hundred")]
    pub(super) maximum_percent: i32,
    #[serde(default = "one_hundred")]
    pub(super) minimum_healthy_percent: i32,
    #[serde(default)]
    pub(super) strategy: Strategy,
    #[serde(default)]
    pub(super) lifecycle_hooks: Empty,
}

fn two_hundred() -> i32 {
    200
}

fn one_hundred() -> i32 {
    100
}

impl Default for DeploymentConfiguration {
    fn default() -> Self {
        Self {
            deployment_circuit_breaker: CircuitBreaker::default(),
            maximum_percent: two_hundred(),
            minimum_healthy_percent: one_hundred(),
            strategy: Strategy::Rolling,
            lifecycle_hooks: Empty,
        }
    }
}

/// Rolling is the one strategy implemented.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Strategy {
    #[default]
    Rolling,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct CircuitBreaker {
    pub(super) enable: bool,
    pub(super) rollback: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reset_on_healthy_task: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) threshold_configuration: Option<Threshold>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Threshold {
    #[serde(rename = "type")]
    pub(super) kind: ThresholdKind,
    pub(super) value: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum ThresholdKind {
    Count,
    BoundedPercent,
    UnboundedPercent,
}

impl CircuitBreaker {
    /// So many failed tasks fail a deployment: by default half the desired count, but 3 to 200.
    pub(super) fn threshold(&self, desired: i32) -> i32 {
        let percent_of = |percent: i32| (i64::from(percent) * i64::from(desired) + 99) / 100;
        let count = match &self.threshold_configuration {
            Some(Threshold {
                kind: ThresholdKind::Count,
                value,
            }) => i64::from(*value),
            Some(Threshold {
                kind: ThresholdKind::UnboundedPercent,
                value,
            }) => percent_of(*value),
            Some(Threshold {
                kind: ThresholdKind::BoundedPercent,
                value,
            }) => percent_of(*value).clamp(3, 200),
            None => percent_of(50).clamp(3, 200),
        };
        i32::try_from(count.max(1)).unwrap_or(i32::MAX)
    }
}

/// A workload under the ARN that deployments and records name it by.
#[derive(Debug, Clone)]
pub(super) struct Revision {
    pub(super) arn: String,
    pub(super) workload: Workload,
    pub(super) created: Millis,
    pub(super) container_name: String,
    pub(super) image: String,
}

/// A deployment as `DescribeServices` shows it. The first of a service is PRIMARY, the others are ACTIVE.
#[derive(Debug, Clone)]
pub(super) struct Deployment {
    pub(super) id: String,
    pub(super) revision: String,
    pub(super) workload: Workload,
    /// The service's placement as it was when this began: an update of it alone waits for the next deployment.
    pub(super) placement: Placement,
    pub(super) created: Millis,
    pub(super) updated: Millis,
    pub(super) rollout: Rollout,
    pub(super) reason: String,
    pub(super) failed_tasks: i32,
    /// Whether it ever reached its steady state: only then can a later one be rolled back to it.
    pub(super) has_completed: bool,
    /// The service deployment that is to end when this one does.
    pub(super) record: String,
}

/// How far a deployment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rollout {
    InProgress,
    Completed,
    Failed,
}

impl Rollout {
    fn as_str(self) -> &'static str {
        match self {
            Self::InProgress => "IN_PROGRESS",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
        }
    }
}

/// Counts of tasks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) desired: i32,
    pub(super) running: i32,
    pub(super) pending: i32,
}

impl Deployment {
    pub(super) fn json(&self, status: &str, counts: Counts) -> Value {
        let mut json = json!({
            "id": self.id,
            "status": status,
            "taskDefinition": self.workload.definition,
            "desiredCount": counts.desired,
            "pendingCount": counts.pending,
            "runningCount": counts.running,
            "failedTasks": self.failed_tasks,
            "createdAt": seconds(self.created),
            "updatedAt": seconds(self.updated),
            "networkConfiguration": to_json(&self.workload.network),
            "rolloutState": self.rollout.as_str(),
            "rolloutStateReason": self.reason,
        });
        self.workload.put_capacity(PLATFORM_VERSION, &mut json);
        json
    }
}

/// What `LATEST` stands for.
pub(super) const PLATFORM_VERSION: &str = "1.4.0";

impl Workload {
    /// What its tasks run on.
    pub(super) fn runs_on(&self) -> LaunchType {
        match self.strategy.as_slice() {
            [] => self.launch_type,
            strategy => launch_type(strategy),
        }
    }

    /// Sets `launchType` or `capacityProviderStrategy`, whichever holds, and the platform, which Fargate alone has.
    pub(super) fn put_capacity(&self, platform_version: &str, json: &mut Value) {
        if self.strategy.is_empty() {
            put(json, "launchType", Some(to_json(&self.launch_type)));
        } else {
            put(json, "capacityProviderStrategy", Some(to_json(&self.strategy)));
        }
        if self.runs_on() == LaunchType::Fargate {
            put(json, "platformVersion", Some(json!(platform_version)));
            put(json, "platformFamily", Some(json!("Linux")));
        }
    }
}

impl Revision {
    pub(super) fn json(&self, service_arn: &str, cluster_arn: &str) -> Value {
        let mut json = json!({
            "serviceRevisionArn": self.arn,
            "serviceArn": service_arn,
            "clusterArn": cluster_arn,
            "taskDefinition": self.workload.definition,
            "networkConfiguration": to_json(&self.workload.network),
            "containerImages": [{"containerName": self.container_name, "image": self.image}],
            "guardDutyEnabled": false,
            "createdAt": seconds(self.created),
        });
        self.workload.put_capacity(PLATFORM_VERSION, &mut json);
        json
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threshold_is_half_the_desired_count_between_3_and_200() {
        let breaker = CircuitBreaker {
            enable: true,
            ..CircuitBreaker::default()
        };
        let thresholds = [1, 6, 25, 400, 800].map(|desired| breaker.threshold(desired));
        assert_eq!(thresholds, [3, 3, 13, 200, 200]);
    }

    #[test]
    fn a_threshold_may_be_a_count_or_an_unbounded_percentage() {
        let of = |kind, value| CircuitBreaker {
            threshold_configuration: Some(Threshold { kind, value }),
            ..CircuitBreaker::default()
        };
        assert_eq!(of(ThresholdKind::Count, 1).threshold(50), 1);
        assert_eq!(of(ThresholdKind::UnboundedPercent, 10).threshold(10), 1);
        assert_eq!(of(ThresholdKind::BoundedPercent, 10).threshold(10), 3);
    }
}
