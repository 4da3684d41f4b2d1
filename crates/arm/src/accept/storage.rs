//! `config/azurestorageaccounts`: shares of a storage account and where they are to be mounted.

use serde_json::{Map, Value};

use super::{
    Write,
    fields::{Fields, set},
    paths,
    settings::replace,
};
use crate::{ArmError, Resource};

pub(super) fn accept(mut write: Write<'_>) -> Result<Resource, ArmError> {
    let given = write.properties()?;
    let mut document = write.begin();
    let checked = checked(&given, &document.properties, "properties")?;
    replace(&mut document, checked, write.how);
    Ok(document)
}

/// Checks the shares; a key that is not given stays.
pub(super) fn checked(given: &Map<String, Value>, old: &Map<String, Value>, at: &str) -> Result<Map<String, Value>, ArmError> {
    let mut shares = Map::new();
    let mut mounted: Vec<String> = Vec::new();
    for (name, entry) in given {
        let path = format!("{at}.{name}");
        let entry = match entry {
            Value::Null => continue,
            Value::Object(entry) => entry,
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                return Err(ArmError::bad_request(path.clone(), format!("The parameter {path} must be an object.")));
            }
        };
        let fields = Fields::new(entry, &path);
        let mut share = entry.clone();
        let kind = fields.word("type", &["AzureFiles", "AzureBlob"])?;
        set(&mut share, "type", kind.unwrap_or("AzureFiles"));
        for field in ["accountName", "shareName", "mountPath"] {
            set(&mut share, field, fields.required(field)?);
        }
        let mount = fields.required("mountPath")?;
        paths::mount(&mount).map_err(|reason| {
            let target = fields.path("mountPath");
            ArmError::bad_request(target.clone(), format!("The parameter {target} has an invalid value: {reason}."))
        })?;
        if mounted.contains(&mount) {
            return Err(ArmError::bad_request(fields.path("mountPath"), format!("Two shares are mounted at '{mount}'.")));
        }
        mounted.push(mount);
        if fields.get("accessKey").is_none()
            && let Some(kept) = old.get(name).and_then(|old| old.get("accessKey")).filter(|key| !key.is_null())
        {
            set(&mut share, "accessKey", kept.clone());
        }
        shares.insert(name.clone(), Value::Object(share));
    }
    Ok(shares)
}
