//! The sink that writes Kafka: idempotent, acknowledged by all in-sync replicas, never waiting.
//!
//! Messages travel on one of two lanes. The shared lane fills batches. The lone lane puts each message into a batch of
//! its own, because a broker may refuse a whole batch for one record: only there a refusal is about the message itself.
//! librdkafka retries what can be retried for as long as it takes; leases are extended meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use penstock_crds::{Compression, RecordKey};
use penstock_kafka::Context;
use rdkafka::ClientConfig;
use rdkafka::ClientContext;
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext, PurgeConfig};
use tokio::time::Instant;

use crate::sink::failure::judge;
use crate::sink::outcomes::Outcomes;
use crate::sink::record::{self, Origin};
use crate::sink::{Delivery, Failure, Refusal, Returned, Route, Sink, Ticket};
use crate::source::Message;
use crate::telemetry::{Seldom, SeldomOfEach};

/// Librdkafka must not refuse on its own what a broker may take: SQS messages have at most 1 MiB, our headers add little,
/// and a broker judges the compressed batch.
const LARGEST_RECORD: usize = 4 << 20;

/// Kafka's own default, and the most that a batch may have before it is sent on.
const LARGEST_BATCH: usize = 1_000_000;

/// How long a broken producer stays before the next one is made.
const REBUILD_PAUSE: Duration = Duration::from_secs(2);

/// How long a producer's thread waits for outcomes at a time. They wake it; this is how long a producer that was
/// replaced stays at most.
const POLL: Duration = Duration::from_secs(5);

/// How long a producer that was begun anew may still hear of what it has on its way. Kafka may have stored that, and
/// knows its own repeats by their producer alone: sent by another it would be stored twice. A broker is seldom away longer.
const LAST_WORDS: Duration = Duration::from_secs(300);

/// What the sink writes, and how.
#[derive(Debug, Clone)]
pub struct KafkaSettings {
    /// How to reach Kafka.
    pub connection: penstock_kafka::Settings,
    /// The connector's name.
    pub connector: String,
    /// The topic.
    pub topic: String,
    /// The topic for messages that were refused.
    pub dead_letter_topic: Option<String>,
    /// What becomes the key.
    pub key: RecordKey,
    /// How batches are compressed.
    pub compression: Compression,
    /// How long a record waits for others.
    pub linger: Duration,
    /// The most messages that are handed over at once.
    pub max_messages: usize,
    /// The most bytes that are handed over at once.
    pub max_bytes: usize,
}

/// Writes messages to Kafka.
pub struct KafkaSink {
    settings: KafkaSettings,
    origin: Origin,
    together: Lane,
    alone: Lane,
}

