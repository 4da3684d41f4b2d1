//! Sites and slots. A PUT of a site never resets what it does not name.

use serde_json::{Map, Value};

use super::{
    Accepted, Write,
    fields::{Fields, overlay, set, take},
    identity, site_config,
};
use crate::{ArmError, Resource, ResourceId, ResourceKind};

/// Sites and slots share a DNS label with two hyphens between them.
const MAX_SITE_NAME: usize = 60;
const MAX_SLOT_NAME: usize = 59;

/// Computed whenever a site is shown, or kept elsewhere.
const READ_ONLY: [&str; 32] = [
    "name",
    "state",
    "hostNames",
    "webSpace",
    "selfLink",
    "repositorySiteName",
    "owner",
    "usageState",
    "availabilityState",
    "enabledHostNames",
    "hostNameSslStates",
    "defaultHostName",
    "siteProperties",
    "lastModifiedTimeUtc",
    "trafficManagerHostNames",
    "targetSwapSlot",
    "outboundIpAddresses",
    "possibleOutboundIpAddresses",
    "suspendedTill",
    "maxNumberOfWorkers",
    "cloningInfo",
    "resourceGroup",
    "isDefaultContainer",
    "slotSwapStatus",
    "inProgressOperationId",
    "sku",
    "homeStamp",
    "inboundIpAddress",
    "possibleInboundIpAddresses",
    "ftpUsername",
    "ftpsHostName",
    "managedEnvironmentId",
];

const FLAGS: [&str; 9] = [
    "enabled",
    "httpsOnly",
    "clientAffinityEnabled",
    "clientAffinityProxyEnabled",
    "clientCertEnabled",
    "hostNamesDisabled",
    "storageAccountRequired",
    "scmSiteAlsoStopped",
    "endToEndEncryptionEnabled",
];

const KNOWN: [&str; 18] = [
    "enabled",
    "httpsOnly",
    "clientAffinityEnabled",
    "clientAffinityProxyEnabled",
    "clientCertEnabled",
    "clientCertMode",
    "clientCertExclusionPaths",
    "hostNamesDisabled",
    "customDomainVerificationId",
    "containerSize",
    "dailyMemoryTimeQuota",
    "redundancyMode",
    "publicNetworkAccess",
    "storageAccountRequired",
    "keyVaultReferenceIdentity",
    "virtualNetworkSubnetId",
    "buildVersion",
    "endToEndEncryptionEnabled",
];

pub(super) fn accept(mut write: Write<'_>) -> Result<Accepted, ArmError> {
    let slot = write.id.kind() == ResourceKind::Slot;
    if write.old.is_none() {
        name_ok(&write, slot)?;
    }
    let mut site = write.begin();
    let production = if slot { write.id.parent().and_then(|id| write.around.find(&id)) } else { None };
    if site.location.is_none() && write.given.location.is_none() {
        write.given.location = production.as_ref().and_then(|site| site.location.clone());
    }
    write.place(&mut site)?;
    site.kind = Some(kind(write.given.kind.take(), site.kind.as_deref())?);
    let mut given = write.given.properties.take().unwrap_or_default();
    linux_only(&given)?;
    let plan = plan(&write, &site, take(&mut given, "serverFarmId"), production.as_deref())?;
    set(&mut site.properties, "serverFarmId", plan.to_string());
    let config = match take(&mut given, "siteConfig") {
        None => Vec::new(),
        Some(Value::Object(map)) => site_config::split(write.id, map, write.around)?,
        Some(_) => {
            return Err(ArmError::bad_request("properties.siteConfig", "The parameter properties.siteConfig must be an object."));
        }
    };
    properties(&mut site, given)?;
    identity::of_site(&mut write, &mut site)?;
    Ok(Accepted { resource: site, also: config })
}

fn properties(site: &mut Resource, mut given: Map<String, Value>) -> Result<(), ArmError> {
    for field in READ_ONLY {
        take(&mut given, field);
    }
    let fields = Fields::new(&given, "properties");
    let mut flags = Vec::new();
    for flag in FLAGS {
        flags.extend(fields.flag(flag)?.map(|value| (flag, value)));
    }
    for (flag, value) in flags {
        set(&mut given, flag, value);
    }
    overlay(&mut site.properties, given, &KNOWN);
    Ok(())
}

fn name_ok(write: &Write<'_>, slot: bool) -> Result<(), ArmError> {
    let name = write.id.name();
    let checked = if slot { slot_name(name) } else { site_name(name) };
    checked.map_err(|reason| ArmError::bad_request("name", reason))?;
    match write.around.site_named(name) {
        Some(other) if !slot && other != *write.id => {
            Err(ArmError::conflict(format!("Website with given name {name} already exists.")))
        }
        Some(_) | None => Ok(()),
    }
}

