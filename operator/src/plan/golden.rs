//! Golden tests: an example document in, the whole plan out, as text that a reviewer can read. `hack/accept-golden` takes
//! today's plans over; review what it changes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use penstock_crds::{ConnectorSpec, Document, ProfileSpec, parse_value};
use serde_json::Value;

use super::accept::{Judged, Latest, Wanted, Written, accept};
use super::decide::{Seen, decide};
use super::home::Home;
use super::owner::Owner;
use super::resources::{Observed, QueueDepth};
use crate::cloud::fake::{after, nothing, settle};
use crate::samples::{self, owner};

fn example(name: &str) -> Value {
    let text = match name {
        "profile" => include_str!("../../../manifests/examples/profile.yaml"),
        "orders" => include_str!("../../../manifests/examples/orders.yaml"),
        "orders-fifo" => include_str!("../../../manifests/examples/orders-fifo.yaml"),
        "cross-account" => include_str!("../../../manifests/examples/cross-account.yaml"),
        other => panic!("there is no example {other}"),
    };
    serde_saphyr::from_str(text).expect("the example is YAML")
}

fn profile() -> ProfileSpec {
    match parse_value(example("profile")).expect("the example is sound") {
        Document::Profile(envelope) => envelope.spec,
        other => panic!("a profile, not {other:?}"),
    }
}

fn judged(name: &str, change: impl FnOnce(&mut ConnectorSpec)) -> Judged {
    let Document::Connector(mut document) = parse_value(example(name)).expect("the example is sound") else {
        panic!("{name} is a connector")
    };
    change(&mut document.spec);
    let name = document.metadata.name.clone();
    let written = Written {
        uid: "topic/0/1".to_owned(),
        generation: 1,
        actor: None,
        document: *document,
    };
    let wanted = Wanted {
        connector: Latest::Written(Box::new(written)),
        profile: Some((0, profile())),
        ..Wanted::default()
    };
    accept(&name, &wanted, None, &home()).expect("a document was written")
}

/// Where the examples' queues are.
fn home() -> Home {
    Home {
        region: "us-east-1".to_owned(),
        ..samples::home()
    }
}

fn seen<'a>(observed: &'a Observed, owner: &'a Owner, visible: u64) -> Seen<'a> {
    Seen {
        observed,
        queue: Some(QueueDepth {
            visible,
            ..QueueDepth::default()
        }),
        target: None,
        owner,
        now: Timestamp::UNIX_EPOCH,
        fresh_token: "token",
    }
}

fn aws(container_insights: bool) -> Observed {
    Observed {
        region: home().region,
        container_insights,
        ..nothing()
    }
}

/// The plan as text: the steps in order, then everything that AWS should hold.
fn text(judged: &Judged, observed: &Observed) -> String {
    let plan = decide(judged, seen(observed, &owner(), 2500));
    let steps: Vec<_> = plan.actions.iter().map(ToString::to_string).collect();
    let differences: BTreeMap<_, _> = plan
        .differences
        .iter()
        .map(|one| {
            (
                format!("{} {}", one.resource, one.field),
                format!("{} -> {}", one.observed, one.desired),
            )
        })
        .collect();
    let desired = serde_json::to_string_pretty(&plan.desired).expect("resources always serialize");
    format!("steps: {steps:#?}\ndifferences: {differences:#?}\nresources: {desired}\n")
}

fn check(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../../../tests/golden");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

#[test]
fn golden_orders_from_nothing_with_container_insights() {
    check("orders", &text(&judged("orders", |_| ()), &aws(true)));
}

#[test]
fn golden_orders_without_container_insights() {
    check("orders-sample-count", &text(&judged("orders", |_| ()), &aws(false)));
}

#[test]
fn golden_fifo_from_nothing() {
    check("orders-fifo", &text(&judged("orders-fifo", |_| ()), &aws(true)));
}

#[test]
fn golden_queue_of_another_account() {
    check("cross-account", &text(&judged("cross-account", |_| ()), &aws(true)));
}

#[test]
fn golden_an_edit_of_what_runs() {
    let mut observed = aws(true);
    let before = judged("orders", |_| ());
    let mut registered = None;
    for action in decide(&before, seen(&observed, &owner(), 2500)).actions {
        registered = after(&mut observed, &action, registered.as_deref()).or(registered);
    }
    settle(&mut observed);
    let edited = judged("orders", |spec| {
        spec.task.get_or_insert_default().image = Some("example.com/penstock-bridge:0.2.0".to_owned());
        spec.scaling.as_mut().expect("the example scales").max = Some(12);
    });
    let plan = decide(&edited, seen(&observed, &owner(), 2500));
    let steps: Vec<_> = plan.actions.iter().map(ToString::to_string).collect();
    check(
        "orders-edited",
        &format!("steps: {steps:#?}\ndifferences: {:#?}\n", plan.differences),
    );
}
