//! Whether the operator lives, and whether what it works with answers.
//!
//! Two kinds of inputs are told apart. Some have to move by themselves: the spec topic is followed, passes are made. Others
//! are only asked when there is something to ask or to write: such a one is amiss when nothing but failures came for long,
//! so an operator with nothing to do stays ready, and so does one in which a single connector goes wrong.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The control loop itself, as an input. The others may stand still because Kafka or AWS does, which no restart mends.
pub const PASSES: &str = "passes";
/// What was written last to the state and status topics.
pub const JOURNAL: &str = "state and status";
/// What was read last of AWS.
pub const AWS: &str = "aws";

/// How the inputs stand; cheap to clone.
#[derive(Debug, Clone)]
pub struct Progress {
    inner: Arc<Mutex<Inner>>,
    limits: Limits,
}

/// How long an input may be amiss.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long one that has to move may stand still, and a write may fail, before the operator is not ready.
    pub moving: Duration,
    /// How long reads of AWS may fail: long enough for every connector to have been looked at.
    pub observing: Duration,
    /// How long no pass may end while connectors wait for one, before only a restart can help: longer than any pass takes.
    pub living: Duration,
}

#[derive(Debug)]
struct Inner {
    /// What the start waits for, until the work begins.
    start: Option<&'static str>,
    moving: BTreeMap<&'static str, Moving>,
    failing: BTreeMap<&'static str, Failing>,
}

#[derive(Debug)]
struct Moving {
    last: Instant,
    hindrance: Option<String>,
}

#[derive(Debug)]
struct Failing {
    since: Instant,
    why: String,
}

impl Progress {
    /// Begins with a start that waits for its first step.
    pub fn new(limits: Limits) -> Self {
        let inner = Inner {
            start: Some("its first step"),
            moving: BTreeMap::new(),
            failing: BTreeMap::new(),
        };
        Self {
            inner: Arc::new(Mutex::new(inner)),
            limits,
        }
    }

    /// Notes what the start waits for.
    pub fn awaits(&self, what: &'static str) {
        self.lock().start = Some(what);
    }

    /// Notes that the work begins: from now on the control loop has to move.
    pub fn begun(&self) {
        self.lock().start = None;
        self.made(PASSES);
    }

    /// Notes that an input moved.
    pub fn made(&self, input: &'static str) {
        let moved = Moving {
            last: Instant::now(),
            hindrance: None,
        };
        self.lock().moving.insert(input, moved);
    }

    /// Notes what keeps an input from moving.
    pub fn hindered(&self, input: &'static str, why: String) {
        let mut inner = self.lock();
        let fresh = || Moving {
            last: Instant::now(),
            hindrance: None,
        };
        inner.moving.entry(input).or_insert_with(fresh).hindrance = Some(why);
    }

    /// Notes what came of asking an input: it is amiss from its first failure to its next success.
    pub fn answered(&self, input: &'static str, answer: Result<(), String>) {
        let mut inner = self.lock();
        match answer {
            Ok(()) => drop(inner.failing.remove(input)),
            Err(why) => {
                let fresh = || Failing {
                    since: Instant::now(),
                    why: String::new(),
                };
                inner.failing.entry(input).or_insert_with(fresh).why = why;
            }
        }
    }

    /// Returns what keeps the operator from being ready.
    pub fn hindrances(&self) -> Vec<String> {
        let inner = self.lock();
        let start = inner.start.map(|what| format!("the start waits for {what}"));
        let begun = start.is_none();
        let stopped = |(name, input): (&&'static str, &Moving)| {
            let still = input.last.elapsed();
            // Before the work begins, whatever hinders is worth a word.
            let told = still > self.limits.moving || (!begun && input.hindrance.is_some());
            let why = input.hindrance.iter().map(|why| format!("; {why}"));
            told.then(|| format!("{name}: no progress for {} s", still.as_secs()) + &why.collect::<String>())
        };
        let failing = |(name, input): (&&'static str, &Failing)| {
            let limit = if *name == AWS {
                self.limits.observing
            } else {
                self.limits.moving
            };
            let since = input.since.elapsed();
            (since > limit).then(|| format!("{name}: nothing but failures for {} s; {}", since.as_secs(), input.why))
        };
        let stopped = inner.moving.iter().filter_map(stopped);
        let failing = inner.failing.iter().filter_map(failing);
        start.into_iter().chain(stopped).chain(failing).collect()
    }

