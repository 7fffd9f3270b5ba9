//! The one way to Kafka, against a real broker: authentication, transactions, reading to the end and beyond it.

#[path = "kafka/tls.rs"]
mod tls;

use std::collections::BTreeMap;
use std::time::Duration;

use penstock_kafka::{
    Admin, CommitError, Event, Follower, LossReason, NewTopic, OutgoingRecord, Patience, Producer, ReadError,
    ScramMechanism, Secret, Security, Settings, TransactionalProducer, read_to_end,
};
use penstock_tests::kafka::{Broker, CLUSTER_ID, SCRAM_PASSWORD, SCRAM_USER};
use penstock_tests::{Error, unique, wait_until};
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use tokio::task::spawn_blocking;

const SOON: Duration = Duration::from_secs(60);
const PATIENCE: Patience = Patience::lasting(SOON);

fn settings(broker: &Broker) -> Settings {
    Settings {
        bootstrap_servers: vec![broker.bootstrap()],
        security: Security::Plaintext,
        client_id: "penstock-tests".to_owned(),
    }
}

fn scram(broker: &Broker, password: &str) -> Settings {
    Settings {
        bootstrap_servers: vec![broker.sasl_bootstrap()],
        security: Security::Scram {
            mechanism: ScramMechanism::Sha512,
            username: Secret::new(SCRAM_USER),
            password: Secret::new(password),
            tls: false,
            ca_certificates: None,
        },
        client_id: "penstock-tests".to_owned(),
    }
}

fn record(topic: &str, value: &str) -> OutgoingRecord {
    OutgoingRecord::new(topic, 0, "Connector/orders", Some(value.as_bytes().to_vec()))
}

async fn values(settings: &Settings, topic: &str) -> Vec<String> {
    let (_, records) = read_to_end(settings, topic, 0, SOON)
        .await
        .expect("the topic has an end");
    let text = |value: Option<Vec<u8>>| value.map(|value| String::from_utf8_lossy(&value).into_owned());
    records
        .into_iter()
        .map(|record| text(record.value).unwrap_or_else(|| "null".to_owned()))
        .collect()
}

async fn fresh_topic(broker: &Broker, stem: &str) -> Result<String, Error> {
    let topic = unique(stem);
    broker.topic(&topic, 1, &[]).await?;
    Ok(topic)
}

/// Waits for the next event, which the test would otherwise wait for without an end.
async fn next(follower: &mut Follower) -> Event {
    let next = tokio::time::timeout(SOON, follower.next()).await;
    next.expect("an event comes").expect("the follower goes on")
}

#[tokio::test]
async fn scram_writes_and_reads_with_the_right_password() -> Result<(), Error> {
    let broker = Broker::shared().await;
    let topic = fresh_topic(broker, "scram").await?;
    let settings = scram(broker, SCRAM_PASSWORD);
    let producer = Producer::new(&settings).expect("a producer is made");
    let mut written = record(&topic, "by alice");
    written.headers.push(("penstock-actor".to_owned(), b"alice".to_vec()));
    let delivered = producer.send(&written).await.expect("the record is acknowledged");
    assert_eq!((delivered.partition, delivered.offset), (0, 0));

    let (_, records) = read_to_end(&settings, &topic, 0, SOON)
        .await
        .expect("the topic has an end");
    assert_eq!(records[0].header_text("penstock-actor"), Some("alice"));
    assert_eq!(records[0].key.as_deref(), Some(&b"Connector/orders"[..]));
    Ok(())
}

#[tokio::test]
async fn scram_with_a_wrong_password_says_so_without_printing_it() -> Result<(), Error> {
    let broker = Broker::shared().await;
    let topic = fresh_topic(broker, "scram").await?;
    let error = read_to_end(&scram(broker, "canary-wrong"), &topic, 0, Duration::from_secs(12)).await;
    let error = error.expect_err("a stranger is not let in");
    assert!(matches!(error, ReadError::ReachEnd { .. }), "{error:?}");
    assert!(error.to_string().contains("Authentication failed"), "{error}");
    assert!(!format!("{error:?} {error}").contains("canary"), "{error:?}");
    Ok(())
}

