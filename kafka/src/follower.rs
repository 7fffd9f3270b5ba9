//! Reads one partition from its beginning to its end, and goes on following it.
//!
//! Promises: every record that is committed, in order, from the first that the log still holds; [`Event::CaughtUp`]
//! once everything that stood in the log at the start was handed over; a log that was cut off or made anew is an event,
//! never a silent gap. The loss of every broker is outlived: the follower tries again for as long as it lives.
//!
//! It reads only what is committed. An open transaction of another writer holds back what stands behind it, so the
//! follower is not caught up before that transaction has ended, at the latest by the broker's time limit.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::Offset;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::admin::{self, AdminError};
use crate::complaint::amiss;
use crate::{Context, Patience, Record, Settings, chain, native};

/// How many events wait for their reader; behind them librdkafka's own queue is limited by bytes.
const EVENT_QUEUE: usize = 1_000;
/// The longest that one poll waits.
const POLL_TIMEOUT: Duration = Duration::from_millis(500);
/// How often an idle log is asked whether it is still there, and the same.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);
/// The longest that one such question waits.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);
/// The waits between two tries to open the log; without an end.
const OPENING: Patience = Patience::lasting(Duration::MAX);

/// What happened on a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The log was opened; records of this topic id follow.
    Opened {
        /// The topic's id.
        topic_id: String,
    },
    /// A record, in the order of the log.
    Record(Record),
    /// Everything that stood in the log when it was opened was handed over. It comes once.
    CaughtUp,
    /// The log is no longer the one that was read; nothing follows.
    Lost(LossReason),
}

/// Why a log can no longer be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LossReason {
    /// The topic was deleted and made again.
    #[error("the topic was deleted and made again: its id was {was} and is {is}")]
    Recreated {
        /// The id of the log that was read.
        was: String,
        /// The id of the log that is there now.
        is: String,
    },
    /// The next record to read is not in the log.
    #[error("the log does not hold the next record to read: records were deleted or lost")]
    Truncated,
    /// The client cannot go on.
    #[error("the consumer failed for good: {0}")]
    Failed(String),
}

/// When a reader last got somewhere, and what keeps it from doing so; cheap to clone.
#[derive(Debug, Clone)]
pub struct Progress {
    inner: Arc<Mutex<ProgressState>>,
}

#[derive(Debug)]
struct ProgressState {
    last: Instant,
    hindrance: Option<String>,
}

/// Follows one partition; dropped, it stops.
pub struct Follower {
    events: mpsc::Receiver<Event>,
    progress: Progress,
    /// Its drop wakes the thread from a wait and ends it.
    _stop: SyncSender<()>,
}

/// Why a partition was not read to its end.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The thread that reads could not be started.
    #[error("could not start the thread that reads the topic `{topic}`")]
    StartThread {
        /// Which topic.
        topic: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The end was not reached in time.
    #[error("did not read the topic `{topic}` to its end within {timeout:?}: {hindrance}")]
    ReachEnd {
        /// Which topic.
        topic: String,
        /// How long it was tried.
        timeout: Duration,
        /// What kept it from the end.
        hindrance: String,
    },
    /// The log went away while it was read.
    #[error("lost the topic `{topic}` while reading it")]
    KeepLog {
        /// Which topic.
        topic: String,
        /// What happened to it.
        source: LossReason,
    },
}

/// Reads what the partition holds now, and returns the topic's id with it.
pub async fn read_to_end(
    settings: &Settings,
    topic: &str,
    partition: i32,
    timeout: Duration,
) -> Result<(String, Vec<Record>), ReadError> {
    let mut follower = Follower::start(settings, topic, partition)?;
    let progress = follower.progress();
    let read = tokio::time::timeout(timeout, collect(&mut follower));
    let late = |_| ReadError::ReachEnd {
        topic: topic.to_owned(),
        timeout,
        hindrance: progress
            .hindrance()
            .unwrap_or_else(|| "the brokers are slow".to_owned()),
    };
    match read.await.map_err(late)? {
        Ok(read) => Ok(read),
        Err(source) => Err(ReadError::KeepLog {
            topic: topic.to_owned(),
            source,
        }),
    }
}

async fn collect(follower: &mut Follower) -> Result<(String, Vec<Record>), LossReason> {
    let (mut id, mut records) = (String::new(), Vec::new());
    while let Some(event) = follower.next().await {
        match event {
            Event::Opened { topic_id } => id = topic_id,
            Event::Record(record) => records.push(record),
            Event::CaughtUp => return Ok((id, records)),
            Event::Lost(reason) => return Err(reason),
        }
    }
    Err(LossReason::Failed("the reading thread ended".to_owned()))
}

