//! The real parts come up, answer, and are what the other suites take them for.

use std::time::Duration;

use aws_sdk_cloudwatch::types::{ComparisonOperator, Dimension, MetricDatum, StateValue, Statistic};
use penstock_tests::aws::Endpoint;
use penstock_tests::elasticmq::ElasticMq;
use penstock_tests::kafka::{Broker, SCRAM_USER};
use penstock_tests::localcloud::LocalCloud;
use penstock_tests::moto::Moto;
use penstock_tests::{Error, unique, wait_until};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::DefaultProducerContext;
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};

const SOON: Duration = Duration::from_secs(30);
/// How long a client tries that is not to get an answer.
const REFUSED: Duration = Duration::from_secs(5);

#[tokio::test]
async fn what_is_produced_is_read_back_with_tombstones_and_in_order() -> Result<(), Error> {
    let broker = Broker::shared().await;
    let topic = unique("specs");
    broker.topic(&topic, 1, &[("cleanup.policy", "compact")]).await?;
    broker.produce(&topic, "Connector/orders", Some(b"{}")).await?;
    let (partition, offset) = broker
        .produce(&topic, b"Connector/\xff", Some(b"not utf-8 in the key"))
        .await?;
    broker.produce(&topic, "Connector/orders", None).await?;

    let records = broker.read_all(&topic).await?;
    let values: Vec<Option<&[u8]>> = records.iter().map(|record| record.value.as_deref()).collect();
    assert_eq!(values, [Some(&b"{}"[..]), Some(b"not utf-8 in the key"), None]);
    assert_eq!((records[1].partition, records[1].offset), (partition, offset));
    assert_eq!(records[0].key_text(), "Connector/orders");
    Ok(())
}

