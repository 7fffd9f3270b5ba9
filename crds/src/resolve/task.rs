//! `spec.task`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;

use super::faults::{Faults, pattern};
use super::secrets::check_reference;
use super::{Platform, arn, queue_url, settings};
use crate::{Duration, Kafka, KafkaSecurity, Logs, RolesSpec, SqsSource, Task, TaskSpec, secrecy};

/// What the bridge keeps between the end of its drain and ECS's SIGKILL.
const EXIT_MARGIN: Duration = Duration::from_secs(5);

/// The most bytes of names and values in `environment`, a quarter of what ECS allows a task definition.
const MAX_ENVIRONMENT_BYTES: usize = 16 * 1024;

/// The sizes in MiB that a task on EC2 instances may have.
const LEAST_MEMORY: u32 = 64;
pub(super) const MOST_MEMORY: u32 = 4_194_304;

/// How many environment variables may come from secrets.
const MOST_SECRETS: usize = 50;

/// A reference as registries take it: host and port, the parts of the repository, tag and digest.
static IMAGE: LazyLock<Regex> = LazyLock::new(|| {
    let label = "[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?";
    let host = format!(r"({label}(\.{label})*|\[[0-9A-Fa-f:]+\])(:[0-9]{{1,5}})?");
    let part = "[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*";
    let tag = "[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}";
    let digest = "(sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})";
    pattern(&format!(
        "^(?<repository>({host}/)?{part}(/{part})*)(:{tag})?(@{digest})?$"
    ))
});
/// The most characters of host and repository.
const LONGEST_REPOSITORY: usize = 255;
static ECR_IMAGE: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^[0-9]{12}\.dkr\.ecr(-fips)?\.[a-z0-9-]+\.[a-z0-9.-]+/"));
static VARIABLE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^[A-Za-z_][A-Za-z0-9_]{0,254}$"));
static RESERVED: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        "^(PENSTOCK_CONNECTOR|PENSTOCK_KAFKA_.*|ECS_CONTAINER_METADATA_URI.*|AWS_(ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN|PROFILE|ROLE_ARN|WEB_IDENTITY_TOKEN_FILE|CONTAINER_.*))$",
    )
});
static LOG_GROUP: LazyLock<Regex> = LazyLock::new(|| pattern(r"^[A-Za-z0-9_./#-]{1,512}$"));
static STREAM_PREFIX: LazyLock<Regex> = LazyLock::new(|| pattern(r"^[A-Za-z0-9_./-]{1,128}$"));

/// What a task's rules depend on.
pub(super) struct Surroundings<'a> {
    pub(super) platform: Platform,
    pub(super) source: &'a SqsSource,
    pub(super) kafka: &'a Kafka,
    pub(super) secrets: &'a BTreeMap<String, String>,
}

pub(super) fn task(spec: Option<&TaskSpec>, around: &Surroundings<'_>, faults: &mut Faults) -> Task {
    let spec = spec.cloned().unwrap_or_default();
    let (cpu, memory) = size(&spec, around.platform, faults);
    let (stop_timeout, drain_timeout) = timeouts(&spec, around.platform, faults);
    let logs = logs(&spec, around.source, faults);
    let image = image(&spec, faults);
    let RolesSpec {
        task: task_role,
        execution: execution_role,
    } = roles(&spec, &image, around, faults);
    check_environment(&spec, around.source, faults);
    check_secrets(&spec, around.secrets, faults);
    Task {
        cpu,
        memory,
        image,
        architecture: spec.architecture.unwrap_or_default(),
        task_role,
        execution_role,
        environment: spec.environment.unwrap_or_default(),
        secrets: spec.secrets.unwrap_or_default(),
        logs,
        stop_timeout,
        drain_timeout,
    }
}

/// Returns the times from SIGTERM to SIGKILL and from SIGTERM to exit.
pub(super) fn timeouts(spec: &TaskSpec, platform: Platform, faults: &mut Faults) -> (Duration, Duration) {
    let most = Duration::from_secs(if platform == Platform::Fargate { 120 } else { 3600 });
    let least = Duration::from_secs(EXIT_MARGIN.as_secs() + 1);
    let why = match platform {
        Platform::Fargate => {
            "is not a stop timeout that works on Fargate: the bridge needs a second to drain and 5 s to exit, and 120 s is the most"
        }
        Platform::Ec2 => "is not a stop timeout that works: the bridge needs a second to drain and 5 s to exit",
    };
    let stop = faults.whole_seconds(
        "spec.task.stopTimeout",
        spec.stop_timeout,
        Duration::from_secs(30),
        least..=most,
        why,
    );
    let longest = Duration::from_millis(stop.as_millis().saturating_sub(EXIT_MARGIN.as_millis()));
    let drain = spec.drain_timeout.unwrap_or(longest);
    let path = "spec.task.drainTimeout";
    if spec.drain_timeout.is_some() && drain > longest {
        let why = format!(
            "leaves less than {EXIT_MARGIN} of the stop timeout {stop} for the exit, so ECS would kill the bridge in the middle"
        );
        faults.refuse(
            path,
            drain,
            why,
            format!("use at most {longest}, or raise `spec.task.stopTimeout`"),
        );
    } else if spec.drain_timeout.is_some() && drain < Duration::from_secs(1) {
        faults.refuse(
            path,
            drain,
            "is too short to hand anything over",
            "use at least 1s, or leave it out",
        );
    }
    (stop, drain)
}

