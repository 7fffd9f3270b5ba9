//! What the bridge tells about itself: its log, its metrics, and outages, each said once as it begins and once as it ends.

use std::collections::HashMap;
use std::fmt;
use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tokio::time::Instant;
use tracing_subscriber::EnvFilter;

/// Everything that is counted, at one moment. At every moment
/// `received = sent + dead_lettered + deduplicated + released + in_flight`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages handed out by the source, redeliveries included.
    pub received: u64,
    /// Messages stored in the topic.
    pub sent: u64,
    /// Messages stored in the dead-letter topic.
    pub dead_lettered: u64,
    /// Redeliveries of messages that were held already.
    pub deduplicated: u64,
    /// Messages given back to the source, unsent.
    pub released: u64,
    /// Messages held and not yet stored.
    pub in_flight: u64,
    /// Bytes held.
    pub buffered_bytes: u64,
    /// Messages stored and not yet deleted from the source.
    pub deletes_pending: u64,
    /// Messages deleted from the source.
    pub deleted: u64,
    /// Deletes that failed and were tried again.
    pub delete_failures: u64,
    /// Messages given up after their last retry for their own content.
    pub failed: u64,
    /// Retries of messages that were refused for their own content.
    pub retried: u64,
    /// Messages that neither topic takes, left to the queue's redrive policy.
    pub unplaced: u64,
    /// Leases that were made longer.
    pub leases_extended: u64,
    /// Leases that ran out or were void while the message was held.
    pub leases_lost: u64,
    /// For how many seconds the sink has owed an answer for the message that has waited longest for one.
    pub longest_owed: u64,
    /// Receive calls that returned.
    pub receives: u64,
    /// Calls to the source that were made: receive, delete, and hide (which extends and gives back).
    pub calls: [u64; 3],
    /// Calls to the source that failed.
    pub source_errors: u64,
    /// Tries that failed because the sink could not be used.
    pub sink_errors: u64,
    /// Milliseconds since 1970 of the last message that was stored; 0 before the first.
    pub last_success: u64,
}

/// The metrics of one process.
#[derive(Debug)]
pub struct Telemetry {
    registry: Registry,
    counts: Arc<Snapshot>,
    end_to_end: Histogram,
}

#[derive(Debug, Default)]
struct Snapshot(Mutex<Counts>);

impl Telemetry {
    /// Makes the metrics of the connector of that name.
    pub fn new(connector: &str) -> Self {
        let labels = [("connector".into(), connector.to_owned().into())];
        let mut registry = Registry::with_prefix_and_labels("penstock_bridge", labels.into_iter());
        let counts = Arc::new(Snapshot::default());
        registry.register_collector(Box::new(counts.clone()));
        let seconds = [
            0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0,
        ];
        let end_to_end = Histogram::new(seconds);
        let help = "Seconds from sending a message to the queue until Kafka acknowledged it";
        registry.register("end_to_end_seconds", help, end_to_end.clone());
        Self {
            registry,
            counts,
            end_to_end,
        }
    }

    /// Replaces what a scrape sees, all of it at once.
    pub fn publish(&self, counts: Counts) {
        *self.counts.0.lock().unwrap_or_else(PoisonError::into_inner) = counts;
    }

    /// Returns what a scrape sees.
    pub fn counts(&self) -> Counts {
        *self.counts.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes how long a message took from its sender to Kafka.
    pub fn took(&self, latency: Duration) {
        self.end_to_end.observe(latency.as_secs_f64());
    }

    /// Returns the metrics as Prometheus reads them.
    pub fn render(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let counts = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, help, value) in counters(&counts) {
            ConstCounter::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)?;
        }
        let help = "Calls made to the queue, answered or not; hide extends leases and gives messages back";
        let mut calls = encoder.encode_descriptor("source_calls", help, None, MetricType::Counter)?;
        for (operation, made) in ["receive", "delete", "hide"].iter().zip(counts.calls) {
            ConstCounter::new(made).encode(calls.encode_family(&[("operation", *operation)])?)?;
        }
        #[expect(
            clippy::cast_precision_loss,
            reason = "milliseconds since 1970 fit 53 bits for 285,000 years"
        )]
        let last_success = counts.last_success as f64 / 1000.0;
        for (name, help, value) in gauges(&counts) {
            let value = i64::try_from(value).unwrap_or(i64::MAX);
            ConstGauge::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
        }
        let help = "When Kafka last acknowledged a message, in seconds since 1970; 0 before the first";
        let descriptor = encoder.encode_descriptor("last_success_timestamp_seconds", help, None, MetricType::Gauge)?;
        ConstGauge::new(last_success).encode(descriptor)
    }
}

