//! What arrives in the topic.

use std::time::Duration;

use penstock_tests::kafka::Broker;
use penstock_tests::{Error, wait_until};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::Instant;

pub(super) const PARTITIONS: i32 = 6;

/// Begins to wait for the first record of an empty topic, so that its arrival is seen at once.
pub(super) fn first_record(
    broker: &Broker,
    topic: &str,
    limit: Duration,
) -> Result<JoinHandle<Option<Instant>>, Error> {
    let mut config = broker.client();
    config.set("group.id", "bench").set("enable.auto.commit", "false");
    // A topic that is seconds old is not known everywhere yet; by default the consumer would look again after half a second.
    config
        .set("fetch.error.backoff.ms", "5")
        .set("fetch.wait.max.ms", "50")
        .set("topic.metadata.refresh.fast.interval.ms", "5");
    let consumer: BaseConsumer = config.create().map_err(kafka("make a consumer"))?;
    let mut partitions = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        partitions
            .add_partition_offset(topic, partition, Offset::Beginning)
            .map_err(kafka("name the partitions"))?;
    }
    consumer.assign(&partitions).map_err(kafka("assign the partitions"))?;
    let end = Instant::now() + limit;
    Ok(spawn_blocking(move || {
        while Instant::now() < end {
            if let Some(Ok(_)) = consumer.poll(Duration::from_millis(100)) {
                return Some(Instant::now());
            }
        }
        None
    }))
}

/// A bench of something that loses messages would be worth nothing.
pub(super) async fn check_all_there(broker: &Broker, topic: &str, messages: u64) -> Result<(), Error> {
    let look = || async {
        match stored(broker, topic).await {
            Ok(found) if found >= messages => Ok(()),
            Ok(found) => Err(format!("{found} of {messages}")),
            Err(error) => Err(error),
        }
    };
    wait_until("every message in the topic", Duration::from_secs(60), look).await
}

/// Returns how many records the topic holds.
pub(super) async fn stored(broker: &Broker, topic: &str) -> Result<u64, String> {
    let made: Result<BaseConsumer, _> = broker.client().create();
    let (consumer, topic) = (made.map_err(|error| error.to_string())?, topic.to_owned());
    let look = spawn_blocking(move || {
        let ends =
            (0..PARTITIONS).map(|partition| consumer.fetch_watermarks(&topic, partition, Duration::from_secs(5)));
        ends.map(|ends| ends.map(|(_, end)| u64::try_from(end).unwrap_or_default()))
            .sum::<Result<u64, _>>()
    });
    look.await
        .map_err(|error| error.to_string())?
        .map_err(|error| error.to_string())
}

fn kafka(step: &str) -> impl Fn(rdkafka::error::KafkaError) -> Error {
    let step = step.to_owned();
    move |source| Error::Kafka {
        step: step.clone(),
        source,
    }
}
