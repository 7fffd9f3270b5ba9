//! The neighbour Kafka in our words: state and status written together or not at all.

use std::future::Future;

use penstock_crds::Name;

use crate::memory::Change;
use crate::telemetry::{JOURNAL, Progress};

/// The state and status topics, for writing.
pub trait Journal: Send + Sync + 'static {
    /// Writes a change of both topics in one transaction.
    fn publish(&self, name: &Name, change: &Change) -> impl Future<Output = Result<(), Error>> + Send;
}

/// A journal that tells whether its last change was written.
#[derive(Debug, Clone)]
pub struct Telling<J> {
    /// Where changes go.
    pub journal: J,
    /// Whom it tells.
    pub progress: Progress,
}

impl<J: Journal> Journal for Telling<J> {
    async fn publish(&self, name: &Name, change: &Change) -> Result<(), Error> {
        let written = self.journal.publish(name, change).await;
        let told = written.as_ref().map(drop).map_err(ToString::to_string);
        self.progress.answered(JOURNAL, told);
        written
    }
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
