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

/// How many names a fault lists: enough to see a slip of the pen, and few enough for one line.
const NAMED: usize = 10;

/// Refuses a reference to a secret that is not there, and a key that ECS would misread.
pub(super) fn check_reference(
    path: &str,
    reference: &SecretReference,
    secrets: &BTreeMap<String, String>,
    faults: &mut Faults,
) {
    if !secrets.contains_key(&reference.secret) {
        let known = known(secrets);
        faults.missing_for(
            &format!("{path}.secret"),
            // Neither the name nor the key is repeated: somebody may have put the secret itself there.
            format_args!("for `spec.secrets` has no such name ({known})"),
            "add the secret's ARN under that name to `spec.secrets` of the connector or its profile",
        );
    }
    if reference
        .key
        .as_ref()
        .is_some_and(|key| key.is_empty() || key.contains(':'))
    {
        faults.hide(
            &format!("{path}.key"),
            "cannot be a key inside a secret: it is empty or has a colon, which ECS takes for a separator",
            "name a key of the secret's JSON object, or remove the field to take the whole value",
        );
    }
}

/// Says which names there are; a profile may have thousands.
fn known(secrets: &BTreeMap<String, String>) -> String {
    let names: Vec<&str> = secrets.keys().take(NAMED).map(String::as_str).collect();
    match secrets.len() - names.len() {
        _ if names.is_empty() => "there is none yet".to_owned(),
        0 => format!("there are: {}", names.join(", ")),
        more => format!("there are {}: {} and {more} more", secrets.len(), names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(count: usize) -> String {
        let named = |number| (format!("name-{number:04}"), String::new());
        let reference = SecretReference {
            secret: "none-of-them".to_owned(),
            key: None,
        };
        let mut faults = Faults::default();
        check_reference("spec.kafka", &reference, &(1..=count).map(named).collect(), &mut faults);
        let found = faults.or(()).expect_err("there is no such secret");
        found[0].why.clone()
    }

    #[test]
    fn a_name_that_is_not_there_is_refused_with_a_few_of_those_that_are_and_their_number() {
        assert!(refused(0).ends_with("(there is none yet)"));
        assert!(refused(2).ends_with("(there are: name-0001, name-0002)"));
        assert!(refused(10).ends_with("name-0009, name-0010)"));
        let many = refused(3000);
        assert!(
            many.ends_with("name-0009, name-0010 and 2990 more)") && many.contains("(there are 3000: "),
            "{many}"
        );
    }
}
