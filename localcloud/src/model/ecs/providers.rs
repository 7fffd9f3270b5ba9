//! The operations on capacity providers. `FARGATE` and `FARGATE_SPOT` are always there, and used only where a cluster has been
//! given them; others stand for the instances of an Auto Scaling group.
//!
//! There is no Auto Scaling: groups are taken at their word, an instance names its own ([`super::instance::GROUP`]), and managed
//! scaling is refused. So a task that finds no room is not kept in PROVISIONING, as it is where ECS could make room.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Ecs;
use super::capacity::{CapacityItem, MOST_PROVIDERS, check_strategy, is_fargate};
use super::instance::{GROUP, Instance};
use super::names::{arn, is_valid_name, path};
use super::paging::{Page, page};
use super::service::Status;
use super::wire::{Include, Tag, check_tags, client, failure, invalid, put, read, to_json};
use crate::model::{Answer, Call, Fault, Scope};

/// A capacity provider that somebody created.
#[derive(Debug, Clone)]
pub(super) struct Provider {
    group: AutoScalingGroupProvider,
    tags: Vec<Tag>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AutoScalingGroupProvider {
    auto_scaling_group_arn: String,
    managed_scaling: ManagedScaling,
    #[serde(default = "disabled")]
    managed_termination_protection: Disabled,
    #[serde(default)]
    managed_draining: Draining,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ManagedScaling {
    status: Disabled,
}

/// What would need Auto Scaling cannot be turned on.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Disabled {
    Disabled,
}

fn disabled() -> Disabled {
    Disabled::Disabled
}

/// No group ever takes an instance away, so that both are kept.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Draining {
    #[default]
    Enabled,
    Disabled,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CreateCapacityProvider {
    name: String,
    auto_scaling_group_provider: AutoScalingGroupProvider,
    #[serde(default)]
    tags: Vec<Tag>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DeleteCapacityProvider {
    capacity_provider: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DescribeCapacityProviders {
    #[serde(default)]
    capacity_providers: Vec<String>,
    #[serde(default)]
    include: Vec<Include>,
    next_token: Option<String>,
    max_results: Option<i32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PutClusterCapacityProviders {
    cluster: String,
    capacity_providers: Vec<String>,
    default_capacity_provider_strategy: Vec<CapacityItem>,
}

impl Ecs {
    /// The provider of the instance's Auto Scaling group, if its cluster has one.
    pub(super) fn provider_of(&self, instance: &Instance) -> Option<&str> {
        let group = instance.attribute(GROUP)?;
        let of_cluster = &self.clusters.get(&instance.cluster)?.capacity_providers;
        let is_it = |name: &&String| self.providers.get(*name).is_some_and(|one| one.group_name() == group);
        of_cluster.iter().find(is_it).map(String::as_str)
    }

    /// Refuses providers that a cluster cannot have.
    pub(super) fn check_providers(&self, names: &[String]) -> Result<(), Fault> {
        if names.len() > MOST_PROVIDERS {
            return Err(invalid(
                "The maximum number of capacity providers per cluster has been exceeded.",
            ));
        }
        match names
            .iter()
            .find(|name| !is_fargate(name) && !self.providers.contains_key(*name))
        {
            Some(_) => Err(not_found()),
            None => Ok(()),
        }
    }

    pub(super) fn put_cluster_capacity_providers(&mut self, call: &Call<'_>) -> Answer {
        let input: PutClusterCapacityProviders = read(call)?;
        let cluster = self.cluster(call.scope, Some(&input.cluster))?;
        self.check_providers(&input.capacity_providers)?;
        check_strategy(&input.default_capacity_provider_strategy, &input.capacity_providers)?;
        let gone = |name: &&String| !input.capacity_providers.contains(name);
        if cluster
            .capacity_providers
            .iter()
            .filter(gone)
            .any(|name| self.is_used(&cluster.name, name))
        {
            return Err(in_use());
        }
        let name = cluster.name.clone();
        if let Some(cluster) = self.clusters.get_mut(&name) {
            cluster.capacity_providers = input.capacity_providers;
            cluster.default_strategy = input.default_capacity_provider_strategy;
        }
        Ok(json!({"cluster": self.cluster_json(self.cluster(call.scope, Some(&name))?, true, true)}))
    }

    /// Whether a service may start tasks on the provider, or a task runs on it.
    fn is_used(&self, cluster: &str, provider: &str) -> bool {
        let names_it = |strategy: &[CapacityItem]| strategy.iter().any(|item| item.capacity_provider == provider);
        let by_service = self.services.values().any(|service| {
            let mut deployments = service.deployments.iter();
            service.cluster == cluster
                && service.status != Status::Inactive
                && deployments.any(|deployment| names_it(&deployment.workload.strategy))
        });
        let by_task = self.tasks.values().any(|task| {
            task.cluster == cluster && !task.is_stopped() && task.capacity_provider.as_deref() == Some(provider)
        });
        by_service || by_task
    }

    pub(super) fn create_capacity_provider(&mut self, call: &Call<'_>) -> Answer {
        let input: CreateCapacityProvider = read(call)?;
        let name = input.name.to_lowercase();
        let is_reserved = ["aws", "ecs", "fargate"].iter().any(|prefix| name.starts_with(prefix));
        if is_reserved || !is_valid_name(&input.name) {
            return Err(client(
                "The specified capacity provider name is invalid. Up to 255 characters are allowed, including letters (upper and lowercase), \
                 numbers, underscores, and hyphens. The name cannot be prefixed with \"aws\", \"ecs\", or \"fargate\".",
            ));
        }
        check_tags(&input.tags)?;
        if self.providers.contains_key(&input.name) {
            return Err(client("A capacity provider with the specified name already exists."));
        }
        let provider = Provider {
            group: input.auto_scaling_group_provider,
            tags: input.tags,
        };
        let json = provider_json(call.scope, &input.name, Some(&provider), true);
        self.providers.insert(input.name, provider);
        Ok(json!({"capacityProvider": json}))
    }

    pub(super) fn delete_capacity_provider(&mut self, call: &Call<'_>) -> Answer {
        let input: DeleteCapacityProvider = read(call)?;
        let name = path(call.scope, "capacity-provider", &input.capacity_provider)?.to_owned();
        if is_fargate(&name) {
            return Err(client(
                "The specified capacity provider is reserved and cannot be deleted.",
            ));
        }
        let mut clusters = self.clusters.values();
        if clusters.any(|cluster| cluster.status == Status::Active && cluster.capacity_providers.contains(&name)) {
            return Err(client(
                "The specified capacity provider is in use and cannot be removed.",
            ));
        }
        let provider = self.providers.remove(&name).ok_or_else(not_found)?;
        let mut json = provider_json(call.scope, &name, Some(&provider), true);
        put(&mut json, "status", Some(json!("INACTIVE")));
        put(&mut json, "updateStatus", Some(json!("DELETE_COMPLETE")));
        Ok(json!({"capacityProvider": json}))
    }

    pub(super) fn describe_capacity_providers(&self, call: &Call<'_>) -> Answer {
        let input: DescribeCapacityProviders = read(call)?;
        let tags = !input.include.is_empty();
        if input.max_results.is_some_and(|size| size > 10) {
            return Err(invalid("maxResults must be between 1 and 10."));
        }
        if input.capacity_providers.is_empty() {
            let reserved = ["FARGATE", "FARGATE_SPOT"].map(str::to_owned);
            let mut names: Vec<_> = self.providers.keys().cloned().chain(reserved).collect();
            names.sort();
            let entry = |name: String| {
                let json = provider_json(call.scope, &name, self.providers.get(&name), tags);
                (name, json)
            };
            let entries = names.into_iter().map(entry).collect();
            let ask = Page {
                token: input.next_token.as_deref(),
                size: input.max_results,
                default_size: 10,
            };
            let mut answer = page("capacityProviders", ask, false, entries)?;
            put(&mut answer, "failures", Some(json!([])));
            return Ok(answer);
        }
        let (mut found, mut failures) = (Vec::new(), Vec::new());
        for reference in &input.capacity_providers {
            let name = path(call.scope, "capacity-provider", reference)?;
            match self.providers.get(name) {
                None if !is_fargate(name) => {
                    failures.push(failure(&arn(call.scope, "capacity-provider", name), "MISSING"));
                }
                provider => found.push(provider_json(call.scope, name, provider, tags)),
            }
        }
        Ok(json!({"capacityProviders": found, "failures": failures}))
    }
}

impl Provider {
    /// The name at the end of the group's ARN; a name is taken in place of an ARN too.
    fn group_name(&self) -> &str {
        let arn = &self.group.auto_scaling_group_arn;
        arn.rsplit('/').next().unwrap_or(arn)
    }
}

fn provider_json(scope: &Scope, name: &str, provider: Option<&Provider>, tags: bool) -> Value {
    let mut json = json!({
        "capacityProviderArn": arn(scope, "capacity-provider", name),
        "name": name,
        "status": "ACTIVE",
        "type": if provider.is_some() { "EC2_AUTOSCALING" } else { name },
    });
    put(
        &mut json,
        "autoScalingGroupProvider",
        provider.map(|provider| to_json(&provider.group)),
    );
    let own = provider.map(|provider| to_json(&provider.tags));
    put(
        &mut json,
        "tags",
        Some(own.filter(|_| tags).unwrap_or_else(|| json!([]))),
    );
    json
}

fn not_found() -> Fault {
    invalid("The specified capacity provider was not found. Specify a valid capacity provider and try again.")
}

fn in_use() -> Fault {
    Fault::client(
        "ResourceInUseException",
        "The specified capacity provider is in use and cannot be removed.",
    )
}
