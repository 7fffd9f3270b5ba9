//! A message, its attributes, and the digests that the SDKs check.

use md5::{Digest, Md5};
use serde_json::{Map, Value, json};

use super::characters::check_text;
use super::invalid;
use crate::blob;
use crate::model::{Fault, Millis};

/// The most attributes of one message.
const MOST_ATTRIBUTES: usize = 10;

/// A message in a queue.
#[derive(Debug, Clone)]
pub struct Message {
    pub(super) id: String,
    pub(super) body: String,
    /// As SendMessage has them: name -> {DataType, StringValue | BinaryValue}.
    pub(super) attributes: Map<String, Value>,
    pub(super) trace_header: Option<String>,
    pub(super) group: Option<String>,
    pub(super) dedup_id: Option<String>,
    pub(super) sequence_number: Option<String>,
    pub(super) sender: String,
    /// When it was sent; retention counts from here.
    pub(super) sent: Millis,
    /// When it came into this queue; age counts from here.
    pub(super) entered: Millis,
    pub(super) first_received: Option<Millis>,
    pub(super) receives: u64,
    /// The queue that it was moved here from.
    pub(super) source: Option<String>,
}

/// Returns the digest of a body.
pub fn digest(text: &str) -> String {
    hex(&Md5::digest(text.as_bytes()))
}

/// Returns the digest of attributes; nothing when there are none.
///
/// By name: the length and text of name and data type, one byte for the kind, length and bytes of the value.
pub fn digest_of_attributes(attributes: &Map<String, Value>) -> Option<String> {
    if attributes.is_empty() {
        return None;
    }
    let mut names: Vec<&String> = attributes.keys().collect();
    names.sort();
    let mut hash = Md5::new();
    for name in names {
        let attribute = &attributes[name];
        let (kind, value) = value_of(attribute);
        add(&mut hash, name.as_bytes());
        add(&mut hash, text(attribute, "DataType").as_bytes());
        hash.update([kind]);
        add(&mut hash, &value);
    }
    Some(hex(&hash.finalize()))
}

/// Refuses attributes that SQS would not take.
pub(super) fn check_attributes(attributes: &Map<String, Value>) -> Result<(), Fault> {
    if attributes.len() > MOST_ATTRIBUTES {
        return Err(invalid(format!(
            "Number of message attributes [{}] exceeds the allowed maximum [{MOST_ATTRIBUTES}].",
            attributes.len()
        )));
    }
    attributes
        .iter()
        .try_for_each(|(name, attribute)| check_attribute(name, attribute))
}

/// Returns the bytes that attributes count for.
pub(super) fn size_of_attributes(attributes: &Map<String, Value>) -> usize {
    attributes
        .iter()
        .map(|(name, attribute)| name.len() + text(attribute, "DataType").len() + value_of(attribute).1.len())
        .sum()
}

