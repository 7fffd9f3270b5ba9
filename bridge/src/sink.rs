//! Where messages go, in our words.
//!
//! A sink takes records without ever waiting and reports the outcome of each later, through the [`outcomes::Outcomes`] it was made with.
//! `sink/kafka.rs` is the one that writes Kafka.

pub mod failure;
pub mod kafka;
pub mod outcomes;
pub mod preflight;
pub mod record;

use crate::source::Message;

/// Names one try to send one message; an outcome carries it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket(pub usize);

/// How one message is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route<'a> {
    /// To the topic, in one batch with others.
    Together,
    /// To the topic, in a batch of its own, so that a refusal is about this message alone.
    Alone,
    /// To the dead-letter topic, in a batch of its own, with the cause beside it.
    DeadLetter(&'a Cause),
}

/// What is wrong with a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// The exception that Kafka's own clients would name.
    pub class: &'static str,
    /// What the sink said.
    pub message: String,
}

/// Why a message was not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The sink refuses this message, or a batch that held it, for its content.
    Content(Cause),
    /// Another message of the same batch was refused; this one is fine.
    Neighbour,
    /// The sink cannot take anything at the moment; nothing is wrong with the message.
    Unavailable(String),
}

/// What became of one ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Which try.
    pub ticket: Ticket,
    /// Stored for good, or come back.
    pub result: Result<(), Returned>,
}

/// What was taken and not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Returned {
    /// Why.
    pub failure: Failure,
    /// The message's body, as it was taken.
    pub body: String,
}

/// Why a sink did not even take a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Its own queue is full; there is room after the next delivery.
    Full,
    /// As if the delivery had failed.
    Failed(Failure),
}

/// A sink for messages.
pub trait Sink: Send + Sync + 'static {
    /// Takes `message`, never waiting; the outcome follows as a [`Delivery`] unless it is refused here. What is taken is
    /// the sink's to keep, and its body comes back with a failure: no message is in memory twice.
    fn send(&self, ticket: Ticket, message: &Message, route: Route<'_>) -> Result<(), Refusal>;

    /// Begins anew with what is sent from now on, over new connections. What was taken before stays with who has it for as
    /// long as its outcome may come: sent again by another it could be stored twice. Returns whether there was anything to
    /// begin anew.
    fn renew(&self) -> bool;

    /// Gives up what was taken and has no outcome yet; outcomes may still follow.
    fn abandon(&self);
}
