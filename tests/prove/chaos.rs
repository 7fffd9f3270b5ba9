//! What is done to bridges and broker, and when: at points of progress that follow from the seed.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use penstock_tests::Error;
use penstock_tests::bridge::rig::STOPPED;
use penstock_tests::bridge::{Bridge, Rig};
use penstock_tests::error::equal;
use penstock_tests::kafka::Broker;
use penstock_tests::random::Random;
use penstock_tests::sqs_proxy::{Entries, Fault, Operation, Refusal, When};
use penstock_tests::wait_until;

use crate::ledger::Ledger;

/// How long one step of progress may take before the run is given up.
const STANDSTILL: Duration = Duration::from_secs(1800);

/// How long SQS takes no delete, each time.
pub(crate) const OUTAGE: Duration = Duration::from_secs(2);
/// What becomes of deletes meanwhile, by turns.
const REFUSALS: [Fault; 3] = [
    Fault::Refuse(Refusal::Internal),
    Fault::Refuse(Refusal::Throttled),
    Fault::FailEntries(Entries::Untouched),
];

/// What was done so far.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) kills: AtomicU64,
    pub(crate) stops: AtomicU64,
    pub(crate) broker_kills: AtomicU64,
    pub(crate) broker_stops: AtomicU64,
    pub(crate) cuts: AtomicU64,
    pub(crate) outages: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) scrapes: AtomicU64,
}

impl fmt::Display for Tally {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        write!(
            out,
            "{} SIGKILLs, {} SIGTERMs, broker {} times killed and {} times restarted, {} cuts, {} outages of deletes",
            count(&self.kills),
            count(&self.stops),
            count(&self.broker_kills),
            count(&self.broker_stops),
            count(&self.cuts),
            count(&self.outages)
        )
    }
}

/// Returns `count` points between `from` and `to`, in order.
pub(crate) fn points(random: &mut Random, count: u32, from: u64, to: u64) -> Vec<u64> {
    let mut points: Vec<u64> = (0..count).map(|_| from + random.below(to - from)).collect();
    points.sort_unstable();
    points
}

/// How a bridge is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// SIGKILL.
    Killed,
    /// SIGTERM: it has to exit with 0 and to hold nothing.
    Stopped,
}

/// Ends one bridge after the other at these points of progress, and returns the last one, which runs.
pub(crate) async fn end_at(
    rig: &Rig<'_>,
    ledger: &Ledger,
    points: &[u64],
    end: End,
    tally: &Tally,
) -> Result<Bridge, Error> {
    let mut bridge = begin(rig, end).await;
    for point in points {
        let stored = || async {
            let stored = ledger.distinct();
            if stored >= *point {
                Ok(())
            } else {
                Err(format!("{stored} stored"))
            }
        };
        bridge
            .process
            .ready(&format!("{point} messages stored"), STANDSTILL, stored)
            .await?;
        end_one(rig, &bridge, end, tally).await?;
        bridge = begin(rig, end).await;
    }
    Ok(bridge)
}

/// A process that has just begun knows no signals yet; what is killed may be killed at any time.
async fn begin(rig: &Rig<'_>, end: End) -> Bridge {
    match end {
        End::Killed => rig.bridge().await,
        End::Stopped => rig.healthy_bridge().await,
    }
}

pub(crate) async fn end_one(rig: &Rig<'_>, bridge: &Bridge, end: End, tally: &Tally) -> Result<(), Error> {
    tally
        .scrapes
        .fetch_add(bridge.audit.seen().scrapes as u64, Ordering::Relaxed);
    match end {
        End::Killed => {
            bridge.process.kill().await?;
            tally.kills.fetch_add(1, Ordering::Relaxed);
        }
        End::Stopped => {
            let status = bridge.process.terminate(STOPPED).await?;
            let what = format!("the exit code of a stop (log: {})", bridge.process.log().display());
            equal(&what, status.code(), Some(0))?;
            equal("messages held after a stop", rig.queue.counts().await.1, 0)?;
            tally.stops.fetch_add(1, Ordering::Relaxed);
        }
    }
    Ok(())
}

/// What is done to the ways to Kafka and SQS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blow {
    /// Every connection is cut.
    Cut,
    /// The broker is killed and comes back.
    Kill,
    /// The broker is stopped and comes back.
    Restart,
    /// SQS takes no deletes for a while, or only half of each batch.
    Deletes(Fault),
}

/// How many blows of each kind there are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counts {
    pub(crate) cuts: u32,
    pub(crate) restarts: u32,
    pub(crate) outages: u32,
}

/// Returns blows with their points of progress, in order.
pub(crate) fn blows(random: &mut Random, counts: Counts, from: u64, to: u64) -> Vec<(u64, Blow)> {
    let mut blows: Vec<_> = points(random, counts.cuts, from, to)
        .into_iter()
        .map(|at| (at, Blow::Cut))
        .collect();
    let restarts = points(random, counts.restarts, from, to).into_iter().enumerate();
    blows.extend(restarts.map(|(place, at)| (at, if place % 2 == 0 { Blow::Kill } else { Blow::Restart })));
    let outages = points(random, counts.outages, from, to).into_iter();
    blows.extend(
        outages
            .zip(REFUSALS.into_iter().cycle())
            .map(|(at, fault)| (at, Blow::Deletes(fault))),
    );
    blows.sort_by_key(|(at, _)| *at);
    blows
}

/// Deals the blows as all ledgers together come to their points.
pub(crate) async fn strike(
    broker: &Broker,
    rigs: &[&Rig<'_>],
    ledgers: &[&Ledger],
    blows: &[(u64, Blow)],
    tally: &Tally,
) -> Result<(), Error> {
    for (point, blow) in blows {
        wait_until(&format!("{point} messages stored"), STANDSTILL, || {
            let stored: u64 = ledgers.iter().map(|ledger| ledger.distinct()).sum();
            std::future::ready(if stored >= *point { Ok(()) } else { Err(stored) })
        })
        .await?;
        let counter = match blow {
            Blow::Cut => {
                rigs.iter().for_each(|rig| rig.link().cut());
                &tally.cuts
            }
            Blow::Kill => {
                broker.kill().await?;
                broker.restart().await?;
                &tally.broker_kills
            }
            Blow::Restart => {
                broker.restart().await?;
                &tally.broker_stops
            }
            Blow::Deletes(fault) => {
                let rule = |rig: &&Rig<'_>| rig.proxy.rule(Operation::Delete, When::Always, *fault);
                let rules: Vec<_> = rigs.iter().map(rule).collect();
                tokio::time::sleep(OUTAGE).await;
                rules.iter().for_each(|rule| rule.off());
                let refused = rules.iter().map(|rule| rule.hits()).sum();
                tally.refused.fetch_add(refused, Ordering::Relaxed);
                &tally.outages
            }
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_and_when_follows_from_the_seed() {
        let counts = Counts {
            cuts: 5,
            restarts: 4,
            outages: 6,
        };
        let plan = |seed| blows(&mut Random::new(seed), counts, 100, 1_000);
        assert_eq!(plan(1), plan(1));
        assert_ne!(plan(1), plan(2));
        let plan = plan(1);
        assert!(plan.is_sorted_by_key(|(at, _)| *at));
        assert!(plan.iter().all(|(at, _)| (100..1_000).contains(at)));
        let count = |wanted| plan.iter().filter(|(_, blow)| *blow == wanted).count();
        assert_eq!((count(Blow::Cut), count(Blow::Kill), count(Blow::Restart)), (5, 2, 2));
        for fault in REFUSALS {
            assert_eq!(count(Blow::Deletes(fault)), 2, "{fault:?}");
        }
    }
}
