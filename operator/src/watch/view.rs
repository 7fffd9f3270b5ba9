//! What the spec topic says, record by record: values in, values out.
//!
//! A record that cannot be read never removes the last good one under its key; both are kept.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use penstock_crds::{
    API_VERSION, ConnectorSpec, Document, DocumentKey, Envelope, Fault, Kind, Metadata, Name, ProfileSpec, State,
    TargetStateSpec, parse_document,
};
use penstock_kafka::Record;

use crate::plan::accept::{Latest, Wanted, Written};

/// The header that names who wrote a record.
pub const ACTOR_HEADER: &str = "penstock-actor";
/// The annotation that names who wrote a document, where headers cannot be set.
pub const ACTOR_ANNOTATION: &str = "penstock.dev/actor";
/// How many records without a usable key are remembered for people to look at.
const STRAYS: usize = 100;
/// The longest name of a writer that is kept.
const ACTOR_CHARACTERS: usize = 200;

/// What the spec topic says, as far as it was read.
#[derive(Debug, Default)]
pub struct View {
    topic_id: String,
    connectors: BTreeMap<Name, Slot<ConnectorSpec>>,
    profiles: BTreeMap<Name, Slot<ProfileSpec>>,
    targets: BTreeMap<Name, Slot<TargetStateSpec>>,
    users: BTreeMap<Name, BTreeSet<Name>>,
    strays: VecDeque<Stray>,
    refusals: u64,
}

/// A record that nobody could be told about, since its key names no document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stray {
    /// Its offset.
    pub offset: i64,
    /// What is wrong with its key.
    pub fault: Fault,
}

/// What was read under one key.
#[derive(Debug)]
struct Slot<Spec> {
    good: Option<Good<Spec>>,
    refused: Option<(i64, Vec<Fault>)>,
    born_at: Option<i64>,
    tombstoned_at: Option<i64>,
}

/// The latest good document under a key.
#[derive(Debug)]
struct Good<Spec> {
    offset: i64,
    actor: Option<String>,
    document: Box<Envelope<Spec>>,
}

impl View {
    /// Returns an empty view of the topic with that id.
    pub fn new(topic_id: impl Into<String>) -> Self {
        Self {
            topic_id: topic_id.into(),
            ..Self::default()
        }
    }

    /// Takes in a record; returns the connectors that it concerns.
    pub fn apply(&mut self, record: &Record) -> Vec<Name> {
        let key = match read_key(record.key.as_deref()) {
            Ok(key) => key,
            Err(fault) => {
                self.remember_stray(record.offset, fault);
                return Vec::new();
            }
        };
        let read = record
            .value
            .as_deref()
            .map(|value| parse_document(&key.to_string(), value));
        self.refusals += u64::from(matches!(read, Some(Err(_))));
        let written = |actor| (record.offset, actor);
        match (key.kind, read) {
            (_, None) => self.withdraw(&key, record.offset),
            (_, Some(Err(faults))) => self.refuse(&key, record.offset, faults),
            (Kind::Connector, Some(Ok(Document::Connector(document)))) => {
                self.note_user(&key.name, profile_of(&document.spec));
                let written = written(actor(record, &document.metadata.annotations));
                slot(&mut self.connectors, &key.name).write(written, document);
            }
            (Kind::Profile, Some(Ok(Document::Profile(document)))) => {
                let written = written(actor(record, &document.metadata.annotations));
                slot(&mut self.profiles, &key.name).write(written, document);
            }
            (Kind::TargetState, Some(Ok(Document::TargetState(document)))) => {
                let written = written(actor(record, &document.metadata.annotations));
                slot(&mut self.targets, &key.name).write(written, document);
            }
            // The reader holds the document to its key's kind; should it not, the record is as good as refused.
            (kind, Some(Ok(_))) => {
                let fault =
                    Fault::without_value("kind", "is not the kind in the key", format!("write {}", kind.as_str()));
                self.refuse(&key, record.offset, vec![fault]);
            }
        }
        self.concerned(&key)
    }

