//! How orphans go: by the steps of a removal, one pass after the other, and only when a person says so.

use std::time::Duration;

use jiff::Timestamp;
use penstock_crds::ActionStatus;

use crate::cloud::Cloud;
use crate::observe::Observer;
use crate::plan::accept::{Judged, Verdict, fresh_state};
use crate::plan::action::Action;
use crate::plan::decide::{Plan, Seen, decide, is_gone};
use crate::plan::owner::Owner;
use crate::plan::resources::{Observed, Subject};
use crate::reconcile::{Error, record};

/// How soon a removal that waits for AWS is looked at again.
pub const AGAIN: Duration = Duration::from_secs(3);

/// What the next pass of a removal would do.
#[derive(Debug, Clone)]
pub struct Removal {
    /// Whose resources they are, and where.
    pub subject: Subject,
    /// What AWS holds.
    pub observed: Observed,
    /// The steps.
    pub plan: Plan,
    /// The calls in order, as a status would tell of them.
    pub calls: Vec<ActionStatus>,
}

impl Removal {
    /// Whether nothing is left.
    pub fn is_done(&self) -> bool {
        is_gone(&self.plan, &self.observed)
    }
}

/// Looks at an orphan and decides on the next pass of its removal.
pub async fn look(observer: &Observer, owner: &Owner, subject: Subject, now: Timestamp) -> Result<Removal, Error> {
    let observed = observer.observe(subject.clone()).await.map_err(Error::Observe)?;
    let judged = Judged {
        verdict: Verdict::Remove,
        state: fresh_state(subject.uid.clone(), 0),
        faults: Vec::new(),
        actor: None,
    };
    let seen = Seen {
        observed: &observed,
        queue: None,
        target: None,
        owner,
        now,
        fresh_token: "",
    };
    let plan = decide(&judged, seen);
    let call = |action: &Action| record(action, &subject, None, None);
    let calls = plan.actions.iter().map(call).collect();
    Ok(Removal {
        subject,
        observed,
        plan,
        calls,
    })
}

/// Makes the calls of one pass.
pub async fn apply<C: Cloud>(cloud: &C, removal: &Removal) -> Result<(), Error> {
    for action in &removal.plan.actions {
        let applied = cloud.apply(&removal.subject, action, None).await;
        applied.map_err(|source| Error::Apply {
            action: action.operation(),
            source,
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::cloud::fake::Fake;
    use crate::samples::{first_preview, orders, owner, subject};

    /// How many passes a removal may need.
    const PASSES: usize = 20;

    async fn orphaned() -> (Arc<Fake>, Subject) {
        let cloud = Arc::new(Fake::default());
        let preview = first_preview(&cloud).await;
        let subject = subject(orders());
        let mut registered = None;
        for action in &preview.plan.actions {
            let receipt = cloud
                .apply(&subject, action, registered.as_deref())
                .await
                .expect("it applies");
            registered = registered.or(receipt.arn);
        }
        cloud.settle();
        (cloud, subject)
    }

    #[tokio::test]
    async fn an_orphan_goes_in_a_few_passes_and_with_all_it_had() {
        let (cloud, subject) = orphaned().await;
        assert!(!crate::cloud::fake::is_empty(&cloud.observed(&orders()).resources));
        let observer = Observer::start(Arc::clone(&cloud));
        for _ in 0..PASSES {
            let removal = look(&observer, &owner(), subject.clone(), Timestamp::UNIX_EPOCH).await;
            let removal = removal.expect("AWS answers");
            if removal.is_done() {
                assert!(crate::cloud::fake::is_empty(&cloud.observed(&orders()).resources));
                return;
            }
            apply(&*cloud, &removal).await.expect("it applies");
            cloud.settle();
        }
        panic!("it is still there: {:?}", cloud.observed(&orders()));
    }
}
