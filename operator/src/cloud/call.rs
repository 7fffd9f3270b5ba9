//! The one way to call AWS: within budget, bounded in time, counted, its failure in our words.

use std::future::Future;
use std::sync::Arc;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use futures::StreamExt;
use futures::future::BoxFuture;
use tokio::time::Instant;

use crate::cloud::Error;
use crate::cloud::budget::{Budgets, Category, Scope};
use crate::cloud::error;

/// Calls in flight at once for one observation.
const CONCURRENCY: usize = 8;

/// One call that was made, for whoever counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Call {
    /// Such as `ecs`.
    pub service: &'static str,
    /// Such as `DescribeServices`.
    pub operation: &'static str,
    /// `ok`, or the kind of the failure as [`Error::kind`] names it.
    pub code: &'static str,
    /// How long it took, without the wait for its turn; nothing when that did not come.
    pub seconds: Option<f64>,
}

/// Is told of every call.
pub type CallObserver = Arc<dyn Fn(Call) + Send + Sync>;

/// Makes calls.
pub(super) struct Caller {
    budgets: Budgets,
    observer: Option<CallObserver>,
}

impl Caller {
    pub(super) fn new(observer: Option<CallObserver>) -> Self {
        Self {
            budgets: Budgets::default(),
            observer,
        }
    }

    /// Makes a call once its budget allows it. The SDK's own timeouts bound it.
    pub(super) async fn call<T, E>(
        &self,
        scope: &Scope,
        category: Category,
        operation: &'static str,
        sent: impl Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send,
    ) -> Result<T, Error>
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        // The SDK's futures are large; boxed, they do not add up over the layers above.
        let sent = Box::pin(sent);
        if !self.budgets.spend(scope, category).await {
            self.tell(category, operation, "throttle", None);
            return Err(Error::Throttle {
                operation: operation.to_owned(),
            });
        }
        let began = Instant::now();
        let result = sent.await.map_err(|failure| error::from_sdk(operation, &failure));
        let code = result.as_ref().map_or_else(Error::kind, |_| "ok");
        self.tell(category, operation, code, Some(began.elapsed().as_secs_f64()));
        result
    }

    fn tell(&self, category: Category, operation: &'static str, code: &'static str, seconds: Option<f64>) {
        tracing::debug!(service = category.service(), operation, code, seconds, "Called AWS");
        if let Some(observer) = &self.observer {
            observer(Call {
                service: category.service(),
                operation,
                code,
                seconds,
            });
        }
    }
}

/// Awaits all, a few at a time, and returns what they gave in their order.
pub(super) async fn all<T>(futures: Vec<BoxFuture<'_, T>>) -> Vec<T> {
    futures::stream::iter(futures).buffered(CONCURRENCY).collect().await
}
