//! CloudWatch: metrics and metric math.
//!
//! A metric that was just put may take minutes to be seen on AWS, and metrics cannot be removed, so none of this is asked there.

use std::time::Duration;

use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{
    Dimension, Metric, MetricDataQuery, MetricDatum, MetricStat, ScanBy, Statistic, StatisticSet,
};

use crate::check::{Aws, Check, Failure, Outcome, check, done, equal, there};
use crate::world::World;

const SLOW: Aws = Aws::Never("a custom metric costs money, cannot be removed, and may take minutes to be seen");
const NAMESPACE: &str = "Penstock/Contract";

pub(crate) const CHECKS: &[Check] = &[
    check!(
        statistics_are_those_of_the_data,
        SLOW,
        "CloudWatch API, GetMetricData: Stat"
    ),
    check!(
        statistic_sets_count_as_their_samples,
        SLOW,
        "CloudWatch API, StatisticSet"
    ),
    check!(
        values_are_summed_over_their_period,
        SLOW,
        "CloudWatch API, GetMetricStatistics"
    ),
    check!(
        math_is_done_over_metrics,
        SLOW,
        "CloudWatch User Guide, Using math expressions with metrics"
    ),
    check!(
        division_by_zero_drops_the_point,
        SLOW,
        "CloudWatch User Guide, Using math expressions with metrics"
    ),
    check!(
        only_what_returns_data_is_returned,
        SLOW,
        "CloudWatch API, MetricDataQuery: ReturnData"
    ),
    check!(
        data_are_returned_in_the_order_asked_for,
        SLOW,
        "CloudWatch API, GetMetricData: ScanBy"
    ),
    check!(
        metrics_are_listed_by_name_and_dimension,
        SLOW,
        "CloudWatch API, ListMetrics"
    ),
];

/// Two minutes that are over, the older one first, and the range around them.
struct Minutes {
    first: i64,
    second: i64,
}

impl Minutes {
    #[expect(clippy::disallowed_methods, reason = "the emulators' clocks are the system's")]
    fn just_now() -> Result<Self, Failure> {
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_err(|error| Failure(error.to_string()))?;
        let second = (i64::try_from(now.as_secs()).unwrap_or_default() / 60 - 2) * 60;
        Ok(Self {
            first: second - 60,
            second,
        })
    }

    fn range(&self) -> (DateTime, DateTime) {
        let after = self.second + i64::try_from(Duration::from_secs(60).as_secs()).unwrap_or_default();
        (DateTime::from_secs(self.first), DateTime::from_secs(after))
    }
}

fn datum(metric: &str, at: i64, value: f64) -> MetricDatum {
    MetricDatum::builder()
        .metric_name(metric)
        .timestamp(DateTime::from_secs(at + 1))
        .value(value)
        .build()
}

async fn put(world: &World, data: Vec<MetricDatum>) -> Outcome {
    let call = world
        .cloudwatch()
        .put_metric_data()
        .namespace(NAMESPACE)
        .set_metric_data(Some(data));
    done("put metric data", call.send().await).map(drop)
}

fn of(id: &str, metric: &str, stat: &str) -> MetricDataQuery {
    let metric = Metric::builder().namespace(NAMESPACE).metric_name(metric).build();
    MetricDataQuery::builder()
        .id(id)
        .metric_stat(MetricStat::builder().metric(metric).period(60).stat(stat).build())
        .build()
}

fn expression(id: &str, expression: &str) -> MetricDataQuery {
    MetricDataQuery::builder().id(id).expression(expression).build()
}

fn hidden(mut query: MetricDataQuery) -> MetricDataQuery {
    query.return_data = Some(false);
    query
}

/// Returns the values of each result by its id, the oldest first.
async fn values(
    world: &World,
    minutes: &Minutes,
    queries: Vec<MetricDataQuery>,
) -> Result<Vec<(String, Vec<f64>)>, Failure> {
    let (from, to) = minutes.range();
    let call = world
        .cloudwatch()
        .get_metric_data()
        .set_metric_data_queries(Some(queries))
        .start_time(from)
        .end_time(to);
    let answer = done("get metric data", call.scan_by(ScanBy::TimestampAscending).send().await)?;
    let results = answer.metric_data_results().iter();
    Ok(results
        .map(|one| (one.id().unwrap_or_default().to_owned(), one.values().to_vec()))
        .collect())
}

fn named(results: &[(&str, &[f64])]) -> Vec<(String, Vec<f64>)> {
    results
        .iter()
        .map(|(id, values)| ((*id).to_owned(), values.to_vec()))
        .collect()
}

async fn statistics_are_those_of_the_data(world: &World) -> Outcome {
    let (minutes, name) = (Minutes::just_now()?, world.name("metric"));
    put(
        world,
        [1.0, 2.0, 6.0]
            .iter()
            .map(|value| datum(&name, minutes.first, *value))
            .collect(),
    )
    .await?;
    for (stat, wanted) in [
        ("Sum", 9.0),
        ("Average", 3.0),
        ("Minimum", 1.0),
        ("Maximum", 6.0),
        ("SampleCount", 3.0),
    ] {
        let seen = values(world, &minutes, vec![of("m1", &name, stat)]).await?;
        equal(stat, seen, named(&[("m1", &[wanted])]))?;
    }
    Ok(())
}

