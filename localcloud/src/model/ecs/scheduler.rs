//! The service scheduler: starts and stops tasks so that each service comes to what is wanted of it.

use std::collections::BTreeMap;

use super::Ecs;
use super::deployment::{Rollout, Workload};
use super::names::{arn, hex_id};
use super::plan::{Plan, StopCause};
use super::record::RecordStatus;
use super::rollout;
use super::service::{Backoff, PropagateTags, Service, Status};
use super::task::{ContainerState, Health, Noted, Phase, StopCode, Task};
use super::wire::Tag;
use crate::model::{Millis, Now};

/// Stopped tasks, INACTIVE services and clusters can be described for so long, on the fast clock.
const RETENTION: Millis = 3_600_000;

impl Ecs {
    /// Runs the scheduler once over all services. Call it often: it does what is due, and nothing twice.
    pub fn advance(&mut self, now: Now) {
        self.purge(now.fast);
        let mut arns = BTreeMap::<_, Vec<(u64, String)>>::new();
        for task in self.tasks.values() {
            let key = (task.cluster.clone(), task.service.clone());
            arns.entry(key).or_default().push((task.sequence, task.arn.clone()));
        }
        let open = |service: &&Service| service.status != Status::Inactive;
        let keys: Vec<_> = self
            .services
            .values()
            .filter(open)
            .map(|s| (s.cluster.clone(), s.name.clone()))
            .collect();
        for key in keys {
            let Some(mut service) = self.services.remove(&key) else {
                continue;
            };
            let mut tasks = arns.remove(&key).unwrap_or_default();
            tasks.sort();
            let tasks: Vec<_> = tasks.into_iter().map(|(_, arn)| arn).collect();
            self.advance_service(&mut service, &tasks, now);
            self.services.insert(key, service);
        }
        self.purge_definitions();
    }

    fn advance_service(&mut self, service: &mut Service, tasks: &[String], now: Now) {
        self.note_outcomes(service, tasks, now);
        match service.status {
            Status::Active => {
                follow_rollout(service, now.fast);
                if is_broken(service) {
                    rollout::fail(service, &mut self.ids, now.fast);
                }
                self.move_tasks(service, tasks, now);
            }
            Status::Draining => self.drain_tasks(service, tasks, now),
            Status::Inactive => {}
        }
    }

    /// Lets the service learn from its tasks: failures feed the circuit breaker and hold further starts back.
    fn note_outcomes(&mut self, service: &mut Service, tasks: &[String], now: Now) {
        for arn in tasks {
            let Some(task) = self.tasks.get_mut(arn) else { continue };
            if task.was_healthy && !task.noted.health {
                task.noted.health = true;
                note_health(service, &task.deployment);
            }
            if task.has_proved_itself(now) {
                service.backoff = Backoff::default();
            }
            if task.stop.is_none() || task.noted.end {
                continue;
            }
            task.noted.end = true;
            let task = task.clone();
            self.note_end(service, &task, now);
        }
    }

    fn note_end(&mut self, service: &mut Service, task: &Task, now: Now) {
        if task.has_failed() {
            note_failure(service, &task.deployment);
            let reason = task.stop.as_ref().map(|stop| stop.reason.clone()).unwrap_or_default();
            let what = match task.phase {
                Phase::Stopped => format!("was unable to place a task. Reason: {reason}. (task {})", task.id),
                _ => format!("(task {}) failed container health checks.", task.id),
            };
            service.tell(&mut self.ids, now.fast, &what);
        }
        if task.ended_early(now) && service.primary().id == task.deployment {
            service.backoff = service.backoff.after_failure(now.fast);
            if service.backoff.failures == 4 {
                service.tell(
                    &mut self.ids,
                    now.fast,
                    "is unable to consistently start tasks successfully.",
                );
            }
        }
    }

    fn drain_tasks(&mut self, service: &mut Service, tasks: &[String], now: Now) {
        for arn in tasks {
            if let Some(task) = self.tasks.get_mut(arn) {
                task.ask_to_stop(StopCode::ServiceSchedulerInitiated, "Service was deleted", now);
            }
        }
        let is_over = |arn: &String| self.tasks.get(arn).is_none_or(|task| task.phase >= Phase::Stopping);
        if tasks.iter().all(is_over) {
            (service.status, service.ended) = (Status::Inactive, Some(now.fast));
        }
    }

