//! ECS: task definitions.

use std::collections::BTreeSet;

use aws_sdk_ecs::types::{
    Compatibility, ContainerDefinition, CpuArchitecture, HealthCheck, KeyValuePair, LinuxParameters, LogConfiguration,
    LogDriver, NetworkMode, OsFamily, RuntimePlatform, Secret, SortOrder, Tag, TaskDefinition, TaskDefinitionField,
    TaskDefinitionStatus,
};

use crate::check::{Aws, Check, Failure, Outcome, check, done, equal, holds, refused, there};
use crate::made::Made;
use crate::world::World;

pub(crate) const CHECKS: &[Check] = &[
    check!(
        definition_is_described_as_registered,
        Aws::Free,
        "ECS API, RegisterTaskDefinition and ContainerDefinition"
    ),
    check!(
        each_registration_is_the_next_revision,
        Aws::Free,
        "ECS API, TaskDefinition: revision"
    ),
    check!(
        deregistered_definition_is_inactive_and_described,
        Aws::Free,
        "ECS API, DeregisterTaskDefinition"
    ),
    check!(
        only_an_inactive_definition_is_deleted,
        Aws::Free,
        "ECS API, DeleteTaskDefinitions"
    ),
    check!(
        definitions_are_listed_newest_first_in_pages,
        Aws::Free,
        "ECS API, ListTaskDefinitions: sort, maxResults, nextToken"
    ),
    check!(
        definitions_are_listed_by_status,
        Aws::Free,
        "ECS API, ListTaskDefinitions: status"
    ),
    check!(
        fargate_refuses_a_size_it_does_not_sell,
        Aws::Free,
        "ECS API, RegisterTaskDefinition: cpu"
    ),
    check!(
        unknown_definition_is_refused,
        Aws::Free,
        "ECS API, DescribeTaskDefinition: ClientException"
    ),
    check!(
        definition_tags_are_changed_by_arn,
        Aws::Free,
        "ECS API, TagResource and UntagResource"
    ),
];

/// Registers a small definition of the family, and returns it.
pub(crate) async fn registered(world: &World, family: &str) -> Result<TaskDefinition, Failure> {
    definition_of(world, family, Compatibility::Fargate, ("256", "512")).await
}

/// Registers a definition of this CPU and memory, and returns it.
pub(crate) async fn definition_of(
    world: &World,
    family: &str,
    requires: Compatibility,
    (cpu, memory): (&str, &str),
) -> Result<TaskDefinition, Failure> {
    let call = world
        .ecs()
        .register_task_definition()
        .family(family)
        .cpu(cpu)
        .memory(memory);
    let call = call
        .network_mode(NetworkMode::Awsvpc)
        .requires_compatibilities(requires);
    let container = ContainerDefinition::builder()
        .name("bridge")
        .image("penstock-bridge:1")
        .memory(512)
        .build();
    let answer = call.container_definitions(container).send().await;
    let definition = there(
        "the definition",
        done("register a task definition", answer)?.task_definition,
    )?;
    world.note(Made::Definition(
        definition.task_definition_arn().unwrap_or_default().to_owned(),
    ));
    Ok(definition)
}

/// Registers a small definition of the family, and returns its ARN.
pub(crate) async fn registered_arn(world: &World, family: &str) -> Result<String, Failure> {
    there(
        "the definition's ARN",
        registered(world, family).await?.task_definition_arn,
    )
}

async fn deregistered(world: &World, arn: &str) -> Outcome {
    let answer = world
        .ecs()
        .deregister_task_definition()
        .task_definition(arn)
        .send()
        .await;
    done("deregister the task definition", answer).map(drop)
}

