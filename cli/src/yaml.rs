//! YAML, and with it JSON, to trees that remember where each field stands.
//!
//! Depth, size and aliases are bounded by the parser's budget, so a file cannot make the command hang.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::{Location, Spanned};

/// The most levels that a document may have; ours have eight.
const MOST_LEVELS: usize = 64;
/// The most that aliases may repeat.
const MOST_REPLAYED: usize = 10_000;

/// A place in a file, counted from 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) line: u64,
    pub(crate) column: u64,
}

/// A text that is no YAML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unreadable {
    pub(crate) place: Place,
    pub(crate) why: String,
}

/// A node of a document, and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    place: Place,
    shape: Shape,
}

#[derive(Debug, Clone, PartialEq)]
enum Shape {
    Scalar(Value),
    List(Vec<Node>),
    Fields(Vec<Field>),
}

#[derive(Debug, Clone, PartialEq)]
struct Field {
    name: String,
    place: Place,
    node: Node,
}

/// Reads every document of a text; empty ones are left out.
pub(crate) fn read(text: &str) -> Result<Vec<Node>, Unreadable> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: MOST_LEVELS },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MOST_REPLAYED },
        with_snippet: false,
    };
    let read = serde_saphyr::from_multiple_with_options::<Spanned<Shape>>(text, options);
    match read {
        Ok(documents) => Ok(documents.into_iter().map(Node::from).collect()),
        Err(error) => Err(Unreadable {
            place: error.location().map(Place::from).unwrap_or_default(),
            why: error.to_string(),
        }),
    }
}

impl Node {
    /// Returns the tree without its places.
    pub(crate) fn value(&self) -> Value {
        match &self.shape {
            Shape::Scalar(value) => value.clone(),
            Shape::List(items) => items.iter().map(Self::value).collect(),
            Shape::Fields(fields) => {
                let fields = fields.iter().map(|field| (field.name.clone(), field.node.value()));
                Value::Object(fields.collect::<Map<_, _>>())
            }
        }
    }

    /// Returns where the field at `path` stands, such as `spec.service.subnets[0]`; nothing if it does not.
    pub(crate) fn find(&self, path: &str) -> Option<Place> {
        match self.walk(path) {
            (place, "") => Some(place),
            _ => None,
        }
    }

    /// Returns where the field at `path` stands, or else the nearest one around it that does.
    pub(crate) fn nearest(&self, path: &str) -> Place {
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

impl From<Location> for Place {
    fn from(location: Location) -> Self {
        Self {
            line: location.line(),
            column: location.column(),
        }
    }
}

impl From<Spanned<Shape>> for Node {
    fn from(spanned: Spanned<Shape>) -> Self {
        Self {
            place: spanned.referenced.into(),
            shape: spanned.value,
        }
    }
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapeVisitor)
    }
}

struct ShapeVisitor;

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Shape;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Shape, E> {
        Ok(Shape::Scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Shape, E> {
        Ok(Shape::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Shape, E> {
        Ok(Shape::Scalar(value.into()))
    }

    /// JSON has no infinity; as a text it is refused wherever a number belongs.
    fn visit_f64<E>(self, value: f64) -> Result<Shape, E> {
        let number = Number::from_f64(value).map(Value::Number);
        Ok(Shape::Scalar(number.unwrap_or_else(|| value.to_string().into())))
    }

    fn visit_str<E>(self, value: &str) -> Result<Shape, E> {
        Ok(Shape::Scalar(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Shape, E> {
        Ok(Shape::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Shape, E> {
        Ok(Shape::Scalar(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Shape, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Shape, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element::<Spanned<Shape>>()? {
            list.push(item.into());
        }
        Ok(Shape::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Shape, A::Error> {
        let mut fields = Vec::new();
        while let Some((name, node)) = entries.next_entry::<Spanned<String>, Spanned<Shape>>()? {
            fields.push(Field {
                place: name.referenced.into(),
                name: name.value,
                node: node.into(),
            });
        }
        Ok(Shape::Fields(fields))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

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

    #[test]
    fn json_is_read_too_and_values_keep_their_types() {
        let documents = read("{\"a\": [1, 2.5, \"1\", true, null], \"b\": {}}").unwrap();
        assert_eq!(
            documents[0].value(),
            serde_json::json!({"a": [1, 2.5, "1", true, null], "b": {}})
        );
    }

    #[test]
    fn a_text_that_is_no_yaml_is_refused_with_its_place() {
        let refused = read("a: 1\nb: [1, 2\nc: 3\n").unwrap_err();
        assert!(refused.place.line >= 2, "{refused:?}");
    }

    #[test]
    fn a_field_that_stands_twice_is_refused() {
        let refused = read("a: 1\na: 2\n").unwrap_err();
        assert_eq!(refused.place.line, 2, "{refused:?}");
    }

    #[test]
    fn an_alias_bomb_and_a_deep_nest_are_refused_soon() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..10 {
            let inner = format!("*a{}, ", level - 1).repeat(10);
            bomb += &format!("a{level}: &a{level} [{}]\n", inner.trim_end_matches(", "));
        }
        assert!(read(&bomb).is_err());
        assert!(read(&("[".repeat(100_000) + &"]".repeat(100_000))).is_err());
        assert!(read(&format!("{}1", "{a: ".repeat(200))).is_err());
    }

    #[test]
    fn an_error_never_shows_the_line_it_stands_in() {
        let refused = read("password: hunter2\npassword: [hunter2\n").unwrap_err();
        assert!(!refused.why.contains("hunter2"), "{refused:?}");
    }
}
