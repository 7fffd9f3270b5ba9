//! How fast the bridge moves a backlog, and what that costs, beside a bare loop over the same queue and broker.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use futures::{StreamExt, TryStreamExt, stream};
use penstock_tests::binaries::{bin, ours};
use penstock_tests::kafka::Broker;
use penstock_tests::localcloud::LocalCloud;
use penstock_tests::ports::free_port;
use penstock_tests::process::{Process, Program};
use penstock_tests::stage::backlog;
use penstock_tests::{Error, unique, wait_until};
use rdkafka::consumer::{BaseConsumer, Consumer};
use serde::Serialize;
use serde_json::json;
use tokio::time::Instant;

use crate::figures::{largest, median, print_json, print_table};
use crate::usage::{Usage, usage};

const PARTITIONS: i32 = 6;
/// How long one run may take.
const RUN: Duration = Duration::from_secs(600);
/// Batches that fill the queue at once.
const SENDERS: usize = 32;

/// What is measured.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Messages in the queue as a run begins
    #[arg(long, default_value_t = 50_000)]
    messages: u64,
    /// Bytes of a message's body
    #[arg(long, default_value_t = 1024)]
    bytes: usize,
    /// Receive calls at once, of the bridge and of the bare loop alike
    #[arg(long, default_value_t = 8)]
    receivers: usize,
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

/// What one run showed.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Run {
    messages_per_second: f64,
    cpu_seconds_per_100_000: f64,
    peak_mebibytes: f64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Figures {
    messages: u64,
    bytes: usize,
    receivers: usize,
    sqs: String,
    kafka: &'static str,
    cores: usize,
    rounds: usize,
    bridge: Summary,
    bare_loop: Summary,
    ratio: Run,
}

/// Medians, and the most memory of all runs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    #[serde(flatten)]
    median: Run,
    runs: Vec<Run>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Mover {
    Bridge,
    Bare,
}

/// Measures and prints.
pub(crate) async fn measure(args: &Args) -> Result<(), Error> {
    eprintln!("== starting Kafka and localcloud");
    let cloud = LocalCloud::builder()?.arg(&format!("--sqs-delay={}ms", args.sqs_delay));
    let (broker, cloud) = tokio::try_join!(Broker::start(), cloud.start())?;
    let (mut bridge, mut bare) = (Vec::new(), Vec::new());
    for round in 1..=args.rounds.max(1) {
        for mover in [Mover::Bridge, Mover::Bare] {
            eprintln!("== round {round} of {}: {mover:?}", args.rounds.max(1));
            let run = run(args, mover, &broker, &cloud).await?;
            if mover == Mover::Bridge { &mut bridge } else { &mut bare }.push(run);
        }
    }
    let (bridge, bare_loop) = (summary(bridge), summary(bare));
    let figures = Figures {
        messages: args.messages,
        bytes: args.bytes,
        receivers: args.receivers,
        sqs: format!("localcloud, each call at least {} ms", args.sqs_delay),
        kafka: "Apache Kafka, one broker on this machine, acks=all",
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        rounds: args.rounds.max(1),
        ratio: ratio(&bridge.median, &bare_loop.median),
        bridge,
        bare_loop,
    };
    if args.json {
        return print_json(&figures);
    }
    print(&figures);
    Ok(())
}

fn summary(runs: Vec<Run>) -> Summary {
    let median = Run {
        messages_per_second: median(runs.iter().map(|run| run.messages_per_second)),
        cpu_seconds_per_100_000: median(runs.iter().map(|run| run.cpu_seconds_per_100_000)),
        peak_mebibytes: largest(runs.iter().map(|run| run.peak_mebibytes)),
    };
    Summary { median, runs }
}

fn ratio(bridge: &Run, bare: &Run) -> Run {
    Run {
        messages_per_second: bridge.messages_per_second / bare.messages_per_second,
        cpu_seconds_per_100_000: bridge.cpu_seconds_per_100_000 / bare.cpu_seconds_per_100_000,
        peak_mebibytes: bridge.peak_mebibytes / bare.peak_mebibytes,
    }
}

