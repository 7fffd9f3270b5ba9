//! The topics, as a person's command reads and writes them.
//!
//! Every read goes to the end that the topic had when it began, and ends within [`READ_TIMEOUT`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use penstock_crds::{Document, DocumentKey, Fault, Kind, Name, ProfileSpec, State, Status, parse_document};
use penstock_kafka::{Admin, Event, Follower, KafkaArgs, OutgoingRecord, Producer, Record, Settings};
use penstock_operator::topics::{DEFAULT_PREFIX, TopicSettings};
use penstock_operator::watch::{ACTOR_HEADER, View};

use crate::failure::Failure;
use crate::talk::patiently;

/// The longest that one topic is read for.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// The id by which brokers know this client.
const CLIENT_ID: &str = "penstock-cli";

/// Where the topics are.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ServerArgs {
    #[command(flatten)]
    pub(crate) kafka: KafkaArgs,
    /// What the names of the three topics begin with
    #[arg(long, env = "PENSTOCK_TOPIC_PREFIX", default_value = DEFAULT_PREFIX)]
    pub(crate) topic_prefix: String,
}

/// Who writes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ActorArgs {
    /// Who asks, for the audit; user and host when missing
    #[arg(long, env = "PENSTOCK_ACTOR", value_name = "NAME")]
    actor: Option<String>,
}

/// The topics.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    settings: Settings,
    topics: TopicSettings,
}

/// What the spec topic says.
#[derive(Debug, Default)]
pub(crate) struct Specs {
    /// The operator's own view of it.
    pub(crate) view: View,
    /// The latest document under each key that was not withdrawn since.
    pub(crate) entries: BTreeMap<DocumentKey, Entry>,
    /// The offset behind the last record.
    pub(crate) end: i64,
}

/// What stands under one key.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// The offset of the latest record.
    pub(crate) generation: i64,
    /// The time of the oldest record of this life that the topic still has, in milliseconds since 1970.
    pub(crate) since: Option<i64>,
    /// The latest document that could be read.
    pub(crate) document: Option<Document>,
    /// What is wrong with the latest record, if it could not be read.
    pub(crate) faults: Vec<Fault>,
}

/// Writes documents.
pub(crate) struct Writer {
    producer: Producer,
    topic: String,
    actor: String,
}

impl ServerArgs {
    /// Returns the topics that the flags name.
    pub(crate) fn server(&self) -> Result<Server, Failure> {
        Ok(Server {
            settings: self.kafka.settings(CLIENT_ID).map_err(Failure::ReadFlags)?,
            topics: TopicSettings {
                prefix: self.topic_prefix.clone(),
                ..TopicSettings::default()
            },
        })
    }
}

impl ActorArgs {
    fn actor(&self) -> String {
        self.actor.clone().unwrap_or_else(|| {
            let user = ["USER", "LOGNAME"]
                .iter()
                .find_map(|variable| std::env::var(variable).ok());
            format!("{}@{}", user.unwrap_or_else(|| "unknown".to_owned()), host())
        })
    }
}

fn host() -> String {
    let read = |path| std::fs::read_to_string(path).ok();
    let named = read("/proc/sys/kernel/hostname").or_else(|| read("/etc/hostname"));
    let named = named.or_else(|| std::env::var("HOSTNAME").ok()).unwrap_or_default();
    match named.trim() {
        "" => "unknown".to_owned(),
        host => host.to_owned(),
    }
}

impl Server {
    /// Returns the spec topic's name.
    pub(crate) fn specs_topic(&self) -> String {
        self.topics.specs()
    }

    /// Reads the spec topic to its end.
    pub(crate) async fn specs(&self) -> Result<Specs, Failure> {
        let topic = self.topics.specs();
        let mut specs = Specs::default();
        let found = self.read(&topic, |event| specs.take(event)).await?;
        if found {
            Ok(specs)
        } else {
            Err(Failure::FindTopic { topic })
        }
    }

    /// Reads the status topic to its end; `take` is handed every status with its name, `None` where one ends.
    pub(crate) async fn statuses(&self, mut take: impl FnMut(Name, Option<Status>)) -> Result<(), Failure> {
        let topic = self.topics.status();
        let read = self.read(&topic, |event| {
            if let Event::Record(record) = event
                && let Some((name, status)) = read_status(&record)
            {
                take(name, status);
            }
        });
        read.await.map(drop)
    }

    /// Returns the last status of every connector.
    pub(crate) async fn last_statuses(&self) -> Result<BTreeMap<Name, Status>, Failure> {
        let mut statuses = BTreeMap::new();
        let keep = |name, status| {
            match status {
                Some(status) => statuses.insert(name, status),
                None => statuses.remove(&name),
            };
        };
        self.statuses(keep).await?;
        Ok(statuses)
    }

