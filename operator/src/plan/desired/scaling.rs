//! The scalable target and its policies, and the metrics that they share with the alarms.

use std::collections::BTreeMap;

use penstock_crds::{Connector, Phase, RunningTasks};

use crate::plan::desired::Surroundings;
use crate::plan::resources::{MetricQuery, MetricStat, Policy, PolicyMetric, Scaling, Suspension};

/// The namespace of what the operator publishes itself.
pub(super) const OWN_NAMESPACE: &str = "Penstock";

pub(super) fn scaling(connector: &Connector, phase: Phase, around: &Surroundings) -> Option<Scaling> {
    let wanted = connector.scaling.as_ref()?;
    // Application Auto Scaling owns the count only while awake; 1 is its least, since a backlog over no task is no number.
    let min = if phase == Phase::Awake { wanted.min.max(1) } else { 0 };
    Some(Scaling {
        min: int(min),
        max: int(wanted.max),
        suspended: if phase == Phase::Paused {
            Suspension::All
        } else {
            Suspension::Nothing
        },
        policies: policies(connector, around),
    })
}

pub(super) fn int(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

fn policies(connector: &Connector, around: &Surroundings) -> BTreeMap<String, Policy> {
    let Some(wanted) = &connector.scaling else {
        return BTreeMap::new();
    };
    let policy = |metric, target| Policy {
        metric,
        target,
        scale_out_cooldown: seconds(wanted.cooldown_out),
        scale_in_cooldown: seconds(wanted.cooldown_in),
        disable_scale_in: false,
    };
    let predefined = |name: &str, target: u32| policy(PolicyMetric::Predefined(name.to_owned()), f64::from(target));
    #[expect(
        clippy::cast_precision_loss,
        reason = "a backlog beyond 2^53 messages does not exist"
    )]
    let backlog = wanted.backlog_per_task.map(|per_task| {
        (
            "backlog",
            policy(PolicyMetric::Math(backlog_per_task(connector, around)), per_task as f64),
        )
    });
    let memory = Some((
        "memory",
        predefined("ECSServiceAverageMemoryUtilization", wanted.memory),
    ));
    let cpu = wanted
        .cpu
        .map(|target| ("cpu", predefined("ECSServiceAverageCPUUtilization", target)));
    let named = |(kind, policy)| (around.owner.name.policy_name(&connector.name, kind), policy);
    [backlog, memory, cpu].into_iter().flatten().map(named).collect()
}

pub(super) fn seconds(length: penstock_crds::Duration) -> i32 {
    i32::try_from(length.as_secs()).unwrap_or(i32::MAX)
}

/// The backlog per running task; the last line is the one that counts.
fn backlog_per_task(connector: &Connector, around: &Surroundings) -> Vec<MetricQuery> {
    if is_foreign_queue(connector, around) {
        return vec![MetricQuery {
            return_data: true,
            ..published_backlog(connector, around, "backlog", None)
        }];
    }
    let mut lines = queue_lines(connector, None);
    lines.push(running_line(connector, around, None));
    lines.push(expression(
        "backlog",
        "(visible + inflight) / running",
        "backlog per task",
    ));
    lines
}

/// Whether a stored policy cannot read the queue's metrics: its queries name neither account nor region.
pub fn is_foreign_queue(connector: &Connector, around: &Surroundings) -> bool {
    !around.home.has(&connector.source)
}

pub(super) fn queue_lines(connector: &Connector, period: Option<i32>) -> Vec<MetricQuery> {
    let line = |id: &str, name: &str, label: &str| metric(id, label, queue_metric(connector, name, "Average", period));
    vec![
        line("visible", "ApproximateNumberOfMessagesVisible", "messages visible"),
        line(
            "inflight",
            "ApproximateNumberOfMessagesNotVisible",
            "messages in flight",
        ),
    ]
}

pub(super) fn queue_metric(connector: &Connector, name: &str, statistic: &str, period: Option<i32>) -> MetricStat {
    stat(
        "AWS/SQS",
        name,
        [("QueueName", connector.source.queue_name().to_owned())].into(),
        statistic,
        period,
    )
}

/// Running tasks: from Container Insights, or free of charge as the number of samples that CPUUtilization has in a minute.
fn running_line(connector: &Connector, around: &Surroundings, period: Option<i32>) -> MetricQuery {
    let stat = if uses_container_insights(connector, around) {
        service_metric(
            connector,
            around,
            "ECS/ContainerInsights",
            "RunningTaskCount",
            "Average",
            period,
        )
    } else {
        service_metric(connector, around, "AWS/ECS", "CPUUtilization", "SampleCount", period)
    };
    metric("running", "running tasks", stat)
}

/// Whether running tasks are counted by Container Insights.
pub fn uses_container_insights(connector: &Connector, around: &Surroundings) -> bool {
    match connector
        .scaling
        .as_ref()
        .map(|scaling| scaling.running_tasks)
        .unwrap_or_default()
    {
        RunningTasks::Auto => around.container_insights,
        RunningTasks::ContainerInsights => true,
        RunningTasks::SampleCount => false,
    }
}

pub(super) fn published_backlog(
    connector: &Connector,
    around: &Surroundings,
    id: &str,
    period: Option<i32>,
) -> MetricQuery {
    metric(
        id,
        "backlog per task",
        service_metric(connector, around, OWN_NAMESPACE, "BacklogPerTask", "Average", period),
    )
}

pub(super) fn service_metric(
    connector: &Connector,
    around: &Surroundings,
    namespace: &str,
    name: &str,
    statistic: &str,
    period: Option<i32>,
) -> MetricStat {
    let dimensions = [
        ("ClusterName", connector.service.cluster.clone()),
        ("ServiceName", around.owner.name.service_name(&connector.name)),
    ];
    stat(namespace, name, dimensions.into(), statistic, period)
}

fn stat(
    namespace: &str,
    name: &str,
    dimensions: BTreeMap<&str, String>,
    statistic: &str,
    period: Option<i32>,
) -> MetricStat {
    MetricStat {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        dimensions: dimensions
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect(),
        statistic: statistic.to_owned(),
        unit: None,
        period,
    }
}

pub(super) fn metric(id: &str, label: &str, stat: MetricStat) -> MetricQuery {
    MetricQuery {
        id: id.to_owned(),
        metric: Some(stat),
        expression: None,
        label: Some(label.to_owned()),
        return_data: false,
    }
}

pub(super) fn expression(id: &str, expression: &str, label: &str) -> MetricQuery {
    MetricQuery {
        id: id.to_owned(),
        metric: None,
        expression: Some(expression.to_owned()),
        label: Some(label.to_owned()),
        return_data: true,
    }
}
