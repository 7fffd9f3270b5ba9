//! What the calls cost that are made for every message: receive ten, delete ten, without Kafka, by the SDK's client and by the
//! bridge's own over the same queue in the same run.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_config::{BehaviorVersion, Region};
use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, MessageSystemAttributeName as SystemAttribute};
use clap::ValueEnum;
use futures::future::join_all;
use penstock_bridge::source::sqs::SqsQueue;
use penstock_bridge::source::{Receive, Room, Settle, Source, access};
use penstock_crds::SqsSource;
use penstock_tests::Error;
use penstock_tests::aws::Endpoint;
use penstock_tests::binaries::bin;
use penstock_tests::localcloud::LocalCloud;
use penstock_tests::process::Program;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::Instant;

use crate::figures::{median, print_json, print_table};
use crate::queue;
use crate::usage::usage;

/// How long one run may take.
const RUN: Duration = Duration::from_secs(600);

/// What is measured.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Messages in the queue as a run begins
    #[arg(long, default_value_t = 100_000)]
    messages: u64,
    /// Bytes of a message's body
    #[arg(long, default_value_t = 1024)]
    bytes: usize,
    /// Loops side by side
    #[arg(long, default_value_t = 8)]
    loops: usize,
    /// How long each SQS call takes at least, as a round trip does, in milliseconds
    #[arg(long, default_value_t = 2)]
    sqs_delay: u64,
    /// Runs of each, taking turns; the median is shown
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What a process of its own does.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct LoopArgs {
    #[arg(long)]
    client: ClientKind,
    #[arg(long)]
    endpoint: String,
    #[arg(long)]
    account: String,
    #[arg(long)]
    queue_url: String,
    #[arg(long)]
    loops: usize,
    #[arg(long)]
    messages: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ClientKind {
    /// The SDK's
    Sdk,
    /// The bridge's own
    Own,
}

/// What one run showed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Run {
    calls_per_second: f64,
    cpu_seconds_per_100_000: f64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Figures {
    messages: u64,
    bytes: usize,
    loops: usize,
    sqs_delay_milliseconds: u64,
    rounds: usize,
    sdk: Summary,
    own: Summary,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    #[serde(flatten)]
    median: Run,
    runs: Vec<Run>,
}

/// Measures and prints.
pub(crate) async fn measure(args: &Args) -> Result<(), Error> {
    eprintln!("== starting localcloud");
    let cloud = LocalCloud::builder()?.arg(&format!("--sqs-delay={}ms", args.sqs_delay));
    let cloud = cloud.start().await?;
    let (mut sdk, mut own) = (Vec::new(), Vec::new());
    for round in 1..=args.rounds.max(1) {
        for client in [ClientKind::Sdk, ClientKind::Own] {
            eprintln!("== round {round} of {}: {client:?}", args.rounds.max(1));
            let run = one_run(args, client, &cloud).await?;
            if client == ClientKind::Sdk { &mut sdk } else { &mut own }.push(run);
        }
    }
    let figures = Figures {
        messages: args.messages,
        bytes: args.bytes,
        loops: args.loops,
        sqs_delay_milliseconds: args.sqs_delay,
        rounds: args.rounds.max(1),
        sdk: summary(sdk),
        own: summary(own),
    };
    if args.json {
        return print_json(&figures);
    }
    print(&figures);
    Ok(())
}

fn summary(runs: Vec<Run>) -> Summary {
    let median = Run {
        calls_per_second: median(runs.iter().map(|run| run.calls_per_second)),
        cpu_seconds_per_100_000: median(runs.iter().map(|run| run.cpu_seconds_per_100_000)),
    };
    Summary { median, runs }
}

fn print(figures: &Figures) {
    println!(
        "{} messages of {} bytes, received and deleted by tens in {} loops, each call at least {} ms, {} rounds (median)\n",
        figures.messages, figures.bytes, figures.loops, figures.sqs_delay_milliseconds, figures.rounds
    );
    let row = |name: &str, run: &Run| {
        vec![
            name.to_owned(),
            format!("{:.0}", run.calls_per_second),
            format!("{:.2}", run.cpu_seconds_per_100_000),
        ]
    };
    print_table(&[
        ["", "calls/s", "CPU s per 100,000 messages"]
            .map(str::to_owned)
            .to_vec(),
        row("AWS SDK", &figures.sdk.median),
        row("bridge's own", &figures.own.median),
    ]);
}

async fn one_run(args: &Args, client: ClientKind, cloud: &LocalCloud) -> Result<Run, Error> {
    let endpoint = cloud.endpoint();
    let sqs = endpoint.sqs();
    let queue_url = queue::create(&sqs).await?;
    queue::fill(&sqs, &queue_url, args.messages, args.bytes).await?;
    let client = if client == ClientKind::Sdk { "sdk" } else { "own" };
    let program = Program::new(&format!("{client}-loops"), bin("penstock-bench")?)
        .args(["sqs-loops", "--client", client, "--endpoint", endpoint.url()])
        .args(["--account", endpoint.account(), "--queue-url", &queue_url])
        .args([
            "--loops",
            &args.loops.to_string(),
            "--messages",
            &args.messages.to_string(),
        ]);
    let (status, printed) = program.envs(endpoint.environment()).run(RUN).await?;
    let run = printed.lines().last().filter(|_| status.success());
    let run = run.and_then(|line| serde_json::from_str(line).ok());
    run.ok_or_else(|| Error::Aws {
        step: format!("run the loops of {client}"),
        reason: printed,
    })
}

/// Receives and deletes until so many messages are gone, and prints what that cost.
pub(crate) async fn run_loops(args: &LoopArgs) -> Result<(), Error> {
    let endpoint = Endpoint::new(&args.endpoint, &args.account, "eu-west-1")?;
    let counts = Arc::new(Counts::default());
    let before = usage(std::process::id()).unwrap_or_default();
    let began = Instant::now();
    match args.client {
        ClientKind::Sdk => {
            let sqs = endpoint.sqs();
            let one = |_| tokio::spawn(by_the_sdk(sqs.clone(), args.clone(), counts.clone()));
            finish(join_all((0..args.loops).map(one)).await)?;
        }
        ClientKind::Own => {
            let queue = own(&args.queue_url).await?;
            let one = |_| tokio::spawn(by_our_own(queue.clone(), args.messages, counts.clone()));
            finish(join_all((0..args.loops).map(one)).await)?;
        }
    }
    let ended = counts.complete_since.get().copied().unwrap_or_else(Instant::now);
    let used = usage(std::process::id()).unwrap_or_default();
    let run = counts.run((ended - began).as_secs_f64(), used.cpu_seconds - before.cpu_seconds);
    println!("{}", json!(run));
    Ok(())
}

#[derive(Debug, Default)]
struct Counts {
    calls: AtomicU64,
    messages: AtomicU64,
    /// The loops wait a while for more than there is.
    complete_since: OnceLock<Instant>,
}

impl Counts {
    fn add(&self, messages: usize, wanted: u64) {
        self.calls.fetch_add(2, Ordering::Relaxed);
        self.messages.fetch_add(messages as u64, Ordering::Relaxed);
        if self.are_complete(wanted) {
            self.complete_since.get_or_init(Instant::now);
        }
    }

    fn are_complete(&self, wanted: u64) -> bool {
        self.messages.load(Ordering::Relaxed) >= wanted
    }

    #[expect(clippy::cast_precision_loss, reason = "there are fewer messages than 2^52")]
    fn run(&self, seconds: f64, cpu_seconds: f64) -> Run {
        let messages = self.messages.load(Ordering::Relaxed) as f64;
        Run {
            calls_per_second: self.calls.load(Ordering::Relaxed) as f64 / seconds,
            cpu_seconds_per_100_000: cpu_seconds * 100_000.0 / messages,
        }
    }
}

fn finish(ended: Vec<Result<Result<(), Error>, tokio::task::JoinError>>) -> Result<(), Error> {
    ended
        .into_iter()
        .try_for_each(|ended| ended.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic())))
}

