//! `penstock prune`: services that carry the operator's tag and have neither document nor state. They are listed, and go
//! only with `--confirm`, by the same steps as every removal.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use penstock_crds::{Document, Kind, Name, State};
use penstock_operator::cloud::aws::Aws;
use penstock_operator::cloud::{Cloud, Owned};
use penstock_operator::observe::Observer;
use penstock_operator::orphans::orphans;
use penstock_operator::plan::owner::Owner;
use penstock_operator::plan::resources::Subject;
use penstock_operator::prune::{self, Removal};
use penstock_operator::reconcile::Error;
use serde::Serialize;
use tokio::time::Instant;

use crate::cmd::get::name_of;
use crate::cmd::plan::AwsArgs;
use crate::failure::Failure;
use crate::output::{Format, print_json, print_line, print_yaml};
use crate::server::ServerArgs;
use crate::specs::Specs;
use crate::talk::patiently;
use crate::{Exit, talk};

/// Finds orphans, and removes them with --confirm.
#[derive(Debug, clap::Args)]
pub(crate) struct Prune {
    /// Only orphans of these names
    names: Vec<String>,
    /// Remove what is found
    #[arg(long)]
    confirm: bool,
    /// A cluster to look in, beside those that documents, profiles and state name
    #[arg(long, value_name = "CLUSTER", env = "PENSTOCK_CLUSTERS", value_delimiter = ',')]
    cluster: Vec<String>,
    /// How long the removal of one orphan may take
    #[arg(long, default_value = "10m", value_parser = humantime::parse_duration)]
    timeout: Duration,
    /// How the orphans are printed
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    aws: AwsArgs,
    #[command(flatten)]
    server: ServerArgs,
}

/// An orphan, as programs read it.
#[derive(Debug, Serialize)]
struct Shown {
    connector: Name,
    cluster: String,
    service: String,
    /// The calls of the first pass of its removal.
    calls: Vec<String>,
    /// Whether it was removed.
    removed: bool,
}

/// AWS for what is read, and as whom.
struct Eye {
    observer: Observer,
    owner: Owner,
}

impl Prune {
    pub(crate) async fn run(self) -> Result<Exit, Failure> {
        let only: BTreeSet<Name> = self.names.iter().map(|name| name_of(name)).collect::<Result<_, _>>()?;
        // Both topics are read to their ends before anything is called an orphan.
        let server = self.server.server()?;
        let specs = server.specs().await?;
        let states = server.states().await?;
        let clusters = clusters(&self.cluster, &specs, &states);
        if clusters.is_empty() {
            return Err(Failure::FindCluster);
        }
        let owner = self.aws.owner(&server).await?;
        let is_known = !self.aws.names_installation() || keeps(&owner, &states);
        if self.confirm && only.is_empty() && !is_known {
            return Err(Failure::RefusePrune { owner: owner.tag() });
        }
        let cloud = self.aws.cloud(&owner).await?;
        let owned = patiently("looking for services", cloud.owned(&clusters)).await;
        let (owned, unseen) = told_apart(owned);
        for failure in &unseen {
            talk::say(&failure.report());
        }
        let mut found = orphans(owned, &documents(&specs), &states.into_keys().collect());
        found.retain(|orphan| only.is_empty() || only.contains(&orphan.name));
        let eye = Eye {
            observer: Observer::start(Arc::clone(&cloud)),
            owner,
        };
        let mut shown = Vec::new();
        for orphan in found {
            shown.push(self.treat(&cloud, &eye, orphan).await?);
        }
        let told = self.tell(&shown)?;
        // What was not looked into is no success, whatever became of the rest.
        Ok(if unseen.is_empty() { told } else { Exit::Refused })
    }

