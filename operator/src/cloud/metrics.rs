//! CloudWatch's data points: how many tasks reported, how many messages were deleted, and the backlog that we publish.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::primitives::{DateTime, DateTimeFormat};
use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataQuery, MetricDatum, MetricStat};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use jiff::Timestamp;
use penstock_crds::{Name, SqsSource};

use crate::cloud::Error;
use crate::cloud::aws::{Aws, cluster_name};
use crate::cloud::budget::{Category, Scope};
use crate::plan::resources::Subject;

/// Where the backlog per task is published that a stored policy cannot read by itself.
const NAMESPACE: &str = "Penstock";

/// Queries per `GetMetricData`.
const QUERIES: usize = 500;

/// Pages of `GetMetricData`: 500 queries over five minutes fit into one.
const PAGES: usize = 10;

/// Seconds over which the tasks that reported are looked at.
const SAMPLED: i64 = 300;

/// CloudWatch's clock, as its last answer told it: windows of metrics end by the clock that dated the data points.
#[derive(Debug, Clone, Default)]
pub(super) struct ServerClock {
    /// Seconds that it is ahead of ours.
    ahead: Arc<AtomicI64>,
}

impl ServerClock {
    /// Returns the seconds since the epoch.
    pub(super) fn now(&self) -> i64 {
        Timestamp::now().as_second() + self.ahead.load(Ordering::Relaxed)
    }
}

impl Intercept for ServerClock {
    fn name(&self) -> &'static str {
        "ServerClock"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date");
        if let Some(date) = date.and_then(|date| DateTime::from_str(date, DateTimeFormat::HttpDate).ok()) {
            self.ahead
                .store(date.secs() - Timestamp::now().as_second(), Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Returns, for each subject, how many samples CPUUtilization had in each of the last minutes: one for each running task.
/// A minute's count is good for that minute, so each service is asked about once in it.
pub(super) async fn samples(aws: &Aws, subjects: &[&Subject]) -> BTreeMap<Name, Vec<f64>> {
    let mut found = BTreeMap::new();
    let mut unknown = Vec::new();
    for subject in subjects {
        match aws.caches.samples.get(&subject.name) {
            Some(known) => drop(found.insert(subject.name.clone(), known)),
            None => unknown.push(*subject),
        }
    }
    for chunk in unknown.chunks(QUERIES) {
        match read_samples(aws, chunk).await {
            Ok(read) => {
                for (subject, counts) in chunk.iter().zip(read) {
                    aws.caches.samples.put(subject.name.clone(), counts.clone());
                    found.insert(subject.name.clone(), counts);
                }
            }
            // Without it everything works; only a warning that counts differ has to wait.
            Err(error) => tracing::debug!(%error, "Could not read sample counts"),
        }
    }
    found
}

async fn read_samples(aws: &Aws, subjects: &[&Subject]) -> Result<Vec<Vec<f64>>, Error> {
    let queries = subjects.iter().enumerate().map(|(index, subject)| {
        let dimensions = service_dimensions(subject);
        query(
            format!("m{index}"),
            ("AWS/ECS", "CPUUtilization"),
            dimensions,
            "SampleCount",
        )
    });
    // The minute that has only begun would count too few.
    let end = aws.clock.now().div_euclid(60) * 60 - 60;
    let scope = &aws.identity().await?.scope;
    let mut data = read(
        aws,
        scope,
        &aws.read.cloudwatch,
        queries.collect(),
        (end - SAMPLED, end),
    )
    .await?;
    Ok((0..subjects.len())
        .map(|index| data.remove(&format!("m{index}")).unwrap_or_default())
        .collect())
}

/// Returns how many messages were deleted from the queue in the last `window` seconds.
pub(super) async fn deleted(
    aws: &Aws,
    cloudwatch: &Client,
    clock: &ServerClock,
    source: &SqsSource,
    window: u64,
) -> Result<u64, Error> {
    let dimension = Dimension::builder()
        .name("QueueName")
        .value(source.queue_name())
        .build();
    let query = query(
        "deleted".to_owned(),
        ("AWS/SQS", "NumberOfMessagesDeleted"),
        vec![dimension],
        "Sum",
    );
    let end = clock.now();
    let start = end - i64::try_from(window.max(60)).unwrap_or(i64::MAX);
    let scope = Scope {
        account: source.account().to_owned(),
        region: source.region.clone(),
    };
    let data = read(aws, &scope, cloudwatch, vec![query], (start, end)).await?;
    let sum: f64 = data.values().flatten().sum();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let sum = sum.max(0.0) as u64;
    Ok(sum)
}

async fn read(
    aws: &Aws,
    scope: &Scope,
    cloudwatch: &Client,
    queries: Vec<MetricDataQuery>,
    (start, end): (i64, i64),
) -> Result<BTreeMap<String, Vec<f64>>, Error> {
    let (mut found, mut token) = (BTreeMap::<String, Vec<f64>>::new(), None);
    for _ in 0..PAGES {
        let request = cloudwatch
            .get_metric_data()
            .set_metric_data_queries(Some(queries.clone()))
            .start_time(DateTime::from_secs(start))
            .end_time(DateTime::from_secs(end))
            .set_next_token(token);
        let answer = aws
            .caller
            .call(scope, Category::MetricRead, "GetMetricData", request.send())
            .await?;
        for result in answer.metric_data_results.unwrap_or_default() {
            found
                .entry(result.id.unwrap_or_default())
                .or_default()
                .extend(result.values.unwrap_or_default());
        }
        token = answer.next_token;
        if token.is_none() {
            break;
        }
    }
    Ok(found)
}

fn query(id: String, (namespace, name): (&str, &str), dimensions: Vec<Dimension>, stat: &str) -> MetricDataQuery {
    let metric = Metric::builder()
        .namespace(namespace)
        .metric_name(name)
        .set_dimensions(Some(dimensions))
        .build();
    let stat = MetricStat::builder().metric(metric).period(60).stat(stat).build();
    MetricDataQuery::builder()
        .id(id)
        .metric_stat(stat)
        .return_data(true)
        .build()
}

fn service_dimensions(subject: &Subject) -> Vec<Dimension> {
    let cluster = Dimension::builder()
        .name("ClusterName")
        .value(cluster_name(&subject.cluster))
        .build();
    let service = Dimension::builder()
        .name("ServiceName")
        .value(subject.service_name())
        .build();
    vec![cluster, service]
}

/// Publishes the backlog per task beside the service; CloudWatch dates it.
pub(super) async fn publish_backlog(aws: &Aws, subject: &Subject, per_task: f64) -> Result<(), Error> {
    let datum = MetricDatum::builder()
        .metric_name("BacklogPerTask")
        .set_dimensions(Some(service_dimensions(subject)))
        .value(per_task)
        .build();
    let request = aws
        .write
        .cloudwatch
        .put_metric_data()
        .namespace(NAMESPACE)
        .metric_data(datum);
    aws.call(Category::MetricWrite, "PutMetricData", request.send())
        .await
        .map(|_| ())
}
