//! `hack/prove`: the long run. A million messages through a bridge that is killed, stopped and cut off again and again, and every one of them
//! accounted for.

mod bodies;
mod chaos;
mod feed;
mod ledger;
mod reader;
mod report;
mod run;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

/// Proves the promises that hold under faults: a real Kafka broker, ElasticMQ behind a proxy, and the real programs.
#[derive(Debug, Parser)]
#[command(name = "hack/prove")]
struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// No message lost, deletes only after Kafka stored, order within groups, duplicates within their bound
    Bridge(BridgeArgs),
}

/// How much is proved.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct BridgeArgs {
    /// Messages through a standard queue
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) messages: u32,
    /// Messages through a FIFO queue
    #[arg(long, default_value_t = 100_000)]
    pub(crate) fifo_messages: u32,
    /// SIGKILLs of bridges
    #[arg(long, default_value_t = 100)]
    pub(crate) kills: u32,
    /// SIGTERMs of bridges, in a part of the run that has no other faults
    #[arg(long, default_value_t = 50)]
    pub(crate) stops: u32,
    /// Restarts of the broker, every second one by SIGKILL; the data is kept
    #[arg(long, default_value_t = 10)]
    pub(crate) broker_restarts: u32,
    /// Cuts of every connection between bridges and broker
    #[arg(long, default_value_t = 40)]
    pub(crate) cuts: u32,
    /// Times that SQS refuses deletes for two seconds, whole calls or every second entry
    #[arg(long, default_value_t = 20)]
    pub(crate) delete_outages: u32,
    /// Seconds for which Kafka stalls while messages of 1 MiB wait and the bridge has 256 MiB; 0 leaves that out
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(..=300))]
    pub(crate) stall: u64,
    /// What everything random follows from; printed, and another one each time when missing
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Write the figures into docs/proof.md
    #[arg(long)]
    pub(crate) write: bool,
    /// Give up after that many minutes
    #[arg(long, default_value_t = 120)]
    pub(crate) limit: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let What::Bridge(args) = Args::parse().what;
    let proved = tokio::select! {
        proved = tokio::time::timeout(Duration::from_secs(args.limit * 60), run::prove(&args)) => proved,
        () = told_to_stop() => {
            eprintln!("hack/prove: stopping what was started");
            return ExitCode::from(130);
        }
    };
    match proved {
        Ok(Ok(true)) => ExitCode::SUCCESS,
        Ok(Ok(false)) => ExitCode::FAILURE,
        Ok(Err(error)) => {
            eprintln!("hack/prove: {error:?}");
            ExitCode::FAILURE
        }
        Err(_) => {
            eprintln!(
                "hack/prove: not done within {} minutes; give it more with --limit",
                args.limit
            );
            ExitCode::FAILURE
        }
    }
}

/// Ends at Ctrl-C and SIGTERM, so that what was started is ended too.
async fn told_to_stop() {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}
