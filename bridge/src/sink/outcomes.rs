//! The way that outcomes take from a sink's own threads to the pump: a list that is handed over whole, so that a broker's
//! answer for a thousand messages wakes the pump once and not a thousand times.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::sink::Delivery;

/// Returns both ends. The list needs no limit of its own: a message has one try at a time, so there are never more
/// outcomes than messages held.
pub fn outcomes() -> (Outcomes, Deliveries) {
    let shared = Arc::new(Shared::default());
    (Outcomes(shared.clone()), Deliveries(shared))
}

/// The sink's end.
#[derive(Debug, Clone)]
pub struct Outcomes(Arc<Shared>);

/// The pump's end.
#[derive(Debug)]
pub struct Deliveries(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    list: Mutex<Vec<Delivery>>,
    news: Notify,
}

impl Shared {
    fn list(&self) -> MutexGuard<'_, Vec<Delivery>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outcomes {
    /// Reports one outcome, never waiting.
    pub fn report(&self, delivery: Delivery) {
        let first = {
            let mut list = self.0.list();
            list.push(delivery);
            list.len() == 1
        };
        if first {
            self.0.news.notify_one();
        }
    }
}

impl Deliveries {
    /// Waits until there are outcomes. Safe to cancel.
    pub async fn wait(&self) {
        loop {
            if !self.0.list().is_empty() {
                return;
            }
            self.0.news.notified().await;
        }
    }

    /// Moves every outcome that is there into `into`, which must be empty.
    pub fn take(&self, into: &mut Vec<Delivery>) {
        std::mem::swap(&mut *self.0.list(), into);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::Ticket;

    fn delivery(ticket: usize) -> Delivery {
        Delivery {
            ticket: Ticket(ticket),
            result: Ok(()),
        }
    }

    #[tokio::test]
    async fn outcomes_reported_from_other_threads_arrive_in_order_and_whole() {
        let (outcomes, deliveries) = outcomes();
        let reporter = std::thread::spawn(move || (0..1000).for_each(|n| outcomes.report(delivery(n))));
        let mut arrived = Vec::new();
        while arrived.len() < 1000 {
            deliveries.wait().await;
            let mut taken = Vec::new();
            deliveries.take(&mut taken);
            arrived.extend(taken.into_iter().map(|delivery| delivery.ticket.0));
        }
        reporter.join().expect("it reports");
        assert!(arrived.iter().copied().eq(0..1000));
    }

    #[tokio::test]
    async fn what_was_reported_before_anybody_waits_is_not_missed() {
        let (outcomes, deliveries) = outcomes();
        outcomes.report(delivery(1));
        outcomes.report(delivery(2));
        deliveries.wait().await;
        let mut taken = Vec::new();
        deliveries.take(&mut taken);
        assert_eq!(taken.len(), 2);
    }
}
