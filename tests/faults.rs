//! The bridge's promises while networks, services and neighbours fail: the real program behind proxies that do to calls and connections what the
//! world does to them.
//!
//! In every test every delete that passes is held against what the broker had stored by then (B1), first copies against the order of their groups
//! (B3), copies are counted (B4), and the figures of every scrape have to add up (B13).

#[path = "faults/calls.rs"]
mod calls;
#[path = "faults/limits.rs"]
mod limits;
#[path = "faults/links.rs"]
mod links;
#[path = "faults/memory.rs"]
mod memory;
#[path = "faults/names.rs"]
mod names;
#[path = "faults/pairs.rs"]
mod pairs;
#[path = "faults/poison.rs"]
mod poison;
#[path = "faults/recoveries.rs"]
mod recoveries;
#[path = "faults/stalls.rs"]
mod stalls;
#[path = "faults/stops.rs"]
mod stops;
