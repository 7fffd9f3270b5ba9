//! Where each message of a queue is: visible, delayed or in flight. Every operation takes logarithmic time.

use std::collections::{BTreeMap, BTreeSet};

use super::group::Groups;
use super::message::Message;
use crate::model::Millis;

/// Received so often from one queue, a message no longer counts for the age of its oldest, and goes to the back of a standard one.
const POISONED: u64 = 3;

/// The messages of one queue, by their number of arrival.
#[derive(Debug, Default)]
pub(super) struct Store {
    messages: BTreeMap<u64, Stored>,
    next_number: u64,
    /// By their turn.
    visible: BTreeSet<(u64, u64)>,
    delayed: BTreeSet<(Millis, u64)>,
    in_flight: BTreeSet<(Millis, u64)>,
    by_sent: BTreeSet<(Millis, u64)>,
    by_entered: BTreeSet<(Millis, u64)>,
    /// On FIFO queues, the groups decide what can be received.
    groups: Option<Groups>,
}

#[derive(Debug)]
struct Stored {
    message: Message,
    place: Place,
    /// When it is handed out among those that are visible: by its number, until it has to go to the back.
    turn: u64,
    /// How often it was received from this queue; the message itself counts what came before as well.
    receives: u64,
    /// When the last receive was, for the total length of a lease.
    received: Millis,
}

/// Where a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Can be received.
    Visible,
    /// Was sent, and cannot be received before then.
    Delayed(Millis),
    /// Was received, and comes back then.
    InFlight(Millis),
}

/// How many messages are where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) visible: usize,
    pub(super) delayed: usize,
    pub(super) in_flight: usize,
}

impl Store {
    /// Returns an empty store.
    pub(super) fn new(fifo: bool) -> Self {
        Self {
            groups: fifo.then(Groups::default),
            ..Self::default()
        }
    }

    /// Lets delays and leases end, and forgets what was kept long enough.
    pub(super) fn settle(&mut self, now: Millis, retention: Millis) {
        while let Some((_, number)) = self
            .by_sent
            .first()
            .copied()
            .filter(|(sent, _)| sent + retention <= now)
        {
            self.remove(number);
        }
        while let Some((_, number)) = self.delayed.first().copied().filter(|(until, _)| *until <= now) {
            self.put(number, Place::Visible);
        }
        while let Some((_, number)) = self.in_flight.first().copied().filter(|(until, _)| *until <= now) {
            self.put(number, Place::Visible);
        }
    }

    /// Returns when something will next become visible by itself.
    pub(super) fn next_event(&self) -> Option<Millis> {
        let ends = [self.delayed.first(), self.in_flight.first()];
        ends.into_iter().flatten().map(|(until, _)| *until).min()
    }

    /// Puts a message in, at the end.
    pub(super) fn add(&mut self, message: Message, place: Place) {
        let number = self.next_number;
        self.next_number += 1;
        self.by_sent.insert((message.sent, number));
        self.by_entered.insert((message.entered, number));
        if let (Some(groups), Some(group)) = (&mut self.groups, &message.group) {
            groups.add(group, number, matches!(place, Place::Visible));
        }
        self.enter(number, number, place);
        self.messages.insert(
            number,
            Stored {
                message,
                place,
                turn: number,
                receives: 0,
                received: 0,
            },
        );
    }

    /// Takes a message out.
    pub(super) fn remove(&mut self, number: u64) -> Option<Message> {
        let stored = self.messages.remove(&number)?;
        self.leave(number, stored.turn, stored.place);
        self.by_sent.remove(&(stored.message.sent, number));
        self.by_entered.remove(&(stored.message.entered, number));
        if let (Some(groups), Some(group)) = (&mut self.groups, &stored.message.group) {
            groups.remove(group, number, matches!(stored.place, Place::InFlight(_)));
        }
        Some(stored.message)
    }

    /// Says whether a receive would find something.
    pub(super) fn has_receivable(&self) -> bool {
        self.groups.as_ref().map_or(!self.visible.is_empty(), Groups::has_open)
    }

