//! Task definitions: the one form that Penstock writes, and whether a registered one has that form.
//!
//! What a registered definition holds is read into our words, written again, and compared with what AWS returned. So a
//! field that our words lack (another container, a volume, a command) can never pass for what Penstock wrote.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_sdk_ecs::operation::RequestId;
use aws_sdk_ecs::types::{
    Compatibility, ContainerDefinition, CpuArchitecture, HealthCheck as SdkHealthCheck, KeyValuePair, LinuxParameters,
    LogConfiguration, LogDriver, NetworkMode, OsFamily, RuntimePlatform, Secret, SortOrder,
    TaskDefinition as SdkTaskDefinition, TaskDefinitionField, TaskDefinitionStatus, VersionConsistency,
};
use futures::FutureExt;

use crate::cloud::aws::{Aws, invalid};
use crate::cloud::budget::Category;
use crate::cloud::call::all;
use crate::cloud::ecs::service::{receipt, sdk_tags};
use crate::cloud::ecs::tags;
use crate::cloud::{Error, Receipt};
use crate::plan::owner::Holder;
use crate::plan::resources::{Container, HealthCheck, RegisteredRevision, Subject, TaskDefinition};

/// INACTIVE definitions of ours that are looked for in one observation: a pass deletes no more than 10.
const INACTIVE: usize = 20;

/// INACTIVE definitions that are looked at for them, at a call each the first time: other people's may be before ours.
const LOOKED_AT: usize = 200;

/// Pages of a list of INACTIVE definitions, of a hundred each.
const PAGES: usize = 10;

/// A registered definition, which never changes.
#[derive(Debug, Clone)]
pub(in crate::cloud) struct Registered {
    tags: BTreeMap<String, String>,
    /// What it holds, or in what it departs from the form that Penstock writes.
    content: Result<TaskDefinition, String>,
}

/// Reads a definition; nothing when there is none.
pub(super) async fn describe(aws: &Aws, arn: &str) -> Result<Option<Arc<Registered>>, Error> {
    if let Some(known) = aws.caches.definitions.get(&arn.to_owned()) {
        return Ok(Some(known));
    }
    let request = aws
        .read
        .ecs
        .describe_task_definition()
        .task_definition(arn)
        .include(TaskDefinitionField::Tags);
    let answer = match aws
        .call(Category::DefinitionRead, "DescribeTaskDefinition", request.send())
        .await
    {
        Err(Error::Refuse { message, .. }) if message.contains("Unable to describe task definition") => {
            return Ok(None);
        }
        other => other?,
    };
    let Some(definition) = answer.task_definition() else {
        return Ok(None);
    };
    let registered = Arc::new(Registered {
        tags: tags(answer.tags()),
        content: content(definition),
    });
    aws.caches.definitions.put(arn.to_owned(), Arc::clone(&registered));
    Ok(Some(registered))
}

/// Returns what the definition at `arn` holds; one that Penstock would not write is described by its family's name, which
/// differs from every name that is wanted.
pub(in crate::cloud) async fn content_or_other(aws: &Aws, arn: &str) -> Result<TaskDefinition, Error> {
    let why = match describe(aws, arn).await? {
        Some(registered) => match &registered.content {
            Ok(content) => return Ok(content.clone()),
            Err(why) => why.clone(),
        },
        None => "it is gone".to_owned(),
    };
    Ok(other(arn, &why))
}

/// The definitions of a family.
pub(in crate::cloud) struct Family {
    /// Those that are ACTIVE and ours, newest first.
    pub(in crate::cloud) active: Vec<RegisteredRevision>,
    /// The oldest that are INACTIVE and ours.
    pub(in crate::cloud) inactive: Vec<String>,
    /// Whose the newest is that is ACTIVE and another operator's; what no operator made stands in nobody's way.
    pub(in crate::cloud) theirs: Option<Holder>,
}

