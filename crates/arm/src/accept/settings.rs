//! Settings of a site: app settings, connection strings, which of them stay with a slot, metadata, publishing policies.

use serde_json::{Map, Value, json};

use super::{
    How, Write,
    fields::{Fields, scalar, set},
    paths,
};
use crate::{ArmError, Resource, ResourceKind};

/// What the platform itself says to containers; a setting of that name would lie.
const RESERVED: [&str; 14] = [
    "WEBSITE_SITE_NAME",
    "WEBSITE_HOSTNAME",
    "WEBSITE_RESOURCE_GROUP",
    "WEBSITE_OWNER_NAME",
    "WEBSITE_SKU",
    "WEBSITE_COMPUTE_MODE",
    "WEBSITE_PLATFORM_VERSION",
    "WEBSITE_INSTANCE_ID",
    "WEBSITE_ROLE_INSTANCE_ID",
    "WEBSITE_SLOT_NAME",
    "IDENTITY_ENDPOINT",
    "IDENTITY_HEADER",
    "MSI_ENDPOINT",
    "MSI_SECRET",
];

/// Types of connection strings, and what their variables begin with.
pub(crate) const CONNECTION_TYPES: [(&str, &str); 11] = [
    ("SQLServer", "SQLCONNSTR_"),
    ("SQLAzure", "SQLAZURECONNSTR_"),
    ("MySql", "MYSQLCONNSTR_"),
    ("PostgreSQL", "POSTGRESQLCONNSTR_"),
    ("Custom", "CUSTOMCONNSTR_"),
    ("RedisCache", "REDISCACHECONNSTR_"),
    ("DocDb", "DOCDBCONNSTR_"),
    ("ServiceBus", "SERVICEBUSCONNSTR_"),
    ("EventHub", "EVENTHUBCONNSTR_"),
    ("NotificationHub", "NOTIFICATIONHUBCONNSTR_"),
    ("ApiHub", "APIHUBCONNSTR_"),
];

const MAX_SETTINGS: usize = 2000;
const MAX_VALUE: usize = 128 << 10;
const MAX_NAME: usize = 256;

pub(super) fn app_settings(mut write: Write<'_>) -> Result<Resource, ArmError> {
    let given = write.properties()?;
    let mut document = write.begin();
    let settings = checked_settings(&given, "properties")?;
    replace(&mut document, settings, write.how);
    Ok(document)
}

/// Checks names and makes every value text.
pub(super) fn checked_settings(given: &Map<String, Value>, at: &str) -> Result<Map<String, Value>, ArmError> {
    if given.len() > MAX_SETTINGS {
        return Err(ArmError::bad_request(at, format!("A site has at most {MAX_SETTINGS} app settings.")));
    }
    let mut settings = Map::new();
    for (name, value) in given {
        let path = format!("{at}.{name}");
        let reserved = RESERVED.iter().any(|word| word.eq_ignore_ascii_case(name));
        if reserved || name.to_ascii_uppercase().starts_with("APPSETTING_") {
            return Err(ArmError::bad_request(
                path,
                format!("AppSetting with name(s) '{name}' is not allowed: the platform sets it itself."),
            ));
        }
        name_ok("AppSetting", name, &path)?;
        if value.is_null() {
            continue;
        }
        settings.insert(name.clone(), Value::from(text(value, &path)?));
    }
    Ok(settings)
}

fn name_ok(what: &str, name: &str, path: &str) -> Result<(), ArmError> {
    let reason = match paths::variable(name) {
        Err(reason) => reason,
        Ok(()) if name.len() > MAX_NAME => "it has more than 256 characters",
        Ok(()) => return Ok(()),
    };
    let shown: String = name.chars().take(MAX_NAME).collect();
    Err(ArmError::bad_request(path, format!("{what} with name(s) '{shown}' is not allowed: {reason}.")))
}

