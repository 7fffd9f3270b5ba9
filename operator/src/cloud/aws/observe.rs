//! One observation: batched reads over all subjects, then what each of them needs beside.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aws_sdk_applicationautoscaling::types::ScalableTarget;
use aws_sdk_cloudwatch::types::MetricAlarm;
use aws_sdk_ecs::types::{Service as SdkService, Task};
use futures::FutureExt;
use penstock_crds::Name;

use crate::cloud::aws::{Aws, resource_id};
use crate::cloud::call::all;
use crate::cloud::ecs::{self, Batch, definition, deployment, failure, room};
use crate::cloud::scaling::Held;
use crate::cloud::{Error, alarms, metrics, scaling};
use crate::plan::owner::Holder;
use crate::plan::resources::{
    Deployment, DeploymentProgress, FOREIGN_DEFINITIONS, FOREIGN_SERVICE, FOREIGN_TARGET, Observed, Scaling,
    ServiceLife, Subject,
};

/// Reads what AWS holds for each subject.
pub(super) async fn observe(aws: &Aws, subjects: &[Subject]) -> BTreeMap<Name, Result<Observed, Error>> {
    let clusters: BTreeSet<_> = subjects.iter().map(|subject| subject.cluster.clone()).collect();
    let shared = futures::future::join4(
        ecs::services(aws, subjects),
        ecs::container_insights(aws, &clusters),
        scaling::targets(aws, subjects),
        alarms::described(aws, subjects),
    );
    let (mut services, insights, mut targets, mut alarms) = Box::pin(shared).await;
    let mut seen = Vec::new();
    for subject in subjects {
        let parts = taken(&mut services, subject).and_then(|service| {
            let container_insights = insights.get(&subject.cluster).cloned().transpose()?;
            Ok(Parts {
                service,
                target: taken(&mut targets, subject)?,
                alarms: taken(&mut alarms, subject)?,
                container_insights: container_insights.unwrap_or_default(),
            })
        });
        seen.push(observe_one(aws, subject, parts).boxed());
    }
    let seen = all(seen).await;
    let mut observed: BTreeMap<_, _> = subjects.iter().map(|subject| subject.name.clone()).zip(seen).collect();
    add_samples(aws, subjects, &mut observed).await;
    observed
}

/// What the batched reads found for one subject.
struct Parts {
    service: Option<SdkService>,
    target: Option<ScalableTarget>,
    alarms: Vec<MetricAlarm>,
    container_insights: bool,
}

fn taken<T>(batch: &mut Batch<T>, subject: &Subject) -> Result<T, Error> {
    let missing = || {
        Err(Error::Fail {
            operation: "observe".to_owned(),
            message: "asked about twice".to_owned(),
        })
    };
    batch.remove(&subject.name).unwrap_or_else(missing)
}

async fn observe_one(aws: &Aws, subject: &Subject, parts: Result<Parts, Error>) -> Result<Observed, Error> {
    let parts = parts?;
    let mut observed = Observed {
        account: aws.account().await?.to_owned(),
        region: aws.region.clone(),
        container_insights: parts.container_insights,
        ..Observed::default()
    };
    let service = parts
        .service
        .filter(|service| ecs::life(service) != ServiceLife::Absent);
    let holder = |service: &SdkService| aws.holder(subject, &ecs::tags(service.tags()));
    let theirs = service.as_ref().and_then(holder);
    let service = service.filter(|_| theirs.is_none());
    observed
        .foreign
        .extend(theirs.map(|holder| (FOREIGN_SERVICE.to_owned(), holder)));
    add_scaling(aws, subject, parts.target, service.is_some(), &mut observed).await?;
    add_alarms(aws, subject, &parts.alarms, &mut observed).await?;
    let family = definition::family(aws, subject).await?;
    (observed.revisions, observed.inactive_revisions) = (family.active, family.inactive);
    // Where we have a service, the family is ours, and whatever else stands there is of no use to anybody.
    let theirs = family.theirs.filter(|_| service.is_none());
    observed
        .foreign
        .extend(theirs.map(|holder| (FOREIGN_DEFINITIONS.to_owned(), holder)));
    match service {
        Some(service) => add_service(aws, subject, &service, &mut observed).await?,
        None => aws.caches.services.remove(&subject.name),
    }
    Ok(observed)
}

