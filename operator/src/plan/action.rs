//! One step towards what is wanted: a value that prints itself and holds every choice, so that applying it makes none.

use std::fmt;

use serde::Serialize;

use crate::plan::resources::{Alarm, Policy, Service, TaskDefinition};

/// One AWS call that changes something, with all that it needs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum Action {
    /// Registers a revision; the service calls after it in the same pass name its ARN.
    RegisterTaskDefinition {
        /// What one task is.
        content: Box<TaskDefinition>,
        /// Ownership tags.
        tags: std::collections::BTreeMap<String, String>,
    },
    /// Creates the service.
    CreateService {
        /// What to create.
        service: Box<Service>,
        /// How many tasks it starts with.
        desired_count: i32,
        /// The client token that makes repeating the call harmless.
        token: String,
        /// The ARN of its task definition, unless this pass registers it.
        task_definition: Option<String>,
    },
    /// Changes the service; never its count.
    UpdateService {
        /// What it should be.
        service: Box<Service>,
        /// The ARN of its task definition, unless this pass registers it; nothing to say when the revision stays.
        task_definition: Option<String>,
        /// Whether the revision changes, so that tasks are replaced.
        new_revision: bool,
    },
    /// Deploys what the service runs already once more, with the count that it has.
    Redeploy,
    /// Replaces the tags of the service that are ours.
    TagService {
        /// All tags that it should carry.
        set: std::collections::BTreeMap<String, String>,
        /// Tags that go.
        remove: Vec<String>,
    },
    /// Sets the service's count, for a cause that design.md lists.
    SetDesiredCount {
        /// The count.
        count: i32,
        /// Why: `wake`, `sleep`, `pause`, `resume`, `delete` or `fixed`.
        cause: CountCause,
        /// Whether ECS deploys anew with it, so that its circuit breaker watches tasks that nobody has seen healthy.
        redeploy: bool,
    },
    /// Registers or changes the scalable target; AWS clamps the live count into the range.
    RegisterScalableTarget {
        /// The lower bound.
        min: i32,
        /// The upper bound.
        max: i32,
        /// Whether scaling is suspended.
        suspended: bool,
        /// Ownership tags, taken by AWS only when the target is new.
        tags: std::collections::BTreeMap<String, String>,
    },
    /// Removes the scalable target and with it all its policies.
    DeregisterScalableTarget,
    /// Creates or replaces a policy.
    PutScalingPolicy {
        /// Its name.
        name: String,
        /// What it should be.
        policy: Box<Policy>,
    },
    /// Removes a policy.
    DeleteScalingPolicy {
        /// Its name.
        name: String,
    },
    /// Creates or replaces an alarm.
    PutAlarm {
        /// Its name.
        name: String,
        /// What it should be.
        alarm: Box<Alarm>,
        /// Ownership tags, taken by AWS only when the alarm is new.
        tags: std::collections::BTreeMap<String, String>,
    },
    /// Removes alarms, at most 100.
    DeleteAlarms {
        /// Their names.
        names: Vec<String>,
    },
    /// Deletes the service, whose count is 0 by now; ECS drains it.
    DeleteService,
    /// Makes a task definition INACTIVE.
    DeregisterTaskDefinition {
        /// Its ARN.
        arn: String,
    },
    /// Deletes INACTIVE task definitions, at most 10.
    DeleteTaskDefinitions {
        /// Their ARNs.
        arns: Vec<String>,
    },
}

/// Why a count is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CountCause {
    /// A message waits and no task runs.
    Wake,
    /// The queue has been empty for the cooldown.
    Sleep,
    /// The user paused.
    Pause,
    /// The user resumed.
    Resume,
    /// The service is about to be deleted.
    Delete,
    /// There is no scaling: the count is fixed.
    Fixed,
}

impl Action {
    /// Returns what is done when AWS refuses this: a count must not wait for a deployment.
    pub fn otherwise(&self) -> Option<Self> {
        match *self {
            Self::SetDesiredCount {
                count,
                cause,
                redeploy: true,
            } => Some(Self::SetDesiredCount {
                count,
                cause,
                redeploy: false,
            }),
            _ => None,
        }
    }

    /// Whether tasks of another revision, or others of the same, come by it or by the service call that it prepares.
    pub fn replaces_tasks(&self) -> bool {
        match self {
            Self::RegisterTaskDefinition { .. } | Self::CreateService { .. } | Self::Redeploy => true,
            Self::UpdateService { new_revision, .. } => *new_revision,
            Self::SetDesiredCount { redeploy, .. } => *redeploy,
            _ => false,
        }
    }

    /// Returns the AWS operation that carries it out.
    pub fn operation(&self) -> &'static str {
        match self {
            Self::RegisterTaskDefinition { .. } => "RegisterTaskDefinition",
            Self::CreateService { .. } => "CreateService",
            Self::UpdateService { .. } | Self::Redeploy | Self::SetDesiredCount { .. } => "UpdateService",
            Self::TagService { .. } => "TagResource",
            Self::RegisterScalableTarget { .. } => "RegisterScalableTarget",
            Self::DeregisterScalableTarget => "DeregisterScalableTarget",
            Self::PutScalingPolicy { .. } => "PutScalingPolicy",
            Self::DeleteScalingPolicy { .. } => "DeleteScalingPolicy",
            Self::PutAlarm { .. } => "PutMetricAlarm",
            Self::DeleteAlarms { .. } => "DeleteAlarms",
            Self::DeleteService => "DeleteService",
            Self::DeregisterTaskDefinition { .. } => "DeregisterTaskDefinition",
            Self::DeleteTaskDefinitions { .. } => "DeleteTaskDefinitions",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operation = self.operation();
        match self {
            Self::Redeploy => write!(out, "{operation} forceNewDeployment=true"),
            Self::SetDesiredCount { count, cause, redeploy } => {
                let forced = if *redeploy { " forceNewDeployment=true" } else { "" };
                write!(out, "{operation} desiredCount={count}{forced} ({cause:?})")
            }
            Self::RegisterScalableTarget {
                min, max, suspended, ..
            } => {
                write!(out, "{operation} min={min} max={max} suspended={suspended}")
            }
            Self::PutScalingPolicy { name, .. } | Self::DeleteScalingPolicy { name } | Self::PutAlarm { name, .. } => {
                write!(out, "{operation} {name}")
            }
            Self::DeleteAlarms { names } => write!(out, "{operation} {}", names.join(" ")),
            Self::DeregisterTaskDefinition { arn } => write!(out, "{operation} {arn}"),
            Self::DeleteTaskDefinitions { arns } => write!(out, "{operation} {}", arns.join(" ")),
            _ => write!(out, "{operation}"),
        }
    }
}
