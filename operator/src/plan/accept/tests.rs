use penstock_crds::{Handled, Proven, RolledBack, ServiceSpec};
use serde_json::json;

use super::*;
use crate::samples::{home, orders, orders_spec, wanted, withdrawn};

fn judged(wanted: &Wanted, last: &State) -> Judged {
    accept(&orders(), wanted, Some(last), &home()).expect("there is something to know")
}

/// The state of a connector whose document was accepted at offset 7 of the topic.
fn accepted() -> State {
    let first = wanted(orders_spec(), 7, "topic/0/7");
    accept(&orders(), &first, None, &home()).expect("it is written").state
}

fn elsewhere() -> ConnectorSpec {
    let mut spec = orders_spec();
    spec.service.as_mut().expect("the sample has a service").cluster = Some("other".to_owned());
    spec
}

fn beginning(mode: TargetMode) -> ConnectorSpec {
    ConnectorSpec {
        initial_state: Some(mode),
        ..orders_spec()
    }
}

fn asked(mode: TargetMode) -> Option<TargetStateSpec> {
    Some(TargetStateSpec {
        state: Some(mode),
        ..TargetStateSpec::default()
    })
}

fn mode(judged: &Judged) -> TargetMode {
    match &judged.verdict {
        Verdict::Keep(_, mode) => *mode,
        other => panic!("it is wanted: {other:?}"),
    }
}

fn unreadable() -> Vec<Fault> {
    vec![Fault::without_value("spec", "is missing", "write it")]
}

#[test]
fn what_was_withdrawn_does_not_come_back_for_want_of_a_good_document() {
    let deleting = State {
        deleting: true,
        ..accepted()
    };
    let mut without_profile = orders_spec();
    without_profile.profile = Some("unwritten".to_owned());
    for spec in [elsewhere(), without_profile] {
        // The tombstone was seen by a pass, or lies between the two records unseen.
        for last in [&deleting, &accepted()] {
            let next = wanted(spec.clone(), 20, "topic/0/20");
            let judged = judged(&next, last);
            assert_eq!(judged.verdict, Verdict::Remove);
            assert!(judged.state.deleting, "the next pass goes on with it");
            assert_eq!((judged.state.uid.as_str(), judged.state.generation), ("topic/0/7", 20));
            assert_eq!(judged.state.accepted, last.accepted, "it says where to remove");
            assert_eq!(judged.faults.len(), 1);
        }
    }
}

#[test]
fn who_moves_by_deleting_is_told_to_wait_and_not_to_stop() {
    let judged = judged(&wanted(elsewhere(), 20, "topic/0/20"), &accepted());
    let told = judged.faults[0].to_string();
    assert!(told.contains("is removed first") && told.contains("wait"), "{told}");
    assert!(!told.contains("penstock stop"), "{told}");
}

#[test]
fn another_topic_is_no_tombstone() {
    let judged = judged(&wanted(elsewhere(), 2, "another/0/2"), &accepted());
    assert_eq!(mode(&judged), TargetMode::Running);
    assert_eq!(
        judged.state.accepted,
        accepted().accepted,
        "a bad document removes nothing"
    );
}

#[test]
fn a_good_document_takes_over_what_is_being_removed() {
    let deleting = State {
        deleting: true,
        ..accepted()
    };
    let judged = judged(&wanted(orders_spec(), 20, "topic/0/20"), &deleting);
    assert_eq!(mode(&judged), TargetMode::Running);
    assert_eq!(
        (judged.state.uid.as_str(), judged.state.deleting),
        ("topic/0/20", false)
    );
}

#[test]
fn the_initial_state_is_that_of_a_life_and_not_of_an_edit() {
    let awake = accepted();
    for edited in [TargetMode::Stopped, TargetMode::Paused] {
        let edit = wanted(beginning(edited), 8, "topic/0/7");
        assert_eq!(mode(&judged(&edit, &awake)), TargetMode::Running);
        let again = wanted(beginning(edited), 20, "topic/0/20");
        assert_eq!(mode(&judged(&again, &awake)), edited, "a new life");
    }
}

#[test]
fn a_connector_whose_request_is_gone_stays_as_it_is() {
    for (phase, stays) in [
        (Phase::Awake, TargetMode::Running),
        (Phase::Asleep, TargetMode::Running),
        (Phase::Paused, TargetMode::Paused),
        (Phase::Stopped, TargetMode::Stopped),
    ] {
        let last = State { phase, ..accepted() };
        for begun in [TargetMode::Running, TargetMode::Paused] {
            let mut next = wanted(beginning(begun), 7, "topic/0/7");
            assert_eq!(mode(&judged(&next, &last)), stays, "{phase:?}");
            next.target = Some(TargetStateSpec::default());
            assert_eq!(mode(&judged(&next, &last)), stays, "{phase:?}");
            next.target = asked(TargetMode::Stopped);
            assert_eq!(mode(&judged(&next, &last)), TargetMode::Stopped);
        }
    }
}

