//! What came of a run: a table on standard output, and the same in docs/proof.md when asked for.

use std::fmt::Write as _;
use std::fs;

use penstock_tests::bridge::stall::{LIMIT_MEBIBYTES, MESSAGES};
use penstock_tests::parts::checkout;
use penstock_tests::{Error, rundir};

use crate::BridgeArgs;
use crate::chaos::OUTAGE;
use crate::ledger::{Faults, Outcome};

/// What the part of the run showed that had no faults but stops.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Calm {
    pub(crate) duplicates: u64,
    pub(crate) late: u64,
}

/// One queue.
#[derive(Debug)]
pub(crate) struct Side {
    pub(crate) outcome: Outcome,
    pub(crate) calm: Calm,
    /// The most memory of a bridge of its own while Kafka stalled, in bytes, if that was asked for and this machine can.
    pub(crate) stall: Option<u64>,
    /// Calls that SQS left without an answer for seconds, in the whole run.
    pub(crate) late: u64,
    pub(crate) kills: u64,
    pub(crate) max_in_flight: u64,
}

impl Side {
    fn bound(&self) -> u64 {
        self.kills * self.max_in_flight
    }

    /// A caller that gives a late call up and asks again can be given the same ten messages twice: SQS's own repeats.
    fn holds(&self) -> bool {
        self.outcome.is_sound()
            && self.calm.duplicates <= 10 * self.calm.late
            && self.outcome.duplicates <= self.bound() + 10 * self.late
    }
}

/// A run.
#[derive(Debug)]
pub(crate) struct Proof {
    pub(crate) args: BridgeArgs,
    pub(crate) seed: u64,
    pub(crate) sides: [Side; 2],
    pub(crate) seconds: u64,
    pub(crate) stops: u64,
    pub(crate) broker_kills: u64,
    pub(crate) broker_stops: u64,
    pub(crate) cuts: u64,
    pub(crate) outages: u64,
    /// Calls that met one of them.
    pub(crate) refused: u64,
    pub(crate) scrapes: u64,
}

/// Prints the table, writes it down if that was asked for, and says whether everything held.
pub(crate) fn tell(proof: &Proof) -> Result<bool, Error> {
    let table = table(proof);
    println!("{table}");
    let holds = proof.sides.iter().all(Side::holds);
    for side in &proof.sides {
        complain(&side.outcome);
    }
    if !holds {
        println!(
            "\nNOT PROVED; the logs are in {}",
            rundir::root().join("logs").display()
        );
    }
    if proof.args.write && holds {
        write_down(&table)?;
    }
    Ok(holds)
}

fn complain(outcome: &Outcome) {
    let faults = [
        ("lost", &outcome.lost),
        ("altered", &outcome.altered),
        ("out of order", &outcome.disordered),
        ("deleted too early", &outcome.premature),
    ];
    for (what, Faults { first, .. }) in faults.into_iter().filter(|(_, faults)| faults.count > 0) {
        println!("{what}, the first: {first:?}");
    }
}

