//! Which fields differ between what is wanted and what AWS holds, for people and the audit.

use penstock_crds::Difference;
use serde::Serialize;
use serde_json::Value;

use crate::plan::resources::{Observed, Resources};

/// The most differences that one status names; a status has to fit a Kafka record.
const MOST: usize = 50;

/// Returns the fields that differ, resource by resource.
pub fn differences(desired: &Resources, observed: &Observed) -> Vec<Difference> {
    let mut found = Vec::new();
    let seen = &observed.resources;
    compare_resource("service", desired.service.as_ref(), seen.service.as_ref(), &mut found);
    compare_resource("scaling", desired.scaling.as_ref(), seen.scaling.as_ref(), &mut found);
    let names: std::collections::BTreeSet<_> = desired.alarms.keys().chain(seen.alarms.keys()).collect();
    for name in names.into_iter().filter(|name| !observed.foreign.contains_key(*name)) {
        compare_resource(
            &format!("alarm {name}"),
            desired.alarms.get(name),
            seen.alarms.get(name),
            &mut found,
        );
    }
    found.truncate(MOST);
    found
}

fn compare_resource<T: Serialize>(
    resource: &str,
    desired: Option<&T>,
    observed: Option<&T>,
    found: &mut Vec<Difference>,
) {
    let value = |side: Option<&T>| side.map_or(Value::Null, |side| serde_json::to_value(side).unwrap_or(Value::Null));
    let difference = |field: &str, observed: Value, desired: Value| Difference {
        resource: resource.to_owned(),
        field: field.to_owned(),
        observed,
        desired,
    };
    match (desired, observed) {
        (None, None) => {}
        (Some(_), None) => found.push(difference("", Value::Null, Value::String("exists".to_owned()))),
        (None, Some(_)) => found.push(difference("", Value::String("exists".to_owned()), Value::Null)),
        (Some(_), Some(_)) => {
            let mut fields = Vec::new();
            compare(String::new(), &value(desired), &value(observed), &mut fields);
            found.extend(
                fields
                    .into_iter()
                    .map(|(field, desired, observed)| difference(&field, observed, desired)),
            );
        }
    }
}

fn compare(path: String, desired: &Value, observed: &Value, found: &mut Vec<(String, Value, Value)>) {
    match (desired, observed) {
        (Value::Object(left), Value::Object(right)) => {
            let keys: std::collections::BTreeSet<_> = left.keys().chain(right.keys()).collect();
            for key in keys {
                let below = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                compare(
                    below,
                    left.get(key).unwrap_or(&Value::Null),
                    right.get(key).unwrap_or(&Value::Null),
                    found,
                );
            }
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            for (index, (left, right)) in left.iter().zip(right).enumerate() {
                compare(format!("{path}[{index}]"), left, right, found);
            }
        }
        (left, right) if left == right => {}
        // What somebody put into a task's environment by hand may be a secret, and a status stays for a month.
        (left, right) if path.contains(".environment.") && !right.is_null() => {
            found.push((path, left.clone(), Value::String("(another value)".to_owned())));
        }
        (left, right) => found.push((path, left.clone(), right.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::resources::{Scaling, ServiceLife};

    fn scaling(min: i32) -> Scaling {
        Scaling {
            min,
            max: 6,
            suspended: Default::default(),
            policies: Default::default(),
        }
    }

    #[test]
    fn a_changed_field_is_named_with_both_values() {
        let desired = Resources {
            scaling: Some(scaling(1)),
            ..Default::default()
        };
        let resources = Resources {
            scaling: Some(scaling(3)),
            ..Default::default()
        };
        let observed = Observed {
            resources,
            life: ServiceLife::Active,
            ..Default::default()
        };
        let found = differences(&desired, &observed);
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].resource.as_str(), found[0].field.as_str()),
            ("scaling", "min")
        );
        assert_eq!(
            (&found[0].observed, &found[0].desired),
            (&Value::from(3), &Value::from(1))
        );
    }

    #[test]
    fn a_missing_resource_is_one_difference() {
        let desired = Resources {
            scaling: Some(scaling(1)),
            ..Default::default()
        };
        let found = differences(&desired, &Observed::default());
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].field, "");
    }

    #[test]
    fn a_value_that_somebody_put_into_the_environment_is_not_told() {
        let mut found = Vec::new();
        let side = |password: Option<&str>| serde_json::json!({"container": {"environment": password.map(|one| serde_json::json!({"PASSWORD": one})).unwrap_or(serde_json::json!({}))}});
        compare("task".to_owned(), &side(None), &side(Some("hunter2")), &mut found);
        assert_eq!(found.len(), 1);
        assert!(!format!("{found:?}").contains("hunter2"), "{found:?}");
    }
}
