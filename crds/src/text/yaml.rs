//! YAML to trees that remember where each field stands.
//!
//! Depth, size and aliases are bounded by the parser's budget, so a file cannot make the command hang. What the library complains of is
//! told in words of ours (`complaint`).

mod complaint;

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};
use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, Span};
use serde_saphyr::{DuplicateKeyPolicy, Error, Location, Spanned};

use crate::text::tree::{Field, Node, Place, Shape, Unreadable};

/// The most levels that a document may have; ours have eight.
const MOST_LEVELS: usize = 64;
/// The most that aliases may repeat.
const MOST_REPLAYED: usize = 10_000;

/// Reads every document of a text; empty ones are left out, one that is `null` is not. A tag that YAML itself does not define
/// would mean nothing, so it is refused.
pub(super) fn read(text: &str) -> Result<Vec<Node>, Unreadable> {
    read_all(text).map_err(|error| {
        let unreadable = complaint::unreadable(&error);
        let before = match before(text, unreadable.place) {
            "" => Vec::new(),
            text => read(text).unwrap_or_else(|earlier| earlier.before),
        };
        Unreadable { before, ..unreadable }
    })
}

fn read_all(text: &str) -> Result<Vec<Node>, Error> {
    read_with(text, DuplicateKeyPolicy::Error).or_else(|error| {
        // Where a field stands twice, the rest can be read all the same, so that every such field is found.
        let nodes = read_with(text, DuplicateKeyPolicy::LastWins)?;
        let is_found = nodes.iter().any(|node| !node.repeated().is_empty());
        if is_found { Ok(nodes) } else { Err(error) }
    })
}

/// Returns the text before the document in which something stands. A line of `---` begins one, whatever it stands in.
fn before(text: &str, place: Place) -> &str {
    let is_marker = |line: &str| {
        line.strip_prefix("---")
            .is_some_and(|rest| rest.trim_start() != rest || rest.is_empty())
    };
    let (mut end, mut begins) = (0, 0);
    let lines = usize::try_from(place.line).unwrap_or_default();
    for line in text.split_inclusive('\n').take(lines) {
        if is_marker(line) {
            begins = end;
        }
        end += line.len();
    }
    &text[..begins]
}

fn read_with(text: &str, repeated: DuplicateKeyPolicy) -> Result<Vec<Node>, Error> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: MOST_LEVELS },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MOST_REPLAYED },
        duplicate_keys: repeated,
        reject_unsupported_tags: true,
        with_snippet: false,
    };
    let documents = serde_saphyr::from_multiple_with_options::<Spanned<Shape>>(text, options)?;
    Ok(documents.into_iter().map(Node::from).chain(nulls(text)).collect())
}

/// Returns the documents that are `null`. The reader leaves them out like empty ones, which nobody wrote; whoever writes `null`
/// means something, and it is not nothing. The text has been read, so that nothing in it is out of bounds.
fn nulls(text: &str) -> impl Iterator<Item = Node> {
    let mut begins = false;
    let events = Parser::new_from_str(text).map_while(Result::ok);
    events.filter_map(move |(event, span)| {
        let is_null = begins && is_null(&event, span);
        begins = matches!(event, Event::DocumentStart(..));
        let place = Place {
            line: u64::try_from(span.start.line()).unwrap_or_default(),
            column: u64::try_from(span.start.col() + 1).unwrap_or_default(),
        };
        is_null.then_some(Node {
            place,
            shape: Shape::Scalar(Value::Null),
        })
    })
}

