//! ECS: capacity providers and container instances.

use aws_sdk_ecs::types::{
    Attribute, AutoScalingGroupProvider, CapacityProviderStatus, CapacityProviderStrategyItem, Cluster, LaunchType,
    ManagedScaling, ManagedScalingStatus, Resource,
};
use serde_json::json;

use crate::check::{Aws, Check, Failure, Outcome, check, done, equal, holds, refused, there};
use crate::home::Home;
use crate::made::Made;
use crate::world::World;

/// Whoever keeps no Auto Scaling group for it cannot ask AWS.
const NEEDS_A_GROUP: Aws = Aws::Never("it needs an Auto Scaling group");

pub(crate) const CHECKS: &[Check] = &[
    check!(
        fargate_providers_are_always_there,
        Aws::Free,
        "ECS API, DescribeCapacityProviders"
    ),
    check!(
        cluster_is_given_its_providers,
        Aws::Free,
        "ECS API, PutClusterCapacityProviders"
    ),
    check!(
        unknown_provider_is_not_given,
        Aws::Free,
        "ECS API, PutClusterCapacityProviders: capacityProviders"
    ),
    check!(
        provider_in_use_is_not_taken_away,
        Aws::Subnet,
        "ECS API, PutClusterCapacityProviders: ResourceInUseException"
    ),
    check!(
        strategy_names_providers_of_the_cluster,
        Aws::Subnet,
        "ECS API, CapacityProviderStrategyItem"
    ),
    check!(
        strategy_has_one_base_and_a_weight,
        Aws::Subnet,
        "ECS API, CapacityProviderStrategyItem: base and weight"
    ),
    check!(
        launch_type_and_strategy_exclude_each_other,
        Aws::Subnet,
        "ECS API, CreateService: launchType"
    ),
    check!(
        strategy_is_changed_only_by_a_forced_deployment,
        Aws::Subnet,
        "ECS Developer Guide, capacity provider considerations"
    ),
    check!(
        empty_strategy_goes_back_to_the_launch_type,
        Aws::Subnet,
        "ECS API, UpdateService: capacityProviderStrategy"
    ),
    check!(
        fargate_strategy_refuses_placement,
        Aws::Subnet,
        "ECS Developer Guide, task placement: not supported on Fargate"
    ),
    check!(
        provider_is_described_as_created,
        NEEDS_A_GROUP,
        "ECS API, CreateCapacityProvider"
    ),
    check!(
        reserved_provider_name_is_refused,
        NEEDS_A_GROUP,
        "ECS API, CreateCapacityProvider: name"
    ),
    check!(
        mixed_strategy_is_refused,
        NEEDS_A_GROUP,
        "ECS Developer Guide, capacity provider considerations"
    ),
    check!(
        provider_of_a_cluster_is_not_deleted,
        NEEDS_A_GROUP,
        "ECS API, DeleteCapacityProvider"
    ),
    check!(
        instance_is_described_as_registered,
        Aws::Never("agents alone register instances"),
        "ECS API, RegisterContainerInstance and ContainerInstance"
    ),
    check!(
        instances_are_listed_by_query,
        Aws::Never("agents alone register instances"),
        "ECS API, ListContainerInstances: filter"
    ),
    check!(
        cluster_with_instances_is_not_deleted,
        Aws::Never("agents alone register instances"),
        "ECS API, DeleteCluster: ClusterContainsContainerInstancesException"
    ),
];

fn item(provider: &str, base: i32, weight: i32) -> Result<CapacityProviderStrategyItem, Failure> {
    let item = CapacityProviderStrategyItem::builder()
        .capacity_provider(provider)
        .base(base)
        .weight(weight);
    done("name a provider", item.build())
}

/// Gives the cluster these providers, and no default.
async fn put(world: &World, cluster: &str, providers: &[&str]) -> Result<Cluster, Failure> {
    let call = world.ecs().put_cluster_capacity_providers().cluster(cluster);
    let names = providers.iter().map(|name| (*name).to_owned()).collect();
    let call = call
        .set_capacity_providers(Some(names))
        .set_default_capacity_provider_strategy(Some(Vec::new()));
    let answer = done("give the cluster providers", call.send().await)?;
    there("the cluster", answer.cluster)
}

/// Creates a provider of an Auto Scaling group that is not managed, and returns its name.
async fn provider(world: &World) -> Result<String, Failure> {
    let name = world.name("provider");
    let answer = create(world, &name).send().await;
    world.note(Made::Provider(name.clone()));
    done("create a provider", answer)?;
    Ok(name)
}

