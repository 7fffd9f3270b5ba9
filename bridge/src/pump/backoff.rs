//! The waits between tries: doubled each time, with jitter, up to a limit.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// Returns the wait before try number `tries` (from 1): at least `first` doubled for each try before, capped at `most`,
/// and up to twice that.
pub(crate) fn delay(first: Duration, most: Duration, tries: u32) -> Duration {
    let doublings = tries.saturating_sub(1).min(20);
    let base = first.saturating_mul(1 << doublings).min(most);
    build(base.max(Duration::from_millis(1)), most).next().unwrap_or(most)
}

/// The waits of one series of tries.
#[derive(Debug)]
pub(crate) struct Series {
    first: Duration,
    most: Duration,
    waits: Option<ExponentialBackoff>,
}

impl Series {
    /// Makes a series from `first` to `most`, before jitter.
    pub(crate) fn new(first: Duration, most: Duration) -> Self {
        Self {
            first,
            most,
            waits: None,
        }
    }

    /// Returns the next wait.
    pub(crate) fn next(&mut self) -> Duration {
        let waits = self.waits.get_or_insert_with(|| build(self.first, self.most));
        waits.next().unwrap_or(self.most)
    }

    /// Begins anew after a success.
    pub(crate) fn reset(&mut self) {
        self.waits = None;
    }
}

fn build(first: Duration, most: Duration) -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(first)
        .with_max_delay(most)
        .with_factor(2.0)
        .with_jitter()
        .without_max_times()
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_millis(100);
    const MOST: Duration = Duration::from_secs(2);

    #[test]
    fn waits_double_up_to_the_limit_with_jitter() {
        for (tries, least) in [(1, 100), (2, 200), (3, 400), (9, 2000), (4_000_000, 2000)] {
            let wait = delay(FIRST, MOST, tries);
            let least = Duration::from_millis(least);
            assert!(wait >= least && wait <= least * 2, "{tries}: {wait:?}");
        }
    }

    #[test]
    fn a_series_begins_anew_after_a_success() {
        let mut series = Series::new(FIRST, MOST);
        let waits: Vec<_> = (0..8).map(|_| series.next()).collect();
        assert!(waits[7] >= MOST, "{waits:?}");
        series.reset();
        assert!(series.next() <= FIRST * 2);
    }
}
