//! Alarms: the calls, and what AWS returns made ours.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_cloudwatch::operation::RequestId;
use aws_sdk_cloudwatch::types::{
    ComparisonOperator, Dimension, Metric, MetricAlarm, MetricDataQuery, MetricStat as SdkStat, StandardUnit, Tag,
};
use futures::FutureExt;
use penstock_crds::AlarmKind;

use crate::cloud::aws::Aws;
use crate::cloud::budget::Category;
use crate::cloud::call::all;
use crate::cloud::ecs::Batch;
use crate::cloud::ecs::service::receipt;
use crate::cloud::{Error, Receipt};
use crate::plan::owner::Holder;
use crate::plan::resources::{Alarm, MetricQuery, MetricStat, Subject};

const KINDS: [AlarmKind; 4] = [
    AlarmKind::HighCpuUsageAndMaxScaledOut,
    AlarmKind::HighRamUsageAndMaxScaledOut,
    AlarmKind::BacklogHighAndMaxScaledOut,
    AlarmKind::OldestMessageAge,
];

/// Subjects per `DescribeAlarms`, which takes a hundred names.
const DESCRIBED: usize = 100 / KINDS.len();

/// Pages of a list of a hundred alarms that were named: more than one only if AWS returns less than it may.
const PAGES: usize = 10;

/// Describes the alarms that each subject would use. They are asked for by their full names: a prefix would also find
/// those of a connector whose name goes on.
pub(super) async fn described(aws: &Aws, subjects: &[Subject]) -> Batch<Vec<MetricAlarm>> {
    let reads = subjects.chunks(DESCRIBED).map(|chunk| {
        let names = chunk.iter().flat_map(names).collect();
        describe(aws, names).boxed()
    });
    let found = all(reads.collect()).await;
    let mut batch = Batch::new();
    for (chunk, found) in subjects.chunks(DESCRIBED).zip(found) {
        for subject in chunk {
            let own = |found: &BTreeMap<String, MetricAlarm>| {
                names(subject)
                    .into_iter()
                    .filter_map(|name| found.get(&name).cloned())
                    .collect()
            };
            batch.insert(subject.name.clone(), found.as_ref().map(own).map_err(Clone::clone));
        }
    }
    batch
}

fn names(subject: &Subject) -> Vec<String> {
    KINDS.iter().map(|kind| subject.alarm_name(*kind)).collect()
}

async fn describe(aws: &Aws, names: Vec<String>) -> Result<BTreeMap<String, MetricAlarm>, Error> {
    let (mut found, mut token) = (BTreeMap::new(), None);
    for _ in 0..PAGES {
        let request = aws
            .read
            .cloudwatch
            .describe_alarms()
            .set_alarm_names(Some(names.clone()))
            .max_records(100)
            .set_next_token(token);
        let answer = aws.call(Category::AlarmRead, "DescribeAlarms", request.send()).await?;
        let alarms = answer.metric_alarms.unwrap_or_default();
        found.extend(
            alarms
                .into_iter()
                .filter_map(|alarm| Some((alarm.alarm_name.clone()?, alarm))),
        );
        token = answer.next_token;
        if token.is_none() {
            break;
        }
    }
    Ok(found)
}

/// Returns whose an alarm is, unless it carries our tags. Putting an alarm again never changes its tags, but one that was
/// deleted and made anew by somebody else has another time of its last change.
pub(super) async fn holder(aws: &Aws, subject: &Subject, alarm: &MetricAlarm) -> Result<Option<Holder>, Error> {
    let arn = alarm.alarm_arn().unwrap_or_default();
    let changed = alarm
        .alarm_configuration_updated_timestamp()
        .map_or(0, |at| at.as_nanos());
    let key = (arn.to_owned(), changed);
    if let Some(known) = aws.caches.alarm_tags.get(&key) {
        return Ok(aws.holder(subject, &known));
    }
    let read = tags(aws, arn).await?;
    let holder = aws.holder(subject, &read);
    // Tags that are not there yet may come, and tagging an alarm does not change the time of its last change.
    if holder.is_none() {
        aws.caches.alarm_tags.put(key, read);
    }
    Ok(holder)
}

async fn tags(aws: &Aws, arn: &str) -> Result<BTreeMap<String, String>, Error> {
    let request = aws.read.cloudwatch.list_tags_for_resource().resource_arn(arn);
    match aws
        .call(Category::AlarmTagRead, "ListTagsForResource", request.send())
        .await
    {
        Err(Error::Refuse { code, .. }) if is_missing(&code) => Ok(BTreeMap::new()),
        other => {
            let tags = other?.tags.unwrap_or_default().into_iter();
            Ok(tags
                .filter_map(|tag| Some((tag.key?, tag.value.unwrap_or_default())))
                .collect())
        }
    }
}

fn is_missing(code: &str) -> bool {
    matches!(code, "ResourceNotFound" | "ResourceNotFoundException")
}

/// Returns an alarm in our words; `account` is the one that it watches.
pub(super) fn ours(alarm: &MetricAlarm, account: &str) -> Alarm {
    let periods = alarm.evaluation_periods().unwrap_or_default();
    let set = |list: &[String]| list.iter().cloned().collect::<BTreeSet<_>>();
    Alarm {
        description: alarm.alarm_description().unwrap_or_default().to_owned(),
        metrics: queries(alarm, account).unwrap_or_default(),
        comparison: alarm
            .comparison_operator()
            .map(ComparisonOperator::as_str)
            .unwrap_or_default()
            .to_owned(),
        threshold: alarm.threshold().unwrap_or_default(),
        evaluation_periods: periods,
        datapoints_to_alarm: alarm.datapoints_to_alarm().unwrap_or(periods),
        treat_missing_data: alarm.treat_missing_data().unwrap_or("missing").to_owned(),
        alarm_actions: set(alarm.alarm_actions()),
        ok_actions: set(alarm.ok_actions()),
        insufficient_data_actions: set(alarm.insufficient_data_actions()),
        actions_enabled: alarm.actions_enabled().unwrap_or(true),
    }
}

