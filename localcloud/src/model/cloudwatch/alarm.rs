//! One alarm: its settings as `PutMetricAlarm` takes them, checked, and the state it is in.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::judge::{Missing, Rule, State};
use super::query::{Metric, MetricDataQuery, MetricStat, Queries};
use super::store::{Dimension, Statistic};
use super::wire::{members, seconds};
use crate::model::{Fault, Millis, Scope};

/// "Each alarm can have as many as 20 MetricDataQuery structures": at most this many metrics, and as many expressions.
const SOURCES_LIMIT: usize = 10;
/// How many seconds an alarm may look back: "seven days for alarms with a period of at least one hour" ([`HOUR`]); the store
/// keeps little more.
const WEEK: i64 = 604_800;
/// The same for an alarm with a shorter period.
const DAY: i64 = 86_400;
const HOUR: i64 = 3_600;

/// A label that people put on an alarm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Tag {
    /// Its name.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// What `PutMetricAlarm` takes and `DescribeAlarms` returns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Settings {
    /// Unique in the region.
    pub alarm_name: String,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alarm_description: Option<String>,
    /// Whether a change of state does anything.
    #[serde(default = "yes")]
    pub actions_enabled: bool,
    /// What a change to `OK` does.
    #[serde(rename = "OKActions", default)]
    pub ok_actions: Vec<String>,
    /// What a change to `ALARM` does.
    #[serde(default)]
    pub alarm_actions: Vec<String>,
    /// What a change to `INSUFFICIENT_DATA` does.
    #[serde(default)]
    pub insufficient_data_actions: Vec<String>,
    /// The one metric, unless `metrics` is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric_name: Option<String>,
    /// Its namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its statistic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statistic: Option<Statistic>,
    /// Its dimensions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dimensions: Option<Vec<Dimension>>,
    /// Its period in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<i64>,
    /// Its unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// N.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluation_periods: Option<usize>,
    /// M; N if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datapoints_to_alarm: Option<usize>,
    /// What a value is compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// How it is compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comparison_operator: Option<Comparison>,
    /// What a missing point means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub treat_missing_data: Option<Missing>,
    /// Metrics and expressions, of which one returns data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Vec<MetricDataQuery>>,
    /// Only read when the alarm is new.
    #[serde(default, skip_serializing)]
    pub tags: Option<Vec<Tag>>,
}

fn yes() -> bool {
    true
}

impl Settings {
    /// Returns the actions of a change to `state`.
    pub fn actions(&self, state: State) -> &[String] {
        match state {
            State::Ok => &self.ok_actions,
            State::Alarm => &self.alarm_actions,
            State::InsufficientData => &self.insufficient_data_actions,
        }
    }

    /// Returns M, N and the treatment of missing data.
    pub fn rule(&self) -> Rule {
        let periods = self.evaluation_periods.unwrap_or(1);
        let to_alarm = self.datapoints_to_alarm.unwrap_or(periods);
        Rule {
            periods,
            to_alarm,
            missing: self.treat_missing_data.unwrap_or_default(),
        }
    }

    /// Says whether a value breaches the threshold.
    pub fn breaches(&self, value: f64) -> bool {
        let threshold = self.threshold.unwrap_or(f64::NAN);
        self.comparison_operator
            .is_some_and(|operator| operator.holds(value, threshold))
    }

