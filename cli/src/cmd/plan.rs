//! `penstock plan`: what the operator's next pass would do, by the pass's own code. AWS is read and nothing is changed.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use penstock_crds::{Difference, DocumentKey, Kind, Name, Phase};
use penstock_kafka::{Record, chain};
use penstock_operator::cloud::aws::{Aws, AwsSettings};
use penstock_operator::plan::accept::Verdict;
use penstock_operator::plan::owner::{DEFAULT_NAME, Installation, OperatorName, Owner};
use penstock_operator::preview::{Asked, Preview, previews};
use penstock_operator::reconcile::Error;
use serde::Serialize;
use serde_json::Value;

use crate::cmd::get::{name_of, word};
use crate::documents::{Bundle, Elsewhere, load};
use crate::failure::Failure;
use crate::output::{Format, print, print_json, print_yaml};
use crate::server::{Server, ServerArgs};
use crate::specs::Specs;
use crate::talk::patiently;
use crate::{Exit, talk};

/// How AWS is reached, and as which operator.
#[derive(Debug, clap::Args)]
pub(crate) struct AwsArgs {
    /// The operator's name, as its --name says
    #[arg(long, env = "PENSTOCK_OPERATOR_NAME", default_value = DEFAULT_NAME)]
    operator_name: String,
    /// The operator's installation, as its --installation says; the Kafka cluster's id and the topic prefix when missing
    #[arg(long, env = "PENSTOCK_INSTALLATION")]
    installation: Option<String>,
    /// The AWS region of the ECS clusters; the environment's when missing
    #[arg(long, env = "PENSTOCK_REGION")]
    region: Option<String>,
}

/// Shows which fields differ, and the calls of the next pass.
#[derive(Debug, clap::Args)]
pub(crate) struct Plan {
    /// Documents as they would be applied; without any, the topic's own are planned
    #[arg(short, long = "file", value_name = "FILE", num_args = 1)]
    files: Vec<PathBuf>,
    /// Only these connectors
    names: Vec<String>,
    /// How the plan is printed
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    aws: AwsArgs,
    #[command(flatten)]
    server: ServerArgs,
}

/// The plan for one connector, as programs read it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    connector: Name,
    /// The offset of the document that was judged; one that is not written yet has the offset that it would get at the
    /// earliest.
    generation: i64,
    verdict: &'static str,
    phase: Phase,
    /// What is wrong with the latest document; the one before stays in force.
    faults: Vec<String>,
    /// What the connector needs and somebody else has.
    #[serde(skip_serializing_if = "Option::is_none")]
    taken: Option<String>,
    /// Whether a revision is held back because ECS rolled it back.
    held: bool,
    /// Whether the queue could be read; the count depends on it.
    queue_known: bool,
    differences: Vec<Difference>,
    calls: Vec<Call>,
}

/// One call of the next pass.
#[derive(Debug, Serialize)]
struct Call {
    operation: String,
    resource: String,
}

impl AwsArgs {
    /// Returns the operator that the flags name; where they do not say which installation, the one that keeps the topics.
    pub(crate) async fn owner(&self, server: &Server) -> Result<Owner, Failure> {
        let (name, given) = self.given()?;
        let installation = match given {
            Some(given) => given,
            None => server.installation().await?,
        };
        Ok(Owner { name, installation })
    }

    /// Returns what the flags say of the operator, which needs nobody to be asked.
    fn given(&self) -> Result<(OperatorName, Option<Installation>), Failure> {
        let refused = |flag| move |source| Failure::RefuseOwner { flag, source };
        let name = self.operator_name.parse().map_err(refused("--operator-name"))?;
        let installation = self.installation.as_deref().map(str::parse).transpose();
        Ok((name, installation.map_err(refused("--installation"))?))
    }

    /// Whether the flags say which installation it is.
    pub(crate) fn names_installation(&self) -> bool {
        self.installation.is_some()
    }

    /// Returns AWS as that operator sees it.
    pub(crate) async fn cloud(&self, owner: &Owner) -> Result<Arc<Aws>, Failure> {
        let settings = AwsSettings {
            region: self.region.clone(),
            owner: owner.clone(),
            observer: None,
        };
        let cloud = Aws::new(settings).await;
        cloud
            .map(Arc::new)
            .map_err(|source| Failure::PrepareAws(Box::new(source)))
    }
}

