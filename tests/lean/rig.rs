//! A queue with two clients: the SDK's, which sends and reads along, and the bridge's.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_sqs::types::{
    Message as SdkMessage, MessageAttributeValue, MessageSystemAttributeName as SystemAttribute, QueueAttributeName,
};
use penstock_bridge::source::sqs::SqsQueue;
use penstock_bridge::source::{Message, Receive, Room, Settle, Settled, Source, access};
use penstock_crds::SqsSource;
use penstock_tests::aws::Endpoint;
use penstock_tests::unique;
use serde_json::{Value, json};

/// How long a settlement may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// An SQS, and where it is known to depart from AWS's.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) endpoint: Endpoint,
    /// What a repeated receive attempt does.
    pub(crate) attempts: Attempts,
    /// Whether names that are too long are refused.
    pub(crate) checks_names: bool,
    /// Whether two who ask at the same moment may be given the same message.
    pub(crate) repeats_messages: bool,
}

/// What a repeated receive attempt does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attempts {
    /// As it should: it brings the same messages under the same receipts.
    BringTheSame,
    /// It brings the same messages.
    BringOtherReceipts,
    /// Nothing.
    AreNotRead,
}

/// A queue and its clients.
pub(crate) struct Queue {
    pub(crate) sqs: aws_sdk_sqs::Client,
    pub(crate) url: String,
    pub(crate) ours: SqsQueue,
}

impl Target {
    /// Makes a standard queue.
    pub(crate) async fn standard(&self) -> Queue {
        self.queue(&unique("lean"), &json!({})).await
    }

    /// Makes a FIFO queue.
    pub(crate) async fn fifo(&self) -> Queue {
        self.queue(&format!("{}.fifo", unique("lean")), &json!({})).await
    }

    /// Makes a queue that the bridge reads with these settings.
    pub(crate) async fn queue(&self, name: &str, settings: &Value) -> Queue {
        let sqs = self.endpoint.sqs();
        let mut call = sqs.create_queue().queue_name(name);
        if name.ends_with(".fifo") {
            call = call.attributes(QueueAttributeName::FifoQueue, "true");
        }
        let url = call.send().await.expect("a queue can be made").queue_url;
        let url = url.expect("it has a URL");
        let ours = self.reader(&url, settings).await;
        Queue { sqs, url, ours }
    }

    /// Returns the bridge's source for a queue.
    pub(crate) async fn reader(&self, url: &str, settings: &Value) -> SqsQueue {
        let mut all = json!({
            "queueUrl": url, "region": self.endpoint.region(), "maxMessages": 10, "waitTime": "2s",
            "visibilityTimeout": "600s", "attributes": true, "receivers": 1,
        });
        for (name, value) in settings.as_object().into_iter().flatten() {
            all[name] = value.clone();
        }
        let source: SqsSource = serde_json::from_value(all).expect("settings");
        let way = access::connect_by(&self.configuration().await, &source, "lean").await;
        SqsQueue::new(way, source)
    }

    /// Returns the configuration as a bridge loads it, with nothing taken from the environment that leads elsewhere.
    async fn configuration(&self) -> SdkConfig {
        let config = self.endpoint.config();
        let loader = aws_config::defaults(BehaviorVersion::latest())
            .region(config.region().cloned())
            .endpoint_url(self.endpoint.url())
            .credentials_provider(config.credentials_provider().expect("the endpoint has some"))
            .http_client(config.http_client().expect("the endpoint has one"));
        loader.load().await
    }
}

impl Queue {
    /// Sends a message with attributes, to a group on a FIFO queue.
    pub(crate) async fn send(&self, body: &str, group: Option<&str>, attributes: &[(&str, MessageAttributeValue)]) {
        let mut call = self.sqs.send_message().queue_url(&self.url).message_body(body);
        if let Some(group) = group {
            call = call.message_group_id(group).message_deduplication_id(unique("dedup"));
        }
        for (name, value) in attributes {
            call = call.message_attributes(*name, value.clone());
        }
        call.send().await.expect("a message can be sent");
    }

    /// Receives by the bridge's client.
    pub(crate) async fn receive(&self, max: u32, attempt: &str) -> Vec<Message> {
        let call = Receive {
            max,
            attempt: attempt.to_owned(),
            room: Room::unlimited(),
        };
        self.ours.receive(call).await.expect("messages can be received")
    }

    /// Receives by the bridge's client until so many different messages came, in the order of their coming.
    pub(crate) async fn receive_all(&self, count: usize) -> Vec<Message> {
        let mut all: Vec<Message> = Vec::new();
        while all.len() < count {
            let messages = self.receive(10, &unique("attempt")).await;
            assert!(!messages.is_empty(), "only {} of {count} messages came", all.len());
            all.extend(messages);
        }
        all
    }

    /// Receives by the SDK until so many different messages came, which stay visible.
    pub(crate) async fn look_at_all(&self, count: usize) -> BTreeMap<String, SdkMessage> {
        let mut all = BTreeMap::new();
        while all.len() < count {
            let call = self
                .sqs
                .receive_message()
                .queue_url(&self.url)
                .max_number_of_messages(10);
            let call = call.wait_time_seconds(2).visibility_timeout(0);
            let call = call
                .message_system_attribute_names(SystemAttribute::All)
                .message_attribute_names("All");
            let messages = call.send().await.expect("messages can be received").messages;
            let messages = messages.unwrap_or_default();
            assert!(!messages.is_empty(), "only {} of {count} messages came", all.len());
            all.extend(
                messages
                    .into_iter()
                    .map(|one| (one.message_id.clone().unwrap_or_default(), one)),
            );
        }
        all
    }

    /// Settles by the bridge's client.
    pub(crate) async fn settle(&self, request: Settle) -> Vec<Settled> {
        self.ours.settle(request, LIMIT).await.expect("messages can be settled")
    }

    /// Receives by the SDK what is visible now.
    pub(crate) async fn visible(&self) -> Vec<String> {
        let call = self
            .sqs
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(10);
        let call = call.wait_time_seconds(1).visibility_timeout(0);
        let messages = call.send().await.expect("messages can be received").messages;
        messages.into_iter().flatten().filter_map(|one| one.body).collect()
    }
}

/// Returns an attribute of text or a number.
pub(crate) fn text(kind: &str, value: &str) -> MessageAttributeValue {
    let attribute = MessageAttributeValue::builder().data_type(kind).string_value(value);
    attribute.build().expect("complete")
}
