//! The leases: every message held is extended before half its time is left, and a lost lease is never used.

use std::time::Duration;

use tokio::time::Instant;

use crate::pump::Pump;
use crate::pump::calls::Purpose;
use crate::pump::slots::{Slot, SlotId, State};
use crate::sink::Sink;
use crate::source::{Receipt, SETTLE_BATCH, Settle, Settled, Source};

impl<S: Source, K: Sink> Pump<S, K> {
    /// Returns how often leases and retries are looked at: often enough that half a lease is noticed in time.
    pub(super) fn scan_interval(&self) -> Duration {
        (self.settings.visibility / 20).clamp(Duration::from_millis(50), Duration::from_millis(250))
    }

    /// Lets lapsed leases go, extends those at half-life, and readies messages whose wait is over.
    pub(super) fn scan_leases(&mut self, now: Instant) {
        let (mut lapsed, mut due, mut rested) = (Vec::new(), Vec::new(), Vec::new());
        let half = self.settings.visibility / 2 + self.scan_interval();
        for (id, slot) in self.slots.iter() {
            if !slot.lease.lost && now >= slot.lease.until {
                lapsed.push(id);
            } else if let Some(length) = self.extension_due(slot, half, now) {
                due.push((id, slot.message.receipt.clone(), length));
            }
            if matches!(slot.state, State::Backoff(until) if until <= now) {
                rested.push(id);
            }
        }
        for id in rested {
            self.rested(id);
        }
        for id in lapsed {
            self.lapse(id, now);
        }
        self.extend(due, now);
    }

    fn extension_due(&self, slot: &Slot, half: Duration, now: Instant) -> Option<Duration> {
        let lease = &slot.lease;
        let wanted = !lease.lost && !lease.extending && !slot.state.is_leaving() && now >= lease.not_before;
        let due = wanted && lease.until.saturating_duration_since(now) <= half;
        due.then(|| lease.extension(now, self.settings.visibility)).flatten()
    }

    fn rested(&mut self, id: SlotId) {
        self.set_state(id, State::Waiting);
        match self.group_of(id) {
            Some(group) => self.send_next_of(&group),
            None => self.ready.push_back(id),
        }
    }

    fn extend(&mut self, mut due: Vec<(SlotId, Receipt, Duration)>, now: Instant) {
        due.sort_by_key(|(id, _, _)| self.slots.get(*id).map(|slot| slot.lease.until));
        for batch in due.chunks(SETTLE_BATCH) {
            if self.settle_calls >= self.most_settle_calls() * 2 {
                return;
            }
            let request = Settle::Hide(
                batch
                    .iter()
                    .map(|(_, receipt, length)| (receipt.clone(), *length))
                    .collect(),
            );
            let lengths = batch.iter().map(|(_, _, length)| *length).collect();
            let entries: Vec<_> = batch.iter().map(|(id, receipt, _)| (*id, receipt.clone())).collect();
            for (id, _) in &entries {
                if let Some(slot) = self.slots.get_mut(*id) {
                    slot.lease.extending = true;
                }
            }
            self.call_settle(Purpose::Extend(lengths), entries, request, now);
        }
    }

    /// Takes in the answer to an extension until `until`; a failed one is tried again at `again`.
    pub(super) fn extended(
        &mut self,
        id: SlotId,
        receipt: &Receipt,
        answer: &Settled,
        until: Instant,
        again: Instant,
        now: Instant,
    ) {
        let Some(slot) = self.slots.get_mut(id).filter(|slot| slot.message.receipt == *receipt) else {
            return;
        };
        slot.lease.extending = false;
        match answer {
            Settled::Done => {
                slot.lease.until = slot.lease.until.max(until);
                self.counts.leases_extended += 1;
            }
            // A delete or release that is under way may be why; its own answer decides.
            Settled::Stale if matches!(slot.state, State::Deleting | State::Releasing) => {}
            Settled::Stale => self.lapse(id, now),
            Settled::Failed(_) => slot.lease.not_before = again,
        }
    }

    /// The receipt is void: what is not with the sink is let go; what is with it is never deleted with this receipt.
    fn lapse(&mut self, id: SlotId, now: Instant) {
        self.lease_is_lost(id, now);
        let Some(slot) = self.slots.get(id) else { return };
        match slot.state {
            State::Sending | State::Deleting | State::Releasing => {}
            State::Waiting | State::Backoff(_) | State::Returning { .. } | State::Acknowledged { .. } => {
                self.close(id, now);
            }
        }
    }

    /// Marks and counts a lost lease, once.
    pub(super) fn lease_is_lost(&mut self, id: SlotId, now: Instant) {
        let Some(slot) = self.slots.get_mut(id).filter(|slot| !slot.lease.lost) else {
            return;
        };
        slot.lease.lost = true;
        self.counts.leases_lost += 1;
        if let Some(unsaid) = self.lapsed.due(now) {
            let held_seconds = now.duration_since(slot.lease.since).as_secs();
            let message_id = &slot.message.id;
            tracing::warn!(
                message_id,
                held_seconds,
                unsaid,
                "The lease on a message was lost; the queue hands it out again"
            );
        }
    }
}
