//! ECS services and clusters: reading them, and what AWS returns made ours. [`service`] has the calls that change one.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ecs::types::{
    AssignPublicIp, AvailabilityZoneRebalancing, AwsVpcConfiguration, CapacityProviderStrategyItem, ClusterField,
    ClusterSettingName, DeploymentConfiguration, LaunchType, NetworkConfiguration, PlacementConstraint,
    PlacementStrategy, PropagateTags, Service as SdkService, ServiceField, Tag,
};
use futures::FutureExt;
use penstock_crds::Name;

use crate::cloud::Error;
use crate::cloud::aws::{Aws, cluster_name};
use crate::cloud::budget::Category;
use crate::cloud::call::all;
use crate::plan::resources::{Capacity, Counts, Revision, Service, ServiceLife, Subject, TaskDefinition};

pub(super) mod definition;
pub(super) mod deployment;
pub(super) mod failure;
pub(super) mod room;
pub(super) mod service;
pub(super) mod tasks;

/// Services per `DescribeServices`.
const DESCRIBED: usize = 10;

/// Clusters per `DescribeClusters`.
const CLUSTERS: usize = 100;

/// Pages of `ListServices`, of 100 services each: a cluster holds 5,000.
const PAGES: usize = 100;

const DESCRIBE: &str = "DescribeServices";

const CLUSTER_NOT_FOUND: &str = "ClusterNotFoundException";

/// What a batched read found for each connector.
pub(super) type Batch<T> = BTreeMap<Name, Result<T, Error>>;

/// Describes the service of every subject. A cluster that is not there has no services.
pub(super) async fn services(aws: &Aws, subjects: &[Subject]) -> Batch<Option<SdkService>> {
    let mut by_cluster: BTreeMap<&str, Vec<&Subject>> = BTreeMap::new();
    for subject in subjects {
        by_cluster.entry(&subject.cluster).or_default().push(subject);
    }
    let chunks: Vec<_> = by_cluster
        .iter()
        .flat_map(|(cluster, subjects)| subjects.chunks(DESCRIBED).map(|chunk| (*cluster, chunk)))
        .collect();
    let reads = chunks.iter().map(|(cluster, chunk)| {
        let names = chunk.iter().map(|subject| subject.service_name()).collect();
        describe(aws, cluster, names).boxed()
    });
    let found = all(reads.collect()).await;
    let mut batch = Batch::new();
    for ((_, chunk), found) in chunks.iter().zip(found) {
        for subject in *chunk {
            let own = found.as_ref().map_err(Clone::clone);
            batch.insert(subject.name.clone(), own.and_then(|found| told_of(found, subject)));
        }
    }
    batch
}

/// Counts the tasks that run of every subject's service, if that is ours.
pub(super) async fn running(aws: &Aws, subjects: &[Subject]) -> Batch<i32> {
    let mut services = services(aws, subjects).await;
    let is_ours = |subject: &Subject, service: &SdkService| {
        life(service) == ServiceLife::Active && aws.holder(subject, &tags(service.tags())).is_none()
    };
    let count = |subject: &Subject| {
        let found = services.remove(&subject.name)?;
        let of_ours = |service: Option<SdkService>| service.filter(|service| is_ours(subject, service));
        let running = |service| of_ours(service).map_or(0, |service| service.running_count);
        Some((subject.name.clone(), found.map(running)))
    };
    subjects.iter().filter_map(count).collect()
}

/// Returns what the answer says of the subject's service: to say nothing of it is not to say that it is missing.
fn told_of(found: &BTreeMap<String, Option<SdkService>>, subject: &Subject) -> Result<Option<SdkService>, Error> {
    let service = subject.service_name();
    found.get(&service).cloned().ok_or_else(|| Error::Fail {
        operation: DESCRIBE.to_owned(),
        message: format!("the answer says nothing of `{service}`"),
    })
}

/// Returns each service that the answer tells of, and nothing for those that it says are missing.
async fn describe(aws: &Aws, cluster: &str, names: Vec<String>) -> Result<BTreeMap<String, Option<SdkService>>, Error> {
    let request = aws
        .read
        .ecs
        .describe_services()
        .cluster(cluster)
        .set_services(Some(names.clone()))
        .include(ServiceField::Tags);
    let answer = match aws.call(Category::ServiceRead, DESCRIBE, request.send()).await {
        Err(Error::Refuse { code, .. }) if code == CLUSTER_NOT_FOUND => {
            return Ok(names.into_iter().map(|name| (name, None)).collect());
        }
        other => other?,
    };
    let mut told = BTreeMap::new();
    for failure in answer.failures() {
        let arn = failure.arn().unwrap_or("a service");
        if failure.reason() != Some("MISSING") {
            return Err(Error::Fail {
                operation: DESCRIBE.to_owned(),
                message: format!("{arn}: {}", failure.reason().unwrap_or("no reason")),
            });
        }
        told.extend(arn.rsplit('/').next().map(|name| (name.to_owned(), None)));
    }
    let services = answer.services.unwrap_or_default().into_iter();
    told.extend(services.filter_map(|service| Some((service.service_name.clone()?, Some(service)))));
    Ok(told)
}

