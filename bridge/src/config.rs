//! What to do: from arguments and environment, as typed, to a complete [`Config`], or to words that say what to mend.

mod document;
mod secrets;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use penstock_crds::{
    BRIDGE_CONFIG_VARIABLE, BUFFER_BYTES, BridgeConfig, DEFAULT_BUFFER_BYTES, Errors, GroupFailure, LISTEN_VARIABLE,
    LOG_VARIABLE, MAX_BUFFER_BYTES_VARIABLE, MAX_IN_FLIGHT_VARIABLE, MOST_IN_FLIGHT, SqsSource,
};

use crate::pump;
use crate::sink::kafka::KafkaSettings;

/// Moves the messages of one SQS queue to one Kafka topic.
///
/// What to do comes from the environment variable PENSTOCK_CONNECTOR, which the operator sets, or from --connector.
/// Secrets come from PENSTOCK_KAFKA_USERNAME, PENSTOCK_KAFKA_PASSWORD, PENSTOCK_KAFKA_CERTIFICATE,
/// PENSTOCK_KAFKA_PRIVATE_KEY and PENSTOCK_KAFKA_PRIVATE_KEY_PASSWORD.
///
/// Exit codes: 0 everything is handed over; 64 the command line is wrong; 70 a fault of the program; 75 a stop ended
/// before Kafka or SQS had answered for everything (what was open is visible again or will be, nothing is lost); 78 the
/// configuration, the queue or a topic is wrong.
#[derive(Debug, Parser)]
#[command(name = "penstock-bridge", version, about, long_about)]
pub struct Args {
    /// What else to do than move messages
    #[command(subcommand)]
    pub command: Option<Command>,
    /// A Connector document, YAML or JSON, to run by hand instead of PENSTOCK_CONNECTOR
    #[arg(long, value_name = "FILE")]
    pub connector: Option<PathBuf>,
    /// The Profile document that the connector names
    #[arg(long, value_name = "FILE", requires = "connector")]
    pub profile: Option<PathBuf>,
    /// Where /healthz and /metrics are served
    #[arg(
        long,
        env = LISTEN_VARIABLE,
        value_name = "ADDRESS",
        default_value = "0.0.0.0:8080",
        global = true
    )]
    pub listen: SocketAddr,
    /// The most messages held at once; 1000, or 40 for each receiver if that is more, when missing
    #[arg(long, env = MAX_IN_FLIGHT_VARIABLE, value_name = "MESSAGES")]
    pub max_in_flight: Option<usize>,
    /// The most bytes of messages held at once
    #[arg(long, env = MAX_BUFFER_BYTES_VARIABLE, value_name = "BYTES", default_value_t = DEFAULT_BUFFER_BYTES)]
    pub max_buffer_bytes: usize,
    /// What to log, such as `info` or `penstock_bridge=debug,info`
    #[arg(long, env = LOG_VARIABLE, value_name = "FILTER", default_value = "info")]
    pub log: String,
}

/// What else the program does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Ask the bridge on this machine whether it makes progress: exit 0 if so, else 1
    Health,
}

/// What to do, checked and complete.
#[derive(Debug, Clone)]
pub struct Config {
    /// The connector's name.
    pub connector: String,
    /// The queue.
    pub source: SqsSource,
    /// The topic, as far as it is known before Kafka is asked.
    pub sink: KafkaSettings,
    /// How the pump works, as far as it is known before SQS is asked.
    pub pump: pump::Settings,
}

/// Why there is nothing to do.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Neither way to say what to do was used.
    #[error(
        "nothing says what to do: set {BRIDGE_CONFIG_VARIABLE}, as the operator does, or run `penstock-bridge --connector FILE`"
    )]
    Missing,
    /// The environment variable is not what the operator writes.
    #[error(
        "{BRIDGE_CONFIG_VARIABLE} cannot be read ({0}): it is written by penstock-operator; run the same version of both"
    )]
    ReadVariable(String),
    /// A file could not be read.
    #[error("the file {} cannot be read: {why}", path.display())]
    ReadFile {
        /// Which file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A document is wrong; one line for each fault.
    #[error("{} has faults:\n{}", path.display(), faults.join("\n"))]
    Document {
        /// Which file.
        path: PathBuf,
        /// Each fault: where, what, why, and what to do.
        faults: Vec<String>,
    },
    /// A setting is out of its range.
    #[error("{field} {why}")]
    Range {
        /// Which setting.
        field: &'static str,
        /// What is wrong and what to do.
        why: String,
    },
    /// A secret is not there.
    #[error(
        "the environment variable {0} is missing, and `kafka.security` of the connector needs it: the operator takes it from the named secret; by hand, set it"
    )]
    MissingSecret(&'static str),
    /// The way to connect to Kafka is wrong.
    #[error("the connection to Kafka is not set up right: {0}")]
    Connection(penstock_kafka::SettingsError),
}

