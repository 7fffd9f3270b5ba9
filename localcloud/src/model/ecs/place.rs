//! On which container instance a task goes.
//!
//! Instances that will not do are left out, by what the task needs and by the service's constraints; then each placement
//! strategy in turn keeps the best of those that are left. Where that leaves several, the one that registered first is taken.
//! Sources: ECS API, `UpdateService`, "the service scheduler … determines task placement in your cluster with the following logic",
//! and `PlacementStrategy`; ECS Developer Guide, "Service event messages".

use std::collections::BTreeMap;

use super::instance::{ARCHITECTURE, Instance, Load};
use super::placement::{Constraint, ConstraintKind, Placement, Strategy, StrategyKind, ZONE};
use super::query::Query;
use super::sizes::TaskSize;
use crate::model::ids::Ids;

/// What a task needs.
#[derive(Debug, Clone)]
pub(super) struct Need<'a> {
    pub(super) size: TaskSize,
    /// Such as `x86_64`, if the definition says.
    pub(super) architecture: Option<String>,
    /// Such as `service:orders`.
    pub(super) group: String,
    /// The capacity provider whose instances may be used; all of the cluster's without one.
    pub(super) provider: Option<&'a str>,
}

/// What keeps a task off an instance, in the order of the checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Obstacle {
    Attribute,
    MemberOf,
    DistinctInstance,
    Cpu,
    Memory,
}

impl Obstacle {
    fn words(self) -> &'static str {
        match self {
            Self::Attribute => "is missing an attribute required by your task",
            Self::MemberOf => "encountered error \"MemberOf placement constraint unsatisfied.\"",
            Self::DistinctInstance => "encountered error \"DistinctInstance placement constraint unsatisfied.\"",
            Self::Cpu => "has insufficient CPU units available",
            Self::Memory => "has insufficient memory available",
        }
    }
}

/// Picks an instance, or says in the words of ECS why none will do. `loads` are the ACTIVE instances of the cluster.
pub(super) fn pick<'a>(
    loads: &[Load<'a>],
    need: &Need<'_>,
    placement: &Placement,
    ids: &mut Ids,
) -> Result<&'a Instance, String> {
    let of_provider = |load: &&Load<'_>| need.provider.is_none() || load.provider == need.provider;
    let all: Vec<&Load<'a>> = loads.iter().filter(of_provider).collect();
    let judged = all
        .iter()
        .map(|load| (*load, obstacle(load, need, &placement.constraints)));
    let (free, kept): (Vec<_>, Vec<_>) = judged.partition(|(_, obstacle)| obstacle.is_none());
    let mut candidates: Vec<&Load<'a>> = free.into_iter().map(|(load, _)| load).collect();
    if candidates.is_empty() {
        let closest = kept.iter().filter_map(|(load, obstacle)| Some((*load, (*obstacle)?)));
        return Err(why_not(closest, need));
    }
    for strategy in strategies(placement) {
        candidates = best(candidates, &all, &strategy, need, ids);
    }
    candidates
        .first()
        .map(|load| load.instance)
        .ok_or_else(|| why_not(std::iter::empty(), need))
}

fn why_not<'a>(kept: impl Iterator<Item = (&'a Load<'a>, Obstacle)>, need: &Need<'_>) -> String {
    let reason = match (kept.max_by_key(|(_, obstacle)| *obstacle), need.provider) {
        (Some((load, obstacle)), _) => format!(
            "The closest matching (container-instance {}) {}.",
            load.instance.id,
            obstacle.words()
        ),
        (None, None) => "Reason: No Container Instances were found in your cluster.".to_owned(),
        (None, Some(_)) => "Reason: No Container Instances were found in your capacity provider.".to_owned(),
    };
    format!(
        "was unable to place a task because no container instance met all of its requirements. {reason} \
         For more information, see the Troubleshooting section of the Amazon ECS Developer Guide."
    )
}

fn obstacle(load: &Load<'_>, need: &Need<'_>, constraints: &[Constraint]) -> Option<Obstacle> {
    let has_architecture = need
        .architecture
        .as_deref()
        .is_none_or(|wanted| load.instance.attribute(ARCHITECTURE) == Some(wanted));
    // The expression was read when the constraint was taken.
    let is_member = |constraint: &Constraint| {
        let query = constraint.expression.as_deref().map(Query::parse);
        matches!(query, Some(Ok(query)) if query.matches(load))
    };
    let of_kind = |kind| constraints.iter().filter(move |constraint| constraint.kind == kind);
    let is_distinct = of_kind(ConstraintKind::DistinctInstance).count() == 0 || !load.groups.contains(&need.group);
    let checks = [
        (Obstacle::Attribute, has_architecture),
        (Obstacle::MemberOf, of_kind(ConstraintKind::MemberOf).all(is_member)),
        (Obstacle::DistinctInstance, is_distinct),
        (Obstacle::Cpu, load.cpu_left >= need.size.cpu_units),
        (Obstacle::Memory, load.memory_left >= need.size.memory_mib),
    ];
    checks
        .into_iter()
        .find(|(_, is_passed)| !is_passed)
        .map(|(obstacle, _)| obstacle)
}

/// Without a strategy of its own a service is spread over zones, and in a zone over instances.
fn strategies(placement: &Placement) -> Vec<Strategy> {
    if !placement.strategies.is_empty() {
        return placement.strategies.clone();
    }
    let spread = |field: String| Strategy {
        kind: StrategyKind::Spread,
        field: Some(field),
    };
    vec![spread(format!("attribute:{ZONE}")), spread("instanceId".to_owned())]
}

/// Keeps the candidates that one strategy prefers; `all` are those too that the task cannot go to, since a spread counts what runs there.
fn best<'c, 'a>(
    candidates: Vec<&'c Load<'a>>,
    all: &[&'c Load<'a>],
    strategy: &Strategy,
    need: &Need<'_>,
    ids: &mut Ids,
) -> Vec<&'c Load<'a>> {
    let field = strategy.field.as_deref().unwrap_or_default();
    match strategy.kind {
        StrategyKind::Random => {
            let chosen = ids.below(candidates.len());
            candidates.into_iter().skip(chosen).take(1).collect()
        }
        StrategyKind::Binpack if field == "CPU" => least(candidates, |load| load.cpu_left as usize),
        StrategyKind::Binpack => least(candidates, |load| load.memory_left as usize),
        StrategyKind::Spread => {
            let mut tasks = BTreeMap::<&str, usize>::new();
            for load in all {
                let own = load.groups.iter().filter(|group| **group == need.group).count();
                *tasks.entry(place(load, field)).or_default() += own;
            }
            least(candidates, |load| tasks[place(load, field)])
        }
    }
}

/// What instances are counted together by; those without the attribute are one place too.
fn place<'l>(load: &'l Load<'_>, field: &str) -> &'l str {
    match field.strip_prefix("attribute:") {
        Some(name) => load.instance.attribute(name).unwrap_or_default(),
        None => &load.instance.id,
    }
}

fn least<'c, 'a>(candidates: Vec<&'c Load<'a>>, of: impl Fn(&Load<'a>) -> usize) -> Vec<&'c Load<'a>> {
    let least = candidates.iter().map(|load| of(load)).min();
    candidates.into_iter().filter(|load| Some(of(load)) == least).collect()
}