    /// Whether the control loop stands still so long that only a restart can help.
    pub fn is_wedged(&self) -> bool {
        let inner = self.lock();
        let passes = inner.moving.get(PASSES);
        inner.start.is_none() && passes.is_some_and(|input| input.last.elapsed() > self.limits.living)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPECS: &str = "specs";

    fn progress() -> Progress {
        Progress::new(Limits {
            moving: Duration::from_secs(60),
            observing: Duration::from_secs(420),
            living: Duration::from_secs(360),
        })
    }

    async fn pass_time(seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_start_that_waits_is_alive_for_ever_and_says_what_it_waits_for() {
        let progress = progress();
        progress.awaits("Kafka and its topics");
        pass_time(900).await;
        assert!(!progress.is_wedged());
        assert_eq!(progress.hindrances(), ["the start waits for Kafka and its topics"]);
        progress.awaits("the end of the spec topic");
        progress.hindered(SPECS, "no broker".to_owned());
        let told = progress.hindrances();
        assert_eq!(
            told,
            [
                "the start waits for the end of the spec topic",
                "specs: no progress for 0 s; no broker"
            ]
        );
        progress.made(SPECS);
        progress.begun();
        assert_eq!((progress.hindrances(), progress.is_wedged()), (Vec::new(), false));
    }

    #[tokio::test(start_paused = true)]
    async fn a_control_loop_that_stands_still_is_not_ready_and_then_not_alive() {
        let progress = progress();
        progress.begun();
        pass_time(61).await;
        assert_eq!(progress.hindrances(), ["passes: no progress for 61 s"]);
        assert!(!progress.is_wedged(), "a pass may still end");
        pass_time(300).await;
        assert!(progress.is_wedged());
        progress.made(PASSES);
        assert_eq!((progress.hindrances(), progress.is_wedged()), (Vec::new(), false));
    }

    #[tokio::test(start_paused = true)]
    async fn a_spec_topic_that_stands_still_is_told_with_its_cause_and_needs_no_restart() {
        let progress = progress();
        progress.begun();
        progress.made(SPECS);
        progress.hindered(SPECS, "nothing comes".to_owned());
        assert_eq!(progress.hindrances(), Vec::<String>::new(), "within patience");
        pass_time(61).await;
        progress.made(PASSES);
        assert_eq!(progress.hindrances(), ["specs: no progress for 61 s; nothing comes"]);
        pass_time(3600).await;
        progress.made(PASSES);
        assert!(!progress.is_wedged());
    }

    #[tokio::test(start_paused = true)]
    async fn an_input_is_amiss_after_nothing_but_failures_and_well_again_after_one_success() {
        let progress = progress();
        progress.begun();
        progress.answered(JOURNAL, Ok(()));
        pass_time(3600).await;
        progress.made(PASSES);
        assert_eq!(progress.hindrances(), Vec::<String>::new(), "nothing had to be written");
        progress.answered(JOURNAL, Err("denied".to_owned()));
        pass_time(50).await;
        assert_eq!(progress.hindrances(), Vec::<String>::new(), "within patience");
        progress.answered(JOURNAL, Err("denied again".to_owned()));
        pass_time(11).await;
        progress.made(PASSES);
        let told = "state and status: nothing but failures for 61 s; denied again";
        assert_eq!(progress.hindrances(), [told]);
        progress.answered(JOURNAL, Ok(()));
        assert_eq!(progress.hindrances(), Vec::<String>::new());
    }

    #[tokio::test(start_paused = true)]
    async fn one_connector_that_cannot_be_read_hides_no_other_and_all_of_them_are_told() {
        let progress = progress();
        progress.begun();
        for _ in 0..10 {
            progress.answered(AWS, Err("the cluster is denied".to_owned()));
            pass_time(300).await;
            progress.made(PASSES);
            assert_eq!(progress.hindrances(), Vec::<String>::new());
            progress.answered(AWS, Ok(()));
        }
        progress.answered(AWS, Err("the role is gone".to_owned()));
        pass_time(421).await;
        progress.made(PASSES);
        assert_eq!(
            progress.hindrances(),
            ["aws: nothing but failures for 421 s; the role is gone"]
        );
    }
}
