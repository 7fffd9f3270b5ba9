//! `penstock get`: what there is, and how it is.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use penstock_crds::{
    ConditionType, ConnectorSpec, Document, DocumentKey, Health, Kind, Name, ProfileSpec, Status, Truth, merge,
};
use serde::Serialize;
use serde_json::Value;

use crate::Exit;
use crate::failure::Failure;
use crate::output::{ListFormat, print, print_json, print_yaml, table};
use crate::server::ServerArgs;
use crate::specs::{Entry, Specs};

/// Stands where nothing is known.
const NONE: &str = "-";

/// Lists connectors or profiles.
#[derive(Debug, clap::Args)]
pub(crate) struct Get {
    /// `connectors` (when missing) or `profiles`, and a name to see only that one
    #[arg(value_name = "[KIND] [NAME]", num_args = 0..=2)]
    what: Vec<String>,
    /// How the list is printed
    #[arg(short, long, value_enum, default_value_t)]
    output: ListFormat,
    #[command(flatten)]
    server: ServerArgs,
}

/// One connector, as programs read it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    /// The latest document that could be read; null when it was withdrawn and its removal is under way.
    document: Option<Value>,
    /// The offset of the latest record under its key.
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<i64>,
    /// The last status; null before the operator's first.
    status: Option<Status>,
    /// What a person asked of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    target_state: Option<Value>,
    #[serde(skip)]
    row: Row,
}

/// One profile, as programs read it.
#[derive(Debug, Serialize)]
struct ShownProfile {
    document: Option<Value>,
    generation: i64,
    /// The connectors that name it.
    connectors: BTreeSet<Name>,
    #[serde(skip)]
    since: Option<i64>,
    #[serde(skip)]
    name: Name,
}

/// What only the table needs.
#[derive(Debug)]
struct Row {
    name: Name,
    merged: Option<ConnectorSpec>,
    since: Option<i64>,
}

impl Get {
    pub(crate) async fn run(self) -> Result<Exit, Failure> {
        let (kind, name) = self.target()?;
        let server = self.server.server()?;
        let specs = server.specs().await?;
        let now = Timestamp::now();
        if kind == Kind::Profile {
            let shown = profiles(&specs, name.as_ref());
            self.refuse_nothing(shown.is_empty(), kind, name, &server.specs_topic())?;
            return self.tell(&shown, |wide| profile_table(&shown, wide, now));
        }
        let statuses = server.last_statuses().await?;
        let shown = connectors(&specs, &statuses, name.as_ref());
        self.refuse_nothing(shown.is_empty(), kind, name, &server.specs_topic())?;
        self.tell(&shown, |wide| connector_table(&shown, wide, now))
    }

    fn target(&self) -> Result<(Kind, Option<Name>), Failure> {
        match self.what.as_slice() {
            [] => Ok((Kind::Connector, None)),
            [one] => match kind_of(one) {
                Some(kind) => Ok((kind, None)),
                None => Ok((Kind::Connector, Some(name_of(one)?))),
            },
            [kind, name, ..] => {
                let kind = kind_of(kind).ok_or_else(|| Failure::ReadKind(kind.clone()))?;
                Ok((kind, Some(name_of(name)?)))
            }
        }
    }

    /// An empty list is an answer; a name that does not exist is an error.
    fn refuse_nothing(&self, empty: bool, kind: Kind, name: Option<Name>, topic: &str) -> Result<(), Failure> {
        match name {
            Some(name) if empty => Err(Failure::FindDocument {
                key: DocumentKey { kind, name },
                topic: topic.to_owned(),
            }),
            _ => Ok(()),
        }
    }

    fn tell(&self, shown: &impl Serialize, table: impl FnOnce(bool) -> String) -> Result<Exit, Failure> {
        match self.output {
            ListFormat::Table => print(&table(false))?,
            ListFormat::Wide => print(&table(true))?,
            ListFormat::Json => print_json(shown)?,
            ListFormat::Yaml => print_yaml(shown)?,
        }
        Ok(Exit::Done)
    }
}

