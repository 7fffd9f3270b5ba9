//! Reading the members of an input that the front has already held against the API model.

use serde_json::{Map, Value};

/// Returns the text at `name`, if there is one.
pub fn text<'a>(input: &'a Value, name: &str) -> Option<&'a str> {
    input.get(name).and_then(Value::as_str)
}

/// Returns the text at `name`, or nothing as an empty text: for members that the API model requires.
pub fn required<'a>(input: &'a Value, name: &str) -> &'a str {
    text(input, name).unwrap_or_default()
}

/// Returns the whole number at `name`, if there is one.
pub fn integer(input: &Value, name: &str) -> Option<i64> {
    input.get(name).and_then(Value::as_i64)
}

/// Returns the flag at `name`, if there is one.
pub fn flag(input: &Value, name: &str) -> Option<bool> {
    input.get(name).and_then(Value::as_bool)
}

/// Returns the list at `name`; an absent list is empty.
pub fn list<'a>(input: &'a Value, name: &str) -> &'a [Value] {
    input
        .get(name)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

/// Returns the texts of the list at `name`; an absent list is empty.
pub fn texts<'a>(input: &'a Value, name: &str) -> Vec<&'a str> {
    list(input, name).iter().filter_map(Value::as_str).collect()
}

/// Returns the entries of the map at `name`, if there is one.
pub fn map<'a>(input: &'a Value, name: &str) -> Option<&'a Map<String, Value>> {
    input.get(name).and_then(Value::as_object)
}
