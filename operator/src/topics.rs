//! The three topics: their names, what they must be set to, and how the missing ones are made.
//!
//! A topic with a wrong setting is refused, never altered: it belongs to whoever made it, and the error says how to mend
//! it. The spec topic is never made anew while there is state: an empty one would look as if nobody wanted anything.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use penstock_crds::MAX_DOCUMENT_BYTES;
use penstock_kafka::{Admin, AdminError, NewTopic, Patience, ReadError, Settings, TopicSummary, chain, read_to_end};
use tracing::{info, warn};

/// The topics' prefix unless another is chosen.
pub const DEFAULT_PREFIX: &str = "penstock";
/// How long every transition stays in the status topic unless another time is chosen, and how long a tombstone stays in
/// the spec topic at the least: an operator that was away for less reads it.
pub const THIRTY_DAYS: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Room for a document with key, headers and the batch around them.
const LEAST_MESSAGE_BYTES: usize = MAX_DOCUMENT_BYTES + 64 * 1024;
/// The broker's own default, named so that another default of a cluster does not matter.
const MESSAGE_BYTES: usize = 1_048_588;
/// The longest that the state topic is read for; it is compacted, so it is small.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a topic that was just made may stay unseen.
const APPEARING: Patience = Patience::lasting(Duration::from_secs(30));

/// The most characters of a topic's name in Kafka.
const NAME_CHARACTERS: usize = 249;
/// The most characters of the prefix: the longest of the three names has this much behind it.
const PREFIX_CHARACTERS: usize = NAME_CHARACTERS - ".status".len();

/// What to name the topics, and how to make the missing ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSettings {
    /// What their names begin with.
    pub prefix: String,
    /// How many replicas a new topic gets; -1 leaves it to the broker.
    pub replication_factor: i32,
    /// How long every transition stays in the status topic.
    pub audit_period: Duration,
}

/// The topics, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topics {
    /// The id of the Kafka cluster, if its brokers tell one.
    pub cluster_id: Option<String>,
    /// What is wanted.
    pub specs: String,
    /// The id of the spec topic; with another id its offsets mean something else.
    pub specs_id: String,
    /// What the operator remembers.
    pub state: String,
    /// The audit.
    pub status: String,
}

/// Why a text cannot be what the names of the topics begin with.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{}` cannot be a prefix: the three topics' names begin with it, and Kafka restricts a topic's name; use 1 to \
     {PREFIX_CHARACTERS} letters, digits and . _ -",
    .0.escape_debug()
)]
pub struct PrefixError(String);

/// Returns the prefix, if Kafka takes the topics' names with it.
pub fn check_prefix(prefix: String) -> Result<String, PrefixError> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if (1..=PREFIX_CHARACTERS).contains(&prefix.len()) && prefix.bytes().all(fits) {
        Ok(prefix)
    } else {
        Err(PrefixError(prefix))
    }
}

/// Why the topics cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TopicsError {
    /// The brokers could not be reached.
    #[error("could not connect to look at the topics")]
    Connect(#[source] AdminError),
    /// A topic could not be looked at.
    #[error("could not look at the topic `{topic}`")]
    Describe {
        /// Which topic.
        topic: String,
        /// What Kafka said.
        source: AdminError,
    },
    /// A topic is missing and could not be made.
    #[error("the topic `{topic}` is missing and could not be made")]
    Create {
        /// Which topic.
        topic: String,
        /// What Kafka said.
        source: AdminError,
    },
    /// A topic that was made does not appear.
    #[error("the topic `{0}` was made, but the brokers do not show it: look at their logs")]
    Appear(String),
    /// The state topic could not be read.
    #[error("the topic `{specs}` is missing, and whether there is state could not be read")]
    ReadState {
        /// The spec topic.
        specs: String,
        /// What kept it from being read.
        source: ReadError,
    },
    /// The spec topic is gone, yet there is state.
    #[error(
        "the topic `{specs}` is missing, but `{state}` remembers {count} connectors that run: it is not made anew, since \
         an empty topic would say that nobody wants them. Restore it from a backup or make it by `{command}` and write \
         the documents again; their connectors are taken over, not made anew"
    )]
    LoseSpecs {
        /// The spec topic.
        specs: String,
        /// The state topic.
        state: String,
        /// How many connectors it remembers.
        count: usize,
        /// The command that makes the topic.
        command: String,
    },
    /// Topics are set up wrongly.
    #[error("{}", list(.0))]
    RefuseSettings(Vec<Mismatch>),
}

