//! What the operations on services are told.

use serde::Deserialize;
use serde_json::Value;

use super::capacity::{CapacityItem, LaunchType};
use super::deployment::{DeploymentConfiguration, NetworkConfiguration};
use super::placement::{Constraint, Strategy};
use super::service::{PropagateTags, Rebalancing};
use super::wire::{Empty, Include, Tag};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct CreateService {
    pub(super) cluster: Option<String>,
    pub(super) service_name: String,
    pub(super) task_definition: Option<String>,
    pub(super) desired_count: Option<i32>,
    pub(super) client_token: Option<String>,
    pub(super) launch_type: Option<LaunchType>,
    #[serde(default)]
    pub(super) capacity_provider_strategy: Vec<CapacityItem>,
    pub(super) platform_version: Option<String>,
    #[serde(default)]
    pub(super) deployment_configuration: DeploymentConfiguration,
    pub(super) network_configuration: Option<NetworkConfiguration>,
    pub(super) health_check_grace_period_seconds: Option<i32>,
    #[serde(rename = "schedulingStrategy", default)]
    _scheduling_strategy: SchedulingStrategy,
    #[serde(rename = "deploymentController", default)]
    _deployment_controller: DeploymentController,
    #[serde(default)]
    pub(super) tags: Vec<Tag>,
    #[serde(rename = "enableECSManagedTags", default)]
    pub(super) managed_tags: bool,
    #[serde(default)]
    pub(super) propagate_tags: PropagateTags,
    #[serde(default)]
    pub(super) enable_execute_command: bool,
    pub(super) availability_zone_rebalancing: Option<Rebalancing>,
    #[serde(default)]
    pub(super) placement_constraints: Vec<Constraint>,
    #[serde(default)]
    pub(super) placement_strategy: Vec<Strategy>,
    #[serde(rename = "loadBalancers", default)]
    _load_balancers: Empty,
    #[serde(rename = "serviceRegistries", default)]
    _service_registries: Empty,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct UpdateService {
    pub(super) cluster: Option<String>,
    pub(super) service: String,
    pub(super) desired_count: Option<i32>,
    pub(super) task_definition: Option<String>,
    pub(super) capacity_provider_strategy: Option<Vec<CapacityItem>>,
    pub(super) deployment_configuration: Option<Value>,
    pub(super) availability_zone_rebalancing: Option<Rebalancing>,
    pub(super) network_configuration: Option<NetworkConfiguration>,
    pub(super) platform_version: Option<String>,
    #[serde(default)]
    pub(super) force_new_deployment: bool,
    pub(super) health_check_grace_period_seconds: Option<i32>,
    #[serde(rename = "deploymentController", default)]
    _deployment_controller: DeploymentController,
    pub(super) enable_execute_command: Option<bool>,
    #[serde(rename = "enableECSManagedTags")]
    pub(super) managed_tags: Option<bool>,
    pub(super) propagate_tags: Option<PropagateTags>,
    pub(super) placement_constraints: Option<Vec<Constraint>>,
    pub(super) placement_strategy: Option<Vec<Strategy>>,
    #[serde(rename = "loadBalancers", default)]
    _load_balancers: Empty,
    #[serde(rename = "serviceRegistries", default)]
    _service_registries: Empty,
}

#[derive(Deserialize, Default)]
pub(super) enum SchedulingStrategy {
    #[default]
    #[serde(rename = "REPLICA")]
    Replica,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct DeploymentController {
    #[serde(rename = "type", default)]
    _kind: ControllerKind,
}

#[derive(Deserialize, Default)]
pub(super) enum ControllerKind {
    #[default]
    #[serde(rename = "ECS")]
    Ecs,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct DeleteService {
    pub(super) cluster: Option<String>,
    pub(super) service: String,
    #[serde(default)]
    pub(super) force: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct DescribeServices {
    pub(super) cluster: Option<String>,
    pub(super) services: Vec<String>,
    #[serde(default)]
    pub(super) include: Vec<Include>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ListServices {
    pub(super) cluster: Option<String>,
    pub(super) next_token: Option<String>,
    pub(super) max_results: Option<i32>,
    pub(super) launch_type: Option<ListedLaunchType>,
    #[serde(rename = "schedulingStrategy", default)]
    _scheduling_strategy: SchedulingStrategy,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum ListedLaunchType {
    Fargate,
    Ec2,
    External,
}
