//! What is wrong with a part of a connector, whatever the rest says: a profile alone, a connector whose profile is not
//! there, a document of which some fields could not be read.

use std::collections::BTreeMap;

use serde_json::Value;

use super::kafka::OTHER_PORT;
use super::resolve;
use super::scaling::MOST_TASKS;
use super::task::MOST_MEMORY;
use crate::{
    BUFFER_BYTES, BacklogTarget, ConnectorSpec, Duration, Fault, GroupFailure, LaunchType, MAX_BUFFER_BYTES_VARIABLE,
    Name,
};

/// Returns the faults of values that stand in `spec` and would be wrong beside any others. What is absent is no fault, and
/// neither is what only a default, or a choice that is still open, makes wrong.
pub(crate) fn faults_of_part(name: &Name, labels: &BTreeMap<String, String>, spec: &ConnectorSpec) -> Vec<Fault> {
    let (strict, lenient) = both(name, labels, spec);
    of_part(labels, spec, &strict, &lenient)
}

/// As [`faults_of_part`], for a connector that nothing is laid under, so that what is absent is missing. Fields of it that could
/// not be read are not in `spec`, and nothing is told that they may make right: `runs_on` says whether what its tasks run on
/// could be read.
pub(crate) fn faults_of_rest(
    name: &Name,
    labels: &BTreeMap<String, String>,
    spec: &ConnectorSpec,
    runs_on: bool,
) -> Vec<Fault> {
    let (strict, lenient) = both(name, labels, spec);
    let mut faults = of_part(labels, spec, &strict, &lenient);
    for fault in strict {
        let is_sure = lenient.contains(&fault) || (runs_on && fault.path.starts_with("spec.task."));
        if is_sure && faults.iter().all(|told| told.path != fault.path) {
            faults.push(fault);
        }
    }
    faults
}

/// Returns what is wrong with the spec as it is, and with the most permissive choice wherever it makes none.
fn both(name: &Name, labels: &BTreeMap<String, String>, spec: &ConnectorSpec) -> (Vec<Fault>, Vec<Fault>) {
    let faults = |spec: &ConnectorSpec| resolve(name, labels, spec).err().unwrap_or_default();
    (faults(spec), faults(&with_open_choices(spec)))
}

/// The reasons may differ, on Fargate and on instances for instance; a value that is wrong either way is wrong.
fn of_part(labels: &BTreeMap<String, String>, spec: &ConnectorSpec, strict: &[Fault], lenient: &[Fault]) -> Vec<Fault> {
    let tree = serde_json::json!({ "spec": spec, "metadata": { "labels": labels } });
    let stands = |fault: &Fault| match find(&tree, &fault.path) {
        None | Some(Value::Null) => false,
        Some(Value::Array(items)) if items.is_empty() => true,
        Some(_) => !fault.is_absence(),
    };
    let is_open = spec.kafka.as_ref().is_none_or(|kafka| kafka.security.is_none());
    let wrong = lenient
        .iter()
        .filter(|fault| stands(fault) && strict.iter().any(|other| other.path == fault.path))
        // Which ports are right is the security's to say.
        .filter(|fault| !(is_open && fault.why.starts_with(OTHER_PORT)));
    wrong.cloned().collect()
}

