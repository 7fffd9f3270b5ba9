//! The pure half: what should be, what is, and the steps between.
//!
//! Nothing below this file may name an AWS SDK, Kafka, tokio or a clock; `tests/architecture.rs` holds it to that. Time
//! and randomness are arguments.

pub mod action;
pub mod resources;
