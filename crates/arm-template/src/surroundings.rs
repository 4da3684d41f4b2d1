//! What an evaluation may know of the world around the template: plain values, time and chance among them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// What a template is deployed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Level {
    ResourceGroup,
    Subscription,
    ManagementGroup,
    Tenant,
}

/// The world around a template. With the same surroundings and parameters a template expands to the same plan,
/// so a deployment that keeps its surroundings can be taken up again after a restart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Surroundings {
    pub level: Level,
    /// What `tenant()` returns: `{countryCode, displayName, id, tenantId}`.
    pub tenant: Value,
    /// What `managementGroup()` returns, at that level.
    pub management_group: Option<Value>,
    /// What `subscription()` returns: `{id, subscriptionId, tenantId, displayName}`; its id makes resource ids.
    pub subscription: Option<Value>,
    /// What `resourceGroup()` returns: `{id, name, type, location, managedBy, tags, properties}`.
    pub resource_group: Option<Value>,
    /// The deployment's name.
    pub deployment: String,
    /// The deployment's location, at the levels that have one.
    pub deployment_location: Option<String>,
    /// `{uri, …}` when the template was linked.
    pub template_link: Option<Value>,
    /// `Incremental` or `Complete`.
    pub mode: String,
    /// What `environment()` returns; the constructors give that of a server on its usual port.
    pub environment: Value,
    /// What `deployer()` returns: `{objectId, tenantId, userPrincipalName}`.
    pub deployer: Value,
    /// What `providers()` looks into: namespace → `{namespace, resourceTypes: [{resourceType, locations, apiVersions}]}`.
    pub providers: Map<String, Value>,
    /// What `utcNow()` says.
    pub now: Timestamp,
    /// What `newGuid()` draws from; 16 random bytes, new for every deployment.
    pub entropy: [u8; 16],
}

impl Surroundings {
    /// Returns the surroundings of a deployment to a resource group.
    pub fn of_group(subscription: &str, group: &str, location: &str, deployment: &str, now: Timestamp) -> Self {
        let id = format!("/subscriptions/{subscription}/resourceGroups/{group}");
        Self {
            level: Level::ResourceGroup,
            resource_group: Some(json!({
                "id": id,
                "name": group,
                "type": "Microsoft.Resources/resourceGroups",
                "location": location,
                "tags": {},
                "properties": { "provisioningState": "Succeeded" },
            })),
            ..Self::of_subscription(subscription, location, deployment, now)
        }
    }

    /// Returns the surroundings of a deployment to a subscription.
    pub fn of_subscription(subscription: &str, location: &str, deployment: &str, now: Timestamp) -> Self {
        let tenant = "00000000-0000-0000-0000-000000000000";
        Self {
            level: Level::Subscription,
            tenant: json!({ "countryCode": "", "displayName": "pillion", "id": format!("/tenants/{tenant}"), "tenantId": tenant }),
            management_group: None,
            subscription: Some(json!({
                "id": format!("/subscriptions/{subscription}"),
                "subscriptionId": subscription,
                "tenantId": tenant,
                "displayName": "pillion",
            })),
            resource_group: None,
            deployment: deployment.to_owned(),
            deployment_location: Some(location.to_owned()),
            template_link: None,
            mode: "Incremental".to_owned(),
            environment: json!({
                "name": "pillion",
                "portal": "https://127.0.0.1:8443",
                "resourceManager": "https://127.0.0.1:8443/",
                "authentication": { "loginEndpoint": "https://127.0.0.1:8443/adfs", "audiences": ["https://127.0.0.1:8443"], "tenant": "common", "identityProvider": "AAD" },
                "suffixes": {
                    "acrLoginServer": ".acr.pillion.localhost",
                    "keyvaultDns": ".vault.pillion.localhost",
                    "sqlServerHostname": ".sql.pillion.localhost",
                    "storage": "storage.pillion.localhost",
                },
            }),
            deployer: json!({ "objectId": "", "tenantId": tenant, "userPrincipalName": "" }),
            providers: Map::new(),
            now,
            entropy: [0; 16],
        }
    }

    pub(crate) fn subscription_id(&self) -> Option<&str> {
        self.subscription.as_ref()?.get("subscriptionId")?.as_str()
    }

    pub(crate) fn group_name(&self) -> Option<&str> {
        self.resource_group.as_ref()?.get("name")?.as_str()
    }

    /// Returns the id of what the template is deployed to: the start of its resources' ids.
    pub fn scope_id(&self) -> String {
        match (self.level, self.subscription_id(), self.group_name()) {
            (Level::ResourceGroup, Some(subscription), Some(group)) => {
                format!("/subscriptions/{subscription}/resourceGroups/{group}")
            }
            (Level::ResourceGroup | Level::Subscription, Some(subscription), _) => format!("/subscriptions/{subscription}"),
            (Level::ManagementGroup, _, _) => self
                .management_group
                .as_ref()
                .and_then(|group| group.get("id"))
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
            (Level::ResourceGroup | Level::Subscription, None, _) | (Level::Tenant, _, _) => String::new(),
        }
    }
}
