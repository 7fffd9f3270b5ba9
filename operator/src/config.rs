//! Settings in two steps: as typed, then checked and complete.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::net::SocketAddr;
use std::time::Duration;

use clap::Parser;
use penstock_kafka::{ArgsError, KafkaArgs, Settings};

use crate::plan::owner::{DEFAULT_NAME, Installation, OperatorName, Owner, OwnerError};
use crate::topics::{DEFAULT_PREFIX, PrefixError, TopicSettings, check_prefix};

/// The longest between two backlogs that are published: CloudWatch needs one in every minute.
const LONGEST_BACKLOG_POLL: Duration = Duration::from_secs(30);
/// The shortest of the lengths of time.
const SHORTEST: Duration = Duration::from_secs(1);

/// Keeps ECS services, scaling and alarms as the connector documents in Kafka ask.
#[derive(Debug, Clone, Parser)]
#[command(name = "penstock-operator", version)]
pub struct Args {
    /// How to reach Kafka.
    #[command(flatten)]
    pub kafka: KafkaArgs,
    /// This operator's name: what it makes in AWS begins with it, and it is in the ownership tag.
    #[arg(long, env = "PENSTOCK_OPERATOR_NAME", default_value = DEFAULT_NAME)]
    pub name: String,
    /// What tells this operator from others of its name in the ownership tag; the Kafka cluster's id and the topic prefix
    /// when missing. Give the former one to keep what was made after the topics have moved to another Kafka cluster.
    #[arg(long, env = "PENSTOCK_INSTALLATION")]
    pub installation: Option<String>,
    /// What the names of the three topics begin with.
    #[arg(long, env = "PENSTOCK_TOPIC_PREFIX", default_value = DEFAULT_PREFIX)]
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
    /// How often the queue of a connector that may sleep is looked at; one that no policy or alarm can read at least every 30 s.
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
    pub name: OperatorName,
    /// See [`Args::installation`].
    pub installation: Option<Installation>,
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

impl Config {
    /// Returns how often the backlog of a queue is published that no policy or alarm can read.
    pub fn backlog_poll(&self) -> Duration {
        self.queue_poll.min(LONGEST_BACKLOG_POLL)
    }