/// The parser gives an empty document the text of a null, and no length.
fn is_null(event: &Event<'_>, span: Span) -> bool {
    match event {
        Event::Scalar(_, _, _, Some(tag)) => tag.is_yaml_core_schema_tag("null"),
        Event::Scalar(text, ScalarStyle::Plain, _, None) => {
            span.start.index() < span.end.index() && (text == "~" || text.eq_ignore_ascii_case("null"))
        }
        _ => false,
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
    fn a_tag_is_refused_and_not_shown() {
        for text in [
            "a: 1\nb: !hunter2 x\n",
            "a: 1\nb: !hunter2\n",
            "a: 1\nb: !hunter2 [1]\n",
            "a: 1\nb: !hunter2 {c: 1}\n",
            "a: 1\nb: !a!hunter2 x\n",
        ] {
            let refused = read(text).unwrap_err();
            assert!(
                refused.place.line == 2 && refused.why.contains("a tag"),
                "{text}: {refused:?}"
            );
            assert!(!format!("{refused:?}").contains("hunter2"), "{refused:?}");
        }
        let core = read("a: !!str 1\nb: !!int \"2\"\n").unwrap();
        assert_eq!(
            core[0].value(),
            serde_json::json!({"a": "1", "b": 2}),
            "YAML's own tags mean something"
        );
    }

    #[test]
    fn what_is_no_yaml_is_told_in_our_words_with_what_to_do() {
        for (text, line, words) in [
            ("a:\n\tb: 1\n", 2, "a tab"),
            ("a: [1, 2\nb: 3\n", 2, "a colon"),
            ("a: [1, 2\n", 2, "not closed"),
            ("a: 1]\nb: }\n", 2, "bracket"),
            ("a: \"x\nb: y\n", 1, "quotation mark"),
            ("a: 'x' y\n", 1, "follows the quotation mark"),
            ("a: \"\\q\"\n", 1, "backslash"),
            ("a: b: c\n", 1, "a colon"),
            ("a: 1\n  b: 2\n", 2, "colon"),
            ("a: 1\nb\nc: 2\n", 2, "a name, a colon"),
            ("a: @x\n", 1, "cannot begin with this character"),
            ("a: *x\n", 1, "an alias"),
            ("a: .nan\n", 1, "infinite"),
            ("? {a: 1}\n: 2\n", 1, "something here"),
        ] {
            let refused = read(text).unwrap_err();
            assert!(refused.why.contains(words), "{text}: {refused:?}");
            assert!(refused.place.line.abs_diff(line) <= 1, "{text}: {refused:?}");
        }
    }

    #[test]
    fn a_field_that_stands_twice_is_a_fault_and_hides_no_other() {
        let documents = read("a: 1\nb:\n  - {c: 1, c: 2}\na: 2\n---\nd: 1\nd: 2\n").unwrap();
        let paths = |node: &Node| node.repeated().into_iter().map(|fault| fault.path).collect::<Vec<_>>();
        assert_eq!(paths(&documents[0]), ["b[0].c", "a"]);
        assert_eq!(paths(&documents[1]), ["d"]);
        assert_eq!(documents[0].find("a").map(|place| place.line), Some(4));
        let merged = read("base: &base {a: 1}\nb: {<<: *base, a: 2}\n").unwrap();
        assert!(paths(&merged[0]).is_empty(), "what stands beside `<<` goes before it");
        assert!(read("a: 1\na: [2\n").is_err());
        assert!(read("1: a\n1: b\n").is_err_and(|refused| refused.place.line == 2));
    }

    #[test]
    fn what_cannot_be_read_hides_no_document_before_it() {
        for (text, whole) in [
            ("a: 1\n---\na: 2\n---\na: [\n", 2),
            ("a: 1\n---\na: 2\n---\na: @3\n---\na: 4\n", 2),
            ("a: 1\n---\na: [1\n---\na: 2\n", 1),
            ("a: 1\na: 2\n--- # next\na: !x 2\n", 1),
            ("a: |\n  ---\n---\na: ]\n", 1),
            ("a: [\n", 0),
            ("--- [\n", 0),
        ] {
            let refused = read(text).unwrap_err();
            assert_eq!(refused.before.len(), whole, "{text}: {refused:?}");
        }
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
