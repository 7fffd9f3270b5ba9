//! How many receive calls are open, and what they reserve. Pure: the time is an argument.
//!
//! A call is opened only with room for everything it may bring. While calls come back full there are more, up to the
//! limit; while they come back empty there are fewer, down to one that waits for the first message.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use crate::pump::backoff::Series;
use crate::source::{Ask, ErrorKind};

/// SQS hands the messages of a lost reply out again for that long.
const ATTEMPT_LIFE: Duration = Duration::from_secs(290);

/// How often a call that failed is repeated under its name. Once what it held was handed to others, a service may refuse
/// the name for as long as it knows it.
const REPEATS: u32 = 3;

/// The wait before the first call after a failure, and the longest, both before jitter.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// The pause after an empty reply of a source that does not wait for messages, and the longest, both before jitter. A long
/// poll is the better way to wait; without one, an idle queue would be asked hundreds of times a second.
const FIRST_REST: Duration = Duration::from_millis(100);
const LONGEST_REST: Duration = Duration::from_secs(2);

/// A call that was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Opened {
    /// Which one.
    pub(crate) call: u64,
    /// The most messages that it asks for.
    pub(crate) max: u32,
    /// The bytes that are reserved for its reply.
    pub(crate) bytes: usize,
    /// The name of the attempt.
    pub(crate) attempt: String,
}

/// The name of an attempt, and what it asks for as often as it is made.
#[derive(Debug)]
struct Attempt {
    name: String,
    made: Instant,
    max: u32,
    /// How often it failed.
    failures: u32,
}

/// What an open call holds until it returns.
#[derive(Debug)]
struct Reservation {
    bytes: usize,
    attempt: Attempt,
    /// When its reply arrived, if it had to ask for room.
    arrived: Option<Instant>,
    /// Whether room was given that it asked for.
    is_let_in: bool,
}

/// The open receive calls.
#[derive(Debug)]
pub(crate) struct Receivers {
    limit: u32,
    wanted: u32,
    open: HashMap<u64, Reservation>,
    calls: u64,
    reserved_messages: usize,
    reserved_bytes: usize,
    estimate: usize,
    /// Replies that wait for room, in the order of asking.
    asks: VecDeque<Ask>,
    waits: Series,
    /// Where the source does not wait for messages, what is waited instead.
    rests: Option<Series>,
    not_before: Option<Instant>,
    unanswered: Vec<Attempt>,
}

impl Receivers {
    /// Makes room for `limit` calls at once, for messages of which none is larger than `largest` bytes.
    pub(crate) fn new(limit: u32, largest: usize) -> Self {
        Self {
            limit: limit.max(1),
            wanted: 1,
            open: HashMap::new(),
            calls: 0,
            reserved_messages: 0,
            reserved_bytes: 0,
            estimate: largest,
            asks: VecDeque::new(),
            waits: Series::new(FIRST_WAIT, LONGEST_WAIT),
            rests: None,
            not_before: None,
            unanswered: Vec::new(),
        }
    }

    /// Rests between calls while they come back empty, as a source that returns at once needs.
    pub(crate) fn resting(mut self) -> Self {
        self.rests = Some(Series::new(FIRST_REST, LONGEST_REST));
        self
    }

    /// Opens a call for at most `most` messages if one is wanted now and there is room for what it may bring.
    pub(crate) fn open(
        &mut self,
        most: u32,
        now: Instant,
        free_messages: usize,
        free_bytes: usize,
        held: usize,
    ) -> Option<Opened> {
        let open = self.open.len();
        if open >= self.wanted as usize || self.are_held_back(now) {
            return None;
        }
        // A message may be larger than the whole limit; with nothing else held it passes all the same, alone.
        let alone = held == 0 && open == 0;
        let most = if alone {
            most.min(self.fitting(free_messages, free_bytes))
        } else {
            most
        };
        let most = most.max(1);
        let again = self.repeatable(most, now);
        let max = again.map_or(most, |place| self.unanswered[place].max);
        let messages = max as usize;
        let bytes = messages * self.travelling();
        let room = free_messages >= self.reserved_messages + messages && free_bytes >= self.reserved_bytes + bytes;
        if !room && !alone {
            return None;
        }
        self.calls += 1;
        self.reserved_messages += messages;
        self.reserved_bytes += bytes;
        let attempt = match again {
            Some(place) => self.unanswered.remove(place),
            None => Attempt {
                name: format!("{:032x}", rand::random::<u128>()),
                made: now,
                max,
                failures: 0,
            },
        };
        let opened = Opened {
            call: self.calls,
            max,
            bytes,
            attempt: attempt.name.clone(),
        };
        let reservation = Reservation {
            bytes,
            attempt,
            arrived: None,
            is_let_in: false,
        };
        self.open.insert(self.calls, reservation);
        Some(opened)
    }

