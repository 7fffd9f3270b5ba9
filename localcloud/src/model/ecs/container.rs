//! Container definitions: the fields that are implemented, the defaults that ECS fills in, and what ECS and Fargate refuse.
//!
//! `user`, `readonlyRootFilesystem`, `linuxParameters`, `dockerLabels` and `portMappings` are kept and shown as AWS shows them; the local
//! agent runs plain processes and cannot enforce them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::wire::{Empty, client};
use crate::model::Fault;

/// A container as registered, with the defaults of ECS filled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ContainerDefinition {
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) image: String,
    #[serde(default)]
    pub(super) cpu: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) memory: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) memory_reservation: Option<u32>,
    #[serde(default)]
    pub(super) port_mappings: Vec<PortMapping>,
    #[serde(default)]
    pub(super) essential: Option<bool>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) command: Vec<String>,
    #[serde(default)]
    pub(super) environment: Vec<Variable>,
    #[serde(default)]
    pub(super) mount_points: Empty,
    #[serde(default)]
    pub(super) volumes_from: Empty,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) linux_parameters: Option<LinuxParameters>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) secrets: Vec<SecretReference>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) stop_timeout: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) user: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) readonly_root_filesystem: Option<bool>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) ulimits: Vec<Ulimit>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) docker_labels: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) log_configuration: Option<LogConfiguration>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) health_check: Option<HealthCheck>,
    #[serde(default)]
    pub(super) system_controls: Empty,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PortMapping {
    pub(super) container_port: u16,
    #[serde(default)]
    pub(super) host_port: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) protocol: Option<Protocol>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Protocol {
    Tcp,
    Udp,
}

/// A plain environment variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Variable {
    pub(super) name: String,
    #[serde(default)]
    pub(super) value: String,
}

/// An environment variable whose value the agent fetches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretReference {
    /// The variable's name.
    pub name: String,
    /// The ARN of a secret, which may go on with `:json-key:version-stage:version-id`.
    pub value_from: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct LinuxParameters {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) init_process_enabled: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Ulimit {
    pub(super) name: String,
    pub(super) soft_limit: u64,
    pub(super) hard_limit: u64,
}

/// Where a container's output goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct LogConfiguration {
    pub(super) log_driver: String,
    #[serde(default)]
    pub(super) options: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) secret_options: Empty,
}

/// The command that tells whether a container is well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HealthCheck {
    /// `CMD` and the arguments, or `CMD-SHELL` and one line for the shell.
    pub command: Vec<String>,
    /// Seconds between two checks.
    #[serde(default = "thirty")]
    pub interval: u32,
    /// Seconds after which a check counts as failed.
    #[serde(default = "five")]
    pub timeout: u32,
    /// So many failures in a row make the container unhealthy.
    #[serde(default = "three")]
    pub retries: u32,
    /// Seconds after the start in which failures do not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_period: Option<u32>,
}

fn thirty() -> u32 {
    30
}

fn five() -> u32 {
    5
}

fn three() -> u32 {
    3
}

impl ContainerDefinition {
    /// Fills in what ECS fills in, so that a described container shows what runs.
    pub(super) fn with_defaults(mut self) -> Self {
        self.essential = Some(self.essential.unwrap_or(true));
        for port in &mut self.port_mappings {
            // In awsvpc mode the host port is the container port.
            port.host_port = port.container_port;
            port.protocol = Some(port.protocol.unwrap_or(Protocol::Tcp));
        }
        self
    }

    /// Refuses what Fargate refuses, beside what ECS does.
    pub(super) fn check_on_fargate(&self, has_execution_role: bool) -> Result<(), Fault> {
        if self.stop_timeout.is_some_and(|seconds| seconds > 120) {
            return Err(client(
                "The maximum stop timeout of a container on Fargate is 120 seconds.",
            ));
        }
        if let Some(other) = self.ulimits.iter().find(|ulimit| ulimit.name != "nofile") {
            return Err(client(format!(
                "Fargate only supports the ulimit nofile, not {}.",
                other.name
            )));
        }
        if self.log_configuration.is_some() && !has_execution_role {
            return Err(client(
                "Fargate requires task definition to have execution role ARN to support log driver awslogs.",
            ));
        }
        Ok(())
    }

    /// Refuses what ECS refuses of a container, wherever it runs.
    pub(super) fn check(&self, has_execution_role: bool) -> Result<(), Fault> {
        if self.name.is_empty() || !super::names::is_valid_name(&self.name) {
            return Err(client("Container.name must have 1 to 255 letters, digits, - or _."));
        }
        if self.image.is_empty() {
            return Err(client("Container.image should not be null or empty."));
        }
        if !self.secrets.is_empty() && !has_execution_role {
            return Err(client(
                "When you are specifying container secrets, you must also specify a value for 'executionRoleArn'.",
            ));
        }
        if let Some(other) = self.ulimits.iter().find(|ulimit| ulimit.name != "nofile") {
            return Err(client(format!(
                "localcloud sets the ulimit nofile alone, not {}.",
                other.name
            )));
        }
        if self
            .port_mappings
            .iter()
            .any(|port| !matches!(port.host_port, 0) && port.host_port != port.container_port)
        {
            return Err(client(
                "When networkMode=awsvpc, the host ports and container ports in port mappings must match.",
            ));
        }
        self.check_names_of_variables()?;
        self.check_logs()?;
        self.health_check.as_ref().map_or(Ok(()), HealthCheck::check)
    }

    fn check_names_of_variables(&self) -> Result<(), Fault> {
        let plain = self.environment.iter().map(|variable| &variable.name);
        let mut names: Vec<_> = plain.chain(self.secrets.iter().map(|secret| &secret.name)).collect();
        names.sort();
        if names.iter().any(|name| name.is_empty()) {
            return Err(client("The name of an environment variable must not be empty."));
        }
        match names
            .windows(2)
            .find(|pair| pair[0] == pair[1] && self.secrets.iter().any(|secret| secret.name == *pair[0]))
        {
            Some(pair) => Err(client(format!(
                "The secret name must be unique and not shared with any new or existing environment variables set on the container, such as '{}'.",
                pair[0]
            ))),
            None => Ok(()),
        }
    }

    fn check_logs(&self) -> Result<(), Fault> {
        let Some(logs) = &self.log_configuration else {
            return Ok(());
        };
        if logs.log_driver != "awslogs" {
            return Err(client(format!(
                "localcloud implements the log driver awslogs, not '{}'.",
                logs.log_driver
            )));
        }
        match ["awslogs-group", "awslogs-region", "awslogs-stream-prefix"]
            .iter()
            .find(|key| !logs.options.contains_key(**key))
        {
            Some(key) => Err(client(format!("Log driver awslogs requires options: {key}"))),
            None => Ok(()),
        }
    }
}

impl HealthCheck {
    fn check(&self) -> Result<(), Fault> {
        let ranges = [
            ("interval", self.interval, 5, 300),
            ("timeout", self.timeout, 2, 60),
            ("retries", self.retries, 1, 10),
            ("startPeriod", self.start_period.unwrap_or(0), 0, 300),
        ];
        for (field, value, least, most) in ranges {
            if !(least..=most).contains(&value) {
                return Err(client(format!(
                    "Health check {field} must be between {least} and {most}, not {value}."
                )));
            }
        }
        match self.command.first().map(String::as_str) {
            Some("CMD") if self.command.len() > 1 => Ok(()),
            Some("CMD-SHELL") if self.command.len() == 2 => Ok(()),
            _ => Err(client(
                "A health check command is CMD and its arguments, or CMD-SHELL and one string.",
            )),
        }
    }
}
