//! What follows from an outcome: delete it, try it again, park it, or give it back.

use std::time::Duration;

use tokio::time::Instant;

use crate::health::Part;
use crate::pump::slots::{SlotId, State};
use crate::pump::{Pump, backoff};
use crate::sink::{Cause, Delivery, Failure, Sink};
use crate::source::Source;
use crate::telemetry::wall_clock;

/// The longest wait between tries for a message that is refused for its own content, unless the first is longer already.
const LONGEST_CONTENT_WAIT: Duration = Duration::from_secs(600);

/// The waits while the sink cannot be used.
const FIRST_OUTAGE_WAIT: Duration = Duration::from_millis(200);
const LONGEST_OUTAGE_WAIT: Duration = Duration::from_secs(10);

/// The longest time that a message left to the queue's redrive policy stays hidden.
const LONGEST_REDRIVE_WAIT: Duration = Duration::from_secs(900);

impl<S: Source, K: Sink> Pump<S, K> {
    /// Takes in what became of one try. An outcome for a message that was given up is taken only if it is good news
    /// that comes before the message is on its way back.
    pub(super) fn delivered(&mut self, delivery: Delivery, now: Instant) {
        let id = SlotId::of(delivery.ticket);
        let Some(slot) = self.slots.get_mut(id) else { return };
        match (&slot.state, delivery.result) {
            (State::Sending | State::Returning(_) | State::ReturnLater(..), Ok(())) => self.acknowledged(id, now),
            (State::Sending, Err(returned)) => {
                slot.message.body = returned.body;
                self.failed(id, returned.failure, now);
            }
            _ => {}
        }
    }

    fn acknowledged(&mut self, id: SlotId, now: Instant) {
        self.sending.worked(now);
        self.voice.health.progressed(Part::Send, now);
        let Some(slot) = self.slots.get(id) else { return };
        if let Some(drain) = self.drain.as_mut().filter(|_| slot.state.is_leaving()) {
            drain.unanswered = drain.unanswered.saturating_sub(1);
        }
        let parked = slot.cause.is_some();
        let clock = wall_clock();
        self.counts.last_success = clock;
        if let Some(sent_at) = slot.message.sent_at {
            self.voice
                .telemetry
                .took(Duration::from_millis(clock.saturating_sub(sent_at)));
        }
        *(if parked {
            &mut self.counts.dead_lettered
        } else {
            &mut self.counts.sent
        }) += 1;
        let lost = slot.lease.lost;
        if let Some(remembered) = self.recent.remember(&slot.message, now) {
            let (window_seconds, remembered_seconds) = (self.settings.remember.as_secs(), remembered.as_secs());
            tracing::warn!(
                window_seconds,
                remembered_seconds,
                "More messages are stored within deduplicationWindow than are remembered; what the queue hands out again \
                 after that time is stored twice"
            );
        }
        let group = self.group_of(id);
        self.slots.acknowledge(id, now);
        if lost {
            self.close(id, now);
        } else {
            self.deletes.push_back(id);
        }
        if let Some(group) = group {
            self.send_next_of(&group);
        }
    }

    /// Decides what follows for a message that the sink refused or gave back.
    pub(super) fn failed(&mut self, id: SlotId, failure: Failure, now: Instant) {
        match &failure {
            Failure::Unavailable(why) => {
                self.counts.sink_errors += 1;
                self.sending.failed("unavailable", why, now);
            }
            Failure::Content(_) | Failure::Neighbour => self.voice.health.progressed(Part::Send, now),
        }
        let Some(slot) = self.slots.get_mut(id) else { return };
        if slot.lease.lost || self.drain.is_some() {
            return self.give_back(id, Duration::ZERO, now);
        }
        if !matches!(failure, Failure::Unavailable(_)) {
            slot.owed_since = None;
        }
        match failure {
            Failure::Neighbour => {
                slot.alone = true;
                self.send_again(id);
            }
            // Whole batches are refused for one record. Only a verdict on the message alone counts.
            Failure::Content(cause) if !slot.alone && slot.cause.is_none() => {
                if let Some(unsaid) = self.refused_batches.due(now) {
                    let why = cause.message;
                    tracing::warn!(
                        why,
                        unsaid,
                        "Kafka refuses a whole batch; its messages are sent again, each alone"
                    );
                }
                slot.alone = true;
                self.send_again(id);
            }
            Failure::Content(cause) if slot.cause.is_some() => self.unplaced(id, &cause, now),
            Failure::Content(cause) => self.refused(id, cause, now),
            Failure::Unavailable(_) => {
                slot.outages += 1;
                let wait = backoff::delay(FIRST_OUTAGE_WAIT, LONGEST_OUTAGE_WAIT, slot.outages);
                self.slots.set_state(id, State::Outage(now + wait));
            }
        }
    }

