//! What serde says of a tree, in words for the person who wrote it. Serde's own messages quote the value they refuse,
//! which may be a secret in the wrong place; so only the part that says what was expected is used.

use serde_json::Value;

use super::shape::{kind_of, plain};
use crate::Fault;
use crate::fault::MISSING;
use crate::secrecy;

/// A message of serde, taken apart.
#[derive(Debug, PartialEq)]
pub(super) enum Complaint {
    Unknown {
        field: String,
        known: Vec<String>,
    },
    Missing {
        field: String,
    },
    NoneOf {
        known: Vec<String>,
    },
    WrongType {
        expected: String,
    },
    /// It is not made like one of the kinds, or words, that the field takes.
    NoKind {
        /// Whether what the path ends with is such a word, and no field.
        is_word: bool,
    },
    /// It is none, or several, of these kinds.
    NotOne {
        known: Vec<String>,
    },
    /// It is no whole number, or none that the field's type can hold.
    NotWhole {
        most: u64,
    },
    Custom {
        message: String,
    },
}

impl Complaint {
    pub(super) fn new(message: &str) -> Self {
        let expected = message.split_once(", expected ").map_or("", |(_, expected)| expected);
        if message.starts_with("unknown field `") {
            Self::Unknown {
                field: first_quoted(message),
                known: quoted(expected),
            }
        } else if message.starts_with("missing field `") {
            Self::Missing {
                field: first_quoted(message),
            }
        } else if message.starts_with("unknown variant `") {
            Self::NoneOf {
                known: quoted(expected),
            }
        } else if message.starts_with("invalid ") && !expected.is_empty() {
            match expected {
                "u32" => Self::NotWhole { most: u32::MAX.into() },
                "u64" => Self::NotWhole { most: u64::MAX },
                "string or map" | "struct variant" | "map with a single key" => Self::NoKind { is_word: false },
                "unit" | "unit variant" => Self::NoKind { is_word: true },
                _ => Self::WrongType {
                    expected: in_words(expected),
                },
            }
        } else {
            Self::Custom {
                message: message.to_owned(),
            }
        }
    }

    /// Whether it may only be there because something below it was taken out before.
    pub(super) fn may_follow(&self) -> bool {
        matches!(
            self,
            Self::Custom { .. }
                | Self::WrongType { .. }
                | Self::NoKind { .. }
                | Self::NotOne { .. }
                | Self::NotWhole { .. }
        )
    }

    pub(super) fn into_fault(self, path: &str, found: Option<&Value>) -> Fault {
        match self {
            Self::Unknown { field, known } => unknown_field(path, &field, &known),
            Self::Missing { field } => Fault::without_value(path, MISSING, format!("add `{field}`")),
            Self::NoneOf { known } => {
                let remedy = format!("use {}", alternatives(&known));
                refuse(path, found, "is not a value that this field takes".to_owned(), remedy)
            }
            Self::NotWhole { most } => not_whole(path, found, most),
            Self::NoKind { .. } => {
                let remedy = "write its kind as an object, such as `plaintext: {}`".to_owned();
                refuse(path, found, "is not a value that this field takes".to_owned(), remedy)
            }
            Self::NotOne { known } => {
                let remedy = format!("write exactly {}", alternatives(&known));
                refuse(path, found, "is not a value that this field takes".to_owned(), remedy)
            }
            Self::WrongType { expected } => {
                let why = found.map_or_else(
                    || "has the wrong type".to_owned(),
                    |found| format!("is {}", kind_of(found)),
                );
                let remedy = match found {
                    Some(Value::Number(_) | Value::Bool(_)) if expected == A_TEXT => {
                        "put it in quotation marks".to_owned()
                    }
                    _ => format!("write {expected}"),
                };
                refuse(path, found, format!("{why}, where {expected} is expected"), remedy)
            }
            Self::Custom { message } => {
                let (why, remedy) = split_custom(&message, path);
                refuse(path, found, why, remedy)
            }
        }
    }
}

