//! A connector's lives: withdrawn and written again, begun as its document says and then left as it is.

use penstock_crds::Fault;

use super::*;

fn elsewhere(generation: i64, uid: &str) -> Wanted {
    let mut spec = orders_spec();
    spec.service.as_mut().expect("the sample has a service").cluster = Some("other".to_owned());
    wanted(spec, generation, uid)
}

fn unreadable(generation: i64) -> Wanted {
    let fault = Fault::without_value("spec", "is missing", "write it");
    Wanted {
        refused: Some((generation, vec![fault])),
        ..withdrawn()
    }
}

/// A connector whose removal has begun and drains.
async fn draining() -> World {
    let (world, told) = running().await;
    world.converge(&told).await;
    for _ in 0..4 {
        world.pass(&withdrawn()).await;
    }
    assert_eq!(world.cloud.observed(&orders()).life, ServiceLife::Draining);
    world.cloud.take_calls();
    world
}

/// Makes passes until nothing is left of what is being removed, and returns when the last one wants to look again.
async fn removed(world: &World, wanted: &Wanted) -> Next {
    world.cloud.settle();
    for _ in 0..4 {
        let next = world.pass(wanted).await;
        if world.status().expect("written").health == Health::Deleted {
            return next;
        }
    }
    panic!("it is not removed: {:?}", world.status());
}

#[tokio::test]
async fn a_connector_that_is_deleted_and_written_again_elsewhere_moves_there() {
    let world = draining().await;
    let again = elsewhere(20, "topic/0/20");
    world.pass(&again).await;
    let synced = world.condition(ConditionType::Synced);
    assert_eq!(synced, (Truth::False, "Refused".to_owned()));
    assert_eq!(world.status().expect("written").observed_generation, Some(20));
    assert_eq!(world.accepted(), Some(7), "what says where to remove");
    removed(&world, &again).await;
    let made = world.cloud.take_calls();
    assert!(!made.iter().any(|call| call.contains("CreateService")), "{made:?}");
    assert_eq!(world.accepted(), None, "all of the former life is forgotten");
    let world = world.restarted();
    world.converge(&again).await;
    assert_eq!(world.accepted(), Some(20));
    assert_eq!(world.cloud.observed(&orders()).life, ServiceLife::Active);
}

#[tokio::test]
async fn a_document_that_waits_for_a_removal_is_judged_as_soon_as_that_has_ended() {
    for (again, accepted) in [(elsewhere(20, "topic/0/20"), Some(20)), (unreadable(20), None)] {
        let world = draining().await;
        assert_eq!(removed(&world, &again).await, Next::After(std::time::Duration::ZERO));
        world.pass(&again).await;
        assert_eq!(world.accepted(), accepted);
        let status = world.status().expect("written");
        assert_ne!(status.health, Health::Deleted);
        assert_eq!(status.faults.is_empty(), accepted.is_some(), "what is wrong stays told");
    }
}

#[tokio::test]
async fn an_edit_of_the_initial_state_stops_nothing() {
    let (world, told) = running().await;
    world.converge(&told).await;
    let mut spec = orders_spec();
    spec.initial_state = Some(TargetMode::Stopped);
    world.converge(&wanted(spec, 8, "topic/0/7")).await;
    assert_eq!((world.accepted(), world.phase()), (Some(8), Some(Phase::Awake)));
    assert_eq!(world.cloud.observed(&orders()).life, ServiceLife::Active);
}

#[tokio::test]
async fn tasks_are_not_replaced_because_the_request_to_replace_them_is_gone() {
    let (world, mut told) = running().await;
    told.target = Some(TargetStateSpec {
        restarted_at: Some(ticking()),
        ..TargetStateSpec::default()
    });
    world.converge(&told).await;
    told.target = None;
    let world = world.restarted();
    world.pass(&told).await;
    assert_eq!(world.cloud.take_calls(), Vec::<String>::new());
    told.target = Some(TargetStateSpec {
        restarted_at: Some(ticking()),
        ..TargetStateSpec::default()
    });
    world.pass(&told).await;
    let calls = world.cloud.take_calls();
    assert!(
        calls.contains(&"UpdateService".to_owned()),
        "a later one is made: {calls:?}"
    );
}
