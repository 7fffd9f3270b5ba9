//! Writes single records, each acknowledged by every in-sync replica before it counts as written.

use std::time::Duration;

use rdkafka::error::KafkaError;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::util::Timeout;

use crate::{Context, OutgoingRecord, Settings};

/// The longest that a record waits for its acknowledgement.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(30);

/// Writes single records: idempotent, acknowledged by all in-sync replicas.
#[derive(Clone)]
pub struct Producer {
    client: FutureProducer<Context>,
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
    #[error("could not make the producer")]
    CreateClient(#[source] KafkaError),
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
        let client = config
            .create_with_context(Context::new(settings))
            .map_err(SendError::CreateClient)?;
        Ok(Self { client })
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
            Err((source, _)) => Err(SendError::Deliver {
                topic: record.topic.clone(),
                key: record.key.clone(),
                source: Box::new(source),
            }),
        }
    }
}
