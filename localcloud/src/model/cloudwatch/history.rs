//! What happened to alarms, kept for two weeks of the fast clock as CloudWatch does, also after an alarm is deleted.

use std::collections::VecDeque;

use serde::Deserialize;
use serde_json::{Value, json};

use super::wire::{millis, page, read, seconds};
use crate::model::{Answer, Millis};

/// "CloudWatch preserves alarm history for two weeks."
const RETENTION: Millis = 14 * 24 * 60 * 60_000;
/// How many items are kept, whatever their age.
const ITEMS_LIMIT: usize = 10_000;
/// The API model's longest `HistoryData`, in characters.
const DATA_LIMIT: usize = 4_095;
/// The API model's longest `HistorySummary`, in characters.
const SUMMARY_LIMIT: usize = 255;

/// The kinds of history items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) enum ItemType {
    /// The alarm was created, updated or deleted.
    ConfigurationUpdate,
    /// Its state changed.
    StateUpdate,
    /// An action was tried.
    Action,
}

impl ItemType {
    fn name(self) -> &'static str {
        match self {
            Self::ConfigurationUpdate => "ConfigurationUpdate",
            Self::StateUpdate => "StateUpdate",
            Self::Action => "Action",
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Item {
    number: u64,
    alarm: String,
    at: Millis,
    item_type: ItemType,
    summary: String,
    data: String,
}

/// The history of all alarms of a region, the oldest first.
#[derive(Debug, Default)]
pub(super) struct History {
    items: VecDeque<Item>,
    next: u64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Describe {
    alarm_name: Option<String>,
    alarm_types: Option<Vec<String>>,
    history_item_type: Option<ItemType>,
    start_date: Option<f64>,
    end_date: Option<f64>,
    max_records: Option<usize>,
    next_token: Option<String>,
    scan_by: Option<String>,
}

impl History {
    /// Adds an item, and drops what is too old or too much.
    pub(super) fn add(&mut self, alarm: &str, item_type: ItemType, at: Millis, summary: String, data: &Value) {
        let cut = |text: String, limit: usize| text.chars().take(limit).collect::<String>();
        let (summary, data) = (cut(summary, SUMMARY_LIMIT), cut(data.to_string(), DATA_LIMIT));
        self.items.push_back(Item {
            number: self.next,
            alarm: alarm.to_owned(),
            at,
            item_type,
            summary,
            data,
        });
        self.next += 1;
        let is_stale = |item: &Item| item.at < at - RETENTION;
        while self.items.len() > ITEMS_LIMIT || self.items.front().is_some_and(is_stale) {
            self.items.pop_front();
        }
    }

    /// Answers `DescribeAlarmHistory`, the newest first unless `ScanBy` says otherwise.
    ///
    /// # Errors
    /// When a member or the token cannot be taken.
    pub(super) fn describe(&self, input: &Value) -> Answer {
        let wanted: Describe = read(input, "ValidationError")?;
        let limit = wanted.max_records.unwrap_or(100);
        let ascending = wanted.scan_by.as_deref() == Some("TimestampAscending");
        // Page keys grow along the page order, so a descending scan counts backwards.
        let key = |item: &Item| format!("{:020}", if ascending { item.number } else { u64::MAX - item.number });
        let mut found: Vec<(String, Value)> = self
            .items
            .iter()
            .filter(|item| wanted.covers(item))
            .map(|item| (key(item), describe(item)))
            .collect();
        found.sort_by(|(left, _), (right, _)| left.cmp(right));
        let (items, next) = page(found, wanted.next_token.as_deref(), limit, "InvalidNextToken")?;
        let mut answer = json!({"AlarmHistoryItems": items});
        if let (Some(next), Some(members)) = (next, answer.as_object_mut()) {
            members.insert("NextToken".to_owned(), json!(next));
        }
        Ok(answer)
    }
}

impl Describe {
    fn covers(&self, item: &Item) -> bool {
        self.alarm_name.as_ref().is_none_or(|name| *name == item.alarm)
            && self
                .alarm_types
                .as_ref()
                .is_none_or(|types| types.is_empty() || types.iter().any(|name| name == "MetricAlarm"))
            && self
                .history_item_type
                .is_none_or(|item_type| item_type == item.item_type)
            && self.start_date.is_none_or(|start| millis(start) <= item.at)
            && self.end_date.is_none_or(|end| item.at <= millis(end))
    }
}

fn describe(item: &Item) -> Value {
    json!({
        "AlarmName": item.alarm,
        "AlarmType": "MetricAlarm",
        "Timestamp": seconds(item.at),
        "HistoryItemType": item.item_type.name(),
        "HistorySummary": item.summary,
        "HistoryData": item.data,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{History, ITEMS_LIMIT, ItemType, RETENTION};

    fn summaries(history: &History, input: Value) -> Vec<String> {
        let answer = history.describe(&input).expect("the input is sound");
        let items = answer["AlarmHistoryItems"].as_array().expect("a list").clone();
        items
            .iter()
            .map(|item| item["HistorySummary"].as_str().unwrap_or_default().to_owned())
            .collect()
    }

    fn history() -> History {
        let mut history = History::default();
        for (number, item_type) in [ItemType::ConfigurationUpdate, ItemType::StateUpdate, ItemType::Action]
            .into_iter()
            .enumerate()
        {
            history.add("a", item_type, number as i64 * 1_000, number.to_string(), &json!({}));
        }
        history.add("b", ItemType::StateUpdate, 3_000, "3".into(), &json!({}));
        history
    }

    #[test]
    fn the_newest_come_first_unless_asked_otherwise() {
        assert_eq!(summaries(&history(), json!({})), ["3", "2", "1", "0"]);
        assert_eq!(
            summaries(&history(), json!({"ScanBy": "TimestampAscending"})),
            ["0", "1", "2", "3"]
        );
    }

    #[test]
    fn items_are_filtered_by_alarm_type_and_time() {
        assert_eq!(
            summaries(&history(), json!({"AlarmName": "a", "HistoryItemType": "StateUpdate"})),
            ["1"]
        );
        assert_eq!(
            summaries(&history(), json!({"StartDate": 1.0, "EndDate": 2.0})),
            ["2", "1"]
        );
        assert!(summaries(&history(), json!({"AlarmTypes": ["CompositeAlarm"]})).is_empty());
    }

    #[test]
    fn a_page_ends_where_the_next_begins() {
        let first = history()
            .describe(&json!({"MaxRecords": 3}))
            .expect("the input is sound");
        let rest = summaries(&history(), json!({"MaxRecords": 3, "NextToken": first["NextToken"]}));
        assert_eq!(rest, ["0"]);
    }

    #[test]
    fn old_items_and_too_many_items_are_dropped() {
        let mut history = history();
        history.add("c", ItemType::Action, RETENTION + 2_500, "new".into(), &json!({}));
        assert_eq!(summaries(&history, json!({})), ["new", "3"]);
        for _ in 0..ITEMS_LIMIT {
            history.add("c", ItemType::Action, RETENTION, "more".into(), &json!({}));
        }
        assert_eq!(history.items.len(), ITEMS_LIMIT);
    }
}
