//! A document as it stands in a file: a tree that remembers where each of its fields stands.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::Fault;

/// A place in a file, counted from 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: u64,
    /// The column, in characters.
    pub column: u64,
}

/// Why a text cannot be read: where, why, and what to do. Nothing of the text itself but the names of fields: what stands there may
/// be a secret.
#[derive(Debug, Clone, PartialEq)]
pub struct Unreadable {
    /// The documents before the one that cannot be read.
    pub before: Vec<Node>,
    /// Where.
    pub place: Place,
    /// Why.
    pub why: String,
    /// What to do about it.
    pub remedy: String,
}

/// A node of a document, and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where it begins; for a field's value, see [`Field::place`].
    pub place: Place,
    /// What it is.
    pub shape: Shape,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// A text, a number, `true`, `false` or `null`.
    Scalar(Value),
    /// A list.
    List(Vec<Node>),
    /// An object.
    Fields(Vec<Field>),
}

/// A field, and where its name stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Where the name stands.
    pub place: Place,
    /// Its value.
    pub node: Node,
}

impl Node {
    /// Returns the tree without its places.
    pub fn value(&self) -> Value {
        match &self.shape {
            Shape::Scalar(value) => value.clone(),
            Shape::List(items) => items.iter().map(Self::value).collect(),
            Shape::Fields(fields) => {
                let fields = fields.iter().map(|field| (field.name.clone(), field.node.value()));
                Value::Object(fields.collect::<Map<_, _>>())
            }
        }
    }

    /// Returns a fault for each field that stands twice in one section, of which the value has the last.
    pub fn repeated(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        self.find_repeated("", &mut faults);
        faults
    }

    fn find_repeated(&self, path: &str, faults: &mut Vec<Fault>) {
        match &self.shape {
            Shape::Scalar(_) => {}
            Shape::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    item.find_repeated(&format!("{path}[{index}]"), faults);
                }
            }
            Shape::Fields(fields) => {
                let mut names = BTreeSet::new();
                for field in fields {
                    let dot = if path.is_empty() { "" } else { "." };
                    let path = format!("{path}{dot}{}", field.name);
                    if !names.insert(&field.name) {
                        let why = "stands there more than once, and only one can count";
                        faults.push(Fault::without_value(&path, why, "keep one of them"));
                    }
                    field.node.find_repeated(&path, faults);
                }
            }
        }
    }

    /// Returns where the field at `path` stands, such as `spec.service.subnets[0]`; nothing if it does not.
    pub fn find(&self, path: &str) -> Option<Place> {
        match self.walk(path) {
            (place, "") => Some(place),
            _ => None,
        }
    }

    /// Returns where the field at `path` stands, or else the nearest one around it that does.
    pub fn nearest(&self, path: &str) -> Place {
        self.walk(path).0
    }

    /// Follows `path` as far as the tree goes; returns the place reached and the rest of the path.
    fn walk<'a>(&self, path: &'a str) -> (Place, &'a str) {
        let (mut node, mut place, mut rest) = (self, self.place, path);
        while let Some((next, reached, left)) = node.step(rest) {
            (node, place, rest) = (next, reached, left);
        }
        (place, rest)
    }

    fn step<'a>(&self, path: &'a str) -> Option<(&Self, Place, &'a str)> {
        match &self.shape {
            Shape::Scalar(_) => None,
            Shape::List(items) => {
                let (index, rest) = path.strip_prefix('[')?.split_once(']')?;
                let item = items.get(index.parse::<usize>().ok()?)?;
                Some((item, item.place, rest))
            }
            Shape::Fields(fields) => {
                let path = path.strip_prefix('.').unwrap_or(path);
                let begins = |field: &&Field| {
                    path.strip_prefix(field.name.as_str())
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
                };
                // Names of labels and variables may hold dots themselves, so the longest that fits is meant.
                let field = fields.iter().filter(begins).max_by_key(|field| field.name.len())?;
                Some((&field.node, field.place, &path[field.name.len()..]))
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::text::yaml::read;

    const TWO: &str = "\
# a comment
kind: Profile
spec:
  service: { subnets: [a, b] }
---
kind: Connector
metadata:
  labels:
    example.com/team: checkout
    example: x
spec:
  task:
    cpu: 256
";

    fn place(line: u64, column: u64) -> Place {
        Place { line, column }
    }

    #[test]
    fn a_field_is_found_where_its_name_stands_in_the_file() {
        let documents = read(TWO).unwrap();
        assert_eq!(documents.len(), 2);
        assert_eq!(documents[0].find("spec.service.subnets[1]"), Some(place(4, 27)));
        assert_eq!(documents[1].find("spec.task.cpu"), Some(place(13, 5)));
    }

    #[test]
    fn a_name_with_dots_is_found_before_a_shorter_one() {
        let documents = read(TWO).unwrap();
        assert_eq!(documents[1].find("metadata.labels.example.com/team"), Some(place(9, 5)));
        assert_eq!(documents[1].find("metadata.labels.example"), Some(place(10, 5)));
    }

    #[test]
    fn what_is_missing_is_told_at_the_nearest_field_around_it() {
        let documents = read(TWO).unwrap();
        assert_eq!(documents[1].find("spec.task.memory"), None);
        assert_eq!(documents[1].nearest("spec.task.memory"), place(12, 3));
        assert_eq!(documents[1].nearest("nonesuch"), place(6, 1));
    }
}
