//! Where a service's tasks may go among container instances, and where they go first: what AWS takes, and how it shows it.
//!
//! Sources: ECS API, `PlacementConstraint` and `PlacementStrategy`, `CreateService` and `UpdateService`.

use serde::{Deserialize, Serialize};

use super::query::Query;
use super::wire::invalid;
use crate::model::Fault;

/// The placement of a service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Placement {
    pub(super) constraints: Vec<Constraint>,
    pub(super) strategies: Vec<Strategy>,
}

/// What an instance must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Constraint {
    #[serde(rename = "type")]
    pub(super) kind: ConstraintKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) expression: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum ConstraintKind {
    DistinctInstance,
    MemberOf,
}

/// What is preferred among the instances that will do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Strategy {
    #[serde(rename = "type")]
    pub(super) kind: StrategyKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) field: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum StrategyKind {
    Random,
    Spread,
    Binpack,
}

/// The attribute that names an instance's Availability Zone.
pub(super) const ZONE: &str = "ecs.availability-zone";

const MOST_CONSTRAINTS: usize = 10;
const MOST_STRATEGIES: usize = 5;
const LONGEST_EXPRESSION: usize = 2000;

impl Placement {
    /// Holds what a caller wrote against AWS's rules, and returns it as AWS shows it.
    pub(super) fn checked(self) -> Result<Self, Fault> {
        if self.constraints.len() > MOST_CONSTRAINTS {
            return Err(invalid(format!(
                "A service can have at most {MOST_CONSTRAINTS} placement constraints."
            )));
        }
        if self.strategies.len() > MOST_STRATEGIES {
            return Err(invalid(format!(
                "A service can have at most {MOST_STRATEGIES} placement strategies."
            )));
        }
        self.constraints.iter().try_for_each(Constraint::check)?;
        Ok(Self {
            constraints: self.constraints,
            strategies: self
                .strategies
                .into_iter()
                .map(Strategy::checked)
                .collect::<Result<_, _>>()?,
        })
    }

    /// Whether Availability Zone rebalancing can work beside it: nothing may come before the spread over zones, and no
    /// constraint may name zones. Source: ECS Developer Guide, "Balancing an Amazon ECS service across Availability Zones".
    pub(super) fn can_be_rebalanced(&self) -> bool {
        let names_zones = |constraint: &Constraint| {
            let expression = constraint.expression.as_deref().unwrap_or_default();
            expression.contains(&format!("attribute:{ZONE}"))
        };
        let spreads_zones = |strategy: &Strategy| {
            strategy
                .field
                .as_deref()
                .and_then(|field| field.strip_prefix("attribute:"))
                == Some(ZONE)
        };
        self.strategies.first().is_none_or(spreads_zones) && !self.constraints.iter().any(names_zones)
    }
}

impl Constraint {
    fn check(&self) -> Result<(), Fault> {
        match (self.kind, self.expression.as_deref()) {
            (ConstraintKind::DistinctInstance, None) => Ok(()),
            (ConstraintKind::DistinctInstance, Some(_)) => Err(invalid(
                "An expression cannot be specified for the placement constraint distinctInstance.",
            )),
            (ConstraintKind::MemberOf, None | Some("")) => {
                Err(invalid("The placement constraint memberOf needs an expression."))
            }
            (ConstraintKind::MemberOf, Some(text)) if text.len() > LONGEST_EXPRESSION => Err(invalid(format!(
                "The expression of a placement constraint can have at most {LONGEST_EXPRESSION} characters."
            ))),
            (ConstraintKind::MemberOf, Some(text)) => Query::parse(text).map(drop),
        }
    }
}