/// Returns the definitions of the subject's family, as far as it has use for them.
pub(in crate::cloud) async fn family(aws: &Aws, subject: &Subject) -> Result<Family, Error> {
    let family = subject.service_name();
    // The newest hundred are all that a pass can have use for.
    let (active, _) = list(aws, &family, TaskDefinitionStatus::Active, SortOrder::Desc, None).await?;
    let inactive = match aws.caches.inactive.get(&family) {
        Some(known) => known,
        None => {
            let found = inactive(aws, subject).await?;
            aws.caches.inactive.put(family, found.clone());
            found
        }
    };
    let (active, others) = by_owner(aws, subject, active).await?;
    Ok(Family {
        active,
        inactive,
        theirs: others.into_iter().find(|holder| holder.operator.is_some()),
    })
}

/// Returns the oldest INACTIVE definitions that are ours, as many as a pass has use for.
async fn inactive(aws: &Aws, subject: &Subject) -> Result<Vec<String>, Error> {
    let family = subject.service_name();
    let (mut ours, mut looked_at, mut token) = (Vec::new(), 0, None);
    for _ in 0..PAGES {
        let (arns, next) = list(aws, &family, TaskDefinitionStatus::Inactive, SortOrder::Asc, token).await?;
        for chunk in arns.chunks(INACTIVE) {
            let (found, _) = by_owner(aws, subject, chunk.to_vec()).await?;
            ours.extend(found.into_iter().map(|one| one.arn));
            looked_at += chunk.len();
            if ours.len() >= INACTIVE || looked_at >= LOOKED_AT {
                return Ok(ours);
            }
        }
        token = next;
        if token.is_none() {
            break;
        }
    }
    Ok(ours)
}

/// Returns a page of a family's definitions, and the way to the next one.
async fn list(
    aws: &Aws,
    family: &str,
    status: TaskDefinitionStatus,
    sort: SortOrder,
    token: Option<String>,
) -> Result<(Vec<String>, Option<String>), Error> {
    let request = aws
        .read
        .ecs
        .list_task_definitions()
        .family_prefix(family)
        .status(status)
        .sort(sort)
        .max_results(100)
        .set_next_token(token);
    let answer = aws
        .call(Category::DefinitionRead, "ListTaskDefinitions", request.send())
        .await?;
    let arns = answer.task_definition_arns.unwrap_or_default();
    let own = arns.into_iter().filter(|arn| family_of(arn) == Some(family));
    Ok((own.collect(), answer.next_token))
}

/// Returns the family in an ARN such as `arn:aws:ecs:eu-west-1:123456789012:task-definition/penstock-orders:7`.
fn family_of(arn: &str) -> Option<&str> {
    arn.rsplit_once('/')?.1.rsplit_once(':').map(|(family, _)| family)
}

/// Returns the definitions that are ours, and whose the others are.
async fn by_owner(
    aws: &Aws,
    subject: &Subject,
    arns: Vec<String>,
) -> Result<(Vec<RegisteredRevision>, Vec<Holder>), Error> {
    let found = all(arns.iter().map(|arn| describe(aws, arn).boxed()).collect()).await;
    let (mut ours, mut others) = (Vec::new(), Vec::new());
    for (arn, found) in arns.into_iter().zip(found) {
        let Some(registered) = found? else { continue };
        match aws.holder(subject, &registered.tags) {
            Some(holder) => others.push(holder),
            None => ours.push(RegisteredRevision {
                arn,
                content: registered.content.clone().ok(),
            }),
        }
    }
    Ok((ours, others))
}

