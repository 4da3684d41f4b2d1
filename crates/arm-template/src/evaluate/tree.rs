//! Evaluates whole values: every text in them, names too, and the copy loops of properties.

use serde_json::{Map, Value};

use super::{Evaluator, Loop, LoopKind};
use crate::{
    budget::{Limit, MAX_DEPTH},
    error::{Cause, Error, Result},
    expression::{Text, classify, escaped},
    path::Path,
};

/// Where an evaluation of a value is, and what it found.
pub(crate) struct Walk {
    /// In the template, for messages.
    template: Path,
    /// In the result.
    result: Path,
    /// Where in the result something secure stands.
    pub(crate) secure: Vec<Path>,
    /// What of the result is taken as it is: a template whose expressions are evaluated later.
    pub(crate) verbatim: Option<Path>,
    /// What of the result will be evaluated once more, so that texts that look like expressions are escaped.
    pub(crate) escaped: Option<Path>,
    /// Whether an expression that needs what is not deployed stays as it is.
    pub(crate) lenient: bool,
}

impl Walk {
    pub(crate) fn at(template: &Path) -> Self {
        Self {
            template: template.clone(),
            result: Path::root(),
            secure: Vec::new(),
            verbatim: None,
            escaped: None,
            lenient: false,
        }
    }

    fn enter_key(&mut self, raw: &str, name: &str) {
        self.template.push_key(raw);
        self.result.push_key(name);
    }

    fn enter_index(&mut self, index: usize) {
        self.template.push_index(index);
        self.result.push_index(index);
    }

    fn leave(&mut self) {
        self.template.pop();
        self.result.pop();
    }

    fn is_escaped(&self) -> bool {
        self.escaped.as_ref().is_some_and(|head| self.result.below(head).is_some())
    }
}

