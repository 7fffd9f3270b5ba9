#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

use super::*;
use crate::{AlarmKind, Document, Duration, GroupFailure, RecordKey, parse_value};

/// A connector that needs no profile and has no fault.
fn sound() -> Value {
    json!({
        "apiVersion": "penstock.dev/v1",
        "kind": "Connector",
        "metadata": { "name": "orders" },
        "spec": {
            "source": { "sqs": { "queueUrl": "https://sqs.eu-west-1.amazonaws.com/123456789012/orders" } },
            "sink": { "kafka": { "topic": "orders" } },
            "kafka": {
                "bootstrapServers": ["broker:9096"],
                "security": { "scram": { "username": { "secret": "kafka", "key": "u" }, "password": { "secret": "kafka", "key": "p" } } }
            },
            "secrets": { "kafka": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:kafka/connect" },
            "task": {
                "image": "penstock-bridge:1",
                "roles": { "task": "arn:aws:iam::123456789012:role/task", "execution": "arn:aws:iam::123456789012:role/service-role/execution" }
            },
            "service": { "cluster": "main", "subnets": ["subnet-12345"] }
        }
    })
}

/// The sound connector with `value` at a JSON pointer below `spec`; null removes what stands there.
fn with(changes: &[(&str, Value)]) -> Value {
    let mut document = sound();
    for (pointer, value) in changes {
        let (parents, last) = pointer.rsplit_once('/').unwrap();
        let root = &mut document["spec"];
        let parent = parents
            .split('/')
            .filter(|key| !key.is_empty())
            .fold(root, |node, key| &mut node[key]);
        if value.is_null() {
            parent.as_object_mut().unwrap().remove(last);
        } else {
            parent[last] = value.clone();
        }
    }
    document
}

fn judge(document: Value) -> Result<Connector, Vec<Fault>> {
    match parse_value(document)? {
        Document::Connector(document) => resolve(&document.metadata.name, &document.metadata.labels, &document.spec),
        other => panic!("{} is no connector", other.key()),
    }
}

fn resolved(changes: &[(&str, Value)]) -> Connector {
    judge(with(changes)).unwrap_or_else(|faults| panic!("{}", lines(&faults)))
}

fn lines(faults: &[Fault]) -> String {
    faults.iter().map(|fault| format!("{fault}\n")).collect()
}

/// Asserts that the change makes exactly one fault, at `path`, whose line has `fragment` in it.
#[track_caller]
fn refused(changes: &[(&str, Value)], path: &str, fragment: &str) {
    let faults = judge(with(changes)).expect_err("the document is refused");
    assert_eq!(faults.len(), 1, "{}", lines(&faults));
    assert_eq!(faults[0].path, path, "{}", faults[0]);
    let line = faults[0].to_string();
    assert!(line.contains(fragment), "`{fragment}` is not in: {line}");
    assert!(!line.contains('\n') && !faults[0].remedy.is_empty());
}

#[test]
fn defaults_are_those_that_the_fields_promise() {
    let connector = resolved(&[]);
    assert_eq!(connector.source.region, "eu-west-1");
    assert_eq!((connector.source.max_messages, connector.source.receivers), (10, 4));
    assert_eq!(
        (connector.source.wait_time, connector.source.visibility_timeout),
        (Duration::from_secs(20), Duration::from_secs(60))
    );
    assert!(connector.source.attributes);
    assert_eq!(connector.sink.key, RecordKey::MessageId);
    assert_eq!(connector.sink.linger, Duration::from_millis(5));
    assert_eq!(
        (connector.errors.max_retries, connector.errors.backoff),
        (3, Duration::from_secs(1))
    );
    assert_eq!((connector.task.cpu, connector.task.memory), (256, 512));
    assert_eq!(
        (connector.task.stop_timeout, connector.task.drain_timeout),
        (Duration::from_secs(30), Duration::from_secs(25))
    );
    assert_eq!(
        (
            connector.service.minimum_healthy_percent,
            connector.service.maximum_percent
        ),
        (100, 200)
    );
    assert!(connector.scaling.is_none() && connector.alarms.is_empty());
}

#[test]
fn a_document_that_outgrows_the_operators_record_by_its_profile_is_refused() {
    let arn = |n: u32| format!("arn:aws:secretsmanager:eu-west-1:123456789012:secret:penstock/{n:030}-AbCdEf");
    let mut secrets: serde_json::Map<String, Value> =
        (0..3000).map(|n| (format!("secret-{n}"), json!(arn(n)))).collect();
    secrets.insert("kafka".to_owned(), json!(arn(0)));
    refused(&[("/secrets", Value::Object(secrets))], "spec", "262144");
}

#[test]
fn a_fifo_queue_is_remembered_not_lingered_over_and_held_unless_there_are_dead_letters() {
    let standard = resolved(&[]);
    assert_eq!(standard.source.deduplication_window, Duration::from_secs(0));
    let fifo = (
        "/source/sqs/queueUrl",
        json!("https://sqs.eu-west-1.amazonaws.com/123456789012/orders.fifo"),
    );
    let held = resolved(std::slice::from_ref(&fifo));
    assert_eq!(held.source.deduplication_window, Duration::from_secs(300));
    assert_eq!(held.sink.linger, Duration::from_millis(0));
    assert_eq!(held.errors.on_group_failure, GroupFailure::Hold);
    let parked = resolved(&[fifo, ("/errors", json!({ "deadLetterTopic": "dead" }))]);
    assert_eq!(parked.errors.on_group_failure, GroupFailure::DlqAndContinue);
}

#[test]
fn alarms_follow_topics_and_take_the_backlog_from_scaling() {
    let topics = (
        "/alarms",
        json!({ "topics": ["arn:aws:sns:eu-west-1:123456789012:alarms"] }),
    );
    let kinds = |connector: &Connector| connector.alarms.iter().map(|alarm| alarm.kind).collect::<Vec<_>>();
    let without = resolved(std::slice::from_ref(&topics));
    assert_eq!(
        kinds(&without),
        [
            AlarmKind::HighCpuUsageAndMaxScaledOut,
            AlarmKind::HighRamUsageAndMaxScaledOut,
            AlarmKind::OldestMessageAge
        ]
    );
    let with = resolved(&[topics, ("/scaling", json!({ "max": 6, "backlog": { "perTask": 40 } }))]);
    assert_eq!(kinds(&with), AlarmKind::ALL);
    assert_eq!(with.alarms[2].threshold, 40);
    assert_eq!(
        (
            with.alarms[0].threshold,
            with.alarms[0].evaluation_periods,
            with.alarms[0].datapoints_to_alarm
        ),
        (85, 15, 5)
    );
}

#[test]
fn an_alarm_that_is_switched_off_is_left_out() {
    let connector = resolved(&[(
        "/alarms",
        json!({ "topics": ["arn:aws:sns:eu-west-1:123456789012:alarms"], "oldestMessageAge": { "enabled": false } }),
    )]);
    assert!(
        connector
            .alarms
            .iter()
            .all(|alarm| alarm.kind != AlarmKind::OldestMessageAge)
    );
}

#[test]
fn an_empty_list_of_topics_does_without_the_alarms_of_the_profile() {
    let profile: ProfileSpec = serde_json::from_value(json!({ "alarms": {
        "topics": ["arn:aws:sns:eu-west-1:123456789012:alarms"], "oldestMessageAge": { "threshold": 60 }
    } }))
    .unwrap();
    let Document::Connector(document) = parse_value(with(&[("/alarms", json!({ "topics": [] }))])).unwrap() else {
        panic!("it is a connector")
    };
    let merged = merge(&document.spec, Some(&profile));
    let connector = resolve(&document.metadata.name, &BTreeMap::new(), &merged)
        .unwrap_or_else(|faults| panic!("{}", lines(&faults)));
    assert_eq!(connector.alarms, []);
    assert_eq!(
        check_connector(&document.metadata.name, &BTreeMap::new(), &document.spec),
        []
    );
}

#[test]
fn latency_and_processing_time_become_messages_per_task_rounded_up() {
    let scaling = json!({ "max": 4, "backlog": { "acceptableLatency": "1s", "processingTime": "300ms" } });
    assert_eq!(
        resolved(&[("/scaling", scaling)]).scaling.unwrap().backlog_per_task,
        Some(4)
    );
}

#[test]
fn a_fifo_queue_keeps_its_groups_in_order_by_default() {
    let connector = resolved(&[(
        "/source/sqs/queueUrl",
        json!("https://sqs.eu-west-1.amazonaws.com/123456789012/orders.fifo"),
    )]);
    assert_eq!(connector.sink.key, RecordKey::MessageGroupId);
}

#[test]
fn the_longest_name_still_makes_a_session_name() {
    let mut document = with(&[(
        "/source/sqs/assumeRole",
        json!({ "arn": "arn:aws:iam::999999999999:role/reader" }),
    )]);
    document["metadata"]["name"] = json!("a".repeat(63));
    let connector = judge(document).unwrap();
    assert_eq!(connector.source.assume_role.unwrap().session_name.unwrap().len(), 64);
}

#[test]
fn a_queue_on_this_machine_needs_a_region_and_no_task_role() {
    let local = (
        "/source/sqs",
        json!({ "queueUrl": "http://127.0.0.1:4566/000000000000/orders", "region": "eu-west-1" }),
    );
    let connector = resolved(&[local, ("/task/roles/task", Value::Null)]);
    assert_eq!(connector.source.region, "eu-west-1");
}

#[test]
fn fargate_has_these_sizes_and_no_others() {
    for (cpu, memory) in [
        (256, 512),
        (256, 2048),
        (512, 4096),
        (1024, 3072),
        (4096, 30_720),
        (8192, 61_440),
        (16_384, 122_880),
    ] {
        resolved(&[("/task/cpu", json!(cpu)), ("/task/memory", json!(memory))]);
    }
    for (cpu, memory) in [
        (256, 3072),
        (512, 512),
        (512, 1536),
        (1024, 1024),
        (4096, 31_744),
        (8192, 18_432),
        (16_384, 36_864),
    ] {
        refused(
            &[("/task/cpu", json!(cpu)), ("/task/memory", json!(memory))],
            "spec.task.memory",
            "spec.task.cpu",
        );
    }
}

#[test]
fn instances_take_sizes_that_fargate_has_not() {
    resolved(&[
        ("/service/launchType", json!("EC2")),
        ("/task/cpu", json!(300)),
        ("/task/memory", json!(700)),
    ]);
}

#[test]
fn all_faults_are_reported_at_once() {
    let faults = judge(with(&[
        ("/source/sqs/queueUrl", json!("orders")),
        ("/sink/kafka/topic", json!("a b")),
        ("/task/image", Value::Null),
        ("/service/subnets", json!([])),
    ]))
    .unwrap_err();
    let paths: Vec<&str> = faults.iter().map(|fault| fault.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "spec.source.sqs.queueUrl",
            "spec.sink.kafka.topic",
            "spec.service.subnets",
            "spec.task.image"
        ]
    );
}

