#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::*;

const KEY: &str = "Connector/orders";

/// A document with this spec. Its profile may bring whatever it lacks.
fn document(spec: &Value) -> Value {
    let mut spec = spec.clone();
    if let Some(fields) = spec.as_object_mut() {
        fields.entry("profile").or_insert(json!("default"));
    }
    json!({ "apiVersion": "penstock.dev/v1", "kind": "Connector", "metadata": { "name": "orders" }, "spec": spec })
}

fn faults(key: &str, text: &str) -> Vec<Fault> {
    parse_document(key, text.as_bytes()).expect_err("the document is refused")
}

fn faults_of(spec: &Value) -> Vec<Fault> {
    faults(KEY, &document(spec).to_string())
}

fn paths(faults: &[Fault]) -> Vec<&str> {
    faults.iter().map(|fault| fault.path.as_str()).collect()
}

#[track_caller]
fn refused(faults: &[Fault], path: &str, fragment: &str) {
    assert_eq!(faults.len(), 1, "{faults:#?}");
    assert_eq!(faults[0].path, path, "{}", faults[0]);
    assert!(
        faults[0].to_string().contains(fragment),
        "`{fragment}` is not in: {}",
        faults[0]
    );
}

#[test]
fn a_document_is_read_and_written_back_the_same() {
    for (key, kind, spec) in [
        (
            KEY,
            "Connector",
            json!({ "profile": "default", "sink": { "kafka": { "topic": "orders", "linger": "5ms" } } }),
        ),
        (
            "Profile/orders",
            "Profile",
            json!({ "kafka": { "security": { "plaintext": {} } } }),
        ),
        (
            "TargetState/orders",
            "TargetState",
            json!({ "state": "paused", "restartedAt": "2026-01-31T12:00:00Z" }),
        ),
    ] {
        let text =
            json!({ "apiVersion": "penstock.dev/v1", "kind": kind, "metadata": { "name": "orders" }, "spec": spec });
        let document = parse_document(key, text.to_string().as_bytes()).unwrap();
        assert_eq!(document.to_json(), text);
        assert_eq!(document.key().to_string(), key);
    }
}

#[test]
fn bytes_that_are_no_document_are_refused_with_their_place() {
    refused(
        &parse_document(KEY, b"{\n\"a\": \xff}").unwrap_err(),
        "document",
        "line 2",
    );
    refused(
        &parse_document(KEY, b"\x00\x00\x00\x00\x07{}").unwrap_err(),
        "document",
        "not JSON",
    );
    refused(&faults(KEY, "{\n  \"kind\": }"), "document", "line 2, column 11");
    refused(&faults(KEY, ""), "document", "the text ends");
    refused(
        &faults(KEY, &format!("{} {{}}", document(&json!({})))),
        "document",
        "something follows the end",
    );
    refused(&faults(KEY, &"[".repeat(1000)), "document", "nests too deeply");
    refused(&faults(KEY, "[]"), "document", "is a list");
    refused(&faults(KEY, &" ".repeat(MAX_DOCUMENT_BYTES + 1)), "document", "262145");
}

#[test]
fn a_document_of_the_greatest_size_is_read() {
    let mut text = document(&json!({})).to_string();
    text.push_str(&" ".repeat(MAX_DOCUMENT_BYTES - text.len()));
    assert!(parse_document(KEY, text.as_bytes()).is_ok());
}

#[test]
fn the_key_must_be_the_documents_kind_and_name() {
    let text = document(&json!({})).to_string();
    refused(&faults("orders", &text), "key", "Connector/<name>");
    refused(
        &faults("Connector/invoices", &text),
        "metadata.name",
        "Connector/invoices",
    );
    refused(&faults("TargetState/orders", &text), "kind", "TargetState/orders");
    assert!(parse_value(document(&json!({}))).is_ok(), "a file has no key");
}

#[test]
fn the_envelope_is_judged_at_once() {
    let text = json!({ "apiversion": "penstock.dev/v1", "kind": "Conector", "metadata": { "name": "Or ders", "namespace": "a" } });
    let faults = faults(KEY, &text.to_string());
    assert_eq!(
        paths(&faults),
        [
            "apiversion",
            "apiVersion",
            "kind",
            "metadata.name",
            "metadata.namespace",
            "spec"
        ]
    );
    assert!(faults[0].remedy.contains("did you mean `apiVersion`"));
}