    async fn treat(&self, cloud: &Arc<Aws>, eye: &Eye, orphan: Subject) -> Result<Shown, Failure> {
        let name = orphan.name.clone();
        let failed = |source| Failure::Remove {
            name: name.to_string(),
            source: Box::new(source),
        };
        let first = self.look(eye, &orphan).await.map_err(failed)?;
        let shown = Shown {
            connector: orphan.name.clone(),
            cluster: orphan.cluster.clone(),
            service: orphan.service_name(),
            calls: first
                .calls
                .iter()
                .map(|call| format!("{} on {}", call.operation, call.resource))
                .collect(),
            removed: false,
        };
        if !self.confirm {
            return Ok(shown);
        }
        let removed = self.remove(cloud, eye, first).await.map_err(failed)?;
        Ok(Shown { removed, ..shown })
    }

    /// Makes pass after pass until nothing is left; returns false when the time is over before.
    async fn remove(&self, cloud: &Arc<Aws>, eye: &Eye, first: Removal) -> Result<bool, Error> {
        let deadline = Instant::now() + self.timeout;
        let mut removal = first;
        while !removal.is_done() {
            for call in &removal.calls {
                talk::say(&format!(
                    "{}: {} on {}",
                    removal.subject.name, call.operation, call.resource
                ));
            }
            match prune::apply(&**cloud, &removal).await {
                Ok(()) => {}
                Err(Error::Apply { source, .. }) if is_passing(&source) => {
                    talk::say(&format!("{}: {source}; trying again", removal.subject.name));
                }
                Err(error) => return Err(error),
            }
            if Instant::now() >= deadline {
                return Ok(false);
            }
            let wait = tokio::time::sleep(prune::AGAIN);
            let what = format!("{}: waiting for AWS to let go of it", removal.subject.name);
            patiently(&what, wait).await;
            removal = self.look(eye, &removal.subject).await?;
        }
        Ok(true)
    }

    async fn look(&self, eye: &Eye, orphan: &Subject) -> Result<Removal, Error> {
        let looking = prune::look(&eye.observer, &eye.owner, orphan.clone(), Timestamp::now());
        patiently("reading AWS", looking).await
    }

    fn tell(&self, shown: &[Shown]) -> Result<Exit, Failure> {
        match self.output {
            Format::Text => shown
                .iter()
                .try_for_each(|orphan| print_line(&told(orphan, self.confirm)))?,
            Format::Json => print_json(&shown)?,
            Format::Yaml => print_yaml(&shown)?,
        }
        let left = shown.iter().filter(|orphan| !orphan.removed).count();
        match (left, self.confirm) {
            (0, _) => return Ok(Exit::Done),
            (_, true) => talk::say(&format!(
                "error: {left} of {} were not gone within {}: run the command again to go on",
                shown.len(),
                humantime::format_duration(self.timeout)
            )),
            (_, false) => talk::say("nothing was removed; add --confirm to remove them"),
        }
        Ok(if self.confirm { Exit::Refused } else { Exit::Changes })
    }
}

/// Returns what was found in all clusters together, and which could not be looked into.
fn told_apart(owned: Owned) -> (Vec<Subject>, Vec<Failure>) {
    let (mut found, mut unseen) = (Vec::new(), Vec::new());
    for (cluster, owned) in owned {
        match owned {
            Ok(owned) => found.extend(owned),
            Err(source) => unseen.push(Failure::ListOwned {
                cluster,
                source: Box::new(source),
            }),
        }
    }
    (found, unseen)
}

/// Whether another try may do better, with nothing mended by a person.
fn is_passing(error: &penstock_operator::cloud::Error) -> bool {
    use penstock_operator::cloud::Error;
    matches!(
        error,
        Error::Wait { .. } | Error::Throttle { .. } | Error::Reach { .. } | Error::Fail { .. }
    )
}

fn told(orphan: &Shown, confirm: bool) -> String {
    let Shown {
        connector,
        cluster,
        service,
        ..
    } = orphan;
    let outcome = match (orphan.removed, confirm) {
        (true, _) => "removed".to_owned(),
        (false, true) => "not gone yet".to_owned(),
        (false, false) => format!("would go: {}", orphan.calls.join("; ")),
    };
    format!("connector/{connector} (service {service} in {cluster}) {outcome}")
}

