//! Waiting for a condition, never for a time.

use std::fmt::Display;
use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use crate::Error;

const PAUSE: Duration = Duration::from_millis(50);

/// Looks again and again until `look` returns `Ok`, and returns what it holds. Until then `look` returns `Err` with what it saw instead,
/// which becomes part of the error when `timeout` has passed. A look that hangs is cut off at the same moment.
pub async fn wait_until<T, Seen, Look, Looking>(what: &str, timeout: Duration, mut look: Look) -> Result<T, Error>
where
    Seen: Display,
    Look: FnMut() -> Looking,
    Looking: Future<Output = Result<T, Seen>>,
{
    let deadline = Instant::now() + timeout;
    let mut seen = "nothing, the first look did not return".to_owned();
    loop {
        match timeout_at(deadline, look()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(instead)) => seen = instead.to_string(),
            Err(_) => return Err(not_in_time(what, timeout, seen)),
        }
        if Instant::now() >= deadline {
            return Err(not_in_time(what, timeout, seen));
        }
        sleep(PAUSE).await;
    }
}

fn not_in_time(what: &str, timeout: Duration, seen: String) -> Error {
    Error::NotInTime {
        what: what.to_owned(),
        seconds: timeout.as_secs(),
        seen,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_value_of_the_first_good_look_is_returned() {
        let mut looks = 0;
        let value = wait_until("the third look", Duration::from_secs(60), || {
            looks += 1;
            std::future::ready(if looks == 3 {
                Ok(looks)
            } else {
                Err(format!("look {looks}"))
            })
        });
        assert_eq!(value.await.expect("the third look is good"), 3);
    }

    #[tokio::test]
    async fn a_timeout_says_what_was_awaited_and_last_seen() {
        let never = wait_until("the moon", Duration::ZERO, || {
            std::future::ready(Err::<(), _>("a cloud"))
        });
        let error = never.await.expect_err("it never comes");
        assert_eq!(error.to_string(), "waited 0 s for the moon; last seen: a cloud");
    }

    #[tokio::test]
    async fn a_look_that_hangs_is_cut_off() {
        let hung = wait_until(
            "an answer",
            Duration::from_millis(10),
            std::future::pending::<Result<(), String>>,
        );
        assert!(matches!(hung.await, Err(Error::NotInTime { .. })));
    }
}
