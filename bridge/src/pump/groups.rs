//! The order within each message group. Pure.
//!
//! A group is a queue of the slots that hold its messages, in the order of their sequence numbers. A message may be sent
//! once everything before it was stored, and deleted once everything before it is deleted with or before it.

use std::collections::{HashMap, VecDeque};

use crate::pump::slots::{SlotId, Slots, State};

/// The open slots of every group.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    queues: HashMap<String, VecDeque<SlotId>>,
}

impl Groups {
    /// Adds a slot at the place that its sequence number gives it.
    pub(crate) fn insert(&mut self, group: &str, id: SlotId, slots: &Slots) {
        let sequence = |id: SlotId| slots.get(id).and_then(|slot| slot.message.sequence);
        let own = sequence(id);
        let queue = self.queues.entry(group.to_owned()).or_default();
        let place = queue
            .iter()
            .position(|other| own.is_some() && sequence(*other) > own)
            .unwrap_or(queue.len());
        queue.insert(place, id);
    }

    /// Takes a slot out.
    pub(crate) fn remove(&mut self, group: &str, id: SlotId) {
        let Some(queue) = self.queues.get_mut(group) else {
            return;
        };
        queue.retain(|other| *other != id);
        if queue.is_empty() {
            self.queues.remove(group);
        }
    }

    /// Whether nothing of the group is held.
    pub(crate) fn is_empty(&self, group: &str) -> bool {
        !self.queues.contains_key(group)
    }

    /// Returns the sequence number of the last message of the group that is held.
    pub(crate) fn last_sequence(&self, group: &str, slots: &Slots) -> Option<u128> {
        let queue = self.queues.get(group)?;
        queue.iter().filter_map(|id| slots.get(*id)?.message.sequence).max()
    }

    /// Returns the one slot of the group that may be sent now, if it waits.
    pub(crate) fn sendable(&self, group: &str, slots: &Slots) -> Option<SlotId> {
        let first = self
            .queues
            .get(group)?
            .iter()
            .find(|id| !is_acknowledged(**id, slots))
            .copied()?;
        slots
            .get(first)
            .filter(|slot| slot.state == State::Waiting)
            .map(|_| first)
    }

    /// Whether a message of the group that comes before `id` is on its way back, so that `id` must not be sent.
    pub(crate) fn is_leaving_before(&self, group: &str, id: SlotId, slots: &Slots) -> bool {
        self.before(group, id)
            .any(|other| slots.get(other).is_some_and(|slot| slot.state.is_leaving()))
    }

    /// Whether everything of the group that comes before `id` is among `picked`.
    pub(crate) fn is_next(&self, group: &str, id: SlotId, picked: &[SlotId]) -> bool {
        self.before(group, id).all(|other| picked.contains(&other))
    }

    /// Returns the slots that come after `id` and were neither stored nor handed to the sink.
    pub(crate) fn unsent_after(&self, group: &str, id: SlotId, slots: &Slots) -> Vec<SlotId> {
        let Some(queue) = self.queues.get(group) else {
            return Vec::new();
        };
        let unsent = |id: &SlotId| slots.get(*id).is_some_and(|slot| slot.state.is_unsent());
        queue
            .iter()
            .copied()
            .skip_while(|other| *other != id)
            .skip(1)
            .filter(unsent)
            .collect()
    }

    fn before(&self, group: &str, id: SlotId) -> impl Iterator<Item = SlotId> {
        self.queues
            .get(group)
            .into_iter()
            .flatten()
            .copied()
            .take_while(move |other| *other != id)
    }
}

fn is_acknowledged(id: SlotId, slots: &Slots) -> bool {
    slots.get(id).is_some_and(|slot| slot.state.is_acknowledged())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;
    use crate::pump::fake::grouped;

    fn two_of_a_group() -> (Slots, Groups, SlotId, SlotId) {
        let (mut slots, mut groups) = (Slots::default(), Groups::default());
        let now = Instant::now();
        // The later one arrives first.
        let second = slots.insert(grouped(2, "g"), now, Duration::from_secs(60));
        groups.insert("g", second, &slots);
        let first = slots.insert(grouped(1, "g"), now, Duration::from_secs(60));
        groups.insert("g", first, &slots);
        (slots, groups, first, second)
    }

    #[tokio::test]
    async fn the_next_of_a_group_waits_until_the_one_before_is_stored() {
        let (mut slots, groups, first, second) = two_of_a_group();
        assert_eq!(groups.sendable("g", &slots), Some(first));
        slots.set_state(first, State::Sending);
        assert_eq!(groups.sendable("g", &slots), None);
        slots.acknowledge(first, Instant::now());
        assert_eq!(groups.sendable("g", &slots), Some(second));
    }

    #[tokio::test]
    async fn a_delete_goes_with_or_after_those_before_it() {
        let (_slots, mut groups, first, second) = two_of_a_group();
        assert!(!groups.is_next("g", second, &[]));
        assert!(groups.is_next("g", second, &[first]));
        groups.remove("g", first);
        assert!(groups.is_next("g", second, &[]));
    }

    #[tokio::test]
    async fn what_follows_a_message_on_its_way_back_is_known() {
        let (mut slots, groups, first, second) = two_of_a_group();
        assert!(!groups.is_leaving_before("g", second, &slots));
        slots.set_state(first, State::Releasing(Duration::ZERO));
        assert!(groups.is_leaving_before("g", second, &slots));
        assert_eq!(groups.unsent_after("g", first, &slots), vec![second]);
        assert_eq!(groups.last_sequence("g", &slots), Some(2));
    }

    #[tokio::test]
    async fn an_empty_group_leaves_nothing_behind() {
        let (_slots, mut groups, first, second) = two_of_a_group();
        groups.remove("g", first);
        groups.remove("g", second);
        assert!(groups.queues.is_empty() && groups.is_empty("g"));
    }
}