impl Plan {
    pub(crate) async fn run(self) -> Result<Exit, Failure> {
        let server = self.server.server()?;
        // What was typed is judged before anybody is asked.
        self.aws.given()?;
        let mut names: BTreeSet<Name> = self.names.iter().map(|name| name_of(name)).collect::<Result<_, _>>()?;
        let files = (!self.files.is_empty()).then(|| load(&self.files)).transpose()?;
        let mut specs = server.specs().await?;
        if let Some(mut bundle) = files {
            bundle.judge(Elsewhere::Topic(&specs.profiles()));
            if !bundle.findings.is_empty() {
                talk::say(&bundle.report("nothing was planned: mend them and plan again"));
                return Ok(Exit::Refused);
            }
            let concerned = lay_over(&mut specs, &bundle);
            names = if names.is_empty() { concerned } else { names };
        } else if names.is_empty() {
            names = specs.view.names().cloned().collect();
        }
        let states = server.states().await?;
        if self.files.is_empty() && self.names.is_empty() {
            names.extend(states.keys().cloned());
        }
        let asked = |name: Name| Asked {
            wanted: specs.view.wanted(&name, states.get(&name)),
            last: states.get(&name).cloned(),
            name,
        };
        let asked = names.into_iter().map(asked).collect();
        let owner = self.aws.owner(&server).await?;
        owner.check_predecessor(&states).map_err(Failure::KeepOthers)?;
        let cloud = self.aws.cloud(&owner).await?;
        let home = cloud
            .home()
            .await
            .map_err(|source| Failure::PrepareAws(Box::new(source)))?;
        home.check_predecessor(&states).map_err(Failure::LookElsewhere)?;
        let planning = previews(cloud, &owner, &home, asked, Timestamp::now());
        let planned = patiently("reading AWS", planning).await;
        self.tell(planned, &server.specs_topic())
    }

    fn tell(&self, planned: Vec<(Name, Result<Option<Preview>, Error>)>, topic: &str) -> Result<Exit, Failure> {
        let (mut shown, mut failed) = (Vec::new(), false);
        for (name, preview) in planned {
            match preview {
                Ok(Some(preview)) => shown.push(Shown::new(name, preview)),
                // Only a name that was asked for is missed.
                Ok(None) if self.names.iter().any(|asked| *asked == name.as_str()) => {
                    return Err(Failure::FindDocument {
                        key: DocumentKey {
                            kind: Kind::Connector,
                            name,
                        },
                        topic: topic.to_owned(),
                    });
                }
                Ok(None) => {}
                Err(error) => {
                    failed = true;
                    talk::say(&format!("error: connector/{name}: {}", chain(&error)));
                }
            }
        }
        match self.output {
            Format::Text => print(&shown.iter().map(told).collect::<String>())?,
            Format::Json => print_json(&shown)?,
            Format::Yaml => print_yaml(&shown)?,
        }
        Ok(if failed { Exit::Refused } else { exit(&shown) })
    }
}

/// What the operator would refuse is no plan, whatever else it would do.
fn exit(shown: &[Shown]) -> Exit {
    if shown.iter().any(Shown::is_refused) {
        Exit::Refused
    } else if shown.iter().any(Shown::changes) {
        Exit::Changes
    } else {
        Exit::Done
    }
}

/// Takes the documents in as if they had been applied, those that say something new; returns the connectors concerned.
fn lay_over(specs: &mut Specs, bundle: &Bundle) -> BTreeSet<Name> {
    let mut concerned = BTreeSet::new();
    for draft in &bundle.drafts {
        let key = draft.document.key();
        if key.kind != Kind::Profile {
            concerned.insert(key.name.clone());
        }
        if specs.entries.get(&key).is_some_and(|entry| entry.says(&draft.document)) {
            continue;
        }
        let record = Record {
            offset: specs.end,
            key: Some(key.to_string().into_bytes()),
            value: Some(draft.document.to_json().to_string().into_bytes()),
            headers: Vec::new(),
            timestamp: None,
        };
        concerned.extend(specs.apply(&record));
    }
    concerned
}

impl Shown {
    fn new(connector: Name, preview: Preview) -> Self {
        let verdict = match preview.judged.verdict {
            Verdict::Keep(..) => "keep",
            Verdict::Remove => "remove",
            Verdict::Refuse => "refuse",
            Verdict::Orphan => "orphan",
        };
        let calls = preview.calls.into_iter().map(|call| Call {
            operation: call.operation,
            resource: call.resource,
        });
        Self {
            connector,
            generation: preview.plan.state.generation,
            verdict,
            phase: preview.plan.state.phase,
            faults: preview.judged.faults.iter().map(ToString::to_string).collect(),
            taken: preview.taken,
            held: preview.plan.held,
            queue_known: preview.queue.is_some(),
            differences: preview.plan.differences,
            calls: calls.collect(),
        }
    }

    /// Whether the document, or what it needs, would not be taken.
    fn is_refused(&self) -> bool {
        !self.faults.is_empty() || self.taken.is_some()
    }

    fn changes(&self) -> bool {
        !self.calls.is_empty() || !self.differences.is_empty()
    }
}

