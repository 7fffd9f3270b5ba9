//! Tags of clusters, services, task definitions and tasks, by ARN.

use serde::Deserialize;
use serde_json::json;

use super::Ecs;
use super::names::path;
use super::service::Status;
use super::wire::{Tag, check_tags, invalid, read, to_json};
use crate::model::{Answer, Call, Fault, Scope};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TagResource {
    resource_arn: String,
    tags: Vec<Tag>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct UntagResource {
    resource_arn: String,
    tag_keys: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ListTagsForResource {
    resource_arn: String,
}

impl Ecs {
    pub(super) fn tag_resource(&mut self, call: &Call<'_>) -> Answer {
        let input: TagResource = read(call)?;
        check_tags(&input.tags)?;
        let tags = self.tags_mut(call.scope, &input.resource_arn)?;
        let kept = tags
            .iter()
            .filter(|tag| input.tags.iter().all(|new| new.key != tag.key))
            .cloned();
        let merged: Vec<Tag> = kept.chain(input.tags.iter().cloned()).collect();
        if merged.len() > 50 {
            return Err(invalid("Too many tags: a resource can have at most 50."));
        }
        *tags = merged;
        Ok(json!({}))
    }

    pub(super) fn untag_resource(&mut self, call: &Call<'_>) -> Answer {
        let input: UntagResource = read(call)?;
        self.tags_mut(call.scope, &input.resource_arn)?
            .retain(|tag| !input.tag_keys.contains(&tag.key));
        Ok(json!({}))
    }

    pub(super) fn list_tags_for_resource(&mut self, call: &Call<'_>) -> Answer {
        let input: ListTagsForResource = read(call)?;
        Ok(json!({"tags": to_json(self.tags_mut(call.scope, &input.resource_arn)?)}))
    }

    fn tags_mut(&mut self, scope: &Scope, arn: &str) -> Result<&mut Vec<Tag>, Fault> {
        let kind = arn
            .splitn(6, ':')
            .nth(5)
            .and_then(|resource| resource.split('/').next())
            .unwrap_or_default();
        let path = path(scope, kind, arn)?;
        match kind {
            "cluster" => {
                let cluster = self
                    .clusters
                    .get_mut(path)
                    .filter(|cluster| cluster.status == Status::Active);
                cluster
                    .map(|cluster| &mut cluster.tags)
                    .ok_or_else(|| Fault::client("ClusterNotFoundException", "Cluster not found."))
            }
            "service" => {
                let (cluster, name) = path.split_once('/').unwrap_or(("default", path));
                let key = (cluster.to_owned(), name.to_owned());
                let service = self
                    .services
                    .get_mut(&key)
                    .filter(|service| service.status != Status::Inactive);
                service
                    .map(|service| &mut service.tags)
                    .ok_or_else(|| not_found("service"))
            }
            "task-definition" => self
                .definition_mut(path)
                .map(|definition| &mut definition.tags)
                .ok_or_else(|| not_found("task definition")),
            "task" => {
                let task = self.tasks.get_mut(arn).filter(|task| !task.is_stopped());
                task.map(|task| &mut task.tags).ok_or_else(|| not_found("task"))
            }
            _ => Err(invalid(
                "Unable to parse ARN: localcloud tags clusters, services, task definitions and tasks.",
            )),
        }
    }
}

fn not_found(kind: &str) -> Fault {
    invalid(format!(
        "The specified {kind} is not found. Specify a valid ARN and try again."
    ))
}
