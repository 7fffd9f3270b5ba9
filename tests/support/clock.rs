//! The wall clock, which the parts on this machine share.

use std::time::{SystemTime, UNIX_EPOCH};

/// Returns the milliseconds since 1970, as brokers stamp records with them.
pub fn now() -> i64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "the edge where the clock is read: a broker stamps records by the same clock"
    )]
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
