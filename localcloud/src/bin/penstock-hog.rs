//! `penstock-hog`: burns CPU and memory, so that policies and alarms on them are driven by facts.
//!
//! `HOG_CPU_PERCENT` is how much of one CPU it burns (0 to 100, 0 by default), `HOG_MEMORY_MIB` how much memory it holds.
//! It answers `GET /healthz` at `PENSTOCK_LISTEN`, if that is set, and ends with 0 on SIGTERM.

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use clap::Parser;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep};

/// One turn of burning and resting.
const TURN: Duration = Duration::from_millis(100);

/// How much CPU time may be made up for.
const MOST_ARREARS: Duration = Duration::from_secs(1);

#[derive(Debug, Parser)]
#[command(about = "Burns CPU and memory")]
struct Settings {
    /// Percent of one CPU to burn.
    #[arg(long, env = "HOG_CPU_PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100))]
    cpu_percent: u32,
    /// MiB of memory to hold.
    #[arg(long, env = "HOG_MEMORY_MIB", default_value_t = 0)]
    memory_mib: usize,
    /// Where to answer health checks.
    #[arg(long, env = "PENSTOCK_LISTEN")]
    listen: Option<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Settings::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("penstock-hog: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(settings: Settings) -> std::io::Result<()> {
    let mut terminated = signal(SignalKind::terminate())?;
    if let Some(address) = &settings.listen {
        let listener = TcpListener::bind(address).await?;
        let router = Router::new().route("/healthz", get(|| async { "ok" }));
        tokio::spawn(async move { axum::serve(listener, router).await });
    }
    // Ones, not zeros: the system hands out untouched zeros without memory behind them.
    let memory = vec![1_u8; settings.memory_mib << 20];
    tokio::select! {
        _ = terminated.recv() => {}
        () = burn(settings.cpu_percent) => {}
    }
    drop(black_box(memory));
    Ok(())
}

/// Works until it has had its share of the CPU, turn by turn; on a busy host that takes longer than the share itself.
async fn burn(percent: u32) {
    let (began, mut wanted) = (Instant::now(), Duration::ZERO);
    loop {
        // What a busy host withheld is made up for, but not for ever.
        wanted = (wanted + TURN * percent / 100).min(spent(began, percent) + MOST_ARREARS);
        let turn = Instant::now();
        while spent(began, percent) < wanted && turn.elapsed() < TURN {
            black_box((0..50_000_u64).fold(0, |sum: u64, number| sum.wrapping_mul(31).wrapping_add(number)));
        }
        // Even at 100 percent others must get their turn: the signal and the health check.
        sleep(TURN.saturating_sub(turn.elapsed()).max(Duration::from_millis(1))).await;
    }
}

/// The CPU time of this thread; where the kernel does not tell, what it should have been by now.
fn spent(began: Instant, percent: u32) -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = told.and_then(|text| text.split_whitespace().next()?.parse().ok());
    nanoseconds.map_or_else(|| began.elapsed() * percent / 100, Duration::from_nanos)
}
