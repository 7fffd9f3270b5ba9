//! Scalable targets, their policies and what they did: the calls, and what AWS returns made ours.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aws_sdk_applicationautoscaling::operation::RequestId;
use aws_sdk_applicationautoscaling::types::{
    CustomizedMetricSpecification, MetricType, PolicyType, PredefinedMetricSpecification, ScalableDimension,
    ScalableTarget, ScalingPolicy, ServiceNamespace, SuspendedState, TargetTrackingMetric,
    TargetTrackingMetricDataQuery, TargetTrackingMetricDimension, TargetTrackingMetricStat,
    TargetTrackingScalingPolicyConfiguration,
};
use futures::FutureExt;
use jiff::Timestamp;

use crate::cloud::aws::{Aws, invalid, resource_id};
use crate::cloud::budget::Category;
use crate::cloud::call::all;
use crate::cloud::ecs::Batch;
use crate::cloud::ecs::service::receipt;
use crate::cloud::error::{NOT_IMPLEMENTED, one_line};
use crate::cloud::{Error, Receipt};
use crate::plan::owner::Holder;
use crate::plan::resources::{Activity, MetricQuery, MetricStat, Policy, PolicyMetric, Scaling, Subject, Suspension};

/// Resource ids per `DescribeScalableTargets`.
const DESCRIBED: usize = 50;

/// Pages of a list of policies, of 10 each: a target has at most 50.
const PAGES: usize = 5;

/// What AWS waits after scaling when a policy does not say.
const DEFAULT_COOLDOWN: i32 = 300;

const NOT_FOUND: &str = "ObjectNotFoundException";

/// Describes the scalable target of every subject.
pub(super) async fn targets(aws: &Aws, subjects: &[Subject]) -> Batch<Option<ScalableTarget>> {
    let reads = subjects.chunks(DESCRIBED).map(|chunk| {
        let ids = chunk.iter().map(resource_id).collect();
        described(aws, ids).boxed()
    });
    let found = all(reads.collect()).await;
    let mut batch = Batch::new();
    for (chunk, found) in subjects.chunks(DESCRIBED).zip(found) {
        for subject in chunk {
            let own = found
                .as_ref()
                .map(|found| found.get(&resource_id(subject)).cloned())
                .map_err(Clone::clone);
            batch.insert(subject.name.clone(), own);
        }
    }
    batch
}

async fn described(aws: &Aws, ids: Vec<String>) -> Result<BTreeMap<String, ScalableTarget>, Error> {
    let (mut found, mut token) = (BTreeMap::new(), None);
    for _ in 0..PAGES {
        let request = aws
            .read
            .scaling
            .describe_scalable_targets()
            .service_namespace(ServiceNamespace::Ecs)
            .scalable_dimension(ScalableDimension::EcsServiceDesiredCount)
            .set_resource_ids(Some(ids.clone()))
            .set_next_token(token);
        let answer = aws
            .call(Category::ScalingRead, "DescribeScalableTargets", request.send())
            .await?;
        let targets = answer.scalable_targets.unwrap_or_default();
        found.extend(targets.into_iter().map(|target| (target.resource_id.clone(), target)));
        token = answer.next_token;
        if token.is_none() {
            break;
        }
    }
    Ok(found)
}

/// Whose a target is, as its tags tell.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Held {
    ByUs,
    ByOther(Holder),
    /// No operator's tag is on it.
    ByNobody,
    /// Its tags could not be had.
    Unknown,
}

/// Returns whose a target is.
pub(super) async fn holder(aws: &Aws, subject: &Subject, target: &ScalableTarget) -> Result<Held, Error> {
    let Some(tags) = tags(aws, target).await? else {
        return Ok(Held::Unknown);
    };
    Ok(match aws.holder(subject, &tags) {
        None => Held::ByUs,
        Some(Holder { operator: None, .. }) => Held::ByNobody,
        Some(holder) => Held::ByOther(holder),
    })
}

/// Registering a target again never changes its tags, and one that was removed and made anew has another time of creation.
async fn tags(aws: &Aws, target: &ScalableTarget) -> Result<Option<BTreeMap<String, String>>, Error> {
    let Some(arn) = target.scalable_target_arn() else {
        return Ok(None);
    };
    let key = (arn.to_owned(), target.creation_time.as_nanos());
    if let Some(known) = aws.caches.target_tags.get(&key) {
        return Ok(Some(known));
    }
    let request = aws.read.scaling.list_tags_for_resource().resource_arn(arn);
    let answer = aws
        .call(Category::ScalingRead, "ListTagsForResource", request.send())
        .await;
    let answer = match answer {
        Err(Error::Refuse { code, .. }) if code == "ResourceNotFoundException" || code == NOT_IMPLEMENTED => {
            return Ok(None);
        }
        other => other?,
    };
    let tags: BTreeMap<_, _> = answer.tags.unwrap_or_default().into_iter().collect();
    // Tags that are not there yet may come.
    if !tags.is_empty() {
        aws.caches.target_tags.put(key, tags.clone());
    }
    Ok(Some(tags))
}