/// Registers a revision. Never repeated by the SDK: every call makes another revision.
pub(in crate::cloud) async fn register(
    aws: &Aws,
    content: &TaskDefinition,
    tags: &BTreeMap<String, String>,
) -> Result<Receipt, Error> {
    let platform = RuntimePlatform::builder()
        .operating_system_family(OsFamily::Linux)
        .cpu_architecture(CpuArchitecture::from(content.architecture.as_str()))
        .build();
    let request = aws
        .write
        .ecs
        .register_task_definition()
        .family(&content.family)
        .network_mode(NetworkMode::Awsvpc)
        .requires_compatibilities(Compatibility::from(content.compatibility.as_str()))
        .runtime_platform(platform)
        .cpu(content.cpu.to_string())
        .memory(content.memory.to_string())
        .set_task_role_arn(content.task_role.clone())
        .set_execution_role_arn(content.execution_role.clone())
        .container_definitions(
            written(&content.container, content.memory).map_err(|error| invalid("container", &error))?,
        )
        .set_tags(Some(sdk_tags(tags)).filter(|tags| !tags.is_empty()));
    let answer = aws
        .call(Category::DefinitionModify, "RegisterTaskDefinition", request.send())
        .await?;
    let request_id = answer.request_id().map(str::to_owned);
    Ok(Receipt {
        request_id,
        arn: answer.task_definition.and_then(|one| one.task_definition_arn),
    })
}

/// Makes a definition INACTIVE; one that is gone is as good.
pub(in crate::cloud) async fn deregister(aws: &Aws, subject: &Subject, arn: &str) -> Result<Receipt, Error> {
    let request = aws.write.ecs.deregister_task_definition().task_definition(arn);
    let answer = aws
        .call(Category::DefinitionModify, "DeregisterTaskDefinition", request.send())
        .await;
    aws.caches.inactive.remove(&subject.service_name());
    match answer {
        Err(Error::Refuse {
            message, request_id, ..
        }) if message.contains("does not exist") => Ok(Receipt { request_id, arn: None }),
        other => Ok(receipt(&other?)),
    }
}

/// Deletes INACTIVE definitions. ECS answers with success and a list of what it did not do.
pub(in crate::cloud) async fn delete(aws: &Aws, subject: &Subject, arns: &[String]) -> Result<Receipt, Error> {
    const OPERATION: &str = "DeleteTaskDefinitions";
    let request = aws
        .write
        .ecs
        .delete_task_definitions()
        .set_task_definitions(Some(arns.to_vec()));
    let answer = aws.call(Category::DefinitionDelete, OPERATION, request.send()).await;
    aws.caches.inactive.remove(&subject.service_name());
    let answer = answer?;
    for failure in answer.failures() {
        let reason = failure.reason().unwrap_or("no reason");
        if !reason.contains("does not exist") {
            let message = format!("{}: {reason}", failure.arn().unwrap_or("a task definition"));
            return Err(Error::Wait {
                operation: OPERATION.to_owned(),
                message,
            });
        }
    }
    Ok(receipt(&answer))
}

/// Stands for a definition that Penstock would not write. No family's name has a colon.
fn other(arn: &str, why: &str) -> TaskDefinition {
    let name = arn.rsplit('/').next().unwrap_or(arn);
    TaskDefinition {
        family: format!("{name} (not as Penstock writes it: {why})"),
        cpu: 0,
        memory: 0,
        architecture: String::new(),
        compatibility: String::new(),
        task_role: None,
        execution_role: None,
        container: Container {
            name: String::new(),
            image: String::new(),
            environment: BTreeMap::new(),
            secrets: BTreeMap::new(),
            log_options: BTreeMap::new(),
            labels: BTreeMap::new(),
            stop_timeout: 0,
            health_check: HealthCheck {
                command: Vec::new(),
                interval: 0,
                timeout: 0,
                retries: 0,
                start_period: 0,
            },
        },
    }
}

/// Returns what a definition holds, or in what it departs from the form that Penstock writes.
fn content(definition: &SdkTaskDefinition) -> Result<TaskDefinition, String> {
    check_task(definition)?;
    let [container] = definition.container_definitions() else {
        return Err(format!("{} containers", definition.container_definitions().len()));
    };
    let number = |field: &str, text: Option<&str>| {
        text.and_then(|text| text.parse().ok())
            .ok_or_else(|| format!("{field} is {text:?}"))
    };
    let platform = definition.runtime_platform();
    let architecture = platform
        .and_then(RuntimePlatform::cpu_architecture)
        .map_or("X86_64", CpuArchitecture::as_str);
    let [compatibility] = definition.requires_compatibilities() else {
        return Err("not exactly one of requiresCompatibilities".to_owned());
    };
    let memory = number("memory", definition.memory())?;
    Ok(TaskDefinition {
        family: definition.family().unwrap_or_default().to_owned(),
        cpu: number("cpu", definition.cpu())?,
        memory,
        architecture: architecture.to_owned(),
        compatibility: compatibility.as_str().to_owned(),
        task_role: definition.task_role_arn.clone(),
        execution_role: definition.execution_role_arn.clone(),
        container: checked(container, memory)?,
    })
}

