//! The real AWS, over its SDKs.
//!
//! Every call waits for its budget and has a timeout. Reads may be tried twice by the SDK; calls that change something are
//! made once, because a reply that was lost says nothing about the effect: the next pass looks and decides. What never
//! changes at AWS (task definitions, service revisions, finished deployments) is read once.
//!
//! An endpoint other than AWS's own is taken from `AWS_ENDPOINT_URL` alone, as all of AWS's tools do.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, BehaviorVersion, Region, SdkConfig};
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use futures::FutureExt;
use jiff::Timestamp;
use penstock_crds::{Name, SqsSource};
use tokio::sync::OnceCell;

use crate::cloud::budget::{Category, Scope};
use crate::cloud::cache::Cache;
use crate::cloud::call::{CallObserver, Caller};
use crate::cloud::ecs::definition::Registered;
use crate::cloud::ecs::deployment::Finished;
use crate::cloud::ecs::{self, definition, service, tasks};
use crate::cloud::metrics::{self, ServerClock};
use crate::cloud::queue::{self, QueueAccess, QueueClients};
use crate::cloud::{Cloud, Error, Owned, Receipt, alarms, scaling};
use crate::plan::action::Action;
use crate::plan::home::Home;
use crate::plan::owner::{Holder, Owner};
use crate::plan::resources::{Observed, QueueDepth, Revision, Service, Subject, TaskHealth};

mod observe;
#[cfg(test)]
mod tests;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
const OPERATION_TIMEOUT: Duration = Duration::from_secs(30);

/// How the real AWS is reached.
#[derive(Clone)]
pub struct AwsSettings {
    /// The region of the services; what the AWS environment and profile say when missing.
    pub region: Option<String>,
    /// The operator, for names and the ownership tag.
    pub owner: Owner,
    /// Is told of every call.
    pub observer: Option<CallObserver>,
}

/// AWS, as one operator sees it.
pub struct Aws {
    pub(super) region: String,
    pub(super) owner: Owner,
    /// For reads, which the SDK may repeat.
    pub(super) read: Clients,
    /// For everything else.
    pub(super) write: Clients,
    /// For clients of other regions and roles.
    pub(super) config: SdkConfig,
    pub(super) clock: ServerClock,
    pub(super) caller: Caller,
    pub(super) caches: Caches,
    identity: OnceCell<Identity>,
}

/// The clients of the operator's own account and region.
#[derive(Debug)]
pub(super) struct Clients {
    pub(super) ecs: aws_sdk_ecs::Client,
    pub(super) scaling: aws_sdk_applicationautoscaling::Client,
    pub(super) cloudwatch: aws_sdk_cloudwatch::Client,
}

/// Who the operator is to AWS.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    /// Such as `aws` or `aws-cn`.
    partition: String,
    pub(super) scope: Scope,
}

/// What need not be read again.
#[derive(Debug)]
pub(super) struct Caches {
    pub(super) definitions: Cache<String, Arc<Registered>>,
    pub(super) revisions: Cache<String, Arc<Revision>>,
    pub(super) deployments: Cache<String, Finished>,
    /// INACTIVE task definitions of ours, by family.
    pub(super) inactive: Cache<String, Vec<String>>,
    pub(super) clusters: Cache<String, bool>,
    /// Tags of alarms of ours, by ARN and time of the last change.
    pub(super) alarm_tags: Cache<(String, i128), BTreeMap<String, String>>,
    /// Tags of scalable targets, by ARN and time of creation.
    pub(super) target_tags: Cache<(String, i128), BTreeMap<String, String>>,
    pub(super) samples: Cache<Name, Vec<f64>>,
    /// Services as they were last seen, so that an update sends only what differs.
    pub(super) services: Cache<Name, Arc<Service>>,
    /// Resource ids whose scalable target was seen.
    pub(super) targets: Cache<String, ()>,
    pub(super) queues: Cache<QueueAccess, Arc<QueueClients>>,
}

impl Aws {
    /// Returns AWS as the environment, the profile or the task's role give access to it. Makes no call to AWS itself: who
    /// the caller is, is asked with the first one.
    pub async fn new(settings: AwsSettings) -> Result<Self, Error> {
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(https())
            .app_name(AppName::new("penstock-operator").map_err(|error| invalid("application name", &error))?);
        if let Some(region) = &settings.region {
            loader = loader.region(Region::new(region.clone()));
        }
        Self::over(loader.load().await, settings)
    }

