//! A value some parts of which must not be shown.

use std::fmt;

use serde_json::Value;

use crate::path::{Path, Segment};

/// What stands in the place of a secure value.
pub(crate) const HIDDEN: &str = "(secure)";

/// A resource's evaluated body: `type`, `name`, `apiVersion`, `location`, `properties`, … Its `Debug` hides what is secure.
#[derive(Clone, PartialEq)]
pub struct Body {
    value: Value,
    secure: Vec<Path>,
}

impl Body {
    pub(crate) fn new(value: Value, secure: Vec<Path>) -> Self {
        Self { value, secure }
    }

    /// Returns the body as it must be deployed, secure values included.
    pub fn value(&self) -> &Value {
        &self.value
    }

    pub fn into_value(self) -> Value {
        self.value
    }

    /// Returns where secure values, or values made from them, stand.
    pub fn secure_paths(&self) -> &[Path] {
        &self.secure
    }

    /// Returns the body to be shown: what is secure is replaced by a word.
    pub fn redacted(&self) -> Value {
        let mut value = self.value.clone();
        for path in &self.secure {
            if let Some(place) = at_mut(&mut value, path) {
                *place = Value::String(HIDDEN.to_owned());
            }
        }
        value
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({})", self.redacted())
    }
}

fn at_mut<'a>(value: &'a mut Value, path: &Path) -> Option<&'a mut Value> {
    path.segments().iter().try_fold(value, |value, segment| match segment {
        Segment::Key(key) => value.get_mut(key.as_str()),
        Segment::Index(index) => value.get_mut(*index),
    })
}