#[test]
fn a_kind_that_is_missing_or_misspelt_hides_no_other_fault() {
    let connector = json!({ "source": { "sqs": { "maxMessages": "ten" } }, "profile": "default" });
    let profile = json!({ "task": { "memory": "512" } });
    let target = json!({ "restartedAt": "now" });
    for (kind, spec, path, words) in [
        (
            json!("connector"),
            &connector,
            "spec.source.sqs.maxMessages",
            "`Connector`?",
        ),
        (
            json!("Conector"),
            &connector,
            "spec.source.sqs.maxMessages",
            "`Connector`?",
        ),
        (
            json!("Thing"),
            &connector,
            "spec.source.sqs.maxMessages",
            "`Connector`, `Profile`",
        ),
        (
            json!(null),
            &connector,
            "spec.source.sqs.maxMessages",
            "`Connector`, `Profile`",
        ),
        (json!("profiles"), &profile, "spec.task.memory", "`Profile`?"),
        (json!(null), &profile, "spec.task.memory", "`TargetState`"),
        (json!("targetState"), &target, "spec.restartedAt", "`TargetState`?"),
        (json!(null), &target, "spec.restartedAt", "`TargetState`"),
    ] {
        let mut tree = document(&json!({}));
        tree["kind"] = kind.clone();
        tree["spec"] = spec.clone();
        if kind.is_null() {
            tree.as_object_mut().unwrap().remove("kind");
        }
        let found = parse_value(tree).unwrap_err();
        assert_eq!(paths(&found), ["kind", path], "{found:#?}");
        assert!(found[0].to_string().contains(words), "{}", found[0]);
    }
}

#[test]
fn labels_belong_to_connectors() {
    let text = json!({ "apiVersion": "penstock.dev/v1", "kind": "TargetState", "metadata": { "name": "orders", "labels": { "a": "b" } }, "spec": {} });
    refused(
        &faults("TargetState/orders", &text.to_string()),
        "metadata.labels",
        "annotations",
    );
}

