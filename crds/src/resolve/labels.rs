//! Labels, which become tags of the ECS service: AWS's rules for tags are theirs.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;

use super::faults::{Faults, pattern};
use crate::secrecy;

/// AWS takes 50 tags; the rest are Penstock's own.
const MOST_LABELS: usize = 40;

static TAG_TEXT: LazyLock<Regex> = LazyLock::new(|| pattern(r"^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$"));

pub(super) fn check(labels: &BTreeMap<String, String>, faults: &mut Faults) {
    if labels.len() > MOST_LABELS {
        let why = format!(
            "are {} labels, and {MOST_LABELS} fit beside Penstock's own tags on an ECS service",
            labels.len()
        );
        faults.hide("metadata.labels", why, "move some to metadata.annotations");
    }
    for (key, value) in labels {
        check_label(key, value, faults);
    }
}

fn check_label(key: &str, value: &str, faults: &mut Faults) {
    let path = format!("metadata.labels.{key}");
    let lower = key.to_lowercase();
    if let Some(prefix) = ["aws:", "penstock:"]
        .into_iter()
        .find(|prefix| lower.starts_with(prefix))
    {
        faults.hide(
            &path,
            format!("begins with `{prefix}`, which is reserved"),
            "choose another key",
        );
    }
    if key.is_empty() || key.chars().count() > 128 || !TAG_TEXT.is_match(key) {
        faults.hide(
            &path,
            "cannot be the key of an AWS tag",
            "use 1 to 128 letters, digits, spaces and _ . : / = + - @",
        );
    }
    if secrecy::is_secret(key, value) {
        faults.hide(
            &path,
            "looks like a secret, and everybody who may read the topic or the service's tags could read it",
            "remove it; what a task needs goes into Secrets Manager and `spec.task.secrets`",
        );
    } else if value.chars().count() > 256 || !TAG_TEXT.is_match(value) {
        faults.refuse(
            &path,
            value,
            "cannot be the value of an AWS tag",
            "use at most 256 letters, digits, spaces and _ . : / = + - @, or write an annotation",
        );
    }
}
