//! ECS services: the calls, and what AWS returns made ours.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ecs::operation::RequestId;
use aws_sdk_ecs::types::{
    AssignPublicIp, AvailabilityZoneRebalancing, AwsVpcConfiguration, CapacityProviderStrategyItem, ClusterField,
    ClusterSettingName, DeploymentCircuitBreaker, DeploymentConfiguration, LaunchType, NetworkConfiguration,
    PlacementConstraint, PlacementStrategy, PropagateTags, SchedulingStrategy, Service as SdkService, ServiceField,
    Tag,
};
use futures::FutureExt;
use penstock_crds::Name;

use crate::cloud::aws::{Aws, arn_of_service, cluster_name, invalid};
use crate::cloud::budget::Category;
use crate::cloud::call::all;
use crate::cloud::{Error, Receipt};
use crate::plan::resources::{Capacity, Counts, Revision, Service, ServiceLife, Subject, TaskDefinition, service_name};

pub(super) mod definition;
pub(super) mod deployment;
pub(super) mod failure;

/// Services per `DescribeServices`.
const DESCRIBED: usize = 10;

/// Clusters per `DescribeClusters`.
const CLUSTERS: usize = 100;

/// Pages of `ListServices`, of 100 services each: a cluster holds 5,000.
const PAGES: usize = 100;

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
            let own = found
                .as_ref()
                .map(|found| found.get(&subject.service_name()).cloned())
                .map_err(Clone::clone);
            batch.insert(subject.name.clone(), own);
        }
    }
    batch
}

async fn describe(aws: &Aws, cluster: &str, names: Vec<String>) -> Result<BTreeMap<String, SdkService>, Error> {
    const OPERATION: &str = "DescribeServices";
    let request = aws
        .read
        .ecs
        .describe_services()
        .cluster(cluster)
        .set_services(Some(names))
        .include(ServiceField::Tags);
    let answer = match aws.call(Category::ServiceRead, OPERATION, request.send()).await {
        Err(Error::Refuse { code, .. }) if code == CLUSTER_NOT_FOUND => return Ok(BTreeMap::new()),
        other => other?,
    };
    if let Some(failure) = answer
        .failures()
        .iter()
        .find(|failure| failure.reason() != Some("MISSING"))
    {
        let message = format!(
            "{}: {}",
            failure.arn().unwrap_or("a service"),
            failure.reason().unwrap_or("no reason")
        );
        return Err(Error::Fail {
            operation: OPERATION.to_owned(),
            message,
        });
    }
    let services = answer.services.unwrap_or_default();
    Ok(services
        .into_iter()
        .filter_map(|service| Some((service.service_name.clone()?, service)))
        .collect())
}

/// Returns, for each cluster, whether it has Container Insights.
pub(super) async fn container_insights(
    aws: &Aws,
    clusters: &BTreeSet<String>,
) -> Result<BTreeMap<String, bool>, Error> {
    let mut known: BTreeMap<_, _> = clusters
        .iter()
        .filter_map(|cluster| Some((cluster.clone(), aws.caches.clusters.get(cluster)?)))
        .collect();
    let unknown: Vec<_> = clusters
        .iter()
        .filter(|cluster| !known.contains_key(*cluster))
        .cloned()
        .collect();
    for chunk in unknown.chunks(CLUSTERS) {
        let request = aws
            .read
            .ecs
            .describe_clusters()
            .set_clusters(Some(chunk.to_vec()))
            .include(ClusterField::Settings);
        let answer = aws
            .call(Category::ClusterRead, "DescribeClusters", request.send())
            .await?;
        for cluster in chunk {
            let named = |found: &&aws_sdk_ecs::types::Cluster| found.cluster_name() == Some(cluster_name(cluster));
            let found = answer.clusters().iter().find(named);
            let enabled = found.is_some_and(has_container_insights);
            if found.is_some() {
                aws.caches.clusters.put(cluster.clone(), enabled);
            }
            known.insert(cluster.clone(), enabled);
        }
    }
    Ok(known)
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
        subjects.extend(found?.values().filter_map(|service| owner(aws, cluster, service)));
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
    use crate::plan::resources::{TAG_CONNECTOR, TAG_OPERATOR, TAG_UID};
    let tags = tags(service.tags());
    let name: Name = tags.get(TAG_CONNECTOR)?.parse().ok()?;
    let ours = tags.get(TAG_OPERATOR) == Some(&aws.operator)
        && service.service_name() == Some(service_name(&name).as_str())
        && life(service) != ServiceLife::Absent;
    let uid = tags.get(TAG_UID).cloned().unwrap_or_default();
    ours.then(|| Subject {
        name,
        uid,
        cluster: cluster.to_owned(),
    })
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
    constraints.iter().filter_map(spelled).collect()
}

