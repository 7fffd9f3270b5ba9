//! Every message by its number: when it was stored, when its delete was asked for. A few bytes each, so that a million fit easily.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

use penstock_tests::clock;
use penstock_tests::sqs_proxy::{Handout, Observer, Operation};

use crate::bodies::{self, GROUPS};

/// Milliseconds from the beginning of the run, plus one; 0 for never.
type Moment = u32;

/// What is known of the messages of one queue.
#[derive(Debug)]
pub(crate) struct Ledger {
    seed: u64,
    began: i64,
    ordered: bool,
    stored: Mutex<Stored>,
    asked: Mutex<Asked>,
}

#[derive(Debug)]
struct Stored {
    first: Vec<Moment>,
    distinct: u64,
    copies: u64,
    altered: Faults,
    strange: u64,
    dead: u64,
    disordered: Faults,
    /// By group, the partition and number of the latest first copy.
    latest: Vec<Option<(i32, u32)>>,
}

#[derive(Debug, Default)]
struct Asked {
    /// Numbers by the hash of a receipt.
    receipts: HashMap<u64, u32>,
    first: Vec<Moment>,
    deletes: u64,
    deleted: u64,
    handouts: u64,
    late: u64,
}

/// How many, and the first few.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    pub(crate) count: u64,
    pub(crate) first: Vec<u32>,
}

impl Faults {
    fn add(&mut self, number: u32) {
        self.count += 1;
        if self.first.len() < 5 {
            self.first.push(number);
        }
    }
}

/// What came of the messages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) sent: u64,
    pub(crate) lost: Faults,
    pub(crate) altered: Faults,
    pub(crate) disordered: Faults,
    pub(crate) premature: Faults,
    pub(crate) strange: u64,
    pub(crate) dead: u64,
    pub(crate) duplicates: u64,
    pub(crate) handouts: u64,
    pub(crate) deletes: u64,
}

impl Outcome {
    /// Whether nothing is wrong, duplicates aside.
    pub(crate) fn is_sound(&self) -> bool {
        let faults = [&self.lost, &self.altered, &self.disordered, &self.premature];
        faults.iter().all(|faults| faults.count == 0) && self.strange == 0 && self.dead == 0
    }
}

impl Ledger {
    /// Opens one for messages `0..count` whose bodies follow from `seed`.
    pub(crate) fn new(seed: u64, count: u32, ordered: bool) -> Self {
        let count = count as usize;
        Self {
            seed,
            began: clock::now(),
            ordered,
            stored: Mutex::new(Stored {
                first: vec![0; count],
                distinct: 0,
                copies: 0,
                altered: Faults::default(),
                strange: 0,
                dead: 0,
                disordered: Faults::default(),
                latest: vec![None; GROUPS as usize],
            }),
            asked: Mutex::new(Asked {
                first: vec![0; count],
                ..Asked::default()
            }),
        }
    }

    /// Takes in a record, in the order of its partition; `at` is when the broker appended it.
    pub(crate) fn record(&self, partition: i32, at: i64, value: &[u8], dead: bool) {
        let at = self.moment(at);
        let mut stored = self.stored();
        stored.dead += u64::from(dead);
        let known = bodies::number(value).filter(|number| (*number as usize) < stored.first.len());
        let Some(number) = known else {
            stored.strange += 1;
            return;
        };
        if value != bodies::body(self.seed, number).as_bytes() {
            stored.altered.add(number);
        }
        let first = &mut stored.first[number as usize];
        if *first != 0 {
            *first = at.min(*first);
            stored.copies += 1;
            return;
        }
        *first = at;
        stored.distinct += 1;
        if self.ordered && !dead {
            let group = bodies::group(number) as usize;
            let before = stored.latest[group].replace((partition, number));
            if before.is_some_and(|(place, earlier)| place != partition || earlier > number) {
                stored.disordered.add(number);
            }
        }
    }

    /// Returns how many messages are stored.
    pub(crate) fn distinct(&self) -> u64 {
        self.stored().distinct
    }

    /// Returns how many records are beyond the first of their message.
    pub(crate) fn duplicates(&self) -> u64 {
        self.stored().copies
    }

    /// Returns for how many messages a delete was asked.
    pub(crate) fn deleted(&self) -> u64 {
        self.asked().deleted
    }

