//! What a check is: a behaviour with a name, the page that promises it, and how to ask an AWS for it.

use std::fmt::Debug;

use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use futures::future::BoxFuture;

use crate::world::World;

/// One behaviour of AWS that Penstock relies on.
#[derive(Clone, Copy)]
pub(crate) struct Check {
    /// The function's name, which the table of differences uses.
    pub(crate) name: &'static str,
    /// The AWS documentation that promises the behaviour.
    pub(crate) source: &'static str,
    /// What it takes to ask AWS itself.
    pub(crate) aws: Aws,
    /// Asks, and says what was not as promised.
    pub(crate) run: for<'a> fn(&'a World) -> BoxFuture<'a, Outcome>,
}

/// What it takes to run a check against AWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aws {
    /// Credentials and a region. It costs a few API calls.
    Free,
    /// A subnet too, since a service needs a real one. No task is ever started.
    Subnet,
    /// It is not asked there, for this reason.
    Never(&'static str),
}

/// Nothing, or in what the answer departs from the documentation.
pub(crate) type Outcome = Result<(), Failure>;

/// In what an answer departs from the documentation, or that there was none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure(pub(crate) String);

/// Makes a [`Check`] of an `async fn(&World) -> Outcome`.
macro_rules! check {
    ($function:ident, $aws:expr, $source:literal) => {
        $crate::check::Check {
            name: stringify!($function),
            source: $source,
            aws: $aws,
            run: |world| Box::pin($function(world)),
        }
    };
}
pub(crate) use check;

/// Holds that two values are equal.
pub(crate) fn equal<T: PartialEq + Debug>(what: &str, seen: T, promised: T) -> Outcome {
    if seen == promised {
        Ok(())
    } else {
        Err(Failure(format!("{what} is {seen:?} and should be {promised:?}")))
    }
}

/// Holds that something is so.
pub(crate) fn holds(what: &str, is_so: bool) -> Outcome {
    if is_so {
        Ok(())
    } else {
        Err(Failure(format!("it does not hold that {what}")))
    }
}

/// Returns what is there.
pub(crate) fn there<T>(what: &str, value: Option<T>) -> Result<T, Failure> {
    value.ok_or_else(|| Failure(format!("{what} is missing")))
}

/// Returns the answer of a call that should succeed.
pub(crate) fn done<T, E: std::error::Error>(what: &str, answer: Result<T, E>) -> Result<T, Failure> {
    answer.map_err(|error| Failure(format!("could not {what}: {}", short(&penstock_kafka::chain(&error)))))
}

/// Cuts what nobody reads: an answer of AWS may be pages long.
fn short(text: &str) -> String {
    const LONGEST: usize = 300;
    let mut cut: String = text.chars().take(LONGEST).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    cut
}

/// Holds that a call was refused with one of `codes`, and that the message has `words` in it.
pub(crate) fn refused<T: Debug, E: ProvideErrorMetadata + Debug>(
    what: &str,
    answer: Result<T, E>,
    codes: &[&str],
    words: &str,
) -> Outcome {
    let error = match answer {
        Ok(answer) => {
            return Err(Failure(format!(
                "{what} was not refused: {}",
                short(&format!("{answer:?}"))
            )));
        }
        Err(error) => error,
    };
    let (code, message) = (error.code().unwrap_or_default(), error.message().unwrap_or_default());
    if codes.contains(&code) && message.contains(words) {
        return Ok(());
    }
    let seen = if code.is_empty() {
        short(&format!("{error:?}"))
    } else {
        format!("{code}: {message}")
    };
    Err(Failure(format!(
        "{what} was refused with {seen}; promised is one of {codes:?} with {words:?}"
    )))
}
