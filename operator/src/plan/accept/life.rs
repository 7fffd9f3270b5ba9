//! The lives of a connector: what of the former one is left when a document begins another, and how a life begins.

use std::collections::BTreeSet;

use penstock_crds::{Connector, Handled, Phase, State, TargetMode};

use super::{Wanted, Written};
use crate::plan::phase;

/// What is remembered of the connector, and what became of it.
#[derive(Clone, Copy)]
pub(super) enum Former<'a> {
    /// Nothing is.
    None,
    /// The document goes on from it.
    Lives(&'a State),
    /// It was withdrawn, and some of it may be left.
    Withdrawn(&'a State),
}

impl<'a> Former<'a> {
    pub(super) fn state(self) -> Option<&'a State> {
        match self {
            Self::None => None,
            Self::Lives(state) | Self::Withdrawn(state) => Some(state),
        }
    }

    /// Whether a document has been in force in this life of the connector.
    fn has_begun(self) -> bool {
        matches!(self, Self::Lives(state) if state.accepted.is_some())
    }
}

/// Whether what is remembered was withdrawn before this document was written. Another topic alone is no tombstone.
pub(super) fn follows_a_tombstone(written: &Written, state: &State) -> bool {
    let topic = |uid: &str| uid.split_once('/').map(|(topic, _)| topic.to_owned());
    state.deleting || (state.uid != written.uid && topic(&state.uid) == topic(&written.uid))
}

/// A new incarnation keeps the old one's accepted document until it has one of its own, since that says where the resources
/// are, and whatever else says what is there.
pub(super) fn taken_over(state: &State, written: &Written) -> State {
    State {
        owner: state.owner.clone(),
        home: state.home.clone(),
        accepted: state.accepted.clone(),
        phase: state.phase,
        emptied: state.emptied,
        labels: state.labels.clone(),
        profile_generation: state.profile_generation,
        handled: state.handled.clone(),
        ..fresh_state(written.uid.clone(), written.generation)
    }
}

/// Returns what was asked. Where nothing was, the document says how a life begins; later a connector goes on as it is. The
/// beginning is remembered at once, so that a pass that fails before it decides does not lose it.
pub(super) fn mode(wanted: &Wanted, former: Former<'_>, connector: &Connector, state: &mut State) -> TargetMode {
    if let Some(asked) = wanted.target.as_ref().and_then(|target| target.state) {
        return asked;
    }
    if !former.has_begun() && phase::mode(state.phase) != connector.initial_state {
        state.phase = phase::first(connector.initial_state);
    }
    phase::mode(state.phase)
}

/// Returns the state of a connector of which nothing is known yet.
pub(crate) fn fresh_state(uid: String, generation: i64) -> State {
    State {
        uid,
        generation,
        owner: None,
        home: None,
        profile_generation: None,
        accepted: None,
        phase: Phase::default(),
        emptied: false,
        idle_since: None,
        create_pending: None,
        labels: BTreeSet::new(),
        rolled_back: None,
        proven: None,
        forgiven_deployment: None,
        handled: Handled::default(),
        deleting: false,
    }
}
