//! CloudWatch: alarms.

use std::collections::BTreeSet;

use aws_sdk_cloudwatch::operation::put_metric_alarm::builders::PutMetricAlarmFluentBuilder;
use aws_sdk_cloudwatch::types::{
    ComparisonOperator, Dimension, HistoryItemType, Metric, MetricAlarm, MetricDataQuery, MetricStat, StateValue,
    Statistic, Tag,
};

use crate::check::{Aws, Check, Failure, Outcome, check, done, equal, holds, refused, there};
use crate::made::Made;
use crate::world::World;

pub(crate) const CHECKS: &[Check] = &[
    check!(
        math_alarm_is_described_as_put,
        Aws::Free,
        "CloudWatch API, PutMetricAlarm: Metrics"
    ),
    check!(
        metric_alarm_is_described_as_put,
        Aws::Free,
        "CloudWatch API, PutMetricAlarm: MetricName"
    ),
    check!(
        new_alarm_has_insufficient_data,
        Aws::Free,
        "CloudWatch API, PutMetricAlarm: the state of a new alarm"
    ),
    check!(
        update_keeps_the_state_and_overwrites_the_rest,
        Aws::Free,
        "CloudWatch API, PutMetricAlarm: updating an existing alarm"
    ),
    check!(
        tags_of_an_update_are_ignored,
        Aws::Free,
        "CloudWatch API, PutMetricAlarm: Tags"
    ),
    check!(
        alarm_tags_are_changed_by_arn,
        Aws::Free,
        "CloudWatch API, TagResource and UntagResource"
    ),
    check!(
        alarms_are_found_by_prefix_and_by_name,
        Aws::Free,
        "CloudWatch API, DescribeAlarms: AlarmNamePrefix, AlarmNames"
    ),
    check!(
        prefix_and_name_exclude_each_other,
        Aws::Free,
        "CloudWatch API, DescribeAlarms: AlarmNamePrefix"
    ),
    check!(
        alarms_are_found_by_state,
        Aws::Free,
        "CloudWatch API, DescribeAlarms: StateValue"
    ),
    check!(
        alarms_are_described_in_pages,
        Aws::Free,
        "CloudWatch API, DescribeAlarms: MaxRecords, NextToken"
    ),
    check!(deleted_alarm_is_gone, Aws::Free, "CloudWatch API, DeleteAlarms"),
    check!(
        unknown_alarm_keeps_the_others_from_deletion,
        Aws::Free,
        "CloudWatch API, DeleteAlarms: no alarms are deleted"
    ),
    check!(
        unknown_alarm_has_no_state_to_set,
        Aws::Free,
        "CloudWatch API, SetAlarmState: ResourceNotFound"
    ),
    check!(
        actions_are_disabled_and_enabled,
        Aws::Free,
        "CloudWatch API, DisableAlarmActions and EnableAlarmActions"
    ),
    check!(
        more_to_alarm_than_periods_is_refused,
        Aws::Free,
        "CloudWatch API, PutMetricAlarm: DatapointsToAlarm"
    ),
    check!(
        alarm_of_two_results_is_refused,
        Aws::Free,
        "CloudWatch API, MetricDataQuery: ReturnData"
    ),
    check!(
        history_tells_of_settings_and_states,
        Aws::Free,
        "CloudWatch API, DescribeAlarmHistory"
    ),
];

/// Prepares an alarm on one metric that nobody publishes; missing data leaves it in its state.
fn put(world: &World, name: &str) -> PutMetricAlarmFluentBuilder {
    world.note(Made::Alarm(name.to_owned()));
    let call = world
        .cloudwatch()
        .put_metric_alarm()
        .alarm_name(name)
        .namespace("Penstock/Contract")
        .metric_name("Depth");
    let call = call
        .statistic(Statistic::Maximum)
        .period(60)
        .evaluation_periods(3)
        .datapoints_to_alarm(2)
        .threshold(5.0);
    call.comparison_operator(ComparisonOperator::GreaterThanThreshold)
        .treat_missing_data("ignore")
}

async fn made(world: &World) -> Result<String, Failure> {
    let name = world.name("alarm");
    done("put an alarm", put(world, &name).send().await)?;
    Ok(name)
}

async fn described(world: &World, name: &str) -> Result<MetricAlarm, Failure> {
    let answer = world.cloudwatch().describe_alarms().alarm_names(name).send().await;
    let alarms = done("describe the alarm", answer)?.metric_alarms.unwrap_or_default();
    there("the alarm", alarms.into_iter().next())
}

async fn set_state(world: &World, name: &str, state: StateValue) -> Outcome {
    let call = world
        .cloudwatch()
        .set_alarm_state()
        .alarm_name(name)
        .state_value(state)
        .state_reason("the contract");
    done("set the state", call.send().await).map(drop)
}

