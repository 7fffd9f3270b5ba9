//! What is said to the person, on stderr: never data, and nothing while a command is quick.

use std::future::Future;
use std::io::Write;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::output::harmless;

/// How long a step may take in silence.
const QUIET: Duration = Duration::from_secs(1);

/// Says one thing.
pub(crate) fn say(text: &str) {
    // Without a stderr there is nobody to talk to.
    let _ = writeln!(std::io::stderr(), "{}", harmless(text));
}

/// Does `work`, and says every few seconds that it is still at it once that takes longer than a second.
pub(crate) async fn patiently<T>(what: &str, work: impl Future<Output = T>) -> T {
    let started = Instant::now();
    let mut ticks = interval_at(started + QUIET, QUIET * 5);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tokio::pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            _ = ticks.tick() => say(&format!("{what} ... {} s", started.elapsed().as_secs())),
        }
    }
}

/// Lets the libraries log when `PENSTOCK_LOG` asks for it; errors reach people as errors.
pub(crate) fn init_logs() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("PENSTOCK_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("off"));
    // A second call finds a subscriber in place, which is as good.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_writer(std::io::stderr)
        .try_init();
}
