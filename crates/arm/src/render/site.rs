//! A site or slot as GET shows it.

use serde_json::{Map, Value, json};

use super::{Facts, SiteState, time};
use crate::{Resource, ResourceId};

/// About as many as a site has.
const FIELDS: usize = 48;

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
    // Lists show many of these: nothing is made by `json!` of values, which copies them, and the map does not grow.
    let mut all = Map::with_capacity(FIELDS);
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
        ("hostNameSslStates", Value::Array(vec![host(&own, "Standard"), host(&scm, "Repository")])),
        ("hostNames", Value::Array(vec![Value::from(own.as_str())])),
        ("enabledHostNames", Value::Array(vec![Value::from(own), Value::from(scm)])),
        ("serverFarmId", plan),
        ("sku", sku),
        ("reserved", Value::Bool(true)),
        ("siteConfig", site_config(facts)),
        ("resourceGroup", site.id.group_name().map_or(Value::Null, Value::from)),
        ("defaultHostName", Value::from(default_host)),
        ("repositorySiteName", Value::from(site.id.production().map(|site| site.name().to_owned()).unwrap_or_default())),
        ("lastModifiedTimeUtc", Value::from(time(site.changed_ms))),
        ("inboundIpAddress", Value::from("127.0.0.1")),
        ("possibleInboundIpAddresses", Value::from("127.0.0.1")),
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
    let shown = [
        ("numberOfWorkers", Value::from(1)),
        ("linuxFxVersion", Value::from("")),
        ("acrUseManagedIdentityCreds", Value::Bool(false)),
        ("acrUserManagedIdentityID", Value::Null),
        ("alwaysOn", Value::Bool(false)),
        ("http20Enabled", Value::Bool(false)),
        ("minimumElasticInstanceCount", Value::from(0)),
    ];
    let of = |field: &str| facts.web.and_then(|web| web.property(field)).cloned();
    let mut all = Map::with_capacity(shown.len());
    all.extend(shown.map(|(field, default)| (field.to_owned(), of(field).unwrap_or(default))));
    Value::Object(all)
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