fn size(spec: &TaskSpec, platform: Platform, faults: &mut Faults) -> (u32, u32) {
    let (cpu, memory) = (spec.cpu.unwrap_or(256), spec.memory.unwrap_or(512));
    match platform {
        Platform::Ec2 => {
            faults.within(
                "spec.task.cpu",
                spec.cpu,
                256,
                128..=196_608,
                "is not a number of CPU units that ECS takes",
            );
            faults.within(
                "spec.task.memory",
                spec.memory,
                512,
                LEAST_MEMORY..=MOST_MEMORY,
                "is not a size in MiB that a bridge can run in",
            );
        }
        Platform::Fargate => check_fargate_size(cpu, memory, spec.memory.is_none(), faults),
    }
    if memory >= LEAST_MEMORY {
        settings::check_memory("spec.task.memory", memory, spec.environment.as_ref(), faults);
    }
    (cpu, memory)
}

fn check_fargate_size(cpu: u32, memory: u32, is_default: bool, faults: &mut Faults) {
    let Some(sizes) = fargate_memory(cpu) else {
        faults.refuse(
            "spec.task.cpu",
            cpu,
            "is not a number of CPU units that Fargate has",
            "use 256, 512, 1024, 2048, 4096, 8192 or 16384",
        );
        return;
    };
    if !sizes.contains(&memory) {
        let default = if is_default { " (the default)" } else { "" };
        let why = format!("MiB{default} is no memory size that Fargate has for {cpu} CPU units");
        let remedy = match sizes.as_slice() {
            [first, second, .., last] if sizes.len() > 4 => format!(
                "use {first} to {last} in steps of {}, or change `spec.task.cpu`",
                second - first
            ),
            few => {
                let few: Vec<String> = few.iter().map(u32::to_string).collect();
                format!("use one of {}, or change `spec.task.cpu`", few.join(", "))
            }
        };
        faults.refuse("spec.task.memory", memory, why, remedy);
    }
}

/// Returns the memory sizes in MiB that Fargate offers for `cpu` units; `RegisterTaskDefinition` documents the table.
fn fargate_memory(cpu: u32) -> Option<Vec<u32>> {
    const GIB: u32 = 1024;
    let (first, last, step) = match cpu {
        256 => return Some(vec![512, GIB, 2 * GIB]),
        512 => (GIB, 4 * GIB, GIB),
        1024 => (2 * GIB, 8 * GIB, GIB),
        2048 => (4 * GIB, 16 * GIB, GIB),
        4096 => (8 * GIB, 30 * GIB, GIB),
        8192 => (16 * GIB, 60 * GIB, 4 * GIB),
        16_384 => (32 * GIB, 120 * GIB, 8 * GIB),
        _ => return None,
    };
    (first..=last).step_by(step as usize).map(Some).collect()
}

fn image(spec: &TaskSpec, faults: &mut Faults) -> String {
    let path = "spec.task.image";
    let image = faults
        .required(path, spec.image.as_deref(), "name the image of `penstock-bridge`")
        .unwrap_or_default();
    let fits = |parts: regex::Captures<'_>| parts["repository"].len() <= LONGEST_REPOSITORY;
    if !image.is_empty() && !IMAGE.captures(&image).is_some_and(fits) {
        let why = "is not the name of an image";
        let remedy = "write `<registry>/<repository>:<tag>` or `…@sha256:<64 digits>`, the repository in lower case, without `https://`, user name or spaces; a tag may not be empty";
        // What stands before an `@` that begins no digest may be a user's name and password.
        match image.contains('@') {
            true => faults.hide(path, why, remedy),
            false => faults.refuse(path, &image, why, remedy),
        }
    }
    image
}

/// Checks the two roles and that each is there where something needs it.
fn roles(spec: &TaskSpec, image: &str, around: &Surroundings<'_>, faults: &mut Faults) -> RolesSpec {
    let roles = spec.roles.clone().unwrap_or_default();
    let (task, execution) = ("spec.task.roles.task", "spec.task.roles.execution");
    match (&roles.task, needs_task_role(around)) {
        (Some(arn), _) => arn::check_role(task, arn, faults),
        (None, Some(reason)) => faults.missing_for(
            task,
            reason,
            "write the ARN of a role that ecs-tasks.amazonaws.com may assume and that may read the queue",
        ),
        (None, None) => {}
    }
    match (&roles.execution, needs_execution_role(spec, image, around)) {
        (Some(arn), _) => arn::check_role(execution, arn, faults),
        (None, Some(reason)) => faults.missing_for(
            execution,
            reason,
            "write the ARN of a role that ecs-tasks.amazonaws.com may assume, with AmazonECSTaskExecutionRolePolicy",
        ),
        (None, None) => {}
    }
    roles
}

