//! Metric data queries, as alarms, scaling policies and `GetMetricData` name them: checked once, evaluated often.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::expression::{Expression, SyntaxError, parse};
use super::math::{Inputs, MathError, Series, Value, evaluate};
use super::store::{Dimension, MetricKey, MetricStore, Statistic, Window};

/// One item of a `Metrics` list: a metric or an expression over other items.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct MetricDataQuery {
    /// What expressions call it.
    pub id: String,
    /// The metric, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric_stat: Option<MetricStat>,
    /// The expression, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expression: Option<String>,
    /// What people call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Whether its result is wanted; it is by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub return_data: Option<bool>,
}

impl MetricDataQuery {
    /// Says whether the result is wanted.
    pub fn is_returned(&self) -> bool {
        self.return_data.unwrap_or(true)
    }
}

/// A metric with the statistic to take of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct MetricStat {
    /// The metric.
    pub metric: Metric,
    /// The length of a period in seconds.
    pub period: i64,
    /// Such as `Average`.
    pub stat: String,
    /// Reads only what was published with this unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

/// A metric as the API spells it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Metric {
    /// Such as `AWS/SQS`.
    pub namespace: String,
    /// Such as `ApproximateNumberOfMessagesVisible`.
    pub metric_name: String,
    /// All dimensions that it was published with; none is matched loosely.
    #[serde(default)]
    pub dimensions: Vec<Dimension>,
}

/// Why a list of queries is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// No query.
    #[error("Metrics must have at least one entry")]
    FindQuery,
    /// An id that an expression could not name.
    #[error("Id '{0}' must begin with a lower-case letter and consist of letters, digits and underscores")]
    NameQuery(String),
    /// Two queries of one id.
    #[error("Id '{0}' is used more than once")]
    RepeatId(String),
    /// Both or neither.
    #[error("'{0}' must have either MetricStat or Expression, and not both")]
    ChooseSource(String),
    /// A percentile or trimmed mean.
    #[error(
        "MetricStat.Stat '{stat}' of '{id}' is not modelled here: use Average, Sum, Minimum, Maximum or SampleCount"
    )]
    FindStatistic {
        /// The query.
        id: String,
        /// What it asked for.
        stat: String,
    },
    /// A period that the store cannot answer.
    #[error("Period {period} of '{id}' must be a multiple of 60 (shorter periods are not modelled here)")]
    ReadPeriod {
        /// The query.
        id: String,
        /// What it asked for, in seconds.
        period: i64,
    },
    /// Periods that differ.
    #[error("all metrics that an expression is evaluated with must have the same Period")]
    AlignPeriods,
    /// A text that is no expression.
    #[error("Expression of '{id}' cannot be read: {reason}")]
    ReadExpression {
        /// The query.
        id: String,
        /// What is wrong with it.
        reason: SyntaxError,
    },
    /// An expression that makes no sense.
    #[error("Expression of '{id}' is not valid: {reason}")]
    CheckExpression {
        /// The query.
        id: String,
        /// What is wrong with it.
        reason: MathError,
    },
    /// Expressions that need each other.
    #[error("the Expression of '{0}' refers to itself through the others")]
    EndCircle(String),
    /// An expression that ends in a number.
    #[error("the result of '{0}' must be a time series, not a number: TIME_SERIES() makes one of it")]
    ReturnSeries(String),
    /// A stored expression must have exactly one series as its result.
    #[error("exactly one entry of Metrics must have ReturnData true, and its result must be a single time series")]
    ReturnOne,
}

/// Checked queries, in an order in which each comes after those it names.
#[derive(Debug, Clone, PartialEq)]
pub struct Queries {
    steps: Vec<Step>,
    metrics: Vec<String>,
    period: i64,
}

#[derive(Debug, Clone, PartialEq)]
struct Step {
    id: String,
    returned: bool,
    source: Source,
}

#[derive(Debug, Clone, PartialEq)]
enum Source {
    Metric {
        key: MetricKey,
        statistic: Statistic,
        unit: Option<String>,
    },
    Expression(Expression),
}

impl Queries {
    /// Checks a list of queries whose metrics share one period.
    ///
    /// # Errors
    /// Names the query and what is wrong with it.
    pub fn check(queries: &[MetricDataQuery]) -> Result<Self, QueryError> {
        check_ids(queries)?;
        let period = common_period(queries)?;
        let sources = queries
            .iter()
            .map(|query| Ok((query.id.clone(), (query.is_returned(), source(query)?))))
            .collect::<Result<BTreeMap<_, _>, QueryError>>()?;
        let is_metric = |query: &&MetricDataQuery| query.metric_stat.is_some();
        let metrics: Vec<String> = queries.iter().filter(is_metric).map(|query| query.id.clone()).collect();
        let steps = in_order(&metrics, queries, sources)?;
        let checked = Self { steps, metrics, period };
        checked.check_kinds()?;
        Ok(checked)
    }

    /// Checks a list that a policy or alarm stores: its result is one series.
    ///
    /// # Errors
    /// As [`Self::check`], and when not exactly one query returns one series.
    pub fn check_stored(queries: &[MetricDataQuery]) -> Result<Self, QueryError> {
        let checked = Self::check(queries)?;
        let returned = checked.evaluate_checked(
            &MetricStore::default(),
            Window {
                start: 0,
                period: checked.period * 1_000,
                count: 1,
            },
        )?;
        match returned.as_slice() {
            [(_, Value::Series(_))] => Ok(checked),
            _ => Err(QueryError::ReturnOne),
        }
    }

    /// Returns the period of the metrics in seconds.
    pub fn period(&self) -> i64 {
        self.period
    }

