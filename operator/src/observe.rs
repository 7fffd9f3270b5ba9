//! Observation shared between passes: what several connectors ask within a moment is read from AWS in one batch.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use penstock_crds::Name;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::Instant;

use crate::cloud::{Cloud, Error};
use crate::plan::resources::{Observed, Subject};

/// How long the first asker waits for others to share the reads.
const GATHERING: Duration = Duration::from_millis(20);
/// The most subjects of one batch: DescribeScalableTargets takes 50.
const MOST: usize = 50;
/// Batches in flight at once.
const BATCHES: usize = 4;
/// The most askers that wait for a batch.
const WAITING: usize = 1024;
/// How long one batch may take before its askers are told that nothing is known.
const LIMIT: Duration = Duration::from_secs(90);

type Answer = Result<Observed, Error>;

/// The way to ask for an observation.
#[derive(Debug, Clone)]
pub struct Observer {
    asks: mpsc::Sender<(Subject, oneshot::Sender<Answer>)>,
}

impl Observer {
    /// Starts the reader over `cloud`; it ends with the last observer.
    pub fn start<C: Cloud>(cloud: Arc<C>) -> Self {
        let (asks, inbox) = mpsc::channel(WAITING);
        tokio::spawn(read_batches(cloud, inbox));
        Self { asks }
    }

    /// Returns what AWS holds for the subject.
    pub async fn observe(&self, subject: Subject) -> Answer {
        let (reply, answer) = oneshot::channel();
        let gone = || Error::Reach {
            operation: "observe".to_owned(),
            reason: "the observer has ended".to_owned(),
        };
        self.asks.send((subject, reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

async fn read_batches<C: Cloud>(cloud: Arc<C>, mut inbox: mpsc::Receiver<(Subject, oneshot::Sender<Answer>)>) {
    let permits = Arc::new(Semaphore::new(BATCHES));
    while let Some(first) = inbox.recv().await {
        let mut batch = vec![first];
        let until = Instant::now() + GATHERING;
        while batch.len() < MOST {
            match tokio::time::timeout_at(until, inbox.recv()).await {
                Ok(Some(next)) => batch.push(next),
                Ok(None) | Err(_) => break,
            }
        }
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else {
            return;
        };
        let cloud = Arc::clone(&cloud);
        tokio::spawn(async move {
            read_batch(&*cloud, batch).await;
            drop(permit);
        });
    }
}

async fn read_batch<C: Cloud>(cloud: &C, batch: Vec<(Subject, oneshot::Sender<Answer>)>) {
    let subjects: Vec<_> = batch.iter().map(|(subject, _)| subject.clone()).collect();
    let late = || Error::Reach {
        operation: "observe".to_owned(),
        reason: format!("no answer within {LIMIT:?}"),
    };
    let mut seen: BTreeMap<Name, Answer> = match tokio::time::timeout(LIMIT, cloud.observe(&subjects)).await {
        Ok(seen) => seen,
        Err(_) => subjects
            .iter()
            .map(|subject| (subject.name.clone(), Err(late())))
            .collect(),
    };
    for (subject, reply) in batch {
        let missing = || Error::Fail {
            operation: "observe".to_owned(),
            message: "the subject was left out".to_owned(),
        };
        // Whoever stopped waiting needs no answer.
        let _ = reply.send(seen.remove(&subject.name).unwrap_or_else(|| Err(missing())));
    }
}
