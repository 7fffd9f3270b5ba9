//! Arguments in, exit code out.

use std::net::SocketAddr;
use std::process::exit;

use clap::Parser;
use clap::error::ErrorKind;
use penstock_bridge::config::{Args, Command, Config};
use penstock_bridge::{ExitStatus, run, server, telemetry};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() {
    let args = Args::try_parse().unwrap_or_else(|error| {
        let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
        // Nobody may be reading; the exit code says the same.
        let _ = error.print();
        exit(i32::from(
            if asked { ExitStatus::Drained } else { ExitStatus::Usage }.code(),
        ))
    });
    let code = match args.command {
        Some(Command::Health) => health(args.listen).await,
        None => bridge(&args).await.code(),
    };
    // Not by returning: that would wait for threads which may wait for a broker that is away.
    exit(i32::from(code));
}

async fn health(listen: SocketAddr) -> u8 {
    match server::ask_health(listen).await {
        Ok(report) => {
            println!("{report}");
            0
        }
        Err(error) => {
            println!("unhealthy: {error}");
            1
        }
    }
}

async fn bridge(args: &Args) -> ExitStatus {
    if let Err(error) = telemetry::start_log(&args.log) {
        eprintln!("penstock-bridge: {error}");
        return ExitStatus::Usage;
    }
    let config = match Config::load(args, |name| std::env::var(name).ok()) {
        Ok(config) => config,
        Err(error) => {
            tracing::error!(%error, "The bridge cannot start");
            return ExitStatus::Configuration;
        }
    };
    let listener = match TcpListener::bind(args.listen).await {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, address = %args.listen, "The bridge cannot listen; give another address with --listen");
            return ExitStatus::Configuration;
        }
    };
    let shutdown = CancellationToken::new();
    match stop_on_signal(shutdown.clone()) {
        Ok(()) => run(config, listener, shutdown).await,
        Err(error) => {
            tracing::error!(%error, "The bridge cannot listen for signals");
            ExitStatus::Internal
        }
    }
}

fn stop_on_signal(shutdown: CancellationToken) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        shutdown.cancel();
    });
    Ok(())
}
