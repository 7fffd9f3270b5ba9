//! The bridge's promises while networks, services and neighbours fail: the real program behind proxies that do to calls and connections what the
//! world does to them.
//!
//! `ARCHITECTURE.md` lists the promises and the tests that prove each.

#[path = "faults/calls.rs"]
mod calls;
