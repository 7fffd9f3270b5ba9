use penstock_crds::{Handled, Phase};
use serde_json::{Value, json};

use super::*;

fn name(text: &str) -> Name {
    text.parse().expect("a valid name")
}

fn record(offset: i64, key: &str, value: Option<Value>) -> Record {
    let value = value.map(|value| value.to_string().into_bytes());
    Record {
        offset,
        key: Some(key.as_bytes().to_vec()),
        value,
        headers: Vec::new(),
        timestamp: None,
    }
}

fn document(kind: &str, name: &str, spec: Value) -> Option<Value> {
    let metadata = json!({ "name": name });
    Some(json!({ "apiVersion": "penstock.dev/v1", "kind": kind, "metadata": metadata, "spec": spec }))
}

fn orders(offset: i64) -> Record {
    record(
        offset,
        "Connector/orders",
        document("Connector", "orders", json!({ "profile": "shared" })),
    )
}

fn tombstone(offset: i64) -> Record {
    record(offset, "Connector/orders", None)
}

fn garbage(offset: i64, key: &str) -> Record {
    Record {
        value: Some(b"\xff not json".to_vec()),
        ..record(offset, key, None)
    }
}

fn view(records: impl IntoIterator<Item = Record>) -> View {
    let mut view = View::new("topic");
    for record in records {
        view.apply(&record);
    }
    view
}

fn state(uid: &str) -> State {
    let wire = json!({ "uid": uid, "generation": 1 });
    let state: State = serde_json::from_value(wire).expect("a small state");
    assert_eq!((state.phase, &state.handled), (Phase::default(), &Handled::default()));
    state
}

fn written(view: &View, last: Option<&State>) -> (String, i64) {
    match view.wanted(&name("orders"), last).connector {
        Latest::Written(written) => (written.uid, written.generation),
        other => panic!("there is no document: {other:?}"),
    }
}

#[test]
fn the_latest_document_counts_and_the_first_names_the_incarnation() {
    let view = view([orders(3), orders(8)]);
    assert_eq!(written(&view, None), ("topic/0/3".to_owned(), 8));
}

#[test]
fn a_tombstone_withdraws_and_the_next_document_begins_anew() {
    let withdrawn = view([orders(3), tombstone(5)]);
    assert_eq!(withdrawn.wanted(&name("orders"), None).connector, Latest::Withdrawn);
    let again = view([orders(3), tombstone(5), orders(9)]);
    assert_eq!(written(&again, Some(&state("topic/0/3"))), ("topic/0/9".to_owned(), 9));
}

#[test]
fn what_compaction_removed_is_taken_from_the_state() {
    let compacted = view([orders(20)]);
    assert_eq!(written(&compacted, Some(&state("topic/0/3"))).0, "topic/0/3");
    let earlier_tombstone = view([tombstone(5), orders(20)]);
    assert_eq!(written(&earlier_tombstone, Some(&state("topic/0/12"))).0, "topic/0/12");
}

#[test]
fn another_topic_begins_a_new_epoch() {
    let view = view([orders(2)]);
    assert_eq!(written(&view, Some(&state("former/0/1"))).0, "topic/0/2");
    assert_eq!(written(&view, Some(&state(""))).0, "topic/0/2");
}

#[test]
fn a_bad_record_is_kept_beside_the_last_good_one() {
    let view = view([orders(3), garbage(4, "Connector/orders")]);
    let wanted = view.wanted(&name("orders"), None);
    assert_eq!(written(&view, None).1, 3);
    let (offset, faults) = wanted.refused.expect("the record is refused");
    assert_eq!((offset, faults.is_empty()), (4, false));
    assert_eq!(view.refusals(), 1);
}

#[test]
fn a_good_record_clears_the_refusal_and_a_tombstone_clears_both() {
    let mended = view([orders(3), garbage(4, "Connector/orders"), orders(5)]);
    assert_eq!(mended.wanted(&name("orders"), None).refused, None);
    let withdrawn = view([orders(3), garbage(4, "Connector/orders"), tombstone(5)]);
    let wanted = withdrawn.wanted(&name("orders"), None);
    assert_eq!((wanted.connector, wanted.refused), (Latest::Withdrawn, None));
}

#[test]
fn a_document_under_a_foreign_key_is_refused_there_and_disturbs_nobody() {
    let mut view = view([orders(3)]);
    let misplaced = document("Connector", "orders", json!({ "profile": "other" }));
    assert_eq!(
        view.apply(&record(4, "Connector/billing", misplaced)),
        [name("billing")]
    );
    assert!(view.wanted(&name("billing"), None).refused.is_some());
    assert_eq!(written(&view, None).1, 3);
}

