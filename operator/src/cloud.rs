//! The neighbour AWS in our words: what is seen, and one call that changes something.
//!
//! `aws` is the real one over the SDKs, `fake` one over a map for tests. Nothing outside this folder names an SDK.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;

use jiff::Timestamp;
use penstock_crds::{Name, SqsSource};

use crate::plan::action::Action;
use crate::plan::resources::{Observed, QueueDepth, Subject, TaskHealth};

mod alarms;
pub mod aws;
mod budget;
mod cache;
mod call;
mod ecs;
mod error;
pub mod fake;
mod metrics;
mod queue;
mod scaling;

pub use call::{Call, CallObserver};

/// AWS, as far as one operator needs it.
pub trait Cloud: Send + Sync + 'static {
    /// Reads what AWS holds for each subject, batched over all of them. A subject whose reads failed has an error and
    /// nothing else: unknown is not absent.
    fn observe(&self, subjects: &[Subject]) -> impl Future<Output = BTreeMap<Name, Result<Observed, Error>>> + Send;

    /// Reads the health of the tasks that the subject's service should run, told apart by whether they are of that task
    /// definition. Failures from before `steady_since` are no reason why one is not healthy.
    fn tasks(
        &self,
        subject: &Subject,
        task_definition: &str,
        steady_since: Option<Timestamp>,
    ) -> impl Future<Output = Result<TaskHealth, Error>> + Send;

    /// Reads how many tasks of each subject's service run, batched, and nothing else of it; none run where the service is not
    /// ours or not there.
    fn running(&self, subjects: &[Subject]) -> impl Future<Output = BTreeMap<Name, Result<i32, Error>>> + Send;

    /// Reads how many messages the queue holds; with `deleted_within` seconds also how many were deleted in that time.
    fn queue(
        &self,
        source: &SqsSource,
        deleted_within: Option<u64>,
    ) -> impl Future<Output = Result<QueueDepth, Error>> + Send;

    /// Makes the one call of `action`. `registered` is the ARN that an earlier `RegisterTaskDefinition` of this pass
    /// returned.
    fn apply(
        &self,
        subject: &Subject,
        action: &Action,
        registered: Option<&str>,
    ) -> impl Future<Output = Result<Receipt, Error>> + Send;

    /// Lists, for each of the clusters, the connectors whose services in it carry our operator's tag. One that cannot be
    /// looked into fails no other.
    fn owned(&self, clusters: &BTreeSet<String>) -> impl Future<Output = Owned> + Send;

    /// Publishes the backlog per task of a queue that a stored policy cannot read (another account or region) into the
    /// service's own account.
    fn publish_backlog(&self, subject: &Subject, per_task: f64) -> impl Future<Output = Result<(), Error>> + Send;
}

/// The connectors that have services of ours, by cluster.
pub type Owned = BTreeMap<String, Result<Vec<Subject>, Error>>;

/// What a call that changed something gave back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Receipt {
    /// AWS's id of the request.
    pub request_id: Option<String>,
    /// The ARN of what was made, when the call made something.
    pub arn: Option<String>,
}

/// Why AWS could not be read or changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// AWS asked to slow down, or our own budget is spent.
    #[error("AWS throttled {operation}")]
    Throttle {
        /// The call.
        operation: String,
    },
    /// No answer in time, or the connection broke: the call may have taken effect.
    #[error("no answer to {operation}: {reason}")]
    Reach {
        /// The call.
        operation: String,
        /// What happened, in one line.
        reason: String,
    },
    /// AWS refused the caller: its role lacks a permission, or has no credentials.
    #[error("AWS denied {operation}: {message}")]
    Deny {
        /// The call.
        operation: String,
        /// AWS's message.
        message: String,
        /// AWS's id of the request.
        request_id: Option<String>,
    },
    /// AWS refused the call for what it says; the same call will be refused again.
    #[error("AWS refused {operation}: {code}: {message}")]
    Refuse {
        /// The call.
        operation: String,
        /// AWS's error code.
        code: String,
        /// AWS's message.
        message: String,
        /// AWS's id of the request.
        request_id: Option<String>,
    },
    /// The world is not ready for the call, such as a service that still drains: no fault, look again soon.
    #[error("{operation} has to wait: {message}")]
    Wait {
        /// The call.
        operation: String,
        /// What is awaited.
        message: String,
    },
    /// AWS failed on its side.
    #[error("AWS failed at {operation}: {message}")]
    Fail {
        /// The call.
        operation: String,
        /// AWS's message.
        message: String,
    },
}

impl Error {
    /// Returns the variant's name: a metric label, never a text.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Throttle { .. } => "throttle",
            Self::Reach { .. } => "reach",
            Self::Deny { .. } => "deny",
            Self::Refuse { .. } => "refuse",
            Self::Wait { .. } => "wait",
            Self::Fail { .. } => "fail",
        }
    }
}
