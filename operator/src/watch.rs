//! The spec topic, followed: the latest documents per name, and whether the topic was read to its end.
//!
//! Promises: nothing is said to be wanted or withdrawn that no record said; [`Specs::caught_up`] comes only after every
//! record that stood in the topic at the start; a topic that was cut off or made anew ends the watch with an error, since
//! what it says no longer continues what was read.

mod view;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use penstock_crds::{Name, State};
use penstock_kafka::{Event, Follower, LossReason, Progress, ReadError, Record, Settings};
use tokio::sync::watch;
use tracing::{info, warn};

pub use view::{ACTOR_ANNOTATION, ACTOR_HEADER, Stray, View};

use crate::plan::accept::Wanted;
use crate::telemetry;

/// How the spec topic is called where readiness is told.
pub const INPUT: &str = "specs";
/// How often progress is told.
const TELLING: Duration = Duration::from_secs(1);

/// What the spec topic says, shared by those who ask; cheap to clone.
#[derive(Clone)]
pub struct Specs {
    view: Arc<RwLock<View>>,
    stage: watch::Receiver<Stage>,
    progress: Progress,
}

/// How far the topic was read.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    Reading,
    CaughtUp,
    Ended(String),
}

/// Why the spec topic is no longer watched.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The reader could not be started.
    #[error("could not start to read the topic `{topic}`")]
    Start {
        /// Which topic.
        topic: String,
        /// What kept it.
        source: ReadError,
    },
    /// The topic is no longer the one that was read.
    #[error(
        "the spec topic can no longer be followed: {0}. Nothing was removed. Start the operator again: it reads the topic \
         anew, takes over the connectors that are written there, and reports the others as orphans"
    )]
    Lose(String),
}

/// Follows the spec topic; `changed` is told every connector that a record concerns, while and after catching up.
pub fn watch(
    kafka: &Settings,
    topic: &str,
    topic_id: &str,
    changed: impl Fn(&Name) + Send + 'static,
) -> Result<Specs, WatchError> {
    let follower = Follower::start(kafka, topic, 0);
    let follower = follower.map_err(|source| WatchError::Start {
        topic: topic.to_owned(),
        source,
    })?;
    let view = Arc::new(RwLock::new(View::new(topic_id)));
    let (sender, stage) = watch::channel(Stage::Reading);
    let specs = Specs {
        view: Arc::clone(&view),
        stage,
        progress: follower.progress(),
    };
    let reader = Reader {
        view,
        topic_id: topic_id.to_owned(),
        stage: sender,
    };
    tokio::spawn(reader.read(follower, changed));
    Ok(specs)
}

impl Specs {
    /// Waits until everything that stood in the topic at the start was read.
    pub async fn caught_up(&self) -> Result<(), WatchError> {
        match self.stage_when(|stage| *stage != Stage::Reading).await {
            Stage::Ended(reason) => Err(WatchError::Lose(reason)),
            Stage::Reading | Stage::CaughtUp => Ok(()),
        }
    }

    /// Waits until the topic can no longer be followed, and returns why.
    pub async fn ended(&self) -> WatchError {
        match self.stage_when(|stage| matches!(stage, Stage::Ended(_))).await {
            Stage::Ended(reason) => WatchError::Lose(reason),
            Stage::Reading | Stage::CaughtUp => WatchError::Lose("the reader ended".to_owned()),
        }
    }

    /// Returns whether the topic was read to the end that it had at the start.
    pub fn is_caught_up(&self) -> bool {
        *self.stage.borrow() == Stage::CaughtUp
    }

    /// Returns what is wanted of a connector, given what was remembered of it.
    pub fn wanted(&self, name: &Name, last: Option<&State>) -> Wanted {
        self.read(|view| view.wanted(name, last))
    }

    /// Looks at the view; it is locked meanwhile, so the look must be short.
    pub fn read<T>(&self, look: impl FnOnce(&View) -> T) -> T {
        look(&self.view.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns when the reader last got somewhere.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Tells of the reader's progress for as long as it reads.
    pub async fn tell(&self, to: &telemetry::Progress) {
        let mut told = None;
        while !matches!(*self.stage.borrow(), Stage::Ended(_)) {
            let now = Some(self.progress.last());
            if now != told {
                to.made(INPUT);
                told = now;
            }
            if let Some(why) = self.progress.hindrance() {
                to.hindered(INPUT, why);
            }
            tokio::time::sleep(TELLING).await;
        }
    }

    async fn stage_when(&self, reached: impl FnMut(&Stage) -> bool) -> Stage {
        let mut stage = self.stage.clone();
        match stage.wait_for(reached).await {
            Ok(stage) => stage.clone(),
            Err(_) => Stage::Ended("the reader ended".to_owned()),
        }
    }
}

/// The task that keeps the view.
struct Reader {
    view: Arc<RwLock<View>>,
    topic_id: String,
    stage: watch::Sender<Stage>,
}

impl Reader {
    async fn read(self, mut follower: Follower, changed: impl Fn(&Name)) {
        loop {
            let event = tokio::select! {
                event = follower.next() => event,
                () = self.stage.closed() => return,
            };
            match event {
                Some(Event::Record(record)) => self.apply(&record).iter().for_each(&changed),
                Some(Event::CaughtUp) => {
                    info!("Read the spec topic to its end");
                    self.stage.send_replace(Stage::CaughtUp);
                }
                Some(Event::Opened { topic_id }) if topic_id != self.topic_id => {
                    let reason = LossReason::Recreated {
                        was: self.topic_id.clone(),
                        is: topic_id,
                    };
                    return self.end(reason.to_string());
                }
                Some(Event::Opened { .. }) => {}
                Some(Event::Lost(reason)) => return self.end(reason.to_string()),
                None => return self.end("the reading thread ended".to_owned()),
            }
        }
    }

    fn apply(&self, record: &Record) -> Vec<Name> {
        let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);
        let refusals = view.refusals();
        let names = view.apply(record);
        if view.refusals() > refusals {
            let key = record.key.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
            warn!(
                offset = record.offset,
                key = key.escape_debug().to_string(),
                "Refused a record of the spec topic"
            );
        }
        names
    }

    fn end(self, reason: String) {
        warn!(reason, "The spec topic can no longer be followed");
        self.stage.send_replace(Stage::Ended(reason));
    }
}
