//! What happens to a call that a rule has chosen.

use std::future::pending;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::body::Bytes;
use serde_json::{Value, json};

use super::Shared;
use super::connection::Line;
use super::wire::{Answer, Call, Cut, Reply};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The connection closes before SQS has seen the call.
    DropCall,
    /// SQS executes the call, and the connection closes unanswered.
    DropReply,
    /// SQS executes the call, and the connection closes in the middle of the answer's body.
    CutReply,
    /// The call is answered with an error instead of being executed.
    Refuse(Refusal),
    /// SQS executes the call, and the answer is an error all the same.
    RefuseAfter(Refusal),
    /// The call waits before SQS sees it.
    Delay(Duration),
    /// Every second entry of a batch, the first included, is answered as failed.
    FailEntries(Entries),
    /// The call is taken in and never answered, nor executed.
    BlackHole,
    /// The whole connection hangs from now on, both ways, and stays open. The call is not executed.
    HalfOpen,
    /// A receive call is answered with the latest messages once more; before there were any, it is executed.
    RepeatMessages,
}

/// Whether entries that are answered as failed were executed all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entries {
    /// They were.
    Executed,
    /// They were not.
    Untouched,
}

/// The errors of SQS, in the words of the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Status 500.
    Internal,
    /// Status 503.
    Unavailable,
    /// Fewer calls, please.
    Throttled,
    /// Too many messages in flight.
    OverLimit,
    /// The session's token is past its time.
    ExpiredToken,
    /// The queue is missing, by the code of the older protocol.
    NonExistentQueue,
    /// The queue is missing, by the name of the JSON protocol alone.
    QueueDoesNotExist,
    /// Not allowed.
    AccessDenied,
}

impl Refusal {
    pub(super) fn reply(self) -> Reply {
        let sqs = "com.amazonaws.sqs#";
        match self {
            Self::Internal => Reply::failure(500, &format!("{sqs}InternalError"), Some("InternalError")),
            Self::Unavailable => Reply::failure(503, &format!("{sqs}ServiceUnavailable"), Some("ServiceUnavailable")),
            Self::Throttled => Reply::failure(400, &format!("{sqs}RequestThrottled"), Some("RequestThrottled")),
            Self::OverLimit => Reply::failure(403, &format!("{sqs}OverLimit"), Some("OverLimit")),
            Self::ExpiredToken => Reply::failure(
                403,
                "com.amazon.coral.service#ExpiredTokenException",
                Some("ExpiredToken"),
            ),
            Self::NonExistentQueue => Reply::failure(
                400,
                &format!("{sqs}QueueDoesNotExist"),
                Some("AWS.SimpleQueueService.NonExistentQueue"),
            ),
            Self::QueueDoesNotExist => Reply::failure(400, &format!("{sqs}QueueDoesNotExist"), None),
            Self::AccessDenied => Reply::failure(
                403,
                "com.amazon.coral.service#AccessDeniedException",
                Some("AccessDenied"),
            ),
        }
    }
}

/// Answers a call that meets `fault`.
pub(super) async fn answer(shared: &Shared, line: &Line, call: Call, fault: Fault) -> Result<Answer, Cut> {
    match fault {
        Fault::DropCall => Err(Cut),
        Fault::DropReply => {
            shared.forward(call).await?;
            Err(Cut)
        }
        Fault::CutReply => Ok(shared.forward(call).await?.torn()),
        Fault::Refuse(refusal) => Ok(refusal.reply().answer()),
        Fault::RefuseAfter(refusal) => {
            shared.forward(call).await?;
            Ok(refusal.reply().answer())
        }
        Fault::Delay(delay) => {
            tokio::time::sleep(delay).await;
            Ok(shared.forward(call).await?.answer())
        }
        Fault::FailEntries(entries) => Ok(fail_entries(shared, call, entries).await?.answer()),
        Fault::BlackHole => pending().await,
        Fault::HalfOpen => {
            line.store(true, Ordering::Relaxed);
            pending().await
        }
        Fault::RepeatMessages => match shared.latest() {
            Some(body) => {
                shared.note_handouts(&body);
                Ok(Reply::success(body).answer())
            }
            None => Ok(shared.forward(call).await?.answer()),
        },
    }
}

async fn fail_entries(shared: &Shared, call: Call, entries: Entries) -> Result<Reply, Cut> {
    let mut asked = call.json();
    let all = asked["Entries"].as_array().cloned().unwrap_or_default();
    let (failing, passing) = every_second(&all);
    if entries == Entries::Untouched {
        asked["Entries"] = Value::Array(passing);
    }
    let none_left = asked["Entries"].as_array().is_none_or(Vec::is_empty);
    let reply = if none_left {
        Reply::success(Bytes::from_static(b"{}"))
    } else {
        shared.forward(call.saying(&asked)).await?
    };
    let Ok(mut answered) = serde_json::from_slice::<Value>(&reply.body) else {
        return Ok(reply);
    };
    blame(&mut answered, &failing);
    Ok(reply.saying(answered.to_string().into()))
}

/// Returns the first and every second after it, and the others.
fn every_second(entries: &[Value]) -> (Vec<Value>, Vec<Value>) {
    let numbered = entries.iter().cloned().enumerate();
    let (failing, passing): (Vec<_>, Vec<_>) = numbered.partition(|(place, _)| place % 2 == 0);
    let bare = |numbered: Vec<(usize, Value)>| numbered.into_iter().map(|(_, entry)| entry).collect();
    (bare(failing), bare(passing))
}

/// Answers these entries as failed, whatever SQS said of them.
fn blame(answered: &mut Value, failing: &[Value]) {
    let ids: Vec<&Value> = failing.iter().map(|entry| &entry["Id"]).collect();
    let list = |answered: &Value, name: &str| answered[name].as_array().cloned().unwrap_or_default();
    let mut successful = list(answered, "Successful");
    successful.retain(|entry| !ids.contains(&&entry["Id"]));
    let mut failed = list(answered, "Failed");
    failed.retain(|entry| !ids.contains(&&entry["Id"]));
    let blamed =
        |id: &&Value| json!({"Id": id, "Code": "InternalError", "Message": "the proxy says so", "SenderFault": false});
    failed.extend(ids.iter().map(blamed));
    answered["Successful"] = Value::Array(successful);
    answered["Failed"] = Value::Array(failed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_blamed_whatever_became_of_them() {
        let entries = [
            json!({"Id": "0"}),
            json!({"Id": "1"}),
            json!({"Id": "2"}),
            json!({"Id": "3"}),
        ];
        let (failing, passing) = every_second(&entries);
        assert_eq!((failing.len(), passing[0]["Id"].as_str()), (2, Some("1")));
        let mut answered = json!({"Successful": [{"Id": "0"}, {"Id": "1"}], "Failed": [{"Id": "3", "Code": "X"}]});
        blame(&mut answered, &failing);
        assert_eq!(answered["Successful"], json!([{"Id": "1"}]));
        let codes: Vec<_> = answered["Failed"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|entry| (entry["Id"].clone(), entry["Code"].clone()))
            .collect();
        assert_eq!(
            codes,
            [
                (json!("3"), json!("X")),
                (json!("0"), json!("InternalError")),
                (json!("2"), json!("InternalError"))
            ]
        );
    }
}
