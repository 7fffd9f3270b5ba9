//! One run of one mover over one backlog.

use std::time::Duration;

use penstock_tests::binaries::{bin, ours};
use penstock_tests::kafka::Broker;
use penstock_tests::localcloud::LocalCloud;
use penstock_tests::ports::free_port;
use penstock_tests::process::{Process, Program};
use penstock_tests::stage::backlog;
use penstock_tests::{Error, clock, http, unique};
use serde::Serialize;
use serde_json::json;
use tokio::time::Instant;

use super::topic;
use crate::queue;
use crate::usage::usage;

/// How long one run may take.
const RUN: Duration = Duration::from_secs(600);

/// What is moved, and over which distance.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Scene {
    pub(super) sqs_delay_milliseconds: u64,
    pub(super) bytes: usize,
    pub(super) messages: u64,
    pub(super) receivers: usize,
}

/// Who moves it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Mover {
    Bridge,
    SdkLoop,
    OwnLoop,
}

/// What one run showed.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Run {
    /// From the first record in the topic to the last delete.
    pub(super) messages_per_second: f64,
    /// Of the mover's own process, its start included.
    pub(super) cpu_seconds_per_100_000: f64,
    /// Of the mover's own process, from its start to the last delete.
    pub(super) cores: f64,
    pub(super) peak_mebibytes: f64,
    /// From the start of the process until the broker appended the first record.
    pub(super) first_record_milliseconds: f64,
    pub(super) sqs_calls_per_100_000: f64,
}

/// What an idle bridge costs.
#[derive(Debug)]
pub(super) struct Idle {
    pub(super) percent_of_a_core: f64,
    pub(super) sqs_calls_a_minute: f64,
    pub(super) mebibytes: f64,
}

/// Moves one backlog, from its first record to its last delete.
pub(super) async fn run(scene: &Scene, mover: Mover, broker: &Broker, cloud: &LocalCloud) -> Result<Run, Error> {
    let sqs = cloud.endpoint().sqs();
    let queue_url = queue::create(&sqs).await?;
    let name = unique("bench");
    broker.topic(&name, topic::PARTITIONS, &topic::SETTINGS).await?;
    queue::fill(&sqs, &queue_url, scene.messages, scene.bytes).await?;
    let first = topic::first_record(broker, &name, RUN)?;
    let port = free_port();
    let program = match mover {
        Mover::Bridge => bridge(scene, broker, &queue_url, &name, port)?,
        Mover::SdkLoop => bare("sdk", scene, broker, cloud, &queue_url, &name)?,
        Mover::OwnLoop => bare("own", scene, broker, cloud, &queue_url, &name)?,
    };
    let (started, started_at) = (Instant::now(), clock::now());
    let process = program.envs(cloud.endpoint().environment()).spawn()?;
    let appended = first.await.ok().flatten().ok_or_else(|| nothing(&process))?;
    let first = started + Duration::from_millis(u64::try_from(appended - started_at).unwrap_or_default());
    let emptied = process.ready("an empty queue", RUN, || async {
        match backlog(&sqs, &queue_url).await {
            Ok(0) => Ok(()),
            Ok(left) => Err(format!("{left} messages left")),
            Err(error) => Err(error.to_string()),
        }
    });
    emptied.await?;
    let seconds = first.elapsed().as_secs_f64();
    let used = usage(process.pid()).unwrap_or_default();
    let calls = match mover {
        Mover::Bridge => bridge_calls(port).await?,
        Mover::SdkLoop | Mover::OwnLoop => told_calls(&process),
    };
    process.kill().await?;
    topic::check_all_there(broker, &name, scene.messages).await?;
    let per_100_000 = 100_000.0 / number(scene.messages);
    Ok(Run {
        messages_per_second: number(scene.messages) / seconds,
        cpu_seconds_per_100_000: used.cpu_seconds * per_100_000,
        cores: used.cpu_seconds / (seconds + (first - started).as_secs_f64()),
        peak_mebibytes: used.peak_mebibytes,
        first_record_milliseconds: (first - started).as_secs_f64() * 1000.0,
        sqs_calls_per_100_000: calls * per_100_000,
    })
}