fn counters(counts: &Counts) -> [(&'static str, &'static str, u64); 15] {
    [
        (
            "records_in",
            "Messages handed out by the queue, redeliveries included",
            counts.received,
        ),
        (
            "records_out",
            "Messages that Kafka acknowledged in the topic",
            counts.sent,
        ),
        (
            "records_dlq",
            "Messages that Kafka acknowledged in the dead-letter topic",
            counts.dead_lettered,
        ),
        (
            "records_deduplicated",
            "Redeliveries of messages that were held already",
            counts.deduplicated,
        ),
        (
            "records_released",
            "Messages given back to the queue, unsent",
            counts.released,
        ),
        (
            "records_failed",
            "Messages given up after their last retry for their own content",
            counts.failed,
        ),
        (
            "records_retried",
            "Retries of messages refused for their own content",
            counts.retried,
        ),
        (
            "records_unplaced",
            "Messages that the dead-letter topic refused too, left to the queue",
            counts.unplaced,
        ),
        ("deletes", "Messages deleted from the queue", counts.deleted),
        (
            "delete_failures",
            "Deletes that failed and were tried again",
            counts.delete_failures,
        ),
        (
            "lease_extended",
            "Visibility timeouts that were made longer",
            counts.leases_extended,
        ),
        (
            "lease_lost",
            "Visibility timeouts that ran out while the message was held",
            counts.leases_lost,
        ),
        ("receives", "Receive calls that returned", counts.receives),
        ("source_errors", "Calls to the queue that failed", counts.source_errors),
        (
            "sink_errors",
            "Tries that failed because Kafka could not be used",
            counts.sink_errors,
        ),
    ]
}

fn gauges(counts: &Counts) -> [(&'static str, &'static str, u64); 4] {
    [
        (
            "inflight",
            "Messages held and not yet acknowledged by Kafka",
            counts.in_flight,
        ),
        ("buffered_bytes", "Bytes of the messages held", counts.buffered_bytes),
        (
            "deletes_pending",
            "Messages acknowledged by Kafka and not yet deleted",
            counts.deletes_pending,
        ),
        (
            "longest_unanswered_seconds",
            "For how long Kafka has answered nothing for the message that has waited longest",
            counts.longest_owed,
        ),
    ]
}

/// How long an outage that begins again goes unsaid: where one call in ten fails, each success would end one.
const FLICKERING: Duration = Duration::from_secs(10);

/// An outage, said once as it begins and once as it ends, however often the call in between fails.
#[derive(Debug)]
pub struct Outage {
    what: &'static str,
    since: Option<Instant>,
    /// The kinds that were said, and when.
    said: Vec<(String, Instant)>,
    /// Whether this one was said.
    is_said: bool,
}

impl Outage {
    /// Watches over what `what` says, such as "Receiving from the queue".
    pub fn new(what: &'static str) -> Self {
        Self {
            what,
            since: None,
            said: Vec::new(),
            is_said: false,
        }
    }

    /// Takes note of a failure of that kind; another kind during an outage is said too.
    pub fn failed(&mut self, kind: &str, error: &dyn fmt::Display, now: Instant) {
        if self.is_news(kind, now) {
            tracing::warn!(kind, %error, "{} fails; it is tried again until it works", self.what);
        }
    }

    /// Takes note of a success.
    pub fn worked(&mut self, now: Instant) {
        if let Some(seconds) = self.end(now) {
            tracing::info!(seconds, "{} works again", self.what);
        }
    }

    /// Whether the failure is to be said, which counts as saying it.
    fn is_news(&mut self, kind: &str, now: Instant) -> bool {
        let began = *self.since.get_or_insert(now);
        let said = self.said.iter().position(|(said, _)| said == kind);
        let is_news = said.is_none_or(|place| {
            let at = self.said[place].1;
            at < began && now.saturating_duration_since(at) >= FLICKERING
        });
        if is_news {
            self.said.retain(|(said, _)| said != kind);
            self.said.push((kind.to_owned(), now));
            self.is_said = true;
        }
        is_news
    }

    /// Ends the outage, and returns how many seconds it took if that is to be said.
    fn end(&mut self, now: Instant) -> Option<f64> {
        let began = self.since.take()?;
        let is_said = std::mem::take(&mut self.is_said);
        is_said.then(|| now.saturating_duration_since(began).as_secs_f64())
    }
}