#[test]
fn an_empty_connector_is_told_everything_that_it_lacks() {
    let name: Name = "orders".parse().unwrap();
    let faults = resolve(&name, &BTreeMap::new(), &ConnectorSpec::default()).unwrap_err();
    assert!(faults.iter().all(Fault::is_absence), "{}", lines(&faults));
    let paths: Vec<&str> = faults.iter().map(|fault| fault.path.as_str()).collect();
    for path in [
        "spec.source",
        "spec.sink",
        "spec.kafka.bootstrapServers",
        "spec.task.image",
        "spec.service.cluster",
        "spec.service.subnets",
    ] {
        assert!(paths.contains(&path), "{path} is not among {paths:?}");
    }
}

#[test]
fn a_bridge_by_hand_needs_nothing_of_ecs() {
    let Document::Connector(document) =
        parse_value(with(&[("/task", Value::Null), ("/service", Value::Null)])).unwrap()
    else {
        panic!("it is a connector")
    };
    let config = resolve_bridge(&document.metadata.name, &document.spec).unwrap();
    assert_eq!(config, BridgeConfig::from(&resolved(&[])));
}

#[test]
fn a_profile_is_judged_by_what_it_says_and_not_by_what_it_leaves_out() {
    assert_eq!(check_profile(&ProfileSpec::default()), []);
    let profile: ProfileSpec = serde_json::from_value(
        json!({ "task": { "cpu": 300 }, "service": { "cluster": "a/b", "launchType": "FARGATE" } }),
    )
    .unwrap();
    let paths: Vec<String> = check_profile(&profile).into_iter().map(|fault| fault.path).collect();
    assert_eq!(paths, ["spec.service.cluster", "spec.task.cpu"]);
}

