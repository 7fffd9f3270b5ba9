//! SQS: standard and FIFO queues of one account and region.
//!
//! True to AWS in what consumers trip over: leases and stale receipt handles, redrive, delays, deduplication, and groups that
//! stay closed while one of their messages is in flight. Not modelled: quotas on request rates, encryption, and access policies,
//! but for the one question whether a topic may send (a queue without a policy takes all).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::ids::Ids;
use super::{Answer, Call, Fault, Millis, Now, Scope, input};

mod attributes;
mod batch;
mod characters;
mod dead;
pub mod dedup;
mod gauges;
mod group;
pub mod message;
mod policy;
mod queue;
mod receipt;
mod receive;
mod send;
mod settle;
mod store;

pub use gauges::{QueueCounters, QueueGauges};
pub use send::Send;

use attributes::Attributes;
use queue::Queue;

/// A deleted queue's name cannot be used again for so long.
const NAME_REST: Millis = 60_000;

/// The most queues in one answer of ListQueues.
const PAGE: usize = 1000;

/// All queues of one account and region.
#[derive(Debug, Default)]
pub struct Sqs {
    /// What queue URLs begin with.
    pub endpoint: String,
    /// Where message ids come from.
    pub ids: Ids,
    queues: BTreeMap<String, Queue>,
    deleted: BTreeMap<String, Millis>,
}

impl Sqs {
    /// Answers one call.
    pub fn handle(&mut self, call: &Call<'_>) -> Answer {
        match call.operation {
            "CreateQueue" => self.create(call),
            "ListQueues" => self.list(call),
            "GetQueueUrl" => self.url(call),
            "DeleteQueue" => self.delete(call),
            "GetQueueAttributes" => self.attributes(call),
            "SetQueueAttributes" => self.set_attributes(call),
            "PurgeQueue" => self.named(call)?.purge(call.now.real),
            "TagQueue" => self.named(call)?.tag(call.input),
            "UntagQueue" => self.named(call)?.untag(call.input),
            "ListQueueTags" => Ok(json!({"Tags": self.named(call)?.tags})),
            "ListDeadLetterSourceQueues" => self.dead_letter_sources(call),
            "SendMessage" => send::send(self, call),
            "SendMessageBatch" => send::send_batch(self, call),
            "ReceiveMessage" => receive::receive(self, call),
            "DeleteMessage" => settle::delete(self.named(call)?, call),
            "DeleteMessageBatch" => settle::delete_batch(self.named(call)?, call),
            "ChangeMessageVisibility" => settle::change(self.named(call)?, call),
            "ChangeMessageVisibilityBatch" => settle::change_batch(self.named(call)?, call),
            _ => Err(call.unknown_operation()),
        }
    }

    /// Returns how long a receive that came in at `since` should go on waiting; nothing when it should be answered.
    pub fn time_to_wait(&mut self, input: &Value, since: Millis, now: Now) -> Option<u64> {
        let name = queue_name(input::required(input, "QueueUrl"))?;
        let queue = self
            .queues
            .get_mut(name)
            .filter(|queue| receive::is_sound(input, queue))?;
        let patience = input::integer(input, "WaitTimeSeconds").unwrap_or(queue.attributes.receive_wait) * 1000;
        let deadline = since + patience.clamp(0, attributes::MAX_WAIT * 1000);
        queue.store.settle(now.real, queue.attributes.retention);
        let attempt = input::text(input, "ReceiveRequestAttemptId");
        let repeated = attempt.is_some_and(|id| queue.given_before(id, now.real).is_some());
        if repeated || queue.store.has_receivable() || now.real >= deadline {
            return None;
        }
        let next = queue
            .store
            .next_event()
            .unwrap_or(deadline)
            .clamp(now.real + 1, deadline);
        u64::try_from(next - now.real).ok()
    }

    /// Puts a message into a queue, as a topic does; nothing happens when the queue is gone or refuses it.
    pub fn deliver(&mut self, queue_name: &str, message: &Send, now: Now) {
        let Some(queue) = self.queues.get_mut(queue_name) else {
            return;
        };
        let allowed = message
            .topic_arn
            .as_deref()
            .is_none_or(|topic| policy::allows(&queue.attributes, &queue.arn, topic));
        if allowed {
            // A topic has nobody to tell when a queue refuses a message; AWS counts it as a failed notification.
            let _ = queue.send(message, &mut self.ids, now.real);
        }
    }

    /// Returns what CloudWatch would be told about each queue, by name.
    pub fn gauges(&mut self, now: Now) -> Vec<(String, QueueGauges)> {
        self.queues
            .iter_mut()
            .map(|(name, queue)| (name.clone(), queue.gauges(now.real)))
            .collect()
    }

    /// Returns what happened at each queue since the last call of this, by name.
    pub fn take_counters(&mut self) -> Vec<(String, QueueCounters)> {
        self.queues
            .iter_mut()
            .map(|(name, queue)| (name.clone(), std::mem::take(&mut queue.counters)))
            .collect()
    }

    /// Returns the queue that a call names.
    fn named(&mut self, call: &Call<'_>) -> Result<&mut Queue, Fault> {
        let url = input::required(call.input, "QueueUrl");
        queue_name(url)
            .and_then(|name| self.queues.get_mut(name))
            .ok_or_else(no_queue)
    }

