//! What a GET shows of a resource.

mod plan;
mod site;
mod web;

use serde_json::{Map, Value, json};

use crate::{ConfigName, Resource, ResourceId, ResourceKind};

pub use site::scm_name;

/// What a resource's document does not know itself.
#[derive(Debug, Clone, Default)]
pub struct Facts<'a> {
    /// Host and port of the ARM endpoint, such as `127.0.0.1:8443`.
    pub endpoint: String,
    /// The gateway's shared port, for `defaultHostName`.
    pub gateway_port: u16,
    /// The loopback port of the site's or slot's own.
    pub port: Option<u16>,
    /// The name that the gateway knows the site or slot by: `shop`, `shop--staging`.
    pub public_name: Option<String>,
    pub state: SiteState,
    /// The site's plan.
    pub plan: Option<&'a Resource>,
    /// The site's `config/web`, shown in `siteConfig`.
    pub web: Option<&'a Resource>,
    /// How many sites and slots a plan has.
    pub number_of_sites: usize,
    /// The slot that production was last swapped with, for `slotSwapStatus`.
    pub swapped_with: Option<(String, u64)>,
    pub secrets: Secrets,
    pub instances: Vec<InstanceFacts>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceFacts {
    pub name: String,
    pub state: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SiteState {
    #[default]
    Running,
    Stopped,
}

/// Whether the caller asked for what only POST `…/list` and PUT show: settings, connection strings, keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Secrets {
    #[default]
    Hidden,
    Shown,
}

/// Returns the body of a GET. Passwords of registries are never shown, whatever `facts.secrets` says.
pub fn render(resource: &Resource, facts: &Facts<'_>) -> Value {
    let properties = match resource.id.kind() {
        ResourceKind::Group => json!({ "provisioningState": "Succeeded" }),
        ResourceKind::Plan => plan::properties(resource, facts),
        ResourceKind::Site | ResourceKind::Slot => site::properties(resource, facts),
        ResourceKind::SiteConfig(ConfigName::Web) => web::properties(resource),
        ResourceKind::SiteConfig(ConfigName::SlotConfigNames) => slot_config_names(resource),
        ResourceKind::SiteConfig(ConfigName::Logs) => logs(resource),
        ResourceKind::SiteConfig(
            ConfigName::AppSettings | ConfigName::ConnectionStrings | ConfigName::AzureStorageAccounts | ConfigName::Metadata,
        ) => settings(resource, facts.secrets),
        ResourceKind::SiteContainer => container(resource),
        ResourceKind::Subscription
        | ResourceKind::PublishingPolicy
        | ResourceKind::UserIdentity
        | ResourceKind::Autoscale
        | ResourceKind::Deployment
        | ResourceKind::Unknown(_) => Value::Object(resource.properties.clone()),
    };
    let mut body = Map::new();
    body.insert("id".into(), Value::from(resource.id.to_string()));
    body.insert("name".into(), Value::from(name(&resource.id)));
    body.insert("type".into(), Value::from(resource.id.type_name()));
    for (field, value) in [("location", &resource.location), ("kind", &resource.kind)] {
        if let Some(value) = value {
            body.insert(field.into(), Value::from(value.clone()));
        }
    }
    if resource.location.is_some() {
        body.insert("tags".into(), json!(resource.tags));
    }
    if let Some(sku) = &resource.sku {
        body.insert("sku".into(), sku.clone());
    }
    if matches!(resource.id.kind(), ResourceKind::Site | ResourceKind::Slot) {
        body.insert("identity".into(), resource.identity.clone().unwrap_or(Value::Null));
    }
    body.insert("properties".into(), properties);
    Value::Object(body)
}

/// Returns the body of one entry of a site's `instances`.
pub fn render_instance(site: &ResourceId, instance: &InstanceFacts) -> Value {
    let id = site.child("instances", &instance.name);
    json!({
        "id": id.to_string(),
        "name": instance.name,
        "type": id.type_name(),
        "properties": { "name": instance.name, "machineName": instance.name, "state": instance.state },
    })
}

/// A slot is called `app/slot`; what lies below a site, by its own name alone.
fn name(id: &ResourceId) -> String {
    if id.kind() == ResourceKind::Slot { id.full_name() } else { id.name().to_owned() }
}

fn settings(resource: &Resource, secrets: Secrets) -> Value {
    let shown = |value: &Value| match secrets {
        Secrets::Shown => value.clone(),
        Secrets::Hidden => Value::Null,
    };
    Value::Object(resource.properties.iter().map(|(name, value)| (name.clone(), shown(value))).collect())
}

fn slot_config_names(resource: &Resource) -> Value {
    let list = |name: &str| resource.properties.get(name).cloned().unwrap_or(Value::Null);
    json!({
        "appSettingNames": list("appSettingNames"),
        "connectionStringNames": list("connectionStringNames"),
        "azureStorageConfigNames": list("azureStorageConfigNames"),
    })
}

fn logs(resource: &Resource) -> Value {
    let mut all = json!({
        "applicationLogs": { "fileSystem": { "level": "Off" } },
        "httpLogs": { "fileSystem": { "retentionInMb": 35, "retentionInDays": 0, "enabled": false } },
        "failedRequestsTracing": { "enabled": false },
        "detailedErrorMessages": { "enabled": false },
    });
    for (name, value) in &resource.properties {
        all[name.as_str()] = value.clone();
    }
    all
}

fn container(resource: &Resource) -> Value {
    let mut all = Map::new();
    let defaults = [
        ("image", Value::Null),
        ("isMain", Value::Bool(false)),
        ("targetPort", Value::Null),
        ("startUpCommand", Value::Null),
        ("authType", Value::from("Anonymous")),
        ("userName", Value::Null),
        ("passwordSecret", Value::Null),
        ("userManagedIdentityClientId", Value::Null),
        ("inheritAppSettingsAndConnectionStrings", Value::Bool(true)),
        ("environmentVariables", json!([])),
        ("volumeMounts", json!([])),
    ];
    for (name, value) in defaults {
        all.insert(name.to_owned(), value);
    }
    all.extend(resource.properties.iter().map(|(name, value)| (name.clone(), value.clone())));
    all.insert("passwordSecret".into(), Value::Null);
    all.insert("createdTime".into(), Value::from(time(resource.created_ms)));
    all.insert("lastModifiedTime".into(), Value::from(time(resource.changed_ms)));
    Value::Object(all)
}

/// Writes a moment as Azure does: UTC, with milliseconds.
pub(crate) fn time(ms: u64) -> String {
    let at = i64::try_from(ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    at.map(|at| at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()).unwrap_or_default()
}
