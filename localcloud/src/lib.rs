//! The subset of AWS that Penstock uses, as a model: equipment for development and tests, never for production.
//!
//! [`model`] is a pure state machine: it is told the time and answers calls. [`http`] speaks the SDKs' wire protocols in
//! front of it, and [`fargate`] turns the tasks that the model wants into real processes.

mod blob;
pub mod fargate;
pub mod http;
pub mod model;
