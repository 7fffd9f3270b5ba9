//! The seam to the agent: what it shall do, each order given once, and what it reports back.

use std::net::Ipv4Addr;

use super::Ecs;
use super::capacity::LaunchType;
use super::container::{HealthCheck, SecretReference};
use super::sizes::TaskSize;
use super::task::{Health, Phase, Stop, StopCode, Task, UNHEALTHY, USAGE_SAMPLES, Usage};
use crate::model::{Now, Scope};

/// What the agent shall do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentCommand {
    /// Start a process.
    Start(Box<StartTask>),
    /// Stop the process of a task: ask, wait, kill.
    Stop {
        /// The task.
        task_arn: String,
        /// Seconds between asking and killing.
        stop_timeout_s: u32,
    },
}

/// A task to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartTask {
    /// The task.
    pub task_arn: String,
    /// Its account and region.
    pub scope: Scope,
    /// The container's name.
    pub container: String,
    /// The image that tells which program runs.
    pub image: String,
    /// Arguments that follow the image's own.
    pub command: Vec<String>,
    /// Plain variables.
    pub environment: Vec<(String, String)>,
    /// Variables whose values the agent fetches.
    pub secrets: Vec<SecretReference>,
    /// How to tell whether it is well.
    pub health_check: Option<HealthCheck>,
    /// Seconds between SIGTERM and SIGKILL.
    pub stop_timeout_s: u32,
    /// What the task may use.
    pub size: TaskSize,
    /// What the SDK in the task is told it runs on, as `AWS_EXECUTION_ENV`.
    pub execution_environment: &'static str,
    /// Soft and hard limit of open files, if set.
    pub open_files: Option<(u64, u64)>,
}

/// What the agent saw.
#[derive(Debug, Clone, PartialEq)]
pub enum TaskReport {
    /// The process runs.
    Started {
        /// The task.
        task_arn: String,
        /// The address that stands for the task's network interface.
        address: Ipv4Addr,
    },
    /// The health check has made up its mind.
    Health {
        /// The task.
        task_arn: String,
        /// Its verdict.
        healthy: bool,
    },
    /// No process could be started.
    FailedToStart {
        /// The task.
        task_arn: String,
        /// Such as `CannotPullContainerError: …`.
        reason: String,
    },
    /// The process is gone.
    Exited {
        /// The task.
        task_arn: String,
        /// As docker would say: 128 and the signal's number if a signal ended it.
        exit_code: i32,
        /// Whether it was killed for using more memory than the task has.
        out_of_memory: bool,
    },
    /// What the process used since the last such report.
    Usage {
        /// The task.
        task_arn: String,
        /// Seconds of one CPU.
        cpu_seconds: f64,
        /// The time between the two reports, in seconds.
        over_seconds: f64,
        /// Resident memory.
        memory_bytes: u64,
    },
}

/// The stop timeout where the definition has none.
const DEFAULT_STOP_TIMEOUT_S: u32 = 30;

impl TaskReport {
    /// The task that the report is about.
    pub fn task_arn(&self) -> &str {
        match self {
            Self::Started { task_arn, .. }
            | Self::Health { task_arn, .. }
            | Self::FailedToStart { task_arn, .. }
            | Self::Exited { task_arn, .. }
            | Self::Usage { task_arn, .. } => task_arn,
        }
    }
}

impl Ecs {
    /// Hands out what the agent shall do now; each order is handed out once.
    pub fn agent_work(&mut self, _now: Now) -> Vec<AgentCommand> {
        let mut due: Vec<_> = self
            .tasks
            .values()
            .filter(|task| has_order(task))
            .map(|t| (t.sequence, t.arn.clone()))
            .collect();
        due.sort();
        due.iter().filter_map(|(_, arn)| self.hand_out(arn)).collect()
    }

    fn hand_out(&mut self, arn: &str) -> Option<AgentCommand> {
        let start = self.start_order(self.tasks.get(arn)?);
        let task = self.tasks.get_mut(arn)?;
        task.version += 1;
        if task.phase == Phase::Deactivating {
            task.phase = Phase::Stopping;
            let stop_timeout_s = start.map_or(DEFAULT_STOP_TIMEOUT_S, |start| start.stop_timeout_s);
            return Some(AgentCommand::Stop {
                task_arn: arn.to_owned(),
                stop_timeout_s,
            });
        }
        task.phase = Phase::Pending;
        start.map(|start| AgentCommand::Start(Box::new(start)))
    }

