//! Evaluates expressions against a template's scope.

mod lambda;
mod tree;

use std::sync::Arc;

use serde_json::Value;

use crate::{
    budget::{Budget, Limit, size},
    error::{Error, Result},
    expression::{Call, Expr, Missing, Node, Text, classify, parse},
    function::{self, Arguments, Run},
    path::Path,
    plan::Directory,
    references::References,
    scope::{Scope, Settled},
    secure::HIDDEN,
};

pub(crate) use lambda::{lambda_of, lambda_variable};
pub(crate) use tree::{Walk, loops as loops_of};

/// How deep evaluation may go, what expressions and variables lead to counted together. Bounds the stack.
const MAX_EVALUATION: usize = 160;

/// Whether, and whom, an expression may ask for deployed resources.
#[derive(Clone, Copy)]
pub(crate) enum Asking<'a> {
    /// Not here: the text says where that is.
    Forbidden(&'static str),
    Allowed {
        references: &'a dyn References,
        directory: &'a Directory,
    },
}

/// A copy loop that is under way.
#[derive(Debug, Clone)]
pub(crate) struct Loop {
    pub(crate) name: String,
    pub(crate) index: usize,
    pub(crate) kind: LoopKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LoopKind {
    /// Of a resource or an output: the one that `copyIndex()` means.
    Whole,
    /// Of a property or a variable.
    Inner,
}

/// What names mean within an expression, beyond the template's own.
#[derive(Default)]
pub(crate) struct Names {
    pub(crate) loops: Vec<Loop>,
    pub(crate) lambdas: Vec<(String, Arc<Value>)>,
    /// The parameters of the user-defined function whose output this is.
    pub(crate) frame: Option<Vec<(String, Arc<Value>)>>,
    /// This is a parameter's default, where chance and time may be asked.
    pub(crate) is_default: bool,
}

/// One evaluation. It notes whether anything secure was looked at.
pub(crate) struct Evaluator<'a> {
    pub(crate) scope: &'a Scope,
    pub(crate) budget: &'a mut Budget,
    pub(crate) asking: Asking<'a>,
    pub(crate) names: Names,
    pub(crate) secure: bool,
    /// The parameters and variables whose values are being made.
    pub(crate) settling: Vec<String>,
    pub(crate) guids: usize,
    depth: usize,
}

impl<'a> Evaluator<'a> {
    pub(crate) fn new(scope: &'a Scope, asking: Asking<'a>, budget: &'a mut Budget) -> Self {
        Self { scope, budget, asking, names: Names::default(), secure: false, settling: Vec::new(), guids: 0, depth: 0 }
    }

    pub(crate) fn with_loops(mut self, loops: Vec<Loop>) -> Self {
        self.names.loops = loops;
        self
    }

    /// Evaluates a text of the template that stands at `path`.
    pub(crate) fn text(&mut self, text: &str, path: &Path) -> Result<Arc<Value>> {
        if self.scope.source.is_secure(path) {
            self.secure = true;
        }
        match classify(text) {
            Text::Plain(text) => {
                self.budget.produce(text.len())?;
                Ok(Arc::new(Value::String(text.into_owned())))
            }
            Text::Expression => {
                parse(text).and_then(|expression| self.expression(&expression)).map_err(|error| error.expression(text).at(path))
            }
        }
    }

    /// Evaluates `make` where no loop, lambda or function's parameter is known; what it sees of secure values is added.
    pub(crate) fn apart<T>(&mut self, names: Names, make: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let outside = std::mem::replace(&mut self.names, names);
        let made = self.deeper(make);
        self.names = outside;
        made
    }

    /// Evaluates one level deeper.
    fn deeper<T>(&mut self, make: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth == MAX_EVALUATION {
            return Err(Limit::Depth.error());
        }
        self.depth += 1;
        let made = make(self);
        self.depth -= 1;
        made
    }

    pub(crate) fn expression(&mut self, expression: &Expr) -> Result<Arc<Value>> {
        self.budget.step().map_err(|error| error.column(expression.column))?;
        match &expression.node {
            Node::Literal(value) => Ok(Arc::clone(value)),
            Node::Call(call) => self.deeper(|inner| inner.call(call)).map_err(|error| error.column(expression.column)),
            Node::Member { .. } => self.member(expression),
        }
    }

    /// Follows a chain of members without copying what it leads through.
    fn member(&mut self, expression: &Expr) -> Result<Arc<Value>> {
        let mut chain = Vec::new();
        let mut base = expression;
        while let Node::Member { base: inner, key, missing } = &base.node {
            chain.push((base.column, key, *missing));
            base = inner;
        }
        let value = self.expression(base)?;
        let mut current = &*value;
        for (column, key, missing) in chain.into_iter().rev() {
            let key = self.expression(key)?;
            match find(current, &key) {
                Some(found) => current = found,
                None if missing == Missing::Null => return Ok(Arc::new(Value::Null)),
                None => return Err(self.missing(current, &key).column(column)),
            }
        }
        self.budget.produce_value(current)?;
        Ok(Arc::new(current.clone()))
    }