/// Returns the metric math; nothing for what Penstock never writes: a threshold that moves, a metric of another account, a
/// period on an expression.
fn queries(alarm: &MetricAlarm, account: &str) -> Option<Vec<MetricQuery>> {
    if alarm.threshold_metric_id().is_some() {
        return None;
    }
    alarm.metrics().iter().map(|one| query(one, account)).collect()
}

fn query(query: &MetricDataQuery, account: &str) -> Option<MetricQuery> {
    let is_ours = query.account_id().is_none_or(|of| of == account) && query.period().is_none();
    is_ours.then(|| MetricQuery {
        id: query.id.clone().unwrap_or_default(),
        metric: query.metric_stat().map(stat),
        expression: query.expression.clone(),
        label: query.label.clone(),
        return_data: query.return_data().unwrap_or(true),
    })
}

fn stat(stat: &SdkStat) -> MetricStat {
    let metric = stat.metric();
    let pairs = metric.map(Metric::dimensions).unwrap_or_default().iter();
    let pair = |one: &Dimension| Some((one.name.clone()?, one.value.clone().unwrap_or_default()));
    MetricStat {
        namespace: metric.and_then(Metric::namespace).unwrap_or_default().to_owned(),
        name: metric.and_then(Metric::metric_name).unwrap_or_default().to_owned(),
        dimensions: pairs.filter_map(pair).collect(),
        statistic: stat.stat().unwrap_or_default().to_owned(),
        unit: stat.unit().map(|unit| unit.as_str().to_owned()),
        period: stat.period(),
    }
}

/// Creates or replaces an alarm. AWS takes the tags only when it is new.
pub(super) async fn put(
    aws: &Aws,
    name: &str,
    alarm: &Alarm,
    tags: &BTreeMap<String, String>,
) -> Result<Receipt, Error> {
    let list = |set: &BTreeSet<String>| Some(set.iter().cloned().collect::<Vec<_>>()).filter(|list| !list.is_empty());
    let tag = |(key, value): (&String, &String)| Tag::builder().key(key).value(value).build();
    let request = aws
        .write
        .cloudwatch
        .put_metric_alarm()
        .alarm_name(name)
        .alarm_description(&alarm.description)
        .actions_enabled(alarm.actions_enabled)
        .set_alarm_actions(list(&alarm.alarm_actions))
        .set_ok_actions(list(&alarm.ok_actions))
        .set_insufficient_data_actions(list(&alarm.insufficient_data_actions))
        .comparison_operator(ComparisonOperator::from(alarm.comparison.as_str()))
        .threshold(alarm.threshold)
        .evaluation_periods(alarm.evaluation_periods)
        .datapoints_to_alarm(alarm.datapoints_to_alarm)
        .treat_missing_data(&alarm.treat_missing_data)
        .set_metrics(Some(alarm.metrics.iter().map(sdk_query).collect()))
        .set_tags(Some(tags.iter().map(tag).collect()).filter(|tags: &Vec<_>| !tags.is_empty()));
    let answer = aws
        .call(Category::AlarmModify, "PutMetricAlarm", request.send())
        .await?;
    Ok(Receipt {
        request_id: answer.request_id().map(str::to_owned),
        arn: None,
    })
}

fn sdk_query(query: &MetricQuery) -> MetricDataQuery {
    MetricDataQuery::builder()
        .id(&query.id)
        .set_metric_stat(query.metric.as_ref().map(sdk_stat))
        .set_expression(query.expression.clone())
        .set_label(query.label.clone())
        .return_data(query.return_data)
        .build()
}

fn sdk_stat(stat: &MetricStat) -> SdkStat {
    let dimension = |(name, value): (&String, &String)| Dimension::builder().name(name).value(value).build();
    let dimensions: Vec<_> = stat.dimensions.iter().map(dimension).collect();
    let metric = Metric::builder()
        .namespace(&stat.namespace)
        .metric_name(&stat.name)
        .set_dimensions(Some(dimensions).filter(|dimensions| !dimensions.is_empty()))
        .build();
    SdkStat::builder()
        .metric(metric)
        .stat(&stat.statistic)
        .set_unit(stat.unit.as_deref().map(StandardUnit::from))
        .set_period(stat.period)
        .build()
}

/// Removes alarms; those that are gone are as good. AWS deletes none when one of several is missing, so those go one by one.
pub(super) async fn delete(aws: &Aws, names: &[String]) -> Result<Receipt, Error> {
    match delete_at_once(aws, names).await {
        Err(Error::Refuse { code, request_id, .. }) if is_missing(&code) => {
            let mut last = Receipt { request_id, arn: None };
            for name in names.iter().filter(|_| names.len() > 1) {
                match delete_at_once(aws, std::slice::from_ref(name)).await {
                    Err(Error::Refuse { code, .. }) if is_missing(&code) => {}
                    other => last = other?,
                }
            }
            Ok(last)
        }
        other => other,
    }
}

async fn delete_at_once(aws: &Aws, names: &[String]) -> Result<Receipt, Error> {
    let request = aws
        .write
        .cloudwatch
        .delete_alarms()
        .set_alarm_names(Some(names.to_vec()));
    Ok(receipt(
        &aws.call(Category::AlarmModify, "DeleteAlarms", request.send()).await?,
    ))
}
