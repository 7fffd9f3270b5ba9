//! SQS: queues and standard queues' messages.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_sqs::types::{
    DeleteMessageBatchRequestEntry, MessageAttributeValue, MessageSystemAttributeName, QueueAttributeName,
    SendMessageBatchRequestEntry,
};

use crate::check::{Aws, Check, Failure, Outcome, check, done, equal, holds, refused, there};
use crate::queue::{Queue, bodies, handle, system};
use crate::world::World;

const LATE: Aws = Aws::Never("counts of AWS are approximate and come late");

pub(crate) const CHECKS: &[Check] = &[
    check!(
        message_comes_as_it_was_sent,
        Aws::Free,
        "SQS API, SendMessage and ReceiveMessage"
    ),
    check!(
        digests_are_md5_of_the_body,
        Aws::Free,
        "SQS API, SendMessage: MD5OfMessageBody"
    ),
    check!(
        received_message_is_hidden_until_its_timeout,
        Aws::Free,
        "SQS Developer Guide, Visibility timeout"
    ),
    check!(
        visibility_of_zero_shows_the_message_at_once,
        Aws::Free,
        "SQS API, ChangeMessageVisibility"
    ),
    check!(
        visibility_is_extended_from_the_change_on,
        Aws::Free,
        "SQS API, ChangeMessageVisibility"
    ),
    check!(
        visibility_of_a_shown_message_is_not_changed,
        Aws::Free,
        "SQS API, ChangeMessageVisibility: MessageNotInflight"
    ),
    check!(
        receives_are_counted,
        Aws::Free,
        "SQS API, ReceiveMessage: ApproximateReceiveCount"
    ),
    check!(delayed_message_waits, Aws::Free, "SQS API, SendMessage: DelaySeconds"),
    check!(
        delay_of_the_queue_holds_for_its_messages,
        Aws::Free,
        "SQS Developer Guide, Delay queues"
    ),
    check!(
        long_poll_ends_when_a_message_comes,
        Aws::Free,
        "SQS Developer Guide, Long polling"
    ),
    check!(
        too_often_received_message_moves_to_the_dead_letters,
        Aws::Free,
        "SQS Developer Guide, Dead-letter queues: maxReceiveCount"
    ),
    check!(
        only_attributes_asked_for_are_received,
        Aws::Free,
        "SQS API, ReceiveMessage: MessageAttributeNames"
    ),
    check!(deletion_is_idempotent, Aws::Free, "SQS API, DeleteMessage"),
    check!(
        nonsense_is_no_receipt_handle,
        Aws::Free,
        "SQS API, DeleteMessage: ReceiptHandleIsInvalid"
    ),
    check!(
        batch_tells_what_became_of_each_entry,
        Aws::Free,
        "SQS API, DeleteMessageBatch"
    ),
    check!(
        batch_of_equal_ids_is_refused,
        Aws::Free,
        "SQS API, SendMessageBatch: BatchEntryIdsNotDistinct"
    ),
    check!(
        batch_of_eleven_is_refused,
        Aws::Free,
        "SQS API, SendMessageBatch: TooManyEntriesInBatchRequest"
    ),
    check!(
        message_over_the_limit_is_refused,
        Aws::Free,
        "SQS API, SetQueueAttributes: MaximumMessageSize"
    ),
    check!(
        control_characters_are_refused,
        Aws::Free,
        "SQS API, SendMessage: InvalidMessageContents"
    ),
    check!(empty_message_is_refused, Aws::Free, "SQS API, SendMessage: MessageBody"),
    check!(
        more_than_ten_messages_cannot_be_asked_for,
        Aws::Free,
        "SQS API, ReceiveMessage: MaxNumberOfMessages"
    ),
    check!(
        waiting_longer_than_twenty_seconds_is_refused,
        Aws::Free,
        "SQS API, ReceiveMessage: WaitTimeSeconds"
    ),
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

async fn message_comes_as_it_was_sent(world: &World) -> Outcome {
    let queue = Queue::standard(world, &[]).await?;
    let call = queue
        .sqs
        .send_message()
        .queue_url(&queue.url)
        .message_body("grüße <&> \u{1F980}\n")
        .message_attributes("trace", text("t-1")?);
    let id = there("the id", done("send", call.send().await)?.message_id)?;
    let received = queue.receiving().message_attribute_names("All").send().await;
    let messages = done("receive", received)?.messages.unwrap_or_default();
    let message = there("the message", messages.first())?;
    equal("the body", message.body(), Some("grüße <&> \u{1F980}\n"))?;
    equal("the id", message.message_id(), Some(id.as_str()))?;
    let trace = message.message_attributes().and_then(|all| all.get("trace"));
    equal(
        "the attribute",
        trace.map(|one| (one.data_type(), one.string_value())),
        Some(("String", Some("t-1"))),
    )?;
    let sent = system(message, MessageSystemAttributeName::SentTimestamp);
    holds(
        "it says when it was sent, in milliseconds",
        sent.is_some_and(|at| at.len() == 13 && at.parse::<u64>().is_ok()),
    )?;
    holds(
        "it says who sent it",
        system(message, MessageSystemAttributeName::SenderId).is_some(),
    )
}

fn text(value: &str) -> Result<MessageAttributeValue, Failure> {
    done(
        "name an attribute",
        MessageAttributeValue::builder()
            .data_type("String")
            .string_value(value)
            .build(),
    )
}

async fn digests_are_md5_of_the_body(world: &World) -> Outcome {
    const MD5_OF_HELLO: &str = "5d41402abc4b2a76b9719d911017c592";
    let queue = Queue::standard(world, &[]).await?;
    let call = queue
        .sqs
        .send_message()
        .queue_url(&queue.url)
        .message_body("hello")
        .message_attributes("a", text("b")?);
    let sent = done("send", call.send().await)?;
    equal(
        "the digest of what was sent",
        sent.md5_of_message_body(),
        Some(MD5_OF_HELLO),
    )?;
    let received = done("receive", queue.receiving().message_attribute_names("All").send().await)?;
    let message = there("the message", received.messages().first())?;
    equal(
        "the digest of what was received",
        message.md5_of_body(),
        Some(MD5_OF_HELLO),
    )?;
    holds("attributes have a digest", sent.md5_of_message_attributes().is_some())?;
    equal(
        "their digest when received",
        message.md5_of_message_attributes(),
        sent.md5_of_message_attributes(),
    )
}

async fn received_message_is_hidden_until_its_timeout(world: &World) -> Outcome {
    let queue = Queue::standard(world, &[(QueueAttributeName::VisibilityTimeout, "3")]).await?;
    queue.send("hello").await?;
    let first = queue.receive().await?;
    queue.nothing_is_there("while it is hidden").await?;
    let again = queue.receive().await?;
    equal("the message that comes again", again.message_id(), first.message_id())?;
    holds("its handle is another one", handle(&again) != handle(&first))
}

async fn visibility_of_zero_shows_the_message_at_once(world: &World) -> Outcome {
    let queue = Queue::standard(world, &[(QueueAttributeName::VisibilityTimeout, "600")]).await?;
    queue.send("hello").await?;
    let first = queue.receive().await?;
    queue.hide(&first, 0).await?;
    equal(
        "the message that comes again",
        queue.receive().await?.message_id(),
        first.message_id(),
    )
}

async fn visibility_is_extended_from_the_change_on(world: &World) -> Outcome {
    let queue = Queue::standard(world, &[(QueueAttributeName::VisibilityTimeout, "2")]).await?;
    queue.send("hello").await?;
    let message = queue.receive().await?;
    queue.hide(&message, 600).await?;
    queue.nothing_is_there("after the change").await?;
    queue.nothing_is_there("at the end of the first timeout").await?;
    queue.nothing_is_there("after the first timeout").await
}

async fn visibility_of_a_shown_message_is_not_changed(world: &World) -> Outcome {
    let queue = Queue::standard(world, &[(QueueAttributeName::VisibilityTimeout, "600")]).await?;
    queue.send("hello").await?;
    let message = queue.receive().await?;
    queue.hide(&message, 0).await?;
    let call = queue
        .sqs
        .change_message_visibility()
        .queue_url(&queue.url)
        .receipt_handle(handle(&message));
    let codes = ["MessageNotInflight", "AWS.SimpleQueueService.MessageNotInflight"];
    refused(
        "a change of a message that is not in flight",
        call.visibility_timeout(9).send().await,
        &codes,
        "",
    )
}

async fn receives_are_counted(world: &World) -> Outcome {
    let queue = Queue::standard(world, &[(QueueAttributeName::VisibilityTimeout, "600")]).await?;
    queue.send("hello").await?;
    let mut first_times = BTreeSet::new();
    for count in 1..=3 {
        let message = queue.receive().await?;
        let seen = system(&message, MessageSystemAttributeName::ApproximateReceiveCount);
        equal("the receive count", seen, Some(count.to_string()))?;
        first_times.insert(system(
            &message,
            MessageSystemAttributeName::ApproximateFirstReceiveTimestamp,
        ));
        queue.hide(&message, 0).await?;
    }
    equal("the number of first receives", first_times.len(), 1)
}

async fn delayed_message_waits(world: &World) -> Outcome {
    let queue = Queue::standard(world, &[]).await?;
    let call = queue
        .sqs
        .send_message()
        .queue_url(&queue.url)
        .message_body("later")
        .delay_seconds(3);
    done("send", call.send().await)?;
    queue.nothing_is_there("within the delay").await?;
    equal("what comes after it", queue.receive().await?.body(), Some("later"))
}

async fn delay_of_the_queue_holds_for_its_messages(world: &World) -> Outcome {
    let queue = Queue::standard(world, &[(QueueAttributeName::DelaySeconds, "3")]).await?;
    queue.send("later").await?;
    let call = queue
        .sqs
        .send_message()
        .queue_url(&queue.url)
        .message_body("now")
        .delay_seconds(0);
    done("send without delay", call.send().await)?;
    equal("what comes first", queue.receive().await?.body(), Some("now"))?;
    equal(
        "what comes after the delay",
        queue.receive().await?.body(),
        Some("later"),
    )
}

async fn long_poll_ends_when_a_message_comes(world: &World) -> Outcome {
    let queue = Queue::standard(world, &[]).await?;
    // Both at once: whether the receive or the message is first, the receive must bring it.
    let (received, sent) = futures::join!(queue.receiving().wait_time_seconds(20).send(), queue.send("hello"));
    sent?;
    equal(
        "what the long poll brings",
        bodies(done("receive", received)?.messages()),
        vec!["hello".to_owned()],
    )
}

async fn too_often_received_message_moves_to_the_dead_letters(world: &World) -> Outcome {
    let dead = Queue::standard(world, &[]).await?;
    let target = dead.attribute(QueueAttributeName::QueueArn).await?;
    let policy = format!(r#"{{"deadLetterTargetArn":"{target}","maxReceiveCount":"2"}}"#);
    let queue = Queue::standard(world, &[(QueueAttributeName::RedrivePolicy, &policy)]).await?;
    queue.send("poison").await?;
    let mut id = None;
    for _ in 0..2 {
        let message = queue.receive().await?;
        queue.hide(&message, 0).await?;
        id = message.message_id;
    }
    queue.nothing_is_there("after two receives").await?;
    let moved = dead.receive().await?;
    equal(
        "the dead letter",
        (moved.body(), moved.message_id()),
        (Some("poison"), id.as_deref()),
    )
}

async fn only_attributes_asked_for_are_received(world: &World) -> Outcome {
    let queue = Queue::standard(world, &[(QueueAttributeName::VisibilityTimeout, "0")]).await?;
    let call = queue.sqs.send_message().queue_url(&queue.url).message_body("hello");
    let call = call
        .message_attributes("app.a", text("1")?)
        .message_attributes("app.b", text("2")?)
        .message_attributes("c", text("3")?);
    done("send", call.send().await)?;
    for (asked, wanted) in [
        (vec![], vec![]),
        (vec!["c"], vec!["c"]),
        (vec!["app.*"], vec!["app.a", "app.b"]),
        (vec!["All"], vec!["app.a", "app.b", "c"]),
    ] {
        let names = asked.iter().map(|name| (*name).to_owned()).collect();
        let call = queue
            .sqs
            .receive_message()
            .queue_url(&queue.url)
            .wait_time_seconds(5)
            .set_message_attribute_names(Some(names));
        let messages = done("receive", call.send().await)?.messages.unwrap_or_default();
        let message = there("the message", messages.first())?;
        let seen: BTreeSet<_> = message
            .message_attributes()
            .into_iter()
            .flatten()
            .map(|(name, _)| name.as_str())
            .collect();
        equal(&format!("what comes for {asked:?}"), seen, wanted.into_iter().collect())?;
        holds(
            "system attributes were not asked for",
            message.attributes().is_none_or(|all| all.is_empty()),
        )?;
    }
    Ok(())
}

async fn deletion_is_idempotent(world: &World) -> Outcome {
    let queue = Queue::standard(world, &[(QueueAttributeName::VisibilityTimeout, "0")]).await?;
    queue.send("hello").await?;
    let message = queue.receive().await?;
    queue.delete(&message).await?;
    queue.delete(&message).await?;
    queue.nothing_is_there("after the deletion").await
}

async fn nonsense_is_no_receipt_handle(world: &World) -> Outcome {
    let queue = Queue::standard(world, &[]).await?;
    let answer = queue
        .sqs
        .delete_message()
        .queue_url(&queue.url)
        .receipt_handle("nonsense")
        .send()
        .await;
    refused("a handle that nobody gave", answer, &["ReceiptHandleIsInvalid"], "")
}

async fn batch_tells_what_became_of_each_entry(world: &World) -> Outcome {
    let queue = Queue::standard(world, &[]).await?;
    queue.send("hello").await?;
    let message = queue.receive().await?;
    let entry = |id: &str, handle: &str| {
        done(
            "name an entry",
            DeleteMessageBatchRequestEntry::builder()
                .id(id)
                .receipt_handle(handle)
                .build(),
        )
    };
    let call = queue.sqs.delete_message_batch().queue_url(&queue.url);
    let call = call
        .entries(entry("good", handle(&message))?)
        .entries(entry("bad", "nonsense")?);
    let answer = done("delete the batch", call.send().await)?;
    let good: Vec<_> = answer.successful().iter().map(|one| one.id()).collect();
    let bad: Vec<_> = answer
        .failed()
        .iter()
        .map(|one| (one.id(), one.code(), one.sender_fault()))
        .collect();
    equal("what went well", good, vec!["good"])?;
    equal("what did not", bad, vec![("bad", "ReceiptHandleIsInvalid", true)])
}

async fn send_batch(queue: &Queue, ids: Vec<String>) -> Result<impl std::fmt::Debug + use<>, aws_sdk_sqs::Error> {
    let entries = ids
        .iter()
        .map(|id| SendMessageBatchRequestEntry::builder().id(id).message_body("x").build());
    let entries = entries.collect::<Result<Vec<_>, _>>()?;
    Ok(queue
        .sqs
        .send_message_batch()
        .queue_url(&queue.url)
        .set_entries(Some(entries))
        .send()
        .await?)
}

async fn batch_of_equal_ids_is_refused(world: &World) -> Outcome {
    let queue = Queue::standard(world, &[]).await?;
    let codes = [
        "BatchEntryIdsNotDistinct",
        "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
    ];
    refused(
        "two entries of one id",
        send_batch(&queue, vec!["a".to_owned(), "a".to_owned()]).await,
        &codes,
        "",
    )
}

async fn batch_of_eleven_is_refused(world: &World) -> Outcome {
    let queue = Queue::standard(world, &[]).await?;
    let codes = [
        "TooManyEntriesInBatchRequest",
        "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
    ];
    refused(
        "eleven entries",
        send_batch(&queue, (0..11).map(|id| format!("id-{id}")).collect()).await,
        &codes,
        "",
    )
}

async fn message_over_the_limit_is_refused(world: &World) -> Outcome {
    let queue = Queue::standard(world, &[(QueueAttributeName::MaximumMessageSize, "1024")]).await?;
    queue.send(&"x".repeat(1024)).await?;
    let answer = queue
        .sqs
        .send_message()
        .queue_url(&queue.url)
        .message_body("x".repeat(1025))
        .send()
        .await;
    refused("1025 bytes", answer, &["InvalidParameterValue"], "1024")
}

async fn control_characters_are_refused(world: &World) -> Outcome {
    let queue = Queue::standard(world, &[]).await?;
    let answer = queue
        .sqs
        .send_message()
        .queue_url(&queue.url)
        .message_body("a\u{1}b")
        .send()
        .await;
    refused("a control character", answer, &["InvalidMessageContents"], "")
}

async fn empty_message_is_refused(world: &World) -> Outcome {
    let queue = Queue::standard(world, &[]).await?;
    let answer = queue
        .sqs
        .send_message()
        .queue_url(&queue.url)
        .message_body("")
        .send()
        .await;
    refused("an empty body", answer, &["MissingParameter"], "MessageBody")
}

async fn more_than_ten_messages_cannot_be_asked_for(world: &World) -> Outcome {
    let queue = Queue::standard(world, &[]).await?;
    let answer = queue
        .sqs
        .receive_message()
        .queue_url(&queue.url)
        .max_number_of_messages(11)
        .send()
        .await;
    refused(
        "eleven messages",
        answer,
        &["InvalidParameterValue"],
        "MaxNumberOfMessages",
    )
}

async fn waiting_longer_than_twenty_seconds_is_refused(world: &World) -> Outcome {
    let queue = Queue::standard(world, &[]).await?;
    let answer = queue
        .sqs
        .receive_message()
        .queue_url(&queue.url)
        .wait_time_seconds(21)
        .send()
        .await;
    refused("21 seconds", answer, &["InvalidParameterValue"], "WaitTimeSeconds")
}

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
