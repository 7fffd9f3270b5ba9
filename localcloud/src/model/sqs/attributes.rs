//! The settings of a queue: read, checked, printed.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::characters::is_queue_name;
use super::invalid;
use crate::model::{Fault, Millis};

/// The longest wait of a receive, in seconds.
pub(super) const MAX_WAIT: i64 = 20;

/// The longest lease, in seconds: twelve hours.
pub(super) const MAX_VISIBILITY: i64 = 43_200;

/// The longest delay, in seconds.
pub(super) const MAX_DELAY: i64 = 900;

/// The settings of a queue.
#[derive(Debug, Clone)]
pub(super) struct Attributes {
    pub(super) fifo: bool,
    /// Seconds.
    pub(super) delay: i64,
    /// Bytes.
    pub(super) maximum_size: i64,
    pub(super) retention: Millis,
    /// Seconds.
    pub(super) receive_wait: i64,
    /// Seconds.
    pub(super) visibility: i64,
    pub(super) content_based: bool,
    /// Whether ids are compared within a group only.
    pub(super) per_group: bool,
    pub(super) redrive: Option<Redrive>,
    pub(super) redrive_allow: Permission,
    /// The texts that are given back as they came.
    pub(super) texts: Map<String, Value>,
}

/// Whose dead-letter queue a queue may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Permission {
    AllowAll,
    DenyAll,
    /// Of the queues with these ARNs.
    ByQueue(Vec<String>),
}

/// Where a message goes that was received too often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Redrive {
    pub(super) target: String,
    pub(super) most_receives: u64,
}

impl Attributes {
    /// Returns the settings of a queue that is being made.
    pub(super) fn of_new_queue(name: &str, given: &Map<String, Value>) -> Result<Self, Fault> {
        let fifo = match given.get("FifoQueue").and_then(Value::as_str) {
            None => false,
            Some("true") => true,
            Some(_) => return Err(unknown("FifoQueue")),
        };
        check_name(name, fifo)?;
        let mut rest = given.clone();
        rest.remove("FifoQueue");
        let mut texts = Map::new();
        if fifo {
            texts.insert("FifoQueue".to_owned(), json!("true"));
            texts.insert("DeduplicationScope".to_owned(), json!("queue"));
            texts.insert("FifoThroughputLimit".to_owned(), json!("perQueue"));
        }
        texts.insert("SqsManagedSseEnabled".to_owned(), json!("true"));
        let defaults = Self {
            fifo,
            delay: 0,
            maximum_size: 1_048_576,
            retention: 345_600_000,
            receive_wait: 0,
            visibility: 30,
            content_based: false,
            per_group: false,
            redrive: None,
            redrive_allow: Permission::AllowAll,
            texts,
        };
        defaults.changed_by(&rest)
    }

    /// Returns these settings with `given` in place; nothing changes when one of them is wrong.
    pub(super) fn changed_by(&self, given: &Map<String, Value>) -> Result<Self, Fault> {
        let mut changed = self.clone();
        for (name, value) in given {
            changed.set(name, value.as_str().unwrap_or_default())?;
        }
        if changed.text("FifoThroughputLimit") == Some("perMessageGroupId") && !changed.per_group {
            return Err(invalid_value(
                "FifoThroughputLimit",
                "perMessageGroupId needs DeduplicationScope messageGroup",
            ));
        }
        Ok(changed)
    }

    /// Refuses settings for an existing queue that are not the ones it has.
    pub(super) fn check_same(&self, given: &Map<String, Value>) -> Result<(), Fault> {
        let asked = self.changed_by(&without_fifo(given))?;
        let (asked, held) = (asked.printed(), self.printed());
        match given.keys().find(|name| asked.get(*name) != held.get(*name)) {
            None => Ok(()),
            Some(name) => Err(Fault::client(
                "QueueNameExists",
                format!("A queue already exists with the same name and a different value for attribute {name}"),
            )),
        }
    }

    /// Returns the ARN of the dead-letter queue.
    pub(super) fn dead_letter_arn(&self) -> Option<&String> {
        self.redrive.as_ref().map(|redrive| &redrive.target)
    }

    /// Returns a setting that is given back as it came.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.texts.get(name).and_then(Value::as_str)
    }

    /// Returns all settings, as GetQueueAttributes shows them.
    pub(super) fn printed(&self) -> Map<String, Value> {
        let mut printed = self.texts.clone();
        let numbers = [
            ("DelaySeconds", self.delay),
            ("MaximumMessageSize", self.maximum_size),
            ("MessageRetentionPeriod", self.retention / 1000),
            ("ReceiveMessageWaitTimeSeconds", self.receive_wait),
            ("VisibilityTimeout", self.visibility),
        ];
        for (name, number) in numbers {
            printed.insert(name.to_owned(), json!(number.to_string()));
        }
        if self.fifo {
            printed.insert(
                "ContentBasedDeduplication".to_owned(),
                json!(self.content_based.to_string()),
            );
        }
        printed
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Fault> {
        match name {
            "DelaySeconds" => self.delay = number(name, value, 0, MAX_DELAY)?,
            "MaximumMessageSize" => self.maximum_size = number(name, value, 1024, 1_048_576)?,
            "MessageRetentionPeriod" => self.retention = number(name, value, 60, 1_209_600)? * 1000,
            "ReceiveMessageWaitTimeSeconds" => self.receive_wait = number(name, value, 0, MAX_WAIT)?,
            "VisibilityTimeout" => self.visibility = number(name, value, 0, MAX_VISIBILITY)?,
            "ContentBasedDeduplication" if self.fifo => self.content_based = flag(name, value)?,
            "DeduplicationScope" if self.fifo => {
                self.per_group = choice(name, value, ["queue", "messageGroup"])? == "messageGroup";
                self.keep(name, value);
            }
            "FifoThroughputLimit" if self.fifo => {
                choice(name, value, ["perQueue", "perMessageGroupId"])?;
                self.keep(name, value);
            }
            "RedrivePolicy" => {
                self.redrive = if value.is_empty() { None } else { Some(redrive(value)?) };
                self.keep(name, value);
            }
            "RedriveAllowPolicy" => {
                self.redrive_allow = if value.is_empty() {
                    Permission::AllowAll
                } else {
                    permission(value)?
                };
                self.keep(name, value);
            }
            "Policy" => {
                if !value.is_empty() && serde_json::from_str::<Map<String, Value>>(value).is_err() {
                    return Err(invalid_value(name, "it is not a JSON object"));
                }
                self.keep(name, value);
            }
            "SqsManagedSseEnabled" => {
                flag(name, value)?;
                self.keep(name, value);
            }
            _ => return Err(unknown(name)),
        }
        Ok(())
    }

    /// Remembers a text; an empty one takes the setting away.
    fn keep(&mut self, name: &str, value: &str) {
        if value.is_empty() {
            self.texts.remove(name);
        } else {
            self.texts.insert(name.to_owned(), json!(value));
        }
    }
}

