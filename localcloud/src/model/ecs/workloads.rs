//! What a service's tasks are to be started with, after a creation or an update.

use super::Ecs;
use super::capacity::{CapacityItem, LaunchType, check_strategy, launch_type};
use super::clusters::Cluster;
use super::definition::{DefinitionStatus, TaskDefinition};
use super::deployment::Workload;
use super::names::{is_valid_name, path};
use super::service_checks::{check_network, platform_version};
use super::service_input::{CreateService, UpdateService};
use super::wire::{client, invalid};
use crate::model::Fault;

impl Ecs {
    /// The ARN of what an update names. The revision that runs may be named again even if it is no longer ACTIVE.
    fn definition_to_run(&self, reference: &str, running: &str) -> Result<String, Fault> {
        match self.definition(reference) {
            Some(definition) if definition.arn == running => Ok(definition.arn.clone()),
            _ => Ok(self.usable_definition(reference)?.arn.clone()),
        }
    }

    /// A revision that a service may be pointed at.
    fn usable_definition(&self, reference: &str) -> Result<&TaskDefinition, Fault> {
        let definition = self
            .definition(reference)
            .ok_or_else(|| client("TaskDefinition not found."))?;
        match definition.status {
            DefinitionStatus::Active => Ok(definition),
            DefinitionStatus::Inactive | DefinitionStatus::DeleteInProgress => {
                Err(client("TaskDefinition is inactive"))
            }
        }
    }

    /// The workload that a new service begins with.
    pub(super) fn new_workload(&self, cluster: &Cluster, input: &CreateService) -> Result<Workload, Fault> {
        if !is_valid_name(&input.service_name) {
            return Err(invalid(
                "Name should not exceed 255 characters and has letters, digits, - and _ only.",
            ));
        }
        let reference = input
            .task_definition
            .as_ref()
            .ok_or_else(|| invalid("TaskDefinition can not be blank."))?;
        let reference = path(&cluster.scope, "task-definition", reference)?;
        let definition = self.usable_definition(reference)?.arn.clone();
        let network = input
            .network_configuration
            .clone()
            .ok_or_else(|| invalid("Network Configuration must be provided when networkMode 'awsvpc' is specified."))?;
        check_network(&network)?;
        let strategy = strategy(cluster, input)?;
        let mut workload = Workload {
            definition,
            launch_type: match (input.launch_type, strategy.as_slice()) {
                (Some(launch_type), _) => launch_type,
                (None, []) => LaunchType::Ec2,
                // AWS does not say what launch type such a service goes back to.
                (None, strategy) => launch_type(strategy),
            },
            strategy,
            platform_version: String::new(),
            network,
        };
        workload.platform_version = platform_version(input.platform_version.as_deref(), workload.runs_on())?;
        Ok(workload)
    }

    /// The workload that an update leaves behind.
    pub(super) fn changed_workload(
        &self,
        cluster: &Cluster,
        current: Workload,
        input: &UpdateService,
    ) -> Result<Workload, Fault> {
        let mut workload = current;
        if let Some(reference) = &input.task_definition {
            let reference = path(&cluster.scope, "task-definition", reference)?;
            workload.definition = self.definition_to_run(reference, &workload.definition)?;
        }
        if let Some(strategy) = &input.capacity_provider_strategy {
            check_strategy(strategy, &cluster.capacity_providers)?;
            if *strategy != workload.strategy && !input.force_new_deployment {
                return Err(invalid(
                    "When switching from launch type to capacity provider strategy on an existing service, or making a change to a \
                     capacity provider strategy on a service that is already using one, you must force a new deployment.",
                ));
            }
            workload.strategy.clone_from(strategy);
        }
        if let Some(network) = &input.network_configuration {
            check_network(network)?;
            workload.network = network.clone();
        }
        if let Some(version) = &input.platform_version {
            workload.platform_version = platform_version(Some(version), workload.runs_on())?;
        }
        Ok(workload)
    }
}

/// The strategy of a new service: its own, or the cluster's where it names neither a strategy nor a launch type.
fn strategy(cluster: &Cluster, input: &CreateService) -> Result<Vec<CapacityItem>, Fault> {
    match (&input.launch_type, input.capacity_provider_strategy.as_slice()) {
        (Some(_), []) => Ok(Vec::new()),
        (Some(_), _) => Err(invalid(
            "Specifying both a launch type and capacity provider strategy is not supported. Remove one and try again.",
        )),
        (None, []) => Ok(cluster.default_strategy.clone()),
        (None, strategy) => {
            check_strategy(strategy, &cluster.capacity_providers)?;
            Ok(strategy.to_vec())
        }
    }
}
