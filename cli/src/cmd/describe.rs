//! `penstock describe`: all that is known of one connector, in words, and how it came there.

use std::fmt::Write;

use jiff::Timestamp;
use penstock_crds::{ActionStatus, ConditionType, Document, DocumentKey, Kind, Name, ScalingStatus, Status};
use penstock_operator::plan::status::is_orphaned;
use serde::Serialize;
use serde_json::Value;

use crate::Exit;
use crate::cmd::get::{age, condition, name_of, word};
use crate::failure::Failure;
use crate::output::{Format, print, print_json, print_yaml, table};
use crate::server::ServerArgs;
use crate::specs::Entry;

/// The most transitions that are kept, the latest of them.
const MOST: usize = 1000;

/// Tells all that is known of one connector.
#[derive(Debug, clap::Args)]
pub(crate) struct Describe {
    /// The connector
    name: String,
    /// How it is printed
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    server: ServerArgs,
}

/// One connector and its history, as programs read it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    document: Option<Value>,
    generation: Option<i64>,
    /// What is wrong with the latest record, if it could not be read.
    faults: Vec<String>,
    target_state: Option<Value>,
    status: Option<Status>,
    /// Every status that the topic still has, oldest first.
    transitions: Vec<Status>,
}

impl Describe {
    pub(crate) async fn run(self) -> Result<Exit, Failure> {
        let name = name_of(&self.name)?;
        let server = self.server.server()?;
        let specs = server.specs().await?;
        let mut transitions = Vec::new();
        let mut ended = false;
        let keep = |of: Name, status: Option<Status>| {
            if of == name {
                ended = status.is_none();
                transitions.extend(status);
                if transitions.len() > MOST {
                    transitions.remove(0);
                }
            }
        };
        server.statuses(keep).await?;
        let entry = specs.get(Kind::Connector, &name);
        if entry.is_none() && transitions.is_empty() {
            return Err(Failure::FindDocument {
                key: DocumentKey {
                    kind: Kind::Connector,
                    name,
                },
                topic: server.specs_topic(),
            });
        }
        let json = |entry: Option<&Entry>| Some(entry?.document.as_ref()?.to_json());
        let shown = Shown {
            document: json(entry),
            generation: entry.map(|entry| entry.generation),
            faults: entry
                .map(|entry| entry.faults.iter().map(ToString::to_string).collect())
                .unwrap_or_default(),
            target_state: json(specs.get(Kind::TargetState, &name)),
            status: transitions.last().filter(|_| !ended).cloned(),
            transitions,
        };
        match self.output {
            Format::Text => print(&told(&name, entry, &shown, Timestamp::now()))?,
            Format::Json => print_json(&shown)?,
            Format::Yaml => print_yaml(&shown)?,
        }
        Ok(Exit::Done)
    }
}

fn told(name: &Name, entry: Option<&Entry>, shown: &Shown, now: Timestamp) -> String {
    let mut text = String::new();
    line(&mut text, "Name", name.as_str());
    match entry {
        Some(entry) => {
            line(&mut text, "Generation", &entry.generation.to_string());
            line(&mut text, "Age", &age(entry.since, now));
        }
        None if shown.status.as_ref().is_some_and(is_orphaned) => line(&mut text, "Document", "none"),
        None => line(&mut text, "Document", "withdrawn"),
    }
    if let Some(Document::Connector(connector)) = entry.and_then(|entry| entry.document.as_ref()) {
        line(
            &mut text,
            "Profile",
            connector.spec.profile.as_deref().unwrap_or("none"),
        );
    }
    if let Some(asked) = shown
        .target_state
        .as_ref()
        .and_then(|document| document["spec"]["state"].as_str())
    {
        line(&mut text, "Asked to be", asked);
    }
    list(&mut text, "Faults of the latest record", &shown.faults);
    match &shown.status {
        Some(status) => tell_status(&mut text, status),
        None => line(&mut text, "Status", "none yet; is the operator running?"),
    }
    tell_transitions(&mut text, &shown.transitions);
    text
}

