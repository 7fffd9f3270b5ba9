//! Fills a queue, and never further than it bears.

use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::retry::RetryConfig;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use futures::{StreamExt, TryStreamExt, stream};
use penstock_tests::Error;
use penstock_tests::bridge::Queue;

use crate::bodies;
use crate::ledger::Ledger;

/// The most bytes of one call; SQS takes 1 MiB.
const LARGEST_CALL: usize = 900 << 10;

/// What is sent, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Feed {
    pub(crate) seed: u64,
    pub(crate) from: u32,
    pub(crate) to: u32,
    /// The most messages that may wait in the queue or be held.
    pub(crate) backlog: u64,
    /// Calls at once; one where order matters.
    pub(crate) senders: usize,
}

/// Sends the messages as fast as the backlog allows.
pub(crate) async fn feed(queue: &Queue, ledger: &Ledger, feed: Feed) -> Result<(), Error> {
    // A call that is made twice would send its messages twice.
    let config = aws_sdk_sqs::config::Builder::from(&queue.endpoint.config()).retry_config(RetryConfig::disabled());
    let client = Client::from_conf(config.build());
    let batches = stream::iter(batches(feed)).map(|numbers| {
        let client = &client;
        async move {
            while u64::from(numbers[0]).saturating_sub(ledger.deleted()) > feed.backlog {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            send(client, queue, feed.seed, &numbers).await
        }
    });
    batches.buffered(feed.senders).try_collect().await
}

/// Returns the numbers by calls: at most ten, and no more bytes than a call may have.
fn batches(feed: Feed) -> impl Iterator<Item = Vec<u32>> {
    let mut next = feed.from;
    std::iter::from_fn(move || {
        let (mut numbers, mut bytes) = (Vec::new(), 0);
        while next < feed.to && numbers.len() < 10 {
            bytes += bodies::body(feed.seed, next).len() + 200;
            if !numbers.is_empty() && bytes > LARGEST_CALL {
                break;
            }
            numbers.push(next);
            next += 1;
        }
        (!numbers.is_empty()).then_some(numbers)
    })
}

async fn send(client: &Client, queue: &Queue, seed: u64, numbers: &[u32]) -> Result<(), Error> {
    let failed = |reason: String| Error::Aws {
        step: "send messages".to_owned(),
        reason,
    };
    let entry = |number: &u32| {
        let entry = SendMessageBatchRequestEntry::builder()
            .id(number.to_string())
            .message_body(bodies::body(seed, *number));
        let entry = if queue.is_fifo() {
            entry
                .message_group_id(format!("customer-{}", bodies::group(*number)))
                .message_deduplication_id(number.to_string())
        } else {
            entry
        };
        entry.build().map_err(|error| failed(error.to_string()))
    };
    let entries: Vec<_> = numbers.iter().map(entry).collect::<Result<_, _>>()?;
    let call = client
        .send_message_batch()
        .queue_url(&queue.url)
        .set_entries(Some(entries));
    let answer = call
        .send()
        .await
        .map_err(|error| failed(aws_smithy_types::error::display::DisplayErrorContext(error).to_string()))?;
    match answer.failed().first() {
        Some(entry) => Err(failed(entry.code().to_owned())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_in_one_call_and_no_call_is_too_large() {
        let feed = Feed {
            seed: 1,
            from: 5,
            to: 30_000,
            backlog: 1,
            senders: 1,
        };
        let calls: Vec<_> = batches(feed).collect();
        assert_eq!(calls.concat(), (5..30_000).collect::<Vec<_>>());
        for call in calls {
            let bytes: usize = call.iter().map(|number| bodies::body(1, *number).len()).sum();
            assert!(call.len() <= 10 && bytes <= 1 << 20, "{bytes} bytes");
        }
    }
}
