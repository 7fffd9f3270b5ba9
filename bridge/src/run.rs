//! From configuration to exit: check queue and topics, move messages, hand over.

use std::sync::Arc;
use std::time::Duration;

use penstock_kafka::chain;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::health::Health;
use crate::pump::{self, Ending, Pump, Voice, backoff::Series};
use crate::sink::kafka::KafkaSink;
use crate::sink::preflight::{self, TopicError};
use crate::source::sqs::{QueueFacts, SqsQueue};
use crate::source::{self, ErrorKind, access};
use crate::telemetry::{Outage, Telemetry};
use crate::{server, sink};

/// What a dead letter adds to its message, and what headers and framing add to a body, at most.
const RECORD_OVERHEAD: usize = 2048;

/// How often an action has to be denied before the bridge believes it.
const DENIALS: u32 = 4;

/// How the process ends, as documented for those who watch it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// Everything is handed over.
    Drained,
    /// The command line is wrong.
    Usage,
    /// A fault of the program.
    Internal,
    /// A stop ended before everything was answered for. Nothing is lost, some may come twice.
    Unanswered,
    /// The configuration, the queue or a topic is wrong.
    Configuration,
}

impl ExitStatus {
    /// Returns the number, as in sysexits.h.
    pub fn code(self) -> u8 {
        match self {
            Self::Drained => 0,
            Self::Usage => 64,
            Self::Internal => 70,
            Self::Unanswered => 75,
            Self::Configuration => 78,
        }
    }
}

/// Moves messages until `shutdown`, serving health and metrics on `listener`.
pub async fn run(config: Config, listener: TcpListener, shutdown: CancellationToken) -> ExitStatus {
    let voice = Voice {
        telemetry: Arc::new(Telemetry::new(&config.connector)),
        health: Arc::new(Health::new(Instant::now())),
    };
    tokio::spawn(server::serve(listener, voice.clone()));
    let (outcomes, deliveries) = sink::outcomes::outcomes();
    // Made first: it connects and takes its place at the broker while queue and topics are looked at.
    let kafka = match KafkaSink::new(config.sink.clone(), outcomes) {
        Ok(kafka) => kafka,
        Err(error) => {
            tracing::error!(error = chain(&error), "The bridge cannot start");
            return ExitStatus::Configuration;
        }
    };
    let queue = SqsQueue::new(
        access::connect(&config.source, &config.connector).await,
        config.source.clone(),
    );
    let checked = tokio::select! {
        checked = check(&config, &queue) => checked,
        () = shutdown.cancelled() => return ExitStatus::Drained,
    };
    let facts = match checked {
        Ok(facts) => facts,
        Err(status) => return status,
    };
    warn_of_misfits(&config, &facts);
    let kafka = Arc::new(kafka.for_topic_of(facts.topic_limit));
    let settings = pump::Settings {
        largest_message: facts.queue.max_message_bytes,
        redrives: facts.queue.has_redrive,
        ..config.pump
    };
    tracing::info!(queue = config.source.queue_url, "Moving messages");
    let ending = Pump::new(settings, queue, kafka.clone(), deliveries, voice)
        .run(shutdown)
        .await;
    // Dropping a producer waits for its threads, which may wait for a broker; the process ends either way.
    std::mem::forget(kafka);
    say(ending)
}

fn say(ending: Ending) -> ExitStatus {
    match ending {
        Ending::Drained => {
            tracing::info!("Stopped: everything is handed over");
            ExitStatus::Drained
        }
        Ending::Unanswered(messages) => {
            tracing::warn!(
                messages,
                "Stopped: Kafka did not answer for some messages, which are visible in the queue again"
            );
            ExitStatus::Unanswered
        }
        Ending::CutShort(messages) => {
            tracing::warn!(
                messages,
                "Stopped: the queue did not answer in time; some messages appear again as their visibility timeout ends"
            );
            ExitStatus::Unanswered
        }
        Ending::Broken => ExitStatus::Internal,
    }
}

/// What queue and topics told.
struct Facts {
    queue: QueueFacts,
    topic_limit: usize,
    dead_letter_limit: Option<usize>,
}

