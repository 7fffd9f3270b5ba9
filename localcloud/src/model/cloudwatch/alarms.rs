//! The alarms of one account and region: the operations on them, their evaluation, and what a change of state sends out.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::alarm::{Alarm, Settings, Tag, invalid};
use super::history::{History, ItemType};
use super::judge::{EXTRA_POINTS, State, judge};
use super::notice::{Notice, message, subject};
use super::reason::{Point, reason, reason_data, timestamp};
use super::store::{MetricStore, Window};
use super::wire::{members, page, read};
use crate::model::{Answer, Call, Fault, Millis, Scope};

/// How many alarms a page has when `MaxRecords` does not say.
const PAGE: usize = 50;
/// "You can associate as many as 50 tags with an alarm."
const TAGS_LIMIT: usize = 50;

/// All alarms of one account and region.
#[derive(Debug, Default)]
pub(super) struct Alarms {
    by_name: BTreeMap<String, Alarm>,
    history: History,
    outbox: Vec<Notice>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Describe {
    alarm_names: Option<Vec<String>>,
    alarm_name_prefix: Option<String>,
    alarm_types: Option<Vec<String>>,
    state_value: Option<State>,
    action_prefix: Option<String>,
    max_records: Option<usize>,
    next_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Names {
    alarm_names: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct SetState {
    alarm_name: String,
    state_value: State,
    state_reason: String,
    state_reason_data: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Tagging {
    #[serde(rename = "ResourceARN")]
    resource_arn: String,
    #[serde(default)]
    tags: Vec<Tag>,
    #[serde(default)]
    tag_keys: Vec<String>,
}

impl Alarms {
    /// Answers the operations on alarms; nothing if the operation is none of them.
    pub(super) fn handle(&mut self, call: &Call<'_>) -> Option<Answer> {
        Some(match call.operation {
            "PutMetricAlarm" => self.put(call),
            "DescribeAlarms" => self.describe(call.input),
            "DescribeAlarmHistory" => self.history.describe(call.input),
            "DeleteAlarms" => self.delete(call),
            "SetAlarmState" => self.set_state(call),
            "EnableAlarmActions" => self.enable_actions(call.input, true),
            "DisableAlarmActions" => self.enable_actions(call.input, false),
            "TagResource" => self.tag(call.input),
            "UntagResource" => self.untag(call.input),
            "ListTagsForResource" => self.list_tags(call.input),
            _ => return None,
        })
    }

    /// Creates or overwrites an alarm whose actions are not looked at, as Application Auto Scaling does.
    ///
    /// # Errors
    /// When the settings are not sound.
    pub(super) fn install(&mut self, settings: Settings, scope: &Scope, now: Millis) -> Result<(), Fault> {
        let queries = settings.check()?;
        let name = settings.alarm_name.clone();
        let (verb, kind) = if let Some(alarm) = self.by_name.get_mut(&name) {
            alarm.update(settings, queries, now);
            ("updated", "Update")
        } else {
            let arn = arn(scope, &name);
            self.by_name
                .insert(name.clone(), Alarm::new(settings, queries, arn, now));
            ("created", "Create")
        };
        self.configured(&name, now, verb, kind);
        Ok(())
    }

    /// Deletes an alarm if it is there.
    pub(super) fn remove(&mut self, name: &str, now: Millis) {
        if self.by_name.remove(name).is_some() {
            self.configured(name, now, "deleted", "Delete");
        }
    }

    /// Returns the alarm of this name.
    pub(super) fn get(&self, name: &str) -> Option<&Alarm> {
        self.by_name.get(name)
    }

    /// Evaluates every alarm over the periods that end at `end`, a whole minute.
    ///
    /// "For any period of one minute or longer, an alarm is evaluated every minute", over periods that end at that minute.
    pub(super) fn evaluate(&mut self, store: &MetricStore, scope: &Scope, end: Millis) {
        let mut changes = Vec::new();
        for (name, alarm) in &self.by_name {
            let rule = alarm.settings.rule();
            let window = Window::ending(end, alarm.queries.period() * 1_000, rule.periods + EXTRA_POINTS);
            let series = alarm.queries.series(store, window);
            let range: Vec<Option<bool>> = series
                .iter()
                .map(|value| value.map(|value| alarm.settings.breaches(value)))
                .collect();
            let Some(state) = judge(&range, rule).filter(|state| *state != alarm.state) else {
                continue;
            };
            let real = series
                .iter()
                .enumerate()
                .rev()
                .filter_map(|(index, value)| Some((window.begin(index), (*value)?)));
            let points: Vec<Point> = real.take(rule.periods).collect();
            let data = reason_data(&alarm.settings, alarm.queries.period(), &points, end);
            changes.push((name.clone(), state, reason(&alarm.settings, state, &points), data));
        }
        for (name, state, reason, data) in changes {
            self.transition(&name, state, reason, Some(data), scope, end);
        }
    }

    /// Returns the messages that changes of state have brought forth since the last call.
    pub(super) fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.outbox)
    }

    /// Notes how the publishing of a notice went.
    pub(super) fn noted(&mut self, notice: &Notice, outcome: Result<&str, &str>, now: Millis) {
        let (verb, state) = if outcome.is_ok() {
            ("Successfully executed", "Succeeded")
        } else {
            ("Failed to execute", "Failed")
        };
        let mut data = json!({
            "actionState": state,
            "stateUpdateTimestamp": notice.at,
            "notificationResource": notice.topic_arn,
            "publishedMessage": notice.message,
        });
        if let (Err(error), Some(members)) = (outcome, data.as_object_mut()) {
            members.insert("error".to_owned(), json!(error));
        }
        let summary = format!("{verb} action {}", notice.topic_arn);
        self.history.add(&notice.alarm, ItemType::Action, now, summary, &data);
    }

    fn put(&mut self, call: &Call<'_>) -> Answer {
        let settings: Settings = read(call.input, "ValidationError")?;
        settings.check_actions(call.scope)?;
        if settings.tags.as_ref().is_some_and(|tags| tags.len() > TAGS_LIMIT) {
            return Err(invalid("Tags: an alarm can have at most 50 tags"));
        }
        self.install(settings, call.scope, call.now.fast)?;
        Ok(json!({}))
    }

    fn describe(&self, input: &Value) -> Answer {
        let wanted: Describe = read(input, "ValidationError")?;
        if wanted.alarm_names.is_some() && wanted.alarm_name_prefix.is_some() {
            return Err(invalid("AlarmNames and AlarmNamePrefix exclude each other"));
        }
        let found = self.by_name.values().filter(|alarm| wanted.covers(alarm));
        let described = found.map(|alarm| (alarm.settings.alarm_name.clone(), alarm.describe()));
        let limit = wanted.max_records.unwrap_or(PAGE);
        let (alarms, next) = page(described, wanted.next_token.as_deref(), limit, "InvalidNextToken")?;
        let mut answer = json!({"CompositeAlarms": [], "MetricAlarms": alarms});
        if let (Some(next), Some(members)) = (next, answer.as_object_mut()) {
            members.insert("NextToken".to_owned(), json!(next));
        }
        Ok(answer)
    }

    /// "If you specify an alarm that does not exist, no alarm of the call is deleted."
    fn delete(&mut self, call: &Call<'_>) -> Answer {
        let Names { alarm_names } = read(call.input, "ValidationError")?;
        if let Some(unknown) = alarm_names.iter().find(|name| !self.by_name.contains_key(*name)) {
            return Err(Fault::client(
                "ResourceNotFound",
                format!("Unknown alarm name: {unknown}"),
            ));
        }
        for name in &alarm_names {
            self.remove(name, call.now.fast);
        }
        Ok(json!({}))
    }

    fn set_state(&mut self, call: &Call<'_>) -> Answer {
        let wanted: SetState = read(call.input, "ValidationError")?;
        let unknown = || Fault::client("ResourceNotFound", format!("Unknown alarm name: {}", wanted.alarm_name));
        let alarm = self.by_name.get_mut(&wanted.alarm_name).ok_or_else(unknown)?;
        let data = wanted.state_reason_data;
        if data
            .as_ref()
            .is_some_and(|data| serde_json::from_str::<Value>(data).is_err())
        {
            return Err(Fault::client(
                "InvalidFormatFault",
                "StateReasonData was not valid JSON",
            ));
        }
        if alarm.state == wanted.state_value {
            alarm.reason = wanted.state_reason;
            alarm.reason_data = data;
        } else {
            let (state, reason) = (wanted.state_value, wanted.state_reason);
            self.transition(&wanted.alarm_name, state, reason, data, call.scope, call.now.fast);
        }
        Ok(json!({}))
    }

    /// Names that no alarm has are passed over, as the API has no fault for them.
    fn enable_actions(&mut self, input: &Value, enabled: bool) -> Answer {
        let Names { alarm_names } = read(input, "ValidationError")?;
        for name in &alarm_names {
            if let Some(alarm) = self.by_name.get_mut(name) {
                alarm.settings.actions_enabled = enabled;
            }
        }
        Ok(json!({}))
    }

    fn tag(&mut self, input: &Value) -> Answer {
        let Tagging { resource_arn, tags, .. } = read(input, "InvalidParameterValueException")?;
        let alarm = self.by_arn(&resource_arn)?;
        let mut tagged = alarm.tags.clone();
        tagged.extend(tags.into_iter().map(|tag| (tag.key, tag.value)));
        if tagged.len() > TAGS_LIMIT {
            return Err(Fault::client(
                "InvalidParameterValueException",
                "Tags: an alarm can have at most 50 tags",
            ));
        }
        alarm.tags = tagged;
        Ok(json!({}))
    }

    fn untag(&mut self, input: &Value) -> Answer {
        let Tagging {
            resource_arn, tag_keys, ..
        } = read(input, "InvalidParameterValueException")?;
        self.by_arn(&resource_arn)?
            .tags
            .retain(|key, _| !tag_keys.contains(key));
        Ok(json!({}))
    }

    fn list_tags(&mut self, input: &Value) -> Answer {
        let Tagging { resource_arn, .. } = read(input, "InvalidParameterValueException")?;
        let tags = self.by_arn(&resource_arn)?.tags.iter();
        Ok(json!({"Tags": tags.map(|(key, value)| json!({"Key": key, "Value": value})).collect::<Vec<_>>()}))
    }

    fn by_arn(&mut self, arn: &str) -> Result<&mut Alarm, Fault> {
        let missing = || Fault {
            status: 404,
            ..Fault::client("ResourceNotFoundException", format!("Unknown resource: {arn}"))
        };
        self.by_name
            .values_mut()
            .find(|alarm| alarm.arn == arn)
            .ok_or_else(missing)
    }

    fn configured(&mut self, name: &str, now: Millis, verb: &str, kind: &str) {
        let mut data = json!({"version": "1.0", "type": kind});
        if let (Some(alarm), Some(entries)) = (self.by_name.get(name), data.as_object_mut()) {
            let member = if kind == "Create" {
                "createdAlarm"
            } else {
                "updatedAlarm"
            };
            entries.insert(member.to_owned(), members(&alarm.settings));
        }
        self.history.add(
            name,
            ItemType::ConfigurationUpdate,
            now,
            format!("Alarm \"{name}\" {verb}"),
            &data,
        );
    }

    /// Puts an alarm into another state, writes it down, and sends to the topics of that state.
    fn transition(
        &mut self,
        name: &str,
        state: State,
        reason: String,
        data: Option<String>,
        scope: &Scope,
        now: Millis,
    ) {
        let Some(alarm) = self.by_name.get_mut(name) else {
            return;
        };
        let (old, old_reason) = (alarm.state, std::mem::replace(&mut alarm.reason, reason));
        (alarm.state, alarm.reason_data, alarm.updated) = (state, data, now);
        let change = json!({
            "version": "1.0",
            "oldState": {"stateValue": old.name(), "stateReason": old_reason},
            "newState": {"stateValue": state.name(), "stateReason": alarm.reason, "stateReasonData": alarm.reason_data},
            "time": timestamp(now),
        });
        let summary = format!("Alarm updated from {} to {}", old.name(), state.name());
        self.history.add(name, ItemType::StateUpdate, now, summary, &change);
        if !alarm.settings.actions_enabled {
            return;
        }
        // Policies of Application Auto Scaling are actions as well; they read the alarm's state instead of a message.
        let topics = format!("arn:{}:sns:", scope.partition());
        let actions = alarm.settings.actions(state).iter();
        for topic_arn in actions.filter(|action| action.starts_with(&topics)) {
            self.outbox.push(Notice {
                alarm: name.to_owned(),
                topic_arn: topic_arn.clone(),
                subject: subject(alarm, scope),
                message: message(alarm, old, scope).to_string(),
                at: now,
            });
        }
    }
}

impl Describe {
    fn covers(&self, alarm: &Alarm) -> bool {
        let settings = &alarm.settings;
        let acts = |prefix: &String| {
            let lists = [State::Ok, State::Alarm, State::InsufficientData].map(|state| settings.actions(state));
            lists
                .iter()
                .any(|actions| actions.iter().any(|action| action.starts_with(prefix)))
        };
        self.alarm_names
            .as_ref()
            .is_none_or(|names| names.is_empty() || names.contains(&settings.alarm_name))
            && self
                .alarm_name_prefix
                .as_ref()
                .is_none_or(|prefix| settings.alarm_name.starts_with(prefix))
            && self
                .alarm_types
                .as_ref()
                .is_none_or(|types| types.is_empty() || types.iter().any(|name| name == "MetricAlarm"))
            && self.state_value.is_none_or(|state| state == alarm.state)
            && self.action_prefix.as_ref().is_none_or(acts)
    }
}

/// Returns the ARN of the alarm of this name.
pub fn arn(scope: &Scope, name: &str) -> String {
    scope.arn("cloudwatch", &format!("alarm:{name}"))
}