#[test]
fn a_field_that_stands_twice_is_refused() {
    let text = document(&json!({ "scaling": { "max": 1 } }))
        .to_string()
        .replace(r#""max":1"#, r#""max":1,"max":2"#);
    refused(&faults(KEY, &text), "spec.scaling.max", "more than once");
}

#[test]
fn null_is_refused_since_it_may_mean_two_things() {
    refused(
        &faults_of(&json!({ "errors": { "deadLetterTopic": null } })),
        "spec.errors.deadLetterTopic",
        "leave the field out",
    );
    refused(
        &faults_of(&json!({ "task": { "environment": { "A": null } } })),
        "spec.task.environment.A",
        "null",
    );
    refused(
        &faults_of(&json!({ "service": { "subnets": [null] } })),
        "spec.service.subnets[0]",
        "null",
    );
}

#[test]
fn an_unknown_field_is_named_with_what_was_probably_meant() {
    refused(
        &faults_of(&json!({ "source": { "sqs": { "queueURL": "a" } } })),
        "spec.source.sqs.queueURL",
        "did you mean `queueUrl`?",
    );
    refused(
        &faults_of(&json!({ "sink": { "kafka": { "acks": "all" } } })),
        "spec.sink.kafka.acks",
        "one of `topic`",
    );
    refused(
        &faults_of(&json!({ "scaling": { "backlog": { "per_task": 1 } } })),
        "spec.scaling.backlog.per_task",
        "`perTask`",
    );
    refused(
        &faults_of(&json!({ "kafka": { "security": { "plaintext": { "tls": true } } } })),
        "spec.kafka.security.plaintext.tls",
        "not a field",
    );
}

#[test]
fn a_wrong_type_is_named_with_the_value_and_what_was_expected() {
    for (spec, path, fragment) in [
        (json!([]), "spec", "a list, where an object is expected"),
        (json!({ "task": "a" }), "spec.task", "an object is expected"),
        (
            json!({ "kafka": { "security": { "mskIam": "eu-west-1" } } }),
            "spec.kafka.security.mskIam",
            "is a text, where an object is expected",
        ),
        (
            json!({ "task": { "memory": "512" } }),
            "spec.task.memory",
            "512 is a text, where a whole number is expected; remove the quotation marks around it",
        ),
        (
            json!({ "task": { "memory": -1 } }),
            "spec.task.memory",
            "-1 is a number, where a whole number is expected; write 0 or more",
        ),
        (
            json!({ "task": { "memory": 0.5 } }),
            "spec.task.memory",
            "0.5 is a number, where a whole number is expected; write it without a fraction, such as 1",
        ),
        (
            json!({ "task": { "memory": 512.0 } }),
            "spec.task.memory",
            "write `512`",
        ),
        (
            json!({ "task": { "memory": 5_000_000_000_u64 } }),
            "spec.task.memory",
            "write a smaller number",
        ),
        (
            json!({ "scaling": { "max": "many" } }),
            "spec.scaling.max",
            "many is a text, where a whole number is expected; write it in digits alone, such as 10",
        ),
        (
            json!({ "alarms": { "oldestMessageAge": { "threshold": [600] } } }),
            "spec.alarms.oldestMessageAge.threshold",
            "is a list, where a whole number is expected",
        ),
        (
            json!({ "source": { "sqs": { "waitTime": 20 } } }),
            "spec.source.sqs.waitTime",
            "`30s`",
        ),
        (
            json!({ "source": { "sqs": { "waitTime": "20 sex" } } }),
            "spec.source.sqs.waitTime",
            "20 sex is not a length of time; write it like",
        ),
        (
            json!({ "source": { "sqs": { "attributes": "yes" } } }),
            "spec.source.sqs.attributes",
            "`true` or `false`",
        ),
        (
            json!({ "service": { "subnets": "subnet-1" } }),
            "spec.service.subnets",
            "a list is expected",
        ),
        (
            json!({ "service": { "subnets": [1] } }),
            "spec.service.subnets[0]",
            "a text is expected",
        ),
        (
            json!({ "service": { "launchType": "fargate" } }),
            "spec.service.launchType",
            "fargate is not a value that this field takes; use `FARGATE` or `EC2`",
        ),
        (
            json!({ "sink": { "kafka": { "compression": "brotli" } } }),
            "spec.sink.kafka.compression",
            "one of `none`, `gzip`",
        ),
        (
            json!({ "kafka": { "security": { "sasl": {} } } }),
            "spec.kafka.security",
            "one of `plaintext`, `scram`, `mutualTls`, `mskIam`",
        ),
        (
            json!({ "kafka": { "security": { "plaintext": {}, "mskIam": { "region": "a" } } } }),
            "spec.kafka.security",
            "exactly one",
        ),
        (
            json!({ "kafka": { "security": "plaintext" } }),
            "spec.kafka.security",
            "plaintext: {}",
        ),
        (
            json!({ "scaling": { "backlog": {} } }),
            "spec.scaling.backlog",
            "`processingTime`",
        ),
        (
            json!({ "scaling": { "backlog": { "perTask": 1, "processingTime": "1s" } } }),
            "spec.scaling.backlog",
            "write `perTask`, or",
        ),
        (
            json!({ "scaling": { "backlog": { "acceptableLatency": "soon", "processingTime": "1s" } } }),
            "spec.scaling.backlog.acceptableLatency",
            "soon",
        ),
        (
            json!({ "initialState": "started" }),
            "spec.initialState",
            "`running`, `paused`, `stopped`",
        ),
    ] {
        refused(&faults_of(&spec), path, fragment);
    }
}

#[test]
fn a_list_is_no_object_whatever_the_order_of_its_elements() {
    let object = "is a list, where an object is expected; write an object";
    for (spec, path, words) in [
        (json!({ "source": [{ "queueUrl": "a" }] }), "spec.source", object),
        (
            json!({ "source": { "sqs": { "assumeRole": ["arn:aws:iam::123456789012:role/a"] } } }),
            "spec.source.sqs.assumeRole",
            object,
        ),
        (
            json!({ "service": { "rollout": [100, 200] } }),
            "spec.service.rollout",
            object,
        ),
        (
            json!({ "service": { "capacityProviders": [["FARGATE"]] } }),
            "spec.service.capacityProviders[0]",
            object,
        ),
        (
            json!({ "scaling": { "cooldowns": ["60s", "60s", "60s"] } }),
            "spec.scaling.cooldowns",
            object,
        ),
        (json!({ "scaling": { "backlog": [5] } }), "spec.scaling.backlog", object),
        (
            json!({ "kafka": { "security": { "mskIam": ["eu-west-1"] } } }),
            "spec.kafka.security.mskIam",
            object,
        ),
        (
            json!({ "task": { "environment": [["A", "1"]] } }),
            "spec.task.environment",
            object,
        ),
        (
            json!({ "task": { "secrets": { "A": ["kafka"] } } }),
            "spec.task.secrets.A",
            "is a list, where a reference such as `{secret: kafka, key: password}` is expected",
        ),
    ] {
        refused(&faults_of(&spec), path, words);
    }
    for (kind, field, value) in [
        ("Connector", "metadata", json!(["orders"])),
        ("Connector", "metadata", json!([{ "name": "orders" }])),
        ("Profile", "spec", json!([{ "bootstrapServers": ["a:9092"] }])),
        ("TargetState", "spec", json!(["paused"])),
    ] {
        let mut tree = document(&json!({}));
        if kind != "Connector" {
            tree["kind"] = json!(kind);
            tree["spec"] = json!({});
        }
        tree[field] = value;
        refused(&faults(&format!("{kind}/orders"), &tree.to_string()), field, object);
    }
}

#[test]
fn a_time_is_refused_with_an_example() {
    let text = json!({ "apiVersion": "penstock.dev/v1", "kind": "TargetState", "metadata": { "name": "orders" }, "spec": { "restartedAt": "now" } });
    refused(
        &faults("TargetState/orders", &text.to_string()),
        "spec.restartedAt",
        "2026-01-31T12:00:00Z",
    );
    let text = text.to_string().replace("now", "2206-01-31T12:00:00Z");
    refused(
        &faults("TargetState/orders", &text),
        "spec.restartedAt",
        "2206-01-31T12:00:00Z is so far ahead that no later request would ever count; write a time before the year 2100",
    );
}

#[test]
fn one_fault_does_not_hide_the_next() {
    let spec = json!({
        "source": { "sqs": { "queueUrl": 5, "maxMessages": "ten", "assumeRole": { "sessionName": 7 } } },
        "kafka": { "security": { "scram": { "username": "admin", "tls": "yes" } } },
        "service": { "subnets": [1, "subnet-1", 2], "capacityProviders": [{ "weight": 1 }, { "name": 3 }], "placement": { "strategies": [{}, { "type": "spread", "field": 1 }] } },
        "extra": true,
    });
    let faults = faults_of(&spec);
    let mut found = paths(&faults);
    found.sort_unstable();
    assert_eq!(
        found,
        [
            "spec.extra",
            "spec.kafka.security.scram.password",
            "spec.kafka.security.scram.tls",
            "spec.kafka.security.scram.username",
            "spec.service.capacityProviders[0].name",
            "spec.service.capacityProviders[1].name",
            "spec.service.placement.strategies[0].type",
            "spec.service.placement.strategies[1].field",
            "spec.service.subnets[0]",
            "spec.service.subnets[2]",
            "spec.source.sqs.assumeRole.arn",
            "spec.source.sqs.assumeRole.sessionName",
            "spec.source.sqs.maxMessages",
            "spec.source.sqs.queueUrl",
        ]
    );
}

#[test]
fn thousands_of_faults_end_at_a_bound() {
    let fields: serde_json::Map<String, Value> = (0..5000).map(|index| (format!("field{index}"), json!(1))).collect();
    let count = faults_of(&Value::Object(fields)).len();
    assert!((100..=300).contains(&count), "{count}");
}

#[test]
fn what_changes_nothing_beside_the_connectors_own_queue_is_refused() {
    let spec = |queue: &str, errors: Value| {
        let url = format!("https://sqs.eu-west-1.amazonaws.com/123456789012/{queue}");
        json!({ "profile": "default", "source": { "sqs": { "queueUrl": url } }, "sink": { "kafka": { "topic": "orders" } }, "errors": errors })
    };
    let hold = json!({ "onGroupFailure": "hold" });
    refused(
        &faults_of(&spec("orders", hold.clone())),
        "spec.errors.onGroupFailure",
        "no groups",
    );
    refused(
        &faults_of(&spec(
            "orders.fifo",
            json!({ "onGroupFailure": "hold", "deadLetterTopic": "dead" }),
        )),
        "spec.errors.deadLetterTopic",
        "never written",
    );
    let two = faults_of(&spec("orders", json!({ "onGroupFailure": "hold", "maxRetries": 101 })));
    assert_eq!(paths(&two), ["spec.errors.onGroupFailure", "spec.errors.maxRetries"]);
    for (queue, errors) in [
        ("orders.fifo", hold),
        ("orders.fifo", json!({ "deadLetterTopic": "dead" })),
        ("orders", json!({ "deadLetterTopic": "dead" })),
    ] {
        let text = document(&spec(queue, errors)).to_string();
        assert!(parse_document(KEY, text.as_bytes()).is_ok(), "{text}");
    }
}

#[test]
fn a_fault_of_shape_hides_neither_labels_nor_what_is_missing() {
    let mut tree = document(&json!({
        "typo": 1, "task": { "memory": 513 }, "sink": { "kafka": { "topic": "orders" } },
        "source": { "sqs": { "queueUrl": "https://sqs.eu-west-1.amazonaws.com/123456789012/orders" } },
        "kafka": { "bootstrapServers": ["a:9092"] }, "service": { "cluster": "main", "subnets": ["subnet-12345"] }
    }));
    tree["spec"].as_object_mut().unwrap().remove("profile");
    tree["metadata"] = json!({ "name": "X", "labels": { "aws:x": "y" } });
    let mut found = faults(KEY, &tree.to_string());
    found.sort_by(|left, right| left.path.cmp(&right.path));
    assert_eq!(
        paths(&found),
        [
            "metadata.labels.aws:x",
            "metadata.name",
            "spec.task.image",
            "spec.task.memory",
            "spec.task.roles.task",
            "spec.typo"
        ]
    );
    tree["spec"]["profile"] = json!("default");
    let found = faults(KEY, &tree.to_string());
    assert_eq!(
        paths(&found),
        ["metadata.name", "spec.typo", "metadata.labels.aws:x"],
        "a profile may bring the rest"
    );
    tree["spec"]["service"]["launchType"] = json!("EC3");
    tree["spec"].as_object_mut().unwrap().remove("profile");
    let found = faults(KEY, &tree.to_string());
    assert!(
        !paths(&found).contains(&"spec.task.memory"),
        "on what it runs is not known: {found:?}"
    );
}

#[test]
fn what_is_no_whole_number_or_no_text_is_told_what_to_write_in_its_place() {
    let faults = |spec: Value| faults_of(&spec);
    let messages = |number: Value| json!({ "source": { "sqs": { "queueUrl": "https://sqs.eu-west-1.amazonaws.com/123456789012/a", "maxMessages": number } } });
    for (number, remedy) in [
        (json!(6.0), "; write `6`"),
        (json!(1e25), "; write a smaller number"),
        (json!(4_294_967_296_u64), "; write a smaller number"),
        (json!(2.5), "such as 3"),
    ] {
        refused(&faults(messages(number)), "spec.source.sqs.maxMessages", remedy);
    }
    let quoted = "put it in quotation marks";
    refused(
        &faults(json!({ "task": { "environment": { "RETRIES": 3 } } })),
        "spec.task.environment.RETRIES",
        quoted,
    );
    refused(
        &faults(json!({ "sink": { "kafka": { "topic": false } } })),
        "spec.sink.kafka.topic",
        quoted,
    );
    refused(
        &faults(json!({ "sink": { "kafka": { "topic": [] } } })),
        "spec.sink.kafka.topic",
        "write a text",
    );
}

#[test]
fn a_field_of_few_words_names_them_whatever_stands_there() {
    let modes = "write exactly one of `running`, `paused`, `stopped`";
    for mode in [json!(true), json!(5), json!({ "paused": {} }), json!([])] {
        refused(&faults_of(&json!({ "initialState": mode })), "spec.initialState", modes);
    }
    let kinds = "`plaintext`, `scram`, `mutualTls`, `mskIam`";
    for security in [json!({}), json!(true), json!({ "plaintext": {}, "scram": {} })] {
        refused(
            &faults_of(&json!({ "kafka": { "security": security } })),
            "spec.kafka.security",
            kinds,
        );
    }
}