/// A setting of a topic that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// Which topic.
    pub topic: String,
    /// Which setting.
    pub setting: &'static str,
    /// What it is.
    pub found: String,
    /// What it must be.
    pub wanted: String,
    /// Why it must be so.
    pub why: &'static str,
    /// The command that mends it.
    pub command: String,
}

impl Default for TopicSettings {
    fn default() -> Self {
        Self {
            prefix: DEFAULT_PREFIX.to_owned(),
            replication_factor: -1,
            audit_period: THIRTY_DAYS,
        }
    }
}

impl TopicsError {
    /// Returns whether the brokers may answer otherwise in a while, with nothing mended by a person.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Connect(source) | Self::Describe { source, .. } | Self::Create { source, .. } => {
                source.is_transient()
            }
            Self::ReadState { .. } => true,
            Self::Appear(_) | Self::LoseSpecs { .. } | Self::RefuseSettings(_) => false,
        }
    }
}

impl TopicSettings {
    /// Returns the spec topic's name.
    pub fn specs(&self) -> String {
        format!("{}.specs", self.prefix)
    }

    /// Returns the state topic's name.
    pub fn state(&self) -> String {
        format!("{}.state", self.prefix)
    }

    /// Returns the status topic's name.
    pub fn status(&self) -> String {
        format!("{}.status", self.prefix)
    }

    fn wanted(&self, role: Role) -> Wanted {
        let name = match role {
            Role::Specs => self.specs(),
            Role::State => self.state(),
            Role::Status => self.status(),
        };
        Wanted {
            role,
            name,
            replication_factor: self.replication_factor,
            audit_period: self.audit_period,
        }
    }
}

/// Makes the missing topics and checks all three; it tries again while the brokers are away, for as long as `patience`.
pub async fn ensure(kafka: &Settings, topics: &TopicSettings, patience: Patience) -> Result<Topics, TopicsError> {
    let mut waits = patience.waits();
    loop {
        let error = match ensure_once(kafka, topics).await {
            Ok(ensured) => return Ok(ensured),
            Err(error) => error,
        };
        match waits.next() {
            Some(wait) if error.is_transient() => {
                warn!(error = chain(&error), "Could not look at the topics yet");
                tokio::time::sleep(wait).await;
            }
            _ => return Err(error),
        }
    }
}

async fn ensure_once(kafka: &Settings, topics: &TopicSettings) -> Result<Topics, TopicsError> {
    let admin = Admin::connect(kafka).await.map_err(TopicsError::Connect)?;
    let mut mismatches = Vec::new();
    let mut ids = BTreeMap::new();
    // The spec topic comes first: without it, and with state, nothing else is touched.
    for role in [Role::Specs, Role::State, Role::Status] {
        let wanted = topics.wanted(role);
        let found = match describe(&admin, &wanted.name).await? {
            Some(found) => found,
            None => {
                if role == Role::Specs {
                    refuse_to_lose_specs(&admin, kafka, topics).await?;
                }
                create(&admin, &wanted).await?
            }
        };
        mismatches.extend(wanted.mismatches(&found, &kafka.bootstrap_servers.join(",")));
        ids.insert(role, found.id);
    }
    if !mismatches.is_empty() {
        return Err(TopicsError::RefuseSettings(mismatches));
    }
    let specs_id = ids.remove(&Role::Specs).unwrap_or_default();
    Ok(Topics {
        cluster_id: admin.cluster_id().await.map_err(TopicsError::Connect)?,
        specs: topics.specs(),
        specs_id,
        state: topics.state(),
        status: topics.status(),
    })
}

async fn refuse_to_lose_specs(admin: &Admin, kafka: &Settings, topics: &TopicSettings) -> Result<(), TopicsError> {
    let (specs, state) = (topics.specs(), topics.state());
    if describe(admin, &state).await?.is_none() {
        return Ok(());
    }
    let read = read_to_end(kafka, &state, 0, READ_TIMEOUT).await;
    let (_, records) = read.map_err(|source| TopicsError::ReadState {
        specs: specs.clone(),
        source,
    })?;
    let mut remembered = BTreeSet::new();
    for record in records {
        match record.value {
            Some(_) => remembered.insert(record.key),
            None => remembered.remove(&record.key),
        };
    }
    let command = topics
        .wanted(Role::Specs)
        .command_to_create(&kafka.bootstrap_servers.join(","));
    match remembered.len() {
        0 => Ok(()),
        count => Err(TopicsError::LoseSpecs {
            specs,
            state,
            count,
            command,
        }),
    }
}

