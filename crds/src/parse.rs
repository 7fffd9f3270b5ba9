//! From the bytes of a record to a document of the right shape, or to every fault of its shape at once.
//!
//! Shape is what can be told without a profile: JSON, envelope, key, field names and types. What the values mean is for
//! [`crate::resolve`], but for what would mean nothing beside the document's own values. A `null` is refused wherever a field may stand: it could mean "as if missing" or "unset what the
//! profile says", and a guess would be wrong half the time.

mod complaint;
mod json;
mod shape;
mod tree;

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

pub use self::json::json_words;
use crate::fault::MISSING;
use crate::resolve::{faults_of_idle, faults_of_rest};
use crate::{
    API_VERSION, ConnectorSpec, Document, DocumentKey, Envelope, Fault, Kind, MAX_DOCUMENT_BYTES, Metadata, Name,
    ProfileSpec, check_connector, check_profile,
};

const FIELDS: [&str; 4] = ["apiVersion", "kind", "metadata", "spec"];

/// Reads the document that a record of the spec topic carries; its key must be the document's kind and name.
pub fn parse_document(key: &str, value: &[u8]) -> Result<Document, Vec<Fault>> {
    let mut faults = Vec::new();
    let key = read_key(key, &mut faults);
    if value.len() > MAX_DOCUMENT_BYTES {
        faults.push(Fault::without_value(
            "document",
            format!(
                "has {} bytes, and a document may have {MAX_DOCUMENT_BYTES}",
                value.len()
            ),
            "make it shorter, or move what connectors share into a profile",
        ));
        return Err(faults);
    }
    match json::read(value, &mut faults) {
        Some(tree) => judge(tree, key.as_ref(), faults),
        None => Err(faults),
    }
}

/// Reads a document that something else has parsed already, such as a file in YAML.
pub fn parse_value(tree: Value) -> Result<Document, Vec<Fault>> {
    judge(tree, None, Vec::new())
}

fn read_key(key: &str, faults: &mut Vec<Fault>) -> Option<DocumentKey> {
    let read = key.parse();
    if read.is_err() {
        faults.push(Fault::with_value(
            "key",
            key,
            "is not the key of a document",
            "send the record with the key `Connector/<name>`, `Profile/<name>` or `TargetState/<name>`",
        ));
    }
    read.ok()
}

fn judge(tree: Value, key: Option<&DocumentKey>, mut faults: Vec<Fault>) -> Result<Document, Vec<Fault>> {
    let Value::Object(mut fields) = tree else {
        let why = format!("is {}, where an object is expected", shape::kind_of(&tree));
        faults.push(Fault::without_value(
            "document",
            why,
            "write an object with apiVersion, kind, metadata and spec",
        ));
        return Err(faults);
    };
    refuse_unknown_fields(&fields, &mut faults);
    check_version(fields.get("apiVersion"), &mut faults);
    let kind = check_kind(&fields, key, &mut faults);
    check_name(fields.get("metadata"), key, &mut faults);
    let metadata = shape::read::<Metadata>(fields.remove("metadata"), "metadata", &mut faults);
    check_labels(kind, metadata.as_ref(), &mut faults);
    let spec = fields.remove("spec");
    let labels = metadata
        .as_ref()
        .map(|metadata| metadata.labels.clone())
        .unwrap_or_default();
    let of_connector = |spec: &ConnectorSpec, unread: &[Fault]| connector_meaning(&labels, spec, unread);
    let document = kind.and_then(|kind| match kind {
        Kind::Profile => envelope(kind, metadata, spec, &mut faults, profile_meaning).map(Document::Profile),
        Kind::Connector => envelope(kind, metadata, spec, &mut faults, of_connector).map(Document::Connector),
        Kind::TargetState => envelope(kind, metadata, spec, &mut faults, |_, _| Vec::new()).map(Document::TargetState),
    });
    match document {
        Some(document) if faults.is_empty() => Ok(document),
        _ => Err(faults),
    }
}

fn refuse_unknown_fields(fields: &Map<String, Value>, faults: &mut Vec<Fault>) {
    for field in fields.keys().filter(|field| !FIELDS.contains(&field.as_str())) {
        faults.push(complaint::unknown_field(field, field, &FIELDS));
    }
}

fn check_version(version: Option<&Value>, faults: &mut Vec<Fault>) {
    let remedy = format!("write `apiVersion: {API_VERSION}`");
    match version {
        None => faults.push(Fault::without_value("apiVersion", MISSING, remedy)),
        Some(Value::String(text)) if text == API_VERSION => {}
        Some(other) => {
            faults.push(Fault::with_value(
                "apiVersion",
                shape::plain(other),
                "is not a version of the documents",
                remedy,
            ));
        }
    }
}

