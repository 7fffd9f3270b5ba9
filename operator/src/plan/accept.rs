//! What the topics say, judged: which document is in force, what is wrong with the latest one, and what the user asked.
//!
//! A bad document never replaces a good one: the last accepted merged document stays in force and goes on being repaired.

use jiff::Timestamp;
use penstock_crds::{
    Accepted, Capacity, Connector, ConnectorSpec, Envelope, Fault, LaunchType, Name, Phase, ProfileSpec, State,
    TargetMode, TargetStateSpec, check_connector, merge, resolve, resolve_accepted, spec_hash,
};

use crate::plan::desired::launch_type;
use crate::plan::home::Home;

mod life;

pub(crate) use life::fresh_state;
use life::{Former, follows_a_tombstone, mode, taken_over};

/// What the spec topic says of one connector, read to its end.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wanted {
    /// The newest record of the connector that could be read.
    pub connector: Latest,
    /// A newer record that could not be read: its offset and faults.
    pub refused: Option<(i64, Vec<Fault>)>,
    /// The profile that the connector names, if there is one: its offset and content.
    pub profile: Option<(i64, ProfileSpec)>,
    /// Why the newest record of that profile could not be read, if it could not.
    pub profile_refused: Option<(i64, Vec<Fault>)>,
    /// What the user asked of the connector.
    pub target: Option<TargetStateSpec>,
    /// The offset of that request.
    pub target_generation: Option<i64>,
    /// Who asked for it, when the record says.
    pub target_actor: Option<String>,
    /// Why a newer request could not be read, if it could not; the one before stays in force.
    pub target_refused: Option<(i64, Vec<Fault>)>,
}

/// The newest readable record under a connector's key.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Latest {
    /// There is none, and none was withdrawn as far as the topic remembers.
    #[default]
    Absent,
    /// It was withdrawn by a null record.
    Withdrawn,
    /// A document.
    Written(Box<Written>),
}

/// A connector document as it stands in the topic.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    /// Topic id, partition and offset of the record that began the incarnation.
    pub uid: String,
    /// The record's offset.
    pub generation: i64,
    /// Who wrote it, when the record says.
    pub actor: Option<String>,
    /// The document.
    pub document: Envelope<ConnectorSpec>,
}

/// The outcome of judging: what to do, and what to remember of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// What becomes of the connector.
    pub verdict: Verdict,
    /// The state to carry on with; `phase` and idle times are decided later.
    pub state: State,
    /// What is wrong with the latest document or its profile.
    pub faults: Vec<Fault>,
    /// Who asked.
    pub actor: Option<String>,
}

/// What becomes of a connector.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It is wanted in this form and mode.
    Keep(Box<Connector>, TargetMode),
    /// It was withdrawn: everything goes. The cluster is where its resources are. Faults are those of a document that was
    /// written since, which is judged anew once nothing is left.
    Remove,
    /// Nothing was ever accepted, so there is nothing to do.
    Refuse,
    /// There is state but neither document nor tombstone: reported, never removed by itself.
    Orphan,
}

/// Judges what the topic says in the light of what was accepted before; nothing when there is nothing to know.
pub fn accept(name: &Name, wanted: &Wanted, last: Option<&State>, home: &Home) -> Option<Judged> {
    let refused = wanted.refused.as_ref();
    match (&wanted.connector, last) {
        (Latest::Absent | Latest::Withdrawn, None) => {
            let state = fresh_state(String::new(), refused?.0);
            Some(settled(Verdict::Refuse, refused, state))
        }
        (Latest::Absent, Some(state)) if !state.deleting => {
            // Where a document was only ever refused, nothing was made that could be left over.
            let verdict = match (refused, &state.accepted) {
                (Some(_), None) => Verdict::Refuse,
                _ => Verdict::Orphan,
            };
            Some(settled(verdict, refused, state.clone()))
        }
        (Latest::Absent | Latest::Withdrawn, Some(state)) => {
            let state = State {
                deleting: true,
                ..state.clone()
            };
            Some(settled(Verdict::Remove, refused, state))
        }
        (Latest::Written(written), Some(state)) if follows_a_tombstone(written, state) => {
            Some(succeed(name, wanted, written, state, home))
        }
        (Latest::Written(written), Some(state)) if state.uid != written.uid => {
            let state = taken_over(state, written);
            Some(judge(name, wanted, written, Former::Lives(&state), home))
        }
        (Latest::Written(written), last) => {
            let former = last.map_or(Former::None, Former::Lives);
            Some(judge(name, wanted, written, former, home))
        }
    }
}

