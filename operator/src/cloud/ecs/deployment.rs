//! The newest deployment of a service: how far it is, why, and what it was to bring.

use std::sync::Arc;

use aws_sdk_ecs::types::{
    Deployment as SdkDeployment, DeploymentRolloutState, Service as SdkService, ServiceDeploymentBrief,
    ServiceDeploymentStatus,
};

use crate::cloud::Error;
use crate::cloud::aws::Aws;
use crate::cloud::budget::Category;
use crate::cloud::ecs::{constraints, definition, revision, strategies};
use crate::cloud::error::{NOT_IMPLEMENTED, one_line};
use crate::plan::resources::{Deployment, DeploymentProgress, Revision};

/// Pages of a hundred service deployments: ECS keeps those of the last 90 days.
const PAGES: usize = 5;

/// A finished deployment, and by what one can tell that it still is the newest.
#[derive(Debug, Clone)]
pub(in crate::cloud) struct Finished {
    fingerprint: Fingerprint,
    deployment: Arc<Deployment>,
}

/// What `DescribeServices` shows of deployments. A rollback may bring an earlier id back, but not its time.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Fingerprint {
    deployments: Vec<(String, Option<i128>)>,
    settled: bool,
}

/// Returns the newest deployment. The lasting record of it costs two more calls, which a finished one does not need.
pub(in crate::cloud) async fn newest(aws: &Aws, service: &SdkService) -> Result<Option<Deployment>, Error> {
    let arn = service.service_arn().unwrap_or_default().to_owned();
    let fingerprint = fingerprint(service);
    if let Some(known) = aws
        .caches
        .deployments
        .get(&arn)
        .filter(|known| known.fingerprint == fingerprint)
    {
        return Ok(Some(known.deployment.as_ref().clone()));
    }
    let listed = match list(aws, service).await {
        Err(Error::Refuse { code, .. }) if code == NOT_IMPLEMENTED => {
            return Ok(from_service(aws, service)
                .await?
                .map(|deployment| placed(deployment, service)));
        }
        other => other?,
    };
    let Some(brief) = listed
        .into_iter()
        .max_by_key(|brief| brief.created_at.map(|at| (at.secs(), at.subsec_nanos())))
    else {
        // The history covers 90 days; what has been quiet for longer is told by the service itself.
        return Ok(from_service(aws, service)
            .await?
            .map(|deployment| placed(deployment, service)));
    };
    let deployment = placed(from_brief(aws, &brief).await?, service);
    let is_over = matches!(
        deployment.progress,
        DeploymentProgress::Completed | DeploymentProgress::Failed
    );
    if is_over && fingerprint.settled {
        let finished = Finished {
            fingerprint,
            deployment: Arc::new(deployment.clone()),
        };
        aws.caches.deployments.put(arn, finished);
    }
    Ok(Some(deployment))
}

/// Placement belongs to the service, not to its revisions; without it no revision would equal the one that is wanted.
fn placed(mut deployment: Deployment, service: &SdkService) -> Deployment {
    if let Some(revision) = &mut deployment.revision {
        revision.placement_constraints = constraints(service.placement_constraints());
        revision.placement_strategies = strategies(service.placement_strategy());
    }
    deployment
}

fn fingerprint(service: &SdkService) -> Fingerprint {
    let settled = |one: &SdkDeployment| {
        matches!(
            one.rollout_state(),
            Some(DeploymentRolloutState::Completed | DeploymentRolloutState::Failed)
        )
    };
    let deployments = service.deployments();
    let told = |one: &SdkDeployment| {
        (
            one.id().unwrap_or_default().to_owned(),
            one.updated_at().map(|at| at.as_nanos()),
        )
    };
    Fingerprint {
        deployments: deployments.iter().map(told).collect(),
        settled: deployments.iter().all(settled),
    }
}

async fn list(aws: &Aws, service: &SdkService) -> Result<Vec<ServiceDeploymentBrief>, Error> {
    let (mut found, mut token) = (Vec::new(), None);
    for _ in 0..PAGES {
        let request = aws
            .read
            .ecs
            .list_service_deployments()
            .set_service(service.service_arn.clone())
            .set_cluster(service.cluster_arn.clone())
            .max_results(100)
            .set_next_token(token);
        let answer = aws
            .call(Category::DeploymentRead, "ListServiceDeployments", request.send())
            .await?;
        found.extend(answer.service_deployments.unwrap_or_default());
        token = answer.next_token;
        if token.is_none() {
            break;
        }
    }
    Ok(found)
}

