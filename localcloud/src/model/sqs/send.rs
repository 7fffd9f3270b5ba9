//! SendMessage and SendMessageBatch.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::attributes::MAX_DELAY;
use super::characters::{check_id, check_text};
use super::dedup::Sent;
use super::message::{self, Message};
use super::queue::Queue;
use super::store::Place;
use super::{Sqs, batch, invalid, no_queue, queue_name};
use crate::model::ids::Ids;
use crate::model::{Answer, Call, Fault, Millis, input};

/// The most bytes of all messages of one batch.
const MOST_BATCH_BYTES: usize = 1_048_576;

/// A message on its way into a queue.
#[derive(Debug, Clone, Default)]
pub struct Send {
    /// The body.
    pub body: String,
    /// As SendMessage has them: name -> {DataType, StringValue | BinaryValue}.
    pub attributes: Map<String, Value>,
    /// As SendMessage has them; AWSTraceHeader is the only one there is.
    pub system_attributes: Map<String, Value>,
    /// The group, which FIFO queues need.
    pub group_id: Option<String>,
    /// The deduplication id, which FIFO queues need unless they take the body's digest.
    pub dedup_id: Option<String>,
    /// Seconds; the queue's own delay when absent.
    pub delay: Option<i64>,
    /// The account of the sender.
    pub sender: String,
    /// The topic that sends, which the queue's policy must allow.
    pub topic_arn: Option<String>,
}

impl Send {
    /// Reads one SendMessage, or one entry of a batch.
    fn read(call: &Call<'_>, entry: &Value) -> Self {
        let text = |name: &str| input::text(entry, name).map(str::to_owned);
        let attributes = |name: &str| input::map(entry, name).cloned().unwrap_or_default();
        Self {
            body: input::required(entry, "MessageBody").to_owned(),
            attributes: attributes("MessageAttributes"),
            system_attributes: attributes("MessageSystemAttributes"),
            group_id: text("MessageGroupId"),
            dedup_id: text("MessageDeduplicationId"),
            delay: input::integer(entry, "DelaySeconds"),
            sender: call.scope.account.clone(),
            topic_arn: None,
        }
    }

    /// Returns the bytes that count against the limits.
    fn size(&self) -> usize {
        self.body.len() + message::size_of_attributes(&self.attributes)
    }
}

/// Answers SendMessage.
pub(super) fn send(queues: &mut Sqs, call: &Call<'_>) -> Answer {
    let (queue, ids) = queue_and_ids(queues, call)?;
    queue.send(&Send::read(call, call.input), ids, call.now.real)
}

/// Answers SendMessageBatch.
pub(super) fn send_batch(queues: &mut Sqs, call: &Call<'_>) -> Answer {
    let (queue, ids) = queue_and_ids(queues, call)?;
    let entries = batch::entries(call.input)?;
    let total: usize = entries.iter().map(|entry| Send::read(call, entry).size()).sum();
    if total > MOST_BATCH_BYTES {
        let message =
            format!("Batch requests cannot be longer than {MOST_BATCH_BYTES} bytes. You have sent {total} bytes.");
        return Err(Fault::client("BatchRequestTooLong", message));
    }
    Ok(batch::gather(entries, |entry| {
        queue.send(&Send::read(call, entry), ids, call.now.real)
    }))
}

impl Queue {
    /// Puts a message in, unless it repeats one of the last five minutes.
    pub(super) fn send(&mut self, send: &Send, ids: &mut Ids, now: Millis) -> Answer {
        self.check(send)?;
        self.store.settle(now, self.attributes.retention);
        let dedup_id = self.dedup_id(send)?;
        let scope = send.group_id.as_deref().filter(|_| self.attributes.per_group);
        if let Some(sent) = dedup_id.as_deref().and_then(|id| self.dedup.find(scope, id, now)) {
            return Ok(receipt(
                send,
                sent.message_id.clone(),
                Some(sent.sequence_number.clone()),
            ));
        }
        let id = ids.uuid();
        let sequence_number = self.attributes.fifo.then(|| self.next_sequence_number());
        if let (Some(dedup_id), Some(number)) = (&dedup_id, &sequence_number) {
            let sent = Sent {
                message_id: id.clone(),
                sequence_number: number.clone(),
            };
            self.dedup.remember(scope, dedup_id, sent, now);
        }
        let delay = send.delay.unwrap_or(self.attributes.delay) * 1000;
        let place = if delay > 0 {
            Place::Delayed(now + delay)
        } else {
            Place::Visible
        };
        self.store
            .add(stored(send, id.clone(), dedup_id, sequence_number.clone(), now), place);
        self.counters.sent += 1;
        Ok(receipt(send, id, sequence_number))
    }

