//! State and status on their way out, and read back at the start.
//!
//! Promises: state and status of one connector are written in one transaction, so a reader sees both or neither; who
//! starts later with the same operator name fences this one, which then never writes again.
//!
//! Whether a status is news is the plan's to decide: what is handed over here is written.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use penstock_crds::{DocumentKey, Kind, Name, State, Status};
use penstock_kafka::{
    CommitError, Event, Follower, LossReason, OutgoingRecord, Patience, ReadError, Record, Settings,
    TransactionalProducer, chain,
};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::journal::{Error, Journal};
use crate::memory::{Change, Remembered, StateChange, StatusChange};
use crate::topics::Topics;

/// The longest that nothing may come while state or status are read back.
const SILENCE: Duration = Duration::from_secs(60);

/// Writes state and status; cheap to clone.
#[derive(Clone)]
pub struct Publisher {
    producer: TransactionalProducer,
    topics: Topics,
    fenced: Arc<watch::Sender<Option<String>>>,
}

/// Why the publisher could not start.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The transactional producer could not be had.
    #[error("could not become the one writer of state and status")]
    Connect(#[source] Box<CommitError>),
    /// A topic could not be read back.
    #[error("could not start to read the topic `{topic}` back")]
    StartReading {
        /// Which topic.
        topic: String,
        /// What kept it.
        source: ReadError,
    },
    /// A topic was not read to its end.
    #[error("could not read the topic `{topic}` back: nothing came for {SILENCE:?}; {hindrance}")]
    ReachEnd {
        /// Which topic.
        topic: String,
        /// What kept it from the end.
        hindrance: String,
    },
    /// A topic went away while it was read.
    #[error("lost the topic `{topic}` while reading it back")]
    KeepTopic {
        /// Which topic.
        topic: String,
        /// What happened to it.
        source: LossReason,
    },
    /// A state record cannot be understood.
    #[error(
        "the state of `{key}` at offset {offset} of the topic `{topic}` cannot be read: {fault}. A newer operator may have \
         written it: run that version, or write the connector's former state record again"
    )]
    Understand {
        /// Which topic.
        topic: String,
        /// The record's key.
        key: String,
        /// The record's offset.
        offset: i64,
        /// What is wrong with it.
        fault: String,
    },
}

impl Publisher {
    /// Becomes the one writer, then reads back what was written. In this order: becoming the writer ends what a
    /// predecessor left half written, and keeps it from writing behind our back.
    pub async fn start(
        kafka: &Settings,
        topics: &Topics,
        transactional_id: &str,
        patience: Patience,
    ) -> Result<(Self, BTreeMap<Name, Remembered>), PublishError> {
        let producer = TransactionalProducer::connect(kafka, transactional_id, patience);
        let producer = producer
            .await
            .map_err(|source| PublishError::Connect(Box::new(source)))?;
        let mut found = Found::default();
        found.read_states(kafka, topics).await?;
        read_back(kafka, &topics.status, |name, record| {
            found.take_status(name, record);
            Ok(())
        })
        .await?;
        found
            .by_name
            .retain(|_, remembered| *remembered != Remembered::default());
        info!(connectors = found.by_name.len(), "Read state and status back");
        let fenced = Arc::new(watch::channel(None).0);
        Ok((
            Self {
                producer,
                topics: topics.clone(),
                fenced,
            },
            found.by_name,
        ))
    }

    /// Waits until this operator can never write again, and returns why; it must end then.
    pub async fn fenced(&self) -> String {
        let mut fenced = self.fenced.subscribe();
        let reason = fenced
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|reason| reason.clone());
        reason.unwrap_or_else(|| "the publisher ended".to_owned())
    }
}

/// Reads the states back and disturbs nobody: whoever writes them goes on.
pub async fn states(kafka: &Settings, topics: &Topics) -> Result<BTreeMap<Name, Remembered>, PublishError> {
    let mut found = Found::default();
    found.read_states(kafka, topics).await?;
    Ok(found.by_name)
}

