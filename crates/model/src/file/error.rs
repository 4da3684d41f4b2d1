//! What decoding says when a value is not what its field takes.

use std::fmt;

use serde::de::{self, Expected, Unexpected};

use super::node::{Node, child};
use crate::{Place, Problem, ProblemCode, problem::nearest};

/// A decoding error; path and place are filled in by the innermost list or map that sees it.
#[derive(Debug)]
pub(super) struct DecodeError {
    code: ProblemCode,
    message: String,
    hint: Option<String>,
    at: Option<(String, Place)>,
}

impl DecodeError {
    pub(super) fn at(mut self, path: &str, place: Place) -> Self {
        self.at.get_or_insert_with(|| (path.to_owned(), place));
        self
    }

    pub(super) fn into_problem(self, root: &Node) -> Problem {
        let (path, place) = self.at.unwrap_or((String::new(), root.place));
        Problem { code: self.code, path, place: Some(place), message: self.message, hint: self.hint }
    }

    fn new(code: ProblemCode, message: String) -> Self {
        Self { code, message, hint: None, at: None }
    }
}

/// Returns the problem of a key that its map does not know.
pub(super) fn unknown_key(path: &str, key: &str, known: &[&str], place: Place) -> Problem {
    let problem = Problem::new(ProblemCode::UnknownKey, child(path, key), format!("unknown key `{key}`"));
    let problem = match nearest(key, known.iter().copied()) {
        Some(word) => problem.hint(format!("did you mean `{word}`?")),
        None => problem.hint(format!("known here: {}", known.join(", "))),
    };
    Problem { place: Some(place), ..problem }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for DecodeError {}

impl de::Error for DecodeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(ProblemCode::InvalidValue, message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        let wanted = plain(&wanted.to_string());
        let mut error = Self::new(ProblemCode::WrongType, format!("expected {wanted}, found {}", said(found)));
        error.hint = Some(format!("write {wanted}"));
        error
    }

    fn invalid_value(found: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        Self::new(ProblemCode::InvalidValue, format!("expected {}, found {}", plain(&wanted.to_string()), said(found)))
    }

    fn unknown_variant(given: &str, known: &'static [&'static str]) -> Self {
        let all: Vec<String> = known.iter().map(|word| format!("`{word}`")).collect();
        let mut error = Self::new(ProblemCode::InvalidValue, format!("`{given}` is none of {}", all.join(", ")));
        error.hint = nearest(given, known.iter().copied()).map(|word| format!("did you mean `{word}`?"));
        error
    }

    fn unknown_field(given: &str, known: &'static [&'static str]) -> Self {
        let Problem { code, message, hint, .. } = unknown_key("", given, known, Place { line: 0, column: 0 });
        Self { code, message, hint, at: None }
    }

    fn missing_field(field: &'static str) -> Self {
        let mut error = Self::new(ProblemCode::MissingKey, format!("key `{field}` is missing"));
        error.hint = Some(format!("add `{field}: …`"));
        error
    }
}

/// Returns serde's word for what a field takes as people say it.
fn plain(wanted: &str) -> String {
    match wanted {
        // Every 16-bit number of the file is a port.
        "u16" => "a port from 1 to 65535",
        "u32" | "u64" => "a whole number",
        "f64" | "f32" => "a number",
        "a boolean" => "true or false",
        "a string" | "a borrowed string" => "text",
        "a map" => "keys with values",
        "a sequence" => "a list",
        "variant identifier" | "field identifier" => "a word",
        other if other.starts_with("struct ") => "keys with values",
        other if other.starts_with("enum ") => "a word",
        other => other,
    }
    .to_owned()
}

fn said(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Bool(value) => format!("{value}"),
        Unexpected::Unsigned(number) => format!("the number {number}"),
        Unexpected::Signed(number) => format!("the number {number}"),
        Unexpected::Float(number) => format!("the number {number}"),
        Unexpected::Str(text) => format!("the text {text:?}"),
        Unexpected::Unit | Unexpected::Option => "nothing".to_owned(),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "keys with values".to_owned(),
        other => other.to_string(),
    }
}
