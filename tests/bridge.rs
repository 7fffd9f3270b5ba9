//! The bridge's promises, on real parts: the real program, a real broker, and an SQS that others wrote.
//!
//! Nothing here is the bridge's own code. What was sent is written down by the sender, what arrived is read by a consumer of its own, and
//! `penstock_tests::bridge::checker` compares the two.

#[path = "bridge/crashes.rs"]
mod crashes;
#[path = "bridge/leases.rs"]
mod leases;
#[path = "bridge/moves.rs"]
mod moves;
#[path = "bridge/poison.rs"]
mod poison;
#[path = "bridge/refusals.rs"]
mod refusals;
#[path = "bridge/stops.rs"]
mod stops;
#[path = "bridge/told.rs"]
mod told;
