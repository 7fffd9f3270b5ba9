//! RPC v2 CBOR: timestamps are tag 1, blobs are byte strings; which is which, the shapes say.

use ciborium::Value as Cbor;
use serde_json::{Map, Number, Value};

use super::api::{Api, Kind, Shape};
use crate::blob;
use crate::model::Fault;

/// Reads a body; an empty one is an input without members.
pub fn decode(body: &[u8]) -> Result<Value, Fault> {
    if body.is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    let bad = |why: String| Fault::client("SerializationException", format!("the body is not CBOR: {why}"));
    let value: Cbor = ciborium::from_reader(body).map_err(|error| bad(error.to_string()))?;
    to_json(value).map_err(bad)
}

/// Writes an output by its shape.
pub fn encode(api: &Api, shape: &Shape, output: &Value) -> Vec<u8> {
    let mut body = Vec::new();
    ciborium::into_writer(&to_cbor(api, shape, output), &mut body).expect("a Vec takes whatever is written");
    body
}

/// Writes an error.
pub fn encode_error(shape_id: &str, message_name: &str, message: &str) -> Vec<u8> {
    let text = |text: &str| Cbor::Text(text.to_owned());
    let members = vec![(text("__type"), text(shape_id)), (text(message_name), text(message))];
    let mut body = Vec::new();
    ciborium::into_writer(&Cbor::Map(members), &mut body).expect("a Vec takes whatever is written");
    body
}

fn to_json(value: Cbor) -> Result<Value, String> {
    Ok(match value {
        Cbor::Integer(integer) => integer_to_json(i128::from(integer))?,
        Cbor::Float(float) => {
            Value::Number(Number::from_f64(float).ok_or_else(|| format!("{float} is no number that can be used"))?)
        }
        Cbor::Bytes(bytes) => Value::String(blob::encode(bytes)),
        Cbor::Text(text) => Value::String(text),
        Cbor::Bool(flag) => Value::Bool(flag),
        Cbor::Null => Value::Null,
        // Tag 1 is a timestamp, which the cloud model reads as a number as well.
        Cbor::Tag(_, inner) => to_json(*inner)?,
        Cbor::Array(items) => Value::Array(items.into_iter().map(to_json).collect::<Result<_, _>>()?),
        Cbor::Map(entries) => entries_to_json(entries)?,
        other => return Err(format!("{other:?} is no value of an API model")),
    })
}

fn integer_to_json(integer: i128) -> Result<Value, String> {
    i64::try_from(integer)
        .map(Value::from)
        .map_err(|_| format!("{integer} is out of range"))
}

fn entries_to_json(entries: Vec<(Cbor, Cbor)>) -> Result<Value, String> {
    let mut members = Map::new();
    for (key, value) in entries {
        let Cbor::Text(name) = key else {
            return Err("a member's name must be text".to_owned());
        };
        if value != Cbor::Null {
            members.insert(name, to_json(value)?);
        }
    }
    Ok(Value::Object(members))
}

fn to_cbor(api: &Api, shape: &Shape, value: &Value) -> Cbor {
    match (shape.kind, value) {
        (Kind::Structure, Value::Object(members)) => {
            let known = members.iter().filter(|(_, member)| !member.is_null());
            let pairs = known.filter_map(|(name, member)| {
                let shape = api.shape(&shape.members.get(name)?.shape);
                Some((Cbor::Text(name.clone()), to_cbor(api, shape, member)))
            });
            Cbor::Map(pairs.collect())
        }
        (Kind::Map, Value::Object(entries)) => {
            let inner = shape.value.as_ref().map(|member| api.shape(&member.shape));
            let pairs = entries
                .iter()
                .filter_map(|(name, entry)| Some((Cbor::Text(name.clone()), to_cbor(api, inner?, entry))));
            Cbor::Map(pairs.collect())
        }
        (Kind::List, Value::Array(items)) => {
            let inner = shape.member.as_ref().map(|member| api.shape(&member.shape));
            Cbor::Array(
                items
                    .iter()
                    .filter_map(|item| Some(to_cbor(api, inner?, item)))
                    .collect(),
            )
        }
        (_, scalar) => scalar_to_cbor(shape.kind, scalar),
    }
}

fn scalar_to_cbor(kind: Kind, value: &Value) -> Cbor {
    match (kind, value) {
        (Kind::Timestamp, Value::Number(seconds)) => Cbor::Tag(1, Box::new(number_to_cbor(seconds))),
        (Kind::Float | Kind::Double, Value::Number(number)) => Cbor::Float(number.as_f64().unwrap_or_default()),
        (_, Value::Number(number)) => number_to_cbor(number),
        (Kind::Blob, Value::String(text)) => blob::decode(text).map_or_else(|_| Cbor::Null, Cbor::Bytes),
        (_, Value::String(text)) => Cbor::Text(text.clone()),
        (_, Value::Bool(flag)) => Cbor::Bool(*flag),
        _ => Cbor::Null,
    }
}

fn number_to_cbor(number: &Number) -> Cbor {
    match number.as_i64() {
        Some(integer) => Cbor::Integer(integer.into()),
        None => Cbor::Float(number.as_f64().unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use ciborium::Value as Cbor;
    use serde_json::json;

    use super::{decode, encode};
    use crate::http::api;
    use crate::model::Service;

    #[test]
    fn numbers_leave_by_the_type_of_their_shape() {
        let api = api::of(Service::CloudWatch);
        let output = json!({"Datapoints": [{"Timestamp": 1_700_000_000, "Average": 2, "Unit": "Percent"}]});
        let body = encode(api, api.shape("GetMetricStatisticsOutput"), &output);
        let read: Cbor = ciborium::from_reader(&body[..]).expect("what was written can be read");
        let printed = format!("{read:?}");
        assert!(printed.contains("Tag(1, Integer(Integer(1700000000)))"), "{printed}");
        assert!(printed.contains("Float(2.0)"), "{printed}");
    }

    #[test]
    fn tags_and_bytes_come_in_as_numbers_and_base64() {
        let value = Cbor::Map(vec![
            (Cbor::Text("Timestamp".into()), Cbor::Tag(1, Box::new(Cbor::Float(1.5)))),
            (Cbor::Text("Data".into()), Cbor::Bytes(b"hi".to_vec())),
            (Cbor::Text("Absent".into()), Cbor::Null),
        ]);
        let mut body = Vec::new();
        ciborium::into_writer(&value, &mut body).expect("a Vec takes whatever is written");
        assert_eq!(
            decode(&body).expect("this is CBOR"),
            json!({"Timestamp": 1.5, "Data": "aGk="})
        );
    }

    #[test]
    fn what_is_no_number_is_refused() {
        let mut body = Vec::new();
        ciborium::into_writer(&f64::NAN, &mut body).expect("a Vec takes whatever is written");
        assert_eq!(
            decode(&body).expect_err("NaN is refused").code,
            "SerializationException"
        );
    }
}
