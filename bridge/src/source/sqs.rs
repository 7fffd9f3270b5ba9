//! The source that reads SQS.

use std::error::Error as StdError;
use std::time::Duration;

use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::types::{
    BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry,
    MessageAttributeValue, MessageSystemAttributeName as SystemAttribute, QueueAttributeName,
};
use bytes::Bytes;
use penstock_crds::SqsSource;
use penstock_kafka::chain;

use crate::source::access::Access;
use crate::source::{Error, ErrorKind, Header, Message, Receipt, Receive, Settle, Settled, Source};

/// The largest message that any queue takes.
const LARGEST_MESSAGE: usize = 1 << 20;

/// One queue.
#[derive(Debug, Clone)]
pub struct SqsQueue {
    access: Access,
    settings: SqsSource,
    ordered: bool,
}

/// What is known of a queue before the first message is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueFacts {
    /// Its `MaximumMessageSize`.
    pub max_message_bytes: usize,
    /// Whether it moves messages that keep failing elsewhere.
    pub has_redrive: bool,
}

impl SqsQueue {
    /// Makes the source.
    pub fn new(access: Access, settings: SqsSource) -> Self {
        let ordered = settings.is_fifo();
        Self {
            access,
            settings,
            ordered,
        }
    }

    /// Asks SQS for the queue.
    pub async fn inspect(&self) -> Result<QueueFacts, Error> {
        let names = [
            QueueAttributeName::MaximumMessageSize,
            QueueAttributeName::RedrivePolicy,
        ];
        let call = self
            .access
            .settle
            .get_queue_attributes()
            .queue_url(&self.settings.queue_url);
        let answer = call
            .set_attribute_names(Some(names.to_vec()))
            .send()
            .await
            .map_err(classify)?;
        let attribute = |name| answer.attributes().and_then(|attributes| attributes.get(&name));
        let size = attribute(QueueAttributeName::MaximumMessageSize).and_then(|size| size.parse().ok());
        Ok(QueueFacts {
            max_message_bytes: size.unwrap_or(LARGEST_MESSAGE),
            has_redrive: attribute(QueueAttributeName::RedrivePolicy).is_some_and(|policy| !policy.is_empty()),
        })
    }

    async fn delete(&self, receipts: Vec<Receipt>) -> Result<Vec<Settled>, Error> {
        let count = receipts.len();
        let entry = |(place, receipt): (usize, Receipt)| {
            DeleteMessageBatchRequestEntry::builder()
                .id(place.to_string())
                .receipt_handle(receipt.0)
                .build()
        };
        let entries: Vec<_> = receipts
            .into_iter()
            .enumerate()
            .map(entry)
            .collect::<Result<_, _>>()
            .map_err(misbuilt)?;
        let call = self
            .access
            .settle
            .delete_message_batch()
            .queue_url(&self.settings.queue_url);
        let answer = call.set_entries(Some(entries)).send().await.map_err(classify)?;
        let done: Vec<_> = answer.successful().iter().map(|entry| entry.id()).collect();
        Ok(answers(count, &done, answer.failed()))
    }

    async fn hide(&self, receipts: Vec<(Receipt, Duration)>) -> Result<Vec<Settled>, Error> {
        let count = receipts.len();
        let entry = |(place, (receipt, length)): (usize, (Receipt, Duration))| {
            ChangeMessageVisibilityBatchRequestEntry::builder()
                .id(place.to_string())
                .receipt_handle(receipt.0)
                .visibility_timeout(seconds(length))
                .build()
        };
        let entries: Vec<_> = receipts
            .into_iter()
            .enumerate()
            .map(entry)
            .collect::<Result<_, _>>()
            .map_err(misbuilt)?;
        let call = self
            .access
            .settle
            .change_message_visibility_batch()
            .queue_url(&self.settings.queue_url);
        let answer = call.set_entries(Some(entries)).send().await.map_err(classify)?;
        let done: Vec<_> = answer.successful().iter().map(|entry| entry.id()).collect();
        Ok(answers(count, &done, answer.failed()))
    }
}

