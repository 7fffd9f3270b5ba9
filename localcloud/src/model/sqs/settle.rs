//! What a consumer says of a message it holds: done with it, or how long it still needs.

use serde_json::{Value, json};

use super::attributes::MAX_VISIBILITY;
use super::queue::Queue;
use super::receipt::Receipt;
use super::store::Place;
use super::{batch, invalid};
use crate::model::{Answer, Call, Fault, Millis, input};

/// Answers DeleteMessage.
pub(super) fn delete(queue: &mut Queue, call: &Call<'_>) -> Answer {
    queue.delete(call.input, call.now.real)
}

/// Answers DeleteMessageBatch.
pub(super) fn delete_batch(queue: &mut Queue, call: &Call<'_>) -> Answer {
    let entries = batch::entries(call.input)?;
    Ok(batch::gather(entries, |entry| queue.delete(entry, call.now.real)))
}

/// Answers ChangeMessageVisibility.
pub(super) fn change(queue: &mut Queue, call: &Call<'_>) -> Answer {
    queue.change(call.input, call.now.real)
}

/// Answers ChangeMessageVisibilityBatch.
pub(super) fn change_batch(queue: &mut Queue, call: &Call<'_>) -> Answer {
    let entries = batch::entries(call.input)?;
    Ok(batch::gather(entries, |entry| queue.change(entry, call.now.real)))
}

impl Queue {
    /// Deletes by handle. A handle of an earlier receive deletes nothing on a standard queue, and is refused on a FIFO queue,
    /// as is one whose lease is over.
    fn delete(&mut self, entry: &Value, now: Millis) -> Answer {
        let handle = input::required(entry, "ReceiptHandle");
        let receipt = Receipt::read(handle, &self.handle_prefix())?;
        self.store.settle(now, self.attributes.retention);
        // What is gone already counts as deleted.
        let Some(message) = self.store.message(receipt.number) else {
            return Ok(json!({}));
        };
        let latest = message.receives == receipt.receive;
        let leased = matches!(self.store.place(receipt.number), Some((Place::InFlight(_), _)));
        if self.attributes.fifo && !(latest && leased) {
            return Err(expired(handle));
        }
        if latest {
            self.store.remove(receipt.number);
            self.counters.deleted += 1;
        }
        Ok(json!({}))
    }

    /// Sets when the lease ends, counted from now.
    fn change(&mut self, entry: &Value, now: Millis) -> Answer {
        let handle = input::required(entry, "ReceiptHandle");
        let receipt = Receipt::read(handle, &self.handle_prefix())?;
        let seconds = input::integer(entry, "VisibilityTimeout").ok_or_else(|| {
            Fault::client(
                "MissingParameter",
                "The request must contain the parameter VisibilityTimeout.",
            )
        })?;
        check_seconds(seconds)?;
        self.store.settle(now, self.attributes.retention);
        let Some(message) = self.store.message(receipt.number) else {
            return Err(gone(handle));
        };
        if message.receives != receipt.receive {
            return Err(expired(handle));
        }
        let Some((Place::InFlight(_), received)) = self.store.place(receipt.number) else {
            let message = format!("The message referred to by receipt handle {handle} isn't in flight.");
            return Err(Fault::client("MessageNotInflight", message));
        };
        let until = now + seconds * 1000;
        if until - received > MAX_VISIBILITY * 1000 {
            return Err(invalid(format!(
                "Value {seconds} for parameter VisibilityTimeout is invalid. Reason: Total VisibilityTimeout for the message \
                 is beyond the limit [{MAX_VISIBILITY} seconds]."
            )));
        }
        self.store.put(
            receipt.number,
            if seconds > 0 {
                Place::InFlight(until)
            } else {
                Place::Visible
            },
        );
        Ok(json!({}))
    }
}

fn check_seconds(seconds: i64) -> Result<(), Fault> {
    if (0..=MAX_VISIBILITY).contains(&seconds) {
        return Ok(());
    }
    Err(invalid(format!(
        "Value {seconds} for parameter VisibilityTimeout is invalid. Reason: Must be between 0 and {MAX_VISIBILITY}, if \
         provided."
    )))
}

fn expired(handle: &str) -> Fault {
    invalid(format!(
        "Value {handle} for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired."
    ))
}

fn gone(handle: &str) -> Fault {
    invalid(format!(
        "Value {handle} for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available for \
         visibility timeout change."
    ))
}
