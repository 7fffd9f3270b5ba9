//! Application Auto Scaling: targets and policies of ECS services.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_applicationautoscaling::operation::put_scaling_policy::builders::PutScalingPolicyFluentBuilder;
use aws_sdk_applicationautoscaling::operation::register_scalable_target::builders::RegisterScalableTargetFluentBuilder;
use aws_sdk_applicationautoscaling::types::{
    CustomizedMetricSpecification, MetricType, PolicyType, PredefinedMetricSpecification, ScalableDimension,
    ScalableTarget, ScalingPolicy, ServiceNamespace, SuspendedState, TargetTrackingMetric,
    TargetTrackingMetricDataQuery, TargetTrackingMetricDimension, TargetTrackingMetricStat,
    TargetTrackingScalingPolicyConfiguration,
};

use crate::check::{Aws, Check, Failure, Outcome, check, done, equal, holds, refused, there};
use crate::made::Made;
use crate::services::Home;
use crate::world::World;

const STARTS_TASKS: Aws = Aws::Never("it would start tasks");

pub(crate) const CHECKS: &[Check] = &[
    check!(
        target_is_described_as_registered,
        Aws::Subnet,
        "Application Auto Scaling API, RegisterScalableTarget and ScalableTarget"
    ),
    check!(
        target_needs_a_service,
        Aws::Free,
        "Application Auto Scaling API, RegisterScalableTarget: ValidationException"
    ),
    check!(
        registering_raises_the_count_to_the_minimum,
        STARTS_TASKS,
        "Application Auto Scaling API, RegisterScalableTarget: capacity is forced into the range"
    ),
    check!(
        registering_lowers_the_count_to_the_maximum,
        STARTS_TASKS,
        "Application Auto Scaling API, RegisterScalableTarget: capacity is forced into the range"
    ),
    check!(
        suspending_alone_forces_the_count_into_the_range,
        STARTS_TASKS,
        "Application Auto Scaling API, RegisterScalableTarget: capacity is forced into the range"
    ),
    check!(
        minimum_above_the_maximum_is_refused,
        Aws::Subnet,
        "Application Auto Scaling API, RegisterScalableTarget: ValidationException"
    ),
    check!(
        what_a_registration_does_not_name_stays,
        Aws::Subnet,
        "Application Auto Scaling API, RegisterScalableTarget: parameters that are not specified are unchanged"
    ),
    check!(
        suspension_is_kept_and_lifted,
        Aws::Subnet,
        "Application Auto Scaling User Guide, Suspend and resume scaling"
    ),
    check!(
        deregistering_takes_the_policies_along,
        Aws::Subnet,
        "Application Auto Scaling API, DeregisterScalableTarget"
    ),
    check!(
        unknown_target_is_not_deregistered,
        Aws::Free,
        "Application Auto Scaling API, DeregisterScalableTarget: ObjectNotFoundException"
    ),
    check!(
        policy_needs_a_target,
        Aws::Free,
        "Application Auto Scaling API, PutScalingPolicy: ObjectNotFoundException"
    ),
    check!(
        math_policy_is_described_as_put,
        Aws::Subnet,
        "Application Auto Scaling User Guide, Target tracking with metric math"
    ),
    check!(
        predefined_policy_is_described_as_put,
        Aws::Subnet,
        "Application Auto Scaling API, PredefinedMetricSpecification"
    ),
    check!(
        putting_a_policy_again_overwrites_it,
        Aws::Subnet,
        "Application Auto Scaling API, PutScalingPolicy"
    ),
    check!(
        tracking_policy_makes_alarms,
        Aws::Subnet,
        "Application Auto Scaling API, PutScalingPolicy: Alarms"
    ),
    check!(
        deleting_a_policy_takes_its_alarms_along,
        Aws::Subnet,
        "Application Auto Scaling API, DeleteScalingPolicy"
    ),
    check!(
        unknown_policy_is_not_deleted,
        Aws::Subnet,
        "Application Auto Scaling API, DeleteScalingPolicy: ObjectNotFoundException"
    ),
    check!(
        policies_are_described_in_pages,
        Aws::Subnet,
        "Application Auto Scaling API, DescribeScalingPolicies: MaxResults, NextToken"
    ),
    check!(
        targets_are_described_in_pages,
        Aws::Subnet,
        "Application Auto Scaling API, DescribeScalableTargets: MaxResults, NextToken"
    ),
    check!(
        target_tags_are_listed_by_arn,
        Aws::Subnet,
        "Application Auto Scaling API, ListTagsForResource"
    ),
    check!(
        forced_count_is_told_as_an_activity,
        STARTS_TASKS,
        "Application Auto Scaling API, DescribeScalingActivities"
    ),
];

