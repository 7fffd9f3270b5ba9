//! A record as it was read, and as it is to be written.

use rdkafka::message::{Header, Headers, Message, OwnedHeaders};

/// A record as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its place in the partition.
    pub offset: i64,
    /// Its key, if it has one.
    pub key: Option<Vec<u8>>,
    /// Its value; a tombstone has none.
    pub value: Option<Vec<u8>>,
    /// Its headers in order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// Its time in milliseconds since 1970, as its writer or the broker set it.
    pub timestamp: Option<i64>,
}

/// A record to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingRecord {
    /// The topic to write to.
    pub topic: String,
    /// The partition to write to; chosen by the key when missing.
    pub partition: Option<i32>,
    /// Its key.
    pub key: String,
    /// Its value; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// Its headers in order.
    pub headers: Vec<(String, Vec<u8>)>,
}

impl Record {
    /// Returns the last header of that name as text, if it is one.
    pub fn header_text(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().rev().find(|(key, _)| key == name)?;
        std::str::from_utf8(value.as_deref()?).ok()
    }

    pub(crate) fn from_message(message: &impl Message) -> Self {
        let headers = message.headers().map(|headers| {
            headers
                .iter()
                .map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec)))
                .collect()
        });
        Self {
            offset: message.offset(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers: headers.unwrap_or_default(),
            timestamp: message.timestamp().to_millis(),
        }
    }
}

impl OutgoingRecord {
    /// Returns a record without headers.
    pub fn new(topic: impl Into<String>, partition: i32, key: impl Into<String>, value: Option<Vec<u8>>) -> Self {
        Self {
            topic: topic.into(),
            partition: Some(partition),
            key: key.into(),
            value,
            headers: Vec::new(),
        }
    }

    pub(crate) fn native_headers(&self) -> Option<OwnedHeaders> {
        if self.headers.is_empty() {
            return None;
        }
        let begin = OwnedHeaders::new_with_capacity(self.headers.len());
        Some(self.headers.iter().fold(begin, |headers, (key, value)| {
            headers.insert(Header {
                key,
                value: Some(value),
            })
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_header_of_a_name_counts() {
        let header = |value: &[u8]| ("actor".to_owned(), Some(value.to_vec()));
        let record = Record {
            offset: 0,
            key: None,
            value: None,
            headers: vec![header(b"first"), header(b"second"), ("other".to_owned(), None)],
            timestamp: None,
        };
        assert_eq!(record.header_text("actor"), Some("second"));
        assert_eq!(record.header_text("other"), None);
        assert_eq!(record.header_text("missing"), None);
    }
}