    /// Returns what is wanted of a connector, given what was remembered of it.
    pub fn wanted(&self, name: &Name, last: Option<&State>) -> Wanted {
        let connector = self.connectors.get(name);
        let good = connector.and_then(|slot| slot.good.as_ref());
        let profile = good.and_then(|good| self.profiles.get(&profile_of(&good.document.spec)?));
        let target = self.targets.get(name).and_then(|slot| slot.good.as_ref());
        let wanted = Wanted {
            connector: connector.map_or(Latest::Absent, |slot| self.latest(slot, last)),
            refused: connector.and_then(|slot| slot.refused.clone()),
            profile: profile
                .and_then(|slot| slot.good.as_ref())
                .map(|good| (good.offset, good.document.spec.clone())),
            profile_refused: profile.and_then(|slot| slot.refused.clone()),
            target: target.map(|good| good.document.spec.clone()),
            target_generation: target.map(|good| good.offset),
            target_actor: target.and_then(|good| good.actor.clone()),
            target_refused: self.targets.get(name).and_then(|slot| slot.refused.clone()),
        };
        // Compaction keeps only the latest record of a key, also when that one is refused. What the good record before it
        // said is then in the state alone.
        match last.filter(|_| connector.is_some_and(Slot::is_without_a_past)) {
            Some(state) => document_of(name, state, wanted),
            None => wanted,
        }
    }

    /// Returns every connector that the topic has a record of, withdrawn ones included.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        self.connectors.keys()
    }

    /// Returns every connector that has a document, a refused one too.
    pub fn documents(&self) -> impl Iterator<Item = &Name> {
        let has_document = |slot: &Slot<ConnectorSpec>| slot.good.is_some() || slot.refused.is_some();
        let written = self.connectors.iter().filter(move |(_, slot)| has_document(slot));
        written.map(|(name, _)| name)
    }

    /// Returns the latest records without a usable key, oldest first.
    pub fn strays(&self) -> impl Iterator<Item = &Stray> {
        self.strays.iter()
    }

    /// Returns how many records were refused since the view began.
    pub fn refusals(&self) -> u64 {
        self.refusals
    }

    fn latest(&self, slot: &Slot<ConnectorSpec>, last: Option<&State>) -> Latest {
        match (&slot.good, slot.tombstoned_at) {
            (Some(good), _) => Latest::Written(Box::new(Written {
                uid: self.uid(slot, good.offset, last),
                generation: good.offset,
                actor: good.actor.clone(),
                document: (*good.document).clone(),
            })),
            (None, Some(_)) => Latest::Withdrawn,
            (None, None) => Latest::Absent,
        }
    }

    /// Compaction may have removed the record that began the incarnation, so what was remembered of it stays true until
    /// a tombstone was read behind that record, or the topic itself is another.
    fn uid(&self, slot: &Slot<ConnectorSpec>, offset: i64, last: Option<&State>) -> String {
        let remembered = last.and_then(|state| Some((state, self.offset_of(&state.uid)?)));
        match remembered {
            Some((state, began)) if slot.tombstoned_at.is_none_or(|tombstone| tombstone < began) => state.uid.clone(),
            _ => format!("{}/0/{}", self.topic_id, slot.born_at.unwrap_or(offset)),
        }
    }

    /// Returns the offset in a uid of this topic.
    fn offset_of(&self, uid: &str) -> Option<i64> {
        uid.strip_prefix(&self.topic_id)?.strip_prefix("/0/")?.parse().ok()
    }

    fn withdraw(&mut self, key: &DocumentKey, offset: i64) {
        match key.kind {
            Kind::Connector => {
                self.note_user(&key.name, None);
                slot(&mut self.connectors, &key.name).withdraw(offset);
            }
            Kind::Profile => slot(&mut self.profiles, &key.name).withdraw(offset),
            Kind::TargetState => slot(&mut self.targets, &key.name).withdraw(offset),
        }
    }

    fn refuse(&mut self, key: &DocumentKey, offset: i64, faults: Vec<Fault>) {
        let refused = Some((offset, faults));
        match key.kind {
            Kind::Connector => slot(&mut self.connectors, &key.name).refused = refused,
            Kind::Profile => slot(&mut self.profiles, &key.name).refused = refused,
            Kind::TargetState => slot(&mut self.targets, &key.name).refused = refused,
        }
    }

    fn concerned(&self, key: &DocumentKey) -> Vec<Name> {
        match key.kind {
            Kind::Connector | Kind::TargetState => vec![key.name.clone()],
            Kind::Profile => self.users.get(&key.name).into_iter().flatten().cloned().collect(),
        }
    }

    fn note_user(&mut self, connector: &Name, profile: Option<Name>) {
        let before = self.connectors.get(connector).and_then(|slot| slot.good.as_ref());
        if let Some(before) = before.and_then(|good| profile_of(&good.document.spec))
            && let Some(users) = self.users.get_mut(&before)
        {
            users.remove(connector);
        }
        if let Some(profile) = profile {
            self.users.entry(profile).or_default().insert(connector.clone());
        }
    }

    fn remember_stray(&mut self, offset: i64, fault: Fault) {
        self.refusals += 1;
        if self.strays.len() == STRAYS {
            self.strays.pop_front();
        }
        self.strays.push_back(Stray { offset, fault });
    }
}

