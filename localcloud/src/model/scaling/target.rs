//! Scalable targets: the range that a service's count may move in.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::decide::Cooldown;
use super::policy::Policy;
use super::{DIMENSION, NAMESPACE, Scaling, VALIDATION, check_filter, check_resource, missing_target, refused};
use crate::model::cloudwatch::AlarmChange;
use crate::model::cloudwatch::wire::{members, page, read, seconds};
use crate::model::{Answer, Call, Fault, Millis, Scope};

/// The largest page of targets, and the size of one that does not say.
const PAGE: usize = 50;
/// "The maximum number of tags that you can have per resource."
const TAGS_LIMIT: usize = 50;

/// One scalable target.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Target {
    /// The lower bound.
    pub minimum: i32,
    /// The upper bound.
    pub maximum: i32,
    /// What is suspended.
    pub suspended: Suspended,
    /// Its ARN.
    pub arn: String,
    /// When it was first registered.
    pub created: Millis,
    /// What people put on it.
    pub tags: BTreeMap<String, String>,
    /// Its policies by name.
    pub policies: BTreeMap<String, Policy>,
    /// What follows the last activity of a policy.
    pub cooldown: Option<Cooldown>,
    /// The alarm and reason of the refusal that was reported last, so that a standing alarm is reported once.
    pub refusal: Option<(String, String)>,
}