    /// Returns what the operator remembers of every connector.
    pub(crate) async fn states(&self) -> Result<BTreeMap<Name, State>, Failure> {
        let topic = self.topics.state();
        let mut records: BTreeMap<Name, Record> = BTreeMap::new();
        self.read(&topic, |event| {
            if let Event::Record(record) = event
                && let Some(name) = connector_of(&record)
            {
                records.insert(name, record);
            }
        })
        .await?;
        let mut states = BTreeMap::new();
        for (name, record) in records {
            let Some(value) = &record.value else { continue };
            let state = serde_json::from_slice(value).map_err(|source| Failure::ReadState {
                key: name.to_string(),
                offset: record.offset,
                topic: topic.clone(),
                source,
            })?;
            states.insert(name, state);
        }
        Ok(states)
    }

    /// Begins to follow the status topic, and the state topic beside it.
    pub(crate) fn follow(&self) -> Result<(Follower, Follower), Failure> {
        Ok((
            self.follower(&self.topics.status())?,
            self.follower(&self.topics.state())?,
        ))
    }

    /// Returns a writer of documents.
    pub(crate) fn writer(&self, actor: &ActorArgs) -> Result<Writer, Failure> {
        Ok(Writer {
            producer: Producer::new(&self.settings).map_err(Failure::MakeProducer)?,
            topic: self.topics.specs(),
            actor: actor.actor(),
        })
    }

    fn follower(&self, topic: &str) -> Result<Follower, Failure> {
        Follower::start(&self.settings, topic, 0).map_err(|source| Failure::StartReading {
            topic: topic.to_owned(),
            source,
        })
    }

    /// Reads a topic to its end and hands over what happens; returns false when there is no such topic.
    async fn read(&self, topic: &str, take: impl FnMut(Event)) -> Result<bool, Failure> {
        let what = format!("reading the topic {topic}");
        patiently(&what, self.read_in_time(topic, take)).await
    }

    async fn read_in_time(&self, topic: &str, mut take: impl FnMut(Event)) -> Result<bool, Failure> {
        let unasked = |source| Failure::AskTopic {
            topic: topic.to_owned(),
            source: Box::new(source),
        };
        let admin = Admin::connect(&self.settings).await.map_err(unasked)?;
        if !admin.exists(topic).await.map_err(unasked)? {
            return Ok(false);
        }
        let mut follower = self.follower(topic)?;
        let progress = follower.progress();
        let reading = async {
            while let Some(event) = follower.next().await {
                match event {
                    Event::CaughtUp => return Ok(true),
                    Event::Lost(source) => {
                        return Err(Failure::KeepTopic {
                            topic: topic.to_owned(),
                            source,
                        });
                    }
                    event => take(event),
                }
            }
            Ok(true)
        };
        let read = tokio::time::timeout(READ_TIMEOUT, reading).await;
        read.map_err(|_| Failure::ReachEnd {
            topic: topic.to_owned(),
            timeout: READ_TIMEOUT,
            hindrance: progress
                .hindrance()
                .unwrap_or_else(|| "the brokers are slow".to_owned()),
        })?
    }
}

impl Specs {
    fn take(&mut self, event: Event) {
        match event {
            Event::Opened { topic_id } => self.view = View::new(topic_id),
            Event::Record(record) => {
                self.apply(&record);
            }
            Event::CaughtUp | Event::Lost(_) => {}
        }
    }

    /// Takes in a record; returns the connectors that it concerns.
    pub(crate) fn apply(&mut self, record: &Record) -> Vec<Name> {
        self.end = record.offset + 1;
        if let Some(key) = key_of(record) {
            match &record.value {
                None => drop(self.entries.remove(&key)),
                Some(value) => {
                    let read = parse_document(&key.to_string(), value);
                    let entry = self.entries.entry(key).or_insert_with(|| Entry::new(record));
                    entry.generation = record.offset;
                    match read {
                        Ok(document) => (entry.document, entry.faults) = (Some(document), Vec::new()),
                        Err(faults) => entry.faults = faults,
                    }
                }
            }
        }
        self.view.apply(record)
    }

    /// Returns what stands under a key.
    pub(crate) fn get(&self, kind: Kind, name: &Name) -> Option<&Entry> {
        self.entries.get(&DocumentKey {
            kind,
            name: name.clone(),
        })
    }

    /// Returns every document of a kind, by name.
    pub(crate) fn of(&self, kind: Kind) -> impl Iterator<Item = (&Name, &Entry)> {
        let entries = self.entries.iter().filter(move |(key, _)| key.kind == kind);
        entries.map(|(key, entry)| (&key.name, entry))
    }