/// The policies of a target.
#[derive(Default)]
pub(super) struct Policies {
    /// Ours with their ARNs, by name.
    pub(super) own: BTreeMap<String, (Policy, String)>,
    /// The names of other people's: those that are not as ours are made.
    pub(super) foreign: BTreeSet<String>,
}

/// Returns the policies of the subject's target.
pub(super) async fn policies(aws: &Aws, subject: &Subject) -> Result<Policies, Error> {
    let (mut found, mut token) = (Policies::default(), None);
    for _ in 0..PAGES {
        let request = aws
            .read
            .scaling
            .describe_scaling_policies()
            .service_namespace(ServiceNamespace::Ecs)
            .resource_id(resource_id(subject))
            .scalable_dimension(ScalableDimension::EcsServiceDesiredCount)
            .set_next_token(token);
        let answer = aws
            .call(Category::ScalingRead, "DescribeScalingPolicies", request.send())
            .await?;
        let policies = answer.scaling_policies.unwrap_or_default();
        for one in policies {
            let name = one.policy_name.clone();
            if subject.operator.is_policy_name(&subject.name, &name) {
                found.own.insert(name, (policy(&one), one.policy_arn));
            } else {
                found.foreign.insert(name);
            }
        }
        token = answer.next_token;
        if token.is_none() {
            break;
        }
    }
    Ok(found)
}

/// Returns the newest scaling activity, those that changed nothing included.
pub(super) async fn newest_activity(aws: &Aws, subject: &Subject) -> Result<Option<Activity>, Error> {
    let request = aws
        .read
        .scaling
        .describe_scaling_activities()
        .service_namespace(ServiceNamespace::Ecs)
        .resource_id(resource_id(subject))
        .scalable_dimension(ScalableDimension::EcsServiceDesiredCount)
        .include_not_scaled_activities(true)
        .max_results(10);
    let answer = match aws
        .call(Category::ScalingRead, "DescribeScalingActivities", request.send())
        .await
    {
        Err(Error::Refuse { code, .. }) if code == NOT_IMPLEMENTED => return Ok(None),
        other => other?,
    };
    let newest = answer
        .scaling_activities()
        .iter()
        .max_by_key(|one| (one.start_time.secs(), one.start_time.subsec_nanos()));
    Ok(newest.map(|one| Activity {
        id: one.activity_id.clone(),
        description: one_line(&one.description),
        cause: one_line(&one.cause),
        not_scaled_reason: one.not_scaled_reasons().first().map(|reason| reason.code.clone()),
        at: timestamp(&one.start_time),
    }))
}

pub(super) fn timestamp(at: &aws_smithy_types::DateTime) -> Timestamp {
    let nanoseconds = i32::try_from(at.subsec_nanos()).unwrap_or_default();
    Timestamp::new(at.secs(), nanoseconds).unwrap_or_default()
}

/// Returns a target and its policies in our words.
pub(super) fn ours(target: &ScalableTarget, policies: BTreeMap<String, Policy>) -> Scaling {
    Scaling {
        min: target.min_capacity,
        max: target.max_capacity,
        suspended: suspension(target.suspended_state()),
        policies,
    }
}

fn suspension(state: Option<&SuspendedState>) -> Suspension {
    let Some(state) = state else { return Suspension::Nothing };
    let parts = [
        state.dynamic_scaling_in_suspended(),
        state.dynamic_scaling_out_suspended(),
        state.scheduled_scaling_suspended(),
    ];
    match parts.iter().filter(|part| **part == Some(true)).count() {
        0 => Suspension::Nothing,
        3 => Suspension::All,
        _ => Suspension::Part,
    }
}

fn policy(policy: &ScalingPolicy) -> Policy {
    let Some(tracking) = policy.target_tracking_scaling_policy_configuration() else {
        return Policy {
            metric: PolicyMetric::Other(policy.policy_type.as_str().to_owned()),
            target: 0.0,
            scale_out_cooldown: 0,
            scale_in_cooldown: 0,
            disable_scale_in: false,
        };
    };
    Policy {
        metric: metric(tracking),
        target: tracking.target_value,
        scale_out_cooldown: tracking.scale_out_cooldown().unwrap_or(DEFAULT_COOLDOWN),
        scale_in_cooldown: tracking.scale_in_cooldown().unwrap_or(DEFAULT_COOLDOWN),
        disable_scale_in: tracking.disable_scale_in().unwrap_or(false),
    }
}

