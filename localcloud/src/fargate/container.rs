//! One container from its start to its end.

use std::fs::File;
use std::net::Ipv4Addr;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::Child;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::spawner::Program;
use super::usage::{GroupUsage, ProcessTable};
use super::{Host, environment, health, images, secrets};
use crate::model::ecs::{StartTask, TaskReport};

/// How often usage is reported.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// How long the end of a killed process is waited for; the kernel needs far less unless the process hangs in a device.
const KILL_GRACE: Duration = Duration::from_secs(10);

/// Runs a task's process until it ends or `stop` asks for its end, and reports all of it.
pub(super) async fn run(host: &Arc<Host>, start: StartTask, stop: CancellationToken) {
    let report = match launch(host, &start).await {
        Err(reason) => TaskReport::FailedToStart {
            task_arn: start.task_arn.clone(),
            reason,
        },
        Ok(running) => {
            let address = running.address;
            host.report(
                &start,
                TaskReport::Started {
                    task_arn: start.task_arn.clone(),
                    address,
                },
            );
            let end = running.watch(host, &start, &stop).await;
            host.addresses.give_back(address);
            TaskReport::Exited {
                task_arn: start.task_arn.clone(),
                exit_code: end.exit_code,
                out_of_memory: end.out_of_memory,
            }
        }
    };
    host.report(&start, report);
}

struct Running {
    child: Child,
    /// The process and its group have the same number.
    group: i32,
    address: Ipv4Addr,
    environment: Vec<(String, String)>,
}

struct End {
    exit_code: i32,
    out_of_memory: bool,
}

/// Starts the process. The error is the reason that ECS would give.
async fn launch(host: &Arc<Host>, start: &StartTask) -> Result<Running, String> {
    let image = images::command(&host.options.images, &start.image).ok_or_else(|| {
        format!(
            "CannotPullContainerError: pull image manifest has been retried 1 time(s): {}: not found",
            start.image
        )
    })?;
    let mut variables = start.environment.clone();
    for secret in &start.secrets {
        let value = secrets::resolve(&host.cloud, secret).map_err(|why| {
            format!("ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: {why}")
        })?;
        variables.push((secret.name.clone(), value));
    }
    let refused = |why: String| format!("CannotStartContainerError: {why}");
    let program = &image[0];
    let port = environment::port(&variables);
    let environment = |address| {
        environment::complete(
            variables.clone(),
            (&start.scope, start.execution_environment),
            &host.options.endpoint_url,
            program,
            address,
        )
    };
    if images::find_program(program, &environment::path(program)).is_none() {
        return Err(refused(format!("exec: \"{program}\": executable file not found")));
    }
    let address = host
        .addresses
        .take(port)
        .ok_or_else(|| refused("no loopback address is free".to_owned()))?;
    let environment = environment(address);
    match spawn(host, start, image, &environment).await {
        Ok((child, group)) => Ok(Running {
            child,
            group,
            address,
            environment,
        }),
        Err(why) => {
            host.addresses.give_back(address);
            Err(refused(why.to_string()))
        }
    }
}

async fn spawn(
    host: &Host,
    start: &StartTask,
    image: &[String],
    environment: &[(String, String)],
) -> std::io::Result<(Child, i32)> {
    let id = start.task_arn.rsplit('/').next().unwrap_or(&start.task_arn);
    let log = File::options()
        .create(true)
        .append(true)
        .open(host.options.log_dir.join(format!("{id}.log")))?;
    let output = [Stdio::from(log.try_clone()?), Stdio::from(log)];
    let command = image.iter().chain(&start.command).cloned().collect();
    let program = Program {
        command,
        environment,
        group: 0,
        open_files: start.open_files,
        output,
    };
    let child = host.spawner.spawn(program).await?;
    let group = child.id().and_then(|id| i32::try_from(id).ok());
    group
        .map(|group| (child, group))
        .ok_or_else(|| std::io::Error::other("the process ended at once"))
}

impl Running {
    /// Waits for the end, whoever brings it about; then there is nothing left of the process group.
    async fn watch(mut self, host: &Host, start: &StartTask, stop: &CancellationToken) -> End {
        let check = async {
            match &start.health_check {
                None => std::future::pending().await,
                Some(check) => {
                    let tell = |healthy| {
                        host.report(
                            start,
                            TaskReport::Health {
                                task_arn: start.task_arn.clone(),
                                healthy,
                            },
                        );
                    };
                    health::watch(&host.spawner, check, &self.environment, self.group, tell).await;
                }
            }
        };
        let status = tokio::select! {
            status = self.child.wait() => Some(status),
            () = stop.cancelled() => None,
            () = check => None,
            () = exceed_memory(host, start, self.group) => {
                let status = self.kill().await;
                return End { exit_code: exit_code(status), out_of_memory: true };
            }
        };
        let status = match status {
            Some(status) => status.ok(),
            None => self.stop(Duration::from_secs(u64::from(start.stop_timeout_s))).await,
        };
        // What the process has started and left behind goes with it, as it does when a container ends.
        signal(self.group, Signal::SIGKILL);
        End {
            exit_code: exit_code(status),
            out_of_memory: false,
        }
    }

    /// Asks, waits, kills.
    async fn stop(&mut self, patience: Duration) -> Option<ExitStatus> {
        signal(self.group, Signal::SIGTERM);
        match timeout(patience, self.child.wait()).await {
            Ok(status) => status.ok(),
            Err(_) => self.kill().await,
        }
    }

    async fn kill(&mut self) -> Option<ExitStatus> {
        signal(self.group, Signal::SIGKILL);
        timeout(KILL_GRACE, self.child.wait()).await.ok()?.ok()
    }
}

/// Reports what the process uses, and returns when that is more memory than its task has.
async fn exceed_memory(host: &Host, start: &StartTask, group: i32) {
    let limit = u64::from(start.size.memory_mib) << 20;
    let mut tables = host.processes.subscribe();
    let (mut last, mut reported) = (GroupUsage::default(), Instant::now());
    while tables.changed().await.is_ok() {
        let table: Arc<ProcessTable> = Arc::clone(&tables.borrow_and_update());
        let Some(usage) = table.group(group) else { continue };
        if usage.memory_bytes > limit {
            return;
        }
        let over = reported.elapsed();
        if over < REPORT_EVERY {
            continue;
        }
        host.report(
            start,
            TaskReport::Usage {
                task_arn: start.task_arn.clone(),
                // A child that nobody waited for takes its seconds with it.
                cpu_seconds: (usage.cpu_seconds - last.cpu_seconds).max(0.0),
                over_seconds: over.as_secs_f64(),
                memory_bytes: usage.memory_bytes,
            },
        );
        (last, reported) = (usage, Instant::now());
    }
    std::future::pending().await
}

impl Host {
    fn report(&self, start: &StartTask, report: TaskReport) {
        self.cloud.with(|cloud, now| {
            if let Some(region) = cloud.regions.get_mut(&start.scope) {
                region.ecs.report(report, now);
            }
        });
    }
}

fn signal(group: i32, signal: Signal) {
    // There is nothing to do where the group has ended already.
    let _ = killpg(Pid::from_raw(group), signal);
}

/// As docker would say: 128 and the signal's number if a signal ended it; 137 for what could not be waited for.
fn exit_code(status: Option<ExitStatus>) -> i32 {
    let killed = 128 + Signal::SIGKILL as i32;
    status.map_or(killed, |status| {
        status
            .code()
            .or(status.signal().map(|signal| 128 + signal))
            .unwrap_or(killed)
    })
}