impl Strategy {
    /// ECS takes `cpu` and `memory` and shows `CPU` and `MEMORY`, takes `host` and shows `instanceId`. Its documentation does
    /// not say so; Terraform's AWS provider (`aws_ecs_service`, `ordered_placement_strategy`) undoes both.
    fn checked(self) -> Result<Self, Fault> {
        let field = match (self.kind, self.field.as_deref()) {
            (StrategyKind::Random, None) => None,
            (StrategyKind::Random, Some(field)) => {
                return Err(invalid(format!(
                    "The placement strategy random does not use a field, so localcloud takes none, nor '{field}'."
                )));
            }
            (StrategyKind::Spread, Some("host" | "instanceId")) => Some("instanceId".to_owned()),
            (StrategyKind::Spread, Some(field))
                if field.strip_prefix("attribute:").is_some_and(|name| !name.is_empty()) =>
            {
                Some(field.to_owned())
            }
            (StrategyKind::Spread, field) => {
                return Err(invalid(format!(
                    "The placement strategy spread has the fields instanceId, host and attribute:NAME, not '{}'.",
                    field.unwrap_or_default()
                )));
            }
            (StrategyKind::Binpack, Some(field @ ("cpu" | "memory" | "CPU" | "MEMORY"))) => Some(field.to_uppercase()),
            (StrategyKind::Binpack, field) => {
                return Err(invalid(format!(
                    "The placement strategy binpack has the fields cpu and memory, not '{}'.",
                    field.unwrap_or_default()
                )));
            }
        };
        Ok(Self { field, ..self })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn placement(constraints: Value, strategies: Value) -> Result<Placement, Fault> {
        let placement = Placement {
            constraints: serde_json::from_value(constraints).unwrap(),
            strategies: serde_json::from_value(strategies).unwrap(),
        };
        placement.checked()
    }

    fn refusal(constraints: Value, strategies: Value) -> String {
        placement(constraints, strategies).unwrap_err().message
    }

    #[test]
    fn what_aws_refuses_of_placement_is_refused() {
        let distinct = json!({"type": "distinctInstance"});
        let random = json!({"type": "random"});
        assert!(refusal(vec![distinct; 11].into(), json!([])).contains("at most 10"));
        assert!(refusal(json!([]), vec![random; 6].into()).contains("at most 5"));
        let constraint = |one: Value| refusal(json!([one]), json!([]));
        assert!(constraint(json!({"type": "memberOf"})).contains("needs an expression"));
        assert!(constraint(json!({"type": "distinctInstance", "expression": "a"})).contains("cannot be specified"));
        let long = format!("attribute:a == {}", "x".repeat(2000));
        assert!(constraint(json!({"type": "memberOf", "expression": long})).contains("2000"));
        assert!(constraint(json!({"type": "memberOf", "expression": "attribute:a"})).contains("attribute:a"));
        for (kind, field) in [
            ("spread", None),
            ("spread", Some("memory")),
            ("spread", Some("attribute:")),
            ("binpack", None),
            ("binpack", Some("instanceId")),
            ("random", Some("cpu")),
        ] {
            assert!(refusal(json!([]), json!([{"type": kind, "field": field}])).contains(kind));
        }
    }

    #[test]
    fn fields_are_shown_as_ecs_shows_them() {
        let written = json!([
            {"type": "spread", "field": "host"}, {"type": "binpack", "field": "memory"}, {"type": "random"},
            {"type": "spread", "field": "attribute:ecs.availability-zone"},
        ]);
        let shown = serde_json::to_value(placement(json!([]), written).unwrap().strategies).unwrap();
        let expected = json!([
            {"type": "spread", "field": "instanceId"}, {"type": "binpack", "field": "MEMORY"}, {"type": "random"},
            {"type": "spread", "field": "attribute:ecs.availability-zone"},
        ]);
        assert_eq!(shown, expected);
        // What is shown can be written back.
        assert_eq!(
            serde_json::to_value(placement(json!([]), shown).unwrap().strategies).unwrap(),
            expected
        );
    }

    #[test]
    fn rebalancing_wants_zones_spread_first_and_not_constrained() {
        let spread = json!({"type": "spread", "field": "attribute:ecs.availability-zone"});
        let binpack = json!({"type": "binpack", "field": "cpu"});
        let zone = json!({"type": "memberOf", "expression": "attribute:ecs.availability-zone == eu-west-1a"});
        let can = |constraints, strategies| placement(constraints, strategies).unwrap().can_be_rebalanced();
        assert!(can(json!([]), json!([])));
        assert!(can(json!([{"type": "distinctInstance"}]), json!([spread, binpack])));
        assert!(!can(json!([]), json!([binpack, spread])));
        assert!(!can(json!([zone]), json!([])));
    }
}
