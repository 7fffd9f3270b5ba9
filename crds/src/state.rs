//! What the operator must remember of one connector between passes and restarts: small, in the state topic.

use std::collections::{BTreeMap, BTreeSet};

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
    /// The account and region of it, joined by `/`; missing while there is nothing, and where a former operator wrote this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<String>,
    /// The offset of the profile record that the accepted document was merged with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile_generation: Option<i64>,
    /// The last accepted document, merged with its profile; repaired until a better one is accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<Accepted>,
    /// Whether tasks are wanted, as decided last.
    #[serde(default)]
    pub phase: Phase,
    /// Set while it is stopped and AWS was seen to hold nothing of it: only then may its document move elsewhere.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub emptied: bool,
    /// Since when the queue has been empty with nothing deleted from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_since: Option<Timestamp>,
    /// The create of a service that may be under way: its client token, used again until the service is seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub create_pending: Option<CreatePending>,
    /// The keys of the labels that may stand on the service as tags because this operator put them there; with those of the
    /// document, whatever a former one brought and has not been seen to be gone.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub labels: BTreeSet<String>,
    /// The document that ECS rolled back, not tried again until it changes or the user asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolled_back: Option<RolledBack>,
    /// The last revision that showed that its tasks can live; nothing until one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proven: Option<Proven>,
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

/// A revision whose tasks were seen healthy: what takes the place of one that fails when ECS has nothing better.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Proven {
    /// Its fingerprint.
    pub fingerprint: String,
    /// The ARN of its task definition.
    pub task_definition: String,
    /// Where its tasks ran.
    pub place: Place,
}

/// Where the tasks of a revision run, spelled as ECS does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// The subnets.
    pub subnets: BTreeSet<String>,
    /// The security groups.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub security_groups: BTreeSet<String>,
    /// Whether tasks have a public address.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub public_ip: bool,
    /// The launch type; nothing where capacity providers stand in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub launch_type: Option<String>,
    /// Capacity providers by name, base and weight.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capacity_providers: Vec<(String, i32, i32)>,
    /// Placement constraints by type and expression.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub placement_constraints: Vec<(String, Option<String>)>,
    /// Placement strategies by type and field.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub placement_strategies: Vec<(String, Option<String>)>,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_a_former_operator_is_read() {
        let former = r#"{
            "uid": "topic/0/7", "generation": 9, "phase": "asleep",
            "rolledBack": {"deployment": "d", "fingerprint": "f", "cause": "c", "at": "2026-01-31T12:00:00Z"},
            "handled": {}
        }"#;
        let state: State = serde_json::from_str(former).expect("a former operator wrote it");
        assert_eq!((state.phase, state.proven, state.emptied), (Phase::Asleep, None, false));
        assert!(state.labels.is_empty());
        assert_eq!(state.home, None);
    }
}
