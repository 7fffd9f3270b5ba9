//! ECS: the EC2 launch type, and where services want their tasks placed.

use std::time::Duration;

use aws_sdk_ecs::operation::create_service::builders::CreateServiceFluentBuilder;
use aws_sdk_ecs::types::{
    AssignPublicIp, AvailabilityZoneRebalancing, Compatibility, LaunchType, PlacementConstraint,
    PlacementConstraintType, PlacementStrategy, PlacementStrategyType, Service,
};
use penstock_tests::wait_until;

use crate::check::{Aws, Check, Failure, Outcome, check, done, equal, holds, refused, there};
use crate::definitions::definition_of;
use crate::home::{Home, network_with, rollout};
use crate::world::World;

const SOON: Duration = Duration::from_secs(20);

pub(crate) const CHECKS: &[Check] = &[
    check!(
        definition_for_ec2_has_any_size,
        Aws::Free,
        "ECS API, RegisterTaskDefinition: requiresCompatibilities, cpu and memory"
    ),
    check!(
        definition_must_support_the_launch_type,
        Aws::Subnet,
        "ECS API, TaskDefinition: compatibilities"
    ),
    check!(
        service_on_ec2_has_no_platform,
        Aws::Subnet,
        "ECS API, Service: platformVersion and platformFamily"
    ),
    check!(
        public_address_is_refused_on_ec2,
        Aws::Subnet,
        "ECS Developer Guide, task networking: assignPublicIp on EC2"
    ),
    check!(
        placement_is_described_as_given,
        Aws::Subnet,
        "ECS API, PlacementConstraint and PlacementStrategy"
    ),
    check!(
        placement_is_changed_without_a_deployment,
        Aws::Subnet,
        "ECS API, UpdateService: placementConstraints and placementStrategy"
    ),
    check!(
        placement_is_removed_by_empty_lists,
        Aws::Subnet,
        "ECS API, UpdateService: placementConstraints and placementStrategy"
    ),
    check!(
        fargate_refuses_placement_constraints,
        Aws::Subnet,
        "ECS API, PlacementConstraint: not supported on Fargate"
    ),
    check!(
        fargate_refuses_placement_strategies,
        Aws::Subnet,
        "ECS Developer Guide, task placement: not supported on Fargate"
    ),
    check!(
        eleven_placement_constraints_are_refused,
        Aws::Subnet,
        "ECS API, CreateService: placementConstraints"
    ),
    check!(
        six_placement_strategies_are_refused,
        Aws::Subnet,
        "ECS API, CreateService: placementStrategy"
    ),
    check!(
        distinct_instance_takes_no_expression,
        Aws::Subnet,
        "ECS API, PlacementConstraint: expression"
    ),
    check!(
        member_of_needs_a_sound_expression,
        Aws::Subnet,
        "ECS Developer Guide, cluster query language"
    ),
    check!(
        packing_goes_by_cpu_or_memory,
        Aws::Subnet,
        "ECS API, PlacementStrategy: field"
    ),
    check!(
        task_without_an_instance_is_told_as_an_event,
        Aws::Subnet,
        "ECS Developer Guide, service event messages"
    ),
    check!(
        rebalancing_is_on_unless_the_placement_forbids_it,
        Aws::Subnet,
        "ECS API, CreateService: availabilityZoneRebalancing"
    ),
    check!(
        rebalancing_is_changed_without_a_deployment,
        Aws::Subnet,
        "ECS API, UpdateService: availabilityZoneRebalancing"
    ),
];

fn constraint(kind: PlacementConstraintType, expression: Option<&str>) -> PlacementConstraint {
    PlacementConstraint::builder()
        .r#type(kind)
        .set_expression(expression.map(str::to_owned))
        .build()
}

fn distinct() -> PlacementConstraint {
    constraint(PlacementConstraintType::DistinctInstance, None)
}

fn member_of(expression: &str) -> PlacementConstraint {
    constraint(PlacementConstraintType::MemberOf, Some(expression))
}

fn strategy(kind: PlacementStrategyType, field: Option<&str>) -> PlacementStrategy {
    PlacementStrategy::builder()
        .r#type(kind)
        .set_field(field.map(str::to_owned))
        .build()
}

fn packed() -> PlacementStrategy {
    strategy(PlacementStrategyType::Binpack, Some("memory"))
}