/// Checks queue and topics. What may be mended from outside while we wait is waited for.
async fn check(config: &Config, queue: &SqsQueue) -> Result<Facts, ExitStatus> {
    let topic = check_topic(config, &config.sink.topic);
    let dead_letters = async {
        match &config.sink.dead_letter_topic {
            Some(topic) => check_topic(config, topic).await.map(Some),
            None => Ok(None),
        }
    };
    // The first fault ends the start, though the other side may still be waited for.
    let (queue, (), topic_limit, dead_letter_limit) =
        tokio::try_join!(check_queue(config, queue), check_actions(queue), topic, dead_letters)?;
    Ok(Facts {
        queue,
        topic_limit,
        dead_letter_limit,
    })
}

async fn check_queue(config: &Config, queue: &SqsQueue) -> Result<QueueFacts, ExitStatus> {
    let (mut outage, mut waits) = (Outage::new("Asking for the queue"), waits());
    loop {
        match queue.inspect().await {
            Ok(facts) => {
                outage.worked(Instant::now());
                return Ok(facts);
            }
            Err(error) if error.kind == ErrorKind::Missing => {
                let (url, region) = (&config.source.queue_url, &config.source.region);
                tracing::error!(
                    url,
                    region,
                    %error,
                    "The bridge cannot start: make the queue, or correct queueUrl and region"
                );
                return Err(ExitStatus::Configuration);
            }
            Err(error) if error.kind == ErrorKind::Denied => {
                tracing::warn!(%error, "The queue's settings are not known; allow sqs:GetQueueAttributes");
                return Ok(QueueFacts {
                    max_message_bytes: 1 << 20,
                    has_redrive: true,
                });
            }
            Err(error) => wait_out(&mut outage, &mut waits, &error).await,
        }
    }
}

/// Refuses to begin where messages could not be settled: what is stored and not deleted comes again without end. A denial
/// may be news that has not reached all of AWS, so it is asked for again for a while.
async fn check_actions(queue: &SqsQueue) -> Result<(), ExitStatus> {
    let mut waits = waits();
    for tries_left in (0..DENIALS).rev() {
        let denied = queue.denied_actions().await;
        if denied.is_empty() {
            return Ok(());
        }
        if tries_left == 0 {
            let denied = denied.join(" and ");
            tracing::error!("The bridge cannot start: allow {denied} to the task's role, or to the one it assumes");
            break;
        }
        tokio::time::sleep(waits.next()).await;
    }
    Err(ExitStatus::Configuration)
}

async fn wait_out(outage: &mut Outage, waits: &mut Series, error: &source::Error) {
    outage.failed(error.kind.as_str(), error, Instant::now());
    tokio::time::sleep(waits.next()).await;
}

async fn check_topic(config: &Config, topic: &str) -> Result<usize, ExitStatus> {
    let (mut outage, mut waits) = (Outage::new("Asking Kafka for the topic"), waits());
    loop {
        match preflight::inspect(&config.sink.connection, topic).await {
            Ok(facts) => {
                outage.worked(Instant::now());
                return Ok(facts.max_message_bytes);
            }
            Err(error @ TopicError::Unreachable { .. }) => {
                outage.failed("unreachable", &chain(&error), Instant::now());
                tokio::time::sleep(waits.next()).await;
            }
            Err(error) => {
                tracing::error!(error = chain(&error), "The bridge cannot start");
                return Err(ExitStatus::Configuration);
            }
        }
    }
}

fn waits() -> Series {
    Series::new(Duration::from_millis(500), Duration::from_secs(10))
}

/// Says what will go wrong for some messages, although most will pass.
fn warn_of_misfits(config: &Config, facts: &Facts) {
    let largest = facts.queue.max_message_bytes + RECORD_OVERHEAD;
    let limits = [(&config.sink.topic, Some(facts.topic_limit))];
    let dead_letters = config
        .sink
        .dead_letter_topic
        .as_ref()
        .map(|topic| (topic, facts.dead_letter_limit));
    for (topic, limit) in limits.into_iter().chain(dead_letters) {
        if let Some(limit) = limit.filter(|limit| *limit < largest) {
            let queue_takes = facts.queue.max_message_bytes;
            tracing::warn!(
                topic,
                max_message_bytes = limit,
                queue_takes,
                "The queue takes larger messages than the topic; raise the topic's max.message.bytes to {largest} or more"
            );
        }
    }
    if !facts.queue.has_redrive && config.sink.dead_letter_topic.is_none() {
        tracing::warn!(
            "A message that Kafka refuses will come back for ever: set errors.deadLetterTopic, or give the queue a redrive policy"
        );
    }
}
