//! The faults of one document as they are found, and the checks that many fields share.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::sync::LazyLock;

use regex::Regex;

use crate::fault::MISSING;
use crate::{Duration, Fault};

/// The faults found so far.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    /// Returns `value` when nothing was wrong.
    pub(super) fn or<T>(self, value: T) -> Result<T, Vec<Fault>> {
        if self.0.is_empty() { Ok(value) } else { Err(self.0) }
    }

    pub(super) fn refuse(
        &mut self,
        path: &str,
        value: impl Display,
        why: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.0.push(Fault::with_value(path, value, why, remedy));
    }

    /// Refuses a value that is not shown, because it is secret, long, or not one value.
    pub(super) fn hide(&mut self, path: &str, why: impl Into<String>, remedy: impl Into<String>) {
        self.0.push(Fault::without_value(path, why, remedy));
    }

    pub(super) fn missing(&mut self, path: &str, remedy: impl Into<String>) {
        self.hide(path, MISSING, remedy);
    }

    /// Reports that something is absent which another field needs.
    pub(super) fn missing_for(&mut self, path: &str, reason: impl Display, remedy: impl Into<String>) {
        self.hide(path, format!("{MISSING}, {reason}"), remedy);
    }

    /// Returns the text at `path`, which must be there and not be empty.
    pub(super) fn required(&mut self, path: &str, value: Option<&str>, remedy: &str) -> Option<String> {
        match value {
            None => self.missing(path, remedy),
            Some(text) if text.trim().is_empty() => self.refuse(path, "", "says nothing", remedy),
            Some(text) => return Some(text.to_owned()),
        }
        None
    }

    /// Returns the number at `path` or its default, and refuses one out of `range`.
    pub(super) fn within<T>(
        &mut self,
        path: &str,
        value: Option<T>,
        default: T,
        range: RangeInclusive<T>,
        why: &str,
    ) -> T
    where
        T: PartialOrd + Display + Copy,
    {
        let number = value.unwrap_or(default);
        if !range.contains(&number) {
            self.refuse(path, number, why, format!("use {} to {}", range.start(), range.end()));
        }
        number
    }

    /// As [`Self::within`], for lengths of time.
    pub(super) fn lasting(
        &mut self,
        path: &str,
        value: Option<Duration>,
        default: Duration,
        range: RangeInclusive<Duration>,
        why: &str,
    ) -> Duration {
        let length = value.unwrap_or(default);
        if !range.contains(&length) {
            self.refuse(path, length, why, format!("use {} to {}", range.start(), range.end()));
        }
        length
    }

    /// As [`Self::lasting`], for what AWS counts in whole seconds.
    pub(super) fn whole_seconds(
        &mut self,
        path: &str,
        value: Option<Duration>,
        default: Duration,
        range: RangeInclusive<Duration>,
        why: &str,
    ) -> Duration {
        let length = self.lasting(path, value, default, range.clone(), why);
        if range.contains(&length) && !length.is_whole_seconds() {
            self.refuse(
                path,
                length,
                "is no whole number of seconds, which is what AWS takes",
                format!("use `{}s`", length.as_secs().max(1)),
            );
        }
        length
    }

    pub(super) fn check_region(&mut self, path: &str, region: &str) {
        if !is_region(region) {
            self.refuse(
                path,
                region,
                "is not an AWS region",
                "write it as AWS does, such as `eu-west-1`",
            );
        }
    }
}

/// Whether a text is made like a region's name.
pub(super) fn is_region(text: &str) -> bool {
    REGION.is_match(text)
}

static REGION: LazyLock<Regex> = LazyLock::new(|| pattern(r"^[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}$"));

/// Compiles a pattern of ours.
pub(super) fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("the pattern is written here and compiles")
}
