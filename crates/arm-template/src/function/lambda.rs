//! Functions that take a lambda.

use std::{cmp::Ordering, sync::Arc};

use serde_json::{Map, Value};

use super::{Function, lazy};
use crate::{
    error::{Error, Result},
    evaluate::{Evaluator, lambda_of, lambda_variable},
    expression::Call,
};

pub(super) const FUNCTIONS: &[Function] = &[
    lazy("filter", 2, Some(2), filter),
    lazy("groupBy", 2, Some(2), group_by),
    lazy("map", 2, Some(2), map),
    lazy("mapValues", 2, Some(2), map_values),
    lazy("reduce", 3, Some(3), reduce),
    lazy("sort", 2, Some(2), sort),
    lazy("toObject", 2, Some(3), to_object),
    lazy("lambda", 1, None, |_, _| {
        Err(Error::template("The template function 'lambda' can only be an argument of a function that takes a lambda"))
    }),
    lazy("lambdaVariables", 1, Some(1), |evaluator, call| {
        let name = evaluator.expression(&call.arguments[0])?;
        let name = name.as_str().unwrap_or_default();
        lambda_variable(evaluator, name).ok_or_else(|| Error::template(format!("There is no lambda variable '{name}' here")))
    }),
];

/// Evaluates the first argument to an array's elements.
fn elements(evaluator: &mut Evaluator<'_>, call: &Call) -> Result<Vec<Arc<Value>>> {
    let value = evaluator.expression(&call.arguments[0])?;
    match &*value {
        Value::Array(items) => {
            evaluator.budget.produce_value(&value)?;
            Ok(items.iter().cloned().map(Arc::new).collect())
        }
        other => Err(wrong(call, "an array", other)),
    }
}

fn wrong(call: &Call, expected: &str, given: &Value) -> Error {
    let given = super::type_name(given);
    let message =
        format!("The template language function '{}' expects {expected} as argument 1, its type is '{given}'", call.name);
    Error::template(message).column(call.arguments[0].column)
}

/// Puts values into an array, each paid for before it is copied.
fn collected(evaluator: &mut Evaluator<'_>, values: Vec<Arc<Value>>) -> Result<Arc<Value>> {
    let mut items = Vec::with_capacity(values.len());
    for value in values {
        evaluator.budget.produce_value(&value)?;
        items.push(Arc::unwrap_or_clone(value));
    }
    evaluator.made(Value::Array(items))
}

fn index(at: usize) -> Arc<Value> {
    Arc::new(Value::from(at))
}

fn filter(evaluator: &mut Evaluator<'_>, call: &Call) -> Result<Arc<Value>> {
    let lambda = lambda_of(call, 1, 1..=2)?;
    let mut kept = Vec::new();
    for (at, item) in elements(evaluator, call)?.into_iter().enumerate() {
        if lambda.decision(evaluator, &[Arc::clone(&item), index(at)])? {
            kept.push(item);
        }
    }
    collected(evaluator, kept)
}

fn map(evaluator: &mut Evaluator<'_>, call: &Call) -> Result<Arc<Value>> {
    let lambda = lambda_of(call, 1, 1..=2)?;
    let mut made = Vec::new();
    for (at, item) in elements(evaluator, call)?.into_iter().enumerate() {
        made.push(lambda.apply(evaluator, &[item, index(at)])?);
    }
    collected(evaluator, made)
}

fn map_values(evaluator: &mut Evaluator<'_>, call: &Call) -> Result<Arc<Value>> {
    let lambda = lambda_of(call, 1, 1..=1)?;
    let value = evaluator.expression(&call.arguments[0])?;
    let Value::Object(members) = &*value else {
        return Err(wrong(call, "an object", &value));
    };
    let mut made = Map::new();
    for (key, value) in members {
        evaluator.budget.produce_value(value)?;
        let value = lambda.apply(evaluator, &[Arc::new(value.clone())])?;
        evaluator.budget.produce_value(&value)?;
        made.insert(key.clone(), Arc::unwrap_or_clone(value));
    }
    evaluator.made(Value::Object(made))
}

fn reduce(evaluator: &mut Evaluator<'_>, call: &Call) -> Result<Arc<Value>> {
    let lambda = lambda_of(call, 2, 2..=3)?;
    let items = elements(evaluator, call)?;
    let mut current = evaluator.expression(&call.arguments[1])?;
    for (at, item) in items.into_iter().enumerate() {
        current = lambda.apply(evaluator, &[current, item, index(at)])?;
    }
    Ok(current)
}

fn group_by(evaluator: &mut Evaluator<'_>, call: &Call) -> Result<Arc<Value>> {
    let lambda = lambda_of(call, 1, 1..=1)?;
    let mut groups: Map<String, Value> = Map::new();
    for item in elements(evaluator, call)? {
        let key = lambda.text(evaluator, &[Arc::clone(&item)])?;
        if let Value::Array(group) = groups.entry(key).or_insert_with(|| Value::Array(Vec::new())) {
            group.push(Arc::unwrap_or_clone(item));
        }
    }
    evaluator.made(Value::Object(groups))
}

fn to_object(evaluator: &mut Evaluator<'_>, call: &Call) -> Result<Arc<Value>> {
    let key = lambda_of(call, 1, 1..=1)?;
    let content = (call.arguments.len() > 2).then(|| lambda_of(call, 2, 1..=1)).transpose()?;
    let mut made = Map::new();
    for item in elements(evaluator, call)? {
        let name = key.text(evaluator, &[Arc::clone(&item)])?;
        let value = match &content {
            Some(content) => content.apply(evaluator, &[item])?,
            None => item,
        };
        evaluator.budget.produce_value(&value)?;
        made.insert(name, Arc::unwrap_or_clone(value));
    }
    evaluator.made(Value::Object(made))
}

/// The lambda says whether its first element comes before its second.
fn sort(evaluator: &mut Evaluator<'_>, call: &Call) -> Result<Arc<Value>> {
    let lambda = lambda_of(call, 1, 2..=2)?;
    let items = elements(evaluator, call)?;
    let sorted = merge_sort(items, &mut |a, b| {
        Ok(if lambda.decision(evaluator, &[Arc::clone(b), Arc::clone(a)])? { Ordering::Greater } else { Ordering::Less })
    })?;
    collected(evaluator, sorted)
}

type Compare<'c> = dyn FnMut(&Arc<Value>, &Arc<Value>) -> Result<Ordering> + 'c;

/// A stable sort whose comparison may fail, and may contradict itself.
fn merge_sort(items: Vec<Arc<Value>>, compare: &mut Compare<'_>) -> Result<Vec<Arc<Value>>> {
    if items.len() < 2 {
        return Ok(items);
    }
    let mut left = items;
    let right = left.split_off(left.len() / 2);
    let mut left = merge_sort(left, compare)?.into_iter().peekable();
    let mut right = merge_sort(right, compare)?.into_iter().peekable();
    let mut merged = Vec::with_capacity(left.len() + right.len());
    while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
        let takes_right = compare(a, b)?.is_gt();
        merged.extend(if takes_right { right.next() } else { left.next() });
    }
    merged.extend(left);
    merged.extend(right);
    Ok(merged)
}
