//! One pass's decision: from what is wanted, remembered and seen to the next state and the steps.

use std::collections::BTreeSet;

use jiff::Timestamp;
use penstock_crds::{Connector, CreatePending, Difference, Handled, Phase, State, TargetMode, TargetStateSpec};

use crate::plan::accept::{Judged, Verdict};
use crate::plan::action::{Action, CountCause};
use crate::plan::desired::{Surroundings, desired, tags};
use crate::plan::diff::{CountRule, Rules, diff};
use crate::plan::difference::differences;
use crate::plan::owner::Owner;
use crate::plan::resources::{FOREIGN_SERVICE, Observed, QueueDepth, Resources, ServiceLife};
use crate::plan::{phase, proof, rollback};

/// How many task definitions stay registered beside the one in use, for a look back.
const KEPT_REVISIONS: usize = 3;

/// A client token that is older than this belongs to a create that came to its end.
const TOKEN_LIFE: jiff::SignedDuration = jiff::SignedDuration::from_mins(15);

/// What a decision follows from.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// What AWS holds.
    pub observed: &'a Observed,
    /// The queue, if it could be read.
    pub queue: Option<QueueDepth>,
    /// What the user asked.
    pub target: Option<&'a TargetStateSpec>,
    /// The operator.
    pub owner: &'a Owner,
    /// The time of the pass.
    pub now: Timestamp,
    /// A token that nobody has used.
    pub fresh_token: &'a str,
}

/// What a pass will do, and what it will remember.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The state to remember.
    pub state: State,
    /// What AWS should hold.
    pub desired: Resources,
    /// The steps, in order.
    pub actions: Vec<Action>,
    /// The fields that differ.
    pub differences: Vec<Difference>,
    /// Whether the wanted revision is held back because ECS rolled it back.
    pub held: bool,
}

impl Plan {
    /// Whether what it will do must be known to the next pass even if this one is killed: a create, so that it is repeated
    /// with its token, and labels, so that they are taken off again.
    pub fn is_written_ahead(&self, last: Option<&State>) -> bool {
        let known = last.and_then(|state| state.create_pending.as_ref());
        let creates = self.state.create_pending.is_some() && self.state.create_pending.as_ref() != known;
        let is_known = |key: &String| last.is_some_and(|state| state.labels.contains(key));
        let labels = !self.actions.is_empty() && !self.state.labels.iter().all(is_known);
        creates || labels
    }

    /// Returns what to remember once the first `made` steps were made. A request is carried out when every step that
    /// replaces tasks is; what comes after those does not hold it up.
    pub fn state_after(&self, made: usize, last: &State) -> State {
        let mut state = self.state.clone();
        if self.actions.iter().skip(made).any(Action::replaces_tasks) {
            state.handled = last.handled.clone();
        }
        state
    }

    /// Whether it stops tasks because the queue was seen empty.
    pub fn puts_to_sleep(&self) -> bool {
        let for_sleep = |action: &Action| {
            matches!(
                action,
                Action::SetDesiredCount {
                    cause: CountCause::Sleep,
                    ..
                }
            )
        };
        self.actions.iter().any(for_sleep)
    }
}

/// Decides for a connector that is wanted, or on its way out.
pub fn decide(judged: &Judged, seen: Seen<'_>) -> Plan {
    match &judged.verdict {
        Verdict::Keep(connector, mode) => keep(judged, connector, *mode, seen),
        Verdict::Remove => remove(judged, seen),
        Verdict::Refuse | Verdict::Orphan => Plan {
            state: judged.state.clone(),
            desired: seen.observed.resources.clone(),
            actions: Vec::new(),
            differences: Vec::new(),
            held: false,
        },
    }
}

fn keep(judged: &Judged, connector: &Connector, mode: TargetMode, seen: Seen<'_>) -> Plan {
    let mut state = judged.state.clone();
    let last = state.phase;
    let inputs = phase::Inputs {
        connector,
        mode,
        last,
        idle_since: state.idle_since,
        queue: seen.queue,
        count: seen.observed.counts.desired,
        now: seen.now,
    };
    (state.phase, state.idle_since) = phase::next(inputs);
    state.emptied = state.phase == Phase::Stopped && holds_nothing(seen.observed);
    let around = Surroundings::of(seen.owner, seen.observed);
    let mut desired = desired(connector, state.phase, &state, seen.target, &around);
    proof::remember(&mut state, seen.observed);
    let held = rollback::remember(&mut state, &mut desired, seen);
    let retry = rollback::retries(&state, &desired, seen);
    remember_requests(&mut state, seen.target);
    let rules = Rules {
        count: count_rule(connector, state.phase, seen.queue),
        token: token(&state, seen),
        tags: tags(connector, &state, &around),
        keep_revisions: KEPT_REVISIONS,
        keep_definition: state.proven.as_ref().map(|proven| proven.task_definition.clone()),
        redeploy: rollback::redeploys(&state, last, seen.observed),
        retry,
    };
    state.labels = labels(&state, connector, &desired, seen);
    let own = without_foreign_tags(seen.observed, &desired, &state.labels);
    let actions = if has_lost_its_tags(&own, seen.owner) {
        Vec::new()
    } else {
        diff(&desired, &own, &rules)
    };
    remember_create(&mut state, &actions, &rules.token, seen);
    let has_made = has_made(&actions, seen.observed);
    state.owner = has_made.then(|| seen.owner.tag());
    state.home = has_made.then(|| around.home.to_string());
    let differences = differences(&desired, &own);
    Plan {
        state,
        desired,
        actions,
        differences,
        held,
    }
}

