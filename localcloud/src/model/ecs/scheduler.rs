//! The service scheduler: starts and stops tasks so that each service comes to what is wanted of it.

use std::collections::BTreeMap;

use super::Ecs;
use super::deployment::Rollout;
use super::plan::{Plan, StopCause};
use super::record::RecordStatus;
use super::rollout;
use super::service::{Backoff, Service, Status};
use super::task::{Phase, StopCode, Task};
use crate::model::{Millis, Now};

/// Stopped tasks, INACTIVE services, clusters and container instances can be described for so long. It is real time, since those
/// who ask for the cause of an end live by it.
const RETENTION: Millis = 3_600_000;

impl Ecs {
    /// Runs the scheduler once over all services. Call it often: it does what is due, and nothing twice.
    pub fn advance(&mut self, now: Now) {
        self.purge(now.real);
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
            (service.status, service.ended) = (Status::Inactive, Some(now.real));
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
        let started = self.start_tasks(service, plan.starts, now);
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

    fn purge(&mut self, now: Millis) {
        let is_kept = |ended: Option<Millis>| ended.is_none_or(|ended| now < ended + RETENTION);
        self.tasks.retain(|_, task| is_kept(task.stopped.map(|at| at.real)));
        self.services.retain(|_, service| is_kept(service.ended));
        self.clusters.retain(|_, cluster| is_kept(cluster.ended));
        self.instances.retain(|_, instance| is_kept(instance.ended));
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
