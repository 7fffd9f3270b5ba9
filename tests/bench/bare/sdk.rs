//! SQS over the AWS SDK.

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::DeleteMessageBatchRequestEntry;
use penstock_tests::Error;
use penstock_tests::aws::Endpoint;

use super::{Args, Letter, Queue};

/// One queue.
pub(super) struct Sqs {
    client: Client,
    queue_url: String,
}

impl Sqs {
    pub(super) fn new(args: &Args) -> Result<Self, Error> {
        Ok(Self {
            client: Endpoint::new(&args.endpoint, &args.account, "eu-west-1")?.sqs(),
            queue_url: args.queue_url.clone(),
        })
    }
}

impl Queue for Sqs {
    async fn receive(&self) -> Result<Vec<Letter>, Error> {
        let call = self
            .client
            .receive_message()
            .queue_url(&self.queue_url)
            .max_number_of_messages(10)
            .wait_time_seconds(1);
        let answer = call.send().await.map_err(|error| aws("receive", &error))?;
        let letters = answer.messages.unwrap_or_default().into_iter().map(|message| Letter {
            id: message.message_id.unwrap_or_default(),
            receipt: message.receipt_handle.unwrap_or_default(),
            body: message.body.unwrap_or_default(),
        });
        Ok(letters.collect())
    }

    async fn delete(&self, receipts: Vec<String>) -> Result<(), Error> {
        let entries = receipts.into_iter().enumerate().map(|(place, receipt)| {
            DeleteMessageBatchRequestEntry::builder()
                .id(place.to_string())
                .receipt_handle(receipt)
                .build()
        });
        let entries: Vec<_> = entries
            .collect::<Result<_, _>>()
            .map_err(|error| aws("build a delete", &error))?;
        let call = self
            .client
            .delete_message_batch()
            .queue_url(&self.queue_url)
            .set_entries(Some(entries));
        call.send().await.map(drop).map_err(|error| aws("delete", &error))
    }
}

fn aws(step: &str, error: &dyn std::error::Error) -> Error {
    Error::Aws {
        step: step.to_owned(),
        reason: error.to_string(),
    }
}
