//! The metrics that queues and services report for every minute of the fast clock.
//!
//! - `AWS/SQS` by `QueueName`: one sample per minute, of what the queue holds when the minute ends and of what happened since the last one.
//!   A queue that is empty and that nobody called for six hours reports nothing. Left out: the delay of up to fifteen
//!   minutes when a queue becomes active again, and `SentMessageSize`. Ages are those of real time, as the messages are.
//! - `AWS/ECS` by `ClusterName` and `ServiceName`: one sample per RUNNING task, so that `SampleCount` counts them, and
//!   nothing without a task. Left out: the metrics of whole clusters.
//! - `ECS/ContainerInsights` by the same, where the cluster has it: the counts, at zero tasks as well (not verified), and
//!   CPU and memory. Left out: storage, network, and the metrics of clusters and families.

use std::collections::BTreeMap;

use crate::model::cloudwatch::{CloudWatch, MINUTE, MetricKey, Samples};
use crate::model::ecs::ServiceMetrics;
use crate::model::sqs::{QueueCounters, QueueGauges};
use crate::model::{Call, Millis, Now, Region, input};

/// "A queue is considered active for up to six hours after any activity", in "Monitoring queues using CloudWatch".
pub(super) const QUEUE_ACTIVE: Millis = 6 * 60 * MINUTE;

/// How far metrics were reported.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reported {
    /// The end of the last minute that was closed; nothing before the first tick.
    pub until: Option<Millis>,
    /// When each queue was last active, on the fast clock.
    queues: BTreeMap<String, Millis>,
}

impl Region {
    /// Notes that a call named a queue: any action keeps it active.
    pub(in crate::model) fn note_queue_use(&mut self, call: &Call<'_>) {
        let url = input::text(call.input, "QueueUrl").and_then(|url| url.rsplit('/').next());
        let name = url.or_else(|| input::text(call.input, "QueueName"));
        if let Some(active) = name.and_then(|name| self.cloudwatch.reported.queues.get_mut(name)) {
            *active = call.now.fast;
        }
    }

    /// Reports what happened since the last minute and what is now, for the minute that begins at `minute`.
    pub(super) fn report_minute(&mut self, minute: Millis, now: Now) {
        let counters: BTreeMap<String, QueueCounters> = self.sqs.take_counters().into_iter().collect();
        let gauges = self.sqs.gauges(now);
        let known: BTreeMap<String, Millis> = std::mem::take(&mut self.cloudwatch.reported.queues);
        for (queue, gauges) in gauges {
            let counters = counters.get(&queue).copied().unwrap_or_default();
            let active = match known.get(&queue) {
                Some(active) if is_idle(gauges, counters) => *active,
                _ => minute,
            };
            if minute - active < QUEUE_ACTIVE {
                report_queue(&mut self.cloudwatch, &queue, gauges, counters, minute);
            }
            self.cloudwatch.reported.queues.insert(queue, active);
        }
        for service in self.ecs.metrics() {
            report_service(&mut self.cloudwatch, &service, minute);
        }
    }
}

/// Says whether a queue holds nothing and nothing happened to it.
fn is_idle(gauges: QueueGauges, counters: QueueCounters) -> bool {
    gauges.visible + gauges.not_visible + gauges.delayed == 0 && counters == QueueCounters::default()
}

fn report_queue(
    cloudwatch: &mut CloudWatch,
    queue: &str,
    gauges: QueueGauges,
    counters: QueueCounters,
    minute: Millis,
) {
    let values = [
        ("ApproximateNumberOfMessagesVisible", gauges.visible),
        ("ApproximateNumberOfMessagesNotVisible", gauges.not_visible),
        ("ApproximateNumberOfMessagesDelayed", gauges.delayed),
        ("NumberOfMessagesSent", counters.sent),
        ("NumberOfMessagesReceived", counters.received),
        ("NumberOfMessagesDeleted", counters.deleted),
        ("NumberOfEmptyReceives", counters.empty_receives),
    ];
    let key = |name: &str| MetricKey::of("AWS/SQS", name, &[("QueueName", queue)]);
    for (name, value) in values {
        cloudwatch.report(&key(name), "Count", minute, Samples::one(value as f64));
    }
    let age = Samples::one(gauges.oldest_age_seconds as f64);
    cloudwatch.report(&key("ApproximateAgeOfOldestMessage"), "Seconds", minute, age);
}

fn report_service(cloudwatch: &mut CloudWatch, service: &ServiceMetrics, minute: Millis) {
    let dimensions = [
        ("ClusterName", service.cluster.as_str()),
        ("ServiceName", service.service.as_str()),
    ];
    let used = [
        (
            "CPUUtilization",
            Samples::all(service.samples.iter().map(|(cpu, _)| *cpu)),
        ),
        (
            "MemoryUtilization",
            Samples::all(service.samples.iter().map(|(_, memory)| *memory)),
        ),
    ];
    for (name, samples) in used {
        if let Some(samples) = samples {
            cloudwatch.report(&MetricKey::of("AWS/ECS", name, &dimensions), "Percent", minute, samples);
        }
    }
    if !service.container_insights {
        return;
    }
    let mut insight = |name: &str, unit: &str, value: f64| {
        let key = MetricKey::of("ECS/ContainerInsights", name, &dimensions);
        cloudwatch.report(&key, unit, minute, Samples::one(value));
    };
    insight("DesiredTaskCount", "Count", f64::from(service.desired));
    insight("RunningTaskCount", "Count", f64::from(service.running));
    insight("PendingTaskCount", "Count", f64::from(service.pending));
    insight("DeploymentCount", "Count", f64::from(service.deployments));
    if service.running > 0 {
        insight("CpuReserved", "None", f64::from(service.cpu_units));
        insight("CpuUtilized", "None", service.cpu_units_used);
        insight("MemoryReserved", "Megabytes", f64::from(service.memory_mib));
        insight("MemoryUtilized", "Megabytes", service.memory_mib_used);
    }
}
