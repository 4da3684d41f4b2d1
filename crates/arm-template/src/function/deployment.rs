//! Functions that say what the deployment is given.

use std::sync::Arc;

use serde_json::Value;

use super::{Arguments, Function, world};
use crate::{
    error::{Error, Result},
    evaluate::{Evaluator, LoopKind},
};

pub(super) const FUNCTIONS: &[Function] = &[
    world("parameters", 1, Some(1), |evaluator, args| parameter(evaluator, args.text(0)?)),
    world("variables", 1, Some(1), |evaluator, args| variable(evaluator, args.text(0)?)),
    world("copyIndex", 0, Some(2), copy_index),
    world("deployment", 0, Some(0), |evaluator, _| Ok(evaluator.scope.deployment())),
    world("environment", 0, Some(0), |evaluator, _| Ok(Arc::new(evaluator.scope.surroundings.environment.clone()))),
    world("deployer", 0, Some(0), |evaluator, _| Ok(Arc::new(evaluator.scope.surroundings.deployer.clone()))),
];

fn parameter(evaluator: &mut Evaluator<'_>, name: &str) -> Result<Arc<Value>> {
    if let Some(frame) = &evaluator.names.frame {
        let lower = name.to_lowercase();
        let found = frame.iter().find(|(known, _)| *known == lower).map(|(_, value)| Arc::clone(value));
        return found.ok_or_else(|| Error::template(format!("The function has no parameter '{name}'")));
    }
    let scope = evaluator.scope;
    let settled = scope.parameter(evaluator, name)?;
    Ok(evaluator.see(&settled))
}

fn variable(evaluator: &mut Evaluator<'_>, name: &str) -> Result<Arc<Value>> {
    if evaluator.names.frame.is_some() {
        return Err(Error::template(
            "The template function 'variables' is not expected at this location: in a user-defined function",
        ));
    }
    if evaluator.names.is_default {
        return Err(Error::template(
            "The template function 'variables' is not expected at this location: in a parameter's default value",
        ));
    }
    let scope = evaluator.scope;
    let settled = scope.variable(evaluator, name)?;
    Ok(evaluator.see(&settled))
}

/// `copyIndex()`, `copyIndex(offset)`, `copyIndex(loop)`, `copyIndex(loop, offset)`
fn copy_index(evaluator: &mut Evaluator<'_>, args: &Arguments<'_>) -> Result<Arc<Value>> {
    let (name, offset) = match args.get(0) {
        None => (None, 0),
        Some(Value::String(name)) => (Some(name), if args.len() > 1 { args.integer(1)? } else { 0 }),
        Some(_) if args.len() == 1 => (None, args.integer(0)?),
        Some(_) => return Err(args.wrong(0, "the name of a copy loop")),
    };
    let loops = &evaluator.names.loops;
    let found = match name {
        Some(name) => loops.iter().rev().find(|known| super::same_name(&known.name, name)),
        None => loops.iter().rev().find(|known| known.kind == LoopKind::Whole).or(loops.last()),
    };
    let index = found.and_then(|found| i64::try_from(found.index).ok()).ok_or_else(|| match name {
        Some(name) => args.refuse(format!("is asked for the copy loop '{name}', which there is not here")),
        None => args.refuse("is not expected at this location: it is within no copy loop"),
    })?;
    let sum = index.checked_add(offset).ok_or_else(|| args.refuse("has an offset that is too large"))?;
    Ok(Arc::new(Value::from(sum)))
}
