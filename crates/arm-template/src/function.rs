//! The functions of the template language: which there are, and what they are given.

mod array;
mod cidr;
mod comparison;
mod date;
mod date_format;
mod deployment;
mod format;
mod hash;
mod lambda;
mod logical;
mod number;
mod number_format;
mod object;
mod resource;
mod scope;
mod string;
mod uri;
pub(crate) mod utf16;

pub(crate) use resource::id_of;
pub(crate) use uri::resolve as resolve_uri;

use std::{
    cell::OnceCell,
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use serde_json::{Map, Value};

use crate::{
    budget::Limit,
    error::{Error, Result},
    evaluate::Evaluator,
    expression::Call,
    secure::HIDDEN,
};

/// A built-in function.
#[derive(Clone, Copy)]
pub(crate) struct Function {
    pub(crate) name: &'static str,
    least: usize,
    most: Option<usize>,
    pub(crate) run: Run,
}

/// How a function is run.
#[derive(Clone, Copy)]
pub(crate) enum Run {
    /// From values to a value.
    Value(fn(&Arguments<'_>) -> Result<Value>),
    /// With what the evaluation knows.
    World(fn(&mut Evaluator<'_>, &Arguments<'_>) -> Result<Arc<Value>>),
    /// The function decides which arguments are evaluated.
    Lazy(fn(&mut Evaluator<'_>, &Call) -> Result<Arc<Value>>),
}

pub(crate) const fn value(name: &'static str, least: usize, most: usize, run: fn(&Arguments<'_>) -> Result<Value>) -> Function {
    Function { name, least, most: Some(most), run: Run::Value(run) }
}

pub(crate) const fn many(name: &'static str, least: usize, run: fn(&Arguments<'_>) -> Result<Value>) -> Function {
    Function { name, least, most: None, run: Run::Value(run) }
}

pub(crate) const fn world(
    name: &'static str,
    least: usize,
    most: Option<usize>,
    run: fn(&mut Evaluator<'_>, &Arguments<'_>) -> Result<Arc<Value>>,
) -> Function {
    Function { name, least, most, run: Run::World(run) }
}

pub(crate) const fn lazy(
    name: &'static str,
    least: usize,
    most: Option<usize>,
    run: fn(&mut Evaluator<'_>, &Call) -> Result<Arc<Value>>,
) -> Function {
    Function { name, least, most, run: Run::Lazy(run) }
}

static FUNCTIONS: LazyLock<HashMap<String, Function>> = LazyLock::new(|| {
    let families = [
        array::FUNCTIONS,
        cidr::FUNCTIONS,
        comparison::FUNCTIONS,
        date::FUNCTIONS,
        deployment::FUNCTIONS,
        hash::FUNCTIONS,
        lambda::FUNCTIONS,
        logical::FUNCTIONS,
        number::FUNCTIONS,
        object::FUNCTIONS,
        resource::FUNCTIONS,
        scope::FUNCTIONS,
        string::FUNCTIONS,
        uri::FUNCTIONS,
    ];
    families.into_iter().flatten().map(|function| (function.name.to_lowercase(), *function)).collect()
});

/// Returns the function of this name, compared without case. Every `list…` is one.
pub(crate) fn find(name: &str) -> Option<Function> {
    let name = name.to_lowercase();
    FUNCTIONS.get(&name).copied().or_else(|| name.starts_with("list").then_some(resource::LIST))
}

pub(crate) fn unknown(name: &str) -> Error {
    let lower = name.to_lowercase();
    let near = FUNCTIONS.iter().filter(|(known, _)| is_near(known, &lower)).map(|(_, function)| function.name).min();
    let hint = near.map(|near| format!(" Is '{near}' meant?")).unwrap_or_default();
    Error::template(format!("The template function '{name}' is not valid.{hint}"))
}

/// Whether one text becomes the other by one letter more, less or other, or by two that are swapped.
fn is_near(known: &str, given: &str) -> bool {
    let (known, given): (Vec<char>, Vec<char>) = (known.chars().collect(), given.chars().collect());
    if known.len().abs_diff(given.len()) > 1 || known.len() < 3 {
        return false;
    }
    let head = known.iter().zip(&given).take_while(|(a, b)| a == b).count();
    let tail = known[head..].iter().rev().zip(given[head..].iter().rev()).take_while(|(a, b)| a == b).count();
    let (left, right) = (&known[head..known.len() - tail], &given[head..given.len() - tail]);
    (left.len() <= 1 && right.len() <= 1) || (left.len() == 2 && right.len() == 2 && left[0] == right[1] && left[1] == right[0])
}

impl Function {
    pub(crate) fn check_count(&self, given: usize) -> Result<()> {
        let is_right = given >= self.least && self.most.is_none_or(|most| given <= most);
        if is_right {
            return Ok(());
        }
        let expected = match self.most {
            None => format!("at least {}", self.least),
            Some(most) if most == self.least => most.to_string(),
            Some(most) => format!("{} to {most}", self.least),
        };
        Err(Error::template(format!(
            "The template language function '{}' takes {expected} argument(s), {given} are given",
            self.name
        )))
    }
}

/// What a function is given.
pub(crate) struct Arguments<'a> {
    pub(crate) name: &'a str,
    pub(crate) values: &'a [Arc<Value>],
    /// Something secure was looked at, so no value may be shown.
    pub(crate) secure: bool,
    /// How many bytes may be produced.
    left: usize,
}

impl<'a> Arguments<'a> {
    pub(crate) fn new(name: &'a str, values: &'a [Arc<Value>], secure: bool, left: usize) -> Self {
        Self { name, values, secure, left }
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    pub(crate) fn get(&self, at: usize) -> Option<&'a Value> {
        self.values.get(at).map(|value| &**value)
    }

    pub(crate) fn any(&self, at: usize) -> &'a Value {
        self.get(at).unwrap_or(&Value::Null)
    }

    pub(crate) fn refuse(&self, message: impl AsRef<str>) -> Error {
        Error::template(format!("The template language function '{}' {}", self.name, message.as_ref()))
    }

    /// Refuses an argument's type.
    pub(crate) fn wrong(&self, at: usize, expected: &str) -> Error {
        let given = self.get(at).map_or("nothing", type_name);
        self.refuse(format!("expects {expected} as argument {}, its type is '{given}'", at + 1))
    }

    /// Writes a value into a message, unless something secure was looked at.
    pub(crate) fn show(&self, value: &Value) -> String {
        show(value, self.secure)
    }

    pub(crate) fn show_text(&self, text: &str) -> String {
        show(&Value::String(text.to_owned()), self.secure)
    }

    pub(crate) fn text(&self, at: usize) -> Result<&'a str> {
        self.any(at).as_str().ok_or_else(|| self.wrong(at, "a text"))
    }

    pub(crate) fn integer(&self, at: usize) -> Result<i64> {
        self.any(at).as_i64().ok_or_else(|| self.wrong(at, "a whole number"))
    }

    pub(crate) fn boolean(&self, at: usize) -> Result<bool> {
        self.any(at).as_bool().ok_or_else(|| self.wrong(at, "true or false"))
    }

    pub(crate) fn array(&self, at: usize) -> Result<&'a [Value]> {
        self.any(at).as_array().map(Vec::as_slice).ok_or_else(|| self.wrong(at, "an array"))
    }

    pub(crate) fn object(&self, at: usize) -> Result<&'a Map<String, Value>> {
        self.any(at).as_object().ok_or_else(|| self.wrong(at, "an object"))
    }

    /// All arguments as texts.
    pub(crate) fn texts(&self) -> Result<Vec<&'a str>> {
        (0..self.len()).map(|at| self.text(at)).collect()
    }

    /// Refuses to make more bytes than are left.
    pub(crate) fn room(&self, bytes: usize) -> Result<()> {
        match bytes <= self.left {
            true => Ok(()),
            false => Err(Limit::Produced.error()),
        }
    }
}

