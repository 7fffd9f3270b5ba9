//! CloudWatch: the settings, states and history of alarms.

use aws_sdk_cloudwatch::types::{
    ComparisonOperator, Dimension, HistoryItemType, MetricDataQuery, StateValue, Statistic,
};

use crate::alarm::{described, made, math, put, set_state};
use crate::check::{Aws, Check, Outcome, check, done, equal, holds, refused};
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
