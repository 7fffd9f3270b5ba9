//! The control loop. Data flows one way: watch -> accept -> desired -> diff -> apply -> status -> publish.

pub mod cloud;
pub mod plan;