fn tell_status(text: &mut String, status: &Status) {
    line(text, "Health", &word(&status.health));
    if let Some(phase) = &status.phase {
        line(text, "State", &word(phase));
    }
    let number = |number: Option<i64>| number.map_or_else(|| "none".to_owned(), |number| number.to_string());
    let judged = number(status.observed_generation);
    line(
        text,
        "Judged",
        &format!(
            "generation {judged}, in force is {}",
            number(status.accepted_generation)
        ),
    );
    let tasks = status.tasks;
    line(
        text,
        "Tasks",
        &format!(
            "{} running, {} pending, {} desired",
            tasks.running, tasks.pending, tasks.desired
        ),
    );
    line(text, "Told at", &status.time.to_string());
    if let Some(actor) = &status.actor {
        line(text, "Asked by", actor);
    }
    if let Some(failure) = &status.last_failure {
        line(text, "Last failure", failure);
    }
    tell_conditions(text, status);
    if let Some(scaling) = &status.scaling {
        tell_scaling(text, scaling);
    }
    let resource = |one: &penstock_crds::ResourceStatus| {
        let arn = one.arn.as_deref().unwrap_or("ARN not known");
        format!("{} {} {arn}", one.r#type, one.name)
    };
    list(
        text,
        "Resources",
        &status.resources.iter().map(resource).collect::<Vec<_>>(),
    );
    list(text, "Faults of the refused document", &status.faults);
    let difference = |one: &penstock_crds::Difference| super::plan::told_difference(one);
    list(
        text,
        "Differences found",
        &status.differences.iter().map(difference).collect::<Vec<_>>(),
    );
    list(
        text,
        "Last actions",
        &status.actions.iter().map(told_action).collect::<Vec<_>>(),
    );
}

fn tell_conditions(text: &mut String, status: &Status) {
    text.push_str("Conditions:\n");
    let rows = status.conditions.iter().map(|one| {
        let since = one.last_transition_time.to_string();
        vec![
            word(&one.r#type),
            word(&one.status),
            since,
            one.reason.clone(),
            one.message.clone(),
        ]
    });
    let headings = ["TYPE", "STATUS", "SINCE", "REASON", "MESSAGE"];
    text.push_str(&indented(&table(&headings, rows.collect())));
}

fn tell_scaling(text: &mut String, scaling: &ScalingStatus) {
    let mut told = vec![format!("bounds {} to {}", scaling.min, scaling.max)];
    told.extend(scaling.policies.iter().map(|policy| format!("policy {policy}")));
    let foreign = scaling.foreign_policies.iter();
    told.extend(foreign.map(|policy| format!("policy {policy} (somebody else's)")));
    told.extend(
        scaling
            .running_tasks_from
            .iter()
            .map(|from| format!("running tasks from {from}")),
    );
    told.extend(
        scaling
            .last_activity
            .iter()
            .map(|activity| format!("last activity: {activity}")),
    );
    told.extend(scaling.not_scaled.iter().map(|why| format!("did not scale: {why}")));
    list(text, "Scaling", &told);
}

fn told_action(action: &ActionStatus) -> String {
    let mut told = format!("{} on {}", action.operation, action.resource);
    if let Some(id) = &action.request_id {
        let _ = write!(told, " (request {id})");
    }
    if let Some(error) = &action.error {
        let _ = write!(told, " failed: {error}");
    }
    told
}

fn tell_transitions(text: &mut String, transitions: &[Status]) {
    if transitions.is_empty() {
        return;
    }
    text.push_str("Transitions:\n");
    let rows = transitions.iter().map(|status| {
        let ready = condition(status, ConditionType::Ready);
        let reason = |kind| condition(status, kind).map_or_else(|| "-".to_owned(), |one| one.reason.clone());
        let operations: Vec<_> = status.actions.iter().map(|action| action.operation.as_str()).collect();
        vec![
            status.time.to_string(),
            word(&status.health),
            ready.map_or_else(|| "-".to_owned(), |one| word(&one.status)),
            reason(ConditionType::Ready),
            reason(ConditionType::Synced),
            status.actor.clone().unwrap_or_else(|| "-".to_owned()),
            operations.join(", "),
        ]
    });
    let headings = ["TIME", "HEALTH", "READY", "REASON", "SYNCED", "ASKED BY", "ACTIONS"];
    text.push_str(&indented(&table(&headings, rows.collect())));
}

fn line(text: &mut String, label: &str, value: &str) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "{:<14}{value}", format!("{label}:"));
}

fn list(text: &mut String, label: &str, items: &[String]) {
    if items.is_empty() {
        return;
    }
    let _ = writeln!(text, "{label}:");
    for item in items {
        let _ = writeln!(text, "  {item}");
    }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmd::get::tests::status;

    #[test]
    fn a_description_tells_conditions_and_every_transition() {
        let shown = Shown {
            document: None,
            generation: None,
            faults: Vec::new(),
            target_state: None,
            status: Some(status()),
            transitions: vec![status(), status()],
        };
        let name = "orders".parse().expect("a name");
        let text = told(&name, None, &shown, Timestamp::UNIX_EPOCH);
        assert!(
            text.starts_with("Name:         orders\nDocument:     withdrawn\nHealth:       HEALTHY\n"),
            "{text}"
        );
        assert!(
            text.contains("  Ready    True     2026-01-31T11:58:10Z   Asleep    the queue is empty\n"),
            "{text}"
        );
        assert!(
            text.contains("Tasks:        1 running, 1 pending, 2 desired\n"),
            "{text}"
        );
        assert_eq!(text.matches("2026-01-31T12:00:00Z   HEALTHY").count(), 2, "{text}");
    }

    #[test]
    fn an_orphan_is_not_said_to_have_been_withdrawn() {
        let mut orphan = status();
        orphan.conditions[0].reason = "Orphaned".to_owned();
        let shown = Shown {
            document: None,
            generation: None,
            faults: Vec::new(),
            target_state: None,
            status: Some(orphan.clone()),
            transitions: vec![orphan],
        };
        let name = "orders".parse().expect("a name");
        let text = told(&name, None, &shown, Timestamp::UNIX_EPOCH);
        assert!(text.contains("Document:     none\n"), "{text}");
    }

    #[test]
    fn a_failed_action_says_so() {
        let action = ActionStatus {
            operation: "CreateService".to_owned(),
            resource: "penstock-orders".to_owned(),
            request_id: None,
            error: Some("AWS denied it".to_owned()),
        };
        assert_eq!(
            told_action(&action),
            "CreateService on penstock-orders failed: AWS denied it"
        );
    }
}
