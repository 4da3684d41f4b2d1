//! How much an evaluation may cost before it is refused.

use std::{fmt, time::Instant};

use serde_json::Value;

use crate::error::{Cause, Error, Result};

/// The longest text that is read: 4 MB.
pub const MAX_TEXT: usize = 4 * 1024 * 1024;
/// The deepest nesting of JSON, and of calls in an expression.
pub const MAX_DEPTH: usize = 64;
/// The longest expression in characters, as Resource Manager has it.
pub const MAX_EXPRESSION: usize = 24_576;
/// The most resources of one template, copies counted.
pub const MAX_RESOURCES: usize = 800;
/// The most evaluation steps of one budget.
pub const MAX_STEPS: u64 = 1_000_000;
/// The most bytes that evaluation may produce within one budget: 64 MB. What is thrown away counts, and every value as 64 bytes more
/// than its text, which is about what it takes in memory.
pub const MAX_PRODUCED: u64 = 64 * 1024 * 1024;

/// A limit that was passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    Text,
    Depth,
    Expression,
    Resources,
    Steps,
    Produced,
    Deadline,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => write!(f, "The text is longer than the {MAX_TEXT} bytes that are read"),
            Self::Depth => write!(f, "The nesting is deeper than {MAX_DEPTH}"),
            Self::Expression => write!(f, "The expression is longer than {MAX_EXPRESSION} characters"),
            Self::Resources => write!(f, "The template has more than {MAX_RESOURCES} resources"),
            Self::Steps => write!(f, "The template takes more than {MAX_STEPS} evaluation steps"),
            Self::Produced => write!(f, "The template produces more than {MAX_PRODUCED} bytes"),
            Self::Deadline => write!(f, "The template was not evaluated within the time that it has"),
        }
    }
}

impl Limit {
    pub(crate) fn error(self) -> Error {
        Error::template(self.to_string()).caused(Cause::Limit(self))
    }
}

/// What is left of the steps, bytes and time of one pass over a template: its expansion, and the evaluation of all that it planned.
#[derive(Debug, Clone)]
pub struct Budget {
    steps: u64,
    produced: u64,
    deadline: Option<Instant>,
}

impl Default for Budget {
    fn default() -> Self {
        Self::new()
    }
}

impl Budget {
    /// Returns a whole budget without a deadline.
    pub fn new() -> Self {
        Self { steps: MAX_STEPS, produced: MAX_PRODUCED, deadline: None }
    }

    /// Sets the moment after which evaluation is refused.
    #[must_use]
    pub fn until(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Returns the steps that are left.
    pub fn steps_left(&self) -> u64 {
        self.steps
    }

    /// Takes one step. The clock is read every 256th time.
    pub(crate) fn step(&mut self) -> Result<()> {
        self.steps = self.steps.checked_sub(1).ok_or_else(|| Limit::Steps.error())?;
        match self.deadline {
            Some(deadline) if self.steps.is_multiple_of(256) && Instant::now() > deadline => Err(Limit::Deadline.error()),
            Some(_) | None => Ok(()),
        }
    }

    /// Takes so many steps at once.
    pub(crate) fn steps(&mut self, steps: u64) -> Result<()> {
        self.steps = self.steps.checked_sub(steps).ok_or_else(|| Limit::Steps.error())?;
        Ok(())
    }

    /// Returns the bytes that may still be produced.
    pub(crate) fn produced_left(&self) -> usize {
        usize::try_from(self.produced).unwrap_or(usize::MAX)
    }

    /// Takes the bytes of a value that is about to be made.
    pub(crate) fn produce(&mut self, bytes: usize) -> Result<()> {
        self.produced = self.produced.checked_sub(bytes as u64).ok_or_else(|| Limit::Produced.error())?;
        Ok(())
    }

    /// Takes the bytes of a value.
    pub(crate) fn produce_value(&mut self, value: &Value) -> Result<()> {
        self.produce(size(value))
    }
}

/// What any value takes in memory.
const VALUE: usize = 64;

/// About how many bytes a value takes.
pub(crate) fn size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => VALUE,
        Value::String(text) => VALUE + text.len(),
        Value::Array(items) => VALUE + items.iter().map(size).sum::<usize>(),
        Value::Object(members) => VALUE + members.iter().map(|(key, value)| VALUE + key.len() + size(value)).sum::<usize>(),
    }
}
