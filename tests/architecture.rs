//! The rules of the architecture, held by what the sources name and by what the manifests depend on.
//!
//! Each rule is a value, so that a test can show that it catches an offender.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use penstock_tests::parts::checkout;
use penstock_tests::source_text::lines_naming;
use serde_json::Value;

#[path = "architecture/permissions.rs"]
mod permissions;

/// What files in some places may not name, and why.
struct Rule {
    why: &'static str,
    /// Whether the rule holds for a path, which is relative to the checkout.
    holds_for: fn(&str) -> bool,
    /// Identifiers and paths; one that ends in `_` is a prefix.
    words: &'static [&'static str],
    /// Whether the unit tests at the end of a file are bound by it too; where they are not, they may read fixtures.
    binds_tests: bool,
}

const CLOCKS: [&str; 5] = [
    "Instant::now",
    "SystemTime",
    "Timestamp::now",
    "Zoned::now",
    "thread::sleep",
];

const PLAN_IS_PURE: Rule = Rule {
    why: "the plan is pure: values in, values out, and no client, Kafka, runtime or clock",
    holds_for: |path| path == "operator/src/plan.rs" || path.starts_with("operator/src/plan/"),
    words: &[
        "aws_sdk_",
        "aws_config",
        "aws_smithy_",
        "rdkafka",
        "penstock_kafka",
        "tokio",
        "async",
        "fs",
        "net",
        CLOCKS[0],
        CLOCKS[1],
        CLOCKS[2],
        CLOCKS[3],
        CLOCKS[4],
    ],
    binds_tests: true,
};

const SDK_AT_THE_EDGE: Rule = Rule {
    why: "the SDK is named by the operator's cloud and the bridge's source alone; everybody else speaks our words",
    holds_for: |path| {
        let at_the_edge = ["operator/src/cloud", "bridge/src/source"];
        let edge = |place: &&str| path == format!("{place}.rs") || path.starts_with(&format!("{place}/"));
        is_product(path) && !at_the_edge.iter().any(edge)
    },
    words: &["aws_sdk_"],
    binds_tests: true,
};

const CRDS_DO_NO_IO: Rule = Rule {
    why: "the documents are judged without I/O and without a clock",
    holds_for: |path| path.starts_with("crds/src/") && !path.starts_with("crds/src/bin/"),
    words: &[
        "tokio", "rdkafka", "fs", "net", "process", "async", CLOCKS[0], CLOCKS[1], CLOCKS[2], CLOCKS[3], CLOCKS[4],
    ],
    binds_tests: false,
};

const MODEL_IS_PURE: Rule = Rule {
    why: "the model of the cloud is a state machine: it is told the time, and does nothing but answer",
    holds_for: |path| path == "localcloud/src/model.rs" || path.starts_with("localcloud/src/model/"),
    words: &[
        "tokio",
        "axum",
        "hyper",
        "async",
        "process",
        "TcpStream",
        CLOCKS[0],
        CLOCKS[1],
        CLOCKS[2],
        CLOCKS[3],
        CLOCKS[4],
    ],
    binds_tests: true,
};

const KAFKA_KNOWS_NO_CONNECTORS: Rule = Rule {
    why: "one way to connect to Kafka serves everybody because it knows nobody",
    holds_for: |path| path.starts_with("kafka/src/"),
    words: &["penstock_crds", "penstock_operator", "Connector", "ConnectorSpec"],
    binds_tests: true,
};

const RULES: [&Rule; 5] = [
    &PLAN_IS_PURE,
    &SDK_AT_THE_EDGE,
    &CRDS_DO_NO_IO,
    &MODEL_IS_PURE,
    &KAFKA_KNOWS_NO_CONNECTORS,
];

impl Rule {
    /// Returns what breaks the rule in one file, as lines that a person can click on.
    fn offences(&self, path: &str, text: &str) -> Vec<String> {
        if !(self.holds_for)(path) {
            return Vec::new();
        }
        let shipped = text.split("#[cfg(test)]\n").next().unwrap_or_default();
        let text = if self.binds_tests { text } else { shipped };
        let mut offences = Vec::new();
        for word in self.words {
            let lines = lines_naming(text, word).into_iter();
            offences.extend(lines.map(|line| format!("{path}:{line} names {word}; {}", self.why)));
        }
        offences
    }
}

fn is_product(path: &str) -> bool {
    ["crds/", "kafka/", "operator/", "bridge/", "cli/", "localcloud/"]
        .iter()
        .any(|place| path.starts_with(place))
}

/// Which crates of ours each crate of ours may depend on. Beside these, every unit test may start localcloud: it is equipment for that.
fn allowed_dependencies() -> BTreeMap<&'static str, Vec<&'static str>> {
    BTreeMap::from([
        ("penstock-crds", vec![]),
        ("penstock-kafka", vec![]),
        ("penstock-operator", vec!["penstock-crds", "penstock-kafka"]),
        ("penstock-bridge", vec!["penstock-crds", "penstock-kafka"]),
        ("penstock", vec!["penstock-crds", "penstock-kafka", "penstock-operator"]),
        ("penstock-localcloud", vec![]),
    ])
}

