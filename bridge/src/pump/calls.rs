//! The calls that run beside the pump, and what they bring back.

use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::health::Part;
use crate::pump::receivers::Opened;
use crate::pump::settling::whole_seconds;
use crate::pump::slots::{SlotId, State};
use crate::pump::{Pump, backoff};
use crate::sink::Sink;
use crate::source::{Error, ErrorKind, Message, Receipt, Receive, Room, Settle, Settled, Source};

/// How much longer than its own wait a receive call may take. The source has shorter timeouts; this one is for a source
/// that hangs all the same.
const RECEIVE_MARGIN: Duration = Duration::from_secs(15);

/// How long a delete or a release may take.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(8);

/// How much longer than its limit a settle call may take before it is given up from outside, for the same reason.
const SETTLE_MARGIN: Duration = Duration::from_secs(2);

/// What a call brought back.
#[derive(Debug)]
pub(crate) enum Event {
    /// A receive call returned, failed, or was cut off by a stop.
    Received {
        /// Which call.
        call: u64,
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
    pub(super) fn call_receive(&mut self, opened: Opened) {
        self.counts.calls[0] += 1;
        let source = self.source.clone();
        let limit = self.settings.wait + RECEIVE_MARGIN;
        let call = opened.call;
        let room = Room::asking(opened.bytes, call, self.asks.clone(), self.settings.visibility);
        let request = Receive {
            max: opened.max,
            attempt: opened.attempt,
            room: room.clone(),
        };
        let cut_off = self.cut_off.clone();
        self.calls.spawn(async move {
            let result = tokio::select! {
                result = in_time(limit, &room, source.receive(request)) => result,
                () = cut_off.cancelled() => Ok(Vec::new()),
            };
            Event::Received { call, result }
        });
    }

    /// Ends the receive calls that are still open.
    pub(super) fn calls_cut_off(&mut self) {
        self.cut_off.cancel();
    }

    /// Makes one call that deletes or gives back at most ten deliveries.
    pub(super) fn call_settle(
        &mut self,
        purpose: Purpose,
        entries: Vec<(SlotId, Receipt)>,
        request: Settle,
        now: Instant,
    ) {
        self.settle_calls += 1;
        self.spawn_settle(purpose, entries, request, SETTLE_TIMEOUT, now);
    }

    /// Makes one call that extends at most ten leases.
    pub(super) fn call_extend(
        &mut self,
        purpose: Purpose,
        entries: Vec<(SlotId, Receipt)>,
        request: Settle,
        limit: Duration,
        now: Instant,
    ) {
        self.extend_calls += 1;
        self.spawn_settle(purpose, entries, request, limit, now);
    }

    fn spawn_settle(
        &mut self,
        purpose: Purpose,
        entries: Vec<(SlotId, Receipt)>,
        request: Settle,
        limit: Duration,
        now: Instant,
    ) {
        self.counts.calls[if purpose == Purpose::Delete { 1 } else { 2 }] += 1;
        let source = self.source.clone();
        self.calls.spawn(async move {
            let result = timeout(limit + SETTLE_MARGIN, source.settle(request, limit)).await;
            let result = result.unwrap_or_else(|_| Err(too_late(limit)));
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
                call,
                result: Ok(messages),
            } => self.received(call, messages, now),
            Event::Received {
                call,
                result: Err(error),
            } => {
                self.counts.source_errors += 1;
                self.receiving.failed(error.kind.as_str(), &error, now);
                self.receivers.failed(call, error.kind, now);
            }
            Event::Settled {
                purpose,
                entries,
                asked,
                result,
            } => {
                match purpose {
                    Purpose::Delete | Purpose::Release => self.settle_calls -= 1,
                    Purpose::Extend(_) => {
                        // Others may have found no call free.
                        if self.extend_calls >= self.most_extend_calls() {
                            self.next_scan = now;
                        }
                        self.extend_calls -= 1;
                    }
                }
                self.settled(&purpose, entries, asked, result, now);
            }
        }
    }

    fn received(&mut self, call: u64, messages: Vec<Message>, now: Instant) {
        // The lease began before the reply was let in.
        let arrived = self
            .receivers
            .returned(call, messages.iter().map(Message::size), now)
            .unwrap_or(now);
        self.counts.receives += 1;
        self.receiving.worked(now);
        self.voice.health.progressed(Part::Receive, now);
        let is_empty = messages.is_empty();
        for message in messages {
            if let Some(group) = message.group.as_deref().filter(|_| self.settings.ordered) {
                self.redrive.received(group, message.sequence, now);
            }
            self.admit(message, arrived, now);
        }
        self.redrive.answered(is_empty, now);
    }

    /// Takes a message into the table, or renews the receipt of one that is there.
    fn admit(&mut self, message: Message, arrived: Instant, now: Instant) {
        self.counts.received += 1;
        if let Some(id) = self.slots.holding(&message.id) {
            self.counts.deduplicated += 1;
            self.slots.renew(id, message.receipt, arrived, self.settings.visibility);
            return;
        }
        let stored_before = self.recent.holds(&message, now);
        let group = message.group.clone().filter(|_| self.settings.ordered);
        let id = self.slots.insert(message, arrived, self.settings.visibility);
        if stored_before {
            self.counts.deduplicated += 1;
            if let Some(group) = group {
                self.groups.insert(&group, id, &self.slots);
            }
            self.slots.acknowledge(id, now);
            self.deletes.push_back(id);
            return;
        }
        if now >= arrived + self.settings.visibility {
            // It waited for room until it was somebody else's.
            if let Some(group) = group {
                self.groups.insert(&group, id, &self.slots);
            }
            return self.lapse(id, now);
        }
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
        let outage = match purpose {
            Purpose::Delete => &mut self.deleting,
            Purpose::Release | Purpose::Extend(_) => &mut self.hiding,
        };
        let answers = match result {
            Ok(answers) if answers.len() == entries.len() => {
                outage.worked(now);
                self.tell_of_entries(purpose, &answers, now);
                answers
            }
            Ok(_) => vec![Settled::Failed("the answer does not name this message".to_owned()); entries.len()],
            Err(error) => {
                self.counts.source_errors += 1;
                outage.failed(error.kind.as_str(), &error, now);
                vec![Settled::Failed(error.to_string()); entries.len()]
            }
        };
        for (place, ((id, receipt), answer)) in entries.into_iter().zip(answers).enumerate() {
            // Extensions that work are no progress of deletes that do not.
            let settles = !matches!(purpose, Purpose::Extend(_));
            if settles && !matches!(answer, Settled::Failed(_)) {
                self.voice.health.progressed(Part::Settle, now);
            }
            match purpose {
                Purpose::Delete => self.deleted(id, &receipt, &answer, now),
                Purpose::Release => self.released(id, &receipt, &answer, asked, now),
                Purpose::Extend(lengths) => self.extended(id, &receipt, &answer, asked + lengths[place], now),
            }
        }
    }

    /// Single messages of a batch that worked otherwise are no outage.
    fn tell_of_entries(&mut self, purpose: &Purpose, answers: &[Settled], now: Instant) {
        let failure = answers.iter().find_map(|answer| match answer {
            Settled::Failed(why) => Some(why),
            Settled::Done | Settled::Stale => None,
        });
        if let Some(why) = failure
            && let Some(unsaid) = self.unsettled.due(now)
        {
            let what = match purpose {
                Purpose::Delete => "delete",
                Purpose::Release | Purpose::Extend(_) => "hide",
            };
            tracing::warn!(why, unsaid, "The queue did not {what} a message; it is asked again");
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
                self.slots.set_state(id, State::Acknowledged(now));
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
                self.slots.set_state(id, State::DeleteLater(now + wait));
                self.counts.delete_failures += 1;
            }
        }
    }

