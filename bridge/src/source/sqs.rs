//! The source that reads SQS.
//!
//! The calls that are made for every message have a client of their own (`sqs/client.rs`): the SDK's costs more than twice
//! as much, and tells how large an answer is only once it is read. What is asked seldom goes by the SDK.

mod client;
mod clock;
mod credentials;
mod error;
#[cfg(test)]
mod fake;
mod http;
mod message;
mod sign;
mod wire;

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::types::QueueAttributeName;
use bytes::Bytes;
use penstock_crds::SqsSource;
use penstock_kafka::chain;

use crate::source::access::Access;
use crate::source::{Error, ErrorKind, Message, Receipt, Receive, Settle, Settled, Source};
use client::{Call, Client};
use clock::Clock;
use error::Failure;
use wire::{Operation, Requests};

/// The largest message that any queue takes.
const LARGEST_MESSAGE: usize = 1 << 20;

/// How long a call may take that only asks whether it is allowed.
const PROBE: Duration = Duration::from_secs(5);

/// How much longer than its own wait a receive call may take.
const RECEIVE_MARGIN: Duration = Duration::from_secs(5);

/// One queue.
#[derive(Debug, Clone)]
pub struct SqsQueue {
    access: Access,
    settings: SqsSource,
    /// The client, or why there is none.
    client: Arc<Result<Client, String>>,
    requests: Arc<Requests>,
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
        let client =
            access.endpoint.as_ref().map_err(Clone::clone).and_then(|endpoint| {
                Client::new(endpoint, &access.region, access.credentials.clone(), Clock::system())
            });
        Self {
            client: Arc::new(client),
            requests: Arc::new(Requests::new(&settings)),
            access,
            settings,
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
            .seldom
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

    /// Asks for what messages will need, with a receipt that nobody was given, and returns the actions that are denied.
    /// SQS asks who is calling before it looks at the receipt.
    pub async fn denied_actions(&self) -> Vec<&'static str> {
        let nobodys = || Receipt("none".to_owned());
        let (delete, hide) = tokio::join!(
            self.settle(Settle::Delete(vec![nobodys()]), PROBE),
            self.settle(Settle::Hide(vec![(nobodys(), Duration::ZERO)]), PROBE)
        );
        let answers = [("sqs:DeleteMessage", delete), ("sqs:ChangeMessageVisibility", hide)];
        let denied = answers
            .into_iter()
            .filter(|(_, answer)| matches!(answer, Err(error) if error.kind == ErrorKind::Denied));
        denied.map(|(action, _)| action).collect()
    }

    async fn call(&self, call: Call<'_>) -> Result<Bytes, Error> {
        match &*self.client {
            Ok(client) => client.call(call).await,
            Err(why) => Err(Error {
                kind: ErrorKind::Unavailable,
                message: why.clone(),
            }),
        }
    }

    async fn settle_batch(
        &self,
        operation: Operation,
        request: Bytes,
        limit: Duration,
        receipts: Vec<Receipt>,
    ) -> Result<Vec<Settled>, Error> {
        let call = Call {
            operation,
            request,
            limit,
            again: true,
            room: None,
        };
        let answer = self.call(call).await.map_err(|error| Error {
            message: without(&receipts, error.message),
            ..error
        })?;
        let outcomes = wire::outcomes(&answer, receipts.len()).map_err(unreadable)?;
        let outcomes = outcomes.into_iter().map(|outcome| match outcome {
            Settled::Failed(why) => Settled::Failed(without(&receipts, why)),
            other => other,
        });
        Ok(outcomes.collect())
    }
}

impl Source for SqsQueue {
    async fn receive(&self, call: Receive) -> Result<Vec<Message>, Error> {
        let answer = self.call(Call {
            operation: Operation::Receive,
            request: self.requests.receive(call.max, &call.attempt),
            limit: self.settings.wait_time.to_std() + RECEIVE_MARGIN,
            // The caller repeats it under the same name, after a pause of its own.
            again: false,
            room: Some(&call.room),
        });
        message::messages(&answer.await?).map_err(unreadable)
    }

    async fn settle(&self, request: Settle, limit: Duration) -> Result<Vec<Settled>, Error> {
        match request {
            Settle::Delete(receipts) => {
                let request = self.requests.delete(&receipts);
                self.settle_batch(Operation::Delete, request, limit, receipts).await
            }
            Settle::Hide(receipts) => {
                let request = self.requests.hide(&receipts);
                let receipts = receipts.into_iter().map(|(receipt, _)| receipt).collect();
                self.settle_batch(Operation::Hide, request, limit, receipts).await
            }
        }
    }

    fn renew(&self) {
        if let Ok(client) = &*self.client {
            client.renew();
        }
    }
}

/// Takes receipts out of what SQS said: whoever has one can settle the message.
fn without(receipts: &[Receipt], text: String) -> String {
    let receipts = receipts.iter().filter(|receipt| !receipt.0.is_empty());
    receipts.fold(text, |text, receipt| text.replace(&receipt.0, "…"))
}

fn unreadable(error: serde_json::Error) -> Error {
    // Its place and what was expected there; a text that stood there would be repeated.
    let place = format!("line {}, column {}", error.line(), error.column());
    Failure::Read(format!("{:?} at {place}", error.classify())).into()
}

fn classify<E, R>(error: SdkError<E, R>) -> Error
where
    E: ProvideErrorMetadata + StdError + 'static,
    R: std::fmt::Debug + 'static,
{
    let kind = match &error {
        SdkError::TimeoutError(_) => ErrorKind::Timeout,
        SdkError::DispatchFailure(failure) if failure.is_timeout() => ErrorKind::Timeout,
        SdkError::ServiceError(answer) => error::kind_of(answer.err().code().unwrap_or_default()),
        other if chain(other).contains("credential") => ErrorKind::Credentials,
        _ => ErrorKind::Unavailable,
    };
    let message = match &error {
        SdkError::ServiceError(answer) => {
            let code = answer.err().code().unwrap_or("no code");
            let said = answer.err().message().unwrap_or("no reason given");
            format!("{code}: {}", error::readable_by_anybody(said))
        }
        // Unlike its debug form, an error's text carries no headers of the exchange.
        other => chain(other),
    };
    Error { kind, message }
}

#[cfg(test)]
#[path = "sqs/queue_tests.rs"]
mod tests;
