//! The calls that change a service, and our words made AWS's.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ecs::operation::RequestId;
use aws_sdk_ecs::types::{
    AssignPublicIp, AvailabilityZoneRebalancing, AwsVpcConfiguration, CapacityProviderStrategyItem,
    DeploymentCircuitBreaker, DeploymentConfiguration, LaunchType, NetworkConfiguration, PlacementConstraint,
    PlacementStrategy, PropagateTags, SchedulingStrategy, Service as SdkService, Tag,
};

use crate::cloud::aws::{Aws, arn_of_service, invalid};
use crate::cloud::budget::Category;
use crate::cloud::ecs::CLUSTER_NOT_FOUND;
use crate::cloud::{Error, Receipt};
use crate::plan::resources::{Capacity, Revision, Service, Subject};

/// Creates the service. The client token makes repeating the very same call harmless.
pub(in crate::cloud) async fn create(
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
        .enable_execute_command(service.execute_command)
        // Left out, a create turns it on and an update leaves it, so that two services of one document would differ.
        .availability_zone_rebalancing(rebalancing(service));
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
pub(in crate::cloud) async fn update(
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
        check_launch_type(&before.revision.capacity, &wanted.capacity)?;
        // An empty strategy means the launch type.
        request = request.set_capacity_provider_strategy(strategy(&wanted.capacity)?);
    } else if before.is_none() {
        let items = strategy(&wanted.capacity)?.filter(|items| !items.is_empty());
        request = request.set_capacity_provider_strategy(items);
    }
    if must_force(before.map(|before| &before.revision), wanted) {
        request = request.force_new_deployment(true);
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
    if differs(&|before| before.rebalancing == service.rebalancing) {
        request = request.availability_zone_rebalancing(rebalancing(service));
    }
    if differs(&|before| before.execute_command == service.execute_command) {
        request = request.enable_execute_command(service.execute_command);
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

/// Sets the count, and nothing else; with `redeploy`, ECS deploys what the service runs once more.
pub(in crate::cloud) async fn set_count(
    aws: &Aws,
    subject: &Subject,
    count: i32,
    redeploy: bool,
) -> Result<Receipt, Error> {
    let request = aws
        .write
        .ecs
        .update_service()
        .cluster(&subject.cluster)
        .service(subject.service_name())
        .desired_count(count)
        .set_force_new_deployment(redeploy.then_some(true));
    Ok(receipt(
        &aws.call(Category::ServiceModify, "UpdateService", request.send())
            .await?,
    ))
}

/// Deploys what the service runs once more, and changes nothing else.
pub(in crate::cloud) async fn redeploy(aws: &Aws, subject: &Subject) -> Result<Receipt, Error> {
    let request = aws
        .write
        .ecs
        .update_service()
        .cluster(&subject.cluster)
        .service(subject.service_name())
        .force_new_deployment(true);
    Ok(receipt(
        &aws.call(Category::ServiceModify, "UpdateService", request.send())
            .await?,
    ))
}

/// Takes tags off and puts tags on: two calls when both are to be done, as ECS has no call for both.
pub(in crate::cloud) async fn tag(
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
pub(in crate::cloud) async fn delete(aws: &Aws, subject: &Subject) -> Result<Receipt, Error> {
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

pub(in crate::cloud) fn receipt(answer: &impl RequestId) -> Receipt {
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

/// Whether something changes that starts no deployment by itself: capacity providers, which ECS changes in no other way, and
/// placement, which would wait for the next deployment while the tasks stay where they are.
fn must_force(before: Option<&Revision>, wanted: &Revision) -> bool {
    let Some(before) = before else {
        let on_providers = matches!(wanted.capacity, Capacity::Providers(_));
        return on_providers || !wanted.placement_constraints.is_empty() || !wanted.placement_strategies.is_empty();
    };
    before.capacity != wanted.capacity
        || before.placement_constraints != wanted.placement_constraints
        || before.placement_strategies != wanted.placement_strategies
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

fn rebalancing(service: &Service) -> AvailabilityZoneRebalancing {
    if service.rebalancing {
        AvailabilityZoneRebalancing::Enabled
    } else {
        AvailabilityZoneRebalancing::Disabled
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

pub(in crate::cloud) fn sdk_tags(tags: &BTreeMap<String, String>) -> Vec<Tag> {
    tags.iter()
        .map(|(key, value)| Tag::builder().key(key).value(value).build())
        .collect()
}

fn non_empty<T>(list: Vec<T>) -> Option<Vec<T>> {
    Some(list).filter(|list| !list.is_empty())
}
