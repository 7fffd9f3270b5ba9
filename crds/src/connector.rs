//! The two documents that people write: `Connector` and `Profile`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{AlarmsSpec, Duration, ErrorsSpec, KafkaSpec, ScalingSpec, ServiceSpec, TargetMode, TaskSpec};

/// What one connector does and how it runs. Everything but `source` and `sink` may come from its profile.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConnectorSpec {
    /// The name of the `Profile` that this connector builds on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = crate::names::NAME_PATTERN))]
    pub profile: Option<String>,
    /// Where messages come from.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required)]
    pub source: Option<SourceSpec>,
    /// Where messages go.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required)]
    pub sink: Option<SinkSpec>,
    /// How to reach Kafka.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kafka: Option<KafkaSpec>,
    /// Secrets by a name of ours: the ARN of each in Secrets Manager.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secrets: Option<BTreeMap<String, String>>,
    /// What happens to a message that fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errors: Option<ErrorsSpec>,
    /// The ECS task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskSpec>,
    /// The ECS service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceSpec>,
    /// How many tasks run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scaling: Option<ScalingSpec>,
    /// Who is told when the connector cannot keep up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alarms: Option<AlarmsSpec>,
    /// The state in which the connector starts its life; a `TargetState` document rules from then on, and an edit of this
    /// changes nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial_state: Option<TargetMode>,
}

/// What many connectors share; a connector that names the profile may override any field.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProfileSpec {
    /// How to reach Kafka.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kafka: Option<KafkaSpec>,
    /// Secrets by a name of ours: the ARN of each in Secrets Manager.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secrets: Option<BTreeMap<String, String>>,
    /// What happens to a message that fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errors: Option<ErrorsSpec>,
    /// The ECS task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskSpec>,
    /// The ECS service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceSpec>,
    /// How many tasks run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scaling: Option<ScalingSpec>,
    /// Who is told when a connector cannot keep up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alarms: Option<AlarmsSpec>,
}

/// Where messages come from: exactly one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SourceSpec {
    /// An SQS queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required)]
    pub sqs: Option<SqsSourceSpec>,
}

/// An SQS queue to read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SqsSourceSpec {
    /// The queue's URL, as SQS prints it. The bridge sends its calls to its host where that is a VPC endpoint, one for FIPS or IPv6, or this
    /// machine; else, and where the environment chooses an endpoint, to that of the region.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required)]
    pub queue_url: Option<String>,
    /// The queue's region; taken from the URL when missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Messages per receive call, 1 to 10; 10 when missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10))]
    pub max_messages: Option<u32>,
    /// How long a receive call waits for a message, at most `20s`; `20s` when missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_time: Option<Duration>,
    /// How long a received message stays hidden unless extended, `10s` to `12h`; `60s` when missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visibility_timeout: Option<Duration>,
    /// Whether message attributes become record headers; true when missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attributes: Option<bool>,
    /// The role to take on for the queue, for queues of another account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assume_role: Option<AssumeRole>,
    /// Receive calls in flight at once, 1 to 64; 4 when missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 64))]
    pub receivers: Option<u32>,
    /// How long a task remembers what it stored: a message that SQS hands it again within that time is deleted and not stored twice. At
    /// most `1h`, `0s` to remember nothing; `5m` on a FIFO queue and `0s` otherwise when missing. A task remembers at most 65,536 messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deduplication_window: Option<Duration>,
}

/// A role to take on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AssumeRole {
    /// The role's ARN.
    pub arn: String,
    /// The session's name in CloudTrail; `penstock-<connector>` when missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_name: Option<String>,
    /// The external id that the role's trust policy asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
}

/// Where messages go: exactly one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SinkSpec {
    /// A Kafka topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required)]
    pub kafka: Option<KafkaSinkSpec>,
}

/// A Kafka topic to write.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KafkaSinkSpec {
    /// The topic, which must exist.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required)]
    pub topic: Option<String>,
    /// What becomes the record's key; `messageGroupId` on a FIFO queue and `messageId` otherwise when missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<RecordKey>,
    /// How batches are compressed; `lz4` when missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression: Option<Compression>,
    /// How long a record waits for others to share its batch, at most `1s`. When missing `5ms`, and `0ms` on a FIFO queue, where the next
    /// message of a group waits for the one before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub linger: Option<Duration>,
}

/// What becomes a record's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum RecordKey {
    /// The message's id: spread evenly.
    MessageId,
    /// The message's group: one group, one partition, in order.
    MessageGroupId,
    /// No key: the producer spreads batches.
    None,
}

/// A compression that Kafka knows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// None.
    None,
    /// gzip.
    Gzip,
    /// Snappy.
    Snappy,
    /// LZ4.
    #[default]
    Lz4,
    /// Zstandard.
    Zstd,
}
