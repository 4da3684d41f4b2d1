//! Site containers: one main, nine sidecars, and what each may say. A PUT replaces; only the password stays.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{
    How, Write,
    fields::{Fields, find, set, take},
    identity::attached,
    paths,
};
use crate::{ArmError, Resource, ResourceKind};

/// Inline files are configuration.
const MAX_DATA: usize = 1 << 20;
const READ_ONLY: [&str; 2] = ["createdTime", "lastModifiedTime"];

pub(super) fn accept(mut write: Write<'_>) -> Result<Resource, ArmError> {
    name_ok(write.id.name())?;
    let given = write.properties()?;
    let mut container = write.begin();
    let old = std::mem::take(&mut container.properties);
    let mut all = if write.how == How::Patch { old.clone() } else { Map::new() };
    all.extend(given.into_iter().filter(|(_, value)| !value.is_null()));
    for field in READ_ONLY {
        take(&mut all, field);
    }
    let siblings: Vec<Arc<Resource>> = match write.id.parent() {
        Some(site) => {
            let all = write.around.below(&site, &ResourceKind::SiteContainer);
            all.into_iter().filter(|other| other.id != *write.id && other.id.parent().as_ref() == Some(&site)).collect()
        }
        None => Vec::new(),
    };
    let main = role(&mut all, &siblings)?;
    port(&mut all, &siblings)?;
    program(&mut all)?;
    login(&write, &mut all, &old)?;
    environment(&mut all)?;
    mounts(&mut all)?;
    set(&mut all, "isMain", main);
    let fields = Fields::new(&all, "properties");
    let inherit = fields.flag("inheritAppSettingsAndConnectionStrings")?.unwrap_or(true);
    set(&mut all, "inheritAppSettingsAndConnectionStrings", inherit);
    container.properties = all;
    Ok(container)
}

fn name_ok(name: &str) -> Result<(), ArmError> {
    let bytes = name.as_bytes();
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let fits = bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
    if bytes.len() <= 63 && fits && edge(bytes.first()) && edge(bytes.last()) {
        return Ok(());
    }
    Err(ArmError::bad_request("name", format!("The container name '{name}' has 1 to 63 letters, digits and inner hyphens.")))
}

/// One main, at most nine sidecars.
fn role(all: &mut Map<String, Value>, siblings: &[Arc<Resource>]) -> Result<bool, ArmError> {
    let main = Fields::new(all, "properties").flag("isMain")?.unwrap_or(false);
    let is_main = |one: &&Arc<Resource>| one.property("isMain") == Some(&Value::Bool(true));
    if main {
        if let Some(other) = siblings.iter().find(is_main) {
            return Err(ArmError::bad_request(
                "properties.isMain",
                format!(
                    "The site has a main container already: '{}'. Set its isMain to false, or delete it, first.",
                    other.id.name()
                ),
            ));
        }
    } else if siblings.iter().filter(|one| !is_main(one)).count() >= 9 {
        return Err(ArmError::bad_request("properties.isMain", "A site has at most nine sidecars beside its main container."));
    }
    Ok(main)
}

/// The port is kept as text, as Azure shows it.
fn port(all: &mut Map<String, Value>, siblings: &[Arc<Resource>]) -> Result<(), ArmError> {
    if find(all, "targetPort").is_some_and(|value| value.as_str().is_some_and(|text| text.trim().is_empty())) {
        take(all, "targetPort");
    }
    let Some(port) = Fields::new(all, "properties").number("targetPort", 1, 65535)? else { return Ok(()) };
    let text = port.to_string();
    if let Some(other) = siblings.iter().find(|other| other.text("targetPort") == Some(&text)) {
        return Err(ArmError::bad_request(
            "properties.targetPort",
            format!(
                "Target port {port} is used by container '{}' already; all containers of a site share one network.",
                other.id.name()
            ),
        ));
    }
    set(all, "targetPort", text);
    Ok(())
}

fn program(all: &mut Map<String, Value>) -> Result<(), ArmError> {
    let fields = Fields::new(all, "properties");
    let image = fields.required("image")?.trim().to_owned();
    if image.contains(|c: char| c.is_whitespace() || c.is_control()) || image.len() > 1024 {
        return Err(ArmError::bad_request(
            "properties.image",
            format!("The parameter properties.image has an invalid value: '{image}' is no image name."),
        ));
    }
    let command = fields.text("startUpCommand")?;
    set(all, "image", image);
    match command {
        Some(command) if command.contains('\0') => {
            return Err(ArmError::bad_request("properties.startUpCommand", "A command cannot hold a zero byte."));
        }
        // az sends an empty text where it means none.
        Some(command) if command.trim().is_empty() => drop(take(all, "startUpCommand")),
        Some(command) => set(all, "startUpCommand", command),
        None => {}
    }
    Ok(())
}

