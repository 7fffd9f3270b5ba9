//! A connector laid over its profile.
//!
//! Every struct is taken apart field by field, so that a new field does not compile until somebody decides how it merges.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{
    AlarmSpec, AlarmsSpec, ConnectorSpec, CooldownsSpec, ErrorsSpec, KafkaSpec, LogsSpec, ProfileSpec, RolesSpec,
    RolloutSpec, ScalingSpec, ServiceSpec, TaskSpec,
};

/// Lays `connector` over `profile`: a field of the connector wins, maps are joined by key, and what only makes sense
/// together (Kafka security, backlog target, launch type or capacity providers, placement) is replaced as a whole. A list
/// is replaced as well. An environment variable that the connector sets replaces the profile's secret of that name, and the reverse.
pub fn merge(connector: &ConnectorSpec, profile: Option<&ProfileSpec>) -> ConnectorSpec {
    let Some(profile) = profile else {
        return connector.clone();
    };
    ConnectorSpec {
        profile: connector.profile.clone(),
        source: connector.source.clone(),
        sink: connector.sink.clone(),
        kafka: lay(&connector.kafka, &profile.kafka, kafka),
        secrets: join(&connector.secrets, &profile.secrets),
        errors: lay(&connector.errors, &profile.errors, errors),
        task: lay(&connector.task, &profile.task, task),
        service: lay(&connector.service, &profile.service, service),
        scaling: lay(&connector.scaling, &profile.scaling, scaling),
        alarms: lay(&connector.alarms, &profile.alarms, alarms),
        initial_state: connector.initial_state,
    }
}

/// Returns the first 16 hexadecimal digits of the SHA-256 of `spec` as canonical JSON: fields sorted, no spaces.
pub fn spec_hash(spec: &ConnectorSpec) -> String {
    let tree = serde_json::to_value(spec).expect("a spec is plain data with text keys");
    let mut canonical = String::new();
    write_canonical(&tree, &mut canonical);
    Sha256::digest(canonical.as_bytes())
        .iter()
        .take(8)
        .fold(String::new(), |mut digits, byte| {
            write!(digits, "{byte:02x}").expect("writing to a string does not fail");
            digits
        })
}

