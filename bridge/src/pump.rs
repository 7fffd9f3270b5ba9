//! Receive -> send -> settle: the delivery promise.
//!
//! A message is deleted from its source only after the sink stored it, in the topic or in the dead-letter topic. There is
//! no other delete. Everything else ends with the message given back to the source or its lease running out. One task
//! owns the slot table, so no lock guards it; the calls run beside it and come back as events.
//!
//! Bounds: messages and bytes are reserved before a call for messages is made, settle calls at once are limited, every
//! call has a timeout, and a drain has a deadline.

pub(crate) mod backoff;
mod calls;
mod groups;
mod leases;
mod outcome;
mod receivers;
mod recent;
mod redrive;
mod settling;
mod slots;

#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_order;
#[cfg(test)]
mod tests_stop;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::health::{Health, Part, Phase};
use crate::sink::outcomes::Deliveries;
use crate::sink::{Refusal, Route, Sink};
use crate::source::{Ask, Source};
use crate::telemetry::{Counts, Outage, Seldom, Telemetry};
use calls::Event;
use groups::Groups;
use receivers::Receivers;
use recent::Recent;
use redrive::Redrive;
use slots::{SlotId, Slots, State};

/// How a pump is to work, checked and complete.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Messages per receive call.
    pub per_call: u32,
    /// Receive calls open at once.
    pub receivers: u32,
    /// How long a receive call waits for a message.
    pub wait: Duration,
    /// The lease that a received message comes with.
    pub visibility: Duration,
    /// The most messages held, at least `per_call`.
    pub max_messages: usize,
    /// The most bytes held.
    pub max_bytes: usize,
    /// The largest message that the source may hand out, in bytes.
    pub largest_message: usize,
    /// Whether the source keeps the order within groups, and so must the pump.
    pub ordered: bool,
    /// How long a stored message is remembered, so that it is not stored again when the source hands it out again.
    pub remember: Duration,
    /// Tries after the first for a message that fails for its own content.
    pub max_retries: u32,
    /// The wait before the first such retry.
    pub backoff: Duration,
    /// Whether there is a dead-letter topic.
    pub dead_letters: bool,
    /// Whether the source takes out what it has handed out too often.
    pub redrives: bool,
    /// How long a stop may take.
    pub drain: Duration,
}

/// What the pump tells others.
#[derive(Debug, Clone)]
pub struct Voice {
    /// The metrics.
    pub telemetry: Arc<Telemetry>,
    /// The progress.
    pub health: Arc<Health>,
}

/// How a pump ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Everything was stored and deleted, or given back.
    Drained,
    /// The sink did not answer for this many messages in time. They were given back, and may be stored all the same.
    Unanswered(usize),
    /// The deadline passed with this many messages neither deleted nor given back; their leases run out by themselves.
    CutShort(usize),
    /// A part of the pump broke, which is a fault of the program's.
    Broken,
}

/// Moves messages from a source to a sink.
pub struct Pump<S, K> {
    settings: Settings,
    source: Arc<S>,
    sink: Arc<K>,
    deliveries: Deliveries,
    voice: Voice,
    counts: Counts,
    slots: Slots,
    groups: Groups,
    recent: Recent,
    redrive: Redrive,
    receivers: Receivers,
    calls: JoinSet<Event>,
    /// Receive calls ask here for room for a large reply; each of them once.
    asks: mpsc::Sender<Ask>,
    asked: mpsc::Receiver<Ask>,
    /// Ends the receive calls that are still open late in a stop.
    cut_off: CancellationToken,
    /// What may be sent, in order.
    ready: VecDeque<SlotId>,
    /// What was stored and is to be deleted, in order.
    deletes: VecDeque<SlotId>,
    /// What is to be given back.
    returns: VecDeque<SlotId>,
    settle_calls: usize,
    extend_calls: usize,
    next_scan: Instant,
    drain: Option<Drain>,
    receiving: Outage,
    sending: Outage,
    deleting: Outage,
    hiding: Outage,
    unsettled: Seldom,
    refused: Seldom,
    refused_batches: Seldom,
    lapsed: Seldom,
}

/// Returns how long a stop with that limit waits for open receive calls and for the sink; the rest is for giving back what
/// has no outcome by then.
pub fn patience(drain: Duration) -> Duration {
    drain * 4 / 5
}

/// A stop that is under way.
#[derive(Debug, Clone, Copy)]
struct Drain {
    /// When open receive calls are cut off and the sink is given up.
    give_up_at: Instant,
    /// When the pump ends, whatever is left.
    deadline: Instant,
    given_up: bool,
    unanswered: usize,
}