    /// The message itself is refused: again after a wait, or parked, or left to the queue.
    fn refused(&mut self, id: SlotId, cause: Cause, now: Instant) {
        let Some(slot) = self.slots.get_mut(id) else { return };
        slot.refusals += 1;
        slot.outages = 0;
        let most = LONGEST_CONTENT_WAIT.max(self.settings.backoff);
        let wait = backoff::delay(self.settings.backoff, most, slot.refusals);
        // Another try after the longest hold would be the first of another delivery, and so on without end.
        if slot.refusals <= self.settings.max_retries && slot.lease.may_last_until(now + wait) {
            self.slots.set_state(id, State::Backoff(now + wait));
            self.counts.retried += 1;
            return;
        }
        self.counts.failed += 1;
        let remedy = if self.settings.dead_letters {
            "dead-letter topic"
        } else {
            "left to the queue's redrive policy"
        };
        if let Some(unsaid) = self.refused.due(now) {
            let (message_id, tries) = (&slot.message.id, slot.refusals);
            tracing::warn!(
                message_id,
                tries,
                why = cause.message,
                unsaid,
                to = remedy,
                "Kafka refuses a message for its own content"
            );
        }
        if self.settings.dead_letters {
            slot.cause = Some(cause);
            self.send_again(id);
        } else {
            self.leave_to_redrive(id, now);
        }
    }

    /// Not even the dead-letter topic takes the message.
    fn unplaced(&mut self, id: SlotId, cause: &Cause, now: Instant) {
        self.counts.unplaced += 1;
        if let Some(unsaid) = self.refused.due(now) {
            let message_id = self
                .slots
                .get(id)
                .map(|slot| slot.message.id.as_str())
                .unwrap_or_default();
            tracing::error!(
                message_id,
                why = cause.message,
                unsaid,
                "The dead-letter topic refuses a message; it is left to the queue's redrive policy. Raise the topic's max.message.bytes"
            );
        }
        self.leave_to_redrive(id, now);
    }

    /// Hides the message for longer each time it comes, until the queue's redrive policy takes it out. In an ordered group
    /// it is to come back alone, where there is such a policy.
    fn leave_to_redrive(&mut self, id: SlotId, now: Instant) {
        let tries = self.slots.get(id).map_or(1, |slot| slot.message.receive_count);
        let mut delay = backoff::delay(self.settings.backoff, LONGEST_REDRIVE_WAIT, tries);
        if let Some(group) = self.group_of(id).filter(|_| self.settings.redrives) {
            delay = delay.max(self.redrive.shortest_hide());
            let last = self.groups.last_sequence(&group, &self.slots);
            self.redrive.left(&group, last, now);
        }
        self.give_back(id, delay, now);
    }

    /// Puts the message on its way back to the source. In an ordered group nothing may overtake it, so everything after
    /// it that is not sent yet goes back too.
    pub(super) fn give_back(&mut self, id: SlotId, delay: Duration, now: Instant) {
        let followers = match self.group_of(id) {
            Some(group) => self.groups.unsent_after(&group, id, &self.slots),
            None => Vec::new(),
        };
        self.give_back_one(id, delay, now);
        for follower in followers {
            self.give_back_one(follower, Duration::ZERO, now);
        }
    }

    fn give_back_one(&mut self, id: SlotId, delay: Duration, now: Instant) {
        let Some(slot) = self.slots.get(id) else { return };
        if slot.lease.lost {
            return self.close(id, now);
        }
        let queued = matches!(slot.state, State::Returning(_));
        self.slots.set_state(id, State::Returning(delay));
        if !queued {
            self.returns.push_back(id);
        }
    }

    fn send_again(&mut self, id: SlotId) {
        self.slots.set_state(id, State::Waiting);
        self.ready.push_back(id);
    }

    /// Makes the next message of a group ready, if there is one and its turn has come.
    pub(super) fn send_next_of(&mut self, group: &str) {
        if self.drain.is_some() {
            return;
        }
        if let Some(id) = self
            .groups
            .sendable(group, &self.slots)
            .filter(|id| !self.ready.contains(id))
        {
            self.ready.push_back(id);
        }
    }

    /// Lets go of a slot; one that the sink did not store counts as given back.
    pub(super) fn close(&mut self, id: SlotId, now: Instant) {
        let group = self.group_of(id);
        let Some(slot) = self.slots.get(id) else { return };
        let stored = slot.state.is_acknowledged();
        let followers = match &group {
            Some(group) if !stored => self.groups.unsent_after(group, id, &self.slots),
            _ => Vec::new(),
        };
        self.slots.remove(id);
        if !stored {
            self.counts.released += 1;
        }
        for follower in followers {
            self.give_back_one(follower, Duration::ZERO, now);
        }
        if let Some(group) = group {
            self.groups.remove(&group, id);
            if self.groups.is_empty(&group) {
                self.redrive.let_go(&group, now);
            }
            self.send_next_of(&group);
        }
    }

    /// Returns the group in whose order the message stands.
    pub(super) fn group_of(&self, id: SlotId) -> Option<String> {
        if !self.settings.ordered {
            return None;
        }
        self.slots.get(id).and_then(|slot| slot.message.group.clone())
    }
}
