//! Application Auto Scaling: policies of ECS services.

use std::collections::BTreeSet;

use aws_sdk_applicationautoscaling::types::{
    MetricType, PolicyType, ScalableDimension, ServiceNamespace, TargetTrackingScalingPolicyConfiguration,
};

use crate::check::{Aws, Check, Failure, Outcome, check, done, equal, holds, refused, there};
use crate::scaled::{Scaled, backlog, memory, predefined, put};
use crate::world::World;

pub(crate) const CHECKS: &[Check] = &[
    check!(
        deregistering_takes_the_policies_along,
        Aws::Subnet,
        "Application Auto Scaling API, DeregisterScalableTarget"
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
];

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
