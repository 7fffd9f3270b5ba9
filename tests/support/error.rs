//! What can go wrong with the equipment itself, told so that a failed suite needs no second run to be understood.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

use aws_smithy_types::error::display::DisplayErrorContext;
use rdkafka::error::KafkaError;

/// A failure of the equipment, or of waiting for what a test expects. Its `Debug` prints the whole chain, since that is what a failed test shows.
#[derive(thiserror::Error)]
pub enum Error {
    /// A program could not be started at all.
    #[error("could not start {program}")]
    Start {
        /// Its name.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// A program ended while somebody waited for it to be ready.
    #[error("{program} ended with {status} before it was ready; from its log {}:\n{excerpt}", log.display())]
    Ended {
        /// Its name.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// Where it wrote.
        log: PathBuf,
        /// Its complaints and last lines.
        excerpt: String,
    },
    /// A condition did not come true in time.
    #[error("waited {seconds} s for {what}; last seen: {seen}")]
    NotInTime {
        /// What was awaited.
        what: String,
        /// For how long.
        seconds: u64,
        /// What the last look found.
        seen: String,
    },
    /// A call on files or processes failed.
    #[error("could not {step}")]
    Io {
        /// What was tried.
        step: String,
        /// Why it failed.
        source: io::Error,
    },
    /// A signal could not be sent.
    #[error("could not send {signal} to {program}")]
    Signal {
        /// Such as `SIGTERM`.
        signal: &'static str,
        /// The receiver's name.
        program: String,
        /// Why it failed.
        source: nix::errno::Errno,
    },
    /// A call on Kafka failed.
    #[error("could not {step}")]
    Kafka {
        /// What was tried.
        step: String,
        /// Why it failed.
        source: KafkaError,
    },
    /// A helper program of the equipment failed.
    #[error("{program} failed with {status}: {output}")]
    Helper {
        /// Its name.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// What it said.
        output: String,
    },
    /// One of our binaries has not been built.
    #[error("{} does not exist. Build it: cargo build -p {name}", path.display())]
    MissingBinary {
        /// The binary.
        name: String,
        /// Where it should be.
        path: PathBuf,
    },
    /// An AWS endpoint that is not on this machine.
    #[error(
        "{endpoint} is not http on a loopback address. Suites never call another machine: start moto, ElasticMQ or localcloud here"
    )]
    NotLoopback {
        /// The address that was refused.
        endpoint: String,
    },
    /// A call on AWS failed, or answered without what it has to hold.
    #[error("could not {step}: {reason}")]
    Aws {
        /// What was tried.
        step: String,
        /// Why it failed.
        reason: String,
    },
    /// Something is not as it should be.
    #[error("{what} is {seen}, not {wanted}")]
    Unequal {
        /// What was looked at.
        what: String,
        /// What it is.
        seen: String,
        /// What it should be.
        wanted: String,
    },
    /// An HTTP call failed before it was answered.
    #[error("could not get {url}: {reason}")]
    Http {
        /// The address.
        url: String,
        /// Why.
        reason: String,
    },
}

impl fmt::Debug for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&penstock_kafka::chain(self))
    }
}

/// Names the step that an I/O call was part of.
pub(crate) fn io(step: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
    let step = step.into();
    |source| Error::Io { step, source }
}

/// Names the step that a Kafka call was part of.
pub(crate) fn kafka(step: impl Into<String>) -> impl FnOnce(KafkaError) -> Error {
    let step = step.into();
    |source| Error::Kafka { step, source }
}

/// Names the step that a call on AWS was part of.
pub(crate) fn aws<E: std::error::Error>(step: impl Into<String>) -> impl FnOnce(E) -> Error {
    let step = step.into();
    move |source| Error::Aws {
        step,
        reason: DisplayErrorContext(source).to_string(),
    }
}

/// Says that what a call answered lacks something.
pub(crate) fn lacking(step: impl Into<String>, what: &str) -> Error {
    Error::Aws {
        step: step.into(),
        reason: format!("the answer lacks {what}"),
    }
}

/// Passes when both are equal.
pub fn equal<T: fmt::Debug + PartialEq>(what: &str, seen: T, wanted: T) -> Result<(), Error> {
    if seen == wanted {
        Ok(())
    } else {
        Err(Error::Unequal {
            what: what.to_owned(),
            seen: format!("{seen:?}"),
            wanted: format!("{wanted:?}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_debug_form_names_the_cause_too() {
        let error = io("read the log")(io::Error::other("disk on fire"));
        assert_eq!(format!("{error:?}"), "could not read the log: disk on fire");
    }
}