impl<Spec> Slot<Spec> {
    fn write(&mut self, (offset, actor): (i64, Option<String>), document: Box<Envelope<Spec>>) {
        self.good = Some(Good {
            offset,
            actor,
            document,
        });
        self.refused = None;
        self.born_at.get_or_insert(offset);
    }

    /// Whether a refused record is all that is known.
    fn is_without_a_past(&self) -> bool {
        self.refused.is_some() && self.good.is_none() && self.tombstoned_at.is_none()
    }

    fn withdraw(&mut self, offset: i64) {
        *self = Self {
            tombstoned_at: Some(offset),
            ..Self::default()
        };
    }
}

impl<Spec> Default for Slot<Spec> {
    fn default() -> Self {
        Self {
            good: None,
            refused: None,
            born_at: None,
            tombstoned_at: None,
        }
    }
}

fn slot<'a, Spec>(slots: &'a mut BTreeMap<Name, Slot<Spec>>, name: &Name) -> &'a mut Slot<Spec> {
    slots.entry(name.clone()).or_default()
}

/// The accepted document was merged with its profile already, so that an empty one is laid under it.
fn document_of(name: &Name, state: &State, wanted: Wanted) -> Wanted {
    let Some(accepted) = state.accepted.as_ref().filter(|_| !state.deleting) else {
        return wanted;
    };
    let metadata = Metadata {
        name: name.clone(),
        labels: accepted.labels.clone(),
        annotations: BTreeMap::new(),
    };
    let document = Envelope {
        api_version: API_VERSION.to_owned(),
        kind: Kind::Connector,
        metadata,
        spec: accepted.spec.clone(),
    };
    let written = Written {
        uid: state.uid.clone(),
        generation: accepted.generation,
        actor: None,
        document,
    };
    let merged = state
        .profile_generation
        .map(|generation| (generation, ProfileSpec::default()));
    Wanted {
        connector: Latest::Written(Box::new(written)),
        profile: merged,
        ..wanted
    }
}

/// A profile that is no name cannot exist; resolving the connector says so.
fn profile_of(spec: &ConnectorSpec) -> Option<Name> {
    spec.profile.as_ref()?.parse().ok()
}

fn read_key(key: Option<&[u8]>) -> Result<DocumentKey, Fault> {
    let remedy = "send it with the key `Connector/<name>`, `Profile/<name>` or `TargetState/<name>`";
    let Some(key) = key else {
        return Err(Fault::without_value("key", "is missing", remedy));
    };
    let shown = String::from_utf8_lossy(key);
    let text = std::str::from_utf8(key).map_err(|_| Fault::with_value("key", &shown, "is not UTF-8", remedy))?;
    text.parse()
        .map_err(|_| Fault::with_value("key", &shown, "is not the key of a document", remedy))
}

/// Anybody can write anything there, and it is shown to people: it is cut, and control characters are dropped.
fn actor(record: &Record, annotations: &BTreeMap<String, String>) -> Option<String> {
    let named = record
        .header_text(ACTOR_HEADER)
        .or_else(|| annotations.get(ACTOR_ANNOTATION).map(String::as_str))?;
    let clean = named
        .chars()
        .filter(|character| !character.is_control())
        .take(ACTOR_CHARACTERS)
        .collect::<String>();
    (!clean.trim().is_empty()).then(|| clean.trim().to_owned())
}

#[cfg(test)]
#[path = "view_tests.rs"]
mod tests;
