//! What goes round by itself beside the passes: queues of connectors that may sleep, backlogs that no policy can read,
//! orphans, and status records whose time is over.
//!
//! Queues that do not answer have a round of their own, however long that takes, so that they hold up no other.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use penstock_crds::{Connector, Name, Phase, State};

use crate::cloud::{Cloud, Error};
use crate::journal::Journal;
use crate::memory::Remembered;
use crate::orphans::{cluster_of, kept, last_told, orphans, unfinished};
use crate::plan::accept::in_force;
use crate::plan::desired::Surroundings;
use crate::plan::polled::{is_polled, is_published, may_sleep};
use crate::plan::resources::{QueueDepth, Subject};
use crate::queue::Queue;
use crate::reconcile::{Context, depth, is_over};

mod silent;

pub use silent::Silent;

/// Queues read at once.
const AT_ONCE: usize = 64;
/// Old statuses that are removed in a round: while the brokers are away, each holds a pass up that others wait for.
const ENDED_AT_ONCE: usize = 16;
/// Looks at the queues of all connectors that may sleep, once; not at those that do not answer.
pub async fn look_at_queues<C: Cloud, J: Journal>(ctx: &Context<C, J>, queue: &Queue, silent: &Silent) {
    let is_looked_at = |(name, connector, _): &(Name, Connector, State)| may_sleep(connector) && !silent.has(name);
    let looks = moving(ctx).into_iter().filter(is_looked_at);
    futures::stream::iter(looks)
        .for_each_concurrent(AT_ONCE, async |(name, connector, state)| {
            let depth = backlog(ctx, &name, &connector, silent).await;
            if depth.is_some_and(|backlog| wants_a_pass(&connector, &state, backlog, (ctx.now)())) {
                queue.suggest(&name);
            }
        })
        .await;
}

/// Returns the connectors whose count is not fixed, with the document in force and the last state.
fn moving<C, J>(ctx: &Context<C, J>) -> Vec<(Name, Connector, State)> {
    let moves = |state: &State| !state.deleting && matches!(state.phase, Phase::Awake | Phase::Asleep);
    let moving = |(name, remembered): (Name, Remembered)| {
        let state = remembered.state.filter(moves)?;
        let connector = in_force(&name, &state)?;
        Some((name, connector, state))
    };
    ctx.memory.all().into_iter().filter_map(moving).collect()
}

/// Asks the queues that did not answer, once: those that do are among the others from their next round on.
pub async fn ask_silent_queues<C: Cloud, J: Journal>(ctx: &Context<C, J>, around: &Surroundings, silent: &Silent) {
    if silent.is_empty() {
        return;
    }
    let polled = moving(ctx)
        .into_iter()
        .filter(|(_, connector, _)| is_polled(connector, around));
    let asked: Vec<_> = polled.filter(|(name, ..)| silent.has(name)).collect();
    silent.keep(asked.iter().map(|(name, ..)| name));
    futures::stream::iter(asked)
        .for_each_concurrent(AT_ONCE, async |(name, connector, _)| {
            backlog(ctx, &name, &connector, silent).await;
        })
        .await;
}

/// Reads how many messages wait or are in flight, and notes whether the queue answers.
async fn backlog<C: Cloud, J>(ctx: &Context<C, J>, name: &Name, connector: &Connector, silent: &Silent) -> Option<u64> {
    let read = depth(&*ctx.cloud, &connector.source, None).await;
    silent.note(name, matches!(read, Err(Error::Reach { .. })));
    let read = read.inspect_err(|error| tracing::warn!(connector = %name, %error, "Queue not read"));
    read.ok().map(QueueDepth::backlog)
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

/// Publishes the backlog per task of every connector whose queue no stored policy or alarm can read, once; not where the
/// queue does not answer.
pub async fn publish_backlogs<C: Cloud, J: Journal>(ctx: &Context<C, J>, around: &Surroundings, silent: &Silent) {
    let has_a_turn = |(name, connector, state): &(Name, Connector, State)| {
        state.phase == Phase::Awake && is_published(connector, around) && !silent.has(name)
    };
    let published = moving(ctx).into_iter().filter(has_a_turn);
    let published: Vec<_> = published
        .map(|(name, connector, state)| (subject(ctx, name, &connector, state), connector))
        .collect();
    if published.is_empty() {
        return;
    }
    let subjects: Vec<_> = published.iter().map(|(subject, _)| subject.clone()).collect();
    // The counts move between passes, so they are read now: a stale one would scale by the wrong number.
    let running = ctx.cloud.running(&subjects).await;
    futures::stream::iter(published)
        .for_each_concurrent(AT_ONCE, async |(subject, connector)| match running.get(&subject.name) {
            Some(Ok(running)) if *running > 0 => publish_backlog(ctx, &subject, &connector, *running, silent).await,
            Some(Err(error)) => tracing::warn!(connector = %subject.name, %error, "Backlog not published"),
            Some(Ok(_)) | None => {}
        })
        .await;
}

fn subject<C, J>(ctx: &Context<C, J>, name: Name, connector: &Connector, state: State) -> Subject {
    Subject {
        operator: ctx.owner.name.clone(),
        name,
        uid: state.uid,
        cluster: connector.service.cluster.clone(),
    }
}

async fn publish_backlog<C: Cloud, J: Journal>(
    ctx: &Context<C, J>,
    subject: &Subject,
    connector: &Connector,
    running: i32,
    silent: &Silent,
) {
    let Some(backlog) = backlog(ctx, &subject.name, connector, silent).await else {
        return;
    };
    #[expect(
        clippy::cast_precision_loss,
        reason = "a backlog beyond 2^53 messages does not exist"
    )]
    let per_task = backlog as f64 / f64::from(running);
    if let Err(error) = ctx.cloud.publish_backlog(subject, per_task).await {
        tracing::warn!(connector = %subject.name, %error, "Backlog not published");
    }
}

/// Looks for services that carry our tag and have neither document nor state, and asks for a pass that tells of each; and
/// for one that tells the end of what was told of and is no more. Nothing is removed: that is what `penstock prune
/// --confirm` is for.
pub async fn look_for_orphans<C: Cloud, J: Journal>(
    ctx: &Context<C, J>,
    queue: &Queue,
    clusters: &BTreeSet<String>,
    documents: impl Fn() -> BTreeSet<Name>,
) {
    let before = ctx.memory.all();
    let clusters = orphaned_clusters(clusters, &before);
    let mut with_state: BTreeSet<_> = kept(&before).collect();
    drop(before);
    let (mut owned, mut unseen) = (Vec::new(), BTreeSet::new());
    for (cluster, found) in ctx.cloud.owned(&clusters).await {
        match found {
            Ok(found) => owned.extend(found),
            Err(error) => {
                tracing::warn!(cluster, %error, "Orphans not looked for in this cluster; what was seen there stands");
                owned.extend(ctx.orphans.seen_in(&cluster));
                unseen.insert(cluster);
            }
        }
    }
    // While the clusters were read, a removal may have ended and a connector may have come: neither leaves an orphan.
    let (documents, after) = (documents(), ctx.memory.all());
    with_state.extend(kept(&after));
    let found = orphans(owned, &documents, &with_state);
    ctx.metrics.orphans(found.len());
    for subject in &found {
        queue.suggest(&subject.name);
    }
    ctx.orphans.keep(found, unseen);
    for name in unfinished(&documents, &after) {
        queue.suggest(&name);
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

#[cfg(test)]
mod tests;
