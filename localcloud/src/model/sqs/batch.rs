//! What batches have in common: their own limits, and one outcome per entry.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::characters::is_queue_name;
use crate::model::{Answer, Fault, input};

/// The most entries of one batch.
const MOST_ENTRIES: usize = 10;

/// Returns the entries, or why the batch as a whole is refused.
pub(super) fn entries(batch: &Value) -> Result<&[Value], Fault> {
    let entries = input::list(batch, "Entries");
    let refused = |code: &str, message: String| Err(Fault::client(code, message));
    if entries.is_empty() {
        return refused(
            "EmptyBatchRequest",
            "There should be at least one entry in the request.".to_owned(),
        );
    }
    if entries.len() > MOST_ENTRIES {
        let message = format!(
            "Maximum number of entries per request are {MOST_ENTRIES}. You have sent {}.",
            entries.len()
        );
        return refused("TooManyEntriesInBatchRequest", message);
    }
    let mut ids = BTreeSet::new();
    for id in entries.iter().map(|entry| input::required(entry, "Id")) {
        if id.len() > 80 || !is_queue_name(id) {
            let message = "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at \
                           most 80 letters long.";
            return refused("InvalidBatchEntryId", message.to_owned());
        }
        if !ids.insert(id) {
            return refused("BatchEntryIdsNotDistinct", format!("Id {id} repeated."));
        }
    }
    Ok(entries)
}

/// Does `act` for each entry and gathers what came of it.
pub(super) fn gather(entries: &[Value], mut act: impl FnMut(&Value) -> Answer) -> Value {
    let (mut successful, mut failed) = (Vec::new(), Vec::new());
    for entry in entries {
        let id = input::required(entry, "Id");
        match act(entry) {
            Ok(mut output) => {
                output["Id"] = json!(id);
                successful.push(output);
            }
            Err(fault) => failed.push(json!({
                "Id": id, "Code": fault.code, "Message": fault.message, "SenderFault": fault.status < 500,
            })),
        }
    }
    json!({"Successful": successful, "Failed": failed})
}
