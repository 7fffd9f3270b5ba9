//! The sections that a connector and a profile share, as people write them: every field may be missing.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use crate::Duration;

/// How to reach Kafka.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KafkaSpec {
    /// Brokers to ask first, each `host:port`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bootstrap_servers: Option<Vec<String>>,
    /// Who the bridge is to Kafka, and whether the connection is encrypted; `plaintext` when missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security: Option<KafkaSecurity>,
}

/// Who the bridge is to Kafka, and whether the connection is encrypted. A connector replaces its profile's as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum KafkaSecurity {
    /// Neither encrypted nor authenticated; for networks that are closed otherwise.
    Plaintext {},
    /// SCRAM with user name and password, over TLS (`SASL_SSL`) unless `tls` is false (`SASL_PLAINTEXT`).
    Scram {
        /// The mechanism that the broker offers; MSK offers SCRAM-SHA-512.
        #[serde(default)]
        mechanism: ScramMechanism,
        /// The secret that holds the user name.
        username: SecretReference,
        /// The secret that holds the password.
        password: SecretReference,
        /// Whether to encrypt; true when missing.
        #[serde(default = "yes")]
        tls: bool,
        /// The authorities to trust, as PEM; the system's when missing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ca_certificates: Option<String>,
    },
    /// TLS with a client certificate (`SSL`). PEM only: convert a JKS keystore with `keytool` and `openssl pkcs12`.
    MutualTls {
        /// The secret that holds the client certificate and its chain, as PEM.
        certificate: SecretReference,
        /// The secret that holds the private key, as PEM.
        private_key: SecretReference,
        /// The secret that holds the private key's password, if it has one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        private_key_password: Option<SecretReference>,
        /// The authorities to trust, as PEM; the system's when missing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ca_certificates: Option<String>,
    },
    /// IAM authentication of Amazon MSK, with the task role's credentials, over TLS.
    MskIam {
        /// The region of the MSK cluster.
        region: String,
    },
}

fn yes() -> bool {
    true
}

/// A SCRAM mechanism, spelled as Kafka does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ScramMechanism {
    /// SCRAM-SHA-256.
    #[serde(rename = "SCRAM-SHA-256")]
    Sha256,
    /// SCRAM-SHA-512, the one of MSK.
    #[default]
    #[serde(rename = "SCRAM-SHA-512")]
    Sha512,
}

/// Where a secret value is. Documents hold references only, never values; ECS resolves them as the task starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretReference {
    /// A name under `secrets` of the profile or the connector.
    pub secret: String,
    /// The key inside a secret that is a JSON object; the whole value when missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// What happens to a message that fails.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ErrorsSpec {
    /// The Kafka topic that takes messages which failed for their own content. Without it they are left to the queue's redrive policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_letter_topic: Option<String>,
    /// How often a failed message is tried again before it is given up, at most 100; 3 when missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub max_retries: Option<u32>,
    /// The wait before the first retry, doubled each time with jitter, `10ms` to `15m`; `1s` when missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff: Option<Duration>,
    /// What becomes of a message group of a FIFO queue when one of its messages failed for its own content and all retries. When missing
    /// `dlq-and-continue` if there is a dead-letter topic, else `hold`. A standard queue has no order to keep, so `hold` is refused beside one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_group_failure: Option<GroupFailure>,
}

/// What becomes of a message group when one of its messages failed for good.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GroupFailure {
    /// The message and all that follow it in its group wait, until the queue's redrive policy takes it away or Kafka takes it.
    Hold,
    /// The message goes to the dead-letter topic, and its group goes on without it.
    #[default]
    DlqAndContinue,
}

/// The ECS task that runs the bridge.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TaskSpec {
    /// CPU units, 1024 to a vCPU; 256 when missing. On Fargate only certain pairs with `memory` exist.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<u32>,
    /// Memory in MiB; 512 when missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<u32>,
    /// The image of `penstock-bridge`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The processor architecture of the image; `X86_64` when missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub architecture: Option<Architecture>,
    /// The IAM roles.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roles: Option<RolesSpec>,
    /// Environment variables of the bridge, for what is not secret. A name here replaces the profile's in `secrets`, and the reverse.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<BTreeMap<String, String>>,
    /// Environment variables whose values ECS takes from Secrets Manager.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secrets: Option<BTreeMap<String, SecretReference>>,
    /// Where the bridge's log goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logs: Option<LogsSpec>,
    /// How long ECS waits between SIGTERM and SIGKILL, at least `6s`, on Fargate at most `120s`; `30s` when missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_timeout: Option<Duration>,
    /// How long the bridge may take to hand over what it holds after SIGTERM, at least 5 s less than `stopTimeout`;
    /// that much less when missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain_timeout: Option<Duration>,
}

