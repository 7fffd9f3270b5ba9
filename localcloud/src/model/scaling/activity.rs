//! What was scaled, and what was not and why: kept for six weeks of the fast clock, as `DescribeScalingActivities` promises.

use std::collections::VecDeque;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{DIMENSION, NAMESPACE, VALIDATION, check_filter};
use crate::model::cloudwatch::wire::{page, read, seconds};
use crate::model::{Answer, Millis};

/// "Scaling activities in the specified namespace from the previous six weeks."
const RETENTION: Millis = 6 * 7 * 24 * 60 * 60_000;
/// How many activities are kept, whatever their age.
const ACTIVITIES_LIMIT: usize = 5_000;
/// The largest page, and the size of one that does not say.
const PAGE: usize = 50;

/// How far an activity is; the names are those of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// The service was told and is not there yet.
    InProgress,
    /// It is there.
    Successful,
    /// A newer change came before it was there.
    Overridden,
    /// It was not there in time.
    Unfulfilled,
    /// Nothing was changed.
    Failed,
}

/// Why a triggered policy changed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotScaled {
    /// The count is the maximum.
    Maximum(i32),
    /// The count is the minimum.
    Minimum(i32),
    /// The policy wants what is there.
    Desired(i32),
}

/// One activity.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Activity {
    /// Grows with every activity.
    pub number: u64,
    /// Its id.
    pub id: String,
    /// Such as `service/main/orders`.
    pub resource_id: String,
    /// The count that was set; none if nothing was.
    pub desired: Option<i32>,
    /// What set it off.
    pub cause: String,
    /// When.
    pub started: Millis,
    /// When it was over.
    pub ended: Option<Millis>,
    /// How far it is.
    pub status: Status,
    /// Why nothing was changed.
    pub not_scaled: Option<NotScaled>,
}

/// The activities of a region, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Activities {
    list: VecDeque<Activity>,
    next: u64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Describe {
    service_namespace: String,
    resource_id: Option<String>,
    scalable_dimension: Option<String>,
    max_results: Option<usize>,
    next_token: Option<String>,
    #[serde(default)]
    include_not_scaled_activities: bool,
}

impl Activities {
    /// Notes that a count was set; what was still under way for the resource is overridden.
    pub(super) fn scaled(&mut self, id: String, resource_id: &str, desired: i32, cause: String, now: Millis) {
        for activity in self
            .list
            .iter_mut()
            .filter(|activity| activity.resource_id == resource_id)
        {
            activity.end(Status::Overridden, now);
        }
        self.add(id, resource_id, Some(desired), cause, now);
    }

    /// Notes that a policy was triggered and changed nothing.
    pub(super) fn not_scaled(&mut self, id: String, resource_id: &str, reason: NotScaled, cause: String, now: Millis) {
        self.add(id, resource_id, None, cause, now);
        if let Some(activity) = self.list.back_mut() {
            (activity.status, activity.not_scaled) = (Status::Failed, Some(reason));
        }
    }

    /// Ends what is under way for the resource as `outcome` says of the count it wants; says whether something ended.
    pub(super) fn settle(
        &mut self,
        resource_id: &str,
        now: Millis,
        outcome: impl Fn(i32, Millis) -> Option<Status>,
    ) -> bool {
        let mut settled = false;
        for activity in self
            .list
            .iter_mut()
            .filter(|activity| activity.resource_id == resource_id)
        {
            let Some(desired) = activity.desired.filter(|_| activity.status == Status::InProgress) else {
                continue;
            };
            if let Some(status) = outcome(desired, activity.started) {
                activity.end(status, now);
                settled = true;
            }
        }
        settled
    }

    /// Answers `DescribeScalingActivities`, the newest first.
    ///
    /// # Errors
    /// When a member or the token cannot be taken.
    pub(super) fn describe(&self, input: &Value) -> Answer {
        let wanted: Describe = read(input, VALIDATION)?;
        check_filter(
            &wanted.service_namespace,
            wanted.resource_id.as_deref(),
            wanted.scalable_dimension.as_deref(),
        )?;
        let covers = |activity: &&Activity| {
            wanted.resource_id.as_ref().is_none_or(|id| *id == activity.resource_id)
                && (activity.not_scaled.is_none() || wanted.include_not_scaled_activities)
        };
        let found = self.list.iter().rev().filter(covers);
        // Page keys grow along the page order, which begins with the newest.
        let keyed = found.map(|activity| (format!("{:020}", u64::MAX - activity.number), activity.describe()));
        let limit = wanted.max_results.unwrap_or(PAGE).min(PAGE);
        let (activities, next) = page(keyed, wanted.next_token.as_deref(), limit, "InvalidNextTokenException")?;
        let mut answer = json!({"ScalingActivities": activities});
        if let (Some(next), Some(members)) = (next, answer.as_object_mut()) {
            members.insert("NextToken".to_owned(), json!(next));
        }
        Ok(answer)
    }

    fn add(&mut self, id: String, resource_id: &str, desired: Option<i32>, cause: String, now: Millis) {
        self.list.push_back(Activity {
            number: self.next,
            id,
            resource_id: resource_id.to_owned(),
            desired,
            cause,
            started: now,
            ended: None,
            status: Status::InProgress,
            not_scaled: None,
        });
        self.next += 1;
        let is_stale = |activity: &Activity| activity.started < now - RETENTION;
        while self.list.len() > ACTIVITIES_LIMIT || self.list.front().is_some_and(is_stale) {
            self.list.pop_front();
        }
    }
}

impl Activity {
    fn end(&mut self, status: Status, now: Millis) {
        if self.status == Status::InProgress {
            (self.status, self.ended) = (status, Some(now));
        }
    }

    fn describe(&self) -> Value {
        let description = match self.desired {
            Some(desired) => format!("Setting desired count to {desired}."),
            None => "Attempting to scale due to alarm triggered".to_owned(),
        };
        let mut described = json!({
            "ActivityId": self.id,
            "ServiceNamespace": NAMESPACE,
            "ResourceId": self.resource_id,
            "ScalableDimension": DIMENSION,
            "Description": description,
            "Cause": self.cause,
            "StartTime": seconds(self.started),
            "StatusCode": format!("{:?}", self.status),
        });
        let Value::Object(members) = &mut described else {
            return described;
        };
        members.extend(
            self.message()
                .map(|message| ("StatusMessage".to_owned(), json!(message))),
        );
        members.extend(self.ended.map(|ended| ("EndTime".to_owned(), seconds(ended))));
        members.extend(
            self.not_scaled
                .map(|reason| ("NotScaledReasons".to_owned(), json!([reason.describe()]))),
        );
        described
    }

    fn message(&self) -> Option<String> {
        let desired = self.desired?;
        let rest = match self.status {
            Status::InProgress => "Waiting for change to be fulfilled by ecs.",
            Status::Successful => "Change successfully fulfilled by ecs.",
            Status::Overridden => "Change overridden by a newer one.",
            Status::Unfulfilled | Status::Failed => "Change not fulfilled by ecs in time.",
        };
        Some(format!("Successfully set desired count to {desired}. {rest}"))
    }
}

impl NotScaled {
    fn describe(self) -> Value {
        match self {
            Self::Maximum(maximum) => json!({"Code": "AlreadyAtMaxCapacity", "MaxCapacity": maximum}),
            Self::Minimum(minimum) => json!({"Code": "AlreadyAtMinCapacity", "MinCapacity": minimum}),
            Self::Desired(current) => {
                json!({"Code": "AlreadyAtDesiredCapacity", "CurrentCapacity": current})
            }
        }
    }
}
