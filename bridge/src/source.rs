//! Where messages come from, in our words.
//!
//! A source hands messages out under a lease and is later told what became of each. It keeps no list of its own: what is
//! held, and until when, stands in the pump's slot table alone. `source/sqs.rs` is the one that reads SQS.

pub mod access;
pub mod sqs;

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// The right to settle one delivery of one message; a redelivery carries another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt(pub String);

/// One message as the source handed it out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The id that stays the same over redeliveries.
    pub id: String,
    /// The right to settle this delivery.
    pub receipt: Receipt,
    /// The message itself.
    pub body: String,
    /// What goes into the record's headers, in order.
    pub headers: Vec<Header>,
    /// Messages of one group are delivered one after another.
    pub group: Option<String>,
    /// The place within the group.
    pub sequence: Option<u128>,
    /// Milliseconds since 1970 when the message was sent to the source, if the source says.
    pub sent_at: Option<u64>,
    /// How often it has been handed out, this time included.
    pub receive_count: u32,
}

impl Message {
    /// Returns the bytes that count against the buffer's limit.
    pub fn size(&self) -> usize {
        /// What a slot costs beside the bytes of the message: the table's entry, the receipt and the index by id.
        const OVERHEAD: usize = 768;
        let headers: usize = self
            .headers
            .iter()
            .map(|header| header.name.len() + header.value.len())
            .sum();
        // The sink has its own copy of the headers; the body is in one place only.
        OVERHEAD + self.body.len() + 2 * headers
    }
}

/// One header of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Its name.
    pub name: Cow<'static, str>,
    /// Its value, any bytes.
    pub value: Bytes,
}

impl Header {
    /// Makes a header of text.
    pub fn text(name: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            value: Bytes::from(value.into()),
        }
    }
}

/// One call for messages.
#[derive(Debug, Clone)]
pub struct Receive {
    /// The most messages to return.
    pub max: u32,
    /// The name of this attempt: a call that failed is repeated under the same name, so that an ordered source can hand
    /// out again what the lost reply held.
    pub attempt: String,
    /// Room for the reply.
    pub room: Room,
}

/// The room that is reserved for the reply to one call, and the way to ask for more.
#[derive(Debug, Clone)]
pub struct Room {
    /// The bytes that are reserved.
    pub reserved: usize,
    call: u64,
    asks: Option<mpsc::Sender<Ask>>,
    /// How long the messages of a reply are ours.
    patience: Duration,
    is_awaited: Arc<AtomicBool>,
    was_awaited: Arc<AtomicBool>,
}

/// There was no room for a reply for so long that its messages are somebody else's by now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there was no room for it until the lease on its messages ran out")]
pub struct NoRoom;

/// A call asks for room for a reply that is larger than what is reserved for it.
#[derive(Debug)]
pub(crate) struct Ask {
    /// Which call.
    pub(crate) call: u64,
    /// The size of the whole reply.
    pub(crate) bytes: usize,
    /// Where to say that there is room.
    pub(crate) granted: oneshot::Sender<()>,
}

impl Room {
    /// Room for `reserved` bytes; for more, `asks` is asked.
    /// No reply waits longer than `patience`.
    pub(crate) fn asking(reserved: usize, call: u64, asks: mpsc::Sender<Ask>, patience: Duration) -> Self {
        Self {
            reserved,
            call,
            asks: Some(asks),
            patience,
            is_awaited: Arc::default(),
            was_awaited: Arc::default(),
        }
    }

    /// Room for anything.
    pub fn unlimited() -> Self {
        Self {
            reserved: usize::MAX,
            call: 0,
            asks: None,
            patience: Duration::ZERO,
            is_awaited: Arc::default(),
            was_awaited: Arc::default(),
        }
    }

    /// Returns once there is room for a reply of that many bytes. To be called when its size is known and before it is
    /// read, so that what waits is not held here.
    pub async fn grow(&self, bytes: usize) -> Result<(), NoRoom> {
        if bytes <= self.reserved {
            return Ok(());
        }
        let Some(asks) = &self.asks else { return Ok(()) };
        let (granted, answer) = oneshot::channel();
        let ask = Ask {
            call: self.call,
            bytes,
            granted,
        };
        self.is_awaited.store(true, Ordering::Relaxed);
        self.was_awaited.store(true, Ordering::Relaxed);
        let granted = timeout(self.patience, async {
            // A pump that is gone needs no bound.
            if asks.send(ask).await.is_ok() {
                let _ = answer.await;
            }
        });
        let granted = granted.await.map_err(|_| NoRoom);
        self.is_awaited.store(false, Ordering::Relaxed);
        granted
    }

    /// Whether a reply waits for room just now.
    pub(crate) fn is_awaited(&self) -> bool {
        self.is_awaited.load(Ordering::Relaxed)
    }

    /// Whether a reply waited for room at any time since this was asked last.
    pub(crate) fn was_awaited(&self) -> bool {
        self.was_awaited.swap(self.is_awaited(), Ordering::Relaxed)
    }
}

/// What a source is told about messages that it handed out, at most [`SETTLE_BATCH`] at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settle {
    /// These are safe elsewhere: forget them.
    Delete(Vec<Receipt>),
    /// Hide each for that long from now on: a longer lease, or zero to hand it to somebody else.
    Hide(Vec<(Receipt, Duration)>),
}

/// The most messages that one [`Settle`] may name.
pub const SETTLE_BATCH: usize = 10;

/// What became of one receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// It is done.
    Done,
    /// The receipt is void: the lease ran out, or another delivery replaced it.
    Stale,
    /// It was not done, but may be tried again.
    Failed(String),
}

/// A source of messages.
pub trait Source: Send + Sync + 'static {
    /// Waits for messages as long as the source was configured to.
    fn receive(&self, call: Receive) -> impl Future<Output = Result<Vec<Message>, Error>> + Send;

    /// Settles messages within `limit`; the answers are in the order of the question.
    fn settle(&self, request: Settle, limit: Duration) -> impl Future<Output = Result<Vec<Settled>, Error>> + Send;

    /// Begins anew: whatever connections there are get replaced.
    fn renew(&self);
}

/// Why a whole call failed. Every kind is waited out: what is wrong may be mended while the bridge runs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {message}")]
pub struct Error {
    /// What kind of failure it is.
    pub kind: ErrorKind,
    /// What the source said, free of secrets.
    pub message: String,
}

/// The kinds of failure that are waited out differently or have another remedy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The source asks for fewer calls.
    Throttled,
    /// More messages are in flight than the source allows.
    OverLimit,
    /// The queue is not there.
    Missing,
    /// The caller may not do this.
    Denied,
    /// The caller's credentials are missing, expired or wrong.
    Credentials,
    /// There was no answer in time.
    Timeout,
    /// Anything else: connection failures and errors of the source's own.
    Unavailable,
}

impl ErrorKind {
    /// Returns its name for metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Throttled => "throttled",
            Self::OverLimit => "over_limit",
            Self::Missing => "missing",
            Self::Denied => "denied",
            Self::Credentials => "credentials",
            Self::Timeout => "timeout",
            Self::Unavailable => "unavailable",
        }
    }
}

impl std::fmt::Display for ErrorKind {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Self::Throttled => "the queue's service asks for fewer calls",
            Self::OverLimit => "too many messages of the queue are in flight",
            Self::Missing => "the queue does not exist",
            Self::Denied => "access to the queue is denied",
            Self::Credentials => "the credentials for the queue are missing, expired or wrong",
            Self::Timeout => "the queue's service did not answer in time",
            Self::Unavailable => "the queue's service cannot be used",
        })
    }
}