    fn released(&mut self, id: SlotId, receipt: &Receipt, answer: &Settled, asked: Instant, now: Instant) {
        let group = self.group_of(id);
        let Some(slot) = self.slots.get_mut(id) else { return };
        let State::Releasing(delay) = slot.state else { return };
        let superseded = slot.message.receipt != *receipt;
        if let Some(group) = group.filter(|_| *answer == Settled::Done) {
            self.redrive.hidden(&group, asked + whole_seconds(delay));
        }
        match answer {
            Settled::Done | Settled::Stale if !superseded => self.close(id, now),
            Settled::Failed(_) if !superseded && slot.lease.lost => self.close(id, now),
            // A newer delivery came meanwhile, and only its receipt gives the message back.
            _ if superseded => {
                self.slots.set_state(id, State::Returning(delay));
                self.returns.push_back(id);
            }
            _ => {
                slot.settle_failures += 1;
                let wait = settle_wait(slot.settle_failures);
                self.slots.set_state(id, State::ReturnLater(delay, now + wait));
            }
        }
    }
}

fn settle_wait(failures: u32) -> Duration {
    backoff::delay(Duration::from_millis(200), Duration::from_secs(5), failures)
}

/// Waits for a reply. One that waited for room, which is the pump's to make, has its time anew.
async fn in_time(
    limit: Duration,
    room: &Room,
    receiving: impl Future<Output = Result<Vec<Message>, Error>>,
) -> Result<Vec<Message>, Error> {
    let mut receiving = pin!(receiving);
    loop {
        match timeout(limit, receiving.as_mut()).await {
            Ok(result) => return result,
            Err(_) if room.was_awaited() => {}
            Err(_) => return Err(too_late(limit)),
        }
    }
}

fn too_late(limit: Duration) -> Error {
    let message = format!("no answer within {} s", limit.as_secs());
    Error {
        kind: ErrorKind::Timeout,
        message,
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_reply_that_got_its_room_late_may_still_be_read() {
        let limit = Duration::from_secs(35);
        let (asks, mut asked) = mpsc::channel(1);
        let room = Room::asking(0, 1, asks, Duration::from_secs(60));
        let receiving = async {
            room.grow(1).await.expect("room");
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok(Vec::new())
        };
        let granting = async {
            let ask: crate::source::Ask = asked.recv().await.expect("an ask");
            tokio::time::sleep(limit - Duration::from_millis(100)).await;
            let _ = ask.granted.send(());
        };
        let (reply, ()) = tokio::join!(in_time(limit, &room, receiving), granting);
        assert!(reply.is_ok(), "{reply:?}");
    }
}