    /// Returns AWS over a configuration that says where it is and who calls.
    pub fn over(config: SdkConfig, settings: AwsSettings) -> Result<Self, Error> {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .operation_timeout(OPERATION_TIMEOUT)
            .build();
        let config = config
            .into_builder()
            .timeout_config(timeouts)
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .retry_config(RetryConfig::standard().with_max_attempts(2))
            .build();
        let Some(region) = config.region().map(ToString::to_string) else {
            return Err(Error::Refuse {
                operation: "configure".to_owned(),
                code: "NoRegion".to_owned(),
                message: "no AWS region is set: give one to the operator, or set AWS_REGION".to_owned(),
                request_id: None,
            });
        };
        let once = config
            .clone()
            .into_builder()
            .retry_config(RetryConfig::disabled())
            .build();
        let clock = ServerClock::default();
        Ok(Self {
            region,
            owner: settings.owner,
            read: Clients::new(&config, &clock),
            write: Clients::new(&once, &clock),
            config,
            clock,
            caller: Caller::new(settings.observer),
            caches: Caches::new(),
            identity: OnceCell::new(),
        })
    }

    /// Returns where the operator acts.
    pub async fn home(&self) -> Result<Home, Error> {
        Ok(Home {
            account: self.account().await?.to_owned(),
            region: self.region.clone(),
        })
    }

    /// Returns the account that the operator acts in.
    pub async fn account(&self) -> Result<&str, Error> {
        Ok(&self.identity().await?.scope.account)
    }

    /// Returns who the operator is, asking once.
    pub(super) async fn identity(&self) -> Result<&Identity, Error> {
        self.identity.get_or_try_init(|| self.ask_identity()).await
    }

    async fn ask_identity(&self) -> Result<Identity, Error> {
        const OPERATION: &str = "GetCallerIdentity";
        let sts = aws_sdk_sts::Client::new(&self.config);
        let scope = Scope {
            account: String::new(),
            region: self.region.clone(),
        };
        let request = sts.get_caller_identity();
        let answer = self
            .caller
            .call(&scope, Category::Identity, OPERATION, request.send())
            .await?;
        let account = answer.account.ok_or_else(|| Error::Fail {
            operation: OPERATION.to_owned(),
            message: "the answer names no account".to_owned(),
        })?;
        let partition = answer
            .arn
            .as_deref()
            .and_then(|arn| arn.split(':').nth(1))
            .unwrap_or("aws")
            .to_owned();
        Ok(Identity {
            partition,
            scope: Scope {
                account,
                region: self.region.clone(),
            },
        })
    }

    /// Makes a call in the operator's own account and region.
    pub(super) async fn call<T, E>(
        &self,
        category: Category,
        operation: &'static str,
        sent: impl Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send,
    ) -> Result<T, Error>
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let sent = Box::pin(sent);
        let scope = &self.identity().await?.scope;
        self.caller.call(scope, category, operation, sent).await
    }

    /// Returns whose a resource with these tags is, unless it is ours and the subject's.
    pub(super) fn holder(&self, subject: &Subject, tags: &BTreeMap<String, String>) -> Option<Holder> {
        self.owner.holder(&subject.name, tags)
    }
}

impl Clients {
    fn new(config: &SdkConfig, clock: &ServerClock) -> Self {
        let cloudwatch = aws_sdk_cloudwatch::config::Builder::from(config)
            .interceptor(clock.clone())
            .build();
        Self {
            ecs: aws_sdk_ecs::Client::new(config),
            scaling: aws_sdk_applicationautoscaling::Client::new(config),
            cloudwatch: aws_sdk_cloudwatch::Client::from_conf(cloudwatch),
        }
    }
}

impl Caches {
    fn new() -> Self {
        let (minute, hour) = (Duration::from_secs(60), Duration::from_secs(3600));
        Self {
            definitions: Cache::new(20_000, 24 * hour),
            revisions: Cache::new(20_000, 24 * hour),
            deployments: Cache::new(20_000, 10 * minute),
            inactive: Cache::new(20_000, 5 * minute),
            clusters: Cache::new(1_000, 5 * minute),
            alarm_tags: Cache::new(50_000, hour),
            target_tags: Cache::new(20_000, hour),
            samples: Cache::new(20_000, minute),
            services: Cache::new(20_000, 10 * minute),
            targets: Cache::new(20_000, 10 * minute),
            queues: Cache::new(200, 12 * hour),
        }
    }
}

