//! One cloud, shared by the front, the agent and whoever looks in.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::model::{Cloud, Millis, Now};

/// The two clocks of a running cloud, which start together.
#[derive(Debug, Clone, Copy)]
pub struct Clocks {
    start: Millis,
    began: Instant,
    speed: f64,
}

impl Clocks {
    /// Returns clocks that show the present, the fast one running `speed` times as fast as real time.
    pub fn new(speed: f64) -> Self {
        Self {
            start: jiff::Timestamp::now().as_millisecond(),
            began: Instant::now(),
            speed,
        }
    }

    /// Reads both clocks.
    pub fn now(&self) -> Now {
        let elapsed = self.began.elapsed().as_secs_f64() * 1000.0;
        Now {
            real: self.start + elapsed as Millis,
            fast: self.start + (elapsed * self.speed) as Millis,
        }
    }
}

/// A handle on one cloud; clones share it.
#[derive(Debug, Clone)]
pub struct SharedCloud(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    cloud: Mutex<Cloud>,
    clocks: Clocks,
    changed: Notify,
}

impl SharedCloud {
    /// Shares `cloud`, which lives by `clocks`.
    pub fn new(cloud: Cloud, clocks: Clocks) -> Self {
        Self(Arc::new(Inner {
            cloud: Mutex::new(cloud),
            clocks,
            changed: Notify::new(),
        }))
    }

    /// Runs `act` on the cloud, alone. It must not block.
    pub fn with<R>(&self, act: impl FnOnce(&mut Cloud, Now) -> R) -> R {
        // A panic in one call is that call's failure; the model stays in use, as a service would.
        let mut cloud = self.0.cloud.lock().unwrap_or_else(PoisonError::into_inner);
        act(&mut cloud, self.0.clocks.now())
    }

    /// Reads both clocks.
    pub fn now(&self) -> Now {
        self.0.clocks.now()
    }

    /// Says that messages may have become visible.
    pub fn announce(&self) {
        self.0.changed.notify_waiters();
    }

    /// Returns what the next [`announce`](Self::announce) wakes.
    pub(super) fn changed(&self) -> &Notify {
        &self.0.changed
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Clocks;

    #[tokio::test(start_paused = true)]
    async fn only_the_fast_clock_runs_fast() {
        let clocks = Clocks::new(20.0);
        let before = clocks.now();
        tokio::time::advance(Duration::from_secs(3)).await;
        let after = clocks.now();
        assert_eq!((after.real - before.real, after.fast - before.fast), (3_000, 60_000));
    }
}
