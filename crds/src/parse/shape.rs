//! A JSON tree to a type, with every fault of its shape: after each fault the offending node is taken out and the rest
//! is read again, so that one mistake does not hide the next.

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::complaint::Complaint;
use super::tree::Tree;
use crate::Fault;
use crate::fault::MISSING;

/// How many faults one section may report; reading again takes time, and nobody mends more at once.
const MOST_FAULTS: usize = 200;

/// Reads `tree`, which stands at `root`, without what is at fault in it; returns nothing when nothing sound is left.
pub(super) fn read<T: DeserializeOwned>(tree: Option<Value>, root: &str, faults: &mut Vec<Fault>) -> Option<T> {
    let Some(mut tree) = tree else {
        faults.push(Fault::without_value(root, MISSING, format!("add the section `{root}`")));
        return None;
    };
    let mut reported = BTreeSet::new();
    take_nulls_out(&mut tree, root, &mut |path| {
        faults.push(Fault::without_value(
            &path,
            "is null",
            "give it a value, or leave the field out",
        ));
        reported.insert(path);
    });
    for _ in 0..MOST_FAULTS {
        let error = match serde_path_to_error::deserialize::<_, T>(Tree(&tree)) {
            Ok(value) => return Some(value),
            Err(error) => error,
        };
        let mut steps = steps(error.path());
        let mut complaint = Complaint::new(&error.inner().to_string());
        if let Complaint::NoKind { is_word } = complaint {
            steps.truncate(depth_of(&tree, &steps).saturating_sub(usize::from(is_word)));
            complaint = kinds::<T>(&tree, &steps).unwrap_or(complaint);
        }
        match &complaint {
            Complaint::Missing { field } => steps.push(Step::Key(field.clone())),
            // The reader of alternatives names the one it tried, also where the tree has nothing of that name.
            _ => steps.truncate(depth_of(&tree, &steps)),
        }
        let path = write_path(root, &steps);
        let follows = complaint.may_follow() && reported.iter().any(|earlier| is_below(earlier, &path));
        let is_new = reported.insert(path.clone());
        if is_new && !follows {
            faults.push(complaint.into_fault(&path, find(&tree, &steps)));
        }
        if !mend(&mut tree, &steps, is_new) {
            return None;
        }
    }
    None
}

/// Returns the complaint that names the kinds which the field at `steps` takes: that of a word in its place which is none of them.
fn kinds<T: DeserializeOwned>(tree: &Value, steps: &[Step]) -> Option<Complaint> {
    let mut tree = tree.clone();
    let found = find_mut(&mut tree, steps).filter(|found| !found.is_string())?;
    *found = json!("");
    let error = serde_path_to_error::deserialize::<_, T>(Tree(&tree)).err()?;
    match Complaint::new(&error.inner().to_string()) {
        Complaint::NoneOf { known } => Some(Complaint::NotOne { known }),
        _ => None,
    }
}

/// Names what a value is.
pub(super) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Returns a scalar as text without quotes, and anything else as JSON.
pub(super) fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// One step of a path into a tree.
#[derive(Debug, Clone, PartialEq)]
enum Step {
    Key(String),
    Index(usize),
}

fn steps(path: &serde_path_to_error::Path) -> Vec<Step> {
    path.iter()
        .map_while(|segment| match segment {
            serde_path_to_error::Segment::Seq { index } => Some(Step::Index(*index)),
            serde_path_to_error::Segment::Map { key } => Some(Step::Key(key.clone())),
            serde_path_to_error::Segment::Enum { variant } => Some(Step::Key(variant.clone())),
            serde_path_to_error::Segment::Unknown => None,
        })
        .collect()
}

fn write_path(root: &str, steps: &[Step]) -> String {
    steps.iter().fold(root.to_owned(), |path, step| match step {
        Step::Key(key) => format!("{path}.{key}"),
        Step::Index(index) => format!("{path}[{index}]"),
    })
}

