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

    /// Returns the input that the parameters describe. What does not fit the shape stays in, for the check to refuse.
    pub fn decode(&self, api: &Api, shape: &Shape) -> Value {
        self.parameters.to_structure(api, shape)
    }
}

impl Node {
    fn insert(&mut self, path: &str, value: String) {
        let leaf = path
            .split('.')
            .fold(self, |node, part| node.children.entry(part.to_owned()).or_default());
        leaf.value = Some(value);
    }

    fn to_value(&self, api: &Api, shape: &Shape) -> Value {
        match shape.kind {
            Kind::Structure => self.to_structure(api, shape),
            Kind::List => self.to_list(api, shape),
            Kind::Map => self.to_map(api, shape),
            kind => scalar(kind, self.value.as_deref().unwrap_or_default()),
        }
    }

    fn to_structure(&self, api: &Api, shape: &Shape) -> Value {
        let mut members = Map::new();
        for (wire_name, node) in &self.children {
            let named = shape
                .members
                .iter()
                .find(|(name, member)| wire_name_of(name, member) == wire_name);
            let (name, value) = match named {
                Some((name, member)) => (name, node.to_value(api, api.shape(&member.shape))),
                None => (wire_name, Value::String(node.value.clone().unwrap_or_default())),
            };
            members.insert(name.clone(), value);
        }
        Value::Object(members)
    }

    fn to_list(&self, api: &Api, shape: &Shape) -> Value {
        let Some(member) = &shape.member else {
            return Value::Null;
        };
        let holder = if shape.flattened {
            Some(self)
        } else {
            self.children.get(wire_name_of("member", member))
        };
        let items = holder.map(Node::in_order).unwrap_or_default();
        Value::Array(
            items
                .into_iter()
                .map(|item| item.to_value(api, api.shape(&member.shape)))
                .collect(),
        )
    }

    fn to_map(&self, api: &Api, shape: &Shape) -> Value {
        let (Some(key), Some(value)) = (&shape.key, &shape.value) else {
            return Value::Null;
        };
        let holder = if shape.flattened {
            Some(self)
        } else {
            self.children.get("entry")
        };
        let mut entries = Map::new();
        for entry in holder.map(Node::in_order).unwrap_or_default() {
            let name = entry
                .children
                .get(wire_name_of("key", key))
                .and_then(|node| node.value.clone());
            let node = entry.children.get(wire_name_of("value", value));
            let (Some(name), Some(node)) = (name, node) else {
                continue;
            };
            entries.insert(name, node.to_value(api, api.shape(&value.shape)));
        }
        Value::Object(entries)
    }

    /// Returns the numbered children, by number.
    fn in_order(&self) -> Vec<&Node> {
        let mut numbered: Vec<(u32, &Node)> = self
            .children
            .iter()
            .filter_map(|(name, node)| Some((name.parse().ok()?, node)))
            .collect();
        numbered.sort_by_key(|(number, _)| *number);
        numbered.into_iter().map(|(_, node)| node).collect()
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
    fn maps_have_entries() {
        let body = b"Name=t.fifo&Attributes.entry.1.key=FifoTopic&Attributes.entry.1.value=true";
        let api = api::of(Service::Sns);
        let input = Form::read(body).decode(api, api.shape("CreateTopicInput"));
        assert_eq!(input, json!({"Name": "t.fifo", "Attributes": {"FifoTopic": "true"}}));
    }
}