fn create(
    world: &World,
    name: &str,
) -> aws_sdk_ecs::operation::create_capacity_provider::builders::CreateCapacityProviderFluentBuilder {
    let group = format!(
        "arn:aws:autoscaling:{}:{}:autoScalingGroup:1:autoScalingGroupName/{name}",
        world.region(),
        world.account()
    );
    let scaling = ManagedScaling::builder().status(ManagedScalingStatus::Disabled).build();
    let group = AutoScalingGroupProvider::builder()
        .auto_scaling_group_arn(group)
        .managed_scaling(scaling);
    let group = group.build().expect("a provider has a group");
    world
        .ecs()
        .create_capacity_provider()
        .name(name)
        .auto_scaling_group_provider(group)
}

async fn fargate_providers_are_always_there(world: &World) -> Outcome {
    let call = world.ecs().describe_capacity_providers();
    let call = call.capacity_providers("FARGATE").capacity_providers("FARGATE_SPOT");
    let answer = done("describe the providers", call.send().await)?;
    let seen: Vec<_> = answer
        .capacity_providers()
        .iter()
        .map(|one| (one.name(), one.status()))
        .collect();
    let active = Some(&CapacityProviderStatus::Active);
    equal(
        "the providers",
        seen,
        vec![(Some("FARGATE"), active), (Some("FARGATE_SPOT"), active)],
    )
}

async fn cluster_is_given_its_providers(world: &World) -> Outcome {
    let home = Home::new(world).await?;
    put(world, &home.cluster, &["FARGATE_SPOT"]).await?;
    let call = world.ecs().describe_clusters().clusters(&home.cluster);
    let clusters = done("describe the cluster", call.send().await)?
        .clusters
        .unwrap_or_default();
    let cluster = there("the cluster", clusters.first())?;
    equal(
        "its providers",
        cluster.capacity_providers().to_vec(),
        vec!["FARGATE_SPOT".to_owned()],
    )
}

async fn unknown_provider_is_not_given(world: &World) -> Outcome {
    let home = Home::new(world).await?;
    let call = world.ecs().put_cluster_capacity_providers().cluster(&home.cluster);
    let call = call
        .capacity_providers(world.name("nobody"))
        .set_default_capacity_provider_strategy(Some(Vec::new()));
    refused(
        "an unknown provider",
        call.send().await,
        &["InvalidParameterException"],
        "not found",
    )
}

async fn provider_in_use_is_not_taken_away(world: &World) -> Outcome {
    let (home, name) = (Home::new(world).await?, world.name("service"));
    let call = home.service(world, &name).set_launch_type(None);
    let call = call.capacity_provider_strategy(item("FARGATE_SPOT", 0, 1)?);
    done("create", call.send().await)?;
    let call = world.ecs().put_cluster_capacity_providers().cluster(&home.cluster);
    let call = call
        .capacity_providers("FARGATE")
        .set_default_capacity_provider_strategy(Some(Vec::new()));
    refused(
        "the removal of a provider in use",
        call.send().await,
        &["ResourceInUseException"],
        "in use",
    )
}

async fn strategy_names_providers_of_the_cluster(world: &World) -> Outcome {
    let home = Home::new(world).await?;
    put(world, &home.cluster, &["FARGATE"]).await?;
    let call = home.service(world, &world.name("service")).set_launch_type(None);
    let call = call.capacity_provider_strategy(item("FARGATE_SPOT", 0, 1)?);
    refused(
        "a provider that the cluster has not",
        call.send().await,
        &["InvalidParameterException"],
        "not associated with the cluster",
    )
}

async fn strategy_has_one_base_and_a_weight(world: &World) -> Outcome {
    let home = Home::new(world).await?;
    for (what, bases, weights) in [("two bases", (1, 1), (1, 1)), ("no weight", (1, 0), (0, 0))] {
        let call = home.service(world, &world.name("service")).set_launch_type(None);
        let call = call
            .capacity_provider_strategy(item("FARGATE", bases.0, weights.0)?)
            .capacity_provider_strategy(item("FARGATE_SPOT", bases.1, weights.1)?);
        refused(
            what,
            call.send().await,
            &["InvalidParameterException", "ClientException"],
            "",
        )?;
    }
    Ok(())
}

