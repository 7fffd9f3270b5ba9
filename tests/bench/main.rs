//! `hack/bench`: figures, measured here and now. Nothing asserts a time.

mod bare;
mod bridge;
mod figures;
mod operator;
mod queue;
mod sqs;
mod usage;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Measures Penstock on this machine: a real Kafka broker, and localcloud in AWS's place.
#[derive(Debug, Parser)]
#[command(name = "hack/bench")]
struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Messages a second and what they cost, beside a bare loop in the same run
    Bridge(bridge::Args),
    /// What a bridge costs that has nothing to do
    Idle(bridge::IdleArgs),
    /// From a document in Kafka to AWS, and what idle passes cost
    Operator(operator::Args),
    /// What the calls cost that are made for every message, by the SDK and by the bridge's own client
    Sqs(sqs::Args),
    /// Loops over SQS by one client, as a process of their own
    #[command(hide = true)]
    SqsLoops(sqs::LoopArgs),
    /// The bare loop, as a process of its own
    #[command(hide = true)]
    Bare(bare::Args),
}

#[tokio::main]
async fn main() -> ExitCode {
    let measured = tokio::select! {
        measured = measure(Args::parse().what) => measured,
        _ = tokio::signal::ctrl_c() => {
            eprintln!("stopping what was started");
            return ExitCode::from(130);
        }
    };
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hack/bench: {error:?}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(what: What) -> Result<(), penstock_tests::Error> {
    match what {
        What::Bridge(args) => bridge::measure(&args).await,
        What::Idle(args) => bridge::measure_idle(&args).await,
        What::Operator(args) => operator::measure(&args).await,
        What::Sqs(args) => sqs::measure(&args).await,
        What::SqsLoops(args) => sqs::run_loops(&args).await,
        What::Bare(args) => bare::run(&args).await,
    }
}
