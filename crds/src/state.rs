//! What the operator must remember of one connector between passes and restarts: small, in the state topic.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ConnectorSpec;

/// What the operator remembers of one connector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// The incarnation: topic id, partition and offset of the record that began it, joined by `/`.
    pub uid: String,
    /// The offset of the latest connector record that was judged.
    pub generation: i64,
    /// The ownership tag of what was made in AWS; missing while there is nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The offset of the profile record that the accepted document was merged with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile_generation: Option<i64>,
    /// The last accepted document, merged with its profile; repaired until a better one is accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<Accepted>,
    /// Whether tasks are wanted, as decided last.
    #[serde(default)]
    pub phase: Phase,
    /// Since when the queue has been empty with nothing deleted from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_since: Option<Timestamp>,
    /// The create of a service that may be under way: its client token, used again until the service is seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub create_pending: Option<CreatePending>,
    /// The document that ECS rolled back, not tried again until it changes or the user asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolled_back: Option<RolledBack>,
    /// The failed deployment that the user asked to forget, so that the same document is tried once more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forgiven_deployment: Option<String>,
    /// The requests of the target state that have been carried out.
    #[serde(default)]
    pub handled: Handled,
    /// Set once a tombstone was read: resources are being removed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleting: bool,
}

/// A document that passed validation, merged with its profile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Accepted {
    /// The offset of the connector record that it was made from.
    pub generation: i64,
    /// The first 16 hexadecimal digits of the SHA-256 of `spec` as canonical JSON.
    pub hash: String,
    /// The document's labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The merged document.
    pub spec: ConnectorSpec,
}

/// Whether tasks are wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// At least one task; Application Auto Scaling owns the count.
    #[default]
    Awake,
    /// No task until a message arrives.
    Asleep,
    /// No task until the user resumes; everything else stays.
    Paused,
    /// Nothing in AWS.
    Stopped,
}

/// The create of a service that may be under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreatePending {
    /// The client token of the call.
    pub token: String,
    /// When it was first sent.
    pub since: Timestamp,
}

/// A document that ECS rolled back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RolledBack {
    /// The deployment that failed.
    pub deployment: String,
    /// The fingerprint of the revision that it was to bring.
    pub fingerprint: String,
    /// The failure in one line.
    pub cause: String,
    /// When it was seen.
    pub at: Timestamp,
}

/// The requests of the target state that have been carried out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Handled {
    /// The latest restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restarted_at: Option<Timestamp>,
    /// The latest request to reconcile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reconcile_at: Option<Timestamp>,
}
