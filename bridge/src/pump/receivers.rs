//! How many receive calls are open, and what they reserve. Pure: the time is an argument.
//!
//! A call is opened only with room for everything it may bring. While calls come back full there are more, up to the
//! limit; while they come back empty there are fewer, down to one that waits for the first message.

use std::time::Duration;

use tokio::time::Instant;

use crate::pump::backoff::Series;
use crate::source::ErrorKind;

/// SQS hands the messages of a lost reply out again for that long.
const ATTEMPT_LIFE: Duration = Duration::from_secs(290);

/// The wait before the first call after a failure, and the longest, both before jitter.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// What an open call holds until it returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reservation {
    /// Slots.
    pub(crate) messages: usize,
    /// Bytes.
    pub(crate) bytes: usize,
    /// The name of the attempt, and when it was first made.
    pub(crate) attempt: (String, Instant),
}

/// The open receive calls.
#[derive(Debug)]
pub(crate) struct Receivers {
    limit: u32,
    per_call: usize,
    wanted: u32,
    open: u32,
    reserved_messages: usize,
    reserved_bytes: usize,
    estimate: usize,
    waits: Series,
    not_before: Option<Instant>,
    unanswered: Vec<(String, Instant)>,
}

impl Receivers {
    /// Makes room for `limit` calls at once of `per_call` messages, none larger than `largest` bytes.
    pub(crate) fn new(limit: u32, per_call: u32, largest: usize) -> Self {
        Self {
            limit: limit.max(1),
            per_call: per_call.max(1) as usize,
            wanted: 1,
            open: 0,
            reserved_messages: 0,
            reserved_bytes: 0,
            estimate: largest,
            waits: Series::new(FIRST_WAIT, LONGEST_WAIT),
            not_before: None,
            unanswered: Vec::new(),
        }
    }

    /// Opens a call if one is wanted now and there is room for what it may bring.
    pub(crate) fn open(
        &mut self,
        now: Instant,
        free_messages: usize,
        free_bytes: usize,
        held: usize,
    ) -> Option<Reservation> {
        if self.open >= self.wanted || self.not_before.is_some_and(|time| now < time) {
            return None;
        }
        let bytes = self.per_call * self.estimate;
        // A message may be larger than the whole limit; with nothing else held it passes all the same.
        let alone = held == 0 && self.open == 0;
        let room = free_messages >= self.reserved_messages + self.per_call && free_bytes >= self.reserved_bytes + bytes;
        if !room && !alone {
            return None;
        }
        self.open += 1;
        self.reserved_messages += self.per_call;
        self.reserved_bytes += bytes;
        Some(Reservation {
            messages: self.per_call,
            bytes,
            attempt: self.attempt(now),
        })
    }

    /// Takes note of a call that returned messages of these sizes.
    pub(crate) fn returned(&mut self, call: &Reservation, sizes: impl IntoIterator<Item = usize>) {
        self.close(call);
        let (mut count, mut largest) = (0, 0);
        for size in sizes {
            count += 1;
            largest = largest.max(size);
        }
        if count >= call.messages {
            self.wanted = (self.wanted * 2).min(self.limit);
        } else if count == 0 {
            self.wanted = (self.wanted / 2).max(1);
        }
        if count > 0 {
            // Follows growth at once and forgets a large message slowly.
            self.estimate = largest.max(self.estimate - self.estimate / 10);
        }
        self.waits.reset();
        self.not_before = None;
    }

    /// Takes note of a call that failed: one call goes on, after a wait.
    pub(crate) fn failed(&mut self, call: Reservation, kind: ErrorKind, now: Instant) {
        self.close(&call);
        self.wanted = 1;
        let least = if kind == ErrorKind::OverLimit {
            Duration::from_secs(5)
        } else {
            Duration::ZERO
        };
        // Calls that were open together fail together; they are one failure.
        if self.not_before.is_none_or(|time| time <= now) {
            self.not_before = Some(now + self.waits.next().max(least));
        }
        self.unanswered.push(call.attempt);
        self.unanswered.truncate(self.limit as usize);
    }

    /// Returns how many calls are open.
    pub(crate) fn in_flight(&self) -> u32 {
        self.open
    }

