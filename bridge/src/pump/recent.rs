//! What was stored of late, so that a message which the source hands out once more is deleted and not sent again. Pure.
//!
//! A message is noted when the sink acknowledged it and never before: one whose first try failed is no duplicate.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;
use std::time::Duration;

use tokio::time::Instant;

use crate::source::Message;

/// The most messages that are remembered; the oldest is forgotten for the newest. About 7 MiB.
const MOST: usize = 65_536;

/// A message by its group and its place there; by its id where it has no place.
type Identity = (u64, u128);

/// The messages stored within the window.
#[derive(Debug)]
pub(crate) struct Recent {
    window: Duration,
    stored: HashMap<Identity, Instant>,
    order: VecDeque<(Instant, Identity)>,
    hashers: [RandomState; 2],
}

impl Recent {
    /// Remembers for as long as `window`, and nothing if that is zero.
    pub(crate) fn new(window: Duration) -> Self {
        Self {
            window,
            stored: HashMap::new(),
            order: VecDeque::new(),
            hashers: [RandomState::new(), RandomState::new()],
        }
    }

    /// Notes that the message was stored.
    pub(crate) fn remember(&mut self, message: &Message, now: Instant) {
        if self.window.is_zero() {
            return;
        }
        self.forget(now);
        if self.order.len() == MOST {
            self.forget_oldest();
        }
        let identity = self.identity(message);
        self.stored.insert(identity, now);
        self.order.push_back((now, identity));
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

    fn forget_oldest(&mut self) {
        let Some((stored, identity)) = self.order.pop_front() else {
            return;
        };
        // A message that was stored again later is remembered from then on.
        if self.stored.get(&identity) == Some(&stored) {
            self.stored.remove(&identity);
        }
    }

    fn identity(&self, message: &Message) -> Identity {
        let hash = |which: usize, text: &str| self.hashers[which].hash_one(text);
        match (&message.group, message.sequence) {
            (Some(group), Some(sequence)) => (hash(0, group), sequence),
            _ => {
                let id = u128::from(hash(0, &message.id)) << 64 | u128::from(hash(1, &message.id));
                (0, id)
            }
        }
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
    async fn the_same_place_in_another_group_is_another_message() {
        let mut recent = Recent::new(WINDOW);
        let now = Instant::now();
        recent.remember(&grouped(7, "a"), now);
        assert!(recent.holds(&grouped(7, "a"), now));
        assert!(!recent.holds(&grouped(7, "b"), now));
        assert!(!recent.holds(&grouped(8, "a"), now));
    }

    #[tokio::test]
    async fn it_never_remembers_more_than_its_limit() {
        let mut recent = Recent::new(WINDOW);
        let now = Instant::now();
        for n in 0..=u32::try_from(MOST).expect("small") {
            recent.remember(&message(n), now);
        }
        assert_eq!((recent.stored.len(), recent.order.len()), (MOST, MOST));
        assert!(!recent.holds(&message(0), now));
        assert!(recent.holds(&message(1), now));
    }

    #[tokio::test]
    async fn a_window_of_nothing_remembers_nothing() {
        let mut recent = Recent::new(Duration::ZERO);
        let now = Instant::now();
        recent.remember(&message(1), now);
        assert!(!recent.holds(&message(1), now));
    }
}
