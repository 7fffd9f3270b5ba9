//! The neighbour Kafka in our words: state and status written together or not at all.

use std::future::Future;

use penstock_crds::Name;

use crate::memory::Change;

/// The state and status topics, for writing.
pub trait Journal: Send + Sync + 'static {
    /// Writes a change of both topics in one transaction.
    fn publish(&self, name: &Name, change: &Change) -> impl Future<Output = Result<(), Error>> + Send;
}

/// Why a change was not written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another operator of the same name writes now; this one has to end.
    #[error("another operator of the same name has taken over")]
    Fenced,
    /// The brokers did not take it; it may be tried again.
    #[error("the brokers did not take it: {0}")]
    Write(String),
}
