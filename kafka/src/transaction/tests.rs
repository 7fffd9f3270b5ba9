use std::future::Future;

use rdkafka::mocking::MockCluster;

use super::*;
use crate::Security;

/// Far longer than what is waited for: who waits without an end fails by it.
const BACKSTOP: Duration = Duration::from_secs(60);
/// Shorter than one try at brokers that are away.
const SHORT: Patience = Patience::lasting(Duration::from_secs(2));

fn settings(bootstrap: &str) -> Settings {
    Settings {
        bootstrap_servers: vec![bootstrap.to_owned()],
        security: Security::Plaintext,
        client_id: "penstock-tests".to_owned(),
    }
}

/// A producer that never had a broker.
fn unconnected() -> TransactionalProducer {
    let client = client(&settings("127.0.0.1:1"), "operator").expect("a client");
    TransactionalProducer {
        id: "operator".into(),
        client: Arc::new(client),
        phase: Arc::new(tokio::sync::Mutex::new(Phase::Idle)),
        failing: Arc::default(),
        patience: COMMITTING,
    }
}

fn records(value: &str) -> Vec<OutgoingRecord> {
    let value = Some(value.as_bytes().to_vec());
    vec![OutgoingRecord::new("state", 0, "Connector/orders", value)]
}

async fn soon<T>(awaited: impl Future<Output = T>) -> T {
    tokio::time::timeout(BACKSTOP, awaited).await.expect("it ends")
}

fn is_given_up(committed: &Result<(), CommitError>) -> bool {
    matches!(committed, Err(CommitError::Commit { .. }))
}

#[test]
fn a_refusal_is_told_from_a_broker_that_is_away() {
    assert!(is_refusal(&KafkaError::MessageProduction(
        RDKafkaErrorCode::MessageSizeTooLarge
    )));
    assert!(is_refusal(&KafkaError::MessageProduction(
        RDKafkaErrorCode::TopicAuthorizationFailed
    )));
    assert!(!is_refusal(&KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut)));
    assert!(!is_refusal(&KafkaError::Global(
        RDKafkaErrorCode::BrokerTransportFailure
    )));
}

#[test]
fn only_a_lost_id_ends_the_producer() {
    let (id, source) = ("penstock.operator.a".to_owned(), KafkaError::Canceled);
    assert!(
        CommitError::Fenced {
            id: id.clone(),
            source: source.clone()
        }
        .is_fatal()
    );
    assert!(!CommitError::Commit { id, source }.is_fatal());
}

#[tokio::test(start_paused = true)]
async fn the_turn_of_a_commit_is_waited_for_no_longer_than_a_commit_is_tried() {
    let producer = unconnected();
    let _held = producer.phase.lock().await;
    let waiting = (0..8).map(|_| {
        let producer = producer.clone();
        tokio::spawn(async move { producer.commit(records("waits")).await })
    });
    for waiting in waiting.collect::<Vec<_>>() {
        let committed = soon(waiting).await.expect("no panic");
        assert!(is_given_up(&committed), "{committed:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_commit_gave_up_nobody_waits_while_another_tries() {
    let producer = unconnected();
    let _held = producer.phase.lock().await;
    *producer.lock_failing() = Some(KafkaError::Canceled);
    let began = tokio::time::Instant::now();
    let committed = producer.commit(records("fails at once")).await;
    assert!(is_given_up(&committed), "{committed:?}");
    assert_eq!(began.elapsed(), Duration::ZERO, "the clock stands still");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_brokers_are_away_commits_side_by_side_give_up_in_time_and_the_next_one_holds() {
    let cluster = MockCluster::new(1).expect("a mock cluster");
    cluster.create_topic("state", 1, 1).expect("a topic");
    let settings = settings(&cluster.bootstrap_servers());
    let connected = TransactionalProducer::connect(&settings, "operator", COMMITTING).await;
    let mut producer = connected.expect("the id is free");
    soon(producer.commit(records("before")))
        .await
        .expect("the broker is there");
    producer.patience = SHORT;
    cluster.broker_down(1).expect("it goes");
    let during: Vec<_> = (0..8)
        .map(|_| {
            let producer = producer.clone();
            tokio::spawn(async move { producer.commit(records("during")).await })
        })
        .collect();
    soon(async {
        for during in during {
            let committed = during.await.expect("no panic");
            assert!(is_given_up(&committed), "{committed:?}");
        }
    })
    .await;
    assert!(producer.lock_failing().is_some(), "the next one tries alone");
    cluster.broker_up(1).expect("it comes back");
    producer.patience = COMMITTING;
    // The try that was in hand has its turn until it ends.
    let _ = soon(producer.phase.lock()).await;
    soon(producer.commit(records("after")))
        .await
        .expect("the broker is back");
    assert!(producer.lock_failing().is_none(), "all may wait for their turn again");
}
