//! What the topics hold after brokers that gave no answer, and how long they hold it.

use super::*;
use crate::queue::Queue;
use crate::rounds::end_old_statuses;

impl World {
    /// What a process that starts now would remember.
    fn read_back(&self) -> Remembered {
        let read = World::over(Arc::clone(&self.cloud), Arc::clone(&self.log));
        read.ctx.memory.get(&orders())
    }
}

fn is_ready(status: &Status) -> bool {
    let ready = |one: &penstock_crds::Condition| one.r#type == ConditionType::Ready && one.status == Truth::True;
    status.conditions.iter().any(ready)
}

#[tokio::test]
async fn what_was_written_without_an_answer_is_not_the_last_word() {
    let (world, told) = running().await;
    world.converge(&told).await;
    world.pass(&told).await;
    let counts = world.cloud.observed(&orders()).counts;
    world.log.let_brokers(Brokers::LoseTheAnswer);
    world.cloud.set_queue(QueueDepth::default());
    world.cloud.meddle(&orders(), |observed| observed.counts.running = 0);
    assert_eq!(world.pass(&told).await, Next::Backoff);
    let doubtful = world.read_back();
    assert!(!is_ready(&doubtful.status.expect("the brokers took it")));
    assert!(doubtful.state.expect("it as well").idle_since.is_some());
    world.log.let_brokers(Brokers::Answer);
    world.cloud.set_queue(busy());
    world.cloud.meddle(&orders(), |observed| observed.counts = counts);
    world.pass(&told).await;
    let read = world.read_back();
    assert_eq!(read, world.ctx.memory.get(&orders()));
    assert!(is_ready(&read.status.expect("it is told again")));
    assert_eq!(read.state.expect("as well").idle_since, None);
    let records = world.records();
    world.pass(&told).await;
    assert_eq!(world.records(), records, "nobody doubts any more");
}

#[tokio::test]
async fn a_state_that_is_written_ahead_does_not_settle_what_the_status_says() {
    let (world, told) = running().await;
    world.converge(&told).await;
    world.log.let_brokers(Brokers::LoseTheAnswer);
    world.cloud.meddle(&orders(), |observed| observed.counts.running = 0);
    world.pass(&told).await;
    world.log.let_brokers(Brokers::Answer);
    let state = world.ctx.memory.get(&orders()).state.expect("it is kept");
    let ahead = Change {
        state: Some(StateChange::Put(Box::new(state))),
        status: None,
    };
    world.ctx.publish(&orders(), &ahead).await.expect("the brokers answer");
    world.cloud.settle();
    world.pass(&told).await;
    assert_eq!(world.read_back(), world.ctx.memory.get(&orders()));
}

#[tokio::test]
async fn what_may_have_been_written_of_a_connector_that_is_withdrawn_at_once_is_taken_back() {
    let world = World::new();
    let mut spec = orders_spec();
    spec.profile = Some("unwritten".to_owned());
    world.log.let_brokers(Brokers::LoseTheAnswer);
    world.pass(&wanted(spec, 7, "topic/0/7")).await;
    assert_ne!(world.read_back(), Remembered::default());
    assert_eq!(world.pass(&withdrawn()).await, Next::Backoff);
    world.log.let_brokers(Brokers::Answer);
    assert_eq!(world.pass(&withdrawn()).await, Next::Forget);
    assert_eq!(world.read_back(), Remembered::default());
}

#[tokio::test(start_paused = true)]
async fn calls_of_a_pass_that_was_given_up_while_it_told_of_them_are_told_by_the_next() {
    let (world, told) = running().await;
    world.converge(&told).await;
    world.log.let_brokers(Brokers::Hang);
    world
        .cloud
        .meddle(&orders(), |observed| observed.resources.alarms.clear());
    let pass = tokio::time::timeout(Duration::from_millis(200), world.pass(&told));
    assert!(pass.await.is_err(), "the brokers do not answer");
    assert_eq!(world.cloud.take_calls().len(), 4);
    world.log.let_brokers(Brokers::Answer);
    world.pass(&told).await;
    let actions = world.status().expect("written").actions;
    assert_eq!(actions.len(), 4, "{actions:?}");
}

/// A connector that was removed, and whose status has stood for as long as it should.
async fn over() -> World {
    let (world, told) = settled(Scenario::Delete).await;
    world.converge(&told).await;
    assert_eq!(world.status().expect("written").health, Health::Deleted);
    let mut world = world.restarted();
    let ctx = Arc::get_mut(&mut world.ctx).expect("nobody else has it");
    ctx.audit_period = Duration::ZERO;
    world
}

#[tokio::test]
async fn the_status_of_what_is_gone_goes_after_the_audit_period() {
    let mut world = over().await;
    let queue = Queue::new(Duration::from_secs(300));
    end_old_statuses(&world.ctx, &queue);
    assert_eq!(queue.next().await.map(|(name, _)| name), Some(orders()));
    let ctx = Arc::get_mut(&mut world.ctx).expect("nobody else has it");
    ctx.audit_period = Duration::MAX;
    world.pass(&withdrawn()).await;
    assert!(world.status().is_some(), "its time is not over");
    let ctx = Arc::get_mut(&mut world.ctx).expect("nobody else has it");
    ctx.audit_period = Duration::ZERO;
    assert_eq!(world.pass(&withdrawn()).await, Next::Forget);
    assert_eq!(world.read_back(), Remembered::default());
    end_old_statuses(&world.ctx, &queue);
    queue.done(&orders(), Next::Forget);
    assert_eq!(queue.depth(), (0, 0));
}

#[tokio::test]
async fn a_connector_that_is_written_again_keeps_its_status() {
    let world = over().await;
    let queue = Queue::new(Duration::from_secs(300));
    end_old_statuses(&world.ctx, &queue);
    world.converge(&wanted(orders_spec(), 30, "topic/0/30")).await;
    assert_eq!(queue.next().await.map(|(name, _)| name), Some(orders()));
    world.pass(&wanted(orders_spec(), 30, "topic/0/30")).await;
    let status = world.read_back().status.expect("it is told");
    assert_eq!(status.uid.as_deref(), Some("topic/0/30"));
}
