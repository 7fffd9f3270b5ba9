//! The local Fargate agent: one real process per task that the ECS model wants.
//!
//! It takes the model's orders, starts and stops processes, runs their health checks, measures them, and reports what it
//! saw; it decides nothing. A process gets exactly the environment that its task definition says, its secrets resolved,
//! and besides only what stands in for things that a Fargate task has and a local process has not (see `environment`).
//! When the agent ends, so do all of its processes; should it be killed, the kernel kills them (see `spawner`).

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::http::SharedCloud;
use crate::model::ecs::AgentCommand;

mod addresses;
mod container;
mod environment;
mod health;
mod images;
mod secrets;
mod spawner;
#[cfg(test)]
mod tests;
mod usage;

/// How often the agent asks for orders.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// How often it looks at what its processes use.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What the agent needs to know of its host.
#[derive(Debug, Clone)]
pub struct AgentOptions {
    /// Image name -> command. A name without a tag stands for all of its tags. `hog` is there by default.
    pub images: BTreeMap<String, Vec<String>>,
    /// Where processes find the cloud, such as `http://127.0.0.1:4566`.
    pub endpoint_url: String,
    /// Each task writes to `<task id>.log` here; made if it is not there.
    pub log_dir: PathBuf,
}

/// Why an agent could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log directory is neither there nor can it be made.
    #[error("could not make the log directory {path}")]
    MakeLogDirectory {
        /// Where it should be.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// No thread for starting processes.
    #[error("could not start the thread that starts processes")]
    StartSpawner(#[source] std::io::Error),
}

/// The agent, ready to run.
#[derive(Debug)]
pub struct Agent {
    host: Arc<Host>,
}

/// What all containers of an agent share.
#[derive(Debug)]
struct Host {
    cloud: SharedCloud,
    options: AgentOptions,
    addresses: addresses::Addresses,
    spawner: spawner::Spawner,
    processes: watch::Sender<Arc<usage::ProcessTable>>,
}

impl Agent {
    /// Makes an agent for `cloud`. It does nothing before it runs.
    pub fn new(cloud: SharedCloud, mut options: AgentOptions) -> Result<Self, Error> {
        std::fs::create_dir_all(&options.log_dir).map_err(|source| Error::MakeLogDirectory {
            path: options.log_dir.clone(),
            source,
        })?;
        images::add_hog(&mut options.images);
        let host = Host {
            cloud,
            options,
            addresses: addresses::Addresses::default(),
            spawner: spawner::Spawner::start().map_err(Error::StartSpawner)?,
            processes: watch::Sender::new(Arc::default()),
        };
        Ok(Self { host: Arc::new(host) })
    }

    /// Does what the model orders until `shutdown` is done; then stops every process and returns when all are gone.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let (mut containers, mut stops) = (JoinSet::new(), BTreeMap::new());
        let (mut ask, mut look) = (interval(ASK_EVERY), interval(LOOK_EVERY));
        ask.set_missed_tick_behavior(MissedTickBehavior::Delay);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let all = CancellationToken::new();
        tokio::pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                _ = ask.tick() => self.take_orders(&all, &mut containers, &mut stops),
                _ = look.tick(), if !containers.is_empty() => self.look_at_processes().await,
                Some(ended) = containers.join_next() => forget(ended, &mut stops),
            }
        }
        all.cancel();
        // Every container ends within its stop timeout and a grace after SIGKILL, so this loop is bounded by the longest.
        while let Some(ended) = containers.join_next().await {
            forget(ended, &mut stops);
        }
    }

    fn take_orders(
        &self,
        all: &CancellationToken,
        containers: &mut JoinSet<String>,
        stops: &mut BTreeMap<String, CancellationToken>,
    ) {
        let orders: Vec<_> = self.host.cloud.with(|cloud, now| {
            cloud
                .regions
                .values_mut()
                .flat_map(|region| region.ecs.agent_work(now))
                .collect()
        });
        for order in orders {
            match order {
                AgentCommand::Start(start) => {
                    let stop = all.child_token();
                    let task_arn = start.task_arn.clone();
                    stops.insert(task_arn.clone(), stop.clone());
                    let host = Arc::clone(&self.host);
                    containers.spawn(async move {
                        container::run(&host, *start, stop).await;
                        task_arn
                    });
                }
                // The container knows its stop timeout from its start.
                AgentCommand::Stop { task_arn, .. } => {
                    if let Some(stop) = stops.get(&task_arn) {
                        stop.cancel();
                    }
                }
            }
        }
    }

    async fn look_at_processes(&self) {
        match tokio::task::spawn_blocking(usage::ProcessTable::read).await {
            Ok(table) => {
                self.host.processes.send_replace(Arc::new(table));
            }
            Err(error) => tracing::warn!(%error, "Could not look at the processes"),
        }
    }
}

fn forget(ended: Result<String, tokio::task::JoinError>, stops: &mut BTreeMap<String, CancellationToken>) {
    match ended {
        Ok(task_arn) => {
            stops.remove(&task_arn);
        }
        Err(error) => tracing::error!(%error, "A container's keeper failed"),
    }
}