/// Asks for what the bridge asks for.
async fn by_the_sdk(sqs: aws_sdk_sqs::Client, args: LoopArgs, counts: Arc<Counts>) -> Result<(), Error> {
    let attributes = [
        SystemAttribute::SentTimestamp,
        SystemAttribute::ApproximateReceiveCount,
        SystemAttribute::ApproximateFirstReceiveTimestamp,
        SystemAttribute::MessageGroupId,
        SystemAttribute::MessageDeduplicationId,
        SystemAttribute::SequenceNumber,
    ];
    while !counts.are_complete(args.messages) {
        let call = sqs
            .receive_message()
            .queue_url(&args.queue_url)
            .max_number_of_messages(10)
            .wait_time_seconds(1)
            .visibility_timeout(600)
            .set_message_system_attribute_names(Some(attributes.to_vec()))
            .message_attribute_names("All");
        let messages = call.send().await.map_err(|error| aws("receive", &error))?.messages;
        let messages = messages.unwrap_or_default();
        if messages.is_empty() {
            continue;
        }
        let entries = messages.iter().enumerate().map(|(place, message)| {
            DeleteMessageBatchRequestEntry::builder()
                .id(place.to_string())
                .receipt_handle(message.receipt_handle().unwrap_or_default())
                .build()
        });
        let entries: Vec<_> = entries
            .collect::<Result<_, _>>()
            .map_err(|error| aws("build a delete", &error))?;
        let call = sqs.delete_message_batch().queue_url(&args.queue_url);
        let deleted = call.set_entries(Some(entries)).send().await;
        counts.add(
            deleted.map_err(|error| aws("delete", &error))?.successful().len(),
            args.messages,
        );
    }
    Ok(())
}

async fn own(queue_url: &str) -> Result<SqsQueue, Error> {
    let settings = json!({
        "queueUrl": queue_url, "region": "eu-west-1", "maxMessages": 10, "waitTime": "1s",
        "visibilityTimeout": "600s", "attributes": true, "receivers": 1,
    });
    let source: SqsSource = serde_json::from_value(settings).map_err(|error| aws("read the settings", &error))?;
    // The environment leads to localcloud, and no further: an endpoint that is none of loopback was refused before.
    let shared = aws_config::defaults(BehaviorVersion::latest()).region(Region::new("eu-west-1"));
    let way = access::connect_by(&shared.load().await, &source, "bench").await;
    Ok(SqsQueue::new(way, source))
}

async fn by_our_own(queue: SqsQueue, messages: u64, counts: Arc<Counts>) -> Result<(), Error> {
    while !counts.are_complete(messages) {
        let call = Receive {
            max: 10,
            attempt: String::new(),
            room: Room::unlimited(),
        };
        let received = queue.receive(call).await.map_err(|error| aws("receive", &error))?;
        if received.is_empty() {
            continue;
        }
        let deleted = received.len();
        let receipts = received.into_iter().map(|message| message.receipt).collect();
        let settled = queue.settle(Settle::Delete(receipts), Duration::from_secs(8)).await;
        settled.map_err(|error| aws("delete", &error))?;
        counts.add(deleted, messages);
    }
    Ok(())
}

fn aws(step: &str, error: &dyn std::error::Error) -> Error {
    Error::Aws {
        step: step.to_owned(),
        reason: error.to_string(),
    }
}