fn print(figures: &Figures) {
    println!(
        "{} messages of {} bytes, {} receive calls at once, {} cores for everything, {} rounds (median; memory: largest)",
        figures.messages, figures.bytes, figures.receivers, figures.cores, figures.rounds
    );
    println!("SQS: {}. Kafka: {}.\n", figures.sqs, figures.kafka);
    let row = |name: &str, run: &Run| {
        vec![
            name.to_owned(),
            format!("{:.0}", run.messages_per_second),
            format!("{:.2}", run.cpu_seconds_per_100_000),
            format!("{:.1}", run.peak_mebibytes),
        ]
    };
    let ratio = &figures.ratio;
    let ratios = [
        ratio.messages_per_second,
        ratio.cpu_seconds_per_100_000,
        ratio.peak_mebibytes,
    ];
    let head = ["", "messages/s", "CPU s per 100,000", "peak MiB"].map(str::to_owned);
    let ratios = ratios.iter().map(|ratio| format!("{ratio:.2}"));
    print_table(&[
        head.to_vec(),
        row("penstock-bridge", &figures.bridge.median),
        row("bare loop", &figures.bare_loop.median),
        std::iter::once("ratio".to_owned()).chain(ratios).collect(),
    ]);
}

/// One backlog, moved from its first record to its last delete. Starting up is no part of the time, but of the CPU.
async fn run(args: &Args, mover: Mover, broker: &Broker, cloud: &LocalCloud) -> Result<Run, Error> {
    let sqs = cloud.endpoint().sqs();
    let made = sqs.create_queue().queue_name(unique("bench")).send().await;
    let queue_url = made
        .map_err(|error| aws("make a queue", &error))?
        .queue_url
        .unwrap_or_default();
    let topic = unique("bench");
    broker.topic(&topic, PARTITIONS, &[]).await?;
    fill(&sqs, &queue_url, args.messages, args.bytes).await?;
    let process = start(args, mover, broker, cloud, &queue_url, &topic)?;
    let moved = wait_for_records(&process, broker, &topic).await?;
    let began = Instant::now();
    let emptied = process.ready("an empty queue", RUN, || async {
        match backlog(&sqs, &queue_url).await {
            Ok(0) => Ok(()),
            Ok(left) => Err(format!("{left} messages left")),
            Err(error) => Err(error.to_string()),
        }
    });
    emptied.await?;
    let seconds = began.elapsed().as_secs_f64();
    let used = usage(process.pid()).unwrap_or_default();
    process.kill().await?;
    check_all_there(broker, &topic, args.messages).await?;
    Ok(figures(args.messages, moved, seconds, used))
}

#[expect(clippy::cast_precision_loss, reason = "there are fewer messages than 2^52")]
fn figures(messages: u64, moved: u64, seconds: f64, used: Usage) -> Run {
    Run {
        messages_per_second: messages.saturating_sub(moved) as f64 / seconds,
        cpu_seconds_per_100_000: used.cpu_seconds * 100_000.0 / messages as f64,
        peak_mebibytes: used.peak_mebibytes,
    }
}

fn start(
    args: &Args,
    mover: Mover,
    broker: &Broker,
    cloud: &LocalCloud,
    queue_url: &str,
    topic: &str,
) -> Result<Process, Error> {
    let program = match mover {
        Mover::Bridge => bridge(args, broker, queue_url, topic)?,
        Mover::Bare => bare(args, broker, cloud, queue_url, topic)?,
    };
    program.envs(cloud.endpoint().environment()).spawn()
}

fn bridge(args: &Args, broker: &Broker, queue_url: &str, topic: &str) -> Result<Program, Error> {
    let config = json!({
        "connector": "bench",
        "source": {
            "queueUrl": queue_url, "region": "eu-west-1", "maxMessages": 10, "waitTime": "1s",
            "visibilityTimeout": "60s", "attributes": true, "receivers": args.receivers,
        },
        "sink": {"topic": topic, "key": "messageId", "compression": "lz4", "linger": "5ms"},
        "kafka": {"bootstrapServers": [broker.bootstrap()], "security": {"plaintext": {}}},
        "errors": {"maxRetries": 3, "backoff": "1s"},
        "drainTimeout": "10s",
    });
    let listen = format!("127.0.0.1:{}", free_port());
    Ok(ours("penstock-bridge")?
        .env("PENSTOCK_CONNECTOR", config.to_string())
        .env("PENSTOCK_LISTEN", listen))
}

