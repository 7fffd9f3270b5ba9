//! The calls that run beside the pump, and what they bring back.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::health::Part;
use crate::pump::receivers::Reservation;
use crate::pump::slots::{SlotId, State};
use crate::pump::{Pump, backoff};
use crate::sink::Sink;
use crate::source::{Error, ErrorKind, Message, Receipt, Receive, Room, Settle, Settled, Source};

/// How much longer than its own wait a receive call may take. The source has shorter timeouts; this one is for a source
/// that hangs all the same.
const RECEIVE_MARGIN: Duration = Duration::from_secs(15);

/// How long a settle call may take, and how much longer than it says, for the same reason.
const SETTLE_LIMIT: Duration = Duration::from_secs(8);
const SETTLE_TIMEOUT: Duration = Duration::from_secs(10);

/// What a call brought back.
#[derive(Debug)]
pub(crate) enum Event {
    /// A receive call returned, failed, or was cut off by a stop.
    Received {
        /// What it had reserved.
        reservation: Reservation,
        /// What it brought.
        result: Result<Vec<Message>, Error>,
    },
    /// A settle call returned or failed.
    Settled {
        /// What was asked.
        purpose: Purpose,
        /// For which deliveries.
        entries: Vec<(SlotId, Receipt)>,
        /// When it was asked.
        asked: Instant,
        /// What was answered.
        result: Result<Vec<Settled>, Error>,
    },
}

/// What a settle call is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Delete what was stored.
    Delete,
    /// Give back what was not.
    Release,
    /// Make leases longer, each by its time.
    Extend(Vec<Duration>),
}

impl<S: Source, K: Sink> Pump<S, K> {
    /// Opens a receive call. A stop lets it run on for a while, as what it brings would otherwise stay hidden.
    pub(super) fn call_receive(&mut self, reservation: Reservation) {
        let source = self.source.clone();
        let limit = self.settings.wait + RECEIVE_MARGIN;
        let max = u32::try_from(reservation.messages).unwrap_or(u32::MAX);
        let call = Receive {
            max,
            attempt: reservation.attempt.0.clone(),
            room: Room::unlimited(),
        };
        let cut_off = self.cut_off.clone();
        self.calls.spawn(async move {
            let result = tokio::select! {
                result = timeout(limit, source.receive(call)) => result.unwrap_or_else(|_| Err(too_late(limit))),
                () = cut_off.cancelled() => Ok(Vec::new()),
            };
            Event::Received { reservation, result }
        });
    }

    /// Ends the receive calls that are still open.
    pub(super) fn calls_cut_off(&mut self) {
        self.cut_off.cancel();
    }

    /// Makes one settle call for at most ten deliveries.
    pub(super) fn call_settle(
        &mut self,
        purpose: Purpose,
        entries: Vec<(SlotId, Receipt)>,
        request: Settle,
        now: Instant,
    ) {
        self.settle_calls += 1;
        let source = self.source.clone();
        self.calls.spawn(async move {
            let result = timeout(SETTLE_TIMEOUT, source.settle(request, SETTLE_LIMIT)).await;
            let result = result.unwrap_or_else(|_| Err(too_late(SETTLE_TIMEOUT)));
            Event::Settled {
                purpose,
                entries,
                asked: now,
                result,
            }
        });
    }

    /// Takes in what a call brought back.
    pub(super) fn take(&mut self, event: Event, now: Instant) {
        match event {
            Event::Received {
                reservation,
                result: Ok(messages),
            } => self.received(&reservation, messages, now),
            Event::Received {
                reservation,
                result: Err(error),
            } => {
                self.counts.source_errors += 1;
                self.receiving.failed(error.kind.as_str(), &error, now);
                self.receivers.failed(reservation, error.kind, now);
            }
            Event::Settled {
                purpose,
                entries,
                asked,
                result,
            } => {
                self.settle_calls -= 1;
                self.settled(&purpose, entries, asked, result, now);
            }
        }
    }

    fn received(&mut self, reservation: &Reservation, messages: Vec<Message>, now: Instant) {
        self.receivers.returned(reservation, messages.iter().map(Message::size));
        self.counts.receives += 1;
        self.receiving.worked(now);
        self.voice.health.progressed(Part::Receive, now);
        for message in messages {
            self.admit(message, now);
        }
    }

