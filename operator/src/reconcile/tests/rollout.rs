//! A rollout is told for what it is while it lasts, and what worked yesterday has to work today.

use super::ready::with_image;
use super::*;

impl World {
    fn is(&self, kind: ConditionType, truth: Truth, reason: &str) {
        assert_eq!(self.condition(kind), (truth, reason.to_owned()), "{kind:?}");
    }
}

#[tokio::test]
async fn tasks_that_stop_being_healthy_later_end_readiness_until_they_are_again() {
    let (world, told) = running().await;
    world.is(ConditionType::Ready, Truth::True, "TasksRunning");
    world.health(
        0,
        Some("task 1 is UNHEALTHY: container penstock-bridge fails its health check"),
    );
    world.pass(&told).await;
    world.is(ConditionType::Ready, Truth::False, "NotHealthy");
    world.is(ConditionType::Degraded, Truth::True, "TasksFailing");
    assert_eq!(world.status().expect("written").health, Health::Unhealthy);
    world.health(3, None);
    assert_eq!(world.pass(&told).await, Next::Resync);
    world.is(ConditionType::Ready, Truth::True, "TasksRunning");
    world.is(ConditionType::Degraded, Truth::False, "AsWanted");
    let records = world.records();
    for _ in 0..10 {
        world.pass(&told).await;
    }
    assert_eq!(world.records(), records, "an idle pass writes no record");
}

#[tokio::test]
async fn tasks_that_a_deployment_may_take_away_are_looked_at_while_it_moves() {
    let (world, _) = running().await;
    let frugal = |image: &str, generation| {
        let mut told = with_image(image, generation);
        let Latest::Written(written) = &mut told.connector else {
            panic!("it was written")
        };
        let service = written
            .document
            .spec
            .service
            .as_mut()
            .expect("the sample has a service");
        service.rollout = Some(penstock_crds::RolloutSpec {
            minimum_healthy_percent: Some(0),
            maximum_percent: Some(100),
        });
        told
    };
    world.converge(&frugal("penstock-bridge:1", 8)).await;
    let told = frugal("penstock-bridge:2", 9);
    world.pass(&told).await;
    world.health(0, None);
    world.pass(&told).await;
    world.is(ConditionType::Ready, Truth::False, "NotHealthy");
    world.health(3, None);
    world.cloud.settle();
    world.pass(&told).await;
    world.is(ConditionType::Ready, Truth::True, "TasksRunning");
}