fn bare(args: &Args, broker: &Broker, cloud: &LocalCloud, queue_url: &str, topic: &str) -> Result<Program, Error> {
    let endpoint = cloud.endpoint();
    let program = Program::new("bare-loop", bin("penstock-bench")?)
        .arg("bare")
        .args(["--endpoint", endpoint.url()]);
    let program = program.args(["--account", endpoint.account(), "--queue-url", queue_url]);
    let program = program.args(["--bootstrap-servers", &broker.bootstrap(), "--topic", topic]);
    Ok(program.args(["--loops", &args.receivers.to_string()]))
}

/// Fills a queue with messages of a size.
pub(crate) async fn fill(sqs: &aws_sdk_sqs::Client, queue_url: &str, messages: u64, bytes: usize) -> Result<(), Error> {
    let numbers: Vec<u64> = (0..messages).collect();
    let batches = stream::iter(numbers.chunks(10).map(|batch| send(sqs, queue_url, batch, bytes)));
    batches.buffer_unordered(SENDERS).try_collect().await
}

async fn send(sqs: &aws_sdk_sqs::Client, queue_url: &str, batch: &[u64], bytes: usize) -> Result<(), Error> {
    let entries = batch.iter().map(|number| {
        let entry = SendMessageBatchRequestEntry::builder().id(number.to_string());
        entry.message_body(body(*number, bytes)).build()
    });
    let entries: Vec<_> = entries
        .collect::<Result<_, _>>()
        .map_err(|error| aws("build a message", &error))?;
    let sent = sqs
        .send_message_batch()
        .queue_url(queue_url)
        .set_entries(Some(entries))
        .send()
        .await;
    match sent.map_err(|error| aws("send messages", &error))?.failed().first() {
        Some(failed) => Err(Error::Aws {
            step: "send messages".to_owned(),
            reason: failed.code().to_owned(),
        }),
        None => Ok(()),
    }
}

/// Text that compresses about as well as JSON does: the same names, other digits.
fn body(number: u64, bytes: usize) -> String {
    let mut text = String::with_capacity(bytes + 32);
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    while text.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        text.push_str(&format!("{{\"order\":{:016x}}},", state));
    }
    text.truncate(bytes.max(1));
    text
}

async fn wait_for_records(process: &Process, broker: &Broker, topic: &str) -> Result<u64, Error> {
    let consumer = reader(broker)?;
    let look = || async {
        match stored(&consumer, topic).await {
            Ok(0) => Err("none yet".to_owned()),
            other => other,
        }
    };
    process.ready("the first records", RUN, look).await
}

/// A bench of something that loses messages would be worth nothing.
async fn check_all_there(broker: &Broker, topic: &str, messages: u64) -> Result<(), Error> {
    let consumer = reader(broker)?;
    let all = wait_until("every message in the topic", Duration::from_secs(30), || async {
        match stored(&consumer, topic).await {
            Ok(found) if found >= messages => Ok(()),
            Ok(found) => Err(format!("{found} of {messages}")),
            Err(error) => Err(error),
        }
    });
    all.await
}

fn reader(broker: &Broker) -> Result<Arc<BaseConsumer>, Error> {
    let made = broker.client().create().map(Arc::new);
    made.map_err(|source| Error::Kafka {
        step: "make a consumer".to_owned(),
        source,
    })
}

async fn stored(consumer: &Arc<BaseConsumer>, topic: &str) -> Result<u64, String> {
    let (consumer, topic) = (Arc::clone(consumer), topic.to_owned());
    let look = tokio::task::spawn_blocking(move || {
        let ends =
            (0..PARTITIONS).map(|partition| consumer.fetch_watermarks(&topic, partition, Duration::from_secs(5)));
        ends.map(|ends| ends.map(|(_, end)| u64::try_from(end).unwrap_or_default()))
            .sum::<Result<u64, _>>()
    });
    look.await
        .map_err(|error| error.to_string())?
        .map_err(|error| error.to_string())
}

fn aws(step: &str, error: &dyn std::error::Error) -> Error {
    Error::Aws {
        step: step.to_owned(),
        reason: error.to_string(),
    }
}