async fn definition_is_described_as_registered(world: &World) -> Outcome {
    let family = world.name("family");
    let role = format!("arn:aws:iam::{}:role/penstock-contract", world.account());
    let platform = RuntimePlatform::builder()
        .operating_system_family(OsFamily::Linux)
        .cpu_architecture(CpuArchitecture::Arm64);
    let call = world
        .ecs()
        .register_task_definition()
        .family(&family)
        .cpu("256")
        .memory("512")
        .task_role_arn(&role);
    let call = call
        .execution_role_arn(&role)
        .network_mode(NetworkMode::Awsvpc)
        .runtime_platform(platform.build());
    let call = call
        .requires_compatibilities(Compatibility::Fargate)
        .container_definitions(container()?);
    let answer = done("register", call.tags(tag("penstock:uid", "u-1")).send().await)?;
    let arn = there(
        "the ARN",
        answer.task_definition().and_then(|one| one.task_definition_arn()),
    )?
    .to_owned();
    world.note(Made::Definition(arn.clone()));

    let call = world
        .ecs()
        .describe_task_definition()
        .task_definition(arn)
        .include(TaskDefinitionField::Tags);
    let described = done("describe", call.send().await)?;
    equal("the tags", described.tags().to_vec(), vec![tag("penstock:uid", "u-1")])?;
    let definition = there("the definition", described.task_definition())?;
    equal("the family", definition.family(), Some(family.as_str()))?;
    equal(
        "the size",
        (definition.cpu(), definition.memory()),
        (Some("256"), Some("512")),
    )?;
    equal("the task role", definition.task_role_arn(), Some(role.as_str()))?;
    equal(
        "the execution role",
        definition.execution_role_arn(),
        Some(role.as_str()),
    )?;
    equal(
        "the network mode",
        definition.network_mode(),
        Some(&NetworkMode::Awsvpc),
    )?;
    equal(
        "the compatibility",
        definition.requires_compatibilities().to_vec(),
        vec![Compatibility::Fargate],
    )?;
    equal(
        "the platform",
        definition.runtime_platform().cloned(),
        Some(platform_of_arm()),
    )?;
    equal("the status", definition.status(), Some(&TaskDefinitionStatus::Active))?;
    equal("the number of containers", definition.container_definitions().len(), 1)?;
    same_container(&definition.container_definitions()[0])
}

fn platform_of_arm() -> RuntimePlatform {
    RuntimePlatform::builder()
        .operating_system_family(OsFamily::Linux)
        .cpu_architecture(CpuArchitecture::Arm64)
        .build()
}

/// The one container as Penstock writes it.
fn container() -> Result<ContainerDefinition, Failure> {
    let secret = Secret::builder()
        .name("PASSWORD")
        .value_from("arn:aws:secretsmanager:eu-west-1:111122223333:secret:kafka-AbCdEf:password::");
    let check = HealthCheck::builder()
        .command("CMD")
        .command("penstock-bridge")
        .command("health")
        .interval(10)
        .timeout(4)
        .retries(2)
        .start_period(20);
    let logs = LogConfiguration::builder().log_driver(LogDriver::Awslogs);
    let logs = logs
        .options("awslogs-group", "/penstock")
        .options("awslogs-region", "eu-west-1")
        .options("awslogs-stream-prefix", "orders");
    Ok(ContainerDefinition::builder()
        .name("bridge")
        .image("penstock-bridge:1")
        .memory(512)
        .essential(true)
        .readonly_root_filesystem(true)
        .linux_parameters(LinuxParameters::builder().init_process_enabled(true).build())
        .environment(
            KeyValuePair::builder()
                .name("PENSTOCK_CONNECTOR")
                .value("{\"a\": 1}")
                .build(),
        )
        .secrets(done("name a secret", secret.build())?)
        .docker_labels("penstock.connector", "orders")
        .log_configuration(done("name logs", logs.build())?)
        .stop_timeout(90)
        .health_check(done("name a health check", check.build())?)
        .build())
}

fn same_container(seen: &ContainerDefinition) -> Outcome {
    let wanted = container()?;
    equal("the name", seen.name(), wanted.name())?;
    equal("the image", seen.image(), wanted.image())?;
    equal("the container's memory", seen.memory(), wanted.memory())?;
    equal("essential", seen.essential(), wanted.essential())?;
    equal(
        "the root filesystem",
        seen.readonly_root_filesystem(),
        wanted.readonly_root_filesystem(),
    )?;
    let init = |one: &ContainerDefinition| {
        one.linux_parameters()
            .and_then(|parameters| parameters.init_process_enabled())
    };
    equal("the init process", init(seen), init(&wanted))?;
    equal("the environment", seen.environment(), wanted.environment())?;
    equal("the secrets", seen.secrets(), wanted.secrets())?;
    equal("the labels", seen.docker_labels(), wanted.docker_labels())?;
    let logs = |one: &ContainerDefinition| {
        one.log_configuration()
            .map(|logs| (logs.log_driver().clone(), logs.options().cloned()))
    };
    equal("the logs", logs(seen), logs(&wanted))?;
    equal("the stop timeout", seen.stop_timeout(), wanted.stop_timeout())?;
    equal("the health check", seen.health_check(), wanted.health_check())
}

async fn each_registration_is_the_next_revision(world: &World) -> Outcome {
    let family = world.name("family");
    let mut revisions = Vec::new();
    for _ in 0..3 {
        revisions.push(registered(world, &family).await?.revision());
    }
    equal("the revisions", revisions, vec![1, 2, 3])?;
    let answer = world
        .ecs()
        .describe_task_definition()
        .task_definition(&family)
        .send()
        .await;
    let latest = there("the definition", done("describe the family", answer)?.task_definition)?;
    equal("the revision that a family's name stands for", latest.revision(), 3)
}