/// A processor architecture, spelled as ECS does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Architecture {
    /// Intel and AMD, 64 bits.
    #[default]
    #[serde(rename = "X86_64")]
    X86_64,
    /// Graviton.
    #[serde(rename = "ARM64")]
    Arm64,
}

/// The IAM roles of a task.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RolesSpec {
    /// The ARN of the role that the bridge acts as.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// The ARN of the role that ECS uses to pull the image, read secrets and write logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub execution: Option<String>,
}

/// The awslogs driver's options.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LogsSpec {
    /// The CloudWatch Logs group. It has to exist: neither the operator nor ECS makes it, and without it no task starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The group's region; the queue's when missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The beginning of each stream's name; `penstock` when missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream_prefix: Option<String>,
}

/// The ECS service that runs the tasks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceSpec {
    /// The ECS cluster's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// The subnets of the tasks, 1 to 16.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subnets: Option<Vec<String>>,
    /// The security groups of the tasks, at most 5; the VPC's default group when missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security_groups: Option<Vec<String>>,
    /// Whether tasks get a public address, which only Fargate can give; false when missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_ip: Option<bool>,
    /// Where tasks run, when no capacity provider is named; `FARGATE` when both are missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub launch_type: Option<LaunchType>,
    /// The capacity providers that share the tasks. Excludes `launchType`; a connector replaces its profile's choice as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity_providers: Option<Vec<CapacityProvider>>,
    /// Placement on EC2 instances; Fargate refuses it. A connector replaces its profile's as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub placement: Option<Placement>,
    /// How a new revision replaces the old one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutSpec>,
}

/// A launch type, spelled as ECS does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum LaunchType {
    /// Fargate.
    #[default]
    Fargate,
    /// EC2 instances of the cluster.
    Ec2,
}

/// One capacity provider of a service's strategy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CapacityProvider {
    /// `FARGATE`, `FARGATE_SPOT`, or a provider of the cluster.
    pub name: String,
    /// How many tasks run on it before the weights count; only one provider may have a base.
    #[serde(default)]
    pub base: u32,
    /// Its share of the tasks beyond the base, 0 to 1000; 1 when missing.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 1000))]
    pub weight: u32,
}

fn one() -> u32 {
    1
}

/// Where tasks go among EC2 instances.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Placement {
    /// What an instance must be, at most 10.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<PlacementConstraint>,
    /// What to prefer, in order, at most 5.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub strategies: Vec<PlacementStrategy>,
}

/// What an instance must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlacementConstraint {
    /// `distinctInstance` or `memberOf`.
    pub r#type: PlacementConstraintType,
    /// The cluster query expression of `memberOf`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expression: Option<String>,
}

/// A kind of placement constraint, spelled as ECS does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum PlacementConstraintType {
    /// Each task on another instance.
    DistinctInstance,
    /// Instances that match an expression.
    MemberOf,
}

/// What to prefer among the instances that qualify.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlacementStrategy {
    /// `random`, `spread` or `binpack`.
    pub r#type: PlacementStrategyType,
    /// What to spread or pack by, such as `attribute:ecs.availability-zone` or `memory`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

/// A kind of placement strategy, spelled as ECS does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum PlacementStrategyType {
    /// Anywhere.
    Random,
    /// Evenly.
    Spread,
    /// As few instances as possible.
    Binpack,
}

/// How a new revision replaces the old one. The circuit breaker with rollback is always on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RolloutSpec {
    /// The share of the desired count that keeps running, 0 to 100 percent; 100 when missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub minimum_healthy_percent: Option<u32>,
    /// The share of the desired count that may run at most, 100 to 200 percent; 200 when missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 100, max = 200))]
    pub maximum_percent: Option<u32>,
}

