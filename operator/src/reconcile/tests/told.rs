//! What cannot be seen, and what is no longer known to be ours: told with what to do, and nothing is done about it.

use super::*;
use crate::plan::resources::{Counts, FOREIGN_SERVICE};

/// A connector that sleeps.
async fn asleep() -> (World, Wanted) {
    let (world, told) = settled(Scenario::Sleep).await;
    world.converge(&told).await;
    assert_eq!(world.phase(), Some(Phase::Asleep));
    (world, told)
}

impl World {
    /// Takes the tag that names the connector off its service, as a tool that tidies tags up does.
    fn lose_tag(&self) {
        self.cloud.meddle(&orders(), |observed| {
            let holder = Holder {
                operator: Some(owner().tag()),
                connector: None,
            };
            observed.foreign.insert(FOREIGN_SERVICE.to_owned(), holder);
            observed.resources.service = None;
            (observed.life, observed.counts) = (ServiceLife::Absent, Counts::default());
            (observed.deployment, observed.task_definition_arn) = (None, None);
        });
    }
}

#[tokio::test]
async fn a_queue_that_cannot_be_read_is_told_with_what_to_do_as_long_as_it_is_needed() {
    let (world, told) = asleep().await;
    world.cloud.deny_queue(true);
    assert_eq!(world.pass(&told).await, Next::Backoff);
    world.is(ConditionType::Ready, Truth::Unknown, "QueueUnknown");
    world.is(ConditionType::Degraded, Truth::True, "QueueUnknown");
    assert_eq!(world.status().expect("written").health, Health::Degraded);
    let message = world.message(ConditionType::Degraded);
    assert!(
        message.contains("AWS denied GetQueueAttributes: not authorized")
            && message.contains("allow the operator `sqs:GetQueueAttributes`"),
        "{message}"
    );
    assert_eq!(world.message(ConditionType::Ready), message);
    world.cloud.deny_queue(false);
    assert_eq!(world.pass(&told).await, Next::Resync);
    world.is(ConditionType::Degraded, Truth::False, "AsWanted");

    let (world, told) = running().await;
    world.cloud.deny_queue(true);
    world.pass(&told).await;
    world.is(ConditionType::Ready, Truth::True, "TasksRunning");
    world.is(ConditionType::Degraded, Truth::True, "QueueUnknown");
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_never_answers_is_waited_for_a_little_and_keeps_nothing_from_being_repaired() {
    let (world, told) = running().await;
    world.converge(&told).await;
    world.cloud.take_calls();
    let source = orders_spec().source.expect("the sample has a source");
    let url = source.sqs.expect("it is a queue").queue_url.expect("it is named");
    world.cloud.silence_queue(&url);
    world
        .cloud
        .meddle(&orders(), |observed| observed.resources.alarms.clear());
    let began = tokio::time::Instant::now();
    world.pass(&told).await;
    assert!(
        began.elapsed() < QUEUE_LIMIT + Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(world.cloud.take_calls().len(), 4, "the alarms are back");
    world.is(ConditionType::Degraded, Truth::True, "QueueUnknown");
    let message = world.message(ConditionType::Degraded);
    assert!(message.contains("no answer in 10s"), "{message}");
}

#[tokio::test]
async fn a_queue_that_only_its_own_policies_read_need_not_be_read() {
    let (world, _) = running().await;
    let mut spec = orders_spec();
    spec.scaling.as_mut().expect("the sample scales").min = Some(1);
    let told = wanted(spec.clone(), 8, "topic/0/7");
    world.converge(&told).await;
    world.cloud.deny_queue(true);
    world.pass(&told).await;
    world.is(ConditionType::Degraded, Truth::False, "AsWanted");
    let elsewhere = "https://sqs.us-east-1.amazonaws.com/123456789012/orders";
    spec.source
        .as_mut()
        .expect("the sample has a source")
        .sqs
        .as_mut()
        .expect("it is SQS")
        .queue_url = Some(elsewhere.to_owned());
    if let Some(alarms) = &mut spec.alarms {
        alarms.oldest_message_age = None;
    }
    let told = wanted(spec, 9, "topic/0/7");
    world.converge(&told).await;
    world.is(ConditionType::Degraded, Truth::True, "QueueUnknown");
}

#[tokio::test]
async fn a_sleeper_whose_tasks_were_never_stopped_keeps_them_while_its_queue_is_unknown() {
    let (world, told) = settled(Scenario::Sleep).await;
    // The lower bound goes down, and the count stays.
    world.cloud.fail_after(1, false);
    world.pass(&told).await;
    world.cloud.heal();
    assert!(world.cloud.observed(&orders()).counts.desired > 0);
    world.cloud.deny_queue(true);
    world.converge(&told).await;
    assert!(
        world.cloud.observed(&orders()).counts.desired > 0,
        "messages may have come meanwhile"
    );
    world.cloud.deny_queue(false);
    world.converge(&told).await;
    assert_eq!(world.cloud.observed(&orders()).counts.desired, 0);
    assert_eq!(world.phase(), Some(Phase::Asleep));
}

#[tokio::test]
async fn a_service_that_lost_its_tag_keeps_what_hangs_on_it() {
    let (world, told) = running().await;
    world.lose_tag();
    let before = world.cloud.observed(&orders());
    world.cloud.take_calls();
    for _ in 0..3 {
        world.pass(&told).await;
    }
    assert_eq!(world.cloud.take_calls(), Vec::<String>::new());
    assert_eq!(world.cloud.observed(&orders()), before);
    world.is(ConditionType::Synced, Truth::False, "NameTaken");
    let told = world.message(ConditionType::Degraded);
    assert!(told.contains("Mend the tag `penstock:connector`"), "{told}");
}

#[tokio::test]
async fn what_is_left_of_a_withdrawn_connector_for_want_of_a_tag_is_named() {
    let (world, _) = running().await;
    world.lose_tag();
    world.converge(&withdrawn()).await;
    assert_eq!(world.status().expect("written").health, Health::Deleted);
    let told = world.message(ConditionType::Deleted);
    assert!(
        told.contains("the service `penstock-orders`") && told.contains("remove it by hand"),
        "{told}"
    );
}

#[tokio::test]
async fn a_queue_elsewhere_is_needed_where_only_an_alarm_reads_its_backlog() {
    let (world, _) = running().await;
    let mut spec = orders_spec();
    spec.scaling = None;
    let source = spec.source.as_mut().and_then(|source| source.sqs.as_mut());
    let elsewhere = "https://sqs.us-east-1.amazonaws.com/123456789012/orders";
    source.expect("the sample has a queue").queue_url = Some(elsewhere.to_owned());
    world.cloud.deny_queue(true);
    world.converge(&wanted(spec.clone(), 8, "topic/0/7")).await;
    world.is(ConditionType::Degraded, Truth::False, "AsWanted");
    let alarm = serde_json::json!({ "threshold": 50 });
    let alarms = spec.alarms.as_mut().expect("the sample has alarms");
    alarms.backlog_high_and_max_scaled_out = serde_json::from_value(alarm).expect("it is of the right shape");
    world.converge(&wanted(spec, 9, "topic/0/7")).await;
    world.is(ConditionType::Degraded, Truth::True, "QueueUnknown");
}
