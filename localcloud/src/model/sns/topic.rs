//! A topic: its settings, its tags, and what it was sent lately.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{Dedup, Publication, Sent, invalid};
use crate::model::{Answer, Fault, Millis, Scope, input};

/// The most tags of a topic.
const MOST_TAGS: usize = 50;

/// A topic.
#[derive(Debug)]
pub(super) struct Topic {
    pub(super) fifo: bool,
    arn: String,
    owner: String,
    attributes: BTreeMap<String, String>,
    tags: BTreeMap<String, String>,
    dedup: Dedup,
    sequence: u64,
}

impl Topic {
    /// Reads a CreateTopic.
    pub(super) fn new(name: &str, arn: &str, scope: &Scope, input: &Value) -> Result<Self, Fault> {
        let given = input::map(input, "Attributes");
        let fifo = given
            .and_then(|given| given.get("FifoTopic"))
            .is_some_and(|value| value == "true");
        check_name(name, fifo)?;
        let mut topic = Self {
            fifo,
            arn: arn.to_owned(),
            owner: scope.account.clone(),
            attributes: BTreeMap::new(),
            tags: BTreeMap::new(),
            dedup: Dedup::default(),
            sequence: 0,
        };
        for (name, value) in given.into_iter().flatten().filter(|(name, _)| *name != "FifoTopic") {
            topic.set(name, value.as_str().unwrap_or_default())?;
        }
        topic.tag(input)?;
        Ok(topic)
    }

    /// Refuses to make a topic anew with other settings or tags.
    pub(super) fn check_same(&self, asked: &Self) -> Result<(), Fault> {
        if asked
            .attributes
            .iter()
            .any(|(name, value)| self.attributes.get(name) != Some(value))
        {
            return Err(invalid(
                "Attributes Reason: Topic already exists with different attributes",
            ));
        }
        if asked.tags.iter().any(|(key, value)| self.tags.get(key) != Some(value)) {
            return Err(invalid("Tags Reason: Topic already exists with different tags"));
        }
        Ok(())
    }

    /// Sets one of the attributes that have a meaning here.
    pub(super) fn set(&mut self, name: &str, value: &str) -> Result<(), Fault> {
        match name {
            "DisplayName" if value.chars().count() <= 100 => {}
            "ContentBasedDeduplication" if self.fifo && matches!(value, "true" | "false") => {}
            _ => {
                return Err(invalid(&format!(
                    "AttributeName: localcloud does not model {name} = {value:?} here"
                )));
            }
        }
        self.attributes.insert(name.to_owned(), value.to_owned());
        Ok(())
    }

    /// Returns what GetTopicAttributes shows.
    pub(super) fn printed(&self, subscribed: usize) -> Map<String, Value> {
        let mut printed = Map::new();
        printed.insert("TopicArn".to_owned(), json!(self.arn));
        printed.insert("Owner".to_owned(), json!(self.owner));
        printed.insert("DisplayName".to_owned(), json!(""));
        printed.insert("SubscriptionsConfirmed".to_owned(), json!(subscribed.to_string()));
        printed.insert("SubscriptionsPending".to_owned(), json!("0"));
        printed.insert("SubscriptionsDeleted".to_owned(), json!("0"));
        if self.fifo {
            printed.insert("FifoTopic".to_owned(), json!("true"));
            printed.insert("ContentBasedDeduplication".to_owned(), json!("false"));
        }
        printed.extend(self.attributes.iter().map(|(name, value)| (name.clone(), json!(value))));
        printed
    }

    /// Adds tags.
    pub(super) fn tag(&mut self, input: &Value) -> Answer {
        let mut tags = self.tags.clone();
        for tag in input::list(input, "Tags") {
            tags.insert(
                input::required(tag, "Key").to_owned(),
                input::required(tag, "Value").to_owned(),
            );
        }
        if tags.len() > MOST_TAGS {
            return Err(Fault::client(
                "TagLimitExceededException",
                "Could not complete request: tag quota of per resource exceeded",
            ));
        }
        self.tags = tags;
        Ok(json!({}))
    }

    /// Returns the tags as ListTagsForResource shows them.
    pub(super) fn printed_tags(&self) -> Vec<Value> {
        self.tags
            .iter()
            .map(|(key, value)| json!({"Key": key, "Value": value}))
            .collect()
    }

    /// Takes a publication in under `id`; of a repeat, returns what the first was given.
    pub(super) fn accept(&mut self, publication: &Publication, id: String, now: Millis) -> Result<(Sent, bool), Fault> {
        let Some(dedup_id) = self.dedup_id(publication)? else {
            return Ok((
                Sent {
                    message_id: id,
                    sequence_number: String::new(),
                },
                false,
            ));
        };
        if let Some(sent) = self.dedup.find(None, &dedup_id, now) {
            return Ok((sent.clone(), true));
        }
        self.sequence += 1;
        let sent = Sent {
            message_id: id,
            sequence_number: format!("{:020}", 10_000_000_000_000_000_000 + self.sequence * 1000),
        };
        self.dedup.remember(None, &dedup_id, sent.clone(), now);
        Ok((sent, false))
    }

    /// Returns what repeats of a publication are known by; only FIFO topics look for them.
    pub(super) fn dedup_id(&self, publication: &Publication) -> Result<Option<String>, Fault> {
        if !self.fifo {
            return match publication.dedup_id {
                None => Ok(None),
                Some(_) => Err(invalid(
                    "MessageDeduplicationId Reason: The request includes MessageDeduplicationId parameter that is not valid for this topic type",
                )),
            };
        }
        if publication.group_id.is_none() {
            return Err(invalid("The MessageGroupId parameter is required for FIFO topics"));
        }
        let content_based = self
            .attributes
            .get("ContentBasedDeduplication")
            .is_some_and(|value| value == "true");
        match &publication.dedup_id {
            Some(id) => Ok(Some(id.clone())),
            None if content_based => Ok(Some(digest(&publication.message))),
            None => Err(invalid(
                "The topic should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly",
            )),
        }
    }
}

fn check_name(name: &str, fifo: bool) -> Result<(), Fault> {
    let stem = if fifo { name.strip_suffix(".fifo") } else { Some(name) };
    let plain = |stem: &str| {
        stem.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    if stem.is_some_and(|stem| !stem.is_empty() && plain(stem)) && name.len() <= 256 {
        return Ok(());
    }
    Err(invalid(if fifo {
        "Topic Name: a FIFO topic's must end with .fifo"
    } else {
        "Topic Name"
    }))
}

fn digest(message: &str) -> String {
    Sha256::digest(message.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