    /// Takes a message into the table, or renews the receipt of one that is there.
    fn admit(&mut self, message: Message, now: Instant) {
        self.counts.received += 1;
        if let Some(id) = self.slots.holding(&message.id) {
            self.counts.deduplicated += 1;
            self.slots.renew(id, message.receipt, now, self.settings.visibility);
            return;
        }
        let group = message.group.clone().filter(|_| self.settings.ordered);
        let id = self.slots.insert(message, now, self.settings.visibility);
        let Some(group) = group else {
            if self.drain.is_some() {
                self.give_back(id, Duration::ZERO, now);
            } else {
                self.ready.push_back(id);
            }
            return;
        };
        self.groups.insert(&group, id, &self.slots);
        if self.drain.is_some() || self.groups.is_leaving_before(&group, id, &self.slots) {
            self.give_back(id, Duration::ZERO, now);
        } else {
            self.send_next_of(&group);
        }
    }

    fn settled(
        &mut self,
        purpose: &Purpose,
        entries: Vec<(SlotId, Receipt)>,
        asked: Instant,
        result: Result<Vec<Settled>, Error>,
        now: Instant,
    ) {
        let answers = match result {
            Ok(answers) if answers.len() == entries.len() => {
                if !matches!(purpose, Purpose::Extend(_)) {
                    self.settling.worked(now);
                    self.settle_waits.reset();
                }
                answers
            }
            Ok(_) => vec![Settled::Failed("the answer does not name this message".to_owned()); entries.len()],
            Err(error) => {
                self.counts.source_errors += 1;
                self.settling.failed(error.kind.as_str(), &error, now);
                vec![Settled::Failed(error.to_string()); entries.len()]
            }
        };
        let wait = self
            .settle_waits
            .next_after(answers.iter().any(|answer| matches!(answer, Settled::Failed(_))));
        for (place, ((id, receipt), answer)) in entries.into_iter().zip(answers).enumerate() {
            // Extensions that work are no progress of deletes that do not.
            let settles = !matches!(purpose, Purpose::Extend(_));
            if settles && !matches!(answer, Settled::Failed(_)) {
                self.voice.health.progressed(Part::Settle, now);
            }
            match purpose {
                Purpose::Delete => self.deleted(id, &receipt, &answer, now),
                Purpose::Release => self.released(id, &receipt, &answer, now),
                Purpose::Extend(lengths) => {
                    self.extended(id, &receipt, &answer, asked + lengths[place], now + wait, now)
                }
            }
        }
    }

    fn deleted(&mut self, id: SlotId, receipt: &Receipt, answer: &Settled, now: Instant) {
        let Some(slot) = self.slots.get_mut(id).filter(|slot| slot.state == State::Deleting) else {
            return;
        };
        let superseded = slot.message.receipt != *receipt;
        match answer {
            // A newer delivery came meanwhile; only its receipt is sure to delete the message.
            _ if superseded => {
                slot.state = State::Acknowledged {
                    since: now,
                    not_before: now,
                };
                self.deletes.push_back(id);
            }
            Settled::Done => {
                self.counts.deleted += 1;
                self.close(id, now);
            }
            Settled::Stale => {
                self.lease_is_lost(id, now);
                self.close(id, now);
            }
            Settled::Failed(_) if slot.lease.lost => self.close(id, now),
            Settled::Failed(_) => {
                slot.settle_failures += 1;
                let wait = settle_wait(slot.settle_failures);
                slot.state = State::Acknowledged {
                    since: now,
                    not_before: now + wait,
                };
                self.counts.delete_failures += 1;
                self.deletes.push_back(id);
            }
        }
    }

    fn released(&mut self, id: SlotId, receipt: &Receipt, answer: &Settled, now: Instant) {
        let Some(slot) = self.slots.get_mut(id).filter(|slot| slot.state == State::Releasing) else {
            return;
        };
        let superseded = slot.message.receipt != *receipt;
        match answer {
            Settled::Done | Settled::Stale if !superseded => self.close(id, now),
            Settled::Failed(_) if !superseded && slot.lease.lost => self.close(id, now),
            _ => {
                slot.settle_failures += 1;
                let wait = if superseded {
                    Duration::ZERO
                } else {
                    settle_wait(slot.settle_failures)
                };
                slot.state = State::Returning {
                    delay: Duration::ZERO,
                    not_before: now + wait,
                };
                self.returns.push_back(id);
            }
        }
    }
}

fn settle_wait(failures: u32) -> Duration {
    backoff::delay(Duration::from_millis(200), Duration::from_secs(5), failures)
}

fn too_late(limit: Duration) -> Error {
    let message = format!("no answer within {} s", limit.as_secs());
    Error {
        kind: ErrorKind::Timeout,
        message,
    }
}
