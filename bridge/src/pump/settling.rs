//! Deletes and releases, in batches of ten with a few milliseconds for a batch to fill.

use std::time::Duration;

use tokio::time::Instant;

use crate::pump::Pump;
use crate::pump::calls::Purpose;
use crate::pump::slots::{SlotId, State};
use crate::sink::Sink;
use crate::source::{SETTLE_BATCH, Settle, Source};

/// How long a stored message waits for others to be deleted with it.
const DELETE_LINGER: Duration = Duration::from_millis(20);

impl<S: Source, K: Sink> Pump<S, K> {
    /// Makes the settle calls that are due and returns when the next may be.
    pub(super) fn settle(&mut self, now: Instant) -> Option<Instant> {
        let returns_due = self.release(now);
        let deletes_due = self.delete(now);
        [returns_due, deletes_due].into_iter().flatten().min()
    }

    /// Returns how many deletes and releases are under way at most; extensions may use as many again.
    pub(super) fn most_settle_calls(&self) -> usize {
        (self.settings.receivers as usize).max(8)
    }

    fn delete(&mut self, now: Instant) -> Option<Instant> {
        while self.settle_calls < self.most_settle_calls() {
            let (picked, due) = self.pick_deletes(now);
            let linger_is_over = due.is_none_or(|due| due <= now);
            if picked.is_empty() || (picked.len() < SETTLE_BATCH && !linger_is_over && self.drain.is_none()) {
                return due;
            }
            self.deletes.retain(|id| !picked.contains(id));
            let entries: Vec<_> = picked
                .iter()
                .filter_map(|id| Some((*id, self.slots.get(*id)?.message.receipt.clone())))
                .collect();
            picked.iter().for_each(|id| self.set_state(*id, State::Deleting));
            let request = Settle::Delete(entries.iter().map(|(_, receipt)| receipt.clone()).collect());
            self.call_settle(Purpose::Delete, entries, request, now);
        }
        None
    }

    /// Returns up to ten messages that may be deleted now, and when the delete is due: as the oldest has lingered, or,
    /// if none may be deleted now, as the first may be.
    fn pick_deletes(&mut self, now: Instant) -> (Vec<SlotId>, Option<Instant>) {
        let slots = &self.slots;
        let pending = |id: &SlotId| matches!(slots.get(*id).map(|slot| &slot.state), Some(State::Acknowledged { .. }));
        self.deletes.retain(pending);
        let (mut picked, mut due, mut later) = (Vec::new(), None::<Instant>, None::<Instant>);
        for id in &self.deletes {
            let Some(slot) = slots.get(*id) else { continue };
            let State::Acknowledged { since, not_before } = slot.state else {
                continue;
            };
            if not_before > now {
                later = Some(later.map_or(not_before, |later| later.min(not_before)));
                continue;
            }
            let group = slot.message.group.as_deref().filter(|_| self.settings.ordered);
            if group.is_some_and(|group| !self.groups.is_next(group, *id, &picked)) {
                continue;
            }
            picked.push(*id);
            due = Some(due.map_or(since + DELETE_LINGER, |due| due.min(since + DELETE_LINGER)));
            if picked.len() == SETTLE_BATCH {
                break;
            }
        }
        let due = if picked.is_empty() { later } else { due };
        (picked, due)
    }

    fn release(&mut self, now: Instant) -> Option<Instant> {
        while self.settle_calls < self.most_settle_calls() {
            let mut picked = Vec::new();
            let mut later = None::<Instant>;
            let mut kept = std::collections::VecDeque::new();
            while let Some(id) = self.returns.pop_front() {
                let Some(slot) = self.slots.get(id) else { continue };
                let State::Returning { delay, not_before } = slot.state else {
                    continue;
                };
                if not_before > now || picked.len() == SETTLE_BATCH {
                    later = Some(later.map_or(not_before, |later: Instant| later.min(not_before)));
                    kept.push_back(id);
                } else {
                    picked.push((id, slot.message.receipt.clone(), whole_seconds(delay)));
                }
            }
            self.returns = kept;
            if picked.is_empty() {
                return later;
            }
            let request = Settle::Hide(
                picked
                    .iter()
                    .map(|(_, receipt, delay)| (receipt.clone(), *delay))
                    .collect(),
            );
            let entries: Vec<_> = picked.into_iter().map(|(id, receipt, _)| (id, receipt)).collect();
            entries.iter().for_each(|(id, _)| self.set_state(*id, State::Releasing));
            self.call_settle(Purpose::Release, entries, request, now);
        }
        None
    }
}

/// A source counts in whole seconds; less than one would be none at all.
fn whole_seconds(delay: Duration) -> Duration {
    if delay.is_zero() {
        delay
    } else {
        Duration::from_secs(delay.as_secs().max(1))
    }
}
