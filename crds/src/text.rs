//! The text of a file, YAML or JSON, to its documents, each as a tree that remembers where its fields stand.
//!
//! One reader for everybody who is given files, so that the same text means the same to all of them. What is refused is told
//! in words of ours, and never with the text around it: a secret may stand there.

mod json;
mod tree;
mod yaml;

use std::fmt;
use std::path::Path;

pub use self::tree::*;

/// How a text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// JSON, and nothing else.
    Json,
    /// YAML, in which most of JSON can be written too.
    Yaml,
}

impl Format {
    /// Returns what a file's name says: JSON if it ends with `.json`.
    pub fn of(file: &Path) -> Self {
        match file.extension() {
            Some(ending) if ending.eq_ignore_ascii_case("json") => Self::Json,
            _ => Self::Yaml,
        }
    }

    /// Reads every document of a text.
    pub fn read(self, text: &str) -> Result<Vec<Node>, Unreadable> {
        match self {
            Self::Json => json::read(text),
            Self::Yaml => yaml::read(text),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Json => "JSON",
            Self::Yaml => "YAML",
        })
    }
}
