//! A queue and a sink for tests: they remember what was asked and fail when told to. Time is tokio's, and so stands
//! still with the test.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::health::Health;
use crate::pump::{Ending, Pump, Settings, Voice};
use crate::sink::{self, Cause, Delivery, Failure, Refusal, Route, Sink, Ticket};
use crate::source::{Error, ErrorKind, Header, Message, Receipt, Receive, Settle, Settled, Source};
use crate::telemetry::{Counts, Telemetry};

/// Returns message number `n`.
pub(crate) fn message(n: u32) -> Message {
    let id = format!("message-{n}");
    Message {
        headers: vec![Header::text("sqs.message.id", id.clone())],
        receipt: Receipt(format!("{id}/1")),
        body: format!("body-{n}"),
        id,
        group: None,
        sequence: None,
        sent_at: None,
        receive_count: 1,
    }
}

/// Returns message number `n` of a group.
pub(crate) fn grouped(n: u32, group: &str) -> Message {
    Message {
        group: Some(group.to_owned()),
        sequence: Some(u128::from(n)),
        ..message(n)
    }
}

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
    receive_failures: u32,
    delete_failures: u32,
    refused_deletes: BTreeMap<String, u32>,
    settle_is_down: bool,
    open_receives: u32,
    receives_hang: bool,
}

struct Held {
    message: Message,
    hidden_until: Option<Instant>,
    deliveries: u32,
}

