//! How deployments begin and end: by an update, by their steady state, by the circuit breaker, by a rollback, by a deletion.

use std::collections::BTreeMap;

use super::definition::Family;
use super::deployment::{Deployment, Revision, Rollout, Workload};
use super::names::{arn, decimal_id, family_and_revision, mixed_id};
use super::record::{Record, RecordStatus, Rollback};
use super::service::{Backoff, Service, Status, keep_newest};
use crate::model::ids::Ids;
use crate::model::{Millis, Now};

/// Starts bringing up `workload` as the PRIMARY deployment; one that was still under way is stopped by it.
pub(super) fn begin(
    service: &mut Service,
    workload: Workload,
    families: &BTreeMap<String, Family>,
    ids: &mut Ids,
    now: Now,
) {
    let path = format!("{}/{}", service.cluster, service.name);
    let revision = revision(
        service,
        &workload,
        families,
        arn(
            &service.scope,
            "service-revision",
            &format!("{path}/{}", decimal_id(ids)),
        ),
        now,
    );
    for record in service.records.iter_mut().filter(|record| record.status.is_open()) {
        record.end(
            RecordStatus::Stopped,
            "Service deployment was replaced by a newer service deployment.",
            now.fast,
        );
    }
    let sources = service
        .deployments
        .iter()
        .map(|deployment| deployment.revision.clone())
        .collect();
    let record = Record {
        arn: arn(
            &service.scope,
            "service-deployment",
            &format!("{path}/{}", mixed_id(ids)),
        ),
        status: RecordStatus::Pending,
        reason: None,
        created: now.fast,
        started: None,
        finished: None,
        stopped: None,
        updated: now.fast,
        sources,
        target: revision.arn.clone(),
        configuration: service.options.configuration.clone(),
        failures: 0,
        threshold: service
            .options
            .configuration
            .deployment_circuit_breaker
            .threshold(service.desired),
        breaker_triggered: false,
        rollback: None,
    };
    let id = format!("ecs-svc/{}", decimal_id(ids));
    let deployment = Deployment {
        reason: format!("ECS deployment {id} in progress."),
        id,
        revision: revision.arn.clone(),
        workload,
        placement: service.options.placement.clone(),
        created: now.fast,
        updated: now.fast,
        rollout: Rollout::InProgress,
        failed_tasks: 0,
        has_completed: false,
        record: record.arn.clone(),
    };
    service.deployments.insert(0, deployment);
    service.revisions.push_back(revision);
    service.records.push_back(record);
    keep_newest(&mut service.revisions);
    keep_newest(&mut service.records);
    service.is_steady = false;
    service.backoff = Backoff::default();
    service.unplaced_told = None;
}

/// Ends the PRIMARY deployment well: it has all its tasks, and the others have none left.
pub(super) fn complete(service: &mut Service, ids: &mut Ids, now: Millis) {
    service.deployments.truncate(1);
    let primary = service.primary_mut();
    (primary.rollout, primary.has_completed, primary.updated) = (Rollout::Completed, true, now);
    primary.reason = format!("ECS deployment {} completed.", primary.id);
    let (id, record) = (primary.id.clone(), primary.record.clone());
    if let Some(record) = service.record_mut(&record) {
        match record.status {
            RecordStatus::RollbackInProgress | RecordStatus::RollbackRequested => {
                let reason = record.reason.clone().unwrap_or_default();
                record.end(RecordStatus::RollbackSuccessful, &reason, now);
            }
            _ => record.end_silently(RecordStatus::Successful, now),
        }
    }
    service.tell(ids, now, &format!("(deployment {id}) deployment completed."));
}