/// Strategies as text; ECS shows some fields in capitals, which its documentation does not promise.
fn spelled(strategies: &[PlacementStrategy]) -> Vec<String> {
    let spell = |one: &PlacementStrategy| format!("{:?} {:?}", one.r#type(), one.field().map(str::to_lowercase));
    strategies.iter().map(spell).collect()
}

/// Prepares a service of no task on EC2.
fn on_ec2(home: &Home, world: &World, name: &str) -> CreateServiceFluentBuilder {
    home.service(world, name).launch_type(LaunchType::Ec2)
}

/// Creates a service of no task on EC2 with this placement, and describes it.
async fn placed(
    home: &Home,
    world: &World,
    constraints: Vec<PlacementConstraint>,
    strategies: Vec<PlacementStrategy>,
) -> Result<(String, Service), Failure> {
    let name = world.name("service");
    let call = on_ec2(home, world, &name)
        .set_placement_constraints(Some(constraints))
        .set_placement_strategy(Some(strategies));
    done("create a service on EC2", call.send().await)?;
    let service = home.described(world, &name).await?;
    Ok((name, service))
}

async fn definition_for_ec2_has_any_size(world: &World) -> Outcome {
    let sized = definition_of(world, &world.name("family"), Compatibility::Ec2, ("300", "700")).await?;
    equal("the size", (sized.cpu(), sized.memory()), (Some("300"), Some("700")))?;
    equal(
        "what it requires",
        sized.requires_compatibilities().to_vec(),
        vec![Compatibility::Ec2],
    )?;
    let can = |where_: Compatibility| sized.compatibilities().contains(&where_);
    holds("it can run on EC2", can(Compatibility::Ec2))?;
    holds("it cannot run on Fargate", !can(Compatibility::Fargate))
}

async fn definition_must_support_the_launch_type(world: &World) -> Outcome {
    let home = Home::new(world).await?;
    let sized = definition_of(world, &world.name("family"), Compatibility::Ec2, ("300", "700")).await?;
    let call = home
        .service(world, &world.name("service"))
        .task_definition(sized.task_definition_arn().unwrap_or_default());
    refused(
        "a definition for EC2 on Fargate",
        call.send().await,
        &["InvalidParameterException"],
        "does not support launch_type FARGATE",
    )
}

async fn service_on_ec2_has_no_platform(world: &World) -> Outcome {
    let home = Home::new(world).await?;
    let (_, service) = placed(&home, world, Vec::new(), Vec::new()).await?;
    equal("the launch type", service.launch_type(), Some(&LaunchType::Ec2))?;
    equal("the platform version", service.platform_version(), None)?;
    equal("the platform family", service.platform_family(), None)
}

async fn public_address_is_refused_on_ec2(world: &World) -> Outcome {
    let home = Home::new(world).await?;
    let call = on_ec2(&home, world, &world.name("service"));
    let call = call.network_configuration(network_with(world, AssignPublicIp::Enabled));
    refused(
        "a public address",
        call.send().await,
        &["InvalidParameterException"],
        "Assign public IP is not supported",
    )
}

async fn placement_is_described_as_given(world: &World) -> Outcome {
    let home = Home::new(world).await?;
    let constraints = vec![
        distinct(),
        member_of("attribute:ecs.instance-type =~ m5.* and attribute:ecs.os-type == linux"),
    ];
    let strategies = vec![
        strategy(PlacementStrategyType::Spread, Some("attribute:ecs.availability-zone")),
        packed(),
        strategy(PlacementStrategyType::Random, None),
    ];
    let (_, service) = placed(&home, world, constraints.clone(), strategies.clone()).await?;
    let mut seen = service.placement_constraints().to_vec();
    seen.sort_by_key(|one| one.expression.clone());
    equal("the constraints", seen, constraints)?;
    equal(
        "the strategies",
        spelled(service.placement_strategy()),
        spelled(&strategies),
    )
}

async fn placement_is_changed_without_a_deployment(world: &World) -> Outcome {
    let home = Home::new(world).await?;
    let (name, before) = placed(&home, world, vec![distinct()], vec![packed()]).await?;
    let call = world.ecs().update_service().cluster(&home.cluster).service(&name);
    let random = strategy(PlacementStrategyType::Random, None);
    done("update", call.placement_strategy(random.clone()).send().await)?;
    let after = home.described(world, &name).await?;
    equal(
        "the strategies",
        spelled(after.placement_strategy()),
        spelled(&[random]),
    )?;
    equal(
        "the constraints, which were not named",
        after.placement_constraints().to_vec(),
        vec![distinct()],
    )?;
    equal("the deployments", ids(&after), ids(&before))
}

fn ids(service: &Service) -> Vec<Option<String>> {
    service.deployments().iter().map(|one| one.id.clone()).collect()
}

async fn placement_is_removed_by_empty_lists(world: &World) -> Outcome {
    let home = Home::new(world).await?;
    let (name, _) = placed(&home, world, vec![distinct()], vec![packed()]).await?;
    let call = world.ecs().update_service().cluster(&home.cluster).service(&name);
    let call = call
        .set_placement_constraints(Some(Vec::new()))
        .set_placement_strategy(Some(Vec::new()));
    done("update", call.send().await)?;
    let service = home.described(world, &name).await?;
    let left = (
        service.placement_constraints().len(),
        service.placement_strategy().len(),
    );
    equal("what is left", left, (0, 0))
}

async fn fargate_refuses_placement_constraints(world: &World) -> Outcome {
    let home = Home::new(world).await?;
    let call = home
        .service(world, &world.name("service"))
        .placement_constraints(distinct());
    refused(
        "a constraint on Fargate",
        call.send().await,
        &["InvalidParameterException"],
        "not supported with FARGATE",
    )
}

async fn fargate_refuses_placement_strategies(world: &World) -> Outcome {
    let home = Home::new(world).await?;
    let call = home.service(world, &world.name("service")).placement_strategy(packed());
    refused(
        "a strategy on Fargate",
        call.send().await,
        &["InvalidParameterException"],
        "not supported with FARGATE",
    )
}

/// The refusals of placement that the model of the API does not hold have one of these.
const REFUSALS: [&str; 2] = ["InvalidParameterException", "ClientException"];

async fn eleven_placement_constraints_are_refused(world: &World) -> Outcome {
    let home = Home::new(world).await?;
    let eleven = (0..11).map(|number| member_of(&format!("attribute:a{number} == b")));
    let call = on_ec2(&home, world, &world.name("service")).set_placement_constraints(Some(eleven.collect()));
    refused("eleven constraints", call.send().await, &REFUSALS, "")
}

async fn six_placement_strategies_are_refused(world: &World) -> Outcome {
    let home = Home::new(world).await?;
    let six = (0..6).map(|number| strategy(PlacementStrategyType::Spread, Some(&format!("attribute:a{number}"))));
    let call = on_ec2(&home, world, &world.name("service")).set_placement_strategy(Some(six.collect()));
    refused("six strategies", call.send().await, &REFUSALS, "")
}

async fn distinct_instance_takes_no_expression(world: &World) -> Outcome {
    let home = Home::new(world).await?;
    let wrong = constraint(PlacementConstraintType::DistinctInstance, Some("attribute:a == b"));
    let call = on_ec2(&home, world, &world.name("service")).placement_constraints(wrong);
    refused("an expression", call.send().await, &REFUSALS, "")
}

async fn member_of_needs_a_sound_expression(world: &World) -> Outcome {
    let home = Home::new(world).await?;
    for expression in [None, Some("attribute:a ==")] {
        let wrong = constraint(PlacementConstraintType::MemberOf, expression);
        let call = on_ec2(&home, world, &world.name("service")).placement_constraints(wrong);
        refused(&format!("{expression:?}"), call.send().await, &REFUSALS, "")?;
    }
    Ok(())
}

async fn packing_goes_by_cpu_or_memory(world: &World) -> Outcome {
    let home = Home::new(world).await?;
    let disk = strategy(PlacementStrategyType::Binpack, Some("disk"));
    let call = on_ec2(&home, world, &world.name("service")).placement_strategy(disk);
    refused("packing by disk", call.send().await, &REFUSALS, "")
}

/// The cluster has no instance, so that no task is started.
async fn task_without_an_instance_is_told_as_an_event(world: &World) -> Outcome {
    let (home, name) = (Home::new(world).await?, world.name("service"));
    let call = on_ec2(&home, world, &name).desired_count(1);
    done("create", call.send().await)?;
    let told = wait_until("the event", SOON, || async {
        let service = home.described(world, &name).await.map_err(|failure| failure.0)?;
        let mut messages = service.events().iter().filter_map(|event| event.message());
        let expected = |message: &&str| {
            message.contains("unable to place a task because no container instance met all of its requirements")
                && message.contains("No Container Instances were found in your cluster")
        };
        match messages.find(expected) {
            Some(_) => Ok(service),
            None => Err(format!("{:?}", service.events())),
        }
    });
    let service = done("see the event", told.await)?;
    equal(
        "running and pending tasks",
        (service.running_count(), service.pending_count()),
        (0, 0),
    )
}

async fn rebalancing_is_on_unless_the_placement_forbids_it(world: &World) -> Outcome {
    let home = Home::new(world).await?;
    let (_, plain) = placed(&home, world, Vec::new(), Vec::new()).await?;
    equal(
        "the rebalancing of a plain service",
        plain.availability_zone_rebalancing(),
        Some(&AvailabilityZoneRebalancing::Enabled),
    )?;
    let (_, packed) = placed(&home, world, Vec::new(), vec![packed()]).await?;
    holds(
        "a service that is packed is not rebalanced",
        packed.availability_zone_rebalancing() != Some(&AvailabilityZoneRebalancing::Enabled),
    )
}

async fn rebalancing_is_changed_without_a_deployment(world: &World) -> Outcome {
    let (home, name) = (Home::new(world).await?, world.name("service"));
    let call = home.service(world, &name).deployment_configuration(rollout(200));
    let call = call.availability_zone_rebalancing(AvailabilityZoneRebalancing::Disabled);
    done("create", call.send().await)?;
    let before = home.described(world, &name).await?;
    let update = || world.ecs().update_service().cluster(&home.cluster).service(&name);
    let enabled = AvailabilityZoneRebalancing::Enabled;
    done(
        "update",
        update().availability_zone_rebalancing(enabled.clone()).send().await,
    )?;
    done("update something else", update().desired_count(0).send().await)?;
    let after = home.described(world, &name).await?;
    equal("the rebalancing", after.availability_zone_rebalancing(), Some(&enabled))?;
    equal("the deployments", ids(&after), ids(&before))?;
    there("a deployment", ids(&after).first().cloned()).map(drop)
}