    /// Returns the bytes of one message on its way, which are more than those that arrive: names, quotes and escapes.
    fn travelling(&self) -> usize {
        self.estimate + self.estimate / 4
    }

    /// Returns for how many messages there is room that no open call has reserved.
    pub(crate) fn fitting(&self, free_messages: usize, free_bytes: usize) -> u32 {
        let messages = free_messages.saturating_sub(self.reserved_messages);
        let by_bytes = free_bytes.saturating_sub(self.reserved_bytes) / self.travelling().max(1);
        u32::try_from(messages.min(by_bytes)).unwrap_or(u32::MAX)
    }

    /// Whether no call is open and none held back, so that nothing but a lack of room keeps one from being opened.
    pub(crate) fn lack_room(&self, now: Instant) -> bool {
        self.open.is_empty() && !self.are_held_back(now)
    }

    fn are_held_back(&self, now: Instant) -> bool {
        self.not_before.is_some_and(|time| now < time) || !self.asks.is_empty()
    }

    /// Takes note of a reply that is larger than was reserved for it.
    pub(crate) fn ask(&mut self, ask: Ask, now: Instant) {
        if let Some(reservation) = self.open.get_mut(&ask.call) {
            reservation.arrived.get_or_insert(now);
            // Calls that are opened from now on reserve as much.
            self.estimate = self.estimate.max(ask.bytes / reservation.attempt.max as usize);
            self.asks.push_back(ask);
        }
    }

    /// Lets replies in that wait, in their order, as far as there is room. What is larger than the whole limit passes
    /// when nothing is held and no other is let in.
    pub(crate) fn let_in(&mut self, free_bytes: usize, held: usize) {
        while let Some(ask) = self.asks.front() {
            let others_in = self
                .open
                .iter()
                .any(|(call, other)| *call != ask.call && other.is_let_in);
            let alone = held == 0 && !others_in;
            // While it is made into messages, it is in memory as what came and as what it becomes.
            let needed = ask.bytes * 2;
            if let Some(reservation) = self.open.get_mut(&ask.call) {
                let others = self.reserved_bytes - reservation.bytes;
                if free_bytes < others + needed && !alone {
                    return;
                }
                reservation.bytes = needed;
                reservation.is_let_in = true;
                self.reserved_bytes = others + needed;
            }
            if let Some(ask) = self.asks.pop_front() {
                // A call that was given up meanwhile comes back as failed, which frees its room.
                let _ = ask.granted.send(());
            }
        }
    }

    /// Takes note of a call that returned messages of these sizes, and returns when its reply arrived if it had to wait.
    pub(crate) fn returned(
        &mut self,
        call: u64,
        sizes: impl IntoIterator<Item = usize>,
        now: Instant,
    ) -> Option<Instant> {
        let Reservation { attempt, arrived, .. } = self.close(call)?;
        let (mut count, mut largest) = (0, 0);
        for size in sizes {
            count += 1;
            largest = largest.max(size);
        }
        if count >= attempt.max {
            self.wanted = (self.wanted * 2).min(self.limit);
        } else if count == 0 {
            self.wanted = (self.wanted / 2).max(1);
        }
        if count > 0 {
            // Follows growth at once and forgets a large message slowly.
            self.estimate = largest.max(self.estimate - self.estimate / 10);
        }
        self.waits.reset();
        self.not_before = match &mut self.rests {
            Some(rests) if count == 0 => Some(now + rests.next()),
            Some(rests) => {
                rests.reset();
                None
            }
            None => None,
        };
        arrived
    }

    /// Takes note of a call that failed: one call goes on, after a wait.
    pub(crate) fn failed(&mut self, call: u64, kind: ErrorKind, now: Instant) {
        let Some(reservation) = self.close(call) else { return };
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
        let mut attempt = reservation.attempt;
        attempt.failures += 1;
        if attempt.failures <= REPEATS {
            self.unanswered.push(attempt);
        }
        // Those that ask for too many may wait long for their turn, and shall not keep others from theirs.
        if self.unanswered.len() > self.limit as usize {
            self.unanswered.remove(0);
        }
    }

