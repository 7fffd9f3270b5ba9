//! What the operator tells about itself: logs, metrics, and whether it lives and is ready.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use penstock_crds::{ConditionType, Health, Name, Status, Truth};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

mod progress;
mod server;

pub use progress::{AWS, JOURNAL, Limits, PASSES, Progress};
pub use server::serve;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ConnectorLabel {
    connector: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HealthLabels {
    connector: String,
    health: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResourceLabel {
    resource: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    service: String,
    op: String,
    code: String,
}

/// What the operator counts; cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    passes: Counter,
    errors: Family<KindLabel, Counter>,
    seconds: Histogram,
    queue_depth: Gauge,
    active: Gauge,
    orphans: Gauge,
    refused: Gauge,
    drift: Family<ResourceLabel, Counter>,
    ready: Family<ConnectorLabel, Gauge>,
    health: Family<HealthLabels, Gauge>,
    desired: Family<ConnectorLabel, Gauge>,
    running: Family<ConnectorLabel, Gauge>,
    reported: Family<ConnectorLabel, Gauge<f64, AtomicU64>>,
    calls: Family<CallLabels, Counter>,
    throttles: Counter,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Metrics")
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Arc::default(),
            passes: Counter::default(),
            errors: Family::default(),
            seconds: Histogram::new(exponential_buckets(0.005, 2.0, 14)),
            queue_depth: Gauge::default(),
            active: Gauge::default(),
            orphans: Gauge::default(),
            refused: Gauge::default(),
            drift: Family::default(),
            ready: Family::default(),
            health: Family::default(),
            desired: Family::default(),
            running: Family::default(),
            reported: Family::default(),
            calls: Family::default(),
            throttles: Counter::default(),
        };
        metrics.registry = Arc::new(metrics.registered());
        metrics
    }
}

impl Metrics {
    fn registered(&self) -> Registry {
        let mut registry = Registry::with_prefix("penstock");
        registry.register("reconcile", "Passes made", self.passes.clone());
        registry.register("reconcile_errors", "Passes cut short, by step", self.errors.clone());
        registry.register("reconcile_duration_seconds", "Time a pass took", self.seconds.clone());
        registry.register(
            "reconcile_queue_depth",
            "Connectors that are due",
            self.queue_depth.clone(),
        );
        registry.register("reconcile_active", "Passes in hand", self.active.clone());
        registry.register(
            "orphans",
            "Connectors with resources and without a document",
            self.orphans.clone(),
        );
        registry.register(
            "drift",
            "Fields found different from what is wanted",
            self.drift.clone(),
        );
        registry.register("connector_ready", "Whether the connector is Ready", self.ready.clone());
        registry.register(
            "connector_health",
            "1 for the connector's health word",
            self.health.clone(),
        );
        registry.register(
            "connector_desired_tasks",
            "Tasks that the service wants",
            self.desired.clone(),
        );
        registry.register("connector_running_tasks", "Tasks in RUNNING", self.running.clone());
        let reported = "When the last status was made";
        registry.register(
            "connector_last_status_timestamp_seconds",
            reported,
            self.reported.clone(),
        );
        registry.register(
            "spec_records_refused",
            "Records of the spec topic that were refused since the start",
            self.refused.clone(),
        );
        registry.register("aws_requests", "Calls to AWS, by outcome", self.calls.clone());
        registry.register("aws_throttles", "Calls that AWS throttled", self.throttles.clone());
        registry
    }

    /// Counts a pass and the time that it took.
    pub fn pass_made(&self, seconds: f64) {
        self.passes.inc();
        self.seconds.observe(seconds);
    }

    /// Counts a pass that was cut short; `kind` is a variant's name.
    pub fn pass_failed(&self, kind: &str) {
        self.errors.get_or_create(&KindLabel { kind: kind.to_owned() }).inc();
    }

    /// Keeps the depth of the work queue.
    pub fn queue(&self, due: usize, running: usize) {
        self.queue_depth.set(i64::try_from(due).unwrap_or(i64::MAX));
        self.active.set(i64::try_from(running).unwrap_or(i64::MAX));
    }

