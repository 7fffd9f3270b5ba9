//! Rate budgets on our side, so that one operator never spends an account's share of calls.
//!
//! The numbers are the burst and refill rates that AWS publishes per account, region and category; for Application Auto
//! Scaling, which publishes none, they are a modest guess.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

/// How long a call waits for its turn before it counts as throttled.
const PATIENCE: Duration = Duration::from_secs(20);

/// The account and region whose budget a call spends.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Scope {
    pub(super) account: String,
    pub(super) region: String,
}

/// What AWS counts together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Category {
    ClusterRead,
    ServiceRead,
    ServiceModify,
    DeploymentRead,
    RevisionRead,
    DefinitionRead,
    DefinitionModify,
    DefinitionDelete,
    TagModify,
    TaskRead,
    ScalingRead,
    ScalingModify,
    AlarmRead,
    AlarmModify,
    AlarmTagRead,
    MetricRead,
    MetricWrite,
    QueueRead,
    Identity,
}

impl Category {
    /// Returns the service that the category belongs to, as metrics name it.
    pub(super) fn service(self) -> &'static str {
        match self {
            Self::ClusterRead
            | Self::ServiceRead
            | Self::ServiceModify
            | Self::DeploymentRead
            | Self::RevisionRead
            | Self::DefinitionRead
            | Self::DefinitionModify
            | Self::DefinitionDelete
            | Self::TagModify
            | Self::TaskRead => "ecs",
            Self::ScalingRead | Self::ScalingModify => "application-autoscaling",
            Self::AlarmRead | Self::AlarmModify | Self::AlarmTagRead | Self::MetricRead | Self::MetricWrite => {
                "cloudwatch"
            }
            Self::QueueRead => "sqs",
            Self::Identity => "sts",
        }
    }

    /// Returns how many calls may come at once, and how many per second after that.
    fn burst_and_rate(self) -> (u32, u32) {
        match self {
            Self::ServiceRead | Self::TaskRead => (100, 20),
            Self::ClusterRead | Self::DeploymentRead | Self::RevisionRead | Self::DefinitionRead => (50, 20),
            Self::ServiceModify => (50, 5),
            Self::DefinitionModify => (20, 1),
            Self::DefinitionDelete => (5, 1),
            Self::TagModify => (20, 10),
            Self::ScalingRead => (20, 10),
            Self::ScalingModify => (10, 5),
            Self::AlarmRead | Self::AlarmTagRead => (9, 9),
            Self::AlarmModify => (3, 3),
            Self::MetricRead | Self::MetricWrite => (50, 50),
            // SQS sets no limit on its standard actions; this one only bounds a loop that runs wild.
            Self::QueueRead => (100, 100),
            Self::Identity => (10, 10),
        }
    }
}

/// The budgets of every scope seen.
#[derive(Debug, Default)]
pub(super) struct Budgets {
    limiters: Mutex<HashMap<(Scope, Category), Arc<DefaultDirectRateLimiter>>>,
}

impl Budgets {
    /// Waits for a call's turn; false when it did not come in time.
    pub(super) async fn spend(&self, scope: &Scope, category: Category) -> bool {
        let limiter = self.limiter(scope, category);
        tokio::time::timeout(PATIENCE, limiter.until_ready()).await.is_ok()
    }

    fn limiter(&self, scope: &Scope, category: Category) -> Arc<DefaultDirectRateLimiter> {
        let mut limiters = self.limiters.lock().unwrap_or_else(PoisonError::into_inner);
        let made = || Arc::new(RateLimiter::direct(quota(category)));
        Arc::clone(limiters.entry((scope.clone(), category)).or_insert_with(made))
    }
}

fn quota(category: Category) -> Quota {
    let (burst, rate) = category.burst_and_rate();
    let at_least_one = |number: u32| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
    Quota::per_second(at_least_one(rate)).allow_burst(at_least_one(burst))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(region: &str) -> Scope {
        Scope {
            account: "123456789012".to_owned(),
            region: region.to_owned(),
        }
    }

    #[test]
    fn a_budget_is_spent_after_its_burst_and_only_for_its_own_scope_and_category() {
        let budgets = Budgets::default();
        let alarms = budgets.limiter(&scope("eu-west-1"), Category::AlarmModify);
        assert!((0..3).all(|_| alarms.check().is_ok()));
        assert!(
            budgets
                .limiter(&scope("eu-west-1"), Category::AlarmModify)
                .check()
                .is_err()
        );
        assert!(
            budgets
                .limiter(&scope("eu-west-2"), Category::AlarmModify)
                .check()
                .is_ok()
        );
        assert!(
            budgets
                .limiter(&scope("eu-west-1"), Category::AlarmRead)
                .check()
                .is_ok()
        );
    }
}