#[test]
fn a_secret_is_never_quoted() {
    let hidden = "hunter2-hunter2";
    for (pointer, value) in [
        ("/task/environment", json!({ "DB_PASSWORD": hidden })),
        ("/secrets/kafka", json!(hidden)),
        (
            "/kafka/security",
            json!({ "scram": { "username": hidden, "password": hidden } }),
        ),
        (
            "/kafka/security",
            json!({ "scram": { "username": { "secret": "kafka" }, "password": { "secret": "kafka" }, "value": hidden } }),
        ),
        ("/password", json!(hidden)),
        ("/task/environment", json!({ "FLAGS": [hidden] })),
        ("/task/secrets", json!({ "API_TOKEN": hidden })),
        (
            "/source/sqs/queueUrl",
            json!(format!(
                "https://user:{hidden}@sqs.eu-west-1.amazonaws.com/123456789012/orders"
            )),
        ),
        (
            "/source/sqs/queueUrl",
            json!(format!(
                "https://:{hidden}@sqs.eu-west-1.amazonaws.com/123456789012/orders"
            )),
        ),
        (
            "/source/sqs/queueUrl",
            json!(format!(
                "https://sqs.eu-west-1.amazonaws.com/123456789012/orders?sig={hidden}"
            )),
        ),
        (
            "/source/sqs/queueUrl",
            json!(format!(
                "https://sqs.eu-west-1.amazonaws.com/123456789012/orders#{hidden}"
            )),
        ),
        (
            "/source/sqs/queueUrl",
            json!(format!("https://evil.example/123456789012/orders?sig={hidden}")),
        ),
        (
            "/kafka/bootstrapServers",
            json!([format!("SASL_SSL://user:{hidden}@broker:9096")]),
        ),
        ("/kafka/bootstrapServers", json!([format!("user:{hidden}@broker:9096")])),
        (
            "/kafka/bootstrapServers",
            json!([format!("user:{hidden}@a:9096,b:9096")]),
        ),
        (
            "/kafka/security",
            json!({ "scram": { "username": { "secret": "kafka" }, "password": { "secret": "kafka", "key": format!("a:{hidden}") } } }),
        ),
        (
            "/task/secrets",
            json!({ "API_TOKEN": { "secret": "kafka", "key": format!("a:{hidden}") } }),
        ),
        (
            "/task/image",
            json!(format!("user:{hidden}@registry.example/penstock:1")),
        ),
        ("/task/environment", json!({ "CONFIG": format!("password: {hidden}") })),
    ] {
        let faults = judge(with(&[(pointer, value)])).unwrap_err();
        assert!(!lines(&faults).contains(hidden), "{}", lines(&faults));
    }
}

