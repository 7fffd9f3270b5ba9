//! Putting and getting metric data.
//!
//! Times are those of the fast clock: a publisher that leaves `Timestamp` out is stamped with it, one that sends its own
//! clock's time must keep to it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::alarm::invalid;
use super::math::Value as Outcome;
use super::query::{MetricDataQuery, Queries};
use super::store::{Dimension, MINUTE, MetricKey, MetricStore, RETENTION, Samples, Statistic, Window};
use super::wire::{members, millis, page, read, seconds};
use crate::model::{Answer, Call, Fault, Millis};

/// "Values must be in the range of -2^360 to 2^360."
const VALUE_LIMIT: f64 = 2.348_542_582_773_834e108;
/// "Up to 150 unique values" in one `Values` array.
const VALUES_LIMIT: usize = 150;
/// "No more than 1000 different metrics" in one request.
const DATA_LIMIT: usize = 1_000;
/// "As much as 2 hours after the current day and time."
const FUTURE_LIMIT: Millis = 2 * 60 * MINUTE;
/// How many data points one `GetMetricStatistics` returns.
const STATISTICS_LIMIT: usize = 1_440;
/// How many queries one `GetMetricData` takes.
const QUERIES_LIMIT: usize = 500;
/// How many data points one `GetMetricData` returns; more would need pages, which are not modelled.
const POINTS_LIMIT: usize = 100_800;
/// How many metrics a page of `ListMetrics` has.
const LIST_PAGE: usize = 500;
/// What `RecentlyActive` means: three hours.
const RECENT: Millis = 180 * MINUTE;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Put {
    namespace: String,
    #[serde(default)]
    metric_data: Vec<Datum>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Datum {
    metric_name: String,
    #[serde(default)]
    dimensions: Vec<Dimension>,
    timestamp: Option<f64>,
    value: Option<f64>,
    values: Option<Vec<f64>>,
    counts: Option<Vec<f64>>,
    statistic_values: Option<StatisticSet>,
    unit: Option<String>,
    storage_resolution: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct StatisticSet {
    sample_count: f64,
    sum: f64,
    minimum: f64,
    maximum: f64,
}

/// Answers `PutMetricData`.
///
/// # Errors
/// Names the datum and what is wrong with it; then nothing of the request is stored.
pub(super) fn put(store: &mut MetricStore, call: &Call<'_>) -> Answer {
    let request: Put = read(call.input, "InvalidParameterValueException")?;
    if request.namespace.starts_with("AWS/") {
        return Err(refused("The value AWS/ for parameter Namespace is invalid."));
    }
    if request.metric_data.len() > DATA_LIMIT {
        return Err(refused(format!("MetricData: at most {DATA_LIMIT} entries")));
    }
    let mut accepted = Vec::new();
    for (index, datum) in request.metric_data.into_iter().enumerate() {
        let at = timestamp(&datum, index, call.now.fast)?;
        let samples = samples(&datum, index)?;
        if datum.storage_resolution.is_some_and(|resolution| resolution != 60) {
            return Err(refused(format!(
                "MetricData[{index}].StorageResolution: only 60 is modelled here"
            )));
        }
        let key = MetricKey::new(&request.namespace, &datum.metric_name, datum.dimensions);
        accepted.push((key, datum.unit.unwrap_or_else(|| "None".to_owned()), at, samples));
    }
    for (key, unit, at, samples) in accepted {
        store
            .put(&key, &unit, at, samples)
            .map_err(|full| refused(format!("MetricData: {full}")))?;
    }
    Ok(json!({}))
}

fn timestamp(datum: &Datum, index: usize, now: Millis) -> Result<Millis, Fault> {
    let at = datum.timestamp.map_or(now, millis);
    if at > now + FUTURE_LIMIT {
        return Err(refused(format!(
            "MetricData[{index}].Timestamp must specify a time no more than 2 hours in the future"
        )));
    }
    if at < now - RETENTION {
        let days = RETENTION / MINUTE / 60 / 24;
        return Err(refused(format!(
            "MetricData[{index}].Timestamp: the model keeps data for {days} days of its clock only"
        )));
    }
    Ok(at)
}

fn samples(datum: &Datum, index: usize) -> Result<Samples, Fault> {
    let samples = match (datum.value, &datum.values, &datum.statistic_values) {
        (Some(value), None, None) => Samples::one(value),
        (None, Some(values), None) => many(values, datum.counts.as_deref(), index)?,
        (None, None, Some(set)) => {
            if set.sample_count <= 0.0 || set.minimum > set.maximum {
                return Err(refused(format!(
                    "MetricData[{index}].StatisticValues contradict each other"
                )));
            }
            Samples {
                count: set.sample_count,
                sum: set.sum,
                minimum: set.minimum,
                maximum: set.maximum,
            }
        }
        _ => {
            let message = format!("MetricData[{index}]: exactly one of Value, Values and StatisticValues is required");
            return Err(Fault::client("InvalidParameterCombinationException", message));
        }
    };
    let is_sound = |number: f64| number.is_finite() && number.abs() <= VALUE_LIMIT;
    if ![samples.count, samples.sum, samples.minimum, samples.maximum]
        .into_iter()
        .all(is_sound)
    {
        return Err(refused(format!(
            "MetricData[{index}]: values must be numbers between -2^360 and 2^360"
        )));
    }
    Ok(samples)
}

fn many(values: &[f64], counts: Option<&[f64]>, index: usize) -> Result<Samples, Fault> {
    if values.is_empty() || values.len() > VALUES_LIMIT {
        return Err(refused(format!(
            "MetricData[{index}].Values must have between 1 and {VALUES_LIMIT} entries"
        )));
    }
    if counts.is_some_and(|counts| counts.len() != values.len() || counts.iter().any(|count| *count <= 0.0)) {
        return Err(refused(format!(
            "MetricData[{index}].Counts must have one number above 0 for each of Values"
        )));
    }
    let count = |index: usize| counts.and_then(|counts| counts.get(index).copied()).unwrap_or(1.0);
    let samples = values
        .iter()
        .enumerate()
        .map(|(index, value)| Samples::repeated(*value, count(index)));
    samples
        .reduce(Samples::merge)
        .ok_or_else(|| refused(format!("MetricData[{index}].Values is empty")))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Statistics {
    namespace: String,
    metric_name: String,
    #[serde(default)]
    dimensions: Vec<Dimension>,
    start_time: f64,
    end_time: f64,
    period: i64,
    #[serde(default)]
    statistics: Vec<Statistic>,
    unit: Option<String>,
}

/// Answers `GetMetricStatistics`: every unit's data points by themselves, from the oldest to the newest.
///
/// # Errors
/// Names the parameter and what is wrong with it.
pub(super) fn statistics(store: &MetricStore, input: &Value) -> Answer {
    let wanted: Statistics = read(input, "InvalidParameterValueException")?;
    if wanted.statistics.is_empty() {
        let message = "The parameter Statistics is required (ExtendedStatistics are not modelled here)";
        return Err(Fault::client("MissingRequiredParameterException", message));
    }
    let window = window(wanted.start_time, wanted.end_time, wanted.period, 1)?;
    if window.count > STATISTICS_LIMIT {
        let message = format!(
            "You have requested up to {} datapoints, which exceeds the limit of {STATISTICS_LIMIT:?}.",
            window.count
        );
        return Err(Fault::client("InvalidParameterCombinationException", message));
    }
    let key = MetricKey::new(&wanted.namespace, &wanted.metric_name, wanted.dimensions.clone());
    let units = store
        .units(&key)
        .map(|(unit, _)| unit)
        .filter(|unit| wanted.unit.as_deref().is_none_or(|name| name == *unit));
    let mut points = BTreeMap::new();
    for unit in units {
        for (index, samples) in store.read(&key, Some(unit), window).into_iter().enumerate() {
            points.extend(samples.map(|samples| {
                (
                    (index, unit),
                    datapoint(window.begin(index), unit, samples, &wanted.statistics),
                )
            }));
        }
    }
    Ok(json!({"Label": wanted.metric_name, "Datapoints": points.into_values().collect::<Vec<_>>()}))
}

fn datapoint(at: Millis, unit: &str, samples: Samples, statistics: &[Statistic]) -> Value {
    let mut point = json!({"Timestamp": seconds(at), "Unit": unit});
    if let Some(members) = point.as_object_mut() {
        members.extend(
            statistics
                .iter()
                .map(|name| (name.name().to_owned(), json!(samples.statistic(*name)))),
        );
    }
    point
}

/// Returns the window from `start`, rounded down to a multiple of `align` seconds and a whole minute, up to `end`.
fn window(start: f64, end: f64, period: i64, align: i64) -> Result<Window, Fault> {
    if start >= end {
        return Err(refused(
            "The parameter StartTime must be less than the parameter EndTime.",
        ));
    }
    if period < 60 || period % 60 != 0 {
        return Err(refused(
            "The parameter Period must be a multiple of 60 (shorter periods are not modelled here)",
        ));
    }
    let step = MINUTE.max(align.saturating_mul(1_000));
    let start = millis(start).div_euclid(step) * step;
    let period = period * 1_000;
    let count = usize::try_from((millis(end) - start + period - 1).div_euclid(period)).unwrap_or_default();
    Ok(Window { start, period, count })
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Data {
    metric_data_queries: Vec<MetricDataQuery>,
    start_time: f64,
    end_time: f64,
    scan_by: Option<String>,
}

/// Answers `GetMetricData`, the newest point first unless `ScanBy` says otherwise.
///
/// # Errors
/// Names the query and what is wrong with it.
pub(super) fn data(store: &MetricStore, input: &Value) -> Answer {
    let wanted: Data = read(input, "ValidationError")?;
    let queries = &wanted.metric_data_queries;
    if queries.len() > QUERIES_LIMIT {
        return Err(invalid(format!("MetricDataQueries: at most {QUERIES_LIMIT} entries")));
    }
    if let Some(query) = queries
        .iter()
        .find(|query| query.label.as_ref().is_some_and(|label| label.contains("${")))
    {
        return Err(invalid(format!(
            "Label of '{}': dynamic labels are not modelled here",
            query.id
        )));
    }
    let mut results = BTreeMap::new();
    for group in groups(queries) {
        let checked = Queries::check(&group).map_err(|error| invalid(error.to_string()))?;
        let window = window(wanted.start_time, wanted.end_time, checked.period(), checked.period())
            .map_err(|fault| invalid(fault.message))?;
        if window.count.saturating_mul(group.len()) > POINTS_LIMIT {
            return Err(invalid(format!(
                "StartTime: the request spans more than {POINTS_LIMIT} data points"
            )));
        }
        let ascending = wanted.scan_by.as_deref() == Some("TimestampAscending");
        for (id, value) in checked.evaluate(store, window) {
            results.insert(id, written(value, window, ascending));
        }
    }
    let found = queries
        .iter()
        .filter_map(|query| Some((query, results.remove(&query.id)?)));
    let answers = found.flat_map(|(query, list)| {
        list.into_iter().map(|(times, values)| {
        json!({"Id": query.id, "Label": label(query), "Timestamps": times, "Values": values, "StatusCode": "Complete"})
    })
    });
    Ok(json!({"MetricDataResults": answers.collect::<Vec<_>>(), "Messages": []}))
}

/// Metrics alone may differ in their periods; as soon as there is an expression, all go together.
fn groups(queries: &[MetricDataQuery]) -> Vec<Vec<MetricDataQuery>> {
    let has_expression = queries.iter().any(|query| query.metric_stat.is_none());
    let is_unique = |query: &MetricDataQuery| queries.iter().filter(|other| other.id == query.id).count() == 1;
    if has_expression || !queries.iter().all(is_unique) {
        return vec![queries.to_vec()];
    }
    queries.iter().map(|query| vec![query.clone()]).collect()
}

fn written(value: Outcome, window: Window, ascending: bool) -> Vec<(Vec<Value>, Vec<f64>)> {
    let list = match value {
        Outcome::Scalar(_) => Vec::new(),
        Outcome::Series(series) => vec![series],
        Outcome::Array(list) => list,
    };
    let points = |series: Vec<Option<f64>>| {
        let there = series
            .into_iter()
            .enumerate()
            .filter_map(|(index, value)| Some((seconds(window.begin(index)), value?)));
        let mut points: Vec<(Value, f64)> = there.collect();
        if !ascending {
            points.reverse();
        }
        points.into_iter().unzip()
    };
    list.into_iter().map(points).collect()
}

fn label(query: &MetricDataQuery) -> &str {
    let metric = query.metric_stat.as_ref().map(|stat| stat.metric.metric_name.as_str());
    query.label.as_deref().or(metric).unwrap_or(&query.id)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct List {
    namespace: Option<String>,
    metric_name: Option<String>,
    #[serde(default)]
    dimensions: Vec<Filter>,
    next_token: Option<String>,
    recently_active: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Filter {
    name: String,
    value: Option<String>,
}

/// Answers `ListMetrics`; a metric is listed as soon as it has data, not up to fifteen minutes later.
///
/// # Errors
/// When a member or the token cannot be taken.
pub(super) fn list(store: &MetricStore, call: &Call<'_>) -> Answer {
    let wanted: List = read(call.input, "InvalidParameterValueException")?;
    let is_recent = |newest: Millis| wanted.recently_active.is_none() || newest >= call.now.fast - RECENT;
    let found = store
        .newest()
        .filter(|(key, newest)| wanted.covers(key) && is_recent(*newest));
    let described = found.map(|(key, _)| (format!("{key:?}"), describe(key)));
    let mut described: Vec<(String, Value)> = described.collect();
    described.sort_by(|(left, _), (right, _)| left.cmp(right));
    let (metrics, next) = page(
        described,
        wanted.next_token.as_deref(),
        LIST_PAGE,
        "InvalidParameterValueException",
    )?;
    let mut answer = json!({"Metrics": metrics});
    if let (Some(next), Some(members)) = (next, answer.as_object_mut()) {
        members.insert("NextToken".to_owned(), json!(next));
    }
    Ok(answer)
}

impl List {
    fn covers(&self, key: &MetricKey) -> bool {
        let has = |filter: &Filter| {
            let is_it = |dimension: &Dimension| {
                dimension.name == filter.name && filter.value.as_ref().is_none_or(|value| *value == dimension.value)
            };
            key.dimensions.iter().any(is_it)
        };
        self.namespace
            .as_ref()
            .is_none_or(|namespace| *namespace == key.namespace)
            && self.metric_name.as_ref().is_none_or(|name| *name == key.name)
            && self.dimensions.iter().all(has)
    }
}

fn describe(key: &MetricKey) -> Value {
    json!({"Namespace": key.namespace, "MetricName": key.name, "Dimensions": members(&key.dimensions)})
}

fn refused(message: impl Into<String>) -> Fault {
    Fault::client("InvalidParameterValueException", message)
}
