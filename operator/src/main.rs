//! `penstock-operator`: arguments in, exit code out.

use std::process::ExitCode;

use clap::Parser;
use penstock_kafka::chain;
use penstock_operator::config::Args;
use penstock_operator::{run, telemetry};

#[tokio::main]
async fn main() -> ExitCode {
    telemetry::init_logs();
    let config = match Args::parse().resolve() {
        Ok(config) => config,
        Err(error) => {
            tracing::error!(error = chain(&error), "Wrong settings");
            return ExitCode::from(64);
        }
    };
    match run::run(config, telemetry::terminated()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = chain(&error), "Ended");
            ExitCode::FAILURE
        }
    }
}
