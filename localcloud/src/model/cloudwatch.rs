//! CloudWatch: metrics per minute, metric math, alarms and their history.
//!
//! It lives on the fast clock. What it does not do it refuses by the member's name: percentiles and other extended
//! statistics, periods below a minute, anomaly detection, composite alarms, PromQL and Metrics Insights, other accounts'
//! metrics, pages of `GetMetricData`, and alarm actions that are no topics of the same account and region.
//! Delays are left out: data can be read, and a metric be listed, as soon as it was put.

mod alarm;
mod alarms;
mod data;
mod expression;
mod function;
mod history;
mod judge;
mod math;
mod notice;
mod query;
mod reason;
mod store;
pub(super) mod wire;

pub use alarm::{Alarm, Comparison, Settings};
pub use alarms::arn;
pub use judge::{Missing, State};
pub use notice::Notice;
pub use query::{Metric, MetricDataQuery, MetricStat, Queries, QueryError};
pub use store::{Dimension, MINUTE, MetricKey, Samples, Statistic, Window};

use super::tick::Reported;
use super::{Answer, Call, Fault, Millis, Scope};

/// The metrics and alarms of one account and region.
#[derive(Debug, Default)]
pub struct CloudWatch {
    /// How far the cloud's own services have reported.
    pub reported: Reported,
    metrics: store::MetricStore,
    alarms: alarms::Alarms,
}

/// What Application Auto Scaling does to the alarms of its policies.
#[derive(Debug, Clone, PartialEq)]
pub enum AlarmChange {
    /// Creates or overwrites one.
    Put(Box<Settings>),
    /// Deletes the one of this name.
    Delete(String),
}

impl CloudWatch {
    /// Answers one call.
    ///
    /// # Errors
    /// As the API does, and for what is not modelled, by name.
    pub fn handle(&mut self, call: &Call<'_>) -> Answer {
        match call.operation {
            "PutMetricData" => data::put(&mut self.metrics, call),
            "GetMetricData" => data::data(&self.metrics, call.input),
            "GetMetricStatistics" => data::statistics(&self.metrics, call.input),
            "ListMetrics" => data::list(&self.metrics, call),
            _ => self
                .alarms
                .handle(call)
                .unwrap_or_else(|| Err(call.unknown_operation())),
        }
    }

    /// Stores what a service of the cloud reports about itself; beyond the store's limit, new metrics are dropped.
    pub fn report(&mut self, key: &MetricKey, unit: &str, at: Millis, samples: Samples) {
        // A full store refuses publishers by name; a service of the cloud has nobody to tell.
        let _full = self.metrics.put(key, unit, at, samples);
    }

    /// Evaluates every alarm at the end of a minute, and drops data that is too old to matter.
    pub fn close_minute(&mut self, scope: &Scope, end: Millis) {
        self.metrics.forget_before(end - store::RETENTION);
        self.alarms.evaluate(&self.metrics, scope, end);
    }

    /// Returns the alarm of this name.
    pub fn alarm(&self, name: &str) -> Option<&Alarm> {
        self.alarms.get(name)
    }

    /// Returns the value that an alarm sees in the period that ends at `end`, if there is one.
    pub fn latest_value(&self, alarm: &Alarm, end: Millis) -> Option<f64> {
        let window = Window::ending(end, alarm.queries.period() * 1_000, 1);
        alarm.queries.series(&self.metrics, window).into_iter().flatten().next()
    }

    /// Does what Application Auto Scaling wants done to its alarms.
    ///
    /// # Errors
    /// When a setting is not sound; the changes before it are made.
    pub fn apply(&mut self, changes: Vec<AlarmChange>, scope: &Scope, now: Millis) -> Result<(), Fault> {
        for change in changes {
            match change {
                AlarmChange::Put(settings) => self.alarms.install(*settings, scope, now)?,
                AlarmChange::Delete(name) => self.alarms.remove(&name, now),
            }
        }
        Ok(())
    }

    /// Returns the messages that changes of state have brought forth since the last call.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        self.alarms.take_notices()
    }

    /// Notes in the history how the publishing of a notice went.
    pub fn noted(&mut self, notice: &Notice, outcome: Result<&str, &str>, now: Millis) {
        self.alarms.noted(notice, outcome, now);
    }
}

#[cfg(test)]
mod tests;