/// Returns the spec with the most permissive choice wherever it makes none.
fn with_open_choices(spec: &ConnectorSpec) -> ConnectorSpec {
    let mut spec = spec.clone();
    let service = spec.service.get_or_insert_default();
    if service.capacity_providers.is_none() {
        service.launch_type.get_or_insert(LaunchType::Ec2);
    }
    let task = spec.task.get_or_insert_default();
    if let Some(drain) = task.drain_timeout {
        task.stop_timeout
            .get_or_insert(Duration::from_secs(drain.as_secs() + 5));
    }
    task.memory.get_or_insert(MOST_MEMORY);
    let environment = task.environment.get_or_insert_default();
    environment
        .entry(MAX_BUFFER_BYTES_VARIABLE.to_owned())
        .or_insert_with(|| BUFFER_BYTES.start().to_string());
    let scaling = spec.scaling.get_or_insert_default();
    // What holds for some counts of tasks alone holds for the most: so many may always be wanted.
    match scaling.min {
        Some(min) => scaling.max.get_or_insert(min.max(1)),
        None => scaling.min.insert(*scaling.max.get_or_insert(MOST_TASKS)),
    };
    scaling.backlog.get_or_insert(BacklogTarget::PerTask { per_task: 1 });
    if let Some(errors) = &mut spec.errors
        && errors.on_group_failure == Some(GroupFailure::DlqAndContinue)
    {
        errors.dead_letter_topic.get_or_insert_with(|| "open".to_owned());
    }
    if let Some(alarms) = &mut spec.alarms {
        let all = [
            &mut alarms.high_cpu_usage_and_max_scaled_out,
            &mut alarms.high_ram_usage_and_max_scaled_out,
            &mut alarms.backlog_high_and_max_scaled_out,
            &mut alarms.oldest_message_age,
        ];
        for alarm in all.into_iter().flatten() {
            alarm
                .evaluation_periods
                .get_or_insert(alarm.datapoints_to_alarm.unwrap_or(1));
        }
    }
    spec
}

/// Returns what stands at a fault's path, such as `spec.service.subnets[1]`.
fn find<'a>(tree: &'a Value, path: &str) -> Option<&'a Value> {
    let (mut node, mut rest) = (tree, path);
    while !rest.is_empty() {
        (node, rest) = step(node, rest)?;
    }
    Some(node)
}

