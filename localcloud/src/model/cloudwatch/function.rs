//! The functions of metric math that the model knows; others are refused by name.
//!
//! From "Functions supported for metric math" in the Amazon CloudWatch User Guide: ABS, AVG, CEIL, DIFF, FILL, FLOOR, IF,
//! MAX, METRICS, MIN, PERIOD, RATE, RUNNING_SUM, SUM and TIME_SERIES. AVG, MAX, MIN and SUM of one series give a number, of an array one series.

use super::expression::Expression;
use super::math::{Inputs, MathError, Series, Value, each, evaluate, finite};

/// Calls a function.
///
/// # Errors
/// When the function is unknown or takes something else.
pub(super) fn call(name: &str, arguments: &[Expression], inputs: &Inputs<'_>) -> Result<Value, MathError> {
    match name {
        "ABS" => change(name, arguments, inputs, |series| each(&series, f64::abs)),
        "CEIL" => change(name, arguments, inputs, |series| each(&series, f64::ceil)),
        "FLOOR" => change(name, arguments, inputs, |series| each(&series, f64::floor)),
        "DIFF" => change(name, arguments, inputs, |series| steps(&series, |change, _| change)),
        "RATE" => change(name, arguments, inputs, |series| {
            steps(&series, |change, apart| change / (apart * inputs.period))
        }),
        "RUNNING_SUM" => change(name, arguments, inputs, running_sum),
        "SUM" => reduce(name, arguments, inputs, |values, _| values.iter().sum()),
        "AVG" => reduce(name, arguments, inputs, |values, of| values.iter().sum::<f64>() / of),
        "MAX" => reduce(name, arguments, inputs, |values, _| {
            values.iter().copied().fold(f64::NAN, f64::max)
        }),
        "MIN" => reduce(name, arguments, inputs, |values, _| {
            values.iter().copied().fold(f64::NAN, f64::min)
        }),
        "FILL" => fill(arguments, inputs),
        "IF" => choose(arguments, inputs),
        "METRICS" => metrics(arguments, inputs),
        "PERIOD" => period(arguments, inputs),
        "TIME_SERIES" => time_series(arguments, inputs),
        _ => Err(MathError::FindFunction(name.to_owned())),
    }
}

fn takes(function: &str, takes: &'static str) -> MathError {
    MathError::Call {
        function: function.to_owned(),
        takes,
    }
}

/// Applies a change to the one argument, which is a series or an array.
fn change(
    name: &str,
    arguments: &[Expression],
    inputs: &Inputs<'_>,
    change: impl Fn(Series) -> Series,
) -> Result<Value, MathError> {
    let refused = || takes(name, "one time series or one array of time series");
    let [argument] = arguments else { return Err(refused()) };
    evaluate(argument, inputs)?.map_series(change).ok_or_else(refused)
}

/// Reduces one series to a number, or an array to one series period by period.
/// `reduce` is given what is there, and how many would be there were none missing; of one series only what is there counts.
fn reduce(
    name: &str,
    arguments: &[Expression],
    inputs: &Inputs<'_>,
    reduce: impl Fn(&[f64], f64) -> f64,
) -> Result<Value, MathError> {
    let refused = || {
        takes(
            name,
            "one time series or one array of time series; write MAX([m1, m2]) for several",
        )
    };
    let [argument] = arguments else { return Err(refused()) };
    match evaluate(argument, inputs)? {
        Value::Scalar(_) => Err(refused()),
        Value::Series(series) => {
            let present: Vec<f64> = series.into_iter().flatten().collect();
            let number = if present.is_empty() {
                f64::NAN
            } else {
                reduce(&present, present.len() as f64)
            };
            Ok(Value::Scalar(number))
        }
        Value::Array(list) => Ok(Value::Series(columns(&list, inputs.length, reduce))),
    }
}

fn columns(list: &[Series], length: usize, reduce: impl Fn(&[f64], f64) -> f64) -> Series {
    let column = |index: usize| {
        let present: Vec<f64> = list
            .iter()
            .filter_map(|series| series.get(index).copied().flatten())
            .collect();
        if present.is_empty() {
            None
        } else {
            finite(reduce(&present, list.len() as f64))
        }
    };
    (0..length).map(column).collect()
}