    /// Returns who owns what this operator makes; the id is that of the Kafka cluster, if its brokers tell one.
    pub fn owner(&self, cluster_id: Option<&str>) -> Result<Owner, OwnerError> {
        let told = || Installation::of_topics(cluster_id, &self.topics.prefix);
        Ok(Owner {
            name: self.name.clone(),
            installation: self.installation.clone().map_or_else(told, Ok)?,
        })
    }
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The connection to Kafka is not described right.
    #[error("the Kafka settings are wrong")]
    ReadKafka(#[source] ArgsError),
    /// The name would not survive in names and tags.
    #[error("--name cannot be used")]
    RefuseName(#[source] OwnerError),
    /// The installation would not survive in a tag.
    #[error("--installation cannot be used")]
    RefuseInstallation(#[source] OwnerError),
    /// No topic can have such a name.
    #[error("--topic-prefix cannot be used")]
    RefusePrefix(#[source] PrefixError),
    /// A value makes no sense.
    #[error("--{flag} {value} cannot be used: {why}; {remedy}")]
    RefuseValue {
        /// The flag.
        flag: &'static str,
        /// Its value.
        value: String,
        /// What would come of it.
        why: &'static str,
        /// What to do.
        remedy: &'static str,
    },
}

impl Args {
    /// Checks the settings and fills in what follows from them.
    pub fn resolve(self) -> Result<Config, ConfigError> {
        self.check_values()?;
        let name: OperatorName = self.name.parse().map_err(ConfigError::RefuseName)?;
        let installation = self.installation.as_deref().map(str::parse).transpose();
        let client_id = format!("penstock-operator-{name}");
        Ok(Config {
            kafka: self.kafka.settings(&client_id).map_err(ConfigError::ReadKafka)?,
            topics: TopicSettings {
                prefix: check_prefix(self.topic_prefix).map_err(ConfigError::RefusePrefix)?,
                replication_factor: self.replication_factor,
                audit_period: self.audit_period,
            },
            name,
            installation: installation.map_err(ConfigError::RefuseInstallation)?,
            region: self.region,
            clusters: self.clusters.into_iter().collect(),
            listen: self.listen,
            resync: self.resync,
            queue_poll: self.queue_poll,
            concurrency: self.concurrency,
            shutdown_timeout: self.shutdown_timeout,
        })
    }

    fn check_values(&self) -> Result<(), ConfigError> {
        let lasts = |length: Duration| length >= SHORTEST;
        let text = humantime::format_duration;
        let without_pause = "AWS would be asked without a pause";
        refuse_unless(
            self.concurrency >= 1,
            ("concurrency", &self.concurrency),
            "no pass would ever be made",
            "give at least 1",
        )?;
        let (flag, value) = ("resync", &text(self.resync));
        refuse_unless(lasts(self.resync), (flag, value), without_pause, "give at least 1s")?;
        let (flag, value) = ("queue-poll", &text(self.queue_poll));
        refuse_unless(lasts(self.queue_poll), (flag, value), without_pause, "give at least 1s")?;
        refuse_unless(
            self.replication_factor == -1 || self.replication_factor >= 1,
            ("replication-factor", &self.replication_factor),
            "a topic has one replica or more",
            "give at least 1, or -1 to leave it to the broker",
        )?;
        refuse_unless(
            lasts(self.audit_period),
            ("audit-period", &text(self.audit_period)),
            "the audit would keep nothing but the last status",
            "give at least 1s; 30d is usual",
        )?;
        refuse_unless(
            lasts(self.shutdown_timeout),
            ("shutdown-timeout", &text(self.shutdown_timeout)),
            "every stop would abandon the passes in hand",
            "give at least 1s; 25s is usual",
        )
    }
}

fn refuse_unless(
    holds: bool,
    (flag, value): (&'static str, &dyn Display),
    why: &'static str,
    remedy: &'static str,
) -> Result<(), ConfigError> {
    let refused = || ConfigError::RefuseValue {
        flag,
        value: value.to_string(),
        why,
        remedy,
    };
    holds.then_some(()).ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    use super::*;
    use penstock_kafka::chain;

    fn resolved(flags: &[&str]) -> Result<Config, ConfigError> {
        let needed = ["penstock-operator", "--bootstrap-servers", "127.0.0.1:9092"];
        Args::parse_from(needed.iter().chain(flags)).resolve()
    }

    #[test]
    fn what_is_left_out_is_as_people_know_it() {
        let config = resolved(&[]).expect("the defaults are sound");
        assert_eq!(
            (config.name.to_string().as_str(), config.installation),
            ("penstock", None)
        );
        assert_eq!(config.topics, TopicSettings::default());
    }

    #[test]
    fn a_setting_that_makes_no_sense_is_refused_with_why_and_what_to_do() {
        let long = "p".repeat(243);
        for (flag, value, why, remedy) in [
            (
                "--name",
                "Penstock",
                "every ECS service",
                "use 1 to 32 lower-case letters",
            ),
            ("--name", "", "every ECS service", "use 1 to 32 lower-case letters"),
            ("--installation", "a b", "ownership tag", "use 1 to 223 letters"),
            ("--installation", "", "ownership tag", "use 1 to 223 letters"),
            ("--topic-prefix", "", "begin with it", "use 1 to 242 letters"),
            ("--topic-prefix", "a/b", "begin with it", "use 1 to 242 letters"),
            ("--topic-prefix", &long, "begin with it", "use 1 to 242 letters"),
            (
                "--replication-factor",
                "0",
                "one replica or more",
                "-1 to leave it to the broker",
            ),
            (
                "--replication-factor",
                "-2",
                "one replica or more",
                "-1 to leave it to the broker",
            ),
            ("--audit-period", "0s", "keep nothing", "give at least 1s"),
            ("--shutdown-timeout", "0s", "abandon the passes", "give at least 1s"),
            ("--resync", "0s", "without a pause", "give at least 1s"),
            ("--queue-poll", "999ms", "without a pause", "give at least 1s"),
            ("--concurrency", "0", "no pass", "give at least 1"),
        ] {
            let error = resolved(&[flag, value]).expect_err("it is refused");
            let text = chain(&error);
            assert!(text.starts_with(&format!("{flag} ")), "{text}");
            assert!(
                text.contains(value) && text.contains(why) && text.contains(remedy),
                "{text}"
            );
        }
    }

    #[test]
    fn a_setting_at_its_bounds_is_taken() {
        let (name, prefix, installation) = ("n".repeat(32), "p".repeat(242), "i".repeat(223));
        let config = resolved(&[
            "--name",
            &name,
            "--topic-prefix",
            &prefix,
            "--installation",
            &installation,
            "--replication-factor",
            "1",
            "--audit-period",
            "1s",
        ]);
        let config = config.expect("it is sound");
        assert_eq!(
            config.owner(None).expect("it is given").tag(),
            format!("{name}@{installation}")
        );
    }

    #[test]
    fn a_queue_that_is_looked_at_seldom_has_its_backlog_in_every_minute_all_the_same() {
        let backlog_poll = |poll| resolved(&["--queue-poll", poll]).expect("it is sound").backlog_poll();
        assert_eq!(backlog_poll("5m"), LONGEST_BACKLOG_POLL);
        assert_eq!(backlog_poll("2s"), Duration::from_secs(2));
    }

    #[test]
    fn the_installation_that_is_given_comes_before_the_one_that_the_brokers_tell() {
        let given = resolved(&["--installation", "moved/penstock"]).expect("it is sound");
        assert_eq!(
            given.owner(Some("id")).expect("it is given").tag(),
            "penstock@moved/penstock"
        );
        let told = resolved(&["--topic-prefix", "two"]).expect("it is sound");
        assert_eq!(told.owner(Some("id")).expect("it is told").tag(), "penstock@id/two");
        assert_eq!(told.owner(None), Err(OwnerError::FindCluster));
    }
}
