//! SNS: topics that deliver to SQS queues.
//!
//! Not modelled: other protocols than `sqs`, filter policies, and signatures that anyone could verify.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::ids::Ids;
use super::sqs::Send;
use super::sqs::dedup::{Dedup, Sent};
use super::{Answer, Call, Fault, Millis, Now, Scope, input};

mod envelope;
mod subscription;
mod topic;

use envelope::Envelope;
use subscription::Subscription;
use topic::Topic;

/// The most bytes of a message: 256 KiB.
const MOST_BYTES: usize = 262_144;

/// The most characters of a subject.
const MOST_SUBJECT: usize = 100;

/// How many topics or subscriptions one page has.
const PAGE: usize = 100;

/// All topics of one account and region.
#[derive(Debug, Default)]
pub struct Sns {
    /// What was published and not yet put into queues.
    pub outbox: Vec<Delivery>,
    /// Where message ids come from.
    pub ids: Ids,
    topics: BTreeMap<String, Topic>,
    subscriptions: BTreeMap<String, Subscription>,
}

/// A message on its way to a queue.
#[derive(Debug)]
pub struct Delivery {
    /// The queue's account and region.
    pub scope: Scope,
    /// The queue's name.
    pub queue: String,
    /// The message.
    pub send: Send,
}

/// What somebody publishes.
#[derive(Debug, Default)]
struct Publication {
    subject: Option<String>,
    message: String,
    attributes: Map<String, Value>,
    group_id: Option<String>,
    dedup_id: Option<String>,
}

impl Sns {
    /// Answers one call.
    pub fn handle(&mut self, call: &Call<'_>) -> Answer {
        match call.operation {
            "CreateTopic" => self.create(call),
            "DeleteTopic" => self.delete(call),
            "ListTopics" => self.list(call),
            "GetTopicAttributes" => self.attributes(call),
            "SetTopicAttributes" => self.set_attribute(call),
            "Subscribe" => self.subscribe(call),
            "Unsubscribe" => self.unsubscribe(call),
            "ListSubscriptionsByTopic" => self.list_subscriptions(call, Some(input::required(call.input, "TopicArn"))),
            "ListSubscriptions" => self.list_subscriptions(call, None),
            "Publish" => self.answer_publish(call),
            "TagResource" => self.tagged(call)?.tag(call.input),
            "ListTagsForResource" => Ok(json!({"Tags": self.tagged(call)?.printed_tags()})),
            _ => Err(call.unknown_operation()),
        }
    }

    /// Publishes to a topic of this account and region and returns the message id; the outbox has what follows from it.
    pub fn publish(
        &mut self,
        topic_arn: &str,
        subject: Option<&str>,
        message: &str,
        now: Now,
    ) -> Result<String, Fault> {
        let publication = Publication {
            subject: subject.map(str::to_owned),
            message: message.to_owned(),
            ..Publication::default()
        };
        Ok(self.send_out(topic_arn, publication, now.real)?.message_id)
    }

    fn create(&mut self, call: &Call<'_>) -> Answer {
        let name = input::required(call.input, "Name");
        let arn = call.scope.arn("sns", name);
        let topic = Topic::new(name, &arn, call.scope, call.input)?;
        if let Some(existing) = self.topics.get(&arn) {
            existing.check_same(&topic)?;
        } else {
            self.topics.insert(arn.clone(), topic);
        }
        Ok(json!({"TopicArn": arn}))
    }

    fn delete(&mut self, call: &Call<'_>) -> Answer {
        let arn = input::required(call.input, "TopicArn");
        // Deleting a topic that is gone succeeds, as on AWS; its subscriptions stay without it there, and go with it here.
        self.topics.remove(arn);
        self.subscriptions
            .retain(|_, subscription| subscription.topic_arn != arn);
        Ok(json!({}))
    }

    fn list(&self, call: &Call<'_>) -> Answer {
        let topics = self.topics.keys().map(|arn| (arn, json!({"TopicArn": arn})));
        Ok(page(call.input, "Topics", topics))
    }

    fn attributes(&mut self, call: &Call<'_>) -> Answer {
        let arn = input::required(call.input, "TopicArn");
        let subscribed = self
            .subscriptions
            .values()
            .filter(|subscription| subscription.topic_arn == arn)
            .count();
        Ok(json!({"Attributes": self.topic(arn)?.printed(subscribed)}))
    }

    fn set_attribute(&mut self, call: &Call<'_>) -> Answer {
        let name = input::required(call.input, "AttributeName");
        let value = input::text(call.input, "AttributeValue").unwrap_or_default();
        self.topic(input::required(call.input, "TopicArn"))?.set(name, value)?;
        Ok(json!({}))
    }

    fn subscribe(&mut self, call: &Call<'_>) -> Answer {
        let topic_arn = input::required(call.input, "TopicArn").to_owned();
        let fifo = self.topic(&topic_arn)?.fifo;
        let subscription = Subscription::new(call, &topic_arn, fifo, &mut self.ids)?;
        let same = self
            .subscriptions
            .values()
            .find(|other| other.is_for(&topic_arn, &subscription.endpoint));
        let arn = match same {
            Some(existing) => {
                existing.check_same(&subscription)?;
                existing.arn.clone()
            }
            None => {
                let arn = subscription.arn.clone();
                self.subscriptions.insert(arn.clone(), subscription);
                arn
            }
        };
        Ok(json!({"SubscriptionArn": arn}))
    }

