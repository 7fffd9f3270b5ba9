#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;

use super::*;
use crate::{AlarmsSpec, Duration};

/// A part of a document: some of the fields named, each with one of its values.
fn section(fields: &[(&'static str, Vec<Value>)]) -> BoxedStrategy<Value> {
    let fields: Vec<BoxedStrategy<Option<(&str, Value)>>> = fields
        .iter()
        .map(|(name, values)| {
            let name = *name;
            prop::option::of(select(values.clone()).prop_map(move |value| (name, value))).boxed()
        })
        .collect();
    fields
        .prop_map(|chosen| {
            chosen
                .into_iter()
                .flatten()
                .map(|(name, value)| (name.to_owned(), value))
                .collect()
        })
        .boxed()
}

/// Sections that both kinds of documents have.
fn shared() -> BoxedStrategy<Value> {
    let names = |values: [&str; 2]| values.map(Value::from).to_vec();
    let numbers = |values: [u32; 2]| values.map(Value::from).to_vec();
    let lists = || vec![json!([]), json!(["a"]), json!(["b", "c"])];
    let variables = || vec![json!({}), json!({ "A": "1" }), json!({ "A": "2", "B": "3" })];
    let references = || {
        vec![
            json!({ "A": { "secret": "a" } }),
            json!({ "A": { "secret": "b", "key": "c" }, "C": { "secret": "d" } }),
        ]
    };
    let alarm = section(&[
        ("threshold", numbers([1, 2])),
        ("enabled", vec![json!(true), json!(false)]),
        ("period", names(["60s", "120s"])),
    ]);
    let parts = (
        section(&[
            ("bootstrapServers", lists()),
            (
                "security",
                vec![json!({ "plaintext": {} }), json!({ "mskIam": { "region": "r" } })],
            ),
        ]),
        section(&[
            ("deadLetterTopic", names(["a", "b"])),
            ("maxRetries", numbers([1, 2])),
            ("backoff", names(["1s", "2s"])),
            ("onGroupFailure", names(["hold", "dlq-and-continue"])),
        ]),
        section(&[
            ("cpu", numbers([256, 512])),
            ("image", names(["a", "b"])),
            ("environment", variables()),
            ("secrets", references()),
            ("roles", vec![json!({ "task": "a" }), json!({ "execution": "b" })]),
            (
                "logs",
                vec![json!({ "group": "a" }), json!({ "region": "b", "streamPrefix": "c" })],
            ),
        ]),
        section(&[
            ("subnets", lists()),
            ("launchType", names(["EC2", "FARGATE"])),
            (
                "capacityProviders",
                vec![json!([{ "name": "a", "base": 0, "weight": 1 }])],
            ),
            (
                "placement",
                vec![json!({}), json!({ "strategies": [{ "type": "random" }] })],
            ),
            (
                "rollout",
                vec![json!({ "minimumHealthyPercent": 1 }), json!({ "maximumPercent": 2 })],
            ),
        ]),
        section(&[
            ("min", numbers([0, 1])),
            ("max", numbers([2, 3])),
            (
                "backlog",
                vec![
                    json!({ "perTask": 1 }),
                    json!({ "acceptableLatency": "2s", "processingTime": "1s" }),
                ],
            ),
            (
                "cooldowns",
                vec![json!({ "in": "1s" }), json!({ "out": "2s", "sleep": "3s" })],
            ),
        ]),
        (section(&[("topics", lists())]), prop::option::of(alarm)).prop_map(|(mut alarms, alarm)| {
            if let Some(alarm) = alarm {
                alarms["oldestMessageAge"] = alarm;
            }
            alarms
        }),
        variables_of_secrets(),
    );
    parts
        .prop_map(|(kafka, errors, task, service, scaling, alarms, secrets)| {
            let mut tree = json!({ "kafka": kafka, "errors": errors, "task": task, "service": service, "scaling": scaling, "alarms": alarms, "secrets": secrets });
            tree.as_object_mut().unwrap().retain(|_, section| !section.as_object().unwrap().is_empty());
            tree
        })
        .boxed()
}

fn variables_of_secrets() -> BoxedStrategy<Value> {
    section(&[("one", vec![json!("a"), json!("b")]), ("two", vec![json!("c")])])
}

fn profiles() -> BoxedStrategy<ProfileSpec> {
    shared().prop_map(|tree| serde_json::from_value(tree).unwrap()).boxed()
}

fn connectors() -> BoxedStrategy<ConnectorSpec> {
    let own = section(&[
        ("profile", vec![json!("default")]),
        ("initialState", vec![json!("paused")]),
        ("sink", vec![json!({ "kafka": { "topic": "a" } })]),
    ]);
    (shared(), own)
        .prop_map(|(mut tree, own)| {
            tree.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
            serde_json::from_value(tree).unwrap()
        })
        .boxed()
}

/// Whether all that `part` says stands in `whole` as well; what is replaced as a whole must be the same.
fn says_all_of(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => part
            .iter()
            .all(|(key, value)| whole.get(key).is_some_and(|found| says_all_of(found, value))),
        (whole, part) => whole == part,
    }
}

proptest! {
    #[test]
    fn what_the_connector_says_wins(connector in connectors(), profile in profiles()) {
        let merged = serde_json::to_value(merge(&connector, Some(&profile))).unwrap();
        prop_assert!(says_all_of(&merged, &serde_json::to_value(&connector).unwrap()));
    }

    #[test]
    fn merging_twice_changes_nothing(connector in connectors(), profile in profiles()) {
        let merged = merge(&connector, Some(&profile));
        prop_assert_eq!(merge(&merged, Some(&profile)), merged);
    }

    #[test]
    fn no_profile_and_an_empty_one_change_nothing(connector in connectors()) {
        prop_assert_eq!(&merge(&connector, None), &connector);
        prop_assert_eq!(&merge(&connector, Some(&ProfileSpec::default())), &connector);
    }

    #[test]
    fn an_empty_connector_takes_all_of_its_profile(profile in profiles()) {
        let merged = serde_json::to_value(merge(&ConnectorSpec::default(), Some(&profile))).unwrap();
        prop_assert_eq!(merged, serde_json::to_value(&profile).unwrap());
    }

    #[test]
    fn a_hash_survives_writing_and_reading(connector in connectors()) {
        let text = serde_json::to_string(&connector).unwrap();
        let read: ConnectorSpec = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(spec_hash(&read), spec_hash(&connector));
    }

    #[test]
    fn documents_that_differ_have_other_hashes(one in connectors(), other in connectors()) {
        prop_assert_eq!(one == other, spec_hash(&one) == spec_hash(&other));
    }
}

#[test]
fn a_hash_is_16_digits_that_never_change() {
    let spec = ConnectorSpec {
        profile: Some("default".to_owned()),
        ..ConnectorSpec::default()
    };
    // printf '{"profile":"default"}' | sha256sum
    assert_eq!(spec_hash(&spec), "087126874fb4f185");
}

#[test]
fn canonical_json_sorts_fields_at_every_depth() {
    let tree: Value = serde_json::from_str(r#"{"b":[{"d":1,"c":"\""}],"a":null}"#).unwrap();
    let mut text = String::new();
    write_canonical(&tree, &mut text);
    assert_eq!(text, r#"{"a":null,"b":[{"c":"\"","d":1}]}"#);
}

fn merged(connector: Value, profile: Value) -> ConnectorSpec {
    let (connector, profile): (ConnectorSpec, ProfileSpec) = (
        serde_json::from_value(connector).unwrap(),
        serde_json::from_value(profile).unwrap(),
    );
    merge(&connector, Some(&profile))
}

#[test]
fn alternatives_are_replaced_as_a_whole() {
    let service = merged(
        json!({ "service": { "launchType": "EC2" } }),
        json!({ "service": { "capacityProviders": [{ "name": "FARGATE" }], "cluster": "main" } }),
    )
    .service
    .unwrap();
    assert!(service.launch_type.is_some() && service.capacity_providers.is_none());
    assert_eq!(service.cluster.as_deref(), Some("main"));

    let backlog = merged(
        json!({ "scaling": { "backlog": { "perTask": 5 } } }),
        json!({ "scaling": { "backlog": { "acceptableLatency": "2s", "processingTime": "1s" } } }),
    );
    assert_eq!(
        backlog.scaling.unwrap().backlog,
        Some(crate::BacklogTarget::PerTask { per_task: 5 })
    );
}

#[test]
fn a_secret_reference_is_not_joined_with_the_one_it_replaces() {
    let merged = merged(
        json!({ "task": { "secrets": { "A": { "secret": "mine" } } } }),
        json!({ "task": { "secrets": { "A": { "secret": "theirs", "key": "theirs" } } } }),
    );
    let reference = merged.task.unwrap().secrets.unwrap().remove("A").unwrap();
    assert_eq!((reference.secret.as_str(), reference.key), ("mine", None));
}

#[test]
fn a_variable_of_the_connector_replaces_the_profiles_secret_of_that_name() {
    let task = merged(
        json!({ "task": { "environment": { "A": "1" } } }),
        json!({ "task": { "secrets": { "A": { "secret": "theirs" }, "B": { "secret": "theirs" } } } }),
    )
    .task
    .unwrap();
    assert_eq!(task.environment.unwrap()["A"], "1");
    assert_eq!(task.secrets.unwrap().into_keys().collect::<Vec<_>>(), ["B"]);
}

#[test]
fn an_alarm_takes_single_settings_from_the_profile() {
    let merged = merged(
        json!({ "alarms": { "oldestMessageAge": { "threshold": 60 } } }),
        json!({ "alarms": { "topics": ["a"], "oldestMessageAge": { "threshold": 1, "period": "120s" } } }),
    );
    let AlarmsSpec {
        topics,
        oldest_message_age,
        ..
    } = merged.alarms.unwrap();
    let alarm = oldest_message_age.unwrap();
    assert_eq!(topics.unwrap(), ["a"]);
    assert_eq!(
        (alarm.threshold, alarm.period),
        (Some(60), Some(Duration::from_secs(120)))
    );
}
