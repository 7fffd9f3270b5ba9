//! `hack/demo`: the story told to a person, on a real broker, localcloud and real bridge processes; then the stage stays up
//! to play with until Ctrl-C.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::Parser;
use penstock_tests::Error;
use penstock_tests::stage::{CLUSTER, Settings, Stage};
use penstock_tests::story::{Narrator, Story, WAITING};
use tokio::time::Instant;

/// Shows Penstock doing its job: spec, service, tasks, messages, scale-out, alarm, SNS, scale-in, asleep, awake, delete.
#[derive(Debug, Parser)]
#[command(name = "hack/demo")]
struct Args {
    /// End after the story: with 0 when every line of it held, else with 1.
    #[arg(long)]
    once: bool,
    /// How many times as fast as real time CloudWatch, Auto Scaling and deployments run.
    #[arg(long, default_value_t = 30)]
    speed: u32,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let played = tokio::select! {
        played = play(&args) => played,
        _ = tokio::signal::ctrl_c() => {
            eprintln!("\nstopping what was started");
            return ExitCode::from(130);
        }
    };
    match played {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("\nThe story broke: {error:?}");
            ExitCode::FAILURE
        }
    }
}

async fn play(args: &Args) -> Result<(), Error> {
    let audience = Audience::default();
    let narrator = audience.narrator();
    let _ticking = audience.tick();
    narrator(WAITING, "Kafka, localcloud and the operator to start");
    let stage = Stage::set(Settings {
        speed: args.speed,
        ..Settings::default()
    })
    .await?;
    let operator = stage.operator().await?;
    narrator(
        "stage",
        &format!(
            "Kafka at {}, AWS (localcloud) at {}",
            stage.broker.bootstrap(),
            stage.aws().url()
        ),
    );
    narrator(
        "stage",
        &format!("operator at http://127.0.0.1:{}/metrics", stage.operator_port),
    );
    narrator(
        "stage",
        &format!(
            "one minute of CloudWatch and Auto Scaling takes {:.1} s",
            60.0 / f64::from(args.speed)
        ),
    );
    Story::new(&stage, narrator.clone()).tell().await?;
    narrator(
        "end",
        "every line above was read back through an AWS API or a topic, and checked",
    );
    if args.once {
        return operator.terminate(Duration::from_secs(30)).await.map(|_| ());
    }
    Story::new(&stage, narrator.clone()).spec().await?;
    narrator("end", "the connector was written once more, for you to play with");
    audience.hush();
    print_hints(&stage);
    std::future::pending().await
}

fn print_hints(stage: &Stage) {
    println!("\nIn another terminal:\n");
    for (key, value) in stage.aws().environment() {
        println!("  export {key}={value}");
    }
    println!("  export PENSTOCK_BOOTSTRAP_SERVERS={}", stage.broker.bootstrap());
    println!("  export PENSTOCK_TOPIC_PREFIX={}\n", stage.prefix);
    println!(
        "  cargo run -q -p penstock -- get            # then: describe orders, pause orders, resume orders, delete orders"
    );
    println!("  aws ecs describe-services --cluster {CLUSTER} --services penstock-orders");
    println!(
        "  aws sqs send-message --queue-url {} --message-body hello",
        stage.queue_url
    );
    println!("\nCtrl-C stops everything that was started here.");
}

/// Prints the story's lines, and what is awaited while nothing happens.
#[derive(Clone, Default)]
struct Audience {
    awaited: Arc<Mutex<Option<(String, Instant)>>>,
}

impl Audience {
    fn narrator(&self) -> Narrator {
        let awaited = Arc::clone(&self.awaited);
        Arc::new(move |turn, line| {
            let mut awaited = awaited.lock().unwrap_or_else(PoisonError::into_inner);
            if turn == WAITING {
                *awaited = Some((line.to_owned(), Instant::now()));
            } else {
                clear_line();
                println!("{turn:>10}  {line}");
            }
        })
    }

    /// Shows every second what is awaited; once in fifteen where the output is no terminal.
    fn tick(&self) -> tokio::task::JoinHandle<()> {
        let awaited = Arc::clone(&self.awaited);
        tokio::spawn(async move {
            let pause = Duration::from_secs(if std::io::stderr().is_terminal() { 1 } else { 15 });
            loop {
                tokio::time::sleep(pause).await;
                let awaited = awaited.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some((what, since)) = &*awaited {
                    show(what, since.elapsed());
                }
            }
        })
    }

    fn hush(&self) {
        *self.awaited.lock().unwrap_or_else(PoisonError::into_inner) = None;
        clear_line();
    }
}

fn show(what: &str, waited: Duration) {
    let line = format!("         …  waiting for {what} ({} s)", waited.as_secs());
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[K{line}");
    } else {
        eprintln!("{line}");
    }
}

fn clear_line() {
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[K");
    }
}
