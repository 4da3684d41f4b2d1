//! A new resource as its template wrote it: a site's `siteConfig`, which is stored in documents of its own, is in it again.

use std::collections::HashSet;

use pillion_arm::{ConfigName, ResourceId, ResourceKind};
use serde_json::{Map, Value, json};

use super::resources::Foretold;

/// Returns the document that a new resource comes to, with what the same PUT writes beside it. What the template writes by itself as
/// well (`elsewhere`) is left to that: it has the last word.
pub(crate) fn whole(foretold: &Foretold, elsewhere: &HashSet<ResourceId>) -> Value {
    let mut document = foretold.after.clone();
    let mut config = Map::new();
    for other in foretold.also.iter().filter(|other| !elsewhere.contains(&other.id)) {
        if let (ResourceKind::SiteConfig(name), Some(properties)) = (other.id.kind(), other.after["properties"].as_object()) {
            config.extend(in_site_config(name, properties));
        }
    }
    if !config.is_empty()
        && let Some(properties) = document.get_mut("properties").and_then(Value::as_object_mut)
    {
        // A document of `config` that is new itself holds them as its site would.
        match foretold.id.kind() {
            ResourceKind::SiteConfig(_) => properties.extend(config),
            ResourceKind::Subscription
            | ResourceKind::Group
            | ResourceKind::Plan
            | ResourceKind::Site
            | ResourceKind::Slot
            | ResourceKind::SiteContainer
            | ResourceKind::PublishingPolicy
            | ResourceKind::UserIdentity
            | ResourceKind::Autoscale
            | ResourceKind::Deployment
            | ResourceKind::Unknown(_) => {
                properties.insert("siteConfig".to_owned(), Value::Object(config));
            }
        }
    }
    document
}

/// Writes a document of a site's `config` as members of its `siteConfig`.
fn in_site_config(name: ConfigName, properties: &Map<String, Value>) -> Map<String, Value> {
    let list = |member: &str, entry: fn((&String, &Value)) -> Value| {
        Map::from_iter([(member.to_owned(), Value::Array(properties.iter().map(entry).collect()))])
    };
    match name {
        ConfigName::Web => properties.clone(),
        ConfigName::AppSettings => list("appSettings", |(name, value)| json!({ "name": name, "value": value })),
        ConfigName::ConnectionStrings => list(
            "connectionStrings",
            |(name, string)| json!({ "name": name, "connectionString": string["value"], "type": string["type"] }),
        ),
        ConfigName::Metadata => list("metadata", |(name, value)| json!({ "name": name, "value": value })),
        ConfigName::AzureStorageAccounts => {
            Map::from_iter([("azureStorageAccounts".to_owned(), Value::Object(properties.clone()))])
        }
        ConfigName::SlotConfigNames | ConfigName::Logs => Map::new(),
    }
}
