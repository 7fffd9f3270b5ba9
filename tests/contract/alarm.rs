//! What the checks on alarms share.

use aws_sdk_cloudwatch::operation::put_metric_alarm::builders::PutMetricAlarmFluentBuilder;
use aws_sdk_cloudwatch::types::{
    ComparisonOperator, Dimension, Metric, MetricAlarm, MetricDataQuery, MetricStat, StateValue, Statistic,
};

use crate::check::{Failure, Outcome, done, there};
use crate::made::Made;
use crate::world::World;

/// Prepares an alarm on one metric that nobody publishes; missing data leaves it in its state.
pub(crate) fn put(world: &World, name: &str) -> PutMetricAlarmFluentBuilder {
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

pub(crate) async fn made(world: &World) -> Result<String, Failure> {
    let name = world.name("alarm");
    done("put an alarm", put(world, &name).send().await)?;
    Ok(name)
}

pub(crate) async fn described(world: &World, name: &str) -> Result<MetricAlarm, Failure> {
    let answer = world.cloudwatch().describe_alarms().alarm_names(name).send().await;
    let alarms = done("describe the alarm", answer)?.metric_alarms.unwrap_or_default();
    there("the alarm", alarms.into_iter().next())
}

pub(crate) async fn set_state(world: &World, name: &str, state: StateValue) -> Outcome {
    let call = world
        .cloudwatch()
        .set_alarm_state()
        .alarm_name(name)
        .state_value(state)
        .state_reason("the contract");
    done("set the state", call.send().await).map(drop)
}

pub(crate) fn stat(namespace: &str, name: &str, dimensions: &[(&str, &str)], stat: &str) -> MetricStat {
    let dimension = |(name, value): &(&str, &str)| Dimension::builder().name(*name).value(*value).build();
    let metric = Metric::builder().namespace(namespace).metric_name(name);
    let metric = metric
        .set_dimensions(Some(dimensions.iter().map(dimension).collect()))
        .build();
    MetricStat::builder().metric(metric).period(60).stat(stat).build()
}

/// CPU is high and no more tasks can be had, as Penstock writes it.
pub(crate) fn math() -> Vec<MetricDataQuery> {
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
