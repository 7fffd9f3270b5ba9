//! One pass for one connector: a few named steps, safe to repeat, and safe to abandon after any of them.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use penstock_crds::{ActionStatus, Name, State, Status};
use penstock_kafka::chain;

use crate::cloud::{self, Cloud, Receipt};
use crate::journal::{self, Journal};
use crate::memory::{Change, Memory, Remembered, StateChange, StatusChange};
use crate::observe::Observer;
use crate::orphans::Orphans;
use crate::plan::accept::{Judged, Verdict, Wanted, accept};
use crate::plan::action::Action;
use crate::plan::decide::{Plan, Seen, decide};
use crate::plan::home::Home;
use crate::plan::owner::{OperatorName, Owner};
use crate::plan::resources::{Observed, Subject};
use crate::plan::status::{Failure, Next, Outcome, is_gone, is_news, next, status};
use crate::telemetry::Metrics;

mod farewell;
mod look;

use farewell::farewell;
pub use farewell::is_over;
#[cfg(test)]
pub(crate) use look::QUEUE_LIMIT;
use look::looked_at_again;
pub(crate) use look::{Looked, depth, look};

/// What every pass works with.
#[derive(Debug)]
pub struct Context<C, J> {
    /// AWS, for what changes something.
    pub cloud: Arc<C>,
    /// AWS, for what is read.
    pub observer: Observer,
    /// The state and status topics.
    pub journal: J,
    /// The last state and status.
    pub memory: Memory,
    /// The operator.
    pub owner: Owner,
    /// Where its clusters are.
    pub home: Home,
    /// What nobody wants or remembers, as it was last looked for.
    pub orphans: Orphans,
    /// How long the last status of what is gone stays.
    pub audit_period: Duration,
    /// What the operator counts.
    pub metrics: Metrics,
    /// The clock.
    pub now: fn() -> Timestamp,
}

impl<C, J: Journal> Context<C, J> {
    /// Writes a change to the topics and keeps it. Whoever gets an error, or does not wait for the end, has to expect that
    /// the topics hold it all the same: the next pass writes what is true then.
    async fn publish(&self, name: &Name, change: &Change) -> Result<(), journal::Error> {
        self.memory.send(name, change);
        self.journal.publish(name, change).await?;
        self.memory.keep(name, change);
        Ok(())
    }
}

/// Why a pass was cut short.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A read failed: nothing is known, so nothing was done.
    #[error("could not observe the connector")]
    Observe(#[source] cloud::Error),
    /// A call that changes something failed.
    #[error("could not apply {action}")]
    Apply {
        /// The AWS operation.
        action: &'static str,
        /// Why.
        source: cloud::Error,
    },
    /// The state or status could not be written.
    #[error("could not write state and status")]
    Publish(#[source] journal::Error),
}

impl Error {
    /// Returns the variant's name with its source's: a metric label.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Observe(_) => "observe",
            Self::Apply { .. } => "apply",
            Self::Publish(_) => "publish",
        }
    }

    fn failure(&self) -> Failure {
        let (source, step) = match self {
            Self::Observe(source) => (Some(source), "ObserveFailed"),
            Self::Apply { source, .. } => (Some(source), "ApplyFailed"),
            Self::Publish(_) => (None, "PublishFailed"),
        };
        let reason = match source {
            Some(cloud::Error::Throttle { .. }) => "Throttled",
            Some(cloud::Error::Deny { .. }) => "AccessDenied",
            Some(cloud::Error::Wait { .. }) => "Waiting",
            _ => step,
        };
        Failure {
            message: chain(self),
            reason,
            waiting: matches!(source, Some(cloud::Error::Wait { .. })),
        }
    }
}