fn write_canonical(tree: &Value, out: &mut String) {
    match tree {
        Value::Object(fields) => {
            let sorted: BTreeMap<&String, &Value> = fields.iter().collect();
            out.push('{');
            for (index, (key, value)) in sorted.into_iter().enumerate() {
                out.push_str(if index == 0 { "" } else { "," });
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                write_canonical(value, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { "," });
                write_canonical(item, out);
            }
            out.push(']');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

/// Lays one section over another; where only one is there, it counts as it is.
fn lay<T: Clone>(mine: &Option<T>, base: &Option<T>, both: fn(&T, &T) -> T) -> Option<T> {
    match (mine, base) {
        (Some(mine), Some(base)) => Some(both(mine, base)),
        (mine, base) => pick(mine, base),
    }
}

fn pick<T: Clone>(mine: &Option<T>, base: &Option<T>) -> Option<T> {
    mine.as_ref().or(base.as_ref()).cloned()
}

type Named<T> = Option<BTreeMap<String, T>>;

fn join<T: Clone>(mine: &Named<T>, base: &Named<T>) -> Named<T> {
    lay(mine, base, |mine, base| {
        base.iter()
            .chain(mine)
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    })
}

/// As [`join`], without what the base says of names that `elsewhere` takes over.
fn join_except<T: Clone, U>(mine: &Named<T>, base: &Named<T>, elsewhere: &Named<U>) -> Named<T> {
    let taken = |name: &String| elsewhere.as_ref().is_some_and(|names| names.contains_key(name));
    let left = base.as_ref().map(|base| {
        base.iter()
            .filter(|(name, _)| !taken(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    });
    join(mine, &left)
}

fn kafka(mine: &KafkaSpec, base: &KafkaSpec) -> KafkaSpec {
    KafkaSpec {
        bootstrap_servers: pick(&mine.bootstrap_servers, &base.bootstrap_servers),
        security: pick(&mine.security, &base.security),
    }
}

fn errors(mine: &ErrorsSpec, base: &ErrorsSpec) -> ErrorsSpec {
    ErrorsSpec {
        dead_letter_topic: pick(&mine.dead_letter_topic, &base.dead_letter_topic),
        max_retries: mine.max_retries.or(base.max_retries),
        backoff: mine.backoff.or(base.backoff),
        on_group_failure: mine.on_group_failure.or(base.on_group_failure),
    }
}

fn task(mine: &TaskSpec, base: &TaskSpec) -> TaskSpec {
    TaskSpec {
        cpu: mine.cpu.or(base.cpu),
        memory: mine.memory.or(base.memory),
        image: pick(&mine.image, &base.image),
        architecture: mine.architecture.or(base.architecture),
        roles: lay(&mine.roles, &base.roles, roles),
        environment: join_except(&mine.environment, &base.environment, &mine.secrets),
        secrets: join_except(&mine.secrets, &base.secrets, &mine.environment),
        logs: lay(&mine.logs, &base.logs, logs),
        stop_timeout: mine.stop_timeout.or(base.stop_timeout),
        drain_timeout: mine.drain_timeout.or(base.drain_timeout),
    }
}

fn roles(mine: &RolesSpec, base: &RolesSpec) -> RolesSpec {
    RolesSpec {
        task: pick(&mine.task, &base.task),
        execution: pick(&mine.execution, &base.execution),
    }
}

fn logs(mine: &LogsSpec, base: &LogsSpec) -> LogsSpec {
    LogsSpec {
        group: pick(&mine.group, &base.group),
        region: pick(&mine.region, &base.region),
        stream_prefix: pick(&mine.stream_prefix, &base.stream_prefix),
    }
}

fn service(mine: &ServiceSpec, base: &ServiceSpec) -> ServiceSpec {
    let chosen = if mine.launch_type.is_some() || mine.capacity_providers.is_some() {
        mine
    } else {
        base
    };
    ServiceSpec {
        cluster: pick(&mine.cluster, &base.cluster),
        subnets: pick(&mine.subnets, &base.subnets),
        security_groups: pick(&mine.security_groups, &base.security_groups),
        public_ip: mine.public_ip.or(base.public_ip),
        launch_type: chosen.launch_type,
        capacity_providers: chosen.capacity_providers.clone(),
        placement: pick(&mine.placement, &base.placement),
        rollout: lay(&mine.rollout, &base.rollout, rollout),
    }
}

fn rollout(mine: &RolloutSpec, base: &RolloutSpec) -> RolloutSpec {
    RolloutSpec {
        minimum_healthy_percent: mine.minimum_healthy_percent.or(base.minimum_healthy_percent),
        maximum_percent: mine.maximum_percent.or(base.maximum_percent),
    }
}

fn scaling(mine: &ScalingSpec, base: &ScalingSpec) -> ScalingSpec {
    ScalingSpec {
        min: mine.min.or(base.min),
        max: mine.max.or(base.max),
        backlog: pick(&mine.backlog, &base.backlog),
        memory: mine.memory.or(base.memory),
        cpu: mine.cpu.or(base.cpu),
        cooldowns: lay(&mine.cooldowns, &base.cooldowns, cooldowns),
        running_tasks: mine.running_tasks.or(base.running_tasks),
    }
}

fn cooldowns(mine: &CooldownsSpec, base: &CooldownsSpec) -> CooldownsSpec {
    CooldownsSpec {
        out: mine.out.or(base.out),
        r#in: mine.r#in.or(base.r#in),
        sleep: mine.sleep.or(base.sleep),
    }
}

fn alarms(mine: &AlarmsSpec, base: &AlarmsSpec) -> AlarmsSpec {
    AlarmsSpec {
        topics: pick(&mine.topics, &base.topics),
        high_cpu_usage_and_max_scaled_out: lay(
            &mine.high_cpu_usage_and_max_scaled_out,
            &base.high_cpu_usage_and_max_scaled_out,
            alarm,
        ),
        high_ram_usage_and_max_scaled_out: lay(
            &mine.high_ram_usage_and_max_scaled_out,
            &base.high_ram_usage_and_max_scaled_out,
            alarm,
        ),
        backlog_high_and_max_scaled_out: lay(
            &mine.backlog_high_and_max_scaled_out,
            &base.backlog_high_and_max_scaled_out,
            alarm,
        ),
        oldest_message_age: lay(&mine.oldest_message_age, &base.oldest_message_age, alarm),
    }
}

fn alarm(mine: &AlarmSpec, base: &AlarmSpec) -> AlarmSpec {
    AlarmSpec {
        enabled: mine.enabled.or(base.enabled),
        threshold: mine.threshold.or(base.threshold),
        period: mine.period.or(base.period),
        evaluation_periods: mine.evaluation_periods.or(base.evaluation_periods),
        datapoints_to_alarm: mine.datapoints_to_alarm.or(base.datapoints_to_alarm),
    }
}

#[cfg(test)]
mod tests;