impl Journal for Publisher {
    async fn publish(&self, name: &Name, change: &Change) -> Result<(), Error> {
        let records = records(&self.topics, name, change).map_err(|error| Error::Write(error.to_string()))?;
        if records.is_empty() {
            return Ok(());
        }
        match self.producer.commit(records).await {
            Ok(()) => Ok(()),
            Err(error) if error.is_fatal() => {
                self.fenced.send_replace(Some(chain(&error)));
                Err(Error::Fenced)
            }
            Err(error) => Err(Error::Write(chain(&error))),
        }
    }
}

/// What the topics held at their ends.
#[derive(Debug, Default)]
struct Found {
    by_name: BTreeMap<Name, Remembered>,
}

impl Found {
    async fn read_states(&mut self, kafka: &Settings, topics: &Topics) -> Result<(), PublishError> {
        let take = |name, record: &Record| self.take_state(&topics.state, name, record);
        read_back(kafka, &topics.state, take).await
    }

    fn take_state(&mut self, topic: &str, name: Name, record: &Record) -> Result<(), PublishError> {
        let state = decode::<State>(record)
            .transpose()
            .map_err(|fault| PublishError::Understand {
                topic: topic.to_owned(),
                key: key(&name),
                offset: record.offset,
                fault: fault.to_string(),
            })?;
        // Going on without a state that cannot be read would mean to make anew what it remembers.
        self.by_name.entry(name).or_default().state = state;
        Ok(())
    }

    /// A status is a report: one that cannot be understood is made again by the next pass.
    fn take_status(&mut self, name: Name, record: &Record) {
        let status = decode::<Status>(record).and_then(|decoded| {
            let offset = record.offset;
            decoded
                .inspect_err(|error| warn!(connector = %name, offset, %error, "Cannot read a former status"))
                .ok()
        });
        self.by_name.entry(name).or_default().status = status;
    }
}

/// Reads a topic to its end, record by record, so that a long audit never has to fit in memory.
async fn read_back(
    kafka: &Settings,
    topic: &str,
    mut take: impl FnMut(Name, &Record) -> Result<(), PublishError>,
) -> Result<(), PublishError> {
    let follower = Follower::start(kafka, topic, 0);
    let mut follower = follower.map_err(|source| PublishError::StartReading {
        topic: topic.to_owned(),
        source,
    })?;
    let progress = follower.progress();
    let lost = |source| PublishError::KeepTopic {
        topic: topic.to_owned(),
        source,
    };
    loop {
        let event = tokio::time::timeout(SILENCE, follower.next())
            .await
            .map_err(|_| PublishError::ReachEnd {
                topic: topic.to_owned(),
                hindrance: progress
                    .hindrance()
                    .unwrap_or_else(|| "the brokers are slow".to_owned()),
            })?;
        match event {
            Some(Event::Opened { .. }) => {}
            Some(Event::Record(record)) => match name_of(&record) {
                Some(name) => take(name, &record)?,
                None => warn!(
                    topic,
                    offset = record.offset,
                    "Passed over a record that is no connector's"
                ),
            },
            Some(Event::CaughtUp) => return Ok(()),
            Some(Event::Lost(reason)) => return Err(lost(reason)),
            None => return Err(lost(LossReason::Failed("the reading thread ended".to_owned()))),
        }
    }
}

fn name_of(record: &Record) -> Option<Name> {
    let key: DocumentKey = std::str::from_utf8(record.key.as_deref()?).ok()?.parse().ok()?;
    (key.kind == Kind::Connector).then_some(key.name)
}

fn decode<T: DeserializeOwned>(record: &Record) -> Option<Result<T, serde_json::Error>> {
    record.value.as_deref().map(serde_json::from_slice)
}

