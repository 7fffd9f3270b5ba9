//! A queue in memory with SQS's rules.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use crate::pump::Settings;
use crate::source::{Error, ErrorKind, Message, Receipt, Receive, Settle, Settled, Source};

/// A queue with SQS's rules: visibility, receipts that a later delivery makes void, groups that wait for their own.
#[derive(Clone)]
pub(crate) struct FakeQueue {
    state: Arc<Mutex<QueueState>>,
    news: Arc<Notify>,
    visibility: Duration,
    wait: Duration,
}

#[derive(Default)]
struct QueueState {
    messages: VecDeque<Held>,
    /// Every settle call, in order.
    log: Vec<String>,
    attempts: Vec<String>,
    /// How many messages each receive call asked for, in order.
    asked: Vec<u32>,
    /// How often a message is handed out before it is moved away.
    redrive_after: Option<u32>,
    redriven: Vec<String>,
    receive_failures: u32,
    delete_failures: u32,
    refused_deletes: BTreeMap<String, u32>,
    settle_is_down: bool,
    open_receives: u32,
    receives_hang: bool,
    renewals: u32,
    hide_failures: u32,
    swallowed_hides: u32,
    sizes_are_known: bool,
}

struct Held {
    message: Message,
    hidden_until: Option<Instant>,
    deliveries: u32,
}

impl Held {
    fn hand_out(&mut self, hidden_until: Instant) -> Message {
        self.deliveries += 1;
        self.hidden_until = Some(hidden_until);
        Message {
            receipt: Receipt(format!("{}/{}", self.message.id, self.deliveries)),
            receive_count: self.deliveries,
            ..self.message.clone()
        }
    }
}

impl FakeQueue {
    pub(crate) fn new(messages: impl IntoIterator<Item = Message>, settings: &Settings) -> Self {
        let held = |message| Held {
            message,
            hidden_until: None,
            deliveries: 0,
        };
        let state = QueueState {
            messages: messages.into_iter().map(held).collect(),
            ..QueueState::default()
        };
        let (visibility, wait) = (settings.visibility, settings.wait);
        Self {
            state: Arc::new(Mutex::new(state)),
            news: Arc::new(Notify::new()),
            visibility,
            wait,
        }
    }

    fn state(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().expect("no test panics inside")
    }

    /// Puts one more message in.
    pub(crate) fn push(&self, message: Message) {
        self.state().messages.push_back(Held {
            message,
            hidden_until: None,
            deliveries: 0,
        });
        self.news.notify_waiters();
    }

    /// Makes the next receive calls fail.
    pub(crate) fn fail_receives(&self, count: u32) {
        self.state().receive_failures = count;
    }

    /// Makes receive calls never return by themselves.
    pub(crate) fn hang_receives(&self) {
        self.state().receives_hang = true;
    }

    /// Makes the next delete calls fail as a whole.
    pub(crate) fn fail_deletes(&self, count: u32) {
        self.state().delete_failures = count;
    }

    /// Makes the deletes of one message fail as an entry of their batch.
    pub(crate) fn refuse_deletes_of(&self, id: &str, count: u32) {
        self.state().refused_deletes.insert(id.to_owned(), count);
    }

    /// Makes the next calls that hide messages fail as a whole.
    pub(crate) fn fail_hides(&self, count: u32) {
        self.state().hide_failures = count;
    }

    /// Leaves the next calls that hide messages without an answer, until their time is over.
    pub(crate) fn swallow_hides(&self, count: u32) {
        self.state().swallowed_hides = count;
    }

    /// Makes the size of a reply known before the reply.
    pub(crate) fn sizes_are_known(&self) {
        self.state().sizes_are_known = true;
    }

    /// Moves a message away instead of handing it out more often than that.
    pub(crate) fn redrive_after(&self, count: u32) {
        self.state().redrive_after = Some(count);
    }

    /// Makes every settle call fail, or work again.
    pub(crate) fn settle_is_down(&self, down: bool) {
        self.state().settle_is_down = down;
    }

    /// Hands a held message to somebody else, which makes the receipt void.
    pub(crate) fn deliver_elsewhere(&self, id: &str) {
        let mut state = self.state();
        for held in state.messages.iter_mut().filter(|held| held.message.id == id) {
            held.deliveries += 1;
        }
    }

    /// Returns the ids of what is left, in order.
    pub(crate) fn left(&self) -> Vec<String> {
        self.state()
            .messages
            .iter()
            .map(|held| held.message.id.clone())
            .collect()
    }

    /// Returns the ids of what is left and hidden.
    pub(crate) fn hidden(&self) -> Vec<String> {
        let now = Instant::now();
        let state = self.state();
        let hidden = state
            .messages
            .iter()
            .filter(|held| held.hidden_until.is_some_and(|until| until > now));
        hidden.map(|held| held.message.id.clone()).collect()
    }

    /// Returns how often each message was handed out.
    pub(crate) fn deliveries(&self, id: &str) -> u32 {
        self.state()
            .messages
            .iter()
            .find(|held| held.message.id == id)
            .map_or(0, |held| held.deliveries)
    }

    /// Returns every settle call, in order.
    pub(crate) fn log(&self) -> Vec<String> {
        self.state().log.clone()
    }

    /// Returns the names of the receive attempts, in order.
    pub(crate) fn attempts(&self) -> Vec<String> {
        self.state().attempts.clone()
    }

    /// Returns how many messages each receive call asked for, in order.
    pub(crate) fn asked(&self) -> Vec<u32> {
        self.state().asked.clone()
    }

