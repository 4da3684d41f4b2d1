//! One stored resource, whatever its type.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{ConfigName, ResourceId, ResourceKind};

/// A resource as it is stored. Its properties are as accepted: unknown fields kept, read-only ones left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resource {
    pub id: ResourceId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<BTreeMap<String, String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sku: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Value>,
    #[serde(default)]
    pub properties: Map<String, Value>,
    /// Milliseconds since the epoch.
    pub created_ms: u64,
    pub changed_ms: u64,
}

impl Resource {
    /// Makes an empty resource.
    pub fn new(id: ResourceId, now_ms: u64) -> Resource {
        Resource {
            id,
            location: None,
            tags: None,
            kind: None,
            sku: None,
            identity: None,
            properties: Map::new(),
            created_ms: now_ms,
            changed_ms: now_ms,
        }
    }

    /// Returns a property; JSON's null is none.
    pub fn property(&self, name: &str) -> Option<&Value> {
        self.properties.get(name).filter(|value| !value.is_null())
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.property(name)?.as_str()
    }
}

/// Returns what a document that every site has says before anybody wrote it; none for resources that must be created.
pub fn initial(id: &ResourceId) -> Option<Resource> {
    let properties = match id.kind() {
        ResourceKind::SiteConfig(name) => match name {
            ConfigName::Web
            | ConfigName::AppSettings
            | ConfigName::ConnectionStrings
            | ConfigName::Logs
            | ConfigName::AzureStorageAccounts
            | ConfigName::Metadata
            | ConfigName::SlotConfigNames => Map::new(),
        },
        ResourceKind::PublishingPolicy => Map::from_iter([("allow".to_owned(), Value::Bool(true))]),
        ResourceKind::Subscription
        | ResourceKind::Group
        | ResourceKind::Plan
        | ResourceKind::Site
        | ResourceKind::Slot
        | ResourceKind::SiteContainer
        | ResourceKind::UserIdentity
        | ResourceKind::Autoscale
        | ResourceKind::Deployment
        | ResourceKind::Unknown(_) => return None,
    };
    Some(Resource { properties, ..Resource::new(id.clone(), 0) })
}
