//! The resource providers with their types and versions: what the routes list, and what `providers()` says in a template.

use pillion_arm::ResourceId;
use serde_json::{Value, json};

use crate::LOCATION;

/// Newest first; az takes the newest that is no preview.
const VERSIONS: [&str; 12] = [
    "2025-05-01",
    "2025-03-01",
    "2024-11-01",
    "2024-04-01",
    "2023-12-01",
    "2023-01-01",
    "2022-09-01",
    "2022-03-01",
    "2021-03-01",
    "2020-12-01",
    "2019-08-01",
    "2018-02-01",
];

const NAMESPACES: [(&str, &[&str]); 5] = [
    (
        "Microsoft.Web",
        &[
            "sites",
            "sites/slots",
            "sites/config",
            "sites/slots/config",
            "sites/sitecontainers",
            "sites/slots/sitecontainers",
            "sites/instances",
            "sites/slots/instances",
            "sites/basicPublishingCredentialsPolicies",
            "serverFarms",
            "geoRegions",
            "checkNameAvailability",
            "webAppStacks",
            "publishingUsers",
        ],
    ),
    (
        "Microsoft.Resources",
        &["deployments", "deployments/operations", "resourceGroups", "subscriptions", "providers", "resources"],
    ),
    ("Microsoft.ManagedIdentity", &["userAssignedIdentities"]),
    ("Microsoft.Insights", &["autoscaleSettings", "metrics", "metricDefinitions", "eventtypes"]),
    ("Microsoft.Authorization", &["roleAssignments"]),
];

/// Returns all of them, as `GET …/providers` lists them.
pub fn all(subscription: &ResourceId) -> Vec<Value> {
    NAMESPACES.iter().map(|(namespace, types)| describe(subscription, namespace, types)).collect()
}

/// Returns the one of this namespace, compared without case.
pub fn of_namespace(subscription: &ResourceId, namespace: &str) -> Option<Value> {
    let (namespace, types) = NAMESPACES.iter().find(|(known, _)| known.eq_ignore_ascii_case(namespace))?;
    Some(describe(subscription, namespace, types))
}

fn describe(subscription: &ResourceId, namespace: &str, types: &[&str]) -> Value {
    let types: Vec<Value> = types
        .iter()
        .map(|name| {
            json!({
                "resourceType": name, "locations": [LOCATION], "apiVersions": VERSIONS, "defaultApiVersion": VERSIONS[0],
                "capabilities": "CrossResourceGroupResourceMove, SupportsTags, SupportsLocation",
            })
        })
        .collect();
    json!({
        "id": format!("{subscription}/providers/{namespace}"),
        "namespace": namespace,
        "registrationState": "Registered",
        "registrationPolicy": "RegistrationRequired",
        "resourceTypes": types,
    })
}
