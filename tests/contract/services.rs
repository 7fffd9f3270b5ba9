//! ECS: services.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_ecs::operation::create_service::builders::CreateServiceFluentBuilder;
use aws_sdk_ecs::types::{
    AssignPublicIp, AvailabilityZoneRebalancing, AwsVpcConfiguration, CapacityProviderStrategyItem,
    DeploymentCircuitBreaker, DeploymentConfiguration, LaunchType, NetworkConfiguration, PropagateTags,
    SchedulingStrategy, Service, ServiceField,
};
use penstock_tests::wait_until;

use crate::check::{Aws, Check, Failure, Outcome, check, done, equal, holds, refused, there};
use crate::definitions::{registered_arn, tag};
use crate::made::Made;
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
        update_changes_what_it_names_and_no_more,
        Aws::Subnet,
        "ECS API, UpdateService"
    ),
    check!(
        new_definition_starts_a_deployment,
        Aws::Subnet,
        "ECS API, UpdateService: taskDefinition"
    ),
    check!(
        desired_count_alone_starts_no_deployment,
        Aws::Never("it would start a task"),
        "ECS API, UpdateService: desiredCount"
    ),
    check!(
        forced_deployment_is_a_new_one,
        Aws::Subnet,
        "ECS API, UpdateService: forceNewDeployment"
    ),
    check!(
        deployments_are_listed_with_their_revision,
        Aws::Subnet,
        "ECS API, ListServiceDeployments"
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

/// A cluster, and a definition that its services can run.
pub(crate) struct Home {
    /// The cluster's name.
    pub(crate) cluster: String,
    /// The definition's family.
    pub(crate) family: String,
    /// The definition's ARN.
    pub(crate) definition: String,
}

impl Home {
    /// Makes both.
    pub(crate) async fn new(world: &World) -> Result<Self, Failure> {
        let (cluster, family) = (world.name("cluster"), world.name("family"));
        let call = world.ecs().create_cluster().cluster_name(&cluster);
        done(
            "create a cluster",
            call.capacity_providers("FARGATE")
                .capacity_providers("FARGATE_SPOT")
                .send()
                .await,
        )?;
        world.note(Made::Cluster(cluster.clone()));
        let definition = registered_arn(world, &family).await?;
        Ok(Self {
            cluster,
            family,
            definition,
        })
    }

    /// Prepares a service of no task.
    pub(crate) fn service(&self, world: &World, name: &str) -> CreateServiceFluentBuilder {
        world.note(Made::Service(self.cluster.clone(), name.to_owned()));
        let call = world
            .ecs()
            .create_service()
            .cluster(&self.cluster)
            .service_name(name)
            .desired_count(0);
        call.task_definition(&self.definition)
            .launch_type(LaunchType::Fargate)
            .network_configuration(network(world))
    }

    /// Creates a service of no task, and returns its name.
    pub(crate) async fn created(&self, world: &World) -> Result<String, Failure> {
        let name = world.name("service");
        done("create a service", self.service(world, &name).send().await)?;
        Ok(name)
    }

    /// Describes a service.
    pub(crate) async fn described(&self, world: &World, name: &str) -> Result<Service, Failure> {
        let call = world
            .ecs()
            .describe_services()
            .cluster(&self.cluster)
            .services(name)
            .include(ServiceField::Tags);
        let services = done("describe the service", call.send().await)?
            .services
            .unwrap_or_default();
        there("the service", services.into_iter().next())
    }
}

/// Returns the network that services of checks live in.
pub(crate) fn network(world: &World) -> NetworkConfiguration {
    let network = AwsVpcConfiguration::builder()
        .subnets(&world.network().subnet)
        .assign_public_ip(AssignPublicIp::Disabled);
    let network = network.set_security_groups(world.network().security_group.clone().map(|group| vec![group]));
    let network = network.build().expect("a network has subnets");
    NetworkConfiguration::builder().awsvpc_configuration(network).build()
}

fn rollout(maximum: i32) -> DeploymentConfiguration {
    let breaker = DeploymentCircuitBreaker::builder().enable(true).rollback(true).build();
    let rollout = DeploymentConfiguration::builder().deployment_circuit_breaker(breaker);
    rollout.minimum_healthy_percent(100).maximum_percent(maximum).build()
}

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

async fn update_changes_what_it_names_and_no_more(world: &World) -> Outcome {
    let (home, name) = (Home::new(world).await?, world.name("service"));
    done(
        "create",
        home.service(world, &name)
            .deployment_configuration(rollout(150))
            .send()
            .await,
    )?;
    let call = world.ecs().update_service().cluster(&home.cluster).service(&name);
    done("update", call.deployment_configuration(rollout(175)).send().await)?;
    let service = home.described(world, &name).await?;
    let maximum = service.deployment_configuration().and_then(|one| one.maximum_percent());
    equal("what was named", maximum, Some(175))?;
    equal(
        "the definition",
        service.task_definition(),
        Some(home.definition.as_str()),
    )?;
    equal("the desired count", service.desired_count(), 0)?;
    holds("the network is still there", service.network_configuration().is_some())
}

/// Returns the id and definition of the PRIMARY deployment.
fn primary(service: &Service) -> Result<(String, String), Failure> {
    let primary = service.deployments().iter().find(|one| one.status() == Some("PRIMARY"));
    let primary = there("the PRIMARY deployment", primary)?;
    Ok((
        primary.id().unwrap_or_default().to_owned(),
        primary.task_definition().unwrap_or_default().to_owned(),
    ))
}

async fn new_definition_starts_a_deployment(world: &World) -> Outcome {
    let home = Home::new(world).await?;
    let name = home.created(world).await?;
    let before = primary(&home.described(world, &name).await?)?;
    equal(
        "the first deployment's definition",
        before.1.as_str(),
        home.definition.as_str(),
    )?;
    let next = registered_arn(world, &home.family).await?;
    let call = world
        .ecs()
        .update_service()
        .cluster(&home.cluster)
        .service(&name)
        .task_definition(&next);
    done("update", call.send().await)?;
    let after = primary(&home.described(world, &name).await?)?;
    equal("the new deployment's definition", after.1, next)?;
    holds("the deployment is another one", before.0 != after.0)
}

async fn desired_count_alone_starts_no_deployment(world: &World) -> Outcome {
    let home = Home::new(world).await?;
    let name = home.created(world).await?;
    let before = primary(&home.described(world, &name).await?)?;
    let call = world
        .ecs()
        .update_service()
        .cluster(&home.cluster)
        .service(&name)
        .desired_count(1);
    done("update", call.send().await)?;
    let service = home.described(world, &name).await?;
    equal("the desired count", service.desired_count(), 1)?;
    equal("the deployment", primary(&service)?, before)
}

async fn forced_deployment_is_a_new_one(world: &World) -> Outcome {
    let home = Home::new(world).await?;
    let name = home.created(world).await?;
    let before = primary(&home.described(world, &name).await?)?;
    let call = world
        .ecs()
        .update_service()
        .cluster(&home.cluster)
        .service(&name)
        .force_new_deployment(true);
    done("update", call.send().await)?;
    holds(
        "the deployment is another one",
        primary(&home.described(world, &name).await?)?.0 != before.0,
    )
}

async fn deployments_are_listed_with_their_revision(world: &World) -> Outcome {
    let home = Home::new(world).await?;
    let name = home.created(world).await?;
    let service = home.described(world, &name).await?;
    let arn = service.service_arn().unwrap_or_default();
    let answer = world
        .ecs()
        .list_service_deployments()
        .service(arn)
        .cluster(&home.cluster)
        .send()
        .await;
    let listed = done("list service deployments", answer)?;
    let [brief] = listed.service_deployments() else {
        return Err(Failure(format!("there is not one deployment: {listed:?}")));
    };
    equal("its service", brief.service_arn(), Some(arn))?;
    let revision = there("the target revision", brief.target_service_revision_arn())?;
    let answer = world
        .ecs()
        .describe_service_revisions()
        .service_revision_arns(revision)
        .send()
        .await;
    let revisions = done("describe the revision", answer)?
        .service_revisions
        .unwrap_or_default();
    let definitions: Vec<_> = revisions.iter().map(|one| one.task_definition()).collect();
    equal(
        "the revision's definition",
        definitions,
        vec![Some(home.definition.as_str())],
    )
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
