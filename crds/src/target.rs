//! What a person asked of a connector, under a key of its own, so that re-applying a connector document never undoes it.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub restarted_at: Option<Timestamp>,
    /// A pass is made at once for each new time here, and a rolled-back document is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub reconcile_at: Option<Timestamp>,
}