fn records(topics: &Topics, name: &Name, change: &Change) -> Result<Vec<OutgoingRecord>, serde_json::Error> {
    let record = |topic: &str, value| OutgoingRecord::new(topic, 0, key(name), value);
    let mut records = Vec::new();
    match &change.state {
        Some(StateChange::Put(state)) => records.push(record(&topics.state, Some(serde_json::to_vec(state)?))),
        Some(StateChange::Remove) => records.push(record(&topics.state, None)),
        None => {}
    }
    match &change.status {
        Some(StatusChange::Put(status)) => records.push(record(&topics.status, Some(serde_json::to_vec(status)?))),
        Some(StatusChange::Remove) => records.push(record(&topics.status, None)),
        None => {}
    }
    Ok(records)
}

fn key(name: &Name) -> String {
    DocumentKey {
        kind: Kind::Connector,
        name: name.clone(),
    }
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> Name {
        "orders".parse().expect("a valid name")
    }

    fn state(generation: i64) -> State {
        let wire = serde_json::json!({ "uid": "topic/0/1", "generation": generation });
        serde_json::from_value(wire).expect("a small state")
    }

    fn incoming(value: Option<&[u8]>) -> Record {
        let key = Some(b"Connector/orders".to_vec());
        Record {
            offset: 7,
            key,
            value: value.map(<[u8]>::to_vec),
            headers: Vec::new(),
            timestamp: None,
        }
    }

    fn topics() -> Topics {
        Topics {
            cluster_id: None,
            specs: "penstock.specs".to_owned(),
            specs_id: "id".to_owned(),
            state: "penstock.state".to_owned(),
            status: "penstock.status".to_owned(),
        }
    }

    #[test]
    fn what_is_written_is_what_is_read_back() {
        let change = Change {
            state: Some(StateChange::Put(Box::new(state(4)))),
            status: None,
        };
        let records = records(&topics(), &name(), &change).expect("a state is JSON");
        assert_eq!(records.len(), 1);
        assert_eq!(
            (records[0].topic.as_str(), records[0].key.as_str()),
            ("penstock.state", "Connector/orders")
        );
        let read = incoming(records[0].value.as_deref());
        assert_eq!(name_of(&read), Some(name()));
        let mut found = Found::default();
        found
            .take_state("penstock.state", name(), &read)
            .expect("it can be understood");
        assert_eq!(found.by_name[&name()].state, Some(state(4)));
    }

    #[test]
    fn removal_is_a_null_record_on_each_topic() {
        let change = Change {
            state: Some(StateChange::Remove),
            status: Some(StatusChange::Remove),
        };
        let records = records(&topics(), &name(), &change).expect("there is nothing to encode");
        let written: Vec<_> = records
            .iter()
            .map(|record| (record.topic.as_str(), record.value.as_deref()))
            .collect();
        assert_eq!(written, [("penstock.state", None), ("penstock.status", None)]);
    }

    #[test]
    fn a_null_record_forgets_the_state() {
        let mut found = Found::default();
        let written = serde_json::to_vec(&state(4)).expect("a state is JSON");
        for value in [Some(written.as_slice()), None] {
            found
                .take_state("penstock.state", name(), &incoming(value))
                .expect("it can be understood");
        }
        assert_eq!(found.by_name[&name()], Remembered::default());
    }

    #[test]
    fn a_state_that_cannot_be_understood_stops_the_start_and_says_where() {
        let error = Found::default().take_state("penstock.state", name(), &incoming(Some(b"{}")));
        let text = error.expect_err("it has no uid").to_string();
        assert!(
            text.starts_with("the state of `Connector/orders` at offset 7 of the topic `penstock.state`"),
            "{text}"
        );
    }

    #[test]
    fn a_status_that_cannot_be_understood_is_made_again() {
        let mut found = Found::default();
        found.take_status(name(), &incoming(Some(b"{}")));
        assert_eq!(found.by_name[&name()].status, None);
    }
}