fn strategies(strategies: &[PlacementStrategy]) -> Vec<(String, Option<String>)> {
    let spelled = |one: &PlacementStrategy| Some((one.r#type.as_ref()?.as_str().to_owned(), one.field.clone()));
    strategies.iter().filter_map(spelled).collect()
}

/// Creates the service. The client token makes repeating the very same call harmless.
pub(super) async fn create(
    aws: &Aws,
    subject: &Subject,
    service: &Service,
    count: i32,
    token: &str,
    task_definition: &str,
) -> Result<Receipt, Error> {
    let revision = &service.revision;
    let request = aws
        .write
        .ecs
        .create_service()
        .cluster(&subject.cluster)
        .service_name(subject.service_name())
        .client_token(token)
        .task_definition(task_definition)
        .desired_count(count)
        .scheduling_strategy(SchedulingStrategy::Replica)
        .set_launch_type(launch_type(&revision.capacity))
        .set_capacity_provider_strategy(strategy(&revision.capacity)?.filter(|items| !items.is_empty()))
        .network_configuration(network_configuration(revision)?)
        .deployment_configuration(deployment_configuration(service))
        .set_placement_constraints(non_empty(placement_constraints(revision)))
        .set_placement_strategy(non_empty(placement_strategies(revision)))
        .set_tags(non_empty(sdk_tags(&service.tags)))
        .enable_ecs_managed_tags(service.propagate_tags)
        .propagate_tags(propagation(service))
        // Left out, a create turns it on and an update leaves it, so that two services of one document would differ.
        .availability_zone_rebalancing(AvailabilityZoneRebalancing::Disabled);
    let answer = aws
        .call(Category::ServiceModify, "CreateService", request.send())
        .await?;
    let request_id = answer.request_id().map(str::to_owned);
    Ok(Receipt {
        request_id,
        arn: answer.service.and_then(|service| service.service_arn),
    })
}

/// Changes what differs from the service as it was last seen; all of it when it was not seen. Never the count.
pub(super) async fn update(
    aws: &Aws,
    subject: &Subject,
    service: &Service,
    task_definition: Option<&str>,
) -> Result<Receipt, Error> {
    let before = aws.caches.services.get(&subject.name);
    let before = before.as_ref();
    let wanted = &service.revision;
    let differs = |same: &dyn Fn(&Service) -> bool| before.is_none_or(|before| !same(before));
    let mut request = aws
        .write
        .ecs
        .update_service()
        .cluster(&subject.cluster)
        .service(subject.service_name())
        .set_task_definition(task_definition.map(str::to_owned));
    if differs(&|before| same_network(&before.revision, wanted)) {
        request = request.network_configuration(network_configuration(wanted)?);
    }
    if let Some(before) = before.filter(|before| before.revision.capacity != wanted.capacity) {
        // A new strategy reaches the tasks only with a new deployment, and an empty one means the launch type.
        check_launch_type(&before.revision.capacity, &wanted.capacity)?;
        request = request
            .set_capacity_provider_strategy(strategy(&wanted.capacity)?)
            .force_new_deployment(true);
    } else if before.is_none() {
        let items = strategy(&wanted.capacity)?.filter(|items| !items.is_empty());
        request = request
            .force_new_deployment(items.is_some())
            .set_capacity_provider_strategy(items);
    }
    if differs(&|before| before.revision.placement_constraints == wanted.placement_constraints) {
        request = request.set_placement_constraints(Some(placement_constraints(wanted)));
    }
    if differs(&|before| before.revision.placement_strategies == wanted.placement_strategies) {
        request = request.set_placement_strategy(Some(placement_strategies(wanted)));
    }
    if differs(&|before| same_rollout(before, service)) {
        request = request.deployment_configuration(deployment_configuration(service));
    }
    if differs(&|before| before.propagate_tags == service.propagate_tags) {
        request = request
            .enable_ecs_managed_tags(service.propagate_tags)
            .propagate_tags(propagation(service));
    }
    let answer = aws
        .call(Category::ServiceModify, "UpdateService", request.send())
        .await?;
    aws.caches.services.remove(&subject.name);
    if let Some(arn) = answer.service().and_then(SdkService::service_arn) {
        aws.caches.deployments.remove(&arn.to_owned());
    }
    Ok(receipt(&answer))
}

/// Sets the count, and nothing else.
pub(super) async fn set_count(aws: &Aws, subject: &Subject, count: i32) -> Result<Receipt, Error> {
    let request = aws
        .write
        .ecs
        .update_service()
        .cluster(&subject.cluster)
        .service(subject.service_name())
        .desired_count(count);
    Ok(receipt(
        &aws.call(Category::ServiceModify, "UpdateService", request.send())
            .await?,
    ))
}

/// Takes tags off and puts tags on: two calls when both are to be done, as ECS has no call for both.
pub(super) async fn tag(
    aws: &Aws,
    subject: &Subject,
    set: &BTreeMap<String, String>,
    remove: &[String],
) -> Result<Receipt, Error> {
    let arn = arn_of_service(aws.identity().await?, &aws.region, subject);
    let mut last = Receipt::default();
    if !remove.is_empty() {
        let request = aws
            .write
            .ecs
            .untag_resource()
            .resource_arn(&arn)
            .set_tag_keys(Some(remove.to_vec()));
        last = receipt(&aws.call(Category::TagModify, "UntagResource", request.send()).await?);
    }
    if !set.is_empty() {
        let request = aws
            .write
            .ecs
            .tag_resource()
            .resource_arn(&arn)
            .set_tags(Some(sdk_tags(set)));
        last = receipt(&aws.call(Category::TagModify, "TagResource", request.send()).await?);
    }
    Ok(last)
}

/// Deletes the service; one that is gone already is as good.
pub(super) async fn delete(aws: &Aws, subject: &Subject) -> Result<Receipt, Error> {
    let request = aws
        .write
        .ecs
        .delete_service()
        .cluster(&subject.cluster)
        .service(subject.service_name());
    match aws.call(Category::ServiceModify, "DeleteService", request.send()).await {
        Err(Error::Refuse { code, request_id, .. })
            if [
                "ServiceNotFoundException",
                "ServiceNotActiveException",
                CLUSTER_NOT_FOUND,
            ]
            .contains(&code.as_str()) =>
        {
            Ok(Receipt { request_id, arn: None })
        }
        other => Ok(receipt(&other?)),
    }
}

pub(super) fn receipt(answer: &impl RequestId) -> Receipt {
    Receipt {
        request_id: answer.request_id().map(str::to_owned),
        arn: None,
    }
}

fn same_network(one: &Revision, other: &Revision) -> bool {
    (&one.subnets, &one.security_groups, one.public_ip) == (&other.subnets, &other.security_groups, other.public_ip)
}

fn same_rollout(one: &Service, other: &Service) -> bool {
    let all = |service: &Service| {
        (
            service.minimum_healthy_percent,
            service.maximum_percent,
            service.breaker,
        )
    };
    all(one) == all(other)
}

fn check_launch_type(before: &Capacity, wanted: &Capacity) -> Result<(), Error> {
    match (before, wanted) {
        (Capacity::LaunchType(before), Capacity::LaunchType(wanted)) => Err(Error::Refuse {
            operation: "UpdateService".to_owned(),
            code: "LaunchTypeIsFixed".to_owned(),
            message: format!(
                "ECS cannot change a service's launch type from {before} to {wanted}: use capacity providers, or stop the connector and start it again"
            ),
            request_id: None,
        }),
        _ => Ok(()),
    }
}

fn launch_type(capacity: &Capacity) -> Option<LaunchType> {
    match capacity {
        Capacity::LaunchType(kind) => Some(LaunchType::from(kind.as_str())),
        Capacity::Providers(_) => None,
    }
}

/// Returns the capacity provider strategy; an empty one stands for the launch type.
fn strategy(capacity: &Capacity) -> Result<Option<Vec<CapacityProviderStrategyItem>>, Error> {
    let Capacity::Providers(providers) = capacity else {
        return Ok(Some(Vec::new()));
    };
    let item = |(name, base, weight): &(String, i32, i32)| {
        CapacityProviderStrategyItem::builder()
            .capacity_provider(name)
            .base(*base)
            .weight(*weight)
            .build()
    };
    providers
        .iter()
        .map(item)
        .collect::<Result<_, _>>()
        .map(Some)
        .map_err(|error| invalid("capacity providers", &error))
}

fn network_configuration(revision: &Revision) -> Result<NetworkConfiguration, Error> {
    let public_ip = if revision.public_ip {
        AssignPublicIp::Enabled
    } else {
        AssignPublicIp::Disabled
    };
    let list = |set: &BTreeSet<String>| Some(set.iter().cloned().collect());
    let network = AwsVpcConfiguration::builder()
        .set_subnets(list(&revision.subnets))
        .set_security_groups(list(&revision.security_groups))
        .assign_public_ip(public_ip)
        .build()
        .map_err(|error| invalid("network", &error))?;
    Ok(NetworkConfiguration::builder().awsvpc_configuration(network).build())
}

fn deployment_configuration(service: &Service) -> DeploymentConfiguration {
    let breaker = DeploymentCircuitBreaker::builder()
        .enable(service.breaker)
        .rollback(service.breaker)
        .build();
    DeploymentConfiguration::builder()
        .minimum_healthy_percent(service.minimum_healthy_percent)
        .maximum_percent(service.maximum_percent)
        .deployment_circuit_breaker(breaker)
        .build()
}

fn propagation(service: &Service) -> PropagateTags {
    if service.propagate_tags {
        PropagateTags::Service
    } else {
        PropagateTags::None
    }
}

fn placement_constraints(revision: &Revision) -> Vec<PlacementConstraint> {
    let constraint = |(kind, expression): &(String, Option<String>)| {
        PlacementConstraint::builder()
            .r#type(kind.as_str().into())
            .set_expression(expression.clone())
            .build()
    };
    revision.placement_constraints.iter().map(constraint).collect()
}

fn placement_strategies(revision: &Revision) -> Vec<PlacementStrategy> {
    let strategy = |(kind, field): &(String, Option<String>)| {
        PlacementStrategy::builder()
            .r#type(kind.as_str().into())
            .set_field(field.clone())
            .build()
    };
    revision.placement_strategies.iter().map(strategy).collect()
}

pub(super) fn sdk_tags(tags: &BTreeMap<String, String>) -> Vec<Tag> {
    tags.iter()
        .map(|(key, value)| Tag::builder().key(key).value(value).build())
        .collect()
}

fn non_empty<T>(list: Vec<T>) -> Option<Vec<T>> {
    Some(list).filter(|list| !list.is_empty())
}
