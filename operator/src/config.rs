//! Settings in two steps: as typed, then checked and complete.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use clap::Parser;
use penstock_kafka::{ArgsError, KafkaArgs, Settings};

use crate::topics::TopicSettings;

/// Keeps ECS services, scaling and alarms as the connector documents in Kafka ask.
#[derive(Debug, Clone, Parser)]
#[command(name = "penstock-operator", version)]
pub struct Args {
    /// How to reach Kafka.
    #[command(flatten)]
    pub kafka: KafkaArgs,
    /// This operator's name: it is in the ownership tag, and only one process of a name runs at a time.
    #[arg(long, env = "PENSTOCK_OPERATOR_NAME", default_value = "penstock")]
    pub name: String,
    /// What the names of the three topics begin with.
    #[arg(long, env = "PENSTOCK_TOPIC_PREFIX", default_value = "penstock")]
    pub topic_prefix: String,
    /// Replicas of topics that the operator makes; -1 leaves it to the broker.
    #[arg(long, env = "PENSTOCK_REPLICATION_FACTOR", default_value_t = -1, allow_hyphen_values = true)]
    pub replication_factor: i32,
    /// How long every status record stays.
    #[arg(long, env = "PENSTOCK_AUDIT_PERIOD", default_value = "30d", value_parser = humantime::parse_duration)]
    pub audit_period: Duration,
    /// The AWS region of the ECS clusters; the environment's when missing.
    #[arg(long, env = "PENSTOCK_REGION")]
    pub region: Option<String>,
    /// Clusters to look for orphans in, beside those that documents name.
    #[arg(long, env = "PENSTOCK_CLUSTERS", value_delimiter = ',')]
    pub clusters: Vec<String>,
    /// Where `/livez`, `/readyz` and `/metrics` are served.
    #[arg(long, env = "PENSTOCK_LISTEN", default_value = "127.0.0.1:9090")]
    pub listen: SocketAddr,
    /// How often a settled connector is looked at again, give or take a fifth.
    #[arg(long, env = "PENSTOCK_RESYNC", default_value = "5m", value_parser = humantime::parse_duration)]
    pub resync: Duration,
    /// How often the queue of a connector that may sleep, or that a policy cannot read, is looked at.
    #[arg(long, env = "PENSTOCK_QUEUE_POLL", default_value = "15s", value_parser = humantime::parse_duration)]
    pub queue_poll: Duration,
    /// Passes at once.
    #[arg(long, env = "PENSTOCK_CONCURRENCY", default_value_t = 8)]
    pub concurrency: usize,
    /// How long the passes in hand may take to finish after SIGTERM.
    #[arg(long, env = "PENSTOCK_SHUTDOWN_TIMEOUT", default_value = "25s", value_parser = humantime::parse_duration)]
    pub shutdown_timeout: Duration,
}

/// Settings, checked and complete.
#[derive(Debug, Clone)]
pub struct Config {
    /// How to reach Kafka.
    pub kafka: Settings,
    /// This operator's name.
    pub name: String,
    /// The topics.
    pub topics: TopicSettings,
    /// The region of the ECS clusters.
    pub region: Option<String>,
    /// Clusters to look for orphans in.
    pub clusters: BTreeSet<String>,
    /// Where to serve.
    pub listen: SocketAddr,
    /// See [`Args::resync`].
    pub resync: Duration,
    /// See [`Args::queue_poll`].
    pub queue_poll: Duration,
    /// See [`Args::concurrency`].
    pub concurrency: usize,
    /// See [`Args::shutdown_timeout`].
    pub shutdown_timeout: Duration,
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The connection to Kafka is not described right.
    #[error("the Kafka settings are wrong")]
    ReadKafka(#[source] ArgsError),
    /// The name would not survive as an AWS tag or a transactional id.
    #[error("--name `{0}` has to be 1 to 63 letters, digits and hyphens")]
    RefuseName(String),
    /// A number makes no sense.
    #[error("--{flag} has to be at least {least}")]
    RefuseNumber {
        /// The flag.
        flag: &'static str,
        /// The least that makes sense.
        least: &'static str,
    },
}

impl Args {
    /// Checks the settings and fills in what follows from them.
    pub fn resolve(self) -> Result<Config, ConfigError> {
        let sound = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if self.name.is_empty() || self.name.len() > 63 || !self.name.bytes().all(sound) {
            return Err(ConfigError::RefuseName(self.name));
        }
        let least = |holds: bool, flag, least| {
            if holds {
                Ok(())
            } else {
                Err(ConfigError::RefuseNumber { flag, least })
            }
        };
        least(self.concurrency >= 1, "concurrency", "1")?;
        least(self.resync >= Duration::from_secs(1), "resync", "1s")?;
        least(self.queue_poll >= Duration::from_secs(1), "queue-poll", "1s")?;
        let client_id = format!("penstock-operator-{}", self.name);
        Ok(Config {
            kafka: self.kafka.settings(&client_id).map_err(ConfigError::ReadKafka)?,
            topics: TopicSettings {
                prefix: self.topic_prefix,
                replication_factor: self.replication_factor,
                audit_period: self.audit_period,
            },
            name: self.name,
            region: self.region,
            clusters: self.clusters.into_iter().collect(),
            listen: self.listen,
            resync: self.resync,
            queue_poll: self.queue_poll,
            concurrency: self.concurrency,
            shutdown_timeout: self.shutdown_timeout,
        })
    }
}
