//! What AWS has to hold for the story's connector, field by field, read back through the AWS APIs. It shares no code with
//! the operator, so that a mistake there is not made twice.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_applicationautoscaling::types::{ScalingPolicy, ServiceNamespace, TargetTrackingMetricDataQuery};
use aws_sdk_cloudwatch::types::{ComparisonOperator, MetricAlarm, MetricDataQuery};
use aws_sdk_ecs::types::{ServiceField, TaskDefinitionField};
use serde_json::Value;

use super::{SERVICE, call, tags};
use crate::Error;
use crate::error::{equal, lacking};
use crate::kafka::SCRAM_PASSWORD;
use crate::localcloud::ACCOUNT;
use crate::stage::{CLUSTER, IMAGE, Stage};

/// The scalable target's id.
pub const RESOURCE_ID: &str = "service/connectors/penstock-orders";

/// Returns the service as ECS describes it; nothing when there is none, or an inactive one.
pub async fn described_service(stage: &Stage) -> Result<Option<aws_sdk_ecs::types::Service>, Error> {
    let described = stage
        .aws()
        .ecs()
        .describe_services()
        .cluster(CLUSTER)
        .services(SERVICE)
        .include(ServiceField::Tags);
    let described = described.send().await.map_err(call("describe the service"))?;
    Ok(described
        .services
        .unwrap_or_default()
        .into_iter()
        .find(|service| service.status() != Some("INACTIVE")))
}

/// Holds the task definition that the service runs.
pub async fn task_definition(stage: &Stage) -> Result<(), Error> {
    let service = described_service(stage)
        .await?
        .ok_or_else(|| lacking("describe the service", "the service"))?;
    let arn = service.task_definition().unwrap_or_default().to_owned();
    let described = stage
        .aws()
        .ecs()
        .describe_task_definition()
        .task_definition(arn)
        .include(TaskDefinitionField::Tags);
    let described = described.send().await.map_err(call("describe the task definition"))?;
    let definition = described
        .task_definition()
        .ok_or_else(|| lacking("describe the task definition", "it"))?;
    equal("cpu", definition.cpu(), Some("256"))?;
    equal("memory", definition.memory(), Some("512"))?;
    equal(
        "the network mode",
        definition.network_mode().map(|mode| mode.as_str()),
        Some("awsvpc"),
    )?;
    let role = |name: &str| format!("arn:aws:iam::{ACCOUNT}:role/{name}");
    equal(
        "the task role",
        definition.task_role_arn(),
        Some(role("PenstockBridgeTask").as_str()),
    )?;
    equal(
        "the execution role",
        definition.execution_role_arn(),
        Some(role("ecsTaskExecutionRole").as_str()),
    )?;
    let containers = definition.container_definitions();
    equal("the number of containers", containers.len(), 1)?;
    let container = &containers[0];
    equal("the image", container.image(), Some(IMAGE))?;
    equal("essential", container.essential(), Some(true))?;
    equal("stopTimeout", container.stop_timeout(), Some(30))?;
    let check = container
        .health_check()
        .ok_or_else(|| lacking("describe the task definition", "a health check"))?;
    equal(
        "the health check",
        check.command().to_vec(),
        ["CMD", "penstock-bridge", "health"].map(str::to_owned).to_vec(),
    )?;
    let secrets: BTreeMap<_, _> = container
        .secrets()
        .iter()
        .map(|one| (one.name(), one.value_from().to_owned()))
        .collect();
    let from = |key: &str| format!("{}:{key}::", stage.secret);
    let wanted = [
        ("PENSTOCK_KAFKA_USERNAME", from("username")),
        ("PENSTOCK_KAFKA_PASSWORD", from("password")),
    ];
    equal("the secrets", secrets, wanted.into())?;
    let config = container
        .environment()
        .iter()
        .find(|one| one.name() == Some("PENSTOCK_CONNECTOR"));
    let config = config.and_then(|one| one.value()).unwrap_or_default();
    let config: Value = serde_json::from_str(config).map_err(call("read PENSTOCK_CONNECTOR"))?;
    equal(
        "the bridge's queue",
        config["source"]["queueUrl"].as_str(),
        Some(stage.queue_url.as_str()),
    )?;
    equal(
        "the bridge's topic",
        config["sink"]["topic"].as_str(),
        Some(stage.topic.as_str()),
    )?;
    let text = format!("{described:?}");
    equal(
        "the password in the task definition",
        text.contains(SCRAM_PASSWORD),
        false,
    )?;
    let tags = tags(described.tags());
    equal(
        "the definition's connector",
        tags["penstock:connector"].as_str(),
        Some("orders"),
    )?;
    equal(
        "the definition's owner",
        tags["penstock:operator"].as_str(),
        Some(stage.owner().as_str()),
    )
}

