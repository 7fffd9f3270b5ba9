//! Bytes to a JSON tree, strictly: no other encoding, and no field twice.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::Fault;

/// How many repeated fields are reported.
const MOST_REPEATED: usize = 100;

/// Returns the tree in `bytes`; a field that stands twice is reported, and its last value kept.
pub(super) fn read(bytes: &[u8], faults: &mut Vec<Fault>) -> Option<Value> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            faults.push(not_utf8(bytes, error.valid_up_to()));
            return None;
        }
    };
    let repeated = RefCell::new(Vec::new());
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let tree = Strict {
        path: String::new(),
        repeated: &repeated,
    }
    .deserialize(&mut deserializer)
    .and_then(|tree| deserializer.end().map(|()| tree));
    faults.extend(repeated.into_inner().into_iter().map(|path| {
        Fault::without_value(
            path,
            "stands there more than once, and only one can count",
            "keep one of them",
        )
    }));
    tree.map_err(|error| faults.push(not_json(&error))).ok()
}

fn not_utf8(bytes: &[u8], offset: usize) -> Fault {
    let line = 1 + bytes[..offset].iter().filter(|byte| **byte == b'\n').count();
    let why = format!("is not UTF-8 from byte {offset} (line {line}) on");
    Fault::without_value(
        "document",
        why,
        "send the document as JSON in UTF-8, without compression or a schema registry's prefix",
    )
}

fn not_json(error: &serde_json::Error) -> Fault {
    let (why, remedy) = json_words(error);
    let why = format!("is not JSON at line {}, column {}: {why}", error.line(), error.column());
    let remedy = format!("{remedy}. YAML is for files, which `penstock apply` sends as JSON");
    Fault::without_value("document", why, remedy)
}

/// Returns why a text is no JSON, and what to do, for the place that the error names.
pub fn json_words(error: &serde_json::Error) -> (&'static str, &'static str) {
    let message = error.to_string();
    let found = WORDS.iter().find(|(beginning, ..)| message.starts_with(beginning));
    found.map_or(
        (
            "what stands here is not as JSON wants it",
            "look at the commas and quotation marks around this place",
        ),
        |(_, why, remedy)| (*why, *remedy),
    )
}

/// How messages of serde_json begin, which have no other sign of what they are about; why they come, and what to do.
const WORDS: [(&str, &str, &str); 17] = [
    (
        "EOF",
        "the text ends in the middle of a value",
        "add what is missing at its end, such as `}`, `]` or a quotation mark",
    ),
    (
        "trailing comma",
        "a comma stands before a closing bracket",
        "remove the comma",
    ),
    (
        "trailing characters",
        "something follows the end of the document",
        "remove it, or correct the bracket that closes the document too early",
    ),
    (
        "expected `:`",
        "a colon is missing behind the name of a field",
        "write `\"name\": value`",
    ),
    ("expected `,` or `]`", "a list goes on without a comma", LIST_REMEDY),
    ("expected `,` or `}`", "a section goes on without a comma", LIST_REMEDY),
    (
        "key must be a string",
        "the name of a field stands without quotation marks",
        "put it in double quotation marks",
    ),
    (
        "expected ident",
        "a word stands here that JSON does not have",
        "write `true`, `false` or `null`, or put a text in double quotation marks",
    ),
    (
        "expected value",
        "no value begins here",
        "put texts in double quotation marks; JSON has no comments and no other words than `true`, `false` and `null`. What is written as YAML goes into a file that ends with .yaml",
    ),
    (
        "control character",
        "a line break or tab stands inside a text",
        "write it as `\\n` or `\\t`",
    ),
    ("invalid escape", ESCAPE, "write `\\\\` for a backslash"),
    ("lone leading surrogate", ESCAPE, "write the character itself"),
    (
        "unexpected end of hex escape",
        ESCAPE,
        "write four digits behind `\\u`, or the character itself",
    ),
    ("invalid unicode", ESCAPE, "write the character itself"),
    (
        "invalid number",
        "a number is not written as JSON writes them",
        "write it like `10` or `0.5`",
    ),
    ("number out of range", "a number is too large", "write a smaller one"),
    (
        "recursion limit",
        "the document nests too deeply",
        "write it with fewer levels",
    ),
];

const LIST_REMEDY: &str = "add the comma or the closing bracket; JSON has no comments";
const ESCAPE: &str = "a backslash in a text begins nothing that JSON knows";

/// Builds a tree, and notes each path that occurs twice.
struct Strict<'a> {
    path: String,
    repeated: &'a RefCell<Vec<String>>,
}

impl Strict<'_> {
    fn note(&self, path: &str) {
        let mut repeated = self.repeated.borrow_mut();
        if repeated.len() < MOST_REPEATED {
            repeated.push(path.to_owned());
        }
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        loop {
            let seed = Strict {
                path: format!("{}[{}]", self.path, list.len()),
                repeated: self.repeated,
            };
            match items.next_element_seed(seed)? {
                Some(item) => list.push(item),
                None => return Ok(Value::Array(list)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let path = if self.path.is_empty() {
                key.clone()
            } else {
                format!("{}.{key}", self.path)
            };
            if object.contains_key(&key) {
                self.note(&path);
            }
            let value = entries.next_value_seed(Strict {
                path,
                repeated: self.repeated,
            })?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}
