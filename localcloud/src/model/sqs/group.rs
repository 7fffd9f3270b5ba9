//! Message groups: a group is closed while one of its messages is in flight, and is received in order.

use std::collections::{BTreeMap, BTreeSet};

/// The groups of a FIFO queue that have messages.
#[derive(Debug, Default)]
pub(super) struct Groups {
    groups: BTreeMap<String, Group>,
    /// The open groups, by their first message.
    open: BTreeMap<u64, String>,
}

#[derive(Debug, Default)]
struct Group {
    waiting: BTreeSet<u64>,
    /// The waiting messages whose delay is not over.
    delayed: BTreeSet<u64>,
    in_flight: usize,
    open_at: Option<u64>,
}

impl Groups {
    /// A message was sent.
    pub(super) fn add(&mut self, name: &str, number: u64, visible: bool) {
        let group = self.groups.entry(name.to_owned()).or_default();
        group.waiting.insert(number);
        if !visible {
            group.delayed.insert(number);
        }
        self.refresh(name);
    }

    /// A message was taken out.
    pub(super) fn remove(&mut self, name: &str, number: u64, was_in_flight: bool) {
        let Some(group) = self.groups.get_mut(name) else { return };
        group.waiting.remove(&number);
        group.delayed.remove(&number);
        group.in_flight -= usize::from(was_in_flight);
        self.refresh(name);
    }

    /// A message went from one place to another.
    pub(super) fn moved(&mut self, name: &str, number: u64, was_in_flight: bool, is_in_flight: bool, visible: bool) {
        let Some(group) = self.groups.get_mut(name) else { return };
        group.in_flight += usize::from(is_in_flight);
        group.in_flight -= usize::from(was_in_flight);
        group.delayed.remove(&number);
        if is_in_flight {
            group.waiting.remove(&number);
        } else {
            group.waiting.insert(number);
            if !visible {
                group.delayed.insert(number);
            }
        }
        self.refresh(name);
    }

    /// Says whether any group is open.
    pub(super) fn has_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Returns up to `most` messages: of the group with the oldest message as many as can be, then of the next.
    pub(super) fn receivable(&self, most: usize, is_visible: impl Fn(u64) -> bool) -> Vec<u64> {
        let groups = self.open.values().filter_map(|name| self.groups.get(name));
        let runs = groups.flat_map(|group| group.waiting.iter().copied().take_while(|number| is_visible(*number)));
        runs.take(most).collect()
    }

    /// Opens or closes a group after a change, and forgets it when nothing is left of it.
    fn refresh(&mut self, name: &str) {
        let Some(group) = self.groups.get_mut(name) else { return };
        if let Some(old) = group.open_at.take() {
            self.open.remove(&old);
        }
        let first = group
            .waiting
            .first()
            .copied()
            .filter(|first| !group.delayed.contains(first));
        group.open_at = first.filter(|_| group.in_flight == 0);
        match group.open_at {
            Some(first) => {
                self.open.insert(first, name.to_owned());
            }
            None if group.waiting.is_empty() && group.in_flight == 0 => {
                self.groups.remove(name);
            }
            None => {}
        }
    }
}