impl<S: Source, K: Sink> Pump<S, K> {
    /// Makes a pump; `deliveries` is where `sink` reports.
    pub fn new(settings: Settings, source: S, sink: Arc<K>, deliveries: Deliveries, voice: Voice) -> Self {
        let receivers = Receivers::new(settings.receivers, settings.largest_message);
        let receivers = if settings.wait.is_zero() {
            receivers.resting()
        } else {
            receivers
        };
        let (asks, asked) = mpsc::channel(settings.receivers.max(1) as usize);
        Self {
            recent: Recent::new(settings.remember),
            redrive: Redrive::new(settings.wait),
            settings,
            source: Arc::new(source),
            sink,
            deliveries,
            voice,
            counts: Counts::default(),
            slots: Slots::default(),
            groups: Groups::default(),
            receivers,
            calls: JoinSet::new(),
            asks,
            asked,
            cut_off: CancellationToken::new(),
            ready: VecDeque::new(),
            deletes: VecDeque::new(),
            returns: VecDeque::new(),
            settle_calls: 0,
            extend_calls: 0,
            next_scan: Instant::now(),
            drain: None,
            receiving: Outage::new("Receiving from the queue"),
            sending: Outage::new("Sending to Kafka"),
            deleting: Outage::new("Deleting from the queue"),
            hiding: Outage::new("Hiding messages in the queue"),
            unsettled: Seldom::default(),
            refused: Seldom::default(),
            refused_batches: Seldom::default(),
            lapsed: Seldom::default(),
        }
    }

    /// Moves messages until `shutdown`, then hands over what is held.
    pub async fn run(mut self, shutdown: CancellationToken) -> Ending {
        self.voice.health.enter(Phase::Running, Instant::now());
        let mut outcomes = Vec::new();
        loop {
            let now = Instant::now();
            if self.drain.is_none() && shutdown.is_cancelled() {
                self.begin_drain(now);
            }
            let wake = self.turn(now);
            if let Some(ending) = self.ending(now) {
                return ending;
            }
            tokio::select! {
                () = shutdown.cancelled(), if self.drain.is_none() => {}
                () = self.deliveries.wait() => {
                    let now = Instant::now();
                    self.deliveries.take(&mut outcomes);
                    outcomes.drain(..).for_each(|outcome| self.delivered(outcome, now));
                }
                Some(event) = self.calls.join_next(), if !self.calls.is_empty() => match event {
                    Ok(event) => self.take(event, Instant::now()),
                    Err(error) if error.is_cancelled() => {}
                    Err(error) => {
                        tracing::error!(%error, "A call broke off inside the program; the bridge cannot go on");
                        return Ending::Broken;
                    }
                },
                Some(ask) = self.asked.recv() => self.receivers.ask(ask, Instant::now()),
                () = tokio::time::sleep_until(wake) => {}
            }
        }
    }

    /// Does everything that is due and returns when the next thing may be.
    fn turn(&mut self, now: Instant) -> Instant {
        self.give_up_if_due(now);
        if now >= self.next_scan {
            self.next_scan = now + self.scan_interval();
            self.scan_leases(now);
        }
        self.open_receives(now);
        self.send_ready(now);
        let settle_due = self.settle(now);
        self.tell(now);
        let drain = self.drain.map(|drain| {
            if drain.given_up {
                drain.deadline
            } else {
                drain.give_up_at
            }
        });
        let scan = (!self.slots.is_empty()).then_some(self.next_scan);
        let held_back = self
            .receivers
            .held_back_until()
            .filter(|time| *time > now && self.drain.is_none());
        let heartbeat = now + Duration::from_secs(1);
        [settle_due, drain, scan, held_back]
            .into_iter()
            .flatten()
            .fold(heartbeat, Instant::min)
    }

    fn open_receives(&mut self, now: Instant) {
        let free_messages = self.settings.max_messages.saturating_sub(self.slots.len());
        let free_bytes = self.settings.max_bytes.saturating_sub(self.slots.bytes());
        self.receivers.let_in(free_bytes, self.slots.len());
        let most = if self.redrive.asks_for_one(now) {
            1
        } else {
            self.settings.per_call
        };
        // What rests makes no room for a while, and shall not keep the messages behind it from what room there is.
        let only_rest = self.ready.is_empty() && self.slots.only_rest();
        let most = if only_rest {
            most.min(self.receivers.fitting(free_messages, free_bytes))
        } else {
            most
        };
        while self.drain.is_none()
            && let Some(opened) = self
                .receivers
                .open(most, now, free_messages, free_bytes, self.slots.len())
        {
            self.call_receive(opened);
        }
        if only_rest && self.drain.is_none() && self.receivers.lack_room(now) {
            self.cut_rests_short(now);
        }
    }

    /// Tries again at once what was tried most often already, so that it is parked and makes room: waits for messages that
    /// are refused for their content are a courtesy, and end where they would stop everything.
    fn cut_rests_short(&mut self, now: Instant) {
        let resting = self
            .slots
            .iter()
            .filter(|(_, slot)| matches!(slot.state, State::Backoff(_)));
        let mut resting: Vec<_> = resting.map(|(id, slot)| (slot.refusals, id)).collect();
        resting.sort_by_key(|(refusals, _)| std::cmp::Reverse(*refusals));
        for (_, id) in resting.into_iter().take(self.settings.per_call as usize) {
            self.rested(id, now);
        }
    }