async fn add_service(aws: &Aws, subject: &Subject, service: &SdkService, observed: &mut Observed) -> Result<(), Error> {
    observed.life = ecs::life(service);
    observed.service_arn = service.service_arn.clone();
    observed.task_definition_arn = service.task_definition.clone();
    observed.counts = ecs::counts(service);
    if observed.life != ServiceLife::Active {
        return Ok(());
    }
    let arn = service.task_definition().unwrap_or_default();
    let ours = ecs::ours(service, definition::content_or_other(aws, arn).await?);
    aws.caches.services.put(subject.name.clone(), Arc::new(ours.clone()));
    observed.resources.service = Some(ours);
    observed.deployment = deployment::newest(aws, service).await?;
    observed.unplaced = room::reason(service);
    observed.steady_since = room::steady_since(service);
    if may_have_failed(observed) {
        // A deployment that failed has its cause in what was before ECS went back and was steady again.
        let got_over = observed.steady_since.filter(|_| is_settled(observed));
        let counts = |task: &Task| failure::is_after(task, got_over);
        observed.last_failure = told(subject, "failures", failure::newest(aws, subject, counts).await);
    }
    Ok(())
}

/// What only informs people keeps nothing from being repaired when it cannot be read.
fn told<T>(subject: &Subject, what: &str, read: Result<Option<T>, Error>) -> Option<T> {
    read.unwrap_or_else(|error| {
        tracing::warn!(connector = %subject.name, %error, what, "Not read; the status goes without");
        None
    })
}

/// A service that has all its tasks and no deployment in motion has nothing to explain; asking costs two calls.
fn may_have_failed(observed: &Observed) -> bool {
    observed.counts.running < observed.counts.desired || !is_settled(observed)
}

fn is_settled(observed: &Observed) -> bool {
    let is_completed = |one: &Deployment| one.progress == DeploymentProgress::Completed;
    observed.deployment.as_ref().is_none_or(is_completed)
}

/// A target belongs to whom its tags name; one that names nobody, to whom its service belongs.
async fn add_scaling(
    aws: &Aws,
    subject: &Subject,
    target: Option<ScalableTarget>,
    service_is_ours: bool,
    observed: &mut Observed,
) -> Result<(), Error> {
    let Some(target) = target else {
        aws.caches.targets.remove(&resource_id(subject));
        return Ok(());
    };
    aws.caches.targets.put(resource_id(subject), ());
    match scaling::holder(aws, subject, &target).await? {
        Held::ByUs => {}
        Held::ByNobody | Held::Unknown if service_is_ours => {}
        Held::ByOther(holder) => {
            observed.foreign.insert(FOREIGN_TARGET.to_owned(), holder);
            return Ok(());
        }
        Held::ByNobody => {
            observed.foreign.insert(FOREIGN_TARGET.to_owned(), Holder::default());
            return Ok(());
        }
        Held::Unknown => return Ok(()),
    }
    let scaling::Policies { own: policies, foreign } = scaling::policies(aws, subject).await?;
    observed.foreign_policies = foreign;
    let own_arn = target
        .scalable_target_arn
        .clone()
        .map(|arn| (subject.service_name(), arn));
    observed.arns.extend(own_arn);
    observed
        .arns
        .extend(policies.iter().map(|(name, (_, arn))| (name.clone(), arn.clone())));
    let policies = policies.into_iter().map(|(name, (policy, _))| (name, policy)).collect();
    observed.resources.scaling = Some(scaling::ours(&target, policies));
    observed.last_activity = told(subject, "activities", scaling::newest_activity(aws, subject).await);
    Ok(())
}

async fn add_alarms(
    aws: &Aws,
    subject: &Subject,
    alarms: &[MetricAlarm],
    observed: &mut Observed,
) -> Result<(), Error> {
    for alarm in alarms {
        let name = alarm.alarm_name().unwrap_or_default().to_owned();
        if let Some(holder) = alarms::holder(aws, subject, alarm).await? {
            observed.foreign.insert(name, holder);
            continue;
        }
        observed
            .arns
            .extend(alarm.alarm_arn.clone().map(|arn| (name.clone(), arn)));
        observed
            .resources
            .alarms
            .insert(name, alarms::ours(alarm, &observed.account));
    }
    Ok(())
}

/// Where Container Insights counts the tasks, the free count is not needed.
async fn add_samples(aws: &Aws, subjects: &[Subject], observed: &mut BTreeMap<Name, Result<Observed, Error>>) {
    let is_needed = |subject: &&Subject| {
        let seen = observed.get(&subject.name).and_then(|seen| seen.as_ref().ok());
        seen.is_some_and(|seen| {
            let Observed {
                resources,
                container_insights,
                ..
            } = seen;
            resources.service.is_some() && resources.scaling.as_ref().is_some_and(is_awake) && !container_insights
        })
    };
    let needed: Vec<_> = subjects.iter().filter(is_needed).collect();
    let samples = metrics::samples(aws, &needed).boxed().await;
    for (name, counts) in samples {
        if let Some(Ok(observed)) = observed.get_mut(&name) {
            observed.sample_counts = counts;
        }
    }
}

fn is_awake(scaling: &Scaling) -> bool {
    scaling.min > 0
}
