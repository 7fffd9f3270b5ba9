//! Programs that a test starts, and that end with it.
//!
//! A [`Process`] is the leader of a process group of its own, writes to a log file, and is stopped when it is dropped: SIGTERM, then SIGKILL.
//! What is kept in a static is never dropped, so the kernel is asked, too, to end it when the test binary ends, in whatever way.

use std::ffi::OsStr;
use std::fmt::Display;
use std::fs::{self, File};
use std::future::Future;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::error::io;
use crate::{Error, rundir, wait_until};

/// A program about to be started, like `std::process::Command`. The AWS settings of whoever runs the tests do not reach it.
#[derive(Debug)]
pub struct Program {
    name: String,
    command: Command,
}

impl Program {
    /// Prepares to run `path`; `name` is what errors and the log file call it. When the test binary ends it is killed, even while suspended.
    pub fn new(name: &str, path: impl AsRef<OsStr>) -> Self {
        Self::ending_by("KILL", name, path.as_ref())
    }

    /// Prepares to run a program that starts others. It is asked to terminate when the test binary ends, so that it can end those first.
    pub fn with_children(name: &str, path: impl AsRef<OsStr>) -> Self {
        Self::ending_by("TERM", name, path.as_ref())
    }

    fn ending_by(signal: &str, name: &str, path: &OsStr) -> Self {
        // setpriv replaces itself by the program, so the process id is the program's own.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", signal, "--"]).arg(path);
        for (key, _) in std::env::vars_os() {
            if key.as_encoded_bytes().starts_with(b"AWS_") {
                command.env_remove(key);
            }
        }
        Self {
            name: name.to_owned(),
            command,
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.command.args(arguments);
        self
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    /// Sets variables of its environment.
    #[must_use]
    pub fn envs<K: AsRef<OsStr>, V: AsRef<OsStr>>(mut self, variables: impl IntoIterator<Item = (K, V)>) -> Self {
        self.command.envs(variables);
        self
    }

    /// Sets the directory that it runs in.
    #[must_use]
    pub fn current_dir(mut self, directory: impl AsRef<Path>) -> Self {
        self.command.current_dir(directory);
        self
    }

    /// Starts it, with what it prints going to a log of its own.
    pub fn spawn(mut self) -> Result<Process, Error> {
        let log = rundir::fresh_log(&self.name)?;
        let output = File::create(&log).map_err(io(format!("create {}", log.display())))?;
        let errors = output.try_clone().map_err(io(format!("share {}", log.display())))?;
        self.command
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .process_group(0);
        let child = spawn_from_a_lasting_thread(self.command).map_err(|source| Error::Start {
            program: self.name.clone(),
            source,
        })?;
        Ok(Process {
            pid: child.id(),
            name: self.name,
            child: Mutex::new(child),
            log,
        })
    }

    /// Runs it to its end and returns its status and log, for programs that do one thing and exit.
    pub async fn run(self, timeout: Duration) -> Result<(ExitStatus, String), Error> {
        let process = self.spawn()?;
        let status = process.ended(timeout).await?;
        Ok((status, process.log_text()))
    }
}

/// A program that runs, or has ended.
#[derive(Debug)]
pub struct Process {
    name: String,
    pid: u32,
    child: Mutex<Child>,
    log: PathBuf,
}

impl Process {
    /// Returns the process id, which is the id of its group too.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Returns where it writes its log.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Returns what it has written so far.
    pub fn log_text(&self) -> String {
        fs::read(&self.log)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// Returns how it ended; `None` while it runs.
    pub fn exit_status(&self) -> Option<ExitStatus> {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        child.try_wait().ok().flatten()
    }

    /// Waits for `look` as [`wait_until`] does, but not for a program that has ended.
    pub async fn ready<T, Seen, Look, Looking>(&self, what: &str, timeout: Duration, mut look: Look) -> Result<T, Error>
    where
        Seen: Display,
        Look: FnMut() -> Looking,
        Looking: Future<Output = Result<T, Seen>>,
    {
        let outcome = wait_until(what, timeout, || {
            let looking = look();
            async {
                match looking.await {
                    Ok(value) => Ok(Ok(value)),
                    Err(seen) => self
                        .exit_status()
                        .map(|status| Err(self.ended_early(status)))
                        .ok_or(seen),
                }
            }
        });
        outcome.await?
    }

    /// Waits for its end.
    pub async fn ended(&self, timeout: Duration) -> Result<ExitStatus, Error> {
        let what = format!("the end of {}", self.name);
        wait_until(&what, timeout, || {
            std::future::ready(self.exit_status().ok_or("it still runs"))
        })
        .await
    }

    /// Sends SIGTERM and waits for its end, which its own shutdown decides.
    pub async fn terminate(&self, timeout: Duration) -> Result<ExitStatus, Error> {
        self.signal(Signal::SIGTERM)?;
        self.ended(timeout).await
    }

    /// Sends SIGKILL and waits until it is gone.
    pub async fn kill(&self) -> Result<ExitStatus, Error> {
        self.signal(Signal::SIGKILL)?;
        self.ended(Duration::from_secs(10)).await
    }

    /// Sends a signal to its group; one that has ended gets none.
    pub fn signal(&self, signal: Signal) -> Result<(), Error> {
        // The lock is held, so that the process cannot be reaped, and its id given to another, in between.
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(Some(_)) = child.try_wait() {
            return Ok(());
        }
        killpg(self.group(), signal).map_err(|source| Error::Signal {
            signal: signal.as_str(),
            program: self.name.clone(),
            source,
        })
    }

    fn ended_early(&self, status: ExitStatus) -> Error {
        Error::Ended {
            program: self.name.clone(),
            status,
            log: self.log.clone(),
            excerpt: excerpt(&self.log_text()),
        }
    }

    fn group(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.pid).expect("Linux process ids are far below 2^31"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A stopped process takes no SIGTERM before it goes on.
        let _ = self.signal(Signal::SIGTERM);
        let _ = self.signal(Signal::SIGCONT);
        for _ in 0..200 {
            if self.exit_status().is_some() {
                return;
            }
            #[expect(
                clippy::disallowed_methods,
                reason = "drop cannot be async, and waits for a condition with a bound"
            )]
            thread::sleep(Duration::from_millis(50));
        }
        let _ = self.signal(Signal::SIGKILL);
        let _ = self.child.lock().unwrap_or_else(PoisonError::into_inner).wait();
    }
}

/// Returns the first complaints of a log and its last lines: a program that shuts down says much after the line that matters.
fn excerpt(log: &str) -> String {
    const COMPLAINTS: [&str; 4] = ["ERROR", "error", "Exception", "panicked"];
    let lines: Vec<&str> = log.lines().collect();
    let (earlier, last) = lines.split_at(lines.len().saturating_sub(15));
    let complaints = earlier
        .iter()
        .filter(|line| COMPLAINTS.iter().any(|word| line.contains(word)))
        .take(10);
    complaints.chain(last).copied().collect::<Vec<_>>().join("\n")
}

type Job = (Command, SyncSender<io::Result<Child>>);

/// The kernel sends the signal of `--pdeathsig` when the *thread* that spawned the child ends, and the thread of a test ends with the
/// test; so one thread, which lives as long as the test binary, spawns them all.
fn spawn_from_a_lasting_thread(command: Command) -> io::Result<Child> {
    static SPAWNER: OnceLock<SyncSender<Job>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (jobs, queue) = sync_channel::<Job>(1);
        thread::spawn(move || {
            for (mut command, reply) in queue {
                let _ = reply.send(command.spawn());
            }
        });
        jobs
    });
    let (reply, spawned) = sync_channel(1);
    let gone = || io::Error::other("the thread that spawns is gone");
    spawner.send((command, reply)).map_err(|_| gone())?;
    spawned.recv().map_err(|_| gone())?
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_program_that_ends_early_is_not_waited_for_and_its_log_is_shown() {
        let process = Program::new("early", "sh")
            .args(["-c", "echo no such luck; exit 3"])
            .spawn()
            .expect("sh starts");
        let error = process
            .ready("the impossible", SOON, || std::future::ready(Err::<(), _>("not yet")))
            .await
            .expect_err("it ended");
        assert!(
            matches!(&error, Error::Ended { status, .. } if status.code() == Some(3)),
            "{error}"
        );
        assert!(error.to_string().contains("no such luck"), "{error}");
    }

    #[test]
    fn an_excerpt_shows_the_first_complaint_and_the_end() {
        let quiet: Vec<String> = (0..40).map(|number| format!("shutting down {number}")).collect();
        let log = format!("starting\nERROR no such setting\n{}", quiet.join("\n"));
        let excerpt = excerpt(&log);
        assert!(excerpt.starts_with("ERROR no such setting\n"), "{excerpt}");
        assert!(
            excerpt.ends_with("shutting down 39") && !excerpt.contains("starting"),
            "{excerpt}"
        );
    }

    #[tokio::test]
    async fn dropping_stops_even_a_suspended_process() {
        let process = Program::new("sleeper", "sleep")
            .arg("1000")
            .spawn()
            .expect("sleep starts");
        let pid = process.pid();
        process.signal(Signal::SIGSTOP).expect("it runs");
        drop(process);
        assert!(!Path::new("/proc").join(pid.to_string()).exists());
    }

    #[tokio::test]
    async fn the_aws_settings_of_the_caller_do_not_reach_a_program() {
        let program = Program::new("env", "env").env("AWS_REGION", "eu-west-1");
        let (status, output) = program.run(SOON).await.expect("env runs");
        assert!(status.success());
        let aws: Vec<&str> = output.lines().filter(|line| line.starts_with("AWS_")).collect();
        assert_eq!(aws, ["AWS_REGION=eu-west-1"]);
    }

    #[test]
    fn a_child_outlives_the_thread_that_asked_for_it() {
        let spawned = thread::spawn(|| {
            Program::new("lasting", "sleep")
                .arg("1000")
                .spawn()
                .expect("sleep starts")
        });
        let process = spawned.join().expect("the thread ends well");
        assert!(process.exit_status().is_none());
    }
}