/// A service and its resource id.
struct Scaled {
    home: Home,
    service: String,
    id: String,
}

impl Scaled {
    async fn new(world: &World) -> Result<Self, Failure> {
        let home = Home::new(world).await?;
        let service = home.created(world).await?;
        let id = format!("service/{}/{service}", home.cluster);
        Ok(Self { home, service, id })
    }

    /// Registers the service with a range.
    async fn registered(world: &World, min: i32, max: i32) -> Result<Self, Failure> {
        let scaled = Self::new(world).await?;
        done(
            "register the target",
            scaled.register(world).min_capacity(min).max_capacity(max).send().await,
        )?;
        Ok(scaled)
    }

    fn register(&self, world: &World) -> RegisterScalableTargetFluentBuilder {
        world.note(Made::Target(self.id.clone()));
        register(world, &self.id)
    }

    fn put(&self, world: &World, name: &str) -> PutScalingPolicyFluentBuilder {
        put(world, &self.id, name)
    }

    async fn target(&self, world: &World) -> Result<ScalableTarget, Failure> {
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

    async fn policies(&self, world: &World) -> Result<Vec<ScalingPolicy>, Failure> {
        let call = world
            .scaling()
            .describe_scaling_policies()
            .service_namespace(ServiceNamespace::Ecs)
            .resource_id(&self.id);
        Ok(done("describe the policies", call.send().await)?
            .scaling_policies
            .unwrap_or_default())
    }

    async fn count(&self, world: &World) -> Result<i32, Failure> {
        Ok(self.home.described(world, &self.service).await?.desired_count())
    }

    async fn set_count(&self, world: &World, count: i32) -> Outcome {
        let call = world
            .ecs()
            .update_service()
            .cluster(&self.home.cluster)
            .service(&self.service);
        done("set the count", call.desired_count(count).send().await).map(drop)
    }
}

fn register(world: &World, id: &str) -> RegisterScalableTargetFluentBuilder {
    let call = world
        .scaling()
        .register_scalable_target()
        .service_namespace(ServiceNamespace::Ecs)
        .resource_id(id);
    call.scalable_dimension(ScalableDimension::EcsServiceDesiredCount)
}

fn put(world: &World, id: &str, name: &str) -> PutScalingPolicyFluentBuilder {
    let call = world
        .scaling()
        .put_scaling_policy()
        .service_namespace(ServiceNamespace::Ecs)
        .resource_id(id)
        .policy_name(name);
    call.scalable_dimension(ScalableDimension::EcsServiceDesiredCount)
        .policy_type(PolicyType::TargetTrackingScaling)
}

fn memory(target: f64) -> Result<TargetTrackingScalingPolicyConfiguration, Failure> {
    predefined(MetricType::EcsServiceAverageMemoryUtilization, target)
}

fn predefined(metric: MetricType, target: f64) -> Result<TargetTrackingScalingPolicyConfiguration, Failure> {
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
fn backlog(target: f64) -> Result<TargetTrackingScalingPolicyConfiguration, Failure> {
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

fn stat(
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

async fn target_is_described_as_registered(world: &World) -> Outcome {
    let scaled = Scaled::new(world).await?;
    let answer = done(
        "register",
        scaled.register(world).min_capacity(0).max_capacity(7).send().await,
    )?;
    let target = scaled.target(world).await?;
    equal("the range", (target.min_capacity(), target.max_capacity()), (0, 7))?;
    equal("the resource", target.resource_id(), scaled.id.as_str())?;
    equal(
        "the dimension",
        target.scalable_dimension(),
        &ScalableDimension::EcsServiceDesiredCount,
    )?;
    holds("it has an ARN", answer.scalable_target_arn().is_some())?;
    equal("the ARN", target.scalable_target_arn(), answer.scalable_target_arn())?;
    equal("what is suspended", suspended(&target), [Some(false); 3])?;
    holds(
        "it has a role",
        target
            .role_arn()
            .ends_with("AWSServiceRoleForApplicationAutoScaling_ECSService"),
    )
}

fn suspended(target: &ScalableTarget) -> [Option<bool>; 3] {
    let Some(state) = target.suspended_state() else {
        return [None; 3];
    };
    [
        state.dynamic_scaling_in_suspended(),
        state.dynamic_scaling_out_suspended(),
        state.scheduled_scaling_suspended(),
    ]
}

async fn target_needs_a_service(world: &World) -> Outcome {
    let id = format!("service/{}/nobody", world.name("nobody"));
    let answer = register(world, &id).min_capacity(0).max_capacity(1).send().await;
    if answer.is_ok() {
        world.note(Made::Target(id));
    }
    refused(
        "a target without a service",
        answer,
        &["ValidationException"],
        "ECS service doesn't exist",
    )
}

async fn registering_raises_the_count_to_the_minimum(world: &World) -> Outcome {
    let scaled = Scaled::registered(world, 2, 5).await?;
    equal("the desired count", scaled.count(world).await?, 2)
}

async fn registering_lowers_the_count_to_the_maximum(world: &World) -> Outcome {
    let scaled = Scaled::new(world).await?;
    scaled.set_count(world, 6).await?;
    done(
        "register",
        scaled.register(world).min_capacity(0).max_capacity(4).send().await,
    )?;
    equal("the desired count", scaled.count(world).await?, 4)
}

async fn suspending_alone_forces_the_count_into_the_range(world: &World) -> Outcome {
    let scaled = Scaled::registered(world, 2, 5).await?;
    scaled.set_count(world, 0).await?;
    equal("the count that was set", scaled.count(world).await?, 0)?;
    let all = SuspendedState::builder()
        .dynamic_scaling_in_suspended(true)
        .dynamic_scaling_out_suspended(true)
        .build();
    done("suspend", scaled.register(world).suspended_state(all).send().await)?;
    equal("the desired count", scaled.count(world).await?, 2)
}

async fn minimum_above_the_maximum_is_refused(world: &World) -> Outcome {
    let scaled = Scaled::new(world).await?;
    let answer = scaled.register(world).min_capacity(5).max_capacity(2).send().await;
    refused("min 5 and max 2", answer, &["ValidationException"], "")
}

async fn what_a_registration_does_not_name_stays(world: &World) -> Outcome {
    let scaled = Scaled::registered(world, 0, 7).await?;
    let inward = SuspendedState::builder().dynamic_scaling_in_suspended(true).build();
    done("suspend", scaled.register(world).suspended_state(inward).send().await)?;
    let target = scaled.target(world).await?;
    equal("the range", (target.min_capacity(), target.max_capacity()), (0, 7))?;
    done("widen", scaled.register(world).max_capacity(9).send().await)?;
    let target = scaled.target(world).await?;
    equal("the range", (target.min_capacity(), target.max_capacity()), (0, 9))?;
    equal("what is suspended", suspended(&target)[0], Some(true))
}

async fn suspension_is_kept_and_lifted(world: &World) -> Outcome {
    let scaled = Scaled::registered(world, 0, 7).await?;
    for is_suspended in [true, false] {
        let all = SuspendedState::builder().dynamic_scaling_in_suspended(is_suspended);
        let all = all
            .dynamic_scaling_out_suspended(is_suspended)
            .scheduled_scaling_suspended(is_suspended)
            .build();
        done(
            "suspend or resume",
            scaled.register(world).suspended_state(all).send().await,
        )?;
        equal(
            "what is suspended",
            suspended(&scaled.target(world).await?),
            [Some(is_suspended); 3],
        )?;
    }
    Ok(())
}

async fn deregistering_takes_the_policies_along(world: &World) -> Outcome {
    let scaled = Scaled::registered(world, 0, 7).await?;
    let put = scaled
        .put(world, "memory")
        .target_tracking_scaling_policy_configuration(memory(75.0)?);
    done("put a policy", put.send().await)?;
    equal("the number of policies before", scaled.policies(world).await?.len(), 1)?;
    let call = world
        .scaling()
        .deregister_scalable_target()
        .service_namespace(ServiceNamespace::Ecs)
        .resource_id(&scaled.id);
    done(
        "deregister",
        call.scalable_dimension(ScalableDimension::EcsServiceDesiredCount)
            .send()
            .await,
    )?;
    equal("the number of policies after", scaled.policies(world).await?.len(), 0)?;
    done(
        "register anew",
        scaled.register(world).min_capacity(0).max_capacity(7).send().await,
    )?;
    equal(
        "the number of policies of the new target",
        scaled.policies(world).await?.len(),
        0,
    )
}

async fn unknown_target_is_not_deregistered(world: &World) -> Outcome {
    let id = format!("service/{}/nobody", world.name("nobody"));
    let call = world
        .scaling()
        .deregister_scalable_target()
        .service_namespace(ServiceNamespace::Ecs)
        .resource_id(id);
    let answer = call
        .scalable_dimension(ScalableDimension::EcsServiceDesiredCount)
        .send()
        .await;
    refused("an unknown target", answer, &["ObjectNotFoundException"], "")
}

async fn policy_needs_a_target(world: &World) -> Outcome {
    let id = format!("service/{}/nobody", world.name("nobody"));
    let answer = put(world, &id, "memory")
        .target_tracking_scaling_policy_configuration(memory(75.0)?)
        .send()
        .await;
    refused("a policy without a target", answer, &["ObjectNotFoundException"], "")
}

async fn math_policy_is_described_as_put(world: &World) -> Outcome {
    described_as_put(world, backlog(100.0)?).await
}

async fn predefined_policy_is_described_as_put(world: &World) -> Outcome {
    described_as_put(world, memory(75.0)?).await
}

async fn described_as_put(world: &World, tracking: TargetTrackingScalingPolicyConfiguration) -> Outcome {
    let scaled = Scaled::registered(world, 0, 7).await?;
    let put = scaled
        .put(world, "policy")
        .target_tracking_scaling_policy_configuration(tracking.clone());
    let arn = done("put the policy", put.send().await)?.policy_arn;
    let policies = scaled.policies(world).await?;
    let policy = there("the policy", policies.first())?;
    equal("the name", policy.policy_name(), "policy")?;
    equal("the ARN", policy.policy_arn(), arn.as_str())?;
    equal("the type", policy.policy_type(), &PolicyType::TargetTrackingScaling)?;
    equal(
        "the configuration",
        policy.target_tracking_scaling_policy_configuration(),
        Some(&tracking),
    )
}

async fn putting_a_policy_again_overwrites_it(world: &World) -> Outcome {
    let scaled = Scaled::registered(world, 0, 7).await?;
    let mut arns = BTreeSet::new();
    for target in [75.0, 50.0] {
        let put = scaled
            .put(world, "memory")
            .target_tracking_scaling_policy_configuration(memory(target)?);
        arns.insert(done("put the policy", put.send().await)?.policy_arn);
    }
    equal("the number of ARNs", arns.len(), 1)?;
    let policies = scaled.policies(world).await?;
    equal("the number of policies", policies.len(), 1)?;
    let tracking = policies[0].target_tracking_scaling_policy_configuration();
    equal("the target", tracking.map(|one| one.target_value()), Some(50.0))
}

/// Puts a policy, and returns the names of the alarms that the answer and the description tell, which are the same.
async fn alarms_of_a_policy(world: &World, scaled: &Scaled) -> Result<Vec<String>, Failure> {
    let put = scaled
        .put(world, "backlog")
        .target_tracking_scaling_policy_configuration(backlog(100.0)?);
    let answer = done("put the policy", put.send().await)?;
    let names: BTreeSet<_> = answer
        .alarms()
        .iter()
        .map(|alarm| alarm.alarm_name().to_owned())
        .collect();
    let policies = scaled.policies(world).await?;
    let told: BTreeSet<_> = policies
        .iter()
        .flat_map(|one| one.alarms())
        .map(|alarm| alarm.alarm_name().to_owned())
        .collect();
    equal("the alarms that are described", told, names.clone())?;
    equal("the number of alarms", names.len(), 2)?;
    Ok(names.into_iter().collect())
}

async fn tracking_policy_makes_alarms(world: &World) -> Outcome {
    let scaled = Scaled::registered(world, 0, 7).await?;
    let names = alarms_of_a_policy(world, &scaled).await?;
    let prefix = format!("TargetTracking-{}-Alarm", scaled.id);
    holds(
        "their names tell whose they are",
        names.iter().all(|name| name.starts_with(&prefix)),
    )?;
    let answer = world
        .cloudwatch()
        .describe_alarms()
        .set_alarm_names(Some(names))
        .send()
        .await;
    let alarms = done("describe them", answer)?.metric_alarms.unwrap_or_default();
    equal("the number of alarms in CloudWatch", alarms.len(), 2)?;
    let high = there(
        "the high alarm",
        alarms
            .iter()
            .find(|one| one.alarm_name().is_some_and(|name| name.contains("-AlarmHigh-"))),
    )?;
    equal("its threshold", high.threshold(), Some(100.0))
}

async fn deleting_a_policy_takes_its_alarms_along(world: &World) -> Outcome {
    let scaled = Scaled::registered(world, 0, 7).await?;
    let names = alarms_of_a_policy(world, &scaled).await?;
    done("delete the policy", delete(world, &scaled.id, "backlog").await)?;
    equal("the number of policies", scaled.policies(world).await?.len(), 0)?;
    let answer = world
        .cloudwatch()
        .describe_alarms()
        .set_alarm_names(Some(names))
        .send()
        .await;
    equal(
        "the number of alarms",
        done("describe them", answer)?.metric_alarms().len(),
        0,
    )
}

async fn delete(
    world: &World,
    id: &str,
    name: &str,
) -> Result<impl std::fmt::Debug + use<>, aws_sdk_applicationautoscaling::Error> {
    let call = world
        .scaling()
        .delete_scaling_policy()
        .service_namespace(ServiceNamespace::Ecs)
        .resource_id(id);
    let call = call
        .scalable_dimension(ScalableDimension::EcsServiceDesiredCount)
        .policy_name(name);
    Ok(call.send().await?)
}

async fn unknown_policy_is_not_deleted(world: &World) -> Outcome {
    let scaled = Scaled::registered(world, 0, 7).await?;
    refused(
        "an unknown policy",
        delete(world, &scaled.id, "nobody").await,
        &["ObjectNotFoundException"],
        "",
    )
}

async fn policies_are_described_in_pages(world: &World) -> Outcome {
    let scaled = Scaled::registered(world, 0, 7).await?;
    let cpu = predefined(MetricType::EcsServiceAverageCpuUtilization, 60.0)?;
    for (name, tracking) in [("backlog", backlog(100.0)?), ("cpu", cpu), ("memory", memory(75.0)?)] {
        let put = scaled
            .put(world, name)
            .target_tracking_scaling_policy_configuration(tracking);
        done("put a policy", put.send().await)?;
    }
    let list = || {
        let call = world
            .scaling()
            .describe_scaling_policies()
            .service_namespace(ServiceNamespace::Ecs);
        call.resource_id(&scaled.id).max_results(2)
    };
    let first = done("describe", list().send().await)?;
    equal("the first page's length", first.scaling_policies().len(), 2)?;
    let token = there("the token of the second page", first.next_token())?;
    let second = done("describe the second page", list().next_token(token).send().await)?;
    let all = first.scaling_policies().iter().chain(second.scaling_policies());
    let names: BTreeSet<_> = all.map(|one| one.policy_name()).collect();
    equal("all names", names, BTreeSet::from(["backlog", "cpu", "memory"]))?;
    equal("the token after the last page", second.next_token(), None)
}

async fn targets_are_described_in_pages(world: &World) -> Outcome {
    let mut ids = BTreeSet::new();
    for _ in 0..3 {
        ids.insert(Scaled::registered(world, 0, 7).await?.id);
    }
    let list = || {
        let call = world
            .scaling()
            .describe_scalable_targets()
            .service_namespace(ServiceNamespace::Ecs);
        call.set_resource_ids(Some(ids.iter().cloned().collect()))
            .max_results(2)
    };
    let first = done("describe", list().send().await)?;
    equal("the first page's length", first.scalable_targets().len(), 2)?;
    let token = there("the token of the second page", first.next_token())?;
    let second = done("describe the second page", list().next_token(token).send().await)?;
    let all = first.scalable_targets().iter().chain(second.scalable_targets());
    equal(
        "all ids",
        all.map(|one| one.resource_id().to_owned()).collect(),
        ids.clone(),
    )
}

async fn target_tags_are_listed_by_arn(world: &World) -> Outcome {
    let scaled = Scaled::new(world).await?;
    let call = scaled
        .register(world)
        .min_capacity(0)
        .max_capacity(7)
        .tags("penstock:uid", "u-1");
    let arn = there("the ARN", done("register", call.send().await)?.scalable_target_arn)?;
    let listed = done(
        "list tags",
        world.scaling().list_tags_for_resource().resource_arn(arn).send().await,
    )?;
    let wanted = HashMap::from([("penstock:uid".to_owned(), "u-1".to_owned())]);
    equal("the tags", listed.tags().cloned(), Some(wanted))
}

async fn forced_count_is_told_as_an_activity(world: &World) -> Outcome {
    let scaled = Scaled::registered(world, 3, 5).await?;
    let call = world
        .scaling()
        .describe_scaling_activities()
        .service_namespace(ServiceNamespace::Ecs);
    let activities = done("describe activities", call.resource_id(&scaled.id).send().await)?;
    let newest = there("an activity", activities.scaling_activities().first())?;
    equal("what it did", newest.description(), "Setting desired count to 3.")?;
    holds("it says why", newest.cause().contains("minimum capacity was set to 3"))
}
