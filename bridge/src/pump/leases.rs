//! The leases: every message held is extended before half its time is left, and a lost lease is never used.

use std::time::Duration;

use tokio::time::Instant;

use crate::pump::calls::Purpose;
use crate::pump::slots::{Slot, SlotId, State};
use crate::pump::{Pump, backoff};
use crate::sink::Sink;
use crate::source::{Receipt, SETTLE_BATCH, Settle, Settled, Source};

/// The least and the longest time that a call for an extension may take. In between it is half of what is left of the
/// shortest lease in its batch, so that a call that is never answered leaves time for others.
const SHORTEST_EXTENSION: Duration = Duration::from_millis(500);
const LONGEST_EXTENSION: Duration = Duration::from_secs(8);

/// The wait before an extension that failed is tried again, before jitter.
const FIRST_WAIT: Duration = Duration::from_millis(100);

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
            match slot.state {
                State::Backoff(until)
                | State::Outage(until)
                | State::DeleteLater(until)
                | State::ReturnLater(_, until)
                    if until <= now =>
                {
                    rested.push(id);
                }
                _ => {}
            }
        }
        for id in rested {
            self.rested(id, now);
        }
        for id in lapsed {
            self.lapse(id, now);
        }
        self.extend(due, now);
        self.tell_of_debts(now);
    }

    fn tell_of_debts(&mut self, now: Instant) {
        let owed = self.slots.longest_owed(now);
        let age = owed.map(|since| now.saturating_duration_since(since));
        self.counts.longest_owed = age.unwrap_or_default().as_secs();
        if self.voice.health.owes(owed, now) {
            tracing::error!(
                seconds = self.counts.longest_owed,
                "Kafka takes other messages and has answered nothing for one of them: a partition without a leader, or a \
                 dead-letter topic that cannot be written"
            );
        }
    }

    fn extension_due(&self, slot: &Slot, half: Duration, now: Instant) -> Option<Duration> {
        let lease = &slot.lease;
        // What leaves is on its way, unless a stop has it wait for the last receive call.
        let leaves =
            slot.state.is_leaving() && !(self.is_return_held_up() && matches!(slot.state, State::Returning(_)));
        let wanted = !lease.lost && !lease.extending && !leaves && now >= lease.not_before;
        let due = wanted && lease.until.saturating_duration_since(now) <= half;
        due.then(|| lease.extension(now, self.settings.visibility)).flatten()
    }

    pub(super) fn rested(&mut self, id: SlotId, now: Instant) {
        if !self.slots.get(id).is_some_and(|slot| slot.state.is_unsent()) {
            return self.settle_again(id, now);
        }
        self.slots.set_state(id, State::Waiting);
        match self.group_of(id) {
            Some(group) => self.send_next_of(&group),
            None => self.ready.push_back(id),
        }
    }

    /// Returns how many extensions are under way at most.
    pub(super) fn most_extend_calls(&self) -> usize {
        (self.settings.receivers as usize).max(32)
    }

    /// Extends the most urgent first. These calls have a limit of their own: many of them never hold up a delete.
    fn extend(&mut self, mut due: Vec<(SlotId, Receipt, Duration)>, now: Instant) {
        due.sort_by_key(|(id, _, _)| self.slots.get(*id).map(|slot| slot.lease.until));
        for batch in due.chunks(SETTLE_BATCH) {
            if self.extend_calls >= self.most_extend_calls() {
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
            let mut left = LONGEST_EXTENSION * 2;
            for (id, _) in &entries {
                if let Some(slot) = self.slots.get_mut(*id) {
                    slot.lease.extending = true;
                    left = left.min(slot.lease.until.saturating_duration_since(now));
                }
            }
            let limit = (left / 2).clamp(SHORTEST_EXTENSION, LONGEST_EXTENSION);
            self.call_extend(Purpose::Extend(lengths), entries, request, limit, now);
        }
    }

    /// Takes in the answer to an extension until `until`; a failed one is tried again soon.
    pub(super) fn extended(&mut self, id: SlotId, receipt: &Receipt, answer: &Settled, until: Instant, now: Instant) {
        let Some(slot) = self.slots.get_mut(id).filter(|slot| slot.message.receipt == *receipt) else {
            return;
        };
        slot.lease.extending = false;
        match answer {
            Settled::Done => {
                slot.lease.until = slot.lease.until.max(until);
                slot.lease.failures = 0;
                self.counts.leases_extended += 1;
            }
            // A delete or release that is under way may be why; its own answer decides.
            Settled::Stale if matches!(slot.state, State::Deleting | State::Releasing(_)) => {}
            Settled::Stale => self.lapse(id, now),
            Settled::Failed(_) => {
                slot.lease.failures += 1;
                let most = (self.settings.visibility / 16).max(FIRST_WAIT);
                slot.lease.not_before = now + backoff::delay(FIRST_WAIT, most, slot.lease.failures);
            }
        }
    }

    /// The receipt is void: what is not with the sink is let go; what is with it is never deleted with this receipt.
    pub(super) fn lapse(&mut self, id: SlotId, now: Instant) {
        self.lease_is_lost(id, now);
        let Some(slot) = self.slots.get(id) else { return };
        match slot.state {
            State::Sending | State::Deleting | State::Releasing(_) => {}
            State::Waiting
            | State::Backoff(_)
            | State::Outage(_)
            | State::Returning(_)
            | State::ReturnLater(..)
            | State::Acknowledged(_)
            | State::DeleteLater(_) => self.close(id, now),
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
