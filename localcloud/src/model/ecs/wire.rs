//! Between the API model's JSON and our types.
//!
//! Inputs are read into structs that deny unknown fields: what AWS knows and this model does not is refused by name,
//! never ignored.

use serde::de::{DeserializeOwned, Deserializer, Error as _};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::model::{Call, Fault, Millis};

/// What a describe call may ask for beside the rest.
#[derive(Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum Include {
    Tags,
}

/// A key and value that a user hangs on a resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Tag {
    pub(super) key: String,
    #[serde(default)]
    pub(super) value: String,
}

/// A list that may be named but must hold nothing, since the model does not implement its elements.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Empty;

impl<'de> Deserialize<'de> for Empty {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let empty = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
        empty
            .then_some(Self)
            .ok_or_else(|| D::Error::custom("localcloud implements only the empty list here"))
    }
}

impl Serialize for Empty {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(std::iter::empty::<u8>())
    }
}

/// Reads the input of a call; a field that the model does not implement is the caller's fault.
pub(super) fn read<T: DeserializeOwned>(call: &Call<'_>) -> Result<T, Fault> {
    serde_path_to_error::deserialize(call.input).map_err(|error| {
        let (path, why) = (error.path().to_string(), error.inner());
        client(format!(
            "{operation}: localcloud cannot take the input at '{path}': {why}. What it does not implement it refuses; leave the field out.",
            operation = call.operation,
        ))
    })
}

/// Turns a value of ours into JSON.
pub(super) fn to_json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).expect("our types have string keys and finite numbers")
}

/// Epoch seconds, as the API model writes its timestamps.
pub(super) fn seconds(at: Millis) -> Value {
    #[allow(clippy::cast_precision_loss)]
    let seconds = at as f64 / 1000.0;
    json!(seconds)
}

/// Sets `field` if there is something to say.
pub(super) fn put(object: &mut Value, field: &str, value: Option<Value>) {
    if let (Some(object), Some(value)) = (object.as_object_mut(), value) {
        object.insert(field.to_owned(), value);
    }
}

/// Drops the members that are null, as AWS leaves out what is not set.
pub(super) fn without_nulls(mut object: Value) -> Value {
    if let Some(object) = object.as_object_mut() {
        object.retain(|_, value| !value.is_null());
    }
    object
}

/// Refuses tags that AWS would refuse.
pub(super) fn check_tags(tags: &[Tag]) -> Result<(), Fault> {
    if tags.len() > 50 {
        return Err(invalid("Too many tags: a resource can have at most 50."));
    }
    for (index, tag) in tags.iter().enumerate() {
        if tag.key.is_empty() || tag.key.chars().count() > 128 || tag.value.chars().count() > 256 {
            return Err(invalid("A tag key must have 1 to 128 characters, a value at most 256."));
        }
        if tag.key.to_lowercase().starts_with("aws:") {
            return Err(invalid(
                "Tag keys and values can't start with aws:, which is reserved for AWS use.",
            ));
        }
        if tags[..index].iter().any(|other| other.key == tag.key) {
            return Err(invalid(
                "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
            ));
        }
    }
    Ok(())
}

/// `ClientException`: the caller's fault that has no name of its own.
pub(super) fn client(message: impl Into<String>) -> Fault {
    Fault::client("ClientException", message)
}

/// `InvalidParameterException`
pub(super) fn invalid(message: impl Into<String>) -> Fault {
    Fault::client("InvalidParameterException", message)
}

/// An entry of a `failures` list.
pub(super) fn failure(arn: &str, reason: &str) -> Value {
    json!({"arn": arn, "reason": reason})
}