#[tokio::test]
async fn a_topic_is_made_and_described_with_its_id_and_settings() {
    let settings = settings(Broker::shared().await);
    let admin = Admin::connect(&settings).await.expect("a client is made");
    let name = unique("made");
    assert_eq!(admin.describe(&name).await.expect("the broker answers"), None);
    let config = BTreeMap::from([("cleanup.policy".to_owned(), "compact".to_owned())]);
    let topic = NewTopic {
        name: name.clone(),
        partitions: 1,
        replication_factor: -1,
        config,
    };
    assert!(admin.create(&topic).await.expect("the topic is made"));
    assert!(!admin.create(&topic).await.expect("it is there already"));
    let found = wait_until("the topic", SOON, || async {
        admin
            .describe(&name)
            .await
            .map_err(|error| error.to_string())?
            .ok_or_else(|| "no topic".to_owned())
    });
    let found = found.await.expect("the topic appears");
    assert_eq!(
        (found.partitions, found.config["cleanup.policy"].as_str()),
        (1, "compact")
    );
    assert_eq!(found.config["delete.retention.ms"], "86400000", "defaults are told too");
    assert_eq!(found.id.len(), 22, "{}", found.id);
    let (id, records) = read_to_end(&settings, &name, 0, SOON)
        .await
        .expect("the topic has an end");
    assert_eq!((id, records), (found.id, Vec::new()));
}

#[tokio::test]
async fn the_cluster_tells_its_id_to_whoever_it_lets_in_and_silence_is_no_answer() {
    let broker = Broker::shared().await;
    for settings in [settings(broker), scram(broker, SCRAM_PASSWORD)] {
        let admin = Admin::connect(&settings).await.expect("a client is made");
        let told = admin.cluster_id().await.expect("the broker answers");
        assert_eq!(told.as_deref(), Some(CLUSTER_ID));
    }
    // Nobody listens on port 1.
    let nobody = Settings {
        bootstrap_servers: vec!["127.0.0.1:1".to_owned()],
        ..settings(broker)
    };
    let admin = Admin::connect(&nobody).await.expect("a client is made");
    let error = admin.cluster_id().await.expect_err("nobody is there");
    assert!(
        error.is_transient() && error.to_string().contains("127.0.0.1:1"),
        "{error}"
    );
}

#[tokio::test]
async fn records_of_two_topics_are_written_together() -> Result<(), Error> {
    let broker = Broker::shared().await;
    let (state, status) = (
        fresh_topic(broker, "state").await?,
        fresh_topic(broker, "status").await?,
    );
    let settings = settings(broker);
    let producer = TransactionalProducer::connect(&settings, &unique("operator"), PATIENCE).await;
    let producer = producer.expect("the id is free");
    for pass in ["1", "2"] {
        producer
            .commit(vec![record(&state, pass), record(&status, pass)])
            .await
            .expect("the commit holds");
    }
    assert_eq!(values(&settings, &state).await, ["1", "2"]);
    assert_eq!(values(&settings, &status).await, ["1", "2"]);
    Ok(())
}

#[tokio::test]
async fn who_connects_later_with_the_same_id_fences_the_former() -> Result<(), Error> {
    let broker = Broker::shared().await;
    let (topic, id, settings) = (
        fresh_topic(broker, "state").await?,
        unique("operator"),
        settings(broker),
    );
    let former = TransactionalProducer::connect(&settings, &id, PATIENCE)
        .await
        .expect("the id is free");
    former
        .commit(vec![record(&topic, "former")])
        .await
        .expect("nobody else is there");
    let later = TransactionalProducer::connect(&settings, &id, PATIENCE)
        .await
        .expect("it takes over");
    let error = former
        .commit(vec![record(&topic, "zombie")])
        .await
        .expect_err("it is fenced");
    assert!(
        matches!(error, CommitError::Fenced { .. }) && error.is_fatal(),
        "{error:?}"
    );
    later
        .commit(vec![record(&topic, "later")])
        .await
        .expect("it is the writer");
    assert_eq!(values(&settings, &topic).await, ["former", "later"]);
    Ok(())
}

