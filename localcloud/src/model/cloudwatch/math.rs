//! What metric math means, after "Use metric math" in the Amazon CloudWatch User Guide.
//!
//! A series holds one optional value per period of the window that is evaluated. Between two series, a period exists in the result if either
//! has it, and the one that lacks it counts as 0; a result that is no number, as after a division by zero, is dropped.
//! Whether an expression makes sense depends on the kinds of its parts alone, never on their data: evaluating it over
//! empty series is how it is checked.

use std::collections::BTreeMap;

use super::expression::{Expression, Operator};
use super::function;

/// One value per period; a missing one is not zero.
pub(super) type Series = Vec<Option<f64>>;

/// What an expression yields.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// One number; not a number if it came of nothing, such as the average of an empty series.
    Scalar(f64),
    /// One time series.
    Series(Series),
    /// Several time series.
    Array(Vec<Series>),
}

impl Value {
    /// Returns the name of the kind, for people.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Scalar(_) => "a number",
            Self::Series(_) => "a time series",
            Self::Array(_) => "an array of time series",
        }
    }

    /// Applies a change to every series; numbers have none.
    pub fn map_series(self, change: impl Fn(Series) -> Series) -> Option<Self> {
        match self {
            Self::Scalar(_) => None,
            Self::Series(series) => Some(Self::Series(change(series))),
            Self::Array(list) => Some(Self::Array(list.into_iter().map(change).collect())),
        }
    }
}

/// What an expression can see.
#[derive(Debug)]
pub(super) struct Inputs<'a> {
    /// The results of the other queries, by id.
    pub values: &'a BTreeMap<String, Value>,
    /// The ids of the queries that are metrics, in the order of the request: what `METRICS()` returns.
    pub metrics: &'a [String],
    /// The length of a period in seconds.
    pub period: f64,
    /// How many periods every series has.
    pub length: usize,
}

/// Why an expression makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MathError {
    /// An id that no query has.
    #[error("`{0}` is not the Id of another query")]
    FindName(String),
    /// A function that CloudWatch may know and this model does not.
    #[error("the function {0} is not modelled here")]
    FindFunction(String),
    /// A word or text in the place of a value.
    #[error("`{0}` cannot stand on its own")]
    PlaceWord(String),
    /// A function that was given something else than it takes.
    #[error("{function} takes {takes}")]
    Call {
        /// Its name.
        function: String,
        /// What it takes.
        takes: &'static str,
    },
    /// Operands that do not go together.
    #[error("the operator {operator:?} does not take {left} and {right}")]
    Combine {
        /// The operator.
        operator: Operator,
        /// The kind on its left.
        left: &'static str,
        /// The kind on its right.
        right: &'static str,
    },
    /// A list with something else than time series in it.
    #[error("a list holds time series, not {0}")]
    List(&'static str),
}

/// Evaluates an expression.
///
/// # Errors
/// When the kinds of its parts do not go together; never because of the data.
pub(super) fn evaluate(expression: &Expression, inputs: &Inputs<'_>) -> Result<Value, MathError> {
    match expression {
        Expression::Number(number) => Ok(Value::Scalar(*number)),
        Expression::Text(word) | Expression::Word(word) => Err(MathError::PlaceWord(word.clone())),
        Expression::Name(name) => inputs
            .values
            .get(name)
            .cloned()
            .ok_or_else(|| MathError::FindName(name.clone())),
        Expression::List(parts) => list(parts, inputs),
        Expression::Negate(inner) => combine(Operator::Subtract, Value::Scalar(0.0), evaluate(inner, inputs)?),
        Expression::Binary(operator, left, right) => {
            combine(*operator, evaluate(left, inputs)?, evaluate(right, inputs)?)
        }
        Expression::Call(name, arguments) => function::call(name, arguments, inputs),
    }
}

/// Keeps a finite number; "the data point is dropped" otherwise.
pub(super) fn finite(number: f64) -> Option<f64> {
    number.is_finite().then_some(number)
}

