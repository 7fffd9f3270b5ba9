//! `spec.service`.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;

use super::Platform;
use super::faults::{Faults, pattern};
use crate::{
    Capacity, CapacityProvider, LaunchType, Placement, PlacementConstraint, PlacementConstraintType, PlacementStrategy,
    PlacementStrategyType, Scaling, Service, ServiceSpec,
};

static CLUSTER: LazyLock<Regex> = LazyLock::new(|| pattern(r"^[A-Za-z0-9_-]{1,255}$"));
static SUBNET: LazyLock<Regex> = LazyLock::new(|| pattern(r"^subnet-[0-9a-f]{1,17}$"));
static SECURITY_GROUP: LazyLock<Regex> = LazyLock::new(|| pattern(r"^sg-[0-9a-f]{1,17}$"));
static PROVIDER: LazyLock<Regex> = LazyLock::new(|| pattern(r"^[A-Za-z0-9_-]{1,255}$"));

pub(super) fn service(spec: Option<&ServiceSpec>, scaling: Option<&Scaling>, faults: &mut Faults) -> Service {
    let spec = spec.cloned().unwrap_or_default();
    let capacity = capacity(&spec, faults);
    let platform = Platform::of(&capacity);
    let (minimum_healthy_percent, maximum_percent) = rollout(&spec, scaling, faults);
    Service {
        cluster: cluster(&spec, faults),
        subnets: subnets(&spec, faults),
        security_groups: security_groups(&spec, faults),
        public_ip: public_ip(&spec, platform, faults),
        placement: placement(&spec, platform, faults),
        capacity,
        minimum_healthy_percent,
        maximum_percent,
    }
}

/// Whether a capacity provider is one of Fargate's.
pub(super) fn is_fargate_provider(name: &str) -> bool {
    matches!(name, "FARGATE" | "FARGATE_SPOT")
}

fn cluster(spec: &ServiceSpec, faults: &mut Faults) -> String {
    let path = "spec.service.cluster";
    let cluster = faults
        .required(path, spec.cluster.as_deref(), "name the ECS cluster")
        .unwrap_or_default();
    if let Some((_, name)) = cluster.split_once(":cluster/") {
        faults.refuse(
            path,
            &cluster,
            "is an ARN, where the cluster's name is expected",
            format!("write `{name}`"),
        );
    } else if !cluster.is_empty() && !CLUSTER.is_match(&cluster) {
        faults.refuse(
            path,
            &cluster,
            "cannot be the name of an ECS cluster",
            "use 1 to 255 letters, digits, hyphens and underscores",
        );
    }
    cluster
}

fn subnets(spec: &ServiceSpec, faults: &mut Faults) -> Vec<String> {
    let path = "spec.service.subnets";
    let subnets = spec.subnets.clone().unwrap_or_default();
    if subnets.is_empty() {
        faults.missing(path, "name 1 to 16 subnets from which SQS and Kafka can be reached");
    }
    check_ids(
        path,
        &subnets,
        16,
        &SUBNET,
        "is not the id of a subnet",
        "write it as EC2 does, such as `subnet-0a1b2c3d4e5f67890`",
        faults,
    );
    subnets
}

fn security_groups(spec: &ServiceSpec, faults: &mut Faults) -> Vec<String> {
    let groups = spec.security_groups.clone().unwrap_or_default();
    let path = "spec.service.securityGroups";
    check_ids(
        path,
        &groups,
        5,
        &SECURITY_GROUP,
        "is not the id of a security group",
        "write it as EC2 does, such as `sg-0a1b2c3d4e5f67890`",
        faults,
    );
    groups
}

fn check_ids(path: &str, ids: &[String], most: usize, shape: &Regex, why: &str, remedy: &str, faults: &mut Faults) {
    if ids.len() > most {
        faults.hide(
            path,
            format!("are {}, and ECS takes at most {most}", ids.len()),
            "remove some",
        );
    }
    let mut seen = BTreeSet::new();
    for (index, id) in ids.iter().enumerate() {
        let path = format!("{path}[{index}]");
        if !shape.is_match(id) {
            faults.refuse(&path, id, why, remedy);
        } else if !seen.insert(id) {
            faults.refuse(&path, id, "stands there twice", "remove one of them");
        }
    }
}