impl Config {
    /// Makes the configuration; `variable` looks an environment variable up.
    pub fn load(args: &Args, variable: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let bridge = match (&args.connector, variable(BRIDGE_CONFIG_VARIABLE)) {
            (Some(connector), _) => document::read(connector, args.profile.as_deref())?,
            (None, Some(text)) => {
                serde_json::from_str(&text).map_err(|error| ConfigError::ReadVariable(error.to_string()))?
            }
            (None, None) => return Err(ConfigError::Missing),
        };
        check(&bridge)?;
        let connection = secrets::connection(&bridge, variable)?;
        Self::resolve(args, bridge, connection)
    }

    fn resolve(args: &Args, bridge: BridgeConfig, connection: penstock_kafka::Settings) -> Result<Self, ConfigError> {
        let connector = bridge.connector.to_string();
        let mut source = bridge.source;
        source.wait_time = longest_wait(source.wait_time, bridge.drain_timeout);
        let max_messages = args.max_in_flight.unwrap_or((source.receivers as usize * 40).max(1000));
        in_range(
            "--max-in-flight",
            max_messages,
            source.max_messages as usize,
            MOST_IN_FLIGHT,
        )?;
        in_range(
            "--max-buffer-bytes",
            args.max_buffer_bytes,
            *BUFFER_BYTES.start(),
            *BUFFER_BYTES.end(),
        )?;
        let sink = KafkaSettings {
            connection,
            connector: connector.clone(),
            topic: bridge.sink.topic,
            dead_letter_topic: bridge.errors.dead_letter_topic.clone(),
            key: bridge.sink.key,
            compression: bridge.sink.compression,
            linger: bridge.sink.linger.to_std(),
            max_messages,
            max_bytes: args.max_buffer_bytes,
        };
        let pump = pump::Settings {
            per_call: source.max_messages,
            receivers: source.receivers,
            wait: source.wait_time.to_std(),
            visibility: source.visibility_timeout.to_std(),
            max_messages,
            max_bytes: args.max_buffer_bytes,
            largest_message: 1 << 20,
            ordered: source.is_fifo(),
            remember: source.deduplication_window.to_std(),
            max_retries: bridge.errors.max_retries,
            backoff: bridge.errors.backoff.to_std(),
            dead_letters: parks(&source, &bridge.errors),
            redrives: true,
            drain: bridge.drain_timeout.to_std(),
        };
        Ok(Self {
            connector,
            source,
            sink,
            pump,
        })
    }
}

/// Returns for how long a call may wait for messages: as long as it is told to, and so long that one which is open as a
/// stop begins ends before the stop gives up waiting for it. What SQS hands out later nobody would read.
fn longest_wait(wait: penstock_crds::Duration, drain: penstock_crds::Duration) -> penstock_crds::Duration {
    let most = pump::patience(drain.to_std()).as_secs();
    if wait.to_std() <= Duration::from_secs(most) {
        return wait;
    }
    tracing::warn!(
        seconds = most,
        "waitTime is longer than a stop could wait for a call; calls wait for less"
    );
    penstock_crds::Duration::from_secs(most)
}

/// Whether a message that failed for good goes to the dead-letter topic. A group that is to be held waits for it instead.
fn parks(source: &SqsSource, errors: &Errors) -> bool {
    let held = source.is_fifo() && errors.on_group_failure == GroupFailure::Hold;
    errors.dead_letter_topic.is_some() && !held
}

/// Checks what the pump builds on. The operator and the document's own checks are stricter, but an environment variable
/// can be set by anybody.
fn check(bridge: &BridgeConfig) -> Result<(), ConfigError> {
    let source = &bridge.source;
    in_range("source.maxMessages", source.max_messages as usize, 1, 10)?;
    in_range("source.receivers", source.receivers as usize, 1, 256)?;
    lasts(
        "source.waitTime",
        source.wait_time.to_std(),
        Duration::ZERO,
        Duration::from_secs(20),
    )?;
    let half_a_day = Duration::from_secs(12 * 3600);
    lasts(
        "source.visibilityTimeout",
        source.visibility_timeout.to_std(),
        Duration::from_secs(1),
        half_a_day,
    )?;
    lasts(
        "source.deduplicationWindow",
        source.deduplication_window.to_std(),
        Duration::ZERO,
        Duration::from_secs(3600),
    )?;
    lasts(
        "sink.linger",
        bridge.sink.linger.to_std(),
        Duration::ZERO,
        Duration::from_secs(1),
    )?;
    lasts(
        "errors.backoff",
        bridge.errors.backoff.to_std(),
        Duration::ZERO,
        Duration::from_secs(3600),
    )?;
    lasts(
        "drainTimeout",
        bridge.drain_timeout.to_std(),
        Duration::from_secs(1),
        Duration::from_secs(3600),
    )
}

fn in_range(field: &'static str, value: usize, least: usize, most: usize) -> Result<(), ConfigError> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(ConfigError::Range {
        field,
        why: format!("is {value}: use {least} to {most}"),
    })
}

fn lasts(field: &'static str, value: Duration, least: Duration, most: Duration) -> Result<(), ConfigError> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(ConfigError::Range {
        field,
        why: format!("is {value:?}: use {least:?} to {most:?}"),
    })
}

#[cfg(test)]
mod tests;
