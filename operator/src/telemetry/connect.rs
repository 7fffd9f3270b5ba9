//! Two metrics under the names that Kafka Connect's have with Strimzi, so that the rules and dashboards which people bring
//! (`ConnectFailedConnector`, `ConnectFailedTask`) go on working.

use penstock_crds::{Health, Name, Status};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::{ConnectorLabel, HEALTHS};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabels {
    connector: String,
    status: &'static str,
}

/// The metrics; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Connect {
    status: Family<StatusLabels, Gauge>,
    failed_tasks: Family<ConnectorLabel, Gauge>,
}

impl Connect {
    pub(super) fn register(&self, registry: &mut Registry) {
        let status = "1 for the connector's state, in Kafka Connect's words";
        registry.register("kafka_connect_connector_status", status, self.status.clone());
        let failed = "Tasks of a connector that is not healthy which should run and do not";
        let name = "kafka_connect_worker_connector_failed_task_count";
        registry.register(name, failed, self.failed_tasks.clone());
    }

    pub(super) fn observed(&self, name: &Name, status: &Status) {
        let told = word(status.health);
        for labels in labels(name) {
            let holds = labels.status == told;
            self.status.get_or_create(&labels).set(i64::from(holds));
        }
        let is_short = matches!(status.health, Health::Unhealthy | Health::Degraded);
        let missing = i64::from(status.tasks.desired) - i64::from(status.tasks.running);
        let failed = if is_short { missing.max(0) } else { 0 };
        self.failed_tasks.get_or_create(&connector(name)).set(failed);
    }

    pub(super) fn forget(&self, name: &Name) {
        for labels in labels(name) {
            self.status.remove(&labels);
        }
        self.failed_tasks.remove(&connector(name));
    }
}

fn connector(name: &Name) -> ConnectorLabel {
    ConnectorLabel {
        connector: name.to_string(),
    }
}

fn labels(name: &Name) -> impl Iterator<Item = StatusLabels> {
    let mut words = HEALTHS.map(word).to_vec();
    words.sort_unstable();
    words.dedup();
    words.into_iter().map(|status| StatusLabels {
        connector: name.to_string(),
        status,
    })
}

/// A connector of which some tasks run is running for Kafka Connect, which counts failures by task.
fn word(health: Health) -> &'static str {
    match health {
        Health::Healthy | Health::Degraded => "running",
        Health::Unhealthy => "failed",
        Health::Paused => "paused",
        Health::Stopped => "stopped",
        Health::Restarting => "restarting",
        Health::Unassigned | Health::Deleted => "unassigned",
    }
}
