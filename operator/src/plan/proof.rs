//! Which revision has shown that its tasks can live, and what follows from it.
//!
//! A deployment that ends while no task is wanted ends well whatever it brings, and a count that rises afterwards is
//! watched by no circuit breaker. So a revision is proven only by tasks that were seen healthy.

use penstock_crds::{Place, Proven, State};
use sha2::{Digest, Sha256};

use crate::plan::resources::{Capacity, DeploymentProgress, Observed, Revision, Tasks};

/// Whether the health of the tasks has to be read: in every pass that finds some, as what was healthy need not stay so, and
/// ECS may have replaced a task that was not before anybody missed it. While a deployment moves as well: ECS then waits for
/// the new tasks and looks after none of those that they replace.
pub fn asks_for_tasks(observed: &Observed) -> bool {
    let exists = observed.resources.service.is_some();
    exists && observed.counts.desired > 0 && observed.counts.running > 0
}

/// Whether tasks of this revision were seen healthy.
pub fn is_proven(state: &State, revision: &Revision) -> bool {
    let proven = state.proven.as_ref();
    proven.is_some_and(|proven| proven.fingerprint == fingerprint(revision))
}

/// Remembers the revision that runs once its tasks are seen healthy, and forgets one whose deployment failed later.
pub(super) fn remember(state: &mut State, observed: &Observed) {
    let Some(current) = &observed.resources.service else {
        return;
    };
    if let Some(failed) = failed(observed)
        && is_proven(state, failed)
    {
        state.proven = None;
    }
    let healthy = matches!(&observed.tasks, Tasks::Seen(seen) if seen.healthy > 0);
    if !healthy || !is_the_outcome(observed, &current.revision) {
        return;
    }
    if let Some(task_definition) = &observed.task_definition_arn {
        state.proven = Some(Proven {
            fingerprint: fingerprint(&current.revision),
            task_definition: task_definition.clone(),
            place: place(&current.revision),
        });
    }
}

/// Returns the proven revision in full; nothing when there is none, when its task definition is gone, or when this
/// operator writes such a revision otherwise than the one that saw it.
pub(super) fn revision(state: &State, observed: &Observed) -> Option<Revision> {
    let proven = state.proven.as_ref()?;
    let mut registered = observed.revisions.iter();
    let definition = registered.find(|one| one.arn == proven.task_definition)?;
    let place = &proven.place;
    let revision = Revision {
        task_definition: definition.content.clone()?,
        subnets: place.subnets.clone(),
        security_groups: place.security_groups.clone(),
        public_ip: place.public_ip,
        capacity: match &place.launch_type {
            Some(launch_type) => Capacity::LaunchType(launch_type.clone()),
            None => Capacity::Providers(place.capacity_providers.clone()),
        },
        placement_constraints: place.placement_constraints.clone(),
        placement_strategies: place.placement_strategies.clone(),
    };
    (fingerprint(&revision) == proven.fingerprint).then_some(revision)
}

/// Returns a short name for what a revision holds.
pub fn fingerprint(revision: &Revision) -> String {
    let text = serde_json::to_vec(revision).unwrap_or_default();
    Sha256::digest(text)
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Returns what the newest deployment was to bring, if it failed.
fn failed(observed: &Observed) -> Option<&Revision> {
    let failed = [DeploymentProgress::Failed, DeploymentProgress::RollingBack];
    let newest = observed.deployment.as_ref();
    newest
        .filter(|deployment| failed.contains(&deployment.progress))?
        .revision
        .as_ref()
}

/// Whether this revision is what the newest deployment has led to: it brought it, or ECS went back to it.
fn is_the_outcome(observed: &Observed, revision: &Revision) -> bool {
    let Some(deployment) = &observed.deployment else {
        return false;
    };
    let brought = deployment.revision.as_ref();
    match deployment.progress {
        DeploymentProgress::Completed => brought.is_none_or(|brought| brought == revision),
        DeploymentProgress::Failed => brought.is_some_and(|brought| brought != revision),
        DeploymentProgress::InProgress | DeploymentProgress::RollingBack => false,
    }
}

fn place(revision: &Revision) -> Place {
    let (launch_type, capacity_providers) = match &revision.capacity {
        Capacity::LaunchType(kind) => (Some(kind.clone()), Vec::new()),
        Capacity::Providers(providers) => (None, providers.clone()),
    };
    Place {
        subnets: revision.subnets.clone(),
        security_groups: revision.security_groups.clone(),
        public_ip: revision.public_ip,
        launch_type,
        capacity_providers,
        placement_constraints: revision.placement_constraints.clone(),
        placement_strategies: revision.placement_strategies.clone(),
    }
}

#[cfg(test)]
mod tests;
