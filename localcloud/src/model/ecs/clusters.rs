//! Clusters: their settings and capacity providers, and the operations on them.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::capacity::{CapacityItem, check_strategy};
use super::names::{arn, cluster_name, is_valid_name};
use super::wire::{Tag, check_tags, failure, invalid, put, read, to_json};
use super::{Ecs, Status};
use crate::model::{Answer, Call, Fault, Millis, Scope};

/// A cluster, ACTIVE or still readable after its end.
#[derive(Debug, Clone)]
pub(super) struct Cluster {
    pub(super) scope: Scope,
    pub(super) name: String,
    pub(super) status: Status,
    /// When it was deleted, in real time.
    pub(super) ended: Option<Millis>,
    pub(super) settings: Vec<Setting>,
    pub(super) capacity_providers: Vec<String>,
    pub(super) default_strategy: Vec<CapacityItem>,
    pub(super) tags: Vec<Tag>,
}

/// One setting of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Setting {
    pub(super) name: String,
    pub(super) value: String,
}

impl Cluster {
    pub(super) fn arn(&self) -> String {
        arn(&self.scope, "cluster", &self.name)
    }

    /// Whether Container Insights watches this cluster.
    pub(super) fn has_container_insights(&self) -> bool {
        self.settings
            .iter()
            .any(|setting| setting.name == "containerInsights" && setting.value != "disabled")
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CreateCluster {
    cluster_name: Option<String>,
    #[serde(default)]
    tags: Vec<Tag>,
    #[serde(default)]
    settings: Vec<Setting>,
    #[serde(default)]
    capacity_providers: Vec<String>,
    #[serde(default)]
    default_capacity_provider_strategy: Vec<CapacityItem>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DescribeClusters {
    #[serde(default)]
    clusters: Vec<String>,
    #[serde(default)]
    include: Vec<Include>,
}

#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Include {
    Settings,
    Tags,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DeleteCluster {
    cluster: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct UpdateClusterSettings {
    cluster: String,
    settings: Vec<Setting>,
}

impl Ecs {
    /// The ACTIVE cluster that `reference` (or its absence) means.
    pub(super) fn cluster(&self, scope: &Scope, reference: Option<&str>) -> Result<&Cluster, Fault> {
        self.clusters
            .get(cluster_name(scope, reference)?)
            .filter(|cluster| cluster.status == Status::Active)
            .ok_or_else(|| Fault::client("ClusterNotFoundException", "Cluster not found."))
    }

    pub(super) fn create_cluster(&mut self, call: &Call<'_>) -> Answer {
        let input: CreateCluster = read(call)?;
        let name = cluster_name(call.scope, input.cluster_name.as_deref())?.to_owned();
        if !is_valid_name(&name) {
            return Err(invalid(
                "The cluster name has letters, digits, - and _ only, at most 255.",
            ));
        }
        check_tags(&input.tags)?;
        check_settings(&input.settings)?;
        self.check_providers(&input.capacity_providers)?;
        check_strategy(&input.default_capacity_provider_strategy, &input.capacity_providers)?;
        // Creating an existing cluster again answers with the one that is there, unchanged.
        if self.cluster(call.scope, Some(&name)).is_err() {
            let cluster = Cluster {
                scope: call.scope.clone(),
                name: name.clone(),
                status: Status::Active,
                ended: None,
                settings: merged(&[default_setting()], &input.settings),
                capacity_providers: input.capacity_providers,
                default_strategy: input.default_capacity_provider_strategy,
                tags: input.tags,
            };
            self.clusters.insert(name.clone(), cluster);
        }
        Ok(json!({"cluster": self.cluster_json(self.cluster(call.scope, Some(&name))?, true, true)}))
    }

    pub(super) fn describe_clusters(&self, call: &Call<'_>) -> Answer {
        let input: DescribeClusters = read(call)?;
        if input.clusters.len() > 100 {
            return Err(invalid("Clusters cannot have more than 100 elements."));
        }
        let wanted = if input.clusters.is_empty() {
            vec!["default".to_owned()]
        } else {
            input.clusters
        };
        let (mut clusters, mut failures) = (Vec::new(), Vec::new());
        for reference in &wanted {
            let name = cluster_name(call.scope, Some(reference))?;
            match self.clusters.get(name) {
                Some(cluster) => clusters.push(self.cluster_json(
                    cluster,
                    input.include.contains(&Include::Settings),
                    input.include.contains(&Include::Tags),
                )),
                None => failures.push(failure(&arn(call.scope, "cluster", name), "MISSING")),
            }
        }
        Ok(json!({"clusters": clusters, "failures": failures}))
    }

    pub(super) fn update_cluster_settings(&mut self, call: &Call<'_>) -> Answer {
        let input: UpdateClusterSettings = read(call)?;
        check_settings(&input.settings)?;
        let name = self.cluster(call.scope, Some(&input.cluster))?.name.clone();
        if let Some(cluster) = self.clusters.get_mut(&name) {
            cluster.settings = merged(&cluster.settings, &input.settings);
        }
        Ok(json!({"cluster": self.cluster_json(self.cluster(call.scope, Some(&name))?, true, true)}))
    }

    pub(super) fn delete_cluster(&mut self, call: &Call<'_>) -> Answer {
        let input: DeleteCluster = read(call)?;
        let name = self.cluster(call.scope, Some(&input.cluster))?.name.clone();
        if self
            .services
            .values()
            .any(|service| service.cluster == name && service.status != Status::Inactive)
        {
            let message = "The Cluster cannot be deleted while Services are active.";
            return Err(Fault::client("ClusterContainsServicesException", message));
        }
        if self
            .tasks
            .values()
            .any(|task| task.cluster == name && !task.is_stopped())
        {
            let message = "The Cluster cannot be deleted while Tasks are active.";
            return Err(Fault::client("ClusterContainsTasksException", message));
        }
        if !self.loads(&name).is_empty() {
            let message = "The Cluster cannot be deleted while Container Instances are active or draining.";
            return Err(Fault::client("ClusterContainsContainerInstancesException", message));
        }
        if let Some(cluster) = self.clusters.get_mut(&name) {
            (cluster.status, cluster.ended) = (Status::Inactive, Some(call.now.real));
        }
        Ok(json!({"cluster": self.cluster_json(&self.clusters[&name], true, true)}))
    }

    pub(super) fn cluster_json(&self, cluster: &Cluster, settings: bool, tags: bool) -> Value {
        let tasks = || self.tasks.values().filter(|task| task.cluster == cluster.name);
        let services = self.services.values().filter(|service| service.cluster == cluster.name);
        let mut json = json!({
            "clusterArn": cluster.arn(),
            "clusterName": cluster.name,
            "status": cluster.status.as_str(),
            "registeredContainerInstancesCount": self.loads(&cluster.name).len(),
            "runningTasksCount": tasks().filter(|task| task.is_running()).count(),
            "pendingTasksCount": tasks().filter(|task| task.is_pending()).count(),
            "activeServicesCount": services.filter(|service| service.status == Status::Active).count(),
            "statistics": [],
            "capacityProviders": cluster.capacity_providers,
            "defaultCapacityProviderStrategy": to_json(&cluster.default_strategy),
        });
        put(
            &mut json,
            "settings",
            Some(if settings {
                to_json(&cluster.settings)
            } else {
                json!([])
            }),
        );
        put(
            &mut json,
            "tags",
            Some(if tags { to_json(&cluster.tags) } else { json!([]) }),
        );
        json
    }
}

fn check_settings(settings: &[Setting]) -> Result<(), Fault> {
    for Setting { name, value } in settings {
        if name != "containerInsights" || !matches!(value.as_str(), "enabled" | "disabled" | "enhanced") {
            return Err(invalid(format!(
                "The setting {name}={value} is unknown: containerInsights takes enabled, enhanced or disabled."
            )));
        }
    }
    Ok(())
}

fn default_setting() -> Setting {
    Setting {
        name: "containerInsights".to_owned(),
        value: "disabled".to_owned(),
    }
}

fn merged(old: &[Setting], new: &[Setting]) -> Vec<Setting> {
    let kept = old
        .iter()
        .filter(|setting| new.iter().all(|other| other.name != setting.name));
    kept.chain(new).cloned().collect()
}