/// Follows one step of a path. Names of secrets, variables and labels may hold whatever a path is made of, so the longest
/// that fits is meant: a fault that is not found again would be dropped.
fn step<'a, 'p>(node: &'a Value, path: &'p str) -> Option<(&'a Value, &'p str)> {
    if let Value::Array(items) = node {
        let (index, rest) = path.strip_prefix('[')?.split_once(']')?;
        return Some((items.get(index.parse::<usize>().ok()?)?, rest));
    }
    let path = path.strip_prefix('.').unwrap_or(path);
    let fits = |(name, value): (&String, &'a Value)| {
        let rest = path.strip_prefix(name.as_str())?;
        (rest.is_empty() || rest.starts_with(['.', '['])).then_some((value, rest))
    };
    let fitting = node.as_object()?.iter().filter_map(fits);
    fitting.min_by_key(|(_, rest)| rest.len())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn faults(spec: Value) -> Vec<String> {
        let spec = serde_json::from_value(spec).expect("the test's spec is of the right shape");
        let name = "orders".parse().expect("a sound name");
        let found = faults_of_part(&name, &BTreeMap::new(), &spec);
        found.into_iter().map(|fault| fault.path).collect()
    }

    #[test]
    fn what_the_other_half_may_make_right_is_no_fault() {
        for part in [
            json!({"task": {"cpu": 1024}}),
            json!({"task": {"memory": 513}}),
            json!({"task": {"cpu": 300}}),
            json!({"kafka": {"security": {"scram": {"username": {"secret": "a"}, "password": {"secret": "a"}}}}}),
            json!({"service": {"publicIp": true}}),
            json!({"task": {"stopTimeout": "300s"}}),
            json!({"task": {"drainTimeout": "60s"}}),
            json!({"service": {"placement": {"strategies": [{"type": "random"}]}}}),
            json!({"alarms": {"oldestMessageAge": {"datapointsToAlarm": 20}}}),
            json!({"kafka": {"bootstrapServers": ["b-1.x.kafka.us-east-1.amazonaws.com:9096"]}}),
            json!({"alarms": {"oldestMessageAge": {"period": "1d"}}}),
            json!({"scaling": {"min": 3}}),
            json!({"service": {"rollout": {"minimumHealthyPercent": 50, "maximumPercent": 100}}}),
            json!({"service": {"rollout": {"minimumHealthyPercent": 50, "maximumPercent": 100}}, "scaling": {"max": 6}}),
            json!({"service": {"rollout": {"minimumHealthyPercent": 99, "maximumPercent": 100}}}),
            json!({"errors": {"onGroupFailure": "dlq-and-continue"}}),
            json!({"task": {"memory": 64}}),
            json!({"task": {"environment": {"PENSTOCK_MAX_BUFFER_BYTES": "1073741824"}}}),
            json!({"task": {"environment": {"PENSTOCK_MAX_IN_FLIGHT": "5"}}}),
        ] {
            assert_eq!(faults(part.clone()), Vec::<String>::new(), "{part}");
        }
    }

    #[test]
    fn what_is_wrong_beside_anything_is_told() {
        for (part, path) in [
            (
                json!({"source": {"sqs": {"maxMessages": 11}}}),
                "spec.source.sqs.maxMessages",
            ),
            (json!({"sink": {"kafka": {"topic": "a b"}}}), "spec.sink.kafka.topic"),
            (json!({"secrets": {"kafka-prod": "hunter2"}}), "spec.secrets.kafka-prod"),
            (json!({"secrets": {"kafka.prod": "hunter2"}}), "spec.secrets.kafka.prod"),
            (
                json!({"secrets": {"a": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:a", "a.b": "hunter2"}}),
                "spec.secrets.a.b",
            ),
            (json!({"service": {"subnets": ["nonsense"]}}), "spec.service.subnets[0]"),
            (json!({"scaling": {"min": 5, "max": 2}}), "spec.scaling.min"),
            (
                json!({"service": {"rollout": {"minimumHealthyPercent": 100, "maximumPercent": 100}}}),
                "spec.service.rollout",
            ),
            (
                json!({"service": {"rollout": {"minimumHealthyPercent": 50, "maximumPercent": 100}}, "scaling": {"max": 1}}),
                "spec.service.rollout",
            ),
            (
                json!({"errors": {"onGroupFailure": "dlq-and-continue", "deadLetterTopic": "a b"}}),
                "spec.errors.deadLetterTopic",
            ),
            (
                json!({"alarms": {"oldestMessageAge": {"period": "8d"}}}),
                "spec.alarms.oldestMessageAge.period",
            ),
            (json!({"task": {"cpu": 3}}), "spec.task.cpu"),
            (json!({"task": {"memory": 1}}), "spec.task.memory"),
            (json!({"task": {"stopTimeout": "1s"}}), "spec.task.stopTimeout"),
            (
                json!({"task": {"memory": 512, "environment": {"PENSTOCK_MAX_BUFFER_BYTES": "1073741824"}}}),
                "spec.task.memory",
            ),
            (
                json!({"task": {"environment": {"PENSTOCK_MAX_BUFFER_BYTES": "1"}}}),
                "spec.task.environment.PENSTOCK_MAX_BUFFER_BYTES",
            ),
            (json!({"service": {"subnets": []}}), "spec.service.subnets"),
            (
                json!({"kafka": {"bootstrapServers": ["SASL_SSL://a:9092"]}}),
                "spec.kafka.bootstrapServers[0]",
            ),
            (
                json!({"kafka": {"bootstrapServers": ["a:9092", "a:9092"]}}),
                "spec.kafka.bootstrapServers[1]",
            ),
        ] {
            assert_eq!(faults(part.clone()), [path], "{part}");
        }
    }

    #[test]
    fn no_name_of_a_variable_or_secret_hides_what_is_wrong_with_it() {
        for name in ["A.B", "A/B", "A[B", "A[0]", "A]", "A~1B", "", ".", "A B"] {
            for section in [
                json!({"task": {"environment": {name: "1"}}}),
                json!({"secrets": {name: "hunter2"}}),
            ] {
                assert!(!faults(section.clone()).is_empty(), "{section}");
            }
        }
    }
}
