//! SQS: FIFO queues.

use aws_sdk_sqs::types::{MessageSystemAttributeName, QueueAttributeName};

use crate::check::{Aws, Check, Failure, Outcome, check, done, equal, holds, refused, there};
use crate::queue::{Queue, bodies, handle, system};
use crate::world::World;

pub(crate) const CHECKS: &[Check] = &[
    check!(
        group_comes_in_order,
        Aws::Free,
        "SQS Developer Guide, FIFO delivery logic"
    ),
    check!(
        group_is_closed_while_one_of_it_is_in_flight,
        Aws::Free,
        "SQS Developer Guide, FIFO delivery logic"
    ),
    check!(
        deleting_the_held_message_opens_the_group,
        Aws::Free,
        "SQS Developer Guide, FIFO delivery logic"
    ),
    check!(
        repeated_deduplication_id_is_not_sent_again,
        Aws::Free,
        "SQS Developer Guide, Exactly-once processing"
    ),
    check!(
        deduplication_outlasts_the_message,
        Aws::Free,
        "SQS Developer Guide, Message deduplication ID"
    ),
    check!(
        content_can_be_the_deduplication_id,
        Aws::Free,
        "SQS API, SetQueueAttributes: ContentBasedDeduplication"
    ),
    check!(sequence_numbers_rise, Aws::Free, "SQS API, SendMessage: SequenceNumber"),
    check!(
        fifo_message_names_group_and_deduplication,
        Aws::Free,
        "SQS API, ReceiveMessage: MessageGroupId, MessageDeduplicationId, SequenceNumber"
    ),
    check!(
        repeated_receive_attempt_brings_the_same_messages,
        Aws::Free,
        "SQS API, ReceiveMessage: ReceiveRequestAttemptId"
    ),
    check!(fifo_needs_a_group, Aws::Free, "SQS API, SendMessage: MessageGroupId"),
    check!(
        fifo_needs_a_deduplication_id,
        Aws::Free,
        "SQS API, SendMessage: MessageDeduplicationId"
    ),
    check!(
        fifo_message_has_no_delay_of_its_own,
        Aws::Free,
        "SQS API, SendMessage: DelaySeconds"
    ),
    check!(
        fifo_queue_needs_its_suffix,
        Aws::Free,
        "SQS API, CreateQueue: FifoQueue"
    ),
    check!(
        fifo_dead_letters_keep_their_group,
        Aws::Free,
        "SQS Developer Guide, Dead-letter queues"
    ),
];

const LONG: (QueueAttributeName, &str) = (QueueAttributeName::VisibilityTimeout, "600");

async fn group_comes_in_order(world: &World) -> Outcome {
    let queue = Queue::fifo(world, &[LONG]).await?;
    let sent: Vec<String> = (0..5).map(|number| format!("m{number}")).collect();
    for body in &sent {
        queue.send_to("g", body).await?;
    }
    let mut seen = Vec::new();
    while seen.len() < sent.len() {
        let messages = queue.receive_up_to(1).await?;
        holds("there is more", !messages.is_empty())?;
        for message in &messages {
            queue.delete(message).await?;
        }
        seen.extend(bodies(&messages));
    }
    equal("the order", seen, sent)
}

async fn group_is_closed_while_one_of_it_is_in_flight(world: &World) -> Outcome {
    let queue = Queue::fifo(world, &[LONG]).await?;
    queue.send_to("g", "g1").await?;
    let held = queue.receive().await?;
    queue.send_to("g", "g2").await?;
    queue.send_to("h", "h1").await?;
    equal("what comes of another group", queue.receive().await?.body(), Some("h1"))?;
    queue.nothing_is_there("while both groups are closed").await?;
    queue.hide(&held, 0).await?;
    equal(
        "what comes first again",
        queue.receive_up_to(1).await?.first().and_then(|one| one.body()),
        Some("g1"),
    )
}

