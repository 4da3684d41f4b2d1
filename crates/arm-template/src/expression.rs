//! Expressions: the texts in brackets that a template's values may be.

mod lexer;
mod parser;

use std::{borrow::Cow, sync::Arc};

use serde_json::Value;

pub(crate) use parser::parse;

/// A part of an expression, and the column at which it begins in the text, counted from 1.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Expr {
    pub(crate) column: usize,
    pub(crate) node: Node,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    /// A text or a whole number.
    Literal(Arc<Value>),
    Call(Call),
    /// `base.key`, `base[key]`; with a question mark what is missing is null, and so is all that follows.
    Member {
        base: Box<Expr>,
        key: Box<Expr>,
        missing: Missing,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Call {
    /// A user-defined function has one.
    pub(crate) namespace: Option<String>,
    pub(crate) name: String,
    pub(crate) arguments: Vec<Expr>,
}

/// What a member that is not there means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    Error,
    Null,
}

/// What a text of a template is.
#[derive(Debug, PartialEq)]
pub(crate) enum Text<'a> {
    Plain(Cow<'a, str>),
    Expression,
}

/// Tells an expression from a plain text; a plain text that looks like one is written with a second bracket.
pub(crate) fn classify(text: &str) -> Text<'_> {
    if !(text.starts_with('[') && text.ends_with(']')) || text.len() < 2 {
        Text::Plain(Cow::Borrowed(text))
    } else if let Some(rest) = text.strip_prefix("[[") {
        Text::Plain(Cow::Owned(format!("[{rest}")))
    } else {
        Text::Expression
    }
}

/// Writes a plain text so that it is not taken for an expression.
pub(crate) fn escaped(text: &str) -> Cow<'_, str> {
    match text.starts_with('[') && text.ends_with(']') && text.len() >= 2 {
        true => Cow::Owned(format!("[{text}")),
        false => Cow::Borrowed(text),
    }
}

impl Expr {
    /// Returns the text that is written here, if it is one.
    pub(crate) fn literal(&self) -> Option<&str> {
        match &self.node {
            Node::Literal(value) => value.as_str(),
            Node::Call(_) | Node::Member { .. } => None,
        }
    }

    /// Calls `see` with every call in the expression, outer ones first.
    ///
    /// # Errors
    /// What `see` refuses.
    pub(crate) fn calls<E>(&self, see: &mut dyn FnMut(&Self, &Call) -> Result<(), E>) -> Result<(), E> {
        match &self.node {
            Node::Literal(_) => Ok(()),
            Node::Call(call) => {
                see(self, call)?;
                call.arguments.iter().try_for_each(|argument| argument.calls(see))
            }
            Node::Member { base, key, .. } => {
                base.calls(see)?;
                key.calls(see)
            }
        }
    }
}
