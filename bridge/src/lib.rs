//! `penstock-bridge`: one process that moves messages from a queue to a Kafka topic.
//!
//! Reading order: [`config`] says what to do, [`source`] and [`sink`] are the two ends, [`pump`] moves messages between
//! them and keeps the delivery promise (a message is deleted only after Kafka acknowledged it), [`telemetry`] and
//! [`server`] tell how it goes. The bridge knows nothing of ECS, of scaling, or of other connectors.

pub mod config;
pub mod health;
pub mod pump;
pub mod run;
pub mod server;
pub mod sink;
pub mod source;
pub mod telemetry;

pub use run::{ExitStatus, run};