/// Makes one pass for `name` and says when to look again.
#[tracing::instrument(skip_all, fields(connector = %name))]
pub async fn reconcile<C: Cloud, J: Journal>(ctx: &Context<C, J>, name: &Name, wanted: &Wanted) -> Next {
    let remembered = ctx.memory.get(name);
    let Some(judged) = accept(name, wanted, remembered.state.as_ref(), &ctx.home) else {
        return Box::pin(farewell(ctx, name, &remembered)).await;
    };
    let mut pass = Pass {
        name,
        wanted,
        judged: &judged,
        remembered: &remembered,
        made: 0,
        taken: Vec::new(),
    };
    // In boxes: a step's future is large, and whoever waits for it would have it on the stack, some copies of it in a debug build.
    let made = match Box::pin(pass.make(ctx)).await {
        Ok(made) => made,
        Err((made, error)) => {
            tracing::warn!(error = chain(&error), "Pass cut short");
            ctx.metrics.pass_failed(error.kind());
            Made {
                failure: Some(error.failure()),
                ..made
            }
        }
    };
    Box::pin(pass.finish(ctx, made)).await
}

struct Pass<'a> {
    name: &'a Name,
    wanted: &'a Wanted,
    judged: &'a Judged,
    remembered: &'a Remembered,
    /// How many steps of the plan were made.
    made: usize,
    taken: Vec<ActionStatus>,
}

/// How far a pass came.
#[derive(Default)]
struct Made {
    observed: Option<Observed>,
    queue: Looked,
    plan: Option<Plan>,
    failure: Option<Failure>,
}

impl Pass<'_> {
    async fn make<C: Cloud, J: Journal>(&mut self, ctx: &Context<C, J>) -> Result<Made, (Made, Error)> {
        let mut made = Made::default();
        let seen = match subject(&ctx.owner.name, self.name, self.judged) {
            Some(subject) => look(&*ctx.cloud, &ctx.observer, subject, self.judged).await,
            None => Ok((Observed::default(), Looked::default())),
        };
        let (observed, mut queue) = seen.map_err(|error| (Made::default(), error))?;
        let fresh_token = uuid::Uuid::new_v4().to_string();
        let mut seen = Seen {
            observed: &observed,
            queue: queue.depth,
            target: self.wanted.target.as_ref(),
            owner: &ctx.owner,
            now: (ctx.now)(),
            fresh_token: &fresh_token,
        };
        let mut plan = decide(self.judged, seen);
        if plan.puts_to_sleep() {
            queue = looked_at_again(&*ctx.cloud, self.judged, queue).await;
            seen.queue = queue.depth;
            plan = decide(self.judged, seen);
        }
        // Nobody looked at an orphan, so what was told of it last stays.
        made.observed = Some(observed).filter(|_| self.judged.verdict != Verdict::Orphan);
        made.queue = queue;
        let applied = Box::pin(self.apply(ctx, &plan)).await;
        plan.state = plan.state_after(self.made, &self.judged.state);
        made.plan = Some(plan);
        match applied {
            Ok(()) => Ok(made),
            Err(error) => Err((made, error)),
        }
    }

    async fn apply<C: Cloud, J: Journal>(&mut self, ctx: &Context<C, J>, plan: &Plan) -> Result<(), Error> {
        let Some(subject) = subject(&ctx.owner.name, self.name, self.judged) else {
            return Ok(());
        };
        self.write_ahead(ctx, plan).await?;
        let mut registered = None;
        for action in &plan.actions {
            let mut applied = self.step(ctx, &subject, action, registered.as_deref()).await;
            let otherwise = action.otherwise().filter(|_| applied.as_ref().is_err_and(is_refusal));
            if let Some(otherwise) = otherwise {
                applied = self.step(ctx, &subject, &otherwise, registered.as_deref()).await;
            }
            let receipt = applied.map_err(|source| Error::Apply {
                action: action.operation(),
                source,
            })?;
            if matches!(action, Action::RegisterTaskDefinition { .. }) {
                registered = receipt.arn;
            }
            self.made += 1;
        }
        Ok(())
    }

    /// Makes one call, and writes down what became of it.
    async fn step<C: Cloud, J: Journal>(
        &mut self,
        ctx: &Context<C, J>,
        subject: &Subject,
        action: &Action,
        registered: Option<&str>,
    ) -> Result<Receipt, cloud::Error> {
        let applied = ctx.cloud.apply(subject, action, registered).await;
        let (request_id, error) = match &applied {
            Ok(receipt) => (receipt.request_id.clone(), None),
            Err(error) => (None, Some(error.to_string())),
        };
        if error.is_none() {
            tracing::info!(action = %action, request_id, "Applied");
        }
        let call = record(action, subject, request_id, error);
        ctx.memory.owe(self.name, call.clone());
        self.taken.push(call);
        applied
    }

    /// What a restart has to know of the calls is written down before they are made.
    async fn write_ahead<C: Cloud, J: Journal>(&self, ctx: &Context<C, J>, plan: &Plan) -> Result<(), Error> {
        if !plan.is_written_ahead(self.remembered.state.as_ref()) {
            return Ok(());
        }
        let change = Change {
            state: Some(StateChange::Put(Box::new(plan.state_after(0, &self.judged.state)))),
            status: None,
        };
        ctx.publish(self.name, &change).await.map_err(Error::Publish)
    }

    async fn finish<C: Cloud, J: Journal>(self, ctx: &Context<C, J>, made: Made) -> Next {
        let outcome = Outcome {
            owner: &ctx.owner,
            name: self.name,
            judged: self.judged,
            plan: made.plan.as_ref(),
            observed: made.observed.as_ref(),
            queue: made.queue.depth,
            queue_trouble: made.queue.trouble.as_deref(),
            taken: &self.taken,
            failure: made.failure.as_ref(),
            previous: self.remembered.status.as_ref(),
            now: (ctx.now)(),
        };
        let status = status(outcome);
        let told = Status {
            actions: ctx.memory.untold(self.name),
            ..status.clone()
        };
        let last = ctx.memory.get(self.name).state;
        let state = made.plan.as_ref().map_or(&self.judged.state, |plan| &plan.state);
        let state = match self.judged.verdict {
            // Nothing is remembered of it that was not remembered before: it is nobody's to keep.
            Verdict::Orphan => last.as_ref(),
            _ if is_gone(outcome) => None,
            // Without an incarnation there is only a refused record.
            _ => Some(state).filter(|state| !state.uid.is_empty()),
        };
        let doubt = ctx.memory.doubt(self.name);
        let is_told = !doubt.status && !is_news(self.remembered.status.as_ref(), &told);
        if is_told {
            ctx.memory.told(self.name);
        }
        let change = Change {
            state: (doubt.state || state != last.as_ref()).then(|| state_change(state)),
            status: (!is_told).then(|| StatusChange::Put(Box::new(told))),
        };
        ctx.metrics.observed(self.name, &status);
        if !change.is_empty()
            && let Err(error) = ctx.publish(self.name, &change).await
        {
            tracing::error!(error = chain(&error), "State and status not written");
            ctx.metrics.pass_failed("publish");
            return Next::Backoff;
        }
        next(outcome, &status)
    }
}