    /// Checks everything but the actions, and returns what the alarm watches.
    ///
    /// # Errors
    /// Names the member and what is wrong with it.
    pub fn check(&self) -> Result<Queries, Fault> {
        for (name, is_there) in [
            ("EvaluationPeriods", self.evaluation_periods.is_some()),
            ("Threshold", self.threshold.is_some()),
            ("ComparisonOperator", self.comparison_operator.is_some()),
        ] {
            if !is_there {
                return Err(invalid(format!(
                    "{name} is required for an alarm with a static threshold"
                )));
            }
        }
        let rule = self.rule();
        if rule.to_alarm > rule.periods {
            return Err(invalid("DatapointsToAlarm must not be greater than EvaluationPeriods"));
        }
        let queries = Queries::check_stored(&self.watched()?).map_err(|error| invalid(error.to_string()))?;
        let range = i64::try_from(rule.periods)
            .ok()
            .and_then(|periods| queries.period().checked_mul(periods));
        let (words, limit) = if queries.period() < HOUR {
            ("a day", DAY)
        } else {
            ("seven days", WEEK)
        };
        if range.is_none_or(|range| range > limit) {
            return Err(invalid(format!(
                "Metrics cannot be checked across more than {words} (EvaluationPeriods * Period must be <= {limit})"
            )));
        }
        Ok(queries)
    }

    /// Returns what is watched as a list of queries, the one metric as a list of one.
    fn watched(&self) -> Result<Vec<MetricDataQuery>, Fault> {
        match (&self.metric_name, &self.metrics) {
            (None, None) => Err(invalid("one of MetricName and Metrics is required")),
            (None, Some(queries)) => self.check_math(queries).map(|()| queries.clone()),
            (Some(_), Some(_)) => Err(invalid("MetricName and Metrics exclude each other")),
            (Some(name), None) => self.single(name).map(|query| vec![query]),
        }
    }

    fn check_math(&self, queries: &[MetricDataQuery]) -> Result<(), Fault> {
        for (name, is_there) in [
            ("Namespace", self.namespace.is_some()),
            ("Statistic", self.statistic.is_some()),
            ("Dimensions", self.dimensions.is_some()),
            ("Period", self.period.is_some()),
            ("Unit", self.unit.is_some()),
        ] {
            if is_there {
                return Err(invalid(format!(
                    "{name} must not be given with Metrics: it belongs into the Metrics list"
                )));
            }
        }
        let metrics = queries.iter().filter(|query| query.metric_stat.is_some()).count();
        if metrics > SOURCES_LIMIT || queries.len() - metrics > SOURCES_LIMIT {
            return Err(invalid(
                "Metrics can hold at most 10 entries with MetricStat and 10 with Expression",
            ));
        }
        Ok(())
    }

    fn single(&self, name: &str) -> Result<MetricDataQuery, Fault> {
        let needed = |name: &str| invalid(format!("{name} is required with MetricName"));
        let metric = Metric {
            namespace: self.namespace.clone().ok_or_else(|| needed("Namespace"))?,
            metric_name: name.to_owned(),
            dimensions: self.dimensions.clone().unwrap_or_default(),
        };
        let stat = self.statistic.ok_or_else(|| needed("Statistic"))?.name().to_owned();
        let period = self.period.ok_or_else(|| needed("Period"))?;
        let metric_stat = Some(MetricStat {
            metric,
            period,
            stat,
            unit: self.unit.clone(),
        });
        Ok(MetricDataQuery {
            id: "m1".into(),
            metric_stat,
            expression: None,
            label: None,
            return_data: None,
        })
    }

    /// Checks that every action is a topic that this account and region can hold.
    ///
    /// # Errors
    /// Names the list and the action.
    pub fn check_actions(&self, scope: &Scope) -> Result<(), Fault> {
        let lists = [
            ("OKActions", &self.ok_actions),
            ("AlarmActions", &self.alarm_actions),
            ("InsufficientDataActions", &self.insufficient_data_actions),
        ];
        for (list, action) in lists
            .into_iter()
            .flat_map(|(list, actions)| actions.iter().map(move |action| (list, action)))
        {
            check_action(list, action, scope)?;
        }
        Ok(())
    }
}

