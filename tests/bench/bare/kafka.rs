//! Ten records at a time to Kafka.

use futures::future::try_join_all;
use penstock_tests::Error;
use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::util::Timeout;

use super::Letter;

/// Writes one topic.
pub(super) struct Producer {
    producer: FutureProducer,
    topic: String,
}

impl Producer {
    pub(super) fn new(bootstrap_servers: &str, topic: &str) -> Result<Self, Error> {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", bootstrap_servers)
            .set("enable.idempotence", "true")
            .set("compression.type", "lz4")
            // A loop that waits for its ten would wait for the linger too.
            .set("linger.ms", "0");
        let producer = config.create().map_err(|source| Error::Kafka {
            step: "make a producer".to_owned(),
            source,
        })?;
        Ok(Self {
            producer,
            topic: topic.to_owned(),
        })
    }

    /// Sends them and waits until all are acknowledged.
    pub(super) async fn send(&self, letters: &[Letter]) -> Result<(), Error> {
        let sending = letters.iter().map(|letter| {
            let record = FutureRecord::to(&self.topic).key(&letter.id);
            self.producer.send(record.payload(&letter.body), Timeout::Never)
        });
        let sent = try_join_all(sending).await;
        sent.map(drop).map_err(|(source, _)| Error::Kafka {
            step: format!("write to {}", self.topic),
            source,
        })
    }
}
