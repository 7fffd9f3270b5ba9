//! The operator's side of Kafka, against a real broker: its topics, what it writes, and what it reads of the specs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use penstock_crds::{Name, State};
use penstock_kafka::{Patience, Security, Settings};
use penstock_operator::journal::{self, Journal};
use penstock_operator::memory::{Change, Remembered, StateChange};
use penstock_operator::plan::accept::Latest;
use penstock_operator::publish::Publisher;
use penstock_operator::topics::{TopicSettings, Topics, TopicsError, ensure};
use penstock_operator::watch::{WatchError, watch};
use penstock_tests::kafka::Broker;
use penstock_tests::{Error, unique, wait_until};

const SOON: Duration = Duration::from_secs(60);
const PATIENCE: Patience = Patience::lasting(SOON);

fn settings(broker: &Broker) -> Settings {
    Settings {
        bootstrap_servers: vec![broker.bootstrap()],
        security: Security::Plaintext,
        client_id: "penstock-operator".to_owned(),
    }
}

fn names() -> TopicSettings {
    TopicSettings {
        prefix: unique("penstock"),
        ..TopicSettings::default()
    }
}

fn orders() -> Name {
    "orders".parse().expect("a name")
}

fn state(generation: i64) -> Change {
    let wire = serde_json::json!({ "uid": "topic/0/1", "generation": generation });
    let state: State = serde_json::from_value(wire).expect("a state");
    Change {
        state: Some(StateChange::Put(Box::new(state))),
        status: None,
    }
}

async fn publisher(settings: &Settings, topics: &Topics) -> (Publisher, BTreeMap<Name, Remembered>) {
    let started = Publisher::start(settings, topics, &format!("{}.operator", topics.state), PATIENCE).await;
    started.expect("it becomes the writer")
}

#[tokio::test]
async fn missing_topics_are_made_once_and_accepted_ever_after() {
    let (settings, names) = (settings(Broker::shared().await), names());
    let made = ensure(&settings, &names, PATIENCE).await.expect("they are made");
    assert_eq!(made.specs, names.specs());
    let again = ensure(&settings, &names, PATIENCE).await.expect("they are right");
    assert_eq!(again, made);
}

#[tokio::test]
async fn a_topic_that_deletes_by_age_is_refused_and_left_as_it_is() -> Result<(), Error> {
    let (broker, names) = (Broker::shared().await, names());
    broker.topic(&names.specs(), 2, &[("cleanup.policy", "delete")]).await?;
    for _ in 0..2 {
        let error = ensure(&settings(broker), &names, PATIENCE)
            .await
            .expect_err("it is refused");
        let TopicsError::RefuseSettings(mismatches) = &error else {
            panic!("{error:?}")
        };
        let found: Vec<_> = mismatches.iter().map(|mismatch| mismatch.setting).collect();
        assert_eq!(found, ["partitions", "cleanup.policy", "delete.retention.ms"]);
        assert!(
            error.to_string().contains("--add-config cleanup.policy=compact"),
            "{error}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn the_spec_topic_is_never_made_anew_while_there_is_state() -> Result<(), Error> {
    let (broker, names) = (Broker::shared().await, names());
    let settings = settings(broker);
    let topics = ensure(&settings, &names, PATIENCE).await.expect("they are made");
    let (publisher, _) = publisher(&settings, &topics).await;
    publisher.publish(&orders(), &state(1)).await.expect("it is written");
    broker.delete_topic(&topics.specs).await?;
    let refused = wait_until("the loss to be noticed", SOON, || async {
        match ensure(&settings, &names, PATIENCE).await {
            Err(error @ TopicsError::LoseSpecs { count: 1, .. }) => Ok(error.to_string()),
            other => Err(format!("{other:?}")),
        }
    });
    assert!(refused.await?.contains("kafka-topics.sh"));
    let forget = Change {
        state: Some(StateChange::Remove),
        status: None,
    };
    publisher.publish(&orders(), &forget).await.expect("it is forgotten");
    let made = ensure(&settings, &names, PATIENCE)
        .await
        .expect("there is nothing to lose");
    assert_ne!(made.specs_id, topics.specs_id);
    Ok(())
}

#[tokio::test]
async fn what_was_published_is_read_back_by_the_next_operator_which_fences_the_former() {
    let (settings, names) = (settings(Broker::shared().await), names());
    let topics = ensure(&settings, &names, PATIENCE).await.expect("they are made");
    let (former, nothing) = publisher(&settings, &topics).await;
    assert_eq!(nothing, BTreeMap::new());
    for generation in [1, 2] {
        former
            .publish(&orders(), &state(generation))
            .await
            .expect("it is written");
    }
    let (later, remembered) = publisher(&settings, &topics).await;
    let generation = remembered[&orders()].state.as_ref().map(|state| state.generation);
    assert_eq!(generation, Some(2));
    let zombie = former.publish(&orders(), &state(3)).await;
    assert!(matches!(zombie, Err(journal::Error::Fenced)), "{zombie:?}");
    let told = tokio::time::timeout(SOON, former.fenced()).await;
    assert!(told.expect("the former is told").contains("taken over"));
    later.publish(&orders(), &state(4)).await.expect("it is the writer");
}

#[tokio::test]
async fn the_watch_catches_up_follows_and_names_who_is_concerned() -> Result<(), Error> {
    let (broker, names) = (Broker::shared().await, names());
    let settings = settings(broker);
    let topics = ensure(&settings, &names, PATIENCE).await.expect("they are made");
    let document = br#"{"apiVersion":"penstock.dev/v1","kind":"TargetState","metadata":{"name":"orders"},"spec":{"state":"paused"}}"#;
    broker.produce(&topics.specs, "Connector/orders", Some(b"\xff")).await?;
    broker.produce(&topics.specs, "Connector/orders", None).await?;
    let told = Arc::new(Mutex::new(Vec::new()));
    let telling = Arc::clone(&told);
    let changed = move |name: &Name| {
        telling
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(name.to_string())
    };
    let specs = watch(&settings, &topics.specs, &topics.specs_id, changed).expect("it starts");
    tokio::time::timeout(SOON, specs.caught_up())
        .await
        .expect("it ends")
        .expect("the end is reached");
    assert_eq!(specs.wanted(&orders(), None).connector, Latest::Withdrawn);
    broker
        .produce(&topics.specs, "TargetState/orders", Some(document))
        .await?;
    wait_until("the target state", SOON, || async {
        specs.wanted(&orders(), None).target.ok_or("no target state yet")
    })
    .await?;
    assert_eq!(*told.lock().unwrap_or_else(PoisonError::into_inner), ["orders"; 3]);

    let other = watch(&settings, &topics.specs, "another-id", |_| {}).expect("it starts");
    let lost = tokio::time::timeout(SOON, other.caught_up()).await.expect("it ends");
    assert!(matches!(lost, Err(WatchError::Lose(_))), "{lost:?}");
    Ok(())
}