    /// Returns the ids and results that are wanted.
    pub fn evaluate(&self, store: &MetricStore, window: Window) -> Vec<(String, Value)> {
        // The kinds were checked, and an evaluation fails for kinds alone.
        self.evaluate_checked(store, window).unwrap_or_default()
    }

    /// Returns the one series of a stored list.
    pub fn series(&self, store: &MetricStore, window: Window) -> Series {
        match self.evaluate(store, window).pop() {
            Some((_, Value::Series(series))) => series,
            _ => vec![None; window.count],
        }
    }

    fn check_kinds(&self) -> Result<(), QueryError> {
        let window = Window {
            start: 0,
            period: self.period * 1_000,
            count: 1,
        };
        for (id, value) in self.evaluate_checked(&MetricStore::default(), window)? {
            if matches!(value, Value::Scalar(_)) {
                return Err(QueryError::ReturnSeries(id));
            }
        }
        Ok(())
    }

    fn evaluate_checked(&self, store: &MetricStore, window: Window) -> Result<Vec<(String, Value)>, QueryError> {
        let mut values: BTreeMap<String, Value> = BTreeMap::new();
        for step in &self.steps {
            let value = match &step.source {
                Source::Metric { key, statistic, unit } => {
                    let samples = store.read(key, unit.as_deref(), window);
                    let value =
                        |samples: &Option<super::store::Samples>| samples.map(|samples| samples.statistic(*statistic));
                    Value::Series(samples.iter().map(value).collect())
                }
                Source::Expression(expression) => {
                    let period = window.period as f64 / 1_000.0;
                    let inputs = Inputs {
                        values: &values,
                        metrics: &self.metrics,
                        period,
                        length: window.count,
                    };
                    evaluate(expression, &inputs).map_err(|reason| QueryError::CheckExpression {
                        id: step.id.clone(),
                        reason,
                    })?
                }
            };
            values.insert(step.id.clone(), value);
        }
        let returned = self.steps.iter().filter(|step| step.returned);
        Ok(returned
            .filter_map(|step| values.get(&step.id).map(|value| (step.id.clone(), value.clone())))
            .collect())
    }
}

fn check_ids(queries: &[MetricDataQuery]) -> Result<(), QueryError> {
    if queries.is_empty() {
        return Err(QueryError::FindQuery);
    }
    let mut seen = BTreeSet::new();
    for query in queries {
        let rest = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        if !query.id.starts_with(|first: char| first.is_ascii_lowercase()) || !query.id.chars().all(rest) {
            return Err(QueryError::NameQuery(query.id.clone()));
        }
        if !seen.insert(&query.id) {
            return Err(QueryError::RepeatId(query.id.clone()));
        }
    }
    Ok(())
}

fn common_period(queries: &[MetricDataQuery]) -> Result<i64, QueryError> {
    let mut common = None;
    for (query, stat) in queries
        .iter()
        .filter_map(|query| query.metric_stat.as_ref().map(|stat| (query, stat)))
    {
        if stat.period < 60 || stat.period % 60 != 0 {
            return Err(QueryError::ReadPeriod {
                id: query.id.clone(),
                period: stat.period,
            });
        }
        if *common.get_or_insert(stat.period) != stat.period {
            return Err(QueryError::AlignPeriods);
        }
    }
    Ok(common.unwrap_or(60))
}

fn source(query: &MetricDataQuery) -> Result<Source, QueryError> {
    match (&query.metric_stat, &query.expression) {
        (Some(stat), None) => {
            let refused = || QueryError::FindStatistic {
                id: query.id.clone(),
                stat: stat.stat.clone(),
            };
            let statistic = Statistic::named(&stat.stat).ok_or_else(refused)?;
            let key = MetricKey::new(
                &stat.metric.namespace,
                &stat.metric.metric_name,
                stat.metric.dimensions.clone(),
            );
            Ok(Source::Metric {
                key,
                statistic,
                unit: stat.unit.clone(),
            })
        }
        (None, Some(text)) => parse(text)
            .map(Source::Expression)
            .map_err(|reason| QueryError::ReadExpression {
                id: query.id.clone(),
                reason,
            }),
        _ => Err(QueryError::ChooseSource(query.id.clone())),
    }
}

/// Puts metrics first, then every expression after those it names.
fn in_order(
    metrics: &[String],
    queries: &[MetricDataQuery],
    mut sources: BTreeMap<String, (bool, Source)>,
) -> Result<Vec<Step>, QueryError> {
    let mut steps: Vec<Step> = Vec::new();
    let mut place = |id: &str, sources: &mut BTreeMap<String, (bool, Source)>| {
        if let Some((returned, source)) = sources.remove(id) {
            steps.push(Step {
                id: id.to_owned(),
                returned,
                source,
            });
        }
    };
    for id in metrics {
        place(id, &mut sources);
    }
    // Every round places at least one expression, or what is left refers to itself.
    while !sources.is_empty() {
        let is_ready = |id: &&String| match sources.get(*id) {
            Some((_, Source::Expression(expression))) => {
                !expression.names().iter().any(|name| sources.contains_key(*name))
            }
            _ => false,
        };
        let ready: Vec<String> = queries
            .iter()
            .map(|query| &query.id)
            .filter(is_ready)
            .cloned()
            .collect();
        if ready.is_empty() {
            return Err(QueryError::EndCircle(
                sources.keys().next().cloned().unwrap_or_default(),
            ));
        }
        for id in &ready {
            place(id, &mut sources);
        }
    }
    Ok(steps)
}

#[cfg(test)]
mod tests;