fn metric(tracking: &TargetTrackingScalingPolicyConfiguration) -> PolicyMetric {
    match (
        tracking.predefined_metric_specification(),
        tracking.customized_metric_specification(),
    ) {
        (Some(predefined), None) if predefined.resource_label().is_none() => {
            PolicyMetric::Predefined(predefined.predefined_metric_type.as_str().to_owned())
        }
        (None, Some(customized)) if !customized.metrics().is_empty() => {
            PolicyMetric::Math(customized.metrics().iter().map(query).collect())
        }
        (None, Some(customized)) => PolicyMetric::Other(format!(
            "single metric {}",
            customized.metric_name().unwrap_or_default()
        )),
        _ => PolicyMetric::Other("predefined metric with a resource label".to_owned()),
    }
}

fn query(query: &TargetTrackingMetricDataQuery) -> MetricQuery {
    MetricQuery {
        id: query.id.clone(),
        metric: query.metric_stat().map(stat),
        expression: query.expression.clone(),
        label: query.label.clone(),
        return_data: query.return_data().unwrap_or(true),
    }
}

fn stat(stat: &TargetTrackingMetricStat) -> MetricStat {
    let metric = stat.metric();
    let dimensions = metric.map(TargetTrackingMetric::dimensions).unwrap_or_default();
    MetricStat {
        namespace: metric
            .and_then(TargetTrackingMetric::namespace)
            .unwrap_or_default()
            .to_owned(),
        name: metric
            .and_then(TargetTrackingMetric::metric_name)
            .unwrap_or_default()
            .to_owned(),
        dimensions: dimensions
            .iter()
            .map(|one| (one.name.clone(), one.value.clone()))
            .collect(),
        statistic: stat.stat.clone(),
        unit: stat.unit.clone(),
        period: None,
    }
}

/// Registers or changes the target. AWS forces the live count into the range on every such call.
pub(super) async fn register(
    aws: &Aws,
    subject: &Subject,
    (min, max, suspended): (i32, i32, bool),
    tags: &BTreeMap<String, String>,
) -> Result<Receipt, Error> {
    let state = SuspendedState::builder()
        .dynamic_scaling_in_suspended(suspended)
        .dynamic_scaling_out_suspended(suspended)
        .scheduled_scaling_suspended(suspended)
        .build();
    // Tags are for a new target alone.
    let is_new = aws.caches.targets.get(&resource_id(subject)).is_none();
    let tags: HashMap<_, _> = tags.clone().into_iter().collect();
    let request = aws
        .write
        .scaling
        .register_scalable_target()
        .service_namespace(ServiceNamespace::Ecs)
        .resource_id(resource_id(subject))
        .scalable_dimension(ScalableDimension::EcsServiceDesiredCount)
        .min_capacity(min)
        .max_capacity(max)
        .suspended_state(state)
        .set_tags((is_new && !tags.is_empty()).then_some(tags));
    let answer = aws
        .call(Category::ScalingModify, "RegisterScalableTarget", request.send())
        .await?;
    aws.caches.targets.put(resource_id(subject), ());
    let request_id = answer.request_id().map(str::to_owned);
    Ok(Receipt {
        request_id,
        arn: answer.scalable_target_arn,
    })
}

/// Removes the target and its policies; one that is gone is as good.
pub(super) async fn deregister(aws: &Aws, subject: &Subject) -> Result<Receipt, Error> {
    let request = aws
        .write
        .scaling
        .deregister_scalable_target()
        .service_namespace(ServiceNamespace::Ecs)
        .resource_id(resource_id(subject))
        .scalable_dimension(ScalableDimension::EcsServiceDesiredCount);
    let answer = aws
        .call(Category::ScalingModify, "DeregisterScalableTarget", request.send())
        .await;
    aws.caches.targets.remove(&resource_id(subject));
    gone_is_good(answer)
}

/// Creates or replaces a policy.
pub(super) async fn put_policy(aws: &Aws, subject: &Subject, name: &str, policy: &Policy) -> Result<Receipt, Error> {
    let request = aws
        .write
        .scaling
        .put_scaling_policy()
        .policy_name(name)
        .service_namespace(ServiceNamespace::Ecs)
        .resource_id(resource_id(subject))
        .scalable_dimension(ScalableDimension::EcsServiceDesiredCount)
        .policy_type(PolicyType::TargetTrackingScaling)
        .target_tracking_scaling_policy_configuration(configuration(policy)?);
    let answer = aws
        .call(Category::ScalingModify, "PutScalingPolicy", request.send())
        .await?;
    let request_id = answer.request_id().map(str::to_owned);
    Ok(Receipt {
        request_id,
        arn: Some(answer.policy_arn),
    })
}

