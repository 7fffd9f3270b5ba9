//! Application Auto Scaling for the desired count of ECS services, with target tracking policies.
//!
//! It lives on the fast clock. Refused by name: other namespaces and dimensions, step and predictive policies, load balancer
//! and high-resolution metrics, scheduled actions, roles other than the service-linked one.
//!
//! What AWS does not document is chosen here: how many data points the alarms of a policy need ([`HIGH_DATAPOINTS`],
//! [`LOW_DATAPOINTS`]), the low alarm's threshold ([`LOW_SHARE`]), and how long a change may take ([`FULFILMENT_LIMIT`]).
//! Both alarms are made also when scale-in is disabled, and a standing alarm that cannot scale is reported once, not every minute.
//! A cooldown begins when the service has come to the count that was set. Within a scale-out cooldown, what is wanted is
//! reckoned from what ran before it. An attribute that `SuspendedState` does not name stays as it is.
//!
//! This service never touches another: the counts and alarms that it wants changed wait in
//! [`Scaling::take_count_changes`] and [`Scaling::take_alarm_changes`].

mod activity;
mod decide;
mod policy;
mod target;
mod tracking;

use std::collections::BTreeMap;

use activity::{Activities, NotScaled, Status};
use decide::{Brakes, Capacity, Decision, Direction, Signal, decide};
use policy::Policy;
use target::Target;

use super::cloudwatch::{Alarm, AlarmChange, CloudWatch, State};
use super::ids::Ids;
use super::route::service_of;
use super::{Answer, Call, Fault, Millis};

/// Data points above the target before a policy scales out. Not documented for service policies.
pub const HIGH_DATAPOINTS: usize = 3;
/// Data points below the low threshold before a policy scales in. Attested for capacity provider alarms only.
pub const LOW_DATAPOINTS: usize = 15;
/// The low threshold as a share of the target: the guide says "usually more than 10% lower".
pub const LOW_SHARE: f64 = 0.9;
/// How long an activity may wait for the service before it counts as unfulfilled. AWS names no figure.
pub const FULFILMENT_LIMIT: Millis = 30 * 60_000;

const NAMESPACE: &str = "ecs";
const DIMENSION: &str = "ecs:service:DesiredCount";
const VALIDATION: &str = "ValidationException";

/// What a policy needs to know of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServiceState {
    /// Its desired count.
    pub desired: i32,
    /// How many tasks run.
    pub running: i32,
    /// Whether a deployment is in progress.
    pub deploying: bool,
}

/// The scalable targets, policies and activities of one account and region.
#[derive(Debug, Default)]
pub struct Scaling {
    /// Where ids are drawn from.
    pub ids: Ids,
    targets: BTreeMap<String, Target>,
    activities: Activities,
    noted: Option<(String, Option<(i32, i32)>)>,
    count_changes: Vec<(String, i32)>,
    alarm_changes: Vec<AlarmChange>,
}

impl Scaling {
    /// Answers one call; before `RegisterScalableTarget`, [`Self::note_count`] must have been told the service's count.
    ///
    /// # Errors
    /// As the API does, and for what is not modelled, by name.
    pub fn handle(&mut self, call: &Call<'_>) -> Answer {
        match call.operation {
            "RegisterScalableTarget" => self.register(call),
            "DeregisterScalableTarget" => self.deregister(call.input),
            "DescribeScalableTargets" => self.describe_targets(call),
            "PutScalingPolicy" => self.put_policy(call),
            "DeleteScalingPolicy" => self.delete_policy(call.input),
            "DescribeScalingPolicies" => self.describe_policies(call),
            "DescribeScalingActivities" => self.activities.describe(call.input),
            "TagResource" => self.tag(call.input),
            "UntagResource" => self.untag(call.input),
            "ListTagsForResource" => self.list_tags(call.input),
            _ => Err(call.unknown_operation()),
        }
    }

    /// Tells the desired and the running count of the service that the next registration names; nothing if there is none.
    pub fn note_count(&mut self, resource_id: &str, counts: Option<(i32, i32)>) {
        self.noted = Some((resource_id.to_owned(), counts));
    }

    /// Returns the desired counts that are to be set, by resource id, since the last call.
    pub fn take_count_changes(&mut self) -> Vec<(String, i32)> {
        std::mem::take(&mut self.count_changes)
    }

    /// Returns what is to be done to the alarms of policies since the last call.
    pub fn take_alarm_changes(&mut self) -> Vec<AlarmChange> {
        std::mem::take(&mut self.alarm_changes)
    }

    /// Returns the resource ids of all targets.
    pub fn resource_ids(&self) -> Vec<String> {
        self.targets.keys().cloned().collect()
    }

    /// Acts on the alarms of all policies as they stand at the end of a minute.
    pub fn close_minute(&mut self, cloudwatch: &CloudWatch, services: &BTreeMap<String, ServiceState>, end: Millis) {
        for resource_id in self.resource_ids() {
            // Without a service there is nothing to scale; its target stays until somebody deregisters it.
            let Some(service) = services.get(&resource_id) else {
                continue;
            };
            self.settle(&resource_id, *service, end);
            self.act(&resource_id, *service, cloudwatch, end);
        }
    }

    /// Ends the activities that the service has fulfilled, and begins the cooldown that was waiting for it.
    fn settle(&mut self, resource_id: &str, service: ServiceState, now: Millis) {
        let outcome = |desired: i32, started: Millis| {
            if desired != service.desired {
                Some(Status::Overridden)
            } else if service.running == desired {
                Some(Status::Successful)
            } else {
                (now - started >= FULFILMENT_LIMIT).then_some(Status::Unfulfilled)
            }
        };
        let settled = self.activities.settle(resource_id, now, outcome);
        let Some(target) = self.targets.get_mut(resource_id).filter(|_| settled) else {
            return;
        };
        if let Some(cooldown) = target.cooldown.as_mut().filter(|cooldown| cooldown.ends.is_none()) {
            cooldown.ends = Some(now + cooldown.length);
        }
    }

