//! A container instance: an EC2 instance of a cluster, as far as tasks are placed on it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::names::arn;
use super::placement::ZONE;
use super::wire::{Tag, put, seconds, to_json, without_nulls};
use crate::model::{Millis, Scope};

/// The attribute that names an instance's architecture.
pub(super) const ARCHITECTURE: &str = "ecs.cpu-architecture";

/// The custom attribute that says which Auto Scaling group an instance is of. On AWS the group knows its instances; there is no
/// Auto Scaling here.
pub(super) const GROUP: &str = "localcloud.auto-scaling-group";

/// A container instance, ACTIVE, or still readable after its end.
#[derive(Debug, Clone)]
pub(super) struct Instance {
    pub(super) scope: Scope,
    pub(super) cluster: String,
    pub(super) id: String,
    /// Later instances have greater numbers.
    pub(super) sequence: u64,
    pub(super) ec2_id: String,
    /// When it was deregistered, in real time.
    pub(super) ended: Option<Millis>,
    pub(super) registered: Millis,
    pub(super) cpu_units: u32,
    pub(super) memory_mib: u32,
    pub(super) attributes: BTreeMap<String, Option<String>>,
    pub(super) version_info: VersionInfo,
    pub(super) tags: Vec<Tag>,
}

/// What the agent says of itself.
#[derive(Debug, Clone, Default, serde::Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct VersionInfo {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    agent_version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    agent_hash: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    docker_version: Option<String>,
}

/// What is on an instance, and what that leaves.
#[derive(Debug, Clone)]
pub(super) struct Load<'a> {
    pub(super) instance: &'a Instance,
    pub(super) cpu_left: u32,
    pub(super) memory_left: u32,
    /// The groups of the tasks on it, one for each task that is not over.
    pub(super) groups: Vec<String>,
    pub(super) running: usize,
    pub(super) pending: usize,
    /// The capacity provider of its Auto Scaling group, if the cluster has one.
    pub(super) provider: Option<&'a str>,
}

impl Instance {
    pub(super) fn arn(&self) -> String {
        arn(
            &self.scope,
            "container-instance",
            &format!("{}/{}", self.cluster, self.id),
        )
    }

    pub(super) fn is_active(&self) -> bool {
        self.ended.is_none()
    }

    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        // An attribute that has no value is there all the same.
        self.attributes
            .get(name)
            .map(|value| value.as_deref().unwrap_or_default())
    }

    pub(super) fn zone(&self) -> &str {
        self.attribute(ZONE).unwrap_or_default()
    }
}

impl super::query::Instance for Load<'_> {
    fn attribute(&self, name: &str) -> Option<&str> {
        self.instance.attribute(name)
    }

    fn ec2_id(&self) -> &str {
        &self.instance.ec2_id
    }

    fn task_groups(&self) -> &[String] {
        &self.groups
    }
}

impl Load<'_> {
    pub(super) fn json(&self, tags: bool) -> Value {
        let instance = self.instance;
        let attributes: Vec<_> = instance
            .attributes
            .iter()
            .map(|(name, value)| without_nulls(json!({"name": name, "value": value})))
            .collect();
        let mut json = without_nulls(json!({
            "containerInstanceArn": instance.arn(),
            "ec2InstanceId": instance.ec2_id,
            "capacityProviderName": self.provider,
            "version": 1,
            "versionInfo": to_json(&instance.version_info),
            "registeredResources": resources(instance.cpu_units, instance.memory_mib),
            "remainingResources": resources(self.cpu_left, self.memory_left),
            "status": if instance.is_active() { "ACTIVE" } else { "INACTIVE" },
            "agentConnected": instance.is_active(),
            "runningTasksCount": self.running,
            "pendingTasksCount": self.pending,
            "attributes": attributes,
            "registeredAt": seconds(instance.registered),
            "attachments": [],
        }));
        put(
            &mut json,
            "tags",
            Some(if tags { to_json(&instance.tags) } else { json!([]) }),
        );
        json
    }
}

fn resources(cpu: u32, memory: u32) -> Value {
    let resource = |name: &str, value: u32| json!({"name": name, "type": "INTEGER", "doubleValue": 0.0, "longValue": 0, "integerValue": value});
    json!([resource("CPU", cpu), resource("MEMORY", memory)])
}