/// Returns the kind that the rest is judged as: the document's own, or where it names none that exists the key's, the one that
/// was probably meant, or the one whose fields it has.
fn check_kind(fields: &Map<String, Value>, key: Option<&DocumentKey>, faults: &mut Vec<Fault>) -> Option<Kind> {
    let remedy = "write `Connector`, `Profile` or `TargetState`";
    let kind = fields.get("kind");
    let text = kind.and_then(Value::as_str);
    let named = text.and_then(Kind::named);
    let near = text.filter(|_| named.is_none()).and_then(near_kind);
    match (kind, named, key) {
        (None, ..) => faults.push(Fault::without_value("kind", MISSING, remedy)),
        (Some(other), None, _) => {
            let meant = near.map(|near| format!("did you mean `{}`?", near.as_str()));
            faults.push(Fault::with_value(
                "kind",
                shape::plain(other),
                "is not a kind of document",
                meant.unwrap_or_else(|| remedy.to_owned()),
            ));
        }
        (_, Some(named), Some(key)) if named != key.kind => {
            let why = format!("is not the kind in the record's key `{key}`");
            faults.push(Fault::with_value(
                "kind",
                named.as_str(),
                why,
                "send the record with the key `<kind>/<name>` of its document",
            ));
        }
        _ => {}
    }
    let known = named.or(key.map(|key| key.kind)).or(near);
    known.or_else(|| kind_of_fields(fields.get("spec")?.as_object()?))
}

fn near_kind(text: &str) -> Option<Kind> {
    let names: Vec<&str> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
    complaint::nearest(text, &names).and_then(Kind::named)
}

/// Returns the kind that has such fields, as far as they tell.
fn kind_of_fields(spec: &Map<String, Value>) -> Option<Kind> {
    let has = |names: &[&str]| names.iter().any(|name| spec.contains_key(*name));
    if has(&["source", "sink", "profile", "initialState"]) {
        Some(Kind::Connector)
    } else if has(&["state", "restartedAt", "reconcileAt"]) {
        Some(Kind::TargetState)
    } else {
        has(&["kafka", "secrets", "errors", "task", "service", "scaling", "alarms"]).then_some(Kind::Profile)
    }
}

fn check_name(metadata: Option<&Value>, key: Option<&DocumentKey>, faults: &mut Vec<Fault>) {
    let name = metadata
        .and_then(|metadata| metadata.get("name"))
        .and_then(Value::as_str);
    if let (Some(name), Some(key)) = (name, key)
        && name.parse::<Name>().is_ok_and(|name| name != key.name)
    {
        let why = format!("is not the name in the record's key `{key}`");
        faults.push(Fault::with_value(
            "metadata.name",
            name,
            why,
            "send the record with the key `<kind>/<name>` of its document",
        ));
    }
}

/// Labels become tags of the ECS service, so they would do nothing on other kinds.
fn check_labels(kind: Option<Kind>, metadata: Option<&Metadata>, faults: &mut Vec<Fault>) {
    let labelled = metadata.is_some_and(|metadata| !metadata.labels.is_empty());
    if labelled && let Some(kind) = kind.filter(|kind| *kind != Kind::Connector) {
        faults.push(Fault::without_value(
            "metadata.labels",
            format!(
                "would do nothing: labels become tags of a connector's ECS service, and this is a {}",
                kind.as_str()
            ),
            "move them to the connector, or write annotations",
        ));
    }
}

/// What is wrong with the values of a profile of which some fields could not be read.
fn profile_meaning(spec: &ProfileSpec, unread: &[Fault]) -> Vec<Fault> {
    match unread {
        [] => Vec::new(),
        _ => check_profile(spec),
    }
}

/// What is wrong with a connector's values whatever its profile says, and, where some fields could not be read, with the rest.
fn connector_meaning(labels: &BTreeMap<String, String>, spec: &ConnectorSpec, unread: &[Fault]) -> Vec<Fault> {
    let name = Name::try_from("connector".to_owned()).expect("the text is a name");
    let within = |section: &str| unread.iter().any(|fault| is_within(&fault.path, section));
    let misspelt = || unread.iter().any(|fault| fault.remedy == "did you mean `profile`?");
    let mut faults = faults_of_idle(spec);
    if unread.is_empty() && faults.is_empty() {
        return faults;
    }
    faults.extend(match spec.profile.is_some() || within("spec.profile") || misspelt() {
        true => check_connector(&name, labels, spec),
        false => faults_of_rest(&name, labels, spec, !within("spec.service")),
    });
    faults
}

/// A document of the wrong shape is refused here, so the faults of meaning in what could be read are told along: nobody
/// should mend the one to learn of the other. In a document of the right shape they are judged with its profile.
fn envelope<Spec: DeserializeOwned>(
    kind: Kind,
    metadata: Option<Metadata>,
    spec: Option<Value>,
    faults: &mut Vec<Fault>,
    meaning: impl Fn(&Spec, &[Fault]) -> Vec<Fault>,
) -> Option<Box<Envelope<Spec>>> {
    let spec = shape::read(spec, "spec", faults);
    if let Some(spec) = &spec {
        // What could not be read was replaced by something of the right type, of which nothing is to be told.
        let beside = |path: &str, earlier: &str| !is_within(path, earlier) && !is_within(earlier, path);
        let told: Vec<_> = meaning(spec, faults)
            .into_iter()
            .filter(|fault| faults.iter().all(|earlier| beside(&fault.path, &earlier.path)))
            .collect();
        faults.extend(told);
    }
    let (metadata, spec) = metadata.zip(spec)?;
    Some(Box::new(Envelope {
        api_version: API_VERSION.to_owned(),
        kind,
        metadata,
        spec,
    }))
}

/// Whether `path` is `parent` or stands below it.
fn is_within(path: &str, parent: &str) -> bool {
    path.strip_prefix(parent)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

#[cfg(test)]
mod tests;
