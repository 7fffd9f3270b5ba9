//! awsJson 1.0 and 1.1: the body is the input, but for nulls, which count as absent.

use serde_json::Value;

use crate::model::Fault;

/// Reads a body; an empty one is an input without members.
pub fn decode(body: &[u8]) -> Result<Value, Fault> {
    if body.is_empty() {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    let value: Value = serde_json::from_slice(body)
        .map_err(|error| Fault::client("SerializationException", format!("the body is not JSON: {error}")))?;
    Ok(without_nulls(value))
}

/// Returns `value` without the members that are null.
pub fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members
                .into_iter()
                .filter(|(_, member)| !member.is_null())
                .map(|(name, member)| (name, without_nulls(member)))
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.into_iter().map(without_nulls).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::decode;

    #[test]
    fn a_null_member_is_absent() {
        let value = decode(br#"{"a": null, "b": {"c": null, "d": 1}}"#).expect("this is JSON");
        assert_eq!(value, json!({"b": {"d": 1}}));
    }

    #[test]
    fn an_empty_body_has_no_members() {
        assert_eq!(decode(b"").expect("an empty body is an input"), json!({}));
        assert_eq!(
            decode(b"{").expect_err("this is not JSON").code,
            "SerializationException"
        );
    }
}
