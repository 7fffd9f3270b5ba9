//! SQS: queues themselves, their attributes and counts.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_sqs::types::QueueAttributeName;

use crate::check::{Aws, Check, Outcome, check, done, equal, refused, there};
use crate::queue::Queue;
use crate::world::World;

const LATE: Aws = Aws::Never("counts of AWS are approximate and come late");

pub(crate) const CHECKS: &[Check] = &[
    check!(unknown_queue_is_named_as_such, Aws::Free, "SQS API, QueueDoesNotExist"),
    check!(same_creation_gives_the_same_queue, Aws::Free, "SQS API, CreateQueue"),
    check!(
        creation_with_other_attributes_is_refused,
        Aws::Free,
        "SQS API, CreateQueue: QueueNameExists"
    ),
    check!(
        attributes_are_read_as_set,
        Aws::Free,
        "SQS API, SetQueueAttributes and GetQueueAttributes"
    ),
    check!(
        messages_are_counted_by_where_they_are,
        LATE,
        "SQS API, GetQueueAttributes: ApproximateNumberOfMessages"
    ),
    check!(
        purge_removes_all,
        Aws::Never("a purge takes up to sixty seconds"),
        "SQS API, PurgeQueue"
    ),
    check!(queues_are_listed_by_prefix_in_pages, LATE, "SQS API, ListQueues"),
    check!(queue_tags_are_listed, Aws::Free, "SQS API, TagQueue and ListQueueTags"),
    check!(
        dead_letter_sources_are_listed,
        LATE,
        "SQS API, ListDeadLetterSourceQueues"
    ),
];

async fn unknown_queue_is_named_as_such(world: &World) -> Outcome {
    let codes = ["QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue"];
    let answer = world
        .sqs()
        .get_queue_url()
        .queue_name(world.name("nobody"))
        .send()
        .await;
    refused("the URL of an unknown queue", answer, &codes, "")?;
    let queue = Queue::standard(world, &[]).await?;
    let url = format!("{}-nobody", queue.url);
    refused(
        "a receive from an unknown queue",
        world.sqs().receive_message().queue_url(url).send().await,
        &codes,
        "",
    )
}

async fn same_creation_gives_the_same_queue(world: &World) -> Outcome {
    let name = world.name("queue");
    let first = Queue::named(world, &name, &[(QueueAttributeName::VisibilityTimeout, "40")]).await?;
    let second = Queue::named(world, &name, &[(QueueAttributeName::VisibilityTimeout, "40")]).await?;
    equal("the URL", second.url, first.url.clone())?;
    let url = done(
        "ask for the URL",
        world.sqs().get_queue_url().queue_name(&name).send().await,
    )?
    .queue_url;
    equal("the URL by name", url, Some(first.url))
}

async fn creation_with_other_attributes_is_refused(world: &World) -> Outcome {
    let name = world.name("queue");
    Queue::named(world, &name, &[(QueueAttributeName::VisibilityTimeout, "40")]).await?;
    let call = world
        .sqs()
        .create_queue()
        .queue_name(&name)
        .attributes(QueueAttributeName::VisibilityTimeout, "41");
    refused(
        "another timeout",
        call.send().await,
        &["QueueNameExists", "QueueAlreadyExists"],
        "",
    )
}

async fn attributes_are_read_as_set(world: &World) -> Outcome {
    let queue = Queue::standard(world, &[]).await?;
    let defaults = [
        (QueueAttributeName::VisibilityTimeout, "30"),
        (QueueAttributeName::DelaySeconds, "0"),
        (QueueAttributeName::MessageRetentionPeriod, "345600"),
        (QueueAttributeName::ReceiveMessageWaitTimeSeconds, "0"),
    ];
    for (name, value) in defaults {
        equal(name.as_str(), queue.attribute(name.clone()).await?, value.to_owned())?;
    }
    let changed = [
        (QueueAttributeName::VisibilityTimeout, "45"),
        (QueueAttributeName::ReceiveMessageWaitTimeSeconds, "7"),
    ];
    let attributes = changed
        .iter()
        .map(|(name, value)| (name.clone(), (*value).to_owned()))
        .collect();
    done(
        "set",
        queue
            .sqs
            .set_queue_attributes()
            .queue_url(&queue.url)
            .set_attributes(Some(attributes))
            .send()
            .await,
    )?;
    for (name, value) in changed {
        equal(name.as_str(), queue.attribute(name.clone()).await?, value.to_owned())?;
    }
    let name = queue.url.rsplit('/').next().unwrap_or_default();
    let arn = format!("arn:aws:sqs:{}:{}:{name}", world.region(), world.account());
    equal("the ARN", queue.attribute(QueueAttributeName::QueueArn).await?, arn)
}