fn table(proof: &Proof) -> String {
    let row = |what: &str, value: &dyn Fn(&Side) -> String| {
        format!("| {what} | {} | {} |\n", value(&proof.sides[0]), value(&proof.sides[1]))
    };
    let count = |value: fn(&Side) -> u64| move |side: &Side| grouped(value(side));
    let mut table = String::from("| | standard | FIFO |\n|---|---:|---:|\n");
    table += &row("messages", &count(|side| side.outcome.sent));
    table += &row("lost", &count(|side| side.outcome.lost.count));
    table += &row(
        "deleted before Kafka had stored them",
        &count(|side| side.outcome.premature.count),
    );
    table += &row(
        "altered, or never sent",
        &count(|side| side.outcome.altered.count + side.outcome.strange),
    );
    table += &row("dead letters", &count(|side| side.outcome.dead));
    table += &format!(
        "| first copies out of their group's order | | {} |\n",
        grouped(proof.sides[1].outcome.disordered.count)
    );
    table += &row("SIGKILLs of the bridge", &count(|side| side.kills));
    table += &row("stored twice", &count(|side| side.outcome.duplicates));
    table += &row("at most (SIGKILLs x `--max-in-flight`)", &|side| {
        format!(
            "{} x {} = {}",
            side.kills,
            grouped(side.max_in_flight),
            grouped(side.bound())
        )
    });
    table += &row("stored twice by SIGTERMs", &count(|side| side.calm.duplicates));
    table += &row(
        "calls that ElasticMQ itself left unanswered for over 3 s",
        &count(|side| side.late),
    );
    if proof.args.stall > 0 {
        table += &stall(proof);
    }
    table += &row("handed out by SQS", &count(|side| side.outcome.handouts));
    table += &row("deletes asked for", &count(|side| side.outcome.deletes));
    let _ = write!(
        table,
        "\nSIGTERMs under load: {}, each with exit code 0 and nothing left hidden in the queue. Broker: {} times SIGKILL, {} times SIGTERM, data kept. \
         Connections to it cut: {} times. Deletes refused, whole calls or every second entry: {} times for {} s, {} calls. Scrapes of the metrics: {}, every one of which added up. Wall time: {} min {} s.\n\n    {}\n",
        proof.stops,
        proof.broker_kills,
        proof.broker_stops,
        proof.cuts,
        proof.outages,
        OUTAGE.as_secs(),
        grouped(proof.refused),
        grouped(proof.scrapes),
        proof.seconds / 60,
        proof.seconds % 60,
        command(proof),
    );
    table
}

fn stall(proof: &Proof) -> String {
    let cell = |side: &Side| match side.stall {
        Some(peak) => format!("{} MiB, each stored once", peak >> 20),
        None => "not run: no control group to be had".to_owned(),
    };
    format!(
        "| most memory of a bridge with {LIMIT_MEBIBYTES} MiB while Kafka stalled for {} s and {MESSAGES} messages of 1 MiB waited | {} | {} |\n",
        proof.args.stall,
        cell(&proof.sides[0]),
        cell(&proof.sides[1])
    )
}

/// Returns the command that makes the same run.
fn command(proof: &Proof) -> String {
    let args = &proof.args;
    format!(
        "hack/prove bridge --messages {} --fifo-messages {} --kills {} --stops {} --broker-restarts {} --cuts {} \
         --delete-outages {} --stall {} --seed {}",
        args.messages,
        args.fifo_messages,
        args.kills,
        args.stops,
        args.broker_restarts,
        args.cuts,
        args.delete_outages,
        args.stall,
        proof.seed
    )
}

fn write_down(table: &str) -> Result<(), Error> {
    let path = checkout().join("docs/proof.md");
    let text = format!(
        "# What the bridge's promises were held to\n\n\
         One run of the real program between ElasticMQ, behind a proxy that writes down every delete, and a real broker. A consumer of its own reads the \
         topics; every message is known by its number, and its body is compared byte for byte. What is done to the bridge, the broker and the connections \
         follows from the seed. `hack/prove bridge --write` wrote this page.\n\n{table}"
    );
    let wrong = |source| Error::Io {
        step: format!("write {}", path.display()),
        source,
    };
    fs::create_dir_all(checkout().join("docs")).map_err(wrong)?;
    fs::write(&path, text).map_err(|source| Error::Io {
        step: format!("write {}", path.display()),
        source,
    })
}

/// Returns a number with a comma after every three digits.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(duplicates: u64, by_stops: u64) -> Side {
        Side {
            outcome: Outcome {
                duplicates,
                ..Outcome::default()
            },
            calm: Calm {
                duplicates: by_stops,
                late: 0,
            },
            stall: None,
            late: 0,
            kills: 2,
            max_in_flight: 10,
        }
    }

    #[test]
    fn a_side_holds_within_its_bound_and_without_duplicates_by_stops() {
        assert!(side(20, 0).holds());
        assert!(!side(21, 0).holds());
        assert!(!side(1, 1).holds());
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!(
            [1, 999, 1_000, 1_234_567].map(grouped),
            ["1", "999", "1,000", "1,234,567"]
        );
    }
}