    /// Returns up to `most` messages that can be received now, in order; of a FIFO queue's group, as many as possible.
    pub(super) fn receivable(&self, most: usize) -> Vec<u64> {
        match &self.groups {
            Some(groups) => groups.receivable(most, |number| self.visible.contains(&(number, number))),
            None => self.visible.iter().take(most).map(|(_, number)| *number).collect(),
        }
    }

    /// Counts a receive and leases the message until `until`; a lease that is over at once leaves it visible.
    pub(super) fn lease(&mut self, number: u64, now: Millis, until: Millis) {
        let Some(stored) = self.messages.get_mut(&number) else {
            return;
        };
        stored.received = now;
        stored.message.receives += 1;
        stored.message.first_received.get_or_insert(now);
        stored.receives += 1;
        if stored.receives >= POISONED {
            self.by_entered.remove(&(stored.message.entered, number));
            self.send_to_the_back(number);
        }
        self.put(
            number,
            if until > now {
                Place::InFlight(until)
            } else {
                Place::Visible
            },
        );
    }

    /// Gives a message of a standard queue the last turn; in a FIFO queue the order stays.
    fn send_to_the_back(&mut self, number: u64) {
        let Some(stored) = self.messages.get_mut(&number).filter(|_| self.groups.is_none()) else {
            return;
        };
        let last = self.next_number;
        let (turn, place) = (std::mem::replace(&mut stored.turn, last), stored.place);
        self.next_number += 1;
        self.leave(number, turn, place);
        self.enter(number, last, place);
    }

    /// Moves a message to another place.
    pub(super) fn put(&mut self, number: u64, place: Place) {
        let Some(stored) = self.messages.get_mut(&number) else {
            return;
        };
        let old = std::mem::replace(&mut stored.place, place);
        let (turn, group) = (stored.turn, stored.message.group.clone());
        self.leave(number, turn, old);
        self.enter(number, turn, place);
        if let (Some(groups), Some(group)) = (&mut self.groups, group) {
            let (was, is) = (matches!(old, Place::InFlight(_)), matches!(place, Place::InFlight(_)));
            groups.moved(&group, number, was, is, matches!(place, Place::Visible));
        }
    }

    /// Returns a message.
    pub(super) fn message(&self, number: u64) -> Option<&Message> {
        self.messages.get(&number).map(|stored| &stored.message)
    }

    /// Returns where a message is, and when it was last received.
    pub(super) fn place(&self, number: u64) -> Option<(Place, Millis)> {
        self.messages.get(&number).map(|stored| (stored.place, stored.received))
    }

    /// Returns the delayed messages and when each was sent.
    pub(super) fn delayed(&self) -> Vec<(u64, Millis)> {
        let numbers = self.delayed.iter().map(|(_, number)| *number);
        numbers
            .filter_map(|number| Some((number, self.messages.get(&number)?.message.entered)))
            .collect()
    }

    /// Takes everything out.
    pub(super) fn clear(&mut self) {
        // Numbers go on, so that no old receipt handle ever names a new message.
        *self = Self {
            next_number: self.next_number,
            ..Self::new(self.groups.is_some())
        };
    }

    /// Returns how many messages are where.
    pub(super) fn counts(&self) -> Counts {
        Counts {
            visible: self.visible.len(),
            delayed: self.delayed.len(),
            in_flight: self.in_flight.len(),
        }
    }

    /// Returns when the oldest message came in that is not being received again and again.
    pub(super) fn oldest_entry(&self) -> Option<Millis> {
        self.by_entered.first().map(|(entered, _)| *entered)
    }

    fn enter(&mut self, number: u64, turn: u64, place: Place) {
        match place {
            Place::Visible => self.visible.insert((turn, number)),
            Place::Delayed(until) => self.delayed.insert((until, number)),
            Place::InFlight(until) => self.in_flight.insert((until, number)),
        };
    }

    fn leave(&mut self, number: u64, turn: u64, place: Place) {
        match place {
            Place::Visible => self.visible.remove(&(turn, number)),
            Place::Delayed(until) => self.delayed.remove(&(until, number)),
            Place::InFlight(until) => self.in_flight.remove(&(until, number)),
        };
    }
}
