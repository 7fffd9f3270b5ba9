//! What ECS refuses of a service, whoever creates or updates it.

use serde_json::Value;

use super::deployment::{DeploymentConfiguration, NetworkConfiguration, PLATFORM_VERSION};
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

pub(super) fn platform_version(version: Option<String>) -> Result<String, Fault> {
    match version.as_deref() {
        None | Some("LATEST") => Ok("LATEST".to_owned()),
        Some(known @ PLATFORM_VERSION) => Ok(known.to_owned()),
        Some(_) => Err(Fault::client(
            "PlatformUnknownException",
            "The specified platform version does not exist.",
        )),
    }
}
