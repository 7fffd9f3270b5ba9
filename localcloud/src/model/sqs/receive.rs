//! ReceiveMessage, and the move of what was received too often to the dead-letter queue.

use serde_json::{Map, Value, json};

use super::attributes::{MAX_VISIBILITY, MAX_WAIT};
use super::message::{self, Message};
use super::queue::{Attempt, Queue};
use super::receipt::Receipt;
use super::store::Place;
use super::{Sqs, dead, invalid};
use crate::model::{Answer, Call, Fault, Millis, input};

/// The most messages in flight, on standard and FIFO queues alike.
const MOST_IN_FLIGHT: usize = 120_000;

/// How long an attempt id is remembered.
const ATTEMPT_WINDOW: Millis = 300_000;

/// What a receive asks for.
struct Wanted<'a> {
    most: usize,
    visibility: Millis,
    attempt_id: Option<&'a str>,
    system_attributes: Vec<&'a str>,
    attributes: Vec<&'a str>,
}

/// Answers ReceiveMessage with what is there; waiting is the front's part.
pub(super) fn receive(queues: &mut Sqs, call: &Call<'_>) -> Answer {
    let target = target(queues, call)?;
    let queue = queues.named(call)?;
    let wanted = Wanted::read(call.input, queue)?;
    let (now, retention) = (call.now.real, queue.attributes.retention);
    queue.store.settle(now, retention);
    if let Some(again) = wanted.attempt_id.and_then(|id| queue.given_before(id, now)) {
        return Ok(queue.give_again(&again, &wanted, now));
    }
    let dead = if target.is_some() {
        queue.take_dead(wanted.most)
    } else {
        Vec::new()
    };
    let taken = queue.take(&wanted, now)?;
    let answer = queue.print(&taken, &wanted);
    queue.counters.received += taken.len() as u64;
    queue.counters.empty_receives += u64::from(taken.is_empty());
    let source = queue.arn.clone();
    if let Some(target) = target.and_then(|name| queues.queues.get_mut(&name)) {
        target.bury(dead, &source, now);
    }
    Ok(answer)
}

/// Says whether a receive asks for something that can be had, so that it is worth waiting for.
pub(super) fn is_sound(input: &Value, queue: &Queue) -> bool {
    Wanted::read(input, queue).is_ok()
}

impl<'a> Wanted<'a> {
    fn read(input: &'a Value, queue: &Queue) -> Result<Self, Fault> {
        let number = |name: &str, default: i64, least: i64, most: i64| {
            let value = input::integer(input, name).unwrap_or(default);
            if (least..=most).contains(&value) {
                return Ok(value);
            }
            Err(invalid(format!(
                "Value {value} for parameter {name} is invalid. Reason: Must be between {least} and {most}, if provided."
            )))
        };
        number("WaitTimeSeconds", 0, 0, MAX_WAIT)?;
        let attempt_id = input::text(input, "ReceiveRequestAttemptId");
        if attempt_id.is_some() && !queue.attributes.fifo {
            return Err(invalid(
                "Value for parameter ReceiveRequestAttemptId is invalid. Reason: The request include parameter that is not \
                 valid for this queue type.",
            ));
        }
        let mut system_attributes = input::texts(input, "AttributeNames");
        system_attributes.extend(input::texts(input, "MessageSystemAttributeNames"));
        Ok(Self {
            most: usize::try_from(number("MaxNumberOfMessages", 1, 1, 10)?).unwrap_or(1),
            visibility: number("VisibilityTimeout", queue.attributes.visibility, 0, MAX_VISIBILITY)? * 1000,
            attempt_id,
            system_attributes,
            attributes: input::texts(input, "MessageAttributeNames"),
        })
    }
}

impl Queue {
    /// Leases messages.
    fn take(&mut self, wanted: &Wanted<'_>, now: Millis) -> Result<Vec<Receipt>, Fault> {
        let room = MOST_IN_FLIGHT.saturating_sub(self.store.counts().in_flight);
        if room == 0 && !self.attributes.fifo && self.store.has_receivable() {
            return Err(Fault::client(
                "OverLimit",
                format!("Too many messages in flight: the limit is {MOST_IN_FLIGHT}."),
            ));
        }
        let until = now + wanted.visibility;
        let numbers = self.store.receivable(wanted.most.min(room));
        let taken: Vec<Receipt> = numbers
            .into_iter()
            .filter_map(|number| self.lease(number, now, until))
            .collect();
        if let Some(id) = wanted.attempt_id.filter(|_| !taken.is_empty()) {
            self.attempts.retain(|_, attempt| now - attempt.at < ATTEMPT_WINDOW);
            self.attempts.insert(
                id.to_owned(),
                Attempt {
                    at: now,
                    given: taken.clone(),
                    until,
                },
            );
        }
        Ok(taken)
    }