    fn move_tasks(&mut self, service: &mut Service, tasks: &[String], now: Now) {
        let plan = Plan::new(service, tasks.iter().filter_map(|arn| self.tasks.get(arn)), now);
        self.stop_tasks(service, &plan.stops, now);
        if plan.is_held_by_protection && !service.protection_told {
            service.protection_told = true;
            service.tell(
                &mut self.ids,
                now.fast,
                "was unable to scale in due to tasks under protection.",
            );
        }
        let started: Vec<_> = (0..plan.starts).filter_map(|_| self.start_task(service, now)).collect();
        if !started.is_empty() {
            let names: Vec<_> = started.iter().map(|id| format!("(task {id})")).collect();
            service.tell(
                &mut self.ids,
                now.fast,
                &format!("has started {} tasks: {}.", started.len(), names.join(" ")),
            );
        }
        if !plan.is_settled {
            service.is_steady = false;
            return;
        }
        if service.primary().rollout == Rollout::InProgress {
            rollout::complete(service, &mut self.ids, now.fast);
        }
        if !service.is_steady && service.primary().rollout == Rollout::Completed {
            service.is_steady = true;
            service.tell(&mut self.ids, now.fast, "has reached a steady state.");
        }
    }

    fn stop_tasks(&mut self, service: &mut Service, arns: &[(String, StopCause)], now: Now) {
        let mut names = Vec::new();
        for (arn, cause) in arns {
            let Some(task) = self.tasks.get_mut(arn) else { continue };
            let reason = match cause {
                StopCause::ScaleIn => format!("Scaling activity initiated by deployment {}", task.deployment),
                StopCause::Replaced => format!("Scaling activity initiated by deployment {}", service.primary().id),
            };
            names.push(format!("(task {})", task.id));
            task.ask_to_stop(StopCode::ServiceSchedulerInitiated, &reason, now);
        }
        if !names.is_empty() {
            let what = format!("has stopped {} running tasks: {}.", names.len(), names.join(" "));
            service.tell(&mut self.ids, now.fast, &what);
        }
    }

    fn start_task(&mut self, service: &Service, now: Now) -> Option<String> {
        let deployment = service.primary();
        let workload = &deployment.workload;
        let of_it = self
            .tasks
            .values()
            .filter(|task| task.deployment == deployment.id && task.is_wanted());
        let capacity_provider = next_provider(workload, of_it);
        let definition = self.definition(&workload.definition)?;
        let container = definition.body.container_definitions.first()?;
        let (size, tags) = (definition.size, task_tags(service, &definition.tags));
        let mut state = ContainerState {
            name: container.name.clone(),
            image: container.image.clone(),
            cpu: container.cpu,
            memory: container.memory,
            has_health_check: container.health_check.is_some(),
            runtime_id: String::new(),
            attachment_id: String::new(),
            exit_code: None,
            reason: None,
        };
        let id = hex_id(&mut self.ids);
        state.runtime_id = format!("{id}-{}", &hex_id(&mut self.ids)[..10]);
        state.attachment_id = uuid_of(&hex_id(&mut self.ids));
        self.started_tasks += 1;
        let subnets = &workload.network.awsvpc_configuration.subnets;
        let turn = usize::try_from(self.started_tasks).unwrap_or_default();
        let task = Task {
            arn: arn(&service.scope, "task", &format!("{}/{id}", service.cluster)),
            id: id.clone(),
            sequence: self.started_tasks,
            scope: service.scope.clone(),
            cluster: service.cluster.clone(),
            service: service.name.clone(),
            deployment: deployment.id.clone(),
            definition_arn: workload.definition.clone(),
            size,
            container: state,
            subnet: subnets.get(turn % subnets.len().max(1)).cloned().unwrap_or_default(),
            capacity_provider,
            execute_command: service.options.execute_command,
            tags,
            phase: Phase::Provisioning,
            stop: None,
            health: Health::Unknown,
            was_healthy: false,
            noted: Noted::default(),
            created: now.fast,
            started: None,
            stopping: None,
            stopped: None,
            address: None,
            version: 1,
            protected_until: None,
            usage: [].into(),
        };
        self.tasks.insert(task.arn.clone(), task);
        Some(id)
    }