/// Ends the PRIMARY deployment badly, after too many failed tasks, and rolls back if that was asked for.
pub(super) fn fail(service: &mut Service, ids: &mut Ids, now: Millis) {
    let rollback = service.options.configuration.deployment_circuit_breaker.rollback;
    let primary = service.primary_mut();
    (primary.rollout, primary.updated) = (Rollout::Failed, now);
    primary.reason = "ECS deployment circuit breaker: tasks failed to start.".to_owned();
    let (id, record_arn) = (primary.id.clone(), primary.record.clone());
    service.tell(
        ids,
        now,
        &format!("(deployment {id}) deployment failed: tasks failed to start."),
    );
    let was_rolling_back = service.record_mut(&record_arn).is_some_and(|record| {
        record.breaker_triggered = true;
        record.rollback.is_some()
    });
    if was_rolling_back {
        end_record(
            service,
            &record_arn,
            RecordStatus::RollbackFailed,
            "The rollback failed: tasks failed to start.",
            now,
        );
    } else if !rollback {
        let reason = "Service deployment stopped because the circuit breaker threshold was exceeded.";
        end_record(service, &record_arn, RecordStatus::Stopped, reason, now);
    } else {
        let reason = "Service deployment rolled back because the circuit breaker threshold was exceeded.";
        let words = "ECS deployment circuit breaker: rolling back to deploymentId";
        if !roll_back(service, ids, reason, words, now) {
            let reason = "No rollback candidate was found to run the rollback.";
            end_record(service, &record_arn, RecordStatus::RollbackFailed, reason, now);
        }
    }
}

/// Makes the last completed deployment the PRIMARY one again; its tasks still run. Returns false if there is none.
pub(super) fn roll_back(service: &mut Service, ids: &mut Ids, reason: &str, words: &str, now: Millis) -> bool {
    let candidate = service
        .deployments
        .iter()
        .skip(1)
        .position(|deployment| deployment.has_completed);
    let Some(index) = candidate.map(|index| index + 1) else {
        return false;
    };
    let record_arn = service.primary().record.clone();
    let mut target = service.deployments.remove(index);
    (target.rollout, target.updated, target.failed_tasks) = (Rollout::InProgress, now, 0);
    target.reason = format!("{words} {}.", target.id);
    target.record.clone_from(&record_arn);
    let (id, revision) = (target.id.clone(), target.revision.clone());
    service.deployments.insert(0, target);
    service.is_steady = false;
    service.backoff = Backoff::default();
    if let Some(record) = service.record_mut(&record_arn) {
        record.status = RecordStatus::RollbackInProgress;
        record.reason = Some(reason.to_owned());
        record.updated = now;
        record.rollback = Some(Rollback {
            reason: reason.to_owned(),
            started: now,
            revision,
        });
    }
    service.tell(ids, now, &format!("rolling back to deployment {id}."));
    true
}

/// Begins the end of a service: it wants no task, and is gone when the last one stops.
pub(super) fn drain(service: &mut Service, now: Now) {
    service.status = Status::Draining;
    service.desired = 0;
    for record in service.records.iter_mut().filter(|record| record.status.is_open()) {
        record.end(
            RecordStatus::Stopped,
            "Service deployment was stopped because the service was deleted.",
            now.fast,
        );
    }
}

impl Record {
    fn end(&mut self, status: RecordStatus, reason: &str, now: Millis) {
        self.reason = Some(reason.to_owned());
        self.end_silently(status, now);
    }

    fn end_silently(&mut self, status: RecordStatus, now: Millis) {
        self.status = status;
        self.updated = now;
        self.started.get_or_insert(now);
        let end = if status == RecordStatus::Stopped {
            &mut self.stopped
        } else {
            &mut self.finished
        };
        *end = Some(now);
    }
}

fn end_record(service: &mut Service, arn: &str, status: RecordStatus, reason: &str, now: Millis) {
    if let Some(record) = service.record_mut(arn) {
        record.end(status, reason, now);
    }
}

fn revision(
    service: &Service,
    workload: &Workload,
    families: &BTreeMap<String, Family>,
    arn: String,
    now: Now,
) -> Revision {
    let (family, number) = family_and_revision(&workload.definition);
    let definition = families.get(family).and_then(|family| family.revisions.get(&number?));
    let container = definition.and_then(|definition| definition.body.container_definitions.first());
    // A forced deployment keeps the definition of the one before, which may have been deleted meanwhile.
    let last = service.revisions.back();
    Revision {
        arn,
        workload: workload.clone(),
        created: now.fast,
        container_name: container
            .map(|container| container.name.clone())
            .or_else(|| last.map(|revision| revision.container_name.clone()))
            .unwrap_or_default(),
        image: container
            .map(|container| container.image.clone())
            .or_else(|| last.map(|revision| revision.image.clone()))
            .unwrap_or_default(),
    }
}
