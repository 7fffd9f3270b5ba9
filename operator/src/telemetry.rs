//! What the operator tells about itself: logs, metrics, and whether it lives and is ready.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use penstock_crds::{ConditionType, Health, Name, Status, Truth};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::cloud::Call;

mod connect;
mod progress;
mod server;

use connect::Connect;
pub use progress::{AWS, JOURNAL, Limits, PASSES, Progress};
pub use server::serve;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ConnectorLabel {
    connector: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InfoLabels {
    connector: String,
    uid: String,
    phase: String,
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

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabels {
    service: String,
    op: String,
}

/// What the operator counts; cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    passes: Counter,
    errors: Family<KindLabel, Counter>,
    seconds: Histogram,
    waited: Histogram,
    queue_depth: Gauge,
    active: Gauge,
    orphans: Gauge,
    refused: Gauge,
    leader: Gauge,
    drift: Family<ResourceLabel, Counter>,
    ready: Family<ConnectorLabel, Gauge>,
    health: Family<HealthLabels, Gauge>,
    desired: Family<ConnectorLabel, Gauge>,
    running: Family<ConnectorLabel, Gauge>,
    reported: Family<ConnectorLabel, Gauge<f64, AtomicU64>>,
    progressed: Family<ConnectorLabel, Gauge<f64, AtomicU64>>,
    calls: Family<CallLabels, Counter>,
    throttles: Counter,
    call_seconds: Family<OperationLabels, Histogram, fn() -> Histogram>,
    restarts: Family<ConnectorLabel, Counter>,
    info: Family<InfoLabels, Gauge>,
    /// The labels under which each connector stands in `info`, so that it stands there once.
    infos: Arc<Mutex<BTreeMap<Name, InfoLabels>>>,
    connect: Connect,
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
            waited: Histogram::new(exponential_buckets(0.005, 2.0, 16)),
            queue_depth: Gauge::default(),
            active: Gauge::default(),
            orphans: Gauge::default(),
            refused: Gauge::default(),
            leader: Gauge::default(),
            drift: Family::default(),
            ready: Family::default(),
            health: Family::default(),
            desired: Family::default(),
            running: Family::default(),
            reported: Family::default(),
            progressed: Family::default(),
            calls: Family::default(),
            throttles: Counter::default(),
            call_seconds: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.01, 2.0, 12))),
            restarts: Family::default(),
            info: Family::default(),
            infos: Arc::default(),
            connect: Connect::default(),
        };
        metrics.registry = Arc::new(metrics.registered());
        metrics
    }
}

impl Metrics {
    fn registered(&self) -> Registry {
        let mut all = Registry::default();
        self.connect.register(&mut all);
        let registry = all.sub_registry_with_prefix("penstock");
        registry.register("reconcile", "Passes made", self.passes.clone());
        registry.register("reconcile_errors", "Passes cut short, by step", self.errors.clone());
        registry.register("reconcile_duration_seconds", "Time a pass took", self.seconds.clone());
        let waited = "Time that a connector was due before its pass began";
        registry.register("reconcile_queue_duration_seconds", waited, self.waited.clone());
        registry.register(
            "reconcile_queue_depth",
            "Connectors that are due",
            self.queue_depth.clone(),
        );
        registry.register("reconcile_active", "Passes in hand", self.active.clone());
        let leader = "1 while this process is the one that writes state and status, and so makes passes";
        registry.register("reconcile_leader", leader, self.leader.clone());
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
        let info = "1 under the labels that tell of the connector";
        registry.register("connector_info", info, self.info.clone());
        let restarts = "Restarts that somebody asked for and a pass took up";
        registry.register("connector_restarts", restarts, self.restarts.clone());
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
        let progressed = "When a pass last saw the connector do its job: it was Ready";
        registry.register(
            "connector_last_progress_timestamp_seconds",
            progressed,
            self.progressed.clone(),
        );
        registry.register(
            "spec_records_refused",
            "Records of the spec topic that were refused since the start",
            self.refused.clone(),
        );
        registry.register("aws_requests", "Calls to AWS, by outcome", self.calls.clone());
        let seconds = "Time a call to AWS took, without the wait for its turn";
        registry.register("aws_request_duration_seconds", seconds, self.call_seconds.clone());
        registry.register("aws_throttles", "Calls that AWS throttled", self.throttles.clone());
        all
    }

    /// Counts the time that a connector was due before its pass began.
    pub fn pass_begun(&self, waited: f64) {
        self.waited.observe(waited);
    }

    /// Counts a restart that was taken up.
    pub fn restarted(&self, name: &Name) {
        let connector = ConnectorLabel {
            connector: name.to_string(),
        };
        self.restarts.get_or_create(&connector).inc();
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

    /// Keeps whether this process is the one writer of state and status.
    pub fn leads(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// Keeps the number of records that were refused.
    pub fn refused(&self, count: u64) {
        self.refused.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Counts a call to AWS, and the time that it took if it was made.
    pub fn called(&self, call: &Call) {
        let labels = CallLabels {
            service: call.service.to_owned(),
            op: call.operation.to_owned(),
            code: call.code.to_owned(),
        };
        self.calls.get_or_create(&labels).inc();
        if call.code == THROTTLED {
            self.throttles.inc();
        }
        if let Some(seconds) = call.seconds {
            let labels = OperationLabels {
                service: call.service.to_owned(),
                op: call.operation.to_owned(),
            };
            self.call_seconds.get_or_create(&labels).observe(seconds);
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
        self.inform(name, status);
        self.connect.observed(name, status);
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
        if ready {
            self.progressed.get_or_create(&connector()).set(seconds);
        }
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

    /// Keeps the labels that tell of the connector; those of its former phase or incarnation go.
    fn inform(&self, name: &Name, status: &Status) {
        let labels = InfoLabels {
            connector: name.to_string(),
            uid: status.uid.clone().unwrap_or_default(),
            phase: status.phase.map(|phase| format!("{phase:?}")).unwrap_or_default(),
        };
        let former = self.lock_infos().insert(name.clone(), labels.clone());
        if let Some(former) = former.filter(|former| *former != labels) {
            self.info.remove(&former);
        }
        self.info.get_or_create(&labels).set(1);
    }

    fn lock_infos(&self) -> MutexGuard<'_, BTreeMap<Name, InfoLabels>> {
        self.infos.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget(&self, name: &Name) {
        let connector = ConnectorLabel {
            connector: name.to_string(),
        };
        for family in [&self.ready, &self.desired, &self.running] {
            family.remove(&connector);
        }
        self.connect.forget(name);
        self.reported.remove(&connector);
        self.progressed.remove(&connector);
        self.restarts.remove(&connector);
        if let Some(labels) = self.lock_infos().remove(name) {
            self.info.remove(&labels);
        }
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
mod tests;