/// A document that is written before everything of a withdrawn one was removed takes over what that left. If it cannot be
/// accepted, the removal goes on: what was withdrawn is not to come back for want of a better one.
fn succeed(name: &Name, wanted: &Wanted, written: &Written, state: &State, home: &Home) -> Judged {
    let judged = judge(
        name,
        wanted,
        written,
        Former::Withdrawn(&taken_over(state, written)),
        home,
    );
    let accepted = judged.state.accepted.as_ref().map(|accepted| accepted.generation);
    if state.accepted.is_none() || accepted == Some(written.generation) {
        return judged;
    }
    Judged {
        verdict: Verdict::Remove,
        state: State {
            generation: judged.state.generation,
            deleting: true,
            ..state.clone()
        },
        ..judged
    }
}

/// Judges without a document: all that may be there is a record that could not be read.
fn settled(verdict: Verdict, refused: Option<&(i64, Vec<Fault>)>, state: State) -> Judged {
    let (generation, faults) = refused.cloned().unwrap_or((state.generation, Vec::new()));
    Judged {
        verdict,
        state: State { generation, ..state },
        faults,
        actor: None,
    }
}

fn judge(name: &Name, wanted: &Wanted, written: &Written, former: Former<'_>, home: &Home) -> Judged {
    let mut state = former
        .state()
        .cloned()
        .unwrap_or_else(|| fresh_state(written.uid.clone(), written.generation));
    state.generation = wanted
        .refused
        .as_ref()
        .map_or(written.generation, |(generation, _)| *generation);
    let mut faults = wanted
        .refused
        .as_ref()
        .map(|(_, faults)| faults.clone())
        .unwrap_or_default();
    match candidate(name, wanted, written) {
        Ok((accepted, connector)) => {
            let mut found = home.faults(&connector);
            found.extend(moved(former, name, &connector));
            if found.is_empty() {
                state.profile_generation = wanted.profile.as_ref().map(|(generation, _)| *generation);
                let before = state.accepted.replace(accepted);
                remember_labels(&mut state, before.as_ref());
            }
            faults.extend(found);
        }
        Err(found) => faults.extend(found),
    }
    if let Some((_, found)) = &wanted.profile_refused {
        faults.extend(found.iter().map(|fault| in_profile(fault, &written.document)));
    }
    if let Some((_, found)) = &wanted.target_refused {
        let at = |fault: &Fault| Fault {
            path: format!("TargetState/{name}: {}", fault.path),
            ..fault.clone()
        };
        faults.extend(found.iter().map(at));
    }
    let actor = newest_actor(wanted, written);
    let verdict = match in_force(name, &state) {
        Some(connector) => {
            let mode = mode(wanted, former, &connector, &mut state);
            Verdict::Keep(Box::new(connector), mode)
        }
        None => Verdict::Refuse,
    };
    Judged {
        verdict,
        state,
        faults,
        actor,
    }
}

/// A record without labels may be of a former operator, which put those of its document on the service all the same.
fn remember_labels(state: &mut State, before: Option<&Accepted>) {
    let labels = |accepted: &Accepted| accepted.labels.clone();
    let (former, now) = (
        before.map(labels).unwrap_or_default(),
        state.accepted.as_ref().map(labels),
    );
    if state.labels.is_empty() && now.is_some_and(|now| now != former) {
        state.labels = former.into_keys().collect();
    }
}

/// Returns the last accepted document in full; nothing when none was accepted.
pub fn in_force(name: &Name, state: &State) -> Option<Connector> {
    let accepted = state.accepted.as_ref()?;
    Some(resolve_accepted(name, &accepted.labels, &accepted.spec))
}

