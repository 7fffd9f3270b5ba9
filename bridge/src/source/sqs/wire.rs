//! Requests and answers as SQS's JSON protocol has them. Requests are written straight into a buffer, answers are read in
//! one pass.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use penstock_crds::SqsSource;
use serde::Deserialize;

use crate::source::{Receipt, Settled};

/// The calls that are made for every message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    /// Take messages.
    Receive,
    /// Delete messages.
    Delete,
    /// Hide messages for longer, or no longer.
    Hide,
}

impl Operation {
    /// Returns the header that names it.
    pub(super) fn target(self) -> &'static str {
        match self {
            Self::Receive => "AmazonSQS.ReceiveMessage",
            Self::Delete => "AmazonSQS.DeleteMessageBatch",
            Self::Hide => "AmazonSQS.ChangeMessageVisibilityBatch",
        }
    }
}

/// Writes the requests for one queue.
#[derive(Debug)]
pub(super) struct Requests {
    /// How each begins: with the queue.
    start: Vec<u8>,
    /// What every receive asks for.
    wishes: Vec<u8>,
    /// Whether attempts have names.
    ordered: bool,
}

impl Requests {
    /// Makes one for a queue.
    pub(super) fn new(settings: &SqsSource) -> Self {
        let mut start = br#"{"QueueUrl":"#.to_vec();
        text(&mut start, &settings.queue_url);
        let wait = settings.wait_time.to_std().as_secs();
        let visibility = settings.visibility_timeout.to_std().as_secs();
        let wishes = format!(
            concat!(
                r#","WaitTimeSeconds":{},"VisibilityTimeout":{},"MessageSystemAttributeNames":["SentTimestamp","#,
                r#""ApproximateReceiveCount","ApproximateFirstReceiveTimestamp","MessageGroupId","#,
                r#""MessageDeduplicationId","SequenceNumber"]{}"#
            ),
            wait,
            visibility,
            if settings.attributes {
                r#","MessageAttributeNames":["All"]"#
            } else {
                ""
            }
        );
        Self {
            start,
            wishes: wishes.into_bytes(),
            ordered: settings.is_fifo(),
        }
    }