#[test]
fn every_bad_value_is_refused_where_it_stands() {
    let pem = |text: &str| json!({ "scram": { "username": { "secret": "kafka" }, "password": { "secret": "kafka" }, "caCertificates": text } });
    let topic = "arn:aws:sns:eu-west-1:123456789012:alarms";
    let alarm = |settings: Value| json!({ "topics": [topic], "oldestMessageAge": settings });
    let queue = |rest: &str| json!(format!("https://sqs.eu-west-1.amazonaws.com/{rest}"));
    #[rustfmt::skip]
    let table: Vec<(&str, Value, &str, &str)> = vec![
        ("/profile", json!("Default"), "spec.profile", "lower-case"),
        ("/source", Value::Null, "spec.source", "queueUrl"),
        ("/source/sqs", Value::Null, "spec.source.sqs", "exactly one kind"),
        ("/source/sqs/queueUrl", Value::Null, "spec.source.sqs.queueUrl", "get-queue-url"),
        ("/source/sqs/queueUrl", queue("12345/orders"), "spec.source.sqs.queueUrl", "12 digits"),
        ("/source/sqs/queueUrl", queue("123456789012/or%20ders"), "spec.source.sqs.queueUrl", ".fifo"),
        ("/source/sqs/queueUrl", queue("123456789012/orders?a=b"), "spec.source.sqs.queueUrl", "remove"),
        ("/source/sqs/queueUrl", json!("http://sqs.eu-west-1.amazonaws.com/123456789012/orders"), "spec.source.sqs.queueUrl", "https://"),
        ("/source/sqs/queueUrl", json!("https://evil.example/123456789012/orders"), "spec.source.sqs.queueUrl", "not at a host of SQS"),
        ("/source/sqs/queueUrl", json!("http://localhost:4566/000000000000/orders"), "spec.source.sqs.region", "write the region"),
        ("/source/sqs/region", json!("eu-west-2"), "spec.source.sqs.region", "eu-west-1"),
        ("/source/sqs/maxMessages", json!(11), "spec.source.sqs.maxMessages", "1 to 10"),
        ("/source/sqs/maxMessages", json!(0), "spec.source.sqs.maxMessages", "1 to 10"),
        ("/source/sqs/waitTime", json!("21s"), "spec.source.sqs.waitTime", "20s"),
        ("/source/sqs/waitTime", json!("1500ms"), "spec.source.sqs.waitTime", "whole number of seconds"),
        ("/source/sqs/visibilityTimeout", json!("5s"), "spec.source.sqs.visibilityTimeout", "10s to 12h"),
        ("/source/sqs/visibilityTimeout", json!("13h"), "spec.source.sqs.visibilityTimeout", "10s to 12h"),
        ("/source/sqs/receivers", json!(65), "spec.source.sqs.receivers", "1 to 64"),
        ("/source/sqs/assumeRole", json!({ "arn": "arn:aws:iam::999:role/reader" }), "spec.source.sqs.assumeRole.arn", "12 digits"),
        ("/source/sqs/assumeRole", json!({ "arn": "arn:aws:iam::999999999999:user/reader" }), "spec.source.sqs.assumeRole.arn", "role"),
        ("/source/sqs/assumeRole", json!({ "arn": "arn:aws:iam::999999999999:role/a", "sessionName": "a b" }), "spec.source.sqs.assumeRole.sessionName", "2 to 64"),
        ("/source/sqs/assumeRole", json!({ "arn": "arn:aws:iam::999999999999:role/a", "externalId": "a" }), "spec.source.sqs.assumeRole.externalId", "1224"),
        ("/sink", Value::Null, "spec.sink", "topic"),
        ("/sink/kafka/topic", Value::Null, "spec.sink.kafka.topic", "name the topic"),
        ("/sink/kafka/topic", json!(".."), "spec.sink.kafka.topic", "1 to 249"),
        ("/sink/kafka/linger", json!("2s"), "spec.sink.kafka.linger", "1s"),
        ("/errors", json!({ "deadLetterTopic": "orders" }), "spec.errors.deadLetterTopic", "another topic"),
        ("/errors", json!({ "maxRetries": 101 }), "spec.errors.maxRetries", "0 to 100"),
        ("/errors", json!({ "backoff": "0s" }), "spec.errors.backoff", "10ms"),
        ("/errors", json!({ "onGroupFailure": "dlq-and-continue" }), "spec.errors.onGroupFailure", "deadLetterTopic"),
        ("/source/sqs/deduplicationWindow", json!("2h"), "spec.source.sqs.deduplicationWindow", "1h"),
        ("/kafka/bootstrapServers", json!([]), "spec.kafka.bootstrapServers", "host:port"),
        ("/kafka/bootstrapServers", json!(["broker"]), "spec.kafka.bootstrapServers[0]", "65535"),
        ("/kafka/bootstrapServers", json!(["a:1", "broker:70000"]), "spec.kafka.bootstrapServers[1]", "65535"),
        ("/kafka/bootstrapServers", json!(["SASL_SSL://broker:9096"]), "spec.kafka.bootstrapServers[0]", "alone"),
        ("/kafka/bootstrapServers", json!(["a:1,b:1"]), "spec.kafka.bootstrapServers[0]", "element"),
        ("/kafka/bootstrapServers", json!(["a:1", "a:1"]), "spec.kafka.bootstrapServers[1]", "twice"),
        ("/kafka/bootstrapServers", json!(["b-1.c.kafka.eu-west-1.amazonaws.com:9098"]), "spec.kafka.bootstrapServers[0]", "9096"),
        ("/kafka/security", json!({ "scram": { "username": { "secret": "other" }, "password": { "secret": "kafka" } } }), "spec.kafka.security.scram.username.secret", "spec.secrets"),
        ("/kafka/security", json!({ "scram": { "username": { "secret": "kafka", "key": "a:b" }, "password": { "secret": "kafka" } } }), "spec.kafka.security.scram.username.key", "colon"),
        ("/kafka/security", json!({ "scram": { "username": { "secret": "kafka" }, "password": { "secret": "kafka" }, "tls": false, "caCertificates": "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----" } }), "spec.kafka.security.scram.caCertificates", "tls: false"),
        ("/kafka/security", pem("rubbish"), "spec.kafka.security.scram.caCertificates", "BEGIN CERTIFICATE"),
        ("/kafka/security", pem("MIIDdzCCAl+gAwIBAgIEAgAAuTANBgkqhkiG9w0BAQUFADBa"), "spec.kafka.security.scram.caCertificates", "BEGIN CERTIFICATE"),
        ("/kafka/security", pem("MIIKDAIBAzCCCcYGCSqGSIb3DQEHAaCCCbcEggmz"), "spec.kafka.security.scram.caCertificates", "keytool"),
        ("/kafka/security", pem("-----BEGIN CERTIFICATE-----\nnot base64!!\n-----END CERTIFICATE-----"), "spec.kafka.security.scram.caCertificates", "BEGIN CERTIFICATE"),
        ("/kafka/security", pem("-----END CERTIFICATE-----\nMII\n-----BEGIN CERTIFICATE-----"), "spec.kafka.security.scram.caCertificates", "BEGIN CERTIFICATE"),
        ("/source/sqs/waitTime", json!("21500ms"), "spec.source.sqs.waitTime", "0s to 20s"),
        ("/source/sqs/visibilityTimeout", json!("9500ms"), "spec.source.sqs.visibilityTimeout", "10s to 12h"),
        ("/task/stopTimeout", json!("5500ms"), "spec.task.stopTimeout", "6s"),
        ("/kafka/security", pem("/u3+7QAAAAIAAAABAAAAAg=="), "spec.kafka.security.scram.caCertificates", "keytool"),
        ("/kafka/security", pem("-----BEGIN PRIVATE KEY-----\nMII\n-----END PRIVATE KEY-----"), "spec.kafka.security.scram.caCertificates", "replace it"),
        ("/kafka/security", json!({ "mskIam": { "region": "here" } }), "spec.kafka.security.mskIam.region", "eu-west-1"),
        ("/secrets/kafka", json!("hunter2"), "spec.secrets.kafka", "Secrets Manager"),
        ("/secrets/kafka", json!("arn:aws:secretsmanager:eu-west-1:123456789012:secret:a:key::"), "spec.secrets.kafka", "reference's `key`"),
        ("/secrets/kafka", json!("arn:aws:ssm:eu-west-1:123456789012:parameter/a"), "spec.secrets.kafka", "Secrets Manager"),
        ("/task/cpu", json!(300), "spec.task.cpu", "256, 512"),
        ("/task/memory", json!(500), "spec.task.memory", "512, 1024, 2048"),
        ("/task/image", Value::Null, "spec.task.image", "penstock-bridge"),
        ("/task/image", json!("https://registry/bridge"), "spec.task.image", "https://"),
        ("/task/image", json!("x/penstock-bridge:"), "spec.task.image", "a tag may not be empty"),
        ("/task/image", json!("a:b:c:d//"), "spec.task.image", "<repository>:<tag>"),
        ("/task/image", json!("PENSTOCK/Bridge:1"), "spec.task.image", "lower case"),
        ("/task/image", json!("a/b//c"), "spec.task.image", "<repository>:<tag>"),
        ("/task/image", json!("a/".repeat(128) + "b"), "spec.task.image", "<repository>:<tag>"),
        ("/task/image", json!("bridge@sha256:0123456789abcdef0123456789abcdef"), "spec.task.image", "64 digits"),
        ("/task/image", json!("bridge@md5:0123456789abcdef0123456789abcdef"), "spec.task.image", "64 digits"),
        ("/task/roles/task", Value::Null, "spec.task.roles.task", "ecs-tasks.amazonaws.com"),
        ("/task/roles/execution", Value::Null, "spec.task.roles.execution", "secrets"),
        ("/task/roles/execution", json!("arn:aws:s3:::bucket"), "spec.task.roles.execution", "role/<name>"),
        ("/task/environment", json!({ "A-B": "1" }), "spec.task.environment.A-B", "underscores"),
        ("/task/environment", json!({ "PENSTOCK_CONNECTOR": "{}" }), "spec.task.environment.PENSTOCK_CONNECTOR", "another name"),
        ("/task/environment", json!({ "PENSTOCK_KAFKA_USERNAME": "a" }), "spec.task.environment.PENSTOCK_KAFKA_USERNAME", "another name"),
        ("/task/environment", json!({ "PENSTOCK_MAX_INFLIGHT": "5" }), "spec.task.environment.PENSTOCK_MAX_INFLIGHT", "`PENSTOCK_MAX_IN_FLIGHT`"),
        ("/task/secrets", json!({ "PENSTOCK_TOKEN": { "secret": "kafka" } }), "spec.task.secrets.PENSTOCK_TOKEN", "does not begin with `PENSTOCK_`"),
        ("/task/environment", json!({ "PENSTOCK_MAX_IN_FLIGHT": "5" }), "spec.task.environment.PENSTOCK_MAX_IN_FLIGHT", "from 10 to 100000"),
        ("/task/environment", json!({ "PENSTOCK_MAX_IN_FLIGHT": "many" }), "spec.task.environment.PENSTOCK_MAX_IN_FLIGHT", "in digits alone"),
        ("/task/environment", json!({ "PENSTOCK_MAX_BUFFER_BYTES": "1000" }), "spec.task.environment.PENSTOCK_MAX_BUFFER_BYTES", "from 1048576 to 68719476736"),
        ("/task/environment", json!({ "PENSTOCK_MAX_BUFFER_BYTES": "268435456" }), "spec.task.memory", "use at least 544"),
        ("/task/environment", json!({ "PENSTOCK_LISTEN": "8080" }), "spec.task.environment.PENSTOCK_LISTEN", "0.0.0.0:8080"),
        ("/task/environment", json!({ "PENSTOCK_LISTEN": "0.0.0.0:0" }), "spec.task.environment.PENSTOCK_LISTEN", "0.0.0.0:8080"),
        ("/task/environment", json!({ "PENSTOCK_LISTEN": "127.1:80" }), "spec.task.environment.PENSTOCK_LISTEN", "0.0.0.0:8080"),
        ("/task/environment", json!({ "PENSTOCK_LISTEN": "localhost:80" }), "spec.task.environment.PENSTOCK_LISTEN", "0.0.0.0:8080"),
        ("/task/environment", json!({ "PENSTOCK_LISTEN": "[::]:65536" }), "spec.task.environment.PENSTOCK_LISTEN", "0.0.0.0:8080"),
        ("/task/environment", json!({ "PENSTOCK_LOG": "penstock_bridge=loud" }), "spec.task.environment.PENSTOCK_LOG", "no level"),
        ("/task/environment", json!({ "AWS_PROFILE": "a" }), "spec.task.environment.AWS_PROFILE", "roles.task"),
        ("/task/environment", json!({ "DB_PASSWORD": "x" }), "spec.task.environment.DB_PASSWORD", "spec.task.secrets"),
        ("/task/environment", json!({ "BIG": "x".repeat(17_000) }), "spec.task.environment", "shorter"),
        ("/task/secrets", json!({ "TOKEN": { "secret": "other" } }), "spec.task.secrets.TOKEN.secret", "spec.secrets"),
        ("/task/logs", json!({}), "spec.task.logs.group", "log group"),
        ("/task/logs", json!({ "group": "a b" }), "spec.task.logs.group", "512"),
        ("/task/logs", json!({ "group": "a", "region": "mars" }), "spec.task.logs.region", "eu-west-1"),
        ("/task/stopTimeout", json!("121s"), "spec.task.stopTimeout", "120 s"),
        ("/task/stopTimeout", json!("5s"), "spec.task.stopTimeout", "6s"),
        ("/task/drainTimeout", json!("26s"), "spec.task.drainTimeout", "stopTimeout"),
        ("/task/drainTimeout", json!("0s"), "spec.task.drainTimeout", "1s"),
        ("/service/cluster", json!("arn:aws:ecs:eu-west-1:123456789012:cluster/main"), "spec.service.cluster", "write `main`"),
        ("/service/subnets", json!(["vpc-1"]), "spec.service.subnets[0]", "subnet-"),
        ("/service/subnets", json!(["subnet-1", "subnet-1"]), "spec.service.subnets[1]", "twice"),
        ("/service/securityGroups", json!(["sg-1", "sg-2", "sg-3", "sg-4", "sg-5", "sg-6"]), "spec.service.securityGroups", "at most 5"),
        ("/service/placement", json!({ "strategies": [{ "type": "random" }] }), "spec.service.placement", "EC2"),
        ("/service/capacityProviders", json!([]), "spec.service.capacityProviders", "launchType"),
        ("/service/capacityProviders", json!([{ "name": "FARGATE", "weight": 0 }]), "spec.service.capacityProviders", "weight"),
        ("/service/capacityProviders", json!([{ "name": "FARGATE" }, { "name": "mine" }]), "spec.service.capacityProviders", "mixes"),
        ("/service/capacityProviders", json!([{ "name": "FARGATE", "base": 1 }, { "name": "FARGATE_SPOT", "base": 1 }]), "spec.service.capacityProviders[1].base", "one provider"),
        ("/service/capacityProviders", json!([{ "name": "FARGATE", "weight": 1001 }]), "spec.service.capacityProviders[0].weight", "1000"),
        ("/service/rollout", json!({ "minimumHealthyPercent": 100, "maximumPercent": 100 }), "spec.service.rollout", "never replace"),
        ("/service/rollout", json!({ "minimumHealthyPercent": 50, "maximumPercent": 150 }), "spec.service.rollout", "while 1 is wanted"),
        ("/scaling", json!({}), "spec.scaling.max", "at most"),
        ("/scaling", json!({ "min": 3, "max": 2 }), "spec.scaling.min", "raise the maximum"),
        ("/scaling", json!({ "max": 5001 }), "spec.scaling.max", "5000"),
        ("/scaling", json!({ "max": 2, "backlog": { "perTask": 0 } }), "spec.scaling.backlog.perTask", "1 to"),
        ("/scaling", json!({ "max": 2, "backlog": { "acceptableLatency": "1s", "processingTime": "2s" } }), "spec.scaling.backlog.processingTime", "acceptableLatency"),
        ("/scaling", json!({ "max": 2, "backlog": { "acceptableLatency": "1s", "processingTime": "0s" } }), "spec.scaling.backlog.processingTime", "20ms"),
        ("/scaling", json!({ "max": 2, "memory": 0 }), "spec.scaling.memory", "1 to 100"),
        ("/scaling", json!({ "max": 2, "cpu": 101 }), "spec.scaling.cpu", "1 to 100"),
        ("/scaling", json!({ "max": 2, "cooldowns": { "out": "1500ms" } }), "spec.scaling.cooldowns.out", "whole number"),
        ("/scaling", json!({ "max": 2, "cooldowns": { "sleep": "1s" } }), "spec.scaling.cooldowns.sleep", "10s"),
        ("/alarms", json!({ "oldestMessageAge": { "threshold": 60 } }), "spec.alarms.topics", "SNS"),
        ("/alarms", json!({ "topics": ["arn:aws:sqs:eu-west-1:123456789012:alarms"] }), "spec.alarms.topics[0]", "arn:aws:sns"),
        ("/alarms", json!({ "topics": [topic], "backlogHighAndMaxScaledOut": { "enabled": true } }), "spec.alarms.backlogHighAndMaxScaledOut.threshold", "spec.scaling.backlog"),
        ("/alarms", json!({ "topics": [topic], "highCpuUsageAndMaxScaledOut": { "threshold": 101 } }), "spec.alarms.highCpuUsageAndMaxScaledOut.threshold", "1 to 100"),
        ("/alarms", alarm(json!({ "period": "90s" })), "spec.alarms.oldestMessageAge.period", "60s"),
        ("/alarms", alarm(json!({ "period": "10m", "evaluationPeriods": 145 })), "spec.alarms.oldestMessageAge.period", "a day"),
        ("/alarms", alarm(json!({ "evaluationPeriods": 3, "datapointsToAlarm": 4 })), "spec.alarms.oldestMessageAge.datapointsToAlarm", "lower"),
        ("/alarms", alarm(json!({ "evaluationPeriods": 0, "datapointsToAlarm": 1 })), "spec.alarms.oldestMessageAge.evaluationPeriods", "1 to"),
    ];
    for (pointer, value, path, fragment) in table {
        refused(&[(pointer, value)], path, fragment);
    }
}

