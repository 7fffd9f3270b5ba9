//! Health by progress: a part that has work and gets nothing done for a minute is stalled, whatever the process looks like.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

/// How long a part may have work and get nothing done.
pub const STALLED_AFTER: Duration = Duration::from_secs(60);

/// How long the sink may owe an answer for one message while others pass. A slow link that is full may take minutes for
/// each; a part that gets nothing done at all is judged by [`STALLED_AFTER`].
pub const OVERDUE_AFTER: Duration = Duration::from_secs(300);

/// How long the pump's own loop may stand still; it turns at least once a second.
const LOOP_STALLED_AFTER: Duration = Duration::from_secs(20);

/// The parts whose progress is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Receive calls return.
    Receive,
    /// The sink answers for what it holds.
    Send,
    /// Deletes and releases succeed.
    Settle,
}

const PARTS: [(Part, &str); 3] = [
    (Part::Receive, "receive"),
    (Part::Send, "send"),
    (Part::Settle, "settle"),
];

/// What the process is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// It checks queue and topic; it is not healthy until they are there.
    Starting,
    /// It moves messages.
    Running,
    /// It hands over what it holds.
    Draining,
}

/// The progress of one process.
#[derive(Debug)]
pub struct Health {
    state: Mutex<Watch>,
}

#[derive(Debug)]
struct Watch {
    phase: Phase,
    turned: Instant,
    /// By part, since when it has had work without getting anything done; nothing while it has none.
    waiting: [Option<Instant>; 3],
    /// By part, when it was last begun anew.
    restarted: [Option<Instant>; 3],
    /// Whether the sink owes an answer for a message for too long, though others may pass.
    is_overdue: bool,
}

/// What `/healthz` says.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Whether the process does its job.
    pub healthy: bool,
    /// What it is at.
    pub phase: Phase,
    /// In words, what is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Every part.
    pub parts: Vec<PartReport>,
}

/// One part of a [`Report`].
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PartReport {
    /// Which part.
    pub part: &'static str,
    /// Whether it has work and gets nothing done.
    pub stalled: bool,
    /// For how many seconds it has had work without getting anything done; nothing while it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_seconds: Option<f64>,
}

impl Health {
    /// Begins to watch, at `now`.
    pub fn new(now: Instant) -> Self {
        Self {
            state: Mutex::new(Watch {
                phase: Phase::Starting,
                turned: now,
                waiting: [None; 3],
                restarted: [None; 3],
                is_overdue: false,
            }),
        }
    }

    /// Notes what the process is at.
    pub fn enter(&self, phase: Phase, now: Instant) {
        let mut watch = self.watch();
        watch.phase = phase;
        watch.turned = now;
    }

    /// Notes that the pump's loop turned, and for each part whether it has work. Returns the parts that are stalled and
    /// have not been begun anew for as long as it takes to be called so; the caller does that now.
    pub fn turned(&self, now: Instant, has_work: [(Part, bool); 3]) -> Vec<Part> {
        let mut watch = self.watch();
        watch.turned = now;
        let mut stalled = Vec::new();
        for (part, work) in has_work {
            let waiting = &mut watch.waiting[part as usize];
            *waiting = if work { waiting.or(Some(now)) } else { None };
            let Some(since) = *waiting else {
                watch.restarted[part as usize] = None;
                continue;
            };
            let restarted = &mut watch.restarted[part as usize];
            let last = restarted.map_or(since, |restarted| restarted.max(since));
            if now.saturating_duration_since(last) > STALLED_AFTER {
                *restarted = Some(now);
                stalled.push(part);
            }
        }
        stalled
    }

    /// Notes that a part got something done.
    pub fn progressed(&self, part: Part, now: Instant) {
        if let Some(since) = &mut self.watch().waiting[part as usize] {
            *since = now;
        }
    }

    /// Notes since when the sink has owed an answer for the message that has waited longest. Returns whether that is
    /// overdue now and was not before.
    pub fn owes(&self, since: Option<Instant>, now: Instant) -> bool {
        let mut watch = self.watch();
        let was_overdue = watch.is_overdue;
        watch.is_overdue = since.is_some_and(|since| now.saturating_duration_since(since) > OVERDUE_AFTER);
        watch.is_overdue && !was_overdue
    }

    /// Says how things stand.
    pub fn report(&self, now: Instant) -> Report {
        let watch = self.watch();
        let parts: Vec<_> = PARTS
            .iter()
            .map(|(part, name)| report_part(name, watch.waiting[*part as usize], now))
            .collect();
        let reason = reason(&watch, &parts, now);
        Report {
            healthy: reason.is_none(),
            phase: watch.phase,
            reason,
            parts,
        }
    }