fn needs_task_role(around: &Surroundings<'_>) -> Option<&'static str> {
    let is_local = queue_url::parse(&around.source.queue_url).is_ok_and(|url| url.is_local);
    if matches!(around.kafka.security, KafkaSecurity::MskIam { .. }) {
        Some("and `spec.kafka.security.mskIam` signs with its credentials")
    } else if around.source.assume_role.is_some() {
        Some("and only its credentials can take on `spec.source.sqs.assumeRole`")
    } else if around.platform == Platform::Fargate && !is_local {
        Some("and a task on Fargate has no other credentials to read the queue with")
    } else {
        None
    }
}

fn needs_execution_role(spec: &TaskSpec, image: &str, around: &Surroundings<'_>) -> Option<&'static str> {
    let has_secrets = spec.secrets.as_ref().is_some_and(|secrets| !secrets.is_empty())
        || matches!(
            around.kafka.security,
            KafkaSecurity::Scram { .. } | KafkaSecurity::MutualTls { .. }
        );
    let is_fargate = around.platform == Platform::Fargate;
    if has_secrets {
        Some("and ECS reads the task's secrets with it")
    } else if is_fargate && spec.logs.is_some() {
        Some("and Fargate writes the logs with it")
    } else if is_fargate && ECR_IMAGE.is_match(image) {
        Some("and Fargate pulls the image from ECR with it")
    } else {
        None
    }
}

fn check_environment(spec: &TaskSpec, source: &SqsSource, faults: &mut Faults) {
    let environment = spec.environment.clone().unwrap_or_default();
    let bytes: usize = environment.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > MAX_ENVIRONMENT_BYTES {
        let why = format!("has {bytes} bytes, and {MAX_ENVIRONMENT_BYTES} fit into a task definition beside the rest");
        faults.hide("spec.task.environment", why, "make the values shorter");
    }
    for (name, value) in &environment {
        let path = format!("spec.task.environment.{name}");
        check_variable(&path, name, faults);
        settings::check(&path, name, value, source, faults);
        if secrecy::is_secret(name, value) {
            faults.hide(
                &path,
                "looks like a secret, and everybody who may read the topic or the task definition could read it",
                "put the value into Secrets Manager, name its ARN in `spec.secrets`, and refer to it in `spec.task.secrets`",
            );
        }
        if value.contains('\0') {
            faults.hide(&path, "has a NUL character, which no environment can hold", "remove it");
        }
    }
}

fn check_secrets(spec: &TaskSpec, secrets: &BTreeMap<String, String>, faults: &mut Faults) {
    let variables = spec.secrets.clone().unwrap_or_default();
    if variables.len() > MOST_SECRETS {
        faults.hide(
            "spec.task.secrets",
            format!("are {} variables", variables.len()),
            format!("use at most {MOST_SECRETS}"),
        );
    }
    for (name, reference) in &variables {
        let path = format!("spec.task.secrets.{name}");
        check_variable(&path, name, faults);
        check_reference(&path, reference, secrets, faults);
        if spec
            .environment
            .as_ref()
            .is_some_and(|environment| environment.contains_key(name))
        {
            faults.hide(
                &path,
                "is in `spec.task.environment` as well, and only one can count",
                "remove one of them",
            );
        }
    }
}

fn check_variable(path: &str, name: &str, faults: &mut Faults) {
    if !VARIABLE.is_match(name) {
        faults.hide(
            path,
            "cannot be the name of an environment variable",
            "use letters, digits and underscores, beginning with a letter or underscore",
        );
    } else if RESERVED.is_match(name) {
        let remedy = if name.starts_with("AWS_") {
            "remove it, and give the task its permissions by `spec.task.roles.task`"
        } else {
            "remove it, or choose another name"
        };
        faults.hide(path, "is a name that Penstock or ECS sets itself", remedy);
    } else if settings::is_unknown(name) {
        faults.hide(
            path,
            "is made like a setting of the bridge, and is none",
            settings::known(),
        );
    }
}

fn logs(spec: &TaskSpec, source: &SqsSource, faults: &mut Faults) -> Option<Logs> {
    let logs = spec.logs.as_ref()?;
    let path = "spec.task.logs";
    let group = faults
        .required(&format!("{path}.group"), logs.group.as_deref(), "name the log group")
        .unwrap_or_default();
    if !group.is_empty() && !LOG_GROUP.is_match(&group) {
        faults.refuse(
            &format!("{path}.group"),
            &group,
            "cannot be the name of a log group",
            "use 1 to 512 letters, digits and . - _ / #",
        );
    }
    if let Some(region) = &logs.region {
        faults.check_region(&format!("{path}.region"), region);
    }
    let stream_prefix = logs.stream_prefix.clone().unwrap_or_else(|| "penstock".to_owned());
    if !STREAM_PREFIX.is_match(&stream_prefix) {
        faults.refuse(
            &format!("{path}.streamPrefix"),
            &stream_prefix,
            "cannot begin the name of a log stream",
            "use 1 to 128 letters, digits and . - _ /",
        );
    }
    Some(Logs {
        group,
        region: logs.region.clone().unwrap_or_else(|| source.region.clone()),
        stream_prefix,
    })
}
