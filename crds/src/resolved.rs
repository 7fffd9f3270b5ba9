//! The complete connector: every default filled in, everything checked. Plan and bridge read this and nothing else.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    Architecture, AssumeRole, CapacityProvider, Compression, Duration, GroupFailure, KafkaSecurity, LaunchType, Name,
    Placement, RecordKey, RunningTasks, SecretReference, TargetMode,
};

/// A connector that passed validation.
#[derive(Debug, Clone, PartialEq)]
pub struct Connector {
    /// Its name.
    pub name: Name,
    /// The writer's labels.
    pub labels: BTreeMap<String, String>,
    /// The queue it reads.
    pub source: SqsSource,
    /// The topic it writes.
    pub sink: KafkaSink,
    /// How to reach Kafka.
    pub kafka: Kafka,
    /// Secrets by our name: their ARNs.
    pub secrets: BTreeMap<String, String>,
    /// What happens to a message that fails.
    pub errors: Errors,
    /// The ECS task.
    pub task: Task,
    /// The ECS service.
    pub service: Service,
    /// How many tasks run; exactly one without it.
    pub scaling: Option<Scaling>,
    /// The alarms, in the order of [`AlarmKind`]; empty when no topic is named.
    pub alarms: Vec<Alarm>,
    /// The state in which it starts its life.
    pub initial_state: TargetMode,
}

/// See [`crate::SqsSourceSpec`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SqsSource {
    /// The queue's URL.
    pub queue_url: String,
    /// The queue's region.
    pub region: String,
    /// Messages per receive call.
    pub max_messages: u32,
    /// How long a receive call waits.
    pub wait_time: Duration,
    /// How long a received message stays hidden.
    pub visibility_timeout: Duration,
    /// Whether message attributes become headers.
    pub attributes: bool,
    /// The role to take on for the queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assume_role: Option<AssumeRole>,
    /// Receive calls in flight at once.
    pub receivers: u32,
    /// How long a task remembers what it stored.
    #[serde(default)]
    pub deduplication_window: Duration,
}

impl SqsSource {
    /// Returns the queue's account, the last part but one of its URL.
    pub fn account(&self) -> &str {
        self.queue_url.rsplit('/').nth(1).unwrap_or_default()
    }

    /// Returns the queue's name, the last part of its URL.
    pub fn queue_name(&self) -> &str {
        self.queue_url.rsplit('/').next().unwrap_or_default()
    }

    /// Whether the queue is a FIFO queue, which its name alone says.
    pub fn is_fifo(&self) -> bool {
        self.queue_url.ends_with(".fifo")
    }
}

/// See [`crate::KafkaSinkSpec`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KafkaSink {
    /// The topic.
    pub topic: String,
    /// What becomes the key.
    pub key: RecordKey,
    /// How batches are compressed.
    pub compression: Compression,
    /// How long a record waits for others.
    pub linger: Duration,
}

/// See [`crate::KafkaSpec`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Kafka {
    /// Brokers to ask first.
    pub bootstrap_servers: Vec<String>,
    /// Who the bridge is to Kafka.
    pub security: KafkaSecurity,
}

/// See [`crate::ErrorsSpec`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Errors {
    /// The topic for messages that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_letter_topic: Option<String>,
    /// Tries after the first.
    pub max_retries: u32,
    /// The wait before the first retry.
    pub backoff: Duration,
    /// What becomes of a group when one of its messages failed for good.
    #[serde(default)]
    pub on_group_failure: GroupFailure,
}