impl Evaluator<'_> {
    /// Evaluates a value of the template.
    pub(crate) fn tree(&mut self, raw: &Value, walk: &mut Walk) -> Result<Value> {
        self.budget.step().map_err(|error| error.at(&walk.template))?;
        if walk.result.segments().len() > MAX_DEPTH {
            return Err(Limit::Depth.error().at(&walk.template));
        }
        if walk.verbatim.as_ref() == Some(&walk.result) {
            self.budget.produce_value(raw)?;
            return Ok(raw.clone());
        }
        match raw {
            Value::Null | Value::Bool(_) | Value::Number(_) => Ok(raw.clone()),
            Value::String(text) => self.leaf(text, walk),
            Value::Array(items) => self.deeper(|inner| inner.items(items, walk)).map(Value::Array),
            Value::Object(members) => self.deeper(|inner| inner.members(members, walk)).map(Value::Object),
        }
    }

    fn items(&mut self, items: &[Value], walk: &mut Walk) -> Result<Vec<Value>> {
        let mut made = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            walk.enter_index(index);
            made.push(self.tree(item, walk)?);
            walk.leave();
        }
        Ok(made)
    }

    fn leaf(&mut self, text: &str, walk: &mut Walk) -> Result<Value> {
        let before = std::mem::take(&mut self.secure);
        let value = match self.text(text, &walk.template) {
            Ok(value) => value,
            Err(error) if walk.lenient && matches!(error.cause(), Cause::NotDeployed { .. }) => {
                self.secure = before;
                return Ok(Value::String(text.to_owned()));
            }
            Err(error) => return Err(error),
        };
        if self.secure {
            walk.secure.push(walk.result.clone());
        }
        self.secure |= before;
        self.budget.produce_value(&value)?;
        let mut value = std::sync::Arc::unwrap_or_clone(value);
        if walk.is_escaped() {
            escape(&mut value);
        }
        Ok(value)
    }

    fn members(&mut self, members: &Map<String, Value>, walk: &mut Walk) -> Result<Map<String, Value>> {
        let mut made = Map::new();
        for (key, raw) in members {
            if key.eq_ignore_ascii_case("copy")
                && let Some(loops) = loops(raw)
            {
                walk.template.push_key(key);
                for (index, (name, count, input)) in loops.into_iter().enumerate() {
                    walk.template.push_index(index);
                    let value = self.copies(name, count, input, walk)?;
                    made.insert(name.to_owned(), value);
                    walk.template.pop();
                }
                walk.template.pop();
                continue;
            }
            let name = match classify(key) {
                Text::Plain(name) => name.into_owned(),
                Text::Expression => {
                    let before = std::mem::take(&mut self.secure);
                    let name = self.text(key, &walk.template)?;
                    let is_secure = std::mem::replace(&mut self.secure, before);
                    self.secure |= is_secure;
                    if is_secure {
                        walk.secure.push(walk.result.clone());
                    }
                    match &*name {
                        Value::String(name) => name.clone(),
                        other => {
                            let message = format!("The name of a property must be a text, this is '{}'", self.show(other));
                            return Err(Error::template(message).expression(key).at(&walk.template));
                        }
                    }
                }
            };
            let name = if walk.is_escaped() { escaped(&name).into_owned() } else { name };
            walk.enter_key(key, &name);
            let value = self.tree(raw, walk)?;
            walk.leave();
            self.budget.produce(name.len())?;
            made.insert(name, value);
        }
        Ok(made)
    }

    /// Evaluates a property's copy loop into an array.
    pub(crate) fn copies(&mut self, name: &str, count: &Value, input: &Value, walk: &mut Walk) -> Result<Value> {
        let count = self.count(count, &walk.template.key("count"))?;
        let mut made = Vec::new();
        walk.result.push_key(name);
        walk.template.push_key("input");
        for index in 0..count {
            self.names.loops.push(Loop { name: name.to_owned(), index, kind: LoopKind::Inner });
            walk.result.push_index(index);
            made.push(self.tree(input, walk)?);
            walk.result.pop();
            self.names.loops.pop();
        }
        walk.template.pop();
        walk.result.pop();
        Ok(Value::Array(made))
    }

    /// Evaluates whether something is to be there.
    pub(crate) fn condition(&mut self, raw: &Value, path: &Path) -> Result<bool> {
        let value = self.tree(raw, &mut Walk::at(path))?;
        match &value {
            Value::Bool(decision) => Ok(*decision),
            Value::String(text) if text.eq_ignore_ascii_case("true") => Ok(true),
            Value::String(text) if text.eq_ignore_ascii_case("false") => Ok(false),
            other => {
                let message = format!("A condition must be true or false, this is '{}'", self.show(other));
                Err(Error::template(message).at(path))
            }
        }
    }

    /// Evaluates one member of an object.
    pub(crate) fn branch(&mut self, key: &str, raw: &Value, walk: &mut Walk) -> Result<Value> {
        walk.enter_key(key, key);
        let value = self.tree(raw, walk);
        walk.leave();
        value
    }

    /// Evaluates how often something is copied.
    pub(crate) fn count(&mut self, count: &Value, path: &Path) -> Result<usize> {
        let value = match count {
            Value::String(text) => self.text(text, path)?,
            other => std::sync::Arc::new(other.clone()),
        };
        value.as_u64().and_then(|count| usize::try_from(count).ok()).ok_or_else(|| {
            let message = format!("The copy count must be a whole number that is not negative, this is '{}'", self.show(&value));
            Error::template(message).at(path)
        })
    }
}

/// Recognises `copy: [{name, count, input}]`.
pub(crate) fn loops(raw: &Value) -> Option<Vec<(&str, &Value, &Value)>> {
    let items = raw.as_array()?;
    items.iter().map(|item| Some((item.get("name")?.as_str()?, item.get("count")?, item.get("input")?))).collect()
}

fn escape(value: &mut Value) {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
        Value::String(text) => *text = escaped(text).into_owned(),
        Value::Array(items) => items.iter_mut().for_each(escape),
        Value::Object(members) => members.values_mut().for_each(escape),
    }
}
