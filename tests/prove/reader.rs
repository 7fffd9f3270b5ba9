//! Reads the topics while they grow, with a consumer of its own.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use penstock_tests::bridge::rig::PARTITIONS;
use penstock_tests::kafka::Broker;
use penstock_tests::{Error, wait_until};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::ledger::Ledger;

/// A topic, whose messages it holds, and whether it is for dead letters.
#[derive(Debug, Clone)]
pub(crate) struct Shelf {
    pub(crate) topic: String,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) dead: bool,
}

/// A reader at work.
pub(crate) struct Reader {
    over: Arc<AtomicBool>,
    reading: JoinHandle<()>,
    reached: Arc<Reached>,
}

/// The offset after the last record that was read, by topic and partition.
type Reached = std::sync::Mutex<HashMap<(String, i32), i64>>;

impl Reader {
    /// Begins to read.
    pub(crate) fn start(broker: &Broker, shelves: Vec<Shelf>) -> Result<Self, Error> {
        let consumer = consumer(broker)?;
        let mut assignment = TopicPartitionList::new();
        for shelf in &shelves {
            for partition in 0..partitions(shelf) {
                assignment
                    .add_partition_offset(&shelf.topic, partition, Offset::Beginning)
                    .map_err(kafka("choose what to read"))?;
            }
        }
        consumer.assign(&assignment).map_err(kafka("begin to read"))?;
        let (over, reached) = (Arc::new(AtomicBool::new(false)), Arc::<Reached>::default());
        let (until, offsets) = (Arc::clone(&over), Arc::clone(&reached));
        Ok(Self {
            over,
            reached,
            reading: spawn_blocking(move || read(&consumer, &shelves, &until, &offsets)),
        })
    }

    /// Waits until everything is read that is there now, and ends.
    pub(crate) async fn finish(mut self, broker: &Broker, shelves: &[Shelf]) -> Result<(), Error> {
        let ends = ends(broker, shelves.to_vec()).await?;
        let all = wait_until("the ends of the topics", Duration::from_secs(600), || {
            let reached = self.reached.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let behind: i64 = ends
                .iter()
                .map(|(place, end)| end - reached.get(place).copied().unwrap_or_default())
                .sum();
            std::future::ready(if behind <= 0 {
                Ok(())
            } else {
                Err(format!("{behind} records behind"))
            })
        });
        let all = all.await;
        self.over.store(true, Ordering::Relaxed);
        let _ = (&mut self.reading).await;
        all
    }
}

impl Drop for Reader {
    /// A run that is broken off ends only once its threads do.
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

fn partitions(shelf: &Shelf) -> i32 {
    if shelf.dead { 1 } else { PARTITIONS }
}

fn consumer(broker: &Broker) -> Result<BaseConsumer, Error> {
    let mut config = broker.client();
    config
        .set("group.id", "penstock-prove")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("queued.max.messages.kbytes", "16384")
        .set("fetch.message.max.bytes", "2097152");
    config.create().map_err(kafka("create a consumer"))
}

/// Errors pass: the broker is restarted again and again, and librdkafka goes on by itself.
fn read(consumer: &BaseConsumer, shelves: &[Shelf], over: &AtomicBool, reached: &Reached) {
    while !over.load(Ordering::Relaxed) {
        let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) else {
            continue;
        };
        let Some(shelf) = shelves.iter().find(|shelf| shelf.topic == message.topic()) else {
            continue;
        };
        let at = message.timestamp().to_millis().unwrap_or(i64::MAX);
        let value = message.payload().unwrap_or_default();
        shelf.ledger.record(message.partition(), at, value, shelf.dead);
        let place = (shelf.topic.clone(), message.partition());
        let mut reached = reached.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        reached.insert(place, message.offset() + 1);
    }
}

async fn ends(broker: &Broker, shelves: Vec<Shelf>) -> Result<HashMap<(String, i32), i64>, Error> {
    let consumer = consumer(broker)?;
    let asking = spawn_blocking(move || {
        let mut ends = HashMap::new();
        for shelf in &shelves {
            for partition in 0..partitions(shelf) {
                let (_, end) = consumer
                    .fetch_watermarks(&shelf.topic, partition, Duration::from_secs(30))
                    .map_err(kafka("ask for the end of a topic"))?;
                ends.insert((shelf.topic.clone(), partition), end);
            }
        }
        Ok(ends)
    });
    asking
        .await
        .unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()))
}

fn kafka(step: &str) -> impl FnOnce(rdkafka::error::KafkaError) -> Error {
    let step = step.to_owned();
    |source| Error::Kafka { step, source }
}