    /// Asks for so many messages.
    pub(super) fn receive(&self, max: u32, attempt: &str) -> Bytes {
        let mut request = self.begin(32 + self.wishes.len() + 32 + attempt.len());
        request.extend_from_slice(br#","MaxNumberOfMessages":"#);
        request.extend_from_slice(max.to_string().as_bytes());
        request.extend_from_slice(&self.wishes);
        if self.ordered {
            request.extend_from_slice(br#","ReceiveRequestAttemptId":"#);
            text(&mut request, attempt);
        }
        request.push(b'}');
        request.into()
    }

    /// Deletes messages.
    pub(super) fn delete(&self, receipts: &[Receipt]) -> Bytes {
        self.batch(receipts, |receipt| (receipt, None))
    }

    /// Hides messages, each for that long from now on.
    pub(super) fn hide(&self, receipts: &[(Receipt, Duration)]) -> Bytes {
        self.batch(receipts, |(receipt, length)| (receipt, Some(length.as_secs())))
    }

    /// Names the entries by their places.
    fn batch<T>(&self, entries: &[T], parts: impl Fn(&T) -> (&Receipt, Option<u64>)) -> Bytes {
        let length: usize = entries.iter().map(|entry| 64 + parts(entry).0.0.len()).sum();
        let mut request = self.begin(length);
        request.extend_from_slice(br#","Entries":["#);
        for (place, entry) in entries.iter().enumerate() {
            let (receipt, seconds) = parts(entry);
            request.extend_from_slice(if place == 0 { br#"{"Id":""# } else { br#",{"Id":""# });
            request.extend_from_slice(place.to_string().as_bytes());
            request.extend_from_slice(br#"","ReceiptHandle":"#);
            text(&mut request, &receipt.0);
            if let Some(seconds) = seconds {
                request.extend_from_slice(br#","VisibilityTimeout":"#);
                request.extend_from_slice(seconds.to_string().as_bytes());
            }
            request.push(b'}');
        }
        request.extend_from_slice(b"]}");
        request.into()
    }

    fn begin(&self, more: usize) -> Vec<u8> {
        let mut request = Vec::with_capacity(self.start.len() + more + 32);
        request.extend_from_slice(&self.start);
        request
    }
}

fn text(buffer: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(buffer, text).expect("a text can be written, and memory takes it");
}

/// Reads what became of each of `count` entries.
pub(super) fn outcomes(answer: &[u8], count: usize) -> Result<Vec<Settled>, serde_json::Error> {
    let answer: BatchAnswer<'_> = serde_json::from_slice(answer)?;
    let mut outcomes = vec![Settled::Failed("the answer does not name this message".to_owned()); count];
    let done = answer.successful.into_iter().flatten();
    let done = done.map(|entry| (entry.id, Settled::Done));
    let failed = answer.failed.into_iter().flatten();
    let failed = failed.map(|entry| (entry.id.clone(), entry.settled()));
    for (id, settled) in done.chain(failed) {
        let place = id.parse::<usize>().ok();
        if let Some(outcome) = place.and_then(|place| outcomes.get_mut(place)) {
            *outcome = settled;
        }
    }
    Ok(outcomes)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BatchAnswer<'a> {
    #[serde(borrow)]
    successful: Option<Vec<DoneEntry<'a>>>,
    #[serde(borrow)]
    failed: Option<Vec<FailedEntry<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DoneEntry<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct FailedEntry<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    code: Cow<'a, str>,
    #[serde(borrow)]
    message: Option<Cow<'a, str>>,
}

impl FailedEntry<'_> {
    fn settled(self) -> Settled {
        let message = self.message.as_deref().unwrap_or("no reason given");
        if is_stale(&self.code, message) {
            return Settled::Stale;
        }
        Settled::Failed(format!("{}: {message}", self.code))
    }
}

/// Whether an entry failed since its receipt ran out or is none. SQS calls that an invalid parameter too, as it calls a
/// visibility beyond twelve hours, so the reason decides there.
fn is_stale(code: &str, message: &str) -> bool {
    match code.rsplit('.').next().unwrap_or(code) {
        "ReceiptHandleIsInvalid" | "MessageNotInflight" | "InvalidIdFormat" => true,
        "InvalidParameterValue" => {
            let reason = message.to_ascii_lowercase();
            reason.contains("receipt") || !reason.contains("visibility")
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const URL: &str = "https://sqs.eu-west-1.amazonaws.com/111122223333/orders";

    fn requests(url: &str, attributes: bool) -> Requests {
        let settings = json!({
            "queueUrl": url, "region": "eu-west-1", "maxMessages": 10, "waitTime": "20s",
            "visibilityTimeout": "30s", "attributes": attributes, "receivers": 1,
        });
        Requests::new(&serde_json::from_value(settings).expect("settings"))
    }

    fn read(request: &Bytes) -> Value {
        serde_json::from_slice(request).expect("JSON")
    }

    #[test]
    fn a_receive_asks_for_what_becomes_headers() {
        let request = read(&requests(URL, true).receive(7, "attempt"));
        let expected = json!({
            "QueueUrl": URL, "MaxNumberOfMessages": 7, "WaitTimeSeconds": 20, "VisibilityTimeout": 30,
            "MessageSystemAttributeNames": ["SentTimestamp", "ApproximateReceiveCount", "ApproximateFirstReceiveTimestamp",
                "MessageGroupId", "MessageDeduplicationId", "SequenceNumber"],
            "MessageAttributeNames": ["All"],
        });
        assert_eq!(request, expected);
        let plain = read(&requests(URL, false).receive(7, "attempt"));
        assert_eq!(plain.get("MessageAttributeNames"), None);
    }

    #[test]
    fn an_attempt_has_a_name_where_the_order_counts() {
        let request = read(&requests(&format!("{URL}.fifo"), true).receive(10, "an \"odd\" name"));
        assert_eq!(request["ReceiveRequestAttemptId"], "an \"odd\" name");
    }

    #[test]
    fn a_batch_names_its_entries_by_their_places() {
        let receipts = ["one\"\\", "two\u{1}"].map(|text| Receipt(text.to_owned()));
        let entries = json!([{"Id": "0", "ReceiptHandle": "one\"\\"}, {"Id": "1", "ReceiptHandle": "two\u{1}"}]);
        let request = read(&requests(URL, true).delete(&receipts));
        assert_eq!(request, json!({"QueueUrl": URL, "Entries": entries}));
        let lengths = receipts.map(|receipt| (receipt, Duration::from_secs(90)));
        let hidden = read(&requests(URL, true).hide(&lengths));
        assert_eq!(hidden["Entries"][1]["VisibilityTimeout"], 90);
    }

    #[test]
    fn an_answer_is_read_entry_by_entry() {
        let answer = json!({
            "Successful": [{"Id": "0"}],
            "Failed": [
                {"Id": "1", "SenderFault": false, "Code": "InternalError", "Message": "try again"},
                {"Id": "2", "SenderFault": true, "Code": "ReceiptHandleIsInvalid"},
                {"Id": "9", "SenderFault": true, "Code": "ReceiptHandleIsInvalid"},
            ],
        });
        let outcomes = outcomes(answer.to_string().as_bytes(), 4).expect("it can be read");
        assert_eq!(outcomes[0], Settled::Done);
        assert_eq!(outcomes[1], Settled::Failed("InternalError: try again".to_owned()));
        assert_eq!(outcomes[2], Settled::Stale);
        assert!(
            matches!(&outcomes[3], Settled::Failed(why) if why.contains("does not name")),
            "an entry that the answer forgets is not done"
        );
    }

    #[test]
    fn an_answer_may_leave_out_what_is_empty() {
        for answer in ["{}", r#"{"Successful":null,"Failed":[]}"#] {
            assert!(matches!(
                outcomes(answer.as_bytes(), 1).as_deref(),
                Ok([Settled::Failed(_)])
            ));
        }
        assert!(outcomes(b"<html>", 1).is_err());
    }

    #[test]
    fn an_invalid_parameter_is_a_stale_receipt_unless_it_is_the_visibility() {
        let expired = "Value AQEB for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired.";
        let too_long = "Value 43000 for parameter VisibilityTimeout is invalid. Reason: Total VisibilityTimeout for the \
            message is beyond the limit [43200 seconds]";
        assert!(is_stale("InvalidParameterValue", expired));
        assert!(!is_stale("InvalidParameterValue", too_long));
        assert!(is_stale("AWS.SimpleQueueService.MessageNotInflight", ""));
        assert!(!is_stale("InternalError", expired));
    }
}