fn list(parts: &[Expression], inputs: &Inputs<'_>) -> Result<Value, MathError> {
    let mut all = Vec::new();
    for part in parts {
        match evaluate(part, inputs)? {
            Value::Series(series) => all.push(series),
            Value::Array(list) => all.extend(list),
            value @ Value::Scalar(_) => return Err(MathError::List(value.kind())),
        }
    }
    Ok(Value::Array(all))
}

fn combine(operator: Operator, left: Value, right: Value) -> Result<Value, MathError> {
    let refused = MathError::Combine {
        operator,
        left: left.kind(),
        right: right.kind(),
    };
    match (left, right) {
        (Value::Scalar(left), Value::Scalar(right)) => Ok(Value::Scalar(apply(operator, left, right))),
        (Value::Array(_), _) | (_, Value::Array(_)) if operator.is_logical() => Err(refused),
        (Value::Array(_), Value::Array(_)) => Err(refused),
        (Value::Series(left), Value::Series(right)) => Ok(Value::Series(pair(operator, &left, &right))),
        (Value::Array(list), Value::Series(right)) => Ok(Value::Array(
            list.iter().map(|left| pair(operator, left, &right)).collect(),
        )),
        (Value::Series(left), Value::Array(list)) => Ok(Value::Array(
            list.iter().map(|right| pair(operator, &left, right)).collect(),
        )),
        (Value::Scalar(left), right) => right
            .map_series(|series| each(&series, |right| apply(operator, left, right)))
            .ok_or(refused),
        (left, Value::Scalar(right)) => left
            .map_series(|series| each(&series, |left| apply(operator, left, right)))
            .ok_or(refused),
    }
}

/// Applies `change` to every value that is there, and drops what is no number afterwards.
pub(super) fn each(series: &[Option<f64>], change: impl Fn(f64) -> f64) -> Series {
    series
        .iter()
        .map(|value| value.and_then(|value| finite(change(value))))
        .collect()
}

fn pair(operator: Operator, left: &[Option<f64>], right: &[Option<f64>]) -> Series {
    let both = left.iter().zip(right);
    both.map(|(left, right)| match (left, right) {
        (None, None) => None,
        (left, right) => finite(apply(operator, left.unwrap_or(0.0), right.unwrap_or(0.0))),
    })
    .collect()
}

