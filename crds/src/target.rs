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
    /// Every task is replaced once for each new time here.
    #[serde(default, deserialize_with = "time", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub restarted_at: Option<Timestamp>,
    /// A pass is made at once for each new time here, and a rolled-back document is tried again.
    #[serde(default, deserialize_with = "time", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub reconcile_at: Option<Timestamp>,
}

/// The form of RFC 3339, which is the schema's `date-time`. The library reads others too.
static TIME: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$")
        .expect("the pattern is written here and compiles")
});

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let time = text.parse().ok().filter(|_| TIME.is_match(&text));
    time.map(Some).ok_or_else(|| de::Error::custom("no time of RFC 3339"))
}
