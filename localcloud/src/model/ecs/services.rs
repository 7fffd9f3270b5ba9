//! The operations on services.

use serde_json::{Value, json};

use super::capacity::LaunchType;
use super::names::{arn, name_in};
use super::paging::{Page, page};
use super::placement::Placement;
use super::service::{Backoff, Creation, Options, Service, Status};
use super::service_checks::{
    changed, check_configuration, check_desired, check_grace, check_platform, check_rebalancing, default_rebalancing,
};
use super::service_input::{
    CreateService, DeleteService, DescribeServices, ListServices, ListedLaunchType, UpdateService,
};
use super::wire::{check_tags, failure, invalid, read};
use super::{Ecs, rollout};
use crate::model::{Answer, Call, Fault};

impl Ecs {
    /// The service of that name, whatever its status.
    pub(super) fn service(&self, cluster: &str, name: &str) -> Option<&Service> {
        self.services.get(&(cluster.to_owned(), name.to_owned()))
    }

    pub(super) fn service_mut(&mut self, cluster: &str, name: &str) -> Option<&mut Service> {
        self.services.get_mut(&(cluster.to_owned(), name.to_owned()))
    }

    pub(super) fn create_service(&mut self, call: &Call<'_>) -> Answer {
        let input: CreateService = read(call)?;
        let cluster = self.cluster(call.scope, input.cluster.as_deref())?.clone();
        let creation = creation(call, &input);
        if let Some(existing) = self.service(&cluster.name, &input.service_name)
            && is_repeated(existing, &creation)?
        {
            return Ok(json!({"service": self.service_json(existing, true)}));
        }
        let placement = Placement {
            constraints: input.placement_constraints.clone(),
            strategies: input.placement_strategy.clone(),
        };
        let placement = placement.checked()?;
        let workload = self.new_workload(&cluster, &input)?;
        check_platform(&workload, self.definition(&workload.definition), &placement)?;
        let desired = input
            .desired_count
            .ok_or_else(|| invalid("desiredCount is required for REPLICA services."))?;
        check_desired(desired)?;
        check_configuration(&input.deployment_configuration)?;
        check_grace(input.health_check_grace_period_seconds)?;
        check_tags(&input.tags)?;
        let key = (cluster.name, input.service_name.clone());
        let mut service = new_service(call, &key.0, desired, input, placement, creation);
        check_rebalancing(&service.options)?;
        rollout::begin(&mut service, workload, &self.families, &mut self.ids, call.now);
        let json = self.service_json(&service, true);
        self.services.insert(key, service);
        Ok(json!({"service": json}))
    }

    pub(super) fn update_service(&mut self, call: &Call<'_>) -> Answer {
        let input: UpdateService = read(call)?;
        let cluster = self.cluster(call.scope, input.cluster.as_deref())?.clone();
        let name = name_in(call.scope, "service", &cluster.name, &input.service)?;
        let service = self.service(&cluster.name, name).ok_or_else(service_not_found)?;
        if service.status != Status::Active {
            return Err(Fault::client("ServiceNotActiveException", "Service was not ACTIVE."));
        }
        input.desired_count.map_or(Ok(()), check_desired)?;
        let current = service.primary().workload.clone();
        let workload = self.changed_workload(&cluster, current.clone(), &input)?;
        let options = changed_options(service.options.clone(), &input)?;
        check_platform(&workload, self.definition(&workload.definition), &options.placement)?;

        let key = (cluster.name, service.name.clone());
        let service = self.services.get_mut(&key).ok_or_else(service_not_found)?;
        service.options = options;
        if let Some(desired) = input.desired_count {
            set_desired(service, desired, call.now.fast);
        }
        if input.force_new_deployment || workload != current {
            rollout::begin(service, workload, &self.families, &mut self.ids, call.now);
        }
        let service = self.services.get(&key).ok_or_else(service_not_found)?;
        Ok(json!({"service": self.service_json(service, true)}))
    }

    pub(super) fn delete_service(&mut self, call: &Call<'_>) -> Answer {
        let input: DeleteService = read(call)?;
        let cluster = self.cluster(call.scope, input.cluster.as_deref())?.name.clone();
        let name = name_in(call.scope, "service", &cluster, &input.service)?;
        let service = self
            .service_mut(&cluster, name)
            .filter(|service| service.status != Status::Inactive)
            .ok_or_else(service_not_found)?;
        if service.status == Status::Active {
            if service.desired > 0 && !input.force {
                return Err(invalid("The service cannot be stopped while it is scaled above 0."));
            }
            rollout::drain(service, call.now);
        }
        let service = self.service(&cluster, name).ok_or_else(service_not_found)?;
        Ok(json!({"service": self.service_json(service, true)}))
    }

    pub(super) fn describe_services(&self, call: &Call<'_>) -> Answer {
        let input: DescribeServices = read(call)?;
        let cluster = self.cluster(call.scope, input.cluster.as_deref())?;
        if input.services.is_empty() {
            return Err(invalid("Services cannot be empty."));
        }
        if input.services.len() > 10 {
            return Err(invalid("Services cannot have more than 10 elements."));
        }
        let (mut services, mut failures) = (Vec::new(), Vec::new());
        for reference in &input.services {
            let name = name_in(call.scope, "service", &cluster.name, reference)?;
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
        let cluster = self.cluster(call.scope, input.cluster.as_deref())?;
        let is_meant = |service: &Service| match input.launch_type {
            None => true,
            Some(ListedLaunchType::External) => false,
            Some(ListedLaunchType::Fargate) => has_launch_type(service, LaunchType::Fargate),
            Some(ListedLaunchType::Ec2) => has_launch_type(service, LaunchType::Ec2),
        };
        // Services that are DRAINING or INACTIVE are no longer listed.
        let listed = self
            .services
            .values()
            .filter(|service| service.cluster == cluster.name && service.status == Status::Active && is_meant(service));
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

    fn service_json(&self, service: &Service, tags: bool) -> Value {
        let of_it = |task: &&super::task::Task| task.cluster == service.cluster && task.service == service.name;
        service.json(self.tasks.values().filter(of_it), tags)
    }
}

fn new_service(
    call: &Call<'_>,
    cluster: &str,
    desired: i32,
    input: CreateService,
    placement: Placement,
    creation: Creation,
) -> Service {
    let rebalancing = default_rebalancing(&input.deployment_configuration, &placement);
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
            rebalancing: input.availability_zone_rebalancing.unwrap_or(rebalancing),
            grace_seconds: input.health_check_grace_period_seconds,
            placement,
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
        unplaced_told: None,
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
    let placement = Placement {
        constraints: input
            .placement_constraints
            .clone()
            .unwrap_or(current.placement.constraints),
        strategies: input.placement_strategy.clone().unwrap_or(current.placement.strategies),
    };
    let options = Options {
        configuration,
        propagate_tags: input.propagate_tags.unwrap_or(current.propagate_tags),
        managed_tags: input.managed_tags.unwrap_or(current.managed_tags),
        execute_command: input.enable_execute_command.unwrap_or(current.execute_command),
        rebalancing: input.availability_zone_rebalancing.unwrap_or(current.rebalancing),
        grace_seconds: input.health_check_grace_period_seconds.or(current.grace_seconds),
        placement: placement.checked()?,
    };
    check_rebalancing(&options)?;
    Ok(options)
}

/// A service of a capacity provider strategy is listed under no launch type.
fn has_launch_type(service: &Service, launch_type: LaunchType) -> bool {
    let workload = &service.primary().workload;
    workload.strategy.is_empty() && workload.launch_type == launch_type
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