impl Source for SqsQueue {
    async fn receive(&self, call: Receive) -> Result<Vec<Message>, Error> {
        let settings = &self.settings;
        let attributes = settings.attributes.then(|| vec!["All".to_owned()]);
        let request = self
            .access
            .receive
            .receive_message()
            .queue_url(&settings.queue_url)
            .max_number_of_messages(i32::try_from(call.max).unwrap_or(10))
            .wait_time_seconds(seconds(settings.wait_time.to_std()))
            .visibility_timeout(seconds(settings.visibility_timeout.to_std()))
            .set_message_system_attribute_names(Some(SYSTEM_ATTRIBUTES.to_vec()))
            .set_message_attribute_names(attributes)
            .set_receive_request_attempt_id(self.ordered.then_some(call.attempt));
        let answer = request.send().await.map_err(classify)?;
        Ok(answer
            .messages
            .unwrap_or_default()
            .into_iter()
            .filter_map(ours)
            .collect())
    }

    async fn settle(&self, request: Settle, _limit: Duration) -> Result<Vec<Settled>, Error> {
        match request {
            Settle::Delete(receipts) => self.delete(receipts).await,
            Settle::Hide(receipts) => self.hide(receipts).await,
        }
    }

    fn renew(&self) {}
}

const SYSTEM_ATTRIBUTES: [SystemAttribute; 6] = [
    SystemAttribute::SentTimestamp,
    SystemAttribute::ApproximateReceiveCount,
    SystemAttribute::ApproximateFirstReceiveTimestamp,
    SystemAttribute::MessageGroupId,
    SystemAttribute::MessageDeduplicationId,
    SystemAttribute::SequenceNumber,
];

/// The headers of system attributes, in this order.
const SYSTEM_HEADERS: [(SystemAttribute, &str); 6] = [
    (SystemAttribute::SentTimestamp, "sqs.sent.timestamp"),
    (
        SystemAttribute::ApproximateReceiveCount,
        "sqs.approximate.receive.count",
    ),
    (
        SystemAttribute::ApproximateFirstReceiveTimestamp,
        "sqs.approximate.first.receive.timestamp",
    ),
    (SystemAttribute::MessageGroupId, "sqs.message.group.id"),
    (SystemAttribute::MessageDeduplicationId, "sqs.message.deduplication.id"),
    (SystemAttribute::SequenceNumber, "sqs.sequence.number"),
];

/// Makes a message ours. One without id or receipt could never be settled; SQS sends none.
fn ours(message: aws_sdk_sqs::types::Message) -> Option<Message> {
    let mut system = message.attributes.unwrap_or_default();
    let id = message.message_id?;
    let mut headers = vec![Header::text("sqs.message.id", id.clone())];
    headers.extend(message.md5_of_body.map(|md5| Header::text("sqs.md5.of.body", md5)));
    let known = SYSTEM_HEADERS
        .iter()
        .filter_map(|(attribute, name)| Some(Header::text(*name, system.get(attribute)?)));
    headers.extend(known);
    let mut custom: Vec<_> = message.message_attributes.unwrap_or_default().into_iter().collect();
    custom.sort_by(|one, other| one.0.cmp(&other.0));
    headers.extend(
        custom
            .into_iter()
            .flat_map(|(name, value)| attribute_headers(&name, value)),
    );
    let number = |attribute| system.get(&attribute).and_then(|text| text.parse::<u64>().ok());
    let sent_at = number(SystemAttribute::SentTimestamp);
    let receive_count = number(SystemAttribute::ApproximateReceiveCount).and_then(|count| u32::try_from(count).ok());
    let sequence = system
        .get(&SystemAttribute::SequenceNumber)
        .and_then(|text| text.parse().ok());
    Some(Message {
        id,
        receipt: Receipt(message.receipt_handle?),
        body: message.body.unwrap_or_default(),
        headers,
        group: system.remove(&SystemAttribute::MessageGroupId),
        sequence,
        sent_at,
        receive_count: receive_count.unwrap_or(1),
    })
}