/// Returns the kind that a person means by a word, if it is one.
pub(crate) fn kind_of(word: &str) -> Option<Kind> {
    match word {
        "connector" | "connectors" => Some(Kind::Connector),
        "profile" | "profiles" => Some(Kind::Profile),
        _ => None,
    }
}

/// Returns the name that a person typed.
pub(crate) fn name_of(text: &str) -> Result<Name, Failure> {
    text.parse().map_err(|source| Failure::ReadName {
        text: text.to_owned(),
        source,
    })
}

/// Returns a time that has passed in its largest unit, such as `3h`.
pub(crate) fn age(since: Option<i64>, now: Timestamp) -> String {
    let Some(since) = since else { return NONE.to_owned() };
    let seconds = (now.as_millisecond() - since).max(0) / 1000;
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// Returns connectors with a document, and those whose removal is under way.
fn connectors(specs: &Specs, statuses: &BTreeMap<Name, Status>, only: Option<&Name>) -> Vec<Shown> {
    let leaving = statuses.iter().filter(|(_, status)| status.health != Health::Deleted);
    let mut names: BTreeSet<&Name> = leaving.map(|(name, _)| name).collect();
    names.extend(specs.of(Kind::Connector).map(|(name, _)| name));
    // Who asks for one by name may want to see how it ended.
    names.extend(only.filter(|name| statuses.contains_key(*name)));
    names.retain(|name| only.is_none_or(|only| only == *name));
    let profiles = specs.profiles();
    let shown = names
        .into_iter()
        .map(|name| shown(specs, &profiles, statuses.get(name), name));
    shown.collect()
}

fn shown(specs: &Specs, profiles: &BTreeMap<Name, ProfileSpec>, status: Option<&Status>, name: &Name) -> Shown {
    let entry = specs.get(Kind::Connector, name);
    let target = specs
        .get(Kind::TargetState, name)
        .and_then(|entry| entry.document.as_ref());
    let merged = match entry.and_then(|entry| entry.document.as_ref()) {
        Some(Document::Connector(connector)) => {
            let named = connector
                .spec
                .profile
                .as_ref()
                .and_then(|name| name.parse::<Name>().ok());
            Some(merge(&connector.spec, named.and_then(|name| profiles.get(&name))))
        }
        _ => None,
    };
    Shown {
        document: document(entry),
        generation: entry.map(|entry| entry.generation),
        status: status.cloned(),
        target_state: target.map(Document::to_json),
        row: Row {
            name: name.clone(),
            merged,
            since: entry.and_then(|entry| entry.since),
        },
    }
}

fn document(entry: Option<&Entry>) -> Option<Value> {
    Some(entry?.document.as_ref()?.to_json())
}

fn profiles(specs: &Specs, only: Option<&Name>) -> Vec<ShownProfile> {
    let wanted = specs
        .of(Kind::Profile)
        .filter(|(name, _)| only.is_none_or(|only| only == *name));
    let shown = wanted.map(|(name, entry)| ShownProfile {
        document: document(Some(entry)),
        generation: entry.generation,
        connectors: specs.users(name),
        since: entry.since,
        name: name.clone(),
    });
    shown.collect()
}

fn connector_table(shown: &[Shown], wide: bool, now: Timestamp) -> String {
    let mut headings = vec!["NAME", "READY", "HEALTH", "STATE", "TASKS", "GENERATION", "AGE"];
    if wide {
        headings.extend(["QUEUE", "TOPIC", "CLUSTER", "REASON"]);
    }
    let rows = shown.iter().map(|connector| connector_row(connector, wide, now));
    table(&headings, rows.collect())
}

fn connector_row(shown: &Shown, wide: bool, now: Timestamp) -> Vec<String> {
    let status = shown.status.as_ref();
    let none = || NONE.to_owned();
    let ready = status
        .and_then(|status| condition(status, ConditionType::Ready))
        .map(truth);
    let phase = status.and_then(|status| status.phase).map(|phase| word(&phase));
    let mut row = vec![
        shown.row.name.to_string(),
        ready.unwrap_or_else(none),
        status.map_or_else(none, |status| word(&status.health)),
        phase.unwrap_or_else(none),
        status.map_or_else(none, |status| {
            format!("{}/{}", status.tasks.running, status.tasks.desired)
        }),
        shown.generation.map_or_else(none, |generation| generation.to_string()),
        age(shown.row.since, now),
    ];
    if wide {
        row.extend(wide_columns(shown));
    }
    row
}

fn wide_columns(shown: &Shown) -> [String; 4] {
    let merged = shown.row.merged.as_ref();
    let queue = merged.and_then(|spec| {
        spec.source
            .as_ref()?
            .sqs
            .as_ref()?
            .queue_url
            .as_deref()?
            .rsplit('/')
            .next()
    });
    let topic = merged.and_then(|spec| spec.sink.as_ref()?.kafka.as_ref()?.topic.as_deref());
    let cluster = merged.and_then(|spec| spec.service.as_ref()?.cluster.as_deref());
    let reason = shown.status.as_ref().and_then(reason);
    [queue, topic, cluster, reason].map(|text| text.unwrap_or(NONE).to_owned())
}

/// Returns the reason of the first condition that is not as one would like it.
fn reason(status: &Status) -> Option<&str> {
    let unwanted = |kind, truth| {
        matches!(
            (kind, truth),
            (
                ConditionType::Ready | ConditionType::Synced,
                Truth::False | Truth::Unknown
            ) | (ConditionType::Degraded | ConditionType::ScalingLimited, Truth::True)
        )
    };
    let first = status.conditions.iter().find(|one| unwanted(one.r#type, one.status));
    first.map(|condition| condition.reason.as_str())
}

fn profile_table(shown: &[ShownProfile], wide: bool, now: Timestamp) -> String {
    let mut headings = vec!["NAME", "CONNECTORS", "GENERATION", "AGE"];
    if wide {
        headings.push("CLUSTER");
    }
    let row = |profile: &ShownProfile| {
        let mut row = vec![
            profile.name.to_string(),
            profile.connectors.len().to_string(),
            profile.generation.to_string(),
            age(profile.since, now),
        ];
        if wide {
            let cluster = profile
                .document
                .as_ref()
                .and_then(|document| document["spec"]["service"]["cluster"].as_str());
            row.push(cluster.unwrap_or(NONE).to_owned());
        }
        row
    };
    table(&headings, shown.iter().map(row).collect())
}

/// Returns the condition of a kind, if the status has it.
pub(crate) fn condition(status: &Status, kind: ConditionType) -> Option<&penstock_crds::Condition> {
    status.conditions.iter().find(|one| one.r#type == kind)
}

fn truth(condition: &penstock_crds::Condition) -> String {
    word(&condition.status)
}

/// Returns a value of one word as it stands in documents.
pub(crate) fn word(value: &impl Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or(NONE).to_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod tests {
    use super::*;
    use crate::specs::tests::record;

    const PROFILE: &str = r#"{"apiVersion":"penstock.dev/v1","kind":"Profile","metadata":{"name":"default"},"spec":{"service":{"cluster":"data"}}}"#;
    const ORDERS: &str = r#"{"apiVersion":"penstock.dev/v1","kind":"Connector","metadata":{"name":"orders"},"spec":{"profile":"default","source":{"sqs":{"queueUrl":"https://sqs.eu-west-1.amazonaws.com/123456789012/orders-queue"}},"sink":{"kafka":{"topic":"orders-topic"}}}}"#;

    /// Returns a status of `orders` that sleeps.
    pub(crate) fn status() -> Status {
        serde_json::from_value(serde_json::json!({
            "apiVersion": "penstock.dev/v1", "kind": "Connector", "name": "orders", "time": "2026-01-31T12:00:00Z",
            "uid": "id/0/4", "observedGeneration": 5, "acceptedGeneration": 5, "phase": "asleep", "health": "HEALTHY",
            "conditions": [
                {"type": "Ready", "status": "True", "reason": "Asleep", "message": "the queue is empty",
                 "lastTransitionTime": "2026-01-31T11:58:10Z", "observedGeneration": 5},
                {"type": "Synced", "status": "False", "reason": "Waiting", "lastTransitionTime": "2026-01-31T11:58:10Z"}
            ],
            "tasks": {"desired": 2, "running": 1, "pending": 1}
        }))
        .unwrap()
    }

    fn specs() -> Specs {
        let mut specs = Specs::default();
        specs.apply(&record(3, "Profile/default", Some(PROFILE)));
        specs.apply(&record(4, "Connector/orders", Some(ORDERS)));
        specs.apply(&record(5, "Connector/orders", Some(ORDERS)));
        specs
    }

    fn now() -> Timestamp {
        Timestamp::from_millisecond(4_000 + 3 * 3_600_000).unwrap()
    }

    #[test]
    fn the_table_shows_a_connector_before_and_after_its_first_status() {
        let shown = connectors(&specs(), &BTreeMap::new(), None);
        assert_eq!(
            connector_table(&shown, false, now()),
            "NAME     READY   HEALTH   STATE   TASKS   GENERATION   AGE\n\
             orders   -       -        -       -       5            3h\n"
        );
        let statuses = BTreeMap::from([("orders".parse().unwrap(), status())]);
        let shown = connectors(&specs(), &statuses, None);
        assert_eq!(
            connector_table(&shown, true, now()),
            "NAME     READY   HEALTH    STATE    TASKS   GENERATION   AGE   QUEUE          TOPIC          CLUSTER   REASON\n\
             orders   True    HEALTHY   asleep   1/2     5            3h    orders-queue   orders-topic   data      Waiting\n"
        );
    }

    #[test]
    fn programs_get_the_document_and_the_status_side_by_side() {
        let statuses = BTreeMap::from([("orders".parse().unwrap(), status())]);
        let shown = serde_json::to_value(connectors(&specs(), &statuses, None)).unwrap();
        assert_eq!(shown[0]["document"]["metadata"]["name"], "orders");
        assert_eq!(shown[0]["status"]["health"], "HEALTHY");
        assert_eq!(shown[0]["generation"], 5);
        assert_eq!(shown[0].get("targetState"), None);
    }

    #[test]
    fn a_deleted_connector_is_shown_only_to_who_asks_for_it_by_name() {
        let gone = Status {
            health: Health::Deleted,
            ..status()
        };
        let name: Name = "gone".parse().unwrap();
        let statuses = BTreeMap::from([(name.clone(), gone)]);
        assert!(connectors(&Specs::default(), &statuses, None).is_empty());
        assert_eq!(connectors(&Specs::default(), &statuses, Some(&name)).len(), 1);
    }

    #[test]
    fn a_profile_shows_how_many_use_it() {
        assert_eq!(
            profile_table(&profiles(&specs(), None), true, now()),
            "NAME      CONNECTORS   GENERATION   AGE   CLUSTER\ndefault   1            3            3h    data\n"
        );
    }

    #[test]
    fn an_age_is_told_in_its_largest_unit() {
        let at = |seconds: i64| age(Some(0), Timestamp::from_second(seconds).unwrap());
        assert_eq!(
            [at(0), at(119), at(120), at(7200), at(172_800)],
            ["0s", "119s", "2m", "2h", "2d"]
        );
        assert_eq!(age(None, Timestamp::UNIX_EPOCH), "-");
    }
}