fn stat(namespace: &str, name: &str, dimensions: &[(&str, &str)], stat: &str) -> MetricStat {
    let dimension = |(name, value): &(&str, &str)| Dimension::builder().name(*name).value(*value).build();
    let metric = Metric::builder().namespace(namespace).metric_name(name);
    let metric = metric
        .set_dimensions(Some(dimensions.iter().map(dimension).collect()))
        .build();
    MetricStat::builder().metric(metric).period(60).stat(stat).build()
}

/// CPU is high and no more tasks can be had, as Penstock writes it.
fn math() -> Vec<MetricDataQuery> {
    let service = [("ClusterName", "c"), ("ServiceName", "s")];
    let query = |id: &str| MetricDataQuery::builder().id(id).label(format!("label of {id}"));
    vec![
        query("m1")
            .metric_stat(stat("AWS/ECS", "CPUUtilization", &service, "Average"))
            .return_data(false)
            .build(),
        query("m2")
            .metric_stat(stat("AWS/ECS", "CPUUtilization", &service, "SampleCount"))
            .return_data(false)
            .build(),
        query("e1")
            .expression("IF(m1 > 80 AND m2 >= 4, 1, 0)")
            .return_data(true)
            .build(),
    ]
}

async fn math_alarm_is_described_as_put(world: &World) -> Outcome {
    let name = world.name("alarm");
    let topic = format!("arn:aws:sns:{}:{}:alarms", world.region(), world.account());
    world.note(Made::Alarm(name.clone()));
    let call = world
        .cloudwatch()
        .put_metric_alarm()
        .alarm_name(&name)
        .alarm_description("CPU high at max");
    let call = call
        .set_metrics(Some(math()))
        .threshold(0.0)
        .comparison_operator(ComparisonOperator::GreaterThanThreshold);
    let call = call
        .evaluation_periods(15)
        .datapoints_to_alarm(5)
        .treat_missing_data("notBreaching");
    let call = call
        .actions_enabled(true)
        .alarm_actions(&topic)
        .ok_actions(&topic)
        .insufficient_data_actions(&topic);
    done("put the alarm", call.send().await)?;
    let alarm = described(world, &name).await?;
    let arn = format!("arn:aws:cloudwatch:{}:{}:alarm:{name}", world.region(), world.account());
    equal("the ARN", alarm.alarm_arn(), Some(arn.as_str()))?;
    equal("the description", alarm.alarm_description(), Some("CPU high at max"))?;
    same_queries(alarm.metrics())?;
    equal("the threshold", alarm.threshold(), Some(0.0))?;
    equal(
        "the comparison",
        alarm.comparison_operator(),
        Some(&ComparisonOperator::GreaterThanThreshold),
    )?;
    equal(
        "M of N",
        (alarm.datapoints_to_alarm(), alarm.evaluation_periods()),
        (Some(5), Some(15)),
    )?;
    equal("missing data", alarm.treat_missing_data(), Some("notBreaching"))?;
    equal("whether actions are on", alarm.actions_enabled(), Some(true))?;
    for actions in [
        alarm.alarm_actions(),
        alarm.ok_actions(),
        alarm.insufficient_data_actions(),
    ] {
        equal("the actions", actions.to_vec(), vec![topic.clone()])?;
    }
    equal(
        "the metric of its own",
        (alarm.metric_name(), alarm.namespace(), alarm.period()),
        (None, None, None),
    )
}

/// Real CloudWatch names the account in each query of a metric, so that is left out of the comparison.
fn same_queries(seen: &[MetricDataQuery]) -> Outcome {
    let mut seen = seen.to_vec();
    seen.iter_mut().for_each(|query| query.account_id = None);
    equal("the queries", seen, math())
}

async fn metric_alarm_is_described_as_put(world: &World) -> Outcome {
    let name = world.name("alarm");
    let dimension = Dimension::builder().name("QueueName").value("orders").build();
    done(
        "put the alarm",
        put(world, &name).dimensions(dimension.clone()).send().await,
    )?;
    let alarm = described(world, &name).await?;
    equal(
        "the metric",
        (alarm.namespace(), alarm.metric_name()),
        (Some("Penstock/Contract"), Some("Depth")),
    )?;
    equal("the dimensions", alarm.dimensions().to_vec(), vec![dimension])?;
    equal("the statistic", alarm.statistic(), Some(&Statistic::Maximum))?;
    equal("the period", alarm.period(), Some(60))?;
    equal(
        "M of N",
        (alarm.datapoints_to_alarm(), alarm.evaluation_periods()),
        (Some(2), Some(3)),
    )?;
    equal("missing data", alarm.treat_missing_data(), Some("ignore"))?;
    equal("whether actions are on", alarm.actions_enabled(), Some(true))
}

