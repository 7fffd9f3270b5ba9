//! The operations on services.

use serde::Deserialize;
use serde_json::{Value, json};

use super::clusters::{CapacityItem, Cluster, check_strategy};
use super::definition::{DefinitionStatus, TaskDefinition};
use super::deployment::{DeploymentConfiguration, NetworkConfiguration, Workload};
use super::names::{arn, is_valid_name, last_segment};
use super::paging::{Page, page};
use super::service::{Backoff, Creation, Options, PropagateTags, Rebalancing, Service, Status};
use super::service_checks::{
    changed, check_configuration, check_desired, check_grace, check_network, platform_version,
};
use super::wire::{Empty, Tag, check_tags, client, failure, invalid, read};
use super::{Ecs, rollout};
use crate::model::{Answer, Call, Fault};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CreateService {
    cluster: Option<String>,
    service_name: String,
    task_definition: Option<String>,
    desired_count: Option<i32>,
    client_token: Option<String>,
    launch_type: Option<LaunchType>,
    #[serde(default)]
    capacity_provider_strategy: Vec<CapacityItem>,
    platform_version: Option<String>,
    #[serde(default)]
    deployment_configuration: DeploymentConfiguration,
    network_configuration: Option<NetworkConfiguration>,
    health_check_grace_period_seconds: Option<i32>,
    #[serde(rename = "schedulingStrategy", default)]
    _scheduling_strategy: SchedulingStrategy,
    #[serde(rename = "deploymentController", default)]
    _deployment_controller: DeploymentController,
    #[serde(default)]
    tags: Vec<Tag>,
    #[serde(rename = "enableECSManagedTags", default)]
    managed_tags: bool,
    #[serde(default)]
    propagate_tags: PropagateTags,
    #[serde(default)]
    enable_execute_command: bool,
    #[serde(default)]
    availability_zone_rebalancing: Rebalancing,
    #[serde(rename = "placementConstraints", default)]
    _placement_constraints: Empty,
    #[serde(rename = "placementStrategy", default)]
    _placement_strategy: Empty,
    #[serde(rename = "loadBalancers", default)]
    _load_balancers: Empty,
    #[serde(rename = "serviceRegistries", default)]
    _service_registries: Empty,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct UpdateService {
    cluster: Option<String>,
    service: String,
    desired_count: Option<i32>,
    task_definition: Option<String>,
    capacity_provider_strategy: Option<Vec<CapacityItem>>,
    deployment_configuration: Option<Value>,
    availability_zone_rebalancing: Option<Rebalancing>,
    network_configuration: Option<NetworkConfiguration>,
    platform_version: Option<String>,
    #[serde(default)]
    force_new_deployment: bool,
    health_check_grace_period_seconds: Option<i32>,
    #[serde(rename = "deploymentController", default)]
    _deployment_controller: DeploymentController,
    enable_execute_command: Option<bool>,
    #[serde(rename = "enableECSManagedTags")]
    managed_tags: Option<bool>,
    propagate_tags: Option<PropagateTags>,
    #[serde(rename = "placementConstraints", default)]
    _placement_constraints: Empty,
    #[serde(rename = "placementStrategy", default)]
    _placement_strategy: Empty,
    #[serde(rename = "loadBalancers", default)]
    _load_balancers: Empty,
    #[serde(rename = "serviceRegistries", default)]
    _service_registries: Empty,
}

#[derive(Deserialize)]
enum LaunchType {
    #[serde(rename = "FARGATE")]
    Fargate,
}

#[derive(Deserialize, Default)]
enum SchedulingStrategy {
    #[default]
    #[serde(rename = "REPLICA")]
    Replica,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct DeploymentController {
    #[serde(rename = "type", default)]
    _kind: ControllerKind,
}

#[derive(Deserialize, Default)]
enum ControllerKind {
    #[default]
    #[serde(rename = "ECS")]
    Ecs,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DeleteService {
    cluster: Option<String>,
    service: String,
    #[serde(default)]
    force: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DescribeServices {
    cluster: Option<String>,
    services: Vec<String>,
    #[serde(default)]
    include: Vec<Include>,
}

#[derive(Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Include {
    Tags,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ListServices {
    cluster: Option<String>,
    next_token: Option<String>,
    max_results: Option<i32>,
    launch_type: Option<ListedLaunchType>,
    #[serde(rename = "schedulingStrategy", default)]
    _scheduling_strategy: SchedulingStrategy,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
enum ListedLaunchType {
    Fargate,
    Ec2,
    External,
}

impl Ecs {
    /// The service of that name or ARN, whatever its status.
    pub(super) fn service(&self, cluster: &str, reference: &str) -> Option<&Service> {
        self.services
            .get(&(cluster.to_owned(), last_segment(reference).to_owned()))
    }

    pub(super) fn service_mut(&mut self, cluster: &str, reference: &str) -> Option<&mut Service> {
        self.services
            .get_mut(&(cluster.to_owned(), last_segment(reference).to_owned()))
    }

    pub(super) fn create_service(&mut self, call: &Call<'_>) -> Answer {
        let input: CreateService = read(call)?;
        let cluster = self.cluster(input.cluster.as_deref())?.clone();
        let creation = creation(call, &input);
        if let Some(existing) = self.service(&cluster.name, &input.service_name)
            && is_repeated(existing, &creation)?
        {
            return Ok(json!({"service": self.service_json(existing, true)}));
        }
        let workload = self.new_workload(&cluster, &input)?;
        let desired = input
            .desired_count
            .ok_or_else(|| invalid("desiredCount is required for REPLICA services."))?;
        check_desired(desired)?;
        check_configuration(&input.deployment_configuration)?;
        check_grace(input.health_check_grace_period_seconds)?;
        check_tags(&input.tags)?;
        let key = (cluster.name, input.service_name.clone());
        let mut service = new_service(call, &key.0, desired, input, creation);
        rollout::begin(&mut service, workload, &self.families, &mut self.ids, call.now);
        let json = self.service_json(&service, true);
        self.services.insert(key, service);
        Ok(json!({"service": json}))
    }

    pub(super) fn update_service(&mut self, call: &Call<'_>) -> Answer {
        let input: UpdateService = read(call)?;
        let cluster = self.cluster(input.cluster.as_deref())?.clone();
        let service = self
            .service(&cluster.name, &input.service)
            .ok_or_else(service_not_found)?;
        if service.status != Status::Active {
            return Err(Fault::client("ServiceNotActiveException", "Service was not ACTIVE."));
        }
        input.desired_count.map_or(Ok(()), check_desired)?;
        let current = service.primary().workload.clone();
        let workload = self.changed_workload(&cluster, current.clone(), &input)?;
        let options = changed_options(service.options.clone(), &input)?;

        let key = (cluster.name, service.name.clone());
        let service = self.services.get_mut(&key).ok_or_else(service_not_found)?;
        service.options = options;
        if let Some(desired) = input.desired_count {
            set_desired(service, desired, call.now.fast);
        }
        // The capacity strategy alone changes in place: ECS starts no deployment for it.
        let in_place = Workload {
            strategy: workload.strategy.clone(),
            ..current
        };
        if input.force_new_deployment || workload != in_place {
            rollout::begin(service, workload, &self.families, &mut self.ids, call.now);
        } else {
            service.primary_mut().workload = in_place;
        }
        let service = self.services.get(&key).ok_or_else(service_not_found)?;
        Ok(json!({"service": self.service_json(service, true)}))
    }

    pub(super) fn delete_service(&mut self, call: &Call<'_>) -> Answer {
        let input: DeleteService = read(call)?;
        let cluster = self.cluster(input.cluster.as_deref())?.name.clone();
        let service = self
            .service_mut(&cluster, &input.service)
            .filter(|service| service.status != Status::Inactive)
            .ok_or_else(service_not_found)?;
        if service.status == Status::Active {
            if service.desired > 0 && !input.force {
                return Err(invalid("The service cannot be stopped while it is scaled above 0."));
            }
            rollout::drain(service, call.now);
        }
        let service = self.service(&cluster, &input.service).ok_or_else(service_not_found)?;
        Ok(json!({"service": self.service_json(service, true)}))
    }

    pub(super) fn describe_services(&self, call: &Call<'_>) -> Answer {
        let input: DescribeServices = read(call)?;
        let cluster = self.cluster(input.cluster.as_deref())?;
        if input.services.is_empty() {
            return Err(invalid("Services cannot be empty."));
        }
        if input.services.len() > 10 {
            return Err(invalid("Services cannot have more than 10 elements."));
        }
        let (mut services, mut failures) = (Vec::new(), Vec::new());
        for reference in &input.services {
            let name = last_segment(reference);
            match self.service(&cluster.name, name) {
                Some(service) => services.push(self.service_json(service, !input.include.is_empty())),
                None => {
                    let path = format!("{}/{name}", cluster.name);
                    failures.push(failure(&arn(call.scope, "service", &path), "MISSING"));
                }
            }
        }
        Ok(json!({"services": services, "failures": failures}))
    }

    pub(super) fn list_services(&self, call: &Call<'_>) -> Answer {
        let input: ListServices = read(call)?;
        let cluster = self.cluster(input.cluster.as_deref())?;
        let has_launch_type = |service: &Service| match input.launch_type {
            None => true,
            Some(ListedLaunchType::Fargate) => service.primary().workload.strategy.is_empty(),
            Some(ListedLaunchType::Ec2 | ListedLaunchType::External) => false,
        };
        // Services that are DRAINING or INACTIVE are no longer listed.
        let listed = self.services.values().filter(|service| {
            service.cluster == cluster.name && service.status == Status::Active && has_launch_type(service)
        });
        let entries = listed
            .map(|service| (service.name.clone(), json!(service.arn())))
            .collect();
        let ask = Page {
            token: input.next_token.as_deref(),
            size: input.max_results,
            default_size: 10,
        };
        page("serviceArns", ask, false, entries)
    }

    /// The ARN of what an update names. The revision that runs may be named again even if it is no longer ACTIVE.
    fn definition_to_run(&self, reference: &str, running: &str) -> Result<String, Fault> {
        match self.definition(reference) {
            Some(definition) if definition.arn == running => Ok(definition.arn.clone()),
            _ => Ok(self.usable_definition(reference)?.arn.clone()),
        }
    }

    /// A revision that a service may be pointed at.
    fn usable_definition(&self, reference: &str) -> Result<&TaskDefinition, Fault> {
        let definition = self
            .definition(reference)
            .ok_or_else(|| client("TaskDefinition not found."))?;
        match definition.status {
            DefinitionStatus::Active => Ok(definition),
            DefinitionStatus::Inactive | DefinitionStatus::DeleteInProgress => {
                Err(client("TaskDefinition is inactive"))
            }
        }
    }

    fn new_workload(&self, cluster: &Cluster, input: &CreateService) -> Result<Workload, Fault> {
        if !is_valid_name(&input.service_name) {
            return Err(invalid(
                "Name should not exceed 255 characters and has letters, digits, - and _ only.",
            ));
        }
        let reference = input
            .task_definition
            .as_ref()
            .ok_or_else(|| invalid("TaskDefinition can not be blank."))?;
        let definition = self.usable_definition(reference)?.arn.clone();
        let network = input
            .network_configuration
            .clone()
            .ok_or_else(|| invalid("Network Configuration must be provided when networkMode 'awsvpc' is specified."))?;
        check_network(&network)?;
        Ok(Workload {
            definition,
            strategy: strategy(cluster, input)?,
            platform_version: platform_version(input.platform_version.clone())?,
            network,
        })
    }

    /// The workload that an update leaves behind.
    fn changed_workload(&self, cluster: &Cluster, current: Workload, input: &UpdateService) -> Result<Workload, Fault> {
        let mut workload = current;
        if let Some(reference) = &input.task_definition {
            workload.definition = self.definition_to_run(reference, &workload.definition)?;
        }
        if let Some(strategy) = &input.capacity_provider_strategy {
            check_strategy(strategy, &cluster.capacity_providers)?;
            workload.strategy.clone_from(strategy);
        }
        if let Some(network) = &input.network_configuration {
            check_network(network)?;
            workload.network = network.clone();
        }
        if input.platform_version.is_some() {
            workload.platform_version = platform_version(input.platform_version.clone())?;
        }
        Ok(workload)
    }

    fn service_json(&self, service: &Service, tags: bool) -> Value {
        let of_it = |task: &&super::task::Task| task.cluster == service.cluster && task.service == service.name;
        service.json(self.tasks.values().filter(of_it), tags)
    }
}

fn new_service(call: &Call<'_>, cluster: &str, desired: i32, input: CreateService, creation: Creation) -> Service {
    Service {
        scope: call.scope.clone(),
        cluster: cluster.to_owned(),
        name: input.service_name,
        status: Status::Active,
        ended: None,
        created: call.now.fast,
        desired,
        options: Options {
            configuration: input.deployment_configuration,
            propagate_tags: input.propagate_tags,
            managed_tags: input.managed_tags,
            execute_command: input.enable_execute_command,
            rebalancing: input.availability_zone_rebalancing,
            grace_seconds: input.health_check_grace_period_seconds,
        },
        tags: input.tags,
        deployments: Vec::new(),
        events: [].into(),
        revisions: [].into(),
        records: [].into(),
        creation,
        is_steady: false,
        backoff: Backoff::default(),
        protection_told: false,
    }
}

/// The options that an update leaves behind: what it does not name stays.
fn changed_options(current: Options, input: &UpdateService) -> Result<Options, Fault> {
    check_grace(input.health_check_grace_period_seconds)?;
    let configuration = match &input.deployment_configuration {
        Some(changes) => changed(&current.configuration, changes)?,
        None => current.configuration,
    };
    check_configuration(&configuration)?;
    Ok(Options {
        configuration,
        propagate_tags: input.propagate_tags.unwrap_or(current.propagate_tags),
        managed_tags: input.managed_tags.unwrap_or(current.managed_tags),
        execute_command: input.enable_execute_command.unwrap_or(current.execute_command),
        rebalancing: input.availability_zone_rebalancing.unwrap_or(current.rebalancing),
        grace_seconds: input.health_check_grace_period_seconds.or(current.grace_seconds),
    })
}

/// Sets what a service wants; used by callers and by scaling alike.
pub(super) fn set_desired(service: &mut Service, desired: i32, now: i64) {
    if service.desired == desired {
        return;
    }
    service.desired = desired;
    service.is_steady = false;
    service.protection_told = false;
    service.primary_mut().updated = now;
}

pub(super) fn service_not_found() -> Fault {
    Fault::client("ServiceNotFoundException", "Service not found.")
}

/// Whether this very creation has happened already; any other creation under a name in use is refused.
fn is_repeated(existing: &Service, creation: &Creation) -> Result<bool, Fault> {
    if creation.token.is_some() && existing.creation == *creation {
        return Ok(true);
    }
    match existing.status {
        Status::Active => Err(invalid("Creation of service was not idempotent.")),
        Status::Draining => Err(invalid("Unable to Start a service that is still Draining.")),
        Status::Inactive => Ok(false),
    }
}

fn creation(call: &Call<'_>, input: &CreateService) -> Creation {
    let mut rest = call.input.clone();
    if let Some(rest) = rest.as_object_mut() {
        rest.remove("clientToken");
    }
    Creation {
        token: input.client_token.clone(),
        input: rest,
    }
}

fn strategy(cluster: &Cluster, input: &CreateService) -> Result<Vec<CapacityItem>, Fault> {
    match (&input.launch_type, input.capacity_provider_strategy.as_slice()) {
        (Some(LaunchType::Fargate), []) => Ok(Vec::new()),
        (Some(LaunchType::Fargate), _) => Err(invalid(
            "Specifying both a launch type and capacity provider strategy is not supported. Remove one and try again.",
        )),
        (None, []) if cluster.default_strategy.is_empty() => Err(client(
            "localcloud runs tasks on FARGATE alone: set launchType or capacityProviderStrategy.",
        )),
        (None, []) => Ok(cluster.default_strategy.clone()),
        (None, strategy) => {
            check_strategy(strategy, &cluster.capacity_providers)?;
            Ok(strategy.to_vec())
        }
    }
}
