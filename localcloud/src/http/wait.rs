//! Long polls: a receive that finds nothing waits for a message, for as long as it was told to.

use std::time::Duration;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::SharedCloud;
use crate::model::route::Received;
use crate::model::{Answer, Scope};

/// Receives messages; ends early with what there is when the front stops.
pub(super) async fn receive(cloud: &SharedCloud, stopping: &CancellationToken, scope: &Scope, input: &Value) -> Answer {
    let since = cloud.now().real;
    loop {
        // Enabled before the look, so that a message that comes between look and wait still wakes it.
        let changed = cloud.changed().notified();
        tokio::pin!(changed);
        changed.as_mut().enable();
        let patient = !stopping.is_cancelled();
        let wait = match cloud.with(|cloud, now| cloud.receive(scope, input, since, patient, now)) {
            Received::Answer(answer) => return answer,
            Received::Wait(milliseconds) => Duration::from_millis(milliseconds.max(1)),
        };
        tokio::select! {
            () = changed => {}
            () = stopping.cancelled() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}
