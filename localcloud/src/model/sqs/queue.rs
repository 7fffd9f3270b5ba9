//! One queue: its settings, its messages, and what happened to them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::attributes::Attributes;
use super::dedup::Dedup;
use super::gauges::QueueCounters;
use super::receipt::Receipt;
use super::store::{Place, Store};
use super::{invalid, queue_arn};
use crate::model::{Answer, Fault, Millis, Scope, input};

/// A queue can be purged once in so long.
const PURGE_REST: Millis = 60_000;

/// The most tags of a queue.
const MOST_TAGS: usize = 50;

/// A queue.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) name: String,
    pub(super) url: String,
    pub(super) arn: String,
    pub(super) attributes: Attributes,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) store: Store,
    pub(super) dedup: Dedup,
    /// What receives with an attempt id gave, so that a retry gives the same.
    pub(super) attempts: BTreeMap<String, Attempt>,
    pub(super) counters: QueueCounters,
    pub(super) sequence: u64,
    created: Millis,
    modified: Millis,
    purged: Option<Millis>,
}

/// One receive with an attempt id.
#[derive(Debug, Clone)]
pub(super) struct Attempt {
    pub(super) at: Millis,
    pub(super) given: Vec<Receipt>,
    /// The ends of their leases, to see whether somebody changed them since.
    pub(super) until: Millis,
}

impl Queue {
    /// Returns an empty queue.
    pub(super) fn new(scope: &Scope, name: &str, url: String, attributes: Attributes, now: Millis) -> Self {
        Self {
            name: name.to_owned(),
            url,
            arn: queue_arn(scope, name),
            store: Store::new(attributes.fifo),
            attributes,
            tags: BTreeMap::new(),
            dedup: Dedup::default(),
            attempts: BTreeMap::new(),
            counters: QueueCounters::default(),
            sequence: 0,
            created: now,
            modified: now,
            purged: None,
        }
    }

    /// Returns what tells this queue's receipt handles from those of others.
    pub(super) fn handle_prefix(&self) -> String {
        format!("{}/{}", self.arn, self.created)
    }

    /// Returns the attributes that are wanted, by name or `All`.
    pub(super) fn printed(&mut self, wanted: &[&str], now: Millis) -> Map<String, Value> {
        self.store.settle(now, self.attributes.retention);
        let counts = self.store.counts();
        let mut printed = self.attributes.printed();
        let seen = [
            ("QueueArn", self.arn.clone()),
            ("CreatedTimestamp", (self.created / 1000).to_string()),
            ("LastModifiedTimestamp", (self.modified / 1000).to_string()),
            ("ApproximateNumberOfMessages", counts.visible.to_string()),
            ("ApproximateNumberOfMessagesNotVisible", counts.in_flight.to_string()),
            ("ApproximateNumberOfMessagesDelayed", counts.delayed.to_string()),
        ];
        printed.extend(seen.into_iter().map(|(name, value)| (name.to_owned(), json!(value))));
        printed.retain(|name, _| wanted.iter().any(|want| want == name || *want == "All"));
        printed
    }

    /// Replaces the settings.
    pub(super) fn set_attributes(&mut self, attributes: Attributes, now: Millis) {
        self.store.settle(now, self.attributes.retention);
        let delay_changed = attributes.delay != self.attributes.delay;
        self.attributes = attributes;
        self.modified = now;
        // On FIFO queues alone, a new delay holds for what was sent before as well.
        if self.attributes.fifo && delay_changed {
            for (number, entered) in self.store.delayed() {
                self.store
                    .put(number, Place::Delayed(entered + self.attributes.delay * 1000));
            }
        }
    }

    /// Deletes every message.
    pub(super) fn purge(&mut self, now: Millis) -> Answer {
        if self.purged.is_some_and(|at| now - at < PURGE_REST) {
            let message = format!(
                "Only one PurgeQueue operation on {} is allowed every 60 seconds.",
                self.name
            );
            return Err(Fault::client("PurgeQueueInProgress", message));
        }
        self.purged = Some(now);
        self.store.clear();
        Ok(json!({}))
    }

    /// Adds tags.
    pub(super) fn tag(&mut self, input: &Value) -> Answer {
        let mut tags = self.tags.clone();
        for (key, value) in input::map(input, "Tags").into_iter().flatten() {
            tags.insert(key.clone(), value.as_str().unwrap_or_default().to_owned());
        }
        if tags.len() > MOST_TAGS {
            return Err(invalid(format!("Too many tags added for queue {}.", self.name)));
        }
        self.tags = tags;
        Ok(json!({}))
    }

    /// Takes tags away.
    pub(super) fn untag(&mut self, input: &Value) -> Answer {
        for key in input::texts(input, "TagKeys") {
            self.tags.remove(key);
        }
        Ok(json!({}))
    }
}
