//! Topics of a [`Broker`] and what is in them.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::util::Timeout;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use crate::error::kafka;
use crate::kafka::Broker;
use crate::{Error, wait_until};

const CALL: Duration = Duration::from_secs(30);
const READ: Duration = Duration::from_secs(60);

/// One record as a read_committed consumer sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its partition.
    pub partition: i32,
    /// Its offset there.
    pub offset: i64,
    /// Milliseconds since the Unix epoch, if the broker knows them.
    pub timestamp: Option<i64>,
    /// The key's bytes.
    pub key: Option<Vec<u8>>,
    /// The value's bytes; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// Header names with their values, in order.
    pub headers: Vec<(String, Vec<u8>)>,
}

impl Record {
    /// Returns the key as text; empty where there is none.
    pub fn key_text(&self) -> String {
        String::from_utf8_lossy(self.key.as_deref().unwrap_or_default()).into_owned()
    }

    /// Returns the value as text; empty where there is none.
    pub fn value_text(&self) -> String {
        String::from_utf8_lossy(self.value.as_deref().unwrap_or_default()).into_owned()
    }

    /// Returns the value of the first header of that name, as text.
    pub fn header(&self, name: &str) -> Option<String> {
        let (_, value) = self.headers.iter().find(|(header, _)| header == name)?;
        Some(String::from_utf8_lossy(value).into_owned())
    }
}

impl Broker {
    /// Creates a topic with settings such as `("cleanup.policy", "compact")`, and waits until every partition has a leader.
    pub async fn topic(&self, name: &str, partitions: i32, settings: &[(&str, &str)]) -> Result<(), Error> {
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        let topic = settings
            .iter()
            .fold(topic, |topic, (setting, value)| topic.set(setting, value));
        let step = || format!("create the topic {name}");
        let results = self
            .admin()?
            .create_topics([&topic], &options())
            .await
            .map_err(kafka(step()))?;
        for result in results {
            result.map_err(|(_, code)| kafka(step())(KafkaError::AdminOp(code)))?;
        }
        let consumer = Arc::new(self.reader()?);
        let what = format!("leaders for {name}");
        wait_until(&what, CALL, || {
            leaders(Arc::clone(&consumer), name.to_owned(), partitions)
        })
        .await
    }

    /// Changes one setting of a topic that is there.
    pub async fn change_topic(&self, name: &str, setting: &str, value: &str) -> Result<(), Error> {
        let step = || format!("change {setting} of the topic {name}");
        let change = AlterConfig::new(ResourceSpecifier::Topic(name)).set(setting, value);
        let results = self
            .admin()?
            .alter_configs([&change], &options())
            .await
            .map_err(kafka(step()))?;
        results.into_iter().try_for_each(|result| {
            result
                .map(drop)
                .map_err(|(_, code)| kafka(step())(KafkaError::AdminOp(code)))
        })
    }

    /// Deletes a topic; one that does not exist is an error.
    pub async fn delete_topic(&self, name: &str) -> Result<(), Error> {
        let step = || format!("delete the topic {name}");
        let results = self
            .admin()?
            .delete_topics(&[name], &options())
            .await
            .map_err(kafka(step()))?;
        results.into_iter().try_for_each(|result| {
            result
                .map(drop)
                .map_err(|(_, code)| kafka(step())(KafkaError::AdminOp(code)))
        })
    }

    /// Writes one record with acks=all and returns its partition and offset. `None` writes a tombstone.
    pub async fn produce(&self, topic: &str, key: impl AsRef<[u8]>, value: Option<&[u8]>) -> Result<(i32, i64), Error> {
        let record = FutureRecord {
            payload: value,
            ..FutureRecord::<_, [u8]>::to(topic).key(key.as_ref())
        };
        let delivery = self.producer.send(record, Timeout::After(CALL)).await;
        let delivery = delivery.map_err(|(error, _)| kafka(format!("write to {topic}"))(error))?;
        Ok((delivery.partition, delivery.offset))
    }

    /// Returns the idempotent producer behind [`Broker::produce`], for tests that have many records under way at once.
    pub fn producer(&self) -> FutureProducer {
        self.producer.clone()
    }

    /// Returns an administrator's client.
    pub fn admin(&self) -> Result<AdminClient<DefaultClientContext>, Error> {
        self.client()
            .create()
            .map_err(kafka("create an administrator's client"))
    }