    /// Returns the ids of what was moved away, in order.
    pub(crate) fn redriven(&self) -> Vec<String> {
        self.state().redriven.clone()
    }

    /// Returns how often it was begun anew.
    pub(crate) fn renewals(&self) -> u32 {
        self.state().renewals
    }

    /// Returns how many receive calls are open.
    pub(crate) fn open_receives(&self) -> u32 {
        self.state().open_receives
    }

    /// Hands out what is visible, in order: of a group nothing while one of its messages is hidden, else as many as fit.
    fn pick(&self, max: u32) -> Vec<Message> {
        let now = Instant::now();
        let mut state = self.state();
        let blocked: Vec<_> = state
            .messages
            .iter()
            .filter(|held| held.hidden_until.is_some_and(|until| until > now))
            .filter_map(|held| held.message.group.clone())
            .collect();
        let is_free = |held: &Held| {
            held.hidden_until.is_none_or(|until| until <= now)
                && held.message.group.as_ref().is_none_or(|group| !blocked.contains(group))
        };
        let (mut picked, mut place) = (Vec::new(), 0);
        while picked.len() < max as usize && place < state.messages.len() {
            let redrive_after = state.redrive_after;
            let held = &mut state.messages[place];
            if !is_free(held) {
                place += 1;
            } else if redrive_after.is_some_and(|most| held.deliveries >= most) {
                let id = held.message.id.clone();
                state.messages.remove(place);
                state.redriven.push(id);
            } else {
                picked.push(held.hand_out(now + self.visibility));
                place += 1;
            }
        }
        picked
    }

    fn next_visible(&self) -> Option<Instant> {
        self.state().messages.iter().filter_map(|held| held.hidden_until).min()
    }
}

struct Open<'a>(&'a FakeQueue);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.state().open_receives -= 1;
    }
}

impl Source for FakeQueue {
    async fn receive(&self, call: Receive) -> Result<Vec<Message>, Error> {
        self.state().open_receives += 1;
        let _open = Open(self);
        self.state().attempts.push(call.attempt);
        self.state().asked.push(call.max);
        let failing = {
            let mut state = self.state();
            let failing = state.receive_failures > 0;
            state.receive_failures = state.receive_failures.saturating_sub(1);
            failing
        };
        if failing {
            return Err(Error {
                kind: ErrorKind::Throttled,
                message: "slow down".to_owned(),
            });
        }
        let deadline = Instant::now() + self.wait;
        loop {
            let hangs = self.state().receives_hang;
            let messages = if hangs { Vec::new() } else { self.pick(call.max) };
            if !messages.is_empty() || (Instant::now() >= deadline && !hangs) {
                if self.state().sizes_are_known {
                    let size = messages.iter().map(Message::size).sum();
                    call.room.grow(size).await.map_err(|why| Error {
                        kind: ErrorKind::Unavailable,
                        message: why.to_string(),
                    })?;
                }
                return Ok(messages);
            }
            let soon = Instant::now() + Duration::from_millis(100);
            let until = self
                .next_visible()
                .map_or(deadline, |time| time.min(deadline))
                .max(soon);
            let _ = timeout(until - Instant::now(), self.news.notified()).await;
        }
    }

    async fn settle(&self, request: Settle, limit: Duration) -> Result<Vec<Settled>, Error> {
        tokio::time::sleep(Duration::from_millis(5)).await;
        let deleting = matches!(request, Settle::Delete(_));
        if !deleting && self.state().swallowed_hides > 0 {
            self.state().swallowed_hides -= 1;
            tokio::time::sleep(limit).await;
            return Err(Error {
                kind: ErrorKind::Timeout,
                message: "no answer".to_owned(),
            });
        }
        let mut state = self.state();
        let failures = if deleting {
            &mut state.delete_failures
        } else {
            &mut state.hide_failures
        };
        let failing = *failures > 0;
        *failures = failures.saturating_sub(1);
        if state.settle_is_down || failing {
            return Err(Error {
                kind: ErrorKind::Unavailable,
                message: "broken".to_owned(),
            });
        }
        let answers = match request {
            Settle::Delete(receipts) => receipts.iter().map(|receipt| state.delete(receipt)).collect(),
            Settle::Hide(receipts) => receipts
                .iter()
                .map(|(receipt, length)| state.hide(receipt, *length))
                .collect(),
        };
        drop(state);
        self.news.notify_waiters();
        Ok(answers)
    }

    fn renew(&self) {
        self.state().renewals += 1;
    }
}

impl QueueState {
    fn place(&self, receipt: &Receipt) -> Option<usize> {
        let now = Instant::now();
        self.messages.iter().position(|held| {
            let own = format!("{}/{}", held.message.id, held.deliveries) == receipt.0;
            own && held.hidden_until.is_some_and(|until| until > now)
        })
    }

    fn delete(&mut self, receipt: &Receipt) -> Settled {
        self.log.push(format!("delete {}", receipt.0));
        let Some(place) = self.place(receipt) else {
            return Settled::Stale;
        };
        let id = self.messages[place].message.id.clone();
        if let Some(count) = self.refused_deletes.get_mut(&id).filter(|count| **count > 0) {
            *count -= 1;
            return Settled::Failed("InternalError".to_owned());
        }
        self.messages.remove(place);
        Settled::Done
    }

    fn hide(&mut self, receipt: &Receipt, length: Duration) -> Settled {
        self.log.push(format!("hide {} {}", receipt.0, length.as_secs()));
        let Some(place) = self.place(receipt) else {
            return Settled::Stale;
        };
        self.messages[place].hidden_until = (!length.is_zero()).then(|| Instant::now() + length);
        Settled::Done
    }
}
