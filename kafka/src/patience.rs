//! How long to go on trying, and how long to wait between two tries.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// The waits between tries: they double from `first` to `longest`, with jitter, and together last no longer than `total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// The wait after the first failure.
    pub first: Duration,
    /// The longest wait.
    pub longest: Duration,
    /// The sum of the waits after which the last failure is final.
    pub total: Duration,
}

impl Patience {
    /// Returns waits from 100 ms to 5 s that together last `total`.
    pub const fn lasting(total: Duration) -> Self {
        Self {
            first: Duration::from_millis(100),
            longest: Duration::from_secs(5),
            total,
        }
    }

    /// Returns the waits, one after the other.
    pub fn waits(self) -> ExponentialBackoff {
        ExponentialBuilder::new()
            .with_min_delay(self.first)
            .with_max_delay(self.longest)
            .with_total_delay(Some(self.total))
            .without_max_times()
            .with_jitter()
            .build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_waits_end_with_the_patience() {
        let patience = Patience::lasting(Duration::from_secs(60));
        let waits: Vec<Duration> = patience.waits().collect();
        assert!(waits.iter().sum::<Duration>() <= patience.total, "{waits:?}");
        assert!(waits.len() > 10, "{waits:?}");
        assert!(waits.iter().all(|wait| *wait <= patience.longest * 2), "{waits:?}");
    }
}
