//! Arguments in, exit code out.

use std::io::Write;
use std::net::SocketAddr;

use clap::Parser;
use clap::error::ErrorKind;
use penstock_bridge::config::{Args, Command, Config};
use penstock_bridge::{ExitStatus, run, server, telemetry};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Messages are many small pieces that one thread makes and another frees; glibc's allocator spends a fifth of the time on them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The place of `mi_option_purge_delay` among mimalloc's options, which its bindings do not name.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

/// From how many bytes on glibc takes each piece from the system by itself. A record of 64 KiB and its headers is one.
#[cfg(target_env = "gnu")]
const LARGE: libc::c_int = 64 * 1024;

fn main() {
    give_memory_back_at_once();
    // One thread moves messages: they are handed from step to step without locks or wake-ups. Kafka's client has its own.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => end(runtime.block_on(start())),
        Err(error) => {
            eprintln!("penstock-bridge: the system gives no timers or sockets: {error}");
            end(ExitStatus::Internal.code());
        }
    }
}

/// Has freed memory given back to the system at once. Kept for later, as is the default, ten messages of 1 MiB that come and
/// go make up half of what the process may use. Librdkafka uses glibc's allocator, which keeps what is as large as what was
/// freed before, unless it is told what is large.
fn give_memory_back_at_once() {
    #[expect(unsafe_code, reason = "allocators are set up by functions of C")]
    // SAFETY: both options exist and take these numbers; nothing else runs yet.
    unsafe {
        libmimalloc_sys::mi_option_set(PURGE_DELAY, 0);
        #[cfg(target_env = "gnu")]
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
    }
}

async fn start() -> u8 {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            // Nobody may be reading; the exit code says the same.
            let _ = error.print();
            return if asked { ExitStatus::Drained } else { ExitStatus::Usage }.code();
        }
    };
    match args.command {
        Some(Command::Health) => health(args.listen).await,
        None => bridge(&args).await.code(),
    }
}

/// Ends the process at once. Not by returning, which would wait for threads of Kafka's client, and they may wait for a
/// broker that is away. And not by way of exit handlers: OpenSSL's frees what those threads still use, which ends the
/// process by a signal after everything went well.
fn end(code: u8) -> ! {
    let _ = std::io::stdout().flush();
    #[expect(
        unsafe_code,
        reason = "_exit has no precondition, and the standard library has no way to skip exit handlers"
    )]
    // SAFETY: nothing is used afterwards.
    unsafe {
        libc::_exit(i32::from(code))
    }
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
    // First of all: until somebody listens, a signal ends the process as it ends any other, without a word.
    let shutdown = CancellationToken::new();
    let listening = stop_on_signal(shutdown.clone());
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
    match listening {
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
