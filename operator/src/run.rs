//! The process: reads the topics to their ends, then makes passes until told to stop.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use penstock_crds::{Name, State};
use penstock_kafka::Patience;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::cloud;
use crate::cloud::Cloud;
use crate::cloud::aws::{Aws, AwsSettings};
use crate::config::Config;
use crate::journal::{Journal, Telling};
use crate::memory::{Memory, Remembered};
use crate::observe::Observer;
use crate::orphans::Orphans;
use crate::plan::desired::Surroundings;
use crate::plan::home::{Elsewhere, Home};
use crate::plan::owner::{Owner, OwnerError};
use crate::plan::status::Next;
use crate::publish::{self, PublishError, Publisher};
use crate::queue::Queue;
use crate::reconcile::{Context, reconcile};
use crate::rounds::{self, Silent};
use crate::telemetry::{AWS, Limits, Metrics, PASSES, Progress, serve};
use crate::topics::{self, TopicsError};
use crate::watch::{self, Specs, View, WatchError};

/// How long the operator waits for Kafka at its start before it gives up and is started anew.
const START_PATIENCE: Duration = Duration::from_secs(15 * 60);
/// How long an input may stand still before the operator is no longer ready.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often the depth of the queue is told.
const TELLING: Duration = Duration::from_secs(5);
/// The longest that one pass may take: every call in it has a timeout of its own, so this is a backstop.
const PASS_LIMIT: Duration = Duration::from_secs(300);