    /// Returns how many calls are open whose reply has not come.
    pub(crate) fn unanswered_calls(&self) -> usize {
        let open = self.open.values();
        open.filter(|reservation| reservation.arrived.is_none()).count()
    }

    /// Returns how many calls are open.
    pub(crate) fn in_flight(&self) -> usize {
        self.open.len()
    }

    /// Whether something is to come of them: a call is open and does not wait for room, which others have to make, or
    /// the next one waits for its time.
    pub(crate) fn are_at_work(&self, now: Instant) -> bool {
        self.open.len() > self.asks.len() || self.not_before.is_some_and(|time| now < time)
    }

    /// Returns when the next call may be opened, while it is held back after a failure.
    pub(crate) fn held_back_until(&self) -> Option<Instant> {
        self.not_before
    }

    fn close(&mut self, call: u64) -> Option<Reservation> {
        let reservation = self.open.remove(&call)?;
        self.asks.retain(|ask| ask.call != call);
        self.reserved_messages -= reservation.attempt.max as usize;
        self.reserved_bytes -= reservation.bytes;
        Some(reservation)
    }

    /// Returns the place of the attempt that is to be repeated: as it was, so not while it would ask for too many.
    fn repeatable(&mut self, most: u32, now: Instant) -> Option<usize> {
        self.unanswered
            .retain(|attempt| now.duration_since(attempt.made) < ATTEMPT_LIFE);
        self.unanswered.iter().rposition(|attempt| attempt.max <= most)
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    const ROOMY: (usize, usize) = (1000, 64 << 20);

    fn open(receivers: &mut Receivers, now: Instant) -> Vec<u64> {
        let opened = std::iter::from_fn(|| receivers.open(10, now, ROOMY.0, ROOMY.1, 0));
        opened.map(|opened| opened.call).collect()
    }

    #[tokio::test]
    async fn calls_grow_while_they_come_back_full_and_shrink_to_one_when_idle() {
        let mut receivers = Receivers::new(4, 1000);
        let now = Instant::now();
        let mut calls = open(&mut receivers, now);
        assert_eq!(calls.len(), 1);
        for expected in [2, 4, 4] {
            receivers.returned(calls.remove(0), vec![100; 10], now);
            calls.extend(open(&mut receivers, now));
            assert_eq!(calls.len(), expected);
        }
        for call in calls {
            receivers.returned(call, [], now);
        }
        assert_eq!(open(&mut receivers, now).len(), 1);
    }

    #[tokio::test]
    async fn a_source_that_returns_at_once_is_asked_seldom_while_it_is_empty() {
        let mut receivers = Receivers::new(4, 1000).resting();
        let mut now = Instant::now();
        for calls in 0..20 {
            let opened = receivers.open(10, now, ROOMY.0, ROOMY.1, 0).expect("its time has come");
            receivers.returned(opened.call, [], now);
            assert!(receivers.open(10, now, ROOMY.0, ROOMY.1, 0).is_none(), "call {calls}");
            now = receivers.held_back_until().expect("it rests");
        }
        let opened = receivers.open(10, now, ROOMY.0, ROOMY.1, 0).expect("its time has come");
        receivers.returned(opened.call, [100], now);
        assert!(receivers.open(10, now, ROOMY.0, ROOMY.1, 1).is_some(), "there is more");
    }

    #[tokio::test]
    async fn a_call_that_waits_for_room_has_nothing_to_do() {
        let mut receivers = Receivers::new(4, 1000);
        let now = Instant::now();
        let opened = receivers.open(10, now, ROOMY.0, ROOMY.1, 0).expect("room");
        assert!(receivers.are_at_work(now));
        let (granted, _waits) = oneshot::channel();
        let ask = Ask {
            call: opened.call,
            bytes: 1 << 20,
            granted,
        };
        receivers.ask(ask, now);
        assert!(!receivers.are_at_work(now));
        receivers.failed(opened.call, ErrorKind::Timeout, now);
        assert!(receivers.are_at_work(now), "another comes after a while");
        let due = receivers.held_back_until().expect("a wait");
        assert!(!receivers.are_at_work(due), "there may be no room for it");
    }

    #[tokio::test]
    async fn no_call_is_opened_without_room_for_what_it_may_bring() {
        let mut receivers = Receivers::new(4, 1000);
        let now = Instant::now();
        let first = receivers.open(10, now, 20, 25_000, 0).expect("room");
        receivers.returned(first.call, vec![1000; 10], now);
        assert!(receivers.open(10, now, 9, 25_000, 991).is_none(), "too few slots");
        assert!(receivers.open(10, now, 990, 12_499, 10).is_none(), "too few bytes");
        assert!(receivers.open(10, now, 10, 12_500, 10).is_some());
        assert!(
            receivers.open(10, now, 10, 12_500, 10).is_none(),
            "the open call holds them"
        );
    }

    #[tokio::test]
    async fn a_message_larger_than_the_limit_passes_alone() {
        let mut receivers = Receivers::new(4, 1 << 20);
        assert!(receivers.open(10, Instant::now(), 1000, 1024, 0).is_some());
    }

    #[tokio::test]
    async fn the_estimate_follows_growth_at_once_and_shrinks_slowly() {
        let mut receivers = Receivers::new(1, 1000);
        let now = Instant::now();
        let call = receivers.open(10, now, 100, 1 << 20, 0).expect("room").call;
        receivers.returned(call, [10], now);
        assert_eq!(receivers.open(10, now, 100, 1 << 20, 0).expect("room").bytes, 11_250);
        let mut receivers = Receivers::new(1, 1000);
        let call = receivers.open(10, now, 100, 1 << 20, 0).expect("room").call;
        receivers.returned(call, [5000], now);
        assert_eq!(receivers.open(10, now, 100, 1 << 20, 0).expect("room").bytes, 62_500);
    }

    #[tokio::test]
    async fn a_name_that_fails_again_and_again_gives_way_to_another() {
        let mut receivers = Receivers::new(4, 1000);
        let mut now = Instant::now();
        let mut names = Vec::new();
        for _ in 0..6 {
            now += Duration::from_secs(15);
            let opened = receivers.open(10, now, ROOMY.0, ROOMY.1, 0).expect("room");
            receivers.failed(opened.call, ErrorKind::Unavailable, now);
            names.push(opened.attempt);
        }
        assert!(names[..4].iter().all(|name| *name == names[0]), "{names:?}");
        assert_ne!(names[4], names[0]);
        assert_eq!(names[5], names[4]);
    }

    #[tokio::test]
    async fn a_failed_call_is_repeated_under_its_name_after_a_wait() {
        let mut receivers = Receivers::new(4, 1000);
        let now = Instant::now();
        let first = receivers.open(10, now, ROOMY.0, ROOMY.1, 0).expect("room");
        receivers.failed(first.call, ErrorKind::OverLimit, now);
        let early = now + Duration::from_secs(4);
        assert!(receivers.open(10, early, ROOMY.0, ROOMY.1, 0).is_none());
        let later = now + Duration::from_secs(60);
        let again = receivers.open(10, later, ROOMY.0, ROOMY.1, 0).expect("room");
        assert_eq!(again.attempt, first.attempt);
        receivers.failed(again.call, ErrorKind::Unavailable, now + Duration::from_secs(61));
        let fresh = receivers
            .open(10, now + Duration::from_secs(400), ROOMY.0, ROOMY.1, 0)
            .expect("room");
        assert_ne!(fresh.attempt, first.attempt, "SQS has forgotten the old name by then");
    }

    #[tokio::test]
    async fn a_call_for_one_message_reserves_for_one_and_is_full_with_one() {
        let mut receivers = Receivers::new(4, 1000);
        let now = Instant::now();
        let first = receivers.open(1, now, 1, 1_250, 0).expect("room");
        assert_eq!((first.max, first.bytes), (1, 1_250));
        receivers.returned(first.call, [1000], now);
        let second = receivers.open(10, now, 11, 13_750, 1).expect("room");
        assert_eq!(second.max, 10);
        assert!(receivers.open(1, now, 10, 13_750, 1).is_none(), "too few slots");
        assert!(receivers.open(1, now, 11, 13_749, 1).is_none(), "too few bytes");
        let third = receivers.open(1, now, 11, 13_750, 1);
        assert!(third.is_some(), "the one that came made room for a second call");
        assert_eq!((receivers.reserved_messages, receivers.reserved_bytes), (11, 13_750));
        receivers.returned(second.call, [], now);
        receivers.failed(third.expect("open").call, ErrorKind::Timeout, now);
        assert_eq!((receivers.reserved_messages, receivers.reserved_bytes), (0, 0));
    }

    #[tokio::test]
    async fn an_attempt_is_repeated_as_it_was_and_not_while_calls_ask_for_less() {
        let mut receivers = Receivers::new(4, 1000);
        let now = Instant::now();
        let (later, last) = (now + Duration::from_secs(60), now + Duration::from_secs(120));
        let many = receivers.open(10, now, ROOMY.0, ROOMY.1, 0).expect("room");
        receivers.failed(many.call, ErrorKind::Timeout, now);
        let one = receivers.open(1, later, ROOMY.0, ROOMY.1, 0).expect("room");
        assert_ne!(one.attempt, many.attempt);
        receivers.failed(one.call, ErrorKind::Timeout, later);
        let again = receivers.open(10, last, ROOMY.0, ROOMY.1, 0).expect("room");
        assert_eq!((&again.attempt, again.max), (&one.attempt, 1));
        receivers.returned(again.call, [1000], now);
        let again = receivers.open(10, last, ROOMY.0, ROOMY.1, 0).expect("room");
        assert_eq!((&again.attempt, again.max), (&many.attempt, 10));
    }

    /// Three calls that reserved for small messages, of which the first two have large replies.
    fn switched_to_large(now: Instant) -> (Receivers, Vec<u64>, Vec<oneshot::Receiver<()>>) {
        let mut receivers = Receivers::new(4, 100);
        let first = receivers.open(10, now, 1000, 100_000, 0).expect("room").call;
        receivers.returned(first, [100; 10], now);
        let second = receivers.open(10, now, 1000, 100_000, 0).expect("room").call;
        receivers.returned(second, [100; 10], now);
        let calls: Vec<_> = std::iter::from_fn(|| receivers.open(10, now, 1000, 100_000, 0)).collect();
        let calls: Vec<_> = calls.iter().map(|opened| opened.call).collect();
        let asked = calls[..2].iter().map(|call| {
            let (granted, answer) = oneshot::channel();
            let ask = Ask {
                call: *call,
                bytes: 40_000,
                granted,
            };
            receivers.ask(ask, now);
            answer
        });
        let asked = asked.collect();
        (receivers, calls, asked)
    }

    #[tokio::test]
    async fn a_reply_larger_than_its_reservation_waits_for_room() {
        let now = Instant::now();
        let (mut receivers, calls, mut asked) = switched_to_large(now);
        receivers.let_in(100_000, 20);
        assert!(asked[0].try_recv().is_ok(), "there is room for one");
        assert!(asked[1].try_recv().is_err(), "and not for two");
        assert!(
            receivers.open(10, now, 1000, 100_000, 20).is_none(),
            "those that wait come first"
        );
        assert!(receivers.reserved_bytes <= 100_000);
        assert_eq!(
            receivers.returned(calls[0], [4_000; 10], now),
            Some(now),
            "the lease began before the wait"
        );
        receivers.let_in(100_000 - 40_000, 10);
        assert!(asked[1].try_recv().is_err(), "what the first brought is held");
        receivers.let_in(100_000, 0);
        assert!(asked[1].try_recv().is_ok());
    }

    #[tokio::test]
    async fn a_reply_larger_than_the_whole_limit_passes_when_nothing_is_held() {
        let now = Instant::now();
        let (mut receivers, calls, mut asked) = switched_to_large(now);
        receivers.let_in(10_000, 1);
        assert!(asked[0].try_recv().is_err());
        receivers.let_in(10_000, 0);
        assert!(asked[0].try_recv().is_ok(), "though other calls wait too");
        receivers.let_in(10_000, 0);
        assert!(asked[1].try_recv().is_err(), "one at a time");
        receivers.returned(calls[0], [4_000; 10], now);
        receivers.let_in(10_000, 0);
        assert!(asked[1].try_recv().is_ok());
    }

    #[tokio::test]
    async fn where_ten_do_not_fit_an_empty_table_asks_for_those_that_do_and_for_one_at_least() {
        let max = |free_bytes| {
            let mut receivers = Receivers::new(4, 1 << 20);
            let opened = receivers.open(10, Instant::now(), 1000, free_bytes, 0);
            opened.expect("nothing else is held").max
        };
        assert_eq!([1 << 20, 4 << 20, 64 << 20].map(max), [1, 3, 10]);
    }
}