    /// Keeps the number of orphans.
    pub fn orphans(&self, count: usize) {
        self.orphans.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Keeps the number of records that were refused.
    pub fn refused(&self, count: u64) {
        self.refused.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Counts a call to AWS.
    pub fn called(&self, service: &str, op: &str, code: &str) {
        let labels = CallLabels {
            service: service.to_owned(),
            op: op.to_owned(),
            code: code.to_owned(),
        };
        self.calls.get_or_create(&labels).inc();
        if code == THROTTLED {
            self.throttles.inc();
        }
    }

    /// Keeps what a status says of its connector.
    pub fn observed(&self, name: &Name, status: &Status) {
        let connector = || ConnectorLabel {
            connector: name.to_string(),
        };
        if status.health == Health::Deleted {
            return self.forget(name);
        }
        let ready = status
            .conditions
            .iter()
            .any(|one| one.r#type == ConditionType::Ready && one.status == Truth::True);
        self.ready.get_or_create(&connector()).set(i64::from(ready));
        self.desired
            .get_or_create(&connector())
            .set(i64::from(status.tasks.desired));
        self.running
            .get_or_create(&connector())
            .set(i64::from(status.tasks.running));
        #[expect(
            clippy::cast_precision_loss,
            reason = "a time in milliseconds fits a double for 285,000 years"
        )]
        let seconds = status.time.as_millisecond() as f64 / 1000.0;
        self.reported.get_or_create(&connector()).set(seconds);
        for health in HEALTHS {
            let labels = HealthLabels {
                connector: name.to_string(),
                health: format!("{health:?}"),
            };
            self.health
                .get_or_create(&labels)
                .set(i64::from(health == status.health));
        }
        for difference in &status.differences {
            let resource = difference.resource.split(' ').next().unwrap_or_default().to_owned();
            self.drift.get_or_create(&ResourceLabel { resource }).inc();
        }
    }

    fn forget(&self, name: &Name) {
        let connector = ConnectorLabel {
            connector: name.to_string(),
        };
        for family in [&self.ready, &self.desired, &self.running] {
            family.remove(&connector);
        }
        self.reported.remove(&connector);
        for health in HEALTHS {
            self.health.remove(&HealthLabels {
                connector: name.to_string(),
                health: format!("{health:?}"),
            });
        }
    }

    /// Returns everything in the text format of OpenMetrics.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }
}

/// The code of a throttled call, as the cloud's error names its kind.
const THROTTLED: &str = "throttle";

const HEALTHS: [Health; 7] = [
    Health::Healthy,
    Health::Unhealthy,
    Health::Degraded,
    Health::Paused,
    Health::Stopped,
    Health::Restarting,
    Health::Unassigned,
];

/// Sends logs to standard output: JSON lines, or text on a terminal. `PENSTOCK_LOG` says what, as in `info,penstock=debug`.
pub fn init_logs() {
    use std::io::IsTerminal;
    let filter = tracing_subscriber::EnvFilter::try_from_env("PENSTOCK_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_target(false);
    // A second call finds a subscriber in place, which is as good.
    let _ = if std::io::stdout().is_terminal() {
        logs.try_init()
    } else {
        logs.json().try_init()
    };
}

/// Waits for SIGTERM or SIGINT.
pub async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).expect("a process may listen to SIGTERM");
    let mut interrupt = signal(SignalKind::interrupt()).expect("a process may listen to SIGINT");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::Error;

    #[test]
    fn throttled_calls_and_refused_records_are_told() {
        let metrics = Metrics::default();
        let throttled = Error::Throttle {
            operation: "CreateService".to_owned(),
        };
        metrics.called("ecs", "CreateService", throttled.kind());
        metrics.called("ecs", "CreateService", "ok");
        metrics.refused(3);
        let text = metrics.text();
        for line in ["penstock_aws_throttles_total 1", "penstock_spec_records_refused 3"] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
