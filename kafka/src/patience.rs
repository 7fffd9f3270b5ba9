//! How long to go on trying, and how long to wait between two tries.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::time::Instant;

/// The waits between tries: they double from `first` to `longest`, with jitter, and end with `total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// The wait after the first failure.
    pub first: Duration,
    /// The longest wait.
    pub longest: Duration,
    /// How long after the first try a failure is final, however long the tries themselves take.
    pub total: Duration,
}

impl Patience {
    /// Returns waits from 100 ms to 5 s that end after `total`.
    pub const fn lasting(total: Duration) -> Self {
        Self {
            first: Duration::from_millis(100),
            longest: Duration::from_secs(5),
            total,
        }
    }

    /// Returns the waits, one after the other. The time runs from now on.
    pub fn waits(self) -> Waits {
        let delays = ExponentialBuilder::new()
            .with_min_delay(self.first)
            .with_max_delay(self.longest)
            .without_max_times()
            .with_jitter();
        Waits {
            delays: delays.build(),
            began: Instant::now(),
            total: self.total,
        }
    }
}

/// Waits that have begun.
#[derive(Debug)]
pub struct Waits {
    delays: ExponentialBackoff,
    began: Instant,
    total: Duration,
}

impl Waits {
    /// Returns how much of the time is left.
    pub fn remaining(&self) -> Duration {
        self.total.saturating_sub(self.began.elapsed())
    }
}

impl Iterator for Waits {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let delay = self.delays.next()?;
        (delay <= self.remaining()).then_some(delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes tries that take that long each, and returns the waits between them.
    async fn waits_between(patience: Patience, tries: Duration) -> Vec<Duration> {
        let (waits, mut waited) = (patience.waits(), Vec::new());
        tokio::time::advance(tries).await;
        for wait in waits {
            tokio::time::advance(wait + tries).await;
            waited.push(wait);
        }
        waited
    }

    #[tokio::test(start_paused = true)]
    async fn the_waits_grow_and_end_with_the_patience() {
        let patience = Patience::lasting(Duration::from_secs(60));
        let waits = waits_between(patience, Duration::ZERO).await;
        assert!(waits.iter().sum::<Duration>() <= patience.total, "{waits:?}");
        assert!(waits.len() > 10, "{waits:?}");
        assert!(waits.iter().all(|wait| *wait <= patience.longest * 2), "{waits:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn tries_that_take_long_use_the_patience_up() {
        let patience = Patience::lasting(Duration::from_secs(60));
        let waits = waits_between(patience, Duration::from_secs(20)).await;
        assert_eq!(waits.len(), 2, "{waits:?}");
        let endless = Patience::lasting(Duration::MAX);
        assert!(endless.waits().next().is_some());
    }
}