#[test]
fn a_beginning_is_not_lost_with_a_pass_that_fails_before_it_decides() {
    for begun in [TargetMode::Paused, TargetMode::Stopped] {
        let first = wanted(beginning(begun), 7, "topic/0/7");
        let state = accept(&orders(), &first, None, &home()).expect("written").state;
        assert_eq!(mode(&judged(&first, &state)), begun);
    }
    let paused = State {
        phase: Phase::Paused,
        ..accepted()
    };
    let again = wanted(orders_spec(), 20, "topic/0/20");
    let state = judged(&again, &paused).state;
    assert_eq!(
        mode(&judged(&again, &state)),
        TargetMode::Running,
        "it does not stay paused"
    );
}

#[test]
fn a_document_that_was_refused_first_begins_as_it_says_once_it_is_mended() {
    let mut bad = beginning(TargetMode::Paused);
    bad.profile = Some("unwritten".to_owned());
    let first = accept(&orders(), &wanted(bad, 7, "topic/0/7"), None, &home()).expect("written");
    assert_eq!(first.verdict, Verdict::Refuse);
    let mended = wanted(beginning(TargetMode::Paused), 8, "topic/0/7");
    assert_eq!(mode(&judged(&mended, &first.state)), TargetMode::Paused);
}

#[test]
fn what_was_carried_out_is_remembered_in_the_next_life() {
    let handled = Handled {
        restarted_at: Some(Timestamp::UNIX_EPOCH),
        reconcile_at: None,
    };
    let last = State {
        handled: handled.clone(),
        ..accepted()
    };
    let judged = judged(&wanted(orders_spec(), 20, "topic/0/20"), &last);
    assert_eq!(judged.state.handled, handled);
}

#[test]
fn a_record_that_cannot_be_read_is_told_while_what_was_withdrawn_is_removed() {
    let refused = Wanted {
        refused: Some((21, unreadable())),
        ..withdrawn()
    };
    let judged = judged(&refused, &accepted());
    assert_eq!((judged.verdict, judged.faults), (Verdict::Remove, unreadable()));
    assert_eq!(judged.state.generation, 21);
}

#[test]
fn what_was_only_ever_refused_is_no_orphan() {
    let state = fresh_state("topic/0/7".to_owned(), 7);
    let refused = Wanted {
        refused: Some((9, unreadable())),
        ..Wanted::default()
    };
    let judged = judged(&refused, &state);
    assert_eq!((judged.verdict, judged.faults), (Verdict::Refuse, unreadable()));
    assert_eq!((judged.state.uid.as_str(), judged.state.generation), ("topic/0/7", 9));
    let nothing = accept(&orders(), &Wanted::default(), Some(&accepted()), &home()).expect("a state");
    assert_eq!(nothing.verdict, Verdict::Orphan);
}

#[test]
fn what_was_accepted_stays_in_force_though_the_rules_have_become_stricter_since() {
    let mut last = accepted();
    let remembered = &mut last.accepted.as_mut().expect("it was accepted").spec;
    remembered.task.as_mut().expect("the sample has a task").memory = Some(500);
    let mut same = wanted(remembered.clone(), 7, "topic/0/7");
    same.target = asked(TargetMode::Paused);
    let now = judged(&same, &last);
    assert_eq!((mode(&now), now.faults.len()), (TargetMode::Paused, 1));
    let Verdict::Keep(connector, _) = &now.verdict else {
        panic!("it is wanted: {:?}", now.verdict)
    };
    assert_eq!(connector.task.memory, 500);
    let moved = judged(&wanted(elsewhere(), 8, "topic/0/7"), &last);
    assert_eq!(moved.faults[0].path, "spec.service.cluster");
    assert_eq!(moved.state.accepted, last.accepted, "the service is where it was");
}

#[test]
fn capacity_providers_that_ecs_rolled_back_may_be_taken_back() {
    let with = |change: fn(&mut ServiceSpec)| {
        let mut spec = orders_spec();
        change(spec.service.as_mut().expect("the sample has a service"));
        spec
    };
    let spot = with(|service| {
        let provider = json!([{"name": "FARGATE_SPOT"}]);
        service.capacity_providers = serde_json::from_value(provider).expect("it is of the right shape");
    });
    let on_instances = with(|service| service.launch_type = Some(LaunchType::Ec2));
    let lived: Proven = serde_json::from_value(json!({
        "fingerprint": "f", "taskDefinition": "arn", "place": {"subnets": [], "launchType": "FARGATE"},
    }))
    .expect("it is of the right shape");
    let edited = State {
        proven: Some(lived),
        ..judged(&wanted(spot, 8, "topic/0/7"), &accepted()).state
    };
    let taken = |spec: ConnectorSpec, last: &State| {
        let judged = judged(&wanted(spec, 9, "topic/0/7"), last);
        judged.state.accepted.expect("one is in force").generation == 9
    };
    assert!(!taken(orders_spec(), &edited), "the service has them");
    let rolled_back = State {
        rolled_back: Some(RolledBack {
            deployment: "d".to_owned(),
            fingerprint: "g".to_owned(),
            cause: "no room".to_owned(),
            at: Timestamp::UNIX_EPOCH,
        }),
        ..edited
    };
    assert!(taken(orders_spec(), &rolled_back));
    assert!(!taken(on_instances, &rolled_back), "the service never had that");
}
