//! The depth of a queue, in its own region and, when asked for, as another role.

use std::sync::Arc;
use std::time::Duration;

use aws_config::Region;
use aws_config::sts::AssumeRoleProvider;
use aws_sdk_sqs::config::{IdentityCache, SharedCredentialsProvider};
use aws_sdk_sqs::types::QueueAttributeName;
use penstock_crds::{AssumeRole, SqsSource};

use crate::cloud::Error;
use crate::cloud::aws::Aws;
use crate::cloud::budget::{Category, Scope};
use crate::cloud::metrics::{self, ServerClock};
use crate::plan::resources::QueueDepth;

/// The session's name in CloudTrail when the document gives none.
const SESSION: &str = "penstock-operator";

/// What one queue's region and role need.
#[derive(Debug)]
pub(super) struct QueueClients {
    sqs: aws_sdk_sqs::Client,
    cloudwatch: aws_sdk_cloudwatch::Client,
    clock: ServerClock,
}

/// The longest that the number of deletes is waited for: the depth, which is there already, is worth more.
const DELETED_LIMIT: Duration = Duration::from_secs(5);

/// Queues that share clients: the same region, as the same role.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct QueueAccess {
    region: String,
    role: Option<(String, String, Option<String>)>,
}

/// Reads the depth. Deletes are read with the same credentials; where that fails they are not known, which is no failure.
pub(super) async fn depth(aws: &Aws, source: &SqsSource, deleted_within: Option<u64>) -> Result<QueueDepth, Error> {
    let clients = clients(aws, source).await;
    let depth = attributes(aws, &clients, source).await?;
    let Some(window) = deleted_within else { return Ok(depth) };
    let deleted = metrics::deleted(aws, &clients.cloudwatch, &clients.clock, source, window);
    let why = match tokio::time::timeout(DELETED_LIMIT, deleted).await {
        Ok(Ok(deleted)) => {
            return Ok(QueueDepth {
                deleted: Some(deleted),
                ..depth
            });
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer in {DELETED_LIMIT:?}"),
    };
    tracing::debug!(
        why,
        queue = source.queue_url,
        "Could not read how many messages were deleted"
    );
    Ok(depth)
}

async fn attributes(aws: &Aws, clients: &QueueClients, source: &SqsSource) -> Result<QueueDepth, Error> {
    use QueueAttributeName::{
        ApproximateNumberOfMessages as Visible, ApproximateNumberOfMessagesDelayed as Delayed,
        ApproximateNumberOfMessagesNotVisible as InFlight,
    };
    const OPERATION: &str = "GetQueueAttributes";
    let request = clients
        .sqs
        .get_queue_attributes()
        .queue_url(&source.queue_url)
        .set_attribute_names(Some(vec![Visible, InFlight, Delayed]));
    let scope = Scope {
        account: source.account().to_owned(),
        region: source.region.clone(),
    };
    let answer = aws
        .caller
        .call(&scope, Category::QueueRead, OPERATION, request.send())
        .await?;
    // A count that is missing is not zero: zero would put a busy connector to sleep.
    let count = |name: QueueAttributeName| {
        let text = answer.attributes().and_then(|attributes| attributes.get(&name));
        text.and_then(|text| text.parse().ok()).ok_or_else(|| Error::Fail {
            operation: OPERATION.to_owned(),
            message: format!("the answer has no number at {}", name.as_str()),
        })
    };
    Ok(QueueDepth {
        visible: count(Visible)?,
        in_flight: count(InFlight)?,
        delayed: count(Delayed)?,
        deleted: None,
    })
}

async fn clients(aws: &Aws, source: &SqsSource) -> Arc<QueueClients> {
    let access = access(source);
    if let Some(known) = aws.caches.queues.get(&access) {
        return known;
    }
    let mut config = aws
        .config
        .clone()
        .into_builder()
        .region(Region::new(source.region.clone()))
        .build();
    if let Some((role, session, external_id)) = &access.role {
        let mut provider = AssumeRoleProvider::builder(role)
            .session_name(session)
            .configure(&config);
        if let Some(id) = external_id {
            provider = provider.external_id(id);
        }
        let provider = SharedCredentialsProvider::new(provider.build().await);
        let identities = IdentityCache::lazy().build();
        config = config
            .into_builder()
            .credentials_provider(provider)
            .identity_cache(identities)
            .build();
    }
    let clock = ServerClock::default();
    let cloudwatch = aws_sdk_cloudwatch::config::Builder::from(&config)
        .interceptor(clock.clone())
        .build();
    let clients = Arc::new(QueueClients {
        sqs: aws_sdk_sqs::Client::new(&config),
        cloudwatch: aws_sdk_cloudwatch::Client::from_conf(cloudwatch),
        clock,
    });
    aws.caches.queues.put(access, Arc::clone(&clients));
    clients
}

fn access(source: &SqsSource) -> QueueAccess {
    let role = |role: &AssumeRole| {
        let session = role.session_name.clone().unwrap_or_else(|| SESSION.to_owned());
        (role.arn.clone(), session, role.external_id.clone())
    };
    QueueAccess {
        region: source.region.clone(),
        role: source.assume_role.as_ref().map(role),
    }
}