/// Why a producer could not be made.
#[derive(Debug, thiserror::Error)]
#[error("could not make the Kafka producer")]
pub struct CreateProducerError(#[source] KafkaError);

impl KafkaSink {
    /// Makes the sink; it connects in the background and reports to `outcomes`.
    pub fn new(settings: KafkaSettings, outcomes: Outcomes) -> Result<Self, CreateProducerError> {
        let context = Context::new(&settings.connection);
        let lane = |config| Lane {
            config,
            context: context.clone(),
            outcomes: outcomes.clone(),
            built: Mutex::default(),
            former: Mutex::default(),
            said: Mutex::default(),
        };
        let together = lane(shared_config(&settings, LARGEST_BATCH));
        together.producer().map_err(CreateProducerError)?;
        let alone = lane(lone_config(&settings, LARGEST_BATCH));
        let origin = Origin {
            topic: settings.topic.clone(),
            connector: settings.connector.clone(),
        };
        Ok(Self {
            settings,
            origin,
            together,
            alone,
        })
    }

    /// Fits the batches to a topic that takes none larger than `limit`. To be called before the first message is sent.
    pub fn for_topic_of(mut self, limit: usize) -> Self {
        if limit < LARGEST_BATCH {
            self.together.make_anew_with(shared_config(&self.settings, limit));
            self.alone.make_anew_with(lone_config(&self.settings, limit));
        }
        self
    }
}

impl Sink for KafkaSink {
    fn send(&self, ticket: Ticket, message: &Message, route: Route<'_>) -> Result<(), Refusal> {
        let (lane, topic, cause) = match route {
            Route::Together => (&self.together, &self.settings.topic, None),
            Route::Alone => (&self.alone, &self.settings.topic, None),
            Route::DeadLetter(cause) => {
                let topic = self.settings.dead_letter_topic.as_ref();
                (
                    &self.alone,
                    topic.unwrap_or(&self.settings.topic),
                    Some((&self.origin, cause)),
                )
            }
        };
        let unavailable = |error: KafkaError| Refusal::Failed(Failure::Unavailable(error.to_string()));
        let producer = lane.producer().map_err(unavailable)?;
        let mut outgoing = BaseRecord::with_opaque_to(topic, ticket.0)
            .payload(message.body.as_str())
            .headers(record::headers(message, cause));
        if let Some(key) = record::key(message, self.settings.key) {
            outgoing = outgoing.key(key);
        }
        match producer.send(outgoing) {
            Ok(()) => Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => Err(Refusal::Full),
            Err((error, _)) => {
                producer.context().note(&error);
                Err(Refusal::Failed(judge(&error)))
            }
        }
    }

    fn renew(&self) -> bool {
        let begun = [&self.together, &self.alone].map(Lane::renew);
        begun.contains(&true)
    }

    fn abandon(&self) {
        for lane in [&self.together, &self.alone] {
            let producer = lane.built().as_ref().map(|(producer, _)| producer.clone());
            for producer in producer.into_iter().chain(lane.former().upgrade()) {
                give_up(&producer);
            }
        }
    }
}

/// Gives up what a producer holds. Not waited for: the threads that do it may hang in a name lookup, just when Kafka is gone.
fn give_up(producer: &Courier) {
    producer.purge(PurgeConfig::default().queue().inflight().non_blocking());
}

/// One producer, made anew when librdkafka declares it broken for good.
struct Lane {
    config: ClientConfig,
    context: Context,
    outcomes: Outcomes,
    built: Mutex<Option<(Arc<Courier>, Instant)>>,
    /// The one before, while it waits for outcomes.
    former: Mutex<Weak<Courier>>,
    said: Mutex<Seldom>,
}

type Courier = BaseProducer<Reporter>;

impl Lane {
    fn producer(&self) -> Result<Arc<Courier>, KafkaError> {
        let mut built = self.built();
        if let Some((producer, since)) = &*built {
            let usable = !producer.context().broken.load(Ordering::Relaxed);
            if usable || since.elapsed() < REBUILD_PAUSE {
                return Ok(producer.clone());
            }
            if self
                .said
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .due(Instant::now())
                .is_some()
            {
                tracing::warn!("The Kafka producer is broken for good; making another");
            }
        }
        let reporter = Reporter {
            context: self.context.clone(),
            outcomes: self.outcomes.clone(),
            broken: AtomicBool::new(false),
            noise: Mutex::default(),
        };
        let producer: Arc<Courier> = Arc::new(self.config.create_with_context(reporter)?);
        attend(&producer)?;
        // The one before ends with its thread, which reports the outcome of what it still held.
        *built = Some((producer.clone(), Instant::now()));
        Ok(producer)
    }

    /// Has another producer made for what comes next; the one that is there keeps what it has, and its outcomes come. One
    /// at a time, so that there are never more than two. Returns whether it did.
    fn renew(&self) -> bool {
        let mut former = self.former();
        let Some((producer, _)) = &*self.built() else {
            return false;
        };
        if former.upgrade().is_some() {
            return false;
        }
        producer.context().broken.store(true, Ordering::Relaxed);
        *former = Arc::downgrade(producer);
        let leaving = producer.clone();
        let thread = std::thread::Builder::new().name("kafka-last-words".to_owned());
        if thread.spawn(move || hear_out(&leaving)).is_err() {
            give_up(producer);
        }
        true
    }

    fn former(&self) -> std::sync::MutexGuard<'_, Weak<Courier>> {
        self.former.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn make_anew_with(&mut self, config: ClientConfig) {
        self.config = config;
        self.built().take();
    }

    fn built(&self) -> std::sync::MutexGuard<'_, Option<(Arc<Courier>, Instant)>> {
        self.built.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps a producer until it has an outcome for everything, or long enough.
fn hear_out(producer: &Courier) {
    let since = Instant::now();
    while producer.in_flight_count() > 0 && since.elapsed() < LAST_WORDS {
        producer.poll(Duration::from_secs(1));
    }
    give_up(producer);
}

/// Has a thread wait for the producer's outcomes, until nobody else holds the producer. The library's own looks ten times
/// a second, which is most of what an idle bridge would cost.
fn attend(producer: &Arc<Courier>) -> Result<(), KafkaError> {
    let held = Arc::downgrade(producer);
    let thread = std::thread::Builder::new().name("kafka-outcomes".to_owned());
    let begun = thread.spawn(move || {
        while let Some(producer) = held.upgrade() {
            producer.poll(POLL);
        }
    });
    begun
        .map(drop)
        .map_err(|error| KafkaError::ClientCreation(format!("no thread for its outcomes: {error}")))
}

/// Reports outcomes to the pump, and passes everything else on to the shared context.
struct Reporter {
    context: Context,
    outcomes: Outcomes,
    broken: AtomicBool,
    noise: Mutex<SeldomOfEach>,
}

impl Reporter {
    fn note(&self, error: &KafkaError) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal) {
            self.broken.store(true, Ordering::Relaxed);
        }
    }

    /// Librdkafka repeats itself for every broker and every attempt while one is away. The kinds are its facilities and
    /// error codes, of which there are few.
    fn is_news(&self, kind: String) -> bool {
        let mut noise = self.noise.lock().unwrap_or_else(PoisonError::into_inner);
        noise.due(kind, Instant::now())
    }
}

