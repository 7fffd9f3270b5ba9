//! The pure half: what should be, what is, and the steps between.
//!
//! Nothing below this file may name an AWS SDK, Kafka, tokio or a clock; `tests/architecture.rs` holds it to that. Time
//! and randomness are arguments.

pub mod accept;
pub mod action;
pub mod decide;
pub mod desired;
pub mod diff;
pub mod difference;
pub mod home;
pub mod owner;
pub mod phase;
pub mod polled;
pub mod proof;
pub mod resources;
mod rollback;
pub mod status;

#[cfg(test)]
mod golden;
