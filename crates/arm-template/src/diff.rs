//! How two bodies of a resource differ, in what-if's shape.

use serde_json::Value;

/// What happens to a property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    Create,
    Delete,
    Modify,
    Array,
    NoEffect,
}

/// One difference.
#[derive(Debug, Clone, PartialEq)]
pub struct Delta {
    /// The way to the property: `properties.siteConfig.appSettings`; an index in an array.
    pub path: String,
    pub kind: ChangeKind,
    pub before: Value,
    pub after: Value,
    pub children: Vec<Delta>,
}

/// Compares what is deployed with what would be.
pub fn diff(_before: &Value, _after: &Value) -> Vec<Delta> {
    Vec::new()
}