/// Holds the service.
pub async fn service(stage: &Stage) -> Result<(), Error> {
    let service = described_service(stage)
        .await?
        .ok_or_else(|| lacking("describe the service", "the service"))?;
    equal(
        "the launch type",
        service.launch_type().map(|kind| kind.as_str()),
        Some("FARGATE"),
    )?;
    let deployment = service.deployment_configuration();
    let breaker = deployment.and_then(|deployment| deployment.deployment_circuit_breaker());
    equal(
        "the breaker",
        breaker.map(|breaker| (breaker.enable(), breaker.rollback())),
        Some((true, true)),
    )?;
    let percents = deployment.map(|one| (one.minimum_healthy_percent(), one.maximum_percent()));
    equal("the rollout", percents, Some((Some(100), Some(200))))?;
    equal(
        "the rebalancing",
        service.availability_zone_rebalancing().map(|one| one.as_str()),
        Some("DISABLED"),
    )?;
    let network = service
        .network_configuration()
        .and_then(|one| one.awsvpc_configuration());
    let network = network.ok_or_else(|| lacking("describe the service", "a network configuration"))?;
    let subnets: BTreeSet<_> = network.subnets().iter().map(String::as_str).collect();
    equal(
        "the subnets",
        subnets,
        ["subnet-0a1b2c3d4e5f60718", "subnet-08f7e6d5c4b3a2910"].into(),
    )?;
    equal(
        "public addresses",
        network.assign_public_ip().map(|one| one.as_str()),
        Some("DISABLED"),
    )?;
    let (tags, owner) = (tags(service.tags()), stage.owner());
    for (key, wanted) in [
        ("penstock:operator", owner.as_str()),
        ("penstock:connector", "orders"),
        ("team", "checkout"),
    ] {
        equal(key, tags[key].as_str(), Some(wanted))?;
    }
    for key in ["penstock:uid", "penstock:generation", "penstock:spec-hash"] {
        tags[key]
            .as_str()
            .filter(|value| !value.is_empty())
            .ok_or_else(|| lacking("describe the service", key))?;
    }
    Ok(())
}

/// Holds the bounds of the scalable target.
pub async fn target(stage: &Stage, min: i32, max: i32) -> Result<(), Error> {
    let call_ = stage
        .aws()
        .scaling()
        .describe_scalable_targets()
        .service_namespace(ServiceNamespace::Ecs);
    let described = call_
        .resource_ids(RESOURCE_ID)
        .send()
        .await
        .map_err(call("describe the scalable target"))?;
    let target = described
        .scalable_targets()
        .first()
        .ok_or_else(|| lacking("describe the scalable target", "it"))?;
    equal(
        "the target's bounds",
        (target.min_capacity(), target.max_capacity()),
        (min, max),
    )?;
    let suspended = target.suspended_state();
    let suspended = suspended.is_some_and(|one| one.dynamic_scaling_in_suspended() == Some(true));
    equal("whether scaling is suspended", suspended, false)
}

/// Holds both policies, and returns their names.
pub async fn policies(stage: &Stage) -> Result<Vec<String>, Error> {
    let call_ = stage
        .aws()
        .scaling()
        .describe_scaling_policies()
        .service_namespace(ServiceNamespace::Ecs);
    let described = call_
        .resource_id(RESOURCE_ID)
        .send()
        .await
        .map_err(call("describe the policies"))?;
    let policies = described.scaling_policies();
    let names: BTreeSet<_> = policies.iter().map(|policy| policy.policy_name()).collect();
    equal(
        "the policies",
        names,
        ["penstock-orders-backlog", "penstock-orders-memory"].into(),
    )?;
    for policy in policies {
        match policy.policy_name() {
            "penstock-orders-backlog" => backlog_policy(policy)?,
            _ => memory_policy(policy)?,
        }
    }
    Ok(policies.iter().map(|policy| policy.policy_name().to_owned()).collect())
}

fn backlog_policy(policy: &ScalingPolicy) -> Result<(), Error> {
    let tracking = policy.target_tracking_scaling_policy_configuration();
    let tracking = tracking.ok_or_else(|| lacking("read the backlog policy", "target tracking"))?;
    equal("the backlog target", tracking.target_value(), 100.0)?;
    let cooldowns = (tracking.scale_out_cooldown(), tracking.scale_in_cooldown());
    equal("the backlog policy's cooldowns", cooldowns, (Some(60), Some(60)))?;
    equal(
        "whether the backlog policy scales in",
        tracking.disable_scale_in(),
        Some(false),
    )?;
    let custom = tracking.customized_metric_specification();
    let custom = custom.ok_or_else(|| lacking("read the backlog policy", "a metric of its own"))?;
    let seen: Vec<_> = custom.metrics().iter().map(policy_line).collect();
    equal(
        "the backlog policy's metrics",
        seen,
        vec![
            "visible = Average AWS/SQS ApproximateNumberOfMessagesVisible {QueueName=orders} false".to_owned(),
            "inflight = Average AWS/SQS ApproximateNumberOfMessagesNotVisible {QueueName=orders} false".to_owned(),
            "running = Average ECS/ContainerInsights RunningTaskCount {ClusterName=connectors, ServiceName=penstock-orders} false"
                .to_owned(),
            "backlog = (visible + inflight) / running true".to_owned(),
        ],
    )
}