async fn statistic_sets_count_as_their_samples(world: &World) -> Outcome {
    let (minutes, name) = (Minutes::just_now()?, world.name("metric"));
    let set = StatisticSet::builder()
        .sample_count(4.0)
        .sum(20.0)
        .minimum(2.0)
        .maximum(8.0)
        .build();
    let datum = MetricDatum::builder()
        .metric_name(&name)
        .timestamp(DateTime::from_secs(minutes.first))
        .statistic_values(set);
    put(world, vec![datum.build()]).await?;
    for (stat, wanted) in [("Average", 5.0), ("SampleCount", 4.0), ("Maximum", 8.0)] {
        let seen = values(world, &minutes, vec![of("m1", &name, stat)]).await?;
        equal(stat, seen, named(&[("m1", &[wanted])]))?;
    }
    Ok(())
}

async fn values_are_summed_over_their_period(world: &World) -> Outcome {
    let (minutes, name) = (Minutes::just_now()?, world.name("metric"));
    put(
        world,
        vec![datum(&name, minutes.first, 1.0), datum(&name, minutes.first, 2.0)],
    )
    .await?;
    let (from, to) = minutes.range();
    let call = world
        .cloudwatch()
        .get_metric_statistics()
        .namespace(NAMESPACE)
        .metric_name(&name)
        .period(60);
    let answer = done(
        "get statistics",
        call.start_time(from)
            .end_time(to)
            .statistics(Statistic::Sum)
            .send()
            .await,
    )?;
    let points: Vec<_> = answer
        .datapoints()
        .iter()
        .map(|point| (point.timestamp().map(|at| at.secs()), point.sum()))
        .collect();
    equal("the points", points, vec![(Some(minutes.first), Some(3.0))])
}

async fn math_is_done_over_metrics(world: &World) -> Outcome {
    let (minutes, backlog, tasks) = (Minutes::just_now()?, world.name("backlog"), world.name("tasks"));
    let data = [
        (&backlog, minutes.first, 90.0),
        (&backlog, minutes.second, 40.0),
        (&tasks, minutes.first, 3.0),
        (&tasks, minutes.second, 4.0),
    ];
    put(
        world,
        data.iter().map(|(name, at, value)| datum(name, *at, *value)).collect(),
    )
    .await?;
    let queries = |math: &str| {
        vec![
            hidden(of("m1", &backlog, "Sum")),
            hidden(of("m2", &tasks, "Average")),
            expression("e1", math),
        ]
    };
    for (math, wanted) in [
        ("m1 / m2", [30.0, 10.0]),
        ("IF(m1 > 80 AND m2 >= 3, 1, 0)", [1.0, 0.0]),
        ("MAX([m1, m2 * 20])", [90.0, 80.0]),
    ] {
        let seen = values(world, &minutes, queries(math)).await?;
        equal(math, seen, named(&[("e1", &wanted)]))?;
    }
    Ok(())
}

async fn division_by_zero_drops_the_point(world: &World) -> Outcome {
    let (minutes, backlog, tasks) = (Minutes::just_now()?, world.name("backlog"), world.name("tasks"));
    let data = [
        (&backlog, minutes.first, 90.0),
        (&backlog, minutes.second, 40.0),
        (&tasks, minutes.first, 0.0),
        (&tasks, minutes.second, 4.0),
    ];
    put(
        world,
        data.iter().map(|(name, at, value)| datum(name, *at, *value)).collect(),
    )
    .await?;
    let queries = vec![
        hidden(of("m1", &backlog, "Sum")),
        hidden(of("m2", &tasks, "Average")),
        expression("e1", "m1 / m2"),
    ];
    equal(
        "the quotient",
        values(world, &minutes, queries).await?,
        named(&[("e1", &[10.0])]),
    )
}

async fn only_what_returns_data_is_returned(world: &World) -> Outcome {
    let (minutes, name) = (Minutes::just_now()?, world.name("metric"));
    put(world, vec![datum(&name, minutes.first, 5.0)]).await?;
    let seen = values(
        world,
        &minutes,
        vec![hidden(of("m1", &name, "Sum")), of("m2", &name, "Maximum")],
    )
    .await?;
    equal("the results", seen, named(&[("m2", &[5.0])]))
}

async fn data_are_returned_in_the_order_asked_for(world: &World) -> Outcome {
    let (minutes, name) = (Minutes::just_now()?, world.name("metric"));
    put(
        world,
        vec![datum(&name, minutes.first, 1.0), datum(&name, minutes.second, 2.0)],
    )
    .await?;
    for (order, wanted) in [
        (ScanBy::TimestampAscending, [1.0, 2.0]),
        (ScanBy::TimestampDescending, [2.0, 1.0]),
    ] {
        let (from, to) = minutes.range();
        let call = world
            .cloudwatch()
            .get_metric_data()
            .metric_data_queries(of("m1", &name, "Sum"));
        let answer = done(
            "get",
            call.start_time(from).end_time(to).scan_by(order.clone()).send().await,
        )?;
        let result = there("the result", answer.metric_data_results().first())?;
        equal(&format!("{order}"), result.values().to_vec(), wanted.to_vec())?;
    }
    Ok(())
}

async fn metrics_are_listed_by_name_and_dimension(world: &World) -> Outcome {
    let (minutes, name) = (Minutes::just_now()?, world.name("metric"));
    let dimension = Dimension::builder().name("QueueName").value("orders").build();
    let plain = datum(&name, minutes.first, 1.0);
    let mut other = plain.clone();
    other.dimensions = Some(vec![dimension.clone()]);
    put(world, vec![plain, other]).await?;
    let answer = world
        .cloudwatch()
        .list_metrics()
        .namespace(NAMESPACE)
        .metric_name(&name)
        .send()
        .await;
    let listed = done("list metrics", answer)?;
    let mut dimensions: Vec<_> = listed.metrics().iter().map(|one| one.dimensions().to_vec()).collect();
    dimensions.sort_by_key(Vec::len);
    equal("the metrics' dimensions", dimensions, vec![vec![], vec![dimension]])
}
