//! Queues of ElasticMQ, and a sender that writes down what it sent.

use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{MessageAttributeValue, QueueAttributeName, SendMessageBatchRequestEntry};
use futures::{StreamExt, stream};
use penstock_tests::elasticmq::ElasticMq;
use penstock_tests::{unique, wait_until};
use serde_json::json;

use crate::checker::Sent;

/// Batches under way at once.
const SENDERS: usize = 16;

/// A queue.
pub(crate) struct Queue {
    pub(crate) sqs: Client,
    pub(crate) url: String,
}

/// A message before it is sent.
#[derive(Debug, Clone)]
pub(crate) struct Letter {
    pub(crate) body: String,
    pub(crate) group: Option<String>,
    pub(crate) attributes: Vec<(&'static str, MessageAttributeValue)>,
}

impl Letter {
    /// Makes one for a standard queue.
    pub(crate) fn plain(body: impl Into<String>) -> Self {
        Self {
            body: body.into(),
            group: None,
            attributes: Vec::new(),
        }
    }

    /// Makes one of a group, for a FIFO queue.
    pub(crate) fn grouped(body: impl Into<String>, group: impl Into<String>) -> Self {
        Self {
            group: Some(group.into()),
            ..Self::plain(body)
        }
    }
}

/// Returns letters that differ from each other.
pub(crate) fn letters(count: usize) -> Vec<Letter> {
    (0..count)
        .map(|number| Letter::plain(json!({"n": number}).to_string()))
        .collect()
}

/// Returns letters that take turns over the groups.
pub(crate) fn letters_in_groups(count: usize, groups: usize) -> Vec<Letter> {
    let letter = |number: usize| {
        Letter::grouped(
            json!({"n": number}).to_string(),
            format!("customer-{}", number % groups),
        )
    };
    (0..count).map(letter).collect()
}

impl Queue {
    /// Makes a standard queue.
    pub(crate) async fn standard(attributes: &[(QueueAttributeName, String)]) -> Self {
        Self::create(unique("orders"), attributes).await
    }

    /// Makes a FIFO queue.
    pub(crate) async fn fifo() -> Self {
        Self::create(
            format!("{}.fifo", unique("orders")),
            &[(QueueAttributeName::FifoQueue, "true".to_owned())],
        )
        .await
    }

    async fn create(name: String, attributes: &[(QueueAttributeName, String)]) -> Self {
        let sqs = ElasticMq::shared().await.endpoint().sqs();
        let call = attributes
            .iter()
            .fold(sqs.create_queue().queue_name(name), |call, (name, value)| {
                call.attributes(name.clone(), value)
            });
        let url = call
            .send()
            .await
            .expect("the queue is made")
            .queue_url
            .expect("it has a URL");
        Self { sqs, url }
    }

    /// Returns its ARN.
    pub(crate) async fn arn(&self) -> String {
        self.attribute(QueueAttributeName::QueueArn).await
    }

    /// Sends everything and returns what was sent, in the order given. Groups stay in order: theirs is sent one batch after the other.
    pub(crate) async fn send(&self, letters: &[Letter]) -> Vec<Sent> {
        let ordered = letters.iter().any(|letter| letter.group.is_some());
        let numbered: Vec<(usize, &Letter)> = letters.iter().enumerate().collect();
        let batches = stream::iter(numbered.chunks(10).map(|batch| self.send_batch(batch)));
        let sent: Vec<Vec<Sent>> = batches.buffered(if ordered { 1 } else { SENDERS }).collect().await;
        sent.into_iter().flatten().collect()
    }

    async fn send_batch(&self, batch: &[(usize, &Letter)]) -> Vec<Sent> {
        let entries = batch.iter().map(|(number, letter)| entry(*number, letter)).collect();
        let call = self
            .sqs
            .send_message_batch()
            .queue_url(&self.url)
            .set_entries(Some(entries));
        let answer = call.send().await.expect("messages are sent");
        assert!(answer.failed().is_empty(), "{:?}", answer.failed());
        let id_of = |number: usize| {
            let entry = answer
                .successful()
                .iter()
                .find(|entry| entry.id() == number.to_string());
            entry.expect("every message is answered for").message_id().to_owned()
        };
        let sent = batch.iter().map(|(number, letter)| Sent {
            id: id_of(*number),
            number: *number,
            body: letter.body.clone(),
            group: letter.group.clone(),
        });
        sent.collect()
    }

    /// Returns how many messages wait, and how many somebody holds.
    pub(crate) async fn counts(&self) -> (u64, u64) {
        let number = |text: String| text.parse().expect("a number");
        let visible = self.attribute(QueueAttributeName::ApproximateNumberOfMessages).await;
        let held = self
            .attribute(QueueAttributeName::ApproximateNumberOfMessagesNotVisible)
            .await;
        (number(visible), number(held))
    }

    /// Waits until nothing is in it.
    pub(crate) async fn emptied(&self, timeout: Duration) {
        let empty = wait_until("an empty queue", timeout, || async {
            let counts = self.counts().await;
            if counts == (0, 0) {
                Ok(())
            } else {
                Err(format!("{} visible, {} held", counts.0, counts.1))
            }
        });
        empty.await.expect("the queue is emptied");
    }

    /// Takes what is visible, as another consumer would, and returns the bodies.
    pub(crate) async fn take(&self) -> Vec<String> {
        let call = self
            .sqs
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(10);
        let answer = call.send().await.expect("the queue answers");
        answer
            .messages()
            .iter()
            .map(|message| message.body().unwrap_or_default().to_owned())
            .collect()
    }

    /// Deletes one message unread, as a consumer would that deletes before it has stored.
    pub(crate) async fn lose_one(&self) -> String {
        let answer = self.sqs.receive_message().queue_url(&self.url).send().await;
        let message = answer
            .expect("the queue answers")
            .messages
            .unwrap_or_default()
            .remove(0);
        let deleting = self.sqs.delete_message().queue_url(&self.url);
        let deleted = deleting.set_receipt_handle(message.receipt_handle).send().await;
        deleted.expect("it is deleted");
        message.message_id.expect("it has an id")
    }

    async fn attribute(&self, name: QueueAttributeName) -> String {
        let call = self
            .sqs
            .get_queue_attributes()
            .queue_url(&self.url)
            .attribute_names(name.clone());
        let answer = call.send().await.expect("the queue's attributes");
        answer
            .attributes()
            .and_then(|all| all.get(&name))
            .cloned()
            .expect("the attribute asked for")
    }
}

fn entry(number: usize, letter: &Letter) -> SendMessageBatchRequestEntry {
    let entry = SendMessageBatchRequestEntry::builder()
        .id(number.to_string())
        .message_body(&letter.body)
        .set_message_group_id(letter.group.clone())
        .set_message_deduplication_id(letter.group.as_ref().map(|_| number.to_string()));
    let entry = letter.attributes.iter().fold(entry, |entry, (name, value)| {
        entry.message_attributes(*name, value.clone())
    });
    entry.build().expect("id and body are set")
}