async fn deregistered_definition_is_inactive_and_described(world: &World) -> Outcome {
    let family = world.name("family");
    let arn = registered_arn(world, &family).await?;
    deregistered(world, &arn).await?;
    let answer = world
        .ecs()
        .describe_task_definition()
        .task_definition(&arn)
        .send()
        .await;
    let definition = there(
        "the definition",
        done("describe it by its ARN", answer)?.task_definition,
    )?;
    equal("the status", definition.status(), Some(&TaskDefinitionStatus::Inactive))?;
    holds(
        "it has a time of deregistration",
        definition.deregistered_at().is_some(),
    )?;
    equal("the next revision", registered(world, &family).await?.revision(), 2)
}

async fn only_an_inactive_definition_is_deleted(world: &World) -> Outcome {
    let arn = registered_arn(world, &world.name("family")).await?;
    let delete = || world.ecs().delete_task_definitions().task_definitions(&arn).send();
    let answer = done("ask for the deletion of an ACTIVE definition", delete().await)?;
    equal("the number of failures", answer.failures().len(), 1)?;
    deregistered(world, &arn).await?;
    let answer = done("ask for the deletion of an INACTIVE definition", delete().await)?;
    equal("the number of failures", answer.failures().len(), 0)?;
    let status = answer.task_definitions().first().and_then(|one| one.status());
    equal("the status", status, Some(&TaskDefinitionStatus::DeleteInProgress))
}

async fn definitions_are_listed_newest_first_in_pages(world: &World) -> Outcome {
    let family = world.name("family");
    let mut arns = Vec::new();
    for _ in 0..3 {
        arns.insert(0, registered_arn(world, &family).await?);
    }
    let list = || {
        world
            .ecs()
            .list_task_definitions()
            .family_prefix(&family)
            .sort(SortOrder::Desc)
            .max_results(2)
    };
    let first = done("list", list().send().await)?;
    equal(
        "the first page",
        first.task_definition_arns().to_vec(),
        arns[..2].to_vec(),
    )?;
    let token = there("the token of the second page", first.next_token())?;
    let second = done("list the second page", list().next_token(token).send().await)?;
    equal(
        "the second page",
        second.task_definition_arns().to_vec(),
        arns[2..].to_vec(),
    )?;
    equal("the token after the last page", second.next_token(), None)
}

async fn definitions_are_listed_by_status(world: &World) -> Outcome {
    let family = world.name("family");
    let (old, new) = (
        registered_arn(world, &family).await?,
        registered_arn(world, &family).await?,
    );
    deregistered(world, &old).await?;
    for (status, arn) in [
        (TaskDefinitionStatus::Inactive, &old),
        (TaskDefinitionStatus::Active, &new),
    ] {
        let list = world
            .ecs()
            .list_task_definitions()
            .family_prefix(&family)
            .status(status.clone());
        let listed = done("list", list.send().await)?;
        equal(
            &format!("the {status} ones"),
            listed.task_definition_arns().to_vec(),
            vec![arn.clone()],
        )?;
    }
    Ok(())
}

async fn fargate_refuses_a_size_it_does_not_sell(world: &World) -> Outcome {
    let call = world
        .ecs()
        .register_task_definition()
        .family(world.name("family"))
        .cpu("256")
        .memory("4096");
    let call = call
        .network_mode(NetworkMode::Awsvpc)
        .requires_compatibilities(Compatibility::Fargate);
    let container = ContainerDefinition::builder()
        .name("bridge")
        .image("penstock-bridge:1")
        .memory(512)
        .build();
    let answer = call.container_definitions(container).send().await;
    if let Ok(made) = &answer {
        let arn = made.task_definition().and_then(|one| one.task_definition_arn());
        world.note(Made::Definition(arn.unwrap_or_default().to_owned()));
    }
    refused(
        "256 CPU with 4096 MiB",
        answer,
        &["ClientException"],
        "No Fargate configuration exists",
    )
}

async fn unknown_definition_is_refused(world: &World) -> Outcome {
    let answer = world
        .ecs()
        .describe_task_definition()
        .task_definition(world.name("nobody"))
        .send()
        .await;
    refused(
        "an unknown definition",
        answer,
        &["ClientException"],
        "Unable to describe task definition",
    )
}

async fn definition_tags_are_changed_by_arn(world: &World) -> Outcome {
    let arn = registered_arn(world, &world.name("family")).await?;
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
    let listed = done(
        "list tags",
        world.ecs().list_tags_for_resource().resource_arn(&arn).send().await,
    )?;
    let keys: BTreeSet<_> = listed.tags().iter().filter_map(|tag| tag.key()).collect();
    equal("the tags", keys, BTreeSet::from(["b"]))
}

/// Returns a tag.
pub(crate) fn tag(key: &str, value: &str) -> Tag {
    Tag::builder().key(key).value(value).build()
}
