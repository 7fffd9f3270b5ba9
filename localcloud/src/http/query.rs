//! awsQuery requests: a form whose keys are paths, such as `Metrics.member.1.Name`; the shapes say what the paths mean.

use std::collections::BTreeMap;

use serde_json::{Map, Number, Value};

use super::api::{Api, Kind, Member, Shape};

/// What a query request asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Form {
    /// The `Action` parameter.
    pub action: Option<String>,
    /// The `Version` parameter.
    pub version: Option<String>,
    parameters: Node,
}

/// The parameters under one path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Node {
    value: Option<String>,
    children: BTreeMap<String, Node>,
}

impl Form {
    /// Reads a body.
    pub fn read(body: &[u8]) -> Self {
        let mut form = Self::default();
        for (name, value) in url::form_urlencoded::parse(body) {
            match name.as_ref() {
                "Action" => form.action = Some(value.into_owned()),
                "Version" => form.version = Some(value.into_owned()),
                path => form.parameters.insert(path, value.into_owned()),
            }
        }
        form
    }

    /// Returns the input that the parameters describe. What does not fit the shape stays in under its path, for the check to
    /// refuse.
    pub fn decode(&self, api: &Api, shape: &Shape) -> Value {
        let mut rest = self.parameters.clone();
        let mut input = rest.take_structure(api, shape);
        rest.leave("", &mut input);
        Value::Object(input)
    }
}

impl Node {
    fn insert(&mut self, path: &str, value: String) {
        let leaf = path
            .split('.')
            .fold(self, |node, part| node.children.entry(part.to_owned()).or_default());
        leaf.value = Some(value);
    }

    fn take_value(&mut self, api: &Api, shape: &Shape) -> Value {
        match shape.kind {
            Kind::Structure => Value::Object(self.take_structure(api, shape)),
            Kind::List => self.take_list(api, shape),
            Kind::Map => self.take_map(api, shape),
            kind => scalar(kind, &self.value.take().unwrap_or_default()),
        }
    }

    fn take_structure(&mut self, api: &Api, shape: &Shape) -> Map<String, Value> {
        let mut members = Map::new();
        for (name, member) in &shape.members {
            if let Some(node) = self.children.get_mut(wire_name_of(name, member)) {
                members.insert(name.clone(), node.take_value(api, api.shape(&member.shape)));
            }
        }
        members
    }

    fn take_list(&mut self, api: &Api, shape: &Shape) -> Value {
        let Some(member) = &shape.member else {
            return Value::Null;
        };
        let items = self.numbered(shape, wire_name_of("member", member));
        let items = items
            .into_iter()
            .map(|item| item.take_value(api, api.shape(&member.shape)));
        Value::Array(items.collect())
    }

    fn take_map(&mut self, api: &Api, shape: &Shape) -> Value {
        let (Some(key), Some(value)) = (&shape.key, &shape.value) else {
            return Value::Null;
        };
        let (key, value_name) = (wire_name_of("key", key), wire_name_of("value", value));
        let mut entries = Map::new();
        for entry in self.numbered(shape, "entry") {
            if !entry.children.contains_key(value_name) {
                continue;
            }
            let name = entry.children.get_mut(key).and_then(|node| node.value.take());
            if let (Some(name), Some(node)) = (name, entry.children.get_mut(value_name)) {
                entries.insert(name, node.take_value(api, api.shape(&value.shape)));
            }
        }
        Value::Object(entries)
    }

    /// Returns the numbered nodes of a list or map, by number. One without any is written as an empty text.
    fn numbered(&mut self, shape: &Shape, name: &str) -> Vec<&mut Node> {
        self.value.take_if(|text| text.is_empty());
        let holder = if shape.flattened {
            Some(self)
        } else {
            self.children.get_mut(name)
        };
        let children = holder.into_iter().flat_map(|holder| &mut holder.children);
        let mut numbered: Vec<(u32, &mut Node)> = children
            .filter_map(|(name, node)| Some((name.parse().ok()?, node)))
            .collect();
        numbered.sort_by_key(|(number, _)| *number);
        numbered.into_iter().map(|(_, node)| node).collect()
    }

    /// Puts what was not taken into the input, under its path.
    fn leave(&mut self, path: &str, input: &mut Map<String, Value>) {
        if let Some(text) = self.value.take() {
            input.insert(path.to_owned(), Value::String(text));
        }
        for (name, node) in &mut self.children {
            let dot = if path.is_empty() { "" } else { "." };
            node.leave(&format!("{path}{dot}{name}"), input);
        }
    }
}

