//! A problem of an app's definition: where it stands, what is wrong, and how to put it right.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where something stands in a file; both count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    pub line: usize,
    pub column: usize,
}

/// What kind of problem it is; stable words for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProblemCode {
    Syntax,
    UnknownKey,
    DuplicateKey,
    MissingKey,
    WrongType,
    InvalidValue,
    NoContainer,
    NoMain,
    TwoMains,
    TooManySidecars,
    MainRunsOnce,
    PortTaken,
    PortMissing,
    DependencyUnknown,
    DependencyCycle,
    DependencyNeverCompletes,
    VolumeUnknown,
    PathTaken,
    SettingUnknown,
    SecretMissing,
}

/// One thing wrong with a definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    pub code: ProblemCode,
    /// The field, as keys joined by dots; empty for the whole file.
    pub path: String,
    /// Where in the file, if it came from one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Problem {
    pub(crate) fn new(code: ProblemCode, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code, path: path.into(), place: None, message: message.into(), hint: None }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// The field, the problem and the way out, in one line; the place is left to who knows the file's name.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Problem {}

/// Returns the word that was probably meant.
pub(crate) fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.to_ascii_lowercase().replace(['_', '-'], "");
    known
        .into_iter()
        .map(|word| (strsim::damerau_levenshtein(&plain(given), &plain(word)), word))
        .filter(|(distance, word)| *distance <= 2.min(word.len() / 2))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}
