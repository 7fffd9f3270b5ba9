//! Receipt handles: which message of which queue, and which of its receives.

use crate::blob;
use crate::model::Fault;

/// What a receipt handle stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Receipt {
    /// The message's number in its queue.
    pub(super) number: u64,
    /// Which receive this was.
    pub(super) receive: u64,
}

impl Receipt {
    /// Returns the handle. `queue` tells queues apart, also of one name.
    pub(super) fn print(&self, queue: &str) -> String {
        blob::encode(format!("penstock {queue} {} {}", self.number, self.receive))
    }

    /// Reads a handle.
    pub(super) fn read(handle: &str, queue: &str) -> Result<Self, Fault> {
        parse(handle, queue).ok_or_else(|| {
            Fault::client(
                "ReceiptHandleIsInvalid",
                format!("The input receipt handle \"{handle}\" is not a valid receipt handle."),
            )
        })
    }
}

fn parse(handle: &str, queue: &str) -> Option<Receipt> {
    let text = String::from_utf8(blob::decode(handle).ok()?).ok()?;
    let mut parts = text
        .strip_prefix("penstock ")?
        .strip_prefix(queue)?
        .strip_prefix(' ')?
        .split(' ');
    let receipt = Receipt {
        number: parts.next()?.parse().ok()?,
        receive: parts.next()?.parse().ok()?,
    };
    parts.next().is_none().then_some(receipt)
}