async fn new_alarm_has_insufficient_data(world: &World) -> Outcome {
    let name = made(world).await?;
    let alarm = described(world, &name).await?;
    equal("the state", alarm.state_value(), Some(&StateValue::InsufficientData))?;
    holds("it says since when", alarm.state_updated_timestamp().is_some())
}

async fn update_keeps_the_state_and_overwrites_the_rest(world: &World) -> Outcome {
    let name = world.name("alarm");
    done(
        "put the alarm",
        put(world, &name).alarm_description("first").send().await,
    )?;
    set_state(world, &name, StateValue::Alarm).await?;
    done("put it again", put(world, &name).threshold(6.0).send().await)?;
    let alarm = described(world, &name).await?;
    equal("the state", alarm.state_value(), Some(&StateValue::Alarm))?;
    equal("the reason", alarm.state_reason(), Some("the contract"))?;
    equal("the threshold", alarm.threshold(), Some(6.0))?;
    equal("the description that was left out", alarm.alarm_description(), None)
}

fn tag(key: &str) -> Tag {
    Tag::builder().key(key).value("x").build()
}

async fn tag_keys(world: &World, name: &str) -> Result<BTreeSet<String>, Failure> {
    let arn = described(world, name).await?.alarm_arn.unwrap_or_default();
    let listed = done(
        "list tags",
        world
            .cloudwatch()
            .list_tags_for_resource()
            .resource_arn(arn)
            .send()
            .await,
    )?;
    Ok(listed
        .tags()
        .iter()
        .filter_map(|tag| tag.key().map(str::to_owned))
        .collect())
}

async fn tags_of_an_update_are_ignored(world: &World) -> Outcome {
    let name = world.name("alarm");
    done("put the alarm", put(world, &name).tags(tag("first")).send().await)?;
    done("put it again", put(world, &name).tags(tag("second")).send().await)?;
    equal(
        "the tags",
        tag_keys(world, &name).await?,
        BTreeSet::from(["first".to_owned()]),
    )
}

async fn alarm_tags_are_changed_by_arn(world: &World) -> Outcome {
    let name = made(world).await?;
    let arn = described(world, &name).await?.alarm_arn.unwrap_or_default();
    let call = world
        .cloudwatch()
        .tag_resource()
        .resource_arn(&arn)
        .tags(tag("a"))
        .tags(tag("b"));
    done("tag", call.send().await)?;
    done(
        "untag",
        world
            .cloudwatch()
            .untag_resource()
            .resource_arn(&arn)
            .tag_keys("a")
            .send()
            .await,
    )?;
    equal(
        "the tags",
        tag_keys(world, &name).await?,
        BTreeSet::from(["b".to_owned()]),
    )
}

async fn alarms_are_found_by_prefix_and_by_name(world: &World) -> Outcome {
    let stem = world.name("alarm");
    let names: Vec<String> = ["a", "b"].iter().map(|end| format!("{stem}-{end}")).collect();
    for name in &names {
        done("put an alarm", put(world, name).send().await)?;
    }
    let found = |alarms: &[MetricAlarm]| {
        alarms
            .iter()
            .filter_map(|one| one.alarm_name().map(str::to_owned))
            .collect::<Vec<_>>()
    };
    let by_prefix = world
        .cloudwatch()
        .describe_alarms()
        .alarm_name_prefix(&stem)
        .send()
        .await;
    equal(
        "the ones with the prefix",
        found(done("describe", by_prefix)?.metric_alarms()),
        names.clone(),
    )?;
    let by_name = world
        .cloudwatch()
        .describe_alarms()
        .alarm_names(&names[1])
        .alarm_names("nobody")
        .send()
        .await;
    equal(
        "the ones with the names",
        found(done("describe", by_name)?.metric_alarms()),
        vec![names[1].clone()],
    )?;
    Ok(())
}

async fn prefix_and_name_exclude_each_other(world: &World) -> Outcome {
    let both = world
        .cloudwatch()
        .describe_alarms()
        .alarm_name_prefix("a")
        .alarm_names("a")
        .send()
        .await;
    refused("a prefix and a name", both, &["ValidationError"], "")
}

async fn alarms_are_found_by_state(world: &World) -> Outcome {
    let (stem, mut names) = (world.name("alarm"), Vec::new());
    for end in ["a", "b"] {
        names.push(format!("{stem}-{end}"));
        done("put an alarm", put(world, &format!("{stem}-{end}")).send().await)?;
    }
    set_state(world, &names[1], StateValue::Ok).await?;
    let answer = world
        .cloudwatch()
        .describe_alarms()
        .alarm_name_prefix(&stem)
        .state_value(StateValue::Ok)
        .send()
        .await;
    let answer = done("describe", answer)?;
    let found: Vec<_> = answer
        .metric_alarms()
        .iter()
        .filter_map(MetricAlarm::alarm_name)
        .collect();
    equal("the ones that are OK", found, vec![names[1].as_str()])
}

