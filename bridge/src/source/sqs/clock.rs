//! The time that signatures carry.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// AWS takes signatures that are five minutes off; a clock that is less off than this is not what it complains of.
const TOLERATED: Duration = Duration::from_secs(4 * 60);

/// This machine's clock, set right by what the service says.
pub(super) struct Clock {
    read: Box<dyn Fn() -> SystemTime + Send + Sync>,
    /// Milliseconds to add.
    offset: AtomicI64,
}

impl Clock {
    /// Returns this machine's clock.
    #[expect(
        clippy::disallowed_methods,
        reason = "a signature carries the time of day; this is where it is read"
    )]
    pub(super) fn system() -> Self {
        Self::reading(SystemTime::now)
    }

    /// Returns a clock that reads the time like this.
    pub(super) fn reading(read: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self {
            read: Box::new(read),
            offset: AtomicI64::new(0),
        }
    }

    /// Returns the time.
    pub(super) fn now(&self) -> SystemTime {
        moved((self.read)(), self.offset.load(Ordering::Relaxed))
    }

    /// Goes by the service's clock from now on, if that is so far from ours that it refuses our signatures. Returns
    /// whether it is.
    pub(super) fn learn(&self, theirs: SystemTime) -> bool {
        let off = millis(theirs) - millis(self.now());
        if off.unsigned_abs() < u64::try_from(TOLERATED.as_millis()).unwrap_or(u64::MAX) {
            return false;
        }
        let offset = millis(theirs) - millis((self.read)());
        self.offset.store(offset, Ordering::Relaxed);
        true
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Clock").field("offset", &self.offset).finish()
    }
}

fn millis(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn moved(time: SystemTime, by: i64) -> SystemTime {
    let length = Duration::from_millis(by.unsigned_abs());
    let moved = if by < 0 {
        time.checked_sub(length)
    } else {
        time.checked_add(length)
    };
    moved.unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_clock_that_is_far_off_goes_by_the_services_and_one_that_is_near_by_its_own() {
        let clock = Clock::reading(|| at(1_000_000));
        assert!(!clock.learn(at(1_000_100)));
        assert_eq!(clock.now(), at(1_000_000));
        assert!(clock.learn(at(1_000_900)));
        assert_eq!(clock.now(), at(1_000_900));
        assert!(clock.learn(at(900_000)), "it may be set once more");
        assert_eq!(clock.now(), at(900_000));
    }
}