fn public_ip(spec: &ServiceSpec, platform: Platform, faults: &mut Faults) -> bool {
    let public_ip = spec.public_ip.unwrap_or(false);
    if public_ip && platform == Platform::Ec2 {
        faults.refuse(
            "spec.service.publicIp",
            true,
            "is for Fargate: ECS gives no public address to a task on EC2 instances",
            "remove it, and give the subnets a NAT gateway or VPC endpoints",
        );
    }
    public_ip
}

fn capacity(spec: &ServiceSpec, faults: &mut Faults) -> Capacity {
    let Some(providers) = &spec.capacity_providers else {
        return Capacity::LaunchType(spec.launch_type.unwrap_or_default());
    };
    if let Some(launch_type) = spec.launch_type {
        let name = if launch_type == LaunchType::Fargate {
            "FARGATE"
        } else {
            "EC2"
        };
        faults.refuse(
            "spec.service.launchType",
            name,
            "excludes `capacityProviders`, which is there as well",
            "keep one of the two",
        );
    }
    check_providers(providers, faults);
    Capacity::Providers(providers.clone())
}

fn check_providers(providers: &[CapacityProvider], faults: &mut Faults) {
    let path = "spec.service.capacityProviders";
    if providers.is_empty() {
        faults.hide(path, "names no provider", "name one, or use `launchType` in its place");
        return;
    }
    if providers.len() > 20 {
        faults.hide(
            path,
            format!("are {} providers, and ECS takes at most 20", providers.len()),
            "remove some",
        );
    }
    if providers.iter().all(|provider| provider.weight == 0) {
        faults.hide(
            path,
            "gives every provider the weight 0, so no task beyond the base could be placed",
            "give one of them a weight of 1 or more",
        );
    }
    let fargate = providers
        .iter()
        .filter(|provider| is_fargate_provider(&provider.name))
        .count();
    if fargate != 0 && fargate != providers.len() {
        faults.hide(
            path,
            "mixes Fargate with other providers, which ECS refuses",
            "use only FARGATE and FARGATE_SPOT, or none of them",
        );
    }
    let mut seen = BTreeSet::new();
    let mut has_base = false;
    for (index, provider) in providers.iter().enumerate() {
        let path = format!("{path}[{index}]");
        if !seen.insert(&provider.name) {
            faults.refuse(
                &format!("{path}.name"),
                &provider.name,
                "stands there twice",
                "join the two",
            );
        }
        check_provider(&path, provider, faults);
        if provider.base > 0 && std::mem::replace(&mut has_base, true) {
            faults.refuse(
                &format!("{path}.base"),
                provider.base,
                "is a second base, and only one provider may have one",
                "keep one of them",
            );
        }
    }
}

fn check_provider(path: &str, provider: &CapacityProvider, faults: &mut Faults) {
    let name = provider.name.to_lowercase();
    let is_reserved =
        ["aws", "ecs", "fargate"].iter().any(|prefix| name.starts_with(prefix)) && !is_fargate_provider(&provider.name);
    if !PROVIDER.is_match(&provider.name) || is_reserved {
        faults.refuse(
            &format!("{path}.name"),
            &provider.name,
            "cannot be the name of a capacity provider",
            "write `FARGATE`, `FARGATE_SPOT`, or the name of a provider of the cluster, which never begins with aws, ecs or fargate",
        );
    }
    faults.within(
        &format!("{path}.weight"),
        Some(provider.weight),
        1,
        0..=1000,
        "is not a weight that ECS takes",
    );
    faults.within(
        &format!("{path}.base"),
        Some(provider.base),
        0,
        0..=100_000,
        "is not a base that ECS takes",
    );
}

fn placement(spec: &ServiceSpec, platform: Platform, faults: &mut Faults) -> Placement {
    let path = "spec.service.placement";
    let placement = spec.placement.clone().unwrap_or_default();
    if platform == Platform::Fargate && placement != Placement::default() {
        faults.hide(
            path,
            "is for EC2 instances; Fargate refuses it",
            "remove it (a connector writes `placement: {}` to drop its profile's), or use `launchType: EC2`",
        );
    }
    if placement.constraints.len() > 10 {
        faults.hide(
            &format!("{path}.constraints"),
            format!("are {}, and ECS takes at most 10", placement.constraints.len()),
            "remove some",
        );
    }
    if placement.strategies.len() > 5 {
        faults.hide(
            &format!("{path}.strategies"),
            format!("are {}, and ECS takes at most 5", placement.strategies.len()),
            "remove some",
        );
    }
    for (index, constraint) in placement.constraints.iter().enumerate() {
        check_constraint(&format!("{path}.constraints[{index}].expression"), constraint, faults);
    }
    for (index, strategy) in placement.strategies.iter().enumerate() {
        check_strategy(&format!("{path}.strategies[{index}].field"), strategy, faults);
    }
    placement
}

