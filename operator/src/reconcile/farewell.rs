//! A pass for a name that has neither document nor state: what is left of it is told, and what was told of it comes to its
//! end. Nothing is changed in AWS.

use jiff::SignedDuration;
use penstock_crds::{Health, Name, Status};

use super::{Context, Error, Made, Pass, chain};
use crate::cloud::Cloud;
use crate::journal::Journal;
use crate::memory::{Change, Remembered, StateChange, StatusChange};
use crate::orphans::{Sighting, last_told};
use crate::plan::accept::{Judged, Verdict, Wanted, fresh_state};
use crate::plan::decide::{Seen, decide};
use crate::plan::resources::{Observed, Subject, TAG_GENERATION};
use crate::plan::status::{Next, is_orphaned};

/// Tells of an orphan, or that everything is over. Whoever looks for orphans asks for the next pass.
pub(super) async fn farewell<C: Cloud, J: Journal>(ctx: &Context<C, J>, name: &Name, remembered: &Remembered) -> Next {
    let last = last_told(remembered);
    match (ctx.orphans.get(name, last), last) {
        (Sighting::Present(subject), _) => tell_of_orphan(ctx, subject, remembered).await,
        (Sighting::Absent, Some(last)) => tell_the_end(ctx, name, last, remembered).await,
        // Nothing was ever accepted, so there is nothing that would have to be looked for.
        (Sighting::Unknown, Some(last)) if last.accepted_generation.is_none() && !is_orphaned(last) => {
            tell_the_end(ctx, name, last, remembered).await
        }
        (Sighting::Unknown | Sighting::Absent, _) => leave(ctx, name, remembered).await,
    }
}

/// Whether the last status tells of the end, and the time for which it is to be read is over.
pub fn is_over<C, J: Journal>(ctx: &Context<C, J>, remembered: &Remembered) -> bool {
    let period = SignedDuration::try_from(ctx.audit_period).unwrap_or(SignedDuration::MAX);
    let is_past =
        |status: &Status| status.health == Health::Deleted && (ctx.now)().duration_since(status.time) >= period;
    remembered.state.is_none() && remembered.status.as_ref().is_some_and(is_past)
}

/// Nothing is told, and nobody looks again. So what is remembered is written once more where a write got no answer, and a
/// status whose time is over goes.
async fn leave<C: Cloud, J: Journal>(ctx: &Context<C, J>, name: &Name, remembered: &Remembered) -> Next {
    let (doubt, is_over) = (ctx.memory.doubt(name), is_over(ctx, remembered));
    let status = remembered.status.clone().filter(|_| !is_over);
    let status = status.map_or(StatusChange::Remove, |status| StatusChange::Put(Box::new(status)));
    let change = Change {
        state: doubt.state.then_some(StateChange::Remove),
        status: (doubt.status || is_over).then_some(status),
    };
    if !change.is_empty()
        && let Err(error) = ctx.publish(name, &change).await
    {
        tracing::warn!(error = chain(&error), "Last state and status not written");
        return Next::Backoff;
    }
    Next::Forget
}

async fn tell_of_orphan<C: Cloud, J: Journal>(ctx: &Context<C, J>, subject: Subject, remembered: &Remembered) -> Next {
    let name = subject.name.clone();
    let observed = match ctx.observer.observe(subject.clone()).await.map_err(Error::Observe) {
        Ok(observed) => observed,
        Err(error) => {
            tracing::warn!(error = chain(&error), "Orphan not looked at");
            ctx.metrics.pass_failed(error.kind());
            return Next::Backoff;
        }
    };
    let Some(service) = &observed.resources.service else {
        // It has gone since it was found; the next look tells its end.
        return Next::Forget;
    };
    let generation = service.tags.get(TAG_GENERATION).and_then(|tag| tag.parse().ok());
    let judged = judged(Verdict::Orphan, subject.uid, generation);
    if !remembered.status.as_ref().is_some_and(is_orphaned) {
        let cluster = subject.cluster;
        tracing::warn!(
            cluster,
            "Orphan: a service carries our tag and has no document; see `penstock prune`"
        );
    }
    let made = Made {
        observed: Some(observed),
        ..Made::default()
    };
    finish(ctx, &name, &judged, remembered, made).await
}

async fn tell_the_end<C: Cloud, J: Journal>(
    ctx: &Context<C, J>,
    name: &Name,
    last: &Status,
    remembered: &Remembered,
) -> Next {
    let judged = judged(
        Verdict::Remove,
        last.uid.clone().unwrap_or_default(),
        last.observed_generation,
    );
    let observed = Observed::default();
    let seen = Seen {
        observed: &observed,
        queue: None,
        target: None,
        owner: &ctx.owner,
        now: (ctx.now)(),
        fresh_token: "",
    };
    let made = Made {
        plan: Some(decide(&judged, seen)),
        observed: Some(observed),
        ..Made::default()
    };
    finish(ctx, name, &judged, remembered, made).await
}

fn judged(verdict: Verdict, uid: String, generation: Option<i64>) -> Judged {
    Judged {
        verdict,
        state: fresh_state(uid, generation.unwrap_or_default()),
        faults: Vec::new(),
        actor: None,
    }
}

async fn finish<C: Cloud, J: Journal>(
    ctx: &Context<C, J>,
    name: &Name,
    judged: &Judged,
    remembered: &Remembered,
    made: Made,
) -> Next {
    let pass = Pass {
        name,
        wanted: &Wanted::default(),
        judged,
        remembered,
        made: 0,
        taken: Vec::new(),
    };
    match pass.finish(ctx, made).await {
        Next::Backoff => Next::Backoff,
        _ => Next::Forget,
    }
}
