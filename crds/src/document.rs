//! The envelope of every document, and the key of the record that carries it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ConnectorSpec, Name, ProfileSpec, TargetStateSpec};

/// The one version of the documents.
pub const API_VERSION: &str = "penstock.dev/v1";

/// The most bytes that a document may have: 256 KiB.
pub const MAX_DOCUMENT_BYTES: usize = 256 * 1024;

/// The kinds of documents on the spec topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Kind {
    /// What many connectors share.
    Profile,
    /// What one connector does.
    Connector,
    /// What a person asked of a connector: pause, stop, resume, restart.
    TargetState,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Profile, Self::Connector, Self::TargetState];

    /// Returns the kind of this name, spelled exactly so.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// Returns the kind as it stands in documents and keys.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Profile => "Profile",
            Self::Connector => "Connector",
            Self::TargetState => "TargetState",
        }
    }
}

/// Who a document is, beside its kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metadata {
    /// The name; with the kind, the record's key.
    pub name: Name,
    /// Labels of the writer's, copied to the ECS service as tags; only a connector has them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Notes of the writer's; Penstock keeps them and reads none but `penstock.dev/actor`, who wrote the document.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// A document of one kind: the envelope around its spec.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Envelope<Spec> {
    /// Always `penstock.dev/v1`.
    pub api_version: String,
    /// What the spec describes.
    pub kind: Kind,
    /// Who the document is.
    pub metadata: Metadata,
    /// What is wanted.
    pub spec: Spec,
}

/// A document of any kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// What many connectors share.
    Profile(Box<Envelope<ProfileSpec>>),
    /// What one connector does.
    Connector(Box<Envelope<ConnectorSpec>>),
    /// What a person asked of a connector.
    TargetState(Box<Envelope<TargetStateSpec>>),
}

impl Document {
    /// Returns the document's kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Profile(_) => Kind::Profile,
            Self::Connector(_) => Kind::Connector,
            Self::TargetState(_) => Kind::TargetState,
        }
    }

    /// Returns who the document is.
    pub fn metadata(&self) -> &Metadata {
        match self {
            Self::Profile(document) => &document.metadata,
            Self::Connector(document) => &document.metadata,
            Self::TargetState(document) => &document.metadata,
        }
    }

    /// Returns the key of the record that carries the document.
    pub fn key(&self) -> DocumentKey {
        DocumentKey {
            kind: self.kind(),
            name: self.metadata().name.clone(),
        }
    }

    /// Returns the document as JSON, as it stands in a record.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Profile(document) => serde_json::to_value(document),
            Self::Connector(document) => serde_json::to_value(document),
            Self::TargetState(document) => serde_json::to_value(document),
        }
        .expect("a document is plain data with text keys")
    }
}

/// The key of a record on the spec, state and status topics: `<Kind>/<name>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocumentKey {
    /// The document's kind.
    pub kind: Kind,
    /// The document's name.
    pub name: Name,
}

impl fmt::Display for DocumentKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.kind.as_str(), self.name)
    }
}

/// Why a text is no key of a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a key: write `Connector/<name>`, `Profile/<name>` or `TargetState/<name>`")]
pub struct KeyError(pub String);

impl FromStr for DocumentKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let refuse = || KeyError(text.to_owned());
        let (kind, name) = text.split_once('/').ok_or_else(refuse)?;
        let kind = Kind::named(kind).ok_or_else(refuse)?;
        let name = name.parse().map_err(|_| refuse())?;
        Ok(Self { kind, name })
    }
}
