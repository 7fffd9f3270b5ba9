//! A sink in memory.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use crate::sink::outcomes::Outcomes;
use crate::sink::{Cause, Delivery, Failure, Refusal, Returned, Route, Sink, Ticket};
use crate::source::Message;

/// A sink that stores after a moment, refuses what it is told to, and can stand still.
pub(crate) struct FakeSink {
    state: Mutex<SinkState>,
    outcomes: Outcomes,
}

#[derive(Default)]
struct SinkState {
    /// What was stored: `id` in the topic, `dead id` in the dead letters.
    stored: Vec<String>,
    pending: Vec<(Ticket, String, String)>,
    /// The bodies of every try, in order.
    bodies: Vec<String>,
    /// What to do with tries of a message, one by one: the lane matters not.
    scripted: BTreeMap<String, VecDeque<Failure>>,
    poison: Vec<String>,
    dead_letters_refuse: bool,
    stands_still: bool,
    full: bool,
    abandoned: bool,
    renewals: u32,
    tries: Vec<String>,
}

impl FakeSink {
    /// Makes a sink that reports to `outcomes`.
    pub(crate) fn new(outcomes: Outcomes) -> Self {
        Self {
            state: Mutex::default(),
            outcomes,
        }
    }

    fn state(&self) -> MutexGuard<'_, SinkState> {
        self.state.lock().expect("no test panics inside")
    }

    /// Fails the next tries of one message.
    pub(crate) fn fail(&self, id: &str, failures: impl IntoIterator<Item = Failure>) {
        self.state()
            .scripted
            .insert(id.to_owned(), failures.into_iter().collect());
    }

    /// Refuses a message for its content, for ever.
    pub(crate) fn poison(&self, id: &str) {
        self.state().poison.push(id.to_owned());
    }

    /// Refuses every dead letter.
    pub(crate) fn refuse_dead_letters(&self) {
        self.state().dead_letters_refuse = true;
    }

    /// Takes messages and answers nothing, until told to go on.
    pub(crate) fn stand_still(&self) {
        self.state().stands_still = true;
    }

    /// Answers for everything that was taken meanwhile.
    pub(crate) fn go_on(&self) {
        let pending = {
            let mut state = self.state();
            state.stands_still = false;
            std::mem::take(&mut state.pending)
        };
        for (ticket, name, _) in pending {
            self.state().stored.push(name);
            self.answer(ticket, Ok(()));
        }
    }

    /// Takes nothing while `full`.
    pub(crate) fn is_full(&self, full: bool) {
        self.state().full = full;
    }

    /// Returns what was stored, in order.
    pub(crate) fn stored(&self) -> Vec<String> {
        self.state().stored.clone()
    }

    /// Returns every try, in order.
    pub(crate) fn tries(&self) -> Vec<String> {
        self.state().tries.clone()
    }

    /// Returns the body of every try, in order.
    pub(crate) fn bodies(&self) -> Vec<String> {
        self.state().bodies.clone()
    }

    /// Returns how often it was begun anew.
    pub(crate) fn renewals(&self) -> u32 {
        self.state().renewals
    }

    /// Whether it was given up.
    pub(crate) fn abandoned(&self) -> bool {
        self.state().abandoned
    }

    fn answer(&self, ticket: Ticket, result: Result<(), Returned>) {
        let outcomes = self.outcomes.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(2)).await;
            outcomes.report(Delivery { ticket, result });
        });
    }
}

/// Returns a refusal for content.
pub(crate) fn too_large() -> Failure {
    Failure::Content(Cause {
        class: "TooLarge",
        message: "too large".to_owned(),
    })
}

impl Sink for FakeSink {
    fn send(&self, ticket: Ticket, message: &Message, route: Route<'_>) -> Result<(), Refusal> {
        let id = message.id.clone();
        let name = match route {
            Route::DeadLetter(_) => format!("dead {id}"),
            Route::Together | Route::Alone => id.clone(),
        };
        let result = {
            let mut state = self.state();
            if state.full {
                return Err(Refusal::Full);
            }
            state.bodies.push(message.body.clone());
            state.tries.push(format!(
                "{name}{}",
                if route == Route::Together { "" } else { " alone" }
            ));
            if state.stands_still {
                state.pending.push((ticket, name, message.body.clone()));
                return Ok(());
            }
            let dead = matches!(route, Route::DeadLetter(_));
            let scripted = state.scripted.get_mut(&id).and_then(VecDeque::pop_front);
            let refused = if dead {
                state.dead_letters_refuse
            } else {
                state.poison.contains(&id)
            };
            match scripted {
                Some(failure) => Err(failure),
                None if refused => Err(too_large()),
                None => {
                    state.stored.push(name);
                    Ok(())
                }
            }
        };
        let body = message.body.clone();
        self.answer(ticket, result.map_err(|failure| Returned { failure, body }));
        Ok(())
    }

    fn renew(&self) -> bool {
        self.state().renewals += 1;
        true
    }

    fn abandon(&self) {
        self.state().abandoned = true;
    }
}