    /// Returns when the next call may be opened, while it is held back after a failure.
    pub(crate) fn held_back_until(&self) -> Option<Instant> {
        self.not_before
    }

    fn close(&mut self, call: &Reservation) {
        self.open -= 1;
        self.reserved_messages -= call.messages;
        self.reserved_bytes -= call.bytes;
    }

    fn attempt(&mut self, now: Instant) -> (String, Instant) {
        self.unanswered
            .retain(|(_, made)| now.duration_since(*made) < ATTEMPT_LIFE);
        self.unanswered
            .pop()
            .unwrap_or_else(|| (format!("{:032x}", rand::random::<u128>()), now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOMY: (usize, usize) = (1000, 64 << 20);

    fn open(receivers: &mut Receivers, now: Instant) -> Vec<Reservation> {
        std::iter::from_fn(|| receivers.open(now, ROOMY.0, ROOMY.1, 0)).collect()
    }

    #[tokio::test]
    async fn calls_grow_while_they_come_back_full_and_shrink_to_one_when_idle() {
        let mut receivers = Receivers::new(4, 10, 1000);
        let now = Instant::now();
        let mut calls = open(&mut receivers, now);
        assert_eq!(calls.len(), 1);
        for expected in [2, 4, 4] {
            receivers.returned(&calls.remove(0), vec![100; 10]);
            calls.extend(open(&mut receivers, now));
            assert_eq!(calls.len(), expected);
        }
        for call in calls {
            receivers.returned(&call, []);
        }
        assert_eq!(open(&mut receivers, now).len(), 1);
    }

    #[tokio::test]
    async fn no_call_is_opened_without_room_for_what_it_may_bring() {
        let mut receivers = Receivers::new(4, 10, 1000);
        let now = Instant::now();
        let first = receivers.open(now, 20, 20_000, 0).expect("room");
        receivers.returned(&first, vec![1000; 10]);
        assert!(receivers.open(now, 9, 20_000, 991).is_none(), "too few slots");
        assert!(receivers.open(now, 990, 9_999, 10).is_none(), "too few bytes");
        assert!(receivers.open(now, 10, 10_000, 10).is_some());
        assert!(
            receivers.open(now, 10, 10_000, 10).is_none(),
            "the open call holds them"
        );
    }

    #[tokio::test]
    async fn a_message_larger_than_the_limit_passes_alone() {
        let mut receivers = Receivers::new(4, 10, 1 << 20);
        assert!(receivers.open(Instant::now(), 1000, 1024, 0).is_some());
    }

    #[tokio::test]
    async fn the_estimate_follows_growth_at_once_and_shrinks_slowly() {
        let mut receivers = Receivers::new(1, 10, 1000);
        let now = Instant::now();
        let call = receivers.open(now, 100, 1 << 20, 0).expect("room");
        receivers.returned(&call, [10]);
        assert_eq!(receivers.open(now, 100, 1 << 20, 0).expect("room").bytes, 9000);
        let mut receivers = Receivers::new(1, 10, 1000);
        let call = receivers.open(now, 100, 1 << 20, 0).expect("room");
        receivers.returned(&call, [5000]);
        assert_eq!(receivers.open(now, 100, 1 << 20, 0).expect("room").bytes, 50_000);
    }

    #[tokio::test]
    async fn a_failed_call_is_repeated_under_its_name_after_a_wait() {
        let mut receivers = Receivers::new(4, 10, 1000);
        let now = Instant::now();
        let call = receivers.open(now, ROOMY.0, ROOMY.1, 0).expect("room");
        let attempt = call.attempt.clone();
        receivers.failed(call, ErrorKind::OverLimit, now);
        assert!(
            receivers
                .open(now + Duration::from_secs(4), ROOMY.0, ROOMY.1, 0)
                .is_none()
        );
        let again = receivers
            .open(now + Duration::from_secs(60), ROOMY.0, ROOMY.1, 0)
            .expect("room");
        assert_eq!(again.attempt, attempt);
        receivers.failed(again, ErrorKind::Unavailable, now + Duration::from_secs(61));
        let fresh = receivers
            .open(now + Duration::from_secs(400), ROOMY.0, ROOMY.1, 0)
            .expect("room");
        assert_ne!(fresh.attempt, attempt, "SQS has forgotten the old name by then");
    }
}
