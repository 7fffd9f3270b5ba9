//! The last state and status of each connector, as the topics hold them: an input of the next pass, like the specs.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use penstock_crds::{ActionStatus, Name, State, Status};

/// What is remembered of one connector.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Remembered {
    /// The last state.
    pub state: Option<State>,
    /// The last status.
    pub status: Option<Status>,
}

/// A change of what is remembered: written to both topics in one transaction, and only then kept here.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Change {
    /// The new state, or its end.
    pub state: Option<StateChange>,
    /// The new status, or its end.
    pub status: Option<StatusChange>,
}

/// What becomes of a state record.
#[derive(Debug, Clone, PartialEq)]
pub enum StateChange {
    /// It is replaced.
    Put(Box<State>),
    /// It is removed by a null record.
    Remove,
}

/// What becomes of a status record.
#[derive(Debug, Clone, PartialEq)]
pub enum StatusChange {
    /// It is replaced.
    Put(Box<Status>),
    /// It is removed by a null record.
    Remove,
}

impl Change {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.state.is_none() && self.status.is_none()
    }
}

/// The most calls of a connector that wait to be told of; a status has to fit a Kafka record.
const MOST_UNTOLD: usize = 100;

/// Of which topics nobody knows whether they hold what is remembered: a write got no answer, and may take place later.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Doubt {
    /// Of the state topic.
    pub state: bool,
    /// Of the status topic.
    pub status: bool,
}

/// The last state and status of every connector, and what no status could tell yet.
#[derive(Debug, Default)]
pub struct Memory {
    by_name: Mutex<BTreeMap<Name, Remembered>>,
    untold: Mutex<BTreeMap<Name, Vec<ActionStatus>>>,
    doubted: Mutex<BTreeMap<Name, Doubt>>,
}

impl Memory {
    /// Begins with what the topics held at their ends.
    pub fn new(by_name: BTreeMap<Name, Remembered>) -> Self {
        Self {
            by_name: Mutex::new(by_name),
            untold: Mutex::default(),
            doubted: Mutex::default(),
        }
    }

    /// Notes a call that was made: it is owed to the next status that is written; of very many, the latest are.
    pub fn owe(&self, name: &Name, call: ActionStatus) {
        let mut untold = self.lock_untold();
        let owed = untold.entry(name.clone()).or_default();
        owed.push(call);
        owed.drain(..owed.len().saturating_sub(MOST_UNTOLD));
    }

    /// Notes that the status as it stands tells of every call.
    pub fn told(&self, name: &Name) {
        self.lock_untold().remove(name);
    }

    /// Returns the calls that no status has told of, oldest first.
    pub fn untold(&self, name: &Name) -> Vec<ActionStatus> {
        self.lock_untold().get(name).cloned().unwrap_or_default()
    }

    /// Returns which topics may not hold what is remembered of `name`.
    pub fn doubt(&self, name: &Name) -> Doubt {
        self.lock_doubted().get(name).copied().unwrap_or_default()
    }

    /// Notes that a change is on its way to the topics. Until it is kept they may hold it or not.
    pub fn send(&self, name: &Name, change: &Change) {
        let mut doubted = self.lock_doubted();
        let doubt = doubted.entry(name.clone()).or_default();
        doubt.state |= change.state.is_some();
        doubt.status |= change.status.is_some();
    }

    /// Returns what is remembered of `name`.
    pub fn get(&self, name: &Name) -> Remembered {
        self.lock().get(name).cloned().unwrap_or_default()
    }

    /// Returns everything, as it is now.
    pub fn all(&self) -> BTreeMap<Name, Remembered> {
        self.lock().clone()
    }

    /// Keeps a change that both topics acknowledged. A status that was written has told of every call.
    pub fn keep(&self, name: &Name, change: &Change) {
        let mut by_name = self.lock();
        let entry = by_name.entry(name.clone()).or_default();
        match &change.state {
            Some(StateChange::Put(state)) => entry.state = Some((**state).clone()),
            Some(StateChange::Remove) => entry.state = None,
            None => {}
        }
        match &change.status {
            Some(StatusChange::Put(status)) => entry.status = Some((**status).clone()),
            Some(StatusChange::Remove) => entry.status = None,
            None => {}
        }
        if change.status.is_some() {
            self.told(name);
        }
        let mut doubted = self.lock_doubted();
        if let Some(doubt) = doubted.get_mut(name) {
            doubt.state &= change.state.is_none();
            doubt.status &= change.status.is_none();
        }
        doubted.retain(|_, doubt| *doubt != Doubt::default());
        if entry == &Remembered::default() {
            by_name.remove(name);
        }
    }

    fn lock_untold(&self) -> MutexGuard<'_, BTreeMap<Name, Vec<ActionStatus>>> {
        self.untold.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_doubted(&self) -> MutexGuard<'_, BTreeMap<Name, Doubt>> {
        self.doubted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Name, Remembered>> {
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
