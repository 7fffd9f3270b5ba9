//! Runs a container's health check as docker does: every interval, in real time.
//!
//! A failure within the start period does not count unless a check has passed before. So many failures in a row as
//! `retries` says make the container unhealthy; one that passes makes it healthy.

use std::process::Stdio;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::spawner::{Program, Spawner};
use crate::model::ecs::HealthCheck;

/// Checks for as long as it is polled, and tells every verdict.
pub(super) async fn watch(
    spawner: &Spawner,
    check: &HealthCheck,
    environment: &[(String, String)],
    group: i32,
    tell: impl Fn(bool),
) {
    let started = Instant::now();
    let mut tally = Tally::default();
    loop {
        sleep(Duration::from_secs(u64::from(check.interval))).await;
        let passed = passes(spawner, check, environment, group).await;
        let in_start_period = started.elapsed() < Duration::from_secs(u64::from(check.start_period.unwrap_or(0)));
        if let Some(healthy) = tally.judge(passed, in_start_period, check.retries) {
            tell(healthy);
        }
    }
}

/// Runs the check once. What does not start, or takes too long, has failed.
async fn passes(spawner: &Spawner, check: &HealthCheck, environment: &[(String, String)], group: i32) -> bool {
    let command = match check.command.split_first() {
        Some((kind, [line])) if kind == "CMD-SHELL" => vec!["/bin/sh".to_owned(), "-c".to_owned(), line.clone()],
        Some((_, command)) => command.to_vec(),
        None => return false,
    };
    let output = [Stdio::null(), Stdio::null()];
    let Ok(mut child) = spawner
        .spawn(Program {
            command,
            environment,
            group,
            open_files: None,
            output,
        })
        .await
    else {
        return false;
    };
    // A check that is given up is killed as its handle is dropped.
    let limit = Duration::from_secs(u64::from(check.timeout));
    matches!(timeout(limit, child.wait()).await, Ok(Ok(status)) if status.success())
}

#[derive(Debug, Default)]
struct Tally {
    failures: u32,
    has_passed: bool,
}

impl Tally {
    /// Takes in one result; says what is known now, if anything.
    fn judge(&mut self, passed: bool, in_start_period: bool, retries: u32) -> Option<bool> {
        if passed {
            (self.failures, self.has_passed) = (0, true);
            return Some(true);
        }
        if in_start_period && !self.has_passed {
            return None;
        }
        self.failures += 1;
        (self.failures >= retries).then_some(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_count_after_the_start_period_and_in_a_row() {
        let mut tally = Tally::default();
        assert_eq!(tally.judge(false, true, 2), None);
        assert_eq!(tally.judge(false, true, 2), None);
        assert_eq!(tally.judge(false, false, 2), None);
        assert_eq!(tally.judge(true, false, 2), Some(true));
        assert_eq!(tally.judge(false, false, 2), None);
        assert_eq!(tally.judge(false, false, 2), Some(false));
        assert_eq!(tally.judge(true, false, 2), Some(true));
    }

    #[test]
    fn the_first_pass_ends_the_start_period() {
        let mut tally = Tally::default();
        assert_eq!(tally.judge(true, true, 1), Some(true));
        assert_eq!(tally.judge(false, true, 1), Some(false));
    }
}
