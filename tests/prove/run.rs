//! The run: first stops alone, which may add no duplicate; then kills, restarts and cuts, which may add so many and lose none.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use aws_sdk_sqs::types::QueueAttributeName;
use penstock_tests::bridge::stall::outlive;
use penstock_tests::bridge::{Bridge, Queue, Rig};
use penstock_tests::elasticmq::ElasticMq;
use penstock_tests::error::equal;
use penstock_tests::kafka::Broker;
use penstock_tests::random::Random;
use penstock_tests::{Error, clock, unique};
use serde_json::json;
use tokio::time::Instant;

use crate::BridgeArgs;
use crate::chaos::{Counts, End, Tally, blows, end_at, end_one, points, strike};
use crate::feed::{Feed, feed};
use crate::ledger::Ledger;
use crate::reader::{Reader, Shelf};
use crate::report::{self, Calm, Proof, Side};

/// The most messages that a bridge may hold, which bounds what one kill may store twice.
const MAX_IN_FLIGHT: [u64; 2] = [1_000, 500];
/// The most messages in a queue: ElasticMQ slows down with more, with those of groups much earlier.
const BACKLOG: [u64; 2] = [20_000, 4_500];
/// Calls at once that fill a queue; order needs one.
const SENDERS: [usize; 2] = [8, 1];
/// How much of the run has no faults but stops, and how much of the kills falls to the FIFO queue, in hundredths.
const CALM: u64 = 20;
const FIFO_KILLS: u32 = 20;

/// One queue with what is known of it.
struct Lane<'a> {
    rig: Rig<'a>,
    ledger: Arc<Ledger>,
    seed: u64,
    place: usize,
    total: u32,
    calm: u32,
}

/// Runs all of it, prints what came of it, and says whether everything held.
pub(crate) async fn prove(args: &BridgeArgs) -> Result<bool, Error> {
    let seed = args.seed.unwrap_or_else(|| clock::now().unsigned_abs() % 1_000_000);
    eprintln!("== seed {seed}; starting Kafka and ElasticMQ");
    let began = Instant::now();
    let (broker, sqs) = tokio::try_join!(Broker::start(), ElasticMq::start())?;
    let lanes = [
        lane(&broker, &sqs, 0, args.messages, seed).await,
        lane(&broker, &sqs, 1, args.fifo_messages, seed ^ 1).await,
    ];
    let shelves: Vec<Shelf> = lanes.iter().flat_map(shelves).collect();
    let reader = Reader::start(&broker, shelves.clone())?;
    let (tally, mut random) = (Tally::default(), Random::new(seed));
    let quiet = async { tokio::try_join!(only_stops(args, &lanes, &mut random, &tally), stalled(args)) };
    let (calm, stalls) = tokio::select! {
        done = quiet => done?,
        never = progress(&lanes, &tally) => never,
    };
    tokio::select! {
        done = everything(args, &broker, &lanes, &mut random, &tally) => done?,
        never = progress(&lanes, &tally) => never,
    }
    eprintln!("== reading the topics to their ends");
    reader.finish(&broker, &shelves).await?;
    let fifo_kills = fifo_share(args.kills);
    let kills = [args.kills - fifo_kills, fifo_kills];
    let sides = [0, 1].map(|place| Side {
        outcome: lanes[place].ledger.outcome(),
        calm: calm[place],
        stall: stalls[place],
        late: lanes[place].ledger.late(),
        kills: u64::from(kills[place]),
        max_in_flight: MAX_IN_FLIGHT[place],
    });
    let proof = Proof {
        args: args.clone(),
        seed,
        sides,
        seconds: began.elapsed().as_secs(),
        broker_kills: tally.broker_kills.load(Ordering::Relaxed),
        broker_stops: tally.broker_stops.load(Ordering::Relaxed),
        cuts: tally.cuts.load(Ordering::Relaxed),
        outages: tally.outages.load(Ordering::Relaxed),
        refused: tally.refused.load(Ordering::Relaxed),
        stops: tally.stops.load(Ordering::Relaxed),
        scrapes: tally.scrapes.load(Ordering::Relaxed),
    };
    report::tell(&proof)
}

