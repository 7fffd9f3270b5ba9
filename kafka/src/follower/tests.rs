use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::*;

#[test]
fn a_log_is_read_when_its_end_was_reached_and_fetches_see_no_further() {
    assert!(arrived(true, 7, 7).is_ok());
    let told = |at_end, fetched, stable| {
        arrived(at_end, fetched, stable)
            .expect_err("it is hindered")
            .to_string()
    };
    assert!(told(true, -1, 7).contains("ACL Read"), "the fetch was refused");
    assert!(told(true, 7, 9).contains("up to the end 9"), "it grew and nothing came");
    assert!(
        told(false, 9, 9).contains("up to the end 9"),
        "records are on their way"
    );
    assert_eq!(
        told(true, 9, 7),
        "a transaction of another writer is open at offset 7, before the end 9"
    );
}

#[test]
fn the_end_that_was_fetched_is_the_one_that_is_asked_for() {
    let cluster = MockCluster::new(1).expect("a mock cluster");
    cluster.create_topic("specs", 1, 1).expect("a topic");
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", cluster.bootstrap_servers());
    let producer: BaseProducer = config.create().expect("a producer");
    for value in ["a", "b"] {
        let record = BaseRecord::<(), str>::to("specs").partition(0).payload(value);
        producer.send(record).expect("it is queued");
    }
    producer.flush(Duration::from_secs(10)).expect("the records are stored");
    config.set("group.id", "reader").set("enable.partition.eof", "true");
    let consumer: BaseConsumer = config.create().expect("a consumer");
    let mut list = TopicPartitionList::new();
    let added = list.add_partition_offset("specs", 0, Offset::Beginning);
    added.and_then(|()| consumer.assign(&list)).expect("it is assigned");
    while !matches!(consumer.poll(POLL_TIMEOUT), Some(Err(KafkaError::PartitionEOF(_)))) {}
    let (_, end) = consumer
        .fetch_watermarks("specs", 0, CHECK_TIMEOUT)
        .expect("it tells its end");
    assert_eq!(native::fetched_end(consumer.client(), "specs", 0), Ok(end));
    assert_eq!(end, 2);
}