    /// Hands the sink what may be sent, until it is full.
    fn send_ready(&mut self, now: Instant) {
        while let Some(id) = self.ready.pop_front() {
            let Some(slot) = self.slots.get(id).filter(|slot| slot.state == State::Waiting) else {
                continue;
            };
            let route = match &slot.cause {
                Some(cause) => Route::DeadLetter(cause),
                None if slot.alone => Route::Alone,
                None => Route::Together,
            };
            match self.sink.send(id.ticket(), &slot.message, route) {
                Ok(()) => self.slots.hand_over(id),
                Err(Refusal::Full) => {
                    self.ready.push_front(id);
                    return;
                }
                Err(Refusal::Failed(failure)) => {
                    self.slots.set_state(id, State::Sending);
                    self.failed(id, failure, now);
                }
            }
        }
    }

    fn begin_drain(&mut self, now: Instant) {
        let drain = self.settings.drain;
        let held = self.slots.len();
        tracing::info!(
            held,
            timeout_seconds = drain.as_secs_f64(),
            "Stopping: handing over what is held"
        );
        self.voice.health.enter(Phase::Draining, now);
        self.drain = Some(Drain {
            give_up_at: now + patience(drain),
            deadline: now + drain - (drain / 10).min(Duration::from_millis(500)),
            given_up: false,
            unanswered: 0,
        });
        // What waits to be hidden for a while is handed over at once too: the next holder has its own count of tries.
        self.give_back_all(now, |state| {
            state.is_unsent() || matches!(state, State::Returning(_) | State::ReturnLater(..))
        });
        self.ready.clear();
        // A stop has no time for the waits between deletes that failed.
        for id in self.chosen(|state| matches!(state, State::DeleteLater(_))) {
            self.settle_again(id, now);
        }
    }

    /// Gives up what the sink has not answered for, in time to give it back to the source.
    fn give_up_if_due(&mut self, now: Instant) {
        let Some(drain) = self.drain.filter(|drain| !drain.given_up && now >= drain.give_up_at) else {
            return;
        };
        let unanswered = self
            .slots
            .iter()
            .filter(|(_, slot)| slot.state == State::Sending)
            .count();
        self.drain = Some(Drain {
            given_up: true,
            unanswered,
            ..drain
        });
        if unanswered > 0 {
            tracing::warn!(
                unanswered,
                "Kafka has not answered in time; giving its messages back to the queue"
            );
            self.sink.abandon();
            self.give_back_all(now, |state| *state == State::Sending);
        }
        self.calls_cut_off();
    }

    fn give_back_all(&mut self, now: Instant, which: impl Fn(&State) -> bool) {
        for id in self.chosen(which) {
            self.give_back(id, Duration::ZERO, now);
        }
    }

    fn chosen(&self, which: impl Fn(&State) -> bool) -> Vec<SlotId> {
        let chosen = self.slots.iter().filter(|(_, slot)| which(&slot.state));
        chosen.map(|(id, _)| id).collect()
    }

    fn ending(&self, now: Instant) -> Option<Ending> {
        let drain = self.drain?;
        if self.slots.is_empty() && self.receivers.in_flight() == 0 {
            return Some(if drain.unanswered == 0 {
                Ending::Drained
            } else {
                Ending::Unanswered(drain.unanswered)
            });
        }
        (now >= drain.deadline).then(|| Ending::CutShort(self.slots.len()))
    }

    /// Publishes the counts as of now, all at once, and the progress of each part.
    fn tell(&mut self, now: Instant) {
        self.counts.in_flight = self.slots.unacknowledged() as u64;
        self.counts.buffered_bytes = self.slots.bytes() as u64;
        self.counts.deletes_pending = (self.slots.len() - self.slots.unacknowledged()) as u64;
        self.voice.telemetry.publish(self.counts);
        let receiving = self.receivers.are_at_work(now);
        // A message that waits after a refusal for its content is no work of the sink's.
        let sending = self.slots.at_sink() > 0 || !self.ready.is_empty();
        // Extensions are no such work: they go on for as long as something is held.
        let settling = self.counts.deletes_pending > 0 || self.slots.leaving() > 0;
        let work = [
            (Part::Receive, receiving),
            (Part::Send, sending),
            (Part::Settle, settling),
        ];
        for part in self.voice.health.turned(now, work) {
            self.restart(part);
        }
    }

    /// Begins a stalled part anew: new connections to the source, or another producer.
    fn restart(&self, part: Part) {
        let is_begun = match part {
            Part::Receive | Part::Settle => {
                self.source.renew();
                true
            }
            Part::Send => self.sink.renew(),
        };
        if is_begun {
            tracing::error!(?part, "A part has made no progress for a minute; it is begun anew");
        } else {
            tracing::error!(
                ?part,
                "A part has made no progress for another minute since it was begun anew"
            );
        }
    }
}