/// Removes a policy; one that is gone is as good.
pub(super) async fn delete_policy(aws: &Aws, subject: &Subject, name: &str) -> Result<Receipt, Error> {
    let request = aws
        .write
        .scaling
        .delete_scaling_policy()
        .policy_name(name)
        .service_namespace(ServiceNamespace::Ecs)
        .resource_id(resource_id(subject))
        .scalable_dimension(ScalableDimension::EcsServiceDesiredCount);
    gone_is_good(
        aws.call(Category::ScalingModify, "DeleteScalingPolicy", request.send())
            .await,
    )
}

fn gone_is_good(answer: Result<impl RequestId, Error>) -> Result<Receipt, Error> {
    match answer {
        Err(Error::Refuse { code, request_id, .. }) if code == NOT_FOUND => Ok(Receipt { request_id, arn: None }),
        other => Ok(receipt(&other?)),
    }
}

fn configuration(policy: &Policy) -> Result<TargetTrackingScalingPolicyConfiguration, Error> {
    let unfit = |error: aws_smithy_types::error::operation::BuildError| invalid("scaling policy", &error);
    let builder = TargetTrackingScalingPolicyConfiguration::builder()
        .target_value(policy.target)
        .scale_out_cooldown(policy.scale_out_cooldown)
        .scale_in_cooldown(policy.scale_in_cooldown)
        .disable_scale_in(policy.disable_scale_in);
    let builder = match &policy.metric {
        PolicyMetric::Predefined(name) => builder.predefined_metric_specification(
            PredefinedMetricSpecification::builder()
                .predefined_metric_type(MetricType::from(name.as_str()))
                .build()
                .map_err(unfit)?,
        ),
        PolicyMetric::Math(queries) => {
            let queries = queries
                .iter()
                .map(sdk_query)
                .collect::<Result<Vec<_>, _>>()
                .map_err(unfit)?;
            let metrics = CustomizedMetricSpecification::builder()
                .set_metrics(Some(queries))
                .build();
            builder.customized_metric_specification(metrics)
        }
        PolicyMetric::Other(what) => {
            return Err(Error::Refuse {
                operation: "PutScalingPolicy".to_owned(),
                code: "InvalidRequest".to_owned(),
                message: format!("Penstock does not write policies of this form: {what}"),
                request_id: None,
            });
        }
    };
    builder.build().map_err(unfit)
}

fn sdk_query(
    query: &MetricQuery,
) -> Result<TargetTrackingMetricDataQuery, aws_smithy_types::error::operation::BuildError> {
    TargetTrackingMetricDataQuery::builder()
        .id(&query.id)
        .set_metric_stat(query.metric.as_ref().map(sdk_stat).transpose()?)
        .set_expression(query.expression.clone())
        .set_label(query.label.clone())
        .return_data(query.return_data)
        .build()
}

/// A stored policy has no period: it always takes a minute.
fn sdk_stat(stat: &MetricStat) -> Result<TargetTrackingMetricStat, aws_smithy_types::error::operation::BuildError> {
    let dimension =
        |(name, value): (&String, &String)| TargetTrackingMetricDimension::builder().name(name).value(value).build();
    let dimensions = stat.dimensions.iter().map(dimension).collect::<Result<Vec<_>, _>>()?;
    let metric = TargetTrackingMetric::builder()
        .namespace(&stat.namespace)
        .metric_name(&stat.name)
        .set_dimensions(Some(dimensions).filter(|dimensions| !dimensions.is_empty()))
        .build();
    TargetTrackingMetricStat::builder()
        .metric(metric)
        .stat(&stat.statistic)
        .set_unit(stat.unit.clone())
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_suspended_in_part_is_neither_suspended_nor_not() {
        let state = |inwards, outwards, scheduled| {
            let state = SuspendedState::builder()
                .dynamic_scaling_in_suspended(inwards)
                .dynamic_scaling_out_suspended(outwards);
            state.scheduled_scaling_suspended(scheduled).build()
        };
        assert_eq!(suspension(None), Suspension::Nothing);
        assert_eq!(suspension(Some(&state(false, false, false))), Suspension::Nothing);
        assert_eq!(suspension(Some(&state(true, true, true))), Suspension::All);
        for part in [
            state(true, false, false),
            state(false, true, false),
            state(true, true, false),
        ] {
            assert_eq!(suspension(Some(&part)), Suspension::Part, "{part:?}");
        }
    }
}