fn wire_name_of<'a>(name: &'a str, member: &'a Member) -> &'a str {
    member.location_name.as_deref().unwrap_or(name)
}

/// Reads a scalar; what cannot be read stays text.
fn scalar(kind: Kind, text: &str) -> Value {
    let read = match kind {
        Kind::Boolean => text.parse::<bool>().ok().map(Value::Bool),
        Kind::Integer | Kind::Long => text.parse::<i64>().ok().map(Value::from),
        Kind::Float | Kind::Double => text.parse::<f64>().ok().and_then(Number::from_f64).map(Value::Number),
        Kind::Timestamp => timestamp(text),
        _ => None,
    };
    read.unwrap_or_else(|| Value::String(text.to_owned()))
}

fn timestamp(text: &str) -> Option<Value> {
    let at: jiff::Timestamp = text.parse().ok()?;
    let milliseconds = at.as_millisecond();
    if milliseconds % 1000 == 0 {
        return Some(Value::from(milliseconds / 1000));
    }
    Number::from_f64(milliseconds as f64 / 1000.0).map(Value::Number)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Form;
    use crate::http::api;
    use crate::model::Service;

    #[test]
    fn paths_become_lists_and_typed_members() {
        let body = b"Action=PutMetricData&Version=2010-08-01&Namespace=N&MetricData.member.1.MetricName=A\
            &MetricData.member.1.Value=1.5&MetricData.member.1.Timestamp=2026-11-21T00:00:00Z\
            &MetricData.member.1.Dimensions.member.1.Name=Q&MetricData.member.1.Dimensions.member.1.Value=x%20y";
        let form = Form::read(body);
        let api = api::of(Service::CloudWatch);
        assert_eq!(form.action.as_deref(), Some("PutMetricData"));
        let expected = json!({"Namespace": "N", "MetricData": [{"MetricName": "A", "Value": 1.5,
            "Timestamp": 1_795_219_200, "Dimensions": [{"Name": "Q", "Value": "x y"}]}]});
        assert_eq!(form.decode(api, api.shape("PutMetricDataInput")), expected);
    }

    #[test]
    fn ten_comes_after_two() {
        let items: String = (1..=10)
            .map(|index| format!("&AlarmNames.member.{index}=n{index}"))
            .collect();
        let api = api::of(Service::CloudWatch);
        let input = Form::read(items.as_bytes()).decode(api, api.shape("DeleteAlarmsInput"));
        assert_eq!(
            (&input["AlarmNames"][1], &input["AlarmNames"][9]),
            (&json!("n2"), &json!("n10"))
        );
    }

    #[test]
    fn what_fits_nowhere_stays_in_under_its_path() {
        let body = b"AlarmNames.member.1=a&AlarmNames.member.x=b&AlarmNames.entry.1=c&StateValue.y=d&AlarmName.1=e";
        let api = api::of(Service::CloudWatch);
        let input = Form::read(body).decode(api, api.shape("DescribeAlarmsInput"));
        assert_eq!(input["AlarmNames"], json!(["a"]));
        for (path, text) in [
            ("AlarmNames.member.x", "b"),
            ("AlarmNames.entry.1", "c"),
            ("StateValue.y", "d"),
            ("AlarmName.1", "e"),
        ] {
            assert_eq!(input[path], text);
        }
        let body = b"Name=t&Attributes.entry.1.key=A&Attributes.entry.2.value=B&Attributes.C=D&Tags=";
        let api = api::of(Service::Sns);
        let input = Form::read(body).decode(api, api.shape("CreateTopicInput"));
        let left = json!({"Name": "t", "Attributes": {}, "Tags": [], "Attributes.entry.1.key": "A",
            "Attributes.entry.2.value": "B", "Attributes.C": "D"});
        assert_eq!(input, left);
    }

    #[test]
    fn maps_have_entries() {
        let body = b"Name=t.fifo&Attributes.entry.1.key=FifoTopic&Attributes.entry.1.value=true";
        let api = api::of(Service::Sns);
        let input = Form::read(body).decode(api, api.shape("CreateTopicInput"));
        assert_eq!(input, json!({"Name": "t.fifo", "Attributes": {"FifoTopic": "true"}}));
    }
}