    /// Reads what is committed in a topic, from the beginning to the end that each partition had when it was reached; in order within a partition.
    pub async fn read_all(&self, topic: &str) -> Result<Vec<Record>, Error> {
        let (consumer, name) = (self.reader()?, topic.to_owned());
        let reading = spawn_blocking(move || read_to_end(&consumer, &name));
        reading
            .await
            .unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()))
    }

    fn reader(&self) -> Result<BaseConsumer, Error> {
        let mut config = self.client();
        config
            .set("group.id", "penstock-tests-reader")
            .set("enable.auto.commit", "false")
            .set("isolation.level", "read_committed")
            .set("enable.partition.eof", "true");
        config.create().map_err(kafka("create a consumer"))
    }
}

pub(crate) fn idempotent_producer(client: &ClientConfig) -> Result<FutureProducer, Error> {
    let mut config = client.clone();
    config
        .set("enable.idempotence", "true")
        .set("message.timeout.ms", CALL.as_millis().to_string());
    config.create().map_err(kafka("create a producer"))
}

fn options() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(CALL))
        .operation_timeout(Some(CALL))
}

async fn leaders(consumer: Arc<BaseConsumer>, topic: String, partitions: i32) -> Result<(), String> {
    let look = spawn_blocking(move || {
        let metadata = consumer
            .fetch_metadata(Some(&topic), Duration::from_secs(5))
            .map_err(|error| error.to_string())?;
        let led = metadata.topics().iter().flat_map(|topic| topic.partitions());
        let led = led.filter(|partition| partition.leader() >= 0).count();
        if i32::try_from(led) == Ok(partitions) {
            Ok(())
        } else {
            Err(format!("{led} of {partitions} partitions"))
        }
    });
    look.await.map_err(|error| error.to_string())?
}

/// The end of a partition is an event of its own, so control records of transactions at its end are no obstacle.
fn read_to_end(consumer: &BaseConsumer, topic: &str) -> Result<Vec<Record>, Error> {
    let step = || format!("read {topic}");
    let mut open = assign_from_the_beginning(consumer, topic)?;
    let mut records = Vec::new();
    let deadline = Instant::now() + READ;
    while !open.is_empty() {
        match consumer.poll(Duration::from_millis(200)) {
            Some(Ok(message)) => records.push(record(&message)),
            Some(Err(KafkaError::PartitionEOF(partition))) => open.retain(|other| *other != partition),
            Some(Err(error)) if !is_passing(&error) => return Err(kafka(step())(error)),
            Some(Err(_)) | None => {}
        }
        if Instant::now() >= deadline {
            let seen = format!("{} records, partitions {open:?} not at their end", records.len());
            return Err(Error::NotInTime {
                what: format!("the end of {topic}"),
                seconds: READ.as_secs(),
                seen,
            });
        }
    }
    records.sort_by_key(|record: &Record| (record.partition, record.offset));
    Ok(records)
}

fn assign_from_the_beginning(consumer: &BaseConsumer, topic: &str) -> Result<Vec<i32>, Error> {
    let step = || format!("find the partitions of {topic}");
    let metadata = consumer.fetch_metadata(Some(topic), CALL).map_err(kafka(step()))?;
    let found = metadata.topics().first().filter(|found| found.error().is_none());
    let Some(found) = found else {
        return Err(kafka(step())(KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopic)));
    };
    let partitions: Vec<i32> = found.partitions().iter().map(|partition| partition.id()).collect();
    let mut assignment = TopicPartitionList::new();
    for partition in &partitions {
        assignment
            .add_partition_offset(topic, *partition, Offset::Beginning)
            .map_err(kafka(step()))?;
    }
    consumer.assign(&assignment).map_err(kafka(step()))?;
    Ok(partitions)
}

/// A broker that restarts is no reason to give up before the deadline: librdkafka goes on by itself.
fn is_passing(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::OperationTimedOut
        )
    )
}

fn record(message: &BorrowedMessage<'_>) -> Record {
    let headers = message.headers().map(|headers| {
        let all = headers
            .iter()
            .map(|header| (header.key.to_owned(), header.value.unwrap_or_default().to_vec()));
        all.collect()
    });
    Record {
        partition: message.partition(),
        offset: message.offset(),
        timestamp: message.timestamp().to_millis(),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers: headers.unwrap_or_default(),
    }
}