impl ClientContext for Reporter {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = Context::ENABLE_REFRESH_OAUTH_TOKEN;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        if self.is_news(facility.to_owned()) {
            self.context.log(level, facility, message);
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.note(&error);
        if self.is_news(format!("{:?}", error.rdkafka_error_code())) {
            self.context.error(error, reason);
        }
    }

    fn generate_oauth_token(&self, config: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.context.generate_oauth_token(config)
    }
}

impl ProducerContext for Reporter {
    type DeliveryOpaque = usize;

    /// Runs on the producer's own thread.
    fn delivery(&self, result: &DeliveryResult<'_>, ticket: usize) {
        let result = result.as_ref().map(|_| ()).map_err(|(error, record)| {
            self.note(error);
            Returned {
                failure: judge(error),
                body: body(record),
            }
        });
        self.outcomes.report(Delivery {
            ticket: Ticket(ticket),
            result,
        });
    }
}

/// Returns the body that a record was made from.
fn body(record: &BorrowedMessage<'_>) -> String {
    String::from_utf8_lossy(record.payload().unwrap_or_default()).into_owned()
}

fn shared_config(settings: &KafkaSettings, largest_batch: usize) -> ClientConfig {
    let mut config = settings.connection.client_config();
    let kibibytes = (settings.max_bytes.max(LARGEST_RECORD * 2) / 1024).min(2_097_151);
    config
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("partitioner", "murmur2_random")
        .set("compression.type", compression(settings.compression))
        .set("linger.ms", settings.linger.as_millis().to_string())
        .set("message.timeout.ms", "0")
        .set("message.max.bytes", LARGEST_RECORD.to_string())
        .set("batch.size", largest_batch.clamp(1, LARGEST_BATCH).to_string())
        .set(
            "queue.buffering.max.messages",
            settings.max_messages.clamp(1, 10_000_000).to_string(),
        )
        .set("queue.buffering.max.kbytes", kibibytes.to_string())
        .set("reconnect.backoff.max.ms", "2000")
        .set("socket.keepalive.enable", "true");
    config
}

fn lone_config(settings: &KafkaSettings, largest_batch: usize) -> ClientConfig {
    let mut config = shared_config(settings, largest_batch);
    config.set("batch.num.messages", "1").set("linger.ms", "0");
    config
}

