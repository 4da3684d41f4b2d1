//! The values that the store keeps and hands out.

use std::{fmt, str::FromStr};

use pillion_model::{AppName, InstanceId, RevisionNumber};
use serde::{Deserialize, Serialize};

/// The version of one document: rises with every write of it, never repeats for its kind and key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Etag(pub(crate) u64);

impl fmt::Display for Etag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Text that no store of ours ever handed out as an etag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an etag")]
pub struct EtagError(String);

impl FromStr for Etag {
    type Err = EtagError;
    fn from_str(text: &str) -> Result<Self, EtagError> {
        text.trim().trim_matches('"').parse().map(Etag).map_err(|_| EtagError(text.to_owned()))
    }
}

impl TryFrom<String> for Etag {
    type Error = EtagError;
    fn try_from(text: String) -> Result<Self, EtagError> {
        text.parse()
    }
}

impl From<Etag> for String {
    fn from(etag: Etag) -> String {
        etag.to_string()
    }
}

/// Something that happened to an app, with its cause.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Rises with every event of the store; never used twice.
    pub serial: u64,
    /// Milliseconds since the epoch. For people: nothing is ordered by it.
    pub at_ms: u64,
    pub app: AppName,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<RevisionNumber>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<InstanceId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// A stable word: `applied`, `deployed`, `failed`, `scaled`, `started`, `ready`, `unready`, `ended`, `restarting`, …
    pub kind: String,
    /// One sentence that says what happened and why.
    pub text: String,
}