fn check_task(definition: &SdkTaskDefinition) -> Result<(), String> {
    let platform = definition.runtime_platform();
    let system = platform.and_then(RuntimePlatform::operating_system_family);
    let faults = [
        ("networkMode", definition.network_mode() != Some(&NetworkMode::Awsvpc)),
        (
            "runtimePlatform",
            system.is_some_and(|system| *system != OsFamily::Linux),
        ),
        ("volumes", !definition.volumes().is_empty()),
        ("placementConstraints", !definition.placement_constraints().is_empty()),
        ("pidMode", definition.pid_mode().is_some()),
        ("ipcMode", definition.ipc_mode().is_some()),
        ("proxyConfiguration", definition.proxy_configuration().is_some()),
        ("ephemeralStorage", definition.ephemeral_storage().is_some()),
        (
            "enableFaultInjection",
            definition.enable_fault_injection() == Some(true),
        ),
    ];
    match faults.iter().find(|(_, differs)| *differs) {
        Some((field, _)) => Err((*field).to_owned()),
        None => Ok(()),
    }
}

/// Returns the container in our words, if writing those words gives the very same container.
fn checked(container: &ContainerDefinition, memory: u32) -> Result<Container, String> {
    let ours = read(container);
    let again = written(&ours, memory).map_err(|error| error.to_string())?;
    if normalised(again) == normalised(container.clone()) {
        Ok(ours)
    } else {
        Err("the container has fields or values that Penstock does not set".to_owned())
    }
}

fn read(container: &ContainerDefinition) -> Container {
    let pairs = container.environment().iter();
    let variables = pairs.filter_map(|pair| Some((pair.name.clone()?, pair.value.clone().unwrap_or_default())));
    let secrets = container
        .secrets()
        .iter()
        .map(|secret| (secret.name.clone(), secret.value_from.clone()));
    let options = container.log_configuration().and_then(LogConfiguration::options);
    let check = container.health_check();
    let seconds = |field: Option<i32>, default| field.unwrap_or(default);
    Container {
        name: container.name().unwrap_or_default().to_owned(),
        image: container.image().unwrap_or_default().to_owned(),
        environment: variables.collect(),
        secrets: secrets.collect(),
        log_options: options.into_iter().flatten().map(owned).collect(),
        labels: container.docker_labels().into_iter().flatten().map(owned).collect(),
        stop_timeout: seconds(container.stop_timeout(), 30),
        health_check: HealthCheck {
            command: check.map(|check| check.command().to_vec()).unwrap_or_default(),
            interval: seconds(check.and_then(SdkHealthCheck::interval), 30),
            timeout: seconds(check.and_then(SdkHealthCheck::timeout), 5),
            retries: seconds(check.and_then(SdkHealthCheck::retries), 3),
            start_period: seconds(check.and_then(SdkHealthCheck::start_period), 0),
        },
    }
}

fn owned((key, value): (&String, &String)) -> (String, String) {
    (key.clone(), value.clone())
}

