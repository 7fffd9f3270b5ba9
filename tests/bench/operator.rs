//! How long it takes from a document in Kafka to AWS, and what it costs to look after connectors that have settled.

use std::time::{Duration, UNIX_EPOCH};

use penstock_crds::{ConditionType, Status};
use penstock_tests::process::Process;
use penstock_tests::stage::{CLUSTER, Settings, Stage, lay};
use penstock_tests::{Error, http, wait_until};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

use crate::figures::{largest, median, print_json, print_table};
use crate::usage::usage;

const PATIENCE: Duration = Duration::from_secs(60);

/// What is measured.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Connectors, written one after the other
    #[arg(long, default_value_t = 20)]
    connectors: usize,
    /// Seconds for which the settled connectors are watched
    #[arg(long, default_value_t = 20)]
    idle: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Milliseconds.
#[derive(Debug, Serialize)]
struct Spread {
    median: f64,
    max: f64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Figures {
    connectors: usize,
    aws: &'static str,
    kafka: &'static str,
    cores: usize,
    /// From Kafka's acknowledgement of the document to the first AWS call that writes, in milliseconds.
    first_write_ms: Spread,
    /// From the same moment to the call that makes the service.
    service_ms: Spread,
    idle: Idle,
}

/// Connectors that have settled, with an operator told to look again every second.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Idle {
    seconds: f64,
    passes_per_second: f64,
    aws_calls_per_pass: f64,
    cpu_milliseconds_per_pass: f64,
    peak_mebibytes: f64,
}

/// Measures and prints.
pub(crate) async fn measure(args: &Args) -> Result<(), Error> {
    eprintln!("== starting Kafka, localcloud and the operator");
    let settings = Settings {
        speed: 1,
        sqs_delay: Duration::ZERO,
        resync: "1s",
        ..Settings::default()
    };
    let stage = Stage::set(settings).await?;
    let operator = stage.operator().await?;
    let (profile, connector) = documents(&stage)?;
    stage.write("Profile/default", Some(&profile)).await?;
    let mut taken = Vec::new();
    for number in 1..=args.connectors.max(1) {
        eprintln!("== connector {number} of {}", args.connectors.max(1));
        taken.push(create(&stage, &connector, number).await?);
    }
    eprintln!("== {} s of idling", args.idle);
    let idle = idle(&stage, &operator, Duration::from_secs(args.idle.max(1))).await?;
    let spread = |of: fn(&Taken) -> f64| Spread {
        median: median(taken.iter().map(of)),
        max: largest(taken.iter().map(of)),
    };
    let figures = Figures {
        connectors: taken.len(),
        aws: "localcloud, which answers at once",
        kafka: "Apache Kafka, one broker on this machine",
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        first_write_ms: spread(|taken| taken.first_write),
        service_ms: spread(|taken| taken.service),
        idle,
    };
    if args.json {
        return print_json(&figures);
    }
    print(&figures);
    Ok(())
}

fn print(figures: &Figures) {
    println!(
        "{} connectors, one after the other; {} cores for everything.",
        figures.connectors, figures.cores
    );
    println!("AWS: {}. Kafka: {}.\n", figures.aws, figures.kafka);
    let row = |name: &str, spread: &Spread| {
        vec![
            name.to_owned(),
            format!("{:.0} ms", spread.median),
            format!("{:.0} ms", spread.max),
        ]
    };
    let head = ["document in Kafka to", "median", "max"].map(str::to_owned);
    print_table(&[
        head.to_vec(),
        row("first AWS write", &figures.first_write_ms),
        row("the call that makes the service", &figures.service_ms),
    ]);
    let idle = &figures.idle;
    println!(
        "\nsettled, and told to look again every second: {:.1} passes/s, {:.2} AWS calls and {:.2} ms of CPU a pass, peak {:.1} MiB",
        idle.passes_per_second, idle.aws_calls_per_pass, idle.cpu_milliseconds_per_pass, idle.peak_mebibytes
    );
}

/// The example's documents. Connectors begin paused, so that no task takes CPU from what is measured; the calls are the same.
fn documents(stage: &Stage) -> Result<(Value, Value), Error> {
    let mut documents = stage.documents()?.into_iter().map(|(_, document)| document);
    let (profile, mut connector) = (
        documents.next().unwrap_or_default(),
        documents.next().unwrap_or_default(),
    );
    lay(&mut connector, json!({"spec": {"initialState": "paused"}}));
    Ok((profile, connector))
}