async fn launch_type_and_strategy_exclude_each_other(world: &World) -> Outcome {
    let home = Home::new(world).await?;
    let call = home.service(world, &world.name("service"));
    let call = call.capacity_provider_strategy(item("FARGATE", 0, 1)?);
    refused(
        "both",
        call.send().await,
        &["InvalidParameterException"],
        "both a launch type and capacity provider strategy",
    )
}

async fn strategy_is_changed_only_by_a_forced_deployment(world: &World) -> Outcome {
    let home = Home::new(world).await?;
    let name = home.created(world).await?;
    let before = home.described(world, &name).await?;
    let wanted = vec![item("FARGATE", 1, 0)?, item("FARGATE_SPOT", 0, 3)?];
    let update = || {
        let call = world.ecs().update_service().cluster(&home.cluster).service(&name);
        call.set_capacity_provider_strategy(Some(wanted.clone()))
    };
    refused(
        "a strategy without a forced deployment",
        update().send().await,
        &["InvalidParameterException"],
        "must force a new deployment",
    )?;
    done("force it", update().force_new_deployment(true).send().await)?;
    let after = home.described(world, &name).await?;
    equal("the strategy", after.capacity_provider_strategy().to_vec(), wanted)?;
    equal("the launch type", after.launch_type(), None)?;
    let id = |service: &aws_sdk_ecs::types::Service| service.deployments().first().and_then(|one| one.id.clone());
    holds("the deployment is another one", id(&before) != id(&after))
}

async fn empty_strategy_goes_back_to_the_launch_type(world: &World) -> Outcome {
    let home = Home::new(world).await?;
    let name = home.created(world).await?;
    let update = || {
        let call = world.ecs().update_service().cluster(&home.cluster).service(&name);
        call.force_new_deployment(true)
    };
    let spot = item("FARGATE_SPOT", 0, 1)?;
    done("go", update().capacity_provider_strategy(spot).send().await)?;
    equal(
        "the launch type in between",
        home.described(world, &name).await?.launch_type(),
        None,
    )?;
    done(
        "and back",
        update().set_capacity_provider_strategy(Some(Vec::new())).send().await,
    )?;
    let service = home.described(world, &name).await?;
    equal("the launch type", service.launch_type(), Some(&LaunchType::Fargate))?;
    equal("the strategy", service.capacity_provider_strategy().len(), 0)
}

async fn fargate_strategy_refuses_placement(world: &World) -> Outcome {
    let home = Home::new(world).await?;
    let distinct = aws_sdk_ecs::types::PlacementConstraint::builder()
        .r#type(aws_sdk_ecs::types::PlacementConstraintType::DistinctInstance)
        .build();
    let call = home.service(world, &world.name("service")).set_launch_type(None);
    let call = call
        .capacity_provider_strategy(item("FARGATE", 0, 1)?)
        .placement_constraints(distinct);
    refused(
        "a constraint on a Fargate provider",
        call.send().await,
        &["InvalidParameterException"],
        "",
    )
}

async fn provider_is_described_as_created(world: &World) -> Outcome {
    let name = provider(world).await?;
    let call = world
        .ecs()
        .describe_capacity_providers()
        .capacity_providers(&name)
        .capacity_providers("nobody");
    let answer = done("describe it", call.send().await)?;
    let seen = there("the provider", answer.capacity_providers().first())?;
    let arn = format!(
        "arn:aws:ecs:{}:{}:capacity-provider/{name}",
        world.region(),
        world.account()
    );
    equal("the ARN", seen.capacity_provider_arn(), Some(arn.as_str()))?;
    equal("the status", seen.status(), Some(&CapacityProviderStatus::Active))?;
    let group = there("the group", seen.auto_scaling_group_provider())?;
    holds("the group is the one", group.auto_scaling_group_arn().ends_with(&name))?;
    let scaling = group.managed_scaling().and_then(ManagedScaling::status);
    equal("managed scaling", scaling, Some(&ManagedScalingStatus::Disabled))?;
    let reasons: Vec<_> = answer.failures().iter().map(|one| one.reason()).collect();
    equal("what is told of nobody", reasons, vec![Some("MISSING")])
}

async fn reserved_provider_name_is_refused(world: &World) -> Outcome {
    let answer = create(world, "fargate-2").send().await;
    if answer.is_ok() {
        world.note(Made::Provider("fargate-2".to_owned()));
    }
    refused(
        "a name that begins with fargate",
        answer,
        &["InvalidParameterException", "ClientException"],
        "",
    )
}

