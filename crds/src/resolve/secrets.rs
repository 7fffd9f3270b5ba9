//! `spec.secrets`, and the references to them.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;

use super::arn;
use super::faults::{Faults, pattern};
use crate::SecretReference;

static NAME: LazyLock<Regex> = LazyLock::new(|| pattern(r"^[A-Za-z0-9]([A-Za-z0-9_.-]{0,62}[A-Za-z0-9])?$"));

/// Returns the secrets by name. One that nothing refers to is no fault: profiles hold them for many connectors.
pub(super) fn secrets(spec: Option<&BTreeMap<String, String>>, faults: &mut Faults) -> BTreeMap<String, String> {
    let secrets = spec.cloned().unwrap_or_default();
    for (name, value) in &secrets {
        let path = format!("spec.secrets.{name}");
        if !NAME.is_match(name) {
            faults.hide(&path, "has a name that cannot be referred to", "use 1 to 64 letters, digits, dots, underscores and hyphens, beginning and ending with a letter or digit");
        }
        arn::check_secret(&path, value, faults);
    }
    secrets
}

/// Refuses a reference to a secret that is not there, and a key that ECS would misread.
pub(super) fn check_reference(
    path: &str,
    reference: &SecretReference,
    secrets: &BTreeMap<String, String>,
    faults: &mut Faults,
) {
    if !secrets.contains_key(&reference.secret) {
        let known: Vec<&str> = secrets.keys().map(String::as_str).collect();
        let known = if known.is_empty() {
            "there is none yet".to_owned()
        } else {
            format!("there are: {}", known.join(", "))
        };
        faults.missing_for(
            &format!("{path}.secret"),
            // The name is not repeated: somebody may have put the secret itself there.
            format_args!("for `spec.secrets` has no such name ({known})"),
            "add the secret's ARN under that name to `spec.secrets` of the connector or its profile",
        );
    }
    if let Some(key) = reference.key.as_ref().filter(|key| key.is_empty() || key.contains(':')) {
        faults.refuse(
            &format!("{path}.key"),
            key,
            "cannot be a key inside a secret: it is empty or has a colon, which ECS takes for a separator",
            "name a key of the secret's JSON object, or remove the field to take the whole value",
        );
    }
}