/// Something that happens for single messages: the first is said, and then at most one every ten seconds.
#[derive(Debug, Default)]
pub struct Seldom {
    last: Option<Instant>,
    unsaid: u64,
}

impl Seldom {
    /// Returns how many went unsaid before this one, if this one is to be said.
    pub fn due(&mut self, now: Instant) -> Option<u64> {
        let quiet = self
            .last
            .is_some_and(|last| now.saturating_duration_since(last) < Duration::from_secs(10));
        if quiet {
            self.unsaid += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.unsaid))
    }
}

/// [`Seldom`] for each of a few kinds of things, so that a loud one does not drown another.
#[derive(Debug, Default)]
pub struct SeldomOfEach {
    kinds: HashMap<String, Seldom>,
}

impl SeldomOfEach {
    /// Returns whether this one is to be said.
    pub fn due(&mut self, kind: String, now: Instant) -> bool {
        self.kinds.entry(kind).or_default().due(now).is_some()
    }
}

/// Begins to log: JSON lines on standard output, or plain text on a terminal.
pub fn start_log(filter: &str) -> Result<(), String> {
    let filter =
        EnvFilter::try_new(filter).map_err(|error| format!("the log filter `{filter}` is not one: {error}"))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_target(false);
    let begun = if std::io::stdout().is_terminal() {
        builder.try_init()
    } else {
        builder
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .try_init()
    };
    begun.map_err(|error| format!("the log could not be started: {error}"))
}

/// Returns the milliseconds since 1970.
pub fn wall_clock() -> u64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "the edge where the clock is read: senders' times are wall-clock times"
    )]
    let now = std::time::SystemTime::now();
    now.duration_since(UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_carry_the_names_that_dashboards_use() {
        let telemetry = Telemetry::new("orders");
        telemetry.publish(Counts {
            received: 7,
            sent: 4,
            in_flight: 3,
            last_success: 1500,
            calls: [5, 2, 1],
            ..Counts::default()
        });
        telemetry.took(Duration::from_millis(20));
        let text = telemetry.render().expect("it renders");
        for line in [
            "penstock_bridge_records_in_total{connector=\"orders\"} 7",
            "penstock_bridge_records_out_total{connector=\"orders\"} 4",
            "penstock_bridge_records_failed_total{connector=\"orders\"} 0",
            "penstock_bridge_records_dlq_total{connector=\"orders\"} 0",
            "penstock_bridge_source_calls_total{connector=\"orders\",operation=\"delete\"} 2",
            "penstock_bridge_inflight{connector=\"orders\"} 3",
            "penstock_bridge_lease_lost_total{connector=\"orders\"} 0",
            "penstock_bridge_last_success_timestamp_seconds{connector=\"orders\"} 1.5",
            "penstock_bridge_end_to_end_seconds_count{connector=\"orders\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }

    #[tokio::test]
    async fn an_outage_is_said_as_it_begins_and_ends_and_one_that_flickers_seldom() {
        let mut outage = Outage::new("Sending");
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        assert!(outage.is_news("throttle", start));
        assert!(!outage.is_news("throttle", after(60)), "it is the same outage");
        assert!(outage.is_news("denied", after(61)), "of another kind");
        assert_eq!(outage.end(after(65)), Some(65.0));
        assert_eq!(outage.end(after(65)), None);
        for second in 66..71 {
            assert!(!outage.is_news("denied", after(second)));
            assert_eq!(outage.end(after(second)), None, "what nobody heard begin");
        }
        assert!(outage.is_news("denied", after(71)));
        assert_eq!(outage.end(after(72)), Some(1.0));
    }

    #[tokio::test]
    async fn what_happens_often_is_said_seldom() {
        let mut seldom = Seldom::default();
        let now = Instant::now();
        assert_eq!(seldom.due(now), Some(0));
        assert_eq!(seldom.due(now + Duration::from_secs(1)), None);
        assert_eq!(seldom.due(now + Duration::from_secs(11)), Some(1));
    }

    #[tokio::test]
    async fn what_is_said_of_one_kind_does_not_hide_another() {
        let mut seldom = SeldomOfEach::default();
        let now = Instant::now();
        assert!(seldom.due("disconnected".to_owned(), now));
        assert!(!seldom.due("disconnected".to_owned(), now));
        assert!(seldom.due("not resolved".to_owned(), now));
    }
}
