//! Which connector is next: requests for a name merge and the earlier time wins, one pass at a time per name, and a
//! backoff of its own for each name that fails.
//!
//! A pass is given a name, never a reason; whoever wants a connector looked at asks here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use penstock_crds::Name;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::plan::status::Next;

/// The names that wait for a pass. Its size is bounded by the number of connectors, since a name waits only once.
#[derive(Debug)]
pub struct Queue {
    inner: Mutex<Inner>,
    changed: Notify,
    resync: Duration,
}

#[derive(Debug, Default)]
struct Inner {
    due: BTreeMap<Name, Instant>,
    running: BTreeSet<Name>,
    failures: BTreeMap<Name, usize>,
    closed: bool,
}

impl Queue {
    /// Makes an empty queue whose settled names come again after `resync`, give or take a fifth.
    pub fn new(resync: Duration) -> Self {
        Self {
            inner: Mutex::default(),
            changed: Notify::new(),
            resync,
        }
    }

    /// Asks for a pass at once.
    pub fn request(&self, name: &Name) {
        self.request_after(name, Duration::ZERO);
    }

    /// Asks for a pass after `delay`, unless one is due earlier.
    pub fn request_after(&self, name: &Name, delay: Duration) {
        let at = Instant::now() + delay;
        self.lock()
            .due
            .entry(name.clone())
            .and_modify(|due| *due = at.min(*due))
            .or_insert(at);
        self.changed.notify_waiters();
    }

    /// Waits for the next name that is due and not in a pass already; nothing once the queue is closed.
    pub async fn next(&self) -> Option<Name> {
        loop {
            // Registered before the look, so that a request between look and wait is not missed.
            let changed = self.changed.notified();
            let wait = match self.take() {
                Take::Closed => return None,
                Take::Name(name) => return Some(name),
                Take::Wait(wait) => wait,
            };
            match wait {
                Some(at) => {
                    let _ = tokio::time::timeout_at(at, changed).await;
                }
                None => changed.await,
            }
        }
    }

    /// Ends the pass of `name` and says when it comes again.
    pub fn done(&self, name: &Name, next: Next) {
        let failures = {
            let mut inner = self.lock();
            inner.running.remove(name);
            match next {
                Next::Backoff => {
                    let failures = inner.failures.entry(name.clone()).or_default();
                    *failures += 1;
                    *failures
                }
                _ => {
                    inner.failures.remove(name);
                    0
                }
            }
        };
        match next {
            Next::Forget => self.changed.notify_waiters(),
            Next::After(delay) => self.request_after(name, delay),
            Next::Resync => self.request_after(name, self.resync.mul_f64(rand::random_range(0.8..1.2))),
            Next::Backoff => self.request_after(name, backoff(failures)),
        }
    }

    /// Lets nobody have another name; passes in hand go on.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_waiters();
    }

    /// Returns how many names are due and waiting, and how many are in a pass.
    pub fn depth(&self) -> (usize, usize) {
        let now = Instant::now();
        let inner = self.lock();
        (
            inner.due.values().filter(|due| **due <= now).count(),
            inner.running.len(),
        )
    }

    /// Whether nobody waits who could have a pass now; a name that is in one already waits for its end.
    pub fn is_idle(&self) -> bool {
        let now = Instant::now();
        let inner = self.lock();
        let waits = |(name, due): (&Name, &Instant)| *due <= now && !inner.running.contains(name);
        !inner.due.iter().any(waits)
    }

    fn take(&self) -> Take {
        let mut inner = self.lock();
        if inner.closed {
            return Take::Closed;
        }
        let free = inner.due.iter().filter(|(name, _)| !inner.running.contains(*name));
        match free
            .min_by_key(|(_, due)| **due)
            .map(|(name, due)| (name.clone(), *due))
        {
            Some((name, due)) if due <= Instant::now() => {
                inner.due.remove(&name);
                inner.running.insert(name.clone());
                Take::Name(name)
            }
            Some((_, due)) => Take::Wait(Some(due)),
            None => Take::Wait(None),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Take {
    Closed,
    Name(Name),
    Wait(Option<Instant>),
}

/// Returns the wait after so many failures in a row: 1 s doubled each time up to 5 minutes, with jitter.
fn backoff(failures: usize) -> Duration {
    let delays = ExponentialBuilder::default()
        .with_min_delay(Duration::from_secs(1))
        .with_max_delay(Duration::from_secs(300))
        .with_jitter()
        .without_max_times();
    delays
        .build()
        .nth(failures.saturating_sub(1).min(20))
        .unwrap_or(Duration::from_secs(300))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().expect("a sound name")
    }

    #[tokio::test(start_paused = true)]
    async fn requests_for_a_name_merge_and_the_earlier_wins() {
        let queue = Queue::new(Duration::from_secs(300));
        queue.request_after(&name("a"), Duration::from_secs(60));
        queue.request_after(&name("a"), Duration::from_secs(5));
        queue.request_after(&name("a"), Duration::from_secs(90));
        let start = Instant::now();
        assert_eq!(queue.next().await, Some(name("a")));
        assert_eq!(start.elapsed().as_secs(), 5);
        queue.done(&name("a"), Next::Forget);
        assert_eq!(queue.depth(), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_in_a_pass_is_held_until_the_pass_ends() {
        let queue = Queue::new(Duration::from_secs(300));
        queue.request(&name("a"));
        assert_eq!(queue.next().await, Some(name("a")));
        queue.request(&name("a"));
        let second = tokio::time::timeout(Duration::from_secs(1), queue.next()).await;
        assert!(second.is_err(), "the same name must not run twice at once");
        queue.done(&name("a"), Next::Resync);
        assert_eq!(queue.next().await, Some(name("a")));
    }

    #[tokio::test(start_paused = true)]
    async fn failures_back_off_and_success_resets() {
        let queue = Queue::new(Duration::from_secs(300));
        let mut waits = Vec::new();
        queue.request(&name("a"));
        for _ in 0..4 {
            let start = Instant::now();
            queue.next().await;
            waits.push(start.elapsed());
            queue.done(&name("a"), Next::Backoff);
        }
        assert!(waits.windows(2).all(|pair| pair[0] < pair[1]), "{waits:?}");
        queue.next().await;
        queue.done(&name("a"), Next::After(Duration::ZERO));
        queue.next().await;
        queue.done(&name("a"), Next::Backoff);
        let start = Instant::now();
        queue.next().await;
        assert!(
            start.elapsed() <= Duration::from_secs(3),
            "the backoff starts anew after a success"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn another_name_is_not_held_up() {
        let queue = Queue::new(Duration::from_secs(300));
        queue.request(&name("a"));
        queue.next().await;
        queue.request(&name("b"));
        assert_eq!(queue.next().await, Some(name("b")));
    }

    #[tokio::test(start_paused = true)]
    async fn a_closed_queue_gives_nothing() {
        let queue = Queue::new(Duration::from_secs(300));
        queue.request(&name("a"));
        queue.close();
        assert_eq!(queue.next().await, None);
    }
}
