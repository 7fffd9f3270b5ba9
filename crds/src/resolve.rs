//! From a merged spec to a complete connector, or to every fault at once.
//!
//! What [`resolve`] returns can be planned, run and stored without another look at the document: defaults are filled in,
//! values fit AWS and Kafka as far as their published rules say, and every field does something.

mod alarms;
mod arn;
mod faults;
mod idle;
mod kafka;
mod labels;
mod part;
mod partition;
mod queue_url;
mod scaling;
mod secrets;
mod service;
mod settings;
mod sink;
mod source;
mod task;

use std::collections::{BTreeMap, BTreeSet};

use self::faults::Faults;
pub(crate) use self::idle::faults_of_idle;
pub(crate) use self::part::{faults_of_part, faults_of_rest};
pub use self::queue_url::queue_endpoint;
use crate::{
    BridgeConfig, Capacity, Connector, ConnectorSpec, Fault, Kafka, LaunchType, MAX_DOCUMENT_BYTES, Name, ProfileSpec,
    Task, merge,
};

/// The most bytes that a bridge's configuration may have, half of what ECS allows a task definition.
const MAX_BRIDGE_CONFIG_BYTES: usize = 32 * 1024;

/// Fills defaults in and checks everything.
pub fn resolve(name: &Name, labels: &BTreeMap<String, String>, spec: &ConnectorSpec) -> Result<Connector, Vec<Fault>> {
    let mut faults = Faults::default();
    let connector = connector(name, labels, spec, &mut faults);
    check_size(&connector, &mut faults);
    check_merged(labels, spec, &mut faults);
    faults.or(connector)
}

/// Resolves a document that was accepted before, whatever today's rules say of it: they may have become stricter since, and
/// what is in force stays so until a better one is accepted.
pub fn resolve_accepted(name: &Name, labels: &BTreeMap<String, String>, spec: &ConnectorSpec) -> Connector {
    connector(name, labels, spec, &mut Faults::default())
}

/// Resolves what one bridge needs, for a bridge that is started by hand: nothing about ECS has to be there.
pub fn resolve_bridge(name: &Name, spec: &ConnectorSpec) -> Result<BridgeConfig, Vec<Fault>> {
    let mut faults = Faults::default();
    let source = source::source(name, spec.source.as_ref(), &mut faults);
    let sink = sink::sink(spec.sink.as_ref(), &source, &mut faults);
    let errors = sink::errors(spec.errors.as_ref(), &sink, &mut faults);
    let secrets = secrets::secrets(spec.secrets.as_ref(), &mut faults);
    let kafka = kafka::kafka(spec.kafka.as_ref(), &secrets, &mut faults);
    let (_, drain_timeout) = task::timeouts(&spec.task.clone().unwrap_or_default(), Platform::Ec2, &mut faults);
    faults.or(BridgeConfig {
        connector: name.clone(),
        source,
        sink,
        kafka,
        errors,
        drain_timeout,
    })
}

/// Returns what is wrong with a profile whatever connector uses it. What is absent, or wrong only beside a default, is no
/// fault: a connector may bring the rest.
pub fn check_profile(profile: &ProfileSpec) -> Vec<Fault> {
    let name = Name::try_from("profile".to_owned()).expect("the text is a name");
    faults_of_part(
        &name,
        &BTreeMap::new(),
        &merge(&ConnectorSpec::default(), Some(profile)),
    )
}

/// Returns what is wrong with a connector whatever its profile says, for one whose profile is not there.
pub fn check_connector(name: &Name, labels: &BTreeMap<String, String>, spec: &ConnectorSpec) -> Vec<Fault> {
    faults_of_part(name, labels, spec)
}

