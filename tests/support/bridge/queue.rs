//! Queues of ElasticMQ, and a sender that writes down what it sent.

use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{MessageAttributeValue, QueueAttributeName, SendMessageBatchRequestEntry};
use futures::{StreamExt, stream};
use serde_json::json;

use super::checker::Sent;
use crate::aws::Endpoint;
use crate::elasticmq::ElasticMq;
use crate::{unique, wait_until};

/// Batches under way at once.
const SENDERS: usize = 16;

/// How long calls that were made may take to show in the counts; far less than the leases of those who look.
const SETTLED: Duration = Duration::from_secs(10);

/// The most bytes of one message.
const LARGEST: usize = 1 << 20;

/// A queue.
pub struct Queue {
    /// Where it is.
    pub endpoint: Endpoint,
    /// A client that reaches it directly.
    pub sqs: Client,
    /// Its address there.
    pub url: String,
    name: String,
    attributes: Vec<(QueueAttributeName, String)>,
}

/// A message before it is sent.
#[derive(Debug, Clone)]
pub struct Letter {
    /// What it says.
    pub body: String,
    /// Its group, for a FIFO queue.
    pub group: Option<String>,
    /// Its attributes by name.
    pub attributes: Vec<(&'static str, MessageAttributeValue)>,
}

impl Letter {
    /// Makes one for a standard queue.
    pub fn plain(body: impl Into<String>) -> Self {
        Self {
            body: body.into(),
            group: None,
            attributes: Vec::new(),
        }
    }

