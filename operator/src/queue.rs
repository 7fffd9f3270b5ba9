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

/// The first wait after a failure and the longest.
const BACKOFFS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));
/// The same for something in AWS that has to come first, such as the end of a drain: no fault, and awaited by somebody.
const WAITS: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));

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

    /// Asks for a pass at once. Whoever asks has something new, so what failed before counts no more.
    pub fn request(&self, name: &Name) {
        self.lock().failures.remove(name);
        self.request_after(name, Duration::ZERO);
    }

    /// Asks for a pass at once, unless the last one failed: then the name comes when its wait is over.
    pub fn suggest(&self, name: &Name) {
        if !self.lock().failures.contains_key(name) {
            self.request_after(name, Duration::ZERO);
        }
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

    /// Waits for the next name that is due and not in a pass already, and tells how long that waited since it was due; nothing
    /// once the queue is closed.
    pub async fn next(&self) -> Option<(Name, Duration)> {
        loop {
            // Registered before the look, so that a request between look and wait is not missed.
            let changed = self.changed.notified();
            let wait = match self.take() {
                Take::Closed => return None,
                Take::Name(name, due) => return Some((name, due.elapsed())),
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
                Next::Backoff | Next::Wait => {
                    let failures = inner.failures.entry(name.clone()).or_default();
                    *failures += 1;
                    *failures
                }
                Next::Resync | Next::After(_) | Next::Forget => {
                    inner.failures.remove(name);
                    0
                }
            }
        };
        match next {
            Next::Forget => self.changed.notify_waiters(),
            Next::After(delay) => self.request_after(name, delay),
            Next::Resync => self.request_after(name, self.resync.mul_f64(rand::random_range(0.8..1.2))),
            Next::Backoff => self.request_after(name, growing(BACKOFFS, failures)),
            Next::Wait => self.request_after(name, growing(WAITS, failures)),
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
                Take::Name(name, due)
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
    Name(Name, Instant),
    Wait(Option<Instant>),
}

/// Returns the wait after so many failures in a row: the first, doubled each time up to the longest, less up to a fifth, so
/// that those which failed together do not come again together.
fn growing((first, longest): (Duration, Duration), failures: usize) -> Duration {
    let delays = ExponentialBuilder::default()
        .with_min_delay(first)
        .with_max_delay(longest)
        .without_max_times();
    let delay = delays.build().nth(failures.saturating_sub(1).min(20));
    delay.unwrap_or(longest).mul_f64(rand::random_range(0.8..=1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().expect("a sound name")
    }

    async fn next(queue: &Queue) -> Option<Name> {
        queue.next().await.map(|(name, _)| name)
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_tells_how_long_it_waited_for_somebody_to_take_it() {
        let queue = Queue::new(Duration::from_secs(300));
        queue.request_after(&name("a"), Duration::from_secs(5));
        tokio::time::advance(Duration::from_secs(12)).await;
        assert_eq!(queue.next().await, Some((name("a"), Duration::from_secs(7))));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_who_is_in_a_pass_or_not_yet_due() {
        let queue = Queue::new(Duration::from_secs(300));
        queue.request_after(&name("a"), Duration::from_secs(5));
        assert!(queue.is_idle());
        tokio::time::advance(Duration::from_secs(5)).await;
        assert!(!queue.is_idle());
        next(&queue).await;
        queue.request(&name("a"));
        assert!(queue.is_idle(), "its pass is not over");
        queue.done(&name("a"), Next::Resync);
        assert!(!queue.is_idle());
    }

    #[tokio::test(start_paused = true)]
    async fn requests_for_a_name_merge_and_the_earlier_wins() {
        let queue = Queue::new(Duration::from_secs(300));
        queue.request_after(&name("a"), Duration::from_secs(60));
        queue.request_after(&name("a"), Duration::from_secs(5));
        queue.request_after(&name("a"), Duration::from_secs(90));
        let start = Instant::now();
        assert_eq!(next(&queue).await, Some(name("a")));
        assert_eq!(start.elapsed().as_secs(), 5);
        queue.done(&name("a"), Next::Forget);
        assert_eq!(queue.depth(), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_in_a_pass_is_held_until_the_pass_ends() {
        let queue = Queue::new(Duration::from_secs(300));
        queue.request(&name("a"));
        assert_eq!(next(&queue).await, Some(name("a")));
        queue.request(&name("a"));
        let second = tokio::time::timeout(Duration::from_secs(1), next(&queue)).await;
        assert!(second.is_err(), "the same name must not run twice at once");
        queue.done(&name("a"), Next::Resync);
        assert_eq!(next(&queue).await, Some(name("a")));
    }

    #[tokio::test(start_paused = true)]
    async fn failures_back_off_and_success_resets() {
        let queue = Queue::new(Duration::from_secs(300));
        let mut waits = Vec::new();
        queue.request(&name("a"));
        for _ in 0..4 {
            let start = Instant::now();
            next(&queue).await;
            waits.push(start.elapsed());
            queue.done(&name("a"), Next::Backoff);
        }
        assert!(waits.windows(2).all(|pair| pair[0] < pair[1]), "{waits:?}");
        next(&queue).await;
        queue.done(&name("a"), Next::After(Duration::ZERO));
        next(&queue).await;
        queue.done(&name("a"), Next::Backoff);
        let start = Instant::now();
        next(&queue).await;
        assert!(
            start.elapsed() <= Duration::from_secs(3),
            "the backoff starts anew after a success"
        );
    }

    /// Takes the name, ends its pass that way, and returns how long it waits for the next one.
    async fn wait_after(queue: &Queue, end: Next) -> Duration {
        queue.done(&name("a"), end);
        let start = Instant::now();
        assert_eq!(next(queue).await, Some(name("a")));
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn no_wait_is_longer_than_what_is_told() {
        let queue = Queue::new(Duration::from_secs(300));
        queue.request(&name("a"));
        next(&queue).await;
        for _ in 0..100 {
            let wait = wait_after(&queue, Next::Backoff).await;
            assert!(wait <= BACKOFFS.1 + Duration::from_millis(1), "{wait:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_suggestion_waits_for_the_backoff_and_a_request_does_not() {
        let queue = Queue::new(Duration::from_secs(300));
        queue.request(&name("a"));
        next(&queue).await;
        for _ in 0..9 {
            wait_after(&queue, Next::Backoff).await;
        }
        queue.done(&name("a"), Next::Backoff);
        queue.suggest(&name("a"));
        assert_eq!(
            queue.depth().0,
            0,
            "what fails is not tried sooner for a queue that was looked at"
        );
        queue.request(&name("a"));
        assert_eq!(queue.depth().0, 1, "what somebody wrote is looked at now");
        next(&queue).await;
        let wait = wait_after(&queue, Next::Backoff).await;
        assert!(
            wait <= Duration::from_secs(2),
            "and what failed before counts no more: {wait:?}"
        );
        queue.done(&name("a"), Next::Resync);
        queue.suggest(&name("a"));
        assert_eq!(queue.depth().0, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_to_wait_for_aws_is_looked_at_less_and_less_but_every_minute() {
        let queue = Queue::new(Duration::from_secs(300));
        queue.request(&name("a"));
        next(&queue).await;
        let mut waits = Vec::new();
        for _ in 0..12 {
            waits.push(wait_after(&queue, Next::Wait).await);
        }
        assert!((4..=5).contains(&waits[0].as_secs()), "{waits:?}");
        assert!((48..=60).contains(&waits[11].as_secs()), "{waits:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn another_name_is_not_held_up() {
        let queue = Queue::new(Duration::from_secs(300));
        queue.request(&name("a"));
        next(&queue).await;
        queue.request(&name("b"));
        assert_eq!(next(&queue).await, Some(name("b")));
    }

    #[tokio::test(start_paused = true)]
    async fn a_closed_queue_gives_nothing() {
        let queue = Queue::new(Duration::from_secs(300));
        queue.request(&name("a"));
        queue.close();
        assert_eq!(next(&queue).await, None);
    }
}
