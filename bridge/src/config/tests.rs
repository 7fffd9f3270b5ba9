//! Configurations from the environment, from files, and refused ones.

use std::collections::BTreeMap;

use super::*;

const BRIDGE: &str = r#"{
    "connector": "orders",
    "source": {
        "queueUrl": "https://sqs.eu-west-1.amazonaws.com/123456789012/orders.fifo", "region": "eu-west-1",
        "maxMessages": 10, "waitTime": "20s", "visibilityTimeout": "60s", "attributes": true, "receivers": 32
    },
    "sink": { "topic": "orders", "key": "messageGroupId", "compression": "lz4", "linger": "5ms" },
    "kafka": {
        "bootstrapServers": ["localhost:9092"],
        "security": { "scram": { "username": { "secret": "kafka" }, "password": { "secret": "kafka" } } }
    },
    "errors": { "deadLetterTopic": "orders-dead", "maxRetries": 3, "backoff": "1s" },
    "drainTimeout": "25s"
}"#;

fn load(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let args = Args::try_parse_from(["penstock-bridge"].iter().chain(arguments)).expect("arguments");
    let variables: BTreeMap<_, _> = variables.iter().copied().collect();
    Config::load(&args, |name| variables.get(name).map(|value| (*value).to_owned()))
}

const SECRETS: [(&str, &str); 2] = [
    ("PENSTOCK_KAFKA_USERNAME", "alice"),
    ("PENSTOCK_KAFKA_PASSWORD", "canary-1234"),
];

#[test]
fn the_operators_variable_says_what_to_do() {
    let config = load(&[], &[("PENSTOCK_CONNECTOR", BRIDGE), SECRETS[0], SECRETS[1]]).expect("a configuration");
    assert_eq!(
        (config.connector.as_str(), config.sink.topic.as_str()),
        ("orders", "orders")
    );
    assert!(config.pump.ordered && config.pump.dead_letters);
    assert_eq!(config.pump.max_messages, 1280, "40 for each of 32 receivers");
    assert!(!format!("{config:?}").contains("canary"), "no secret is printed");
}

