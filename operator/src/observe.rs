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

/// What an asker is told.
pub type Answer = Result<Observed, Error>;
type Tell = dyn Fn(&Answer) + Send + Sync;
type Ask = (Subject, oneshot::Sender<Answer>);
/// What is read at once, and who waits for each.
type Batch = BTreeMap<Name, (Subject, Vec<oneshot::Sender<Answer>>)>;

/// The way to ask for an observation.
#[derive(Debug, Clone)]
pub struct Observer {
    asks: mpsc::Sender<Ask>,
}

impl Observer {
    /// Starts the reader over `cloud`; it ends with the last observer.
    pub fn start<C: Cloud>(cloud: Arc<C>) -> Self {
        Self::start_telling(cloud, |_| ())
    }

    /// Starts a reader that tells each answer.
    pub fn start_telling<C: Cloud>(cloud: Arc<C>, tell: impl Fn(&Answer) + Send + Sync + 'static) -> Self {
        let (asks, inbox) = mpsc::channel(WAITING);
        tokio::spawn(read_batches(cloud, inbox, Arc::new(tell)));
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

async fn read_batches<C: Cloud>(cloud: Arc<C>, mut inbox: mpsc::Receiver<Ask>, tell: Arc<Tell>) {
    let permits = Arc::new(Semaphore::new(BATCHES));
    while let Some(first) = inbox.recv().await {
        let mut asks = vec![first];
        let until = Instant::now() + GATHERING;
        while asks.len() < MOST {
            match tokio::time::timeout_at(until, inbox.recv()).await {
                Ok(Some(next)) => asks.push(next),
                Ok(None) | Err(_) => break,
            }
        }
        for batch in batches(asks) {
            let Ok(permit) = Arc::clone(&permits).acquire_owned().await else {
                return;
            };
            let (cloud, tell) = (Arc::clone(&cloud), Arc::clone(&tell));
            tokio::spawn(async move {
                read_batch(&*cloud, batch, &*tell).await;
                drop(permit);
            });
        }
    }
}

/// Returns who asked about what, such that no batch has a name twice: askers about the same share an answer, and who
/// asks about another service of that name (its cluster changed between the two) comes in another batch.
fn batches(asks: Vec<Ask>) -> Vec<Batch> {
    let mut batches: Vec<Batch> = Vec::new();
    for (subject, reply) in asks {
        let fits = |batch: &Batch| batch.get(&subject.name).is_none_or(|(known, _)| *known == subject);
        let index = batches.iter().position(fits).unwrap_or(batches.len());
        if index == batches.len() {
            batches.push(Batch::new());
        }
        let (_, replies) = batches[index]
            .entry(subject.name.clone())
            .or_insert((subject, Vec::new()));
        replies.push(reply);
    }
    batches
}

async fn read_batch<C: Cloud>(cloud: &C, batch: Batch, tell: &Tell) {
    let subjects: Vec<_> = batch.values().map(|(subject, _)| subject.clone()).collect();
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
    for (name, (_, replies)) in batch {
        let missing = || Error::Fail {
            operation: "observe".to_owned(),
            message: "the subject was left out".to_owned(),
        };
        let answer = seen.remove(&name).unwrap_or_else(|| Err(missing()));
        tell(&answer);
        for reply in replies {
            // Whoever stopped waiting needs no answer.
            let _ = reply.send(answer.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::cloud::fake::Fake;
    use crate::samples::{orders, subject};

    fn observer() -> Observer {
        let cloud = Fake::default();
        cloud.meddle(&orders(), |observed| observed.counts.running = 3);
        Observer::start(Arc::new(cloud))
    }

    #[tokio::test(start_paused = true)]
    async fn two_who_ask_about_the_same_within_a_moment_are_both_answered() {
        let observer = observer();
        let (first, second) = tokio::join!(observer.observe(subject(orders())), observer.observe(subject(orders())));
        for answer in [first, second] {
            assert_eq!(answer.map(|observed| observed.counts.running), Ok(3));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn every_answer_is_told_whoever_waits_for_it() {
        let told = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&told);
        let tell = move |answer: &Answer| {
            count.fetch_add(usize::from(answer.is_ok()), Ordering::Relaxed);
        };
        let observer = Observer::start_telling(Arc::new(Fake::default()), tell);
        let (first, second) = tokio::join!(observer.observe(subject(orders())), observer.observe(subject(orders())));
        assert!(first.is_ok() && second.is_ok());
        assert_eq!(told.load(Ordering::Relaxed), 1, "one read, one answer");
    }

    #[tokio::test(start_paused = true)]
    async fn one_who_asks_about_another_cluster_under_the_same_name_is_answered_too() {
        let observer = observer();
        let moved = Subject {
            cluster: "other".to_owned(),
            ..subject(orders())
        };
        let (first, second) = tokio::join!(observer.observe(subject(orders())), observer.observe(moved));
        assert!(first.is_ok() && second.is_ok(), "{first:?}, {second:?}");
    }

    #[test]
    fn no_batch_has_a_name_twice() {
        let asks = |cluster: &str| {
            let subject = Subject {
                cluster: cluster.to_owned(),
                ..subject(orders())
            };
            (subject, oneshot::channel().0)
        };
        let batches = batches(["data", "other", "data"].map(asks).into_iter().collect());
        let told: Vec<_> = batches
            .iter()
            .flat_map(|batch| batch.values())
            .map(|(subject, replies)| (subject.cluster.as_str(), replies.len()))
            .collect();
        assert_eq!(told, [("data", 2), ("other", 1)]);
    }
}