/// Says whether a site may have this name, whoever has it.
///
/// # Errors
/// Why not, as a sentence.
pub fn site_name(name: &str) -> Result<(), String> {
    spelled("site", name, MAX_SITE_NAME)
}

fn slot_name(name: &str) -> Result<(), String> {
    spelled("slot", name, MAX_SLOT_NAME)?;
    match name.eq_ignore_ascii_case("production") {
        true => Err("The name 'production' is the site itself.".to_owned()),
        false => Ok(()),
    }
}

fn spelled(what: &str, name: &str, most: usize) -> Result<(), String> {
    let fits = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if !(2..=most).contains(&name.len()) || !fits || name.starts_with('-') || name.ends_with('-') {
        return Err(format!("The {what} name '{name}' has 2 to {most} letters, digits and inner hyphens."));
    }
    if name.contains("--") {
        return Err(format!(
            "The {what} name '{name}' has two hyphens in a row; these stand between a site's name and its slot's."
        ));
    }
    Ok(())
}

/// Everything that runs here runs on Linux; a kind says so, since clients look for it there.
fn kind(given: Option<String>, old: Option<&str>) -> Result<String, ArmError> {
    let given = given.filter(|kind| !kind.trim().is_empty());
    let Some(given) = given.or_else(|| old.map(str::to_owned)) else { return Ok("app,linux".to_owned()) };
    let mut words: Vec<&str> = given.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
    let is = |word: &&str, wanted: &str| word.eq_ignore_ascii_case(wanted);
    if let Some(other) = words.iter().find(|word| is(word, "functionapp") || is(word, "workflowapp") || is(word, "hyperV")) {
        return Err(ArmError::bad_request("kind", format!("Sites of kind '{other}' are not supported; use 'app,linux'.")));
    }
    if !words.iter().any(|word| is(word, "app")) {
        words.insert(0, "app");
    }
    if !words.iter().any(|word| is(word, "linux")) {
        words.insert(1, "linux");
    }
    Ok(words.join(","))
}

fn linux_only(given: &Map<String, Value>) -> Result<(), ArmError> {
    let fields = Fields::new(given, "properties");
    for field in ["isXenon", "hyperV"] {
        if fields.flag(field)? == Some(true) {
            return Err(ArmError::bad_request(
                fields.path(field),
                "Pillion runs Linux containers: leave isXenon and hyperV false.",
            ));
        }
    }
    if let Some(environment) = fields.text("managedEnvironmentId")?.filter(|id| !id.is_empty()) {
        return Err(ArmError::bad_request(
            "properties.managedEnvironmentId",
            format!("Sites run on a plan here, not in the environment '{environment}'."),
        ));
    }
    Ok(())
}

/// Finds the plan that is named: by id, or by a name in the site's group.
fn plan(write: &Write<'_>, site: &Resource, given: Option<Value>, production: Option<&Resource>) -> Result<ResourceId, ArmError> {
    let target = "properties.serverFarmId";
    let refuse = |message: String| ArmError::bad_request(target, message);
    let named = match given {
        Some(Value::String(text)) if !text.trim().is_empty() => Some(text),
        Some(Value::String(_)) | None => None,
        Some(_) => return Err(refuse("The parameter properties.serverFarmId must be text.".to_owned())),
    };
    let kept = || site.text("serverFarmId").or_else(|| production?.text("serverFarmId")).map(str::to_owned);
    let Some(text) = named.or_else(kept) else {
        return Err(refuse("The parameter properties.serverFarmId is required: a site runs on a plan.".to_owned()));
    };
    let id = if text.contains('/') {
        let id: ResourceId = text.trim().parse().map_err(|wrong: crate::IdError| refuse(wrong.to_string()))?;
        if id.kind() != ResourceKind::Plan {
            return Err(refuse(format!("'{text}' is not the id of an App Service plan.")));
        }
        id
    } else {
        match (write.id.subscription_name(), write.id.group_name()) {
            (Some(subscription), Some(group)) => ResourceId::plan(subscription, group, text.trim()),
            (_, _) => return Err(refuse("The site lies in no group.".to_owned())),
        }
    };
    match write.around.find(&id) {
        Some(found) => Ok(found.id.clone()),
        None => Err(ArmError::new(404, "NotFound", format!("Cannot find ServerFarm with name {}.", id.name())).at(target)),
    }
}