fn memory_policy(policy: &ScalingPolicy) -> Result<(), Error> {
    let tracking = policy.target_tracking_scaling_policy_configuration();
    let tracking = tracking.ok_or_else(|| lacking("read the memory policy", "target tracking"))?;
    equal("the memory target", tracking.target_value(), 75.0)?;
    equal(
        "whether the memory policy scales in",
        tracking.disable_scale_in(),
        Some(false),
    )?;
    let predefined = tracking
        .predefined_metric_specification()
        .map(|one| one.predefined_metric_type().as_str());
    equal(
        "the memory policy's metric",
        predefined,
        Some("ECSServiceAverageMemoryUtilization"),
    )
}

fn policy_line(query: &TargetTrackingMetricDataQuery) -> String {
    let stat = query.metric_stat().map(|stat| {
        let metric = stat.metric();
        let dimensions = metric.map(|metric| metric.dimensions()).unwrap_or_default();
        let dimensions: Vec<_> = dimensions
            .iter()
            .map(|one| format!("{}={}", one.name(), one.value()))
            .collect();
        let namespace = metric.and_then(|metric| metric.namespace()).unwrap_or_default();
        let name = metric.and_then(|metric| metric.metric_name()).unwrap_or_default();
        format!("{} {namespace} {name} {{{}}}", stat.stat(), sorted(dimensions))
    });
    let what = stat
        .or_else(|| query.expression().map(str::to_owned))
        .unwrap_or_default();
    format!("{} = {what} {}", query.id(), query.return_data().unwrap_or(true))
}

fn sorted(mut dimensions: Vec<String>) -> String {
    dimensions.sort();
    dimensions.join(", ")
}

/// Holds all four alarms, and returns their names.
pub async fn alarms(stage: &Stage) -> Result<Vec<String>, Error> {
    let alarms = described_alarms(stage).await?;
    let wanted = [
        ("penstock-orders-backlogHighAndMaxScaledOut", backlog_alarm()),
        (
            "penstock-orders-highCpuUsageAndMaxScaledOut",
            use_alarm("CPUUtilization", 85),
        ),
        (
            "penstock-orders-highRamUsageAndMaxScaledOut",
            use_alarm("MemoryUtilization", 80),
        ),
        ("penstock-orders-oldestMessageAge", age_alarm()),
    ];
    let names: Vec<_> = alarms
        .iter()
        .map(|alarm| alarm.alarm_name().unwrap_or_default().to_owned())
        .collect();
    equal(
        "the alarms",
        names.clone(),
        wanted.iter().map(|(name, _)| (*name).to_owned()).collect(),
    )?;
    for (alarm, (name, metrics)) in alarms.iter().zip(wanted) {
        let seen: Vec<_> = alarm.metrics().iter().map(alarm_line).collect();
        equal(&format!("the metrics of {name}"), seen, metrics)?;
        let judged = (
            alarm.evaluation_periods(),
            alarm.datapoints_to_alarm(),
            alarm.threshold(),
        );
        equal(
            &format!("the judgement of {name}"),
            judged,
            (Some(15), Some(5), Some(1.0)),
        )?;
        let comparison = alarm.comparison_operator();
        equal(
            &format!("the comparison of {name}"),
            comparison,
            Some(&ComparisonOperator::GreaterThanOrEqualToThreshold),
        )?;
        equal(
            &format!("missing data of {name}"),
            alarm.treat_missing_data(),
            Some("notBreaching"),
        )?;
        equal(
            &format!("who hears of {name}"),
            alarm.alarm_actions().to_vec(),
            vec![stage.sns_topic.clone()],
        )?;
        equal(&format!("whether {name} speaks"), alarm.actions_enabled(), Some(true))?;
    }
    Ok(names)
}