/// Whether a service has our name, and tags that name no other operator. It may be ours, untagged by somebody who tidied
/// up: what of ours hangs on it stays until a person has decided.
fn has_lost_its_tags(observed: &Observed, owner: &Owner) -> bool {
    let holder = observed.foreign.get(FOREIGN_SERVICE);
    holder.is_some_and(|holder| holder.is_nobody(owner))
}

/// Whether something in AWS is ours, or is about to be.
fn has_made(actions: &[Action], observed: &Observed) -> bool {
    let seen = observed.resources != Resources::default() || !observed.revisions.is_empty();
    seen || observed.life == ServiceLife::Draining || !actions.is_empty()
}

/// Returns the labels that may stand on the service after this pass: those of the document, and those that a pass put there
/// and that are there still. While nobody sees the service whose create may be under way, none of them is known to be gone.
fn labels(state: &State, connector: &Connector, desired: &Resources, seen: Seen<'_>) -> BTreeSet<String> {
    let service = seen.observed.resources.service.as_ref();
    let is_created = pending(state, seen).is_some();
    let stays = |key: &&String| service.map_or(is_created, |service| service.tags.contains_key(*key));
    let wanted = connector.labels.keys().filter(|_| desired.service.is_some());
    state.labels.iter().filter(stays).chain(wanted).cloned().collect()
}

/// Tags that others put on our service, as tools that tag a whole account do, are theirs: neither drift nor removed.
fn without_foreign_tags(observed: &Observed, desired: &Resources, labels: &BTreeSet<String>) -> Observed {
    let mut own = observed.clone();
    if let Some(current) = own.resources.service.as_mut().filter(|_| desired.service.is_some()) {
        current
            .tags
            .retain(|key, _| key.starts_with("penstock:") || labels.contains(key));
    }
    own
}

fn remove(judged: &Judged, seen: Seen<'_>) -> Plan {
    let state = State {
        create_pending: None,
        ..judged.state.clone()
    };
    let rules = Rules {
        count: CountRule::Zero(CountCause::Delete),
        token: String::new(),
        tags: Default::default(),
        keep_revisions: 0,
        keep_definition: None,
        redeploy: false,
        retry: false,
    };
    let desired = Resources::default();
    let actions = diff(&desired, seen.observed, &rules);
    let differences = differences(&desired, seen.observed);
    Plan {
        state,
        desired,
        actions,
        differences,
        held: false,
    }
}

/// Whether AWS holds nothing of ours but task definitions, which belong to no cluster.
fn holds_nothing(observed: &Observed) -> bool {
    observed.life == ServiceLife::Absent && observed.resources == Resources::default()
}

/// Whether nothing of a removed connector is left.
pub fn is_gone(plan: &Plan, observed: &Observed) -> bool {
    plan.actions.is_empty() && observed.life == ServiceLife::Absent
}

fn count_rule(connector: &Connector, phase: Phase, queue: Option<QueueDepth>) -> CountRule {
    match phase {
        Phase::Awake if connector.scaling.is_none() => CountRule::Fixed(1),
        Phase::Awake => CountRule::Scaled {
            wake: phase::wake_count(connector, queue),
        },
        Phase::Asleep => CountRule::Zero(CountCause::Sleep),
        Phase::Paused => CountRule::Zero(CountCause::Pause),
        Phase::Stopped => CountRule::Zero(CountCause::Delete),
    }
}

fn remember_requests(state: &mut State, target: Option<&TargetStateSpec>) {
    if let Some(target) = target {
        state.handled = Handled {
            restarted_at: state.handled.restarted_at.max(target.restarted_at),
            reconcile_at: state.handled.reconcile_at.max(target.reconcile_at),
        };
    }
}

fn token(state: &State, seen: Seen<'_>) -> String {
    pending(state, seen).map_or_else(|| seen.fresh_token.to_owned(), |pending| pending.token.clone())
}

/// Returns the create that may be under way still.
fn pending<'a>(state: &'a State, seen: Seen<'_>) -> Option<&'a CreatePending> {
    let young = |pending: &&CreatePending| seen.now.duration_since(pending.since) < TOKEN_LIFE;
    state.create_pending.as_ref().filter(young)
}

fn remember_create(state: &mut State, actions: &[Action], token: &str, seen: Seen<'_>) {
    let creates = actions
        .iter()
        .any(|action| matches!(action, Action::CreateService { .. }));
    if creates {
        if state
            .create_pending
            .as_ref()
            .is_none_or(|pending| pending.token != token)
        {
            state.create_pending = Some(CreatePending {
                token: token.to_owned(),
                since: seen.now,
            });
        }
    } else if seen.observed.life == ServiceLife::Active {
        state.create_pending = None;
    }
}