async fn describe(admin: &Admin, topic: &str) -> Result<Option<TopicSummary>, TopicsError> {
    admin.describe(topic).await.map_err(|source| TopicsError::Describe {
        topic: topic.to_owned(),
        source,
    })
}

async fn create(admin: &Admin, wanted: &Wanted) -> Result<TopicSummary, TopicsError> {
    let topic = wanted.new_topic();
    let created = admin.create(&topic).await;
    let created = created.map_err(|source| TopicsError::Create {
        topic: topic.name.clone(),
        source,
    })?;
    if created {
        info!(topic = topic.name, "Created topic");
    }
    for wait in APPEARING.waits() {
        if let Some(found) = describe(admin, &topic.name).await? {
            return Ok(found);
        }
        tokio::time::sleep(wait).await;
    }
    Err(TopicsError::Appear(topic.name))
}

/// What a topic is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    Specs,
    State,
    Status,
}

/// What a topic must be.
struct Wanted {
    role: Role,
    name: String,
    replication_factor: i32,
    audit_period: Duration,
}

/// A setting that must not be smaller than a number.
struct AtLeast {
    setting: &'static str,
    least: u128,
    why: &'static str,
}

const POLICY: &str = "cleanup.policy";
const MESSAGE_SIZE: &str = "max.message.bytes";
const TOMBSTONES_STAY: &str = "delete.retention.ms";
const NOT_COMPACTED_FOR: &str = "min.compaction.lag.ms";

impl Wanted {
    fn new_topic(&self) -> NewTopic {
        let text = |number: u128| number.to_string();
        let mut config = BTreeMap::from([
            (POLICY.to_owned(), "compact".to_owned()),
            (MESSAGE_SIZE.to_owned(), MESSAGE_BYTES.to_string()),
        ]);
        let own: &[(&str, String)] = match self.role {
            Role::Specs => &[(TOMBSTONES_STAY, text(THIRTY_DAYS.as_millis()))],
            Role::State => &[
                (NOT_COMPACTED_FOR, text(0)),
                ("min.cleanable.dirty.ratio", "0.1".to_owned()),
                ("segment.ms", text(Duration::from_secs(600).as_millis())),
                ("segment.bytes", text(16 * 1024 * 1024)),
            ],
            Role::Status => &[(NOT_COMPACTED_FOR, text(self.audit_period.as_millis()))],
        };
        config.extend(
            own.iter()
                .map(|(setting, value)| ((*setting).to_owned(), value.clone())),
        );
        NewTopic {
            name: self.name.clone(),
            partitions: 1,
            replication_factor: self.replication_factor,
            config,
        }
    }

    fn mismatches(&self, found: &TopicSummary, bootstrap: &str) -> Vec<Mismatch> {
        let mut mismatches = Vec::new();
        if found.partitions != 1 {
            mismatches.push(Mismatch {
                topic: self.name.clone(),
                setting: "partitions",
                found: found.partitions.to_string(),
                wanted: "1".to_owned(),
                why: "one partition gives all documents one order",
                command: format!(
                    "copy what it holds, then `kafka-topics.sh --bootstrap-server {bootstrap} --delete --topic {}` and \
                     `{}`",
                    self.name,
                    self.command_to_create(bootstrap)
                ),
            });
        }
        let value = |setting: &str| {
            found
                .config
                .get(setting)
                .cloned()
                .unwrap_or_else(|| "unknown".to_owned())
        };
        if value(POLICY) != "compact" {
            let why = "anything else would forget documents by their age";
            mismatches.push(self.mismatch(POLICY, value(POLICY), "compact".to_owned(), why, bootstrap));
        }
        for AtLeast { setting, least, why } in self.at_least() {
            if value(setting).parse::<u128>().is_ok_and(|number| number >= least) {
                continue;
            }
            mismatches.push(self.mismatch(setting, value(setting), least.to_string(), why, bootstrap));
        }
        mismatches
    }

