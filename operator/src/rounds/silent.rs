//! The queues that do not answer.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use penstock_crds::Name;

/// The connectors whose queue did not answer when it was asked last.
#[derive(Debug, Default)]
pub struct Silent {
    names: Mutex<BTreeSet<Name>>,
}

impl Silent {
    /// Notes what became of asking a queue.
    pub(super) fn note(&self, name: &Name, is_silent: bool) {
        let mut names = self.lock();
        if is_silent {
            names.insert(name.clone());
        } else {
            names.remove(name);
        }
    }

    /// Forgets all but these.
    pub(super) fn keep<'a>(&self, names: impl Iterator<Item = &'a Name>) {
        *self.lock() = names.cloned().collect();
    }

    pub(super) fn has(&self, name: &Name) -> bool {
        self.lock().contains(name)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<Name>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