/// Returns, for each cluster, whether it has Container Insights.
pub(super) async fn container_insights(
    aws: &Aws,
    clusters: &BTreeSet<String>,
) -> BTreeMap<String, Result<bool, Error>> {
    let (mut found, mut unknown) = (BTreeMap::new(), Vec::new());
    for cluster in clusters {
        match aws.caches.clusters.get(cluster) {
            Some(known) => drop(found.insert(cluster.clone(), Ok(known))),
            None => unknown.push(cluster.clone()),
        }
    }
    for chunk in unknown.chunks(CLUSTERS) {
        match describe_clusters(aws, chunk).await {
            // AWS refuses to tell of any for one that the role may not see, so each is asked about alone.
            Err(Error::Deny { .. } | Error::Refuse { .. }) if chunk.len() > 1 => {
                let alone = chunk.iter().map(std::slice::from_ref);
                let reads = all(alone.map(|one| describe_clusters(aws, one).boxed()).collect()).await;
                for (cluster, read) in chunk.iter().zip(reads) {
                    let own = read.map(|read| read.contains(cluster));
                    found.insert(cluster.clone(), own);
                }
            }
            read => {
                let own = |cluster: &String| read.clone().map(|read| read.contains(cluster));
                found.extend(chunk.iter().map(|cluster| (cluster.clone(), own(cluster))));
            }
        }
    }
    found
}

/// Returns those of the clusters that have Container Insights.
async fn describe_clusters(aws: &Aws, clusters: &[String]) -> Result<BTreeSet<String>, Error> {
    let request = aws
        .read
        .ecs
        .describe_clusters()
        .set_clusters(Some(clusters.to_vec()))
        .include(ClusterField::Settings);
    let answer = aws
        .call(Category::ClusterRead, "DescribeClusters", request.send())
        .await?;
    let mut enabled = BTreeSet::new();
    for cluster in clusters {
        let named = |found: &&aws_sdk_ecs::types::Cluster| found.cluster_name() == Some(cluster_name(cluster));
        // One that is not there may come.
        let Some(found) = answer.clusters().iter().find(named) else {
            continue;
        };
        aws.caches.clusters.put(cluster.clone(), has_container_insights(found));
        if has_container_insights(found) {
            enabled.insert(cluster.clone());
        }
    }
    Ok(enabled)
}

/// `enhanced` has all that `enabled` has.
fn has_container_insights(cluster: &aws_sdk_ecs::types::Cluster) -> bool {
    cluster.settings().iter().any(|setting| {
        setting.name() == Some(&ClusterSettingName::ContainerInsights)
            && matches!(setting.value(), Some("enabled" | "enhanced"))
    })
}

/// Lists the connectors whose services in `cluster` carry our operator's tag.
pub(super) async fn owned(aws: &Aws, cluster: &str) -> Result<Vec<Subject>, Error> {
    let arns = list(aws, cluster).await?;
    let reads = arns
        .chunks(DESCRIBED)
        .map(|chunk| describe(aws, cluster, chunk.to_vec()).boxed());
    let mut subjects = Vec::new();
    for found in all(reads.collect()).await {
        let found = found?.into_values().flatten();
        subjects.extend(found.filter_map(|service| owner(aws, cluster, &service)));
    }
    Ok(subjects)
}

async fn list(aws: &Aws, cluster: &str) -> Result<Vec<String>, Error> {
    let (mut arns, mut token) = (Vec::new(), None);
    for _ in 0..PAGES {
        let request = aws
            .read
            .ecs
            .list_services()
            .cluster(cluster)
            .max_results(100)
            .set_next_token(token);
        let answer = match aws.call(Category::ServiceRead, "ListServices", request.send()).await {
            Err(Error::Refuse { code, .. }) if code == CLUSTER_NOT_FOUND => return Ok(Vec::new()),
            other => other?,
        };
        arns.extend(answer.service_arns.unwrap_or_default());
        token = answer.next_token;
        if token.is_none() {
            break;
        }
    }
    Ok(arns)
}

/// Returns whose service it is. One that only copied our tags under another name is nobody's.
fn owner(aws: &Aws, cluster: &str, service: &SdkService) -> Option<Subject> {
    use crate::plan::resources::{TAG_CONNECTOR, TAG_UID};
    let tags = tags(service.tags());
    let subject = Subject {
        operator: aws.owner.name.clone(),
        name: tags.get(TAG_CONNECTOR)?.parse().ok()?,
        uid: tags.get(TAG_UID).cloned().unwrap_or_default(),
        cluster: cluster.to_owned(),
    };
    let ours = aws.holder(&subject, &tags).is_none()
        && service.service_name() == Some(subject.service_name().as_str())
        && life(service) != ServiceLife::Absent;
    ours.then_some(subject)
}

