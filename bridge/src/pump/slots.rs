//! The slot table: everything that is held, and nothing else holds receipts. Pure: the time is an argument.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::sink::{Cause, Ticket};
use crate::source::{Message, Receipt};

/// The longest that SQS lets anybody hold a message, less a margin for the calls that give it back.
const LONGEST_HOLD: Duration = Duration::from_secs(12 * 3600 - 60);

/// A place in the table. Its generation tells it from earlier users of the same place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct SlotId {
    index: u32,
    generation: u32,
}

// A ticket carries both halves through a pointer of librdkafka's.
const _: () = assert!(usize::BITS == 64, "tickets need 64 bits");

impl SlotId {
    /// Returns the ticket that brings an outcome back to this slot.
    pub(crate) fn ticket(self) -> Ticket {
        Ticket((self.generation as usize) << 32 | self.index as usize)
    }

    /// Returns the slot that `ticket` names.
    pub(crate) fn of(ticket: Ticket) -> Self {
        let low = u32::try_from(ticket.0 & 0xffff_ffff).unwrap_or_default();
        let high = u32::try_from(ticket.0 >> 32).unwrap_or_default();
        Self {
            index: low,
            generation: high,
        }
    }
}

/// Where a message is on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// It is to be sent, at once or once its group allows it.
    Waiting,
    /// The sink has it.
    Sending,
    /// The sink refused it for its content; it is tried again at that time.
    Backoff(Instant),
    /// The sink could not be used; it is tried again at that time.
    Outage(Instant),
    /// The sink stored it then: to be deleted from the source.
    Acknowledged(Instant),
    /// A delete failed and is tried again at that time.
    DeleteLater(Instant),
    /// A delete is under way.
    Deleting,
    /// It is to be given back to the source, hidden for that long.
    Returning(Duration),
    /// Giving it back, hidden for that long, failed and is tried again at that time.
    ReturnLater(Duration, Instant),
    /// A call that gives it back, hidden for that long, is under way.
    Releasing(Duration),
}

impl State {
    /// Whether the sink stored it.
    pub(crate) fn is_acknowledged(&self) -> bool {
        matches!(self, Self::Acknowledged(_) | Self::DeleteLater(_) | Self::Deleting)
    }

    /// Whether it is on its way back, unsent.
    pub(crate) fn is_leaving(&self) -> bool {
        matches!(self, Self::Returning(_) | Self::ReturnLater(..) | Self::Releasing(_))
    }

    /// Whether it waits here, neither with the sink nor stored nor on its way back.
    pub(crate) fn is_unsent(&self) -> bool {
        matches!(self, Self::Waiting | Self::Backoff(_) | Self::Outage(_))
    }

    /// Whether the sink owes progress for it: it has the message, or could not take it.
    fn burdens_sink(&self) -> bool {
        matches!(self, Self::Sending | Self::Outage(_))
    }
}

/// How long the source leaves the message to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lease {
    /// When it was received.
    pub(crate) since: Instant,
    /// When the source hands it to somebody else.
    pub(crate) until: Instant,
    /// Whether an extension is under way.
    pub(crate) extending: bool,
    /// The earliest time of the next extension.
    pub(crate) not_before: Instant,
    /// How often in a row extending it failed.
    pub(crate) failures: u32,
    /// Whether the receipt is void.
    pub(crate) lost: bool,
}

impl Lease {
    fn new(now: Instant, visibility: Duration) -> Self {
        Self {
            since: now,
            until: now + visibility,
            extending: false,
            not_before: now,
            failures: 0,
            lost: false,
        }
    }

    /// Whether the source lets anybody hold the message until then.
    pub(crate) fn may_last_until(&self, time: Instant) -> bool {
        time < self.since + LONGEST_HOLD
    }

    /// Returns how long from now the lease may be made, in whole seconds; nothing where that gains too little to be
    /// worth a call, as near the longest hold, after which the message goes back to the source.
    pub(crate) fn extension(&self, now: Instant, visibility: Duration) -> Option<Duration> {
        let left = (self.since + LONGEST_HOLD).saturating_duration_since(now);
        let length = Duration::from_secs(left.min(visibility).as_secs());
        let gain = (now + length).saturating_duration_since(self.until);
        (gain >= visibility / 4).then_some(length)
    }
}

/// One message that is held.
#[derive(Debug)]
pub(crate) struct Slot {
    /// The message; its body is with the sink while that has it, and gone once it is stored.
    pub(crate) message: Message,
    /// Bytes that count against the limit.
    pub(crate) bytes: usize,
    /// Where it is.
    pub(crate) state: State,
    /// Until when it is ours.
    pub(crate) lease: Lease,
    /// Whether it is sent in a batch of its own, so that a verdict is about it alone.
    pub(crate) alone: bool,
    /// How often it was refused for its own content.
    pub(crate) refusals: u32,
    /// How often in a row the sink was unavailable for it.
    pub(crate) outages: u32,
    /// How often settling it failed.
    pub(crate) settle_failures: u32,
    /// What is wrong with it, once it is bound for the dead letters.
    pub(crate) cause: Option<Cause>,
    /// Since when the sink has owed an answer for it, as [`Slots::longest_owed`] saw.
    pub(crate) owed_since: Option<Instant>,
}

