//! What ECS refuses of a service, whoever creates or updates it.

use serde_json::Value;

use super::capacity::LaunchType;
use super::definition::TaskDefinition;
use super::deployment::{AssignPublicIp, DeploymentConfiguration, NetworkConfiguration, PLATFORM_VERSION, Workload};
use super::placement::Placement;
use super::service::{Options, Rebalancing};
use super::wire::{client, invalid, to_json};
use crate::model::Fault;

/// Lays the members that a caller named over the configuration that holds.
pub(super) fn changed(current: &DeploymentConfiguration, changes: &Value) -> Result<DeploymentConfiguration, Fault> {
    let mut merged = to_json(current);
    if let (Some(merged), Some(changes)) = (merged.as_object_mut(), changes.as_object()) {
        merged.extend(changes.clone());
    }
    serde_json::from_value(merged).map_err(|why| {
        client(format!(
            "UpdateService: localcloud cannot take deploymentConfiguration: {why}"
        ))
    })
}

pub(super) fn check_configuration(configuration: &DeploymentConfiguration) -> Result<(), Fault> {
    let (least, most) = (configuration.minimum_healthy_percent, configuration.maximum_percent);
    if least < 0 || most < 0 || most < least {
        return Err(invalid(
            "The maximumPercent must not be less than the minimumHealthyPercent, and neither below 0.",
        ));
    }
    if most <= 100 && least >= 100 {
        return Err(invalid(
            "Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block deployments.",
        ));
    }
    let breaker = &configuration.deployment_circuit_breaker;
    if breaker.rollback && !breaker.enable {
        return Err(invalid(
            "Rollback can only be enabled when the deployment circuit breaker is enabled.",
        ));
    }
    if breaker
        .threshold_configuration
        .as_ref()
        .is_some_and(|threshold| threshold.value < 1)
    {
        return Err(invalid("The value of thresholdConfiguration must be at least 1."));
    }
    Ok(())
}

pub(super) fn check_desired(desired: i32) -> Result<(), Fault> {
    match desired {
        0..=5000 => Ok(()),
        ..0 => Err(invalid("desiredCount must not be negative.")),
        _ => Err(invalid("A service can have at most 5,000 tasks.")),
    }
}

pub(super) fn check_grace(seconds: Option<i32>) -> Result<(), Fault> {
    match seconds {
        Some(..0) => Err(invalid("healthCheckGracePeriodSeconds must not be negative.")),
        _ => Ok(()),
    }
}

pub(super) fn check_network(network: &NetworkConfiguration) -> Result<(), Fault> {
    let vpc = &network.awsvpc_configuration;
    if vpc.subnets.is_empty() {
        return Err(invalid("subnets can not be empty."));
    }
    if vpc.subnets.len() > 16 || vpc.security_groups.len() > 5 {
        return Err(invalid("At most 16 subnets and 5 security groups can be specified."));
    }
    if let Some(subnet) = vpc.subnets.iter().find(|subnet| !subnet.starts_with("subnet-")) {
        return Err(invalid(format!(
            "Error retrieving subnet information for [{subnet}]: the subnet ID is malformed."
        )));
    }
    match vpc.security_groups.iter().find(|group| !group.starts_with("sg-")) {
        Some(group) => Err(invalid(format!(
            "Error retrieving security group information for [{group}]: the security group ID is malformed."
        ))),
        None => Ok(()),
    }
}

/// Refuses what does not go together with what the tasks run on.
pub(super) fn check_platform(
    workload: &Workload,
    definition: Option<&TaskDefinition>,
    placement: &Placement,
) -> Result<(), Fault> {
    let vpc = &workload.network.awsvpc_configuration;
    let (runs_on, name) = match workload.runs_on() {
        LaunchType::Fargate => (LaunchType::Fargate, "FARGATE"),
        LaunchType::Ec2 => (LaunchType::Ec2, "EC2"),
    };
    if definition.is_some_and(|definition| !definition.compatibilities.contains(&runs_on)) {
        return Err(invalid(format!("Task definition does not support launch_type {name}.")));
    }
    match runs_on {
        LaunchType::Fargate if !placement.constraints.is_empty() => Err(invalid(
            "Placement constraints are not supported with FARGATE launch type.",
        )),
        LaunchType::Fargate if !placement.strategies.is_empty() => Err(invalid(
            "Placement strategies are not supported with FARGATE launch type.",
        )),
        LaunchType::Ec2 if vpc.assign_public_ip == AssignPublicIp::Enabled => {
            Err(invalid("Assign public IP is not supported for this launch type."))
        }
        _ => Ok(()),
    }
}

/// Whether Availability Zone rebalancing is on where nobody says: for a new service that can be rebalanced.
/// Source: ECS Developer Guide, "Balancing an Amazon ECS service across Availability Zones".
pub(super) fn default_rebalancing(configuration: &DeploymentConfiguration, placement: &Placement) -> Rebalancing {
    if configuration.maximum_percent > 100 && placement.can_be_rebalanced() {
        Rebalancing::Enabled
    } else {
        Rebalancing::Disabled
    }
}

pub(super) fn check_rebalancing(options: &Options) -> Result<(), Fault> {
    match options.rebalancing {
        Rebalancing::Enabled if options.configuration.maximum_percent <= 100 => Err(invalid(
            "AvailabilityZoneRebalancing does not support maximumPercent <= 100.",
        )),
        Rebalancing::Enabled if !options.placement.can_be_rebalanced() => Err(invalid(
            "AvailabilityZoneRebalancing needs a spread by attribute:ecs.availability-zone as the first placement strategy, or no \
             strategy, and no placement constraint by that attribute.",
        )),
        _ => Ok(()),
    }
}

/// The platform version that a caller names; only Fargate has any.
pub(super) fn platform_version(version: Option<&str>, runs_on: LaunchType) -> Result<String, Fault> {
    match (version, runs_on) {
        (Some(_), LaunchType::Ec2) => Err(invalid(
            "The platform version must be null when specifying an EC2 launch type.",
        )),
        (None | Some("LATEST"), _) => Ok("LATEST".to_owned()),
        (Some(known @ PLATFORM_VERSION), _) => Ok(known.to_owned()),
        (Some(_), _) => Err(Fault::client(
            "PlatformUnknownException",
            "The specified platform version does not exist.",
        )),
    }
}
