//! When receive calls ask for one message, so that the redrive policy takes poison out and leaves its neighbours. Pure:
//! the time is an argument.
//!
//! An ordered source hands out what it has of a group together, and counts every message that it hands out. A message that
//! is left to redrive would take what waits behind it along each time that it comes back, and their counts would reach the
//! policy's limit with its own. A call that asks for one message gets the first of a group alone. So calls ask for one from
//! the time on at which they could meet such a message, until the last of those came back that had been handed out for
//! nothing.
//!
//! What another consumer of the queue asks for is not known here, and neither is what an earlier process left to redrive.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// The most groups that are watched; the oldest is dropped for the newest.
const MOST: usize = 256;

/// How much longer than its own wait a call may be on its way before the source picks messages for it.
const MARGIN: Duration = Duration::from_secs(2);

/// How long after it could come a message may take to come, over the wait of the calls, while they bring nothing.
const QUIET: Duration = Duration::from_secs(5);

/// The same while calls bring messages of other groups, behind which it may stand.
const BUSY: Duration = Duration::from_secs(60);

/// The groups of which a message was left to redrive.
#[derive(Debug)]
pub(crate) struct Redrive {
    wait: Duration,
    watched: VecDeque<Watched>,
}

/// One such group.
#[derive(Debug)]
struct Watched {
    group: String,
    /// The last of its messages that was handed out for nothing.
    last: u128,
    /// Whether messages of it are held here, so that the source hands out no other.
    held: bool,
    /// The earliest time at which the next may come, once none is held.
    next: Instant,
}

impl Redrive {
    /// Watches over calls that wait that long for a message.
    pub(crate) fn new(wait: Duration) -> Self {
        Self {
            wait,
            watched: VecDeque::new(),
        }
    }

    /// Returns how long a message has to be hidden at least: calls for many that are open now shall be over before it
    /// comes back.
    pub(crate) fn shortest_hide(&self) -> Duration {
        self.wait + MARGIN
    }

    /// Takes note of a message that is left to redrive and of the last one of its group that goes back with it.
    pub(crate) fn left(&mut self, group: &str, last: Option<u128>, now: Instant) {
        let before = self.place(group).and_then(|place| self.watched.remove(place));
        if self.watched.len() == MOST {
            self.watched.pop_front();
        }
        self.watched.push_back(Watched {
            group: group.to_owned(),
            last: last.unwrap_or_default().max(before.map_or(0, |before| before.last)),
            held: true,
            next: now,
        });
    }

    /// Takes note that a message of the group was hidden until then.
    pub(crate) fn hidden(&mut self, group: &str, until: Instant) {
        if let Some(watched) = self.of(group) {
            watched.next = watched.next.max(until);
        }
    }

    /// Takes note that no message of the group is held any more.
    pub(crate) fn let_go(&mut self, group: &str, now: Instant) {
        if let Some(watched) = self.of(group) {
            watched.held = false;
            watched.next = watched.next.max(now);
        }
    }

    /// Takes note of a message of the group that came. What comes after the last one was never handed out before.
    pub(crate) fn received(&mut self, group: &str, sequence: Option<u128>, now: Instant) {
        let Some(place) = self.place(group) else { return };
        let watched = &mut self.watched[place];
        if sequence.is_none_or(|sequence| sequence >= watched.last) {
            self.watched.remove(place);
        } else {
            watched.held = true;
            watched.next = now;
        }
    }

    /// Takes note of a call that was answered, and forgets groups of which nothing came though it could have: the policy
    /// took the message out, or another consumer got it. What comes in the same answer is to be told first.
    pub(crate) fn answered(&mut self, is_empty: bool, now: Instant) {
        let patience = self.wait + if is_empty { QUIET } else { BUSY };
        self.watched
            .retain(|watched| watched.held || now < watched.next + patience);
    }

    /// Whether a call that is opened now is to ask for one message.
    pub(crate) fn asks_for_one(&self, now: Instant) -> bool {
        let over = now + self.wait + MARGIN;
        self.watched.iter().any(|watched| watched.held || over >= watched.next)
    }

