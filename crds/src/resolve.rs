//! From a merged spec to a complete connector, or to every fault at once.

use std::collections::BTreeMap;

use crate::{Connector, ConnectorSpec, Name};

/// One thing that is wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where, such as `spec.task.memory`.
    pub path: String,
    /// The value found there, shortened; nothing for a missing field, never a secret.
    pub value: Option<String>,
    /// Why it is refused.
    pub why: String,
    /// What to do about it.
    pub remedy: String,
}

/// Fills defaults in and checks everything.
pub fn resolve(_name: &Name, _labels: &BTreeMap<String, String>, _spec: &ConnectorSpec) -> Result<Connector, Vec<Fault>> {
    Err(Vec::new())
}
