//! The topics, as a person's command reads and writes them.
//!
//! Every read goes to the end that the topic had when it began, and ends within [`READ_TIMEOUT`].

use std::collections::BTreeMap;
use std::time::Duration;

use penstock_crds::{Document, DocumentKey, Name, State, Status};
use penstock_kafka::{Admin, Event, Follower, KafkaArgs, OutgoingRecord, Producer, Record, Settings};
use penstock_operator::plan::owner::Installation;
use penstock_operator::topics::{DEFAULT_PREFIX, TopicSettings, check_prefix};
use penstock_operator::watch::ACTOR_HEADER;

use crate::failure::Failure;
use crate::specs::{Specs, connector_of, read_status};
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
                prefix: check_prefix(self.topic_prefix.clone()).map_err(Failure::RefusePrefix)?,
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

    /// Returns the installation that keeps these topics, unless its operator was told another.
    pub(crate) async fn installation(&self) -> Result<Installation, Failure> {
        let unasked = |source| Failure::AskCluster(Box::new(source));
        let asking = async { Admin::connect(&self.settings).await?.cluster_id().await };
        let cluster_id = patiently("asking for the cluster's id", asking)
            .await
            .map_err(unasked)?;
        let told = Installation::of_topics(cluster_id.as_deref(), &self.topics.prefix);
        told.map_err(Failure::TellInstallation)
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
