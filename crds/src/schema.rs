//! The JSON Schemas of the documents, for editors, other tools, and people who read what a field means.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::{API_VERSION, ConnectorSpec, Envelope, Kind, ProfileSpec, Status, TargetStateSpec};

/// Returns the schemas (draft 7) with the names of their files. They hold no more than editors can use: what depends on
/// several fields, or on the profile, only [`crate::resolve`] can tell.
pub fn schemas() -> Vec<(&'static str, Value)> {
    vec![
        (
            "connector.json",
            document::<ConnectorSpec>(Kind::Connector, "What one connector does and how it runs."),
        ),
        (
            "profile.json",
            document::<ProfileSpec>(Kind::Profile, "What many connectors share."),
        ),
        (
            "target-state.json",
            document::<TargetStateSpec>(Kind::TargetState, "What a person asked of a connector."),
        ),
        ("status.json", status()),
    ]
}

/// Returns the text of a schema's file.
pub fn schema_text(schema: &Value) -> String {
    format!("{schema:#}\n")
}

fn document<Spec: JsonSchema>(kind: Kind, description: &str) -> Value {
    let mut schema = generator().into_root_schema_for::<Envelope<Spec>>().to_value();
    entitle(&mut schema, kind.as_str(), description);
    if let Some(properties) = schema["properties"].as_object_mut() {
        fix(properties, "apiVersion", API_VERSION);
        fix(properties, "kind", kind.as_str());
    }
    if let Some(definitions) = schema["definitions"].as_object_mut() {
        definitions.remove("Kind");
    }
    if kind != Kind::Connector
        && let Some(metadata) = schema["definitions"]["Metadata"]["properties"].as_object_mut()
    {
        metadata.remove("labels");
    }
    schema
}

fn status() -> Value {
    let mut schema = generator().into_root_schema_for::<Status>().to_value();
    entitle(
        &mut schema,
        "Status",
        "What the operator reports of a connector: one record per transition on the status topic.",
    );
    schema
}

fn generator() -> SchemaGenerator {
    SchemaSettings::draft07()
        .with_transform(|schema: &mut schemars::Schema| {
            let mut tree = std::mem::take(schema).to_value();
            forbid_null(&mut tree);
            // Objects and booleans are the two forms of a schema, and the transformation keeps the form.
            *schema = schemars::Schema::try_from(tree).expect("a schema stays a schema");
        })
        .into_generator()
}

/// Puts first what people look for first.
fn entitle(schema: &mut Value, title: &str, description: &str) {
    let Some(fields) = schema.as_object_mut() else { return };
    let mut entitled = Map::new();
    entitled.extend(fields.remove("$schema").map(|version| ("$schema".to_owned(), version)));
    entitled.insert("title".to_owned(), json!(title));
    entitled.insert("description".to_owned(), json!(description));
    fields.remove("title");
    fields.remove("description");
    entitled.append(fields);
    *fields = entitled;
}

/// Pins a property to the one value that it may have.
fn fix(properties: &mut Map<String, Value>, name: &str, value: &str) {
    let description = properties
        .get(name)
        .and_then(|property| property.get("description"))
        .cloned();
    let mut property = json!({ "const": value });
    if let Some(description) = description {
        property["description"] = description;
    }
    properties.insert(name.to_owned(), property);
}

/// Takes `null` out of what an optional field may be: documents leave a field out, and reading them refuses `null`.
fn forbid_null(tree: &mut Value) {
    match tree {
        Value::Object(fields) => {
            forbid_null_here(fields);
            fields.values_mut().for_each(forbid_null);
        }
        Value::Array(items) => items.iter_mut().for_each(forbid_null),
        _ => {}
    }
}

