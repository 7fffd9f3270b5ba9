//! awsQuery answers: XML, the output in a result element, the request id beside it.

use quick_xml::escape::escape;
use serde_json::Value;

use super::api::{Api, Kind, Member, Operation, Shape};

/// Writes the answer of `operation`, which is called `name`.
pub fn encode(api: &Api, name: &str, operation: &Operation, output: &Value, request_id: &str) -> String {
    let namespace = api.metadata.xml_namespace.as_deref().unwrap_or_default();
    let mut xml = format!("<{name}Response xmlns=\"{namespace}\">");
    if let Some(shape) = &operation.output {
        let wrapper = operation
            .result_wrapper
            .clone()
            .unwrap_or_else(|| format!("{name}Result"));
        xml.push_str(&format!("<{wrapper}>"));
        write_members(&mut xml, api, api.shape(shape), output);
        xml.push_str(&format!("</{wrapper}>"));
    }
    xml.push_str(&format!(
        "<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{name}Response>"
    ));
    xml
}

/// Writes an error.
pub fn encode_error(api: Option<&Api>, code: &str, message: &str, status: u16, request_id: &str) -> String {
    let namespace = api
        .and_then(|api| api.metadata.xml_namespace.as_deref())
        .unwrap_or_default();
    let side = if status < 500 { "Sender" } else { "Receiver" };
    let (code, message) = (escape(code), escape(message));
    format!(
        "<ErrorResponse xmlns=\"{namespace}\"><Error><Type>{side}</Type><Code>{code}</Code>\
         <Message>{message}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>"
    )
}

fn write_members(xml: &mut String, api: &Api, shape: &Shape, value: &Value) {
    for (name, member) in &shape.members {
        let Some(inner) = value.get(name).filter(|inner| !inner.is_null()) else {
            continue;
        };
        let wire_name = wire_name_of(name, member);
        let shape = api.shape(&member.shape);
        match shape.kind {
            Kind::List if shape.flattened => write_items(xml, api, shape, inner, wire_name),
            Kind::Map if shape.flattened => write_entries(xml, api, shape, inner, wire_name),
            _ => write_element(xml, api, shape, inner, wire_name),
        }
    }
}

fn write_element(xml: &mut String, api: &Api, shape: &Shape, value: &Value, name: &str) {
    xml.push_str(&format!("<{name}>"));
    match shape.kind {
        Kind::Structure => write_members(xml, api, shape, value),
        Kind::List => {
            let item = shape
                .member
                .as_ref()
                .map_or("member", |member| wire_name_of("member", member));
            write_items(xml, api, shape, value, item);
        }
        Kind::Map => write_entries(xml, api, shape, value, "entry"),
        kind => xml.push_str(&escape(scalar(kind, value))),
    }
    xml.push_str(&format!("</{name}>"));
}

fn write_items(xml: &mut String, api: &Api, shape: &Shape, value: &Value, name: &str) {
    let (Some(member), Value::Array(items)) = (&shape.member, value) else {
        return;
    };
    for item in items {
        write_element(xml, api, api.shape(&member.shape), item, name);
    }
}

fn write_entries(xml: &mut String, api: &Api, shape: &Shape, value: &Value, name: &str) {
    let (Some(key), Some(inner), Value::Object(entries)) = (&shape.key, &shape.value, value) else {
        return;
    };
    for (entry, value) in entries {
        let key_name = wire_name_of("key", key);
        xml.push_str(&format!("<{name}><{key_name}>{}</{key_name}>", escape(entry.as_str())));
        write_element(xml, api, api.shape(&inner.shape), value, wire_name_of("value", inner));
        xml.push_str(&format!("</{name}>"));
    }
}

fn wire_name_of<'a>(name: &'a str, member: &'a Member) -> &'a str {
    member.location_name.as_deref().unwrap_or(name)
}

fn scalar(kind: Kind, value: &Value) -> String {
    match (kind, value) {
        (Kind::Timestamp, Value::Number(seconds)) => timestamp(seconds.as_f64().unwrap_or_default()),
        (_, Value::String(text)) => text.clone(),
        (_, other) => other.to_string(),
    }
}

fn timestamp(seconds: f64) -> String {
    let milliseconds = (seconds * 1000.0).round() as i64;
    jiff::Timestamp::from_millisecond(milliseconds)
        .map(|at| format!("{at:.3}"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{encode, encode_error};
    use crate::http::api;
    use crate::model::Service;

    #[test]
    fn lists_have_member_elements_and_text_is_escaped() {
        let api = api::of(Service::Sns);
        let output = json!({"Topics": [{"TopicArn": "a<b"}], "NextToken": null});
        let xml = encode(api, "ListTopics", &api.operations["ListTopics"], &output, "r-1");
        assert_eq!(
            xml,
            "<ListTopicsResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><ListTopicsResult><Topics><member>\
             <TopicArn>a&lt;b</TopicArn></member></Topics></ListTopicsResult><ResponseMetadata><RequestId>r-1</RequestId>\
             </ResponseMetadata></ListTopicsResponse>"
        );
    }

    #[test]
    fn timestamps_are_written_out() {
        let api = api::of(Service::Sts);
        let output = json!({"Credentials": {"AccessKeyId": "A", "Expiration": 1_795_219_200.5}});
        let xml = encode(api, "AssumeRole", &api.operations["AssumeRole"], &output, "r-1");
        assert!(
            xml.contains("<Expiration>2026-11-21T00:00:00.500Z</Expiration>"),
            "{xml}"
        );
    }

    #[test]
    fn an_error_says_whose_fault_it_is() {
        let xml = encode_error(Some(api::of(Service::Sts)), "AccessDenied", "no", 403, "r-1");
        assert!(
            xml.contains("<Type>Sender</Type><Code>AccessDenied</Code><Message>no</Message>"),
            "{xml}"
        );
    }
}
