//! ECS: services, from their creation to their end.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_ecs::types::{
    AssignPublicIp, AvailabilityZoneRebalancing, AwsVpcConfiguration, CapacityProviderStrategyItem, LaunchType,
    NetworkConfiguration, PropagateTags, SchedulingStrategy,
};
use penstock_tests::wait_until;

use crate::check::{Aws, Check, Outcome, check, done, equal, holds, refused, there};
use crate::definitions::tag;
use crate::home::{Home, rollout};
use crate::world::World;

const SOON: Duration = Duration::from_secs(60);

pub(crate) const CHECKS: &[Check] = &[
    check!(
        service_is_described_as_created,
        Aws::Subnet,
        "ECS API, CreateService and Service"
    ),
    check!(
        capacity_providers_are_described_as_given,
        Aws::Subnet,
        "ECS API, CapacityProviderStrategyItem"
    ),
    check!(
        service_needs_no_security_group,
        Aws::Subnet,
        "ECS API, AwsVpcConfiguration: securityGroups"
    ),
    check!(
        service_is_created_once_for_a_token,
        Aws::Subnet,
        "ECS API reference, Ensuring idempotency"
    ),
    check!(
        another_creation_under_the_name_is_refused,
        Aws::Subnet,
        "ECS API reference, Ensuring idempotency"
    ),
    check!(
        unknown_service_is_reported_missing,
        Aws::Free,
        "ECS Developer Guide, API failure reasons: MISSING"
    ),
    check!(
        at_most_ten_services_are_described_at_once,
        Aws::Free,
        "ECS API, DescribeServices: services"
    ),
    check!(
        unknown_cluster_is_refused,
        Aws::Free,
        "ECS API, ClusterNotFoundException"
    ),
    check!(
        unknown_service_is_not_updated,
        Aws::Free,
        "ECS API, UpdateService: ServiceNotFoundException"
    ),
    check!(
        inactive_service_is_not_updated,
        Aws::Subnet,
        "ECS API, UpdateService: ServiceNotActiveException"
    ),
    check!(
        service_above_zero_is_deleted_only_by_force,
        Aws::Never("it would start a task"),
        "ECS API, DeleteService: force"
    ),
    check!(
        deleted_service_is_inactive_and_its_name_free,
        Aws::Subnet,
        "ECS API, DeleteService"
    ),
    check!(
        services_are_listed_in_pages,
        Aws::Subnet,
        "ECS API, ListServices: maxResults, nextToken"
    ),
    check!(
        service_tags_are_changed_by_arn,
        Aws::Subnet,
        "ECS API, TagResource and UntagResource"
    ),
    check!(
        inactive_definition_is_refused_for_a_service,
        Aws::Never("it may take ten minutes until AWS restricts it"),
        "ECS API, DeregisterTaskDefinition: restrictions"
    ),
];

async fn service_is_described_as_created(world: &World) -> Outcome {
    let (home, name) = (Home::new(world).await?, world.name("service"));
    let call = home
        .service(world, &name)
        .deployment_configuration(rollout(150))
        .tags(tag("penstock:uid", "u-1"));
    let call = call
        .scheduling_strategy(SchedulingStrategy::Replica)
        .enable_ecs_managed_tags(true);
    let call = call
        .propagate_tags(PropagateTags::Service)
        .availability_zone_rebalancing(AvailabilityZoneRebalancing::Disabled);
    done("create the service", call.send().await)?;
    let service = home.described(world, &name).await?;
    let path = format!("service/{}/{name}", home.cluster);
    let arn = format!("arn:aws:ecs:{}:{}:{path}", world.region(), world.account());
    equal("the ARN", service.service_arn(), Some(arn.as_str()))?;
    equal("the status", service.status(), Some("ACTIVE"))?;
    equal(
        "the counts",
        (
            service.desired_count(),
            service.running_count(),
            service.pending_count(),
        ),
        (0, 0, 0),
    )?;
    equal(
        "the definition",
        service.task_definition(),
        Some(home.definition.as_str()),
    )?;
    equal("the launch type", service.launch_type(), Some(&LaunchType::Fargate))?;
    let vpc = service
        .network_configuration()
        .and_then(|one| one.awsvpc_configuration());
    equal(
        "the subnets",
        there("the network", vpc)?.subnets().to_vec(),
        vec![world.network().subnet.clone()],
    )?;
    equal(
        "the public addresses",
        vpc.and_then(|one| one.assign_public_ip()),
        Some(&AssignPublicIp::Disabled),
    )?;
    equal("the tags", service.tags().to_vec(), vec![tag("penstock:uid", "u-1")])?;
    equal("the managed tags", service.enable_ecs_managed_tags(), true)?;
    equal(
        "the propagation",
        service.propagate_tags(),
        Some(&PropagateTags::Service),
    )?;
    equal(
        "the rebalancing",
        service.availability_zone_rebalancing(),
        Some(&AvailabilityZoneRebalancing::Disabled),
    )?;
    let rollout = there("the deployment configuration", service.deployment_configuration())?;
    equal(
        "the percents",
        (rollout.minimum_healthy_percent(), rollout.maximum_percent()),
        (Some(100), Some(150)),
    )?;
    let breaker = rollout
        .deployment_circuit_breaker()
        .map(|one| (one.enable(), one.rollback()));
    equal("the circuit breaker", breaker, Some((true, true)))
}