/// Compares every value with the one before it; `step` is given their difference and how many periods they lie apart.
fn steps(series: &[Option<f64>], step: impl Fn(f64, f64) -> f64) -> Series {
    let mut previous: Option<(usize, f64)> = None;
    let next = |(index, value): (usize, &Option<f64>)| {
        let value = (*value)?;
        let earlier = previous.replace((index, value));
        earlier.and_then(|(at, earlier)| finite(step(value - earlier, (index - at) as f64)))
    };
    series.iter().enumerate().map(next).collect()
}

fn running_sum(series: Series) -> Series {
    let mut sum = 0.0;
    let mut add = |value: f64| {
        sum += value;
        sum
    };
    series.into_iter().map(|value| value.map(&mut add)).collect()
}

/// `FILL(series, number | REPEAT | LINEAR | series)`; the filler of an array may be a series as well.
fn fill(arguments: &[Expression], inputs: &Inputs<'_>) -> Result<Value, MathError> {
    let refused = || {
        takes(
            "FILL",
            "a time series or an array, and a number, a time series, REPEAT or LINEAR",
        )
    };
    let [target, filler] = arguments else {
        return Err(refused());
    };
    let target = evaluate(target, inputs)?;
    let filled = match filler {
        Expression::Word(word) if word == "REPEAT" => target.map_series(|series| repeat(&series)),
        Expression::Word(word) if word == "LINEAR" => target.map_series(|series| linear(&series)),
        filler => match evaluate(filler, inputs)? {
            Value::Scalar(number) => {
                target.map_series(|series| series.iter().map(|value| value.or(finite(number))).collect())
            }
            Value::Series(other) => target.map_series(|series| {
                series
                    .iter()
                    .zip(&other)
                    .map(|(value, other)| value.or(*other))
                    .collect()
            }),
            Value::Array(_) => None,
        },
    };
    filled.ok_or_else(refused)
}

fn repeat(series: &[Option<f64>]) -> Series {
    let mut last = None;
    let next = |value: &Option<f64>| {
        last = value.or(last);
        last
    };
    series.iter().map(next).collect()
}

/// Draws a line over every gap that has a value on both sides.
fn linear(series: &[Option<f64>]) -> Series {
    let known: Vec<(usize, f64)> = series
        .iter()
        .enumerate()
        .filter_map(|(index, value)| value.map(|value| (index, value)))
        .collect();
    let mut filled = series.to_vec();
    for pair in known.windows(2) {
        let [(from, start), (to, end)] = pair else { continue };
        for (index, value) in filled.iter_mut().enumerate().take(*to).skip(from + 1) {
            *value = finite(start + (end - start) * (index - from) as f64 / (to - from) as f64);
        }
    }
    filled
}

/// `IF(condition, yes, no)` in the syntaxes of "Using IF expressions": a condition that is a series decides period by
/// period and only where it has a value; a missing yes is 0 there, a missing no drops the point.
fn choose(arguments: &[Expression], inputs: &Inputs<'_>) -> Result<Value, MathError> {
    let refused = || {
        takes(
            "IF",
            "a condition and one or two numbers or time series; a number as condition takes time series",
        )
    };
    let (condition, yes, no) = match arguments {
        [condition, yes] => (condition, yes, None),
        [condition, yes, no] => (condition, yes, Some(no)),
        _ => return Err(refused()),
    };
    let no = no.map(|no| evaluate(no, inputs)).transpose()?;
    match (evaluate(condition, inputs)?, evaluate(yes, inputs)?, no) {
        (Value::Array(_), ..) | (_, Value::Array(_), _) | (.., Some(Value::Array(_))) => Err(refused()),
        (Value::Series(condition), yes, no) => Ok(Value::Series(choose_each(&condition, &yes, no.as_ref()))),
        (Value::Scalar(condition), Value::Series(yes), None) => Ok(Value::Series(if holds(condition) {
            yes
        } else {
            vec![None; inputs.length]
        })),
        (Value::Scalar(condition), Value::Series(yes), Some(Value::Series(no))) => {
            Ok(Value::Series(if holds(condition) { yes } else { no }))
        }
        (Value::Scalar(_), ..) => Err(refused()),
    }
}

/// "FALSE if the value of the condition is 0, and TRUE if the value is any other".
fn holds(condition: f64) -> bool {
    condition != 0.0 && !condition.is_nan()
}

