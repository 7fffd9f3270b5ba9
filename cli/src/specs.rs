//! What the spec topic says, record by record: the operator's own view, and beside it what people ask about.

use std::collections::{BTreeMap, BTreeSet};

use penstock_crds::{Document, DocumentKey, Fault, Kind, Name, ProfileSpec, Status, parse_document};
use penstock_kafka::{Event, Record};
use penstock_operator::watch::View;

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

impl Specs {
    /// Takes in what a reader of the topic hands over.
    pub(crate) fn take(&mut self, event: Event) {
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