fn told(shown: &Shown) -> String {
    let mut text = format!("connector/{} (generation {}): ", shown.connector, shown.generation);
    text += &match shown.verdict {
        "keep" => format!("{}\n", word(&shown.phase)),
        "remove" => "withdrawn, so everything goes\n".to_owned(),
        "refuse" => "no document was ever accepted, so there is nothing to do\n".to_owned(),
        _ => "remembered, but neither written nor withdrawn: nothing is done to it\n".to_owned(),
    };
    // Writing to a string does not fail.
    for fault in &shown.faults {
        let _ = writeln!(text, "  ! {fault}");
    }
    if let Some(taken) = &shown.taken {
        let _ = writeln!(text, "  ! {taken}");
    }
    if shown.held {
        text +=
            "  ! ECS rolled this revision back: it is held until document or profile change, or `penstock reconcile`\n";
    }
    if shown.verdict == "keep" && !shown.queue_known {
        text += "  ! the queue could not be read, so the count of tasks is planned without it\n";
    }
    for difference in &shown.differences {
        text += &told_sides(difference);
    }
    for (index, call) in shown.calls.iter().enumerate() {
        let _ = writeln!(text, "  {}. {} on {}", index + 1, call.operation, call.resource);
    }
    if !shown.changes() && !shown.is_refused() {
        text += "  nothing differs\n";
    }
    text
}

/// Returns a difference as two lines below the field's name.
fn told_sides(difference: &Difference) -> String {
    let side = |value: &Value| match value {
        Value::Null => "nothing".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let name = field(difference);
    let (observed, desired) = (side(&difference.observed), side(&difference.desired));
    format!("  {name}\n    - {observed}\n    + {desired}\n")
}

/// Returns a difference in one line.
pub(crate) fn told_difference(difference: &Difference) -> String {
    format!(
        "{}: {} instead of {}",
        field(difference),
        difference.observed,
        difference.desired
    )
}

fn field(difference: &Difference) -> String {
    match difference.field.as_str() {
        "" => difference.resource.clone(),
        field => format!("{}: {field}", difference.resource),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(differences: Vec<Difference>, operations: &[&str]) -> Shown {
        let call = |operation: &&str| Call {
            operation: (*operation).to_owned(),
            resource: "penstock-orders".to_owned(),
        };
        Shown {
            connector: "orders".parse().expect("a name"),
            generation: 12,
            verdict: "keep",
            phase: Phase::Awake,
            faults: Vec::new(),
            taken: None,
            held: false,
            queue_known: true,
            differences,
            calls: operations.iter().map(call).collect(),
        }
    }

    #[test]
    fn a_plan_shows_both_sides_of_each_field_and_then_the_calls() {
        let difference = Difference {
            resource: "scaling".to_owned(),
            field: "max".to_owned(),
            observed: 6.into(),
            desired: 8.into(),
        };
        let plan = shown(
            vec![difference],
            &["RegisterScalableTarget min=1 max=8 suspended=false"],
        );
        assert!(plan.changes());
        assert_eq!(
            told(&plan),
            "connector/orders (generation 12): awake\n  scaling: max\n    - 6\n    + 8\n  \
             1. RegisterScalableTarget min=1 max=8 suspended=false on penstock-orders\n"
        );
    }

    #[test]
    fn a_plan_says_who_has_what_the_connector_needs() {
        let plan = Shown {
            taken: Some("the service `penstock-orders`: it belongs to another".to_owned()),
            ..shown(Vec::new(), &[])
        };
        assert!(
            told(&plan).contains("\n  ! the service `penstock-orders`: it belongs to another\n"),
            "{}",
            told(&plan)
        );
    }

    #[test]
    fn where_nothing_differs_the_plan_says_so() {
        let plan = shown(Vec::new(), &[]);
        assert!(told(&plan).ends_with("  nothing differs\n"));
        assert_eq!(exit(&[plan]), Exit::Done);
        assert_eq!(exit(&[shown(Vec::new(), &["UpdateService"])]), Exit::Changes);
    }

    #[test]
    fn what_the_operator_would_refuse_is_an_error_and_not_called_the_same() {
        let faulty = Shown {
            faults: vec!["spec.alarms.topics[0]: … is in another region; …".to_owned()],
            ..shown(Vec::new(), &[])
        };
        let taken = Shown {
            taken: Some("the service `penstock-orders`: it belongs to another".to_owned()),
            ..shown(Vec::new(), &[])
        };
        for refused in [faulty, taken] {
            assert!(!told(&refused).contains("nothing differs"), "{}", told(&refused));
            let beside = shown(Vec::new(), &["UpdateService"]);
            assert_eq!(exit(&[beside, refused]), Exit::Refused);
        }
    }

    #[derive(Debug, clap::Parser)]
    struct Typed {
        #[command(flatten)]
        plan: Plan,
    }

    #[tokio::test]
    async fn what_was_typed_is_judged_before_kafka_is_asked() {
        for (arguments, words) in [
            (vec!["--operator-name", "BAD_NAME"], "--operator-name cannot be used"),
            (vec!["orders.yaml"], "`orders.yaml` cannot be a name"),
            (vec!["-f", "/nonesuch.yaml"], "could not read /nonesuch.yaml"),
        ] {
            // Nobody listens on port 1, so whoever asked there would say so.
            let typed = ["plan", "--bootstrap-servers", "127.0.0.1:1"]
                .into_iter()
                .chain(arguments);
            let typed = <Typed as clap::Parser>::try_parse_from(typed).expect("arguments");
            let failure = typed.plan.run().await.expect_err("nothing can be planned");
            assert!(failure.report().contains(words), "{}", failure.report());
        }
    }
}