async fn lane<'a>(broker: &'a Broker, sqs: &ElasticMq, place: usize, total: u32, seed: u64) -> Lane<'a> {
    let fifo = place == 1;
    let queue = queue(sqs, fifo).await;
    let ledger = Arc::new(Ledger::new(seed, total, fifo));
    let settings = [("max.message.bytes", "4194304")];
    let rig = Rig::observed(broker, queue, &settings, ledger.clone())
        .await
        .linked()
        .await;
    let rig = rig
        .set(json!({"source": {"visibilityTimeout": "10s", "receivers": 8}}))
        .arguments(&["--max-in-flight", &MAX_IN_FLIGHT[place].to_string()]);
    Lane {
        rig,
        ledger,
        seed,
        place,
        total,
        calm: u32::try_from(u64::from(total) * CALM / 100).unwrap_or(total),
    }
}

async fn queue(sqs: &ElasticMq, fifo: bool) -> Queue {
    let name = unique("proof");
    if fifo {
        let attributes = [(QueueAttributeName::FifoQueue, "true".to_owned())];
        Queue::create_at(sqs.endpoint(), format!("{name}.fifo"), &attributes).await
    } else {
        Queue::create_at(sqs.endpoint(), name, &[]).await
    }
}

fn shelves(lane: &Lane<'_>) -> [Shelf; 2] {
    [(&lane.rig.topic, false), (&lane.rig.dead_letters, true)].map(|(topic, dead)| Shelf {
        topic: topic.clone(),
        ledger: lane.ledger.clone(),
        dead,
    })
}

fn fifo_share(count: u32) -> u32 {
    count * FIFO_KILLS / 100
}