#[test]
fn the_bridges_own_settings_may_stand_in_the_environment() {
    let settings = json!({
        "PENSTOCK_LOG": "penstock_bridge=DEBUG,rdkafka=off,info", "PENSTOCK_MAX_IN_FLIGHT": "500", "PENSTOCK_MAX_BUFFER_BYTES": "1048576",
        "PENSTOCK_LISTEN": "0.0.0.0:9090"
    });
    let connector = resolved(&[("/task/environment", settings)]);
    assert_eq!(connector.task.environment["PENSTOCK_MAX_IN_FLIGHT"], "500");
    resolved(&[("/task/environment", json!({ "PENSTOCK_LISTEN": "[::]:8080" }))]);
    resolved(&[(
        "/task/environment",
        json!({ "PENSTOCK_LOG": "penstock_bridge[send{topic=a}]=trace" }),
    )]);
}

#[test]
fn images_are_named_as_registries_name_them() {
    let digest = "0123456789abcdef".repeat(4);
    for image in [
        "hog",
        "penstock-bridge",
        "penstock-bridge:0.1.0-rc.1_a",
        "localhost:5000/team/penstock__bridge",
        "[::1]:5000/bridge",
        "123456789012.dkr.ecr.us-east-1.amazonaws.com/penstock-bridge:0.1.0",
        &format!("Registry.example/team/bridge:1@sha256:{digest}"),
        &format!("bridge@sha512:{digest}{digest}"),
    ] {
        let connector = resolved(&[("/task/image", json!(image))]);
        assert_eq!(connector.task.image, image);
    }
}

