//! Comparison functions, and what equality means.

use std::{cmp::Ordering, sync::Arc};

use serde_json::{Number, Value};

use super::{Arguments, Function, lazy, value};
use crate::{error::Result, evaluate::Evaluator, expression::Call};

pub(super) const FUNCTIONS: &[Function] = &[
    value("equals", 2, 2, |args| Ok(Value::Bool(equal(args.any(0), args.any(1))))),
    value("less", 2, 2, |args| compare(args).map(|order| Value::Bool(order.is_lt()))),
    value("lessOrEquals", 2, 2, |args| compare(args).map(|order| Value::Bool(order.is_le()))),
    value("greater", 2, 2, |args| compare(args).map(|order| Value::Bool(order.is_gt()))),
    value("greaterOrEquals", 2, 2, |args| compare(args).map(|order| Value::Bool(order.is_ge()))),
    lazy("coalesce", 1, None, coalesce),
    value("nullIfEmpty", 1, 1, |args| Ok(if super::array::is_empty(args)? { Value::Null } else { args.any(0).clone() })),
];

/// Whether two values are the same: numbers by their value, texts with case, objects whatever the order of their names.
pub(crate) fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => compare_numbers(a, b).is_eq(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| super::member(b, key).is_some_and(|b| equal(a, b)))
        }
        (a, b) => a == b,
    }
}

/// Writes a value so that two are written alike if they are [`equal`]: for sets, which must not compare each with each.
pub(super) fn canonical(value: &Value) -> String {
    match value {
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 1e15 => (float as i64).to_string(),
            _ => number.to_string(),
        },
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(canonical).collect();
            format!("[{}]", items.join(","))
        }
        Value::Object(members) => {
            let mut members: Vec<(String, String)> =
                members.iter().map(|(key, value)| (Value::String(key.to_lowercase()).to_string(), canonical(value))).collect();
            members.sort();
            let members: Vec<String> = members.into_iter().map(|(key, value)| format!("{key}:{value}")).collect();
            format!("{{{}}}", members.join(","))
        }
        Value::Null | Value::Bool(_) | Value::String(_) => value.to_string(),
    }
}

pub(crate) fn compare_numbers(a: &Number, b: &Number) -> Ordering {
    match (a.as_i64(), b.as_i64()) {
        (Some(a), Some(b)) => a.cmp(&b),
        _ => a.as_f64().unwrap_or(f64::NAN).total_cmp(&b.as_f64().unwrap_or(f64::NAN)),
    }
}

fn compare(args: &Arguments<'_>) -> Result<Ordering> {
    match (args.any(0), args.any(1)) {
        (Value::Number(a), Value::Number(b)) => Ok(compare_numbers(a, b)),
        (Value::String(a), Value::String(b)) => Ok(a.cmp(b)),
        (a, b) => Err(args.refuse(format!(
            "compares two numbers or two texts, the arguments' types are '{}' and '{}'",
            super::type_name(a),
            super::type_name(b)
        ))),
    }
}

/// Returns the first value that is not null; what comes after it is not evaluated.
fn coalesce(evaluator: &mut Evaluator<'_>, call: &Call) -> Result<Arc<Value>> {
    for argument in &call.arguments {
        let value = evaluator.expression(argument)?;
        if !value.is_null() {
            return Ok(value);
        }
    }
    Ok(Arc::new(Value::Null))
}
