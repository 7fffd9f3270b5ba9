//! Which calls meet which fault.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::random::Random;

use super::{Fault, Operation};

/// Which calls of its operation a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// The next so many.
    Next(u64),
    /// The last of every so many.
    Every(u64),
    /// All of them.
    Always,
    /// That many in a hundred, by a series that follows from the seed.
    Percent(u64, u64),
}

/// A fault, the calls that meet it, and how many did. It holds until it is switched off.
#[derive(Debug)]
pub struct Rule {
    operation: Operation,
    when: When,
    fault: Fault,
    seen: AtomicU64,
    hits: AtomicU64,
    off: AtomicBool,
    random: Mutex<Random>,
}

impl Rule {
    /// Returns how many calls met the fault.
    pub fn hits(&self) -> u64 {
        self.hits.load(Ordering::SeqCst)
    }

    /// Ends it. A call that was black-holed stays so.
    pub fn off(&self) {
        self.off.store(true, Ordering::SeqCst);
    }

    fn wants(&self, operation: Operation) -> bool {
        if operation != self.operation || self.off.load(Ordering::SeqCst) {
            return false;
        }
        let seen = self.seen.fetch_add(1, Ordering::SeqCst) + 1;
        let wanted = match self.when {
            When::Next(count) => seen <= count,
            When::Every(count) => seen.is_multiple_of(count.max(1)),
            When::Always => true,
            When::Percent(percent, _) => {
                let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
                random.percent(percent)
            }
        };
        if wanted {
            self.hits.fetch_add(1, Ordering::SeqCst);
        }
        wanted
    }
}

/// All rules of a proxy.
#[derive(Debug, Default)]
pub(super) struct Rules(Mutex<Vec<Arc<Rule>>>);

impl Rules {
    pub(super) fn add(&self, operation: Operation, when: When, fault: Fault) -> Arc<Rule> {
        let seed = if let When::Percent(_, seed) = when { seed } else { 0 };
        let rule = Arc::new(Rule {
            operation,
            when,
            fault,
            seen: AtomicU64::new(0),
            hits: AtomicU64::new(0),
            off: AtomicBool::new(false),
            random: Mutex::new(Random::new(seed)),
        });
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(rule.clone());
        rule
    }

    /// Returns the fault of the first rule that wants the call.
    pub(super) fn fault(&self, operation: Operation) -> Option<Fault> {
        let rules = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let rule = rules.iter().find(|rule| rule.wants(operation))?;
        Some(rule.fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hit(rules: &Rules, calls: usize) -> Vec<bool> {
        (0..calls).map(|_| rules.fault(Operation::Delete).is_some()).collect()
    }

    #[test]
    fn a_rule_is_about_the_calls_that_it_names_until_it_is_off() {
        let rules = Rules::default();
        rules.add(Operation::Delete, When::Next(2), Fault::DropReply);
        assert!(rules.fault(Operation::Receive).is_none());
        assert_eq!(hit(&rules, 3), [true, true, false]);
        let third = rules.add(Operation::Delete, When::Every(3), Fault::DropReply);
        assert_eq!(hit(&rules, 6), [false, false, true, false, false, true]);
        third.off();
        assert_eq!(hit(&rules, 3), [false; 3]);
        assert_eq!(third.hits(), 2);
    }

    #[test]
    fn chances_follow_from_the_seed() {
        let run = |seed| {
            let rules = Rules::default();
            rules.add(Operation::Delete, When::Percent(30, seed), Fault::DropReply);
            hit(&rules, 50)
        };
        assert_eq!(run(3), run(3));
        assert_ne!(run(3), run(4));
    }
}
