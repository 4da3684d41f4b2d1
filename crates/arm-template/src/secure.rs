//! A value some parts of which must not be shown.

use std::fmt;

use serde_json::Value;

use crate::{
    function::{member, same_name, same_value},
    path::{Path, Segment},
};

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

    /// Hides in what is deployed now what is secure in this body, so that the two can be compared and shown: see [`crate::diff()`].
    ///
    /// A secure value that differs from the deployed one is told apart from it without either being shown. Elements of arrays that
    /// have names are found by them; an array whose elements have none is hidden as a whole.
    pub fn redact_before(&self, before: &Value) -> Value {
        let mut hidden = before.clone();
        for path in &self.secure {
            hide(&mut hidden, &self.value, path.segments());
        }
        hidden
    }
}

/// What stands in the place of a deployed value that differs from the secure one.
const HIDDEN_BEFORE: &str = "(secure, other value)";

/// Hides the part of `before` that stands where `path` leads in `after`.
fn hide(before: &mut Value, after: &Value, path: &[Segment]) {
    if before.is_null() {
        return;
    }
    let Some((segment, rest)) = path.split_first() else {
        let mark = if same_value(before, after) { HIDDEN } else { HIDDEN_BEFORE };
        *before = Value::String(mark.to_owned());
        return;
    };
    match (segment, before, after) {
        (Segment::Key(key), Value::Object(before), Value::Object(after)) => {
            let own = before.keys().find(|own| same_name(own, key)).cloned();
            if let (Some(before), Some(after)) = (own.and_then(|own| before.get_mut(&own)), after.get(key)) {
                hide(before, after, rest);
            }
        }
        (Segment::Index(index), Value::Array(before), Value::Array(after)) => {
            let Some(after) = after.get(*index) else { return };
            let name = |value: &Value| {
                value.as_object().and_then(|value| member(value, "name")).and_then(Value::as_str).map(str::to_lowercase)
            };
            match name(after) {
                Some(wanted) => {
                    before.iter_mut().filter(|one| name(one).as_ref() == Some(&wanted)).for_each(|one| hide(one, after, rest))
                }
                None => before.iter_mut().for_each(|one| *one = Value::String(HIDDEN_BEFORE.to_owned())),
            }
        }
        // What is there now is of another shape: nothing tells which part of it is secure.
        (_, before, _) => *before = Value::String(HIDDEN_BEFORE.to_owned()),
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