/// Returns the clusters in which something of ours may be.
fn clusters(given: &[String], specs: &Specs, states: &BTreeMap<Name, State>) -> BTreeSet<String> {
    let mut clusters: BTreeSet<String> = given.iter().cloned().collect();
    let profiles = specs.profiles();
    clusters.extend(
        profiles
            .values()
            .filter_map(|profile| profile.service.as_ref()?.cluster.clone()),
    );
    clusters.extend(
        specs
            .of(Kind::Connector)
            .filter_map(|(_, entry)| match entry.document.as_ref()? {
                Document::Connector(connector) => connector.spec.service.as_ref()?.cluster.clone(),
                _ => None,
            }),
    );
    clusters.extend(
        states
            .values()
            .filter_map(|state| state.accepted.as_ref()?.spec.service.as_ref()?.cluster.clone()),
    );
    clusters
}

/// Whether something that the topics remember was made by that operator, by nobody else: they are its own then.
fn keeps(owner: &Owner, states: &BTreeMap<Name, State>) -> bool {
    let made = states.values().any(|state| state.owner.is_some());
    made && owner.check_predecessor(states).is_ok()
}

/// Returns every connector that has a document, a bad one too.
fn documents(specs: &Specs) -> BTreeSet<Name> {
    specs.of(Kind::Connector).map(|(name, _)| name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::specs::tests::record;

    const BAD: &str = r#"{"apiVersion":"penstock.dev/v1","kind":"Connector","metadata":{"name":"orders"}}"#;
    const PROFILE: &str = r#"{"apiVersion":"penstock.dev/v1","kind":"Profile","metadata":{"name":"default"},"spec":{"service":{"cluster":"data"}}}"#;

    #[test]
    fn a_connector_with_a_bad_document_is_wanted_all_the_same() {
        let mut specs = Specs::default();
        specs.apply(&record(1, "Connector/orders", Some(BAD)));
        assert_eq!(documents(&specs).len(), 1);
        specs.apply(&record(2, "Connector/orders", None));
        assert_eq!(documents(&specs).len(), 0);
    }

    #[test]
    fn a_cluster_that_cannot_be_looked_into_is_named_and_keeps_no_other_from_being_shown() {
        let orphan = Subject {
            operator: "penstock".parse().expect("a sound name"),
            name: "lost".parse().expect("a sound name"),
            uid: "topic/0/1".to_owned(),
            cluster: "open".to_owned(),
        };
        let denied = penstock_operator::cloud::Error::Deny {
            operation: "ListServices".to_owned(),
            message: "not authorized".to_owned(),
            request_id: None,
        };
        let owned = Owned::from([
            ("locked".to_owned(), Err(denied)),
            ("open".to_owned(), Ok(vec![orphan.clone()])),
        ]);
        let (found, unseen) = told_apart(owned);
        assert_eq!(found, [orphan]);
        let told: Vec<_> = unseen.iter().map(Failure::report).collect();
        assert!(
            told.len() == 1 && told[0].contains("`locked`") && told[0].contains("not authorized"),
            "{told:?}"
        );
    }

    #[test]
    fn topics_are_an_operators_own_where_they_remember_that_it_made_something() {
        let operator = |installation: &str| Owner {
            name: "penstock".parse().expect("a sound name"),
            installation: installation.parse().expect("it fits into a tag"),
        };
        let states = |owner: Option<&str>| {
            let wire = serde_json::json!({"uid": "topic/0/1", "generation": 1, "owner": owner});
            let state: State = serde_json::from_value(wire).expect("a small state");
            BTreeMap::from([("orders".parse().expect("a name"), state)])
        };
        let made = states(Some("penstock@moved/penstock"));
        assert!(keeps(&operator("moved/penstock"), &made));
        assert!(!keeps(&operator("elsewhere/penstock"), &made));
        assert!(!keeps(&operator("moved/penstock"), &states(None)));
    }

    #[test]
    fn clusters_come_from_flags_and_documents() {
        let mut specs = Specs::default();
        specs.apply(&record(1, "Profile/default", Some(PROFILE)));
        let found = clusters(&["more".to_owned()], &specs, &BTreeMap::new());
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["data", "more"]);
    }
}
