//! Deletes and releases, in batches of ten with a few milliseconds for a batch to fill.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::pump::Pump;
use crate::pump::calls::Purpose;
use crate::pump::slots::{SlotId, State};
use crate::sink::Sink;
use crate::source::{SETTLE_BATCH, Settle, Source};

/// How long a stored message waits for others to be deleted with it.
const DELETE_LINGER: Duration = Duration::from_millis(20);

/// How many messages of ordered groups are passed over, as others of their group are to be deleted first, before a batch
/// that is not full is sent off. For the first message of a batch everything is searched: nothing else would bring to
/// the front what the others wait for.
const LONGEST_SEARCH: usize = 200;

impl<S: Source, K: Sink> Pump<S, K> {
    /// Makes the settle calls that are due and returns when the next may be.
    pub(super) fn settle(&mut self, now: Instant) -> Option<Instant> {
        self.release(now);
        self.delete(now)
    }

    /// Returns how many deletes and releases are under way at most.
    fn most_settle_calls(&self) -> usize {
        (self.settings.receivers as usize).max(8)
    }

    fn delete(&mut self, now: Instant) -> Option<Instant> {
        while self.settle_calls < self.most_settle_calls() {
            let oldest = loop {
                match self.slots.get(*self.deletes.front()?).map(|slot| &slot.state) {
                    Some(State::Acknowledged(since)) => break *since,
                    _ => self.deletes.pop_front(),
                };
            };
            let due = oldest + DELETE_LINGER;
            if self.deletes.len() < SETTLE_BATCH && due > now && self.drain.is_none() {
                return Some(due);
            }
            let picked = self.pick_deletes();
            if picked.is_empty() {
                return None;
            }
            let entries: Vec<_> = picked
                .iter()
                .filter_map(|id| Some((*id, self.slots.get(*id)?.message.receipt.clone())))
                .collect();
            picked.iter().for_each(|id| self.slots.set_state(*id, State::Deleting));
            let request = Settle::Delete(entries.iter().map(|(_, receipt)| receipt.clone()).collect());
            self.call_settle(Purpose::Delete, entries, request, now);
        }
        None
    }

    /// Takes up to ten messages that may be deleted now; in an ordered group none before those that come before it.
    fn pick_deletes(&mut self) -> Vec<SlotId> {
        let (mut picked, mut passed_over) = (Vec::with_capacity(SETTLE_BATCH), VecDeque::new());
        while picked.len() < SETTLE_BATCH && (picked.is_empty() || passed_over.len() < LONGEST_SEARCH) {
            let Some(id) = self.deletes.pop_front() else { break };
            let Some(slot) = self.slots.get(id) else { continue };
            if !matches!(slot.state, State::Acknowledged(_)) {
                continue;
            }
            let group = slot.message.group.as_deref().filter(|_| self.settings.ordered);
            if group.is_some_and(|group| !self.groups.is_next(group, id, &picked)) {
                passed_over.push_back(id);
            } else {
                picked.push(id);
            }
        }
        while let Some(id) = passed_over.pop_back() {
            self.deletes.push_front(id);
        }
        picked
    }

    /// During a stop nothing is given back while a receive call may still be handed something: the queue would hand it to
    /// that very call, and count one more delivery each time. A reply that waits for room is handed nothing more, and may
    /// wait for the very room that is given back.
    pub(super) fn is_return_held_up(&self) -> bool {
        self.drain.is_some() && self.receivers.unanswered_calls() > 0
    }

    fn release(&mut self, now: Instant) {
        if self.is_return_held_up() {
            return;
        }
        while self.settle_calls < self.most_settle_calls() && !self.returns.is_empty() {
            let mut picked = Vec::with_capacity(SETTLE_BATCH);
            while picked.len() < SETTLE_BATCH {
                let Some(id) = self.returns.pop_front() else { break };
                if let Some(slot) = self.slots.get(id)
                    && let State::Returning(delay) = slot.state
                {
                    picked.push((id, slot.message.receipt.clone(), delay));
                }
            }
            if picked.is_empty() {
                return;
            }
            for (id, _, delay) in &picked {
                self.slots.set_state(*id, State::Releasing(*delay));
            }
            let request = Settle::Hide(
                picked
                    .iter()
                    .map(|(_, receipt, delay)| (receipt.clone(), whole_seconds(*delay)))
                    .collect(),
            );
            let entries = picked.into_iter().map(|(id, receipt, _)| (id, receipt)).collect();
            self.call_settle(Purpose::Release, entries, request, now);
        }
    }

    /// Readies what is to be settled again, its wait being over. It goes first: the rest of its group may wait for it.
    pub(super) fn settle_again(&mut self, id: SlotId, now: Instant) {
        match self.slots.get(id).map(|slot| slot.state.clone()) {
            Some(State::DeleteLater(_)) => {
                self.slots.set_state(id, State::Acknowledged(now));
                self.deletes.push_front(id);
            }
            Some(State::ReturnLater(delay, _)) => {
                self.slots.set_state(id, State::Returning(delay));
                self.returns.push_back(id);
            }
            _ => {}
        }
    }
}

/// A source counts in whole seconds; less than one would be none at all.
pub(super) fn whole_seconds(delay: Duration) -> Duration {
    if delay.is_zero() {
        delay
    } else {
        Duration::from_secs(delay.as_secs().max(1))
    }
}
