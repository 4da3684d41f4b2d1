//! Resource groups.

use super::{How, Write, same_location};
use crate::{ArmError, Resource};

pub(super) fn accept(mut write: Write<'_>) -> Result<Resource, ArmError> {
    let name = write.id.name();
    let fits = |c: char| c.is_alphanumeric() || "-_.()".contains(c);
    if name.chars().count() > 90 || !name.chars().all(fits) || name.ends_with('.') {
        return Err(ArmError::new(
            400,
            "InvalidResourceGroup",
            format!(
                "The resource group name '{name}' has up to 90 letters, digits, '-', '_', '(', ')' and '.', and does not end in '.'."
            ),
        )
        .at("name"));
    }
    let mut group = write.begin();
    if let (Some(given), Some(there)) = (&write.given.location, &group.location)
        && !same_location(given, there)
    {
        return Err(ArmError::new(
            409,
            "InvalidResourceGroupLocation",
            format!("Invalid resource group location '{given}'. The Resource group already exists in location '{there}'."),
        )
        .at("location"));
    }
    // A PUT is the whole group; only PATCH leaves tags alone that it does not name.
    if write.how == How::Put {
        group.tags = None;
    }
    write.place(&mut group)?;
    Ok(group)
}
