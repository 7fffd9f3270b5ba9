//! `penstock wait`: follows the status topic until a connector is as asked, or the time is over.

use std::str::FromStr;
use std::time::Duration;

use penstock_crds::{
    Condition, ConditionType, Document, DocumentKey, Handled, Health, Kind, Name, Phase, State, Status, Truth,
};
use penstock_kafka::{Event, Follower, Record};
use tokio::time::{Instant, timeout_at};

use crate::cmd::get::{condition, name_of, word};
use crate::failure::Failure;
use crate::output::print_line;
use crate::server::{Server, ServerArgs};
use crate::specs::{Entry, connector_of, read_status};
use crate::{Exit, talk};

/// How often the person hears what is awaited.
const TELLING: Duration = Duration::from_secs(5);
/// How long waiting may take in silence.
const QUIET: Duration = Duration::from_secs(1);

/// Waits until a connector is as asked.
#[derive(Debug, clap::Args)]
pub(crate) struct Wait {
    /// The connector
    name: String,
    /// What for: ready, deleted, synced, asleep or generation=N; all but `deleted` and `generation` are judged for the
    /// newest document there is when the command begins, once it is in force and the restart and the pass that were asked
    /// for are done; `ready` and `asleep` also need that nothing is under way any more
    #[arg(long = "for", value_name = "GOAL")]
    goal: String,
    /// How long
    #[arg(long, default_value = "5m", value_parser = humantime::parse_duration)]
    timeout: Duration,
    #[command(flatten)]
    server: ServerArgs,
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Goal {
    Ready,
    Deleted,
    Synced,
    Asleep,
    Generation(i64),
}

/// What was seen of the connector so far.
#[derive(Debug, Default)]
struct Seen {
    /// The offset of the latest document when the command began; nothing once it was withdrawn.
    written: Option<i64>,
    /// The requests that stood beside it.
    asked: Handled,
    status: Option<Status>,
    /// Whether the operator remembers the connector.
    remembered: bool,
    /// The requests that the operator has carried out.
    handled: Handled,
    /// How many of the two topics were read to their ends.
    ends: usize,
}

impl Wait {
    pub(crate) async fn run(self) -> Result<Exit, Failure> {
        let goal = self.goal.parse()?;
        wait_for(&self.server.server()?, &name_of(&self.name)?, goal, self.timeout).await
    }
}

/// Waits, says what came of it, and tells how to exit.
pub(crate) async fn wait_for(server: &Server, name: &Name, goal: Goal, patience: Duration) -> Result<Exit, Failure> {
    let deadline = Instant::now() + patience;
    let Ok(specs) = timeout_at(deadline, server.specs()).await else {
        talk::say(&format!(
            "error: connector/{name} was not {goal} within {}: until then the topic {} could not be read to its end; give \
             --timeout more, or check the brokers' health",
            humantime::format_duration(patience),
            server.specs_topic()
        ));
        return Ok(Exit::Refused);
    };
    let specs = specs?;
    let mut seen = Seen {
        written: specs.get(Kind::Connector, name).map(|entry| entry.generation),
        asked: asked(specs.get(Kind::TargetState, name)),
        ..Seen::default()
    };
    if seen.written.is_none() && goal != Goal::Deleted {
        return Err(Failure::FindDocument {
            key: DocumentKey {
                kind: Kind::Connector,
                name: name.clone(),
            },
            topic: server.specs_topic(),
        });
    }
    let (statuses, states) = server.follow()?;
    let hindrance = statuses.progress();
    if timeout_at(deadline, follow(name, goal, &mut seen, statuses, states))
        .await
        .is_ok()
    {
        print_line(&format!("connector/{name} is {goal}"))?;
        return Ok(Exit::Done);
    }
    let hindrance = hindrance.hindrance().filter(|_| seen.ends < 2);
    let hindrance = hindrance.map(|why| format!(" ({why})")).unwrap_or_default();
    talk::say(&format!(
        "error: connector/{name} was not {goal} within {}; last seen: {}{hindrance}; `penstock describe {name}` tells more",
        humantime::format_duration(patience),
        seen.told(goal)
    ));
    Ok(Exit::Refused)
}

/// Returns the requests of a connector's target state.
fn asked(entry: Option<&Entry>) -> Handled {
    match entry.and_then(|entry| entry.document.as_ref()) {
        Some(Document::TargetState(target)) => Handled {
            restarted_at: target.spec.restarted_at,
            reconcile_at: target.spec.reconcile_at,
        },
        _ => Handled::default(),
    }
}

/// Follows both topics until the goal is reached.
async fn follow(name: &Name, goal: Goal, seen: &mut Seen, mut statuses: Follower, mut states: Follower) {
    let started = Instant::now();
    let mut ticks = tokio::time::interval_at(started + QUIET, TELLING);
    while seen.ends < 2 || !seen.reached(goal) {
        tokio::select! {
            Some(event) = statuses.next() => seen.take(event, |seen, record| seen.take_status(name, record)),
            Some(event) = states.next() => seen.take(event, |seen, record| seen.take_state(name, record)),
            _ = ticks.tick() => talk::say(&format!(
                "waiting for connector/{name} to be {goal} ... {} s: {}",
                started.elapsed().as_secs(),
                seen.told(goal)
            )),
        }
    }
}

impl Seen {
    fn take(&mut self, event: Event, take: impl FnOnce(&mut Self, &Record)) {
        match event {
            Event::Record(record) => take(self, &record),
            Event::CaughtUp => self.ends += 1,
            // What follows a lost log is nothing, so the deadline ends the wait.
            Event::Opened { .. } | Event::Lost(_) => {}
        }
    }

