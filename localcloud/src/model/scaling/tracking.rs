//! The configuration of a target tracking policy: a metric and the value it should have.

use serde::{Deserialize, Serialize};

use super::refused;
use crate::model::cloudwatch::{Dimension, Metric, MetricDataQuery, MetricStat, Queries, Settings, Statistic};
use crate::model::route::service_of;
use crate::model::{Fault, Millis};

/// The period of every alarm that Application Auto Scaling makes.
const PERIOD_SECONDS: i64 = 60;
/// The default of both cooldowns for ECS services.
const COOLDOWN_SECONDS: i64 = 300;

/// `TargetTrackingScalingPolicyConfiguration`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Tracking {
    /// What the metric should be.
    pub target_value: f64,
    /// A metric by its type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predefined_metric_specification: Option<Predefined>,
    /// A metric by its name, or metric math.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customized_metric_specification: Option<Customized>,
    /// Seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_out_cooldown: Option<i64>,
    /// Seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_in_cooldown: Option<i64>,
    /// Whether the policy only ever adds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disable_scale_in: Option<bool>,
}

/// A metric by its type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Predefined {
    predefined_metric_type: PredefinedType,
}

/// The predefined metrics of an ECS service that need no load balancer and no finer resolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum PredefinedType {
    ECSServiceAverageCPUUtilization,
    ECSServiceAverageMemoryUtilization,
}

/// A metric by its name, or metric math.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Customized {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    metric_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dimensions: Option<Vec<Dimension>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    statistic: Option<Statistic>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unit: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    metrics: Option<Vec<Query>>,
}

/// A metric data query without a period, which is always a minute here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Query {
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expression: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    metric_stat: Option<QueryStat>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    return_data: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct QueryStat {
    metric: Metric,
    stat: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unit: Option<String>,
}

impl Query {
    fn with_period(&self) -> MetricDataQuery {
        let stat = |stat: &QueryStat| MetricStat {
            metric: stat.metric.clone(),
            period: PERIOD_SECONDS,
            stat: stat.stat.clone(),
            unit: stat.unit.clone(),
        };
        MetricDataQuery {
            id: self.id.clone(),
            metric_stat: self.metric_stat.as_ref().map(stat),
            expression: self.expression.clone(),
            label: self.label.clone(),
            return_data: self.return_data,
        }
    }
}

impl Tracking {
    /// Returns the scale-out cooldown.
    pub(super) fn scale_out_cooldown(&self) -> Millis {
        self.scale_out_cooldown
            .unwrap_or(COOLDOWN_SECONDS)
            .saturating_mul(1_000)
    }

    /// Returns the scale-in cooldown.
    pub(super) fn scale_in_cooldown(&self) -> Millis {
        self.scale_in_cooldown.unwrap_or(COOLDOWN_SECONDS).saturating_mul(1_000)
    }

    /// Checks the configuration.
    pub(super) fn check(&self) -> Result<(), Fault> {
        if !self.target_value.is_finite() || self.target_value <= 0.0 {
            return Err(refused(
                "TargetValue must be a number above 0: capacity is set in proportion to it",
            ));
        }
        if [self.scale_out_cooldown, self.scale_in_cooldown]
            .into_iter()
            .flatten()
            .any(|cooldown| cooldown < 0)
        {
            return Err(refused("ScaleOutCooldown and ScaleInCooldown must be 0 or greater"));
        }
        match (
            &self.predefined_metric_specification,
            &self.customized_metric_specification,
        ) {
            (Some(_), None) => Ok(()),
            (None, Some(customized)) => customized.check(),
            _ => Err(refused(
                "exactly one of PredefinedMetricSpecification and CustomizedMetricSpecification is required",
            )),
        }
    }

    /// Fills in what an alarm on this metric watches.
    pub(super) fn watch(&self, settings: &mut Settings, resource_id: &str) {
        let Some((cluster, service)) = service_of(resource_id) else {
            return;
        };
        if let Some(predefined) = &self.predefined_metric_specification {
            let name = match predefined.predefined_metric_type {
                PredefinedType::ECSServiceAverageCPUUtilization => "CPUUtilization",
                PredefinedType::ECSServiceAverageMemoryUtilization => "MemoryUtilization",
            };
            let dimension = |name: &str, value: &str| Dimension {
                name: name.to_owned(),
                value: value.to_owned(),
            };
            settings.namespace = Some("AWS/ECS".to_owned());
            settings.metric_name = Some(name.to_owned());
            settings.dimensions = Some(vec![
                dimension("ClusterName", cluster),
                dimension("ServiceName", service),
            ]);
            settings.statistic = Some(Statistic::Average);
            settings.period = Some(PERIOD_SECONDS);
        } else if let Some(customized) = &self.customized_metric_specification {
            customized.watch(settings);
        }
    }
}

impl Customized {
    fn check(&self) -> Result<(), Fault> {
        let Some(metrics) = &self.metrics else {
            let is_whole = self.metric_name.is_some() && self.namespace.is_some() && self.statistic.is_some();
            let message = "CustomizedMetricSpecification needs MetricName, Namespace and Statistic, or Metrics";
            return if is_whole { Ok(()) } else { Err(refused(message)) };
        };
        let is_flat = self.metric_name.is_some() || self.namespace.is_some() || self.statistic.is_some();
        if is_flat || self.dimensions.is_some() || self.unit.is_some() {
            return Err(refused(
                "CustomizedMetricSpecification.Metrics excludes MetricName, Namespace, Dimensions, Statistic and Unit",
            ));
        }
        let queries: Vec<MetricDataQuery> = metrics.iter().map(Query::with_period).collect();
        Queries::check_stored(&queries)
            .map(|_| ())
            .map_err(|error| refused(format!("CustomizedMetricSpecification.Metrics: {error}")))
    }

    fn watch(&self, settings: &mut Settings) {
        if let Some(metrics) = &self.metrics {
            settings.metrics = Some(metrics.iter().map(Query::with_period).collect());
            return;
        }
        settings.namespace.clone_from(&self.namespace);
        settings.metric_name.clone_from(&self.metric_name);
        settings.dimensions = Some(self.dimensions.clone().unwrap_or_default());
        settings.statistic = self.statistic;
        settings.unit.clone_from(&self.unit);
        settings.period = Some(PERIOD_SECONDS);
    }
}
