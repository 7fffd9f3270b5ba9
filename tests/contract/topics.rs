//! SNS: topics that deliver to queues.

use std::collections::HashMap;

use aws_sdk_sns::types::MessageAttributeValue;
use aws_sdk_sqs::types::QueueAttributeName;

use crate::check::{Aws, Check, Failure, Outcome, check, done, equal, holds, refused, there};
use crate::made::Made;
use crate::queue::Queue;
use crate::world::World;

pub(crate) const CHECKS: &[Check] = &[
    check!(same_topic_is_created_once, Aws::Free, "SNS API, CreateTopic"),
    check!(
        envelope_tells_topic_and_subject,
        Aws::Free,
        "SNS Developer Guide, Fanout to Amazon SQS queues: message format"
    ),
    check!(
        raw_delivery_is_the_message_alone,
        Aws::Free,
        "SNS Developer Guide, Raw message delivery"
    ),
    check!(
        raw_delivery_keeps_the_attributes,
        Aws::Free,
        "SNS Developer Guide, Raw message delivery"
    ),
    check!(
        every_subscribed_queue_gets_the_message,
        Aws::Free,
        "SNS Developer Guide, Fanout to Amazon SQS queues"
    ),
    check!(same_subscription_is_made_once, Aws::Free, "SNS API, Subscribe"),
    check!(
        unsubscribed_queue_gets_nothing,
        Aws::Never("an ended subscription may deliver for a while"),
        "SNS API, Unsubscribe"
    ),
    check!(unknown_topic_is_refused, Aws::Free, "SNS API, Publish: NotFound"),
    check!(
        subscriptions_are_listed_by_topic,
        Aws::Free,
        "SNS API, ListSubscriptionsByTopic"
    ),
];

async fn topic(world: &World) -> Result<String, Failure> {
    let answer = world.sns().create_topic().name(world.name("topic")).send().await;
    let arn = there("the topic's ARN", done("create a topic", answer)?.topic_arn)?;
    world.note(Made::Topic(arn.clone()));
    Ok(arn)
}

/// Creates a queue that lets the topic send, and subscribes it. Returns the queue and the subscription's ARN.
async fn subscribed(world: &World, topic: &str, raw: bool) -> Result<(Queue, String), Failure> {
    let queue = Queue::standard(world, &[]).await?;
    let arn = queue.attribute(QueueAttributeName::QueueArn).await?;
    let policy = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"Service":"sns.amazonaws.com"}},"Action":"sqs:SendMessage","Resource":"{arn}","Condition":{{"ArnEquals":{{"aws:SourceArn":"{topic}"}}}}}}]}}"#
    );
    let attributes = HashMap::from([(QueueAttributeName::Policy, policy)]);
    done(
        "let the topic send",
        queue
            .sqs
            .set_queue_attributes()
            .queue_url(&queue.url)
            .set_attributes(Some(attributes))
            .send()
            .await,
    )?;
    let subscription = subscribe(world, topic, &arn, raw).await?;
    Ok((queue, subscription))
}

async fn subscribe(world: &World, topic: &str, queue_arn: &str, raw: bool) -> Result<String, Failure> {
    let call = world
        .sns()
        .subscribe()
        .topic_arn(topic)
        .protocol("sqs")
        .endpoint(queue_arn)
        .return_subscription_arn(true);
    let raw = raw.then(|| HashMap::from([("RawMessageDelivery".to_owned(), "true".to_owned())]));
    there(
        "the subscription",
        done("subscribe", call.set_attributes(raw).send().await)?.subscription_arn,
    )
}

async fn same_topic_is_created_once(world: &World) -> Outcome {
    let name = world.name("topic");
    for _ in 0..2 {
        let arn = there(
            "the ARN",
            done("create", world.sns().create_topic().name(&name).send().await)?.topic_arn,
        )?;
        world.note(Made::Topic(arn.clone()));
        equal(
            "the ARN",
            arn,
            format!("arn:aws:sns:{}:{}:{name}", world.region(), world.account()),
        )?;
    }
    Ok(())
}

