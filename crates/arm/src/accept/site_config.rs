//! `siteConfig` inside a site: its fields go to the documents that hold them.

use serde_json::{Map, Value, json};

use super::{
    fields::{Fields, find, take},
    settings, storage, web,
};
use crate::{ArmError, ConfigName, Resource, ResourceId, Surroundings, initial};

/// Takes a site's `siteConfig` apart and makes the config documents that it writes.
pub(super) fn split(
    site: &ResourceId,
    mut given: Map<String, Value>,
    around: &dyn Surroundings,
) -> Result<Vec<Resource>, ArmError> {
    let at = "properties.siteConfig";
    let mut written = documents(site, &mut given, at, around)?;
    given.retain(|_, value| !value.is_null());
    if !given.is_empty() {
        let mut document = begin(&site.config(ConfigName::Web), around);
        web::merge(&mut document, given, at, around.max_instances())?;
        written.push(document);
    }
    Ok(written)
}

/// Takes out what other documents hold, and makes these. A list that is empty changes nothing: az sends one where it means
/// that it has nothing to say.
pub(super) fn documents(
    site: &ResourceId,
    given: &mut Map<String, Value>,
    at: &str,
    around: &dyn Surroundings,
) -> Result<Vec<Resource>, ArmError> {
    let mut written = Vec::new();
    let mut write = |name: ConfigName, properties: Map<String, Value>| {
        if !properties.is_empty() {
            written.push(Resource { properties, ..begin(&site.config(name), around) });
        }
    };
    if let Some(list) = take(given, "appSettings") {
        let path = format!("{at}.appSettings");
        let map = pairs(&list, &path, |entry| Ok(find(entry.map, "value").cloned().unwrap_or(Value::from(""))))?;
        write(ConfigName::AppSettings, settings::checked_settings(&map, &path)?);
    }
    if let Some(list) = take(given, "connectionStrings") {
        let path = format!("{at}.connectionStrings");
        let map = pairs(&list, &path, |entry| {
            let text = entry.get("connectionString").or_else(|| entry.get("value"));
            Ok(json!({ "value": text, "type": entry.get("type") }))
        })?;
        write(ConfigName::ConnectionStrings, settings::checked_strings(&map, &path)?);
    }
    if let Some(list) = take(given, "metadata") {
        let path = format!("{at}.metadata");
        let map = pairs(&list, &path, |entry| Ok(entry.get("value").cloned().unwrap_or(Value::from(""))))?;
        write(ConfigName::Metadata, settings::checked_metadata(&map, &path)?);
    }
    if let Some(shares) = take(given, "azureStorageAccounts") {
        let path = format!("{at}.azureStorageAccounts");
        let Value::Object(shares) = shares else {
            return Err(ArmError::bad_request(path.clone(), format!("The parameter {path} must be an object.")));
        };
        let old = begin(&site.config(ConfigName::AzureStorageAccounts), around).properties;
        write(ConfigName::AzureStorageAccounts, storage::checked(&shares, &old, &path)?);
    }
    Ok(written)
}

fn begin(id: &ResourceId, around: &dyn Surroundings) -> Resource {
    let now = around.now_ms();
    match around.find(id) {
        Some(old) => Resource { changed_ms: now, ..Resource::clone(&old) },
        None => Resource { created_ms: now, changed_ms: now, ..initial(id).unwrap_or_else(|| Resource::new(id.clone(), now)) },
    }
}

/// Reads a list of `{ name, … }` as a map; a name given twice is refused. A map is taken as it is.
fn pairs(list: &Value, at: &str, value: impl Fn(Fields<'_>) -> Result<Value, ArmError>) -> Result<Map<String, Value>, ArmError> {
    let entries = match list {
        Value::Array(entries) => entries,
        Value::Object(map) => return Ok(map.clone()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            return Err(ArmError::bad_request(at, format!("The parameter {at} must be a list.")));
        }
    };
    let mut map = Map::new();
    for (index, entry) in entries.iter().enumerate() {
        let path = format!("{at}[{index}]");
        let Value::Object(entry) = entry else {
            return Err(ArmError::bad_request(path.clone(), format!("The parameter {path} must be an object with a name.")));
        };
        let fields = Fields::new(entry, &path);
        let name = fields.required("name")?;
        if map.contains_key(&name) {
            return Err(ArmError::bad_request(path, format!("'{name}' is given twice in {at}.")));
        }
        let value = value(fields)?;
        map.insert(name, value);
    }
    Ok(map)
}