    fn purge(&mut self, now: Millis) {
        let is_kept = |ended: Option<Millis>| ended.is_none_or(|ended| now < ended + RETENTION);
        self.tasks.retain(|_, task| is_kept(task.stopped));
        self.services.retain(|_, service| is_kept(service.ended));
        self.clusters.retain(|_, cluster| is_kept(cluster.ended));
    }
}

/// Keeps the record of the rollout up to date.
fn follow_rollout(service: &mut Service, now: Millis) {
    let breaker = service.options.configuration.deployment_circuit_breaker.clone();
    let (arn, failures, desired) = (
        service.primary().record.clone(),
        service.primary().failed_tasks,
        service.desired,
    );
    let configuration = service.options.configuration.clone();
    if let Some(record) = service.record_mut(&arn).filter(|record| record.status.is_open()) {
        if record.status == RecordStatus::Pending {
            record.status = RecordStatus::InProgress;
            record.started = Some(now);
            record.updated = now;
        }
        record.configuration = configuration;
        record.threshold = breaker.threshold(desired);
        record.failures = failures;
    }
}

fn is_broken(service: &Service) -> bool {
    let breaker = &service.options.configuration.deployment_circuit_breaker;
    breaker.enable && service.is_deploying() && service.primary().failed_tasks >= breaker.threshold(service.desired)
}

fn note_health(service: &mut Service, deployment: &str) {
    let breaker = &service.options.configuration.deployment_circuit_breaker;
    let resets = breaker.reset_on_healthy_task.unwrap_or(true);
    let primary = service.primary_mut();
    if resets && primary.id == deployment && primary.rollout == Rollout::InProgress {
        primary.failed_tasks = 0;
    }
}

fn note_failure(service: &mut Service, deployment: &str) {
    let primary = service.primary_mut();
    if primary.id == deployment && primary.rollout == Rollout::InProgress {
        primary.failed_tasks += 1;
    }
}

/// The provider of the next task: the base first, then whoever is furthest behind its weight.
fn next_provider<'a>(workload: &Workload, tasks: impl Iterator<Item = &'a Task>) -> Option<String> {
    let mut counts = BTreeMap::<&str, i32>::new();
    for provider in tasks.filter_map(|task| task.capacity_provider.as_deref()) {
        *counts.entry(provider).or_default() += 1;
    }
    let count = |name: &str| counts.get(name).copied().unwrap_or(0);
    let strategy = &workload.strategy;
    let owing = strategy.iter().find(|item| count(&item.capacity_provider) < item.base);
    let share = |item: &super::clusters::CapacityItem| {
        f64::from(count(&item.capacity_provider) - item.base + 1) / f64::from(item.weight)
    };
    let next = owing.or_else(|| {
        strategy
            .iter()
            .filter(|item| item.weight > 0)
            .min_by(|a, b| share(a).total_cmp(&share(b)))
    });
    next.map(|item| item.capacity_provider.clone())
}

fn task_tags(service: &Service, of_definition: &[Tag]) -> Vec<Tag> {
    let mut tags = match service.options.propagate_tags {
        PropagateTags::Service => service.tags.clone(),
        PropagateTags::TaskDefinition => of_definition.to_vec(),
        PropagateTags::None => Vec::new(),
    };
    if service.options.managed_tags {
        tags.push(Tag {
            key: "aws:ecs:clusterName".to_owned(),
            value: service.cluster.clone(),
        });
        tags.push(Tag {
            key: "aws:ecs:serviceName".to_owned(),
            value: service.name.clone(),
        });
    }
    tags
}

/// Writes 32 hexadecimal digits as a UUID.
fn uuid_of(hex: &str) -> String {
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}
