//! A task: one run of a task definition, from PROVISIONING to STOPPED.

use std::collections::VecDeque;
use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::capacity::LaunchType;
use super::deployment::PLATFORM_VERSION;
use super::names::arn;
use super::sizes::TaskSize;
use super::wire::{Tag, put, seconds, to_json, without_nulls};
use crate::model::{Millis, Now, Scope};

/// A task of a service.
#[derive(Debug, Clone)]
pub(super) struct Task {
    pub(super) arn: String,
    pub(super) id: String,
    /// Later tasks have greater numbers.
    pub(super) sequence: u64,
    pub(super) scope: Scope,
    pub(super) cluster: String,
    pub(super) service: String,
    /// The id of the deployment that started it.
    pub(super) deployment: String,
    pub(super) definition_arn: String,
    pub(super) size: TaskSize,
    pub(super) container: ContainerState,
    pub(super) subnet: String,
    pub(super) launch_type: LaunchType,
    pub(super) capacity_provider: Option<String>,
    /// The container instance that it runs on, unless that is Fargate's affair.
    pub(super) host: Option<Host>,
    pub(super) execute_command: bool,
    pub(super) tags: Vec<Tag>,
    pub(super) phase: Phase,
    pub(super) stop: Option<Stop>,
    pub(super) health: Health,
    /// Whether it has been healthy once: its later end is no failure of the deployment.
    pub(super) was_healthy: bool,
    /// What the scheduler has already drawn its conclusions from.
    pub(super) noted: Noted,
    pub(super) created: Millis,
    pub(super) started: Option<Now>,
    pub(super) stopping: Option<Millis>,
    pub(super) stopped: Option<Now>,
    pub(super) address: Option<Ipv4Addr>,
    pub(super) version: u64,
    /// Real time until which scale-in and deployments leave it alone.
    pub(super) protected_until: Option<Millis>,
    /// The newest last, at most [`USAGE_SAMPLES`].
    pub(super) usage: VecDeque<Usage>,
}

/// How many of the agent's reports make up the figures of a task.
pub(super) const USAGE_SAMPLES: usize = 5;

/// What the agent measured over a while.
#[derive(Debug, Clone, Copy)]
pub(super) struct Usage {
    pub(super) cpu_seconds: f64,
    pub(super) over_seconds: f64,
    pub(super) memory_bytes: u64,
}

/// The container instance of a task.
#[derive(Debug, Clone)]
pub(super) struct Host {
    pub(super) arn: String,
    pub(super) zone: String,
}

/// The one container of a task.
#[derive(Debug, Clone)]
pub(super) struct ContainerState {
    pub(super) name: String,
    pub(super) image: String,
    pub(super) cpu: u32,
    pub(super) memory: Option<u32>,
    pub(super) has_health_check: bool,
    pub(super) runtime_id: String,
    pub(super) attachment_id: String,
    pub(super) exit_code: Option<i32>,
    pub(super) reason: Option<String>,
}

/// Where a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// Waits for the agent.
    Provisioning,
    /// The agent is starting it.
    Pending,
    Running,
    /// Is to stop; the agent does not know yet.
    Deactivating,
    /// The agent is stopping it.
    Stopping,
    Stopped,
}

impl Phase {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Provisioning => "PROVISIONING",
            Self::Pending => "PENDING",
            Self::Running => "RUNNING",
            Self::Deactivating => "DEACTIVATING",
            Self::Stopping => "STOPPING",
            Self::Stopped => "STOPPED",
        }
    }
}

/// What the health check says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    Unknown,
    Healthy,
    Unhealthy,
}

impl Health {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::Healthy => "HEALTHY",
            Self::Unhealthy => "UNHEALTHY",
        }
    }
}

/// Which of a task's outcomes its service knows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Noted {
    pub(super) health: bool,
    pub(super) end: bool,
}

/// The reason of a stop that failed health checks caused.
pub(super) const UNHEALTHY: &str = "Task failed container health checks";

/// A process that lived at least this long, in real milliseconds, was no failed start.
const LONG_ENOUGH: i64 = 60_000;

/// Why a task stops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stop {
    pub(super) code: StopCode,
    pub(super) reason: String,
}