/// Returns the container as it is registered. It is the task's only one, so all of the task's memory is its own.
fn written(container: &Container, memory: u32) -> Result<ContainerDefinition, aws_sdk_ecs::error::BuildError> {
    let variable = |(name, value): (&String, &String)| KeyValuePair::builder().name(name).value(value).build();
    let secret = |(name, from): (&String, &String)| Secret::builder().name(name).value_from(from).build();
    let secrets = container.secrets.iter().map(secret).collect::<Result<Vec<_>, _>>()?;
    let labels = (!container.labels.is_empty()).then(|| container.labels.iter().map(owned).collect());
    let check = &container.health_check;
    let health_check = SdkHealthCheck::builder()
        .set_command(Some(check.command.clone()))
        .interval(check.interval)
        .timeout(check.timeout)
        .retries(check.retries)
        .start_period(check.start_period)
        .build()?;
    Ok(ContainerDefinition::builder()
        .name(&container.name)
        .image(&container.image)
        .memory(i32::try_from(memory).unwrap_or(i32::MAX))
        .essential(true)
        .readonly_root_filesystem(true)
        .linux_parameters(LinuxParameters::builder().init_process_enabled(true).build())
        .set_environment(Some(container.environment.iter().map(variable).collect()))
        .set_secrets(Some(secrets).filter(|secrets| !secrets.is_empty()))
        .set_docker_labels(labels)
        .set_log_configuration(log_configuration(&container.log_options)?)
        .stop_timeout(container.stop_timeout)
        .health_check(health_check)
        .build())
}

fn log_configuration(
    options: &BTreeMap<String, String>,
) -> Result<Option<LogConfiguration>, aws_sdk_ecs::error::BuildError> {
    if options.is_empty() {
        return Ok(None);
    }
    let options = options.iter().map(owned).collect();
    LogConfiguration::builder()
        .log_driver(LogDriver::Awslogs)
        .set_options(Some(options))
        .build()
        .map(Some)
}