impl Follower {
    /// Starts to follow a partition on a thread of its own, as polling librdkafka blocks.
    pub fn start(settings: &Settings, topic: &str, partition: i32) -> Result<Self, ReadError> {
        let (sender, events) = mpsc::channel(EVENT_QUEUE);
        let (stop, stopped) = sync_channel(0);
        let progress = Progress::new();
        let log = Log {
            settings: settings.clone(),
            context: Context::new(settings),
            topic: topic.to_owned(),
            partition,
            progress: progress.clone(),
            stopped,
        };
        let thread = thread::Builder::new().name(format!("read-{topic}"));
        let started = thread.spawn(move || log.follow(&sender));
        started.map_err(|source| ReadError::StartThread {
            topic: topic.to_owned(),
            source,
        })?;
        Ok(Self {
            events,
            progress,
            _stop: stop,
        })
    }

    /// Waits for the next event; `None` after [`Event::Lost`].
    pub async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// Returns the follower's progress, which goes on telling when the follower is elsewhere.
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }
}

impl Progress {
    fn new() -> Self {
        let state = ProgressState {
            last: Instant::now(),
            hindrance: None,
        };
        Self {
            inner: Arc::new(Mutex::new(state)),
        }
    }

    /// Returns when it last got somewhere: read a record, reached the end, or found that the log still ends there.
    pub fn last(&self) -> Instant {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).last
    }

    /// Returns what has kept it from progress since, if anything.
    pub fn hindrance(&self) -> Option<String> {
        self.inner
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .hindrance
            .clone()
    }

    fn made(&self) {
        let mut state = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        state.last = Instant::now();
        state.hindrance = None;
    }

    fn hindered(&self, why: String) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).hindrance = Some(why);
    }
}

/// One partition as its reading thread sees it.
struct Log {
    settings: Settings,
    context: Context,
    topic: String,
    partition: i32,
    progress: Progress,
    stopped: Receiver<()>,
}

