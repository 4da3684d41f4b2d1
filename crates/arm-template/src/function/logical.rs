//! Logical functions. The second argument is looked at only if the first does not decide.

use std::sync::Arc;

use serde_json::Value;

use super::{Arguments, Function, lazy, value};
use crate::{error::Result, evaluate::Evaluator, expression::Call};

pub(super) const FUNCTIONS: &[Function] = &[
    lazy("and", 2, None, |evaluator, call| decide(evaluator, call, false)),
    lazy("or", 2, None, |evaluator, call| decide(evaluator, call, true)),
    lazy("if", 3, Some(3), choose),
    value("not", 1, 1, |args| Ok(Value::Bool(!args.boolean(0)?))),
    value("true", 0, 0, |_| Ok(Value::Bool(true))),
    value("false", 0, 0, |_| Ok(Value::Bool(false))),
    value("bool", 1, 1, bool),
];

fn condition(evaluator: &mut Evaluator<'_>, call: &Call, at: usize) -> Result<bool> {
    let value = evaluator.expression(&call.arguments[at])?;
    match value.as_bool() {
        Some(decision) => Ok(decision),
        None => {
            let values = [value];
            let type_name = super::type_name(&values[0]);
            let refusal = Arguments::new(&call.name, &values, evaluator.secure, 0)
                .refuse(format!("expects true or false as argument {}, its type is '{type_name}'", at + 1));
            Err(refusal.column(call.arguments[at].column))
        }
    }
}

/// Returns `decisive` if any argument is that.
fn decide(evaluator: &mut Evaluator<'_>, call: &Call, decisive: bool) -> Result<Arc<Value>> {
    for at in 0..call.arguments.len() {
        if condition(evaluator, call, at)? == decisive {
            return Ok(Arc::new(Value::Bool(decisive)));
        }
    }
    Ok(Arc::new(Value::Bool(!decisive)))
}

fn choose(evaluator: &mut Evaluator<'_>, call: &Call) -> Result<Arc<Value>> {
    let branch = if condition(evaluator, call, 0)? { 1 } else { 2 };
    evaluator.expression(&call.arguments[branch])
}

fn bool(args: &Arguments<'_>) -> Result<Value> {
    let is_true = match args.any(0) {
        Value::Bool(is_true) => Some(*is_true),
        Value::Number(number) => number.as_i64().map(|number| number != 0),
        Value::String(text) if text.eq_ignore_ascii_case("true") || text == "1" => Some(true),
        Value::String(text) if text.eq_ignore_ascii_case("false") || text == "0" => Some(false),
        Value::Null | Value::String(_) | Value::Array(_) | Value::Object(_) => None,
    };
    is_true.map(Value::Bool).ok_or_else(|| args.refuse(format!("can't make true or false of '{}'", args.show(args.any(0)))))
}