#[tokio::test]
async fn a_record_that_is_too_large_is_refused_and_the_next_commit_holds() -> Result<(), Error> {
    let broker = Broker::shared().await;
    let (small, large) = (fresh_topic(broker, "state").await?, unique("status"));
    broker.topic(&large, 1, &[("max.message.bytes", "10000")]).await?;
    let settings = settings(broker);
    let producer = TransactionalProducer::connect(&settings, &unique("operator"), PATIENCE).await;
    let producer = producer.expect("the id is free");
    // One that librdkafka refuses itself, and one that only the broker does.
    for size in [2_000_000, 20_000] {
        let records = vec![record(&small, "beside it"), record(&large, &"x".repeat(size))];
        let error = producer.commit(records).await.expect_err("it is too large");
        assert!(
            matches!(&error, CommitError::Refuse { topic, .. } if *topic == large),
            "{size}: {error:?}"
        );
    }
    producer
        .commit(vec![record(&small, "alone")])
        .await
        .expect("the producer goes on");
    assert_eq!(values(&settings, &small).await, ["alone"]);
    Ok(())
}

#[tokio::test]
async fn the_end_is_reached_behind_an_aborted_transaction() -> Result<(), Error> {
    let broker = Broker::shared().await;
    let (topic, settings) = (fresh_topic(broker, "state").await?, settings(broker));
    broker.produce(&topic, "a", Some(b"good")).await?;
    let raw = raw_producer(broker, &topic, "aborted").await;
    spawn_blocking(move || raw.abort_transaction(SOON))
        .await
        .expect("it ends")
        .expect("it is aborted");
    assert_eq!(values(&settings, &topic).await, ["good"]);
    Ok(())
}

#[tokio::test]
async fn what_stands_behind_an_open_transaction_is_waited_for() -> Result<(), Error> {
    let broker = Broker::shared().await;
    let topic = fresh_topic(broker, "specs").await?;
    let raw = raw_producer(broker, &topic, "undecided").await;
    broker.produce(&topic, "b", Some(b"behind it")).await?;
    let mut follower = Follower::start(&settings(broker), &topic, 0).expect("it starts");
    let progress = follower.progress();
    wait_until("the open transaction in the way", SOON, || async {
        let hindrance = progress.hindrance().unwrap_or_default();
        if hindrance.contains("transaction of another writer") {
            Ok(())
        } else {
            Err(hindrance)
        }
    })
    .await?;
    spawn_blocking(move || raw.commit_transaction(SOON))
        .await
        .expect("it ends")
        .expect("it is committed");
    assert!(matches!(next(&mut follower).await, Event::Opened { .. }));
    let mut seen = Vec::new();
    while let Event::Record(record) = next(&mut follower).await {
        seen.push(String::from_utf8(record.value.expect("it has a value")).expect("it is text"));
    }
    assert_eq!(seen, ["undecided", "behind it"]);
    assert_eq!(progress.hindrance(), None);
    Ok(())
}

#[tokio::test]
async fn an_idle_log_counts_as_followed_until_a_transaction_hangs_in_it() -> Result<(), Error> {
    let broker = Broker::shared().await;
    let topic = fresh_topic(broker, "specs").await?;
    broker.produce(&topic, "a", Some(b"good")).await?;
    // The log ends with a marker, which no reader is ever handed.
    let raw = raw_producer(broker, &topic, "aborted").await;
    spawn_blocking(move || raw.abort_transaction(SOON))
        .await
        .expect("it ends")
        .expect("it is aborted");
    let mut follower = Follower::start(&settings(broker), &topic, 0).expect("it starts");
    while next(&mut follower).await != Event::CaughtUp {}
    let progress = follower.progress();
    for _ in 0..2 {
        let before = progress.last();
        wait_until("a check of the idle log", SOON, || async {
            let hindrance = progress.hindrance();
            (progress.last() > before).then_some(()).ok_or(format!("{hindrance:?}"))
        })
        .await?;
    }
    assert_eq!(progress.hindrance(), None);

    let hung = raw_producer(broker, &topic, "undecided").await;
    wait_until("the transaction that hangs", SOON, || async {
        let hindrance = progress.hindrance().unwrap_or_default();
        let found = hindrance.contains("transaction of another writer");
        found.then_some(()).ok_or(hindrance)
    })
    .await?;
    spawn_blocking(move || hung.commit_transaction(SOON))
        .await
        .expect("it ends")
        .expect("it is committed");
    assert!(matches!(next(&mut follower).await, Event::Record(_)));
    assert_eq!(progress.hindrance(), None);
    Ok(())
}