/// Everything that is held.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    entries: Vec<(u32, Option<Slot>)>,
    free: Vec<u32>,
    by_message: HashMap<String, SlotId>,
    bytes: usize,
    unacknowledged: usize,
    at_sink: usize,
    leaving: usize,
}

impl Slots {
    /// Takes in a message whose lease begins now.
    pub(crate) fn insert(&mut self, message: Message, now: Instant, visibility: Duration) -> SlotId {
        let index = self.free.pop().unwrap_or_else(|| {
            self.entries.push((0, None));
            u32::try_from(self.entries.len() - 1).unwrap_or(u32::MAX)
        });
        let entry = &mut self.entries[index as usize];
        let id = SlotId {
            index,
            generation: entry.0,
        };
        let bytes = message.size();
        self.by_message.insert(message.id.clone(), id);
        entry.1 = Some(Slot {
            message,
            bytes,
            state: State::Waiting,
            lease: Lease::new(now, visibility),
            alone: false,
            refusals: 0,
            outages: 0,
            settle_failures: 0,
            cause: None,
            owed_since: None,
        });
        self.bytes += bytes;
        self.unacknowledged += 1;
        id
    }

    /// Returns the slot that holds the message of that id.
    pub(crate) fn holding(&self, message: &str) -> Option<SlotId> {
        self.by_message.get(message).copied()
    }

    /// Gives a held message the receipt and the lease of a newer delivery, which made the older void.
    pub(crate) fn renew(&mut self, id: SlotId, receipt: Receipt, now: Instant, visibility: Duration) {
        if let Some(slot) = self.get_mut(id) {
            slot.message.receipt = receipt;
            slot.lease = Lease::new(now, visibility);
        }
    }

    /// Returns the slot if it is still the one that `id` was given for.
    pub(crate) fn get(&self, id: SlotId) -> Option<&Slot> {
        let (generation, slot) = self.entries.get(id.index as usize)?;
        slot.as_ref().filter(|_| *generation == id.generation)
    }

    /// As [`Self::get`], to change it.
    pub(crate) fn get_mut(&mut self, id: SlotId) -> Option<&mut Slot> {
        let (generation, slot) = self.entries.get_mut(id.index as usize)?;
        slot.as_mut().filter(|_| *generation == id.generation)
    }

    /// Moves a slot to another state; [`Self::acknowledge`] alone makes it acknowledged.
    pub(crate) fn set_state(&mut self, id: SlotId, state: State) {
        let Some(slot) = self.get_mut(id) else { return };
        let before = std::mem::replace(&mut slot.state, state.clone());
        self.at_sink = self.at_sink + usize::from(state.burdens_sink()) - usize::from(before.burdens_sink());
        self.leaving = self.leaving + usize::from(state.is_leaving()) - usize::from(before.is_leaving());
    }

    /// Notes that the sink has the message and keeps its body, which goes on counting against the limit.
    pub(crate) fn hand_over(&mut self, id: SlotId) {
        self.set_state(id, State::Sending);
        if let Some(slot) = self.get_mut(id) {
            slot.message.body = String::new();
        }
    }

    /// Notes that the sink stored the message: its body and headers are needed no more.
    pub(crate) fn acknowledge(&mut self, id: SlotId, now: Instant) {
        if self.get(id).is_none_or(|slot| slot.state.is_acknowledged()) {
            return;
        }
        self.set_state(id, State::Acknowledged(now));
        let Some(slot) = self.get_mut(id) else { return };
        slot.message.body = String::new();
        slot.message.headers = Vec::new();
        let after = slot.message.size();
        let freed = slot.bytes.saturating_sub(after);
        slot.bytes = after;
        self.bytes -= freed;
        self.unacknowledged -= 1;
    }

    /// Lets go of a slot and returns what it held.
    pub(crate) fn remove(&mut self, id: SlotId) -> Option<Slot> {
        self.get(id)?;
        let entry = self.entries.get_mut(id.index as usize)?;
        let slot = entry.1.take()?;
        entry.0 = entry.0.wrapping_add(1);
        self.free.push(id.index);
        self.by_message.remove(&slot.message.id);
        self.bytes -= slot.bytes;
        if !slot.state.is_acknowledged() {
            self.unacknowledged -= 1;
        }
        self.at_sink -= usize::from(slot.state.burdens_sink());
        self.leaving -= usize::from(slot.state.is_leaving());
        Some(slot)
    }

