//! Holds an input against the API model: every violation at once, with its path.

use serde_json::Value;

use super::api::{Api, Kind, Shape};
use crate::model::{Fault, Service};

/// What is wrong at one place of an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Such as `scalingConfiguration.targetValue`.
    pub path: String,
    /// What sort of violation it is.
    pub rule: Rule,
    /// The whole sentence, in AWS's words.
    pub message: String,
}

/// The sorts of violations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// A required member is absent.
    Required,
    /// A member that the model does not have.
    Unknown,
    /// A value of another type.
    Type,
    /// A text that is none of those allowed.
    Enum,
    /// A value, length or count out of its range.
    Range,
    /// A text that does not match its pattern.
    Pattern,
    /// None, or more than one, of a union's members.
    Union,
}

/// Returns everything that is wrong with `input`.
pub fn violations(api: &Api, shape: &str, input: &Value) -> Vec<Violation> {
    let mut found = Vec::new();
    Checker { api, found: &mut found }.check(api.shape(shape), input, "");
    found
}

/// Returns the refusal that the service would send for `violations`.
pub fn refusal(service: Service, violations: &[Violation]) -> Option<Fault> {
    let first = violations.first()?;
    let plural = if violations.len() == 1 { "" } else { "s" };
    let sentences: Vec<&str> = violations.iter().map(|violation| violation.message.as_str()).collect();
    let message = format!(
        "{} validation error{plural} detected: {}",
        violations.len(),
        sentences.join("; ")
    );
    Some(Fault::client(code(service, first), message))
}

/// Returns the code that each service uses for what its front refuses.
fn code(service: Service, violation: &Violation) -> &'static str {
    let about_attribute = violation.path.contains("Attribute");
    match (service, violation.rule) {
        (Service::Ecs | Service::Scaling | Service::Secrets, Rule::Type) => "SerializationException",
        (Service::Ecs, _) => "InvalidParameterException",
        (Service::Scaling | Service::Secrets, _) => "ValidationException",
        (Service::CloudWatch, Rule::Required) => "MissingRequiredParameterException",
        (Service::CloudWatch, Rule::Union) => "InvalidParameterCombinationException",
        (Service::CloudWatch, _) => "InvalidParameterValueException",
        (Service::Sqs, Rule::Required) => "MissingParameter",
        (Service::Sqs, Rule::Enum) if about_attribute => "InvalidAttributeName",
        (Service::Sqs, _) => "InvalidParameterValue",
        (Service::Sns, _) => "InvalidParameterException",
        (Service::Sts, _) => "ValidationError",
    }
}

struct Checker<'a> {
    api: &'a Api,
    found: &'a mut Vec<Violation>,
}

impl Checker<'_> {
    fn check(&mut self, shape: &Shape, value: &Value, path: &str) {
        match (shape.kind, value) {
            (Kind::Structure, Value::Object(_)) => self.check_structure(shape, value, path),
            (Kind::List, Value::Array(items)) => self.check_list(shape, items, path),
            (Kind::Map, Value::Object(_)) => self.check_map(shape, value, path),
            (Kind::String, Value::String(text)) => self.check_text(shape, text, path),
            (Kind::Blob, Value::String(text)) => self.check_blob(shape, text, path),
            (Kind::Boolean, Value::Bool(_)) | (Kind::Timestamp, Value::Number(_)) => {}
            (Kind::Integer | Kind::Long, Value::Number(number)) if number.is_i64() || number.is_u64() => {
                self.check_range(shape, number.as_f64(), "value", path, value);
            }
            (Kind::Float | Kind::Double, Value::Number(number)) => {
                self.check_range(shape, number.as_f64(), "value", path, value);
            }
            _ => self.report(
                Rule::Type,
                path,
                format!("{} must be a {}", shown(value, path), type_name(shape.kind)),
            ),
        }
    }

    fn check_structure(&mut self, shape: &Shape, value: &Value, path: &str) {
        let Value::Object(members) = value else { return };
        for name in shape.required.iter().filter(|name| !members.contains_key(*name)) {
            let path = join(path, name);
            let message = format!("Value null at '{path}' failed to satisfy constraint: Member must not be null");
            self.report(Rule::Required, &path, message);
        }
        for (name, member) in members {
            let path = join(path, name);
            match shape.members.get(name) {
                Some(known) => self.check(self.api.shape(&known.shape), member, &path),
                None => self.report(
                    Rule::Unknown,
                    &path,
                    format!("'{path}' is no parameter that localcloud models"),
                ),
            }
        }
        if shape.union && members.len() != 1 {
            self.report(
                Rule::Union,
                path,
                format!("'{path}' must have exactly one member, not {}", members.len()),
            );
        }
    }

    fn check_list(&mut self, shape: &Shape, items: &[Value], path: &str) {
        let count = Value::from(items.len());
        self.check_range(shape, Some(items.len() as f64), "length", path, &count);
        let Some(member) = &shape.member else { return };
        for (index, item) in items.iter().enumerate() {
            self.check(
                self.api.shape(&member.shape),
                item,
                &format!("{path}.{}.member", index + 1),
            );
        }
    }

    fn check_map(&mut self, shape: &Shape, value: &Value, path: &str) {
        let (Value::Object(entries), Some(key), Some(member)) = (value, &shape.key, &shape.value) else {
            return;
        };
        let count = Value::from(entries.len());
        self.check_range(shape, Some(entries.len() as f64), "length", path, &count);
        for (name, entry) in entries {
            let path = join(path, name);
            self.check_text(self.api.shape(&key.shape), name, &path);
            self.check(self.api.shape(&member.shape), entry, &path);
        }
    }

    fn check_text(&mut self, shape: &Shape, text: &str, path: &str) {
        let value = Value::from(text);
        let shown = shown(&value, path);
        self.check_range(shape, Some(text.chars().count() as f64), "length", path, &value);
        if !shape.allowed.is_empty() && !shape.allowed.iter().any(|allowed| allowed == text) {
            let allowed = shape.allowed.join(", ");
            self.report(
                Rule::Enum,
                path,
                format!("{shown} must satisfy enum value set: [{allowed}]"),
            );
        }
        if let Some(pattern) = shape.pattern.as_ref().filter(|pattern| !pattern.regex.is_match(text)) {
            let message = format!("{shown} must satisfy regular expression pattern: {}", pattern.text);
            self.report(Rule::Pattern, path, message);
        }
    }

    fn check_blob(&mut self, shape: &Shape, text: &str, path: &str) {
        match crate::blob::decode(text) {
            Ok(bytes) => {
                let count = Value::from(bytes.len());
                self.check_range(shape, Some(bytes.len() as f64), "length", path, &count);
            }
            Err(_) => self.report(
                Rule::Type,
                path,
                format!("{} must be base64", shown(&Value::from(text), path)),
            ),
        }
    }

    fn check_range(&mut self, shape: &Shape, size: Option<f64>, what: &str, path: &str, value: &Value) {
        let Some(size) = size else { return };
        let side = match (shape.min, shape.max) {
            (Some(min), _) if size < min => format!("greater than or equal to {min}"),
            (_, Some(max)) if size > max => format!("less than or equal to {max}"),
            _ => return,
        };
        self.report(
            Rule::Range,
            path,
            format!("{} must have {what} {side}", shown(value, path)),
        );
    }

    fn report(&mut self, rule: Rule, path: &str, message: String) {
        self.found.push(Violation {
            path: path.to_owned(),
            rule,
            message,
        });
    }
}