/// Why the operator ended, other than by being told to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address to serve on is taken.
    #[error("could not listen on {address}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// Nobody would know whose what it makes is.
    #[error("could not tell what is to be this operator's own")]
    Own(#[source] OwnerError),
    /// They are another operator's.
    #[error("could not take over what the topics remember")]
    Succeed(#[source] OwnerError),
    /// They are of another account or region.
    #[error("could not go on with what the topics remember")]
    GoOn(#[source] Elsewhere),
    /// AWS cannot be used.
    #[error("could not prepare the AWS clients")]
    PrepareAws(#[source] cloud::Error),
    /// The topics are missing or wrong.
    #[error("could not use the topics")]
    UseTopics(#[source] Box<TopicsError>),
    /// The topics could not be read or written.
    #[error("could not take over state and status")]
    TakeOver(#[source] PublishError),
    /// The spec topic cannot be followed.
    #[error("could not follow the spec topic")]
    Watch(#[source] WatchError),
    /// Another operator of this name started.
    #[error("another operator of the same name has taken over: {0}")]
    GiveWay(String),
}

/// Runs until `shutdown`, then finishes the passes in hand.
pub async fn run(config: Config, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
    let metrics = Metrics::default();
    let progress = Progress::new(limits(&config));
    let stop = CancellationToken::new();
    let _stop_with_us = stop.clone().drop_guard();
    let address = config.listen;
    let listener = TcpListener::bind(address)
        .await
        .map_err(|source| Error::Listen { address, source })?;
    tokio::spawn(serve(
        listener,
        metrics.clone(),
        progress.clone(),
        stop.clone().cancelled_owned(),
    ));
    tokio::pin!(shutdown);
    let operator = tokio::select! {
        operator = start(&config, metrics, progress) => operator?,
        () = &mut shutdown => return Ok(()),
    };
    operator.work(&config, shutdown).await
}

fn limits(config: &Config) -> Limits {
    Limits {
        moving: PATIENCE,
        // The resync comes up to a fifth late.
        observing: config.resync.mul_f64(1.2) + PATIENCE,
        living: PASS_LIMIT + PATIENCE,
    }
}

/// Everything that was read to its end and is ready to make passes.
struct Operator {
    ctx: Arc<Context<Aws, Telling<Publisher>>>,
    publisher: Publisher,
    specs: Specs,
    queue: Arc<Queue>,
    progress: Progress,
    around: Surroundings,
}

async fn start(config: &Config, metrics: Metrics, progress: Progress) -> Result<Operator, Error> {
    let patience = Patience::lasting(START_PATIENCE);
    progress.awaits("Kafka and the topics");
    let topics = topics::ensure(&config.kafka, &config.topics, patience)
        .await
        .map_err(|source| Error::UseTopics(Box::new(source)))?;
    let owner = config.owner(topics.cluster_id.as_deref()).map_err(Error::Own)?;
    let aws = aws(config, owner.clone(), &metrics).await?;
    progress.awaits("AWS to say which account this is");
    let home = aws.home().await.map_err(Error::PrepareAws)?;
    progress.awaits("state and status to be read back");
    // Before this operator becomes the one writer: if it may not go on with what is there, whoever does so now shall.
    let states = publish::states(&config.kafka, &topics).await;
    check_predecessor(&states.map_err(Error::TakeOver)?, &owner, &home)?;
    let transactional_id = format!("{}.operator.{}", config.topics.prefix, config.name);
    let publisher = Publisher::start(&config.kafka, &topics, &transactional_id, patience).await;
    let (publisher, remembered) = publisher.map_err(Error::TakeOver)?;
    check_predecessor(&remembered, &owner, &home)?;
    let queue = Arc::new(Queue::new(config.resync));
    let requests = Arc::clone(&queue);
    progress.awaits("the spec topic to be read to its end");
    let specs = watch::watch(&config.kafka, &topics.specs, &topics.specs_id, move |name| {
        requests.request(name)
    });
    let specs = specs.map_err(Error::Watch)?;
    let telling = (specs.clone(), progress.clone());
    tokio::spawn(async move { telling.0.tell(&telling.1).await });
    specs.caught_up().await.map_err(Error::Watch)?;
    for name in remembered.keys() {
        queue.request(name);
    }
    let around = Surroundings {
        owner: owner.clone(),
        home: home.clone(),
        container_insights: false,
    };
    let cloud = Arc::new(aws);
    let ctx = Arc::new(Context {
        observer: observer(&cloud, &progress),
        cloud,
        journal: Telling {
            journal: publisher.clone(),
            progress: progress.clone(),
        },
        memory: Memory::new(remembered),
        orphans: Orphans::default(),
        owner,
        home,
        audit_period: config.topics.audit_period,
        metrics,
        now: Timestamp::now,
    });
    tracing::info!(
        account = around.home.account,
        region = around.home.region,
        owner = around.owner.tag(),
        "Caught up; making passes"
    );
    Ok(Operator {
        ctx,
        publisher,
        specs,
        queue,
        progress,
        around,
    })
}

/// Holds that this operator may go on with what the topics remember.
fn check_predecessor(remembered: &BTreeMap<Name, Remembered>, owner: &Owner, home: &Home) -> Result<(), Error> {
    let states = remembered
        .iter()
        .filter_map(|(name, remembered)| Some((name, remembered.state.as_ref()?)));
    owner.check_predecessor(states.clone()).map_err(Error::Succeed)?;
    home.check_predecessor(states).map_err(Error::GoOn)
}

fn observer<C: Cloud>(cloud: &Arc<C>, progress: &Progress) -> Observer {
    let progress = progress.clone();
    Observer::start_telling(Arc::clone(cloud), move |answer| {
        progress.answered(AWS, answer.as_ref().map(drop).map_err(ToString::to_string));
    })
}

async fn aws(config: &Config, owner: Owner, metrics: &Metrics) -> Result<Aws, Error> {
    let counted = metrics.clone();
    let settings = AwsSettings {
        region: config.region.clone(),
        owner,
        observer: Some(Arc::new(move |call| counted.called(&call))),
    };
    Aws::new(settings).await.map_err(Error::PrepareAws)
}

impl Operator {
    async fn work(self, config: &Config, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        self.progress.begun();
        self.ctx.metrics.leads(true);
        let mut passes = JoinSet::new();
        for _ in 0..config.concurrency {
            let (ctx, specs, queue) = (Arc::clone(&self.ctx), self.specs.clone(), Arc::clone(&self.queue));
            let progress = self.progress.clone();
            passes.spawn(make_passes(ctx, specs, queue, progress));
        }
        let ended = tokio::select! {
            () = shutdown => Ok(()),
            lost = self.specs.ended() => Err(Error::Watch(lost)),
            reason = self.publisher.fenced() => Err(Error::GiveWay(reason)),
            never = self.go_round(config) => match never {},
        };
        self.queue.close();
        if matches!(ended, Err(Error::GiveWay(_))) {
            // Another looks after the connectors by now, so the passes in hand end where they are, as if this one were killed.
            self.ctx.metrics.leads(false);
            return ended;
        }
        tracing::info!("Finishing the passes in hand");
        let finished = tokio::time::timeout(config.shutdown_timeout, async {
            while passes.join_next().await.is_some() {}
        });
        if finished.await.is_err() {
            tracing::warn!(after = ?config.shutdown_timeout, "Passes were abandoned; the next start completes them");
        }
        ended
    }

    /// Makes the rounds for ever: each kind one at a time, and none of them waits for another.
    async fn go_round(&self, config: &Config) -> std::convert::Infallible {
        let telling = every(TELLING, async || self.tell_of_work());
        let silent = Silent::default();
        let queues = every(config.queue_poll, async || {
            rounds::look_at_queues(&self.ctx, &self.queue, &silent).await;
        });
        let backlogs = every(config.backlog_poll(), async || {
            rounds::publish_backlogs(&self.ctx, &self.around, &silent).await;
        });
        let silent_queues = every(config.queue_poll, async || {
            rounds::ask_silent_queues(&self.ctx, &self.around, &silent).await;
        });
        let slow = every(config.resync, async || {
            let documents = || self.specs.read(|view| view.documents().cloned().collect());
            rounds::look_for_orphans(&self.ctx, &self.queue, &config.clusters, documents).await;
            rounds::end_old_statuses(&self.ctx, &self.queue);
        });
        tokio::join!(telling, queues, backlogs, silent_queues, slow).0
    }

    /// A loop of which nobody wants a pass has not come to a stand; else the passes that end tell that it moves.
    fn tell_of_work(&self) {
        let (due, running) = self.queue.depth();
        self.ctx.metrics.queue(due, running);
        self.ctx.metrics.refused(self.specs.read(View::refusals));
        if self.queue.is_idle() {
            self.progress.made(PASSES);
        }
    }
}

/// Makes a round again and again, that long after the last one began, and not before it ended.
async fn every(period: Duration, round: impl AsyncFn()) -> std::convert::Infallible {
    let mut due = tokio::time::interval(period);
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        round().await;
    }
}

/// Takes one name after the other until the queue is closed. A pass that panics fails alone and is made again.
async fn make_passes<C: Cloud, J: Journal>(
    ctx: Arc<Context<C, J>>,
    specs: Specs,
    queue: Arc<Queue>,
    progress: Progress,
) {
    while let Some((name, waited)) = queue.next().await {
        ctx.metrics.pass_begun(waited.as_secs_f64());
        let started = Instant::now();
        let before = ctx.memory.get(&name).state;
        let wanted = specs.wanted(&name, before.as_ref());
        let pass = {
            let (ctx, name) = (Arc::clone(&ctx), name.clone());
            tokio::spawn(async move { tokio::time::timeout(PASS_LIMIT, reconcile(&ctx, &name, &wanted)).await })
        };
        let next = match pass.await {
            Ok(Ok(next)) => next,
            Ok(Err(_)) => {
                tracing::error!(connector = %name, limit = ?PASS_LIMIT, "Pass took too long");
                ctx.metrics.pass_failed("timeout");
                Next::Backoff
            }
            Err(panic) => {
                tracing::error!(connector = %name, %panic, "Pass panicked");
                ctx.metrics.pass_failed("panic");
                Next::Backoff
            }
        };
        ctx.metrics.pass_made(started.elapsed().as_secs_f64());
        if is_restarted(before.as_ref(), ctx.memory.get(&name).state.as_ref()) {
            ctx.metrics.restarted(&name);
        }
        progress.made(PASSES);
        queue.done(&name, next);
    }
}

/// Whether a restart that somebody asked for was taken up between the two.
fn is_restarted(before: Option<&State>, after: Option<&State>) -> bool {
    let (Some(before), Some(after)) = (before, after) else {
        return false;
    };
    after.handled.restarted_at > before.handled.restarted_at
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::accept::fresh_state;

    #[test]
    fn a_restart_is_counted_once_and_not_for_a_connector_that_only_came() {
        let before = fresh_state("topic/0/1".to_owned(), 1);
        let mut after = before.clone();
        assert!(!is_restarted(Some(&before), Some(&after)));
        after.handled.restarted_at = Some(Timestamp::UNIX_EPOCH);
        assert!(is_restarted(Some(&before), Some(&after)));
        assert!(!is_restarted(Some(&after), Some(&after)));
        assert!(
            !is_restarted(None, Some(&after)),
            "it was asked for before there was anything to restart"
        );
    }
}