/// The stop codes that a service's task can have here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StopCode {
    TaskFailedToStart,
    EssentialContainerExited,
    UserInitiated,
    ServiceSchedulerInitiated,
}

impl StopCode {
    fn as_str(self) -> &'static str {
        match self {
            Self::TaskFailedToStart => "TaskFailedToStart",
            Self::EssentialContainerExited => "EssentialContainerExited",
            Self::UserInitiated => "UserInitiated",
            Self::ServiceSchedulerInitiated => "ServiceSchedulerInitiated",
        }
    }
}

/// The task group of a service.
pub(super) fn group_of(service: &str) -> String {
    format!("service:{service}")
}

impl Task {
    /// The group that placement counts it in.
    pub(super) fn group(&self) -> String {
        group_of(&self.service)
    }

    /// Whether it shall go on running.
    pub(super) fn is_wanted(&self) -> bool {
        self.stop.is_none() && self.phase <= Phase::Running
    }

    pub(super) fn is_running(&self) -> bool {
        self.phase == Phase::Running
    }

    pub(super) fn is_pending(&self) -> bool {
        self.phase < Phase::Running
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.phase == Phase::Stopped
    }

    /// Whether the scheduler may count on it: RUNNING, and HEALTHY if there is a check to say so.
    pub(super) fn is_healthy(&self) -> bool {
        self.is_wanted() && self.is_running() && (!self.container.has_health_check || self.health == Health::Healthy)
    }

    /// Whether the deployment that started it must count it as failed: it never came up, or its health check gave it up.
    pub(super) fn has_failed(&self) -> bool {
        self.stop.as_ref().is_some_and(|stop| match stop.code {
            StopCode::TaskFailedToStart => true,
            StopCode::EssentialContainerExited => !self.was_healthy,
            StopCode::ServiceSchedulerInitiated => stop.reason == UNHEALTHY,
            StopCode::UserInitiated => false,
        })
    }

    /// Whether it ended by itself so soon that starting another one at once would only repeat it.
    pub(super) fn ended_early(&self, now: Now) -> bool {
        let by_itself = self
            .stop
            .as_ref()
            .is_some_and(|stop| stop.code == StopCode::EssentialContainerExited);
        self.has_failed() || (by_itself && self.started.is_none_or(|started| now.real < started.real + LONG_ENOUGH))
    }

    /// Whether it has shown that tasks of its kind can live.
    pub(super) fn has_proved_itself(&self, now: Now) -> bool {
        let lived_long = self
            .started
            .is_some_and(|started| now.real >= started.real + LONG_ENOUGH);
        self.is_healthy() && (self.container.has_health_check || lived_long)
    }

    pub(super) fn is_protected(&self, now: Now) -> bool {
        self.protected_until.is_some_and(|until| until > now.real)
    }

    /// Asks the task to stop; a stop that was asked for before keeps its reason. One that no agent has seen stops at once.
    pub(super) fn ask_to_stop(&mut self, code: StopCode, reason: &str, now: Now) {
        if self.stop.is_some() || self.is_stopped() {
            return;
        }
        self.stop = Some(Stop {
            code,
            reason: reason.to_owned(),
        });
        self.stopping = Some(now.fast);
        self.protected_until = None;
        self.version += 1;
        if self.phase == Phase::Provisioning {
            self.end(now);
        } else {
            self.phase = Phase::Deactivating;
        }
    }

    pub(super) fn end(&mut self, now: Now) {
        self.phase = Phase::Stopped;
        self.stopping.get_or_insert(now.fast);
        self.stopped = Some(now);
        self.protected_until = None;
        self.usage.clear();
        self.version += 1;
    }

    /// CPU and memory in percent of what the task has reserved, over the latest reports; zeros before the first.
    pub(super) fn usage_percent(&self) -> (f64, f64) {
        let Some(last) = self.usage.back() else {
            return (0.0, 0.0);
        };
        let cpu: f64 = self.usage.iter().map(|usage| usage.cpu_seconds).sum();
        let over: f64 = self.usage.iter().map(|usage| usage.over_seconds).sum();
        let reserved = f64::from(self.size.cpu_units) / 1024.0;
        #[allow(clippy::cast_precision_loss)]
        let memory = last.memory_bytes as f64 / (f64::from(self.size.memory_mib) * 1024.0 * 1024.0);
        let cpu = if over > 0.0 { cpu / (over * reserved) } else { 0.0 };
        (cpu * 100.0, memory * 100.0)
    }

