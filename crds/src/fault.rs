//! What is wrong with a document, in words that say where, why, and what to do.

use std::fmt::{self, Write};

use serde::Serialize;

use crate::secrecy;

/// How many characters of a refused value a fault shows.
const SHOWN: usize = 80;

/// One thing that is wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fault {
    /// Where, such as `spec.task.memory`.
    pub path: String,
    /// The value found there, shortened; nothing for a missing field, never a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Why it is refused: what follows when one reads "it …".
    pub why: String,
    /// What to do about it.
    pub remedy: String,
}

impl Fault {
    /// Refuses the value at `path` and shows it, shortened and on one line, unless it is plainly a secret.
    pub fn with_value(
        path: impl Into<String>,
        value: impl fmt::Display,
        why: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let text = value.to_string();
        let value = (!secrecy::is_secret_value(&text)).then(|| shown(&text));
        Self {
            path: path.into(),
            value,
            why: why.into(),
            remedy: remedy.into(),
        }
    }

    /// Refuses what is at `path`, or is not there, without showing any value.
    pub fn without_value(path: impl Into<String>, why: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            value: None,
            why: why.into(),
            remedy: remedy.into(),
        }
    }

    /// Whether the fault is that something is not there, which a profile may well leave to its connectors.
    pub fn is_absence(&self) -> bool {
        self.why.starts_with(MISSING)
    }
}

/// How the reason of every fault begins that is about something absent.
pub(crate) const MISSING: &str = "is missing";

/// `spec.task.memory: 500 is no size that Fargate has for 256 CPU units; use one of 512, 1024, 2048`, on one line.
impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = match self.value.as_deref() {
            Some("") => "the empty text ".to_owned(),
            Some(value) => format!("{value} "),
            None => String::new(),
        };
        let line = format!("{}: {value}{}; {}", self.path, self.why, self.remedy);
        // Names in a path are the writer's own, and a line break in one would begin what looks like another fault.
        line.chars()
            .map(visible)
            .try_for_each(|character| out.write_char(character))
    }
}

/// Returns `text` on one line, with what control characters it has made visible, and cut where it gets long.
fn shown(text: &str) -> String {
    let mut line: String = text.chars().take(SHOWN).map(visible).collect();
    if text.chars().nth(SHOWN).is_some() {
        line.push('…');
    }
    line
}

fn visible(character: char) -> char {
    if character.is_control() { '\u{fffd}' } else { character }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_reads_as_one_line() {
        let fault = Fault::with_value("spec.task.memory", 500, "is no size of Fargate", "use 512");
        assert_eq!(
            fault.to_string(),
            "spec.task.memory: 500 is no size of Fargate; use 512"
        );
        let fault = Fault::without_value("spec.sink", "is missing", "name a topic");
        assert_eq!(fault.to_string(), "spec.sink: is missing; name a topic");
    }

    #[test]
    fn a_long_value_of_many_lines_is_shown_short_and_on_one_line() {
        let fault = Fault::with_value("spec", format!("a\nb{}", "x".repeat(200)), "is long", "cut it");
        let value = fault.value.clone().expect("the value is shown");
        assert!(!value.contains('\n') && value.ends_with('…'));
        assert_eq!(value.chars().count(), SHOWN + 1);
    }

    #[test]
    fn what_a_writer_named_cannot_begin_a_line_of_its_own() {
        let fault = Fault::without_value("metadata.labels.a\nx.yaml:1:1: faked", "has\ra name", "choose\nanother");
        assert!(!fault.to_string().contains(char::is_control), "{fault}");
    }
}