#[test]
fn records_without_a_usable_key_concern_nobody_and_are_remembered() {
    let mut view = view([orders(3)]);
    let nameless = Record { key: None, ..orders(4) };
    let binary = Record {
        key: Some(b"Connector/\xff".to_vec()),
        ..orders(5)
    };
    for stray in [
        nameless,
        binary,
        record(6, "Gadget/orders", None),
        record(7, "Connector/No Name", None),
    ] {
        assert_eq!(view.apply(&stray), [] as [Name; 0]);
    }
    let offsets: Vec<i64> = view.strays().map(|stray| stray.offset).collect();
    assert_eq!(offsets, [4, 5, 6, 7]);
    assert_eq!(written(&view, None).1, 3);
}

#[test]
fn strays_are_forgotten_when_there_are_too_many() {
    let view = view((0..1_000).map(|offset| record(offset, "nonsense", None)));
    assert_eq!(view.strays().count(), STRAYS);
    assert_eq!(view.refusals(), 1_000);
}

#[test]
fn a_profile_concerns_the_connectors_that_name_it() {
    let mut view = view([orders(3)]);
    let shared = || document("Profile", "shared", json!({}));
    assert_eq!(view.apply(&record(4, "Profile/shared", shared())), [name("orders")]);
    assert_eq!(
        view.wanted(&name("orders"), None).profile.map(|(offset, _)| offset),
        Some(4)
    );
    assert_eq!(view.apply(&garbage(5, "Profile/shared")), [name("orders")]);
    let wanted = view.wanted(&name("orders"), None);
    assert_eq!(wanted.profile.map(|(offset, _)| offset), Some(4));
    assert_eq!(wanted.profile_refused.map(|(offset, _)| offset), Some(5));
    assert_eq!(view.apply(&record(6, "Profile/shared", None)), [name("orders")]);
    assert_eq!(view.wanted(&name("orders"), None).profile, None);
    view.apply(&tombstone(7));
    assert_eq!(view.apply(&record(8, "Profile/shared", shared())), [] as [Name; 0]);
}

#[test]
fn a_connector_that_moves_to_another_profile_no_longer_hears_of_the_first() {
    let mut view = view([orders(3)]);
    let moved = document("Connector", "orders", json!({ "profile": "other" }));
    view.apply(&record(4, "Connector/orders", moved));
    assert_eq!(
        view.apply(&record(5, "Profile/shared", document("Profile", "shared", json!({})))),
        [] as [Name; 0]
    );
    let other = record(6, "Profile/other", document("Profile", "other", json!({})));
    assert_eq!(view.apply(&other), [name("orders")]);
}

#[test]
fn the_header_names_the_writer_before_the_annotation_does() {
    let mut both = orders(3);
    both.headers.push((ACTOR_HEADER.to_owned(), Some(b"alice\n".to_vec())));
    let target = json!({
        "apiVersion": "penstock.dev/v1", "kind": "TargetState",
        "metadata": { "name": "orders", "annotations": { "penstock.dev/actor": "bob" } },
        "spec": { "state": "paused" }
    });
    let view = view([both, record(4, "TargetState/orders", Some(target))]);
    let wanted = view.wanted(&name("orders"), None);
    let Latest::Written(written) = wanted.connector else {
        panic!("there is a document")
    };
    assert_eq!(written.actor.as_deref(), Some("alice"));
    assert_eq!(wanted.target_actor.as_deref(), Some("bob"));
    assert!(wanted.target.is_some());
}

#[test]
fn a_bad_target_state_leaves_the_one_before_in_force() {
    let paused = document("TargetState", "orders", json!({ "state": "paused" }));
    let mut view = view([orders(3), record(4, "TargetState/orders", paused)]);
    assert_eq!(view.apply(&garbage(5, "TargetState/orders")), [name("orders")]);
    assert!(view.wanted(&name("orders"), None).target.is_some());
    let refused = view.wanted(&name("orders"), None).target_refused;
    assert_eq!(refused.map(|(offset, _)| offset), Some(5));
}

#[test]
fn a_good_document_that_compaction_removed_behind_a_bad_one_is_taken_from_the_state() {
    let view = view([garbage(9, "Connector/orders")]);
    let accepted = json!({ "generation": 3, "hash": "0", "spec": { "profile": "shared" } });
    let wire = json!({ "uid": "topic/0/3", "generation": 3, "profileGeneration": 2, "accepted": accepted });
    let state: State = serde_json::from_value(wire).expect("a state");
    assert_eq!(written(&view, Some(&state)), ("topic/0/3".to_owned(), 3));
    let wanted = view.wanted(&name("orders"), Some(&state));
    assert_eq!(wanted.refused.map(|(offset, _)| offset), Some(9));
    assert_eq!(
        wanted.profile,
        Some((2, ProfileSpec::default())),
        "it was merged already"
    );
    let deleting = State {
        deleting: true,
        ..state
    };
    assert_eq!(view.wanted(&name("orders"), Some(&deleting)).connector, Latest::Absent);
}

#[test]
fn a_withdrawn_connector_has_no_document_and_a_refused_one_has() {
    let refused = garbage(2, "Connector/garbled");
    let view = view([orders(0), tombstone(1), refused]);
    assert_eq!(view.documents().collect::<Vec<_>>(), [&name("garbled")]);
    assert_eq!(view.names().count(), 2);
}