    fn create(&mut self, call: &Call<'_>) -> Answer {
        let name = input::required(call.input, "QueueName");
        let given = input::map(call.input, "Attributes").cloned().unwrap_or_default();
        let attributes = Attributes::of_new_queue(name, &given)?;
        if let Some(existing) = self.queues.get(name) {
            existing.attributes.check_same(&given)?;
            return Ok(json!({"QueueUrl": existing.url}));
        }
        self.check_name_rested(name, call.now.real)?;
        dead::check_target(self, call.scope, name, &attributes)?;
        let url = format!("{}/{}/{name}", self.endpoint, call.scope.account);
        let mut queue = Queue::new(call.scope, name, url.clone(), attributes, call.now.real);
        queue.tag(&json!({"Tags": call.input.get("tags").cloned().unwrap_or_else(|| json!({}))}))?;
        self.queues.insert(name.to_owned(), queue);
        Ok(json!({"QueueUrl": url}))
    }

    fn check_name_rested(&mut self, name: &str, now: Millis) -> Result<(), Fault> {
        self.deleted.retain(|_, at| now - *at < NAME_REST);
        if self.deleted.contains_key(name) {
            let message =
                "You must wait 60 seconds after deleting a queue before you can create another with the same name.";
            return Err(Fault::client("QueueDeletedRecently", message));
        }
        Ok(())
    }

    fn list(&self, call: &Call<'_>) -> Answer {
        let prefix = input::text(call.input, "QueueNamePrefix").unwrap_or_default();
        let names = self.queues.keys().filter(|name| name.starts_with(prefix));
        let mut page = self.page(call, names.collect())?;
        if let Some(urls) = page
            .remove("urls")
            .filter(|urls| urls.as_array().is_some_and(|urls| !urls.is_empty()))
        {
            page.insert("QueueUrls".to_owned(), urls);
        }
        Ok(Value::Object(page))
    }

    fn dead_letter_sources(&mut self, call: &Call<'_>) -> Answer {
        let target = self.named(call)?.arn.clone();
        let names = self
            .queues
            .iter()
            .filter(|(_, queue)| queue.attributes.dead_letter_arn() == Some(&target));
        let mut page = self.page(call, names.map(|(name, _)| name).collect())?;
        if let Some(urls) = page.remove("urls") {
            page.insert("queueUrls".to_owned(), urls);
        }
        Ok(Value::Object(page))
    }

    /// Returns one page of the queues named, as `urls` and, when more follow, `NextToken`.
    fn page(&self, call: &Call<'_>, names: Vec<&String>) -> Result<Map<String, Value>, Fault> {
        let size = input::integer(call.input, "MaxResults");
        if size.is_some_and(|size| !(1..=1000).contains(&size)) {
            return Err(invalid(
                "Value for parameter MaxResults is invalid. Reason: Must be between 1 and 1000.",
            ));
        }
        let after = input::text(call.input, "NextToken").unwrap_or_default();
        let mut rest = names.into_iter().filter(|name| name.as_str() > after);
        let limit = size.and_then(|size| usize::try_from(size).ok()).unwrap_or(PAGE);
        let page: Vec<&String> = rest.by_ref().take(limit).collect();
        let urls: Vec<&str> = page
            .iter()
            .filter_map(|name| self.queues.get(*name))
            .map(|queue| queue.url.as_str())
            .collect();
        let mut answer = Map::new();
        answer.insert("urls".to_owned(), json!(urls));
        // Without MaxResults AWS gives the first thousand and no token.
        if let (Some(last), Some(_), true) = (page.last(), size, rest.next().is_some()) {
            answer.insert("NextToken".to_owned(), json!(last));
        }
        Ok(answer)
    }

    fn url(&self, call: &Call<'_>) -> Answer {
        let queue = self
            .queues
            .get(input::required(call.input, "QueueName"))
            .ok_or_else(no_queue)?;
        Ok(json!({"QueueUrl": queue.url}))
    }

    fn delete(&mut self, call: &Call<'_>) -> Answer {
        let name = self.named(call)?.name.clone();
        self.queues.remove(&name);
        self.deleted.insert(name, call.now.real);
        Ok(json!({}))
    }

    fn attributes(&mut self, call: &Call<'_>) -> Answer {
        let wanted = input::texts(call.input, "AttributeNames");
        let queue = self.named(call)?;
        let attributes = queue.printed(&wanted, call.now.real);
        Ok(if attributes.is_empty() {
            json!({})
        } else {
            json!({"Attributes": attributes})
        })
    }

    fn set_attributes(&mut self, call: &Call<'_>) -> Answer {
        let given = input::map(call.input, "Attributes").cloned().unwrap_or_default();
        let queue = self.named(call)?;
        let (name, attributes) = (queue.name.clone(), queue.attributes.changed_by(&given)?);
        dead::check_target(self, call.scope, &name, &attributes)?;
        self.named(call)?.set_attributes(attributes, call.now.real);
        Ok(json!({}))
    }
}

/// Returns the queue's name in a queue URL.
fn queue_name(url: &str) -> Option<&str> {
    url.rsplit('/').next().filter(|name| !name.is_empty())
}

/// Returns the ARN of a queue.
fn queue_arn(scope: &Scope, name: &str) -> String {
    scope.arn("sqs", name)
}

fn no_queue() -> Fault {
    Fault::client("QueueDoesNotExist", "The specified queue does not exist.")
}

fn invalid(message: impl Into<String>) -> Fault {
    Fault::client("InvalidParameterValue", message)
}

#[cfg(test)]
mod tests;
