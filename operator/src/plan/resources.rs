//! What AWS holds for one connector, wanted or seen, in our words. Two values that are equal need no call.
//!
//! What AWS returns is made ours at the edge: defaults filled in, what others own (the count that Application Auto
//! Scaling moves) kept apart in [`Observed`].

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use penstock_crds::{AlarmKind, Name};
use serde::{Deserialize, Serialize};

use crate::plan::owner::{Holder, OperatorName};

/// The tag that names the operator that owns a resource, with its installation.
pub const TAG_OPERATOR: &str = "penstock:operator";
/// The tag that names the connector.
pub const TAG_CONNECTOR: &str = "penstock:connector";
/// The tag that names the incarnation of the connector.
pub const TAG_UID: &str = "penstock:uid";
/// The tag that carries the offset of the document that made the resource.
pub const TAG_GENERATION: &str = "penstock:generation";
/// The tag that carries the hash of the merged document that made the resource.
pub const TAG_SPEC_HASH: &str = "penstock:spec-hash";

/// Everything that AWS should hold, or holds and is ours, for one connector.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Resources {
    /// The ECS service and the revision that it runs.
    pub service: Option<Service>,
    /// The scalable target and its policies.
    pub scaling: Option<Scaling>,
    /// The alarms by name.
    pub alarms: BTreeMap<String, Alarm>,
}

/// An ECS service.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Service {
    /// What a change of starts a new deployment.
    pub revision: Revision,
    /// Percent of the desired count that keeps running during a deployment.
    pub minimum_healthy_percent: i32,
    /// Percent of the desired count that may run during a deployment.
    pub maximum_percent: i32,
    /// Whether the circuit breaker is on and rolls back.
    pub breaker: bool,
    /// Whether tasks inherit the service's tags.
    pub propagate_tags: bool,
    /// Whether ECS moves tasks between Availability Zones by itself.
    pub rebalancing: bool,
    /// Whether commands may be run in its tasks (ECS Exec), which Penstock never asks for.
    pub execute_command: bool,
    /// Tags, ours and the writer's labels; generation and hash are those of the document that last changed the service.
    pub tags: BTreeMap<String, String>,
}

/// What a service runs, and where: the part whose change starts a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Revision {
    /// What one task is.
    pub task_definition: TaskDefinition,
    /// The subnets of the tasks.
    pub subnets: BTreeSet<String>,
    /// The security groups of the tasks.
    pub security_groups: BTreeSet<String>,
    /// Whether tasks get a public address.
    pub public_ip: bool,
    /// What tasks run on.
    pub capacity: Capacity,
    /// Placement constraints as type and expression, sorted: all of them hold at once.
    pub placement_constraints: Vec<(String, Option<String>)>,
    /// Placement strategies as type and field, in their order.
    pub placement_strategies: Vec<(String, Option<String>)>,
}

/// What tasks run on, spelled as ECS does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Capacity {
    /// `FARGATE` or `EC2`.
    LaunchType(String),
    /// Capacity providers, sorted by name, each with base and weight.
    Providers(Vec<(String, i32, i32)>),
}

/// What one task is; tags apart, since they never start a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TaskDefinition {
    /// The family, the same as the service's name.
    pub family: String,
    /// CPU units.
    pub cpu: u32,
    /// MiB.
    pub memory: u32,
    /// `X86_64` or `ARM64`.
    pub architecture: String,
    /// `FARGATE` or `EC2`.
    pub compatibility: String,
    /// The ARN of the bridge's role.
    pub task_role: Option<String>,
    /// The ARN of the role that ECS uses.
    pub execution_role: Option<String>,
    /// The one container.
    pub container: Container,
}

/// The bridge's container; essential, with a read-only root file system and an init process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Container {
    /// Its name in the task.
    pub name: String,
    /// The image.
    pub image: String,
    /// Plain variables.
    pub environment: BTreeMap<String, String>,
    /// Variables that ECS takes from secrets: their `valueFrom`.
    pub secrets: BTreeMap<String, String>,
    /// awslogs options.
    pub log_options: BTreeMap<String, String>,
    /// Labels, of which `penstock.dev/restarted-at` replaces the tasks when it changes.
    pub labels: BTreeMap<String, String>,
    /// Seconds between SIGTERM and SIGKILL.
    pub stop_timeout: i32,
    /// The health check.
    pub health_check: HealthCheck,
}

/// A container's health check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HealthCheck {
    /// `CMD` and the command.
    pub command: Vec<String>,
    /// Seconds between checks.
    pub interval: i32,
    /// Seconds that one may take.
    pub timeout: i32,
    /// Failures in a row that make it unhealthy.
    pub retries: i32,
    /// Seconds at the start in which failures do not count.
    pub start_period: i32,
}

/// A scalable target and its policies.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Scaling {
    /// The lower bound as registered.
    pub min: i32,
    /// The upper bound as registered.
    pub max: i32,
    /// How far it is suspended.
    pub suspended: Suspension,
    /// Our policies by name.
    pub policies: BTreeMap<String, Policy>,
}

