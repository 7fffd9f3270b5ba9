//! Orphans as they were last looked for: services that carry our tag and that nobody wants or remembers.
//!
//! What a round finds here is an input of the passes, which tell of it; nothing is ever removed for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use penstock_crds::{Health, Name, Status};

use crate::cloud::aws::cluster_name;
use crate::memory::Remembered;
use crate::plan::resources::Subject;

/// The orphans that were found last.
#[derive(Debug, Default)]
pub struct Orphans {
    look: Mutex<Option<Look>>,
}

#[derive(Debug)]
struct Look {
    found: BTreeMap<Name, Subject>,
    /// The clusters that could not be looked into.
    unseen: BTreeSet<String>,
}

/// What is known of an orphan of some name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sighting {
    /// Nobody looked yet, or nobody could look where it may be.
    Unknown,
    /// There was none.
    Absent,
    /// It is there.
    Present(Subject),
}

impl Orphans {
    /// Keeps what was found, and in which clusters nobody could look; an earlier look is forgotten.
    pub fn keep(&self, found: Vec<Subject>, unseen: BTreeSet<String>) {
        let found = found.into_iter().map(|subject| (subject.name.clone(), subject));
        *self.lock() = Some(Look {
            found: found.collect(),
            unseen,
        });
    }

    /// Returns what was found in that cluster last.
    pub fn seen_in(&self, cluster: &str) -> Vec<Subject> {
        let look = self.lock();
        let found = look.iter().flat_map(|look| look.found.values());
        found.filter(|subject| subject.cluster == cluster).cloned().collect()
    }

