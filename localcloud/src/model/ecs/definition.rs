//! A task definition: what the user wrote of one revision, and where it stands.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::capacity::LaunchType;
use super::container::ContainerDefinition;
use super::sizes::TaskSize;
use super::wire::{Empty, Tag, seconds, to_json, without_nulls};
use crate::model::{Millis, Scope};

/// A family: its revisions by number. Numbers are never given twice, not even after a deletion.
#[derive(Debug, Default)]
pub(super) struct Family {
    pub(super) last_revision: u32,
    pub(super) revisions: BTreeMap<u32, TaskDefinition>,
}

/// One revision.
#[derive(Debug, Clone)]
pub(super) struct TaskDefinition {
    pub(super) arn: String,
    pub(super) family: String,
    pub(super) revision: u32,
    pub(super) status: DefinitionStatus,
    pub(super) size: TaskSize,
    /// What its tasks can run on, asked for or not.
    pub(super) compatibilities: Vec<LaunchType>,
    pub(super) body: Body,
    pub(super) tags: Vec<Tag>,
    pub(super) scope: Scope,
    pub(super) registered: Millis,
    pub(super) deregistered: Option<Millis>,
    pub(super) delete_requested: Option<Millis>,
}

/// Where a revision stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum DefinitionStatus {
    Active,
    Inactive,
    DeleteInProgress,
}

impl DefinitionStatus {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Inactive => "INACTIVE",
            Self::DeleteInProgress => "DELETE_IN_PROGRESS",
        }
    }
}

/// What the user wrote.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Body {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) task_role_arn: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) execution_role_arn: Option<String>,
    #[serde(default)]
    pub(super) network_mode: Option<String>,
    pub(super) container_definitions: Vec<ContainerDefinition>,
    #[serde(default)]
    pub(super) requires_compatibilities: Vec<LaunchType>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) runtime_platform: Option<RuntimePlatform>,
    #[serde(default)]
    pub(super) volumes: Empty,
    #[serde(default)]
    pub(super) placement_constraints: Empty,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RuntimePlatform {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cpu_architecture: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) operating_system_family: Option<String>,
}

impl TaskDefinition {
    /// The architecture that its tasks need, as instances name theirs.
    pub(super) fn architecture(&self) -> Option<String> {
        let platform = self.body.runtime_platform.as_ref()?;
        platform.cpu_architecture.as_ref().map(|name| name.to_lowercase())
    }

    pub(super) fn json(&self) -> Value {
        let mut json = to_json(&self.body);
        let fields = json!({
            "taskDefinitionArn": self.arn,
            "family": self.family,
            "revision": self.revision,
            "status": self.status.as_str(),
            "cpu": self.size.cpu_units.to_string(),
            "memory": self.size.memory_mib.to_string(),
            "compatibilities": to_json(&self.compatibilities),
            "requiresAttributes": [],
            "registeredAt": seconds(self.registered),
            "registeredBy": self.scope.global_arn("iam", "root"),
            "deregisteredAt": self.deregistered.map(seconds),
            "deleteRequestedAt": self.delete_requested.map(seconds),
        });
        if let (Some(json), Value::Object(fields)) = (json.as_object_mut(), without_nulls(fields)) {
            json.extend(fields);
        }
        json
    }
}