#[test]
fn scram_to_amazon_msk_is_sha_512_over_tls() {
    let servers = (
        "/kafka/bootstrapServers",
        json!([
            "b-1.c.kafka.eu-west-1.amazonaws.com:9096",
            "b-2.c.kafka.eu-west-1.amazonaws.com:9096"
        ]),
    );
    let mechanism = ("/kafka/security/scram/mechanism", json!("SCRAM-SHA-256"));
    let tls = ("/kafka/security/scram/tls", json!(false));
    resolved(&[mechanism.clone(), tls.clone()]);
    refused(
        &[servers.clone(), mechanism],
        "spec.kafka.security.scram.mechanism",
        "use `SCRAM-SHA-512`",
    );
    refused(&[servers, tls], "spec.kafka.security.scram.tls", "remove it");
}

#[test]
fn what_a_connector_uses_is_in_one_partition() {
    let china = |service: &str| json!(format!("arn:aws-cn:{service}"));
    refused(
        &[("/task/roles/execution", china("iam::123456789012:role/a"))],
        "spec.task.roles.execution",
        "`spec.task.roles.task` in `aws`",
    );
    let secret = "secretsmanager:cn-north-1:123456789012:secret:a";
    refused(&[("/secrets/kafka", china(secret))], "spec.secrets.kafka", "`aws-cn`");
    resolved(&[("/secrets/unused", china(secret))]);
    refused(
        &[("/alarms", json!({ "topics": [china("sns:cn-north-1:123456789012:a")] }))],
        "spec.alarms.topics[0]",
        "`aws-cn`",
    );
}