/// Fills in what AWS fills in, and drops the difference between an empty list and none.
fn normalised(mut container: ContainerDefinition) -> ContainerDefinition {
    fn emptied<T>(list: &mut Option<Vec<T>>) {
        *list = list.take().filter(|list| !list.is_empty());
    }
    emptied(&mut container.links);
    emptied(&mut container.port_mappings);
    emptied(&mut container.entry_point);
    emptied(&mut container.command);
    emptied(&mut container.environment);
    emptied(&mut container.environment_files);
    emptied(&mut container.mount_points);
    emptied(&mut container.volumes_from);
    emptied(&mut container.secrets);
    emptied(&mut container.depends_on);
    emptied(&mut container.dns_servers);
    emptied(&mut container.dns_search_domains);
    emptied(&mut container.extra_hosts);
    emptied(&mut container.docker_security_options);
    emptied(&mut container.ulimits);
    emptied(&mut container.system_controls);
    emptied(&mut container.resource_requirements);
    emptied(&mut container.credential_specs);
    if let Some(variables) = &mut container.environment {
        variables.sort_by(|one, other| one.name.cmp(&other.name));
    }
    if let Some(secrets) = &mut container.secrets {
        secrets.sort_by(|one, other| one.name.cmp(&other.name));
    }
    if let Some(parameters) = &mut container.linux_parameters {
        emptied(&mut parameters.devices);
        emptied(&mut parameters.tmpfs);
    }
    if let Some(logs) = &mut container.log_configuration {
        emptied(&mut logs.secret_options);
    }
    if let Some(check) = &mut container.health_check {
        check.interval.get_or_insert(30);
        check.timeout.get_or_insert(5);
        check.retries.get_or_insert(3);
        check.start_period.get_or_insert(0);
    }
    container.docker_labels = container.docker_labels.take().filter(|labels| !labels.is_empty());
    container.version_consistency = container
        .version_consistency
        .take()
        .filter(|wanted| *wanted != VersionConsistency::Enabled);
    container.essential.get_or_insert(true);
    container.stop_timeout.get_or_insert(30);
    container
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use aws_sdk_ecs::types::{PortMapping, Volume};

    use super::*;

    fn sample() -> TaskDefinition {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        TaskDefinition {
            family: "penstock-orders".to_owned(),
            cpu: 256,
            memory: 512,
            architecture: "ARM64".to_owned(),
            compatibility: "FARGATE".to_owned(),
            task_role: None,
            execution_role: Some("arn:aws:iam::123456789012:role/ecs".to_owned()),
            container: Container {
                name: "bridge".to_owned(),
                image: "penstock-bridge:1".to_owned(),
                environment: [pair("B", "2"), pair("A", "1")].into(),
                secrets: [pair(
                    "PASSWORD",
                    "arn:aws:secretsmanager:eu-west-1:123456789012:secret:kafka",
                )]
                .into(),
                log_options: [pair("awslogs-group", "/penstock")].into(),
                labels: [pair("penstock.dev/restarted-at", "2026-11-21T00:00:00Z")].into(),
                stop_timeout: 60,
                health_check: HealthCheck {
                    command: vec!["CMD".to_owned(), "penstock-bridge".to_owned(), "health".to_owned()],
                    interval: 30,
                    timeout: 5,
                    retries: 3,
                    start_period: 0,
                },
            },
        }
    }

    /// The sample as AWS describes it: lists in another order, defaults left out or filled in.
    fn described(change: impl FnOnce(&mut ContainerDefinition)) -> SdkTaskDefinition {
        let mut container = written(&sample().container, 512).unwrap();
        container.environment.as_mut().unwrap().reverse();
        container.port_mappings = Some(Vec::new());
        container.mount_points = Some(Vec::new());
        container.version_consistency = Some(VersionConsistency::Enabled);
        container.health_check.as_mut().unwrap().start_period = None;
        change(&mut container);
        let platform = RuntimePlatform::builder()
            .operating_system_family(OsFamily::Linux)
            .cpu_architecture(CpuArchitecture::Arm64)
            .build();
        SdkTaskDefinition::builder()
            .family("penstock-orders")
            .cpu("256")
            .memory("512")
            .network_mode(NetworkMode::Awsvpc)
            .requires_compatibilities(Compatibility::Fargate)
            .compatibilities(Compatibility::Ec2)
            .runtime_platform(platform)
            .execution_role_arn("arn:aws:iam::123456789012:role/ecs")
            .container_definitions(container)
            .build()
    }

    #[test]
    fn what_was_written_is_read_as_it_was_meant() {
        assert_eq!(content(&described(|_| ())), Ok(sample()));
    }

    #[test]
    fn a_field_that_is_never_written_makes_another_form() {
        let changes: [fn(&mut ContainerDefinition); 7] = [
            |container| container.user = Some("0".to_owned()),
            |container| container.command = Some(vec!["sleep".to_owned()]),
            |container| container.readonly_root_filesystem = Some(false),
            |container| container.port_mappings = Some(vec![PortMapping::builder().container_port(80).build()]),
            |container| container.privileged = Some(true),
            |container| container.linux_parameters = None,
            |container| container.health_check = None,
        ];
        for (index, change) in changes.into_iter().enumerate() {
            assert!(content(&described(change)).is_err(), "change {index}");
        }
        let mut with_volume = described(|_| ());
        with_volume.volumes = Some(vec![Volume::builder().name("data").build()]);
        assert_eq!(content(&with_volume), Err("volumes".to_owned()));
        let mut two = described(|_| ());
        let twice = [two.container_definitions(), two.container_definitions()].concat();
        two.container_definitions = Some(twice);
        assert_eq!(content(&two), Err("2 containers".to_owned()));
    }

    #[test]
    fn a_changed_value_is_read_as_it_is() {
        let seen = content(&described(|container| container.image = Some("other:1".to_owned()))).unwrap();
        assert_eq!(seen.container.image, "other:1");
    }

    #[test]
    fn the_stand_in_for_another_form_has_a_family_that_nobody_can_want() {
        let arn = "arn:aws:ecs:eu-west-1:123456789012:task-definition/penstock-orders:7";
        assert_eq!(
            other(arn, "volumes").family,
            "penstock-orders:7 (not as Penstock writes it: volumes)"
        );
        assert_eq!(family_of(arn), Some("penstock-orders"));
    }
}
