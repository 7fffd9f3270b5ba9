//! Writes single records, each acknowledged by every in-sync replica before it counts as written.

use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::util::Timeout;

use crate::complaint::amiss;
use crate::{Context, OutgoingRecord, Settings};

/// The longest that a record waits for its acknowledgement.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(30);

/// Writes single records: idempotent, acknowledged by all in-sync replicas.
#[derive(Clone)]
pub struct Producer {
    client: FutureProducer<Context>,
    context: Context,
}

/// Where a record was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivered {
    /// The partition.
    pub partition: i32,
    /// The offset in it.
    pub offset: i64,
}

/// Why a record was not written.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The client could not be made.
    #[error("could not make the producer{}", amiss(.0))]
    CreateClient(#[source] KafkaError),
    /// No broker could be talked to.
    #[error("could not write the record `{key}` to the topic `{topic}` within {DELIVERY_TIMEOUT:?}: {why}")]
    Reach {
        /// Which topic.
        topic: String,
        /// Which record.
        key: String,
        /// What the client complained of.
        why: String,
    },
    /// No acknowledgement came.
    #[error("Kafka did not acknowledge the record `{key}` on the topic `{topic}` (waited up to {DELIVERY_TIMEOUT:?})")]
    Deliver {
        /// Which topic.
        topic: String,
        /// Which record.
        key: String,
        /// What Kafka said.
        source: Box<KafkaError>,
    },
}

impl Producer {
    /// Makes a producer; it connects in the background.
    pub fn new(settings: &Settings) -> Result<Self, SendError> {
        let mut config = settings.client_config();
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("partitioner", "murmur2_random")
            .set("linger.ms", "0")
            .set("message.max.bytes", crate::transaction::MAX_RECORD_BYTES)
            .set("message.timeout.ms", DELIVERY_TIMEOUT.as_millis().to_string());
        let context = Context::new(settings);
        let client = config
            .create_with_context(context.clone())
            .map_err(SendError::CreateClient)?;
        Ok(Self { client, context })
    }

    /// Writes one record and returns where it stands, once the brokers have acknowledged it.
    pub async fn send(&self, record: &OutgoingRecord) -> Result<Delivered, SendError> {
        let outgoing = FutureRecord {
            topic: &record.topic,
            partition: record.partition,
            payload: record.value.as_ref(),
            key: Some(&record.key),
            timestamp: None,
            headers: record.native_headers(),
        };
        match self.client.send(outgoing, Timeout::After(DELIVERY_TIMEOUT)).await {
            Ok(delivery) => Ok(Delivered {
                partition: delivery.partition,
                offset: delivery.offset,
            }),
            Err((source, _)) => Err(self.unacknowledged(record, source)),
        }
    }

    fn unacknowledged(&self, record: &OutgoingRecord, source: KafkaError) -> SendError {
        let (topic, key) = (record.topic.clone(), record.key.clone());
        let in_vain = source.rdkafka_error_code() == Some(RDKafkaErrorCode::MessageTimedOut);
        match self.context.complaints().recent().filter(|_| in_vain) {
            Some(why) => SendError::Reach { topic, key, why },
            None => SendError::Deliver {
                topic,
                key,
                source: Box::new(source),
            },
        }
    }
}