    fn take_status(&mut self, name: &Name, record: &Record) {
        if let Some((of, status)) = read_status(record)
            && of == *name
        {
            self.status = status;
        }
    }

    fn take_state(&mut self, name: &Name, record: &Record) {
        if connector_of(record).as_ref() == Some(name) {
            let state = record.value.as_ref();
            self.remembered = state.is_some();
            // A state that cannot be read is a newer operator's: what it has done is not known.
            let state = state.and_then(|state| serde_json::from_slice::<State>(state).ok());
            self.handled = state.map(|state| state.handled).unwrap_or_default();
        }
    }

    fn reached(&self, goal: Goal) -> bool {
        let Some(status) = &self.status else {
            return goal == Goal::Deleted && self.written.is_none() && !self.remembered;
        };
        let judged = status.observed_generation;
        // `None` is less than any time, so nothing that was not asked for is waited for.
        let done = self.handled.restarted_at >= self.asked.restarted_at
            && self.handled.reconcile_at >= self.asked.reconcile_at;
        let newest = judged >= self.written && self.written.is_some() && done;
        let holds = |kind| {
            let found = condition(status, kind).filter(|one| one.status == Truth::True);
            found.is_some_and(|one| one.observed_generation.is_none_or(|of| Some(of) >= self.written))
        };
        // Tasks of the former document go on working while others replace them, or although the newest was refused.
        let works = || {
            newest
                && status.accepted_generation >= self.written
                && under_way(status).is_none()
                && holds(ConditionType::Ready)
        };
        match goal {
            Goal::Ready => works(),
            Goal::Synced => newest && holds(ConditionType::Synced),
            Goal::Asleep => status.phase == Some(Phase::Asleep) && works(),
            Goal::Generation(generation) => judged >= Some(generation),
            // The end of the state is written together with the last status, also of a life that left none of its own.
            Goal::Deleted => status.health == Health::Deleted && !self.remembered,
        }
    }