fn candidate(name: &Name, wanted: &Wanted, written: &Written) -> Result<(Accepted, Connector), Vec<Fault>> {
    let document = &written.document;
    let profile = match &document.spec.profile {
        None => None,
        Some(profile) => match &wanted.profile {
            Some((_, spec)) => Some(spec),
            None => {
                let mut faults = vec![missing_profile(profile)];
                faults.extend(check_connector(name, &document.metadata.labels, &document.spec));
                return Err(faults);
            }
        },
    };
    let spec = merge(&document.spec, profile);
    let labels = document.metadata.labels.clone();
    let connector = resolve(name, &labels, &spec)?;
    let hash = spec_hash(&spec);
    Ok((
        Accepted {
            generation: written.generation,
            hash,
            labels,
            spec,
        },
        connector,
    ))
}

fn missing_profile(profile: &str) -> Fault {
    Fault {
        path: "spec.profile".to_owned(),
        value: Some(profile.to_owned()),
        why: "there is no such profile".to_owned(),
        remedy: format!("write `Profile/{profile}` first, or name another"),
    }
}

fn in_profile(fault: &Fault, document: &Envelope<ConnectorSpec>) -> Fault {
    let profile = document.spec.profile.clone().unwrap_or_default();
    Fault {
        path: format!("Profile/{profile}: {}", fault.path),
        ..fault.clone()
    }
}

/// Returns why the document cannot take the place of the accepted one while the service lives: ECS can neither move a
/// service to another cluster nor give it another launch type. That a stop was decided is not enough: its calls may have
/// failed, and what they left would be looked for elsewhere.
fn moved(former: Former<'_>, name: &Name, next: &Connector) -> Option<Fault> {
    let state = former.state()?;
    if state.phase == Phase::Stopped && state.emptied {
        return None;
    }
    let now = in_force(name, state)?;
    let fault = |path: &str, from: String, to: String| {
        let (why, remedy) = match former {
            Former::Withdrawn(_) => (
                format!("what was withdrawn under this name has `{from}` and is removed first"),
                "wait: this document is judged anew once nothing is left of that".to_owned(),
            ),
            _ => (
                format!("a running connector cannot change it from `{from}`: ECS would need another service"),
                format!(
                    "run `penstock stop {name}`, wait until it is stopped, apply this document, then `penstock resume {name}`"
                ),
            ),
        };
        Fault {
            path: path.to_owned(),
            value: Some(to),
            why,
            remedy,
        }
    };
    if now.service.cluster != next.service.cluster {
        return Some(fault(
            "spec.service.cluster",
            now.service.cluster,
            next.service.cluster.clone(),
        ));
    }
    let capacity = |capacity: &Capacity| match capacity {
        Capacity::LaunchType(kind) => format!("launchType {kind:?}"),
        Capacity::Providers(_) => "capacityProviders".to_owned(),
    };
    match (&now.service.capacity, &next.service.capacity) {
        (Capacity::LaunchType(from), Capacity::LaunchType(to)) if from == to => None,
        (_, Capacity::Providers(_)) => None,
        (Capacity::Providers(_), Capacity::LaunchType(to)) if went_back_to(state, *to) => None,
        (from, to) => Some(fault("spec.service.launchType", capacity(from), capacity(to))),
    }
}

/// Whether ECS rolled the document in force back, and what lived before had that launch type: so has the service then.
fn went_back_to(state: &State, kind: LaunchType) -> bool {
    let lived = state.proven.as_ref().filter(|_| state.rolled_back.is_some());
    lived.is_some_and(|lived| lived.place.launch_type.as_deref() == Some(launch_type(kind)))
}

/// Returns who wrote the newer of the two records: the document or the request.
fn newest_actor(wanted: &Wanted, written: &Written) -> Option<String> {
    if wanted.target_generation > Some(written.generation) {
        wanted.target_actor.clone()
    } else {
        written.actor.clone()
    }
}

/// Returns whether a request of the target state is newer than what was carried out.
pub fn is_new(requested: Option<Timestamp>, handled: Option<Timestamp>) -> bool {
    requested.is_some() && requested > handled
}

#[cfg(test)]
mod tests;
