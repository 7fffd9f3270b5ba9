//! The alarms: one metric-math alarm each, so that "hot" and "at the maximum" are judged on the same data points.

use std::collections::BTreeMap;

use penstock_crds::{AlarmKind, Connector, Phase};

use crate::plan::desired::Surroundings;
use crate::plan::desired::scaling::{
    expression, int, is_foreign_queue, metric, published_backlog, queue_lines, queue_metric, seconds, service_metric,
    uses_container_insights,
};
use crate::plan::resources::{Alarm, MetricQuery};

pub(super) fn alarms(connector: &Connector, phase: Phase, around: &Surroundings) -> BTreeMap<String, Alarm> {
    let made = |wanted: &penstock_crds::Alarm| {
        let metrics = metrics(connector, wanted, around)?;
        Some((
            around.owner.name.alarm_name(&connector.name, wanted.kind),
            alarm(connector, wanted, metrics, phase),
        ))
    };
    connector.alarms.iter().filter_map(made).collect()
}

fn alarm(connector: &Connector, wanted: &penstock_crds::Alarm, metrics: Vec<MetricQuery>, phase: Phase) -> Alarm {
    Alarm {
        description: description(connector, wanted),
        metrics,
        comparison: "GreaterThanOrEqualToThreshold".to_owned(),
        threshold: 1.0,
        evaluation_periods: int(wanted.evaluation_periods),
        datapoints_to_alarm: int(wanted.datapoints_to_alarm),
        treat_missing_data: "notBreaching".to_owned(),
        alarm_actions: wanted.topics.iter().cloned().collect(),
        ok_actions: Default::default(),
        insufficient_data_actions: Default::default(),
        actions_enabled: phase != Phase::Paused,
    }
}

fn description(connector: &Connector, wanted: &penstock_crds::Alarm) -> String {
    let (name, threshold, most) = (&connector.name, wanted.threshold, most(connector));
    match wanted.kind {
        AlarmKind::HighCpuUsageAndMaxScaledOut => {
            format!(
                "Connector {name} uses more than {threshold} % CPU and is at its maximum of {most} tasks. Raise scaling.max or task.cpu."
            )
        }
        AlarmKind::HighRamUsageAndMaxScaledOut => {
            format!(
                "Connector {name} uses more than {threshold} % memory and is at its maximum of {most} tasks. Raise scaling.max or task.memory."
            )
        }
        AlarmKind::BacklogHighAndMaxScaledOut => {
            format!(
                "Connector {name} has a backlog of more than {threshold} messages per task and is at its maximum of {most} tasks. Raise scaling.max."
            )
        }
        AlarmKind::OldestMessageAge => {
            format!(
                "The oldest message of connector {name} has been waiting for more than {threshold} s. See the connector's status."
            )
        }
    }
}

fn most(connector: &Connector) -> u32 {
    connector.scaling.as_ref().map_or(1, |scaling| scaling.max)
}

/// Returns the metric math of one alarm; nothing for the age of a queue whose metrics this account and region lack.
fn metrics(connector: &Connector, wanted: &penstock_crds::Alarm, around: &Surroundings) -> Option<Vec<MetricQuery>> {
    let period = Some(seconds(wanted.period));
    let threshold = wanted.threshold;
    let use_of = |name: &str, label: &str| {
        vec![metric(
            "use",
            label,
            service_metric(connector, around, "AWS/ECS", name, "Average", period),
        )]
    };
    let (lines, hot) = match wanted.kind {
        AlarmKind::HighCpuUsageAndMaxScaledOut => {
            (use_of("CPUUtilization", "CPU in percent"), format!("use > {threshold}"))
        }
        AlarmKind::HighRamUsageAndMaxScaledOut => (
            use_of("MemoryUtilization", "memory in percent"),
            format!("use > {threshold}"),
        ),
        AlarmKind::BacklogHighAndMaxScaledOut if is_foreign_queue(connector, around) => (
            vec![published_backlog(connector, around, "backlog", period)],
            format!("backlog > {threshold}"),
        ),
        AlarmKind::BacklogHighAndMaxScaledOut => (
            queue_lines(connector, period),
            format!("(visible + inflight) / tasks > {threshold}"),
        ),
        AlarmKind::OldestMessageAge if is_foreign_queue(connector, around) => return None,
        AlarmKind::OldestMessageAge => {
            let age = queue_metric(connector, "ApproximateAgeOfOldestMessage", "Maximum", period);
            let lines = vec![metric("age", "age of the oldest message in seconds", age)];
            return Some(with_expression(
                lines,
                format!("IF(age > {threshold}, 1, 0)"),
                "too old",
            ));
        }
    };
    Some(at_maximum(connector, lines, &hot, period, around))
}

/// Adds "and at the maximum". Container Insights has the desired count, and is quiet during rollouts, when twice the
/// tasks may run; the free sample count may be at the maximum because of a rollout.
fn at_maximum(
    connector: &Connector,
    mut lines: Vec<MetricQuery>,
    hot: &str,
    period: Option<i32>,
    around: &Surroundings,
) -> Vec<MetricQuery> {
    let most = most(connector);
    let insights = |name| service_metric(connector, around, "ECS/ContainerInsights", name, "Average", period);
    let condition = if uses_container_insights(connector, around) {
        lines.push(metric("tasks", "desired tasks", insights("DesiredTaskCount")));
        lines.push(metric("deployments", "deployments", insights("DeploymentCount")));
        format!("IF({hot} AND tasks >= {most} AND deployments <= 1, 1, 0)")
    } else {
        let running = service_metric(connector, around, "AWS/ECS", "CPUUtilization", "SampleCount", period);
        lines.push(metric("tasks", "running tasks", running));
        // The sample count is one a minute for each task, so a longer period counts each task several times.
        let minutes = period.unwrap_or(60) / 60;
        let needed = i64::from(most) * i64::from(minutes.max(1));
        let hot = if minutes > 1 {
            hot.replace("/ tasks", &format!("/ (tasks / {minutes})"))
        } else {
            hot.to_owned()
        };
        format!("IF({hot} AND tasks >= {needed}, 1, 0)")
    };
    with_expression(lines, condition, "hot and at the maximum")
}

fn with_expression(mut lines: Vec<MetricQuery>, condition: String, label: &str) -> Vec<MetricQuery> {
    lines.push(expression("hot", &condition, label));
    lines
}