/// Returns where to look; nothing for what was never accepted, or has no document to say what it should be.
pub(crate) fn subject(operator: &OperatorName, name: &Name, judged: &Judged) -> Option<Subject> {
    if matches!(judged.verdict, Verdict::Refuse | Verdict::Orphan) {
        return None;
    }
    let cluster = judged.state.accepted.as_ref()?.spec.service.as_ref()?.cluster.clone()?;
    Some(Subject {
        operator: operator.clone(),
        name: name.clone(),
        uid: judged.state.uid.clone(),
        cluster,
    })
}

/// Whether AWS will say the same to the same call again.
fn is_refusal(error: &cloud::Error) -> bool {
    matches!(error, cloud::Error::Refuse { .. } | cloud::Error::Deny { .. })
}

fn state_change(state: Option<&State>) -> StateChange {
    state.map_or(StateChange::Remove, |state| StateChange::Put(Box::new(state.clone())))
}

/// Returns how the status tells of a call.
pub(crate) fn record(
    action: &Action,
    subject: &Subject,
    request_id: Option<String>,
    error: Option<String>,
) -> ActionStatus {
    let resource = match action {
        Action::PutScalingPolicy { name, .. }
        | Action::DeleteScalingPolicy { name }
        | Action::PutAlarm { name, .. } => name.clone(),
        Action::DeleteAlarms { names } => names.join(", "),
        Action::DeregisterTaskDefinition { arn } => arn.clone(),
        Action::DeleteTaskDefinitions { arns } => arns.join(", "),
        _ => subject.service_name(),
    };
    ActionStatus {
        operation: action.to_string(),
        resource,
        request_id,
        error,
    }
}

#[cfg(test)]
mod tests;