/// SIGTERMs under load and nothing else: returns the duplicates, of which there may be none.
async fn only_stops(
    args: &BridgeArgs,
    lanes: &[Lane<'_>; 2],
    random: &mut Random,
    tally: &Tally,
) -> Result<[Calm; 2], Error> {
    eprintln!("== {} stops under load", args.stops);
    let fifo = fifo_share(args.stops);
    let plans = [(args.stops - fifo, &lanes[0]), (fifo, &lanes[1])]
        .map(|(stops, lane)| points(random, stops, 0, u64::from(lane.calm.max(1))));
    let stopped = |place: usize| {
        let (lane, plan) = (&lanes[place], &plans[place]);
        async move {
            let (bridge, ()) = tokio::try_join!(
                end_at(&lane.rig, &lane.ledger, plan, End::Stopped, tally),
                fill(lane, 0, lane.calm)
            )?;
            finish(lane, bridge, u64::from(lane.calm), tally).await
        }
    };
    tokio::try_join!(stopped(0), stopped(1))?;
    Ok(lanes.each_ref().map(|lane| Calm {
        duplicates: lane.ledger.duplicates(),
        late: lane.ledger.late(),
    }))
}

/// A stall of Kafka with the largest messages waiting, on queues, links and a broker of their own: most of the time nothing happens there.
async fn stalled(args: &BridgeArgs) -> Result<[Option<u64>; 2], Error> {
    if args.stall == 0 {
        return Ok([None; 2]);
    }
    eprintln!(
        "== beside them Kafka stalls for {} s, for two other bridges",
        args.stall
    );
    let length = Duration::from_secs(args.stall);
    // SQS of its own as well, for it keeps what it holds in memory, several times over.
    let (broker, sqs) = tokio::try_join!(Broker::start(), ElasticMq::start())?;
    let queues = [queue(&sqs, false).await, queue(&sqs, true).await];
    let [standard, fifo] = queues.map(|queue| outlive(&broker, queue, length));
    let outlived = tokio::join!(standard, fifo);
    eprintln!("== the stall is over");
    Ok(outlived.into())
}

/// SIGKILLs, broker restarts, cuts and deletes that fail, all at once.
async fn everything(
    args: &BridgeArgs,
    broker: &Broker,
    lanes: &[Lane<'_>; 2],
    random: &mut Random,
    tally: &Tally,
) -> Result<(), Error> {
    eprintln!(
        "== {} SIGKILLs, {} restarts of the broker, {} cuts, {} outages of deletes",
        args.kills, args.broker_restarts, args.cuts, args.delete_outages
    );
    let fifo = fifo_share(args.kills);
    let plans = [(args.kills - fifo, &lanes[0]), (fifo, &lanes[1])].map(|(kills, lane)| {
        points(
            random,
            kills,
            u64::from(lane.calm),
            u64::from(lane.total.max(lane.calm + 1)),
        )
    });
    let sum = |part: fn(&Lane<'_>) -> u32| lanes.iter().map(|lane| u64::from(part(lane))).sum::<u64>();
    let (calm, total) = (sum(|lane| lane.calm), sum(|lane| lane.total));
    let counts = Counts {
        cuts: args.cuts,
        restarts: args.broker_restarts,
        outages: args.delete_outages,
    };
    let blows = blows(random, counts, calm, total.max(calm + 1));
    let killed = |place: usize| {
        let (lane, plan) = (&lanes[place], &plans[place]);
        async move {
            let (bridge, ()) = tokio::try_join!(
                end_at(&lane.rig, &lane.ledger, plan, End::Killed, tally),
                fill(lane, lane.calm, lane.total)
            )?;
            finish(lane, bridge, u64::from(lane.total), tally).await
        }
    };
    let (rigs, ledgers) = (
        lanes.each_ref().map(|lane| &lane.rig),
        lanes.each_ref().map(|lane| &*lane.ledger),
    );
    tokio::try_join!(killed(0), killed(1), strike(broker, &rigs, &ledgers, &blows, tally))?;
    Ok(())
}

async fn fill(lane: &Lane<'_>, from: u32, to: u32) -> Result<(), Error> {
    let what = Feed {
        seed: lane.seed,
        from,
        to,
        backlog: BACKLOG[lane.place],
        senders: SENDERS[lane.place],
    };
    feed(&lane.rig.queue, &lane.ledger, what).await
}

/// Waits until everything is stored and the queue is empty, and stops the bridge.
async fn finish(lane: &Lane<'_>, bridge: Bridge, stored: u64, tally: &Tally) -> Result<(), Error> {
    let done = || async {
        let (counts, seen) = (lane.rig.queue.counts().await, lane.ledger.distinct());
        if counts == (0, 0) && seen >= stored {
            Ok(())
        } else {
            Err(format!("{seen} of {stored} stored, {counts:?} in the queue"))
        }
    };
    let done = bridge
        .process
        .ready("an empty queue", Duration::from_secs(600), done)
        .await;
    if let Err(error) = done {
        // What is missing is told by the report; a queue that is not empty is a failure of its own.
        eprintln!("hack/prove: {error}");
        equal("messages in the queue", lane.rig.queue.counts().await, (0, 0))?;
    }
    // It may have begun a moment ago, after a kill near the end, and a process that has just begun knows no signals yet.
    bridge.healthy().await;
    end_one(&lane.rig, &bridge, End::Stopped, tally).await
}

/// Says how far it is, again and again.
async fn progress(lanes: &[Lane<'_>; 2], tally: &Tally) -> ! {
    let (mut pause, mut before) = (tokio::time::interval(Duration::from_secs(5)), 0);
    pause.tick().await;
    loop {
        pause.tick().await;
        let stored = lanes.each_ref().map(|lane| lane.ledger.distinct());
        let sum = stored.iter().sum::<u64>();
        eprintln!(
            "   {} of {} standard, {} of {} FIFO, {} a second; {tally}",
            report::grouped(stored[0]),
            report::grouped(u64::from(lanes[0].total)),
            report::grouped(stored[1]),
            report::grouped(u64::from(lanes[1].total)),
            report::grouped((sum - before) / 5),
        );
        before = sum;
    }
}
