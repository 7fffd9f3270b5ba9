//! The operations on service deployments and service revisions.

use serde::Deserialize;
use serde_json::json;

use super::deployment::{Counts, Rollout};
use super::names::name_in;
use super::paging::{Page, page};
use super::record::RecordStatus;
use super::service::Service;
use super::services::service_not_found;
use super::wire::{failure, invalid, read};
use super::{Ecs, rollout};
use crate::model::{Answer, Call, Fault};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ListServiceDeployments {
    service: String,
    cluster: Option<String>,
    #[serde(default)]
    status: Vec<RecordStatus>,
    created_at: Option<CreatedAt>,
    next_token: Option<String>,
    max_results: Option<i32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CreatedAt {
    before: Option<f64>,
    after: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DescribeServiceDeployments {
    service_deployment_arns: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DescribeServiceRevisions {
    service_revision_arns: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct StopServiceDeployment {
    service_deployment_arn: String,
    #[serde(rename = "stopType", default)]
    _stop_type: StopType,
}

#[derive(Deserialize, Default)]
enum StopType {
    #[default]
    #[serde(rename = "ROLLBACK")]
    Rollback,
}

impl Ecs {
    pub(super) fn list_service_deployments(&self, call: &Call<'_>) -> Answer {
        let input: ListServiceDeployments = read(call)?;
        let cluster = self.cluster(call.scope, input.cluster.as_deref())?.name.clone();
        let name = name_in(call.scope, "service", &cluster, &input.service)?;
        let service = self.service(&cluster, name).ok_or_else(service_not_found)?;
        let is_in_time = |created: i64| {
            #[allow(clippy::cast_precision_loss)]
            let created = created as f64 / 1000.0;
            input.created_at.as_ref().is_none_or(|range| {
                range.before.is_none_or(|before| created < before) && range.after.is_none_or(|after| created > after)
            })
        };
        let mut entries: Vec<_> = service
            .records
            .iter()
            .filter(|record| input.status.is_empty() || input.status.contains(&record.status))
            .filter(|record| is_in_time(record.created))
            .map(|record| {
                (
                    format!("{:020}/{}", record.created, record.arn),
                    record.brief(&service.arn(), &service.cluster_arn()),
                )
            })
            .collect();
        entries.sort_by(|a, b| b.0.cmp(&a.0));
        let ask = Page {
            token: input.next_token.as_deref(),
            size: input.max_results,
            default_size: 20,
        };
        page("serviceDeployments", ask, true, entries)
    }

    pub(super) fn describe_service_deployments(&self, call: &Call<'_>) -> Answer {
        let input: DescribeServiceDeployments = read(call)?;
        check_count(&input.service_deployment_arns)?;
        let (mut found, mut failures) = (Vec::new(), Vec::new());
        for arn in &input.service_deployment_arns {
            let holder = self
                .services
                .values()
                .find_map(|service| Some((service, service.records.iter().find(|record| record.arn == *arn)?)));
            match holder {
                Some((service, record)) => {
                    let count = |revision: &str| self.count_of_revision(service, revision);
                    found.push(record.json(&service.arn(), &service.cluster_arn(), count));
                }
                None => failures.push(failure(arn, "MISSING")),
            }
        }
        Ok(json!({"serviceDeployments": found, "failures": failures}))
    }

    pub(super) fn describe_service_revisions(&self, call: &Call<'_>) -> Answer {
        let input: DescribeServiceRevisions = read(call)?;
        check_count(&input.service_revision_arns)?;
        let (mut found, mut failures) = (Vec::new(), Vec::new());
        for arn in &input.service_revision_arns {
            let holder = self
                .services
                .values()
                .find_map(|service| Some((service, service.revisions.iter().find(|revision| revision.arn == *arn)?)));
            match holder {
                Some((service, revision)) => found.push(revision.json(&service.arn(), &service.cluster_arn())),
                None => failures.push(failure(arn, "MISSING")),
            }
        }
        Ok(json!({"serviceRevisions": found, "failures": failures}))
    }

    pub(super) fn stop_service_deployment(&mut self, call: &Call<'_>) -> Answer {
        let input: StopServiceDeployment = read(call)?;
        let arn = &input.service_deployment_arn;
        let holder = self
            .services
            .values_mut()
            .find(|service| service.records.iter().any(|record| record.arn == *arn));
        let service = holder.ok_or_else(|| {
            Fault::client(
                "ServiceDeploymentNotFoundException",
                "The service deployment was not found.",
            )
        })?;
        let is_stoppable = service.primary().record == *arn
            && service.is_deploying()
            && service
                .record_mut(arn)
                .is_some_and(|record| record.rollback.is_none() && record.status.is_open());
        if !is_stoppable {
            return Err(conflict(
                "The service deployment is not in progress, so it cannot be stopped.",
            ));
        }
        if !service
            .deployments
            .iter()
            .skip(1)
            .any(|deployment| deployment.has_completed)
        {
            return Err(conflict("No rollback candidate was found to run the rollback."));
        }
        let stopped = service.primary_mut();
        stopped.rollout = Rollout::Failed;
        stopped.reason = format!("ECS deployment {} was stopped by a user.", stopped.id);
        let reason = "Service deployment rolled back because of a user initiated request.";
        let words = "ECS deployment: rolling back to deploymentId";
        rollout::roll_back(service, &mut self.ids, reason, words, call.now.fast);
        Ok(json!({"serviceDeploymentArn": arn}))
    }

    fn count_of_revision(&self, service: &Service, revision: &str) -> Counts {
        let deployment = service
            .deployments
            .iter()
            .find(|deployment| deployment.revision == revision);
        deployment.map_or_else(Counts::default, |deployment| {
            service.counts_of(&deployment.id, self.tasks.values())
        })
    }
}

fn conflict(message: &str) -> Fault {
    Fault::client("ConflictException", message)
}

fn check_count(arns: &[String]) -> Result<(), Fault> {
    match arns.len() {
        1..=20 => Ok(()),
        _ => Err(invalid("1 to 20 ARNs can be described at once.")),
    }
}
