//! SQS over the bridge's own client, alone.

use std::time::Duration;

use penstock_bridge::source::access::connect;
use penstock_bridge::source::sqs::SqsQueue;
use penstock_bridge::source::{Receipt, Receive, Room, Settle, Source};
use penstock_crds::SqsSource;
use penstock_tests::Error;

use super::{Args, Letter, Queue};

/// One queue.
pub(super) struct Sqs(SqsQueue);

impl Sqs {
    pub(super) async fn new(args: &Args) -> Self {
        let source = SqsSource {
            queue_url: args.queue_url.clone(),
            region: "eu-west-1".to_owned(),
            max_messages: 10,
            wait_time: penstock_crds::Duration::from_secs(1),
            visibility_timeout: penstock_crds::Duration::from_secs(30),
            attributes: false,
            assume_role: None,
            receivers: 1,
            deduplication_window: penstock_crds::Duration::from_secs(0),
        };
        Self(SqsQueue::new(connect(&source, "bench").await, source))
    }
}

impl Queue for Sqs {
    async fn receive(&self) -> Result<Vec<Letter>, Error> {
        let call = Receive {
            max: 10,
            attempt: String::new(),
            room: Room::unlimited(),
        };
        let messages = self.0.receive(call).await.map_err(|error| aws("receive", &error))?;
        let letters = messages.into_iter().map(|message| Letter {
            id: message.id,
            receipt: message.receipt.0,
            body: message.body,
        });
        Ok(letters.collect())
    }

    async fn delete(&self, receipts: Vec<String>) -> Result<(), Error> {
        let receipts = receipts.into_iter().map(Receipt).collect();
        let settled = self.0.settle(Settle::Delete(receipts), Duration::from_secs(8)).await;
        settled.map(drop).map_err(|error| aws("delete", &error))
    }
}

fn aws(step: &str, error: &dyn std::error::Error) -> Error {
    Error::Aws {
        step: step.to_owned(),
        reason: error.to_string(),
    }
}
