//! What was stored of late, so that a message which the source hands out once more is deleted and not sent again. Pure.
//!
//! A message is noted when the sink acknowledged it and never before: one whose first try failed is no duplicate.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;
use std::time::Duration;

use tokio::time::Instant;

use crate::source::Message;

/// The most messages that are remembered; the oldest is forgotten for the newest. About 6 MiB.
const MOST: usize = 65_536;

/// A message by its id, which every delivery of it bears. Its place in a group would not do: a queue that is made again
/// may count from the beginning, and what is new there would be deleted unsent.
type Identity = u128;

/// The messages stored within the window.
#[derive(Debug)]
pub(crate) struct Recent {
    window: Duration,
    stored: HashMap<Identity, Instant>,
    order: VecDeque<(Instant, Identity)>,
    hashers: [RandomState; 2],
    falls_short: bool,
}

impl Recent {
    /// Remembers for as long as `window`, and nothing if that is zero.
    pub(crate) fn new(window: Duration) -> Self {
        Self {
            window,
            stored: HashMap::new(),
            order: VecDeque::new(),
            hashers: [RandomState::new(), RandomState::new()],
            falls_short: false,
        }
    }

    /// Notes that the message was stored. Returns, the first time that one is forgotten before its time, how long that one
    /// was remembered.
    pub(crate) fn remember(&mut self, message: &Message, now: Instant) -> Option<Duration> {
        if self.window.is_zero() {
            return None;
        }
        self.forget(now);
        let forgotten = if self.order.len() == MOST {
            self.forget_oldest()
        } else {
            None
        };
        let identity = self.identity(message);
        self.stored.insert(identity, now);
        self.order.push_back((now, identity));
        let shortfall = forgotten.filter(|_| !self.falls_short)?;
        self.falls_short = true;
        Some(now.duration_since(shortfall))
    }

    /// Whether the message was stored within the window.
    pub(crate) fn holds(&mut self, message: &Message, now: Instant) -> bool {
        if self.window.is_zero() {
            return false;
        }
        self.forget(now);
        self.stored.contains_key(&self.identity(message))
    }

    fn forget(&mut self, now: Instant) {
        while let Some((stored, _)) = self.order.front()
            && now.duration_since(*stored) >= self.window
        {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) -> Option<Instant> {
        let (stored, identity) = self.order.pop_front()?;
        // A message that was stored again later is remembered from then on.
        if self.stored.get(&identity) == Some(&stored) {
            self.stored.remove(&identity);
        }
        Some(stored)
    }

    fn identity(&self, message: &Message) -> Identity {
        let [high, low] = [0, 1].map(|which: usize| u128::from(self.hashers[which].hash_one(&message.id)));
        high << 64 | low
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pump::fake::{grouped, message};

    const WINDOW: Duration = Duration::from_secs(300);

    #[tokio::test]
    async fn a_stored_message_is_known_until_the_window_is_over() {
        let mut recent = Recent::new(WINDOW);
        let now = Instant::now();
        assert!(!recent.holds(&message(1), now));
        recent.remember(&message(1), now);
        assert!(recent.holds(&message(1), now + WINDOW / 2));
        assert!(!recent.holds(&message(2), now));
        assert!(!recent.holds(&message(1), now + WINDOW));
        assert!(recent.stored.is_empty() && recent.order.is_empty());
    }

    #[tokio::test]
    async fn it_never_remembers_more_than_its_limit() {
        let mut recent = Recent::new(WINDOW);
        let now = Instant::now();
        let most = u32::try_from(MOST).expect("small");
        for n in 0..most {
            assert_eq!(recent.remember(&message(n), now), None);
        }
        let second = Duration::from_secs(1);
        assert_eq!(recent.remember(&message(most), now + second), Some(second), "told once");
        assert_eq!(recent.remember(&message(most + 1), now + second), None);
        assert_eq!((recent.stored.len(), recent.order.len()), (MOST, MOST));
        assert!(!recent.holds(&message(1), now));
        assert!(recent.holds(&message(2), now));
    }

    #[tokio::test]
    async fn the_same_place_in_a_queue_that_was_made_again_is_another_message() {
        let mut recent = Recent::new(WINDOW);
        let now = Instant::now();
        let of_the_former = Message {
            id: "of the former queue".to_owned(),
            ..grouped(7, "a")
        };
        recent.remember(&of_the_former, now);
        assert!(recent.holds(&of_the_former, now));
        assert!(!recent.holds(&grouped(7, "a"), now));
    }

    #[tokio::test]
    async fn a_window_of_nothing_remembers_nothing() {
        let mut recent = Recent::new(Duration::ZERO);
        let now = Instant::now();
        recent.remember(&message(1), now);
        assert!(!recent.holds(&message(1), now));
    }
}