async fn deleting_the_held_message_opens_the_group(world: &World) -> Outcome {
    let queue = Queue::fifo(world, &[LONG]).await?;
    queue.send_to("g", "g1").await?;
    let held = queue.receive().await?;
    queue.send_to("g", "g2").await?;
    queue.nothing_is_there("while the group is closed").await?;
    queue.delete(&held).await?;
    equal("what comes next", queue.receive().await?.body(), Some("g2"))
}

/// Sends, and returns the message id and the sequence number.
async fn sent(queue: &Queue, group: &str, body: &str, dedup: Option<&str>) -> Result<(String, String), Failure> {
    let call = queue
        .sqs
        .send_message()
        .queue_url(&queue.url)
        .message_group_id(group)
        .message_body(body);
    let answer = done(
        "send",
        call.set_message_deduplication_id(dedup.map(str::to_owned)).send().await,
    )?;
    Ok((
        there("the id", answer.message_id)?,
        there("the sequence number", answer.sequence_number)?,
    ))
}

async fn repeated_deduplication_id_is_not_sent_again(world: &World) -> Outcome {
    let queue = Queue::fifo(world, &[LONG]).await?;
    for body in ["first", "second"] {
        let call = queue
            .sqs
            .send_message()
            .queue_url(&queue.url)
            .message_group_id("g")
            .message_body(body);
        done("send", call.message_deduplication_id("d").send().await)?;
    }
    equal(
        "what is received",
        bodies(&queue.receive_up_to(2).await?),
        vec!["first".to_owned()],
    )
}

async fn deduplication_outlasts_the_message(world: &World) -> Outcome {
    let queue = Queue::fifo(world, &[LONG]).await?;
    queue.send_to("g", "once").await?;
    queue.delete(&queue.receive().await?).await?;
    queue.send_to("g", "once").await?;
    queue.nothing_is_there("after the repetition").await
}

async fn content_can_be_the_deduplication_id(world: &World) -> Outcome {
    let queue = Queue::fifo(world, &[LONG, (QueueAttributeName::ContentBasedDeduplication, "true")]).await?;
    for body in ["a", "a", "b"] {
        let call = queue
            .sqs
            .send_message()
            .queue_url(&queue.url)
            .message_group_id("g")
            .message_body(body);
        done("send", call.send().await)?;
    }
    equal(
        "what is received",
        bodies(&queue.receive_up_to(2).await?),
        vec!["a".to_owned(), "b".to_owned()],
    )
}

async fn sequence_numbers_rise(world: &World) -> Outcome {
    let queue = Queue::fifo(world, &[LONG]).await?;
    let mut numbers = Vec::new();
    for (group, body) in [("g", "1"), ("h", "2"), ("g", "3")] {
        numbers.push(
            sent(&queue, group, body, Some(body))
                .await?
                .1
                .parse::<u128>()
                .unwrap_or_default(),
        );
    }
    holds(
        &format!("they rise within a group: {numbers:?}"),
        0 < numbers[0] && numbers[0] < numbers[2],
    )?;
    let again = sent(&queue, "g", "3", Some("3")).await?.1;
    equal(
        "the number of a repetition",
        again.parse::<u128>().unwrap_or_default(),
        numbers[2],
    )
}

async fn fifo_message_names_group_and_deduplication(world: &World) -> Outcome {
    let queue = Queue::fifo(world, &[LONG]).await?;
    let call = queue
        .sqs
        .send_message()
        .queue_url(&queue.url)
        .message_group_id("g")
        .message_body("x");
    let number = done("send", call.message_deduplication_id("d").send().await)?.sequence_number;
    let message = queue.receive().await?;
    equal(
        "the group",
        system(&message, MessageSystemAttributeName::MessageGroupId).as_deref(),
        Some("g"),
    )?;
    equal(
        "the deduplication id",
        system(&message, MessageSystemAttributeName::MessageDeduplicationId).as_deref(),
        Some("d"),
    )?;
    holds("the answer has a sequence number", number.is_some())?;
    equal(
        "the sequence number",
        system(&message, MessageSystemAttributeName::SequenceNumber),
        number,
    )
}

