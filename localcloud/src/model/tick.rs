//! What the services do to each other by themselves as time passes.
//!
//! Deployments advance with every tick. At the end of each minute of the fast clock, queues and services report their metrics, alarms are evaluated,
//! policies act on them, and changes of state go out to topics. Minutes that passed between two ticks are caught up one by
//! one, with what can be seen now; beyond [`CATCH_UP_LIMIT`] they are left out, as if nothing had been reported in them.

mod publish;

pub use publish::Reported;

use std::collections::BTreeMap;

use super::cloudwatch::{MINUTE, Notice};
use super::route::service_of;
use super::scaling::ServiceState;
use super::{Cloud, Millis, Now, Region, Scope};

/// How many minutes one tick makes up for.
pub const CATCH_UP_LIMIT: i64 = 60;

impl Cloud {
    /// Lets time pass: call it several times a second of real time, with clocks that never go back.
    pub fn tick(&mut self, now: Now) {
        let scopes: Vec<Scope> = self.regions.keys().cloned().collect();
        for scope in &scopes {
            let Some(region) = self.regions.get_mut(scope) else {
                continue;
            };
            region.ecs.advance(now);
            region.apply_scaling(scope, now);
            for end in minutes_to_close(&mut region.cloudwatch.reported, now.fast) {
                region.close_minute(scope, end, now);
            }
            let notices = region.cloudwatch.take_notices();
            for notice in notices {
                self.send(scope, &notice, now);
            }
        }
    }

    /// Publishes one notice, and notes in the alarm's history how that went.
    fn send(&mut self, scope: &Scope, notice: &Notice, now: Now) {
        let published = self.publish(&notice.topic_arn, Some(&notice.subject), &notice.message, now);
        let Some(region) = self.regions.get_mut(scope) else {
            return;
        };
        let outcome = published.as_deref().map_err(|fault| fault.message.as_str());
        region.cloudwatch.noted(notice, outcome, notice.at);
    }
}

impl Region {
    /// Does what Application Auto Scaling wants done to services and alarms; without anything to do it does nothing.
    pub fn apply_scaling(&mut self, scope: &Scope, now: Now) {
        for (resource, desired) in self.scaling.take_count_changes() {
            if let Some((cluster, name)) = service_of(&resource) {
                // A service that was deleted in between has no count to set.
                self.ecs.set_desired(cluster, name, desired, now);
            }
        }
        let changes = self.scaling.take_alarm_changes();
        // The settings were checked when the policy was put.
        let _checked = self.cloudwatch.apply(changes, scope, now.fast);
    }

    fn close_minute(&mut self, scope: &Scope, end: Millis, now: Now) {
        self.report_minute(end - MINUTE, now);
        self.cloudwatch.close_minute(scope, end);
        let services = self.scaled_services();
        self.scaling.close_minute(&self.cloudwatch, &services, end);
        self.apply_scaling(scope, now);
    }

    /// Returns the state of every service that is a scalable target.
    fn scaled_services(&self) -> BTreeMap<String, ServiceState> {
        let state = |resource: String| {
            let (cluster, name) = service_of(&resource)?;
            let (desired, running) = self.ecs.service_counts(cluster, name)?;
            let deploying = self.ecs.deployment_in_progress(cluster, name);
            Some((
                resource,
                ServiceState {
                    desired,
                    running,
                    deploying,
                },
            ))
        };
        self.scaling.resource_ids().into_iter().filter_map(state).collect()
    }
}

/// Returns the ends of the minutes that are over and not closed yet, and marks them as closed.
fn minutes_to_close(reported: &mut Reported, now: Millis) -> impl Iterator<Item = Millis> + use<> {
    let current = now.div_euclid(MINUTE);
    let last = reported.until.map_or(current, |until| until.div_euclid(MINUTE));
    reported.until = Some(current.max(last) * MINUTE);
    let first = (last + 1).max(current - CATCH_UP_LIMIT + 1);
    (first..=current).map(|minute| minute * MINUTE)
}

#[cfg(test)]
mod tests;