/// See [`crate::TaskSpec`].
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// CPU units.
    pub cpu: u32,
    /// MiB.
    pub memory: u32,
    /// The image.
    pub image: String,
    /// The image's architecture.
    pub architecture: Architecture,
    /// The ARN of the role that the bridge acts as.
    pub task_role: Option<String>,
    /// The ARN of the role that ECS uses.
    pub execution_role: Option<String>,
    /// Plain environment variables.
    pub environment: BTreeMap<String, String>,
    /// Environment variables from secrets.
    pub secrets: BTreeMap<String, SecretReference>,
    /// Where the log goes; nowhere but the agent's default when missing.
    pub logs: Option<Logs>,
    /// SIGTERM to SIGKILL.
    pub stop_timeout: Duration,
    /// SIGTERM to exit.
    pub drain_timeout: Duration,
}

/// See [`crate::LogsSpec`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logs {
    /// The group.
    pub group: String,
    /// The group's region.
    pub region: String,
    /// The beginning of each stream's name.
    pub stream_prefix: String,
}

/// See [`crate::ServiceSpec`].
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// The cluster's name.
    pub cluster: String,
    /// The subnets.
    pub subnets: Vec<String>,
    /// The security groups.
    pub security_groups: Vec<String>,
    /// Whether tasks get a public address.
    pub public_ip: bool,
    /// What the tasks run on.
    pub capacity: Capacity,
    /// Placement on EC2 instances.
    pub placement: Placement,
    /// Percent of the desired count that keeps running.
    pub minimum_healthy_percent: u32,
    /// Percent of the desired count that may run.
    pub maximum_percent: u32,
}

/// What tasks run on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Capacity {
    /// One launch type.
    LaunchType(LaunchType),
    /// A strategy over capacity providers.
    Providers(Vec<CapacityProvider>),
}

/// See [`crate::ScalingSpec`].
#[derive(Debug, Clone, PartialEq)]
pub struct Scaling {
    /// The fewest tasks; 0 allows sleep.
    pub min: u32,
    /// The most tasks.
    pub max: u32,
    /// Messages per task, if the backlog scales it.
    pub backlog_per_task: Option<u64>,
    /// Percent of memory to hold.
    pub memory: u32,
    /// Percent of CPU to hold, if CPU scales it.
    pub cpu: Option<u32>,
    /// After scaling out.
    pub cooldown_out: Duration,
    /// After scaling in.
    pub cooldown_in: Duration,
    /// Before the last task stops.
    pub cooldown_sleep: Duration,
    /// Where the count of running tasks comes from.
    pub running_tasks: RunningTasks,
}

/// The four alarms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AlarmKind {
    /// CPU is high at the maximum.
    HighCpuUsageAndMaxScaledOut,
    /// Memory is high at the maximum.
    HighRamUsageAndMaxScaledOut,
    /// The backlog is high at the maximum.
    BacklogHighAndMaxScaledOut,
    /// The oldest message is old.
    OldestMessageAge,
}

impl AlarmKind {
    /// The four, in the order of [`Connector::alarms`].
    pub const ALL: [Self; 4] = [
        Self::HighCpuUsageAndMaxScaledOut,
        Self::HighRamUsageAndMaxScaledOut,
        Self::BacklogHighAndMaxScaledOut,
        Self::OldestMessageAge,
    ];

    /// Returns the alarm's name as it stands in documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HighCpuUsageAndMaxScaledOut => "highCpuUsageAndMaxScaledOut",
            Self::HighRamUsageAndMaxScaledOut => "highRamUsageAndMaxScaledOut",
            Self::BacklogHighAndMaxScaledOut => "backlogHighAndMaxScaledOut",
            Self::OldestMessageAge => "oldestMessageAge",
        }
    }
}

/// One alarm, complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// Which of the four.
    pub kind: AlarmKind,
    /// Whether the document names it, which otherwise it has because it names topics.
    pub asked: bool,
    /// Percent, messages per task, or seconds, by kind.
    pub threshold: u64,
    /// Seconds per data point.
    pub period: Duration,
    /// Data points looked at.
    pub evaluation_periods: u32,
    /// Data points that must be above.
    pub datapoints_to_alarm: u32,
    /// SNS topics that are told.
    pub topics: Vec<String>,
}