/// Returns the dependencies among our crates (of every kind) that are not allowed, in the output of `cargo metadata --no-deps`.
fn forbidden_dependencies(metadata: &Value) -> Vec<String> {
    let allowed = allowed_dependencies();
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let mut offences = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        let Some(allowed) = allowed.get(name) else { continue };
        let dependencies = package["dependencies"].as_array().into_iter().flatten();
        let ours = dependencies.filter(|dependency| !is_test_equipment(dependency));
        let ours = ours
            .filter_map(|dependency| dependency["name"].as_str())
            .filter(|on| on.starts_with("penstock"));
        offences.extend(
            ours.filter(|on| !allowed.contains(on))
                .map(|on| format!("{name} depends on {on}")),
        );
    }
    offences
}

fn is_test_equipment(dependency: &Value) -> bool {
    dependency["name"] == "penstock-localcloud" && dependency["kind"] == "dev"
}

#[test]
fn the_sources_keep_the_rules() {
    let files = sources(checkout());
    assert!(
        files.len() > 10,
        "only {} sources found under {}",
        files.len(),
        checkout().display()
    );
    let offences = |(path, text): &(String, String)| {
        RULES
            .iter()
            .flat_map(|rule| rule.offences(path, text))
            .collect::<Vec<_>>()
    };
    let found: Vec<String> = files.iter().flat_map(offences).collect();
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn our_crates_depend_on_one_another_as_the_design_says() {
    let metadata = metadata();
    let names: Vec<&str> = metadata["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|package| package["name"].as_str())
        .collect();
    for name in allowed_dependencies().keys() {
        assert!(
            names.contains(name),
            "{name} is not a member of the workspace: {names:?}"
        );
    }
    assert_eq!(forbidden_dependencies(&metadata), Vec::<String>::new());
}

#[test]
fn every_rule_catches_an_offender() {
    let offenders: [(&Rule, &str, &str); 9] = [
        (
            &PLAN_IS_PURE,
            "operator/src/plan/diff.rs",
            "use aws_sdk_ecs::types::Service;",
        ),
        (
            &PLAN_IS_PURE,
            "operator/src/plan.rs",
            "let now = jiff::Timestamp::now();",
        ),
        (&PLAN_IS_PURE, "operator/src/plan/status.rs", "pub async fn status() {}"),
        (
            &SDK_AT_THE_EDGE,
            "operator/src/reconcile.rs",
            "use aws_sdk_ecs::Client;",
        ),
        (
            &SDK_AT_THE_EDGE,
            "bridge/src/pump.rs",
            "fn of(client: &aws_sdk_sqs::Client) {}",
        ),
        (
            &PLAN_IS_PURE,
            "operator/src/plan/diff.rs",
            "#[cfg(test)]\nmod tests { use tokio::test; }",
        ),
        (
            &CRDS_DO_NO_IO,
            "crds/src/connector.rs",
            "let text = std::fs::read_to_string(path);",
        ),
        (
            &MODEL_IS_PURE,
            "localcloud/src/model/sqs.rs",
            "let now = std::time::SystemTime::now();",
        ),
        (
            &KAFKA_KNOWS_NO_CONNECTORS,
            "kafka/src/lib.rs",
            "use penstock_crds::Connector;",
        ),
    ];
    for (rule, path, text) in offenders {
        assert!(!rule.offences(path, text).is_empty(), "{path} may not say {text}");
    }
}

#[test]
fn no_rule_reaches_beyond_its_place_or_into_comments() {
    let harmless = [
        (
            "operator/src/plan/diff.rs",
            "//! Nothing here names tokio or aws_sdk_ecs.\nlet why = \"tokio\";",
        ),
        ("operator/src/cloud/ecs.rs", "use aws_sdk_ecs::Client;"),
        ("bridge/src/source/sqs.rs", "use aws_sdk_sqs::Client;"),
        ("crds/src/bin/crdgen.rs", "std::fs::write(path, schema)?;"),
        (
            "crds/src/schema.rs",
            "#[cfg(test)]\nmod tests { fn example() { std::fs::read_to_string(path); } }",
        ),
        ("localcloud/src/fargate.rs", "use tokio::process::Command;"),
    ];
    for (path, text) in harmless {
        let offences: Vec<String> = RULES.iter().flat_map(|rule| rule.offences(path, text)).collect();
        assert!(offences.is_empty(), "{offences:?}");
    }
}

#[test]
fn a_dependency_that_is_not_allowed_is_named() {
    let offender = serde_json::json!({"packages": [
        {"name": "penstock-localcloud", "dependencies": [{"name": "penstock-crds"}, {"name": "tokio"}]},
        {"name": "penstock-operator", "dependencies": [{"name": "penstock-crds"}, {"name": "penstock-localcloud", "kind": "dev"}]},
        {"name": "penstock-bridge", "dependencies": [{"name": "penstock-localcloud", "kind": null}]},
    ]});
    assert_eq!(
        forbidden_dependencies(&offender),
        [
            "penstock-localcloud depends on penstock-crds",
            "penstock-bridge depends on penstock-localcloud"
        ]
    );
}

fn metadata() -> Value {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = ["metadata", "--offline", "--no-deps", "--format-version", "1"];
    let output = Command::new(cargo)
        .args(arguments)
        .current_dir(checkout())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo prints JSON")
}

/// Returns the Rust sources of the product's crates with their paths relative to the checkout.
fn sources(root: &Path) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut open: Vec<PathBuf> = ["crds", "kafka", "operator", "bridge", "cli", "localcloud"]
        .map(|place| root.join(place).join("src"))
        .into();
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).expect("a source directory can be read") {
            let path = entry.expect("an entry can be read").path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source file can be read");
                let relative = path
                    .strip_prefix(root)
                    .expect("it lies below the root")
                    .display()
                    .to_string();
                files.push((relative, text));
            }
        }
    }
    files
}
