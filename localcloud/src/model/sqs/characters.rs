//! Which characters SQS takes, and where.

use super::invalid;
use crate::model::Fault;

/// Refuses a text with characters that XML has no place for.
pub(super) fn check_text(text: &str) -> Result<(), Fault> {
    let bad = text.chars().find(|&letter| {
        !matches!(letter, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..='\u{10FFFF}')
    });
    match bad {
        None => Ok(()),
        Some(letter) => Err(Fault::client(
            "InvalidMessageContents",
            format!(
                "Invalid binary character '#x{:X}' was found in the message body or an attribute.",
                u32::from(letter)
            ),
        )),
    }
}

/// Refuses a group or deduplication id that is empty, longer than 128 characters, or not plain ASCII.
pub(super) fn check_id(parameter: &str, id: &str) -> Result<(), Fault> {
    if (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    Err(invalid(format!(
        "Value {id} for parameter {parameter} is invalid. Reason: {parameter} can only include alphanumeric and \
         punctuation characters. 1 to 128 in length."
    )))
}

/// Says whether `name` may name a queue, the suffix of a FIFO queue left out.
pub(super) fn is_queue_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}
