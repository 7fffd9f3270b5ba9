//! Amazon ECS on Fargate and on container instances: clusters and their capacity, task definitions, services with their
//! deployments, and tasks.
//!
//! The scheduler ([`Ecs::advance`]) decides which tasks there shall be; an agent takes its orders from [`Ecs::agent_work`]
//! and tells by [`Ecs::report`] what became of them. Running counts come from those reports alone.
//!
//! Time: what AWS stamps or waits for runs on the fast clock. Task protection, health check grace and the question whether
//! a process died young run on the real clock, since they are about real processes; so does how long an end can be read.

use std::collections::BTreeMap;

use super::ids::Ids;
use super::{Answer, Call, Now};

mod agent;
mod capacity;
mod clusters;
mod container;
mod definition;
mod definitions;
mod deployment;
mod deployments;
mod instance;
mod instances;
mod metrics;
mod names;
mod paging;
mod place;
mod placement;
mod plan;
mod providers;
mod query;
mod record;
mod rollout;
mod scheduler;
mod service;
mod service_checks;
mod service_input;
mod services;
mod sizes;
mod start;
mod tags;
mod task;
mod tasks;
#[cfg(test)]
mod tests;
mod wire;
mod workloads;

pub use agent::{AgentCommand, StartTask, TaskReport};
pub use container::{HealthCheck, SecretReference};
pub use metrics::ServiceMetrics;
use service::Status;
pub use sizes::TaskSize;

/// What one account holds of ECS in one region.
#[derive(Debug, Default)]
pub struct Ecs {
    /// Where identifiers come from.
    pub ids: Ids,
    clusters: BTreeMap<String, clusters::Cluster>,
    /// By name, without the two of Fargate.
    providers: BTreeMap<String, providers::Provider>,
    /// Container instances by ARN.
    instances: BTreeMap<String, instance::Instance>,
    registered_instances: u64,
    families: BTreeMap<String, definition::Family>,
    /// By cluster and name.
    services: BTreeMap<(String, String), service::Service>,
    /// By ARN.
    tasks: BTreeMap<String, task::Task>,
    started_tasks: u64,
}

impl Ecs {
    /// Answers one call.
    pub fn handle(&mut self, call: &Call<'_>) -> Answer {
        match call.operation {
            "CreateCluster" => self.create_cluster(call),
            "DescribeClusters" => self.describe_clusters(call),
            "DeleteCluster" => self.delete_cluster(call),
            "UpdateClusterSettings" => self.update_cluster_settings(call),
            "PutClusterCapacityProviders" => self.put_cluster_capacity_providers(call),
            "CreateCapacityProvider" => self.create_capacity_provider(call),
            "DescribeCapacityProviders" => self.describe_capacity_providers(call),
            "DeleteCapacityProvider" => self.delete_capacity_provider(call),
            "RegisterContainerInstance" => self.register_container_instance(call),
            "DeregisterContainerInstance" => self.deregister_container_instance(call),
            "DescribeContainerInstances" => self.describe_container_instances(call),
            "ListContainerInstances" => self.list_container_instances(call),
            "RegisterTaskDefinition" => self.register_task_definition(call),
            "DescribeTaskDefinition" => self.describe_task_definition(call),
            "ListTaskDefinitions" => self.list_task_definitions(call),
            "ListTaskDefinitionFamilies" => self.list_task_definition_families(call),
            "DeregisterTaskDefinition" => self.deregister_task_definition(call),
            "DeleteTaskDefinitions" => self.delete_task_definitions(call),
            "CreateService" => self.create_service(call),
            "UpdateService" => self.update_service(call),
            "DeleteService" => self.delete_service(call),
            "DescribeServices" => self.describe_services(call),
            "ListServices" => self.list_services(call),
            "ListServiceDeployments" => self.list_service_deployments(call),
            "DescribeServiceDeployments" => self.describe_service_deployments(call),
            "DescribeServiceRevisions" => self.describe_service_revisions(call),
            "StopServiceDeployment" => self.stop_service_deployment(call),
            "ListTasks" => self.list_tasks(call),
            "DescribeTasks" => self.describe_tasks(call),
            "StopTask" => self.stop_task(call),
            "TagResource" => self.tag_resource(call),
            "UntagResource" => self.untag_resource(call),
            "ListTagsForResource" => self.list_tags_for_resource(call),
            "UpdateTaskProtection" => self.update_task_protection(call),
            "GetTaskProtection" => self.get_task_protection(call),
            _ => Err(call.unknown_operation()),
        }
    }

    /// Returns the desired and the running count of an ACTIVE service.
    pub fn service_counts(&self, cluster: &str, service: &str) -> Option<(i32, i32)> {
        let service = self
            .service(cluster, service)
            .filter(|service| service.status == Status::Active)?;
        let of_it = |task: &&task::Task| task.cluster == service.cluster && task.service == service.name;
        Some((
            service.desired,
            service::count(self.tasks.values().filter(of_it)).running,
        ))
    }

    /// Sets the desired count of an ACTIVE service, as Application Auto Scaling does; returns false if there is none.
    pub fn set_desired(&mut self, cluster: &str, service: &str, desired: i32, now: Now) -> bool {
        match self
            .service_mut(cluster, service)
            .filter(|service| service.status == Status::Active)
        {
            Some(service) => {
                services::set_desired(service, desired.max(0), now.fast);
                true
            }
            None => false,
        }
    }

    /// Whether a rollout of this service is under way: Application Auto Scaling holds its scale-in meanwhile.
    pub fn deployment_in_progress(&self, cluster: &str, service: &str) -> bool {
        self.service(cluster, service)
            .is_some_and(service::Service::is_deploying)
    }
}
