//! The task definition, and the placement of its tasks.

use std::collections::BTreeMap;

use jiff::Timestamp;
use penstock_crds::{
    Architecture, BRIDGE_CONFIG_VARIABLE, BridgeConfig, Capacity, Connector, LaunchType, Placement,
    PlacementConstraintType, PlacementStrategyType, SecretReference,
};

use crate::plan::owner::OperatorName;
use crate::plan::resources::{Container, HealthCheck, TaskDefinition};

/// The label whose change replaces every task, as a rollout restart of Kubernetes does: seen in the revision itself, so
/// a restart is never made twice.
const RESTARTED_AT: &str = "penstock.dev/restarted-at";

pub(super) fn task_definition(
    connector: &Connector,
    restarted_at: Option<Timestamp>,
    operator: &OperatorName,
) -> TaskDefinition {
    let task = &connector.task;
    TaskDefinition {
        family: operator.service_name(&connector.name),
        cpu: task.cpu,
        memory: task.memory,
        architecture: match task.architecture {
            Architecture::X86_64 => "X86_64".to_owned(),
            Architecture::Arm64 => "ARM64".to_owned(),
        },
        compatibility: compatibility(&connector.service.capacity).to_owned(),
        task_role: task.task_role.clone(),
        execution_role: task.execution_role.clone(),
        container: container(connector, restarted_at),
    }
}

fn container(connector: &Connector, restarted_at: Option<Timestamp>) -> Container {
    let task = &connector.task;
    Container {
        name: "penstock-bridge".to_owned(),
        image: task.image.clone(),
        environment: environment(connector),
        secrets: secrets(connector),
        log_options: log_options(connector),
        labels: restarted_at
            .map(|at| (RESTARTED_AT.to_owned(), at.to_string()))
            .into_iter()
            .collect(),
        stop_timeout: i32::try_from(task.stop_timeout.as_secs()).unwrap_or(i32::MAX),
        health_check: HealthCheck {
            command: ["CMD", "penstock-bridge", "health"].map(str::to_owned).to_vec(),
            interval: 10,
            timeout: 5,
            retries: 3,
            start_period: 30,
        },
    }
}

fn environment(connector: &Connector) -> BTreeMap<String, String> {
    let config = serde_json::to_string(&BridgeConfig::from(connector)).expect("names and numbers always serialize");
    let mut environment = connector.task.environment.clone();
    environment.insert(BRIDGE_CONFIG_VARIABLE.to_owned(), config);
    environment
}

fn secrets(connector: &Connector) -> BTreeMap<String, String> {
    let own = connector
        .task
        .secrets
        .iter()
        .map(|(variable, reference)| (variable.as_str(), reference));
    let value_from = |(variable, reference): (&str, &SecretReference)| {
        let arn = connector.secrets.get(&reference.secret)?;
        Some((variable.to_owned(), secret_value_from(arn, reference.key.as_deref())))
    };
    own.chain(connector.kafka.security.secrets())
        .filter_map(value_from)
        .collect()
}

/// ECS's spelling of one key of a JSON secret: ARN, key, and two parts (stage and version) left empty.
fn secret_value_from(arn: &str, key: Option<&str>) -> String {
    key.map_or_else(|| arn.to_owned(), |key| format!("{arn}:{key}::"))
}

fn log_options(connector: &Connector) -> BTreeMap<String, String> {
    let Some(logs) = &connector.task.logs else {
        return BTreeMap::new();
    };
    [
        ("awslogs-group", &logs.group),
        ("awslogs-region", &logs.region),
        ("awslogs-stream-prefix", &logs.stream_prefix),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value.clone()))
    .collect()
}

fn compatibility(capacity: &Capacity) -> &'static str {
    match capacity {
        Capacity::LaunchType(kind) => launch_type(*kind),
        Capacity::Providers(providers) if providers.iter().all(|one| one.name.starts_with("FARGATE")) => "FARGATE",
        Capacity::Providers(_) => "EC2",
    }
}

/// ECS's spelling of a launch type.
pub(in crate::plan) fn launch_type(kind: LaunchType) -> &'static str {
    match kind {
        LaunchType::Fargate => "FARGATE",
        LaunchType::Ec2 => "EC2",
    }
}

pub(super) fn placement_constraints(placement: &Placement) -> Vec<(String, Option<String>)> {
    let spelled = |kind| match kind {
        PlacementConstraintType::DistinctInstance => "distinctInstance",
        PlacementConstraintType::MemberOf => "memberOf",
    };
    let mut constraints: Vec<_> = placement
        .constraints
        .iter()
        .map(|one| (spelled(one.r#type).to_owned(), one.expression.clone()))
        .collect();
    constraints.sort();
    constraints
}

pub(super) fn placement_strategies(placement: &Placement) -> Vec<(String, Option<String>)> {
    let spelled = |kind| match kind {
        PlacementStrategyType::Random => "random",
        PlacementStrategyType::Spread => "spread",
        PlacementStrategyType::Binpack => "binpack",
    };
    // The two names of one field.
    let field = |field: &str| if field == "host" { "instanceId" } else { field }.to_owned();
    placement
        .strategies
        .iter()
        .map(|one| (spelled(one.r#type).to_owned(), one.field.as_deref().map(field)))
        .collect()
}