fn forbid_null_here(fields: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = fields.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            fields.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(alternatives)) = fields.get_mut("anyOf") {
        let before = alternatives.len();
        alternatives.retain(|alternative| *alternative != json!({ "type": "null" }));
        if alternatives.len() == 1 && before > 1 {
            let only = Value::Array(alternatives.clone());
            fields.remove("anyOf");
            fields.insert("allOf".to_owned(), only);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::{Document, Fault, merge, parse_value, resolve};

    fn manifests() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests")
    }

    fn example(name: &str) -> Value {
        let text = std::fs::read_to_string(manifests().join("examples").join(name)).unwrap();
        serde_saphyr::from_str(&text).unwrap()
    }

    fn schema_of(document: &Value) -> Value {
        let kind = document["kind"].as_str().unwrap();
        schemas()
            .into_iter()
            .map(|(_, schema)| schema)
            .find(|schema| schema["title"] == kind)
            .unwrap()
    }

    fn errors(document: &Value) -> Vec<String> {
        let validator = jsonschema::validator_for(&schema_of(document)).unwrap();
        validator
            .iter_errors(document)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect()
    }

    const EXAMPLES: [&str; 5] = [
        "profile.yaml",
        "orders.yaml",
        "orders-fifo.yaml",
        "cross-account.yaml",
        "target-state-paused.yaml",
    ];

    #[test]
    fn the_files_are_what_the_types_say() {
        for (name, schema) in schemas() {
            let file = std::fs::read_to_string(manifests().join("schema").join(name)).unwrap_or_default();
            assert_eq!(
                file,
                schema_text(&schema),
                "{name} is stale: run `cargo run -p penstock-crds --bin crdgen`"
            );
        }
    }

    #[test]
    fn every_example_fits_its_schema_and_is_tested() {
        let mut files: Vec<String> = std::fs::read_dir(manifests().join("examples"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        let mut known = EXAMPLES.map(str::to_owned);
        known.sort();
        assert_eq!(files, known);
        for name in EXAMPLES {
            assert_eq!(errors(&example(name)), Vec::<String>::new(), "{name}");
        }
    }

    #[test]
    fn every_example_resolves() {
        let Document::Profile(profile) = parse_value(example("profile.yaml")).unwrap() else {
            panic!("it is a profile")
        };
        assert_eq!(crate::check_profile(&profile.spec), []);
        for name in EXAMPLES {
            let document = parse_value(example(name)).unwrap_or_else(|faults| panic!("{name}: {faults:?}"));
            if let Document::Connector(connector) = document {
                let merged = merge(&connector.spec, Some(&profile.spec));
                let faults = resolve(&connector.metadata.name, &connector.metadata.labels, &merged).err();
                let lines: Vec<String> = faults.iter().flatten().map(Fault::to_string).collect();
                assert!(faults.is_none(), "{name}: {lines:#?}");
            }
        }
    }

    #[test]
    fn a_schema_refuses_what_reading_refuses() {
        let mut with_null = example("orders.yaml");
        with_null["spec"]["task"] = Value::Null;
        let mut with_typo = example("orders.yaml");
        with_typo["spec"]["source"]["sqs"]["queueURL"] = json!("x");
        let mut of_other_kind = example("target-state-paused.yaml");
        of_other_kind["apiVersion"] = json!("v2");
        let mut with_both = example("orders.yaml");
        with_both["spec"]["scaling"]["backlog"] = json!({ "perTask": 1, "processingTime": "1s" });
        let mut labelled = example("profile.yaml");
        labelled["metadata"]["labels"] = json!({ "a": "b" });
        for document in [with_null, with_typo, of_other_kind, with_both, labelled] {
            assert!(!errors(&document).is_empty(), "the schema takes {document}");
            assert!(parse_value(document.clone()).is_err(), "reading takes {document}");
        }
    }

    /// The examples with one value changed, at a JSON pointer.
    fn changed(name: &str, pointer: &str, value: Value) -> Value {
        let mut document = example(name);
        let (parents, last) = pointer.rsplit_once('/').unwrap();
        document.pointer_mut(parents).unwrap()[last] = value;
        document
    }

    /// Whether the document is taken by its schema, and whether by reading and resolving it.
    fn verdicts(document: Value) -> (bool, bool) {
        let by_schema = errors(&document).is_empty();
        let by_us = match parse_value(document) {
            Ok(Document::Connector(connector)) => {
                let Ok(Document::Profile(profile)) = parse_value(example("profile.yaml")) else {
                    panic!("the example is a profile")
                };
                let merged = merge(&connector.spec, Some(&profile.spec));
                resolve(&connector.metadata.name, &connector.metadata.labels, &merged).is_ok()
            }
            Ok(_) => true,
            Err(_) => false,
        };
        (by_schema, by_us)
    }

    #[test]
    fn schema_and_reading_agree_on_names_and_numbers() {
        let long = "a".repeat(64);
        for (name, is_one) in [
            ("orders", true),
            ("Orders", false),
            ("", false),
            (&long, false),
            ("a_b", false),
            ("a-", false),
        ] {
            let document = changed("orders.yaml", "/metadata/name", json!(name));
            assert_eq!(verdicts(document), (is_one, is_one), "{name}");
        }
        for (messages, is_one) in [(0, false), (1, true)] {
            let document = changed("orders.yaml", "/spec/scaling/backlog", json!({ "perTask": messages }));
            assert_eq!(verdicts(document), (is_one, is_one), "{messages}");
        }
        let document = changed("orders.yaml", "/spec/profile", json!("Default"));
        assert_eq!(verdicts(document), (false, false));
    }

    #[test]
    fn schema_and_reading_agree_that_a_list_is_no_object() {
        for (pointer, list) in [
            ("/metadata", json!(["orders"])),
            (
                "/spec/source",
                json!([{ "queueUrl": "https://sqs.us-east-1.amazonaws.com/123456789012/orders" }]),
            ),
            ("/spec/scaling/cooldowns", json!(["60s", "60s", "60s"])),
            ("/spec/service", json!({ "rollout": [100, 200] })),
            ("/spec/kafka", json!({ "security": { "mskIam": ["us-east-1"] } })),
        ] {
            let document = changed("orders.yaml", pointer, list);
            assert_eq!(verdicts(document), (false, false), "{pointer}");
        }
    }

    #[test]
    fn schema_and_reading_agree_on_lengths_of_time_and_times() {
        for (length, is_one) in [
            ("90s", true),
            ("1m 30s", true),
            ("2 minutes", true),
            ("1.5m", false),
            ("0.5h", false),
            ("90.0s", false),
            ("90000000\u{b5}s", false),
            ("90 fortnights", false),
            ("90", false),
        ] {
            let document = changed("orders.yaml", "/spec/source/sqs/visibilityTimeout", json!(length));
            assert_eq!(verdicts(document), (is_one, is_one), "{length}");
        }
        for (time, is_one) in [
            ("2026-01-31T12:00:00Z", true),
            ("2026-01-31T12:00:00.5+01:00", true),
            ("2026-01-31t12:00:00z", true),
            ("2099-12-31T23:59:59Z", true),
            ("2106-01-31T12:00:00Z", false),
            ("2206-01-31T12:00:00Z", false),
            ("2026-01-31 12:00:00Z", false),
            ("2026-01-31T12Z", false),
            ("20260131T120000Z", false),
            ("2026-01-31T12:00:00+01:00[Europe/Berlin]", false),
            ("2026-01-31T12:00:00", false),
        ] {
            let document = changed("target-state-paused.yaml", "/spec/restartedAt", json!(time));
            assert_eq!(verdicts(document), (is_one, is_one), "{time}");
        }
    }

    #[test]
    fn a_schema_is_itself_sound() {
        for (name, schema) in schemas() {
            assert!(jsonschema::draft7::meta::is_valid(&schema), "{name}");
            assert!(!schema.to_string().contains(r#""null""#), "{name} allows null");
        }
    }
}
