//! What somebody writes in an afternoon, to hold the bridge against: receive ten, produce ten, wait, delete ten.
//!
//! It uses the same SDK and the same Kafka client as the bridge, with idempotence and acks=all. It has no headers, no leases, no retries, no
//! dead letters, no order and no drain.

use futures::future::{join_all, try_join_all};
use penstock_tests::Error;
use penstock_tests::aws::Endpoint;
use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::util::Timeout;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, Message};

/// What a bare loop moves.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Where SQS is
    #[arg(long)]
    pub(crate) endpoint: String,
    /// The account there
    #[arg(long)]
    pub(crate) account: String,
    /// The queue
    #[arg(long)]
    pub(crate) queue_url: String,
    /// The brokers
    #[arg(long)]
    pub(crate) bootstrap_servers: String,
    /// The topic
    #[arg(long)]
    pub(crate) topic: String,
    /// Loops side by side
    #[arg(long)]
    pub(crate) loops: usize,
}

/// Moves messages until it is killed.
pub(crate) async fn run(args: &Args) -> Result<(), Error> {
    let sqs = Endpoint::new(&args.endpoint, &args.account, "eu-west-1")?.sqs();
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &args.bootstrap_servers)
        .set("enable.idempotence", "true")
        .set("compression.type", "lz4")
        // A loop that waits for its ten would wait for the linger too.
        .set("linger.ms", "0");
    let producer: FutureProducer = config.create().map_err(|source| Error::Kafka {
        step: "make a producer".to_owned(),
        source,
    })?;
    let loops = (0..args.loops).map(|_| tokio::spawn(forever(sqs.clone(), producer.clone(), args.clone())));
    for ended in join_all(loops).await {
        ended.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()))?;
    }
    Ok(())
}

async fn forever(sqs: Client, producer: FutureProducer, args: Args) -> Result<(), Error> {
    loop {
        let call = sqs
            .receive_message()
            .queue_url(&args.queue_url)
            .max_number_of_messages(10)
            .wait_time_seconds(1);
        let answer = call.send().await.map_err(|error| aws("receive", &error))?;
        let messages = answer.messages.unwrap_or_default();
        if !messages.is_empty() {
            produce(&producer, &args.topic, &messages).await?;
            delete(&sqs, &args.queue_url, &messages).await?;
        }
    }
}

async fn produce(producer: &FutureProducer, topic: &str, messages: &[Message]) -> Result<(), Error> {
    let sending = messages.iter().map(|message| {
        let record = FutureRecord::to(topic).key(message.message_id().unwrap_or_default());
        producer.send(record.payload(message.body().unwrap_or_default()), Timeout::Never)
    });
    let sent = try_join_all(sending).await;
    sent.map(drop).map_err(|(source, _)| Error::Kafka {
        step: format!("write to {topic}"),
        source,
    })
}

async fn delete(sqs: &Client, queue_url: &str, messages: &[Message]) -> Result<(), Error> {
    let entries = messages.iter().enumerate().map(|(place, message)| {
        let receipt = message.receipt_handle().unwrap_or_default();
        DeleteMessageBatchRequestEntry::builder()
            .id(place.to_string())
            .receipt_handle(receipt)
            .build()
    });
    let entries: Vec<_> = entries
        .collect::<Result<_, _>>()
        .map_err(|error| aws("build a delete", &error))?;
    let call = sqs
        .delete_message_batch()
        .queue_url(queue_url)
        .set_entries(Some(entries));
    call.send().await.map(drop).map_err(|error| aws("delete", &error))
}

fn aws(step: &str, error: &dyn std::error::Error) -> Error {
    Error::Aws {
        step: step.to_owned(),
        reason: error.to_string(),
    }
}
