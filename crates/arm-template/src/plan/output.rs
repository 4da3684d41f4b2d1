//! A deployment's outputs.

use std::{fmt, sync::Arc};

use serde_json::{Map, Value, json};

use super::Core;
use crate::{
    budget::Budget,
    error::{Cause, Error, Result},
    evaluate::{Asking, Evaluator, Loop, LoopKind, Walk},
    function::member,
    path::Path,
    references::{NothingDeployed, References},
    schema::{self, Kind},
};

/// One output.
#[derive(Clone, PartialEq)]
pub struct Output {
    pub name: String,
    /// As in [`crate::Resolved::kind`].
    pub kind: &'static str,
    pub value: Value,
    /// Declared so, or made from a secure value.
    pub secure: bool,
}

/// The outputs in the template's order; an output whose condition is false is not among them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Outputs(pub Vec<Output>);

impl Output {
    /// Returns `{type, value}`, without the value if it is secure.
    pub fn to_wire(&self) -> Value {
        match self.secure {
            true => json!({ "type": self.kind }),
            false => json!({ "type": self.kind, "value": self.value }),
        }
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.to_wire())
    }
}

impl Outputs {
    /// Returns what a deployment shows: `{name: {type, value}}`, without the values that are secure.
    pub fn to_wire(&self) -> Value {
        Value::Object(self.0.iter().map(|output| (output.name.clone(), output.to_wire())).collect::<Map<_, _>>())
    }

    pub fn get(&self, name: &str) -> Option<&Output> {
        self.0.iter().find(|output| output.name.eq_ignore_ascii_case(name))
    }
}

pub(super) fn outputs(core: &Core, references: &dyn References, budget: &mut Budget) -> Result<Outputs> {
    let source = Arc::clone(&core.scope.source);
    let mut all = Vec::new();
    for (place, name, raw) in source.outputs() {
        all.extend(output(core, &place, name, raw, references, budget)?);
    }
    Ok(Outputs(all))
}

/// Evaluates the outputs that need nothing deployed, to find what is wrong with them; the others are left.
pub(super) fn rehearse(core: &Core, budget: &mut Budget) -> Result<()> {
    let source = Arc::clone(&core.scope.source);
    for (place, name, raw) in source.outputs() {
        match output(core, &place, name, raw, &NothingDeployed, budget) {
            Ok(_) => {}
            Err(error) if matches!(error.cause(), Cause::NotDeployed { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Evaluates one output; none where its condition is false.
fn output(
    core: &Core,
    place: &Path,
    name: &str,
    raw: &Value,
    references: &dyn References,
    budget: &mut Budget,
) -> Result<Option<Output>> {
    let definitions = &core.scope.source.definitions;
    let Value::Object(parts) = raw else { return Ok(None) };
    let asking = Asking::Allowed { references, directory: &core.directory };
    let mut evaluator = Evaluator::new(&core.scope, asking, budget);
    if let Some(condition) = member(parts, "condition")
        && !evaluator.condition(condition, &place.key("condition"))?
    {
        return Ok(None);
    }
    let value = match (member(parts, "copy"), member(parts, "value")) {
        (Some(copy), _) => {
            let place = place.key("copy");
            let part = |name: &str| {
                copy.get(name).ok_or_else(|| Error::template(format!("The output's copy loop has no '{name}'")).at(&place))
            };
            let count = evaluator.count(part("count")?, &place.key("count"))?;
            let mut items = Vec::new();
            for index in 0..count {
                evaluator.names.loops.push(Loop { name: name.to_owned(), index, kind: LoopKind::Whole });
                items.push(evaluator.tree(part("input")?, &mut Walk::at(&place.key("input")))?);
                evaluator.names.loops.pop();
            }
            Value::Array(items)
        }
        (None, Some(value)) => evaluator.tree(value, &mut Walk::at(&place.key("value")))?,
        (None, None) => Value::Null,
    };
    let kind = schema::kind(definitions, raw).unwrap_or(Kind::Object);
    let secure = evaluator.secure || kind.is_secure();
    schema::check(definitions, raw, &value, secure)
        .map_err(|wrong| Error::template(format!("The template output '{name}' is not valid: {wrong}")).at(place))?;
    Ok(Some(Output { name: name.to_owned(), kind: kind.wire(), value, secure }))
}