    fn lease(&mut self, number: u64, now: Millis, until: Millis) -> Option<Receipt> {
        self.store.lease(number, now, until);
        Some(Receipt {
            number,
            receive: self.store.message(number)?.receives,
        })
    }

    /// Takes out, from the front of what could be received, what was received too often.
    fn take_dead(&mut self, most: usize) -> Vec<Message> {
        let Some(redrive) = self.attributes.redrive.clone() else {
            return Vec::new();
        };
        let mut dead = Vec::new();
        loop {
            let candidates = self.store.receivable(most).into_iter();
            let worn = |number: &u64| {
                self.store
                    .message(*number)
                    .is_some_and(|message| message.receives >= redrive.most_receives)
            };
            let numbers: Vec<u64> = candidates.filter(worn).collect();
            if numbers.is_empty() {
                return dead;
            }
            dead.extend(numbers.into_iter().filter_map(|number| self.store.remove(number)));
        }
    }

    /// Returns what an earlier receive of the same attempt gave, if all of it is still as it was left.
    pub(super) fn given_before(&self, id: &str, now: Millis) -> Option<Attempt> {
        let attempt = self
            .attempts
            .get(id)
            .filter(|attempt| now - attempt.at < ATTEMPT_WINDOW)?;
        let untouched = attempt.given.iter().all(|receipt| {
            let same_receive = self
                .store
                .message(receipt.number)
                .is_some_and(|message| message.receives == receipt.receive);
            let in_flight = self
                .store
                .place(receipt.number)
                .is_some_and(|(place, _)| place == Place::InFlight(attempt.until));
            same_receive && in_flight
        });
        untouched.then(|| attempt.clone())
    }

    /// Gives the same messages under the same handles, their leases begun anew.
    fn give_again(&mut self, attempt: &Attempt, wanted: &Wanted<'_>, now: Millis) -> Value {
        let until = now + wanted.visibility;
        for receipt in &attempt.given {
            self.store.put(
                receipt.number,
                if until > now {
                    Place::InFlight(until)
                } else {
                    Place::Visible
                },
            );
        }
        if let Some(kept) = wanted.attempt_id.and_then(|id| self.attempts.get_mut(id)) {
            kept.until = until;
        }
        self.print(&attempt.given, wanted)
    }

    /// Takes in what another queue gave up on.
    fn bury(&mut self, dead: Vec<Message>, source_arn: &str, now: Millis) {
        for mut message in dead {
            message.source = Some(source_arn.to_owned());
            message.entered = now;
            if self.attributes.fifo {
                // On FIFO queues the retention begins anew with the move.
                message.sent = now;
                message.sequence_number = Some(self.next_sequence_number());
            }
            self.store.add(message, Place::Visible);
        }
    }

    fn print(&self, receipts: &[Receipt], wanted: &Wanted<'_>) -> Value {
        let prefix = self.handle_prefix();
        let messages: Vec<Value> = receipts
            .iter()
            .filter_map(|receipt| {
                Some(printed(
                    self.store.message(receipt.number)?,
                    receipt.print(&prefix),
                    wanted,
                ))
            })
            .collect();
        if messages.is_empty() {
            json!({})
        } else {
            json!({"Messages": messages})
        }
    }
}

fn printed(message: &Message, handle: String, wanted: &Wanted<'_>) -> Value {
    let attributes = message::chosen(&message.attributes, &wanted.attributes);
    let system_attributes = message.system_attributes(&wanted.system_attributes);
    let some = |map: Map<String, Value>| {
        if map.is_empty() {
            Value::Null
        } else {
            Value::Object(map)
        }
    };
    json!({
        "MessageId": message.id,
        "ReceiptHandle": handle,
        "MD5OfBody": message::digest(&message.body),
        "Body": message.body,
        "MD5OfMessageAttributes": message::digest_of_attributes(&attributes),
        "MessageAttributes": some(attributes),
        "Attributes": some(system_attributes),
    })
}

/// Returns the name of the dead-letter queue, if there still is one; without it, messages stay where they are.
fn target(queues: &mut Sqs, call: &Call<'_>) -> Result<Option<String>, Fault> {
    let arn = queues.named(call)?.attributes.dead_letter_arn().cloned();
    let name = arn.as_deref().and_then(|arn| dead::name_in(call.scope, arn));
    Ok(name.filter(|name| queues.queues.contains_key(*name)).map(str::to_owned))
}