async fn messages_are_counted_by_where_they_are(world: &World) -> Outcome {
    let queue = Queue::standard(world, &[(QueueAttributeName::VisibilityTimeout, "600")]).await?;
    for body in ["a", "b", "c"] {
        queue.send(body).await?;
    }
    let call = queue
        .sqs
        .send_message()
        .queue_url(&queue.url)
        .message_body("later")
        .delay_seconds(600);
    done("send with a delay", call.send().await)?;
    queue.receive().await?;
    for (name, wanted) in [
        (QueueAttributeName::ApproximateNumberOfMessages, "2"),
        (QueueAttributeName::ApproximateNumberOfMessagesNotVisible, "1"),
        (QueueAttributeName::ApproximateNumberOfMessagesDelayed, "1"),
    ] {
        equal(name.as_str(), queue.attribute(name.clone()).await?, wanted.to_owned())?;
    }
    Ok(())
}

async fn purge_removes_all(world: &World) -> Outcome {
    let queue = Queue::standard(world, &[(QueueAttributeName::VisibilityTimeout, "600")]).await?;
    queue.send("a").await?;
    queue.send("b").await?;
    queue.receive().await?;
    done("purge", queue.sqs.purge_queue().queue_url(&queue.url).send().await)?;
    for name in [
        QueueAttributeName::ApproximateNumberOfMessages,
        QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
    ] {
        equal(name.as_str(), queue.attribute(name.clone()).await?, "0".to_owned())?;
    }
    Ok(())
}

async fn queues_are_listed_by_prefix_in_pages(world: &World) -> Outcome {
    let (stem, mut urls) = (world.name("queue"), BTreeSet::new());
    for end in 0..3 {
        urls.insert(Queue::named(world, &format!("{stem}-{end}"), &[]).await?.url);
    }
    let list = || world.sqs().list_queues().queue_name_prefix(&stem).max_results(2);
    let first = done("list", list().send().await)?;
    equal("the first page's length", first.queue_urls().len(), 2)?;
    let token = there("the token of the second page", first.next_token())?;
    let second = done("list the second page", list().next_token(token).send().await)?;
    equal(
        "all URLs",
        first.queue_urls().iter().chain(second.queue_urls()).cloned().collect(),
        urls,
    )
}

async fn queue_tags_are_listed(world: &World) -> Outcome {
    let queue = Queue::standard(world, &[]).await?;
    done(
        "tag",
        queue
            .sqs
            .tag_queue()
            .queue_url(&queue.url)
            .tags("a", "1")
            .tags("b", "2")
            .send()
            .await,
    )?;
    done(
        "untag",
        queue.sqs.untag_queue().queue_url(&queue.url).tag_keys("a").send().await,
    )?;
    let tags = done("list", queue.sqs.list_queue_tags().queue_url(&queue.url).send().await)?
        .tags
        .unwrap_or_default();
    equal(
        "the tags",
        tags.into_iter().collect(),
        BTreeMap::from([("b".to_owned(), "2".to_owned())]),
    )
}

async fn dead_letter_sources_are_listed(world: &World) -> Outcome {
    let dead = Queue::standard(world, &[]).await?;
    let target = dead.attribute(QueueAttributeName::QueueArn).await?;
    let policy = format!(r#"{{"deadLetterTargetArn":"{target}","maxReceiveCount":"2"}}"#);
    let source = Queue::standard(world, &[(QueueAttributeName::RedrivePolicy, &policy)]).await?;
    let answer = dead
        .sqs
        .list_dead_letter_source_queues()
        .queue_url(&dead.url)
        .send()
        .await;
    equal(
        "the sources",
        done("list", answer)?.queue_urls().to_vec(),
        vec![source.url],
    )
}