    fn missing(&self, base: &Value, key: &Value) -> Error {
        let key_shown = self.show(key);
        Error::template(match (base, key) {
            (Value::Object(members), Value::String(_)) => {
                let names: Vec<&str> = members.keys().map(String::as_str).take(20).collect();
                let names = if self.secure { HIDDEN.to_owned() } else { names.join(", ") };
                format!("The language expression property '{key_shown}' doesn't exist, available properties are '{names}'")
            }
            (Value::Array(items), Value::Number(_)) => {
                format!(
                    "The language expression property array index '{key_shown}' is out of bounds: the array has {} elements",
                    items.len()
                )
            }
            (base, _) => format!(
                "The language expression property '{key_shown}' can't be evaluated: {} has no such property",
                function::with_article(base)
            ),
        })
    }

    fn call(&mut self, call: &Call) -> Result<Arc<Value>> {
        if call.namespace.is_some() {
            return self.user_function(call);
        }
        let function = function::find(&call.name).ok_or_else(|| function::unknown(&call.name))?;
        function.check_count(call.arguments.len())?;
        match function.run {
            Run::Lazy(run) => run(self, call),
            Run::World(run) => {
                let values = self.arguments(call)?;
                run(self, &Arguments::new(&call.name, &values, self.secure, 0))
            }
            Run::Value(run) => {
                let values = self.arguments(call)?;
                let given: usize = values.iter().map(|value| size(value)).sum();
                // What is made of large values takes time even if little comes of it.
                self.budget.steps((given / 4096) as u64)?;
                let left = self.budget.produced_left();
                if given > left {
                    return Err(Limit::Produced.error());
                }
                let value = run(&Arguments::new(&call.name, &values, self.secure, left))?;
                self.made(value)
            }
        }
    }

    /// Takes what a function made: its bytes are paid for and its depth is bounded.
    pub(crate) fn made(&mut self, value: Value) -> Result<Arc<Value>> {
        self.budget.produce_value(&value)?;
        if !function::is_shallow(&value, crate::budget::MAX_DEPTH) {
            return Err(Limit::Depth.error());
        }
        Ok(Arc::new(value))
    }

    pub(crate) fn arguments(&mut self, call: &Call) -> Result<Vec<Arc<Value>>> {
        call.arguments.iter().map(|argument| self.expression(argument)).collect()
    }

    fn user_function(&mut self, call: &Call) -> Result<Arc<Value>> {
        let namespace = call.namespace.as_deref().unwrap_or_default();
        let name = format!("{namespace}.{}", call.name);
        let source = &self.scope.source;
        let function = source.function(namespace, &call.name).ok_or_else(|| function::unknown(&name))?;
        if call.arguments.len() != function.parameters.len() {
            return Err(Error::template(format!(
                "The function '{name}' takes {} arguments, {} are given",
                function.parameters.len(),
                call.arguments.len()
            )));
        }
        let values = self.arguments(call)?;
        let mut frame = Vec::new();
        for ((parameter, spec), value) in function.parameters.iter().zip(values) {
            crate::schema::check(&source.definitions, spec, &value, self.secure).map_err(|wrong| {
                Error::template(format!("The argument '{parameter}' of the function '{name}' is not valid: {wrong}"))
            })?;
            frame.push((parameter.to_lowercase(), value));
        }
        let names = Names { frame: Some(frame), ..Names::default() };
        let asking = std::mem::replace(&mut self.asking, Asking::Forbidden("in a user-defined function"));
        let value = self.apart(names, |inner| inner.tree(&function.output, &mut Walk::at(&function.place)));
        self.asking = asking;
        let value = value?;
        crate::schema::check(&source.definitions, &function.output_type, &value, self.secure)
            .map_err(|wrong| Error::template(format!("The output of the function '{name}' is not valid: {wrong}")))?;
        Ok(Arc::new(value))
    }

    /// Returns a settled value, noting whether it is secure.
    pub(crate) fn see(&mut self, settled: &Settled) -> Arc<Value> {
        self.secure |= settled.secure;
        Arc::clone(&settled.value)
    }

    /// Writes a value into a message, unless something secure was looked at.
    pub(crate) fn show(&self, value: &Value) -> String {
        function::show(value, self.secure)
    }
}

/// Returns a member or an element; names are compared without case when none is exactly the same.
pub(crate) fn find<'v>(base: &'v Value, key: &Value) -> Option<&'v Value> {
    match (base, key) {
        (Value::Object(members), Value::String(key)) => function::member(members, key),
        (Value::Array(items), Value::Number(index)) => items.get(usize::try_from(index.as_i64()?).ok()?),
        _ => None,
    }
}
