//! The recursive descent behind `read`.

use serde_json::{Map, Number, Value};

use super::{Location, Search, position, unreadable};
use crate::{
    budget::{Limit, MAX_DEPTH},
    error::{Cause, Error, Result},
    path::Segment,
};

pub(super) struct Parser<'a> {
    text: &'a str,
    start: usize,
    at: usize,
    depth: usize,
    search: Option<Search<'a>>,
}

impl<'a> Parser<'a> {
    pub(super) fn new(text: &'a str, start: usize) -> Self {
        Self { text, start, at: start, depth: 0, search: None }
    }

    pub(super) fn locating(text: &'a str, start: usize, target: &'a [Segment]) -> Self {
        let search = Search { target, trail: Vec::new(), best: 0, found: None };
        Self { search: Some(search), ..Self::new(text, start) }
    }

    /// Reads one value and nothing after it.
    pub(super) fn document(mut self) -> Result<Value> {
        self.space()?;
        let value = self.value(self.at)?;
        self.space()?;
        match self.peek() {
            None => Ok(value),
            Some(c) => Err(self.error(format!("after the end of the document comes {}", shown(c)))),
        }
    }

    pub(super) fn location(mut self) -> Option<Location> {
        let start = self.at;
        // The text was read before, so a value is there; what follows it is of no interest.
        self.space().ok()?;
        self.value(start).ok()?;
        self.search.and_then(|search| search.found)
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn error(&self, message: impl AsRef<str>) -> Error {
        let at = position(self.text, self.start, self.at);
        unreadable(format!("line {}, column {}: {}", at.line, at.column, message.as_ref())).positioned(Some(at))
    }

    /// Skips white space, byte order marks and comments.
    fn space(&mut self) -> Result<()> {
        loop {
            let rest = &self.text[self.at..];
            let solid = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
            self.at += rest.len() - solid.len();
            if solid.starts_with("//") {
                self.at += solid.find('\n').unwrap_or(solid.len());
            } else if let Some(comment) = solid.strip_prefix("/*") {
                match comment.find("*/") {
                    Some(end) => self.at += end + 4,
                    None => return Err(self.error("a comment begins that does not end")),
                }
            } else {
                return Ok(());
            }
        }
    }

    fn value(&mut self, after_name: usize) -> Result<Value> {
        let location = Location { value: self.at, after_name };
        if let Some(search) = &mut self.search {
            search.saw(location);
        }
        match self.peek() {
            Some('{') => self.nested(Self::object),
            Some('[') => self.nested(Self::array),
            Some(quote @ ('"' | '\'')) => self.string(quote).map(Value::String),
            Some('-' | '0'..='9') => self.number(),
            Some(c) if is_name(c) => self.word(),
            Some(c) => Err(self.error(format!("a value is expected, here is {}", shown(c)))),
            None => Err(self.error("a value is expected, here the text ends")),
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Value>) -> Result<Value> {
        if self.depth == MAX_DEPTH {
            return Err(self.error(Limit::Depth.to_string()).caused(Cause::Limit(Limit::Depth)));
        }
        self.depth += 1;
        self.next();
        let value = read(self);
        self.depth -= 1;
        value
    }

    fn object(&mut self) -> Result<Value> {
        let mut members = Map::new();
        loop {
            self.space()?;
            match self.peek() {
                Some('}') => {
                    self.next();
                    return Ok(Value::Object(members));
                }
                // Left over from a member that was taken out.
                Some(',') => {
                    self.next();
                    continue;
                }
                Some(_) => {}
                None => return Err(self.error("the text ends within an object")),
            }
            let key = self.name()?;
            self.space()?;
            if self.peek() != Some(':') {
                return Err(self.error(format!("after the name '{}' a colon is expected", short(&key))));
            }
            self.next();
            let after_name = self.at;
            self.space()?;
            self.enter(|| Segment::Key(key.clone()));
            let value = self.value(after_name)?;
            self.leave();
            members.insert(key, value);
            self.separator('}')?;
        }
    }

    fn array(&mut self) -> Result<Value> {
        let mut items = Vec::new();
        loop {
            self.space()?;
            if self.peek() == Some(']') {
                self.next();
                return Ok(Value::Array(items));
            }
            let index = items.len();
            self.enter(|| Segment::Index(index));
            items.push(self.value(self.at)?);
            self.leave();
            self.separator(']')?;
        }
    }

    fn enter(&mut self, segment: impl FnOnce() -> Segment) {
        if let Some(search) = &mut self.search {
            search.trail.push(segment());
        }
    }

    fn leave(&mut self) {
        if let Some(search) = &mut self.search {
            search.trail.pop();
        }
    }

    /// Takes the comma between two members; before the closing bracket none is needed.
    fn separator(&mut self, close: char) -> Result<()> {
        self.space()?;
        match self.peek() {
            Some(',') => {
                self.next();
                Ok(())
            }
            Some(c) if c == close => Ok(()),
            Some(c) => Err(self.error(format!("a comma or '{close}' is expected, here is {}", shown(c)))),
            None => Err(self.error(format!("a comma or '{close}' is expected, here the text ends"))),
        }
    }

    fn name(&mut self) -> Result<String> {
        match self.peek() {
            Some(quote @ ('"' | '\'')) => self.string(quote),
            Some(c) if is_name(c) => Ok(self.bare().to_owned()),
            Some(c) => Err(self.error(format!("a name is expected, here is {}", shown(c)))),
            None => Err(self.error("a name is expected, here the text ends")),
        }
    }

    fn bare(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| !(is_name(c) || c.is_ascii_digit() || c == '-')).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn word(&mut self) -> Result<Value> {
        let before = self.at;
        match self.bare() {
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            "null" => Ok(Value::Null),
            word => {
                let message = format!("a value is expected, here is '{}'", short(word));
                self.at = before;
                Err(self.error(message))
            }
        }
    }

    fn number(&mut self) -> Result<Value> {
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| !(c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E'))).unwrap_or(rest.len());
        match rest[..end].parse::<Number>() {
            Ok(number) => {
                self.at += end;
                Ok(Value::Number(number))
            }
            Err(_) => Err(self.error(format!("'{}' is not a number", short(&rest[..end])))),
        }
    }

    fn string(&mut self, quote: char) -> Result<String> {
        let begin = self.at;
        self.next();
        let mut text = String::new();
        loop {
            let rest = &self.text[self.at..];
            let plain = rest.find([quote, '\\']).unwrap_or(rest.len());
            text.push_str(&rest[..plain]);
            self.at += plain;
            match self.next() {
                Some('\\') => self.escape(&mut text)?,
                Some(_) => return Ok(text),
                None => {
                    self.at = begin;
                    return Err(self.error("a text begins that does not end"));
                }
            }
        }
    }

    fn escape(&mut self, text: &mut String) -> Result<()> {
        match self.next() {
            Some(c @ ('"' | '\'' | '\\' | '/')) => text.push(c),
            Some('b') => text.push('\u{8}'),
            Some('f') => text.push('\u{c}'),
            Some('n') => text.push('\n'),
            Some('r') => text.push('\r'),
            Some('t') => text.push('\t'),
            Some('u') => {
                let first = self.hex()?;
                text.push(self.scalar(first)?);
            }
            Some(c) => return Err(self.error(format!("'\\{}' is not an escape", c.escape_default()))),
            None => return Err(self.error("a text begins that does not end")),
        }
        Ok(())
    }

    fn hex(&mut self) -> Result<u32> {
        let digits = self.text.get(self.at..self.at + 4).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let unit = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        match unit {
            Some(unit) => {
                self.at += 4;
                Ok(unit)
            }
            None => Err(self.error("'\\u' needs four hexadecimal digits")),
        }
    }

    /// A character outside the first plane is written as two units.
    fn scalar(&mut self, first: u32) -> Result<char> {
        if let Some(c) = char::from_u32(first) {
            return Ok(c);
        }
        if first < 0xDC00 && self.text[self.at..].starts_with("\\u") {
            self.at += 2;
            let second = self.hex()?;
            if (0xDC00..0xE000).contains(&second)
                && let Some(c) = char::from_u32(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00))
            {
                return Ok(c);
            }
        }
        Err(self.error("half of a character stands alone"))
    }
}

fn is_name(c: char) -> bool {
    c.is_alphabetic() || matches!(c, '_' | '$')
}

fn shown(c: char) -> String {
    format!("'{}'", c.escape_default())
}

fn short(text: &str) -> String {
    text.chars().take(40).collect()
}