/// A message attribute becomes its value and its type, a custom one such as `Number.price` included.
fn attribute_headers(name: &str, attribute: MessageAttributeValue) -> [Header; 2] {
    let text = attribute.string_value.map(Bytes::from);
    let value = text.or_else(|| attribute.binary_value.map(|blob| Bytes::from(blob.into_inner())));
    let name = format!("sqs.message.attribute.{name}");
    let kind = Header::text(format!("{name}.type"), attribute.data_type);
    [
        Header {
            name,
            value: value.unwrap_or_default(),
        },
        kind,
    ]
}

fn answers(count: usize, done: &[&str], failed: &[BatchResultErrorEntry]) -> Vec<Settled> {
    let answer = |place: usize| {
        let id = place.to_string();
        if done.contains(&id.as_str()) {
            return Settled::Done;
        }
        match failed.iter().find(|entry| entry.id() == id) {
            Some(entry) if is_stale(entry.code()) => Settled::Stale,
            Some(entry) => Settled::Failed(format!(
                "{}: {}",
                entry.code(),
                entry.message().unwrap_or("no reason given")
            )),
            None => Settled::Failed("the answer does not name this message".to_owned()),
        }
    };
    (0..count).map(answer).collect()
}

/// SQS calls a receipt that ran out an invalid parameter.
fn is_stale(code: &str) -> bool {
    let name = code.rsplit('.').next().unwrap_or(code);
    matches!(
        name,
        "ReceiptHandleIsInvalid" | "MessageNotInflight" | "InvalidParameterValue" | "InvalidIdFormat"
    )
}

fn classify<E, R>(error: SdkError<E, R>) -> Error
where
    E: ProvideErrorMetadata + StdError + 'static,
    R: std::fmt::Debug + 'static,
{
    let kind = match &error {
        SdkError::TimeoutError(_) => ErrorKind::Timeout,
        SdkError::DispatchFailure(failure) if failure.is_timeout() => ErrorKind::Timeout,
        SdkError::ServiceError(answer) => kind_of(answer.err().code().unwrap_or_default()),
        other if chain(other).contains("credential") => ErrorKind::Credentials,
        _ => ErrorKind::Unavailable,
    };
    let message = match &error {
        SdkError::ServiceError(answer) => {
            let code = answer.err().code().unwrap_or("no code");
            format!("{code}: {}", answer.err().message().unwrap_or("no reason given"))
        }
        // Unlike its debug form, an error's text carries no headers of the exchange.
        other => chain(other),
    };
    Error { kind, message }
}

fn kind_of(code: &str) -> ErrorKind {
    match code.rsplit('.').next().unwrap_or(code) {
        "NonExistentQueue" | "QueueDoesNotExist" | "QueueDeletedRecently" => ErrorKind::Missing,
        "OverLimit" => ErrorKind::OverLimit,
        "RequestThrottled"
        | "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "TooManyRequestsException"
        | "RequestLimitExceeded"
        | "SlowDown"
        | "KmsThrottled" => ErrorKind::Throttled,
        "AccessDenied" | "AccessDeniedException" | "KmsAccessDenied" | "InvalidSecurity" | "InvalidAddress" => {
            ErrorKind::Denied
        }
        "ExpiredToken"
        | "ExpiredTokenException"
        | "InvalidClientTokenId"
        | "UnrecognizedClientException"
        | "SignatureDoesNotMatch"
        | "MissingAuthenticationToken"
        | "IncompleteSignature" => ErrorKind::Credentials,
        _ => ErrorKind::Unavailable,
    }
}

fn misbuilt(error: aws_sdk_sqs::error::BuildError) -> Error {
    Error {
        kind: ErrorKind::Unavailable,
        message: error.to_string(),
    }
}

fn seconds(length: Duration) -> i32 {
    i32::try_from(length.as_secs()).unwrap_or(i32::MAX)
}

#[cfg(test)]
#[path = "sqs_tests.rs"]
mod tests;
