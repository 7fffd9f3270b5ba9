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
    let message = error.to_string();
    let cause = message.split(" at line ").next().unwrap_or_default();
    let why = format!(
        "is not JSON: {cause} at line {}, column {}",
        error.line(),
        error.column()
    );
    Fault::without_value(
        "document",
        why,
        "mend it there; YAML is for files, which `penstock apply` sends as JSON",
    )
}

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
