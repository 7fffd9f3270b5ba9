//! What was sent in the last five minutes, so that a repeat is not sent again.

use std::collections::{BTreeMap, VecDeque};

use crate::model::Millis;

/// How long a deduplication id is remembered, also when its message is long gone.
const WINDOW: Millis = 300_000;

/// The ids of the last five minutes.
#[derive(Debug, Default)]
pub struct Dedup {
    sent: BTreeMap<Key, Sent>,
    by_time: VecDeque<(Millis, Key)>,
}

/// The group, where ids are compared within groups only, and the id.
type Key = (Option<String>, String);

/// What was answered the first time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// The message's id.
    pub message_id: String,
    /// Its place in the queue.
    pub sequence_number: String,
}

impl Dedup {
    /// Returns what was sent under this id.
    pub fn find(&mut self, group: Option<&str>, id: &str, now: Millis) -> Option<&Sent> {
        while let Some((_, key)) = self.by_time.pop_front_if(|(at, _)| now - *at >= WINDOW) {
            self.sent.remove(&key);
        }
        self.sent.get(&(group.map(str::to_owned), id.to_owned()))
    }

    /// Remembers what was sent under this id.
    pub fn remember(&mut self, group: Option<&str>, id: &str, sent: Sent, now: Millis) {
        let key = (group.map(str::to_owned), id.to_owned());
        self.sent.insert(key.clone(), sent);
        self.by_time.push_back((now, key));
    }
}
