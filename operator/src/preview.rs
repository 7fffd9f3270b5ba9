//! What the next pass for a connector would do, from the pass's own code. It reads AWS and changes nothing.

use std::sync::Arc;

use futures::StreamExt;
use jiff::Timestamp;
use penstock_crds::{ActionStatus, Name, State};

use crate::cloud::Cloud;
use crate::observe::Observer;
use crate::plan::accept::{Judged, Wanted, accept};
use crate::plan::decide::{Plan, Seen, decide};
use crate::plan::home::Home;
use crate::plan::owner::Owner;
use crate::plan::resources::{Observed, QueueDepth};
use crate::plan::status::name_taken;
use crate::reconcile::{Error, Looked, look, record, subject};

/// Connectors looked at at once; their reads share batches.
const AT_ONCE: usize = 64;
/// Stands where a pass would send a client token of its own.
const NO_TOKEN: &str = "preview";

/// A connector whose next pass is asked for.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Which connector.
    pub name: Name,
    /// What the spec topic says of it.
    pub wanted: Wanted,
    /// What the operator remembers of it.
    pub last: Option<State>,
}

/// What the next pass would do.
#[derive(Debug, Clone)]
pub struct Preview {
    /// What is in force, and what is wrong with the latest document.
    pub judged: Judged,
    /// What would be remembered and done.
    pub plan: Plan,
    /// The calls in order, as a status would tell of them.
    pub calls: Vec<ActionStatus>,
    /// The queue, if it was read.
    pub queue: Option<QueueDepth>,
    /// What the connector needs and somebody else has, in words.
    pub taken: Option<String>,
}

/// Previews the next pass of each connector, in their order; nothing for one that no pass would know of.
pub async fn previews<C: Cloud>(
    cloud: Arc<C>,
    owner: &Owner,
    home: &Home,
    asked: Vec<Asked>,
    now: Timestamp,
) -> Vec<(Name, Result<Option<Preview>, Error>)> {
    let observer = Observer::start(Arc::clone(&cloud));
    let (cloud, observer) = (&cloud, &observer);
    let previews = futures::stream::iter(asked).map(|asked| async move {
        let preview = preview(&**cloud, observer, owner, home, &asked, now).await;
        (asked.name, preview)
    });
    previews.buffered(AT_ONCE).collect().await
}

async fn preview<C: Cloud>(
    cloud: &C,
    observer: &Observer,
    owner: &Owner,
    home: &Home,
    asked: &Asked,
    now: Timestamp,
) -> Result<Option<Preview>, Error> {
    let Some(judged) = accept(&asked.name, &asked.wanted, asked.last.as_ref(), home) else {
        return Ok(None);
    };
    let subject = subject(&owner.name, &asked.name, &judged);
    let (observed, queue) = match &subject {
        Some(subject) => look(cloud, observer, subject.clone(), &judged).await?,
        None => (Observed::default(), Looked::default()),
    };
    let seen = Seen {
        observed: &observed,
        queue: queue.depth,
        target: asked.wanted.target.as_ref(),
        owner,
        now,
        fresh_token: NO_TOKEN,
    };
    let plan = decide(&judged, seen);
    let call = |subject| {
        plan.actions
            .iter()
            .map(move |action| record(action, subject, None, None))
    };
    let calls = subject.iter().flat_map(call).collect();
    Ok(Some(Preview {
        judged,
        plan,
        calls,
        queue: queue.depth,
        taken: (!observed.foreign.is_empty()).then(|| name_taken(owner, &asked.name, &observed)),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::fake::Fake;
    use crate::plan::accept::Verdict;
    use crate::samples::{first_preview, home, orders, owner};

    #[tokio::test]
    async fn a_new_connector_is_previewed_with_every_call_and_none_is_made() {
        let cloud = Arc::new(Fake::default());
        let preview = first_preview(&cloud).await;
        assert!(matches!(preview.judged.verdict, Verdict::Keep(..)));
        assert_eq!(preview.calls[0].operation, "RegisterTaskDefinition");
        assert_eq!(preview.calls.len(), preview.plan.actions.len());
        assert_eq!(cloud.take_calls(), Vec::<String>::new());
    }

    #[tokio::test]
    async fn a_name_that_no_pass_would_know_of_has_no_preview() {
        let asked = Asked {
            name: orders(),
            wanted: Wanted::default(),
            last: None,
        };
        let made = previews(
            Arc::new(Fake::default()),
            &owner(),
            &home(),
            vec![asked],
            Timestamp::UNIX_EPOCH,
        )
        .await;
        assert!(matches!(made[0].1, Ok(None)));
    }
}
