//! A queue with a backlog.

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use futures::{StreamExt, TryStreamExt, stream};
use penstock_tests::{Error, unique};

/// Batches that fill the queue at once.
const SENDERS: usize = 32;

/// The most that one batch may hold.
const LARGEST_BATCH: usize = 1 << 20;

/// Makes a queue and returns its URL.
pub(crate) async fn create(sqs: &Client) -> Result<String, Error> {
    let made = sqs.create_queue().queue_name(unique("bench")).send().await;
    let made = made.map_err(|error| aws("make a queue", &error))?;
    Ok(made.queue_url.unwrap_or_default())
}

/// Sends that many messages of that size.
pub(crate) async fn fill(sqs: &Client, queue_url: &str, messages: u64, bytes: usize) -> Result<(), Error> {
    let numbers: Vec<u64> = (0..messages).collect();
    let together = (LARGEST_BATCH / bytes.max(1)).clamp(1, 10);
    let batches = stream::iter(numbers.chunks(together).map(|batch| send(sqs, queue_url, batch, bytes)));
    batches.buffer_unordered(SENDERS).try_collect().await
}

async fn send(sqs: &Client, queue_url: &str, batch: &[u64], bytes: usize) -> Result<(), Error> {
    let entries = batch.iter().map(|number| {
        let entry = SendMessageBatchRequestEntry::builder().id(number.to_string());
        entry.message_body(body(*number, bytes)).build()
    });
    let entries: Vec<_> = entries
        .collect::<Result<_, _>>()
        .map_err(|error| aws("build a message", &error))?;
    let call = sqs.send_message_batch().queue_url(queue_url).set_entries(Some(entries));
    let sent = call.send().await.map_err(|error| aws("send messages", &error))?;
    match sent.failed().first() {
        Some(failed) => Err(Error::Aws {
            step: "send messages".to_owned(),
            reason: failed.code().to_owned(),
        }),
        None => Ok(()),
    }
}

/// Text that compresses about as well as JSON does: the same names, other digits.
fn body(number: u64, bytes: usize) -> String {
    let mut text = String::with_capacity(bytes + 32);
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    while text.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        text.push_str(&format!("{{\"order\":{state:016x}}},"));
    }
    text.truncate(bytes.max(1));
    text
}

fn aws(step: &str, error: &dyn std::error::Error) -> Error {
    Error::Aws {
        step: step.to_owned(),
        reason: error.to_string(),
    }
}