async fn capacity_providers_are_described_as_given(world: &World) -> Outcome {
    let (home, name) = (Home::new(world).await?, world.name("service"));
    let item = |provider: &str, base, weight| {
        CapacityProviderStrategyItem::builder()
            .capacity_provider(provider)
            .base(base)
            .weight(weight)
            .build()
    };
    let items = [
        done("name", item("FARGATE", 1, 1))?,
        done("name", item("FARGATE_SPOT", 0, 3))?,
    ];
    let call = home
        .service(world, &name)
        .set_launch_type(None)
        .set_capacity_provider_strategy(Some(items.to_vec()));
    done("create the service", call.send().await)?;
    let service = home.described(world, &name).await?;
    equal(
        "the strategy",
        service.capacity_provider_strategy().to_vec(),
        items.to_vec(),
    )?;
    equal("the launch type", service.launch_type(), None)
}

async fn service_needs_no_security_group(world: &World) -> Outcome {
    let (home, name) = (Home::new(world).await?, world.name("service"));
    let network = AwsVpcConfiguration::builder().subnets(&world.network().subnet).build();
    let network = NetworkConfiguration::builder()
        .awsvpc_configuration(done("name a network", network)?)
        .build();
    done(
        "create the service",
        home.service(world, &name).network_configuration(network).send().await,
    )
    .map(drop)
}

async fn service_is_created_once_for_a_token(world: &World) -> Outcome {
    let (home, name, token) = (
        Home::new(world).await?,
        world.name("service"),
        world.name("t").replace("penstock-contract-", ""),
    );
    let mut arns = BTreeSet::new();
    for _ in 0..2 {
        let answer = done(
            "create the service",
            home.service(world, &name).client_token(&token).send().await,
        )?;
        let service = there("the service", answer.service)?;
        arns.insert((
            service.service_arn,
            there("a time of creation", service.created_at)?.as_nanos(),
        ));
    }
    equal("the number of services", arns.len(), 1)
}

async fn another_creation_under_the_name_is_refused(world: &World) -> Outcome {
    let home = Home::new(world).await?;
    let name = home.created(world).await?;
    let call = home
        .service(world, &name)
        .client_token("another")
        .deployment_configuration(rollout(150));
    refused(
        "another creation",
        call.send().await,
        &["InvalidParameterException"],
        "not idempotent",
    )
}

async fn unknown_service_is_reported_missing(world: &World) -> Outcome {
    let home = Home::new(world).await?;
    let answer = world
        .ecs()
        .describe_services()
        .cluster(&home.cluster)
        .services("nobody")
        .send()
        .await;
    let answer = done("describe", answer)?;
    equal("the number of services", answer.services().len(), 0)?;
    let reasons: Vec<_> = answer.failures().iter().map(|one| one.reason()).collect();
    equal("the reasons", reasons, vec![Some("MISSING")])
}

async fn at_most_ten_services_are_described_at_once(world: &World) -> Outcome {
    let home = Home::new(world).await?;
    let names = (0..11).map(|number| format!("nobody-{number}")).collect();
    let call = world
        .ecs()
        .describe_services()
        .cluster(&home.cluster)
        .set_services(Some(names));
    refused("eleven services", call.send().await, &["InvalidParameterException"], "")
}

async fn unknown_cluster_is_refused(world: &World) -> Outcome {
    let answer = world
        .ecs()
        .describe_services()
        .cluster(world.name("nobody"))
        .services("nobody")
        .send()
        .await;
    refused(
        "an unknown cluster",
        answer,
        &["ClusterNotFoundException"],
        "Cluster not found",
    )
}