    /// Returns every slot with its id.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (SlotId, &Slot)> {
        self.entries
            .iter()
            .enumerate()
            .filter_map(|(index, (generation, slot))| {
                let index = u32::try_from(index).ok()?;
                slot.as_ref().map(|slot| {
                    (
                        SlotId {
                            index,
                            generation: *generation,
                        },
                        slot,
                    )
                })
            })
    }

    /// Returns how many slots are taken.
    pub(crate) fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// Whether nothing is held.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns how many messages are held that the sink has not stored.
    pub(crate) fn unacknowledged(&self) -> usize {
        self.unacknowledged
    }

    /// Returns for how many messages the sink owes progress.
    pub(crate) fn at_sink(&self) -> usize {
        self.at_sink
    }

    /// Returns since when the sink has owed an answer for the message that has waited longest for one. Others may pass all
    /// the while: one partition without a leader holds up its own messages, and a dead-letter topic that is gone its.
    pub(crate) fn longest_owed(&mut self, now: Instant) -> Option<Instant> {
        let slots = self.entries.iter_mut().filter_map(|(_, slot)| slot.as_mut());
        let owed = slots.filter_map(|slot| {
            if slot.state.burdens_sink() {
                slot.owed_since.get_or_insert(now);
            } else if slot.state != State::Waiting {
                slot.owed_since = None;
            }
            slot.owed_since
        });
        owed.min()
    }

    /// Whether something is held, and all of it waits out a refusal for its content or is to be sent.
    pub(crate) fn only_rest(&self) -> bool {
        !self.is_empty() && self.at_sink == 0 && self.leaving == 0 && self.unacknowledged == self.len()
    }

    /// Returns how many messages are on their way back.
    pub(crate) fn leaving(&self) -> usize {
        self.leaving
    }

    /// Returns the bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pump::fake::message;

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_ticket_of_an_earlier_user_of_the_place_reaches_nobody() {
        let mut slots = Slots::default();
        let now = Instant::now();
        let first = slots.insert(message(1), now, MINUTE);
        slots.remove(first);
        let second = slots.insert(message(2), now, MINUTE);
        assert_eq!(first.index, second.index);
        assert!(slots.get(SlotId::of(first.ticket())).is_none());
        assert!(slots.get(SlotId::of(second.ticket())).is_some());
    }

    #[tokio::test]
    async fn bytes_and_counts_return_to_nothing() {
        let mut slots = Slots::default();
        let now = Instant::now();
        let ids: Vec<_> = (0..5).map(|n| slots.insert(message(n), now, MINUTE)).collect();
        let full = slots.bytes();
        slots.acknowledge(ids[0], now);
        slots.acknowledge(ids[0], now);
        assert_eq!((slots.unacknowledged(), slots.len()), (4, 5));
        assert!(slots.bytes() < full);
        for id in ids {
            slots.remove(id);
            slots.remove(id);
        }
        assert_eq!((slots.unacknowledged(), slots.len(), slots.bytes()), (0, 0, 0));
    }

    #[tokio::test]
    async fn no_lease_is_extended_past_the_longest_hold() {
        let now = Instant::now();
        let mut lease = Lease::new(now, MINUTE);
        assert_eq!(lease.extension(now + MINUTE / 2, MINUTE), Some(MINUTE));
        let late = now + LONGEST_HOLD - MINUTE / 2;
        lease.until = late + Duration::from_secs(10);
        assert_eq!(lease.extension(late, MINUTE), Some(MINUTE / 2));
        lease.until = late + MINUTE / 2;
        assert_eq!(lease.extension(late, MINUTE), None, "it would gain nothing");
        assert_eq!(lease.extension(now + LONGEST_HOLD, MINUTE), None);
    }

    #[tokio::test]
    async fn the_sink_owes_progress_for_what_it_has_and_for_what_it_could_not_take() {
        let mut slots = Slots::default();
        let now = Instant::now();
        let id = slots.insert(message(1), now, MINUTE);
        for (state, owed) in [
            (State::Waiting, 0),
            (State::Sending, 1),
            (State::Outage(now), 1),
            (State::Backoff(now), 0),
            (State::Sending, 1),
        ] {
            slots.set_state(id, state);
            assert_eq!(slots.at_sink(), owed);
        }
        slots.remove(id);
        assert_eq!(slots.at_sink(), 0);
    }

    #[tokio::test]
    async fn an_answer_is_owed_from_the_first_try_on_until_there_is_a_verdict() {
        let mut slots = Slots::default();
        let start = Instant::now();
        let id = slots.insert(message(1), start, MINUTE);
        assert_eq!(slots.longest_owed(start), None);
        for (minutes, state, since) in [
            (1, State::Sending, Some(1)),
            (2, State::Outage(start), Some(1)),
            (3, State::Waiting, Some(1)),
            (4, State::Sending, Some(1)),
            (5, State::Backoff(start), None),
            (6, State::Sending, Some(6)),
        ] {
            slots.set_state(id, state);
            let later = slots.insert(message(100 + minutes), start, MINUTE);
            slots.set_state(later, State::Sending);
            let owed = slots.longest_owed(start + MINUTE * minutes);
            slots.remove(later);
            assert_eq!(owed, Some(start + MINUTE * since.unwrap_or(minutes)));
        }
    }
}
