//! The documents of Penstock: what people write, what the operator remembers, and what it reports.
//!
//! Pure: no I/O, no clock. [`ConnectorSpec`] and [`ProfileSpec`] are as people write them, every field optional;
//! [`merge`] lays a connector over its profile, and [`resolve`] turns the outcome into a complete [`Connector`] or into
//! every fault at once. After that nobody reads a raw spec again.

mod bridge;
mod connector;
mod document;
mod duration;
mod fault;
mod merge;
mod names;
mod parse;
mod resolve;
mod resolved;
mod schema;
mod secrecy;
mod sections;
mod state;
mod status;
mod target;

pub use bridge::*;
pub use connector::*;
pub use document::*;
pub use duration::*;
pub use fault::*;
pub use merge::*;
pub use names::*;
pub use parse::*;
pub use resolve::*;
pub use resolved::*;
pub use schema::*;
pub use sections::*;
pub use state::*;
pub use status::*;
pub use target::*;
