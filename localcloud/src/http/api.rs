//! AWS's own API models, trimmed to what localcloud answers (`models/`), as the one source of names and constraints.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;
use serde::{Deserialize, Deserializer, de};

use crate::model::Service;

/// The API model of one service.
#[derive(Debug, Deserialize)]
pub struct Api {
    /// Names on the wire.
    pub metadata: Metadata,
    /// The operations, by name.
    pub operations: BTreeMap<String, Operation>,
    shapes: BTreeMap<String, Shape>,
}

/// What a service is called on the wire.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// The version that query requests name.
    pub api_version: String,
    /// What `X-Amz-Target` begins with, and the service's name in RPC v2 paths.
    pub target_prefix: Option<String>,
    /// The namespace of XML answers.
    pub xml_namespace: Option<String>,
    /// Present when errors also carry their code of the query protocol.
    pub aws_query_compatible: Option<serde_json::Value>,
}

/// One operation.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    /// The shape of its input; none when it has no members.
    pub input: Option<String>,
    /// The shape of its output; none when it has no members.
    pub output: Option<String>,
    /// The element around the output in XML.
    pub result_wrapper: Option<String>,
}

/// What a value is made of and held to.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Shape {
    /// What kind of value it is.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// The members that must be there.
    #[serde(default)]
    pub required: Vec<String>,
    /// The least value, length or count.
    pub min: Option<f64>,
    /// The greatest value, length or count.
    pub max: Option<f64>,
    /// What the whole text must match.
    #[serde(default, deserialize_with = "read_pattern")]
    pub pattern: Option<Pattern>,
    /// The texts that are allowed; none means all.
    #[serde(default, rename = "enum")]
    pub allowed: Vec<String>,
    /// Whether a list or map has no element of its own in XML and query.
    #[serde(default)]
    pub flattened: bool,
    /// Whether exactly one member must be there.
    #[serde(default)]
    pub union: bool,
    /// The members of a structure.
    #[serde(default)]
    pub members: BTreeMap<String, Member>,
    /// The items of a list.
    pub member: Option<Member>,
    /// The keys of a map.
    pub key: Option<Member>,
    /// The values of a map.
    pub value: Option<Member>,
    /// How an error is told in the query protocol.
    pub error: Option<ErrorTrait>,
}

/// A pattern as AWS wrote it, and compiled to match whole texts.
#[derive(Debug)]
pub struct Pattern {
    /// As AWS wrote it.
    pub text: String,
    /// Anchored at both ends.
    pub regex: Regex,
}

/// A place that a shape is used in.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// The name of the shape.
    pub shape: String,
    /// Its name on the wire, when that is another.
    pub location_name: Option<String>,
}

/// How an error is told in the query protocol.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorTrait {
    /// Its code, when that is not the shape's name.
    pub code: Option<String>,
    /// Its HTTP status.
    pub http_status_code: Option<u16>,
}

/// The kinds of values in API models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it all")]
pub enum Kind {
    Structure,
    List,
    Map,
    String,
    Boolean,
    Integer,
    Long,
    Float,
    Double,
    Timestamp,
    Blob,
}

impl Api {
    /// Returns the shape named `name`.
    ///
    /// # Panics
    /// When the embedded model names a shape that it does not have; a test walks all of them.
    pub fn shape(&self, name: &str) -> &Shape {
        self.shapes
            .get(name)
            .expect("a shape that the model names is in the model")
    }

    /// Returns the shape called `name`, if the model has one; for errors, which the cloud model names freely.
    pub fn find_shape(&self, name: &str) -> Option<&Shape> {
        self.shapes.get(name)
    }
}

/// All services, in the order of their names.
pub const SERVICES: [Service; 7] = [
    Service::Scaling,
    Service::Ecs,
    Service::CloudWatch,
    Service::Secrets,
    Service::Sns,
    Service::Sqs,
    Service::Sts,
];

/// Returns the name that a service's requests are signed with.
pub fn signing_name(service: Service) -> &'static str {
    match service {
        Service::Ecs => "ecs",
        Service::Scaling => "application-autoscaling",
        Service::CloudWatch => "monitoring",
        Service::Sqs => "sqs",
        Service::Sns => "sns",
        Service::Sts => "sts",
        Service::Secrets => "secretsmanager",
    }
}

/// Returns the service whose requests are signed with `name`.
pub fn service_signed_as(name: &str) -> Option<Service> {
    SERVICES.into_iter().find(|service| signing_name(*service) == name)
}

/// Returns the API model of a service.
pub fn of(service: Service) -> &'static Api {
    match service {
        Service::Ecs => &ECS,
        Service::Scaling => &SCALING,
        Service::CloudWatch => &CLOUDWATCH,
        Service::Sqs => &SQS,
        Service::Sns => &SNS,
        Service::Sts => &STS,
        Service::Secrets => &SECRETS,
    }
}

static ECS: LazyLock<Api> = LazyLock::new(|| parse(include_str!("../../models/ecs.json")));
static SCALING: LazyLock<Api> = LazyLock::new(|| parse(include_str!("../../models/application-autoscaling.json")));
static CLOUDWATCH: LazyLock<Api> = LazyLock::new(|| parse(include_str!("../../models/cloudwatch.json")));
static SQS: LazyLock<Api> = LazyLock::new(|| parse(include_str!("../../models/sqs.json")));
static SNS: LazyLock<Api> = LazyLock::new(|| parse(include_str!("../../models/sns.json")));
static STS: LazyLock<Api> = LazyLock::new(|| parse(include_str!("../../models/sts.json")));
static SECRETS: LazyLock<Api> = LazyLock::new(|| parse(include_str!("../../models/secretsmanager.json")));

fn parse(text: &str) -> Api {
    serde_json::from_str(text).expect("the embedded API models are read by a test")
}

fn read_pattern<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Pattern>, D::Error> {
    let text = String::deserialize(input)?;
    let regex = Regex::new(&format!("^(?:{text})$")).map_err(de::Error::custom)?;
    Ok(Some(Pattern { text, regex }))
}

#[cfg(test)]
mod tests {
    use super::{SERVICES, of, service_signed_as, signing_name};

    #[test]
    fn every_shape_that_is_named_is_there() {
        for service in SERVICES {
            let api = of(service);
            for operation in api.operations.values() {
                for name in operation.input.iter().chain(&operation.output) {
                    assert!(api.find_shape(name).is_some(), "{name}");
                }
            }
            for shape in api.shapes.values() {
                let sides = [&shape.member, &shape.key, &shape.value];
                let named = shape.members.values().chain(sides.into_iter().flatten());
                for member in named {
                    assert!(api.find_shape(&member.shape).is_some(), "{}", member.shape);
                }
            }
        }
    }

    #[test]
    fn a_signing_name_leads_back_to_its_service() {
        for service in SERVICES {
            assert_eq!(service_signed_as(signing_name(service)), Some(service));
        }
        assert_eq!(service_signed_as("s3"), None);
    }
}
