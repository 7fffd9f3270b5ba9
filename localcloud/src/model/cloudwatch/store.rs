//! Metrics as the model keeps them: for every minute the count, sum, minimum and maximum of what was published.
//!
//! Raw values are not kept, so percentiles and other extended statistics cannot be answered and are refused elsewhere.
//! Data points live for [`RETENTION`] of the fast clock (AWS keeps one-minute points for 15 days and coarser ones longer).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::Millis;

/// The finest resolution: a minute, as for every metric without `StorageResolution` 1.
pub const MINUTE: Millis = 60_000;
/// How long a data point can be read: a week of evaluation periods, and the extra points that an alarm reaches back for.
pub(super) const RETENTION: Millis = 10 * 24 * 60 * MINUTE;
/// How many metrics one region holds; a publisher that makes up a new dimension value per message is refused, not fed.
pub(super) const METRICS_LIMIT: usize = 20_000;

/// One name and value that tells metrics of the same name apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Dimension {
    /// Such as `QueueName`.
    pub name: String,
    /// Such as `orders`.
    pub value: String,
}

/// What identifies a metric: two metrics that differ in one dimension have nothing in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MetricKey {
    /// Such as `AWS/SQS`.
    pub namespace: String,
    /// Such as `ApproximateNumberOfMessagesVisible`.
    pub name: String,
    /// Sorted, since their order carries no meaning.
    pub dimensions: Vec<Dimension>,
}

impl MetricKey {
    /// Returns the key of a metric; the dimensions may come in any order.
    pub fn new(namespace: &str, name: &str, mut dimensions: Vec<Dimension>) -> Self {
        dimensions.sort();
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            dimensions,
        }
    }

    /// Returns the key of a metric whose dimensions are written out.
    pub fn of(namespace: &str, name: &str, dimensions: &[(&str, &str)]) -> Self {
        let dimension = |(name, value): &(&str, &str)| Dimension {
            name: (*name).to_owned(),
            value: (*value).to_owned(),
        };
        Self::new(namespace, name, dimensions.iter().map(dimension).collect())
    }
}

/// What is known of the values that fell into one minute or period.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Samples {
    /// How many values.
    pub count: f64,
    /// Their sum.
    pub sum: f64,
    /// The least of them.
    pub minimum: f64,
    /// The greatest of them.
    pub maximum: f64,
}

impl Samples {
    /// Returns the samples of one value.
    pub fn one(value: f64) -> Self {
        Self::repeated(value, 1.0)
    }

    /// Returns the samples of one value that occurred `count` times.
    pub fn repeated(value: f64, count: f64) -> Self {
        Self {
            count,
            sum: value * count,
            minimum: value,
            maximum: value,
        }
    }

    /// Returns the samples of these values together, or nothing if there are none.
    pub fn all(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        values.into_iter().map(Self::one).reduce(Self::merge)
    }

    /// Returns both together.
    pub fn merge(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            sum: self.sum + other.sum,
            minimum: self.minimum.min(other.minimum),
            maximum: self.maximum.max(other.maximum),
        }
    }

    /// Returns one statistic of the samples.
    pub fn statistic(&self, statistic: Statistic) -> f64 {
        match statistic {
            Statistic::Average => self.sum / self.count,
            Statistic::Sum => self.sum,
            Statistic::Minimum => self.minimum,
            Statistic::Maximum => self.maximum,
            Statistic::SampleCount => self.count,
        }
    }
}

/// The statistics that minimum, maximum, sum and count can answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Statistic {
    /// Sum over count.
    Average,
    /// All values added.
    Sum,
    /// The least value.
    Minimum,
    /// The greatest value.
    Maximum,
    /// How many values.
    SampleCount,
}

impl Statistic {
    /// Returns the statistic of this name; percentiles and trimmed means have none here.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "Average" => Some(Self::Average),
            "Sum" => Some(Self::Sum),
            "Minimum" => Some(Self::Minimum),
            "Maximum" => Some(Self::Maximum),
            "SampleCount" => Some(Self::SampleCount),
            _ => None,
        }
    }

    /// Returns the name that the API uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Average => "Average",
            Self::Sum => "Sum",
            Self::Minimum => "Minimum",
            Self::Maximum => "Maximum",
            Self::SampleCount => "SampleCount",
        }
    }
}

