//! SQS: the way of a message through a standard queue.

use std::collections::BTreeSet;

use aws_sdk_sqs::types::{MessageAttributeValue, MessageSystemAttributeName, QueueAttributeName};

use crate::check::{Aws, Check, Failure, Outcome, check, done, equal, holds, refused, there};
use crate::queue::{Queue, bodies, handle, system};
use crate::world::World;

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