fn check_action(list: &str, action: &str, scope: &Scope) -> Result<(), Fault> {
    let topic = action.strip_prefix(&format!("arn:{}:sns:", scope.partition()));
    let parts: Vec<&str> = topic.unwrap_or_default().splitn(3, ':').collect();
    match parts.as_slice() {
        [region, _, _] if *region != scope.region => Err(invalid(format!(
            "{list}: Invalid region {region} specified. Only {} is supported.",
            scope.region
        ))),
        [_, account, _] if *account != scope.account => Err(invalid(format!(
            "{list}: a topic of another account ({action}) is not modelled here"
        ))),
        [_, _, topic] if !topic.is_empty() => Ok(()),
        _ => Err(invalid(format!(
            "{list}: {action} is no ARN of an SNS topic, and other actions are not modelled here"
        ))),
    }
}

/// How a value is compared with the threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Comparison {
    /// `>=`
    GreaterThanOrEqualToThreshold,
    /// `>`
    GreaterThanThreshold,
    /// `<`
    LessThanThreshold,
    /// `<=`
    LessThanOrEqualToThreshold,
}

impl Comparison {
    /// Says whether `value` stands in this relation to `threshold`.
    pub fn holds(self, value: f64, threshold: f64) -> bool {
        match self {
            Self::GreaterThanOrEqualToThreshold => value >= threshold,
            Self::GreaterThanThreshold => value > threshold,
            Self::LessThanThreshold => value < threshold,
            Self::LessThanOrEqualToThreshold => value <= threshold,
        }
    }

    /// Returns the relation in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::GreaterThanOrEqualToThreshold => "greater than or equal to",
            Self::GreaterThanThreshold => "greater than",
            Self::LessThanThreshold => "less than",
            Self::LessThanOrEqualToThreshold => "less than or equal to",
        }
    }
}

/// An alarm that is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Alarm {
    /// What was put.
    pub settings: Settings,
    /// Its ARN.
    pub arn: String,
    /// The state.
    pub state: State,
    /// Why, for people.
    pub reason: String,
    /// Why, as JSON.
    pub reason_data: Option<String>,
    /// When the state was last set.
    pub updated: Millis,
    /// When the settings were last put.
    pub configured: Millis,
    /// What people put on it.
    pub tags: BTreeMap<String, String>,
    /// What it watches, checked.
    pub queries: Queries,
}

impl Alarm {
    /// Returns a new alarm, which knows nothing yet.
    pub fn new(mut settings: Settings, queries: Queries, arn: String, now: Millis) -> Self {
        let tags = settings.tags.take().unwrap_or_default();
        Self {
            settings,
            arn,
            state: State::InsufficientData,
            reason: "Unchecked: Initial alarm creation".to_owned(),
            reason_data: None,
            updated: now,
            configured: now,
            tags: tags.into_iter().map(|tag| (tag.key, tag.value)).collect(),
            queries,
        }
    }

    /// Takes new settings; "its state is left unchanged", and tags are ignored.
    pub fn update(&mut self, mut settings: Settings, queries: Queries, now: Millis) {
        settings.tags = None;
        self.settings = settings;
        self.queries = queries;
        self.configured = now;
    }

    /// Returns the alarm as `DescribeAlarms` does.
    pub fn describe(&self) -> Value {
        let mut described = members(&self.settings);
        let state = json!({
            "AlarmArn": self.arn,
            "AlarmConfigurationUpdatedTimestamp": seconds(self.configured),
            "StateValue": self.state.name(),
            "StateReason": self.reason,
            "StateUpdatedTimestamp": seconds(self.updated),
            "StateTransitionedTimestamp": seconds(self.updated),
        });
        if let (Value::Object(described), Value::Object(state)) = (&mut described, state) {
            described.extend(state);
            described.extend(
                self.reason_data
                    .iter()
                    .map(|data| ("StateReasonData".to_owned(), json!(data))),
            );
        }
        described
    }
}

/// Returns the fault of a parameter that does not fit, as the alarm operations name it.
pub(super) fn invalid(message: impl Into<String>) -> Fault {
    Fault::client("ValidationError", message)
}

#[cfg(test)]
mod tests;
