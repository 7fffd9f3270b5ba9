//! The control loop. Data flows one way:
//! watch -> accept -> desired -> diff -> apply -> status -> publish.
//!
//! Read in this order: [`reconcile`] is one pass, [`plan`] its pure half, [`cloud`] and [`journal`] its neighbours; [`queue`]
//! says which connector is next, [`observe`] batches reads, [`memory`] is what the last pass wrote, [`orphans`] what nobody
//! wants. [`preview`] and [`prune`] are for people: what a pass would do, and how orphans go.

pub mod cloud;
pub mod config;
pub mod journal;
pub mod memory;
pub mod observe;
pub mod orphans;
pub mod plan;
pub mod preview;
pub mod prune;
pub mod publish;
pub mod queue;
pub mod reconcile;
pub mod rounds;
pub mod run;
pub mod telemetry;
pub mod topics;
pub mod watch;

#[cfg(test)]
mod samples;