#[tokio::test]
async fn a_topic_must_be_created_before_it_is_read_or_written() {
    let broker = Broker::shared().await;
    let error = broker
        .read_all(&unique("nobody-made-this"))
        .await
        .expect_err("there is no such topic");
    assert!(matches!(error, Error::Kafka { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_sees_what_was_committed_and_nothing_that_was_aborted() -> Result<(), Error> {
    let broker = Broker::shared().await;
    let topic = unique("state");
    broker.topic(&topic, 1, &[]).await?;
    let mut config = broker.client();
    config.set("transactional.id", &topic);
    let written = topic.clone();
    let work = tokio::task::spawn_blocking(move || two_transactions(&config, &written));
    work.await
        .expect("the producer's thread ends well")
        .map_err(|source| Error::Kafka {
            step: "write in transactions".to_owned(),
            source,
        })?;

    let values: Vec<String> = broker
        .read_all(&topic)
        .await?
        .iter()
        .map(|record| record.value_text())
        .collect();
    assert_eq!(values, ["committed"]);
    Ok(())
}

fn two_transactions(config: &ClientConfig, topic: &str) -> Result<(), rdkafka::error::KafkaError> {
    let producer: ThreadedProducer<DefaultProducerContext> = config.create()?;
    producer.init_transactions(SOON)?;
    for (value, commit) in [("aborted", false), ("committed", true)] {
        producer.begin_transaction()?;
        producer
            .send(BaseRecord::<(), str>::to(topic).payload(value))
            .map_err(|(error, _)| error)?;
        producer.flush(SOON)?;
        if commit {
            producer.commit_transaction(SOON)?
        } else {
            producer.abort_transaction(SOON)?
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_scram_listener_lets_in_who_knows_the_password_and_nobody_else() {
    let broker = Broker::shared().await;
    let known = metadata(broker.sasl_client(), SOON).await;
    assert_eq!(known, Ok(1), "{SCRAM_USER} is known");

    let mut stranger = broker.sasl_client();
    stranger.set("sasl.password", "wrong");
    let refused = metadata(stranger, REFUSED).await;
    assert!(refused.is_err(), "a wrong password was let in");
}

async fn metadata(config: ClientConfig, limit: Duration) -> Result<usize, String> {
    let look = tokio::task::spawn_blocking(move || {
        let client: BaseConsumer = config.create().map_err(|error| error.to_string())?;
        let metadata = client.fetch_metadata(None, limit).map_err(|error| error.to_string())?;
        Ok(metadata.brokers().len())
    });
    look.await.map_err(|error| error.to_string())?
}

#[tokio::test]
async fn a_broker_keeps_its_records_and_address_through_stop_kill_and_suspension() -> Result<(), Error> {
    let broker = Broker::start().await?;
    let address = broker.bootstrap();
    broker.topic("kept", 1, &[]).await?;
    broker.produce("kept", "1", Some(b"before the stop")).await?;
    broker.stop().await?;
    broker.restart().await?;
    broker.produce("kept", "2", Some(b"before the kill")).await?;
    broker.kill().await?;
    broker.restart().await?;
    broker.suspend()?;
    let hung = metadata(broker.client(), REFUSED).await;
    broker.resume()?;
    assert!(hung.is_err(), "a suspended broker answered");

    let values: Vec<String> = broker
        .read_all("kept")
        .await?
        .iter()
        .map(|record| record.value_text())
        .collect();
    assert_eq!(values, ["before the stop", "before the kill"]);
    assert_eq!(broker.bootstrap(), address);
    Ok(())
}

#[tokio::test]
async fn moto_delivers_what_is_sent_to_its_queue() {
    sends_and_receives(Moto::shared().await.endpoint()).await;
}

#[tokio::test]
async fn elasticmq_delivers_what_is_sent_to_its_queue() {
    sends_and_receives(ElasticMq::shared().await.endpoint()).await;
}

#[tokio::test]
async fn localcloud_delivers_what_is_sent_to_its_queue_in_the_account_of_the_access_key() {
    let cloud = LocalCloud::builder()
        .expect("localcloud is built")
        .start()
        .await
        .expect("localcloud starts");
    sends_and_receives(cloud.endpoint()).await;
    let elsewhere = cloud.endpoint().in_account("444455556666").sqs();
    let queues = elsewhere.list_queues().send().await.expect("another account answers");
    assert!(queues.queue_urls().is_empty(), "{queues:?}");
}

async fn sends_and_receives(endpoint: &Endpoint) {
    let sqs = endpoint.sqs();
    let created = sqs
        .create_queue()
        .queue_name(unique("orders"))
        .send()
        .await
        .expect("the queue is created");
    let url = created.queue_url().expect("a queue has a URL");
    sqs.send_message()
        .queue_url(url)
        .message_body("hello")
        .send()
        .await
        .expect("the message is taken");
    let received = sqs
        .receive_message()
        .queue_url(url)
        .wait_time_seconds(5)
        .send()
        .await
        .expect("the queue answers");
    let bodies: Vec<Option<&str>> = received.messages().iter().map(|message| message.body()).collect();
    assert_eq!(bodies, [Some("hello")]);
}

#[tokio::test]
async fn the_front_lets_the_sdk_speak_with_motos_cloudwatch() {
    let cloudwatch = Moto::shared().await.endpoint().cloudwatch();
    let (name, namespace) = (unique("backlog"), "Penstock/Tests");
    let alarm = cloudwatch
        .put_metric_alarm()
        .alarm_name(&name)
        .metric_name("Depth")
        .namespace(namespace);
    let alarm = alarm
        .statistic(Statistic::Sum)
        .period(60)
        .evaluation_periods(1)
        .threshold(1.5);
    let alarm = alarm
        .comparison_operator(ComparisonOperator::GreaterThanThreshold)
        .dimensions(dimension(&name));
    alarm.send().await.expect("the alarm is stored");

    let described = cloudwatch
        .describe_alarms()
        .alarm_names(&name)
        .send()
        .await
        .expect("alarms are described");
    let stored = &described.metric_alarms()[0];
    assert_eq!(
        (stored.threshold(), stored.alarm_name()),
        (Some(1.5), Some(name.as_str()))
    );
    assert!(stored.state_updated_timestamp().is_some(), "timestamps come through");

    let unknown = cloudwatch
        .set_alarm_state()
        .alarm_name("nonesuch")
        .state_value(StateValue::Ok)
        .state_reason("-");
    let error = unknown
        .send()
        .await
        .expect_err("there is no such alarm")
        .into_service_error();
    assert!(error.is_resource_not_found(), "{error:?}");
}

#[tokio::test]
async fn metrics_put_through_the_front_are_found_again() -> Result<(), Error> {
    let cloudwatch = Moto::shared().await.endpoint().cloudwatch();
    let name = unique("queue");
    let datum = MetricDatum::builder()
        .metric_name("Depth")
        .value(3.0)
        .dimensions(dimension(&name))
        .build();
    let put = cloudwatch
        .put_metric_data()
        .namespace("Penstock/Tests")
        .metric_data(datum);
    put.send().await.expect("the metric is stored");
    wait_until("the metric in the list", SOON, || async {
        let listed = cloudwatch
            .list_metrics()
            .namespace("Penstock/Tests")
            .send()
            .await
            .map_err(|error| format!("{error:?}"))?;
        let mut values = listed
            .metrics()
            .iter()
            .flat_map(|metric| metric.dimensions())
            .filter_map(Dimension::value);
        values
            .any(|value| value == name)
            .then_some(())
            .ok_or_else(|| format!("{listed:?}"))
    })
    .await
}

fn dimension(value: &str) -> Dimension {
    Dimension::builder().name("QueueName").value(value).build()
}