/// A row of periods to read: `count` of them, the first beginning at `start`, which is a whole minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// When the first period begins.
    pub start: Millis,
    /// How long each is: a whole number of minutes.
    pub period: Millis,
    /// How many there are.
    pub count: usize,
}

impl Window {
    /// Returns the window of the last `count` periods up to `end`.
    pub fn ending(end: Millis, period: Millis, count: usize) -> Self {
        let length = period.saturating_mul(i64::try_from(count).unwrap_or(i64::MAX));
        Self {
            start: end.saturating_sub(length),
            period,
            count,
        }
    }

    /// Returns when period `index` begins.
    pub fn begin(&self, index: usize) -> Millis {
        self.start
            .saturating_add(self.period.saturating_mul(i64::try_from(index).unwrap_or(i64::MAX)))
    }

    /// Returns when the last period ends.
    pub fn end(&self) -> Millis {
        self.begin(self.count)
    }
}

/// The store refused a new metric because it holds [`METRICS_LIMIT`] of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the model holds at most {METRICS_LIMIT} metrics per region")]
pub struct Full;

type Minutes = BTreeMap<i64, Samples>;

/// All metrics of one account and region.
#[derive(Debug, Default)]
pub struct MetricStore {
    metrics: BTreeMap<MetricKey, BTreeMap<String, Minutes>>,
}

impl MetricStore {
    /// Adds samples to the minute of `at`; values of different units are kept apart.
    ///
    /// # Errors
    /// When the metric is new and the store is full.
    pub fn put(&mut self, key: &MetricKey, unit: &str, at: Millis, samples: Samples) -> Result<(), Full> {
        if !self.metrics.contains_key(key) && self.metrics.len() >= METRICS_LIMIT {
            return Err(Full);
        }
        let minutes = self
            .metrics
            .entry(key.clone())
            .or_default()
            .entry(unit.to_owned())
            .or_default();
        minutes
            .entry(minute_of(at))
            .and_modify(|known| *known = known.merge(samples))
            .or_insert(samples);
        Ok(())
    }

    /// Returns the samples of every period in the window; a period without data is missing, not zero.
    /// Without a unit, all units are read together.
    pub fn read(&self, key: &MetricKey, unit: Option<&str>, window: Window) -> Vec<Option<Samples>> {
        let mut periods: Vec<Option<Samples>> = vec![None; window.count];
        let (first, end) = (minute_of(window.start), minute_of(window.end()));
        let width = (window.period / MINUTE).max(1);
        for (_, minutes) in self
            .units(key)
            .filter(|(name, _)| unit.is_none_or(|unit| unit == *name))
        {
            for (minute, samples) in minutes.range(first..end) {
                let index = usize::try_from((minute - first) / width).unwrap_or(usize::MAX);
                if let Some(period) = periods.get_mut(index) {
                    *period = Some(period.map_or(*samples, |known| known.merge(*samples)));
                }
            }
        }
        periods
    }

    /// Returns the units that the metric was published with.
    pub fn units(&self, key: &MetricKey) -> impl Iterator<Item = (&str, &BTreeMap<i64, Samples>)> {
        self.metrics
            .get(key)
            .into_iter()
            .flatten()
            .map(|(unit, minutes)| (unit.as_str(), minutes))
    }

    /// Returns every metric with the beginning of its newest minute, in order.
    pub fn newest(&self) -> impl Iterator<Item = (&MetricKey, Millis)> {
        self.metrics.iter().filter_map(|(key, units)| {
            let newest = units.values().filter_map(|minutes| minutes.keys().next_back()).max()?;
            Some((key, newest * MINUTE))
        })
    }

