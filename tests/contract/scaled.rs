//! A service that Application Auto Scaling knows, and policies for it.

use aws_sdk_applicationautoscaling::operation::put_scaling_policy::builders::PutScalingPolicyFluentBuilder;
use aws_sdk_applicationautoscaling::operation::register_scalable_target::builders::RegisterScalableTargetFluentBuilder;
use aws_sdk_applicationautoscaling::types::{
    CustomizedMetricSpecification, MetricType, PolicyType, PredefinedMetricSpecification, ScalableDimension,
    ScalableTarget, ScalingPolicy, ServiceNamespace, TargetTrackingMetric, TargetTrackingMetricDataQuery,
    TargetTrackingMetricDimension, TargetTrackingMetricStat, TargetTrackingScalingPolicyConfiguration,
};

use crate::check::{Failure, Outcome, done, there};
use crate::home::Home;
use crate::made::Made;
use crate::world::World;

/// A service and its resource id.
pub(crate) struct Scaled {
    pub(crate) home: Home,
    pub(crate) service: String,
    pub(crate) id: String,
}

impl Scaled {
    pub(crate) async fn new(world: &World) -> Result<Self, Failure> {
        let home = Home::new(world).await?;
        let service = home.created(world).await?;
        let id = format!("service/{}/{service}", home.cluster);
        Ok(Self { home, service, id })
    }

    /// Registers the service with a range.
    pub(crate) async fn registered(world: &World, min: i32, max: i32) -> Result<Self, Failure> {
        let scaled = Self::new(world).await?;
        done(
            "register the target",
            scaled.register(world).min_capacity(min).max_capacity(max).send().await,
        )?;
        Ok(scaled)
    }

    pub(crate) fn register(&self, world: &World) -> RegisterScalableTargetFluentBuilder {
        world.note(Made::Target(self.id.clone()));
        register(world, &self.id)
    }

    pub(crate) fn put(&self, world: &World, name: &str) -> PutScalingPolicyFluentBuilder {
        put(world, &self.id, name)
    }

    pub(crate) async fn target(&self, world: &World) -> Result<ScalableTarget, Failure> {
        let call = world
            .scaling()
            .describe_scalable_targets()
            .service_namespace(ServiceNamespace::Ecs)
            .resource_ids(&self.id);
        let found = done("describe the target", call.send().await)?
            .scalable_targets
            .unwrap_or_default();
        there("the target", found.into_iter().next())
    }

    pub(crate) async fn policies(&self, world: &World) -> Result<Vec<ScalingPolicy>, Failure> {
        let call = world
            .scaling()
            .describe_scaling_policies()
            .service_namespace(ServiceNamespace::Ecs)
            .resource_id(&self.id);
        Ok(done("describe the policies", call.send().await)?
            .scaling_policies
            .unwrap_or_default())
    }

    pub(crate) async fn count(&self, world: &World) -> Result<i32, Failure> {
        Ok(self.home.described(world, &self.service).await?.desired_count())
    }

    pub(crate) async fn set_count(&self, world: &World, count: i32) -> Outcome {
        let call = world
            .ecs()
            .update_service()
            .cluster(&self.home.cluster)
            .service(&self.service);
        done("set the count", call.desired_count(count).send().await).map(drop)
    }
}

pub(crate) fn register(world: &World, id: &str) -> RegisterScalableTargetFluentBuilder {
    let call = world
        .scaling()
        .register_scalable_target()
        .service_namespace(ServiceNamespace::Ecs)
        .resource_id(id);
    call.scalable_dimension(ScalableDimension::EcsServiceDesiredCount)
}

pub(crate) fn put(world: &World, id: &str, name: &str) -> PutScalingPolicyFluentBuilder {
    let call = world
        .scaling()
        .put_scaling_policy()
        .service_namespace(ServiceNamespace::Ecs)
        .resource_id(id)
        .policy_name(name);
    call.scalable_dimension(ScalableDimension::EcsServiceDesiredCount)
        .policy_type(PolicyType::TargetTrackingScaling)
}

pub(crate) fn memory(target: f64) -> Result<TargetTrackingScalingPolicyConfiguration, Failure> {
    predefined(MetricType::EcsServiceAverageMemoryUtilization, target)
}

pub(crate) fn predefined(metric: MetricType, target: f64) -> Result<TargetTrackingScalingPolicyConfiguration, Failure> {
    let metric = PredefinedMetricSpecification::builder()
        .predefined_metric_type(metric)
        .build();
    let tracking = TargetTrackingScalingPolicyConfiguration::builder().target_value(target);
    let tracking = tracking.predefined_metric_specification(done("name a metric", metric)?);
    done(
        "name a target",
        tracking
            .scale_out_cooldown(30)
            .scale_in_cooldown(120)
            .disable_scale_in(true)
            .build(),
    )
}

/// Backlog per task as the user guide builds it.
pub(crate) fn backlog(target: f64) -> Result<TargetTrackingScalingPolicyConfiguration, Failure> {
    let visible = stat(
        "AWS/SQS",
        "ApproximateNumberOfMessagesVisible",
        &[("QueueName", "orders")],
        "Sum",
    )?;
    let running = stat(
        "ECS/ContainerInsights",
        "RunningTaskCount",
        &[("ClusterName", "c"), ("ServiceName", "s")],
        "Average",
    )?;
    let query = |id: &str| {
        TargetTrackingMetricDataQuery::builder()
            .id(id)
            .label(format!("label of {id}"))
    };
    let metrics = [
        query("m1").metric_stat(visible).return_data(false).build(),
        query("m2").metric_stat(running).return_data(false).build(),
        query("e1").expression("m1 / m2").return_data(true).build(),
    ];
    let metrics = metrics
        .into_iter()
        .map(|query| done("name a query", query))
        .collect::<Result<Vec<_>, _>>()?;
    let metric = CustomizedMetricSpecification::builder()
        .set_metrics(Some(metrics))
        .build();
    let tracking = TargetTrackingScalingPolicyConfiguration::builder().target_value(target);
    let tracking = tracking
        .customized_metric_specification(metric)
        .scale_out_cooldown(60)
        .scale_in_cooldown(300);
    done("name a target", tracking.disable_scale_in(false).build())
}

pub(crate) fn stat(
    namespace: &str,
    name: &str,
    dimensions: &[(&str, &str)],
    stat: &str,
) -> Result<TargetTrackingMetricStat, Failure> {
    let dimension = |(name, value): &(&str, &str)| {
        TargetTrackingMetricDimension::builder()
            .name(*name)
            .value(*value)
            .build()
    };
    let dimensions = dimensions
        .iter()
        .map(|one| done("name a dimension", dimension(one)))
        .collect::<Result<Vec<_>, _>>()?;
    let metric = TargetTrackingMetric::builder()
        .namespace(namespace)
        .metric_name(name)
        .set_dimensions(Some(dimensions));
    done(
        "name a statistic",
        TargetTrackingMetricStat::builder()
            .metric(metric.build())
            .stat(stat)
            .build(),
    )
}