impl FakeQueue {
    fn new(messages: impl IntoIterator<Item = Message>, settings: &Settings) -> Self {
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

    /// Returns how many receive calls are open.
    pub(crate) fn open_receives(&self) -> u32 {
        self.state().open_receives
    }

    fn pick(&self, max: u32) -> Vec<Message> {
        let now = Instant::now();
        let mut state = self.state();
        let blocked: Vec<_> = state
            .messages
            .iter()
            .filter(|held| held.hidden_until.is_some_and(|until| until > now))
            .filter_map(|held| held.message.group.clone())
            .collect();
        let visible = state
            .messages
            .iter_mut()
            .filter(|held| held.hidden_until.is_none_or(|until| until <= now));
        let free = visible.filter(|held| held.message.group.as_ref().is_none_or(|group| !blocked.contains(group)));
        free.take(max as usize)
            .map(|held| {
                held.deliveries += 1;
                held.hidden_until = Some(now + self.visibility);
                let receipt = Receipt(format!("{}/{}", held.message.id, held.deliveries));
                Message {
                    receipt,
                    receive_count: held.deliveries,
                    ..held.message.clone()
                }
            })
            .collect()
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

    async fn settle(&self, request: Settle) -> Result<Vec<Settled>, Error> {
        tokio::time::sleep(Duration::from_millis(5)).await;
        let mut state = self.state();
        let deleting = matches!(request, Settle::Delete(_));
        if state.settle_is_down || (deleting && state.delete_failures > 0) {
            state.delete_failures = state.delete_failures.saturating_sub(u32::from(deleting));
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

/// A sink that stores after a moment, refuses what it is told to, and can stand still.
pub(crate) struct FakeSink {
    state: Mutex<SinkState>,
    outcomes: mpsc::Sender<Delivery>,
}

#[derive(Default)]
struct SinkState {
    /// What was stored: `id` in the topic, `dead id` in the dead letters.
    stored: Vec<String>,
    pending: Vec<(Ticket, String)>,
    /// What to do with tries of a message, one by one: the lane matters not.
    scripted: BTreeMap<String, VecDeque<Failure>>,
    poison: Vec<String>,
    dead_letters_refuse: bool,
    stands_still: bool,
    full: bool,
    abandoned: bool,
    tries: Vec<String>,
}

impl FakeSink {
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
        for (ticket, name) in pending {
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

    /// Whether it was given up.
    pub(crate) fn abandoned(&self) -> bool {
        self.state().abandoned
    }

    fn answer(&self, ticket: Ticket, result: Result<(), Failure>) {
        let outcomes = self.outcomes.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(2)).await;
            let _ = outcomes.send(Delivery { ticket, result }).await;
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
            state.tries.push(format!(
                "{name}{}",
                if route == Route::Together { "" } else { " alone" }
            ));
            if state.stands_still {
                state.pending.push((ticket, name));
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
        self.answer(ticket, result);
        Ok(())
    }

    fn abandon(&self) {
        self.state().abandoned = true;
    }
}

/// A pump between the two, running.
pub(crate) struct Rig {
    pub(crate) queue: FakeQueue,
    pub(crate) sink: Arc<FakeSink>,
    pub(crate) voice: Voice,
    shutdown: CancellationToken,
    pump: tokio::task::JoinHandle<Ending>,
}

/// Returns settings that suit most tests.
pub(crate) fn settings() -> Settings {
    Settings {
        per_call: 10,
        receivers: 4,
        wait: Duration::from_secs(20),
        visibility: Duration::from_secs(30),
        max_messages: 100,
        max_bytes: 1 << 20,
        largest_message: 1024,
        ordered: false,
        max_retries: 2,
        backoff: Duration::from_secs(1),
        dead_letters: true,
        drain: Duration::from_secs(25),
    }
}

impl Rig {
    /// Starts a pump over these messages; `prepare` may tell queue and sink how to fail before it starts.
    pub(crate) fn start(
        settings: Settings,
        messages: impl IntoIterator<Item = Message>,
        prepare: impl FnOnce(&FakeQueue, &FakeSink),
    ) -> Self {
        let queue = FakeQueue::new(messages, &settings);
        let (outcomes, deliveries) = sink::deliveries(settings.max_messages);
        let sink = Arc::new(FakeSink {
            state: Mutex::default(),
            outcomes,
        });
        prepare(&queue, &sink);
        let voice = Voice {
            telemetry: Arc::new(Telemetry::new("test")),
            health: Arc::new(Health::new(Instant::now())),
        };
        let shutdown = CancellationToken::new();
        let pump = Pump::new(settings, queue.clone(), sink.clone(), deliveries, voice.clone());
        let pump = tokio::spawn(pump.run(shutdown.clone()));
        Self {
            queue,
            sink,
            voice,
            shutdown,
            pump,
        }
    }

    /// Waits until `condition` holds, checking at every moment that the counters are honest.
    pub(crate) async fn until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let wait = async {
            // Looks every millisecond at first, and seldom once hours pass.
            let mut step = Duration::from_millis(1);
            while !condition(self) {
                self.check_counters();
                tokio::time::sleep(step).await;
                step = (step + step / 100).min(Duration::from_millis(250));
            }
        };
        let limit = Duration::from_secs(24 * 3600);
        if timeout(limit, wait).await.is_err() {
            panic!("never happened: {what}; {:?}; {:?}", self.counts(), self.queue.log());
        }
        self.check_counters();
    }

    /// Lets time pass, checking the counters.
    pub(crate) async fn pass(&self, length: Duration) {
        let end = Instant::now() + length;
        while Instant::now() < end {
            self.check_counters();
            let step = (length / 1000).max(Duration::from_millis(1));
            tokio::time::sleep_until(end.min(Instant::now() + step)).await;
        }
    }

    /// What a scrape sees.
    pub(crate) fn counts(&self) -> Counts {
        self.voice.telemetry.counts()
    }

    /// Stops the pump and returns how it ended and how long it took.
    pub(crate) async fn stop(self) -> (Ending, Duration, FakeQueue, Arc<FakeSink>, Counts) {
        let began = Instant::now();
        self.shutdown.cancel();
        self.finish(began).await
    }

    /// Begins a stop without waiting for its end.
    pub(crate) fn begin_stop(&self) {
        self.shutdown.cancel();
    }

    /// Waits for the end of a stop that began at `began`.
    pub(crate) async fn finish(self, began: Instant) -> (Ending, Duration, FakeQueue, Arc<FakeSink>, Counts) {
        while !self.pump.is_finished() {
            self.check_counters();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let counts = self.counts();
        let ending = self.pump.await.expect("the pump does not panic");
        (ending, began.elapsed(), self.queue, self.sink, counts)
    }

    fn check_counters(&self) {
        let counts = self.counts();
        let accounted = counts.sent + counts.dead_lettered + counts.deduplicated + counts.released + counts.in_flight;
        assert_eq!(counts.received, accounted, "{counts:?}");
    }
}
