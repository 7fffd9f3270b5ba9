//! The operations on task definitions, from registration to deletion.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::json;

use super::Ecs;
use super::capacity::LaunchType;
use super::container::ContainerDefinition;
use super::definition::{Body, DefinitionStatus, Family, RuntimePlatform, TaskDefinition};
use super::names::{arn, family_and_revision, is_valid_name, path};
use super::paging::{Page, page};
use super::sizes::{TaskSize, check_sold, task_size};
use super::wire::{Empty, Include, Tag, check_tags, client, failure, invalid, put, read, to_json};
use crate::model::{Answer, Call, Fault};

/// As [`Body`], flat: a flattened struct could not deny unknown fields.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RegisterTaskDefinition {
    family: String,
    task_role_arn: Option<String>,
    execution_role_arn: Option<String>,
    network_mode: Option<String>,
    container_definitions: Vec<ContainerDefinition>,
    #[serde(default)]
    requires_compatibilities: Vec<LaunchType>,
    cpu: Option<String>,
    memory: Option<String>,
    runtime_platform: Option<RuntimePlatform>,
    #[serde(default)]
    volumes: Empty,
    #[serde(default)]
    placement_constraints: Empty,
    #[serde(default)]
    tags: Vec<Tag>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DescribeTaskDefinition {
    task_definition: String,
    #[serde(default)]
    include: Vec<Include>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DeregisterTaskDefinition {
    task_definition: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DeleteTaskDefinitions {
    task_definitions: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ListTaskDefinitions {
    family_prefix: Option<String>,
    status: Option<DefinitionStatus>,
    sort: Option<Sort>,
    next_token: Option<String>,
    max_results: Option<i32>,
}

#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
enum Sort {
    Asc,
    Desc,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ListTaskDefinitionFamilies {
    family_prefix: Option<String>,
    status: Option<FamilyStatus>,
    next_token: Option<String>,
    max_results: Option<i32>,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
enum FamilyStatus {
    Active,
    Inactive,
    All,
}

/// A task definition's size limit, in bytes of its JSON.
const MAX_LENGTH: usize = 65_536;

impl Ecs {
    /// The revision of that name or of an ARN of this world; a family alone means its latest ACTIVE revision.
    pub(super) fn definition(&self, reference: &str) -> Option<&TaskDefinition> {
        let (family, revision) = family_and_revision(reference);
        let revisions = &self.families.get(family)?.revisions;
        match revision {
            Some(revision) => revisions.get(&revision),
            None => revisions
                .values()
                .rev()
                .find(|definition| definition.status == DefinitionStatus::Active),
        }
    }

    pub(super) fn definition_mut(&mut self, reference: &str) -> Option<&mut TaskDefinition> {
        let (family, revision) = family_and_revision(reference);
        self.families.get_mut(family)?.revisions.get_mut(&revision?)
    }

    pub(super) fn register_task_definition(&mut self, call: &Call<'_>) -> Answer {
        let input: RegisterTaskDefinition = read(call)?;
        let length = call.input.to_string().len();
        if length > MAX_LENGTH {
            return Err(client(format!(
                "Actual length: '{length}'. Max allowed length is '{MAX_LENGTH}' bytes."
            )));
        }
        let (size, compatibilities) = checked(&input)?;
        let family = self.families.entry(input.family.clone()).or_default();
        family.last_revision += 1;
        let revision = family.last_revision;
        let definition = TaskDefinition {
            arn: arn(call.scope, "task-definition", &format!("{}:{revision}", input.family)),
            family: input.family,
            revision,
            status: DefinitionStatus::Active,
            size,
            compatibilities,
            body: Body {
                task_role_arn: input.task_role_arn,
                execution_role_arn: input.execution_role_arn,
                network_mode: input.network_mode,
                container_definitions: input
                    .container_definitions
                    .into_iter()
                    .map(ContainerDefinition::with_defaults)
                    .collect(),
                requires_compatibilities: input.requires_compatibilities,
                runtime_platform: input.runtime_platform,
                volumes: input.volumes,
                placement_constraints: input.placement_constraints,
            },
            tags: input.tags,
            scope: call.scope.clone(),
            registered: call.now.fast,
            deregistered: None,
            delete_requested: None,
        };
        let mut answer = json!({"taskDefinition": definition.json()});
        put(
            &mut answer,
            "tags",
            (!definition.tags.is_empty()).then(|| to_json(&definition.tags)),
        );
        family.revisions.insert(revision, definition);
        Ok(answer)
    }

    pub(super) fn describe_task_definition(&self, call: &Call<'_>) -> Answer {
        let input: DescribeTaskDefinition = read(call)?;
        let name = path(call.scope, "task-definition", &input.task_definition)?;
        let definition = self
            .definition(name)
            .ok_or_else(|| client("Unable to describe task definition."))?;
        let mut answer = json!({"taskDefinition": definition.json()});
        put(
            &mut answer,
            "tags",
            (!input.include.is_empty()).then(|| to_json(&definition.tags)),
        );
        Ok(answer)
    }

    pub(super) fn deregister_task_definition(&mut self, call: &Call<'_>) -> Answer {
        let input: DeregisterTaskDefinition = read(call)?;
        let name = path(call.scope, "task-definition", &input.task_definition)?;
        if family_and_revision(name).1.is_none() {
            return Err(invalid(format!(
                "Missing revision number in '{}'.",
                input.task_definition
            )));
        }
        let definition = self
            .definition_mut(name)
            .ok_or_else(|| client("The specified task definition does not exist."))?;
        if definition.status == DefinitionStatus::Active {
            definition.status = DefinitionStatus::Inactive;
            definition.deregistered = Some(call.now.fast);
        }
        Ok(json!({"taskDefinition": definition.json()}))
    }

    pub(super) fn delete_task_definitions(&mut self, call: &Call<'_>) -> Answer {
        let input: DeleteTaskDefinitions = read(call)?;
        if input.task_definitions.is_empty() || input.task_definitions.len() > 10 {
            return Err(invalid("taskDefinitions must name 1 to 10 task definitions."));
        }
        let (mut deleted, mut failures) = (Vec::new(), Vec::new());
        for reference in &input.task_definitions {
            match self.definition_mut(path(call.scope, "task-definition", reference)?) {
                None => failures.push(failure(reference, "The specified task definition does not exist.")),
                Some(definition) if definition.status == DefinitionStatus::Active => failures.push(failure(
                    &definition.arn,
                    "The specified task definition is still in ACTIVE status. Please deregister the target and try again.",
                )),
                Some(definition) => {
                    definition.status = DefinitionStatus::DeleteInProgress;
                    definition.delete_requested.get_or_insert(call.now.fast);
                    deleted.push(definition.json());
                }
            }
        }
        Ok(json!({"taskDefinitions": deleted, "failures": failures}))
    }

    pub(super) fn list_task_definitions(&self, call: &Call<'_>) -> Answer {
        let input: ListTaskDefinitions = read(call)?;
        let status = input.status.unwrap_or(DefinitionStatus::Active);
        let of_family = |definition: &&TaskDefinition| {
            input
                .family_prefix
                .as_ref()
                .is_none_or(|family| *family == definition.family)
        };
        let all = self.families.values().flat_map(|family| family.revisions.values());
        let mut entries: Vec<_> = all
            .filter(|definition| definition.status == status)
            .filter(of_family)
            .map(|definition| {
                (
                    format!("{}:{:010}", definition.family, definition.revision),
                    json!(definition.arn),
                )
            })
            .collect();
        let descending = input.sort == Some(Sort::Desc);
        entries.sort_by(|a, b| if descending { b.0.cmp(&a.0) } else { a.0.cmp(&b.0) });
        let ask = Page {
            token: input.next_token.as_deref(),
            size: input.max_results,
            default_size: 100,
        };
        page("taskDefinitionArns", ask, descending, entries)
    }

    pub(super) fn list_task_definition_families(&self, call: &Call<'_>) -> Answer {
        let input: ListTaskDefinitionFamilies = read(call)?;
        let is_active = |family: &Family| family.revisions.values().any(|d| d.status == DefinitionStatus::Active);
        let is_wanted = |family: &Family| match input.status.unwrap_or(FamilyStatus::All) {
            FamilyStatus::All => !family.revisions.is_empty(),
            FamilyStatus::Active => is_active(family),
            FamilyStatus::Inactive => !family.revisions.is_empty() && !is_active(family),
        };
        let prefix = input.family_prefix.unwrap_or_default();
        let named = self
            .families
            .iter()
            .filter(|(name, family)| name.starts_with(&prefix) && is_wanted(family));
        let entries = named.map(|(name, _)| (name.clone(), json!(name))).collect();
        let ask = Page {
            token: input.next_token.as_deref(),
            size: input.max_results,
            default_size: 100,
        };
        page("families", ask, false, entries)
    }

    /// Removes the revisions whose deletion was asked for and that nothing uses any more.
    pub(super) fn purge_definitions(&mut self) {
        let doomed = |definition: &TaskDefinition| definition.status == DefinitionStatus::DeleteInProgress;
        if !self
            .families
            .values()
            .any(|family| family.revisions.values().any(doomed))
        {
            return;
        }
        let by_tasks = self
            .tasks
            .values()
            .filter(|task| !task.is_stopped())
            .map(|task| task.definition_arn.clone());
        let by_services = self
            .services
            .values()
            .flat_map(super::service::Service::definitions_in_use);
        let used: BTreeSet<String> = by_tasks.chain(by_services).collect();
        for family in self.families.values_mut() {
            family
                .revisions
                .retain(|_, definition| !doomed(definition) || used.contains(&definition.arn));
        }
    }
}

/// Refuses what ECS refuses; returns the task's size, and what tasks of the definition can run on.
fn checked(input: &RegisterTaskDefinition) -> Result<(TaskSize, Vec<LaunchType>), Fault> {
    if !is_valid_name(&input.family) {
        return Err(client(
            "Family contains invalid characters: it has letters, digits, - and _ only, at most 255.",
        ));
    }
    if input.requires_compatibilities.is_empty() {
        return Err(client(
            "localcloud wants to know where tasks run: set requiresCompatibilities to FARGATE, EC2 or both.",
        ));
    }
    let requires_fargate = input.requires_compatibilities.contains(&LaunchType::Fargate);
    if input.network_mode.as_deref() != Some("awsvpc") {
        return Err(client(match requires_fargate {
            true => "Fargate only supports network mode 'awsvpc'.",
            false => "localcloud supports the network mode awsvpc alone.",
        }));
    }
    let size = task_size(input.cpu.as_deref(), input.memory.as_deref())?;
    let [container] = input.container_definitions.as_slice() else {
        return Err(client("localcloud runs exactly one container per task."));
    };
    let on_fargate = check_sold(size).and_then(|()| container.check_on_fargate(input.execution_role_arn.is_some()));
    if requires_fargate {
        on_fargate.clone()?;
    }
    check_container(container, size)?;
    container.check(input.execution_role_arn.is_some())?;
    check_platform(input.runtime_platform.as_ref())?;
    check_tags(&input.tags)?;
    let mut compatibilities = vec![LaunchType::Ec2];
    if on_fargate.is_ok() {
        compatibilities.push(LaunchType::Fargate);
    }
    Ok((size, compatibilities))
}

fn check_container(container: &ContainerDefinition, size: TaskSize) -> Result<(), Fault> {
    if container.essential == Some(false) {
        return Err(client("A task definition must have at least one essential container."));
    }
    let memory = container
        .memory
        .unwrap_or(0)
        .max(container.memory_reservation.unwrap_or(0));
    if container.cpu > size.cpu_units || memory > size.memory_mib {
        return Err(client("The container's cpu and memory must not exceed the task's."));
    }
    Ok(())
}

fn check_platform(platform: Option<&RuntimePlatform>) -> Result<(), Fault> {
    let Some(platform) = platform else { return Ok(()) };
    if !matches!(platform.cpu_architecture.as_deref(), None | Some("X86_64" | "ARM64")) {
        return Err(client("runtimePlatform.cpuArchitecture is X86_64 or ARM64."));
    }
    if !matches!(platform.operating_system_family.as_deref(), None | Some("LINUX")) {
        return Err(client("localcloud runs the operating system family LINUX alone."));
    }
    Ok(())
}