/// Returns the attributes that a receive asks for: by name, by `prefix.*`, or all.
pub(super) fn chosen(attributes: &Map<String, Value>, wanted: &[&str]) -> Map<String, Value> {
    let wants = |name: &str| {
        wanted.iter().any(|want| match want.strip_suffix(".*") {
            Some(prefix) => prefix.is_empty() || name == prefix || name.starts_with(&format!("{prefix}.")),
            None => *want == "All" || *want == name,
        })
    };
    attributes
        .iter()
        .filter(|(name, _)| wants(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

impl Message {
    /// Returns the system attributes that a receive asks for.
    pub(super) fn system_attributes(&self, wanted: &[&str]) -> Map<String, Value> {
        let first = self.first_received.map(|at| at.to_string());
        let all = [
            ("SenderId", Some(self.sender.clone())),
            ("SentTimestamp", Some(self.sent.to_string())),
            ("ApproximateReceiveCount", Some(self.receives.to_string())),
            ("ApproximateFirstReceiveTimestamp", first),
            ("SequenceNumber", self.sequence_number.clone()),
            ("MessageDeduplicationId", self.dedup_id.clone()),
            ("MessageGroupId", self.group.clone()),
            ("AWSTraceHeader", self.trace_header.clone()),
            ("DeadLetterQueueSourceArn", self.source.clone()),
        ];
        let asked = all
            .into_iter()
            .filter(|(name, _)| wanted.iter().any(|want| want == name || *want == "All"));
        asked
            .filter_map(|(name, value)| Some((name.to_owned(), json!(value?))))
            .collect()
    }
}

fn check_attribute(name: &str, attribute: &Value) -> Result<(), Fault> {
    check_attribute_name(name)?;
    let data_type = text(attribute, "DataType");
    let kind = data_type.split('.').next().unwrap_or_default();
    if !matches!(kind, "String" | "Number" | "Binary") {
        return Err(invalid(format!(
            "The type of message (user) attribute '{name}' is invalid. You must use only the following supported type \
             prefixes: Binary, Number, String."
        )));
    }
    let (string, binary) = (attribute.get("StringValue"), attribute.get("BinaryValue"));
    let fits = if kind == "Binary" {
        string.is_none() && binary.is_some()
    } else {
        string.is_some() && binary.is_none()
    };
    if !fits || value_of(attribute).1.is_empty() {
        return Err(invalid(format!(
            "The message (user) attribute '{name}' must contain a non-empty value of the field that belongs to its type \
             '{data_type}'."
        )));
    }
    if kind == "Number" && text(attribute, "StringValue").parse::<f64>().is_err() {
        return Err(invalid(format!(
            "Can't cast the value of message (user) attribute '{name}' to a number."
        )));
    }
    string.and_then(Value::as_str).map_or(Ok(()), check_text)
}

fn check_attribute_name(name: &str) -> Result<(), Fault> {
    let lower = name.to_ascii_lowercase();
    let plain = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    let dots = name.starts_with('.') || name.ends_with('.') || name.contains("..");
    let reserved = lower.starts_with("aws.") || lower.starts_with("amazon.");
    if (1..=256).contains(&name.len()) && plain && !dots && !reserved {
        return Ok(());
    }
    Err(invalid(format!(
        "Message (user) attribute name '{name}' is invalid: 1 to 256 of A-Z, a-z, 0-9, -, _ and single dots inside, not \
         beginning with AWS. or Amazon."
    )))
}

/// Returns the kind byte and the bytes of an attribute's value.
fn value_of(attribute: &Value) -> (u8, Vec<u8>) {
    match attribute.get("BinaryValue").and_then(Value::as_str) {
        Some(binary) => (2, blob::decode(binary).unwrap_or_default()),
        None => (1, text(attribute, "StringValue").as_bytes().to_vec()),
    }
}

fn add(hash: &mut Md5, bytes: &[u8]) {
    hash.update(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    hash.update(bytes);
}

fn text<'a>(attribute: &'a Value, name: &str) -> &'a str {
    attribute.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::{chosen, digest, digest_of_attributes};

    fn attributes(value: Value) -> Map<String, Value> {
        value.as_object().expect("attributes are an object").clone()
    }

    #[test]
    fn digests_are_those_that_sdks_compute() {
        assert_eq!(digest("hello"), "5d41402abc4b2a76b9719d911017c592");
        // MD5 over 00000001 'b' 00000006 'Binary' 02 00000002 'hi', then the same for 'n', computed apart.
        let both = attributes(json!({
            "n": {"DataType": "Number", "StringValue": "1"},
            "b": {"DataType": "Binary", "BinaryValue": "aGk="},
        }));
        assert_eq!(
            digest_of_attributes(&both).expect("there are some"),
            "9ad04afaf0b2b1103042b7eaa25ce3bb"
        );
        assert_eq!(digest_of_attributes(&Map::new()), None);
    }

    #[test]
    fn a_receive_chooses_by_name_or_prefix() {
        let all = attributes(json!({"foo.a": {}, "foo.b": {}, "bar": {}, "food": {}}));
        let names = |wanted: &[&str]| chosen(&all, wanted).keys().cloned().collect::<Vec<_>>().join(" ");
        assert_eq!(names(&["foo.*"]), "foo.a foo.b");
        assert_eq!(names(&["bar", "nothing"]), "bar");
        assert_eq!(
            (names(&["All"]), names(&[".*"])),
            (names(&["foo.*", "bar", "food"]), names(&["All"]))
        );
    }
}