fn connector(name: &Name, labels: &BTreeMap<String, String>, spec: &ConnectorSpec, faults: &mut Faults) -> Connector {
    labels::check(labels, faults);
    check_profile_name(spec.profile.as_deref(), faults);
    let source = source::source(name, spec.source.as_ref(), faults);
    let sink = sink::sink(spec.sink.as_ref(), &source, faults);
    let errors = sink::errors(spec.errors.as_ref(), &sink, faults);
    let secrets = secrets::secrets(spec.secrets.as_ref(), faults);
    let kafka = kafka::kafka(spec.kafka.as_ref(), &secrets, faults);
    let scaling = scaling::scaling(spec.scaling.as_ref(), faults);
    let service = service::service(spec.service.as_ref(), scaling.as_ref(), faults);
    let surroundings = task::Surroundings {
        platform: Platform::of(&service.capacity),
        source: &source,
        kafka: &kafka,
        secrets: &secrets,
    };
    let task = task::task(spec.task.as_ref(), &surroundings, faults);
    let alarms = alarms::alarms(spec.alarms.as_ref(), scaling.as_ref(), faults);
    arn::check_partitions(&arns(spec, &task, &kafka, &secrets), faults);
    Connector {
        name: name.clone(),
        labels: labels.clone(),
        source,
        sink,
        kafka,
        secrets,
        errors,
        task,
        service,
        scaling,
        alarms,
        initial_state: spec.initial_state.unwrap_or_default(),
    }
}

/// Returns the ARNs that a connector uses, each with its path.
fn arns<'a>(
    spec: &'a ConnectorSpec,
    task: &'a Task,
    kafka: &Kafka,
    secrets: &'a BTreeMap<String, String>,
) -> Vec<(String, &'a str)> {
    let connection = kafka.security.secrets().into_iter().map(|(_, reference)| reference);
    let used = connection.chain(task.secrets.values());
    let used: BTreeSet<&str> = used.map(|reference| reference.secret.as_str()).collect();
    let role = |name: &str, arn: &'a Option<String>| Some((format!("spec.task.roles.{name}"), arn.as_deref()?));
    let roles = [role("task", &task.task_role), role("execution", &task.execution_role)];
    let secrets = secrets.iter().filter(|(name, _)| used.contains(name.as_str()));
    let secrets = secrets.map(|(name, arn)| (format!("spec.secrets.{name}"), arn.as_str()));
    let topics = spec.alarms.iter().flat_map(|alarms| alarms.topics.iter().flatten());
    let topics = topics.enumerate();
    let topics = topics.map(|(index, arn)| (format!("spec.alarms.topics[{index}]"), arn.as_str()));
    roles.into_iter().flatten().chain(secrets).chain(topics).collect()
}

/// What the tasks run on, as far as it decides what ECS allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Platform {
    Fargate,
    Ec2,
}

impl Platform {
    fn of(capacity: &Capacity) -> Self {
        let is_fargate = match capacity {
            Capacity::LaunchType(launch_type) => *launch_type == LaunchType::Fargate,
            Capacity::Providers(providers) => providers
                .iter()
                .all(|provider| service::is_fargate_provider(&provider.name)),
        };
        if is_fargate { Self::Fargate } else { Self::Ec2 }
    }
}

fn check_profile_name(profile: Option<&str>, faults: &mut Faults) {
    if let Some(profile) = profile
        && profile.parse::<Name>().is_err()
    {
        faults.refuse(
            "spec.profile",
            profile,
            "cannot be the name of a profile",
            "use 1 to 63 lower-case letters, digits and hyphens, beginning with a letter and ending with a letter or digit",
        );
    }
}

/// ECS takes at most 64 KiB for a whole task definition, in which the configuration is one variable.
fn check_size(connector: &Connector, faults: &mut Faults) {
    let bytes = serde_json::to_string(&BridgeConfig::from(connector)).map_or(0, |json| json.len());
    if bytes > MAX_BRIDGE_CONFIG_BYTES {
        faults.hide(
            "spec.kafka.security",
            format!("makes the bridge's configuration {bytes} bytes long, and {MAX_BRIDGE_CONFIG_BYTES} fit into a task definition"),
            "keep only the authorities in caCertificates that signed the brokers' certificates",
        );
    }
}

/// The operator remembers the merged document in one record, which has room for a document and what stands beside it.
fn check_merged(labels: &BTreeMap<String, String>, spec: &ConnectorSpec, faults: &mut Faults) {
    let length = |json: serde_json::Result<String>| json.map_or(0, |json| json.len());
    let bytes = length(serde_json::to_string(spec)) + length(serde_json::to_string(labels));
    if bytes > MAX_DOCUMENT_BYTES {
        faults.hide(
            "spec",
            format!("has {bytes} bytes once it is merged with its profile, and {MAX_DOCUMENT_BYTES} fit into the operator's record of it"),
            "shorten the connector or its profile: `secrets` and `task.environment` are what grows",
        );
    }
}

#[cfg(test)]
mod tests;
