//! What one bridge process is told: the part of a connector that moves data, and nothing that would replace tasks for
//! no reason when it changes.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::{Connector, Duration, Errors, Kafka, KafkaSecurity, KafkaSink, Name, SecretReference, SqsSource};

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

/// The environment variable that says where health and metrics are served.
pub const LISTEN_VARIABLE: &str = "PENSTOCK_LISTEN";
/// The environment variable that says what to log.
pub const LOG_VARIABLE: &str = "PENSTOCK_LOG";
/// The environment variable that says how many messages are held at once.
pub const MAX_IN_FLIGHT_VARIABLE: &str = "PENSTOCK_MAX_IN_FLIGHT";
/// The environment variable that says how many bytes of messages are held at once.
pub const MAX_BUFFER_BYTES_VARIABLE: &str = "PENSTOCK_MAX_BUFFER_BYTES";
/// The most messages that a bridge can be told to hold; the fewest are those of one receive call.
pub const MOST_IN_FLIGHT: usize = 100_000;
/// How many bytes of messages a bridge can be told to hold.
pub const BUFFER_BYTES: RangeInclusive<usize> = 1 << 20..=64 << 30;
/// How many bytes of messages a bridge holds that is told nothing.
pub const DEFAULT_BUFFER_BYTES: usize = 64 << 20;

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

impl KafkaSecurity {
    /// Returns the secrets of the connection, each with the environment variable in which the bridge finds it.
    pub fn secrets(&self) -> Vec<(&'static str, &SecretReference)> {
        match self {
            Self::Plaintext {} | Self::MskIam { .. } => Vec::new(),
            Self::Scram { username, password, .. } => {
                vec![(KAFKA_USERNAME_VARIABLE, username), (KAFKA_PASSWORD_VARIABLE, password)]
            }
            Self::MutualTls {
                certificate,
                private_key,
                private_key_password,
                ..
            } => {
                let password = private_key_password
                    .as_ref()
                    .map(|password| (KAFKA_PRIVATE_KEY_PASSWORD_VARIABLE, password));
                [
                    (KAFKA_CERTIFICATE_VARIABLE, certificate),
                    (KAFKA_PRIVATE_KEY_VARIABLE, private_key),
                ]
                .into_iter()
                .chain(password)
                .collect()
            }
        }
    }
}