/// Refuses what is no whole number, with advice for what was written in its place. Which numbers make sense is for [`crate::resolve`].
fn not_whole(path: &str, found: Option<&Value>, most: u64) -> Fault {
    let remedy = match found {
        Some(Value::String(text)) if text.parse::<u64>().is_ok() => "remove the quotation marks around it".to_owned(),
        Some(Value::Number(number)) => match number.as_f64() {
            Some(number) if number < 0.0 => "write 0 or more".to_owned(),
            Some(number) if number.fract() != 0.0 => format!("write it without a fraction, such as {}", number.ceil()),
            Some(number) if number <= most as f64 => format!("write `{number}`"),
            _ => "write a smaller number".to_owned(),
        },
        _ => "write it in digits alone, such as 10".to_owned(),
    };
    let kind = found.map_or("something else", kind_of);
    refuse(
        path,
        found,
        format!("is {kind}, where a whole number is expected"),
        remedy,
    )
}

/// Refuses a field that does not exist. Its value is not shown: it may be a password under a name of the writer's own.
pub(super) fn unknown_field<S: AsRef<str>>(path: &str, field: &str, known: &[S]) -> Fault {
    let known: Vec<String> = known.iter().map(|name| name.as_ref().to_owned()).collect();
    let remedy = match nearest(field, &known) {
        Some(name) => format!("did you mean `{name}`?"),
        None if known.is_empty() => "remove it".to_owned(),
        None => format!("use {}", alternatives(&known)),
    };
    Fault::without_value(path, "is not a field that exists here", remedy)
}

/// Returns the name that was probably meant by another, if one is near enough.
pub(super) fn nearest<'a, S: AsRef<str>>(name: &str, known: &'a [S]) -> Option<&'a str> {
    let known = known.iter().map(AsRef::as_ref);
    let (distance, nearest) = known.map(|known| (distance(name, known), known)).min()?;
    (distance <= 2 || distance * 3 <= name.len()).then_some(nearest)
}

fn refuse(path: &str, found: Option<&Value>, why: String, remedy: String) -> Fault {
    match found {
        Some(value) if !(value.is_object() || value.is_array() || secrecy::is_private_path(path)) => {
            Fault::with_value(path, plain(value), why, remedy)
        }
        _ => Fault::without_value(path, why, remedy),
    }
}

/// Returns the reason and the remedy in a message of ours, which begins with the value and says what to do behind the
/// last `; ` or `: `.
fn split_custom(message: &str, path: &str) -> (String, String) {
    let reason = message
        .strip_prefix('`')
        .and_then(|rest| rest.split_once("` "))
        .map_or(message, |(_, reason)| reason);
    if let Some((why, remedy)) = reason
        .rsplit_once("; ")
        .or_else(|| reason.rsplit_once(": "))
        .filter(|_| reason != message)
    {
        return (why.to_owned(), remedy.to_owned());
    }
    if path.ends_with("At") {
        return (
            "is not a time".to_owned(),
            "write it like `2026-01-31T12:00:00Z`".to_owned(),
        );
    }
    let (why, remedy) = reason
        .split_once("; ")
        .unwrap_or((reason, "correct it; `penstock schema` prints what each field takes"));
    (why.to_owned(), remedy.to_owned())
}

/// How a text is called that is expected.
const A_TEXT: &str = "a text";

fn in_words(expected: &str) -> String {
    let words = match expected {
        "a string" => A_TEXT,
        "a boolean" => "`true` or `false`",
        "a sequence" => "a list",
        "a map" => "an object",
        "struct SecretReference" => "a reference such as `{secret: kafka, key: password}`",
        other if other.starts_with("struct ") => "an object",
        other => other,
    };
    words.to_owned()
}

fn first_quoted(message: &str) -> String {
    message.split('`').nth(1).unwrap_or_default().to_owned()
}

fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn alternatives(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.as_slice() {
        [only] => only.clone(),
        [first, second] => format!("{first} or {second}"),
        many => format!("one of {}", many.join(", ")),
    }
}

/// Counts the insertions, deletions and replacements between two names, whatever their case.
fn distance(left: &str, right: &str) -> usize {
    let (left, right) = (left.to_lowercase(), right.to_lowercase());
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, character) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, other) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(character != *other);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}
