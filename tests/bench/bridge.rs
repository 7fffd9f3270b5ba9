//! How fast the bridge moves a backlog, and what that costs, beside bare loops over the same queue and broker.

mod run;
mod topic;

use std::time::Duration;

use penstock_tests::Error;
use penstock_tests::binaries::bin;
use penstock_tests::kafka::Broker;
use penstock_tests::localcloud::LocalCloud;
use serde::Serialize;

use crate::figures::{largest, median, print_json, print_table};
use run::{Mover, Run, Scene};

/// Bodies as large as this and smaller are sent as often as was asked for; of larger ones there are fewer, so that a
/// backlog fits into memory.
const SMALL: usize = 4096;

/// The delays and sizes of `--matrix`.
const DELAYS: [u64; 3] = [2, 20, 40];
const SIZES: [usize; 4] = [200, 1024, 2048, 65_536];

/// What is measured.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Messages in the queue as a run begins; fewer of those above 4 KiB
    #[arg(long, default_value_t = 50_000)]
    messages: u64,
    /// Bytes of a message's body; several with commas between
    #[arg(long, value_delimiter = ',', default_value = "1024")]
    bytes: Vec<usize>,
    /// Receive calls at once, of the bridge and of the bare loops alike; 8 at up to 5 ms and 64 above when missing
    #[arg(long)]
    receivers: Option<usize>,
    /// How long each SQS call takes at least, as a round trip does, in milliseconds; several with commas between
    #[arg(long, value_delimiter = ',', default_value = "2")]
    sqs_delay: Vec<u64>,
    /// Round trips of 2, 20 and 40 ms with bodies of 200 B, 1 KiB, 2 KB and 64 KiB each
    #[arg(long, conflicts_with_all = ["bytes", "sqs_delay"])]
    matrix: bool,
    /// Runs of each, taking turns; the median is shown
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Figures {
    sqs: &'static str,
    kafka: &'static str,
    cores: usize,
    rounds: usize,
    bridge_binary_mebibytes: f64,
    scenes: Vec<Measured>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Measured {
    #[serde(flatten)]
    scene: Scene,
    bridge: Summary,
    sdk_loop: Summary,
    own_loop: Summary,
}

/// Medians, and the most memory of all runs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    #[serde(flatten)]
    median: Run,
    runs: Vec<Run>,
}

/// Measures and prints.
pub(crate) async fn measure(args: &Args) -> Result<(), Error> {
    let broker = Broker::start().await?;
    let (delays, sizes) = if args.matrix {
        (DELAYS.to_vec(), SIZES.to_vec())
    } else {
        (args.sqs_delay.clone(), args.bytes.clone())
    };
    let mut scenes = Vec::new();
    for delay in delays {
        eprintln!("== SQS calls take {delay} ms");
        let cloud = LocalCloud::builder()?
            .arg(&format!("--sqs-delay={delay}ms"))
            .start()
            .await?;
        for bytes in &sizes {
            let scene = Scene {
                sqs_delay_milliseconds: delay,
                bytes: *bytes,
                messages: messages(args.messages, *bytes),
                receivers: args.receivers.unwrap_or(if delay <= 5 { 8 } else { 64 }),
            };
            scenes.push(measure_scene(scene, args.rounds.max(1), &broker, &cloud).await?);
        }
    }
    let figures = Figures {
        sqs: "localcloud, each call with the delay that is named",
        kafka: "Apache Kafka, one broker on this machine, acks=all, lz4",
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        rounds: args.rounds.max(1),
        bridge_binary_mebibytes: binary_size()?,
        scenes,
    };
    if args.json {
        return print_json(&figures);
    }
    print(&figures);
    Ok(())
}

async fn measure_scene(scene: Scene, rounds: usize, broker: &Broker, cloud: &LocalCloud) -> Result<Measured, Error> {
    let mut runs: [Vec<Run>; 3] = Default::default();
    for round in 1..=rounds {
        for (place, mover) in [Mover::Bridge, Mover::SdkLoop, Mover::OwnLoop].into_iter().enumerate() {
            eprintln!("== {} bytes, round {round} of {rounds}: {mover:?}", scene.bytes);
            runs[place].push(run::run(&scene, mover, broker, cloud).await?);
        }
    }
    let [bridge, sdk_loop, own_loop] = runs.map(summary);
    Ok(Measured {
        scene,
        bridge,
        sdk_loop,
        own_loop,
    })
}