impl Cloud for Aws {
    async fn observe(&self, subjects: &[Subject]) -> BTreeMap<Name, Result<Observed, Error>> {
        observe::observe(self, subjects).boxed().await
    }

    async fn tasks(
        &self,
        subject: &Subject,
        task_definition: &str,
        steady_since: Option<Timestamp>,
    ) -> Result<TaskHealth, Error> {
        Box::pin(tasks::health(self, subject, task_definition, steady_since)).await
    }

    async fn running(&self, subjects: &[Subject]) -> BTreeMap<Name, Result<i32, Error>> {
        ecs::running(self, subjects).boxed().await
    }

    async fn queue(&self, source: &SqsSource, deleted_within: Option<u64>) -> Result<QueueDepth, Error> {
        Box::pin(queue::depth(self, source, deleted_within)).await
    }

    async fn apply(&self, subject: &Subject, action: &Action, registered: Option<&str>) -> Result<Receipt, Error> {
        apply(self, subject, action, registered).boxed().await
    }

    async fn owned(&self, clusters: &BTreeSet<String>) -> Owned {
        let mut owned = Owned::new();
        for cluster in clusters {
            owned.insert(cluster.clone(), ecs::owned(self, cluster).boxed().await);
        }
        owned
    }

    async fn publish_backlog(&self, subject: &Subject, per_task: f64) -> Result<(), Error> {
        Box::pin(metrics::publish_backlog(self, subject, per_task)).await
    }
}

async fn apply(aws: &Aws, subject: &Subject, action: &Action, registered: Option<&str>) -> Result<Receipt, Error> {
    match action {
        Action::RegisterTaskDefinition { content, tags } => definition::register(aws, content, tags).await,
        Action::CreateService {
            service: wanted,
            desired_count,
            token,
            task_definition,
        } => {
            let arn = task_definition.as_deref().or(registered).ok_or_else(|| Error::Refuse {
                operation: "CreateService".to_owned(),
                code: "NoTaskDefinition".to_owned(),
                message: "no task definition was registered for it".to_owned(),
                request_id: None,
            })?;
            service::create(aws, subject, wanted, *desired_count, token, arn).await
        }
        Action::UpdateService {
            service: wanted,
            task_definition,
            ..
        } => service::update(aws, subject, wanted, task_definition.as_deref().or(registered)).await,
        Action::Redeploy => service::redeploy(aws, subject).await,
        Action::TagService { set, remove } => service::tag(aws, subject, set, remove).await,
        Action::SetDesiredCount { count, redeploy, .. } => service::set_count(aws, subject, *count, *redeploy).await,
        Action::RegisterScalableTarget {
            min,
            max,
            suspended,
            tags,
        } => scaling::register(aws, subject, (*min, *max, *suspended), tags).await,
        Action::DeregisterScalableTarget => scaling::deregister(aws, subject).await,
        Action::PutScalingPolicy { name, policy } => scaling::put_policy(aws, subject, name, policy).await,
        Action::DeleteScalingPolicy { name } => scaling::delete_policy(aws, subject, name).await,
        Action::PutAlarm { name, alarm, tags } => alarms::put(aws, name, alarm, tags).await,
        Action::DeleteAlarms { names } => alarms::delete(aws, names).await,
        Action::DeleteService => service::delete(aws, subject).await,
        Action::DeregisterTaskDefinition { arn } => definition::deregister(aws, subject, arn).await,
        Action::DeleteTaskDefinitions { arns } => definition::delete(aws, subject, arns).await,
    }
}

fn https() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https()
}

/// Returns a cluster's name, which may be written as its ARN.
pub(crate) fn cluster_name(cluster: &str) -> &str {
    cluster.rsplit('/').next().unwrap_or(cluster)
}

/// Returns what Application Auto Scaling calls the service.
pub(super) fn resource_id(subject: &Subject) -> String {
    format!("service/{}/{}", cluster_name(&subject.cluster), subject.service_name())
}

pub(super) fn arn_of_service(identity: &Identity, region: &str, subject: &Subject) -> String {
    let Identity { partition, scope } = identity;
    format!(
        "arn:{partition}:ecs:{region}:{}:{}",
        scope.account,
        resource_id(subject)
    )
}

/// Returns the error for a value of ours that the SDK cannot be given.
pub(super) fn invalid(what: &str, error: &dyn std::error::Error) -> Error {
    Error::Refuse {
        operation: "build request".to_owned(),
        code: "InvalidRequest".to_owned(),
        message: format!("{what}: {error}"),
        request_id: None,
    }
}
