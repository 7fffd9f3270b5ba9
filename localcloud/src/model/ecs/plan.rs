//! What the scheduler does next to one service: arithmetic over its tasks.
//!
//! On scale-in it stops tasks that are not healthy first, then those whose capacity provider has more than its share (a base is
//! kept, as AWS says), then the oldest, and never a protected one: of the order AWS promises no more. A PRIMARY deployment that the circuit breaker failed starts no further tasks: the service stands still
//! until it is updated.

use super::capacity::{CapacityItem, shares};
use super::deployment::Rollout;
use super::service::Service;
use super::task::Task;
use crate::model::Now;

/// What a round of the scheduler does to one service.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) starts: usize,
    pub(super) stops: Vec<(String, StopCause)>,
    /// Whether every wanted task is there and healthy, and no other.
    pub(super) is_settled: bool,
    pub(super) is_held_by_protection: bool,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum StopCause {
    ScaleIn,
    Replaced,
}

impl Plan {
    pub(super) fn new<'a>(service: &Service, tasks: impl Iterator<Item = &'a Task>, now: Now) -> Self {
        let primary = service.primary();
        let (mut current, mut old): (Vec<_>, Vec<_>) = tasks
            .filter(|task| task.is_wanted())
            .partition(|task| task.deployment == primary.id);
        sort_for_stopping(&mut old);
        let desired = usize::try_from(service.desired).unwrap_or_default();
        sort_for_stopping(&mut current);
        put_surplus_first(&mut current, &primary.workload.strategy, desired);
        let mut plan = Self::default();
        if primary.rollout == Rollout::Failed {
            let mut all = [current, old].concat();
            sort_for_stopping(&mut all);
            plan.stop(&all, all.len().saturating_sub(desired), StopCause::ScaleIn, now);
            return plan;
        }
        plan.stop(&current, current.len().saturating_sub(desired), StopCause::ScaleIn, now);
        plan.replace(service, &current, &old, now);
        if now.fast >= service.backoff.until {
            let missing = desired.saturating_sub(current.len());
            let room = match old.is_empty() {
                true => missing,
                false => limits(service).1.saturating_sub(current.len() + old.len()),
            };
            plan.starts = missing.min(room);
        }
        plan.is_settled = old.is_empty() && current.len() == desired && current.iter().all(|task| task.is_healthy());
        plan
    }

    /// Stops tasks of older deployments: the ones that are no use, the ones that were replaced, and as many as must make room.
    fn replace(&mut self, service: &Service, current: &[&Task], old: &[&Task], now: Now) {
        let (min_healthy, max_total) = limits(service);
        let desired = usize::try_from(service.desired).unwrap_or_default();
        let (useful, useless): (Vec<&Task>, Vec<&Task>) = old.iter().copied().partition(|task| task.is_healthy());
        self.stop(&useless, useless.len(), StopCause::Replaced, now);
        let healthy_current = current.iter().filter(|task| task.is_healthy()).count().min(desired);
        let replaced = useful.len().saturating_sub(desired - healthy_current);
        let missing = desired.saturating_sub(current.len());
        let room = max_total.saturating_sub(current.len() + useful.len());
        let spare = (healthy_current + useful.len()).saturating_sub(min_healthy);
        self.stop(
            &useful,
            replaced.max(missing.saturating_sub(room)).min(spare),
            StopCause::Replaced,
            now,
        );
    }

    /// Stops up to `count` of the tasks, leaving out what is protected.
    fn stop(&mut self, tasks: &[&Task], count: usize, cause: StopCause, now: Now) {
        let free = tasks.iter().filter(|task| !task.is_protected(now));
        let before = self.stops.len();
        self.stops
            .extend(free.take(count).map(|task| (task.arn.clone(), cause)));
        self.is_held_by_protection |= self.stops.len() - before < count;
    }
}

/// The least number of healthy tasks, rounded up, and the greatest number of all tasks, rounded down.
fn limits(service: &Service) -> (usize, usize) {
    let configuration = &service.options.configuration;
    let percent = |percent: i32, round_up: i64| {
        usize::try_from((i64::from(percent) * i64::from(service.desired) + round_up) / 100).unwrap_or_default()
    };
    (
        percent(configuration.minimum_healthy_percent, 99),
        percent(configuration.maximum_percent, 0),
    )
}

/// Moves tasks forward that their provider has beyond its share of `desired`; tasks that are not healthy still go before.
fn put_surplus_first(tasks: &mut [&Task], strategy: &[CapacityItem], desired: usize) {
    let mut left = shares(strategy, desired);
    let mut has_share = |task: &Task| match left.get_mut(task.capacity_provider.as_deref().unwrap_or_default()) {
        Some(share) if *share > 0 => {
            *share -= 1;
            true
        }
        _ => false,
    };
    // The youngest keep their place, so they are asked first.
    let mut ranked: Vec<_> = tasks.iter().rev().map(|task| (has_share(task), *task)).collect();
    ranked.reverse();
    ranked.sort_by_key(|(has_share, task)| (task.is_healthy(), *has_share));
    for (slot, (_, task)) in tasks.iter_mut().zip(ranked) {
        *slot = task;
    }
}

fn sort_for_stopping(tasks: &mut [&Task]) {
    tasks.sort_by_key(|task| (task.is_healthy(), task.sequence));
}