fn compression(compression: Compression) -> &'static str {
    match compression {
        Compression::None => "none",
        Compression::Gzip => "gzip",
        Compression::Snappy => "snappy",
        Compression::Lz4 => "lz4",
        Compression::Zstd => "zstd",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(compression: Compression) -> KafkaSettings {
        KafkaSettings {
            connection: penstock_kafka::Settings {
                bootstrap_servers: vec!["localhost:1".to_owned()],
                security: penstock_kafka::Security::Plaintext,
                client_id: "penstock-test".to_owned(),
            },
            connector: "orders".to_owned(),
            topic: "orders".to_owned(),
            dead_letter_topic: None,
            key: RecordKey::MessageId,
            compression,
            linger: Duration::from_millis(5),
            max_messages: 1000,
            max_bytes: 64 << 20,
        }
    }

    #[test]
    fn librdkafka_takes_the_configuration_of_both_lanes() {
        let all = [
            Compression::None,
            Compression::Gzip,
            Compression::Snappy,
            Compression::Lz4,
            Compression::Zstd,
        ];
        for compression in all {
            let settings = settings(compression);
            for config in [
                shared_config(&settings, LARGEST_BATCH),
                lone_config(&settings, LARGEST_BATCH),
            ] {
                assert!(config.create_native_config().is_ok(), "{compression:?}");
            }
        }
    }

    #[test]
    fn no_batch_is_larger_than_the_topic_takes() {
        let settings = settings(Compression::None);
        assert_eq!(shared_config(&settings, 50_000).get("batch.size"), Some("50000"));
        assert_eq!(shared_config(&settings, 10 << 20).get("batch.size"), Some("1000000"));
    }

    #[test]
    fn the_lone_lane_never_shares_a_batch() {
        assert_eq!(
            lone_config(&settings(Compression::Lz4), LARGEST_BATCH).get("batch.num.messages"),
            Some("1")
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_producer_that_is_broken_for_good_is_made_anew_after_a_pause() {
        let (outcomes, _deliveries) = crate::sink::outcomes::outcomes();
        let sink = KafkaSink::new(settings(Compression::None), outcomes).expect("a sink");
        let first = sink.together.producer().expect("a producer");
        first
            .context()
            .note(&KafkaError::MessageProduction(RDKafkaErrorCode::Fatal));
        let still = sink.together.producer().expect("a producer");
        assert!(Arc::ptr_eq(&first, &still), "not in a hot loop");
        tokio::time::advance(REBUILD_PAUSE).await;
        let second = sink.together.producer().expect("a producer");
        assert!(!Arc::ptr_eq(&first, &second));
        assert!(Arc::ptr_eq(&second, &sink.together.producer().expect("a producer")));
    }

    #[tokio::test(start_paused = true)]
    async fn a_producer_that_is_begun_anew_keeps_what_it_may_have_on_its_way() {
        let (outcomes, deliveries) = crate::sink::outcomes::outcomes();
        let sink = KafkaSink::new(settings(Compression::None), outcomes).expect("a sink");
        sink.send(Ticket(1), &crate::pump::fake::message(1), Route::Together)
            .expect("it is taken");
        let first = sink.together.producer().expect("a producer");
        tokio::time::advance(REBUILD_PAUSE).await;
        assert!(sink.renew());
        sink.send(Ticket(2), &crate::pump::fake::message(2), Route::Together)
            .expect("it is taken");
        let second = sink.together.producer().expect("a producer");
        assert!(!Arc::ptr_eq(&first, &second));
        let former = sink.together.former().upgrade();
        assert!(
            former.is_some_and(|former| Arc::ptr_eq(&first, &former)),
            "it waits for an outcome"
        );
        sink.together.renew();
        let still = sink.together.producer().expect("a producer");
        assert!(Arc::ptr_eq(&second, &still), "there are never more than two");
        tokio::time::resume();
        sink.abandon();
        let mut returned = 0;
        while returned < 2 {
            tokio::time::timeout(Duration::from_secs(60), deliveries.wait())
                .await
                .expect("both come back");
            let mut outcomes = Vec::new();
            deliveries.take(&mut outcomes);
            returned += outcomes.len();
        }
    }

    #[tokio::test]
    async fn what_the_producer_gives_up_comes_back_with_its_body() {
        let (outcomes, deliveries) = crate::sink::outcomes::outcomes();
        let sink = KafkaSink::new(settings(Compression::None), outcomes).expect("a sink");
        let message = Message {
            body: "grüße \u{0} 🦀".to_owned(),
            ..crate::pump::fake::message(1)
        };
        sink.send(Ticket(7), &message, Route::Together).expect("it is taken");
        sink.abandon();
        tokio::time::timeout(Duration::from_secs(60), deliveries.wait())
            .await
            .expect("it comes back");
        let mut outcomes = Vec::new();
        deliveries.take(&mut outcomes);
        let returned = outcomes.remove(0).result.expect_err("nobody stored it");
        assert!(matches!(returned.failure, Failure::Unavailable(_)), "{returned:?}");
        assert_eq!(returned.body, message.body);
    }

    #[tokio::test]
    async fn a_record_larger_than_librdkafka_takes_is_refused_for_its_content() {
        let (outcomes, _deliveries) = crate::sink::outcomes::outcomes();
        let sink = KafkaSink::new(settings(Compression::None), outcomes).expect("a sink");
        let huge = Message {
            body: "x".repeat(LARGEST_RECORD + 1),
            ..crate::pump::fake::message(1)
        };
        let refused = sink.send(Ticket(1), &huge, Route::Together);
        assert!(
            matches!(refused, Err(Refusal::Failed(Failure::Content(_)))),
            "{refused:?}"
        );
    }
}
