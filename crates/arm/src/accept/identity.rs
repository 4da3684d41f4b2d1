//! Managed identities: user-assigned ones, and which of them a site has.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{
    How, Write,
    fields::{Fields, find},
};
use crate::{ArmError, Resource, ResourceId, ResourceKind};

pub(super) fn user_identity(mut write: Write<'_>) -> Result<Resource, ArmError> {
    let name = write.id.name();
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !(3..=128).contains(&name.len()) || !name.chars().all(fits) || !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Err(ArmError::bad_request(
            "name",
            format!("The identity name '{name}' has 3 to 128 letters, digits, hyphens and underscores, a letter or digit first."),
        ));
    }
    let mut identity = write.begin();
    write.place(&mut identity)?;
    if write.old.is_none() {
        let of = |purpose| guid(write.around.tenant_id(), write.id, identity.created_ms, purpose);
        identity.properties = Map::from_iter([
            ("tenantId".to_owned(), Value::from(write.around.tenant_id())),
            ("principalId".to_owned(), Value::from(of("principal"))),
            ("clientId".to_owned(), Value::from(of("client"))),
        ]);
    }
    Ok(identity)
}

/// Reads `identity` of a site: which kinds, and which user-assigned identities.
pub(super) fn of_site(write: &mut Write<'_>, site: &mut Resource) -> Result<(), ArmError> {
    let Some(given) = write.given.identity.take() else { return Ok(()) };
    let fields = Fields::new(&given, "identity");
    let kinds = fields.required("type")?;
    let (mut system, mut user, mut none) = (false, false, false);
    for kind in kinds.split(',').map(str::trim) {
        match kind.to_ascii_lowercase().as_str() {
            "systemassigned" => system = true,
            "userassigned" => user = true,
            "none" => none = true,
            _ => {
                return Err(ArmError::new(
                    400,
                    "InvalidIdentityType",
                    format!("'{kind}' is no identity type; it is SystemAssigned, UserAssigned, both joined by a comma, or None."),
                )
                .at("identity.type"));
            }
        }
    }
    if none && (system || user) {
        return Err(ArmError::new(400, "InvalidIdentityType", "None stands alone.").at("identity.type"));
    }
    let mut assigned = Map::new();
    if user {
        let old = site.identity.as_ref().and_then(|identity| identity["userAssignedIdentities"].as_object());
        if let Some(old) = old.filter(|_| write.how == How::Patch) {
            assigned.extend(old.clone());
        }
        assign(write, fields.object("userAssignedIdentities")?.unwrap_or(&Map::new()), &mut assigned)?;
        if assigned.is_empty() {
            return Err(ArmError::new(
                400,
                "InvalidIdentityResourceId",
                "The identity type UserAssigned needs at least one identity.",
            )
            .at("identity.userAssignedIdentities"));
        }
    }
    if !system && !user {
        site.identity = None;
        return Ok(());
    }
    let mut identity = Map::new();
    let kind = match (system, user) {
        (true, true) => "SystemAssigned, UserAssigned",
        (true, false) => "SystemAssigned",
        (false, _) => "UserAssigned",
    };
    identity.insert("type".to_owned(), Value::from(kind));
    if system {
        let tenant = write.around.tenant_id();
        identity.insert("tenantId".to_owned(), Value::from(tenant));
        identity.insert("principalId".to_owned(), Value::from(guid(tenant, write.id, site.created_ms, "system")));
    }
    if user {
        identity.insert("userAssignedIdentities".to_owned(), Value::Object(assigned));
    }
    site.identity = Some(Value::Object(identity));
    Ok(())
}

fn assign(write: &Write<'_>, given: &Map<String, Value>, assigned: &mut Map<String, Value>) -> Result<(), ArmError> {
    for (text, value) in given {
        let refuse = |message: String| {
            ArmError::new(400, "InvalidIdentityResourceId", message).at(format!("identity.userAssignedIdentities.{text}"))
        };
        let id: ResourceId =
            text.parse().map_err(|wrong| refuse(format!("{wrong}; an identity is given by its resource id.")))?;
        if id.kind() != ResourceKind::UserIdentity {
            return Err(refuse(format!("'{text}' is not the id of a user-assigned identity.")));
        }
        assigned.retain(|known, _| !known.eq_ignore_ascii_case(text));
        // In a PATCH, null takes an identity away.
        if value.is_null() && write.how == How::Patch {
            continue;
        }
        let found = write.around.find(&id).ok_or_else(|| refuse(format!("The identity '{id}' was not found.")))?;
        let known = json!({ "principalId": found.properties.get("principalId"), "clientId": found.properties.get("clientId") });
        assigned.insert(found.id.to_string(), known);
    }
    Ok(())
}

/// What a site's identity allows: the system's, and ids and client ids of users'.
pub(super) struct Attached {
    pub(super) system: bool,
    /// Resource id and client id.
    pub(super) users: Vec<(String, String)>,
}

pub(super) fn attached(site: &Resource) -> Attached {
    let Some(Value::Object(identity)) = &site.identity else { return Attached { system: false, users: Vec::new() } };
    let kind = find(identity, "type").and_then(Value::as_str).unwrap_or_default();
    let users = find(identity, "userAssignedIdentities").and_then(Value::as_object);
    let users =
        users.into_iter().flatten().map(|(id, known)| (id.clone(), known["clientId"].as_str().unwrap_or_default().to_owned()));
    Attached { system: kind.contains("SystemAssigned"), users: users.collect() }
}

/// Makes an id that stays the same for a resource and differs from everybody else's. It is a name, not a secret.
fn guid(tenant: &str, id: &ResourceId, created_ms: u64, purpose: &str) -> String {
    let mut hash = Sha256::new();
    for part in [tenant, id.key(), &created_ms.to_string(), purpose] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let bytes = hash.finalize();
    let hex: String = bytes.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-4{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..32])
}