/// Begins a sentence with the value at fault; long ones are cut, and secret ones do not appear.
fn shown(value: &Value, path: &str) -> String {
    let text = match value {
        _ if path.contains("Secret") => "***".to_owned(),
        Value::String(text) => text.chars().take(80).collect(),
        Value::Array(_) | Value::Object(_) => "...".to_owned(),
        other => other.to_string(),
    };
    format!("Value '{text}' at '{path}' failed to satisfy constraint: Member")
}

fn type_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Structure => "structure",
        Kind::List => "list",
        Kind::Map => "map",
        Kind::String => "string",
        Kind::Boolean => "boolean",
        Kind::Integer | Kind::Long => "whole number",
        Kind::Float | Kind::Double => "number",
        Kind::Timestamp => "timestamp",
        Kind::Blob => "base64 string",
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Rule, refusal, violations};
    use crate::http::api;
    use crate::model::Service;

    fn rules(service: Service, shape: &str, input: Value) -> Vec<(String, Rule)> {
        let found = violations(api::of(service), shape, &input);
        found
            .into_iter()
            .map(|violation| (violation.path, violation.rule))
            .collect()
    }

    #[test]
    fn a_good_input_has_no_violations() {
        let input = json!({"ServiceNamespace": "ecs", "ResourceId": "service/main/orders",
            "ScalableDimension": "ecs:service:DesiredCount", "MinCapacity": 1});
        assert_eq!(rules(Service::Scaling, "RegisterScalableTargetRequest", input), []);
    }

    #[test]
    fn every_violation_is_found_with_its_path() {
        let input = json!({"ServiceNamespace": "nope", "ResourceId": "", "MinCapacity": "1", "Colour": "red"});
        // The order of a JSON object's members depends on how serde_json was built, so it is not looked at.
        let mut found = rules(Service::Scaling, "RegisterScalableTargetRequest", input);
        found.sort_by(|left, right| left.0.cmp(&right.0));
        let expected = [
            ("Colour", Rule::Unknown),
            ("MinCapacity", Rule::Type),
            ("ResourceId", Rule::Range),
            ("ScalableDimension", Rule::Required),
            ("ServiceNamespace", Rule::Enum),
        ];
        assert_eq!(found, expected.map(|(path, rule)| (path.to_owned(), rule)));
    }

    #[test]
    fn a_number_out_of_range_is_refused_where_it_stands() {
        let metric = json!({"AlarmName": "a", "EvaluationPeriods": 0, "ComparisonOperator": "GreaterThanThreshold"});
        let found = rules(Service::CloudWatch, "PutMetricAlarmInput", metric);
        assert_eq!(found, [("EvaluationPeriods".to_owned(), Rule::Range)]);
    }

    #[test]
    fn each_service_refuses_with_its_own_code() {
        let found = violations(api::of(Service::Sqs), "SendMessageRequest", &json!({"QueueUrl": "u"}));
        let fault = refusal(Service::Sqs, &found).expect("a violation is a refusal");
        assert_eq!((fault.code.as_str(), fault.status), ("MissingParameter", 400));
        assert!(fault.message.contains("'MessageBody'"), "{}", fault.message);
        assert_eq!(refusal(Service::Sqs, &[]), None);
    }

    #[test]
    fn a_secret_never_shows_in_a_refusal() {
        let input = json!({"Name": "n", "SecretString": 12345});
        let found = violations(api::of(Service::Secrets), "CreateSecretRequest", &input);
        let fault = refusal(Service::Secrets, &found).expect("a violation is a refusal");
        assert!(!fault.message.contains("12345"), "{}", fault.message);
    }
}
