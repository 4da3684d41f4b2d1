//! Lambdas: expressions that a function evaluates once for each element.

use std::sync::Arc;

use serde_json::Value;

use super::Evaluator;
use crate::{
    error::{Error, Result},
    expression::{Call, Expr, Node},
    function,
};

/// `lambda('a', 'b', body)`
pub(crate) struct Lambda<'e> {
    names: Vec<String>,
    body: &'e Expr,
}

/// Takes a call's argument as a lambda of so many variables.
pub(crate) fn lambda_of<'e>(call: &'e Call, at: usize, variables: std::ops::RangeInclusive<usize>) -> Result<Lambda<'e>> {
    let argument = &call.arguments[at];
    let refuse = |message: String| Error::template(message).column(argument.column);
    let lambda = match &argument.node {
        Node::Call(lambda) if lambda.namespace.is_none() && lambda.name.eq_ignore_ascii_case("lambda") => lambda,
        Node::Call(_) | Node::Literal(_) | Node::Member { .. } => {
            return Err(refuse(format!("Argument {} of the function '{}' must be a lambda", at + 1, call.name)));
        }
    };
    let Some((body, names)) = lambda.arguments.split_last().filter(|(_, names)| variables.contains(&names.len())) else {
        return Err(refuse(format!(
            "The lambda of the function '{}' takes {} to {} variables and a body",
            call.name,
            variables.start(),
            variables.end()
        )));
    };
    let names = names
        .iter()
        .map(|name| {
            name.literal()
                .map(str::to_lowercase)
                .ok_or_else(|| refuse("A lambda's variables are named by plain texts".to_owned()))
        })
        .collect::<Result<_>>()?;
    Ok(Lambda { names, body })
}

impl Lambda<'_> {
    /// Evaluates the body with these values; those that the lambda has no variable for are left out.
    pub(crate) fn apply(&self, evaluator: &mut Evaluator<'_>, values: &[Arc<Value>]) -> Result<Arc<Value>> {
        let before = evaluator.names.lambdas.len();
        evaluator.names.lambdas.extend(self.names.iter().cloned().zip(values.iter().cloned()));
        let value = evaluator.expression(self.body);
        evaluator.names.lambdas.truncate(before);
        value
    }

    /// Evaluates the body to a text.
    pub(crate) fn text(&self, evaluator: &mut Evaluator<'_>, values: &[Arc<Value>]) -> Result<String> {
        let value = self.apply(evaluator, values)?;
        match &*value {
            Value::String(text) => Ok(text.clone()),
            other => {
                let message = format!("The lambda must make a text, it makes {}", function::with_article(other));
                Err(Error::template(message).column(self.body.column))
            }
        }
    }

    /// Evaluates the body to a decision.
    pub(crate) fn decision(&self, evaluator: &mut Evaluator<'_>, values: &[Arc<Value>]) -> Result<bool> {
        let value = self.apply(evaluator, values)?;
        value.as_bool().ok_or_else(|| {
            let message = format!("The lambda must make true or false, it makes {}", function::with_article(&value));
            Error::template(message).column(self.body.column)
        })
    }
}

/// Returns the innermost variable of this name.
pub(crate) fn lambda_variable(evaluator: &Evaluator<'_>, name: &str) -> Option<Arc<Value>> {
    let name = name.to_lowercase();
    evaluator.names.lambdas.iter().rev().find(|(known, _)| *known == name).map(|(_, value)| Arc::clone(value))
}