pub(super) fn life(service: &SdkService) -> ServiceLife {
    match service.status() {
        Some("ACTIVE") => ServiceLife::Active,
        Some("DRAINING") => ServiceLife::Draining,
        _ => ServiceLife::Absent,
    }
}

pub(super) fn counts(service: &SdkService) -> Counts {
    Counts {
        desired: service.desired_count,
        running: service.running_count,
        pending: service.pending_count,
    }
}

/// Returns tags without those that AWS itself hangs on.
pub(super) fn tags(tags: &[Tag]) -> BTreeMap<String, String> {
    let pairs = tags
        .iter()
        .filter_map(|tag| Some((tag.key.clone()?, tag.value.clone().unwrap_or_default())));
    pairs.filter(|(key, _)| !key.starts_with("aws:")).collect()
}

/// Returns a described service in our words; `task_definition` is what it was last told to run.
pub(super) fn ours(service: &SdkService, task_definition: TaskDefinition) -> Service {
    let configuration = service.deployment_configuration();
    let breaker = configuration.and_then(DeploymentConfiguration::deployment_circuit_breaker);
    Service {
        revision: Revision {
            placement_constraints: constraints(service.placement_constraints()),
            placement_strategies: strategies(service.placement_strategy()),
            ..revision(
                task_definition,
                service.network_configuration(),
                service.launch_type(),
                service.capacity_provider_strategy(),
            )
        },
        minimum_healthy_percent: configuration.and_then(|one| one.minimum_healthy_percent).unwrap_or(100),
        maximum_percent: configuration.and_then(|one| one.maximum_percent).unwrap_or(200),
        breaker: breaker.is_some_and(|breaker| breaker.enable && breaker.rollback),
        propagate_tags: service.propagate_tags() == Some(&PropagateTags::Service) && service.enable_ecs_managed_tags,
        // A service that never had a value is one that is not rebalanced.
        rebalancing: service.availability_zone_rebalancing() == Some(&AvailabilityZoneRebalancing::Enabled),
        execute_command: service.enable_execute_command,
        tags: tags(service.tags()),
    }
}

/// Returns what a service or a service revision runs and where; placement, which only services show, is left empty.
pub(super) fn revision(
    task_definition: TaskDefinition,
    network: Option<&NetworkConfiguration>,
    launch_type: Option<&LaunchType>,
    providers: &[CapacityProviderStrategyItem],
) -> Revision {
    let network = network.and_then(NetworkConfiguration::awsvpc_configuration);
    let set = |list: &[String]| list.iter().cloned().collect::<BTreeSet<_>>();
    Revision {
        task_definition,
        subnets: network.map(|one| set(one.subnets())).unwrap_or_default(),
        security_groups: network.map(|one| set(one.security_groups())).unwrap_or_default(),
        public_ip: network.and_then(AwsVpcConfiguration::assign_public_ip) == Some(&AssignPublicIp::Enabled),
        capacity: capacity(launch_type, providers),
        placement_constraints: Vec::new(),
        placement_strategies: Vec::new(),
    }
}

fn capacity(launch_type: Option<&LaunchType>, providers: &[CapacityProviderStrategyItem]) -> Capacity {
    if providers.is_empty() {
        return Capacity::LaunchType(launch_type.map_or("EC2", LaunchType::as_str).to_owned());
    }
    let mut providers: Vec<_> = providers
        .iter()
        .map(|one| (one.capacity_provider.clone(), one.base, one.weight))
        .collect();
    providers.sort();
    Capacity::Providers(providers)
}

fn constraints(constraints: &[PlacementConstraint]) -> Vec<(String, Option<String>)> {
    let spelled = |one: &PlacementConstraint| Some((one.r#type.as_ref()?.as_str().to_owned(), one.expression.clone()));
    let mut constraints: Vec<_> = constraints.iter().filter_map(spelled).collect();
    constraints.sort();
    constraints
}

/// ECS takes the fields `cpu` and `memory` and shows them in capitals, as Terraform's AWS provider found too.
fn strategies(strategies: &[PlacementStrategy]) -> Vec<(String, Option<String>)> {
    let field = |field: &String| match field.as_str() {
        "CPU" | "MEMORY" => field.to_lowercase(),
        "host" => "instanceId".to_owned(),
        _ => field.clone(),
    };
    let spelled = |one: &PlacementStrategy| {
        let kind = one.r#type.as_ref()?.as_str().to_owned();
        Some((kind, one.field.as_ref().map(field)))
    };
    strategies.iter().filter_map(spelled).collect()
}
