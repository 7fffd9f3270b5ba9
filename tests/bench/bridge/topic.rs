//! What arrives in the topic.

use std::collections::HashSet;
use std::time::Duration;

use penstock_tests::kafka::Broker;
use penstock_tests::{Error, wait_until};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Message, Offset, TopicPartitionList};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::Instant;

pub(super) const PARTITIONS: i32 = 6;

/// The broker stamps what it appends: a consumer takes half a second to begin, and would see the first record only then.
pub(super) const SETTINGS: [(&str, &str); 1] = [("message.timestamp.type", "LogAppendTime")];

/// Begins to wait for the first record of an empty topic; returns when the broker appended it, in milliseconds since 1970.
/// Partitions are read side by side, so it is the earliest of the first that are seen.
pub(super) fn first_record(broker: &Broker, topic: &str, limit: Duration) -> Result<JoinHandle<Option<i64>>, Error> {
    let mut config = broker.client();
    config.set("group.id", "bench").set("enable.auto.commit", "false");
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
        let (mut firsts, mut partitions) = (Vec::new(), HashSet::new());
        while Instant::now() < end {
            let seen = consumer.poll(Duration::from_millis(100));
            if seen.is_none() && !firsts.is_empty() {
                break;
            }
            let Some(Ok(record)) = seen else { continue };
            if partitions.insert(record.partition()) {
                firsts.extend(record.timestamp().to_millis());
            }
            if partitions.len() == PARTITIONS as usize {
                break;
            }
        }
        firsts.into_iter().min()
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