/// Watches a bridge over an empty queue.
pub(super) async fn idle(length: Duration, broker: &Broker, cloud: &LocalCloud) -> Result<Idle, Error> {
    let queue_url = queue::create(&cloud.endpoint().sqs()).await?;
    let name = unique("bench");
    broker.topic(&name, topic::PARTITIONS, &[]).await?;
    let port = free_port();
    let config = config(&queue_url, &name, broker, 4, "20s");
    let process = bridge_program(&config, port)?
        .envs(cloud.endpoint().environment())
        .spawn()?;
    let healthy = || async {
        let page = http::get(&format!("http://127.0.0.1:{port}/healthz")).await;
        match page {
            Ok((200, _)) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    };
    process
        .ready("a healthy bridge", Duration::from_secs(60), healthy)
        .await?;
    let (before, calls_before) = (usage(process.pid()).unwrap_or_default(), bridge_calls(port).await?);
    let began = Instant::now();
    tokio::time::sleep(length).await;
    let seconds = began.elapsed().as_secs_f64();
    let after = usage(process.pid()).unwrap_or_default();
    let calls = bridge_calls(port).await? - calls_before;
    process.kill().await?;
    Ok(Idle {
        percent_of_a_core: (after.cpu_seconds - before.cpu_seconds) / seconds * 100.0,
        sqs_calls_a_minute: calls / seconds * 60.0,
        mebibytes: after.peak_mebibytes,
    })
}

fn bridge(scene: &Scene, broker: &Broker, queue_url: &str, topic: &str, port: u16) -> Result<Program, Error> {
    bridge_program(&config(queue_url, topic, broker, scene.receivers, "1s"), port)
}

fn bridge_program(config: &serde_json::Value, port: u16) -> Result<Program, Error> {
    Ok(ours("penstock-bridge")?
        .env("PENSTOCK_CONNECTOR", config.to_string())
        .env("PENSTOCK_LISTEN", format!("127.0.0.1:{port}")))
}

fn config(queue_url: &str, topic: &str, broker: &Broker, receivers: usize, wait: &str) -> serde_json::Value {
    json!({
        "connector": "bench",
        "source": {
            "queueUrl": queue_url, "region": "eu-west-1", "maxMessages": 10, "waitTime": wait,
            "visibilityTimeout": "60s", "attributes": true, "receivers": receivers,
        },
        "sink": {"topic": topic, "key": "messageId", "compression": "lz4", "linger": "5ms"},
        "kafka": {"bootstrapServers": [broker.bootstrap()], "security": {"plaintext": {}}},
        "errors": {"maxRetries": 3, "backoff": "1s"},
        "drainTimeout": "25s",
    })
}

fn bare(
    client: &str,
    scene: &Scene,
    broker: &Broker,
    cloud: &LocalCloud,
    queue_url: &str,
    topic: &str,
) -> Result<Program, Error> {
    let endpoint = cloud.endpoint();
    let program = Program::new("bare-loop", bin("penstock-bench")?)
        .args(["bare", client])
        .args(["--endpoint", endpoint.url()]);
    let program = program.args(["--account", endpoint.account(), "--queue-url", queue_url]);
    let program = program.args(["--bootstrap-servers", &broker.bootstrap(), "--topic", topic]);
    Ok(program.args(["--loops", &scene.receivers.to_string()]))
}

/// Returns how many calls to SQS the bridge has made, as it counts them.
async fn bridge_calls(port: u16) -> Result<f64, Error> {
    let (_, page) = http::get(&format!("http://127.0.0.1:{port}/metrics")).await?;
    let lines = page
        .lines()
        .filter(|line| line.starts_with("penstock_bridge_source_calls_total{"));
    Ok(lines
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum())
}

/// Returns how many calls a bare loop says that it has made.
fn told_calls(process: &Process) -> f64 {
    let text = process.log_text();
    let told = text.lines().rev().find_map(|line| line.strip_prefix("calls "));
    told.and_then(|calls| calls.parse().ok()).unwrap_or_default()
}

fn nothing(process: &Process) -> Error {
    Error::Aws {
        step: "wait for the first record".to_owned(),
        reason: format!("there was none; see {}", process.log().display()),
    }
}

#[expect(clippy::cast_precision_loss, reason = "there are fewer messages than 2^52")]
fn number(messages: u64) -> f64 {
    messages as f64
}
