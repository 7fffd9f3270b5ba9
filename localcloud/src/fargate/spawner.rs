//! Starts processes that cannot outlive the agent.
//!
//! Where the system has `setpriv` (util-linux), each process asks the kernel to be killed when the thread that started it
//! dies. That thread must therefore live as long as the agent: it is one of its own here, not one that an executor may retire.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::images::find_program;

/// Starts that may wait; whoever asks beyond that is refused, which nobody comes near.
const QUEUE: usize = 1024;

/// The thread that starts processes.
#[derive(Debug)]
pub(super) struct Spawner {
    requests: SyncSender<Request>,
    setpriv: Option<PathBuf>,
    prlimit: Option<PathBuf>,
}

// What holds an environment has no Debug: secrets are in it.
struct Request {
    command: Command,
    runtime: Handle,
    answer: oneshot::Sender<std::io::Result<Child>>,
}

/// A process to start.
pub(super) struct Program<'a> {
    pub(super) command: Vec<String>,
    pub(super) environment: &'a [(String, String)],
    /// The process group to join; 0 for a new one.
    pub(super) group: i32,
    /// Soft and hard limit of open files.
    pub(super) open_files: Option<(u64, u64)>,
    pub(super) output: [Stdio; 2],
}

impl Spawner {
    /// Starts the thread.
    pub(super) fn start() -> std::io::Result<Self> {
        let (requests, receiver) = sync_channel(QUEUE);
        std::thread::Builder::new()
            .name("fargate-spawner".to_owned())
            .spawn(move || serve(&receiver))?;
        let search_path = std::env::var("PATH").unwrap_or_default();
        let setpriv = find_program("setpriv", &search_path);
        if setpriv.is_none() {
            tracing::warn!("There is no setpriv here: processes of tasks live on if the agent is killed");
        }
        Ok(Self {
            requests,
            setpriv,
            prlimit: find_program("prlimit", &search_path),
        })
    }

    /// Starts a process with exactly that environment.
    pub(super) async fn spawn(&self, program: Program<'_>) -> std::io::Result<Child> {
        let mut line: Vec<String> = Vec::new();
        if let Some(setpriv) = &self.setpriv {
            line.extend([
                setpriv.display().to_string(),
                "--pdeathsig=KILL".to_owned(),
                "--".to_owned(),
            ]);
        }
        if let Some((soft, hard)) = program.open_files {
            let prlimit = self
                .prlimit
                .as_ref()
                .ok_or_else(|| std::io::Error::other("the ulimit nofile needs prlimit here"))?;
            line.extend([
                prlimit.display().to_string(),
                format!("--nofile={soft}:{hard}"),
                "--".to_owned(),
            ]);
        }
        line.extend(program.command);
        let [stdout, stderr] = program.output;
        let mut command = Command::new(line.first().map_or(OsStr::new(""), OsStr::new));
        command
            .args(line.iter().skip(1))
            .env_clear()
            .envs(program.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .process_group(program.group)
            .kill_on_drop(true);
        let (answer, answered) = oneshot::channel();
        let request = Request {
            command,
            runtime: Handle::current(),
            answer,
        };
        self.requests
            .try_send(request)
            .map_err(|_| std::io::Error::other("too many processes start at once"))?;
        answered
            .await
            .map_err(|_| std::io::Error::other("the thread that starts processes is gone"))?
    }
}

/// Serves until the agent is gone.
fn serve(requests: &Receiver<Request>) {
    for Request {
        mut command,
        runtime,
        answer,
    } in requests
    {
        let _context = runtime.enter();
        // Whoever asked may have gone; the child then is dropped, and thereby killed.
        let _ = answer.send(command.spawn());
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::time::Duration;

    use super::*;

    fn sleeper() -> Program<'static> {
        let command = ["/bin/sleep", "300"].map(str::to_owned).to_vec();
        Program {
            command,
            environment: &[],
            group: 0,
            open_files: None,
            output: [Stdio::null(), Stdio::null()],
        }
    }

    #[tokio::test]
    async fn processes_die_with_the_thread_that_started_them() {
        let spawner = Spawner::start().expect("a thread");
        if spawner.setpriv.is_none() {
            return;
        }
        let mut child = spawner.spawn(sleeper()).await.expect("a process");
        // The process must have come as far as its own program, or there is no promise yet.
        let name = format!("/proc/{}/comm", child.id().expect("a living process"));
        let is_sleeping = async {
            while std::fs::read_to_string(&name).expect("a name").trim() != "sleep" {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), is_sleeping)
            .await
            .expect("the program runs");
        drop(spawner);
        let ended = tokio::time::timeout(Duration::from_secs(30), child.wait())
            .await
            .expect("an end");
        assert_eq!(ended.expect("a status").signal(), Some(9));
    }

    #[tokio::test]
    async fn the_limit_of_open_files_holds() {
        let spawner = Spawner::start().expect("a thread");
        let command = ["/bin/sh", "-c", "test $(ulimit -n) = 99"].map(str::to_owned).to_vec();
        let program = Program {
            command,
            open_files: Some((99, 100)),
            ..sleeper()
        };
        let mut child = spawner.spawn(program).await.expect("a process");
        let ended = tokio::time::timeout(Duration::from_secs(30), child.wait())
            .await
            .expect("an end");
        assert!(ended.expect("a status").success());
    }
}
