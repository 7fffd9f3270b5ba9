//! What somebody writes in an afternoon, to hold the bridge against: receive ten, produce ten, wait, delete ten.
//!
//! One loop uses the AWS SDK, the other the bridge's own client for SQS and nothing else of the bridge. Both produce with
//! idempotence and acks=all. They have no headers, no leases, no retries, no dead letters, no order and no drain.

mod kafka;
mod own;
mod sdk;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::join_all;
use penstock_tests::Error;

/// What a bare loop moves.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// What talks to SQS
    #[arg(value_enum)]
    client: Client,
    /// Where SQS is
    #[arg(long)]
    endpoint: String,
    /// The account there
    #[arg(long)]
    account: String,
    /// The queue
    #[arg(long)]
    queue_url: String,
    /// The brokers
    #[arg(long)]
    bootstrap_servers: String,
    /// The topic
    #[arg(long)]
    topic: String,
    /// Loops side by side
    #[arg(long)]
    loops: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, clap::ValueEnum)]
enum Client {
    Sdk,
    Own,
}

/// A message, as far as a bare loop looks at it.
struct Letter {
    id: String,
    receipt: String,
    body: String,
}

/// A way to SQS.
trait Queue: Send + Sync + 'static {
    /// Receives up to ten.
    fn receive(&self) -> impl Future<Output = Result<Vec<Letter>, Error>> + Send;

    /// Deletes up to ten.
    fn delete(&self, receipts: Vec<String>) -> impl Future<Output = Result<(), Error>> + Send;
}

/// Moves messages until it is killed.
pub(crate) async fn run(args: &Args) -> Result<(), Error> {
    match args.client {
        Client::Sdk => run_over(sdk::Sqs::new(args)?, args).await,
        Client::Own => run_over(own::Sqs::new(args).await, args).await,
    }
}

async fn run_over(queue: impl Queue, args: &Args) -> Result<(), Error> {
    let (queue, calls) = (Arc::new(queue), Arc::new(AtomicU64::new(0)));
    let producer = Arc::new(kafka::Producer::new(&args.bootstrap_servers, &args.topic)?);
    tokio::spawn(tell(calls.clone()));
    let loops = (0..args.loops).map(|_| tokio::spawn(forever(queue.clone(), producer.clone(), calls.clone())));
    for ended in join_all(loops).await {
        ended.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()))?;
    }
    Ok(())
}

async fn forever(queue: Arc<impl Queue>, producer: Arc<kafka::Producer>, calls: Arc<AtomicU64>) -> Result<(), Error> {
    loop {
        calls.fetch_add(1, Ordering::Relaxed);
        let letters = queue.receive().await?;
        if !letters.is_empty() {
            producer.send(&letters).await?;
            calls.fetch_add(1, Ordering::Relaxed);
            queue
                .delete(letters.into_iter().map(|letter| letter.receipt).collect())
                .await?;
        }
    }
}

/// Tells how many calls were made, for whoever reads the log.
async fn tell(calls: Arc<AtomicU64>) {
    loop {
        tokio::time::sleep(Duration::from_millis(250)).await;
        println!("calls {}", calls.load(Ordering::Relaxed));
    }
}
