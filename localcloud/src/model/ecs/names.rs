//! ARNs and identifiers: how they are made, and what they name.

use super::wire::invalid;
use crate::model::ids::Ids;
use crate::model::{Fault, Scope};

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

/// What a reference to a `kind` names: the path of an ARN of this account and region, or else the reference itself.
///
/// # Errors
/// As ECS refuses an ARN of another region, account or kind.
pub(super) fn path<'a>(scope: &Scope, kind: &str, reference: &'a str) -> Result<&'a str, Fault> {
    if !reference.starts_with("arn:") {
        return Ok(reference);
    }
    let parts: Vec<&str> = reference.splitn(6, ':').collect();
    let [_, partition, service, region, account, resource] = parts[..] else {
        return Err(invalid("Invalid identifier: Unexpected number of separators"));
    };
    if (partition, region) != (scope.partition(), scope.region.as_str()) {
        return Err(invalid("Invalid Region in ARN"));
    }
    if account != scope.account {
        return Err(invalid(format!(
            "Invalid identifier: Identifier is for account {account}. Your account is {}",
            scope.account
        )));
    }
    let path = resource.strip_prefix(kind).and_then(|rest| rest.strip_prefix('/'));
    path.filter(|_| service == "ecs")
        .ok_or_else(|| invalid(format!("Invalid identifier: {reference} is no ARN of a {kind}")))
}

/// The own name of what lives in a cluster: a service's, a task's id. ARNs of the former form do not say the cluster.
///
/// # Errors
/// As ECS refuses what [`path`] refuses, and what lives in another cluster.
pub(super) fn name_in<'a>(scope: &Scope, kind: &str, cluster: &str, reference: &'a str) -> Result<&'a str, Fault> {
    let path = path(scope, kind, reference)?;
    match path.split_once('/') {
        None => Ok(path),
        Some((home, name)) if home == cluster => Ok(name),
        Some((home, _)) => Err(invalid(format!(
            "Invalid identifier: Identifier is for cluster {home}. Your cluster is {cluster}"
        ))),
    }
}

/// The ARN of what lives in a cluster, named by its id or ARN.
///
/// # Errors
/// As [`name_in`].
pub(super) fn arn_in(scope: &Scope, kind: &str, cluster: &str, reference: &str) -> Result<String, Fault> {
    let name = name_in(scope, kind, cluster, reference)?;
    Ok(arn(scope, kind, &format!("{cluster}/{name}")))
}

/// The name of the cluster that a call means: the short name, the ARN's, or `default`.
pub(super) fn cluster_name<'a>(scope: &Scope, reference: Option<&'a str>) -> Result<&'a str, Fault> {
    reference.map_or(Ok("default"), |reference| path(scope, "cluster", reference))
}

/// Family and, if named, revision of a task definition: of its ARN, or of what [`path`] returned.
pub(super) fn family_and_revision(reference: &str) -> (&str, Option<u32>) {
    let name = reference.rsplit('/').next().unwrap_or(reference);
    match name.rsplit_once(':') {
        Some((family, revision)) => match revision.parse() {
            Ok(revision) => (family, Some(revision)),
            Err(_) => (name, None),
        },
        None => (name, None),
    }
}

/// Whether ECS would take this as the name of a family, cluster or service.
pub(super) fn is_valid_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 255 && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn scope() -> Scope {
        Scope {
            account: "123456789012".into(),
            region: "eu-west-1".into(),
        }
    }

    #[test]
    fn references_are_read_in_every_form() {
        let arn = "arn:aws:ecs:eu-west-1:123456789012:task-definition/orders:7";
        assert_eq!(family_and_revision(arn), ("orders", Some(7)));
        assert_eq!(family_and_revision("orders:7"), ("orders", Some(7)));
        assert_eq!(family_and_revision("orders"), ("orders", None));
        let cluster = "arn:aws:ecs:eu-west-1:123456789012:cluster/blue";
        assert_eq!(cluster_name(&scope(), Some(cluster)).unwrap(), "blue");
        assert_eq!(cluster_name(&scope(), None).unwrap(), "default");
        for reference in [
            "0af",
            "arn:aws:ecs:eu-west-1:123456789012:task/0af",
            "arn:aws:ecs:eu-west-1:123456789012:task/blue/0af",
        ] {
            assert_eq!(name_in(&scope(), "task", "blue", reference).unwrap(), "0af");
        }
    }

    #[test]
    fn an_arn_of_elsewhere_names_nothing_here() {
        for (arn, why) in [
            ("arn:aws:ecs:eu-west-2:123456789012:service/blue/s", "Region"),
            ("arn:aws-cn:ecs:eu-west-1:123456789012:service/blue/s", "Region"),
            (
                "arn:aws:ecs:eu-west-1:210987654321:service/blue/s",
                "account 210987654321",
            ),
            ("arn:aws:ecs:eu-west-1:123456789012:service/red/s", "cluster red"),
            ("arn:aws:ecs:eu-west-1:123456789012:task/blue/s", "no ARN of a service"),
            (
                "arn:aws:sqs:eu-west-1:123456789012:service/blue/s",
                "no ARN of a service",
            ),
            ("arn:aws:ecs", "separators"),
        ] {
            let fault = name_in(&scope(), "service", "blue", arn).unwrap_err();
            assert_eq!(fault.code, "InvalidParameterException");
            assert!(fault.message.contains(why), "{arn}: {}", fault.message);
        }
    }
}
