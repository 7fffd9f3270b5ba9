use super::*;
use crate::cloud::Error;

fn call(code: &'static str, seconds: Option<f64>) -> Call {
    Call {
        service: "ecs",
        operation: "CreateService",
        code,
        seconds,
    }
}

fn has(metrics: &Metrics, line: &str) -> bool {
    metrics.text().lines().any(|found| found == line)
}

#[test]
fn throttled_calls_and_refused_records_are_told() {
    let metrics = Metrics::default();
    let throttled = Error::Throttle {
        operation: "CreateService".to_owned(),
    };
    metrics.called(&call(throttled.kind(), None));
    metrics.called(&call("ok", Some(0.3)));
    metrics.refused(3);
    let timed = r#"penstock_aws_request_duration_seconds_count{service="ecs",op="CreateService"} 1"#;
    for line in [
        "penstock_aws_throttles_total 1",
        "penstock_spec_records_refused 3",
        timed,
    ] {
        assert!(has(&metrics, line), "{line} is not in\n{}", metrics.text());
    }
}

#[test]
fn progress_is_as_old_as_the_last_pass_that_found_the_connector_ready() {
    let metrics = Metrics::default();
    let name: Name = "orders".parse().expect("a sound name");
    let observe = |time: &str, ready: &str| {
        let condition = serde_json::json!({
            "type": "Ready", "status": ready, "reason": "Running", "lastTransitionTime": "2026-11-21T12:00:00Z",
        });
        let wire = serde_json::json!({
            "apiVersion": "penstock.dev/v1", "kind": "Connector", "name": "orders", "time": time,
            "health": "HEALTHY", "conditions": [condition],
        });
        metrics.observed(&name, &serde_json::from_value(wire).expect("a small status"));
    };
    let line = |seconds: &str| {
        format!(r#"penstock_connector_last_progress_timestamp_seconds{{connector="orders"}} {seconds}"#)
    };
    observe("1970-01-01T00:00:07Z", "Unknown");
    assert!(
        !metrics.text().contains("last_progress_timestamp_seconds{"),
        "{}",
        metrics.text()
    );
    for (time, ready, told) in [
        ("1970-01-01T00:00:08Z", "True", "8.0"),
        ("1970-01-01T00:00:09Z", "False", "8.0"),
        ("1970-01-01T00:00:10.5Z", "True", "10.5"),
    ] {
        observe(time, ready);
        assert!(has(&metrics, &line(told)), "{told} is not in\n{}", metrics.text());
    }
}

#[test]
fn who_comes_from_kafka_connect_finds_its_names() {
    let metrics = Metrics::default();
    let name: Name = "orders".parse().expect("a sound name");
    let observe = |health: &str, running: i32| {
        let wire = serde_json::json!({
            "apiVersion": "penstock.dev/v1", "kind": "Connector", "name": "orders", "time": "2026-11-21T12:00:00Z",
            "health": health, "conditions": [], "tasks": {"desired": 2, "running": running, "pending": 0},
        });
        metrics.observed(&name, &serde_json::from_value(wire).expect("a small status"));
    };
    let status = |word: &str, value: i32| {
        format!(r#"kafka_connect_connector_status{{connector="orders",status="{word}"}} {value}"#)
    };
    let failed =
        |count: i32| format!(r#"kafka_connect_worker_connector_failed_task_count{{connector="orders"}} {count}"#);
    for (health, running, word, count) in [
        ("HEALTHY", 1, "running", 0),
        ("DEGRADED", 1, "running", 1),
        ("UNHEALTHY", 0, "failed", 2),
        ("PAUSED", 0, "paused", 0),
    ] {
        observe(health, running);
        for line in [status(word, 1), failed(count)] {
            assert!(has(&metrics, &line), "{line} is not in\n{}", metrics.text());
        }
    }
    assert!(has(&metrics, &status("failed", 0)));
    observe("DELETED", 0);
    assert!(!metrics.text().contains("orders"), "{}", metrics.text());
}

#[test]
fn a_connector_is_informed_of_once_and_forgotten_when_it_is_deleted() {
    let metrics = Metrics::default();
    let name: Name = "orders".parse().expect("a sound name");
    let status = |phase: &str, health: &str| -> Status {
        let wire = serde_json::json!({
            "apiVersion": "penstock.dev/v1", "kind": "Connector", "name": "orders", "time": "2026-11-21T12:00:00Z",
            "uid": "topic/0/7", "phase": phase, "health": health, "conditions": [],
        });
        serde_json::from_value(wire).expect("a small status")
    };
    metrics.restarted(&name);
    metrics.pass_begun(0.2);
    for phase in ["awake", "asleep"] {
        metrics.observed(&name, &status(phase, "HEALTHY"));
    }
    let info = r#"penstock_connector_info{connector="orders",uid="topic/0/7",phase="Asleep"} 1"#;
    let restarts = r#"penstock_connector_restarts_total{connector="orders"} 1"#;
    for line in [info, restarts, "penstock_reconcile_queue_duration_seconds_count 1"] {
        assert!(has(&metrics, line), "{line} is not in\n{}", metrics.text());
    }
    assert!(!metrics.text().contains("Awake"), "{}", metrics.text());
    metrics.observed(&name, &status("asleep", "DELETED"));
    assert!(!metrics.text().contains("orders"), "{}", metrics.text());
}
