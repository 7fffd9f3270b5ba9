//! The bridge's own figures, scraped all the time and held against each other.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::http;

/// Metrics by name, without what they begin with.
#[derive(Debug, Clone, PartialEq)]
pub struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    /// Reads the text format.
    pub fn parse(text: &str) -> Self {
        let samples = text.lines().filter_map(|line| {
            let (name, value) = line.strip_prefix("penstock_bridge_")?.rsplit_once(' ')?;
            let name = name.split_once('{').map_or(name, |(name, _)| name);
            Some((name.to_owned(), value.parse().ok()?))
        });
        Self(samples.collect())
    }

    /// Returns one value; one that is not there fails the test.
    ///
    /// # Panics
    /// When it is not there.
    pub fn get(&self, name: &str) -> f64 {
        *self
            .0
            .get(name)
            .unwrap_or_else(|| panic!("{name} is not in {:?}", self.0))
    }

    /// Returns what was received and not accounted for.
    pub fn unaccounted(&self) -> f64 {
        let accounted = [
            "records_out_total",
            "records_dlq_total",
            "records_deduplicated_total",
            "records_released_total",
            "inflight",
        ];
        // What is filtered is counted by bridges that filter.
        let filtered = self.0.get("records_filtered_total").copied().unwrap_or_default();
        self.get("records_in_total") - filtered - accounted.iter().map(|name| self.get(name)).sum::<f64>()
    }
}

/// Returns the metrics that the server at `port` has, while it answers.
pub async fn scrape(port: u16) -> Option<Metrics> {
    let (status, text) = http::get(&format!("http://127.0.0.1:{port}/metrics")).await.ok()?;
    (status == 200).then(|| Metrics::parse(&text))
}

/// Scrapes that go on until this is dropped, which fails the test when the figures of one did not add up.
#[derive(Debug)]
pub struct Audit {
    audited: Arc<Mutex<Audited>>,
    scraping: JoinHandle<()>,
}

/// What was seen in scrapes.
#[derive(Debug, Clone, Default)]
pub struct Audited {
    /// How many there were.
    pub scrapes: usize,
    /// How many found messages in flight.
    pub busy: usize,
    /// The most that was in flight.
    pub most_in_flight: f64,
    /// The first scrape in which not everything was accounted for.
    pub wrong: Option<Metrics>,
}

impl Audited {
    fn take(&mut self, metrics: Metrics) {
        self.scrapes += 1;
        self.busy += usize::from(metrics.get("inflight") > 0.0);
        self.most_in_flight = self.most_in_flight.max(metrics.get("inflight"));
        if metrics.unaccounted() != 0.0 {
            self.wrong.get_or_insert(metrics);
        }
    }
}

impl Audit {
    /// Begins to scrape the server at `port`, once in every `period`.
    pub fn begin(port: u16, period: Duration) -> Self {
        let audited = Arc::new(Mutex::new(Audited::default()));
        let seen = Arc::clone(&audited);
        let scraping = tokio::spawn(async move {
            let mut pause = tokio::time::interval(period);
            pause.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                pause.tick().await;
                if let Some(metrics) = scrape(port).await {
                    seen.lock().unwrap_or_else(PoisonError::into_inner).take(metrics);
                }
            }
        });
        Self { audited, scraping }
    }

    /// Returns what was seen so far.
    pub fn seen(&self) -> Audited {
        self.audited.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        self.scraping.abort();
        let wrong = self.seen().wrong;
        // A test that fails already says why.
        if !std::thread::panicking() {
            assert!(wrong.is_none(), "received is not what became of it: {wrong:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(received: u32, filtered: &str) -> Metrics {
        Metrics::parse(&format!(
            "# HELP x y\n\
             penstock_bridge_records_in_total{{connector=\"orders\"}} {received}\n\
             penstock_bridge_records_out_total{{connector=\"orders\"}} 4\n\
             penstock_bridge_records_dlq_total{{connector=\"orders\"}} 1\n\
             penstock_bridge_records_deduplicated_total{{connector=\"orders\"}} 2\n\
             penstock_bridge_records_released_total{{connector=\"orders\"}} 3\n\
             {filtered}penstock_bridge_inflight{{connector=\"orders\"}} 5\n"
        ))
    }

    #[test]
    fn what_was_received_is_held_against_what_became_of_it() {
        assert_eq!(metrics(15, "").unaccounted(), 0.0);
        assert_eq!(metrics(16, "").unaccounted(), 1.0);
        let filtered = "penstock_bridge_records_filtered_total{connector=\"orders\"} 1\n";
        assert_eq!(metrics(16, filtered).unaccounted(), 0.0);
    }

    #[tokio::test]
    async fn a_scrape_that_does_not_add_up_fails_the_test_at_the_end() {
        let audit = Audit::begin(1, Duration::from_secs(3600));
        audit.audited.lock().expect("nobody panicked").take(metrics(16, ""));
        let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(audit)));
        assert!(failed.is_err());
    }
}