    /// Returns what was last seen, in the words of the condition that matters.
    fn told(&self, goal: Goal) -> String {
        let Some(status) = &self.status else {
            return "no status; is the operator running?".to_owned();
        };
        let kind = match goal {
            Goal::Synced => ConditionType::Synced,
            Goal::Ready | Goal::Deleted | Goal::Asleep | Goal::Generation(_) => ConditionType::Ready,
        };
        let judged = status
            .observed_generation
            .map_or_else(|| "none".to_owned(), |number| number.to_string());
        let mut told = format!("health {}, generation {judged}", word(&status.health));
        if let Some(accepted) = status
            .accepted_generation
            .filter(|one| Some(*one) != status.observed_generation)
        {
            told += &format!(" (in force {accepted})");
        }
        if let Some(phase) = &status.phase {
            told += &format!(", {}", word(phase));
        }
        if let Some(one) = condition(status, kind) {
            told += &format!(", {} {} ({}", word(&one.r#type), word(&one.status), one.reason);
            told += &if one.message.is_empty() {
                ")".to_owned()
            } else {
                format!(": {})", one.message)
            };
        }
        if let Some(one) = under_way(status) {
            told += &format!(", {} under way", one.reason);
        }
        told
    }
}

/// Returns the condition that tells of something under way.
fn under_way(status: &Status) -> Option<&Condition> {
    condition(status, ConditionType::Progressing).filter(|one| one.status == Truth::True)
}

impl FromStr for Goal {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        let refuse = || Failure::ReadGoal { text: text.to_owned() };
        match text {
            "ready" => Ok(Self::Ready),
            "deleted" => Ok(Self::Deleted),
            "synced" => Ok(Self::Synced),
            "asleep" => Ok(Self::Asleep),
            _ => {
                let number = text.strip_prefix("generation=").ok_or_else(refuse)?;
                number.parse().map(Self::Generation).map_err(|_| refuse())
            }
        }
    }
}

impl std::fmt::Display for Goal {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ready => out.write_str("ready"),
            Self::Deleted => out.write_str("deleted"),
            Self::Synced => out.write_str("synced"),
            Self::Asleep => out.write_str("asleep"),
            Self::Generation(number) => write!(out, "at generation {number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmd::get::tests::status;

    fn seen(written: Option<i64>, status: Option<Status>, remembered: bool) -> Seen {
        Seen {
            written,
            status,
            remembered,
            ends: 2,
            ..Seen::default()
        }
    }

    #[test]
    fn ready_counts_only_for_the_newest_document() {
        assert!(seen(Some(5), Some(status()), true).reached(Goal::Ready));
        assert!(!seen(Some(6), Some(status()), true).reached(Goal::Ready));
        assert!(!seen(Some(5), None, true).reached(Goal::Ready));
    }

    #[test]
    fn ready_counts_only_once_the_restart_that_was_asked_for_is_done() {
        let at = |second| jiff::Timestamp::from_second(second).ok();
        let mut seen = seen(Some(5), Some(status()), true);
        seen.asked.restarted_at = at(20);
        assert!(!seen.reached(Goal::Ready), "it was never restarted");
        seen.handled.restarted_at = at(10);
        assert!(!seen.reached(Goal::Ready), "that was an earlier restart");
        seen.handled.restarted_at = at(20);
        assert!(seen.reached(Goal::Ready));
        seen.asked.reconcile_at = at(30);
        assert!(!seen.reached(Goal::Asleep));
        assert!(
            seen.reached(Goal::Generation(5)),
            "a generation is about the document alone"
        );
    }

    #[test]
    fn tasks_of_a_former_document_are_not_what_is_waited_for() {
        let mut told = status();
        told.conditions.push(Condition {
            r#type: ConditionType::Progressing,
            status: Truth::True,
            reason: "Deploying".to_owned(),
            ..told.conditions[0].clone()
        });
        let seen = seen(Some(5), Some(told), true);
        assert!(!seen.reached(Goal::Ready) && !seen.reached(Goal::Asleep));
        assert!(seen.told(Goal::Ready).ends_with(", Deploying under way"));
        let refused = Status {
            accepted_generation: Some(4),
            ..status()
        };
        let seen = self::seen(Some(5), Some(refused), true);
        assert!(!seen.reached(Goal::Ready), "the newest was refused");
        let told = seen.told(Goal::Ready);
        assert!(told.contains("generation 5 (in force 4)"), "{told}");
    }

    #[test]
    fn each_goal_looks_at_its_own_sign() {
        let seen = seen(Some(5), Some(status()), true);
        assert!(seen.reached(Goal::Asleep));
        assert!(!seen.reached(Goal::Synced));
        assert!(seen.reached(Goal::Generation(5)) && !seen.reached(Goal::Generation(6)));
        assert!(!seen.reached(Goal::Deleted));
    }

    #[test]
    fn deleted_means_that_nothing_is_remembered_either() {
        let gone = Status {
            health: Health::Deleted,
            ..status()
        };
        assert!(seen(None, Some(gone.clone()), false).reached(Goal::Deleted));
        assert!(!seen(None, Some(gone), true).reached(Goal::Deleted));
        assert!(seen(None, None, false).reached(Goal::Deleted));
        assert!(!seen(Some(5), None, false).reached(Goal::Deleted));
    }

    #[derive(Debug, clap::Parser)]
    struct Typed {
        #[command(flatten)]
        wait: Wait,
    }

    #[tokio::test]
    async fn the_time_to_wait_ends_also_while_the_documents_are_read() {
        // Nobody listens on port 1.
        let typed = "wait orders --for ready --timeout 0s --bootstrap-servers 127.0.0.1:1".split(' ');
        let typed = <Typed as clap::Parser>::try_parse_from(typed).expect("arguments");
        let ended = typed.wait.run().await.expect("the time is over before anything else");
        assert_eq!(ended, Exit::Refused);
    }

    #[test]
    fn a_goal_is_read_or_refused() {
        assert_eq!("generation=12".parse::<Goal>().ok(), Some(Goal::Generation(12)));
        assert!("happy".parse::<Goal>().is_err() && "generation=x".parse::<Goal>().is_err());
    }

    #[test]
    fn what_was_last_seen_is_told_with_its_reason() {
        let told = seen(Some(6), Some(status()), true).told(Goal::Ready);
        assert_eq!(
            told,
            "health HEALTHY, generation 5, asleep, Ready True (Asleep: the queue is empty)"
        );
    }
}