fn text(value: &Value, path: &str) -> Result<String, ArmError> {
    let refuse =
        |wanted: &str| ArmError::bad_request(path, format!("The parameter {path} has an invalid value: it must be {wanted}."));
    let text = scalar(value).ok_or_else(|| refuse("text"))?;
    if text.contains('\0') {
        return Err(refuse("text without zero bytes"));
    }
    if text.len() > MAX_VALUE { Err(refuse("text of at most 128 KiB")) } else { Ok(text) }
}

pub(super) fn connection_strings(mut write: Write<'_>) -> Result<Resource, ArmError> {
    let given = write.properties()?;
    let mut document = write.begin();
    let strings = checked_strings(&given, "properties")?;
    replace(&mut document, strings, write.how);
    Ok(document)
}

/// Checks names and types; `given` maps names to `{ value, type }`.
pub(super) fn checked_strings(given: &Map<String, Value>, at: &str) -> Result<Map<String, Value>, ArmError> {
    let mut strings = Map::new();
    for (name, entry) in given {
        let path = format!("{at}.{name}");
        name_ok("ConnectionString", name, &path)?;
        let entry = match entry {
            Value::Null => continue,
            Value::Object(entry) => entry,
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                return Err(ArmError::bad_request(
                    path.clone(),
                    format!("The parameter {path} must be an object with value and type."),
                ));
            }
        };
        let fields = Fields::new(entry, &path);
        let kinds = CONNECTION_TYPES.map(|(kind, _)| kind);
        let kind = fields.word("type", &kinds)?.ok_or_else(|| {
            ArmError::bad_request(
                fields.path("type"),
                format!("The parameter {path}.type is required: one of {}.", kinds.join(", ")),
            )
        })?;
        let value = fields.get("value").map(|value| text(value, &fields.path("value"))).transpose()?.unwrap_or_default();
        strings.insert(name.clone(), json!({ "value": value, "type": kind }));
    }
    Ok(strings)
}

pub(super) fn slot_config_names(mut write: Write<'_>) -> Result<Resource, ArmError> {
    if write.id.parent().is_some_and(|parent| parent.kind() == ResourceKind::Slot) {
        return Err(ArmError::not_found(write.id));
    }
    let given = write.properties()?;
    let mut document = write.begin();
    let fields = Fields::new(&given, "properties");
    for field in ["appSettingNames", "connectionStringNames", "azureStorageConfigNames"] {
        let Some(list) = fields.list(field)? else { continue };
        let path = fields.path(field);
        let mut names: Vec<Value> = Vec::new();
        for name in list {
            let Value::String(name) = name else {
                return Err(ArmError::bad_request(path.clone(), format!("The parameter {path} must be a list of names.")));
            };
            name_ok("Setting", name, &path)?;
            if !names.iter().any(|known| known.as_str() == Some(name)) {
                names.push(Value::from(name.clone()));
            }
        }
        set(&mut document.properties, field, names);
    }
    Ok(document)
}

pub(super) fn metadata(mut write: Write<'_>) -> Result<Resource, ArmError> {
    let given = write.properties()?;
    let mut document = write.begin();
    let checked = checked_metadata(&given, "properties")?;
    replace(&mut document, checked, write.how);
    Ok(document)
}

pub(super) fn checked_metadata(given: &Map<String, Value>, at: &str) -> Result<Map<String, Value>, ArmError> {
    let mut checked = Map::new();
    for (name, value) in given.iter().filter(|(_, value)| !value.is_null()) {
        checked.insert(name.clone(), Value::from(text(value, &format!("{at}.{name}"))?));
    }
    Ok(checked)
}

pub(super) fn policy(mut write: Write<'_>) -> Result<Resource, ArmError> {
    if !matches!(write.id.name(), "scm" | "ftp") {
        return Err(ArmError::not_found(write.id));
    }
    let given = write.properties()?;
    let mut document = write.begin();
    if let Some(allow) = Fields::new(&given, "properties").flag("allow")? {
        set(&mut document.properties, "allow", allow);
    }
    Ok(document)
}

/// A PUT is the whole list; a PATCH adds to it.
pub(super) fn replace(document: &mut Resource, given: Map<String, Value>, how: How) {
    match how {
        How::Put => document.properties = given,
        How::Patch => document.properties.extend(given),
    }
}
