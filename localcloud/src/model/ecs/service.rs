//! A service: what is wanted, what is being rolled out, and what `DescribeServices` shows of it.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::deployment::{Counts, Deployment, DeploymentConfiguration, Revision, Rollout};
use super::names::{arn, hex_id};
use super::placement::Placement;
use super::record::Record;
use super::task::Task;
use super::wire::{Tag, put, seconds, to_json};
use crate::model::ids::Ids;
use crate::model::{Millis, Scope};

/// The status of a cluster or service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Active,
    Draining,
    Inactive,
}

impl Status {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Draining => "DRAINING",
            Self::Inactive => "INACTIVE",
        }
    }
}

/// A service, ACTIVE, DRAINING, or still readable after its end.
#[derive(Debug, Clone)]
pub(super) struct Service {
    pub(super) scope: Scope,
    pub(super) cluster: String,
    pub(super) name: String,
    pub(super) status: Status,
    /// When it became INACTIVE, in real time.
    pub(super) ended: Option<Millis>,
    pub(super) created: Millis,
    pub(super) desired: i32,
    pub(super) options: Options,
    pub(super) tags: Vec<Tag>,
    /// The PRIMARY one first.
    pub(super) deployments: Vec<Deployment>,
    /// Newest first, at most [`KEPT`].
    pub(super) events: VecDeque<Event>,
    /// Newest last, at most [`KEPT`].
    pub(super) revisions: VecDeque<Revision>,
    /// Newest last, at most [`KEPT`].
    pub(super) records: VecDeque<Record>,
    pub(super) creation: Creation,
    pub(super) is_steady: bool,
    pub(super) backoff: Backoff,
    /// The fast time until which a held-back scale-in is not told again.
    pub(super) protection_told: bool,
    /// What keeps a task from being placed, and when that was last told, on the fast clock.
    pub(super) unplaced_told: Option<(String, Millis)>,
}

/// Events, revisions and service deployments kept per service.
pub(super) const KEPT: usize = 100;

/// What tells a repeated `CreateService` from another one.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Creation {
    pub(super) token: Option<String>,
    /// The input without its token.
    pub(super) input: Value,
}

/// What can change without a new deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) configuration: DeploymentConfiguration,
    pub(super) propagate_tags: PropagateTags,
    pub(super) managed_tags: bool,
    pub(super) execute_command: bool,
    pub(super) rebalancing: Rebalancing,
    pub(super) grace_seconds: Option<i32>,
    pub(super) placement: Placement,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum PropagateTags {
    Service,
    TaskDefinition,
    #[default]
    None,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Rebalancing {
    #[default]
    Enabled,
    Disabled,
}

/// What the scheduler did, in words.
#[derive(Debug, Clone)]
pub(super) struct Event {
    id: String,
    created: Millis,
    message: String,
}

/// Holds starts back while tasks keep ending right after they were started, on the fast clock.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Backoff {
    pub(super) failures: u32,
    pub(super) until: Millis,
}

impl Backoff {
    /// The first three failures are tried again at once; from then on the pause doubles from 10 s to 15 min.
    pub(super) fn after_failure(self, now: Millis) -> Self {
        let failures = self.failures.saturating_add(1);
        let pause = match failures.checked_sub(4) {
            None => 0,
            Some(doublings) => (10_000_i64 << doublings.min(7)).min(900_000),
        };
        Self {
            failures,
            until: now + pause,
        }
    }
}

impl Service {
    pub(super) fn arn(&self) -> String {
        arn(&self.scope, "service", &format!("{}/{}", self.cluster, self.name))
    }

    pub(super) fn cluster_arn(&self) -> String {
        arn(&self.scope, "cluster", &self.cluster)
    }

    /// The deployment that is wanted now.
    pub(super) fn primary(&self) -> &Deployment {
        self.deployments
            .first()
            .expect("a service is made with a deployment and never loses its first one")
    }

    pub(super) fn primary_mut(&mut self) -> &mut Deployment {
        self.deployments
            .first_mut()
            .expect("a service is made with a deployment and never loses its first one")
    }

    /// The ARNs of the task definitions that it may still start tasks of.
    pub(super) fn definitions_in_use(&self) -> Vec<String> {
        if self.status == Status::Inactive {
            return Vec::new();
        }
        self.deployments
            .iter()
            .map(|deployment| deployment.workload.definition.clone())
            .collect()
    }

    /// Whether a rollout is under way.
    pub(super) fn is_deploying(&self) -> bool {
        self.status == Status::Active && self.primary().rollout == Rollout::InProgress
    }

    pub(super) fn tell(&mut self, ids: &mut Ids, now: Millis, what: &str) {
        let message = format!("(service {}) {what}", self.name);
        self.events.push_front(Event {
            id: hex_id(ids),
            created: now,
            message,
        });
        self.events.truncate(KEPT);
    }

    /// Tells why a task cannot be placed. The same is told again only when it was resolved in between, or after six hours.
    /// Source: ECS Developer Guide, "Service event messages".
    pub(super) fn tell_unplaced(&mut self, ids: &mut Ids, now: Millis, why: &str) {
        const SILENCE: Millis = 6 * 3_600_000;
        let is_old = |(told, at): &(String, Millis)| told == why && now < at + SILENCE;
        if !self.unplaced_told.as_ref().is_some_and(is_old) {
            self.unplaced_told = Some((why.to_owned(), now));
            self.tell(ids, now, why);
        }
    }

