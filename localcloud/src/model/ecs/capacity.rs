//! What tasks run on: launch types, capacity provider strategies, and how a strategy shares out tasks.
//!
//! Sources: ECS API, `CapacityProviderStrategyItem`; ECS Developer Guide, "Amazon ECS capacity providers".

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::wire::invalid;
use crate::model::Fault;

/// The launch types that the model has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum LaunchType {
    Fargate,
    Ec2,
}

/// One part of a capacity provider strategy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct CapacityItem {
    pub(super) capacity_provider: String,
    #[serde(default)]
    pub(super) weight: i32,
    #[serde(default)]
    pub(super) base: i32,
}

/// Tasks by capacity provider.
pub(super) type Shares<'a> = BTreeMap<&'a str, i32>;

/// The most providers of a strategy, and of a cluster.
pub(super) const MOST_PROVIDERS: usize = 20;

/// Whether a capacity provider is one of the two that every account has.
pub(super) fn is_fargate(provider: &str) -> bool {
    matches!(provider, "FARGATE" | "FARGATE_SPOT")
}

/// What the tasks of a strategy run on; a strategy never mixes the two.
pub(super) fn launch_type(strategy: &[CapacityItem]) -> LaunchType {
    if strategy.iter().all(|item| is_fargate(&item.capacity_provider)) {
        LaunchType::Fargate
    } else {
        LaunchType::Ec2
    }
}

/// Refuses a strategy that AWS refuses; an empty one is none.
pub(super) fn check_strategy(strategy: &[CapacityItem], of_cluster: &[String]) -> Result<(), Fault> {
    if strategy.len() > MOST_PROVIDERS {
        return Err(invalid(format!(
            "A capacity provider strategy can contain a maximum of {MOST_PROVIDERS} capacity providers."
        )));
    }
    if strategy
        .iter()
        .any(|item| !of_cluster.contains(&item.capacity_provider))
    {
        return Err(invalid(
            "The specified capacity provider strategy cannot contain a capacity provider that is not associated with the cluster. \
             Associate the capacity provider with the cluster or specify a valid capacity provider and try again.",
        ));
    }
    let fargate = strategy.iter().filter(|item| is_fargate(&item.capacity_provider));
    if !matches!(fargate.count(), count if count == 0 || count == strategy.len()) {
        return Err(invalid(
            "A capacity provider strategy cannot contain a mix of capacity providers using Auto Scaling groups and Fargate providers. \
             Specify one or the other and try again.",
        ));
    }
    let is_twice = |(index, item): (usize, &CapacityItem)| {
        let earlier = &strategy[..index];
        earlier
            .iter()
            .any(|other| other.capacity_provider == item.capacity_provider)
    };
    if strategy.iter().enumerate().any(is_twice) {
        return Err(invalid(
            "A capacity provider strategy cannot name a capacity provider twice.",
        ));
    }
    if strategy.iter().filter(|item| item.base > 0).count() > 1 {
        return Err(invalid(
            "Only one capacity provider in a strategy can have a base that is not 0.",
        ));
    }
    // The weight of a single provider shares out nothing, so that 0, which is the default, will do.
    if strategy.len() > 1 && strategy.iter().all(|item| item.weight == 0) {
        return Err(invalid(
            "At least one capacity provider of a strategy needs a weight greater than 0.",
        ));
    }
    Ok(())
}

/// The provider of the next task where so many run already: the base first, then whoever is furthest behind its weight.
/// Without a strategy there is none.
pub(super) fn next_provider<'a>(strategy: &'a [CapacityItem], running: &Shares<'_>) -> Option<&'a str> {
    let count = |item: &CapacityItem| running.get(item.capacity_provider.as_str()).copied().unwrap_or(0);
    let share = |item: &CapacityItem| f64::from(count(item) - item.base + 1) / f64::from(item.weight);
    let weighty = || strategy.iter().filter(|item| item.weight > 0);
    strategy
        .iter()
        .find(|item| count(item) < item.base)
        .or_else(|| weighty().min_by(|a, b| share(a).total_cmp(&share(b))))
        .or(strategy.first())
        .map(|item| item.capacity_provider.as_str())
}

/// How a strategy shares out so many tasks.
pub(super) fn shares(strategy: &[CapacityItem], tasks: usize) -> Shares<'_> {
    let mut shares = Shares::new();
    for _ in 0..tasks {
        if let Some(provider) = next_provider(strategy, &shares) {
            *shares.entry(provider).or_default() += 1;
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(provider: &str, base: i32, weight: i32) -> CapacityItem {
        CapacityItem {
            capacity_provider: provider.to_owned(),
            base,
            weight,
        }
    }

    fn refusal(strategy: &[CapacityItem]) -> String {
        let of_cluster = ["FARGATE", "FARGATE_SPOT", "blue", "green"].map(str::to_owned);
        let refused = check_strategy(strategy, &of_cluster).expect_err("it is wrong");
        assert_eq!(refused.code, "InvalidParameterException");
        refused.message
    }

    #[test]
    fn the_base_is_filled_first_and_the_weights_share_out_the_rest() {
        let strategy = [item("FARGATE", 1, 0), item("FARGATE_SPOT", 0, 3)];
        assert_eq!(shares(&strategy, 4), [("FARGATE", 1), ("FARGATE_SPOT", 3)].into());
        let strategy = [item("FARGATE", 2, 1), item("FARGATE_SPOT", 0, 3)];
        assert_eq!(shares(&strategy, 10), [("FARGATE", 4), ("FARGATE_SPOT", 6)].into());
        assert_eq!(shares(&[item("blue", 0, 0)], 2), [("blue", 2)].into());
        assert_eq!(shares(&[], 2), Shares::new());
    }

    #[test]
    fn what_aws_refuses_of_a_strategy_is_refused() {
        assert!(refusal(&[item("red", 0, 1)]).contains("not associated with the cluster"));
        assert!(refusal(&[item("FARGATE", 0, 1), item("blue", 0, 1)]).contains("cannot contain a mix"));
        assert!(refusal(&[item("blue", 1, 1), item("green", 1, 1)]).contains("Only one"));
        assert!(refusal(&[item("blue", 1, 0), item("green", 0, 0)]).contains("weight greater than 0"));
        assert!(refusal(&[item("blue", 0, 1), item("blue", 0, 1)]).contains("twice"));
        assert!(refusal(&vec![item("blue", 0, 1); 21]).contains("maximum of 20"));
    }

    #[test]
    fn a_strategy_runs_on_fargate_or_on_instances() {
        assert_eq!(launch_type(&[item("FARGATE_SPOT", 0, 1)]), LaunchType::Fargate);
        assert_eq!(launch_type(&[item("blue", 0, 1)]), LaunchType::Ec2);
    }
}
