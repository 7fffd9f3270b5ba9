//! Lengths of time as people write them: `30s`, `5m`, `250ms`, `1h 30m`.

use std::fmt;
use std::sync::LazyLock;

use regex::Regex;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A length of time, written as `30s`; whole milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(std::time::Duration);

impl Duration {
    /// Returns `seconds` seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(std::time::Duration::from_secs(seconds))
    }

    /// Returns `milliseconds` milliseconds.
    pub const fn from_millis(milliseconds: u64) -> Self {
        Self(std::time::Duration::from_millis(milliseconds))
    }

    /// Returns the whole seconds in it.
    pub const fn as_secs(self) -> u64 {
        self.0.as_secs()
    }

    /// Returns the seconds in it, with their fraction.
    pub fn as_secs_f64(self) -> f64 {
        self.0.as_secs_f64()
    }

    /// Returns the milliseconds in it.
    pub fn as_millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }

    /// Returns it as the standard library's type.
    pub const fn to_std(self) -> std::time::Duration {
        self.0
    }

    /// Whether it is a whole number of seconds, as most AWS fields ask.
    pub const fn is_whole_seconds(self) -> bool {
        self.0.subsec_nanos() == 0
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", humantime::format_duration(self.0))
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(AsText)
    }
}

/// A length of time as the schema says it too: whole numbers, each with its unit.
const PATTERN: &str = r"^\s*([0-9]+\s*(ms|msec|millis|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|wks?|weeks?|M|months?|y|yrs?|years?)\s*)+$";

static FORM: LazyLock<Regex> = LazyLock::new(|| Regex::new(PATTERN).expect("the pattern is written here and compiles"));

struct AsText;

impl de::Visitor<'_> for AsText {
    type Value = Duration;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a length of time with its unit, such as `30s`, `5m` or `250ms`")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
        let remedy = "write it like `30s`, `5m` or `250ms`";
        // The parser takes more: a bare 0, fractions, and units that nothing here is measured in.
        let length = humantime::parse_duration(text)
            .ok()
            .filter(|_| FORM.is_match(text))
            .ok_or_else(|| E::custom(format_args!("`{text}` is not a length of time; {remedy}")))?;
        if !length.subsec_nanos().is_multiple_of(1_000_000) {
            return Err(E::custom(format_args!(
                "`{text}` is finer than a millisecond; {remedy}"
            )));
        }
        Ok(Duration(length))
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A length of time with its unit, such as `250ms`, `30s`, `5m` or `1h 30m`.",
            "pattern": PATTERN,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<Duration, serde_json::Error> {
        serde_json::from_value(text.into())
    }

    #[test]
    fn a_length_is_read_as_people_write_it() {
        assert_eq!(read("30s").unwrap(), Duration::from_secs(30));
        assert_eq!(read("1h 30m").unwrap(), Duration::from_secs(5400));
        assert_eq!(read("5 minutes").unwrap(), Duration::from_secs(300));
        assert_eq!(read("250ms").unwrap(), Duration::from_millis(250));
        assert_eq!(read("0s").unwrap(), Duration::from_secs(0));
        assert_eq!(Duration::from_secs(0).to_string(), "0s");
    }

    #[test]
    fn a_number_without_its_unit_or_finer_than_a_millisecond_is_refused() {
        for text in ["", "0", "30", "-1s", "s", "1us", "1 fortnight", "99999999999999999999s"] {
            assert!(read(text).is_err(), "{text}");
        }
        assert!(
            serde_json::from_value::<Duration>(30.into())
                .unwrap_err()
                .to_string()
                .contains("with its unit")
        );
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(milliseconds in 0_u64..=1_000_000_000_000_000) {
            let length = Duration::from_millis(milliseconds);
            let text = serde_json::to_value(length).unwrap();
            prop_assert_eq!(serde_json::from_value::<Duration>(text).unwrap(), length);
        }
    }
}
