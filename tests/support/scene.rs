//! A scene: a stage whose operator keeps the example's connector, and what somebody does there behind its back.

use std::collections::BTreeMap;
use std::time::Duration;

use penstock_crds::{ConditionType, Status, Truth};
use serde_json::{Value, json};

use crate::process::Process;
use crate::stage::{Settings, Stage, lay};
use crate::story::{CONNECTOR, condition};
use crate::{Error, http, wait_until};

/// How long anything on a scene may take.
pub const TURN: Duration = Duration::from_secs(120);

/// Settings of a stage whose tasks move no message and whose operator looks again every second.
pub fn idle_tasks() -> Settings {
    Settings {
        speed: 120,
        program: "penstock-hog",
        resync: "1s",
        ..Settings::default()
    }
}

/// A stage with its operator.
pub struct Scene {
    /// The stage.
    pub stage: Stage,
    /// The operator.
    pub operator: Process,
}

impl Scene {
    /// Sets the stage and starts the operator.
    pub async fn set(settings: Settings) -> Result<Self, Error> {
        Self::on(Stage::set(settings).await?).await
    }

    /// Starts the operator of a stage.
    pub async fn on(stage: Stage) -> Result<Self, Error> {
        let operator = stage.operator().await?;
        Ok(Self { stage, operator })
    }

    /// Returns the example's connector, one that stays awake for as long as a test lasts.
    pub fn orders(&self) -> Result<Value, Error> {
        let mut documents = self.stage.documents()?;
        let (_, mut orders) = documents.pop().unwrap_or_default();
        lay(
            &mut orders,
            json!({"spec": {"scaling": {"cooldowns": {"sleep": "1h"}}}}),
        );
        Ok(orders)
    }

    /// Returns the example's profile.
    pub fn profile(&self) -> Result<Value, Error> {
        Ok(self.stage.documents()?.swap_remove(0).1)
    }

    /// Writes the profile and the connector, and waits until it has settled.
    pub async fn begin(&self) -> Result<Status, Error> {
        self.stage.write("Profile/default", Some(&self.profile()?)).await?;
        let generation = self.stage.write("Connector/orders", Some(&self.orders()?)).await?;
        self.settled(CONNECTOR, generation).await
    }

    /// Waits until the document of that generation is accepted, tasks run, and nothing is in motion or different.
    pub async fn settled(&self, name: &str, generation: i64) -> Result<Status, Error> {
        let settled = |status: &Status| {
            status.accepted_generation == Some(generation)
                && condition(status, ConditionType::Synced) == Truth::True
                && condition(status, ConditionType::Ready) == Truth::True
                && condition(status, ConditionType::Progressing) == Truth::False
                && status.differences.is_empty()
        };
        self.stage
            .status_when(name, "the connector to settle", TURN, settled)
            .await
    }

    /// Asks for something by the connector's TargetState.
    pub async fn ask(&self, spec: Value) -> Result<i64, Error> {
        let document = json!({
            "apiVersion": "penstock.dev/v1", "kind": "TargetState", "metadata": {"name": CONNECTOR}, "spec": spec,
        });
        self.stage.write("TargetState/orders", Some(&document)).await
    }

    /// Waits until the latest status passes `judge`.
    pub async fn status_when(&self, what: &str, judge: impl Fn(&Status) -> bool) -> Result<Status, Error> {
        self.stage.status_when(CONNECTOR, what, TURN, judge).await
    }

    /// Returns how many status records there are: what comes later is news.
    pub async fn mark(&self) -> Result<usize, Error> {
        Ok(self.stage.statuses(CONNECTOR).await?.len())
    }

    /// Waits for a status record behind `mark` that passes `judge`.
    pub async fn told_since(&self, mark: usize, what: &str, judge: impl Fn(&Status) -> bool) -> Result<Status, Error> {
        wait_until(what, TURN, || async {
            let statuses = self
                .stage
                .statuses(CONNECTOR)
                .await
                .map_err(|error| error.to_string())?;
            let news = statuses.get(mark..).unwrap_or_default();
            let found = news.iter().find(|status| judge(status)).cloned();
            found.ok_or_else(|| serde_json::to_string(news).unwrap_or_default())
        })
        .await
    }