    /// Returns the next place in a FIFO queue, in the form that AWS gives.
    pub(super) fn next_sequence_number(&mut self) -> String {
        self.sequence += 1;
        format!("{:020}", 18_000_000_000_000_000_000_u64 + self.sequence * 256)
    }

    fn check(&self, send: &Send) -> Result<(), Fault> {
        if send.body.is_empty() {
            return Err(Fault::client(
                "MissingParameter",
                "The request must contain the parameter MessageBody.",
            ));
        }
        check_text(&send.body)?;
        message::check_attributes(&send.attributes)?;
        if usize::try_from(self.attributes.maximum_size).is_ok_and(|most| send.size() > most) {
            return Err(invalid(format!(
                "One or more parameters are invalid. Reason: Message must be shorter than {} bytes.",
                self.attributes.maximum_size
            )));
        }
        if let Some(group) = &send.group_id {
            check_id("MessageGroupId", group)?;
        }
        self.check_kind(send)
    }

    fn check_kind(&self, send: &Send) -> Result<(), Fault> {
        let misfit = |value: &str, parameter: &str| {
            invalid(format!(
                "Value {value} for parameter {parameter} is invalid. Reason: The request include parameter that is not \
                 valid for this queue type."
            ))
        };
        match (self.attributes.fifo, &send.group_id, &send.dedup_id, send.delay) {
            (true, None, ..) => Err(Fault::client(
                "MissingParameter",
                "The request must contain the parameter MessageGroupId.",
            )),
            (true, .., Some(delay)) if delay != 0 => Err(misfit(&delay.to_string(), "DelaySeconds")),
            (false, _, Some(id), _) => Err(misfit(id, "MessageDeduplicationId")),
            (false, .., Some(delay)) if !(0..=MAX_DELAY).contains(&delay) => Err(invalid(format!(
                "Value {delay} for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= {MAX_DELAY}."
            ))),
            _ => Ok(()),
        }
    }

    fn dedup_id(&self, send: &Send) -> Result<Option<String>, Fault> {
        match &send.dedup_id {
            _ if !self.attributes.fifo => Ok(None),
            Some(id) => check_id("MessageDeduplicationId", id).map(|()| Some(id.clone())),
            None if self.attributes.content_based => Ok(Some(digest(&send.body))),
            None => Err(invalid(
                "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly",
            )),
        }
    }
}

fn queue_and_ids<'a>(queues: &'a mut Sqs, call: &Call<'_>) -> Result<(&'a mut Queue, &'a mut Ids), Fault> {
    let name = queue_name(input::required(call.input, "QueueUrl"));
    let queue = name.and_then(|name| queues.queues.get_mut(name)).ok_or_else(no_queue)?;
    Ok((queue, &mut queues.ids))
}

fn stored(send: &Send, id: String, dedup_id: Option<String>, sequence_number: Option<String>, now: Millis) -> Message {
    let trace = send
        .system_attributes
        .get("AWSTraceHeader")
        .and_then(|header| header.get("StringValue"));
    Message {
        id,
        body: send.body.clone(),
        attributes: send.attributes.clone(),
        trace_header: trace.and_then(Value::as_str).map(str::to_owned),
        group: send.group_id.clone(),
        dedup_id,
        sequence_number,
        sender: send.sender.clone(),
        sent: now,
        entered: now,
        first_received: None,
        receives: 0,
        source: None,
    }
}

fn receipt(send: &Send, id: String, sequence_number: Option<String>) -> Value {
    json!({
        "MessageId": id,
        "MD5OfMessageBody": message::digest(&send.body),
        "MD5OfMessageAttributes": message::digest_of_attributes(&send.attributes),
        "MD5OfMessageSystemAttributes": message::digest_of_attributes(&send.system_attributes),
        "SequenceNumber": sequence_number,
    })
}

fn digest(body: &str) -> String {
    Sha256::digest(body.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