#[tokio::test]
async fn a_topic_made_anew_is_noticed_even_when_its_log_is_longer() -> Result<(), Error> {
    let broker = Broker::start().await?;
    broker.topic("specs", 1, &[]).await?;
    broker.produce("specs", "a", Some(b"1")).await?;
    let mut follower = Follower::start(&settings(&broker), "specs", 0).expect("it starts");
    let Event::Opened { topic_id } = next(&mut follower).await else {
        panic!("it opens first")
    };
    while next(&mut follower).await != Event::CaughtUp {}
    broker.delete_topic("specs").await?;
    wait_until("the new topic", SOON, || async {
        broker.topic("specs", 1, &[]).await.map_err(|error| error.to_string())
    })
    .await?;
    for _ in 0..3 {
        broker.produce("specs", "a", Some(b"2")).await?;
    }
    let lost = loop {
        match next(&mut follower).await {
            Event::Lost(reason) => break reason,
            Event::Record(_) => {}
            other => panic!("{other:?}"),
        }
    };
    match lost {
        LossReason::Recreated { was, is } => assert!(was == topic_id && is != was, "{was} {is}"),
        LossReason::Truncated => {}
        LossReason::Failed(reason) => panic!("{reason}"),
    }
    assert_eq!(follower.next().await, None, "nothing follows");
    Ok(())
}

#[tokio::test]
async fn the_loss_of_the_broker_is_outlived_by_reader_and_writer() -> Result<(), Error> {
    let broker = Broker::start().await?;
    broker.topic("state", 1, &[]).await?;
    let settings = settings(&broker);
    let producer = TransactionalProducer::connect(&settings, "operator", PATIENCE)
        .await
        .expect("the id is free");
    producer
        .commit(vec![record("state", "before")])
        .await
        .expect("the broker is there");
    let mut follower = Follower::start(&settings, "state", 0).expect("it starts");
    while next(&mut follower).await != Event::CaughtUp {}
    broker.kill().await?;
    let during = tokio::spawn({
        let producer = producer.clone();
        // A broker may take longer to come back than one commit waits.
        async move {
            wait_until("the commit to hold", SOON * 4, || {
                producer.commit(vec![record("state", "during")])
            })
            .await
        }
    });
    let progress = follower.progress();
    wait_until("the reader to notice", SOON, || async {
        progress.hindrance().ok_or("no hindrance yet")
    })
    .await?;
    broker.restart().await?;
    during
        .await
        .expect("no panic")
        .expect("the commit holds once the broker is back");
    let Event::Record(read) = next(&mut follower).await else {
        panic!("a record follows")
    };
    assert_eq!(read.value.as_deref(), Some(&b"during"[..]));
    Ok(())
}

#[tokio::test]
async fn a_reader_that_starts_before_its_broker_waits_for_it() -> Result<(), Error> {
    let broker = Broker::start().await?;
    broker.topic("specs", 1, &[]).await?;
    broker.stop().await?;
    let mut follower = Follower::start(&settings(&broker), "specs", 0).expect("it starts");
    let progress = follower.progress();
    wait_until("the reader to be hindered", SOON, || async {
        progress.hindrance().ok_or("no hindrance yet")
    })
    .await?;
    broker.restart().await?;
    assert!(matches!(next(&mut follower).await, Event::Opened { .. }));
    assert_eq!(next(&mut follower).await, Event::CaughtUp);
    Ok(())
}

/// Returns a foreign producer with an open transaction that holds `value`.
async fn raw_producer(broker: &Broker, topic: &str, value: &'static str) -> ThreadedProducer<DefaultProducerContext> {
    let mut config = broker.client();
    config.set("transactional.id", unique("foreign"));
    let topic = topic.to_owned();
    let begin = move || -> Result<ThreadedProducer<DefaultProducerContext>, KafkaError> {
        let producer: ThreadedProducer<DefaultProducerContext> = config.create()?;
        producer.init_transactions(SOON)?;
        producer.begin_transaction()?;
        producer
            .send(BaseRecord::to(&topic).key("a").payload(value))
            .map_err(|(error, _)| error)?;
        producer.flush(SOON)?;
        Ok(producer)
    };
    spawn_blocking(begin)
        .await
        .expect("it ends")
        .expect("the transaction is open")
}
