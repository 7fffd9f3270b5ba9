//! Cloud over a map, for tests: what a call does to what AWS holds, and failures on demand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use penstock_crds::{Name, SqsSource};

use crate::cloud::{Cloud, Error, Owned, Receipt};
use crate::plan::action::Action;
use crate::plan::owner::DEFAULT_NAME;
use crate::plan::resources::{
    Counts, Deployment, DeploymentProgress, Observed, QueueDepth, RegisteredRevision, Resources, Scaling, Service,
    ServiceLife, Subject, Suspension, TAG_UID, TaskDefinition, TaskHealth, Tasks,
};

/// AWS as a map from connector to what it holds.
#[derive(Debug, Default)]
pub struct Fake {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    by_name: BTreeMap<Name, Observed>,
    queue: Option<QueueDepth>,
    next_queue: Option<QueueDepth>,
    queue_denied: bool,
    calls: Vec<String>,
    allowed: Option<usize>,
    lose_reply: bool,
    tokens: BTreeSet<String>,
    creates: usize,
    frozen: Option<BTreeMap<Name, Observed>>,
    refused: Option<String>,
    looks_at_tasks: usize,
    observations: usize,
    silent_queues: BTreeSet<String>,
    denied_clusters: BTreeSet<String>,
    backlogs: Vec<(Name, f64)>,
}

impl Fake {
    /// Returns what is held for a connector.
    pub fn observed(&self, name: &Name) -> Observed {
        self.lock().by_name.get(name).cloned().unwrap_or_else(nothing)
    }

    /// Changes what is held, as somebody else would.
    pub fn meddle(&self, name: &Name, change: impl FnOnce(&mut Observed)) {
        change(self.lock().by_name.entry(name.clone()).or_insert_with(nothing));
    }

    /// Sets the queue that every source reads.
    pub fn set_queue(&self, depth: QueueDepth) {
        self.lock().queue = Some(depth);
    }

    /// Lets the queue be read once as it is, and as `depth` from then on.
    pub fn set_queue_from_the_second_read(&self, depth: QueueDepth) {
        self.lock().next_queue = Some(depth);
    }

    /// Lets nobody read the queue, or everybody again.
    pub fn deny_queue(&self, denied: bool) {
        self.lock().queue_denied = denied;
    }

    /// Lets this many changing calls through and fails the next one, before its effect or after it.
    pub fn fail_after(&self, allowed: usize, lose_reply: bool) {
        let mut inner = self.lock();
        (inner.allowed, inner.lose_reply) = (Some(allowed), lose_reply);
    }

    /// Lets every call through again.
    pub fn heal(&self) {
        self.lock().allowed = None;
    }

    /// Refuses every call whose words contain these, without effect.
    pub fn refuse(&self, words: &str) {
        self.lock().refused = Some(words.to_owned());
    }

    /// Returns how often the health of tasks was read.
    pub fn looks_at_tasks(&self) -> usize {
        self.lock().looks_at_tasks
    }

    /// Returns how often a connector was observed.
    pub fn observations(&self) -> usize {
        self.lock().observations
    }

    /// Lets the queue of that URL never answer.
    pub fn silence_queue(&self, url: &str) {
        self.lock().silent_queues.insert(url.to_owned());
    }

    /// Lets every queue answer again.
    pub fn let_queues_answer(&self) {
        self.lock().silent_queues.clear();
    }

    /// Lets nobody list the services of these clusters.
    pub fn deny_clusters(&self, clusters: &[&str]) {
        self.lock().denied_clusters = clusters.iter().map(ToString::to_string).collect();
    }

    /// Returns the backlogs that were published, and forgets them.
    pub fn take_backlogs(&self) -> Vec<(Name, f64)> {
        std::mem::take(&mut self.lock().backlogs)
    }

