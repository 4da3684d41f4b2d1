//! A site or slot as GET shows it.

use serde_json::{Map, Value, json};

use super::{Facts, SiteState, time};
use crate::{Resource, ResourceId};

/// Returns what the SCM base is reached by: host, port and path, such as `127.0.0.1:8443/_scm/shop__staging`.
pub fn scm_name(endpoint: &str, site: &ResourceId) -> String {
    let name = site.production().map(|site| site.name().to_owned()).unwrap_or_default();
    match site.slot_name() {
        Some(slot) => format!("{endpoint}/_scm/{name}__{slot}"),
        None => format!("{endpoint}/_scm/{name}"),
    }
}

pub(super) fn properties(site: &Resource, facts: &Facts<'_>) -> Value {
    let public = facts.public_name.clone().unwrap_or_else(|| public_name(&site.id));
    let default_host = format!("{public}.localhost:{}", facts.gateway_port);
    let own = facts.port.map_or_else(|| default_host.clone(), |port| format!("127.0.0.1:{port}"));
    let scm = scm_name(&facts.endpoint, &site.id);
    let running = facts.state == SiteState::Running;
    let sku = facts.plan.and_then(|plan| plan.sku.as_ref()).map_or(Value::Null, |sku| sku["tier"].clone());
    let plan = site.properties.get("serverFarmId").cloned().unwrap_or(Value::Null);
    let host = |name: &str, kind: &str| json!({ "name": name, "sslState": "Disabled", "hostType": kind });
    let mut all = Map::new();
    for (field, value) in [
        ("state", Value::from(if running { "Running" } else { "Stopped" })),
        ("enabled", Value::Bool(true)),
        ("availabilityState", Value::from("Normal")),
        ("usageState", Value::from("Normal")),
        ("adminEnabled", Value::Bool(true)),
        ("httpsOnly", Value::Bool(false)),
        ("clientAffinityEnabled", Value::Bool(true)),
        ("clientCertEnabled", Value::Bool(false)),
        ("clientCertMode", Value::from("Required")),
        ("publicNetworkAccess", Value::Null),
        ("storageAccountRequired", Value::Bool(false)),
        ("keyVaultReferenceIdentity", Value::from("SystemAssigned")),
        ("isXenon", Value::Bool(false)),
        ("hyperV", Value::Bool(false)),
        ("containerSize", Value::from(0)),
    ] {
        all.insert(field.to_owned(), value);
    }
    all.extend(site.properties.iter().map(|(name, value)| (name.clone(), value.clone())));
    let name = match site.id.slot_name() {
        Some(slot) => format!("{}({slot})", site.id.production().map(|site| site.name().to_owned()).unwrap_or_default()),
        None => site.id.name().to_owned(),
    };
    for (field, value) in [
        ("name", Value::from(name)),
        ("hostNames", json!([own])),
        ("enabledHostNames", json!([own, scm])),
        ("hostNameSslStates", json!([host(&own, "Standard"), host(&scm, "Repository")])),
        ("serverFarmId", plan),
        ("sku", sku),
        ("reserved", Value::Bool(true)),
        ("siteConfig", site_config(facts)),
        ("resourceGroup", site.id.group_name().map_or(Value::Null, Value::from)),
        ("defaultHostName", Value::from(default_host)),
        ("repositorySiteName", Value::from(site.id.production().map(|site| site.name().to_owned()).unwrap_or_default())),
        ("lastModifiedTimeUtc", Value::from(time(site.changed_ms))),
        ("outboundIpAddresses", Value::from("127.0.0.1")),
        ("possibleOutboundIpAddresses", Value::from("127.0.0.1")),
        ("managedEnvironmentId", Value::Null),
        ("slotSwapStatus", swapped(site, facts)),
        ("targetSwapSlot", site.properties.get("targetSwapSlot").cloned().unwrap_or(Value::Null)),
    ] {
        all.insert(field.to_owned(), value);
    }
    Value::Object(all)
}

/// Returns the name by which the gateway knows a site or slot.
pub(crate) fn public_name(site: &ResourceId) -> String {
    let name = site.production().map(|site| site.name().to_ascii_lowercase()).unwrap_or_default();
    match site.slot_name() {
        Some(slot) => format!("{name}--{}", slot.to_ascii_lowercase()),
        None => name,
    }
}

/// What tools look at first; the whole is in `config/web`.
fn site_config(facts: &Facts<'_>) -> Value {
    let of = |field: &str| facts.web.and_then(|web| web.property(field)).cloned();
    json!({
        "numberOfWorkers": of("numberOfWorkers").unwrap_or(Value::from(1)),
        "linuxFxVersion": of("linuxFxVersion").unwrap_or(Value::from("")),
        "acrUseManagedIdentityCreds": of("acrUseManagedIdentityCreds").unwrap_or(Value::Bool(false)),
        "acrUserManagedIdentityID": of("acrUserManagedIdentityID"),
        "alwaysOn": of("alwaysOn").unwrap_or(Value::Bool(false)),
        "http20Enabled": of("http20Enabled").unwrap_or(Value::Bool(false)),
        "minimumElasticInstanceCount": of("minimumElasticInstanceCount").unwrap_or(Value::from(0)),
    })
}

/// The last swap that this site had a part in, kept with it as `{ timestampUtc: milliseconds, … }`.
fn swapped(site: &Resource, facts: &Facts<'_>) -> Value {
    if let Some(Value::Object(kept)) = site.property("slotSwapStatus") {
        let mut shown = kept.clone();
        shown.insert("timestampUtc".to_owned(), Value::from(time(kept["timestampUtc"].as_u64().unwrap_or_default())));
        return Value::Object(shown);
    }
    match &facts.swapped_with {
        Some((slot, at)) => json!({ "timestampUtc": time(*at), "sourceSlotName": slot, "destinationSlotName": "Production" }),
        None => Value::Null,
    }
}
