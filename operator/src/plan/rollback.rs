//! What becomes of a revision whose deployment failed: it is remembered, not tried again, and another stands in for it.

use penstock_crds::{Phase, RolledBack, State};

use crate::plan::accept::is_new;
use crate::plan::decide::Seen;
use crate::plan::proof::{self, fingerprint, is_proven};
use crate::plan::resources::{Deployment, DeploymentProgress, Observed, Resources, Revision, Tasks};

/// Keeps a revision that failed from being tried again, until it changes, it lives after all, or the user asks. Puts what
/// stands in for it into `desired`, and returns whether something does.
pub(super) fn remember(state: &mut State, desired: &mut Resources, seen: Seen<'_>) -> bool {
    forgive(state, seen);
    let Some(service) = &mut desired.service else {
        // What is made anew after a stop may be wanted elsewhere, where nothing has proved itself.
        (state.rolled_back, state.proven) = (None, None);
        return false;
    };
    let wanted = fingerprint(&service.revision);
    let current = seen.observed.resources.service.as_ref();
    let lives =
        current.is_some_and(|current| current.revision == service.revision && is_proven(state, &current.revision));
    let is_other = |failed: &mut RolledBack| failed.fingerprint != wanted;
    state.rolled_back.take_if(|failed| lives || is_other(failed));
    let was_known = state.rolled_back.is_some();
    if !was_known {
        state.rolled_back = failed_deployment(state, &wanted, seen);
    }
    if state.rolled_back.is_none() {
        return false;
    }
    let stand_in = match current {
        // The first look at a failure may show the service as it was before ECS went back.
        Some(current) => better(state, seen.observed, &current.revision, &service.revision)
            .filter(|_| was_known)
            .unwrap_or_else(|| current.revision.clone()),
        // A service that somebody deleted is made of what lived; where nothing did, there is but the one to make it of.
        None => proof::revision(state, seen.observed).unwrap_or_else(|| service.revision.clone()),
    };
    let is_held = stand_in != service.revision;
    service.revision = stand_in;
    is_held
}

/// Whether tasks that start from none need a deployment of their own: nobody has seen tasks of what runs healthy. One
/// that failed is tried again when the connector wakes or is resumed, not whenever its count is found to be 0.
pub(super) fn redeploys(state: &State, last: Phase, observed: &Observed) -> bool {
    let Some(current) = &observed.resources.service else {
        return false;
    };
    let failed = state.rolled_back.as_ref().map(|failed| &failed.fingerprint);
    let was_tried = last == Phase::Awake && failed == Some(&fingerprint(&current.revision));
    !was_tried && !is_proven(state, &current.revision)
}

/// Whether the user asks for another try of what the service runs already: where nothing differs, ECS has to be told to
/// deploy it once more. What failed may have been another revision, of a document that was taken back: tasks that work are
/// not replaced for that. Asked before the request counts as carried out, so that one request brings one deployment.
pub(super) fn retries(state: &State, desired: &Resources, seen: Seen<'_>) -> bool {
    fn revision(resources: &Resources) -> Option<&Revision> {
        resources.service.as_ref().map(|service| &service.revision)
    }
    let Some(runs) = revision(&seen.observed.resources).filter(|runs| revision(desired) == Some(*runs)) else {
        return false;
    };
    let is_its_own = |failed: &Deployment| failed.revision.as_ref().is_none_or(|failed| failed == runs);
    let has_failed = newest_failed(seen.observed).is_some_and(is_its_own);
    has_failed && seen.observed.counts.desired > 0 && asks_again(state, seen)
}

fn asks_again(state: &State, seen: Seen<'_>) -> bool {
    let asked = seen.target.and_then(|target| target.reconcile_at);
    is_new(asked, state.handled.reconcile_at)
}

/// Forgets a failure, and the deployment that it came from, when the user asks for another try. The newest deployment is
/// the one that would be taken for a failure next.
fn forgive(state: &mut State, seen: Seen<'_>) {
    if !asks_again(state, seen) {
        return;
    }
    let known = state.rolled_back.take().map(|failed| failed.deployment);
    let newest = newest_failed(seen.observed).map(|deployment| deployment.id.clone());
    state.forgiven_deployment = newest.or(known).or(state.forgiven_deployment.take());
}

/// Returns the newest deployment if it failed.
fn newest_failed(observed: &Observed) -> Option<&Deployment> {
    let failed = [DeploymentProgress::Failed, DeploymentProgress::RollingBack];
    let newest = observed.deployment.as_ref();
    newest.filter(|deployment| failed.contains(&deployment.progress))
}

fn failed_deployment(state: &State, wanted: &str, seen: Seen<'_>) -> Option<RolledBack> {
    let deployment = newest_failed(seen.observed)?;
    let forgiven = state.forgiven_deployment.as_ref() == Some(&deployment.id);
    let fingerprint = fingerprint(deployment.revision.as_ref()?);
    (!forgiven && fingerprint == wanted).then(|| RolledBack {
        deployment: deployment.id.clone(),
        fingerprint,
        cause: seen
            .observed
            .last_failure
            .clone()
            .or_else(|| deployment.reason.clone())
            .unwrap_or_default(),
        at: seen.now,
    })
}

/// Returns the proven revision if it has to take the place of what runs. ECS goes back to the last deployment that ended
/// well: that may be one of the very revision that failed, or of another that nobody saw alive, if it ended while no task
/// was wanted.
fn better(state: &State, observed: &Observed, current: &Revision, failed: &Revision) -> Option<Revision> {
    let is_lost = current == failed || (!is_proven(state, current) && is_dead(observed));
    proof::revision(state, observed).filter(|proven| is_lost && proven != failed)
}

/// Whether tasks are wanted, the last deployment failed for good, and no task is healthy.
fn is_dead(observed: &Observed) -> bool {
    let failed = |deployment: &Deployment| deployment.progress == DeploymentProgress::Failed;
    let none_lives = observed.counts.running == 0 || matches!(&observed.tasks, Tasks::Seen(seen) if seen.healthy == 0);
    observed.counts.desired > 0 && none_lives && observed.deployment.as_ref().is_some_and(failed)
}
