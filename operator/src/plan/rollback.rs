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
    let (Some(_), Some(current)) = (&state.rolled_back, current) else {
        return false;
    };
    // The first look at a failure may show the service as it was before ECS went back.
    let better = better(state, seen.observed, &current.revision, &service.revision);
    let stand_in = better.filter(|_| was_known).unwrap_or_else(|| current.revision.clone());
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

/// Forgets a failure, and the deployment that it came from, when the user asks for another try.
fn forgive(state: &mut State, seen: Seen<'_>) {
    let asked = seen.target.and_then(|target| target.reconcile_at);
    let asked_again = is_new(asked, state.handled.reconcile_at);
    if let Some(failed) = state.rolled_back.take_if(|_| asked_again) {
        state.forgiven_deployment = Some(failed.deployment);
    }
}

fn failed_deployment(state: &State, wanted: &str, seen: Seen<'_>) -> Option<RolledBack> {
    let deployment = seen.observed.deployment.as_ref()?;
    let failed = matches!(
        deployment.progress,
        DeploymentProgress::Failed | DeploymentProgress::RollingBack
    );
    let forgiven = state.forgiven_deployment.as_ref() == Some(&deployment.id);
    let fingerprint = fingerprint(deployment.revision.as_ref()?);
    (failed && !forgiven && fingerprint == wanted).then(|| RolledBack {
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