    pub(super) fn json(&self, tags: bool) -> Value {
        let is_on_fargate = self.launch_type == LaunchType::Fargate;
        let mut json = without_nulls(json!({
            "taskArn": self.arn,
            "clusterArn": arn(&self.scope, "cluster", &self.cluster),
            "taskDefinitionArn": self.definition_arn,
            "attachments": [self.attachment_json()],
            "attributes": [],
            "availabilityZone": self.host.as_ref().map_or_else(|| format!("{}a", self.scope.region), |host| host.zone.clone()),
            "capacityProviderName": self.capacity_provider,
            "containerInstanceArn": self.host.as_ref().map(|host| &host.arn),
            "connectivity": self.started.map(|_| "CONNECTED"),
            "connectivityAt": self.started.map(|at| seconds(at.fast)),
            "containers": [self.container_json()],
            "cpu": self.size.cpu_units.to_string(),
            "memory": self.size.memory_mib.to_string(),
            "createdAt": seconds(self.created),
            "startedAt": self.started.map(|at| seconds(at.fast)),
            "stoppingAt": self.stopping.map(seconds),
            "executionStoppedAt": self.stopped.map(|at| seconds(at.fast)),
            "stoppedAt": self.stopped.map(|at| seconds(at.fast)),
            "desiredStatus": if self.is_wanted() { "RUNNING" } else { "STOPPED" },
            "lastStatus": self.phase.as_str(),
            "enableExecuteCommand": self.execute_command,
            "group": self.group(),
            "startedBy": self.deployment,
            "healthStatus": self.health.as_str(),
            "launchType": to_json(&self.launch_type),
            "platformVersion": is_on_fargate.then_some(PLATFORM_VERSION),
            "platformFamily": is_on_fargate.then_some("Linux"),
            "overrides": {"containerOverrides": [{"name": self.container.name}], "inferenceAcceleratorOverrides": []},
            "stopCode": self.stop.as_ref().map(|stop| stop.code.as_str()),
            "stoppedReason": self.stop.as_ref().map(|stop| &stop.reason),
            "version": self.version,
        }));
        put(
            &mut json,
            "tags",
            Some(if tags { to_json(&self.tags) } else { json!([]) }),
        );
        json
    }

    fn container_json(&self) -> Value {
        let container = &self.container;
        let interface = self
            .address
            .map(|address| json!({"attachmentId": container.attachment_id, "privateIpv4Address": address.to_string()}));
        without_nulls(json!({
            "containerArn": arn(&self.scope, "container", &format!("{}/{}/{}", self.cluster, self.id, container.runtime_id)),
            "taskArn": self.arn,
            "name": container.name,
            "image": container.image,
            "runtimeId": container.runtime_id,
            "lastStatus": if self.phase == Phase::Provisioning { "PENDING" } else { self.phase.as_str() },
            "exitCode": container.exit_code,
            "reason": container.reason,
            "healthStatus": self.health.as_str(),
            "networkBindings": [],
            "networkInterfaces": interface.into_iter().collect::<Vec<_>>(),
            "cpu": container.cpu.to_string(),
            "memory": container.memory.map(|memory| memory.to_string()),
        }))
    }

    fn attachment_json(&self) -> Value {
        let status = match (self.is_stopped(), self.address) {
            (true, _) => "DELETED",
            (false, Some(_)) => "ATTACHED",
            (false, None) => "PRECREATED",
        };
        let mut details = vec![json!({"name": "subnetId", "value": self.subnet})];
        details.extend(
            self.address
                .map(|ip| json!({"name": "privateIPv4Address", "value": ip.to_string()})),
        );
        json!({"id": self.container.attachment_id, "type": "ElasticNetworkInterface", "status": status, "details": details})
    }
}
