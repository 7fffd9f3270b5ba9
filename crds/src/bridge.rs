//! What one bridge process is told: the part of a connector that moves data, and nothing that would replace tasks for
//! no reason when it changes.

use serde::{Deserialize, Serialize};

use crate::{Connector, Duration, Errors, Kafka, KafkaSink, Name, SqsSource};

/// The environment variable of a task that carries [`BridgeConfig`] as JSON.
pub const BRIDGE_CONFIG_VARIABLE: &str = "PENSTOCK_CONNECTOR";
/// The environment variable that carries the SCRAM user name, by `secrets` of the task definition.
pub const KAFKA_USERNAME_VARIABLE: &str = "PENSTOCK_KAFKA_USERNAME";
/// The environment variable that carries the SCRAM password.
pub const KAFKA_PASSWORD_VARIABLE: &str = "PENSTOCK_KAFKA_PASSWORD";
/// The environment variable that carries the client certificate as PEM.
pub const KAFKA_CERTIFICATE_VARIABLE: &str = "PENSTOCK_KAFKA_CERTIFICATE";
/// The environment variable that carries the client's private key as PEM.
pub const KAFKA_PRIVATE_KEY_VARIABLE: &str = "PENSTOCK_KAFKA_PRIVATE_KEY";
/// The environment variable that carries the private key's password.
pub const KAFKA_PRIVATE_KEY_PASSWORD_VARIABLE: &str = "PENSTOCK_KAFKA_PRIVATE_KEY_PASSWORD";

/// What one bridge process does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BridgeConfig {
    /// The connector's name, for client ids, logs and metrics.
    pub connector: Name,
    /// The queue it reads.
    pub source: SqsSource,
    /// The topic it writes.
    pub sink: KafkaSink,
    /// How to reach Kafka; secret values come from the variables above.
    pub kafka: Kafka,
    /// What happens to a message that fails.
    pub errors: Errors,
    /// How long it may take to hand over what it holds after SIGTERM.
    pub drain_timeout: Duration,
}

impl From<&Connector> for BridgeConfig {
    fn from(connector: &Connector) -> Self {
        Self {
            connector: connector.name.clone(),
            source: connector.source.clone(),
            sink: connector.sink.clone(),
            kafka: connector.kafka.clone(),
            errors: connector.errors.clone(),
            drain_timeout: connector.task.drain_timeout,
        }
    }
}
