//! What a person asked of a connector, under a key of its own, so that re-applying a connector document never undoes it.

use std::sync::LazyLock;

use jiff::Timestamp;
use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

/// What a connector should be doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TargetMode {
    /// Tasks run as scaling asks.
    #[default]
    Running,
    /// No task runs; service, scaling (suspended) and alarms (muted) stay.
    Paused,
    /// Service, scaling and alarms are gone; document and history stay.
    Stopped,
}

/// The verbs of the CLI, as state: pause, stop, resume, restart, reconcile now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TargetStateSpec {
    /// What the connector should be doing. When missing, it goes on as it is; its document's `initialState` says how it begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<TargetMode>,
    /// Every task is replaced once for each time here that is later than the last for which that was done, and before the year 2100.
    #[serde(default, deserialize_with = "time", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time", "pattern" = YEARS))]
    pub restarted_at: Option<Timestamp>,
    /// A pass is made at once, and a rolled-back document tried again, for each time here that is later than the last for which that was
    /// done, and before the year 2100.
    #[serde(default, deserialize_with = "time", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time", "pattern" = YEARS))]
    pub reconcile_at: Option<Timestamp>,
}

/// The form of RFC 3339, which is the schema's `date-time`. The library reads others too.
static TIME: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})$")
        .expect("the pattern is written here and compiles")
});

/// The years that are near enough, as the schema says them too. A slip of the pen that no later time could follow would be the
/// last request that is ever carried out.
const YEARS: &str = "^([01][0-9]|20)";

static NEAR: LazyLock<Regex> = LazyLock::new(|| Regex::new(YEARS).expect("the pattern is written here and compiles"));

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let read = text.parse().ok().filter(|_| TIME.is_match(&text));
    let time: Timestamp = read.ok_or_else(|| de::Error::custom("no time of RFC 3339"))?;
    if !NEAR.is_match(&text) {
        return Err(de::Error::custom(format_args!(
            "`{text}` is so far ahead that no later request would ever count; write a time before the year 2100"
        )));
    }
    Ok(Some(time))
}
