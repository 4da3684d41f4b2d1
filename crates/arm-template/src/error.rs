//! What a template can be refused for: a code as Resource Manager gives it, a message, and the place.

use std::fmt;

use serde_json::{Value, json};

use crate::path::Path;

pub(crate) type Result<T> = std::result::Result<T, Error>;

/// The code that a client sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// The request's text could not be read.
    InvalidRequestContent,
    /// The template says something that the language does not allow.
    InvalidTemplate,
    /// The template is good, but not with these parameters or surroundings.
    InvalidTemplateDeployment,
    /// An expression refers to a resource that is not there.
    ResourceNotFound,
    /// A linked template can not be used.
    InvalidContentLink,
}

impl Code {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequestContent => "InvalidRequestContent",
            Self::InvalidTemplate => "InvalidTemplate",
            Self::InvalidTemplateDeployment => "InvalidTemplateDeployment",
            Self::ResourceNotFound => "ResourceNotFound",
            Self::InvalidContentLink => "InvalidContentLink",
        }
    }
}

/// What a caller may want to tell apart beyond the code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// The template, its parameters or its request are wrong; trying again changes nothing.
    Refused,
    /// A limit was passed (see [`crate::Limit`]).
    Limit(crate::Limit),
    /// A value needs a resource that is not deployed yet.
    NotDeployed { id: String },
    /// A value needs a resource that does not exist.
    NotFound { id: String },
}

/// A line and a column, both counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

/// The expression that could not be evaluated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpressionPlace {
    /// The expression's text, shortened.
    pub text: String,
    /// The column in the text, counted from 1.
    pub column: usize,
}

/// A refusal. Its texts never hold a secure value.
#[derive(Clone, PartialEq, Eq)]
pub struct Error(Box<Inner>);

#[derive(Clone, PartialEq, Eq)]
struct Inner {
    code: Code,
    cause: Cause,
    message: String,
    path: Option<Path>,
    position: Option<Position>,
    column: Option<usize>,
    expression: Option<ExpressionPlace>,
}

impl Error {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            code,
            cause: Cause::Refused,
            message: message.into(),
            path: None,
            position: None,
            column: None,
            expression: None,
        }))
    }

    pub(crate) fn template(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidTemplate, message)
    }

    pub(crate) fn caused(mut self, cause: Cause) -> Self {
        self.0.cause = cause;
        self
    }

    pub(crate) fn at(mut self, path: &Path) -> Self {
        if self.0.path.is_none() {
            self.0.path = Some(path.clone());
        }
        self
    }

    pub(crate) fn under(mut self, head: &Path) -> Self {
        self.0.path = Some(head.join(&self.0.path.take().unwrap_or_default()));
        self
    }

    pub(crate) fn positioned(mut self, position: Option<Position>) -> Self {
        if self.0.position.is_none() {
            self.0.position = position;
        }
        self
    }

    /// Notes the column in the expression, unless a deeper part has noted its own.
    pub(crate) fn column(mut self, column: usize) -> Self {
        if self.0.column.is_none() {
            self.0.column = Some(column);
        }
        self
    }

    pub(crate) fn expression(mut self, text: &str) -> Self {
        if self.0.expression.is_none() {
            let column = self.0.column.unwrap_or(1);
            self.0.expression = Some(ExpressionPlace { text: shortened(text), column });
        }
        self
    }

    pub fn code(&self) -> Code {
        self.0.code
    }

    pub fn cause(&self) -> &Cause {
        &self.0.cause
    }

    /// Returns where in the template it stands.
    pub fn path(&self) -> Option<&Path> {
        self.0.path.as_ref()
    }

    /// Returns where in the template's text it stands, when the text is known.
    pub fn position(&self) -> Option<Position> {
        self.0.position
    }

    pub fn expression_place(&self) -> Option<&ExpressionPlace> {
        self.0.expression.as_ref()
    }

    /// Returns the message without the place.
    pub fn reason(&self) -> &str {
        &self.0.message
    }

    /// Returns the error as Resource Manager puts it on the wire (the value of `error`).
    pub fn to_wire(&self) -> Value {
        let mut info = serde_json::Map::new();
        info.insert("lineNumber".to_owned(), json!(self.0.position.map_or(0, |p| p.line)));
        info.insert("linePosition".to_owned(), json!(self.0.position.map_or(0, |p| p.column)));
        info.insert("path".to_owned(), json!(self.0.path.as_ref().map(Path::to_string).unwrap_or_default()));
        json!({
            "code": self.0.code.as_str(),
            "message": self.to_string(),
            "additionalInfo": [{ "type": "TemplateViolation", "info": info }],
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &self.0;
        match inner.code {
            Code::InvalidTemplate => write!(f, "Deployment template validation failed: '{}'", inner.message)?,
            Code::InvalidRequestContent | Code::InvalidTemplateDeployment | Code::ResourceNotFound | Code::InvalidContentLink => {
                f.write_str(&inner.message)?;
            }
        }
        let path = inner.path.as_ref().map(Path::to_string).filter(|path| !path.is_empty());
        match (&path, inner.position) {
            (Some(path), Some(at)) => write!(f, " (at '{path}', line {}, column {})", at.line, at.column)?,
            (Some(path), None) => write!(f, " (at '{path}')")?,
            (None, Some(at)) => write!(f, " (line {}, column {})", at.line, at.column)?,
            (None, None) => {}
        }
        if let Some(place) = &inner.expression {
            write!(f, " in the expression '{}', column {}", place.text, place.column)?;
        }
        f.write_str(".")
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {self}", self.0.code.as_str())
    }
}

impl std::error::Error for Error {}

/// An expression in a message shows at most so many characters.
const SHOWN: usize = 160;

fn shortened(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}
