//! `penstock pause`, `resume`, `stop`, `restart` and `reconcile`: what a person asks of a connector, under a key of its own.
//! What was asked before stays: a restart does not end a pause.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use penstock_crds::{
    API_VERSION, Document, DocumentKey, Envelope, Handled, Kind, Metadata, Name, TargetMode, TargetStateSpec,
};

use crate::Exit;
use crate::cmd::apply::shown;
use crate::cmd::get::name_of;
use crate::failure::Failure;
use crate::output::print_line;
use crate::server::{ActorArgs, Server, ServerArgs};
use crate::specs::Specs;

/// Asks something of a connector.
#[derive(Debug, clap::Args)]
pub(crate) struct Verb {
    /// The connector
    name: String,
    #[command(flatten)]
    actor: ActorArgs,
    #[command(flatten)]
    server: ServerArgs,
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Pause,
    Resume,
    Stop,
    Restart,
    Reconcile,
}

impl Verb {
    pub(crate) async fn run(self, change: Change) -> Result<Exit, Failure> {
        let name = name_of(&self.name)?;
        let server = self.server.server()?;
        let specs = server.specs().await?;
        let connector = DocumentKey {
            kind: Kind::Connector,
            name: name.clone(),
        };
        if !specs.entries.contains_key(&connector) {
            return Err(Failure::FindDocument {
                key: connector,
                topic: server.specs_topic(),
            });
        }
        let handled = match change {
            Change::Restart | Change::Reconcile => handled(&server, &name).await,
            Change::Pause | Change::Resume | Change::Stop => Handled::default(),
        };
        let document = changed(&specs, &name, change, &handled, Timestamp::now());
        let known = specs
            .get(Kind::TargetState, &name)
            .filter(|entry| entry.says(&document));
        let asked = change.asked();
        let line = match known {
            Some(entry) => format!(
                "{} {asked} already (generation {})",
                shown(&connector),
                entry.generation
            ),
            None => {
                let generation = server.writer(&self.actor)?.write(&document).await?;
                format!("{} {asked} (generation {generation})", shown(&connector))
            }
        };
        print_line(&line)?;
        Ok(Exit::Done)
    }
}

impl Change {
    fn asked(self) -> &'static str {
        match self {
            Self::Pause => "asked to pause",
            Self::Resume => "asked to run",
            Self::Stop => "asked to stop",
            Self::Restart => "asked to restart",
            Self::Reconcile => "asked for a pass",
        }
    }

    fn over(self, spec: TargetStateSpec, handled: &Handled, now: Timestamp) -> TargetStateSpec {
        let state = |mode| TargetStateSpec {
            state: Some(mode),
            ..spec.clone()
        };
        match self {
            Self::Pause => state(TargetMode::Paused),
            Self::Resume => state(TargetMode::Running),
            Self::Stop => state(TargetMode::Stopped),
            Self::Restart => TargetStateSpec {
                restarted_at: Some(later(spec.restarted_at.max(handled.restarted_at), now)),
                ..spec
            },
            Self::Reconcile => TargetStateSpec {
                reconcile_at: Some(later(spec.reconcile_at.max(handled.reconcile_at), now)),
                ..spec
            },
        }
    }
}

/// Returns the requests that the operator has carried out. Whoever may not read that, or not all of it, still asks by the clock.
async fn handled(server: &Server, name: &Name) -> Handled {
    let states = server.states().await.unwrap_or_default();
    states.get(name).map(|state| state.handled.clone()).unwrap_or_default()
}

/// A clock that was set back must not make a new request look as if it had been carried out.
fn later(former: Option<Timestamp>, now: Timestamp) -> Timestamp {
    let next = former.and_then(|former| former.checked_add(SignedDuration::from_millis(1)).ok());
    next.map_or(now, |next| next.max(now))
}

/// Lays the change over the latest good document, and keeps what else that says.
fn changed(specs: &Specs, name: &Name, change: Change, handled: &Handled, now: Timestamp) -> Document {
    let written = specs
        .get(Kind::TargetState, name)
        .and_then(|entry| entry.document.as_ref());
    let (annotations, spec) = match written {
        Some(Document::TargetState(former)) => (former.metadata.annotations.clone(), former.spec.clone()),
        _ => (BTreeMap::new(), TargetStateSpec::default()),
    };
    Document::TargetState(Box::new(Envelope {
        api_version: API_VERSION.to_owned(),
        kind: Kind::TargetState,
        metadata: Metadata {
            name: name.clone(),
            labels: BTreeMap::new(),
            annotations,
        },
        spec: change.over(spec, handled, now),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::specs::tests::record;

    const FORMER: &str = r#"{"apiVersion":"penstock.dev/v1","kind":"TargetState","metadata":{"name":"orders","annotations":{"ticket":"7"}},"spec":{"state":"paused","restartedAt":"2026-01-31T12:00:00Z"}}"#;

    fn after(change: Change, now: &str) -> Envelope<TargetStateSpec> {
        after_handled(change, &Handled::default(), now)
    }

    fn after_handled(change: Change, handled: &Handled, now: &str) -> Envelope<TargetStateSpec> {
        let mut specs = Specs::default();
        specs.apply(&record(1, "TargetState/orders", Some(FORMER)));
        let name = "orders".parse().expect("a name");
        match changed(&specs, &name, change, handled, now.parse().expect("a time")) {
            Document::TargetState(document) => *document,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_restart_keeps_the_pause_and_a_resume_keeps_the_restart() {
        let restarted = after(Change::Restart, "2026-02-01T00:00:00Z");
        assert_eq!(restarted.spec.state, Some(TargetMode::Paused));
        assert_eq!(restarted.spec.restarted_at, "2026-02-01T00:00:00Z".parse().ok());
        let resumed = after(Change::Resume, "2026-02-01T00:00:00Z");
        assert_eq!(resumed.spec.state, Some(TargetMode::Running));
        assert_eq!(resumed.spec.restarted_at, "2026-01-31T12:00:00Z".parse().ok());
        assert_eq!(resumed.metadata.annotations["ticket"], "7");
    }

    #[test]
    fn a_request_is_new_even_when_the_clock_was_set_back() {
        let restarted = after(Change::Restart, "2025-12-24T00:00:00Z");
        assert_eq!(restarted.spec.restarted_at, "2026-01-31T12:00:00.001Z".parse().ok());
    }

    #[test]
    fn a_request_is_later_than_what_was_carried_out_though_no_document_says_so_any_more() {
        let handled = Handled {
            restarted_at: "2031-01-31T12:00:00Z".parse().ok(),
            reconcile_at: "2032-01-31T12:00:00Z".parse().ok(),
        };
        let restarted = after_handled(Change::Restart, &handled, "2026-02-01T00:00:00Z");
        assert_eq!(restarted.spec.restarted_at, "2031-01-31T12:00:00.001Z".parse().ok());
        let reconciled = after_handled(Change::Reconcile, &handled, "2026-02-01T00:00:00Z");
        assert_eq!(reconciled.spec.reconcile_at, "2032-01-31T12:00:00.001Z".parse().ok());
        let paused = after_handled(Change::Pause, &handled, "2026-02-01T00:00:00Z");
        assert_eq!(paused.spec.restarted_at, "2026-01-31T12:00:00Z".parse().ok());
    }
}