/// How far a scalable target is suspended: scaling in, scaling out, and by schedule.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub enum Suspension {
    /// Nothing is.
    #[default]
    Nothing,
    /// All of it is, as while a connector is paused.
    All,
    /// Some of it is, which Penstock never asks for; so it always differs from what is wanted.
    Part,
}

/// A target-tracking policy.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Policy {
    /// What is held at `target`.
    pub metric: PolicyMetric,
    /// The value to hold.
    pub target: f64,
    /// Seconds after scaling out.
    pub scale_out_cooldown: i32,
    /// Seconds after scaling in.
    pub scale_in_cooldown: i32,
    /// Whether the policy never scales in.
    pub disable_scale_in: bool,
}

/// The metric of a policy.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum PolicyMetric {
    /// Such as `ECSServiceAverageMemoryUtilization`.
    Predefined(String),
    /// Metric math.
    Math(Vec<MetricQuery>),
    /// A form that Penstock never writes, described; it always differs from what is wanted.
    Other(String),
}

/// One line of metric math: a metric or an expression.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MetricQuery {
    /// Its name in expressions.
    pub id: String,
    /// The metric, or nothing for an expression.
    pub metric: Option<MetricStat>,
    /// The expression, or nothing for a metric.
    pub expression: Option<String>,
    /// What people read.
    pub label: Option<String>,
    /// Whether this is the line that counts.
    pub return_data: bool,
}

/// A metric and how it is condensed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MetricStat {
    /// Such as `AWS/SQS`.
    pub namespace: String,
    /// Such as `ApproximateNumberOfMessagesVisible`.
    pub name: String,
    /// The dimensions by name.
    pub dimensions: BTreeMap<String, String>,
    /// Such as `Average`.
    pub statistic: String,
    /// The unit, if one is asked for.
    pub unit: Option<String>,
    /// Seconds per data point; nothing in policies, which take a minute.
    pub period: Option<i32>,
}

/// A metric-math alarm.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Alarm {
    /// What people read.
    pub description: String,
    /// The metric math; empty for a form that Penstock never writes, which always differs.
    pub metrics: Vec<MetricQuery>,
    /// Such as `GreaterThanOrEqualToThreshold`.
    pub comparison: String,
    /// The threshold.
    pub threshold: f64,
    /// Data points looked at.
    pub evaluation_periods: i32,
    /// Data points that must breach.
    pub datapoints_to_alarm: i32,
    /// Such as `notBreaching`.
    pub treat_missing_data: String,
    /// Topics told on ALARM.
    pub alarm_actions: BTreeSet<String>,
    /// Topics told on OK.
    pub ok_actions: BTreeSet<String>,
    /// Topics told on INSUFFICIENT_DATA.
    pub insufficient_data_actions: BTreeSet<String>,
    /// Whether anybody is told at all.
    pub actions_enabled: bool,
}

/// Where a connector's resources are looked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Subject {
    /// The operator's name, which the names of its resources begin with.
    pub operator: OperatorName,
    /// The connector.
    pub name: Name,
    /// Its incarnation.
    pub uid: String,
    /// The ECS cluster.
    pub cluster: String,
}

impl Subject {
    /// Returns the name of the service and of the task definition family.
    pub fn service_name(&self) -> String {
        self.operator.service_name(&self.name)
    }

    /// Returns the name of an alarm.
    pub fn alarm_name(&self, kind: AlarmKind) -> String {
        self.operator.alarm_name(&self.name, kind)
    }
}

/// The name in [`Observed::foreign`] of a service that is somebody else's.
pub const FOREIGN_SERVICE: &str = "service";
/// The name in [`Observed::foreign`] of a scalable target that is somebody else's.
pub const FOREIGN_TARGET: &str = "scalable target";
/// The name in [`Observed::foreign`] of task definitions of somebody else's in a family that we have no service of.
pub const FOREIGN_DEFINITIONS: &str = "task definitions";

/// What was seen of one connector. A read that failed makes no `Observed` at all: unknown is not absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Observed {
    /// What AWS holds and is ours.
    pub resources: Resources,
    /// What we would use and somebody else has, and who: [`FOREIGN_SERVICE`], [`FOREIGN_TARGET`],
    /// [`FOREIGN_DEFINITIONS`], or an alarm's name. Never in an action.
    pub foreign: BTreeMap<String, Holder>,
    /// The names of other people's policies on our scalable target, which move the count beside ours. Never in an action.
    pub foreign_policies: BTreeSet<String>,
    /// Where the service is in its life.
    pub life: ServiceLife,
    /// The service's ARN.
    pub service_arn: Option<String>,
    /// The ARN of the revision that the service was last told to run.
    pub task_definition_arn: Option<String>,
    /// ACTIVE task definitions of the family that are ours, newest first; at least the newest with its content.
    pub revisions: Vec<RegisteredRevision>,
    /// INACTIVE task definitions of the family that are ours and could be deleted.
    pub inactive_revisions: Vec<String>,
    /// ARNs of scalable target, policies and alarms by resource name.
    pub arns: BTreeMap<String, String>,
    /// The counts of the service.
    pub counts: Counts,
    /// What the health checks say of the tasks.
    pub tasks: Tasks,
    /// The newest deployment.
    pub deployment: Option<Deployment>,
    /// Whether the cluster has Container Insights.
    pub container_insights: bool,
    /// The account and region of the service, as the caller's identity and settings say.
    pub account: String,
    /// See `account`.
    pub region: String,
    /// The last stopped task's reason in one line, if a task failed in the last hour.
    pub last_failure: Option<String>,
    /// When ECS last said that the service has all its tasks; what failed before that, it got over.
    pub steady_since: Option<Timestamp>,
    /// Why ECS finds no room for a task, in one line, while it finds none.
    pub unplaced: Option<String>,
    /// The newest scaling activity.
    pub last_activity: Option<Activity>,
    /// How many samples CPUUtilization had in each of the last five minutes, when that was asked for.
    pub sample_counts: Vec<f64>,
}