async fn alarms_are_described_in_pages(world: &World) -> Outcome {
    let stem = world.name("alarm");
    for end in 0..3 {
        done("put an alarm", put(world, &format!("{stem}-{end}")).send().await)?;
    }
    let list = || {
        world
            .cloudwatch()
            .describe_alarms()
            .alarm_name_prefix(&stem)
            .max_records(2)
    };
    let first = done("describe", list().send().await)?;
    equal("the first page's length", first.metric_alarms().len(), 2)?;
    let token = there("the token of the second page", first.next_token())?;
    let second = done("describe the second page", list().next_token(token).send().await)?;
    equal("the second page's length", second.metric_alarms().len(), 1)?;
    equal("the token after the last page", second.next_token(), None)
}

async fn deleted_alarm_is_gone(world: &World) -> Outcome {
    let name = made(world).await?;
    done(
        "delete",
        world.cloudwatch().delete_alarms().alarm_names(&name).send().await,
    )?;
    let answer = done(
        "describe",
        world.cloudwatch().describe_alarms().alarm_names(&name).send().await,
    )?;
    equal("the number of alarms", answer.metric_alarms().len(), 0)
}

async fn unknown_alarm_keeps_the_others_from_deletion(world: &World) -> Outcome {
    let name = made(world).await?;
    let answer = world
        .cloudwatch()
        .delete_alarms()
        .alarm_names(&name)
        .alarm_names(world.name("nobody"))
        .send()
        .await;
    refused("a known and an unknown alarm", answer, &["ResourceNotFound"], "")?;
    described(world, &name).await.map(drop)
}

async fn unknown_alarm_has_no_state_to_set(world: &World) -> Outcome {
    let call = world
        .cloudwatch()
        .set_alarm_state()
        .alarm_name(world.name("nobody"))
        .state_value(StateValue::Ok);
    refused(
        "an unknown alarm",
        call.state_reason("-").send().await,
        &["ResourceNotFound"],
        "",
    )
}

async fn actions_are_disabled_and_enabled(world: &World) -> Outcome {
    let name = made(world).await?;
    done(
        "disable",
        world
            .cloudwatch()
            .disable_alarm_actions()
            .alarm_names(&name)
            .send()
            .await,
    )?;
    equal(
        "whether actions are on",
        described(world, &name).await?.actions_enabled(),
        Some(false),
    )?;
    done(
        "enable",
        world
            .cloudwatch()
            .enable_alarm_actions()
            .alarm_names(&name)
            .send()
            .await,
    )?;
    equal(
        "whether actions are on",
        described(world, &name).await?.actions_enabled(),
        Some(true),
    )
}

async fn more_to_alarm_than_periods_is_refused(world: &World) -> Outcome {
    let answer = put(world, &world.name("alarm")).datapoints_to_alarm(4).send().await;
    refused("4 out of 3", answer, &["ValidationError"], "")
}

async fn alarm_of_two_results_is_refused(world: &World) -> Outcome {
    let name = world.name("alarm");
    world.note(Made::Alarm(name.clone()));
    let mut queries = math();
    queries[0].return_data = Some(true);
    let call = world
        .cloudwatch()
        .put_metric_alarm()
        .alarm_name(name)
        .set_metrics(Some(queries))
        .threshold(0.0);
    let call = call
        .comparison_operator(ComparisonOperator::GreaterThanThreshold)
        .evaluation_periods(1);
    refused(
        "two queries that return data",
        call.send().await,
        &["ValidationError"],
        "",
    )
}

async fn history_tells_of_settings_and_states(world: &World) -> Outcome {
    let name = made(world).await?;
    set_state(world, &name, StateValue::Ok).await?;
    for (kind, word) in [
        (HistoryItemType::ConfigurationUpdate, "created"),
        (HistoryItemType::StateUpdate, "INSUFFICIENT_DATA to OK"),
    ] {
        let call = world
            .cloudwatch()
            .describe_alarm_history()
            .alarm_name(&name)
            .history_item_type(kind.clone());
        let history = done("describe the history", call.send().await)?;
        let summaries: Vec<_> = history
            .alarm_history_items()
            .iter()
            .filter_map(|item| item.history_summary())
            .collect();
        holds(
            &format!("{word:?} is in {summaries:?}"),
            summaries.iter().any(|summary| summary.contains(word)),
        )?;
    }
    Ok(())
}