/// How many tasks run. Without this section there is exactly one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScalingSpec {
    /// The fewest tasks; 0 lets the connector fall asleep; 1 when missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<u32>,
    /// The most tasks, 1 to 5000.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 5000))]
    pub max: Option<u32>,
    /// The backlog that one task may have. A connector replaces its profile's as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backlog: Option<BacklogTarget>,
    /// Average memory use to hold, in percent of the task's; 75 when missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub memory: Option<u32>,
    /// Average CPU use to hold, in percent of the task's; no such policy when missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub cpu: Option<u32>,
    /// The waits between one scaling and the next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cooldowns: Option<CooldownsSpec>,
    /// Where the count of running tasks comes from, for the backlog per task and the alarms; `auto` when missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running_tasks: Option<RunningTasks>,
}

/// The backlog that one task may have: a number of messages, or the two times it follows from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged, rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum BacklogTarget {
    /// A number of messages.
    PerTask {
        /// Messages visible or in flight for each running task.
        #[schemars(range(min = 1))]
        per_task: u64,
    },
    /// The number that keeps the latency: `acceptableLatency` / `processingTime`, rounded up.
    Latency {
        /// How old a message may get.
        acceptable_latency: Duration,
        /// How long one task takes for one message on average.
        processing_time: Duration,
    },
}

/// Read by hand, since the derived reader of alternatives says neither which field is wrong nor why.
impl<'de> Deserialize<'de> for BacklogTarget {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fields = BacklogFields::deserialize(deserializer)?;
        match (fields.per_task, fields.acceptable_latency, fields.processing_time) {
            (Some(per_task), None, None) => Ok(Self::PerTask { per_task }),
            (None, Some(acceptable_latency), Some(processing_time)) => Ok(Self::Latency {
                acceptable_latency,
                processing_time,
            }),
            _ => Err(de::Error::custom(
                "names neither or both of its alternatives; write `perTask`, or `acceptableLatency` together with `processingTime`",
            )),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct BacklogFields {
    per_task: Option<u64>,
    acceptable_latency: Option<Duration>,
    processing_time: Option<Duration>,
}

/// Where the count of running tasks comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum RunningTasks {
    /// Container Insights where the cluster has it, else the sample count.
    #[default]
    Auto,
    /// `ECS/ContainerInsights RunningTaskCount`, billed as a custom metric.
    ContainerInsights,
    /// `SampleCount` of `AWS/ECS CPUUtilization`, free.
    SampleCount,
}

/// The waits between one scaling and the next.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CooldownsSpec {
    /// After scaling out, whole seconds up to `24h`; `60s` when missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub out: Option<Duration>,
    /// After scaling in, whole seconds up to `24h`; `300s` when missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r#in: Option<Duration>,
    /// How long the queue must be empty, with nothing deleted from it, before the last task stops, `10s` to `24h`; `300s` when missing.
    /// It counts where `min` is 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sleep: Option<Duration>,
}

/// The alarms. None exists unless a topic is named.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AlarmsSpec {
    /// ARNs of the SNS topics that are told, at most 5. An empty list means no alarm, whatever the profile says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topics: Option<Vec<String>>,
    /// CPU is high and the desired count is at its maximum. Threshold: percent, 85 when missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub high_cpu_usage_and_max_scaled_out: Option<AlarmSpec>,
    /// Memory is high and the desired count is at its maximum. Threshold: percent, 80 when missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub high_ram_usage_and_max_scaled_out: Option<AlarmSpec>,
    /// The backlog per task is high and the desired count is at its maximum. Threshold: messages per task, the scaling target
    /// when missing; without either there is no such alarm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backlog_high_and_max_scaled_out: Option<AlarmSpec>,
    /// The oldest message is old. Threshold: seconds, 300 when missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_message_age: Option<AlarmSpec>,
}

/// One alarm's settings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AlarmSpec {
    /// Whether the alarm exists; true when missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// The value above which it counts; its unit and default are those of the alarm.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000000000))]
    pub threshold: Option<u64>,
    /// The length of one data point, a multiple of `60s`; `60s` when missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub period: Option<Duration>,
    /// How many of the latest data points are looked at; 15 when missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10080))]
    pub evaluation_periods: Option<u32>,
    /// How many of them must be above the threshold; 5 when missing, or all where fewer are looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10080))]
    pub datapoints_to_alarm: Option<u32>,
}