    /// Returns what is known of an orphan of that name, of which the last that was told is `last`.
    pub fn get(&self, name: &Name, last: Option<&Status>) -> Sighting {
        let look = self.lock();
        let Some(look) = &*look else { return Sighting::Unknown };
        if let Some(subject) = look.found.get(name) {
            return Sighting::Present(subject.clone());
        }
        let was_seen = match last.and_then(cluster_of) {
            Some(cluster) => !look.unseen.iter().any(|unseen| cluster_name(unseen) == cluster),
            None => look.unseen.is_empty(),
        };
        if was_seen { Sighting::Absent } else { Sighting::Unknown }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Look>> {
        self.look.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns those of the owned services that have neither document nor state.
pub fn orphans(owned: Vec<Subject>, documents: &BTreeSet<Name>, kept: &BTreeSet<Name>) -> Vec<Subject> {
    let is_orphan = |subject: &Subject| !documents.contains(&subject.name) && !kept.contains(&subject.name);
    owned.into_iter().filter(is_orphan).collect()
}

/// Returns the names that have a state.
pub fn kept(remembered: &BTreeMap<Name, Remembered>) -> impl Iterator<Item = Name> {
    let with_state = remembered.iter().filter(|(_, remembered)| remembered.state.is_some());
    with_state.map(|(name, _)| name.clone())
}

/// Returns the names whose last status tells of something though nobody remembers or wants it any more: an orphan that may
/// have gone, or a document that was withdrawn before one was accepted.
pub fn unfinished(documents: &BTreeSet<Name>, remembered: &BTreeMap<Name, Remembered>) -> Vec<Name> {
    let is_unfinished = |(name, remembered): &(&Name, &Remembered)| {
        remembered.state.is_none() && last_told(remembered).is_some() && !documents.contains(*name)
    };
    let names = remembered.iter().filter(is_unfinished);
    names.map(|(name, _)| name.clone()).collect()
}

/// Returns the last status, unless that says that all is over.
pub fn last_told(remembered: &Remembered) -> Option<&Status> {
    remembered
        .status
        .as_ref()
        .filter(|status| status.health != Health::Deleted)
}

/// Returns the cluster of the service that a status names, so that one of which nothing else is known is looked for there.
pub fn cluster_of(status: &Status) -> Option<String> {
    let service = status.resources.iter().find(|one| one.r#type == "AWS::ECS::Service")?;
    let (_, place) = service.arn.as_ref()?.split_once(":service/")?;
    place.split_once('/').map(|(cluster, _)| cluster.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::accept::fresh_state;
    use crate::samples::subject;

    fn name(text: &str) -> Name {
        text.parse().expect("a sound name")
    }

    fn status(health: &str) -> Status {
        let wire = serde_json::json!({
            "apiVersion": "penstock.dev/v1", "kind": "Connector", "name": "lost", "time": "2026-11-21T12:00:00Z",
            "health": health, "conditions": [],
            "resources": [{
                "type": "AWS::ECS::Service", "name": "penstock-lost",
                "arn": "arn:aws:ecs:eu-west-1:123456789012:service/data/penstock-lost",
            }],
        });
        serde_json::from_value(wire).expect("a small status")
    }

    fn told(health: &str) -> Remembered {
        Remembered {
            state: None,
            status: Some(status(health)),
        }
    }

    #[test]
    fn what_has_a_document_or_a_state_is_no_orphan() {
        let documents = BTreeSet::from([name("written")]);
        let with_state = Remembered {
            state: Some(fresh_state(String::new(), 1)),
            status: None,
        };
        let remembered = BTreeMap::from([(name("remembered"), with_state), (name("lost"), Remembered::default())]);
        let owned = ["written", "remembered", "lost"].map(|text| subject(name(text)));
        let found = orphans(owned.to_vec(), &documents, &kept(&remembered).collect());
        assert_eq!(found, [subject(name("lost"))]);
    }

    #[test]
    fn before_the_first_look_nothing_is_known_and_after_it_everything() {
        let orphans = Orphans::default();
        assert_eq!(orphans.get(&name("lost"), None), Sighting::Unknown);
        orphans.keep(vec![subject(name("lost"))], BTreeSet::new());
        let present = Sighting::Present(subject(name("lost")));
        assert_eq!(orphans.get(&name("lost"), None), present);
        assert_eq!(orphans.get(&name("other"), None), Sighting::Absent);
        orphans.keep(Vec::new(), BTreeSet::new());
        assert_eq!(orphans.get(&name("lost"), None), Sighting::Absent);
    }

    #[test]
    fn what_was_last_in_a_cluster_that_nobody_could_look_into_is_not_known_to_be_gone() {
        let last = status("DEGRADED");
        let nowhere = Status {
            resources: Vec::new(),
            ..last.clone()
        };
        let known = |unseen: &str, last: &Status| {
            let orphans = Orphans::default();
            orphans.keep(Vec::new(), BTreeSet::from([unseen.to_owned()]));
            orphans.get(&name("lost"), Some(last))
        };
        assert_eq!(known("data", &last), Sighting::Unknown);
        let arn = "arn:aws:ecs:eu-west-1:123456789012:cluster/data";
        assert_eq!(known(arn, &last), Sighting::Unknown);
        assert_eq!(known("other", &last), Sighting::Absent);
        assert_eq!(known("other", &nowhere), Sighting::Unknown, "it may be there");
    }

    #[test]
    fn what_was_told_of_and_is_not_over_is_unfinished_unless_it_has_a_document_or_a_state() {
        let documents = BTreeSet::from([name("written")]);
        let kept = Remembered {
            state: Some(fresh_state(String::new(), 1)),
            ..told("HEALTHY")
        };
        let remembered = BTreeMap::from([
            (name("kept"), kept),
            (name("lost"), told("DEGRADED")),
            (name("over"), told("DELETED")),
            (name("written"), told("UNASSIGNED")),
        ]);
        assert_eq!(unfinished(&documents, &remembered), [name("lost")]);
    }

    #[test]
    fn the_cluster_is_read_from_the_service_that_a_status_names() {
        assert_eq!(cluster_of(&status("DEGRADED")).as_deref(), Some("data"));
        let nameless = Status {
            resources: Vec::new(),
            ..status("DEGRADED")
        };
        assert_eq!(cluster_of(&nameless), None);
    }
}