    fn at_least(&self) -> Vec<AtLeast> {
        let mut all = vec![AtLeast {
            setting: MESSAGE_SIZE,
            least: LEAST_MESSAGE_BYTES as u128,
            why: "a document may have 256 KiB",
        }];
        match self.role {
            Role::Specs => all.push(AtLeast {
                setting: TOMBSTONES_STAY,
                least: THIRTY_DAYS.as_millis(),
                why: "an operator that was away must still read that a document was deleted",
            }),
            Role::State => {}
            Role::Status => all.push(AtLeast {
                setting: NOT_COMPACTED_FOR,
                least: self.audit_period.as_millis(),
                why: "every transition must stay for the audit period",
            }),
        }
        all
    }

    fn mismatch(
        &self,
        setting: &'static str,
        found: String,
        wanted: String,
        why: &'static str,
        bootstrap: &str,
    ) -> Mismatch {
        let command = format!(
            "`kafka-configs.sh --bootstrap-server {bootstrap} --alter --entity-type topics --entity-name {} --add-config \
             {setting}={wanted}`",
            self.name
        );
        let wanted = if setting == POLICY {
            wanted
        } else {
            format!("at least {wanted}")
        };
        Mismatch {
            topic: self.name.clone(),
            setting,
            found,
            wanted,
            why,
            command,
        }
    }

    fn command_to_create(&self, bootstrap: &str) -> String {
        let topic = self.new_topic();
        let config = topic
            .config
            .iter()
            .map(|(setting, value)| format!(" --config {setting}={value}"));
        format!(
            "kafka-topics.sh --bootstrap-server {bootstrap} --create --topic {} --partitions 1{}",
            self.name,
            config.collect::<String>()
        )
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            topic,
            setting,
            found,
            wanted,
            why,
            command,
        } = self;
        write!(
            out,
            "the topic `{topic}` has {setting} {found}, and must have {wanted}: {why}; mend it by {command}"
        )
    }
}

fn list(mismatches: &[Mismatch]) -> String {
    mismatches
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn as_made(role: Role) -> (Wanted, TopicSummary) {
        let wanted = TopicSettings::default().wanted(role);
        let NewTopic { name, config, .. } = wanted.new_topic();
        (
            wanted,
            TopicSummary {
                name,
                id: "id".to_owned(),
                partitions: 1,
                config,
            },
        )
    }

    #[test]
    fn a_topic_as_the_operator_makes_it_is_accepted() {
        for role in [Role::Specs, Role::State, Role::Status] {
            let (wanted, found) = as_made(role);
            assert_eq!(wanted.mismatches(&found, "one:9092"), [], "{role:?}");
        }
    }

    #[test]
    fn a_policy_that_deletes_by_age_is_refused_with_the_command_that_mends_it() {
        for policy in ["delete", "compact,delete"] {
            let (wanted, mut found) = as_made(Role::Specs);
            found.config.insert(POLICY.to_owned(), policy.to_owned());
            let mismatches = wanted.mismatches(&found, "one:9092");
            let expected = format!(
                "the topic `penstock.specs` has cleanup.policy {policy}, and must have compact: anything else would \
                 forget documents by their age; mend it by `kafka-configs.sh --bootstrap-server one:9092 --alter \
                 --entity-type topics --entity-name penstock.specs --add-config cleanup.policy=compact`"
            );
            assert_eq!(list(&mismatches), expected);
        }
    }

    #[test]
    fn more_partitions_are_refused_since_they_would_lose_the_order() {
        let (wanted, mut found) = as_made(Role::State);
        found.partitions = 6;
        let mismatches = wanted.mismatches(&found, "one:9092");
        assert_eq!(mismatches.len(), 1);
        assert_eq!(
            (mismatches[0].setting, mismatches[0].found.as_str()),
            ("partitions", "6")
        );
    }

    #[test]
    fn every_wrong_setting_is_reported_at_once() {
        let (wanted, mut found) = as_made(Role::Status);
        found.config = BTreeMap::from([(MESSAGE_SIZE.to_owned(), "1000".to_owned())]);
        let settings: Vec<_> = wanted
            .mismatches(&found, "one:9092")
            .iter()
            .map(|found| found.setting)
            .collect();
        assert_eq!(settings, [POLICY, MESSAGE_SIZE, NOT_COMPACTED_FOR]);
    }

    #[test]
    fn a_longer_time_than_asked_for_is_fine() {
        let (wanted, mut found) = as_made(Role::Specs);
        found
            .config
            .insert(TOMBSTONES_STAY.to_owned(), (THIRTY_DAYS.as_millis() * 2).to_string());
        assert_eq!(wanted.mismatches(&found, "one:9092"), []);
    }
}