fn take_nulls_out(tree: &mut Value, path: &str, report: &mut impl FnMut(String)) {
    match tree {
        Value::Object(fields) => {
            fields.retain(|key, value| {
                let is_null = value.is_null();
                if is_null {
                    report(format!("{path}.{key}"));
                }
                !is_null
            });
            for (key, value) in fields {
                take_nulls_out(value, &format!("{path}.{key}"), report);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                take_nulls_out(item, &format!("{path}[{index}]"), report);
            }
        }
        _ => {}
    }
}

fn find<'a>(tree: &'a Value, steps: &[Step]) -> Option<&'a Value> {
    steps.iter().try_fold(tree, |node, step| match step {
        Step::Key(key) => node.get(key),
        Step::Index(index) => node.get(index),
    })
}

/// Returns how many of the steps the tree has.
fn depth_of(tree: &Value, steps: &[Step]) -> usize {
    (0..=steps.len())
        .rev()
        .find(|depth| find(tree, &steps[..*depth]).is_some())
        .unwrap_or(0)
}

fn is_below(path: &str, parent: &str) -> bool {
    path.strip_prefix(parent)
        .is_some_and(|rest| rest.starts_with(['.', '[']))
}

fn find_mut<'a>(tree: &'a mut Value, steps: &[Step]) -> Option<&'a mut Value> {
    steps.iter().try_fold(tree, |node, step| match step {
        Step::Key(key) => node.get_mut(key),
        Step::Index(index) => node.get_mut(index),
    })
}

/// Changes `tree` so that reading goes on behind the fault at `steps`; returns whether it could. A field that is wanted
/// gets a stand-in, which nobody ever sees, since a tree with a fault is never accepted.
fn mend(tree: &mut Value, steps: &[Step], is_new: bool) -> bool {
    let depth = (0..=steps.len())
        .rev()
        .find(|depth| find(tree, &steps[..*depth]).is_some())
        .unwrap_or(0);
    let is_absent = depth + 1 == steps.len();
    if is_absent
        && let (Some(Step::Key(key)), Some(Value::Object(fields))) = (steps.last(), find_mut(tree, &steps[..depth]))
        && let Some(stand_in) = stand_in(key)
    {
        fields.insert(key.clone(), stand_in);
        return true;
    }
    // The same fault again means that taking out the node did not help; its parent then goes.
    let depth = if is_new { depth } else { depth.saturating_sub(1) };
    take_out(tree, &steps[..depth])
}

fn take_out(tree: &mut Value, steps: &[Step]) -> bool {
    let Some((last, parents)) = steps.split_last() else {
        return false;
    };
    match (last, find_mut(tree, parents)) {
        (Step::Key(key), Some(Value::Object(fields))) => fields.remove(key).is_some(),
        (Step::Index(index), Some(Value::Array(items))) => {
            // An element is replaced, not removed: the elements behind it keep their places in later paths.
            let replacement = parents.last().and_then(element_of);
            match replacement {
                Some(replacement) if items[*index] != replacement => items[*index] = replacement,
                _ => drop(items.remove(*index)),
            }
            true
        }
        _ => false,
    }
}

fn stand_in(field: &str) -> Option<Value> {
    match field {
        "arn" | "name" | "region" | "secret" => Some(json!("a")),
        "certificate" | "password" | "privateKey" | "username" => Some(json!({ "secret": "a" })),
        _ => None,
    }
}

fn element_of(list: &Step) -> Option<Value> {
    let Step::Key(list) = list else { return None };
    match list.as_str() {
        "bootstrapServers" | "securityGroups" | "subnets" | "topics" => Some(json!("a")),
        "capacityProviders" => Some(json!({ "name": "a" })),
        "constraints" => Some(json!({ "type": "distinctInstance" })),
        "strategies" => Some(json!({ "type": "random" })),
        _ => None,
    }
}
