//! From the connector in force to what AWS should hold.

use std::collections::BTreeMap;

use penstock_crds::{Connector, Phase, State, TargetStateSpec};

use crate::plan::home::Home;
use crate::plan::owner::Owner;
use crate::plan::resources::{
    Capacity, Observed, Resources, Revision, Service, TAG_CONNECTOR, TAG_GENERATION, TAG_OPERATOR, TAG_SPEC_HASH,
    TAG_UID,
};

mod alarms;
mod scaling;
mod task;

pub use scaling::{is_foreign_queue, uses_container_insights};
pub(super) use task::launch_type;

/// What the surroundings add to a connector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surroundings {
    /// The operator, for names and the ownership tag.
    pub owner: Owner,
    /// The account and region of the ECS cluster.
    pub home: Home,
    /// Whether the cluster has Container Insights.
    pub container_insights: bool,
}

impl Surroundings {
    /// Returns what was seen around a connector by that operator.
    pub fn of(owner: &Owner, observed: &Observed) -> Self {
        Self {
            owner: owner.clone(),
            home: Home {
                account: observed.account.clone(),
                region: observed.region.clone(),
            },
            container_insights: observed.container_insights,
        }
    }
}

/// Returns what AWS should hold for the connector in this phase.
pub fn desired(
    connector: &Connector,
    phase: Phase,
    state: &State,
    target: Option<&TargetStateSpec>,
    around: &Surroundings,
) -> Resources {
    if phase == Phase::Stopped {
        return Resources::default();
    }
    Resources {
        service: Some(service(connector, state, target, around)),
        scaling: scaling::scaling(connector, phase, around),
        alarms: alarms::alarms(connector, phase, around),
    }
}

/// Returns the tags that mark a resource as ours, with the writer's labels.
pub fn tags(connector: &Connector, state: &State, around: &Surroundings) -> BTreeMap<String, String> {
    let accepted = state.accepted.as_ref();
    let generation = accepted.map_or(state.generation, |accepted| accepted.generation);
    let hash = accepted.map(|accepted| accepted.hash.clone()).unwrap_or_default();
    let own = [
        (TAG_OPERATOR, around.owner.tag()),
        (TAG_CONNECTOR, connector.name.to_string()),
        (TAG_UID, state.uid.clone()),
        (TAG_GENERATION, generation.to_string()),
        (TAG_SPEC_HASH, hash),
    ];
    let own = own.into_iter().map(|(key, value)| (key.to_owned(), value));
    connector.labels.clone().into_iter().chain(own).collect()
}

fn service(connector: &Connector, state: &State, target: Option<&TargetStateSpec>, around: &Surroundings) -> Service {
    let wanted = &connector.service;
    // A request that was withdrawn, or lost behind a bad one, has been carried out all the same.
    let asked = target.and_then(|target| target.restarted_at);
    let restarted_at = asked.max(state.handled.restarted_at);
    Service {
        revision: Revision {
            task_definition: task::task_definition(connector, restarted_at, &around.owner.name),
            subnets: wanted.subnets.iter().cloned().collect(),
            security_groups: wanted.security_groups.iter().cloned().collect(),
            public_ip: wanted.public_ip,
            capacity: capacity(&wanted.capacity),
            placement_constraints: task::placement_constraints(&wanted.placement),
            placement_strategies: task::placement_strategies(&wanted.placement),
        },
        minimum_healthy_percent: scaling::int(wanted.minimum_healthy_percent),
        maximum_percent: scaling::int(wanted.maximum_percent),
        breaker: true,
        propagate_tags: true,
        rebalancing: false,
        execute_command: false,
        tags: tags(connector, state, around),
    }
}

fn capacity(capacity: &penstock_crds::Capacity) -> Capacity {
    match capacity {
        penstock_crds::Capacity::LaunchType(kind) => Capacity::LaunchType(task::launch_type(*kind).to_owned()),
        penstock_crds::Capacity::Providers(providers) => {
            let mut providers: Vec<_> = providers
                .iter()
                .map(|one| (one.name.clone(), scaling::int(one.base), scaling::int(one.weight)))
                .collect();
            providers.sort();
            Capacity::Providers(providers)
        }
    }
}
