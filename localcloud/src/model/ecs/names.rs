//! ARNs and identifiers: how they are made, and what they name.

use crate::model::Scope;
use crate::model::ids::Ids;

/// 32 hexadecimal digits, as in task ARNs.
pub(super) fn hex_id(ids: &mut Ids) -> String {
    ids.text(32, "0123456789abcdef")
}

/// 19 decimal digits, as in deployment ids and service revision ARNs.
pub(super) fn decimal_id(ids: &mut Ids) -> String {
    format!("9{}", ids.text(18, "0123456789"))
}

/// 21 characters, as in service deployment ARNs.
pub(super) fn mixed_id(ids: &mut Ids) -> String {
    ids.text(21, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
}

/// The ARN of an ECS resource, such as `service` and `cluster/name`.
pub(super) fn arn(scope: &Scope, kind: &str, path: &str) -> String {
    scope.arn("ecs", &format!("{kind}/{path}"))
}

/// The path after `kind/` if `reference` is an ARN of that kind, else the reference itself.
pub(super) fn path<'a>(reference: &'a str, kind: &str) -> &'a str {
    if !reference.starts_with("arn:") {
        return reference;
    }
    let resource = reference.splitn(6, ':').nth(5).unwrap_or_default();
    resource
        .strip_prefix(kind)
        .and_then(|rest| rest.strip_prefix('/'))
        .unwrap_or(reference)
}

/// The last segment of a name, path or ARN: a cluster's, service's or task's own name.
pub(super) fn last_segment(reference: &str) -> &str {
    reference.rsplit('/').next().unwrap_or(reference)
}

/// The name of the cluster that a call means: the short name, the ARN's, or `default`.
pub(super) fn cluster_name(reference: Option<&str>) -> &str {
    reference.map_or("default", |reference| path(reference, "cluster"))
}

/// Family and, if named, revision of a task definition reference.
pub(super) fn family_and_revision(reference: &str) -> (&str, Option<u32>) {
    let path = path(reference, "task-definition");
    match path.rsplit_once(':') {
        Some((family, revision)) => match revision.parse() {
            Ok(revision) => (family, Some(revision)),
            Err(_) => (path, None),
        },
        None => (path, None),
    }
}

/// Whether ECS would take this as the name of a family, cluster or service.
pub(super) fn is_valid_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 255 && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_in_every_form() {
        let arn = "arn:aws:ecs:eu-west-1:123456789012:task-definition/orders:7";
        assert_eq!(family_and_revision(arn), ("orders", Some(7)));
        assert_eq!(family_and_revision("orders"), ("orders", None));
        assert_eq!(
            cluster_name(Some("arn:aws:ecs:eu-west-1:123456789012:cluster/blue")),
            "blue"
        );
        assert_eq!(cluster_name(None), "default");
        assert_eq!(last_segment("arn:aws:ecs:eu-west-1:123456789012:task/blue/0af"), "0af");
    }
}