async fn mixed_strategy_is_refused(world: &World) -> Outcome {
    let provider = provider(world).await?;
    let home = Home::new(world).await?;
    put(world, &home.cluster, &["FARGATE", &provider]).await?;
    let call = home.service(world, &world.name("service")).set_launch_type(None);
    let call = call
        .capacity_provider_strategy(item("FARGATE", 0, 1)?)
        .capacity_provider_strategy(item(&provider, 0, 1)?);
    refused(
        "a mix",
        call.send().await,
        &["InvalidParameterException"],
        "cannot contain a mix",
    )
}

async fn provider_of_a_cluster_is_not_deleted(world: &World) -> Outcome {
    let provider = provider(world).await?;
    let home = Home::new(world).await?;
    put(world, &home.cluster, &[&provider]).await?;
    let delete = || world.ecs().delete_capacity_provider().capacity_provider(&provider);
    refused(
        "its deletion",
        delete().send().await,
        &["InvalidParameterException", "ClientException"],
        "",
    )?;
    put(world, &home.cluster, &[]).await?;
    done("delete it when no cluster has it", delete().send().await).map(drop)
}

/// Registers an instance, as its agent would, and returns its ARN.
async fn instance(world: &World, cluster: &str, kind: &str) -> Result<String, Failure> {
    let resource = |name: &str, value| {
        Resource::builder()
            .name(name)
            .r#type("INTEGER")
            .integer_value(value)
            .build()
    };
    let stack = Attribute::builder().name("stack").value("prod").build();
    let zone = format!("{}a", world.region());
    let identity = json!({"instanceId": "i-0a1b2c3d", "instanceType": kind, "availabilityZone": zone});
    let call = world.ecs().register_container_instance().cluster(cluster);
    let call = call
        .instance_identity_document(identity.to_string())
        .total_resources(resource("CPU", 2048))
        .total_resources(resource("MEMORY", 7680))
        .attributes(done("name an attribute", stack)?);
    let answer = done("register an instance", call.send().await)?;
    let arn = answer.container_instance.and_then(|one| one.container_instance_arn);
    let arn = there("its ARN", arn)?;
    world.note(Made::Instance(cluster.to_owned(), arn.clone()));
    Ok(arn)
}

async fn instance_is_described_as_registered(world: &World) -> Outcome {
    let home = Home::new(world).await?;
    let arn = instance(world, &home.cluster, "m5.large").await?;
    let call = world.ecs().describe_container_instances().cluster(&home.cluster);
    let answer = done("describe it", call.container_instances(&arn).send().await)?;
    let seen = there("the instance", answer.container_instances().first())?;
    equal("the status", seen.status(), Some("ACTIVE"))?;
    equal("EC2's name", seen.ec2_instance_id(), Some("i-0a1b2c3d"))?;
    let value = |name: &str| {
        let found = seen.attributes().iter().find(|one| one.name() == name);
        found.and_then(|one| one.value())
    };
    let zone = format!("{}a", world.region());
    equal("the type", value("ecs.instance-type"), Some("m5.large"))?;
    equal("the zone", value("ecs.availability-zone"), Some(zone.as_str()))?;
    equal("its own attribute", value("stack"), Some("prod"))?;
    let resources = |list: &[Resource]| -> Vec<_> {
        let known = list.iter().filter(|one| matches!(one.name(), Some("CPU" | "MEMORY")));
        known.map(|one| one.integer_value()).collect()
    };
    equal(
        "what was registered and what is left",
        (
            resources(seen.registered_resources()),
            resources(seen.remaining_resources()),
        ),
        (vec![2048, 7680], vec![2048, 7680]),
    )
}

async fn instances_are_listed_by_query(world: &World) -> Outcome {
    let home = Home::new(world).await?;
    let one = instance(world, &home.cluster, "m5.large").await?;
    instance(world, &home.cluster, "c5.large").await?;
    let call = world.ecs().list_container_instances().cluster(&home.cluster);
    let call = call.filter("attribute:ecs.instance-type =~ m5.* and attribute:stack == prod");
    let listed = done("list them", call.send().await)?;
    equal(
        "those that are meant",
        listed.container_instance_arns().to_vec(),
        vec![one],
    )
}

async fn cluster_with_instances_is_not_deleted(world: &World) -> Outcome {
    let home = Home::new(world).await?;
    instance(world, &home.cluster, "m5.large").await?;
    let answer = world.ecs().delete_cluster().cluster(&home.cluster).send().await;
    refused(
        "its deletion",
        answer,
        &["ClusterContainsContainerInstancesException"],
        "",
    )
}
