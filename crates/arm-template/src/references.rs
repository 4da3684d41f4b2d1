//! What expressions may ask of deployed resources, and what they get.

use std::fmt;

use serde_json::Value;

/// Answers `reference()` and the `list…()` functions while a template is deployed.
///
/// The plan asks only for resources that are outside the template or among the dependencies of what is evaluated.
pub trait References {
    /// Returns a resource's properties, or with `Full` the whole resource (`id`, `name`, `type`, `location`, `properties`, …).
    ///
    /// # Errors
    /// The resource is not deployed yet, or does not exist.
    fn reference(&self, id: &str, api_version: Option<&str>, extent: Extent) -> Result<Seen, Absent>;

    /// Returns what the operation `name` (`listKeys`, `list`, …) of a resource answers. It is taken for secure.
    ///
    /// # Errors
    /// The resource is not deployed yet, or does not exist, or has no such operation.
    fn list(&self, name: &str, id: &str, api_version: &str, body: Option<&Value>) -> Result<Value, Absent>;
}

/// How much of a resource is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    Properties,
    Full,
}

/// A value and whether it may be shown.
#[derive(Clone, PartialEq)]
pub struct Seen {
    pub value: Value,
    pub secure: bool,
}

impl From<Value> for Seen {
    fn from(value: Value) -> Self {
        Self { value, secure: false }
    }
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.secure {
            true => f.write_str("Seen(secure)"),
            false => write!(f, "Seen({})", self.value),
        }
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Absent {
    /// The resource will be deployed, but is not yet.
    NotDeployed,
    /// There is no such resource.
    NotFound,
    /// The resource is there, and refuses this operation; the text says why.
    Refused(String),
}

/// References to nothing: every resource is not deployed yet.
#[derive(Debug, Clone, Copy, Default)]
pub struct NothingDeployed;

impl References for NothingDeployed {
    fn reference(&self, _: &str, _: Option<&str>, _: Extent) -> Result<Seen, Absent> {
        Err(Absent::NotDeployed)
    }

    fn list(&self, _: &str, _: &str, _: &str, _: Option<&Value>) -> Result<Value, Absent> {
        Err(Absent::NotDeployed)
    }
}