/// Returns the connector's alarms by name.
pub async fn described_alarms(stage: &Stage) -> Result<Vec<MetricAlarm>, Error> {
    let described = stage
        .aws()
        .cloudwatch()
        .describe_alarms()
        .alarm_name_prefix("penstock-orders-")
        .send()
        .await;
    let mut alarms = described
        .map_err(call("describe the alarms"))?
        .metric_alarms
        .unwrap_or_default();
    alarms.sort_by(|left, right| left.alarm_name().cmp(&right.alarm_name()));
    Ok(alarms)
}

fn backlog_alarm() -> Vec<String> {
    let mut lines = vec![
        "visible = Average AWS/SQS ApproximateNumberOfMessagesVisible {QueueName=orders} 60 false".to_owned(),
        "inflight = Average AWS/SQS ApproximateNumberOfMessagesNotVisible {QueueName=orders} 60 false".to_owned(),
    ];
    lines.extend(at_maximum("(visible + inflight) / tasks > 150"));
    lines
}

fn use_alarm(metric: &str, threshold: u32) -> Vec<String> {
    let service = "{ClusterName=connectors, ServiceName=penstock-orders}";
    let mut lines = vec![format!("use = Average AWS/ECS {metric} {service} 60 false")];
    lines.extend(at_maximum(&format!("use > {threshold}")));
    lines
}

fn at_maximum(hot: &str) -> Vec<String> {
    let insights = |name: &str| {
        format!("Average ECS/ContainerInsights {name} {{ClusterName=connectors, ServiceName=penstock-orders}} 60 false")
    };
    vec![
        format!("tasks = {}", insights("DesiredTaskCount")),
        format!("deployments = {}", insights("DeploymentCount")),
        format!("hot = IF({hot} AND tasks >= 3 AND deployments <= 1, 1, 0) true"),
    ]
}

fn age_alarm() -> Vec<String> {
    vec![
        "age = Maximum AWS/SQS ApproximateAgeOfOldestMessage {QueueName=orders} 60 false".to_owned(),
        "hot = IF(age > 600, 1, 0) true".to_owned(),
    ]
}

fn alarm_line(query: &MetricDataQuery) -> String {
    let stat = query.metric_stat().map(|stat| {
        let metric = stat.metric();
        let dimensions = metric.map(|metric| metric.dimensions()).unwrap_or_default();
        let pair = |one: &aws_sdk_cloudwatch::types::Dimension| {
            format!("{}={}", one.name().unwrap_or_default(), one.value().unwrap_or_default())
        };
        let dimensions: Vec<_> = dimensions.iter().map(pair).collect();
        let namespace = metric.and_then(|metric| metric.namespace()).unwrap_or_default();
        let name = metric.and_then(|metric| metric.metric_name()).unwrap_or_default();
        let period = stat.period().unwrap_or_default();
        format!(
            "{} {namespace} {name} {{{}}} {period}",
            stat.stat().unwrap_or_default(),
            sorted(dimensions)
        )
    });
    let what = stat
        .or_else(|| query.expression().map(str::to_owned))
        .unwrap_or_default();
    format!(
        "{} = {what} {}",
        query.id().unwrap_or_default(),
        query.return_data().unwrap_or(true)
    )
}

/// Holds that nothing is left of the connector.
pub async fn nothing(stage: &Stage) -> Result<(), Error> {
    equal(
        "the service",
        described_service(stage)
            .await?
            .map(|service| service.status().map(str::to_owned)),
        None,
    )?;
    let scaling = stage.aws().scaling();
    let targets = scaling
        .describe_scalable_targets()
        .service_namespace(ServiceNamespace::Ecs)
        .resource_ids(RESOURCE_ID);
    let targets = targets.send().await.map_err(call("describe the scalable target"))?;
    equal("the number of targets", targets.scalable_targets().len(), 0)?;
    let policies = scaling
        .describe_scaling_policies()
        .service_namespace(ServiceNamespace::Ecs)
        .resource_id(RESOURCE_ID);
    let policies = policies.send().await.map_err(call("describe the policies"))?;
    equal("the number of policies", policies.scaling_policies().len(), 0)?;
    equal("the number of alarms", described_alarms(stage).await?.len(), 0)?;
    let tracking = stage
        .aws()
        .cloudwatch()
        .describe_alarms()
        .alarm_name_prefix("TargetTracking-")
        .send()
        .await;
    let tracking = tracking.map_err(call("describe the alarms"))?;
    equal(
        "the number of target-tracking alarms",
        tracking.metric_alarms().len(),
        0,
    )?;
    let definitions = stage
        .aws()
        .ecs()
        .list_task_definitions()
        .family_prefix(SERVICE)
        .send()
        .await;
    let definitions = definitions.map_err(call("list the task definitions"))?;
    equal(
        "the ACTIVE task definitions",
        definitions.task_definition_arns().to_vec(),
        Vec::<String>::new(),
    )?;
    Ok(())
}