async fn repeated_receive_attempt_brings_the_same_messages(world: &World) -> Outcome {
    let queue = Queue::fifo(world, &[LONG]).await?;
    for body in ["a", "b"] {
        queue.send_to("g", body).await?;
    }
    let attempt = || {
        queue
            .receiving()
            .max_number_of_messages(10)
            .receive_request_attempt_id("attempt-1")
    };
    let first = done("receive", attempt().send().await)?.messages.unwrap_or_default();
    let again = done("receive again", attempt().send().await)?
        .messages
        .unwrap_or_default();
    equal("the messages", bodies(&first), vec!["a".to_owned(), "b".to_owned()])?;
    equal("the messages of the repetition", bodies(&again), bodies(&first))?;
    let handles = |messages: &[aws_sdk_sqs::types::Message]| {
        messages.iter().map(|one| handle(one).to_owned()).collect::<Vec<_>>()
    };
    equal("the handles of the repetition", handles(&again), handles(&first))
}

async fn fifo_needs_a_group(world: &World) -> Outcome {
    let queue = Queue::fifo(world, &[]).await?;
    let call = queue
        .sqs
        .send_message()
        .queue_url(&queue.url)
        .message_body("x")
        .message_deduplication_id("d");
    refused(
        "a message without a group",
        call.send().await,
        &["MissingParameter"],
        "MessageGroupId",
    )
}

async fn fifo_needs_a_deduplication_id(world: &World) -> Outcome {
    let queue = Queue::fifo(world, &[]).await?;
    let call = queue
        .sqs
        .send_message()
        .queue_url(&queue.url)
        .message_body("x")
        .message_group_id("g");
    refused(
        "a message without a deduplication id",
        call.send().await,
        &["InvalidParameterValue"],
        "",
    )
}

async fn fifo_message_has_no_delay_of_its_own(world: &World) -> Outcome {
    let queue = Queue::fifo(world, &[]).await?;
    let call = queue
        .sqs
        .send_message()
        .queue_url(&queue.url)
        .message_body("x")
        .message_group_id("g");
    let answer = call.message_deduplication_id("d").delay_seconds(5).send().await;
    refused("a delay", answer, &["InvalidParameterValue"], "DelaySeconds")
}

async fn fifo_queue_needs_its_suffix(world: &World) -> Outcome {
    let call = world
        .sqs()
        .create_queue()
        .queue_name(world.name("queue"))
        .attributes(QueueAttributeName::FifoQueue, "true");
    refused(
        "a FIFO queue without .fifo",
        call.send().await,
        &["InvalidParameterValue"],
        "",
    )
}

async fn fifo_dead_letters_keep_their_group(world: &World) -> Outcome {
    let dead = Queue::fifo(world, &[LONG]).await?;
    let target = dead.attribute(QueueAttributeName::QueueArn).await?;
    let policy = format!(r#"{{"deadLetterTargetArn":"{target}","maxReceiveCount":"1"}}"#);
    let queue = Queue::fifo(world, &[LONG, (QueueAttributeName::RedrivePolicy, &policy)]).await?;
    queue.send_to("g", "poison").await?;
    queue.send_to("g", "good").await?;
    let message = there(
        "a message",
        done("receive", queue.receiving().max_number_of_messages(1).send().await)?
            .messages
            .and_then(|all| all.into_iter().next()),
    )?;
    queue.hide(&message, 0).await?;
    equal(
        "what comes after the poison",
        queue.receive().await?.body(),
        Some("good"),
    )?;
    let moved = dead.receive().await?;
    equal("the dead letter", moved.body(), Some("poison"))?;
    equal(
        "its group",
        system(&moved, MessageSystemAttributeName::MessageGroupId).as_deref(),
        Some("g"),
    )
}
