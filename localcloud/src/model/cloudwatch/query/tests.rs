//! What is taken as a list of queries, and what it yields.

use super::{Metric, MetricDataQuery, MetricStat, Queries, QueryError};
use crate::model::cloudwatch::store::{Dimension, MINUTE, MetricKey, MetricStore, Samples, Window};

fn metric(id: &str, name: &str) -> MetricDataQuery {
    let dimensions = vec![Dimension {
        name: "Queue".into(),
        value: "orders".into(),
    }];
    let metric = Metric {
        namespace: "App".into(),
        metric_name: name.into(),
        dimensions,
    };
    let stat = MetricStat {
        metric,
        period: 60,
        stat: "Sum".into(),
        unit: None,
    };
    MetricDataQuery {
        id: id.into(),
        metric_stat: Some(stat),
        expression: None,
        label: None,
        return_data: Some(false),
    }
}

fn expression(id: &str, text: &str) -> MetricDataQuery {
    MetricDataQuery {
        id: id.into(),
        metric_stat: None,
        expression: Some(text.into()),
        label: None,
        return_data: Some(true),
    }
}

fn store(points: &[(&str, i64, f64)]) -> MetricStore {
    let mut store = MetricStore::default();
    for (name, minute, value) in points {
        let key = MetricKey::of("App", name, &[("Queue", "orders")]);
        store
            .put(&key, "None", minute * MINUTE, Samples::one(*value))
            .expect("there is room");
    }
    store
}

#[test]
fn expressions_may_name_expressions_that_come_later() {
    let mut inner = expression("sum", "m1 + m2");
    inner.return_data = Some(false);
    let list = [
        expression("e1", "sum / m3"),
        inner,
        metric("m1", "A"),
        metric("m2", "B"),
        metric("m3", "C"),
    ];
    let queries = Queries::check_stored(&list).expect("the list is sound");
    let store = store(&[("A", 0, 30.0), ("B", 0, 10.0), ("C", 0, 4.0), ("A", 1, 5.0)]);
    let window = Window {
        start: 0,
        period: MINUTE,
        count: 2,
    };
    assert_eq!(queries.series(&store, window), [Some(10.0), None]);
}

#[test]
fn expressions_that_need_each_other_are_refused() {
    let list = [expression("e1", "e2 + 1"), expression("e2", "e1 + 1")];
    assert_eq!(Queries::check(&list), Err(QueryError::EndCircle("e1".into())));
}

#[test]
fn a_list_with_a_fault_is_refused_by_name() {
    let of = |change: fn(&mut MetricDataQuery)| {
        let mut query = metric("m1", "A");
        change(&mut query);
        Queries::check(&[query]).expect_err("the query has a fault").to_string()
    };
    assert!(of(|query| query.id = "M1".into()).contains("Id 'M1'"));
    assert!(of(|query| query.expression = Some("m2".into())).contains("either MetricStat or Expression"));
    assert!(of(|query| query.metric_stat = None).contains("either MetricStat or Expression"));
    let stat = |query: &mut MetricDataQuery, change: fn(&mut MetricStat)| query.metric_stat.iter_mut().for_each(change);
    assert!(of(|query| query.metric_stat.iter_mut().for_each(|stat| stat.stat = "p99".into())).contains("p99"));
    assert!(of(|query| query.metric_stat.iter_mut().for_each(|stat| stat.period = 30)).contains("multiple of 60"));
    let mut other = metric("m2", "B");
    stat(&mut other, |stat| stat.period = 300);
    assert_eq!(
        Queries::check(&[metric("m1", "A"), other]),
        Err(QueryError::AlignPeriods)
    );
    assert_eq!(
        Queries::check(&[metric("m1", "A"), metric("m1", "B")]),
        Err(QueryError::RepeatId("m1".into()))
    );
    assert_eq!(Queries::check(&[]), Err(QueryError::FindQuery));
}

#[test]
fn an_expression_that_names_nothing_known_is_refused() {
    let error = Queries::check(&[metric("m1", "A"), expression("e1", "m1 / m2")]).expect_err("m2 is unknown");
    assert_eq!(
        error.to_string(),
        "Expression of 'e1' is not valid: `m2` is not the Id of another query"
    );
}

#[test]
fn what_is_stored_returns_exactly_one_series() {
    let of = |list: &[MetricDataQuery]| Queries::check_stored(list).err();
    assert_eq!(of(&[metric("m1", "A")]), Some(QueryError::ReturnOne));
    let twice = [metric("m1", "A"), expression("e1", "m1"), expression("e2", "m1")];
    assert_eq!(of(&twice), Some(QueryError::ReturnOne));
    assert_eq!(
        of(&[metric("m1", "A"), expression("e1", "METRICS()")]),
        Some(QueryError::ReturnOne)
    );
    let number = [metric("m1", "A"), expression("e1", "AVG(m1)")];
    assert_eq!(of(&number), Some(QueryError::ReturnSeries("e1".into())));
}