/// The language's name of a value's type.
pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "Null",
        Value::Bool(_) => "Boolean",
        Value::Number(number) if number.is_f64() => "Float",
        Value::Number(_) => "Integer",
        Value::String(_) => "String",
        Value::Array(_) => "Array",
        Value::Object(_) => "Object",
    }
}

pub(crate) fn with_article(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a float",
        Value::Number(_) => "an integer",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// A value in a message shows at most so many characters.
const SHOWN: usize = 80;

pub(crate) fn show(value: &Value, secure: bool) -> String {
    if secure {
        return HIDDEN.to_owned();
    }
    let text = match value {
        Value::String(text) => text.chars().take(SHOWN + 1).collect(),
        Value::Array(_) | Value::Object(_) if crate::budget::size(value) > 4096 => {
            format!("{} of many parts", with_article(value))
        }
        other => other.to_string(),
    };
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Returns a member; names are compared without case when none is exactly the same.
pub(crate) fn member<'v>(members: &'v Map<String, Value>, name: &str) -> Option<&'v Value> {
    members.get(name).or_else(|| members.iter().find(|(key, _)| same_name(key, name)).map(|(_, value)| value))
}

/// An object's members for many look-ups, compared as [`member`] does.
pub(crate) struct ByName<'v> {
    members: &'v Map<String, Value>,
    lower: OnceCell<HashMap<String, &'v Value>>,
}

impl<'v> ByName<'v> {
    pub(crate) fn of(members: &'v Map<String, Value>) -> Self {
        Self { members, lower: OnceCell::new() }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&'v Value> {
        let all = || self.members.iter().rev().map(|(key, value)| (key.to_lowercase(), value)).collect::<HashMap<_, _>>();
        self.members.get(name).or_else(|| self.lower.get_or_init(all).get(&name.to_lowercase()).copied())
    }
}

pub(crate) fn same_name(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b) || (!(a.is_ascii() && b.is_ascii()) && a.to_lowercase() == b.to_lowercase())
}

/// Whether a value nests at most so deep.
pub(crate) fn is_shallow(value: &Value, depth: usize) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
        Value::Array(items) => depth > 0 && items.iter().all(|item| is_shallow(item, depth - 1)),
        Value::Object(members) => depth > 0 && members.values().all(|item| is_shallow(item, depth - 1)),
    }
}

/// Returns the functions' names, for documentation and tests.
pub fn function_names() -> Vec<&'static str> {
    let mut names: Vec<_> = FUNCTIONS.values().map(|function| function.name).collect();
    names.sort_unstable();
    names
}

/// Whether two values are the same, as `equals` has it.
pub(crate) fn same_value(a: &Value, b: &Value) -> bool {
    comparison::equal(a, b)
}