    fn act(&mut self, resource_id: &str, service: ServiceState, cloudwatch: &CloudWatch, now: Millis) {
        let Some(target) = self.targets.get_mut(resource_id) else {
            return;
        };
        let signals: Vec<Signal> = target
            .policies
            .values()
            .map(|policy| signal(policy, service, cloudwatch, now))
            .collect();
        let capacity = Capacity {
            desired: service.desired,
            running: service.running,
            minimum: target.minimum,
            maximum: target.maximum,
        };
        let brakes = Brakes {
            scale_in_suspended: target.suspended.dynamic_scaling_in_suspended,
            scale_out_suspended: target.suspended.dynamic_scaling_out_suspended,
            deploying: service.deploying,
        };
        match decide(capacity, &signals, target.cooldown, brakes, now) {
            Decision::Stay => target.refusal = None,
            Decision::Refuse {
                policy,
                direction,
                reason,
            } => {
                let cause = cause(target, policy, direction);
                self.refuse(resource_id, cause, reason, now);
            }
            Decision::Set {
                policy,
                desired,
                cooldown,
            } => {
                let cause = cause(target, policy, cooldown.direction);
                (target.cooldown, target.refusal) = (Some(cooldown), None);
                let id = self.ids.uuid();
                self.activities.scaled(id, resource_id, desired, cause, now);
                self.count_changes.push((resource_id.to_owned(), desired));
            }
        }
    }

    fn refuse(&mut self, resource_id: &str, cause: String, reason: NotScaled, now: Millis) {
        let Some(target) = self.targets.get_mut(resource_id) else {
            return;
        };
        let refusal = Some((cause.clone(), format!("{reason:?}")));
        if target.refusal != refusal {
            target.refusal = refusal;
            let id = self.ids.uuid();
            self.activities.not_scaled(id, resource_id, reason, cause, now);
        }
    }
}

/// Reads the alarms of one policy; an alarm that somebody deleted says nothing.
fn signal(policy: &Policy, service: ServiceState, cloudwatch: &CloudWatch, now: Millis) -> Signal {
    let [high, low] = policy.alarms.each_ref().map(|name| cloudwatch.alarm(name));
    // Somebody may have turned the actions of an alarm off, or taken the policy out of them.
    let acts = |alarm: &&Alarm| alarm.settings.actions_enabled && alarm.settings.alarm_actions.contains(&policy.arn);
    let stands = |alarm: Option<&Alarm>| alarm.filter(acts).is_some_and(|alarm| alarm.state == State::Alarm);
    // "Application Auto Scaling cannot scale your scalable target until new data points are found": an alarm may stand for
    // a while on old data alone ("Avoiding premature transitions to alarm state"), so the last minute must have a value.
    let value = high.or(low).and_then(|alarm| cloudwatch.latest_value(alarm, now));
    let target = policy.tracking.target_value;
    // "When actual capacity is 0 and the metric indicates that there is workload demand, Service Auto Scaling waits for
    // one data point to be sent before scaling out" ("Service auto scaling").
    let is_wanted_at_zero = service.running == 0 && service.desired == 0 && value.is_some_and(|value| value > target);
    Signal {
        high: stands(high) || (high.filter(acts).is_some() && is_wanted_at_zero),
        low: stands(low),
        value,
        target,
        disable_scale_in: policy.tracking.disable_scale_in.unwrap_or(false),
        scale_out_cooldown: policy.tracking.scale_out_cooldown(),
        scale_in_cooldown: policy.tracking.scale_in_cooldown(),
    }
}

/// Returns the cause of an activity in the words of AWS.
fn cause(target: &Target, policy: usize, direction: Direction) -> String {
    let Some((name, policy)) = target.policies.iter().nth(policy) else {
        return String::new();
    };
    let [high, low] = &policy.alarms;
    let alarm = if direction == Direction::Out { high } else { low };
    format!("monitor alarm {alarm} in state ALARM triggered policy {name}")
}

fn refused(message: impl Into<String>) -> Fault {
    Fault::client(VALIDATION, message)
}

fn missing_target(resource_id: &str) -> Fault {
    let message = format!(
        "No scalable target found for service namespace: {NAMESPACE}, resource ID: {resource_id}, scalable dimension: {DIMENSION}"
    );
    Fault::client("ObjectNotFoundException", message)
}

fn check_resource(namespace: &str, resource_id: &str, dimension: &str) -> Result<(), Fault> {
    check_filter(namespace, Some(resource_id), Some(dimension))?;
    match service_of(resource_id) {
        Some((cluster, service)) if !cluster.is_empty() && !service.is_empty() && !service.contains('/') => Ok(()),
        _ => Err(refused(format!(
            "ResourceId: {resource_id} must be service/<cluster>/<service>"
        ))),
    }
}

fn check_filter(namespace: &str, resource_id: Option<&str>, dimension: Option<&str>) -> Result<(), Fault> {
    if namespace != NAMESPACE {
        return Err(refused(format!(
            "ServiceNamespace: {namespace} is not modelled here, only {NAMESPACE} is"
        )));
    }
    match dimension {
        Some(_) if resource_id.is_none() => Err(refused("ScalableDimension requires a resource ID beside it")),
        Some(dimension) if dimension != DIMENSION => Err(refused(format!(
            "ScalableDimension: {dimension} is not modelled here, only {DIMENSION} is"
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
