//! SQS: batches, and requests that are refused.

use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, QueueAttributeName, SendMessageBatchRequestEntry};

use crate::check::{Aws, Check, Outcome, check, done, equal, refused};
use crate::queue::{Queue, handle};
use crate::world::World;

pub(crate) const CHECKS: &[Check] = &[
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
];

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