fn apply(operator: Operator, left: f64, right: f64) -> f64 {
    // Comparing nothing gives nothing, where floating point would say "not equal".
    if left.is_nan() || right.is_nan() {
        return f64::NAN;
    }
    let truth = |condition: bool| if condition { 1.0 } else { 0.0 };
    match operator {
        Operator::Add => left + right,
        Operator::Subtract => left - right,
        Operator::Multiply => left * right,
        Operator::Divide => left / right,
        Operator::Power => left.powf(right),
        Operator::Equal => truth(left == right),
        Operator::NotEqual => truth(left != right),
        Operator::LessOrEqual => truth(left <= right),
        Operator::GreaterOrEqual => truth(left >= right),
        Operator::Less => truth(left < right),
        Operator::Greater => truth(left > right),
        Operator::And => truth(left != 0.0 && right != 0.0),
        Operator::Or => truth(left != 0.0 || right != 0.0),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use super::{Inputs, MathError, Series, Value, evaluate};
    use crate::model::cloudwatch::expression::parse;

    /// Evaluates `text` over series of one minute, in which NaN stands for a missing value.
    pub(in crate::model::cloudwatch) fn result(text: &str, series: &[(&str, &[f64])]) -> Result<Value, MathError> {
        let read = |values: &[f64]| {
            values
                .iter()
                .map(|value| (!value.is_nan()).then_some(*value))
                .collect::<Series>()
        };
        let values: BTreeMap<String, Value> = series
            .iter()
            .map(|(id, values)| ((*id).to_owned(), Value::Series(read(values))))
            .collect();
        let metrics: Vec<String> = series.iter().map(|(id, _)| (*id).to_owned()).collect();
        let length = series.first().map_or(1, |(_, values)| values.len());
        let inputs = Inputs {
            values: &values,
            metrics: &metrics,
            period: 60.0,
            length,
        };
        evaluate(&parse(text).expect("the test writes an expression"), &inputs)
    }

    /// Returns the one series that `text` yields, with NaN for what is missing.
    pub(in crate::model::cloudwatch) fn series(text: &str, inputs: &[(&str, &[f64])]) -> Series {
        match result(text, inputs).expect("the expression makes sense") {
            Value::Series(series) => series,
            other => panic!("{text} yields {}", other.kind()),
        }
    }

    const NONE: f64 = f64::NAN;

    /// The two series of the table in "Comparison and logical operators" of "Use metric math".
    const PUBLISHED: [(&str, &[f64]); 2] = [
        ("metric1", &[30.0, 20.0, 0.0, 0.0]),
        ("metric2", &[20.0, NONE, 20.0, NONE]),
    ];

    #[test]
    fn comparisons_give_what_the_published_table_says() {
        let table = [
            ("(metric1 < metric2)", [0.0, 0.0, 1.0, 0.0]),
            ("(metric1 >= 30)", [1.0, 0.0, 0.0, 0.0]),
            ("(metric1 > 15 AND metric2 > 15)", [1.0, 0.0, 0.0, 0.0]),
        ];
        for (text, expected) in table {
            assert_eq!(series(text, &PUBLISHED), expected.map(Some), "{text}");
        }
    }

    /// "Basic arithmetic functions" of "Use metric math": missing is 0, and a division by zero drops the point.
    #[test]
    fn a_missing_value_counts_as_zero_and_a_division_by_zero_is_dropped() {
        let inputs: [(&str, &[f64]); 2] = [("m1", &[6.0, 6.0, NONE, NONE]), ("m2", &[2.0, NONE, 3.0, NONE])];
        assert_eq!(series("m1 / m2", &inputs), [Some(3.0), None, Some(0.0), None]);
        assert_eq!(series("m1 + m2", &inputs), [Some(8.0), Some(6.0), Some(3.0), None]);
        assert_eq!(series("m1 / 0", &inputs), [None; 4]);
    }

    #[test]
    fn backlog_per_task_has_no_value_without_a_running_task() {
        let inputs: [(&str, &[f64]); 3] = [
            ("visible", &[90.0, 90.0]),
            ("flight", &[10.0, 10.0]),
            ("running", &[4.0, 0.0]),
        ];
        assert_eq!(series("(visible + flight) / running", &inputs), [Some(25.0), None]);
    }

    #[test]
    fn a_number_applies_to_every_series_of_an_array() {
        let inputs: [(&str, &[f64]); 2] = [("m1", &[50.0, NONE]), ("m2", &[25.0, 20.0])];
        let expected = Value::Array(vec![vec![Some(2.0), None], vec![Some(4.0), Some(5.0)]]);
        assert_eq!(result("100 / [m1, m2]", &inputs), Ok(expected));
        assert_eq!(series("SUM(100 / [m1, m2])", &inputs), [Some(6.0), Some(5.0)]);
    }

    #[test]
    fn unary_minus_negates_what_is_there() {
        assert_eq!(series("-m1 * 5", &[("m1", &[2.0, NONE])]), [Some(-10.0), None]);
    }

    #[test]
    fn kinds_that_do_not_go_together_are_refused_even_without_data() {
        let refused = [
            "METRICS() > 1",
            "METRICS() + METRICS()",
            "[m1, 1]",
            "m3 + 1",
            "MEDIAN(m1)",
            "LINEAR",
            "\"m1\"",
        ];
        for text in refused {
            assert!(
                result(text, &[("m1", &[NONE]), ("m2", &[NONE])]).is_err(),
                "{text} was accepted"
            );
        }
    }
}
