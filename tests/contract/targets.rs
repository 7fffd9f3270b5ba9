//! Application Auto Scaling: scalable targets of ECS services.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_applicationautoscaling::types::{ScalableDimension, ScalableTarget, ServiceNamespace, SuspendedState};

use crate::check::{Aws, Check, Outcome, check, done, equal, holds, refused, there};
use crate::made::Made;
use crate::scaled::{Scaled, register};
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
        unknown_target_is_not_deregistered,
        Aws::Free,
        "Application Auto Scaling API, DeregisterScalableTarget: ObjectNotFoundException"
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