/// Which scaling is suspended; there are no scheduled actions here that the last one could hold back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Suspended {
    /// Nothing is removed.
    pub dynamic_scaling_in_suspended: bool,
    /// Nothing is added.
    pub dynamic_scaling_out_suspended: bool,
    /// No scheduled action begins.
    pub scheduled_scaling_suspended: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct SuspendedChange {
    dynamic_scaling_in_suspended: Option<bool>,
    dynamic_scaling_out_suspended: Option<bool>,
    scheduled_scaling_suspended: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Register {
    service_namespace: String,
    resource_id: String,
    scalable_dimension: String,
    min_capacity: Option<i32>,
    max_capacity: Option<i32>,
    #[serde(rename = "RoleARN")]
    role_arn: Option<String>,
    suspended_state: Option<SuspendedChange>,
    tags: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Deregister {
    service_namespace: String,
    resource_id: String,
    scalable_dimension: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Describe {
    service_namespace: String,
    resource_ids: Option<Vec<String>>,
    scalable_dimension: Option<String>,
    max_results: Option<usize>,
    next_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Tagging {
    #[serde(rename = "ResourceARN")]
    resource_arn: String,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(default)]
    tag_keys: Vec<String>,
}

impl Scaling {
    /// Answers `RegisterScalableTarget`. Every call forces the live count into the range, even one that only suspends.
    pub(super) fn register(&mut self, call: &Call<'_>) -> Answer {
        let wanted: Register = read(call.input, VALIDATION)?;
        check_resource(
            &wanted.service_namespace,
            &wanted.resource_id,
            &wanted.scalable_dimension,
        )?;
        let noted = self
            .noted
            .take()
            .filter(|(resource, _)| *resource == wanted.resource_id);
        let missing = || refused(format!("ECS service doesn't exist: {}", wanted.resource_id));
        let (desired, _running) = noted.and_then(|(_, counts)| counts).ok_or_else(missing)?;
        if wanted.role_arn.as_ref().is_some_and(|arn| *arn != role_arn(call.scope)) {
            let message = format!(
                "RoleARN: only the service-linked role {} is modelled here",
                role_arn(call.scope)
            );
            return Err(refused(message));
        }
        let (minimum, maximum) = self.bounds(&wanted)?;
        let resource_id = wanted.resource_id.clone();
        let answer = self.store(wanted, minimum, maximum, call)?;
        self.clamp(&resource_id, desired, minimum, maximum, call.now.fast);
        Ok(answer)
    }

    fn bounds(&self, wanted: &Register) -> Result<(i32, i32), Fault> {
        let known = self.targets.get(&wanted.resource_id);
        let needed = |name: &str| refused(format!("{name} is required when a new scalable target is registered"));
        let minimum = wanted
            .min_capacity
            .or(known.map(|target| target.minimum))
            .ok_or_else(|| needed("MinCapacity"))?;
        let maximum = wanted
            .max_capacity
            .or(known.map(|target| target.maximum))
            .ok_or_else(|| needed("MaxCapacity"))?;
        if minimum < 0 {
            return Err(refused("MinCapacity must be 0 or greater"));
        }
        if minimum > maximum {
            return Err(refused("Maximum capacity cannot be less than minimum capacity"));
        }
        Ok((minimum, maximum))
    }

    /// Creates the target, or changes what is named and nothing else.
    fn store(&mut self, wanted: Register, minimum: i32, maximum: i32, call: &Call<'_>) -> Answer {
        let change = wanted.suspended_state;
        if let Some(target) = self.targets.get_mut(&wanted.resource_id) {
            if wanted.tags.is_some() {
                return Err(refused("Tags: the scalable target exists; to tag it, use TagResource"));
            }
            (target.minimum, target.maximum) = (minimum, maximum);
            target.suspended = target.suspended.changed(change.as_ref());
            return Ok(json!({"ScalableTargetARN": target.arn}));
        }
        let tags = wanted.tags.unwrap_or_default();
        if tags.len() > TAGS_LIMIT {
            return Err(refused("Tags: a scalable target can have at most 50 tags"));
        }
        let id = self.ids.text(34, "0123456789abcdef");
        let arn = call
            .scope
            .arn("application-autoscaling", &format!("scalable-target/{id}"));
        let target = Target {
            minimum,
            maximum,
            suspended: Suspended::default().changed(change.as_ref()),
            arn: arn.clone(),
            created: call.now.fast,
            tags,
            policies: BTreeMap::new(),
            cooldown: None,
            refusal: None,
        };
        self.targets.insert(wanted.resource_id, target);
        Ok(json!({"ScalableTargetARN": arn}))
    }

    fn clamp(&mut self, resource_id: &str, desired: i32, minimum: i32, maximum: i32, now: Millis) {
        let clamped = desired.clamp(minimum, maximum);
        if clamped == desired {
            return;
        }
        let bound = if clamped == minimum && desired < minimum {
            "minimum"
        } else {
            "maximum"
        };
        let cause = format!("{bound} capacity was set to {clamped}");
        let id = self.ids.uuid();
        self.activities.scaled(id, resource_id, clamped, cause, now);
        self.count_changes.push((resource_id.to_owned(), clamped));
    }

    /// Answers `DeregisterScalableTarget`, which takes the policies and their alarms along.
    pub(super) fn deregister(&mut self, input: &Value) -> Answer {
        let wanted: Deregister = read(input, VALIDATION)?;
        check_resource(
            &wanted.service_namespace,
            &wanted.resource_id,
            &wanted.scalable_dimension,
        )?;
        let target = self
            .targets
            .remove(&wanted.resource_id)
            .ok_or_else(|| missing_target(&wanted.resource_id))?;
        let alarms = target.policies.values().flat_map(Policy::alarm_names);
        self.alarm_changes
            .extend(alarms.map(|name| AlarmChange::Delete(name.clone())));
        Ok(json!({}))
    }

    /// Answers `DescribeScalableTargets`.
    pub(super) fn describe_targets(&self, call: &Call<'_>) -> Answer {
        let wanted: Describe = read(call.input, VALIDATION)?;
        let ids = wanted.resource_ids.filter(|ids| !ids.is_empty());
        let first = ids.as_ref().and_then(|ids| ids.first()).map(String::as_str);
        check_filter(&wanted.service_namespace, first, wanted.scalable_dimension.as_deref())?;
        let found = self
            .targets
            .iter()
            .filter(|(id, _)| ids.as_ref().is_none_or(|ids| ids.contains(id)));
        let described = found.map(|(id, target)| (id.clone(), target.describe(id, call.scope)));
        let limit = wanted.max_results.unwrap_or(PAGE).min(PAGE);
        let (targets, next) = page(
            described,
            wanted.next_token.as_deref(),
            limit,
            "InvalidNextTokenException",
        )?;
        let mut answer = json!({"ScalableTargets": targets});
        if let (Some(next), Some(members)) = (next, answer.as_object_mut()) {
            members.insert("NextToken".to_owned(), json!(next));
        }
        Ok(answer)
    }

    /// Answers `TagResource`.
    pub(super) fn tag(&mut self, input: &Value) -> Answer {
        let wanted: Tagging = read(input, VALIDATION)?;
        let target = self.by_arn(&wanted.resource_arn)?;
        let mut tags = target.tags.clone();
        tags.extend(wanted.tags);
        if tags.len() > TAGS_LIMIT {
            return Err(Fault::client(
                "TooManyTagsException",
                "Tags: a scalable target can have at most 50 tags",
            ));
        }
        target.tags = tags;
        Ok(json!({}))
    }

    /// Answers `UntagResource`.
    pub(super) fn untag(&mut self, input: &Value) -> Answer {
        let wanted: Tagging = read(input, VALIDATION)?;
        self.by_arn(&wanted.resource_arn)?
            .tags
            .retain(|key, _| !wanted.tag_keys.contains(key));
        Ok(json!({}))
    }

    /// Answers `ListTagsForResource`.
    pub(super) fn list_tags(&mut self, input: &Value) -> Answer {
        let wanted: Tagging = read(input, VALIDATION)?;
        Ok(json!({"Tags": self.by_arn(&wanted.resource_arn)?.tags}))
    }

    fn by_arn(&mut self, arn: &str) -> Result<&mut Target, Fault> {
        let missing = || {
            Fault::client(
                "ResourceNotFoundException",
                format!("No scalable target has the ARN {arn}"),
            )
        };
        self.targets
            .values_mut()
            .find(|target| target.arn == arn)
            .ok_or_else(missing)
    }
}

impl Target {
    fn describe(&self, resource_id: &str, scope: &Scope) -> Value {
        json!({
            "ServiceNamespace": NAMESPACE,
            "ResourceId": resource_id,
            "ScalableDimension": DIMENSION,
            "MinCapacity": self.minimum,
            "MaxCapacity": self.maximum,
            "RoleARN": role_arn(scope),
            "CreationTime": seconds(self.created),
            "SuspendedState": members(&self.suspended),
            "ScalableTargetARN": self.arn,
        })
    }
}

impl Suspended {
    /// Changes what is named; "any parameters that you don't specify are not changed".
    fn changed(mut self, change: Option<&SuspendedChange>) -> Self {
        let Some(change) = change else { return self };
        self.dynamic_scaling_in_suspended = change
            .dynamic_scaling_in_suspended
            .unwrap_or(self.dynamic_scaling_in_suspended);
        self.dynamic_scaling_out_suspended = change
            .dynamic_scaling_out_suspended
            .unwrap_or(self.dynamic_scaling_out_suspended);
        self.scheduled_scaling_suspended = change
            .scheduled_scaling_suspended
            .unwrap_or(self.scheduled_scaling_suspended);
        self
    }
}

/// Returns the role that ECS targets go by.
fn role_arn(scope: &Scope) -> String {
    let role =
        "aws-service-role/ecs.application-autoscaling.amazonaws.com/AWSServiceRoleForApplicationAutoScaling_ECSService";
    scope.global_arn("iam", &format!("role/{role}"))
}