#[test]
fn what_depends_on_two_fields_is_refused_as_well() {
    let fifo = (
        "/source/sqs/queueUrl",
        json!("https://sqs.eu-west-1.amazonaws.com/123456789012/orders.fifo"),
    );
    refused(
        &[fifo, ("/sink/kafka/key", json!("messageId"))],
        "spec.sink.kafka.key",
        "lose the order",
    );
    let ec2 = ("/service/launchType", json!("EC2"));
    refused(
        &[ec2.clone(), ("/service/publicIp", json!(true))],
        "spec.service.publicIp",
        "NAT",
    );
    refused(
        &[
            ec2.clone(),
            ("/service/placement", json!({ "constraints": [{ "type": "memberOf" }] })),
        ],
        "spec.service.placement.constraints[0].expression",
        "cluster query",
    );
    refused(
        &[
            ec2.clone(),
            ("/service/placement", json!({ "strategies": [{ "type": "spread" }] })),
        ],
        "spec.service.placement.strategies[0].field",
        "instanceId",
    );
    refused(
        &[
            ec2.clone(),
            (
                "/service/placement",
                json!({ "strategies": [{ "type": "binpack", "field": "disk" }] }),
            ),
        ],
        "spec.service.placement.strategies[0].field",
        "memory",
    );
    refused(
        &[ec2, ("/service/capacityProviders", json!([{ "name": "mine" }]))],
        "spec.service.launchType",
        "keep one",
    );
    refused(
        &[
            ("/task/environment", json!({ "A": "1" })),
            ("/task/secrets", json!({ "A": { "secret": "kafka" } })),
        ],
        "spec.task.secrets.A",
        "remove one",
    );
    let iam = ("/kafka/security", json!({ "mskIam": { "region": "eu-west-1" } }));
    refused(
        &[iam.clone(), ("/task/roles/task", Value::Null)],
        "spec.task.roles.task",
        "signs with its credentials",
    );
    refused(
        &[
            iam,
            (
                "/kafka/bootstrapServers",
                json!(["b-1.c.kafka.eu-west-2.amazonaws.com:9098"]),
            ),
        ],
        "spec.kafka.security.mskIam.region",
        "eu-west-2",
    );
}

#[test]
fn an_authority_too_long_for_a_task_definition_is_refused() {
    let authority = format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----",
        "A".repeat(33_000)
    );
    let security = json!({ "scram": { "username": { "secret": "kafka" }, "password": { "secret": "kafka" }, "caCertificates": authority } });
    refused(
        &[("/kafka/security", security)],
        "spec.kafka.security",
        "task definition",
    );
}