    /// Returns how many calls SQS left without an answer for seconds, by itself.
    pub(crate) fn late(&self) -> u64 {
        self.asked().late
    }

    /// Says what came of everything, once all of the topic was read.
    pub(crate) fn outcome(&self) -> Outcome {
        let (stored, asked) = (self.stored(), self.asked());
        let (mut lost, mut premature) = (Faults::default(), Faults::default());
        for (number, (kept, deleted)) in (0..).zip(stored.first.iter().zip(&asked.first)) {
            if *kept == 0 {
                lost.add(number);
            }
            if *deleted != 0 && (*kept == 0 || kept > deleted) {
                premature.add(number);
            }
        }
        Outcome {
            sent: stored.first.len() as u64,
            lost,
            altered: stored.altered.clone(),
            disordered: stored.disordered.clone(),
            premature,
            strange: stored.strange,
            dead: stored.dead,
            duplicates: stored.copies,
            handouts: asked.handouts,
            deletes: asked.deletes,
        }
    }

    fn moment(&self, at: i64) -> Moment {
        Moment::try_from(at - self.began + 1).unwrap_or(1).max(1)
    }

    fn stored(&self) -> MutexGuard<'_, Stored> {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Ledger {
    fn handed_out(&self, handout: &Handout<'_>, _at: i64) {
        let Some(number) = bodies::number(handout.body.as_bytes()) else {
            return;
        };
        let mut asked = self.asked();
        asked.handouts += 1;
        asked.receipts.insert(hash(handout.receipt), number);
    }

    fn deleting(&self, receipt: &str, at: i64) {
        let at = self.moment(at);
        let mut asked = self.asked();
        let Some(number) = asked.receipts.get(&hash(receipt)).copied() else {
            return;
        };
        asked.deletes += 1;
        let first = asked.first.get_mut(number as usize).filter(|first| **first == 0);
        if let Some(first) = first {
            *first = at;
            asked.deleted += 1;
        }
    }

    fn late(&self, _operation: Operation) {
        self.asked().late += 1;
    }
}

fn hash(receipt: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    receipt.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: u64 = 5;

    fn ledger() -> Ledger {
        Ledger::new(SEED, 12, true)
    }

    fn store(ledger: &Ledger, number: u32, partition: i32, after: i64) {
        let body = bodies::body(SEED, number);
        ledger.record(partition, ledger.began + after, body.as_bytes(), false);
    }

    fn delete(ledger: &Ledger, number: u32, after: i64) {
        let (receipt, body) = (format!("r{number}"), bodies::body(SEED, number));
        let handout = Handout {
            id: "id",
            receipt: &receipt,
            body: &body,
        };
        ledger.handed_out(&handout, ledger.began);
        ledger.deleting(&receipt, ledger.began + after);
    }

    #[test]
    fn a_faultless_run_is_sound() {
        let ledger = ledger();
        for number in 0..12 {
            store(&ledger, number, 0, 10);
            delete(&ledger, number, 10);
        }
        let outcome = ledger.outcome();
        assert!(outcome.is_sound(), "{outcome:?}");
        assert_eq!((outcome.duplicates, ledger.deleted()), (0, 12));
    }

    #[test]
    fn what_is_lost_twice_or_deleted_too_early_is_seen() {
        let ledger = ledger();
        for number in 0..10 {
            store(&ledger, number, 0, 10);
        }
        store(&ledger, 3, 0, 20);
        delete(&ledger, 4, 9);
        delete(&ledger, 11, 50);
        let outcome = ledger.outcome();
        assert_eq!(outcome.lost.first, [10, 11]);
        assert_eq!(outcome.duplicates, 1);
        assert_eq!(outcome.premature.first, [4, 11]);
        assert!(!outcome.is_sound());
    }

    #[test]
    fn what_was_overtaken_moved_or_altered_is_seen() {
        let ledger = ledger();
        store(&ledger, 1, 0, 1);
        store(&ledger, 0, 0, 2);
        store(&ledger, 2, 1, 3);
        ledger.record(0, ledger.began, b"{\"n\":3,\"pad\":\"\"}", false);
        ledger.record(0, ledger.began, b"who knows", false);
        let outcome = ledger.outcome();
        assert_eq!(outcome.disordered.first, [0, 2, 3]);
        assert_eq!((outcome.altered.first, outcome.strange), (vec![3], 1));
    }
}
