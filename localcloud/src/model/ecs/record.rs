//! Service deployments: the lasting records of rollouts.

use serde::Deserialize;
use serde_json::{Value, json};

use super::deployment::{Counts, DeploymentConfiguration};
use super::wire::{seconds, to_json, without_nulls};
use crate::model::Millis;

/// A service deployment: the lasting record of one rollout and, if it came to that, of its rollback.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) arn: String,
    pub(super) status: RecordStatus,
    pub(super) reason: Option<String>,
    pub(super) created: Millis,
    pub(super) started: Option<Millis>,
    pub(super) finished: Option<Millis>,
    pub(super) stopped: Option<Millis>,
    pub(super) updated: Millis,
    pub(super) sources: Vec<String>,
    pub(super) target: String,
    pub(super) configuration: DeploymentConfiguration,
    pub(super) failures: i32,
    pub(super) threshold: i32,
    pub(super) breaker_triggered: bool,
    pub(super) rollback: Option<Rollback>,
}

/// Where a service deployment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum RecordStatus {
    Pending,
    InProgress,
    Successful,
    Stopped,
    StopRequested,
    RollbackRequested,
    RollbackInProgress,
    RollbackSuccessful,
    RollbackFailed,
}

impl RecordStatus {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::InProgress => "IN_PROGRESS",
            Self::Successful => "SUCCESSFUL",
            Self::Stopped => "STOPPED",
            Self::StopRequested => "STOP_REQUESTED",
            Self::RollbackRequested => "ROLLBACK_REQUESTED",
            Self::RollbackInProgress => "ROLLBACK_IN_PROGRESS",
            Self::RollbackSuccessful => "ROLLBACK_SUCCESSFUL",
            Self::RollbackFailed => "ROLLBACK_FAILED",
        }
    }

    /// Whether the rollout is still going on.
    pub(super) fn is_open(self) -> bool {
        matches!(
            self,
            Self::Pending | Self::InProgress | Self::StopRequested | Self::RollbackRequested | Self::RollbackInProgress
        )
    }
}

/// Why and to what a service deployment was rolled back.
#[derive(Debug, Clone)]
pub(super) struct Rollback {
    pub(super) reason: String,
    pub(super) started: Millis,
    pub(super) revision: String,
}

impl Record {
    pub(super) fn brief(&self, service_arn: &str, cluster_arn: &str) -> Value {
        without_nulls(json!({
            "serviceDeploymentArn": self.arn,
            "serviceArn": service_arn,
            "clusterArn": cluster_arn,
            "createdAt": seconds(self.created),
            "startedAt": self.started.map(seconds),
            "finishedAt": self.finished.map(seconds),
            "targetServiceRevisionArn": self.target,
            "status": self.status.as_str(),
            "statusReason": self.reason,
        }))
    }

    /// The whole record; `count` tells how many tasks of a revision there are.
    pub(super) fn json(&self, service_arn: &str, cluster_arn: &str, count: impl Fn(&str) -> Counts) -> Value {
        let summary = |arn: &String| {
            let Counts {
                desired,
                running,
                pending,
            } = count(arn);
            json!({"arn": arn, "requestedTaskCount": desired, "runningTaskCount": running, "pendingTaskCount": pending})
        };
        let rollback = self.rollback.as_ref().map(|rollback| {
            json!({
                "reason": rollback.reason,
                "startedAt": seconds(rollback.started),
                "serviceRevisionArn": rollback.revision,
            })
        });
        let mut json = self.brief(service_arn, cluster_arn);
        let fields = without_nulls(json!({
            "stoppedAt": self.stopped.map(seconds),
            "updatedAt": seconds(self.updated),
            "sourceServiceRevisions": self.sources.iter().map(summary).collect::<Vec<_>>(),
            "targetServiceRevision": summary(&self.target),
            "deploymentConfiguration": to_json(&self.configuration),
            "deploymentCircuitBreaker": {
                "status": self.breaker_status(),
                "failureCount": self.failures,
                "threshold": self.threshold,
            },
            "rollback": rollback,
        }));
        if let (Some(json), Value::Object(fields)) = (json.as_object_mut(), fields) {
            json.remove("targetServiceRevisionArn");
            json.extend(fields);
        }
        json
    }

    fn breaker_status(&self) -> &'static str {
        match (
            self.configuration.deployment_circuit_breaker.enable,
            self.breaker_triggered,
            self.status.is_open(),
        ) {
            (false, _, _) => "DISABLED",
            (true, true, _) => "TRIGGERED",
            (true, false, true) => "MONITORING",
            (true, false, false) => "MONITORING_COMPLETE",
        }
    }
}