fn check_constraint(path: &str, constraint: &PlacementConstraint, faults: &mut Faults) {
    match (constraint.r#type, constraint.expression.as_deref()) {
        (PlacementConstraintType::MemberOf, None | Some("")) => {
            faults.missing_for(
                path,
                "and `memberOf` matches instances by it",
                "write a cluster query, such as `attribute:ecs.instance-type =~ m7g.*`",
            );
        }
        (PlacementConstraintType::MemberOf, Some(text)) if text.len() > 2000 => {
            faults.refuse(
                path,
                text,
                "is longer than the 2000 characters that ECS takes",
                "shorten it",
            );
        }
        (PlacementConstraintType::DistinctInstance, Some(text)) => {
            faults.refuse(
                path,
                text,
                "would do nothing on `distinctInstance`",
                "remove it, or use `memberOf`",
            );
        }
        _ => {}
    }
}

fn check_strategy(path: &str, strategy: &PlacementStrategy, faults: &mut Faults) {
    match (strategy.r#type, strategy.field.as_deref()) {
        (PlacementStrategyType::Random, Some(field)) => {
            faults.refuse(path, field, "would do nothing on `random`", "remove it");
        }
        (PlacementStrategyType::Binpack, Some("cpu" | "memory")) | (PlacementStrategyType::Random, None) => {}
        (PlacementStrategyType::Binpack, Some(field)) => {
            faults.refuse(
                path,
                field,
                "is nothing that `binpack` can pack by",
                "use `cpu` or `memory`",
            );
        }
        (PlacementStrategyType::Spread, Some(field)) if is_spread_field(field) => {}
        (PlacementStrategyType::Spread, Some(field)) => {
            faults.refuse(
                path,
                field,
                "is nothing that `spread` can spread by",
                "use `instanceId`, or an attribute such as `attribute:ecs.availability-zone`",
            );
        }
        (PlacementStrategyType::Binpack, None) => {
            faults.missing_for(path, "and `binpack` packs by it", "use `cpu` or `memory`")
        }
        (PlacementStrategyType::Spread, None) => {
            faults.missing_for(
                path,
                "and `spread` spreads by it",
                "use `instanceId`, or an attribute such as `attribute:ecs.availability-zone`",
            );
        }
    }
}

fn is_spread_field(field: &str) -> bool {
    matches!(field, "instanceId" | "host") || field.strip_prefix("attribute:").is_some_and(|name| !name.is_empty())
}

fn rollout(spec: &ServiceSpec, scaling: Option<&Scaling>, faults: &mut Faults) -> (u32, u32) {
    let path = "spec.service.rollout";
    let rollout = spec.rollout.clone().unwrap_or_default();
    let minimum = faults.within(
        &format!("{path}.minimumHealthyPercent"),
        rollout.minimum_healthy_percent,
        100,
        0..=100,
        "is not a share that can keep running",
    );
    let maximum = faults.within(
        &format!("{path}.maximumPercent"),
        rollout.maximum_percent,
        200,
        100..=200,
        "is not a share that ECS takes",
    );
    let (fewest, most) = scaling.map_or((1, 1), |scaling| (scaling.min.max(1), scaling.max));
    let stuck = (fewest..=most).find(|count| !can_replace(*count, minimum, maximum));
    if let Some(count) = stuck.filter(|_| minimum <= 100 && maximum >= 100) {
        let why = format!(
            "with minimumHealthyPercent {minimum} and maximumPercent {maximum} can never replace a task while {count} {}: ECS may neither stop one nor start one more",
            if count == 1 { "is wanted" } else { "are wanted" },
        );
        faults.hide(path, why, "raise maximumPercent (200 starts new tasks first) or lower minimumHealthyPercent (0 stops old tasks first)");
    }
    (minimum, maximum)
}

/// Whether ECS, with `count` tasks wanted, may stop one or start one more: it rounds the lower bound up and the upper down.
fn can_replace(count: u32, minimum_percent: u32, maximum_percent: u32) -> bool {
    let (count, minimum, maximum) = (u64::from(count), u64::from(minimum_percent), u64::from(maximum_percent));
    (count * minimum).div_ceil(100) < count || count * maximum / 100 > count
}
