//! `penstock-localcloud`: the model behind one port, with the Fargate agent beside it. Arguments in, exit code out.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use penstock_localcloud::fargate::{self, Agent, AgentOptions};
use penstock_localcloud::http::{self, Clocks, DEFAULT_ACCOUNT, Options, SharedCloud};
use penstock_localcloud::model::Cloud;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};
use tracing_subscriber::EnvFilter;

/// A model of the AWS services that Penstock uses, for development and tests.
#[derive(Debug, Parser)]
#[command(
    name = "penstock-localcloud",
    version,
    after_help = "PENSTOCK_LOG says what to log; `info` when missing."
)]
struct Args {
    /// Where to listen; loopback only, since nobody is asked for a signature.
    #[arg(long, env = "LOCALCLOUD_LISTEN", default_value = "127.0.0.1:4566", value_parser = loopback)]
    listen: SocketAddr,
    /// How many times as fast as real time CloudWatch, Application Auto Scaling and deployments run.
    #[arg(long, env = "LOCALCLOUD_SPEED", default_value = "1", value_parser = speed)]
    speed: f64,
    /// The account of access keys that name none: twelve digits.
    #[arg(long, env = "LOCALCLOUD_ACCOUNT", default_value = DEFAULT_ACCOUNT, value_parser = account)]
    account: String,
    /// How long each SQS call takes at least, as a round trip does.
    #[arg(long, env = "LOCALCLOUD_SQS_DELAY", default_value = "0ms", value_parser = duration)]
    sqs_delay: Duration,
    /// What an image runs, such as `penstock-bridge=/usr/bin/penstock-bridge`; arguments are separated by spaces. Repeatable.
    #[arg(long = "image", value_name = "NAME=COMMAND", value_parser = image)]
    images: Vec<(String, Vec<String>)>,
    /// Where the output of tasks goes, a file per task.
    #[arg(long, env = "LOCALCLOUD_LOG_DIR", default_value_os_t = std::env::temp_dir().join("penstock-localcloud"))]
    log_dir: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let filter = EnvFilter::try_from_env("PENSTOCK_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    match run(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            error!("{}", chain(&failure));
            ExitCode::FAILURE
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("could not listen on {address}")]
    Listen {
        address: SocketAddr,
        source: std::io::Error,
    },
    #[error("could not read the address that was given")]
    ReadAddress(#[source] std::io::Error),
    #[error("could not make the agent")]
    MakeAgent(#[source] fargate::Error),
    #[error("could not wait for signals")]
    WaitForSignals(#[source] std::io::Error),
    #[error("could not answer calls")]
    Serve(#[source] http::Error),
}

async fn run(args: Args) -> Result<(), Error> {
    let address = args.listen;
    let listener = TcpListener::bind(address)
        .await
        .map_err(|source| Error::Listen { address, source })?;
    let address = listener.local_addr().map_err(Error::ReadAddress)?;
    let asked_to_stop = CancellationToken::new();
    stop_on_signal(&asked_to_stop)?;
    let cloud = Cloud {
        seed: rand::random(),
        ..Cloud::default()
    };
    let cloud = SharedCloud::new(cloud, Clocks::new(args.speed));
    let agent_options = AgentOptions {
        images: args.images.into_iter().collect::<BTreeMap<_, _>>(),
        endpoint_url: format!("http://{address}"),
        log_dir: args.log_dir,
    };
    let agent = Agent::new(cloud.clone(), agent_options).map_err(Error::MakeAgent)?;
    let options = Options {
        account: args.account,
        sqs_delay: args.sqs_delay,
    };
    info!(%address, speed = args.speed, "Answering calls");
    let agent_stopped = CancellationToken::new();
    // Tasks that are stopping still settle their messages, so the front outlives the agent.
    let front = http::serve(listener, cloud, options, agent_stopped.clone().cancelled_owned());
    let run_agent = async {
        agent.run(asked_to_stop.cancelled()).await;
        agent_stopped.cancel();
    };
    let run_front = async {
        let served = front.await;
        // Without a front the agent has nothing to work for.
        asked_to_stop.cancel();
        served
    };
    let (served, ()) = tokio::join!(run_front, run_agent);
    served.map_err(Error::Serve)
}

/// Cancels `stopping` on SIGINT or SIGTERM; a second one ends the process, and the kernel its tasks.
fn stop_on_signal(stopping: &CancellationToken) -> Result<(), Error> {
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::WaitForSignals)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::WaitForSignals)?;
    let stopping = stopping.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if stopping.is_cancelled() {
                std::process::exit(130);
            }
            info!("Stopping the tasks, then the front");
            stopping.cancel();
        }
    });
    Ok(())
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text
        .parse()
        .map_err(|_| "an address and port is wanted, such as 127.0.0.1:4566".to_owned())?;
    if address.ip().is_loopback() {
        return Ok(address);
    }
    Err("localcloud verifies no signature, so it listens on loopback only, such as 127.0.0.1:4566".to_owned())
}

fn speed(text: &str) -> Result<f64, String> {
    let speed = text
        .parse()
        .ok()
        .filter(|speed: &f64| speed.is_finite() && (1.0..=1000.0).contains(speed));
    speed.ok_or_else(|| "a number from 1 to 1000 is wanted".to_owned())
}

fn account(text: &str) -> Result<String, String> {
    let is_account = text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_account {
        Ok(text.to_owned())
    } else {
        Err("twelve digits are wanted, such as 123456789012".to_owned())
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "a duration in ms or s is wanted, such as 20ms".to_owned();
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 1),
        None => (text.strip_suffix('s').ok_or_else(wrong)?, 1000),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    Ok(Duration::from_millis(number * unit))
}

fn image(text: &str) -> Result<(String, Vec<String>), String> {
    let wrong = || "NAME=COMMAND is wanted, such as penstock-bridge=/usr/bin/penstock-bridge".to_owned();
    let (name, command) = text.split_once('=').ok_or_else(wrong)?;
    let words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
    if name.is_empty() || words.is_empty() {
        Err(wrong())
    } else {
        Ok((name.to_owned(), words))
    }
}

/// Prints an error with all its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{duration, image, loopback, speed};

    #[test]
    fn only_loopback_is_listened_on() {
        assert!(loopback("127.0.0.1:4566").is_ok() && loopback("[::1]:0").is_ok());
        assert!(loopback("0.0.0.0:4566").is_err() && loopback("10.0.0.1:4566").is_err());
    }

    #[test]
    fn numbers_are_checked_where_they_come_in() {
        assert_eq!(duration("20ms"), Ok(Duration::from_millis(20)));
        assert_eq!(duration("2s"), Ok(Duration::from_secs(2)));
        assert_eq!(
            image("bridge:1=/bin/b --x"),
            Ok(("bridge:1".into(), vec!["/bin/b".into(), "--x".into()]))
        );
        assert!(image("bridge").is_err() && image("bridge=").is_err());
        assert!(duration("20").is_err() && speed("0").is_err() && speed("NaN").is_err());
    }
}