    /// Returns every profile that could be read.
    pub(crate) fn profiles(&self) -> BTreeMap<Name, ProfileSpec> {
        self.of(Kind::Profile)
            .filter_map(|(name, entry)| match &entry.document {
                Some(Document::Profile(profile)) => Some((name.clone(), profile.spec.clone())),
                _ => None,
            })
            .collect()
    }

    /// Returns the connectors that name a profile.
    pub(crate) fn users(&self, profile: &Name) -> BTreeSet<Name> {
        self.of(Kind::Connector)
            .filter(|(_, entry)| match &entry.document {
                Some(Document::Connector(connector)) => connector.spec.profile.as_deref() == Some(profile.as_str()),
                _ => false,
            })
            .map(|(name, _)| name.clone())
            .collect()
    }
}

impl Entry {
    fn new(record: &Record) -> Self {
        Self {
            generation: record.offset,
            since: record.timestamp,
            document: None,
            faults: Vec::new(),
        }
    }

    /// Whether the latest record already says just this.
    pub(crate) fn says(&self, document: &Document) -> bool {
        self.faults.is_empty() && self.document.as_ref() == Some(document)
    }
}

impl Writer {
    /// Writes a document under its key and returns its generation, once the brokers have acknowledged it.
    pub(crate) async fn write(&self, document: &Document) -> Result<i64, Failure> {
        let value = document.to_json().to_string().into_bytes();
        self.send(&document.key(), Some(value)).await
    }

    /// Withdraws what stands under a key.
    pub(crate) async fn withdraw(&self, key: &DocumentKey) -> Result<i64, Failure> {
        self.send(key, None).await
    }

    async fn send(&self, key: &DocumentKey, value: Option<Vec<u8>>) -> Result<i64, Failure> {
        let actor = (ACTOR_HEADER.to_owned(), self.actor.clone().into_bytes());
        let record = OutgoingRecord {
            headers: vec![actor],
            ..OutgoingRecord::new(&self.topic, 0, key.to_string(), value)
        };
        let what = format!("writing {key}");
        let sent = patiently(&what, self.producer.send(&record)).await;
        let delivered = sent.map_err(|source| Failure::Write {
            key: key.to_string(),
            source,
        })?;
        Ok(delivered.offset)
    }
}

/// Returns the name and status in a record; a status that a newer operator wrote and that cannot be read is passed over.
pub(crate) fn read_status(record: &Record) -> Option<(Name, Option<Status>)> {
    let name = connector_of(record)?;
    match &record.value {
        None => Some((name, None)),
        Some(value) => Some((name, Some(serde_json::from_slice(value).ok()?))),
    }
}

/// Returns the connector that a record is about.
pub(crate) fn connector_of(record: &Record) -> Option<Name> {
    key_of(record)
        .filter(|key| key.kind == Kind::Connector)
        .map(|key| key.name)
}

fn key_of(record: &Record) -> Option<DocumentKey> {
    std::str::from_utf8(record.key.as_deref()?).ok()?.parse().ok()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Returns a record of the spec topic.
    pub(crate) fn record(offset: i64, key: &str, value: Option<&str>) -> Record {
        Record {
            offset,
            key: Some(key.as_bytes().to_vec()),
            value: value.map(|value| value.as_bytes().to_vec()),
            headers: Vec::new(),
            timestamp: Some(offset * 1000),
        }
    }

    const PAUSED: &str = r#"{"apiVersion":"penstock.dev/v1","kind":"TargetState","metadata":{"name":"orders"},"spec":{"state":"paused"}}"#;

    fn orders() -> Name {
        "orders".parse().expect("a name")
    }

    #[test]
    fn a_bad_record_leaves_the_good_document_and_says_what_is_wrong() {
        let mut specs = Specs::default();
        specs.apply(&record(3, "TargetState/orders", Some(PAUSED)));
        specs.apply(&record(4, "TargetState/orders", Some("{")));
        let entry = specs.get(Kind::TargetState, &orders()).expect("it stands there");
        assert_eq!((entry.generation, entry.since), (4, Some(3000)));
        let document = entry.document.clone().expect("the good one stays");
        assert!(!entry.faults.is_empty() && !entry.says(&document));
    }

    #[test]
    fn a_null_record_ends_a_life_and_the_next_one_is_younger() {
        let mut specs = Specs::default();
        specs.apply(&record(3, "TargetState/orders", Some(PAUSED)));
        specs.apply(&record(4, "TargetState/orders", None));
        assert!(specs.get(Kind::TargetState, &orders()).is_none());
        specs.apply(&record(7, "TargetState/orders", Some(PAUSED)));
        let entry = specs.get(Kind::TargetState, &orders()).expect("it is back");
        assert_eq!((entry.since, specs.end), (Some(7000), 8));
    }
}