fn choose_each(condition: &[Option<f64>], yes: &Value, no: Option<&Value>) -> Series {
    let at = |value: &Value, index: usize| match value {
        Value::Scalar(number) => finite(*number),
        Value::Series(series) => series.get(index).copied().flatten(),
        Value::Array(_) => None,
    };
    let choice = |(index, condition): (usize, &Option<f64>)| match condition {
        None => None,
        Some(condition) if holds(*condition) => at(yes, index).or(Some(0.0)),
        Some(_) => no.and_then(|no| at(no, index)),
    };
    condition.iter().enumerate().map(choice).collect()
}

/// `METRICS()` or `METRICS("part of the id")`
fn metrics(arguments: &[Expression], inputs: &Inputs<'_>) -> Result<Value, MathError> {
    let part = match arguments {
        [] => "",
        [Expression::Text(part)] => part.as_str(),
        _ => return Err(takes("METRICS", "nothing, or a text to look for in the ids")),
    };
    let series = |id: &String| match inputs.values.get(id) {
        Some(Value::Series(series)) => Some(series.clone()),
        _ => None,
    };
    Ok(Value::Array(
        inputs
            .metrics
            .iter()
            .filter(|id| id.contains(part))
            .filter_map(series)
            .collect(),
    ))
}

/// `PERIOD(m1)`: "Valid input is metrics, not the results of other expressions".
fn period(arguments: &[Expression], inputs: &Inputs<'_>) -> Result<Value, MathError> {
    match arguments {
        [Expression::Name(id)] if inputs.metrics.contains(id) => Ok(Value::Scalar(inputs.period)),
        _ => Err(takes("PERIOD", "the id of one metric")),
    }
}

/// `TIME_SERIES(5)`: the same number in every period.
fn time_series(arguments: &[Expression], inputs: &Inputs<'_>) -> Result<Value, MathError> {
    let refused = || takes("TIME_SERIES", "one number");
    let [argument] = arguments else { return Err(refused()) };
    match evaluate(argument, inputs)? {
        Value::Scalar(number) => Ok(Value::Series(vec![finite(number); inputs.length])),
        Value::Series(_) | Value::Array(_) => Err(refused()),
    }
}

#[cfg(test)]
mod tests {
    use crate::model::cloudwatch::math::Value;
    use crate::model::cloudwatch::math::tests::{result, series};

    const NONE: f64 = f64::NAN;

    /// The series of the three tables in "Using IF expressions" of "Use metric math".
    const PUBLISHED: [(&str, &[f64]); 3] = [
        ("metric1", &[1.0, 1.0, 0.0, 0.0, NONE]),
        ("metric2", &[30.0, NONE, 0.0, 0.0, 30.0]),
        ("metric3", &[0.0, 0.0, 20.0, NONE, 20.0]),
    ];

    #[test]
    fn if_gives_what_the_published_tables_say() {
        let table = [
            (
                "IF(metric1, metric2, metric3)",
                [Some(30.0), Some(0.0), Some(20.0), None, None],
            ),
            (
                "IF(metric1, 5, metric3)",
                [Some(5.0), Some(5.0), Some(20.0), None, None],
            ),
            (
                "IF(metric1, metric2, 5)",
                [Some(30.0), Some(0.0), Some(5.0), Some(5.0), None],
            ),
        ];
        for (text, expected) in table {
            assert_eq!(series(text, &PUBLISHED), expected, "{text}");
        }
    }

    #[test]
    fn if_without_a_third_part_drops_where_the_condition_fails() {
        assert_eq!(
            series("IF(m1 < 400, m1)", &[("m1", &[100.0, 500.0, NONE])]),
            [Some(100.0), None, None]
        );
        assert_eq!(series("IF(1 > 2, m1)", &[("m1", &[100.0])]), [None]);
        assert_eq!(series("IF(2 > 1, m1, m1 * 2)", &[("m1", &[100.0])]), [Some(100.0)]);
    }

    #[test]
    fn an_alarm_expression_of_load_and_maximum_is_true_only_where_both_hold() {
        let inputs: [(&str, &[f64]); 2] = [("cpu", &[90.0, 90.0, 10.0, NONE]), ("desired", &[6.0, 2.0, 6.0, 6.0])];
        let alarm = "IF(cpu > 85 AND desired >= 6, 1, 0)";
        assert_eq!(series(alarm, &inputs), [Some(1.0), Some(0.0), Some(0.0), Some(0.0)]);
    }

