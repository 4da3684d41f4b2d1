//! Reads the text of requests and templates: JSON, and what people and az make of it.
//!
//! az sends a template as it lies in the file, behind a bare `template:`, within a JSON request. So beyond JSON this reader takes comments,
//! keys without quotes, texts in single quotes, raw line breaks in texts, commas before a closing bracket, and byte order marks.
//! Of a name that is written twice, the last one counts, as with Resource Manager.

mod parser;

use std::sync::Arc;

use serde_json::Value;

use crate::{
    budget::{Limit, MAX_TEXT},
    error::{Code, Error, Position, Result},
    path::{Path, Segment},
};
use parser::Parser;

/// A document that was read, which still knows where everything stood.
#[derive(Clone)]
pub struct Document {
    root: Arc<Value>,
    source: Option<Source>,
}

#[derive(Clone)]
struct Source {
    text: Arc<str>,
    /// Where lines and columns are counted from.
    start: usize,
    /// Where the document stands in what is read from there.
    head: Path,
}

/// Reads a document.
///
/// # Errors
/// `InvalidRequestContent` with line and column when the text is not one, is longer than 4 MB or is nested deeper than 64.
pub fn read(text: &[u8]) -> Result<Document> {
    if text.len() > MAX_TEXT {
        return Err(unreadable(Limit::Text.to_string()).caused(crate::Cause::Limit(Limit::Text)));
    }
    let text: Arc<str> = match std::str::from_utf8(text) {
        Ok(text) => text.into(),
        Err(broken) => {
            let good = String::from_utf8_lossy(&text[..broken.valid_up_to()]);
            return Err(unreadable("The text is not UTF-8").positioned(Some(position(&good, 0, good.len()))));
        }
    };
    let root = Parser::new(&text, 0).document()?;
    Ok(Document { root: Arc::new(root), source: Some(Source { text, start: 0, head: Path::root() }) })
}

/// Reads a text that an expression made, with the same tolerance.
pub(crate) fn parse_text(text: &str) -> Result<Value> {
    Parser::new(text, 0).document()
}

fn unreadable(message: impl Into<String>) -> Error {
    Error::new(Code::InvalidRequestContent, format!("The request content was invalid and could not be read: {}", message.into()))
}

fn position(text: &str, start: usize, at: usize) -> Position {
    let before = text.get(start..at).unwrap_or_default();
    let line = before.bytes().filter(|&byte| byte == b'\n').count() + 1;
    let last = before.rsplit('\n').next().unwrap_or_default();
    Position { line, column: last.chars().filter(|&c| c != '\u{feff}').count() + 1 }
}

impl Document {
    /// Makes a document of a value that was never text, so that nothing in it has a line.
    pub fn from_value(value: Value) -> Self {
        Self { root: Arc::new(value), source: None }
    }

    pub fn root(&self) -> &Value {
        &self.root
    }

    /// Returns the value at a place as a document whose lines count as this one's do.
    pub(crate) fn inner(&self, path: &Path) -> Self {
        let value = path.segments().iter().try_fold(&*self.root, |value, segment| match segment {
            Segment::Key(key) => value.get(key.as_str()),
            Segment::Index(index) => value.get(*index),
        });
        let source = self.source.as_ref().map(|source| Source { head: source.head.join(path), ..source.clone() });
        Self { root: Arc::new(value.cloned().unwrap_or_default()), source }
    }

    /// Returns the value under these keys as a document whose lines count from where it begins. Names are compared without case.
    pub fn part(&self, keys: &[&str]) -> Option<Self> {
        let mut value = &*self.root;
        let mut path = Path::root();
        for key in keys {
            let members = value.as_object()?;
            let (name, inner) =
                members.get_key_value(*key).or_else(|| members.iter().rfind(|(name, _)| name.eq_ignore_ascii_case(key)))?;
            path.push_key(name);
            value = inner;
        }
        let source = self.source.as_ref().map(|source| {
            let path = source.head.join(&path);
            let start = Parser::locating(&source.text, source.start, path.segments())
                .location()
                .map_or(source.start, |found| found.after_name);
            Source { text: Arc::clone(&source.text), start, head: Path::root() }
        });
        Some(Self { root: Arc::new(value.clone()), source })
    }

    /// Returns where a value stands, or the nearest one around it.
    pub fn position(&self, path: &Path) -> Option<Position> {
        let source = self.source.as_ref()?;
        let path = source.head.join(path);
        let found = Parser::locating(&source.text, source.start, path.segments()).location()?;
        Some(position(&source.text, source.start, found.value))
    }
}

impl std::fmt::Debug for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Requests carry secure parameters.
        f.debug_struct("Document").field("start", &self.source.as_ref().map(|source| source.start)).finish_non_exhaustive()
    }
}

/// Where a value was found: its first character, and what follows its name's colon.
#[derive(Debug, Clone, Copy)]
struct Location {
    value: usize,
    after_name: usize,
}

/// What the parser looks for, and the nearest that it has found.
#[derive(Debug)]
struct Search<'a> {
    target: &'a [Segment],
    trail: Vec<Segment>,
    best: usize,
    found: Option<Location>,
}

impl Search<'_> {
    fn saw(&mut self, location: Location) {
        if self.trail.len() >= self.best && self.target.starts_with(&self.trail) {
            self.best = self.trail.len();
            self.found = Some(location);
        }
    }
}