    fn place(&self, group: &str) -> Option<usize> {
        self.watched.iter().position(|watched| watched.group == group)
    }

    fn of(&mut self, group: &str) -> Option<&mut Watched> {
        self.watched.iter_mut().find(|watched| watched.group == group)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_secs(20);
    const SECOND: Duration = Duration::from_secs(1);
    const MINUTE: Duration = Duration::from_secs(60);

    /// Message 2 of a group was left to redrive with those up to 5, and is hidden until the time that is returned.
    fn left(now: Instant) -> (Redrive, Instant) {
        let mut redrive = Redrive::new(WAIT);
        let until = now + 5 * MINUTE;
        redrive.left("g", Some(5), now);
        redrive.hidden("g", until);
        redrive.hidden("g", now);
        redrive.let_go("g", now);
        (redrive, until)
    }

    #[tokio::test]
    async fn calls_ask_for_one_from_before_the_message_may_come_and_not_earlier() {
        let now = Instant::now();
        let (redrive, until) = left(now);
        assert!(!redrive.asks_for_one(now));
        assert!(!redrive.asks_for_one(until - WAIT - MARGIN - SECOND));
        assert!(
            redrive.asks_for_one(until - WAIT - MARGIN),
            "this call may be open as it comes"
        );
    }

    #[tokio::test]
    async fn calls_ask_for_one_until_the_message_is_hidden() {
        let now = Instant::now();
        let mut redrive = Redrive::new(WAIT);
        redrive.left("g", Some(5), now);
        redrive.answered(true, now + 10 * MINUTE);
        assert!(
            redrive.asks_for_one(now + 10 * MINUTE),
            "hiding it may fail, and then it comes at once"
        );
    }

    #[tokio::test]
    async fn calls_ask_for_one_until_the_last_that_went_back_came_again() {
        let now = Instant::now();
        let (mut redrive, until) = left(now);
        // The policy took message 2 out.
        for sequence in [3, 4] {
            redrive.received("g", Some(sequence), until);
            redrive.answered(false, until + 10 * MINUTE);
            assert!(redrive.asks_for_one(until), "{sequence} is held");
            redrive.let_go("g", until);
            assert!(redrive.asks_for_one(until), "{sequence} is gone, and 5 may come");
        }
        redrive.received("other", Some(5), until);
        assert!(redrive.asks_for_one(until));
        redrive.received("g", Some(5), until);
        assert!(!redrive.asks_for_one(until));
    }

    #[tokio::test]
    async fn a_message_that_is_left_again_is_still_followed_by_what_went_back_before() {
        let now = Instant::now();
        let (mut redrive, until) = left(now);
        redrive.received("g", Some(2), until);
        // It came alone, so that it is the last of what is held.
        redrive.left("g", Some(2), until);
        redrive.let_go("g", until);
        assert_eq!((redrive.watched.len(), redrive.watched[0].last), (1, 5));
    }

    #[tokio::test]
    async fn a_group_of_which_nothing_comes_is_forgotten_once_calls_were_answered() {
        let now = Instant::now();
        let (mut redrive, until) = left(now);
        redrive.answered(true, until + WAIT);
        assert!(redrive.asks_for_one(until + 10 * MINUTE), "nobody has answered since");
        redrive.answered(true, until + WAIT + QUIET);
        assert!(!redrive.asks_for_one(until + WAIT + QUIET));
        let (mut redrive, until) = left(now);
        redrive.answered(false, until + WAIT + QUIET);
        assert!(redrive.asks_for_one(until), "it may stand behind other groups");
        redrive.answered(false, until + WAIT + BUSY);
        assert!(!redrive.asks_for_one(until + WAIT + BUSY));
    }

    #[tokio::test]
    async fn no_more_groups_are_watched_than_the_limit() {
        let now = Instant::now();
        let mut redrive = Redrive::new(WAIT);
        for n in 0..=MOST {
            redrive.left(&format!("group-{n}"), Some(1), now);
        }
        assert_eq!(redrive.watched.len(), MOST);
        assert!(redrive.of("group-0").is_none() && redrive.of("group-1").is_some());
    }
}