impl Observed {
    /// Why tasks are missing, if that is known: there is no room for them, or those that started failed.
    pub fn trouble(&self) -> Option<&str> {
        self.unplaced.as_deref().or(self.last_failure.as_deref())
    }

    /// Whether the newest deployment is still moving.
    pub fn is_deploying(&self) -> bool {
        let moving = [DeploymentProgress::InProgress, DeploymentProgress::RollingBack];
        let newest = self.deployment.as_ref();
        newest.is_some_and(|deployment| moving.contains(&deployment.progress))
    }
}

impl Observed {
    /// Whether somebody else has the service's name: a service, or, where there is none, a target that would rule ours or
    /// task definitions that theirs may come back with.
    pub fn is_taken(&self) -> bool {
        let has = |what| self.foreign.contains_key(what);
        has(FOREIGN_SERVICE) || self.life == ServiceLife::Absent && (has(FOREIGN_TARGET) || has(FOREIGN_DEFINITIONS))
    }
}

/// Where a service is in its life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub enum ServiceLife {
    /// There is none, or an INACTIVE one.
    #[default]
    Absent,
    /// ACTIVE.
    Active,
    /// DRAINING: deleted, with tasks still stopping.
    Draining,
}

/// A registered task definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RegisteredRevision {
    /// Its ARN.
    pub arn: String,
    /// What it holds, if it was read and is of a form that Penstock writes.
    pub content: Option<TaskDefinition>,
}

/// The counts of a service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Wanted.
    pub desired: i32,
    /// In RUNNING.
    pub running: i32,
    /// On their way.
    pub pending: i32,
}

/// What is known of the health of a service's tasks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub enum Tasks {
    /// Nobody asked, because nothing depends on it.
    #[default]
    Unasked,
    /// They could not be read, which says nothing about them.
    Unknown {
        /// Whether a permission is what lacks.
        denied: bool,
        /// Why, for people.
        why: String,
    },
    /// They were looked at.
    Seen(TaskHealth),
}

/// How the tasks are that a service should run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct TaskHealth {
    /// RUNNING and HEALTHY, of the task definition that was asked about.
    pub healthy: i32,
    /// RUNNING and HEALTHY, of any other, as while a deployment replaces them.
    pub former: i32,
    /// Why others are not, in one line, if that can be told: one is UNHEALTHY, or one of the same definition failed.
    pub cause: Option<String>,
}

/// A service deployment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Deployment {
    /// Its id or ARN, the same as long as it is the same deployment.
    pub id: String,
    /// How far it is.
    pub progress: DeploymentProgress,
    /// Why, as ECS words it.
    pub reason: Option<String>,
    /// What it was to bring, if it could be read.
    pub revision: Option<Revision>,
}

/// How far a deployment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeploymentProgress {
    /// Tasks are being replaced.
    InProgress,
    /// It reached its end.
    Completed,
    /// It failed; ECS is bringing the earlier revision back.
    RollingBack,
    /// It failed and the earlier revision is back, or there was none.
    Failed,
}

/// A scaling activity, or why there was none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Activity {
    /// Its id.
    pub id: String,
    /// What it did, in one line.
    pub description: String,
    /// What brought it about; it names the policy.
    pub cause: String,
    /// Why it did nothing, such as `AlreadyAtMaxCapacity`.
    pub not_scaled_reason: Option<String>,
    /// When it began.
    pub at: Timestamp,
}

/// How many messages a queue holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct QueueDepth {
    /// Waiting to be received.
    pub visible: u64,
    /// Received and not yet deleted.
    pub in_flight: u64,
    /// Delayed.
    pub delayed: u64,
    /// Deleted within the window that was asked about, by CloudWatch; nothing when not asked or not known.
    pub deleted: Option<u64>,
}

impl QueueDepth {
    /// Returns the backlog: what is waiting and what is being worked on. Delayed messages are nobody's work yet.
    pub fn backlog(self) -> u64 {
        self.visible + self.in_flight
    }
}
