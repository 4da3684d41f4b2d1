//! Numeric functions. Whole numbers have 64 bits; what does not fit is refused.

use serde_json::{Number, Value};

use super::{Arguments, Function, comparison::compare_numbers, many, value};
use crate::error::Result;

pub(super) const FUNCTIONS: &[Function] = &[
    value("add", 2, 2, |args| calculate(args, i64::checked_add, |a, b| a + b)),
    value("sub", 2, 2, |args| calculate(args, i64::checked_sub, |a, b| a - b)),
    value("mul", 2, 2, |args| calculate(args, i64::checked_mul, |a, b| a * b)),
    value("div", 2, 2, |args| divide(args, i64::checked_div, |a, b| a / b)),
    value("mod", 2, 2, |args| divide(args, i64::checked_rem, |a, b| a % b)),
    value("int", 1, 1, int),
    value("float", 1, 1, float),
    many("min", 1, |args| extreme(args, std::cmp::Ordering::Less)),
    many("max", 1, |args| extreme(args, std::cmp::Ordering::Greater)),
];

fn number<'a>(args: &Arguments<'a>, at: usize) -> Result<&'a Number> {
    match args.any(at) {
        Value::Number(number) => Ok(number),
        _ => Err(args.wrong(at, "a number")),
    }
}

fn calculate(args: &Arguments<'_>, whole: fn(i64, i64) -> Option<i64>, broken: fn(f64, f64) -> f64) -> Result<Value> {
    let (a, b) = (number(args, 0)?, number(args, 1)?);
    let result = match (a.as_i64(), b.as_i64()) {
        (Some(a), Some(b)) => whole(a, b).map(Number::from),
        _ => a.as_f64().zip(b.as_f64()).and_then(|(a, b)| Number::from_f64(broken(a, b))),
    };
    result.map(Value::Number).ok_or_else(|| {
        args.refuse(format!(
            "makes of '{}' and '{}' what is not a number of 64 bits",
            args.show(args.any(0)),
            args.show(args.any(1))
        ))
    })
}

fn divide(args: &Arguments<'_>, whole: fn(i64, i64) -> Option<i64>, broken: fn(f64, f64) -> f64) -> Result<Value> {
    match number(args, 1)?.as_f64() {
        Some(0.0) => Err(args.refuse("can't divide by zero")),
        _ => calculate(args, whole, broken),
    }
}

fn int(args: &Arguments<'_>) -> Result<Value> {
    let whole = match args.any(0) {
        Value::Number(number) => {
            number.as_i64().or_else(|| number.as_f64().filter(|f| f.abs() < 9.2e18).map(|f| f.trunc() as i64))
        }
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    whole.map(Value::from).ok_or_else(|| args.refuse(format!("can't make a whole number of '{}'", args.show(args.any(0)))))
}

fn float(args: &Arguments<'_>) -> Result<Value> {
    let float = match args.any(0) {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    float
        .and_then(Number::from_f64)
        .map(Value::Number)
        .ok_or_else(|| args.refuse(format!("can't make a number of '{}'", args.show(args.any(0)))))
}

/// The least or greatest of an array, or of the arguments.
fn extreme(args: &Arguments<'_>, wanted: std::cmp::Ordering) -> Result<Value> {
    let given: Vec<&Value> = match args.any(0) {
        Value::Array(items) if args.len() == 1 => items.iter().collect(),
        _ => (0..args.len()).map(|at| args.any(at)).collect(),
    };
    let mut best: Option<&Number> = None;
    for value in given {
        let Value::Number(number) = value else {
            return Err(args.refuse(format!("compares whole numbers, among the values is {}", super::with_article(value))));
        };
        if best.is_none_or(|best| compare_numbers(number, best) == wanted) {
            best = Some(number);
        }
    }
    best.cloned().map(Value::Number).ok_or_else(|| args.refuse("needs at least one number"))
}