    /// Kills the operator, as a machine that fails does, and starts another.
    pub async fn replace_operator(&mut self) -> Result<(), Error> {
        self.operator.kill().await?;
        self.operator = self.stage.operator().await?;
        Ok(())
    }

    /// Returns what the operator counts.
    pub async fn metrics(&self) -> Result<Metrics, Error> {
        let (_, text) = http::get(&format!("http://127.0.0.1:{}/metrics", self.stage.operator_port)).await?;
        Ok(Metrics::read(&text))
    }

    /// Waits until the operator has made so many more passes.
    pub async fn passes(&self, more: u32) -> Result<(), Error> {
        let first = self.metrics().await?.passes();
        wait_until("more passes", TURN, || async {
            let made = self.metrics().await.map_err(|error| error.to_string())?.passes() - first;
            if made >= f64::from(more) {
                Ok(())
            } else {
                Err(format!("{made} passes"))
            }
        })
        .await
    }
}

/// What an operator counted since it started.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    fn read(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let samples = lines.filter_map(|line| line.rsplit_once(' '));
        Self(
            samples
                .filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)))
                .collect(),
        )
    }

    /// Returns how many passes were made.
    pub fn passes(&self) -> f64 {
        self.sum("penstock_reconcile_total")
    }

    /// Returns how many passes were cut short at a step.
    pub fn failures(&self, kind: &str) -> f64 {
        self.sum(&format!("penstock_reconcile_errors_total{{kind=\"{kind}\""))
    }

    /// Returns whether the operator says that it is the one writer.
    pub fn leads(&self) -> bool {
        self.0.get("penstock_reconcile_leader") == Some(&1.0)
    }

    /// Returns when a pass last saw the connector do its job, in seconds since 1970; nothing if none has.
    pub fn last_progress(&self, connector: &str) -> Option<f64> {
        let name = format!("penstock_connector_last_progress_timestamp_seconds{{connector=\"{connector}\"}}");
        self.0.get(&name).copied()
    }

    /// Returns how often an operation was called.
    pub fn calls(&self, operation: &str) -> f64 {
        let of_operation = |name: &&String| name.contains(&format!("op=\"{operation}\""));
        self.calls_by(of_operation)
    }

    /// Returns how many calls were made that may change something.
    pub fn writes(&self) -> f64 {
        let reads = ["Describe", "List", "Get"].map(|verb| format!("op=\"{verb}"));
        self.calls_by(|name: &&String| !reads.iter().any(|read| name.contains(read)))
    }

    fn calls_by(&self, judge: impl Fn(&&String) -> bool) -> f64 {
        let calls = self
            .0
            .iter()
            .filter(|(name, _)| name.starts_with("penstock_aws_requests_total"));
        calls.filter(|(name, _)| judge(name)).map(|(_, value)| value).sum()
    }

    fn sum(&self, prefix: &str) -> f64 {
        self.0
            .iter()
            .filter(|(name, _)| name.starts_with(prefix))
            .map(|(_, value)| value)
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::Metrics;

    #[test]
    fn calls_that_change_something_are_told_from_reads() {
        let text = "# TYPE penstock_aws_requests counter\n\
            penstock_aws_requests_total{service=\"ecs\",op=\"DescribeServices\",code=\"OK\"} 7\n\
            penstock_aws_requests_total{service=\"ecs\",op=\"UpdateService\",code=\"OK\"} 2\n\
            penstock_aws_requests_total{service=\"ecs\",op=\"UpdateService\",code=\"Wait\"} 1\n\
            penstock_reconcile_total 12\n";
        let metrics = Metrics::read(text);
        assert_eq!(
            (metrics.writes(), metrics.calls("UpdateService"), metrics.passes()),
            (3.0, 3.0, 12.0)
        );
    }
}