fn check_name(name: &str, fifo: bool) -> Result<(), Fault> {
    let (stem, suffix) = match name.strip_suffix(".fifo") {
        Some(stem) => (stem, true),
        None => (name, false),
    };
    if fifo && !(suffix && is_queue_name(stem) && name.len() <= 80) {
        return Err(invalid(
            "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end with \
             .fifo suffix and be 1 to 80 in length.",
        ));
    }
    if !fifo && (suffix || !is_queue_name(name) || name.len() > 80) {
        return Err(invalid(
            "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length.",
        ));
    }
    Ok(())
}

fn without_fifo(given: &Map<String, Value>) -> Map<String, Value> {
    given
        .iter()
        .filter(|(name, _)| *name != "FifoQueue")
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn redrive(text: &str) -> Result<Redrive, Fault> {
    let wrong = |why: &str| {
        invalid(format!(
            "Value {text} for parameter RedrivePolicy is invalid. Reason: {why}"
        ))
    };
    let policy: Map<String, Value> =
        serde_json::from_str(text).map_err(|_| wrong("Redrive policy is not a valid JSON map."))?;
    if let Some(name) = policy
        .keys()
        .find(|name| !matches!(name.as_str(), "deadLetterTargetArn" | "maxReceiveCount"))
    {
        return Err(wrong(&format!(
            "Only following attributes are supported: [deadLetterTargetArn, maxReceiveCount], not {name}."
        )));
    }
    let target = policy.get("deadLetterTargetArn").and_then(Value::as_str);
    let target =
        target.ok_or_else(|| wrong("Redrive policy does not contain mandatory attribute: deadLetterTargetArn."))?;
    // AWS takes the count as a number or as text.
    let count = policy
        .get("maxReceiveCount")
        .and_then(|count| count.as_u64().or_else(|| count.as_str()?.parse().ok()));
    let count = count.ok_or_else(|| wrong("Redrive policy does not contain mandatory attribute: maxReceiveCount."))?;
    if !(1..=1000).contains(&count) {
        return Err(wrong(
            "Invalid value for maxReceiveCount, valid values are from 1 to 1000 both inclusive.",
        ));
    }
    Ok(Redrive {
        target: target.to_owned(),
        most_receives: count,
    })
}

fn permission(text: &str) -> Result<Permission, Fault> {
    let wrong = |why: &str| {
        invalid(format!(
            "Value {text} for parameter RedriveAllowPolicy is invalid. Reason: {why}"
        ))
    };
    let policy: RedriveAllowPolicy = serde_json::from_str(text).map_err(|why| wrong(&format!("{why}.")))?;
    match (policy.redrive_permission, policy.source_queue_arns) {
        (RedrivePermission::AllowAll, None) => Ok(Permission::AllowAll),
        (RedrivePermission::DenyAll, None) => Ok(Permission::DenyAll),
        (RedrivePermission::ByQueue, Some(arns)) if (1..=10).contains(&arns.len()) => Ok(Permission::ByQueue(arns)),
        (RedrivePermission::ByQueue, _) => Err(wrong("byQueue needs 1 to 10 sourceQueueArns.")),
        (_, Some(_)) => Err(wrong("sourceQueueArns is for byQueue alone.")),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RedriveAllowPolicy {
    redrive_permission: RedrivePermission,
    source_queue_arns: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum RedrivePermission {
    AllowAll,
    DenyAll,
    ByQueue,
}

fn number(name: &str, value: &str, least: i64, most: i64) -> Result<i64, Fault> {
    let read = value.parse().ok().filter(|number| (least..=most).contains(number));
    read.ok_or_else(|| {
        invalid_value(
            name,
            &format!("it must be a whole number from {least} to {most}, not {value:?}"),
        )
    })
}

fn flag(name: &str, value: &str) -> Result<bool, Fault> {
    Ok(choice(name, value, ["true", "false"])? == "true")
}

fn choice<'a>(name: &str, value: &'a str, allowed: [&str; 2]) -> Result<&'a str, Fault> {
    if allowed.contains(&value) {
        return Ok(value);
    }
    Err(invalid_value(
        name,
        &format!("it must be {} or {}, not {value:?}", allowed[0], allowed[1]),
    ))
}

fn invalid_value(name: &str, why: &str) -> Fault {
    Fault::client(
        "InvalidAttributeValue",
        format!("Invalid value for the parameter {name}: {why}."),
    )
}

fn unknown(name: &str) -> Fault {
    Fault::client("InvalidAttributeName", format!("Unknown Attribute {name}."))
}