/// Milliseconds from the acknowledgement of a document.
struct Taken {
    first_write: f64,
    service: f64,
}

async fn create(stage: &Stage, connector: &Value, number: usize) -> Result<Taken, Error> {
    let name = format!("bench-{number}");
    let mut document = connector.clone();
    lay(&mut document, json!({"metadata": {"name": name}}));
    stage.write(&format!("Connector/{name}"), Some(&document)).await?;
    let written = milliseconds_now();
    // The calls are made once the service deploys; when it is done with that is not measured here.
    let made_it = |status: &Status| {
        status.conditions.iter().any(|condition| {
            condition.r#type == ConditionType::Synced && ["InSync", "Deploying"].contains(&condition.reason.as_str())
        })
    };
    stage
        .status_when(&name, "the status to say that AWS holds it", PATIENCE, made_it)
        .await?;
    let (registered, created) = made(stage, &format!("penstock-{name}")).await?;
    Ok(Taken {
        first_write: registered - written,
        service: created - written,
    })
}

/// Returns when AWS took the two calls: the task definition is the first thing that a pass writes.
async fn made(stage: &Stage, service: &str) -> Result<(f64, f64), Error> {
    let ecs = stage.aws().ecs();
    let failed = |reason: String| Error::Aws {
        step: format!("describe {service}"),
        reason,
    };
    let answer = ecs.describe_services().cluster(CLUSTER).services(service).send().await;
    let answer = answer.map_err(|error| failed(error.to_string()))?;
    let found = answer
        .services()
        .first()
        .ok_or_else(|| failed("it is not there".to_owned()))?;
    let definition = ecs
        .describe_task_definition()
        .task_definition(found.task_definition().unwrap_or_default());
    let definition = definition.send().await.map_err(|error| failed(error.to_string()))?;
    let registered = definition
        .task_definition()
        .and_then(|definition| definition.registered_at());
    let times = registered.zip(found.created_at());
    let (registered, created) = times.ok_or_else(|| failed("the answer lacks the times".to_owned()))?;
    Ok((registered.as_secs_f64() * 1000.0, created.as_secs_f64() * 1000.0))
}

fn milliseconds_now() -> f64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "compared with times that another process took by the same clock"
    )]
    let now = std::time::SystemTime::now();
    now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64() * 1000.0
}

async fn idle(stage: &Stage, operator: &Process, period: Duration) -> Result<Idle, Error> {
    let (began, before, used_before) = (
        Instant::now(),
        counted(stage).await?,
        usage(operator.pid()).unwrap_or_default(),
    );
    sleep_until(began + period).await;
    let (seconds, after) = (began.elapsed().as_secs_f64(), counted(stage).await?);
    let used = usage(operator.pid()).unwrap_or_default();
    let passes = (after.0 - before.0).max(1.0);
    Ok(Idle {
        seconds,
        passes_per_second: passes / seconds,
        aws_calls_per_pass: (after.1 - before.1) / passes,
        cpu_milliseconds_per_pass: (used.cpu_seconds - used_before.cpu_seconds) * 1000.0 / passes,
        peak_mebibytes: used.peak_mebibytes,
    })
}

/// Returns the passes and the AWS calls that the operator has counted.
async fn counted(stage: &Stage) -> Result<(f64, f64), Error> {
    let url = format!("http://127.0.0.1:{}/metrics", stage.operator_port);
    let page = wait_until("the operator's metrics", PATIENCE, || async {
        match http::get(&url).await {
            Ok((200, text)) => Ok(text),
            Ok((status, _)) => Err(format!("status {status}")),
            Err(error) => Err(error.to_string()),
        }
    });
    let page = page.await?;
    Ok((
        sum(&page, "penstock_reconcile_total"),
        sum(&page, "penstock_aws_requests_total"),
    ))
}

/// Adds a metric up over its labels.
fn sum(page: &str, name: &str) -> f64 {
    let samples = page.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
    samples
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::sum;

    #[test]
    fn a_metric_is_added_up_over_its_labels_and_no_other_is() {
        let page = "a_total{x=\"1\"} 2\na_total{x=\"2\"} 3\na_total_more 100\n# HELP a_total words\nb_total 7\n";
        assert_eq!(sum(page, "a_total"), 5.0);
    }
}