    fn unsubscribe(&mut self, call: &Call<'_>) -> Answer {
        self.subscriptions
            .remove(input::required(call.input, "SubscriptionArn"));
        Ok(json!({}))
    }

    fn list_subscriptions(&mut self, call: &Call<'_>, topic_arn: Option<&str>) -> Answer {
        if let Some(arn) = topic_arn {
            self.topic(arn)?;
        }
        let chosen = self
            .subscriptions
            .iter()
            .filter(|(_, one)| topic_arn.is_none_or(|arn| one.topic_arn == arn));
        Ok(page(
            call.input,
            "Subscriptions",
            chosen.map(|(arn, one)| (arn, one.printed())),
        ))
    }

    fn answer_publish(&mut self, call: &Call<'_>) -> Answer {
        let text = |name: &str| input::text(call.input, name).map(str::to_owned);
        let publication = Publication {
            subject: text("Subject"),
            message: text("Message").unwrap_or_default(),
            attributes: input::map(call.input, "MessageAttributes").cloned().unwrap_or_default(),
            group_id: text("MessageGroupId"),
            dedup_id: text("MessageDeduplicationId"),
        };
        let arn =
            text("TopicArn").ok_or_else(|| invalid("TopicArn is required: localcloud publishes to topics only"))?;
        let fifo = self.topic(&arn)?.fifo;
        let sent = self.send_out(&arn, publication, call.now.real)?;
        let number = fifo.then_some(sent.sequence_number);
        Ok(json!({"MessageId": sent.message_id, "SequenceNumber": number}))
    }

    fn send_out(&mut self, topic_arn: &str, publication: Publication, now: Millis) -> Result<Sent, Fault> {
        publication.check()?;
        let id = self.ids.uuid();
        let topic = self.topics.get_mut(topic_arn).ok_or_else(not_found)?;
        let (sent, repeated) = topic.accept(&publication, id, now)?;
        if repeated {
            return Ok(sent);
        }
        let dedup_id = topic.dedup_id(&publication)?;
        let envelope = Envelope {
            topic_arn,
            message_id: &sent.message_id,
            publication: &publication,
            now,
        };
        let subscribed = self
            .subscriptions
            .values()
            .filter(|subscription| subscription.topic_arn == topic_arn);
        self.outbox.extend(subscribed.filter_map(|subscription| {
            let mut send = envelope.to_send(subscription);
            send.dedup_id = if subscription.queue.ends_with(".fifo") {
                dedup_id.clone()
            } else {
                None
            };
            Some(Delivery {
                scope: subscription.scope.clone()?,
                queue: subscription.queue.clone(),
                send,
            })
        }));
        Ok(sent)
    }

    fn topic(&mut self, arn: &str) -> Result<&mut Topic, Fault> {
        self.topics.get_mut(arn).ok_or_else(not_found)
    }

    fn tagged(&mut self, call: &Call<'_>) -> Result<&mut Topic, Fault> {
        let arn = input::required(call.input, "ResourceArn");
        self.topics.get_mut(arn).ok_or_else(|| Fault {
            code: "ResourceNotFoundException".to_owned(),
            message: "Resource does not exist".to_owned(),
            status: 404,
        })
    }
}

impl Publication {
    fn check(&self) -> Result<(), Fault> {
        if self.message.is_empty() {
            return Err(invalid("Empty message"));
        }
        if self.message.len() > MOST_BYTES {
            return Err(invalid("Message too long"));
        }
        let subject = self.subject.as_deref().unwrap_or("-");
        let bad_subject =
            subject.is_empty() || subject.chars().count() > MOST_SUBJECT || subject.contains(['\n', '\r']);
        if bad_subject {
            return Err(invalid("Subject: 1 to 100 characters, without line breaks"));
        }
        Ok(())
    }
}

/// Returns one page of what is listed by its key, which is also the token.
fn page<'a>(input: &Value, name: &str, all: impl Iterator<Item = (&'a String, Value)>) -> Value {
    let after = input::text(input, "NextToken").unwrap_or_default();
    let mut rest = all.filter(|(key, _)| key.as_str() > after);
    let page: Vec<(&String, Value)> = rest.by_ref().take(PAGE).collect();
    let token = page
        .last()
        .map(|(key, _)| (*key).clone())
        .filter(|_| rest.next().is_some());
    let items: Vec<Value> = page.into_iter().map(|(_, item)| item).collect();
    json!({name: items, "NextToken": token})
}

fn invalid(why: &str) -> Fault {
    Fault::client("InvalidParameterException", format!("Invalid parameter: {why}"))
}

fn not_found() -> Fault {
    Fault {
        code: "NotFoundException".to_owned(),
        message: "Topic does not exist".to_owned(),
        status: 404,
    }
}

#[cfg(test)]
mod tests;