    fn watch(&self) -> MutexGuard<'_, Watch> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn report_part(part: &'static str, since: Option<Instant>, now: Instant) -> PartReport {
    let waiting = since.map(|since| now.saturating_duration_since(since));
    PartReport {
        part,
        stalled: waiting.is_some_and(|waiting| waiting > STALLED_AFTER),
        waiting_seconds: waiting.map(|waiting| waiting.as_secs_f64()),
    }
}

fn reason(watch: &Watch, parts: &[PartReport], now: Instant) -> Option<String> {
    if watch.phase == Phase::Starting {
        return Some("it still checks the queue and the topics".to_owned());
    }
    let still = now.saturating_duration_since(watch.turned);
    if still > LOOP_STALLED_AFTER {
        return Some(format!("its loop has stood still for {} s", still.as_secs()));
    }
    let stalled: Vec<_> = parts.iter().filter(|part| part.stalled).map(|part| part.part).collect();
    if !stalled.is_empty() {
        let (seconds, stalled) = (STALLED_AFTER.as_secs(), stalled.join(", "));
        return Some(format!("no progress for over {seconds} s: {stalled}"));
    }
    let seconds = OVERDUE_AFTER.as_secs();
    watch
        .is_overdue
        .then(|| format!("Kafka has answered nothing for one of the messages for over {seconds} s"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn work(receive: bool, send: bool, settle: bool) -> [(Part, bool); 3] {
        [(Part::Receive, receive), (Part::Send, send), (Part::Settle, settle)]
    }

    fn running() -> (Health, Instant) {
        let now = Instant::now();
        let health = Health::new(now);
        health.enter(Phase::Running, now);
        (health, now)
    }

    #[tokio::test]
    async fn it_is_not_healthy_before_it_moves_messages() {
        let now = Instant::now();
        let health = Health::new(now);
        assert!(!health.report(now).healthy);
        health.enter(Phase::Running, now);
        assert!(health.report(now).healthy);
    }

    #[tokio::test]
    async fn a_part_with_work_and_without_progress_is_named() {
        let (health, start) = running();
        health.turned(start, work(true, true, false));
        let later = start + STALLED_AFTER + Duration::from_secs(1);
        health.progressed(Part::Receive, later);
        health.turned(later, work(true, true, false));
        let report = health.report(later);
        assert!(!report.healthy);
        assert_eq!(
            report
                .parts
                .iter()
                .filter(|part| part.stalled)
                .map(|part| part.part)
                .collect::<Vec<_>>(),
            ["send"]
        );
        assert!(report.reason.expect("a reason").contains("send"));
    }

    #[tokio::test]
    async fn a_part_without_work_never_stalls() {
        let (health, start) = running();
        health.turned(start, work(false, true, false));
        let later = start + STALLED_AFTER * 3;
        health.turned(later - Duration::from_secs(1), work(false, false, false));
        health.turned(later, work(false, true, false));
        assert!(health.report(later).healthy, "its work began just now");
    }

    #[tokio::test]
    async fn a_stalled_part_is_begun_anew_once_a_minute_until_it_gets_something_done() {
        let (health, start) = running();
        let minute = STALLED_AFTER + Duration::from_secs(1);
        assert_eq!(health.turned(start, work(true, false, false)), []);
        assert_eq!(health.turned(start + minute, work(true, false, false)), [Part::Receive]);
        assert_eq!(health.turned(start + minute * 3 / 2, work(true, false, false)), []);
        assert_eq!(
            health.turned(start + minute * 2, work(true, false, false)),
            [Part::Receive]
        );
        health.progressed(Part::Receive, start + minute * 2);
        assert_eq!(health.turned(start + minute * 5 / 2, work(true, false, false)), []);
    }

    #[tokio::test]
    async fn one_message_without_an_answer_for_minutes_is_not_healthy_though_others_pass() {
        let (health, start) = running();
        let owed = Some(start);
        for (seconds, news) in [(60, false), (301, true), (302, false)] {
            let now = start + Duration::from_secs(seconds);
            health.turned(now, work(true, true, true));
            health.progressed(Part::Send, now);
            health.progressed(Part::Settle, now);
            health.progressed(Part::Receive, now);
            assert_eq!(health.owes(owed, now), news);
            assert_eq!(health.report(now).healthy, seconds == 60, "after {seconds} s");
        }
        let now = start + Duration::from_secs(303);
        assert!(!health.owes(None, now));
        assert!(health.report(now).healthy);
    }

    #[tokio::test]
    async fn a_loop_that_stands_still_is_not_healthy() {
        let (health, start) = running();
        health.turned(start, work(false, false, false));
        assert!(
            !health
                .report(start + LOOP_STALLED_AFTER + Duration::from_secs(1))
                .healthy
        );
    }
}
