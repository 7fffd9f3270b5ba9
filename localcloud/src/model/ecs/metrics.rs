//! What ECS tells CloudWatch about its services.

use super::Ecs;
use super::service::{Service, Status};
use super::task::Task;

/// The figures of one service at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceMetrics {
    /// The cluster's name.
    pub cluster: String,
    /// The service's name.
    pub service: String,
    /// How many tasks are wanted.
    pub desired: i32,
    /// How many tasks are RUNNING.
    pub running: i32,
    /// How many tasks are on their way to RUNNING.
    pub pending: i32,
    /// How many deployments the service has.
    pub deployments: i32,
    /// Whether Container Insights watches the cluster.
    pub container_insights: bool,
    /// CPU and memory of every RUNNING task, in percent of what it has reserved; zeros until the agent's first report.
    pub samples: Vec<(f64, f64)>,
    /// CPU units reserved by the RUNNING tasks together.
    pub cpu_units: u32,
    /// MiB reserved by the RUNNING tasks together.
    pub memory_mib: u32,
    /// CPU units used by the RUNNING tasks together.
    pub cpu_units_used: f64,
    /// MiB used by the RUNNING tasks together.
    pub memory_mib_used: f64,
}

impl Ecs {
    /// Returns the figures of every service that is not gone.
    pub fn metrics(&self) -> Vec<ServiceMetrics> {
        self.services
            .values()
            .filter(|service| service.status != Status::Inactive)
            .map(|service| self.metrics_of(service))
            .collect()
    }

    fn metrics_of(&self, service: &Service) -> ServiceMetrics {
        let tasks = || {
            self.tasks
                .values()
                .filter(|t| t.cluster == service.cluster && t.service == service.name)
        };
        let counts = super::service::count(tasks());
        let running: Vec<&Task> = tasks().filter(|task| task.is_running()).collect();
        let samples: Vec<_> = running.iter().map(|task| task.usage_percent()).collect();
        let used = |pick: fn(&(f64, f64)) -> f64, of: fn(&Task) -> u32| -> f64 {
            samples
                .iter()
                .zip(&running)
                .map(|(sample, task)| pick(sample) / 100.0 * f64::from(of(task)))
                .sum()
        };
        ServiceMetrics {
            cluster: service.cluster.clone(),
            service: service.name.clone(),
            desired: service.desired,
            running: counts.running,
            pending: counts.pending,
            deployments: i32::try_from(service.deployments.len()).unwrap_or(i32::MAX),
            container_insights: self
                .clusters
                .get(&service.cluster)
                .is_some_and(super::clusters::Cluster::has_container_insights),
            cpu_units: running.iter().map(|task| task.size.cpu_units).sum(),
            memory_mib: running.iter().map(|task| task.size.memory_mib).sum(),
            cpu_units_used: used(|sample| sample.0, |task| task.size.cpu_units),
            memory_mib_used: used(|sample| sample.1, |task| task.size.memory_mib),
            samples,
        }
    }
}