    #[test]
    fn one_series_reduces_to_a_number_and_an_array_to_a_series() {
        let inputs: [(&str, &[f64]); 2] = [("m1", &[1.0, NONE, 5.0]), ("m2", &[3.0, NONE, NONE])];
        assert_eq!(result("AVG(m1)", &inputs), Ok(Value::Scalar(3.0)));
        assert_eq!(result("MAX(m1)", &inputs), Ok(Value::Scalar(5.0)));
        assert_eq!(series("MAX([m1, m2])", &inputs), [Some(3.0), None, Some(5.0)]);
        assert_eq!(series("MIN([m1, m2])", &inputs), [Some(1.0), None, Some(5.0)]);
        assert_eq!(series("SUM(METRICS())", &inputs), [Some(4.0), None, Some(5.0)]);
        // "The AVG of an array of time series returns a single time series. Missing values are treated as 0."
        assert_eq!(series("AVG(METRICS())", &inputs), [Some(2.0), None, Some(2.5)]);
    }

    #[test]
    fn metrics_can_be_chosen_by_a_part_of_their_id() {
        let inputs: [(&str, &[f64]); 3] = [("errors_a", &[1.0]), ("errors_b", &[2.0]), ("requests", &[10.0])];
        assert_eq!(
            series("SUM(METRICS('errors')) / SUM(METRICS(\"requests\")) * 100", &inputs),
            [Some(30.0)]
        );
    }

    #[test]
    fn fill_takes_a_number_another_series_repeat_and_linear() {
        let inputs: [(&str, &[f64]); 2] = [
            ("m1", &[NONE, 2.0, NONE, NONE, 8.0]),
            ("m2", &[7.0, 7.0, 7.0, NONE, 7.0]),
        ];
        assert_eq!(series("FILL(m1, 0)", &inputs), [0.0, 2.0, 0.0, 0.0, 8.0].map(Some));
        assert_eq!(
            series("FILL(m1, m2)", &inputs),
            [Some(7.0), Some(2.0), Some(7.0), None, Some(8.0)]
        );
        assert_eq!(
            series("FILL(m1, REPEAT)", &inputs),
            [None, Some(2.0), Some(2.0), Some(2.0), Some(8.0)]
        );
        assert_eq!(
            series("FILL(m1, LINEAR)", &inputs),
            [None, Some(2.0), Some(4.0), Some(6.0), Some(8.0)]
        );
    }

    #[test]
    fn changes_over_time_use_the_value_before() {
        let inputs: [(&str, &[f64]); 1] = [("m1", &[1.0, NONE, 4.0, 10.0])];
        assert_eq!(series("DIFF(m1)", &inputs), [None, None, Some(3.0), Some(6.0)]);
        assert_eq!(series("RATE(m1)", &inputs), [None, None, Some(0.025), Some(0.1)]);
        assert_eq!(
            series("RUNNING_SUM(m1)", &inputs),
            [Some(1.0), None, Some(5.0), Some(15.0)]
        );
    }

    #[test]
    fn rounding_period_and_constants_work_on_series() {
        let inputs: [(&str, &[f64]); 1] = [("m1", &[-1.5, 2.4])];
        assert_eq!(series("ABS(m1)", &inputs), [Some(1.5), Some(2.4)]);
        assert_eq!(series("CEIL(m1)", &inputs), [Some(-1.0), Some(3.0)]);
        assert_eq!(series("FLOOR(m1)", &inputs), [Some(-2.0), Some(2.0)]);
        assert_eq!(series("TIME_SERIES(PERIOD(m1))", &inputs), [Some(60.0); 2]);
    }

    #[test]
    fn arguments_of_the_wrong_kind_are_refused() {
        let refused = [
            "ABS(1)",
            "MAX(m1, m2)",
            "MAX(1)",
            "FILL(m1)",
            "FILL(1, 2)",
            "IF(m1)",
            "IF(1, 2, 3)",
            "PERIOD(m1 + 1)",
            "TIME_SERIES(m1)",
            "METRICS(m1)",
            "SEARCH('x')",
            "IF(METRICS(), 1, 0)",
        ];
        for text in refused {
            assert!(
                result(text, &[("m1", &[NONE]), ("m2", &[NONE])]).is_err(),
                "{text} was accepted"
            );
        }
    }
}