#[test]
fn labels_that_aws_refuses_as_tags_are_refused() {
    for (key, value) in [
        ("aws:team", "a"),
        ("Penstock:uid", "a"),
        ("team", "a\nb"),
        ("te*am", "a"),
    ] {
        let mut document = sound();
        document["metadata"]["labels"] = json!({ key: value });
        let faults = judge(document).unwrap_err();
        assert_eq!(faults.len(), 1, "{}", lines(&faults));
        assert_eq!(faults[0].path, format!("metadata.labels.{key}"));
    }
}

#[test]
fn a_label_that_is_a_secret_is_refused_and_not_shown() {
    for (key, value) in [
        ("db-password", "hunter2"),
        ("db-password", "hunter2;"),
        ("note", "ghp_0123456789abcdefghijABCDEFGHIJ012345"),
    ] {
        let mut document = sound();
        document["metadata"]["labels"] = json!({ key: value });
        let faults = judge(document).unwrap_err();
        assert_eq!(faults.len(), 1, "{}", lines(&faults));
        assert!(faults[0].why.starts_with("looks like a secret"), "{}", faults[0]);
        assert!(!lines(&faults).contains(value), "{}", faults[0]);
    }
}

/// A connector that uses nearly every field.
fn full() -> Value {
    with(&[
        ("/profile", json!("default")),
        ("/initialState", json!("paused")),
        (
            "/errors",
            json!({ "deadLetterTopic": "dead", "maxRetries": 3, "backoff": "1s" }),
        ),
        (
            "/sink/kafka",
            json!({ "topic": "orders", "key": "none", "compression": "zstd", "linger": "5ms" }),
        ),
        (
            "/source/sqs/assumeRole",
            json!({ "arn": "arn:aws:iam::999999999999:role/a", "externalId": "abc" }),
        ),
        ("/source/sqs/waitTime", json!("10s")),
        ("/source/sqs/visibilityTimeout", json!("1m")),
        ("/task/cpu", json!(512)),
        ("/task/memory", json!(1024)),
        ("/task/environment", json!({ "A": "1" })),
        ("/task/secrets", json!({ "B": { "secret": "kafka", "key": "k" } })),
        (
            "/task/logs",
            json!({ "group": "/ecs/a", "region": "eu-west-1", "streamPrefix": "a" }),
        ),
        ("/task/stopTimeout", json!("60s")),
        ("/task/drainTimeout", json!("20s")),
        ("/service/securityGroups", json!(["sg-1"])),
        (
            "/service/capacityProviders",
            json!([{ "name": "mine", "base": 1, "weight": 2 }]),
        ),
        (
            "/service/placement",
            json!({
                "constraints": [{ "type": "memberOf", "expression": "a" }],
                "strategies": [{ "type": "spread", "field": "host" }],
            }),
        ),
        (
            "/service/rollout",
            json!({ "minimumHealthyPercent": 50, "maximumPercent": 200 }),
        ),
        (
            "/scaling",
            json!({
                "min": 0, "max": 6, "memory": 75, "cpu": 60, "runningTasks": "sampleCount",
                "backlog": { "acceptableLatency": "30s", "processingTime": "50ms" },
                "cooldowns": { "out": "60s", "in": "5m", "sleep": "5m" },
            }),
        ),
        (
            "/alarms",
            json!({
                "topics": ["arn:aws:sns:eu-west-1:123456789012:alarms"],
                "oldestMessageAge": { "enabled": true, "threshold": 60, "period": "60s", "evaluationPeriods": 3, "datapointsToAlarm": 2 },
            }),
        ),
    ])
}

/// Returns the JSON pointers of all nodes below `tree`.
fn pointers(tree: &Value, at: &str, found: &mut Vec<String>) {
    let children: Vec<(String, &Value)> = match tree {
        Value::Object(fields) => fields.iter().map(|(key, value)| (key.clone(), value)).collect(),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(index, value)| (index.to_string(), value))
            .collect(),
        _ => Vec::new(),
    };
    for (key, value) in children {
        found.push(format!("{at}/{key}"));
        pointers(value, &format!("{at}/{key}"), found);
    }
}

fn odd_values() -> impl Strategy<Value = Value> {
    select(vec![
        json!(null),
        json!(true),
        json!(-1),
        json!(0),
        json!(u32::MAX),
        json!(u64::MAX),
        json!(1e300),
        json!(""),
        json!("é\n\u{0}"),
        json!("x".repeat(3000)),
        json!("0s"),
        json!("500000years"),
        json!("1ms"),
        json!([]),
        json!([[null], {}]),
        json!({}),
        json!({ "a": null, "b": { "c": [1] } }),
    ])
}

#[test]
fn the_full_connector_has_no_fault() {
    judge(full()).unwrap_or_else(|faults| panic!("{}", lines(&faults)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn odd_values_anywhere_are_judged_in_words_and_never_panic(changes in prop::collection::vec((any::<Index>(), odd_values()), 1..4)) {
        let mut document = full();
        for (place, value) in changes {
            let mut found = Vec::new();
            pointers(&document, "", &mut found);
            *document.pointer_mut(&found[place.index(found.len())]).unwrap() = value;
        }
        if let Err(faults) = judge_any(document) {
            prop_assert!(!faults.is_empty());
            for fault in faults {
                let line = fault.to_string();
                prop_assert!(!line.contains('\n') && !fault.path.is_empty() && !fault.why.is_empty() && !fault.remedy.is_empty(), "{}", line);
            }
        }
    }
}

fn judge_any(document: Value) -> Result<(), Vec<Fault>> {
    match parse_value(document)? {
        Document::Connector(document) => {
            resolve(&document.metadata.name, &document.metadata.labels, &document.spec).map(|_| ())
        }
        _ => Ok(()),
    }
}
