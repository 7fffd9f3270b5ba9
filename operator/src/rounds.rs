//! What goes round by itself beside the passes: queues of connectors that may sleep, backlogs that no policy can read,
//! orphans, and status records whose time is over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use penstock_crds::{Connector, Name, Phase, State};

use crate::cloud::Cloud;
use crate::journal::Journal;
use crate::memory::Remembered;
use crate::orphans::{cluster_of, kept, last_told, orphans, unfinished};
use crate::plan::accept::in_force;
use crate::plan::desired::{Surroundings, is_foreign_queue};
use crate::plan::resources::Subject;
use crate::queue::Queue;
use crate::reconcile::{Context, is_over};

/// Queues read at once.
const AT_ONCE: usize = 16;
/// Old statuses that are removed in a round: while the brokers are away, each holds a pass up that others wait for.
const ENDED_AT_ONCE: usize = 16;

/// Looks at the queues of all connectors that need it, once.
pub async fn look_at_queues<C: Cloud, J: Journal>(ctx: &Arc<Context<C, J>>, queue: &Queue, around: &Surroundings) {
    let remembered = ctx.memory.all();
    futures::stream::iter(remembered)
        .for_each_concurrent(AT_ONCE, |(name, remembered)| {
            look_at_queue(ctx, queue, around, name, remembered)
        })
        .await;
}

async fn look_at_queue<C: Cloud, J: Journal>(
    ctx: &Arc<Context<C, J>>,
    queue: &Queue,
    around: &Surroundings,
    name: Name,
    remembered: Remembered,
) {
    let Some(state) = remembered.state.as_ref().filter(|state| !state.deleting) else {
        return;
    };
    let Some(connector) = in_force(&name, state) else {
        return;
    };
    let sleeps = connector.scaling.as_ref().is_some_and(|scaling| scaling.min == 0);
    let foreign = connector.scaling.is_some() && is_foreign_queue(&connector, around);
    if !matches!(state.phase, Phase::Awake | Phase::Asleep) || !(sleeps || foreign) {
        return;
    }
    let depth = match ctx.cloud.queue(&connector.source, None).await {
        Ok(depth) => depth,
        Err(error) => return tracing::warn!(connector = %name, %error, "Queue not read"),
    };
    if sleeps && wants_a_pass(&connector, state, depth.backlog(), (ctx.now)()) {
        queue.request(&name);
    }
    if foreign {
        publish_backlog(ctx, &name, &connector, state, depth.backlog()).await;
    }
}

/// Whether the queue says something that the last pass did not know.
fn wants_a_pass(connector: &Connector, state: &State, backlog: u64, now: Timestamp) -> bool {
    let Some(scaling) = &connector.scaling else {
        return false;
    };
    let cooldown = SignedDuration::try_from(scaling.cooldown_sleep.to_std()).unwrap_or(SignedDuration::MAX);
    match (state.phase, state.idle_since) {
        (Phase::Asleep, _) => backlog > 0,
        (Phase::Awake, None) => backlog == 0,
        (Phase::Awake, Some(since)) => backlog > 0 || now.duration_since(since) >= cooldown,
        (Phase::Paused | Phase::Stopped, _) => false,
    }
}

async fn publish_backlog<C: Cloud, J: Journal>(
    ctx: &Arc<Context<C, J>>,
    name: &Name,
    connector: &Connector,
    state: &State,
    backlog: u64,
) {
    let cluster = connector.service.cluster.clone();
    let subject = Subject {
        operator: ctx.owner.name.clone(),
        name: name.clone(),
        uid: state.uid.clone(),
        cluster,
    };
    // The count moves between passes, so it is read now: a stale one would scale by the wrong number.
    let running = match ctx.observer.observe(subject.clone()).await {
        Ok(observed) if observed.counts.running > 0 => observed.counts.running,
        Ok(_) => return,
        Err(error) => return tracing::warn!(connector = %name, %error, "Backlog not published"),
    };
    #[expect(
        clippy::cast_precision_loss,
        reason = "a backlog beyond 2^53 messages does not exist"
    )]
    let per_task = backlog as f64 / f64::from(running);
    if let Err(error) = ctx.cloud.publish_backlog(&subject, per_task).await {
        tracing::warn!(connector = %name, %error, "Backlog not published");
    }
}

/// Looks for services that carry our tag and have neither document nor state, and asks for a pass that tells of each; and
/// for one that tells the end of what was told of and is no more. Nothing is removed: that is what `penstock prune
/// --confirm` is for.
pub async fn look_for_orphans<C: Cloud, J: Journal>(
    ctx: &Arc<Context<C, J>>,
    queue: &Queue,
    clusters: &BTreeSet<String>,
    documents: impl Fn() -> BTreeSet<Name>,
) {
    let before = ctx.memory.all();
    let clusters = orphaned_clusters(clusters, &before);
    let mut with_state: BTreeSet<_> = kept(&before).collect();
    drop(before);
    let owned = match ctx.cloud.owned(&clusters).await {
        Ok(owned) => owned,
        Err(error) => return tracing::warn!(%error, "Orphans not looked for"),
    };
    // While the clusters were read, a removal may have ended and a connector may have come: neither leaves an orphan.
    let (documents, after) = (documents(), ctx.memory.all());
    with_state.extend(kept(&after));
    let found = orphans(owned, &documents, &with_state);
    ctx.metrics.orphans(found.len());
    for subject in &found {
        queue.request(&subject.name);
    }
    ctx.orphans.keep(found);
    for name in unfinished(&documents, &after) {
        queue.request(&name);
    }
}

/// Returns the clusters to look in: those that are set, those of what is kept, and those of what was told of last.
fn orphaned_clusters(set: &BTreeSet<String>, remembered: &BTreeMap<Name, Remembered>) -> BTreeSet<String> {
    let known = |state: &State| state.accepted.as_ref()?.spec.service.as_ref()?.cluster.clone();
    let cluster = |remembered: &Remembered| match &remembered.state {
        Some(state) => known(state),
        None => last_told(remembered).and_then(cluster_of),
    };
    set.iter()
        .cloned()
        .chain(remembered.values().filter_map(cluster))
        .collect()
}

/// Asks for a pass for each connector that was deleted longer ago than the audit period: it removes the last status, unless
/// the connector was written again meanwhile.
pub fn end_old_statuses<C: Cloud, J: Journal>(ctx: &Context<C, J>, queue: &Queue) {
    let remembered = ctx.memory.all();
    let over = remembered.iter().filter(|(_, remembered)| is_over(ctx, remembered));
    for (name, _) in over.take(ENDED_AT_ONCE) {
        queue.request(name);
    }
}