    pub(super) fn record_mut(&mut self, arn: &str) -> Option<&mut Record> {
        self.records.iter_mut().find(|record| record.arn == arn)
    }

    pub(super) fn json<'a>(&self, tasks: impl Iterator<Item = &'a Task> + Clone, tags: bool) -> Value {
        let workload = &self.primary().workload;
        let counts = count(tasks.clone().filter(|task| self.owns(task)));
        // What is gone for good has no deployment left to show.
        let shown = if self.status == Status::Inactive {
            &[]
        } else {
            self.deployments.as_slice()
        };
        let deployments: Vec<_> = shown
            .iter()
            .enumerate()
            .map(|(index, deployment)| {
                let status = if index == 0 { "PRIMARY" } else { "ACTIVE" };
                deployment.json(status, self.counts_of(&deployment.id, tasks.clone()))
            })
            .collect();
        let mut json = json!({
            "serviceArn": self.arn(),
            "serviceName": self.name,
            "clusterArn": self.cluster_arn(),
            "loadBalancers": [],
            "serviceRegistries": [],
            "status": self.status.as_str(),
            "desiredCount": self.desired,
            "runningCount": counts.running,
            "pendingCount": counts.pending,
            "taskDefinition": workload.definition,
            "deploymentConfiguration": to_json(&self.options.configuration),
            "deployments": deployments,
            "events": self.events.iter().map(Event::json).collect::<Vec<_>>(),
            "createdAt": seconds(self.created),
            "placementConstraints": to_json(&self.options.placement.constraints),
            "placementStrategy": to_json(&self.options.placement.strategies),
            "networkConfiguration": to_json(&workload.network),
            "schedulingStrategy": "REPLICA",
            "deploymentController": {"type": "ECS"},
            "createdBy": self.scope.global_arn("iam", "root"),
            "enableECSManagedTags": self.options.managed_tags,
            "propagateTags": to_json(&self.options.propagate_tags),
            "enableExecuteCommand": self.options.execute_command,
            "availabilityZoneRebalancing": to_json(&self.options.rebalancing),
            "currentServiceRevisions": self.current_revisions(tasks),
        });
        workload.put_capacity(&workload.platform_version, &mut json);
        put(
            &mut json,
            "healthCheckGracePeriodSeconds",
            self.options.grace_seconds.map(|seconds| json!(seconds)),
        );
        let current = self.records.iter().rev().find(|record| record.status.is_open());
        put(
            &mut json,
            "currentServiceDeployment",
            current.map(|record| json!(record.arn)),
        );
        put(
            &mut json,
            "tags",
            (tags && !self.tags.is_empty()).then(|| to_json(&self.tags)),
        );
        json
    }

    /// The tasks of one deployment; only the PRIMARY one wants new ones.
    pub(super) fn counts_of<'a>(&self, deployment: &str, tasks: impl Iterator<Item = &'a Task>) -> Counts {
        let of_it = tasks.filter(|task| task.deployment == deployment && !task.is_stopped());
        let counts = count(of_it);
        let is_primary = self.primary().id == deployment && self.primary().rollout != Rollout::Failed;
        Counts {
            desired: if is_primary { self.desired } else { counts.desired },
            ..counts
        }
    }

    fn owns(&self, task: &Task) -> bool {
        self.deployments
            .iter()
            .any(|deployment| deployment.id == task.deployment)
    }

    fn current_revisions<'a>(&self, tasks: impl Iterator<Item = &'a Task> + Clone) -> Vec<Value> {
        let summary = |deployment: &Deployment| {
            let counts = self.counts_of(&deployment.id, tasks.clone());
            json!({
                "arn": deployment.revision,
                "requestedTaskCount": counts.desired,
                "runningTaskCount": counts.running,
                "pendingTaskCount": counts.pending,
            })
        };
        self.deployments
            .iter()
            .filter(|_| self.status != Status::Inactive)
            .map(summary)
            .collect()
    }
}

impl Event {
    fn json(&self) -> Value {
        json!({"id": self.id, "createdAt": seconds(self.created), "message": self.message})
    }
}

/// Counts tasks; `desired` is those that shall go on running.
pub(super) fn count<'a>(tasks: impl Iterator<Item = &'a Task>) -> Counts {
    tasks.fold(Counts::default(), |counts, task| Counts {
        desired: counts.desired + i32::from(task.is_wanted()),
        running: counts.running + i32::from(task.is_running()),
        pending: counts.pending + i32::from(task.is_pending()),
    })
}

/// Keeps the newest [`KEPT`] of a list whose newest is last.
pub(super) fn keep_newest<T>(list: &mut VecDeque<T>) {
    while list.len() > KEPT {
        list.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_are_held_back_longer_with_every_failure_from_the_fourth_on() {
        let mut backoff = Backoff::default();
        let pauses: Vec<_> = (0..12)
            .map(|_| {
                backoff = backoff.after_failure(0);
                backoff.until
            })
            .collect();
        assert_eq!(pauses[..6], [0, 0, 0, 10_000, 20_000, 40_000]);
        assert_eq!(pauses[11], 900_000);
    }
}
