//! What the checks on queues share.

use aws_sdk_sqs::operation::receive_message::builders::ReceiveMessageFluentBuilder;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName, QueueAttributeName};

use crate::check::{Failure, Outcome, done, equal, there};
use crate::made::Made;
use crate::world::World;

/// A queue and its client.
pub(crate) struct Queue {
    /// The client.
    pub(crate) sqs: aws_sdk_sqs::Client,
    /// The queue's URL.
    pub(crate) url: String,
}

impl Queue {
    /// Creates a standard queue.
    pub(crate) async fn standard(world: &World, attributes: &[(QueueAttributeName, &str)]) -> Result<Self, Failure> {
        Self::named(world, &world.name("queue"), attributes).await
    }

    /// Creates a FIFO queue.
    pub(crate) async fn fifo(world: &World, attributes: &[(QueueAttributeName, &str)]) -> Result<Self, Failure> {
        let all = [attributes, &[(QueueAttributeName::FifoQueue, "true")]].concat();
        Self::named(world, &format!("{}.fifo", world.name("queue")), &all).await
    }

    /// Creates a queue of this name.
    pub(crate) async fn named(
        world: &World,
        name: &str,
        attributes: &[(QueueAttributeName, &str)],
    ) -> Result<Self, Failure> {
        let sqs = world.sqs();
        let attributes = attributes
            .iter()
            .map(|(name, value)| (name.clone(), (*value).to_owned()))
            .collect();
        let answer = sqs
            .create_queue()
            .queue_name(name)
            .set_attributes(Some(attributes))
            .send()
            .await;
        let url = there("the queue's URL", done("create a queue", answer)?.queue_url)?;
        world.note(Made::Queue(url.clone()));
        Ok(Self { sqs, url })
    }

    /// Sends a message to a standard queue.
    pub(crate) async fn send(&self, body: &str) -> Outcome {
        done(
            "send",
            self.sqs
                .send_message()
                .queue_url(&self.url)
                .message_body(body)
                .send()
                .await,
        )
        .map(drop)
    }

    /// Sends a message to a group of a FIFO queue; its body is its deduplication id.
    pub(crate) async fn send_to(&self, group: &str, body: &str) -> Outcome {
        let call = self
            .sqs
            .send_message()
            .queue_url(&self.url)
            .message_body(body)
            .message_group_id(group);
        done("send", call.message_deduplication_id(body).send().await).map(drop)
    }

    /// Prepares a receive of one message that waits for up to five seconds and asks for all system attributes.
    pub(crate) fn receiving(&self) -> ReceiveMessageFluentBuilder {
        let call = self.sqs.receive_message().queue_url(&self.url).wait_time_seconds(5);
        call.message_system_attribute_names(MessageSystemAttributeName::All)
    }

    /// Receives one message.
    pub(crate) async fn receive(&self) -> Result<Message, Failure> {
        let messages = done("receive", self.receiving().send().await)?
            .messages
            .unwrap_or_default();
        there("a message", messages.into_iter().next())
    }

    /// Receives until so many messages are there; stops at the first receive that brings nothing.
    pub(crate) async fn receive_up_to(&self, number: usize) -> Result<Vec<Message>, Failure> {
        let mut all = Vec::new();
        while all.len() < number {
            let answer = done("receive", self.receiving().max_number_of_messages(10).send().await)?;
            let messages = answer.messages.unwrap_or_default();
            if messages.is_empty() {
                break;
            }
            all.extend(messages);
        }
        Ok(all)
    }

    /// Holds that a receive that waits for a second brings nothing.
    pub(crate) async fn nothing_is_there(&self, when: &str) -> Outcome {
        let answer = done(
            "receive",
            self.receiving()
                .wait_time_seconds(1)
                .max_number_of_messages(10)
                .send()
                .await,
        )?;
        equal(&format!("what is received {when}"), bodies(answer.messages()), vec![])
    }

    /// Deletes a message.
    pub(crate) async fn delete(&self, message: &Message) -> Outcome {
        let call = self
            .sqs
            .delete_message()
            .queue_url(&self.url)
            .receipt_handle(handle(message));
        done("delete", call.send().await).map(drop)
    }

    /// Sets how long a received message stays hidden from now on.
    pub(crate) async fn hide(&self, message: &Message, seconds: i32) -> Outcome {
        let call = self
            .sqs
            .change_message_visibility()
            .queue_url(&self.url)
            .receipt_handle(handle(message));
        done("change the visibility", call.visibility_timeout(seconds).send().await).map(drop)
    }

    /// Returns an attribute of the queue.
    pub(crate) async fn attribute(&self, name: QueueAttributeName) -> Result<String, Failure> {
        let call = self
            .sqs
            .get_queue_attributes()
            .queue_url(&self.url)
            .attribute_names(QueueAttributeName::All);
        let attributes = done("get attributes", call.send().await)?
            .attributes
            .unwrap_or_default();
        there(name.as_str(), attributes.get(&name).cloned())
    }
}

/// Returns the bodies of messages.
pub(crate) fn bodies(messages: &[Message]) -> Vec<String> {
    messages
        .iter()
        .filter_map(|message| message.body().map(str::to_owned))
        .collect()
}

/// Returns a message's receipt handle.
pub(crate) fn handle(message: &Message) -> &str {
    message.receipt_handle().unwrap_or_default()
}

/// Returns a system attribute of a message.
pub(crate) fn system(message: &Message, name: MessageSystemAttributeName) -> Option<String> {
    message
        .attributes()
        .and_then(|attributes| attributes.get(&name).cloned())
}