async fn unknown_service_is_not_updated(world: &World) -> Outcome {
    let home = Home::new(world).await?;
    let answer = world
        .ecs()
        .update_service()
        .cluster(&home.cluster)
        .service("nobody")
        .desired_count(0)
        .send()
        .await;
    refused("an unknown service", answer, &["ServiceNotFoundException"], "")
}

async fn inactive_service_is_not_updated(world: &World) -> Outcome {
    let home = Home::new(world).await?;
    let name = home.created(world).await?;
    done(
        "delete",
        world
            .ecs()
            .delete_service()
            .cluster(&home.cluster)
            .service(&name)
            .send()
            .await,
    )?;
    let answer = world
        .ecs()
        .update_service()
        .cluster(&home.cluster)
        .service(&name)
        .desired_count(0)
        .send()
        .await;
    refused("an inactive service", answer, &["ServiceNotActiveException"], "")
}

async fn service_above_zero_is_deleted_only_by_force(world: &World) -> Outcome {
    let (home, name) = (Home::new(world).await?, world.name("service"));
    done("create", home.service(world, &name).desired_count(1).send().await)?;
    let delete = || world.ecs().delete_service().cluster(&home.cluster).service(&name);
    refused(
        "a deletion without force",
        delete().send().await,
        &["InvalidParameterException"],
        "scaled above 0",
    )?;
    let deleted = done("delete by force", delete().force(true).send().await)?;
    let status = there("the service", deleted.service)?.status;
    holds(
        "it drains or is gone",
        matches!(status.as_deref(), Some("DRAINING" | "INACTIVE")),
    )
}

async fn deleted_service_is_inactive_and_its_name_free(world: &World) -> Outcome {
    let home = Home::new(world).await?;
    let name = home.created(world).await?;
    done(
        "delete",
        world
            .ecs()
            .delete_service()
            .cluster(&home.cluster)
            .service(&name)
            .send()
            .await,
    )?;
    // It drains first, also when there is nothing to drain.
    let inactive = wait_until("the service to be INACTIVE", SOON, || async {
        let status = home.described(world, &name).await.map_err(|failure| failure.0)?.status;
        if status.as_deref() == Some("INACTIVE") {
            Ok(())
        } else {
            Err(format!("it is {status:?}"))
        }
    });
    done("see it INACTIVE", inactive.await)?;
    let listed = done("list", world.ecs().list_services().cluster(&home.cluster).send().await)?;
    equal("the listed services", listed.service_arns().len(), 0)?;
    done("create it anew", home.service(world, &name).send().await)?;
    equal(
        "the status of the new one",
        home.described(world, &name).await?.status(),
        Some("ACTIVE"),
    )
}

async fn services_are_listed_in_pages(world: &World) -> Outcome {
    let home = Home::new(world).await?;
    for _ in 0..3 {
        home.created(world).await?;
    }
    let list = || world.ecs().list_services().cluster(&home.cluster).max_results(2);
    let first = done("list", list().send().await)?;
    equal("the first page's length", first.service_arns().len(), 2)?;
    let token = there("the token of the second page", first.next_token())?;
    let second = done("list the second page", list().next_token(token).send().await)?;
    let all: BTreeSet<_> = first.service_arns().iter().chain(second.service_arns()).collect();
    equal("the number of all", all.len(), 3)?;
    equal("the token after the last page", second.next_token(), None)
}

async fn service_tags_are_changed_by_arn(world: &World) -> Outcome {
    let home = Home::new(world).await?;
    let name = home.created(world).await?;
    let arn = there("the ARN", home.described(world, &name).await?.service_arn)?;
    let call = world
        .ecs()
        .tag_resource()
        .resource_arn(&arn)
        .tags(tag("a", "1"))
        .tags(tag("b", "2"));
    done("tag", call.send().await)?;
    done(
        "untag",
        world
            .ecs()
            .untag_resource()
            .resource_arn(&arn)
            .tag_keys("a")
            .send()
            .await,
    )?;
    equal(
        "the tags",
        home.described(world, &name).await?.tags().to_vec(),
        vec![tag("b", "2")],
    )
}

async fn inactive_definition_is_refused_for_a_service(world: &World) -> Outcome {
    let (home, name) = (Home::new(world).await?, world.name("service"));
    let call = world
        .ecs()
        .deregister_task_definition()
        .task_definition(&home.definition);
    done("deregister", call.send().await)?;
    let answer = home.service(world, &name).send().await;
    refused(
        "an inactive definition",
        answer,
        &["ClientException"],
        "TaskDefinition is inactive",
    )
}