fn messages(asked: u64, bytes: usize) -> u64 {
    let share = (SMALL as u64).min(bytes as u64).max(1);
    (asked * share / (bytes as u64).max(1)).max(100)
}

fn summary(runs: Vec<Run>) -> Summary {
    let of = |figure: fn(&Run) -> f64| median(runs.iter().map(figure));
    let median = Run {
        messages_per_second: of(|run| run.messages_per_second),
        cpu_seconds_per_100_000: of(|run| run.cpu_seconds_per_100_000),
        cores: of(|run| run.cores),
        peak_mebibytes: largest(runs.iter().map(|run| run.peak_mebibytes)),
        first_record_milliseconds: of(|run| run.first_record_milliseconds),
        sqs_calls_per_100_000: of(|run| run.sqs_calls_per_100_000),
    };
    Summary { median, runs }
}

#[expect(clippy::cast_precision_loss, reason = "binaries are smaller than 2^52 bytes")]
fn binary_size() -> Result<f64, Error> {
    let size = std::fs::metadata(bin("penstock-bridge")?).map_err(|source| Error::Io {
        step: "look at the bridge's binary".to_owned(),
        source,
    })?;
    Ok(size.len() as f64 / f64::from(1 << 20))
}

fn print(figures: &Figures) {
    println!(
        "{} cores for everything; {} rounds, taking turns (median; memory: largest). SQS: {}. Kafka: {}. The bridge's binary: {:.1} MiB.",
        figures.cores, figures.rounds, figures.sqs, figures.kafka, figures.bridge_binary_mebibytes
    );
    for measured in &figures.scenes {
        let scene = &measured.scene;
        println!(
            "\n{} messages of {} bytes, {} ms a call, {} receive calls at once:",
            scene.messages, scene.bytes, scene.sqs_delay_milliseconds, scene.receivers
        );
        let (bridge, sdk, own) = (
            &measured.bridge.median,
            &measured.sdk_loop.median,
            &measured.own_loop.median,
        );
        print_table(&[
            [
                "",
                "messages/s",
                "CPU s per 100,000",
                "cores",
                "peak MiB",
                "first record ms",
                "SQS calls per 100,000",
            ]
            .map(str::to_owned)
            .to_vec(),
            row("penstock-bridge", bridge),
            row("bare loop, AWS SDK", sdk),
            row("bare loop, own HTTP", own),
            vec![
                "bridge / SDK loop".to_owned(),
                format!("{:.2}", bridge.messages_per_second / sdk.messages_per_second),
                format!("{:.2}", bridge.cpu_seconds_per_100_000 / sdk.cpu_seconds_per_100_000),
            ],
            vec![
                "bridge / own loop".to_owned(),
                format!("{:.2}", bridge.messages_per_second / own.messages_per_second),
                format!("{:.2}", bridge.cpu_seconds_per_100_000 / own.cpu_seconds_per_100_000),
            ],
        ]);
    }
}

fn row(name: &str, run: &Run) -> Vec<String> {
    vec![
        name.to_owned(),
        format!("{:.0}", run.messages_per_second),
        format!("{:.2}", run.cpu_seconds_per_100_000),
        format!("{:.2}", run.cores),
        format!("{:.1}", run.peak_mebibytes),
        format!("{:.0}", run.first_record_milliseconds),
        format!("{:.0}", run.sqs_calls_per_100_000),
    ]
}

/// What an idle bridge costs.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct IdleArgs {
    /// For how long
    #[arg(long, default_value_t = 120)]
    seconds: u64,
}

/// Watches a bridge over an empty queue, with the settings of a document that says nothing about them.
pub(crate) async fn measure_idle(args: &IdleArgs) -> Result<(), Error> {
    let (broker, cloud) = tokio::try_join!(Broker::start(), LocalCloud::builder()?.start())?;
    let idle = run::idle(Duration::from_secs(args.seconds), &broker, &cloud).await?;
    println!(
        "an idle bridge over {} s: {:.3} % of a core, {:.2} SQS calls a minute, {:.1} MiB",
        args.seconds, idle.percent_of_a_core, idle.sqs_calls_a_minute, idle.mebibytes
    );
    Ok(())
}
