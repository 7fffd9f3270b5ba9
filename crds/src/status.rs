//! What the operator reports of one connector: one record per transition on the status topic, the audit.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Phase;

/// A status record: what was seen and done in the pass that made it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Always `penstock.dev/v1`.
    pub api_version: String,
    /// Always `Connector`.
    pub kind: String,
    /// The connector's name.
    pub name: String,
    /// When the record was made.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub time: Timestamp,
    /// The incarnation that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// The offset of the latest document that was judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The offset of the document that is in force, which differs while the latest is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_generation: Option<i64>,
    /// The hash of the merged document in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// Whether tasks are wanted; missing once the connector is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub phase: Option<Phase>,
    /// The whole in one word.
    pub health: Health,
    /// The whole in parts.
    pub conditions: Vec<Condition>,
    /// What AWS holds for the connector.
    #[serde(default)]
    pub resources: Vec<ResourceStatus>,
    /// The tasks of the service.
    #[serde(default)]
    pub tasks: TaskCounts,
    /// Bounds, policies and what scaling did last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaling: Option<ScalingStatus>,
    /// The fields that differed from what is wanted, found by this pass: drift, or a change of the document.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
    /// What this pass did, in order; before it, what passes did whose own status could not be written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<ActionStatus>,
    /// Who asked for the document or verb that this pass acted on, as the record's writer said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// The cause of the last task failure, or why there is no room for a task, in one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<String>,
    /// Every fault of the refused document, when it was refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<String>,
}

/// The state of a connector in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Health {
    /// It runs as wanted, or sleeps with an empty queue.
    Healthy,
    /// It is not ready, and nothing is on its way.
    Unhealthy,
    /// Something needs a person though it works: a refused document, a rollout rolled back, failing tasks; or it is an orphan.
    Degraded,
    /// Paused on request, and no task is left.
    Paused,
    /// Stopped on request or withdrawn, and no task is left.
    Stopped,
    /// It was healthy, and tasks are being replaced or started, on request or not.
    Restarting,
    /// Nothing is known yet, or nothing could be accepted.
    Unassigned,
    /// Everything was removed.
    Deleted,
}

/// One aspect of the state, as Kubernetes words it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Which aspect.
    pub r#type: ConditionType,
    /// Whether it holds.
    pub status: Truth,
    /// Why, in one CamelCase word that programs may rely on.
    pub reason: String,
    /// Why, for people: what, where, and what to do.
    #[serde(default)]
    pub message: String,
    /// When `status` last changed.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub last_transition_time: Timestamp,
    /// The generation that it was judged for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// An aspect of the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum ConditionType {
    /// It does its job: tasks run and pass their health check, or it sleeps on an empty queue.
    Ready,
    /// AWS holds what the latest document asks.
    Synced,
    /// A rollout or a deletion is under way.
    Progressing,
    /// Something needs a person.
    Degraded,
    /// It is at its maximum and would scale out, or somebody else scales it too, or the scaling's inputs cannot be trusted.
    ScalingLimited,
    /// The connector and all that it made are gone.
    Deleted,
}

/// Whether a condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Truth {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// It could not be found out.
    Unknown,
}

/// One AWS resource of the connector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourceStatus {
    /// Such as `AWS::ECS::Service`.
    pub r#type: String,
    /// Its name.
    pub name: String,
    /// Its ARN, once known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arn: Option<String>,
}

/// The tasks of a service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskCounts {
    /// Wanted by the service.
    pub desired: i32,
    /// In RUNNING.
    pub running: i32,
    /// On their way to RUNNING.
    pub pending: i32,
    /// Since when `running` is what it is, as far as was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub running_since: Option<Timestamp>,
}

/// What scales the connector, and what it did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScalingStatus {
    /// The scalable target's lower bound as registered.
    pub min: i32,
    /// The scalable target's upper bound as registered.
    pub max: i32,
    /// The names of the policies.
    pub policies: Vec<String>,
    /// The names of policies that others put on the scalable target: they move the count too, and are left alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub foreign_policies: Vec<String>,
    /// Where the count of running tasks comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running_tasks_from: Option<String>,
    /// The last scaling activity in one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_activity: Option<String>,
    /// Why it did not scale, when Application Auto Scaling says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_scaled: Option<String>,
}

/// A field whose value in AWS is not the wanted one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// The resource, such as `service penstock-orders`.
    pub resource: String,
    /// The field's path in the resource; empty when the whole resource is missing or in excess.
    pub field: String,
    /// What AWS holds.
    pub observed: serde_json::Value,
    /// What is wanted.
    pub desired: serde_json::Value,
}

/// One call that changed something.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActionStatus {
    /// The AWS operation, such as `CreateService`.
    pub operation: String,
    /// What it acted on.
    pub resource: String,
    /// AWS's id of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The error, if the call failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
