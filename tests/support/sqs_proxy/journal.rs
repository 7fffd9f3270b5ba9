//! What passed the proxy, for whoever judges it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Operation;

/// A message as SQS handed it out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handout<'a> {
    /// The message's id.
    pub id: &'a str,
    /// The receipt of this delivery.
    pub receipt: &'a str,
    /// The body.
    pub body: &'a str,
}

/// Who is told what passes. Times are milliseconds since 1970.
pub trait Observer: Send + Sync + 'static {
    /// SQS handed out a message. Whether the answer reached the caller is another matter.
    fn handed_out(&self, handout: &Handout<'_>, at: i64);

    /// Somebody asks for the delete of a receipt; SQS does not know yet.
    fn deleting(&self, receipt: &str, at: i64);

    /// Somebody asks to hide a delivery for that long from now on.
    fn hiding(&self, _receipt: &str, _seconds: u64, _at: i64) {}

    /// SQS did not do what was asked for a delivery.
    fn refused(&self, _receipt: &str, _code: &str, _at: i64) {}

    /// A call came in.
    fn called(&self, _operation: Operation, _at: i64) {}

    /// SQS left a call without an answer for seconds, by itself: the machine is busy.
    fn late(&self, _operation: Operation) {}
}

/// A delete that somebody asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delete {
    /// The message's id; nothing for a receipt that SQS never handed out, which can delete nothing.
    pub id: Option<String>,
    /// The receipt.
    pub receipt: String,
    /// When the proxy took it in.
    pub at: i64,
}

/// An observer that keeps everything.
#[derive(Debug, Default)]
pub struct Journal(Mutex<Book>);

#[derive(Debug, Default)]
struct Book {
    receipts: HashMap<String, Arc<str>>,
    handouts: HashMap<Arc<str>, u64>,
    stories: HashMap<Arc<str>, Vec<(i64, String)>>,
    deletes: Vec<Delete>,
    calls: HashMap<Operation, u64>,
    late: usize,
}

impl Journal {
    /// Returns every delete that was asked for, in order.
    pub fn deletes(&self) -> Vec<Delete> {
        self.book().deletes.clone()
    }

    /// Returns the ids of the messages that somebody asked to delete.
    pub fn deleted(&self) -> Vec<String> {
        self.deletes().into_iter().filter_map(|delete| delete.id).collect()
    }

    /// Returns how often each message was handed out, by its id.
    pub fn handouts(&self) -> HashMap<String, u64> {
        let book = self.book();
        book.handouts
            .iter()
            .map(|(id, times)| (id.to_string(), *times))
            .collect()
    }

    /// Returns what happened to a message, in words: whoever reads a failure needs it.
    pub fn story(&self, id: &str) -> String {
        let book = self.book();
        let steps = book.stories.get(id).map(Vec::as_slice).unwrap_or_default();
        let began = steps.first().map_or(0, |(at, _)| *at);
        let told = steps.iter().map(|(at, step)| format!("{} ms: {step}", at - began));
        format!("{id}: {}", told.collect::<Vec<_>>().join("; "))
    }

    /// Returns how many calls of that kind came in.
    pub fn calls(&self, operation: Operation) -> u64 {
        self.book().calls.get(&operation).copied().unwrap_or_default()
    }

    /// Returns how many calls SQS left without an answer for seconds, by itself.
    pub fn late_calls(&self) -> usize {
        self.book().late
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn tell(&mut self, receipt: &str, at: i64, step: String) {
        if let Some(id) = self.receipts.get(receipt) {
            self.stories.entry(id.clone()).or_default().push((at, step));
        }
    }
}

impl Observer for Journal {
    fn handed_out(&self, handout: &Handout<'_>, at: i64) {
        let mut book = self.book();
        let id: Arc<str> = handout.id.into();
        book.receipts.insert(handout.receipt.to_owned(), id.clone());
        *book.handouts.entry(id).or_default() += 1;
        book.tell(handout.receipt, at, "handed out".to_owned());
    }

    fn hiding(&self, receipt: &str, seconds: u64, at: i64) {
        self.book().tell(receipt, at, format!("to be hidden for {seconds} s"));
    }

    fn refused(&self, receipt: &str, code: &str, at: i64) {
        self.book().tell(receipt, at, format!("refused: {code}"));
    }

    fn deleting(&self, receipt: &str, at: i64) {
        let mut book = self.book();
        book.tell(receipt, at, "to be deleted".to_owned());
        let id = book.receipts.get(receipt).map(ToString::to_string);
        book.deletes.push(Delete {
            id,
            receipt: receipt.to_owned(),
            at,
        });
    }

    fn called(&self, operation: Operation, _at: i64) {
        *self.book().calls.entry(operation).or_default() += 1;
    }

    fn late(&self, _operation: Operation) {
        self.book().late += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delete_is_known_by_the_message_whose_receipt_it_names() {
        let journal = Journal::default();
        for receipt in ["r1", "r2"] {
            let handout = Handout {
                id: "m1",
                receipt,
                body: "",
            };
            journal.handed_out(&handout, 1);
        }
        journal.deleting("r2", 5);
        journal.deleting("made-up", 6);
        let ids: Vec<_> = journal
            .deletes()
            .into_iter()
            .map(|delete| (delete.id, delete.at))
            .collect();
        assert_eq!(ids, [(Some("m1".to_owned()), 5), (None, 6)]);
        assert_eq!(journal.handouts()["m1"], 2);
    }
}