/// Who pulls the image. The password is never shown, so a PUT without it keeps it.
fn login(write: &Write<'_>, all: &mut Map<String, Value>, old: &Map<String, Value>) -> Result<(), ArmError> {
    let kinds = ["Anonymous", "UserCredentials", "SystemIdentity", "UserAssigned"];
    let fields = Fields::new(all, "properties");
    let user = fields.text("userName")?.filter(|user| !user.is_empty());
    let password = fields.text("passwordSecret")?.filter(|password| !password.is_empty());
    let client = fields.text("userManagedIdentityClientId")?.filter(|client| !client.is_empty());
    let blank = fields.get("authType").and_then(Value::as_str) == Some("");
    let kind = match fields.word("authType", &kinds) {
        Ok(Some(kind)) => kind,
        Err(wrong) if !blank => return Err(wrong),
        // Nobody gives a user without wanting it used.
        Ok(None) | Err(_) if user.is_some() => "UserCredentials",
        Ok(None) | Err(_) => "Anonymous",
    };
    set(all, "authType", kind);
    if kind != "UserCredentials" {
        take(all, "passwordSecret");
    }
    let refuse = |field: &str, message: &str| Err(ArmError::bad_request(format!("properties.{field}"), message));
    let identity = write.id.site_or_slot().and_then(|site| write.around.find(&site)).map(|site| attached(&site));
    match kind {
        "UserCredentials" => {
            if user.is_none() {
                return refuse("userName", "The authType UserCredentials needs properties.userName.");
            }
            match password.or_else(|| old.get("passwordSecret").and_then(Value::as_str).map(str::to_owned)) {
                Some(password) => set(all, "passwordSecret", password),
                None => return refuse("passwordSecret", "The authType UserCredentials needs properties.passwordSecret."),
            }
        }
        "SystemIdentity" if !identity.as_ref().is_some_and(|identity| identity.system) => {
            return refuse("authType", "The site has no system-assigned identity: assign one first (az webapp identity assign).");
        }
        "UserAssigned" => {
            let Some(client) = client else {
                return refuse("userManagedIdentityClientId", "The authType UserAssigned needs the client id of an identity.");
            };
            let known =
                |(id, client_id): &(String, String)| client_id.eq_ignore_ascii_case(&client) || id.eq_ignore_ascii_case(&client);
            if !identity.is_some_and(|identity| identity.users.iter().any(known)) {
                return refuse(
                    "userManagedIdentityClientId",
                    &format!("No user-assigned identity with client id '{client}' is assigned to the site."),
                );
            }
        }
        _ => {}
    }
    Ok(())
}

fn environment(all: &mut Map<String, Value>) -> Result<(), ArmError> {
    let fields = Fields::new(all, "properties");
    let mut names: Vec<String> = Vec::new();
    let mut variables = Vec::new();
    for (index, entry) in fields.list("environmentVariables")?.unwrap_or_default().iter().enumerate() {
        let at = format!("properties.environmentVariables[{index}]");
        let Value::Object(entry) = entry else {
            return Err(ArmError::bad_request(at.clone(), format!("The parameter {at} must be an object with name and value.")));
        };
        let entry = Fields::new(entry, &at);
        let name = entry.required("name")?;
        if let Err(reason) = paths::variable(&name) {
            return Err(ArmError::bad_request(entry.path("name"), format!("'{name}' cannot name a variable: {reason}.")));
        }
        if names.contains(&name) {
            return Err(ArmError::bad_request(entry.path("name"), format!("The variable '{name}' is given twice.")));
        }
        let value = entry.text("value")?.unwrap_or_default();
        if value.contains('\0') {
            return Err(ArmError::bad_request(entry.path("value"), "A variable's value cannot hold a zero byte."));
        }
        variables.push(json!({ "name": name, "value": value }));
        names.push(name);
    }
    set(all, "environmentVariables", variables);
    Ok(())
}

fn mounts(all: &mut Map<String, Value>) -> Result<(), ArmError> {
    let fields = Fields::new(all, "properties");
    let mut taken: Vec<String> = Vec::new();
    let mut mounts = Vec::new();
    for (index, entry) in fields.list("volumeMounts")?.unwrap_or_default().iter().enumerate() {
        let at = format!("properties.volumeMounts[{index}]");
        let Value::Object(entry) = entry else {
            return Err(ArmError::bad_request(at.clone(), format!("The parameter {at} must be an object.")));
        };
        let entry = Fields::new(entry, &at);
        let invalid = |field: &str, reason: String| {
            let path = entry.path(field);
            ArmError::bad_request(path.clone(), format!("The parameter {path} has an invalid value: {reason}."))
        };
        let sub = entry.required("volumeSubPath")?;
        paths::sub(&sub).map_err(|reason| invalid("volumeSubPath", reason))?;
        let path = entry.required("containerMountPath")?;
        let path = if path.len() > 1 { path.trim_end_matches('/').to_owned() } else { path };
        paths::mount(&path).map_err(|reason| invalid("containerMountPath", reason))?;
        if taken.contains(&path) {
            return Err(invalid("containerMountPath", format!("'{path}' is mounted already")));
        }
        let read_only = entry.flag("readOnly")?.unwrap_or(false);
        let data = entry.text("data")?;
        if data.as_ref().is_some_and(|data| data.len() > MAX_DATA) {
            return Err(invalid("data", "it has more than 1 MiB".to_owned()));
        }
        mounts.push(json!({ "volumeSubPath": sub, "containerMountPath": path, "readOnly": read_only, "data": data }));
        taken.push(path);
    }
    set(all, "volumeMounts", mounts);
    Ok(())
}