async fn envelope_tells_topic_and_subject(world: &World) -> Outcome {
    let topic = topic(world).await?;
    let (queue, _) = subscribed(world, &topic, false).await?;
    let value = MessageAttributeValue::builder()
        .data_type("String")
        .string_value("t-1")
        .build();
    let call = world
        .sns()
        .publish()
        .topic_arn(&topic)
        .subject("a subject")
        .message("the \"message\"");
    let call = call.message_attributes("trace", done("name an attribute", value)?);
    let id = there("the id", done("publish", call.send().await)?.message_id)?;
    let body = queue.receive().await?.body.unwrap_or_default();
    let envelope: serde_json::Value = done("read the envelope", serde_json::from_str(&body))?;
    for (member, wanted) in [
        ("Type", "Notification"),
        ("MessageId", id.as_str()),
        ("TopicArn", topic.as_str()),
        ("Subject", "a subject"),
        ("Message", "the \"message\""),
    ] {
        equal(member, envelope[member].as_str(), Some(wanted))?;
    }
    equal(
        "the attribute",
        envelope["MessageAttributes"]["trace"]["Value"].as_str(),
        Some("t-1"),
    )?;
    for member in [
        "Timestamp",
        "SignatureVersion",
        "Signature",
        "SigningCertURL",
        "UnsubscribeURL",
    ] {
        holds(&format!("there is a {member}"), envelope[member].is_string())?;
    }
    Ok(())
}

async fn raw_delivery_is_the_message_alone(world: &World) -> Outcome {
    let topic = topic(world).await?;
    let (queue, _) = subscribed(world, &topic, true).await?;
    done(
        "publish",
        world
            .sns()
            .publish()
            .topic_arn(&topic)
            .subject("s")
            .message("bare")
            .send()
            .await,
    )?;
    equal("the body", queue.receive().await?.body(), Some("bare"))
}

async fn raw_delivery_keeps_the_attributes(world: &World) -> Outcome {
    let topic = topic(world).await?;
    let (queue, _) = subscribed(world, &topic, true).await?;
    let value = MessageAttributeValue::builder()
        .data_type("String")
        .string_value("t-1")
        .build();
    let call = world
        .sns()
        .publish()
        .topic_arn(&topic)
        .message("bare")
        .message_attributes("trace", done("name it", value)?);
    done("publish", call.send().await)?;
    let received = done("receive", queue.receiving().message_attribute_names("All").send().await)?;
    let trace = received
        .messages()
        .first()
        .and_then(|message| message.message_attributes()?.get("trace"));
    equal("the attribute", trace.and_then(|one| one.string_value()), Some("t-1"))
}

async fn every_subscribed_queue_gets_the_message(world: &World) -> Outcome {
    let topic = topic(world).await?;
    let queues = [
        subscribed(world, &topic, true).await?.0,
        subscribed(world, &topic, true).await?.0,
    ];
    done(
        "publish",
        world.sns().publish().topic_arn(&topic).message("to all").send().await,
    )?;
    for queue in &queues {
        equal("the body", queue.receive().await?.body(), Some("to all"))?;
    }
    Ok(())
}

async fn same_subscription_is_made_once(world: &World) -> Outcome {
    let topic = topic(world).await?;
    let (queue, first) = subscribed(world, &topic, true).await?;
    let arn = queue.attribute(QueueAttributeName::QueueArn).await?;
    equal("the subscription", subscribe(world, &topic, &arn, true).await?, first)
}

async fn unsubscribed_queue_gets_nothing(world: &World) -> Outcome {
    let topic = topic(world).await?;
    let (queue, subscription) = subscribed(world, &topic, true).await?;
    done(
        "unsubscribe",
        world.sns().unsubscribe().subscription_arn(subscription).send().await,
    )?;
    done(
        "publish",
        world
            .sns()
            .publish()
            .topic_arn(&topic)
            .message("to nobody")
            .send()
            .await,
    )?;
    queue.nothing_is_there("without a subscription").await
}

async fn unknown_topic_is_refused(world: &World) -> Outcome {
    let arn = format!(
        "arn:aws:sns:{}:{}:{}",
        world.region(),
        world.account(),
        world.name("nobody")
    );
    let answer = world.sns().publish().topic_arn(arn).message("x").send().await;
    refused("an unknown topic", answer, &["NotFound", "NotFoundException"], "")
}

async fn subscriptions_are_listed_by_topic(world: &World) -> Outcome {
    let topic = topic(world).await?;
    let (queue, subscription) = subscribed(world, &topic, true).await?;
    let endpoint = queue.attribute(QueueAttributeName::QueueArn).await?;
    let answer = done(
        "list",
        world.sns().list_subscriptions_by_topic().topic_arn(&topic).send().await,
    )?;
    let listed: Vec<_> = answer
        .subscriptions()
        .iter()
        .map(|one| (one.subscription_arn(), one.protocol(), one.endpoint()))
        .collect();
    equal(
        "the subscriptions",
        listed,
        vec![(Some(subscription.as_str()), Some("sqs"), Some(endpoint.as_str()))],
    )
}