    /// Drops what is older than `limit`, and the metrics that have nothing left.
    pub fn forget_before(&mut self, limit: Millis) {
        let first = minute_of(limit);
        for units in self.metrics.values_mut() {
            for minutes in units.values_mut() {
                while minutes.first_key_value().is_some_and(|(minute, _)| *minute < first) {
                    minutes.pop_first();
                }
            }
            units.retain(|_, minutes| !minutes.is_empty());
        }
        self.metrics.retain(|_, units| !units.is_empty());
    }
}

fn minute_of(at: Millis) -> i64 {
    at.div_euclid(MINUTE)
}

#[cfg(test)]
mod tests {
    use super::{Full, METRICS_LIMIT, MINUTE, MetricKey, MetricStore, Samples, Statistic, Window};

    fn key() -> MetricKey {
        MetricKey::of("App", "Depth", &[("Queue", "orders")])
    }

    #[test]
    fn values_of_one_minute_are_kept_as_one_sample_set() {
        let mut store = MetricStore::default();
        for value in [4.0, 2.0, 9.0] {
            store
                .put(&key(), "Count", MINUTE + 5, Samples::one(value))
                .expect("there is room");
        }
        let read = store.read(
            &key(),
            None,
            Window {
                start: 0,
                period: MINUTE,
                count: 3,
            },
        );
        let samples = read[1].expect("minute 1 has data");
        let of = |statistic| samples.statistic(statistic);
        assert_eq!((read[0], read[2]), (None, None));
        assert_eq!(
            (
                of(Statistic::Average),
                of(Statistic::Sum),
                of(Statistic::Minimum),
                of(Statistic::Maximum)
            ),
            (5.0, 15.0, 2.0, 9.0)
        );
        assert_eq!(of(Statistic::SampleCount), 3.0);
    }

    #[test]
    fn a_longer_period_gathers_its_minutes() {
        let mut store = MetricStore::default();
        for minute in 0..10 {
            store
                .put(&key(), "Count", minute * MINUTE, Samples::one(1.0))
                .expect("there is room");
        }
        let read = store.read(
            &key(),
            None,
            Window {
                start: 2 * MINUTE,
                period: 5 * MINUTE,
                count: 2,
            },
        );
        let sums: Vec<_> = read.iter().map(|samples| samples.map(|samples| samples.sum)).collect();
        assert_eq!(sums, [Some(5.0), Some(3.0)]);
    }

    #[test]
    fn units_are_kept_apart_and_read_together_when_none_is_named() {
        let mut store = MetricStore::default();
        store.put(&key(), "Count", 0, Samples::one(1.0)).expect("there is room");
        store
            .put(&key(), "Seconds", 0, Samples::one(5.0))
            .expect("there is room");
        let window = Window {
            start: 0,
            period: MINUTE,
            count: 1,
        };
        let sum = |unit| store.read(&key(), unit, window)[0].map(|samples| samples.sum);
        assert_eq!(
            (sum(Some("Count")), sum(Some("Bytes")), sum(None)),
            (Some(1.0), None, Some(6.0))
        );
    }

    #[test]
    fn another_dimension_value_is_another_metric() {
        let mut store = MetricStore::default();
        store.put(&key(), "Count", 0, Samples::one(1.0)).expect("there is room");
        let other = MetricKey::of("App", "Depth", &[("Queue", "orderz")]);
        assert_eq!(
            store.read(
                &other,
                None,
                Window {
                    start: 0,
                    period: MINUTE,
                    count: 1
                }
            ),
            [None]
        );
    }

    #[test]
    fn old_points_and_empty_metrics_are_forgotten() {
        let mut store = MetricStore::default();
        store.put(&key(), "Count", 0, Samples::one(1.0)).expect("there is room");
        store.forget_before(MINUTE);
        assert_eq!(store.newest().count(), 0);
    }

    #[test]
    fn a_new_metric_is_refused_when_the_store_is_full() {
        let mut store = MetricStore::default();
        for number in 0..METRICS_LIMIT {
            let key = MetricKey::of("App", &number.to_string(), &[]);
            store.put(&key, "None", 0, Samples::one(1.0)).expect("there is room");
        }
        assert_eq!(store.put(&key(), "None", 0, Samples::one(1.0)), Err(Full));
    }
}