/// What kept a log from being opened or checked.
#[derive(Debug, thiserror::Error)]
enum Hindrance {
    #[error("could not make the consumer{}", amiss(.0))]
    CreateConsumer(#[source] KafkaError),
    #[error("could not authenticate")]
    Authenticate(#[source] AdminError),
    #[error(transparent)]
    DescribeTopic(AdminError),
    #[error("could not see whether the topic is still the same")]
    CheckTopic(#[source] KafkaError),
    #[error("the topic does not exist")]
    FindTopic,
    #[error("could not ask for the log's end")]
    AskEnd(#[source] KafkaError),
    #[error("a transaction of another writer is open at offset {stable}, before the end {end}")]
    AwaitTransactions { stable: i64, end: i64 },
    #[error("the records up to the end {end} of the log do not come; reading them needs the ACL Read on the topic")]
    AwaitRecords { end: i64 },
    #[error("could not see how far the log was fetched")]
    SeeFetched(#[source] KafkaError),
    #[error("could not begin to read")]
    Assign(#[source] KafkaError),
}

/// How far a log was read.
#[derive(Debug, Default)]
struct Reading {
    /// Whether the end was reached ever.
    caught_up: bool,
    /// Whether the end was reached after the last record.
    at_end: bool,
}

/// Whether a log was read as far as it is decided: `fetched` is the end that the last fetch told of, uncommitted records
/// with it, or -1 if that fetch was refused; `stable` is the end of what is decided, as it was just asked for.
fn arrived(at_end: bool, fetched: i64, stable: i64) -> Result<(), Hindrance> {
    match fetched {
        _ if !at_end || fetched < stable => Err(Hindrance::AwaitRecords { end: stable }),
        end if end > stable => Err(Hindrance::AwaitTransactions { stable, end }),
        _ => Ok(()),
    }
}

impl Log {
    fn follow(self, events: &mpsc::Sender<Event>) {
        let Some((consumer, topic_id)) = self.open() else {
            return;
        };
        info!(topic = self.topic, topic_id, "Reading from the beginning");
        if events
            .blocking_send(Event::Opened {
                topic_id: topic_id.clone(),
            })
            .is_err()
        {
            return;
        }
        let mut reading = Reading::default();
        let mut checked = Instant::now();
        while !self.waits(Duration::ZERO) {
            let mut happened = self.poll(&consumer, &mut reading);
            if checked.elapsed() >= CHECK_INTERVAL && !matches!(happened, Some(Event::Lost(_))) {
                let lost = self.check(&consumer, &topic_id, &reading);
                happened = lost.map(Event::Lost).or(happened);
                checked = Instant::now();
            }
            let lost = matches!(happened, Some(Event::Lost(_)));
            if happened.is_some_and(|event| events.blocking_send(event).is_err()) || lost {
                return;
            }
        }
    }

    fn poll(&self, consumer: &BaseConsumer<Context>, reading: &mut Reading) -> Option<Event> {
        match consumer.poll(POLL_TIMEOUT)? {
            Ok(message) => {
                reading.at_end = false;
                self.progress.made();
                Some(Event::Record(Record::from_message(&message)))
            }
            Err(KafkaError::PartitionEOF(_)) => {
                reading.at_end = true;
                self.progress.made();
                (!std::mem::replace(&mut reading.caught_up, true)).then_some(Event::CaughtUp)
            }
            Err(error) => self.loss(&error).map(Event::Lost),
        }
    }

    /// Opens the log, however long that takes; `None` once nobody wants it any more.
    fn open(&self) -> Option<(BaseConsumer<Context>, String)> {
        for wait in OPENING.waits() {
            match self.try_open() {
                Ok(opened) => return Some(opened),
                Err(hindrance) => {
                    let hindrance = chain(&hindrance);
                    warn!(topic = self.topic, hindrance, "Could not open the log yet");
                    self.progress.hindered(hindrance);
                }
            }
            if self.waits(wait) {
                return None;
            }
        }
        None
    }

    /// The log's end is taken with uncommitted records. Reading begins when all below it is decided, so that the first
    /// end that the consumer reaches afterwards cannot lie before it.
    fn try_open(&self) -> Result<(BaseConsumer<Context>, String), Hindrance> {
        let consumer = self.consumer("read_committed")?;
        let described = admin::describe(consumer.client(), &self.topic, CHECK_TIMEOUT);
        let described = described
            .map_err(Hindrance::DescribeTopic)?
            .ok_or(Hindrance::FindTopic)?;
        let end = self.end(&self.consumer("read_uncommitted")?)?;
        let stable = self.end(&consumer)?;
        if stable < end {
            return Err(Hindrance::AwaitTransactions { stable, end });
        }
        let mut list = TopicPartitionList::new();
        let added = list.add_partition_offset(&self.topic, self.partition, Offset::Beginning);
        added.and_then(|()| consumer.assign(&list)).map_err(Hindrance::Assign)?;
        Ok((consumer, described.id))
    }

    fn consumer(&self, isolation_level: &str) -> Result<BaseConsumer<Context>, Hindrance> {
        let mut config = self.settings.client_config();
        config
            // librdkafka wants a group before it lets a partition be assigned; it never joins, nor commits to it.
            .set("group.id", &self.settings.client_id)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "error")
            .set("isolation.level", isolation_level)
            .set("fetch.wait.max.ms", "100")
            .set("fetch.error.backoff.ms", "200")
            .set("queued.max.messages.kbytes", "16384");
        let consumer: BaseConsumer<Context> = config
            .create_with_context(self.context.clone())
            .map_err(Hindrance::CreateConsumer)?;
        admin::prime(consumer.client()).map_err(Hindrance::Authenticate)?;
        Ok(consumer)
    }

    fn end(&self, consumer: &BaseConsumer<Context>) -> Result<i64, Hindrance> {
        let watermarks = consumer.fetch_watermarks(&self.topic, self.partition, CHECK_TIMEOUT);
        watermarks.map(|(_, end)| end).map_err(Hindrance::AskEnd)
    }

    /// Asks whether an idle log is still there and was read to its end. A log made anew could otherwise go on at our offset
    /// unnoticed, and one whose records no longer come would look like one that is idle.
    fn check(&self, consumer: &BaseConsumer<Context>, topic_id: &str, reading: &Reading) -> Option<LossReason> {
        let described = native::describe_topic(consumer.client(), &self.topic, CHECK_TIMEOUT);
        let checked = match described {
            Ok(Some(is)) if is.id != topic_id => {
                return Some(LossReason::Recreated {
                    was: topic_id.to_owned(),
                    is: is.id,
                });
            }
            Ok(Some(_)) => self.compare(consumer, reading),
            Ok(None) => Err(Hindrance::FindTopic),
            Err(error) => Err(Hindrance::CheckTopic(error)),
        };
        match checked {
            Ok(()) => self.progress.made(),
            Err(hindrance) => self.progress.hindered(chain(&hindrance)),
        }
        None
    }

    /// Compares how far the log was read with the end that it has now.
    fn compare(&self, consumer: &BaseConsumer<Context>, reading: &Reading) -> Result<(), Hindrance> {
        let stable = self.end(consumer)?;
        let fetched = native::fetched_end(consumer.client(), &self.topic, self.partition);
        arrived(reading.at_end, fetched.map_err(Hindrance::SeeFetched)?, stable)
    }

    /// Returns why the log is lost, if the error says so; all others pass by themselves.
    fn loss(&self, error: &KafkaError) -> Option<LossReason> {
        use RDKafkaErrorCode as Code;
        match error {
            KafkaError::MessageConsumptionFatal(_) => Some(LossReason::Failed(error.to_string())),
            KafkaError::MessageConsumption(Code::AutoOffsetReset | Code::OffsetOutOfRange | Code::LogTruncation) => {
                Some(LossReason::Truncated)
            }
            error => {
                self.progress.hindered(error.to_string());
                None
            }
        }
    }

    /// Waits, and returns whether the follower was dropped meanwhile.
    fn waits(&self, wait: Duration) -> bool {
        matches!(self.stopped.recv_timeout(wait), Err(RecvTimeoutError::Disconnected))
    }
}

#[cfg(test)]
mod tests;
