//! What a document asks that cannot be had in the account and region of the operator's clusters.

use penstock_crds::ConnectorSpec;
use serde_json::json;

use super::*;

/// A queue of another account, watched as far as `alarms` say.
fn elsewhere(queue: &str, alarms: serde_json::Value) -> ConnectorSpec {
    let mut spec = serde_json::to_value(orders_spec()).expect("a spec is JSON");
    spec["source"]["sqs"]["queueUrl"] = json!(format!("https://sqs.{queue}/orders"));
    spec["alarms"] = alarms;
    spec["alarms"]["topics"] = json!(["arn:aws:sns:eu-west-1:123456789012:hot"]);
    serde_json::from_value(spec).expect("the sample is of the right shape")
}

const OTHER_ACCOUNT: &str = "eu-west-1.amazonaws.com/999999999999";
const OTHER_REGION: &str = "us-east-1.amazonaws.com/123456789012";

#[tokio::test]
async fn an_age_that_no_alarm_can_read_is_refused_where_the_document_asks_for_it() {
    let (world, before) = running().await;
    world.converge(&before).await;
    let good = world.cloud.observed(&orders()).resources;
    for queue in [OTHER_ACCOUNT, OTHER_REGION] {
        let spec = elsewhere(queue, json!({"oldestMessageAge": {"threshold": 600}}));
        world.converge(&wanted(spec, 8, "topic/0/7")).await;
        assert_eq!(world.accepted(), Some(7), "{queue}");
        assert_eq!(world.cloud.observed(&orders()).resources, good);
        let (region, account) = queue.split_once(".amazonaws.com/").expect("both stand there");
        let fault = format!(
            "spec.alarms.oldestMessageAge: cannot be watched: the queue is in account {account} and region {region}, and an \
             alarm reads the metrics of its own alone, 123456789012 and eu-west-1; write `enabled: false` under it in the \
             connector, and make an alarm for it where the queue is"
        );
        assert_eq!(world.status().expect("a status was written").faults, [fault]);
    }
}

#[tokio::test]
async fn an_age_that_no_alarm_can_read_is_told_to_be_left_out_where_nobody_asked_for_it() {
    let world = World::new();
    world
        .converge(&wanted(elsewhere(OTHER_ACCOUNT, json!({})), 7, "topic/0/7"))
        .await;
    assert_eq!(
        synced(&world),
        "AWS holds what the document asks; the alarm `oldestMessageAge` is left out, for the queue is in account 999999999999 \
         and region eu-west-1, and an alarm reads the metrics of its own alone, 123456789012 and eu-west-1"
    );
    let alarms = world.cloud.observed(&orders()).resources.alarms;
    assert!(!alarms.contains_key("penstock-orders-oldestMessageAge"), "{alarms:?}");

    let off = elsewhere(OTHER_ACCOUNT, json!({"oldestMessageAge": {"enabled": false}}));
    world.converge(&wanted(off, 8, "topic/0/7")).await;
    assert_eq!(world.accepted(), Some(8));
    assert_eq!(
        synced(&world),
        "AWS holds what the document asks",
        "it was switched off"
    );
}

#[tokio::test]
async fn a_topic_of_another_region_is_refused_before_any_alarm_is_lost() {
    let (world, before) = running().await;
    world.converge(&before).await;
    let good = world.cloud.observed(&orders()).resources;
    let mut spec = orders_spec();
    let topic = |place: &str| format!("arn:aws:sns:{place}:hot");
    spec.alarms.as_mut().expect("the sample has alarms").topics = Some(vec![
        topic("eu-west-1:123456789012"),
        topic("eu-west-1:999999999999"),
        topic("us-east-1:123456789012"),
    ]);
    world.converge(&wanted(spec, 8, "topic/0/7")).await;
    assert_eq!(world.accepted(), Some(7));
    assert_eq!(world.cloud.observed(&orders()).resources, good);
    let fault = "spec.alarms.topics[2]: arn:aws:sns:us-east-1:123456789012:hot is in us-east-1, and the alarms of this operator \
                 are in eu-west-1: CloudWatch tells topics of the alarm's own region alone; name a topic in eu-west-1";
    assert_eq!(world.status().expect("a status was written").faults, [fault]);
}

fn synced(world: &World) -> String {
    let status = world.status().expect("a status was written");
    let mut conditions = status.conditions.into_iter();
    let found = conditions.find(|one| one.r#type == ConditionType::Synced);
    found.expect("every status has it").message
}