    fn start_order(&self, task: &Task) -> Option<StartTask> {
        let container = self
            .definition(&task.definition_arn)?
            .body
            .container_definitions
            .first()?;
        Some(StartTask {
            task_arn: task.arn.clone(),
            scope: task.scope.clone(),
            container: container.name.clone(),
            image: container.image.clone(),
            command: container.command.clone(),
            environment: container
                .environment
                .iter()
                .map(|v| (v.name.clone(), v.value.clone()))
                .collect(),
            secrets: container.secrets.clone(),
            health_check: container.health_check.clone(),
            stop_timeout_s: container.stop_timeout.unwrap_or(DEFAULT_STOP_TIMEOUT_S),
            size: task.size,
            execution_environment: match task.launch_type {
                LaunchType::Fargate => "AWS_ECS_FARGATE",
                LaunchType::Ec2 => "AWS_ECS_EC2",
            },
            open_files: container
                .ulimits
                .first()
                .map(|ulimit| (ulimit.soft_limit, ulimit.hard_limit)),
        })
    }

    /// Takes in what the agent saw. A report on a task that is over, or was never there, changes nothing.
    pub fn report(&mut self, report: TaskReport, now: Now) {
        let Some(task) = self.tasks.get_mut(report.task_arn()).filter(|task| !task.is_stopped()) else {
            return;
        };
        let service = self.services.get(&(task.cluster.clone(), task.service.clone()));
        let grace = service.and_then(|service| service.options.grace_seconds).unwrap_or(0);
        match report {
            TaskReport::Started { address, .. } => started(task, address, now),
            TaskReport::Health { healthy, .. } => judge(task, healthy, i64::from(grace) * 1000, now),
            TaskReport::FailedToStart { reason, .. } => {
                task.container.reason = Some(reason.clone());
                end(task, StopCode::TaskFailedToStart, &reason, now);
            }
            TaskReport::Exited {
                exit_code,
                out_of_memory,
                ..
            } => {
                task.container.exit_code = Some(exit_code);
                if out_of_memory {
                    task.container.reason = Some("OutOfMemoryError: Container killed due to memory usage".to_owned());
                }
                end(
                    task,
                    StopCode::EssentialContainerExited,
                    "Essential container in task exited",
                    now,
                );
            }
            TaskReport::Usage {
                cpu_seconds,
                over_seconds,
                memory_bytes,
                ..
            } => {
                task.usage.push_back(Usage {
                    cpu_seconds,
                    over_seconds,
                    memory_bytes,
                });
                while task.usage.len() > USAGE_SAMPLES {
                    task.usage.pop_front();
                }
            }
        }
    }
}

fn has_order(task: &Task) -> bool {
    matches!(task.phase, Phase::Provisioning | Phase::Deactivating)
}

fn started(task: &mut Task, address: Ipv4Addr, now: Now) {
    task.started = Some(now);
    task.address = Some(address);
    task.version += 1;
    // A task that is to stop again already stays on its way out.
    if task.phase == Phase::Pending {
        task.phase = Phase::Running;
        task.was_healthy = task.is_healthy();
    }
}

fn judge(task: &mut Task, healthy: bool, grace: i64, now: Now) {
    if !task.is_running() {
        return;
    }
    let in_grace = task.started.is_some_and(|started| now.real < started.real + grace);
    let health = if healthy { Health::Healthy } else { Health::Unhealthy };
    task.version += u64::from(task.health != health);
    task.health = health;
    if healthy {
        task.was_healthy = true;
    } else if !in_grace {
        task.ask_to_stop(StopCode::ServiceSchedulerInitiated, UNHEALTHY, now);
    }
}

fn end(task: &mut Task, code: StopCode, reason: &str, now: Now) {
    if task.stop.is_none() {
        task.stop = Some(Stop {
            code,
            reason: reason.to_owned(),
        });
    }
    task.end(now);
}