async fn from_brief(aws: &Aws, brief: &ServiceDeploymentBrief) -> Result<Deployment, Error> {
    let revision = match brief.target_service_revision_arn() {
        Some(arn) => service_revision(aws, arn).await?,
        None => None,
    };
    Ok(Deployment {
        id: brief.service_deployment_arn().unwrap_or_default().to_owned(),
        progress: brief.status().map_or(DeploymentProgress::InProgress, progress),
        reason: brief.status_reason().map(one_line).filter(|reason| !reason.is_empty()),
        revision,
    })
}

fn progress(status: &ServiceDeploymentStatus) -> DeploymentProgress {
    use ServiceDeploymentStatus as Status;
    match status {
        Status::Successful => DeploymentProgress::Completed,
        Status::StopRequested | Status::RollbackRequested | Status::RollbackInProgress => {
            DeploymentProgress::RollingBack
        }
        Status::RollbackSuccessful | Status::RollbackFailed | Status::Stopped => DeploymentProgress::Failed,
        // PENDING, IN_PROGRESS, and what AWS may add: not over yet.
        _ => DeploymentProgress::InProgress,
    }
}

/// Reads a service revision, which never changes.
async fn service_revision(aws: &Aws, arn: &str) -> Result<Option<Revision>, Error> {
    if let Some(known) = aws.caches.revisions.get(&arn.to_owned()) {
        return Ok(Some(known.as_ref().clone()));
    }
    let request = aws.read.ecs.describe_service_revisions().service_revision_arns(arn);
    let answer = match aws
        .call(Category::RevisionRead, "DescribeServiceRevisions", request.send())
        .await
    {
        Err(Error::Refuse { code, .. }) if code == NOT_IMPLEMENTED => return Ok(None),
        other => other?,
    };
    let Some(found) = answer.service_revisions().first() else {
        return Ok(None);
    };
    let task_definition = definition::content_or_other(aws, found.task_definition().unwrap_or_default()).await?;
    let revision = revision(
        task_definition,
        found.network_configuration(),
        found.launch_type(),
        found.capacity_provider_strategy(),
    );
    aws.caches.revisions.put(arn.to_owned(), Arc::new(revision.clone()));
    Ok(Some(revision))
}

/// Reads the newest deployment off the service, for whoever keeps no lasting record of deployments.
async fn from_service(aws: &Aws, service: &SdkService) -> Result<Option<Deployment>, Error> {
    let deployments = service.deployments();
    let failed = deployments
        .iter()
        .find(|one| one.rollout_state() == Some(&DeploymentRolloutState::Failed));
    let primary = deployments.iter().find(|one| one.status() == Some("PRIMARY"));
    let Some(newest) = failed.or(primary) else {
        return Ok(None);
    };
    let is_primary = newest.status() == Some("PRIMARY");
    let progress = match newest.rollout_state() {
        Some(DeploymentRolloutState::Failed) if is_primary => DeploymentProgress::Failed,
        Some(DeploymentRolloutState::Failed) => DeploymentProgress::RollingBack,
        Some(DeploymentRolloutState::InProgress) => DeploymentProgress::InProgress,
        Some(_) => DeploymentProgress::Completed,
        None if newest.running_count < newest.desired_count => DeploymentProgress::InProgress,
        None => DeploymentProgress::Completed,
    };
    let task_definition = definition::content_or_other(aws, newest.task_definition().unwrap_or_default()).await?;
    let network = newest.network_configuration();
    let revision = revision(
        task_definition,
        network,
        newest.launch_type(),
        newest.capacity_provider_strategy(),
    );
    Ok(Some(Deployment {
        id: newest.id().unwrap_or_default().to_owned(),
        progress,
        reason: newest
            .rollout_state_reason()
            .map(one_line)
            .filter(|reason| !reason.is_empty()),
        revision: Some(revision),
    }))
}