#[test]
fn a_group_that_is_to_be_held_is_not_parked_although_there_is_a_topic_for_dead_letters() {
    let held = BRIDGE.replace(r#""maxRetries": 3"#, r#""maxRetries": 3, "onGroupFailure": "hold""#);
    let load = |config: &str| load(&[], &[("PENSTOCK_CONNECTOR", config), SECRETS[0], SECRETS[1]]);
    assert!(!load(&held).expect("a configuration").pump.dead_letters);
    let standard = held.replace("orders.fifo", "orders");
    assert!(
        load(&standard).expect("a configuration").pump.dead_letters,
        "no order to keep"
    );
}

#[test]
fn a_missing_secret_is_named() {
    let error = load(&[], &[("PENSTOCK_CONNECTOR", BRIDGE), SECRETS[0]])
        .expect_err("no password")
        .to_string();
    assert!(error.contains("PENSTOCK_KAFKA_PASSWORD"), "{error}");
}

#[test]
fn nothing_at_all_says_both_ways() {
    let error = load(&[], &[]).expect_err("nothing to do").to_string();
    assert!(
        error.contains("PENSTOCK_CONNECTOR") && error.contains("--connector"),
        "{error}"
    );
}

#[test]
fn a_variable_out_of_range_is_refused_by_field() {
    for (from, to, field) in [
        (r#""waitTime": "20s""#, r#""waitTime": "21s""#, "source.waitTime"),
        (r#""maxMessages": 10"#, r#""maxMessages": 11"#, "source.maxMessages"),
        (
            r#""visibilityTimeout": "60s""#,
            r#""visibilityTimeout": "0s""#,
            "source.visibilityTimeout",
        ),
        (r#""drainTimeout": "25s""#, r#""drainTimeout": "0s""#, "drainTimeout"),
    ] {
        let text = BRIDGE.replace(from, to);
        let error = load(&[], &[("PENSTOCK_CONNECTOR", &text), SECRETS[0], SECRETS[1]])
            .expect_err(field)
            .to_string();
        assert!(error.starts_with(field), "{error}");
    }
}

#[test]
fn calls_wait_no_longer_than_a_stop_waits_for_them() {
    for (drain, wait) in [("25s", 20), ("30s", 20), ("24s", 19), ("10s", 8), ("1s", 0)] {
        let text = BRIDGE.replace(r#""drainTimeout": "25s""#, &format!(r#""drainTimeout": "{drain}""#));
        let config = load(&[], &[("PENSTOCK_CONNECTOR", &text), SECRETS[0], SECRETS[1]]).expect(drain);
        let waits = (config.pump.wait.as_secs(), config.source.wait_time.as_secs());
        assert_eq!(waits, (wait, wait), "{drain}");
    }
}

#[test]
fn an_unknown_field_is_refused() {
    let text = BRIDGE.replace(r#""drainTimeout""#, r#""drainTimeOut""#);
    let error = load(&[], &[("PENSTOCK_CONNECTOR", &text)])
        .expect_err("unknown")
        .to_string();
    assert!(error.contains("drainTimeOut"), "{error}");
}

#[test]
fn fewer_slots_than_one_call_brings_are_refused() {
    let variables = [("PENSTOCK_CONNECTOR", BRIDGE), SECRETS[0], SECRETS[1]];
    let error = load(&["--max-in-flight", "9"], &variables)
        .expect_err("too few")
        .to_string();
    assert!(error.starts_with("--max-in-flight is 9: use 10"), "{error}");
}

fn file(name: &str, text: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("penstock-bridge-{}-{name}", std::process::id()));
    std::fs::write(&path, text).expect("a file");
    path
}

const CONNECTOR: &str = "
apiVersion: penstock.dev/v1
kind: Connector
metadata: { name: orders }
spec:
  profile: shared
  source: { sqs: { queueUrl: 'https://sqs.eu-west-1.amazonaws.com/123456789012/orders' } }
  sink: { kafka: { topic: orders } }
";

const PROFILE: &str = "
apiVersion: penstock.dev/v1
kind: Profile
metadata: { name: shared }
spec:
  kafka: { bootstrapServers: ['localhost:9092'] }
";

#[test]
fn documents_run_by_hand() {
    let (connector, profile) = (file("connector.yaml", CONNECTOR), file("profile.yaml", PROFILE));
    let (connector, profile) = (connector.to_string_lossy(), profile.to_string_lossy());
    let config = load(&["--connector", &connector, "--profile", &profile], &[]).expect("a configuration");
    assert_eq!(
        (config.connector.as_str(), config.source.region.as_str()),
        ("orders", "eu-west-1")
    );
    assert_eq!(config.pump.visibility, Duration::from_secs(60));
    assert!(!config.pump.ordered && !config.pump.dead_letters);
    let error = load(&["--connector", &connector], &[])
        .expect_err("no profile")
        .to_string();
    assert!(error.contains("--profile"), "{error}");
}

#[test]
fn a_document_with_a_fault_names_the_field() {
    let broken = file("broken.yaml", &CONNECTOR.replace("profile: shared", "profil: shared"));
    let error = load(&["--connector", &broken.to_string_lossy()], &[])
        .expect_err("a fault")
        .to_string();
    assert!(error.contains("spec.profil"), "{error}");
}

#[test]
fn a_document_with_a_fault_lacks_nothing_that_only_ecs_needs() {
    let alone = CONNECTOR.replace("profile: shared", "typo: 1");
    let broken = file("alone.yaml", &alone);
    let error = load(&["--connector", &broken.to_string_lossy()], &[])
        .expect_err("a fault")
        .to_string();
    assert!(
        error.contains("spec.typo") && error.contains("spec.kafka.bootstrapServers: is missing"),
        "{error}"
    );
    assert!(
        !error.contains("spec.service") && !error.contains("spec.task"),
        "{error}"
    );
}

#[test]
fn a_file_that_cannot_be_read_is_told_with_its_place_and_never_with_its_text() {
    let hidden = "hunter2";
    for (name, text, told) in [
        (
            "twice.yaml",
            format!("task:\n  DB_PASSWORD: {hidden}\n  DB_PASSWORD: {hidden}\n"),
            "task.DB_PASSWORD: stands",
        ),
        (
            "open.yaml",
            format!("scram: {{username: admin, password: \"{hidden}\n"),
            "quotation mark",
        ),
        ("tag.yaml", format!("a: !{hidden} x\n"), "tag"),
        ("comma.json", format!("{{\"password\": \"{hidden}\",}}"), "comma"),
        ("two.yaml", format!("{CONNECTOR}---\n{CONNECTOR}"), "2 documents"),
        ("none.yaml", "# nothing\n".to_owned(), "0 documents"),
    ] {
        let path = file(name, &text);
        let error = load(&["--connector", &path.to_string_lossy()], &[])
            .expect_err(name)
            .to_string();
        assert!(error.contains(told) && !error.contains(hidden), "{name}: {error}");
    }
}