    /// Returns the changing calls so far, and forgets them.
    pub fn take_calls(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().calls)
    }

    /// Returns how many services were really created.
    pub fn creates(&self) -> usize {
        self.lock().creates
    }

    /// Lets every look from now on see what is held now, as a describe right after a change may.
    pub fn freeze(&self) {
        let mut inner = self.lock();
        inner.frozen = Some(inner.by_name.clone());
    }

    /// Lets looks see what is held.
    pub fn thaw(&self) {
        self.lock().frozen = None;
    }

    /// Ends what is in motion: deployments complete, services finish draining, desired tasks run.
    pub fn settle(&self) {
        for observed in self.lock().by_name.values_mut() {
            settle(observed);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An observation that found nothing, in the account and region of the tests.
pub fn nothing() -> Observed {
    Observed {
        account: "123456789012".to_owned(),
        region: "eu-west-1".to_owned(),
        ..Default::default()
    }
}

/// Ends what is in motion for one connector.
pub fn settle(observed: &mut Observed) {
    if observed.life == ServiceLife::Draining {
        observed.life = ServiceLife::Absent;
        observed.counts = Counts::default();
    }
    if observed.life == ServiceLife::Active {
        observed.counts.running = observed.counts.desired;
        observed.counts.pending = 0;
    }
    if let Some(deployment) = observed
        .deployment
        .as_mut()
        .filter(|one| one.progress == DeploymentProgress::InProgress)
    {
        deployment.progress = DeploymentProgress::Completed;
    }
}

impl Cloud for Fake {
    async fn observe(&self, subjects: &[Subject]) -> BTreeMap<Name, Result<Observed, Error>> {
        let mut inner = self.lock();
        inner.observations += subjects.len();
        let seen = inner.frozen.as_ref().unwrap_or(&inner.by_name);
        let look = |subject: &Subject| Observed {
            tasks: Tasks::Unasked,
            ..seen.get(&subject.name).cloned().unwrap_or_else(nothing)
        };
        subjects
            .iter()
            .map(|subject| (subject.name.clone(), Ok(look(subject))))
            .collect()
    }

    /// What was laid down by [`Fake::meddle`]; else every task that runs is healthy.
    async fn tasks(&self, subject: &Subject, _: &str, _: Option<Timestamp>) -> Result<TaskHealth, Error> {
        let mut inner = self.lock();
        inner.looks_at_tasks += 1;
        let observed = inner.by_name.get(&subject.name).cloned().unwrap_or_else(nothing);
        let operation = "ListTasks".to_owned();
        match observed.tasks {
            Tasks::Seen(seen) => Ok(seen),
            Tasks::Unasked => Ok(TaskHealth {
                healthy: observed.counts.running,
                ..TaskHealth::default()
            }),
            Tasks::Unknown { denied: true, why } => Err(Error::Deny {
                operation,
                message: why,
                request_id: None,
            }),
            Tasks::Unknown { why, .. } => Err(Error::Reach { operation, reason: why }),
        }
    }

    async fn running(&self, subjects: &[Subject]) -> BTreeMap<Name, Result<i32, Error>> {
        let inner = self.lock();
        let count = |subject: &Subject| inner.by_name.get(&subject.name).map_or(0, |seen| seen.counts.running);
        subjects
            .iter()
            .map(|subject| (subject.name.clone(), Ok(count(subject))))
            .collect()
    }

    async fn queue(&self, source: &SqsSource, _: Option<u64>) -> Result<QueueDepth, Error> {
        if self.lock().silent_queues.contains(&source.queue_url) {
            std::future::pending::<()>().await;
        }
        let mut inner = self.lock();
        if inner.queue_denied {
            return Err(denied_call("GetQueueAttributes"));
        }
        let depth = inner.queue.unwrap_or_default();
        inner.queue = inner.next_queue.take().or(inner.queue);
        Ok(depth)
    }

    async fn apply(&self, subject: &Subject, action: &Action, registered: Option<&str>) -> Result<Receipt, Error> {
        let mut inner = self.lock();
        let lost = Error::Reach {
            operation: action.operation().to_owned(),
            reason: "cut".to_owned(),
        };
        let text = action.to_string();
        if inner.refused.as_ref().is_some_and(|words| text.contains(words)) {
            return Err(Error::Refuse {
                operation: action.operation().to_owned(),
                code: "InvalidParameterException".to_owned(),
                message: "not today".to_owned(),
                request_id: None,
            });
        }
        let fails = inner.allowed == Some(0);
        if fails && !inner.lose_reply {
            return Err(lost);
        }
        inner.allowed = inner.allowed.map(|allowed| allowed.saturating_sub(1));
        inner.calls.push(text);
        if let Action::CreateService { token, .. } = action
            && inner.tokens.insert(token.clone())
        {
            inner.creates += 1;
        }
        let observed = inner.by_name.entry(subject.name.clone()).or_insert_with(nothing);
        let arn = after(observed, action, registered);
        if fails {
            Err(lost)
        } else {
            Ok(Receipt {
                request_id: Some("request".to_owned()),
                arn,
            })
        }
    }

    /// All services are in the first of the clusters.
    async fn owned(&self, clusters: &BTreeSet<String>) -> Owned {
        let inner = self.lock();
        let active = inner
            .by_name
            .iter()
            .filter(|(_, observed)| observed.life == ServiceLife::Active);
        let cluster = clusters.first().cloned().unwrap_or_default();
        let uid = |observed: &Observed| observed.resources.service.as_ref()?.tags.get(TAG_UID).cloned();
        let subjects = active.map(|(name, observed)| Subject {
            operator: DEFAULT_NAME.parse().expect("it is a sound name"),
            name: name.clone(),
            uid: uid(observed).unwrap_or_default(),
            cluster: cluster.clone(),
        });
        let mut owned: Owned = clusters
            .iter()
            .map(|cluster| (cluster.clone(), Ok(Vec::new())))
            .collect();
        owned.insert(cluster.clone(), Ok(subjects.collect()));
        for denied in clusters.intersection(&inner.denied_clusters) {
            owned.insert(denied.clone(), Err(denied_call("ListServices")));
        }
        owned
    }

    async fn publish_backlog(&self, subject: &Subject, per_task: f64) -> Result<(), Error> {
        self.lock().backlogs.push((subject.name.clone(), per_task));
        Ok(())
    }
}

fn denied_call(operation: &str) -> Error {
    Error::Deny {
        operation: operation.to_owned(),
        message: "not authorized".to_owned(),
        request_id: None,
    }
}

/// Does to `observed` what AWS would do on this call, and returns the ARN that it makes.
pub fn after(observed: &mut Observed, action: &Action, registered: Option<&str>) -> Option<String> {
    match action {
        Action::RegisterTaskDefinition { content, .. } => return Some(register(observed, content)),
        Action::CreateService {
            service,
            desired_count,
            task_definition,
            ..
        } => {
            let arn = task_definition.as_deref().or(registered);
            create(observed, service, *desired_count, arn);
        }
        Action::UpdateService {
            service,
            task_definition,
            new_revision,
        } => {
            update(
                observed,
                service,
                task_definition.as_deref().or(registered),
                *new_revision,
            );
        }
        Action::Redeploy => {
            if let Some(service) = observed.resources.service.clone() {
                deploy(observed, &service);
            }
        }
        Action::TagService { set, remove } => {
            if let Some(service) = &mut observed.resources.service {
                service.tags.retain(|key, _| !remove.contains(key));
                service.tags.extend(set.clone());
            }
        }
        Action::SetDesiredCount { count, redeploy, .. } => {
            observed.counts.desired = *count;
            if let Some(service) = observed.resources.service.clone().filter(|_| *redeploy) {
                deploy(observed, &service);
            }
        }
        Action::RegisterScalableTarget {
            min, max, suspended, ..
        } => register_target(observed, *min, *max, *suspended),
        Action::DeregisterScalableTarget => observed.resources.scaling = None,
        Action::PutScalingPolicy { name, policy } => {
            if let Some(scaling) = &mut observed.resources.scaling {
                scaling.policies.insert(name.clone(), (**policy).clone());
            }
        }
        Action::DeleteScalingPolicy { name } => {
            if let Some(scaling) = &mut observed.resources.scaling {
                scaling.policies.remove(name);
            }
        }
        Action::PutAlarm { name, alarm, .. } => {
            observed.resources.alarms.insert(name.clone(), (**alarm).clone());
        }
        Action::DeleteAlarms { names } => observed.resources.alarms.retain(|name, _| !names.contains(name)),
        Action::DeleteService => {
            observed.resources.service = None;
            observed.life = ServiceLife::Draining;
        }
        Action::DeregisterTaskDefinition { arn } => {
            observed.revisions.retain(|revision| &revision.arn != arn);
            observed.inactive_revisions.push(arn.clone());
        }
        Action::DeleteTaskDefinitions { arns } => observed.inactive_revisions.retain(|arn| !arns.contains(arn)),
    }
    None
}

fn register(observed: &mut Observed, content: &TaskDefinition) -> String {
    let number = |arn: &str| {
        arn.rsplit(':')
            .next()
            .and_then(|number| number.parse::<u32>().ok())
            .unwrap_or_default()
    };
    let known = observed
        .revisions
        .iter()
        .map(|one| one.arn.as_str())
        .chain(observed.inactive_revisions.iter().map(String::as_str));
    let next = known.map(number).max().unwrap_or_default() + 1;
    let arn = format!(
        "arn:aws:ecs:eu-west-1:123456789012:task-definition/{}:{next}",
        content.family
    );
    observed.revisions.insert(
        0,
        RegisteredRevision {
            arn: arn.clone(),
            content: Some(content.clone()),
        },
    );
    arn
}

fn create(observed: &mut Observed, service: &Service, count: i32, task_definition: Option<&str>) {
    observed.resources.service = Some(service.clone());
    observed.life = ServiceLife::Active;
    observed.counts = Counts {
        desired: count,
        running: 0,
        pending: count,
    };
    observed.task_definition_arn = task_definition.map(str::to_owned);
    deploy(observed, service);
}

fn update(observed: &mut Observed, service: &Service, task_definition: Option<&str>, new_revision: bool) {
    let tags = observed
        .resources
        .service
        .as_ref()
        .map(|current| current.tags.clone())
        .unwrap_or_default();
    observed.resources.service = Some(Service {
        tags,
        ..service.clone()
    });
    if let Some(arn) = task_definition {
        observed.task_definition_arn = Some(arn.to_owned());
    }
    if new_revision {
        deploy(observed, service);
    }
}

fn deploy(observed: &mut Observed, service: &Service) {
    let number = observed
        .deployment
        .as_ref()
        .map_or(0, |last| last.id.parse::<u32>().unwrap_or_default())
        + 1;
    observed.deployment = Some(Deployment {
        id: number.to_string(),
        progress: DeploymentProgress::InProgress,
        reason: None,
        revision: Some(service.revision.clone()),
    });
}

/// Every registration forces the live count into the range.
fn register_target(observed: &mut Observed, min: i32, max: i32, suspended: bool) {
    let policies = observed
        .resources
        .scaling
        .take()
        .map(|scaling| scaling.policies)
        .unwrap_or_default();
    observed.resources.scaling = Some(Scaling {
        min,
        max,
        suspended: if suspended {
            Suspension::All
        } else {
            Suspension::Nothing
        },
        policies,
    });
    observed.counts.desired = observed.counts.desired.clamp(min, max);
}

/// Whether nothing is left of what Penstock makes.
pub fn is_empty(resources: &Resources) -> bool {
    resources == &Resources::default()
}
