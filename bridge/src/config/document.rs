//! A connector run by hand, from the same documents that the operator reads.

use std::path::Path;

use penstock_crds::text::{Format, Unreadable};
use penstock_crds::{BridgeConfig, ConnectorSpec, Document, Fault, MAX_DOCUMENT_BYTES, Name, ProfileSpec};

use crate::config::ConfigError;

/// Reads a connector, lays it over its profile, fills defaults in and checks everything.
pub(super) fn read(connector: &Path, profile: Option<&Path>) -> Result<BridgeConfig, ConfigError> {
    let (name, spec) = read_connector(connector)?;
    let profile = profile.map(read_profile).transpose()?;
    check_names(connector, &spec, profile.as_ref().map(|(name, _)| name))?;
    let merged = penstock_crds::merge(&spec, profile.as_ref().map(|(_, spec)| spec));
    penstock_crds::resolve_bridge(&name, &merged).map_err(|faults| faulty(connector, &faults))
}

fn read_connector(path: &Path) -> Result<(Name, ConnectorSpec), ConfigError> {
    match parse(path)? {
        Document::Connector(envelope) => Ok((envelope.metadata.name, envelope.spec)),
        _ => Err(wrong(
            path,
            "kind: it is no Connector; name the file of a Connector with --connector",
        )),
    }
}

fn read_profile(path: &Path) -> Result<(Name, ProfileSpec), ConfigError> {
    match parse(path)? {
        Document::Profile(envelope) => Ok((envelope.metadata.name, envelope.spec)),
        _ => Err(wrong(
            path,
            "kind: it is no Profile; name the file of a Profile with --profile",
        )),
    }
}

/// The profile that is given must be the one that the connector names.
fn check_names(path: &Path, spec: &ConnectorSpec, profile: Option<&Name>) -> Result<(), ConfigError> {
    match (spec.profile.as_deref(), profile.map(Name::as_str)) {
        (Some(named), None) => Err(wrong(
            path,
            &format!("spec.profile: `{named}` is not given; give its file with --profile"),
        )),
        (named, Some(given)) if named != Some(given) => {
            let named = named.unwrap_or("none");
            Err(wrong(
                path,
                &format!("spec.profile: it names `{named}`, but --profile is `{given}`; give the other file"),
            ))
        }
        _ => Ok(()),
    }
}

fn parse(path: &Path) -> Result<Document, ConfigError> {
    let unread = |why: String| ConfigError::ReadFile {
        path: path.to_owned(),
        why,
    };
    let text = std::fs::read_to_string(path).map_err(|error| unread(error.to_string()))?;
    if text.len() > MAX_DOCUMENT_BYTES {
        return Err(unread(format!("it has over {MAX_DOCUMENT_BYTES} bytes")));
    }
    let nodes = Format::of(path)
        .read(&text)
        .map_err(|Unreadable { place, why, remedy, .. }| {
            unread(format!("line {}, column {}: {why}; {remedy}", place.line, place.column))
        })?;
    match nodes.as_slice() {
        [only] => match only.repeated().as_slice() {
            [] => penstock_crds::parse_value(only.value()).map_err(|faults| faulty(path, &of_bridge(faults))),
            repeated => Err(faulty(path, repeated)),
        },
        others => Err(unread(format!(
            "it has {} documents; give a file with one",
            others.len()
        ))),
    }
}

/// Leaves out what is missing for ECS: a bridge that is run by hand needs none of it.
fn of_bridge(mut faults: Vec<Fault>) -> Vec<Fault> {
    let is_of_ecs = |fault: &Fault| {
        ["spec.task.", "spec.service."]
            .iter()
            .any(|of| fault.path.starts_with(of))
    };
    faults.retain(|fault| !(fault.is_absence() && is_of_ecs(fault)));
    faults
}

fn faulty(path: &Path, faults: &[Fault]) -> ConfigError {
    ConfigError::Document {
        path: path.to_owned(),
        faults: faults.iter().map(ToString::to_string).collect(),
    }
}

fn wrong(path: &Path, fault: &str) -> ConfigError {
    ConfigError::Document {
        path: path.to_owned(),
        faults: vec![fault.to_owned()],
    }
}