    /// Makes one of a group, for a FIFO queue.
    pub fn grouped(body: impl Into<String>, group: impl Into<String>) -> Self {
        Self {
            group: Some(group.into()),
            ..Self::plain(body)
        }
    }
}

/// Returns letters that differ from each other.
pub fn letters(count: usize) -> Vec<Letter> {
    (0..count)
        .map(|number| Letter::plain(json!({"n": number}).to_string()))
        .collect()
}

/// Returns letters that take turns over the groups.
pub fn letters_in_groups(count: usize, groups: usize) -> Vec<Letter> {
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
    pub async fn standard(attributes: &[(QueueAttributeName, String)]) -> Self {
        Self::create(unique("orders"), attributes).await
    }

    /// Makes a FIFO queue.
    pub async fn fifo() -> Self {
        Self::fifo_with(&[]).await
    }

    /// Makes a FIFO queue with attributes.
    pub async fn fifo_with(attributes: &[(QueueAttributeName, String)]) -> Self {
        let fifo = (QueueAttributeName::FifoQueue, "true".to_owned());
        let attributes: Vec<_> = std::iter::once(fifo).chain(attributes.iter().cloned()).collect();
        Self::create(format!("{}.fifo", unique("orders")), &attributes).await
    }

    /// Makes one of each kind.
    pub async fn of_each_kind() -> [Self; 2] {
        [Self::standard(&[]).await, Self::fifo().await]
    }

    async fn create(name: String, attributes: &[(QueueAttributeName, String)]) -> Self {
        Self::create_at(ElasticMq::shared().await.endpoint(), name, attributes).await
    }

    /// Makes a queue of that name somewhere.
    pub async fn create_at(endpoint: &Endpoint, name: String, attributes: &[(QueueAttributeName, String)]) -> Self {
        let mut queue = Self {
            endpoint: endpoint.clone(),
            sqs: endpoint.sqs(),
            url: String::new(),
            name,
            attributes: attributes.to_vec(),
        };
        queue.url = queue.make().await;
        queue
    }

    /// Makes it, or makes it again, and returns its address.
    pub async fn make(&self) -> String {
        let call = self
            .attributes
            .iter()
            .fold(self.sqs.create_queue().queue_name(&self.name), |call, (name, value)| {
                call.attributes(name.clone(), value)
            });
        let made = call.send().await.expect("the queue is made");
        made.queue_url.expect("it has a URL")
    }

    /// Deletes it with everything in it.
    pub async fn remove(&self) {
        let call = self.sqs.delete_queue().queue_url(&self.url);
        call.send().await.expect("the queue is deleted");
    }

    /// Whether it keeps the order within groups.
    pub fn is_fifo(&self) -> bool {
        self.url.ends_with(".fifo")
    }

    /// Returns letters that suit it, in twenty groups where it has groups.
    pub fn letters(&self, count: usize) -> Vec<Letter> {
        if self.is_fifo() {
            letters_in_groups(count, 20)
        } else {
            letters(count)
        }
    }

    /// Returns letters as large as they may be, to be sent singly; in fifty groups where it has groups.
    pub fn largest_letters(&self, count: usize) -> Vec<Letter> {
        let letter = |number: usize| {
            let body = format!("{number:08}").repeat(LARGEST / 8);
            if self.is_fifo() {
                Letter::grouped(body, format!("customer-{}", number % 50))
            } else {
                Letter::plain(body)
            }
        };
        (0..count).map(letter).collect()
    }

    /// Returns its ARN.
    pub async fn arn(&self) -> String {
        let [arn] = self.attributes([QueueAttributeName::QueueArn]).await;
        arn
    }

    /// Sends everything and returns what was sent, in the order given. Groups stay in order: theirs is sent one batch after the other.
    pub async fn send(&self, letters: &[Letter]) -> Vec<Sent> {
        self.send_numbered(0, letters, 10).await
    }

    /// As [`Queue::send`], for more of what was sent before.
    pub async fn send_after(&self, before: &[Sent], letters: &[Letter]) -> Vec<Sent> {
        self.send_numbered(before.len(), letters, 10).await
    }

    /// As [`Queue::send_after`], a message a call, for messages so large that two do not fit.
    pub async fn send_singly_after(&self, before: &[Sent], letters: &[Letter]) -> Vec<Sent> {
        self.send_numbered(before.len(), letters, 1).await
    }

    async fn send_numbered(&self, first: usize, letters: &[Letter], at_once: usize) -> Vec<Sent> {
        let ordered = letters.iter().any(|letter| letter.group.is_some());
        let numbered: Vec<(usize, &Letter)> = (first..).zip(letters).collect();
        let batches = stream::iter(numbered.chunks(at_once).map(|batch| self.send_batch(batch)));
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
    pub async fn counts(&self) -> (u64, u64) {
        // One call: between two a message may go from the one to the other.
        let names = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        ];
        let [visible, held] = self.attributes(names).await;
        let number = |text: String| text.parse().expect("a number");
        (number(visible), number(held))
    }

    /// Waits until nothing is in it.
    pub async fn emptied(&self, timeout: Duration) {
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

    /// Waits a moment until nobody holds anything, and returns how many messages are visible: a call that a bridge made at its end may take
    /// effect after it. Leases that have to run out first are not waited for.
    pub async fn given_back(&self) -> u64 {
        let free = wait_until("a queue of which nobody holds anything", SETTLED, || async {
            match self.counts().await {
                (visible, 0) => Ok(visible),
                (visible, held) => Err(format!("{visible} visible, {held} held")),
            }
        });
        free.await.expect("a message is still held")
    }

    /// Takes what is visible, as another consumer would, and returns the bodies.
    pub async fn take(&self) -> Vec<String> {
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
    pub async fn lose_one(&self) -> String {
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

    async fn attributes<const N: usize>(&self, names: [QueueAttributeName; N]) -> [String; N] {
        let call = self
            .sqs
            .get_queue_attributes()
            .queue_url(&self.url)
            .set_attribute_names(Some(names.to_vec()));
        let answer = call.send().await.expect("the queue's attributes");
        names.map(|name| {
            let attribute = answer.attributes().and_then(|all| all.get(&name));
            attribute.cloned().expect("the attribute asked for")
        })
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
