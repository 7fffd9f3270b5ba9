//! What a pass reads before it decides.

use std::time::Duration;

use penstock_crds::{Connector, SqsSource};

use super::Error;
use crate::cloud::{self, Cloud};
use crate::observe::Observer;
use crate::plan::accept::{Judged, Verdict};
use crate::plan::proof::asks_for_tasks;
use crate::plan::resources::{Observed, QueueDepth, Subject, Tasks};

/// The longest that a queue is waited for: whoever reads it comes again, and others are not to wait for it.
pub(crate) const QUEUE_LIMIT: Duration = Duration::from_secs(10);

/// Reads what a decision needs: the resources, and the queue of a connector that is wanted, and the health of its tasks.
pub(crate) async fn look<C: Cloud>(
    cloud: &C,
    observer: &Observer,
    subject: Subject,
    judged: &Judged,
) -> Result<(Observed, Looked), Error> {
    let (observed, queue) = tokio::join!(observer.observe(subject.clone()), queue(cloud, judged));
    let mut observed = observed.map_err(Error::Observe)?;
    let is_wanted = matches!(judged.verdict, Verdict::Keep(..));
    if is_wanted && asks_for_tasks(&observed) {
        observed.tasks = tasks(cloud, &subject, &observed).await;
        if let Tasks::Seen(seen) = &observed.tasks {
            observed.last_failure = observed.last_failure.take().or_else(|| seen.cause.clone());
        }
    }
    Ok((observed, queue))
}

/// Reads the health of the tasks. Where that fails, everything else is kept as wanted all the same.
async fn tasks<C: Cloud>(cloud: &C, subject: &Subject, observed: &Observed) -> Tasks {
    let definition = observed.task_definition_arn.as_deref().unwrap_or_default();
    match cloud.tasks(subject, definition, observed.steady_since).await {
        Ok(seen) => Tasks::Seen(seen),
        Err(error) => {
            tracing::warn!(%error, "Health of the tasks not read");
            let (denied, remedy) = match &error {
                cloud::Error::Deny { operation, .. } => (true, format!("; allow the operator `ecs:{operation}`")),
                _ => (false, String::new()),
            };
            let why = format!("the health of the tasks could not be read: {error}{remedy}");
            Tasks::Unknown { denied, why }
        }
    }
}

/// What became of a look at the queue: nothing of it where nobody looked.
#[derive(Debug, Default)]
pub(crate) struct Looked {
    /// What it holds.
    pub(crate) depth: Option<QueueDepth>,
    /// Why it could not be read, and what to do.
    pub(super) trouble: Option<String>,
}

impl From<Result<QueueDepth, cloud::Error>> for Looked {
    fn from(read: Result<QueueDepth, cloud::Error>) -> Self {
        let error = match read {
            Ok(depth) => {
                return Self {
                    depth: Some(depth),
                    trouble: None,
                };
            }
            Err(error) => error,
        };
        let remedy = match &error {
            cloud::Error::Deny { operation, .. } => format!("; allow the operator `sqs:{operation}` on it"),
            cloud::Error::Refuse { .. } => "; make it, or mend `source.sqs.queueUrl`".to_owned(),
            _ => String::new(),
        };
        Self {
            depth: None,
            trouble: Some(format!("the queue could not be read: {error}{remedy}")),
        }
    }
}

/// Reads a queue, which may be one that never answers.
pub(crate) async fn depth<C: Cloud>(
    cloud: &C,
    source: &SqsSource,
    deleted_within: Option<u64>,
) -> Result<QueueDepth, cloud::Error> {
    let read = tokio::time::timeout(QUEUE_LIMIT, cloud.queue(source, deleted_within));
    read.await.unwrap_or_else(|_| {
        Err(cloud::Error::Reach {
            operation: "GetQueueAttributes".to_owned(),
            reason: format!("no answer in {QUEUE_LIMIT:?}"),
        })
    })
}

/// Reads the queue. One that cannot be read keeps nothing from being repaired; the status says that it is unknown.
async fn queue<C: Cloud>(cloud: &C, judged: &Judged) -> Looked {
    let Verdict::Keep(connector, _) = &judged.verdict else {
        return Looked::default();
    };
    let read = depth(cloud, &connector.source, deleted_within(connector)).await;
    read.inspect_err(|error| tracing::warn!(%error, queue = connector.source.queue_url, "Queue not read"))
        .into()
}

/// Reads the queue once more, right before the last task goes: the first look is as old as the slowest read beside it.
pub(super) async fn looked_at_again<C: Cloud>(cloud: &C, judged: &Judged, first: Looked) -> Looked {
    let Verdict::Keep(connector, _) = &judged.verdict else {
        return first;
    };
    let read = depth(cloud, &connector.source, None).await;
    let read = read.inspect_err(|error| tracing::warn!(%error, "Queue not read again; nothing falls asleep"));
    let deleted = first.depth.and_then(|first| first.deleted);
    read.map(|depth| QueueDepth { deleted, ..depth }).into()
}

/// Deletes matter only where a connector may fall asleep; the window is its cooldown.
fn deleted_within(connector: &Connector) -> Option<u64> {
    let scaling = connector.scaling.as_ref().filter(|scaling| scaling.min == 0)?;
    Some(scaling.cooldown_sleep.as_secs().max(60))
}
