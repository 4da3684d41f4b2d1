//! What there is to choose from: providers with their types, runtime stacks, the one region.

use pillion_arm::ResourceId;
use pillion_azure::LOCATION;
use serde_json::{Value, json};

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

pub(crate) fn providers(subscription: &ResourceId) -> Vec<Value> {
    NAMESPACES.iter().map(|(namespace, types)| describe(subscription, namespace, types)).collect()
}

pub(crate) fn provider(subscription: &ResourceId, namespace: &str) -> Option<Value> {
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

pub(crate) fn region(subscription: &ResourceId) -> Value {
    json!({
        "id": format!("{subscription}/providers/Microsoft.Web/geoRegions/{LOCATION}"),
        "name": LOCATION,
        "type": "Microsoft.Web/geoRegions",
        "properties": { "name": LOCATION, "description": "This machine", "displayName": LOCATION,
            "orgDomain": "PUBLIC;LINUX;LINUXDSERIES;SITECONTAINERS" },
    })
}

/// A stack's name, how it is shown, and its versions with their `linuxFxVersion`.
type Stack = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

/// Stacks of App Service on Linux. Code-only apps come later; the list is what clients check names against.
const STACKS: [Stack; 5] = [
    ("python", "Python", &[("3.13", "PYTHON|3.13"), ("3.12", "PYTHON|3.12"), ("3.11", "PYTHON|3.11"), ("3.10", "PYTHON|3.10")]),
    ("node", "Node", &[("24-lts", "NODE|24-lts"), ("22-lts", "NODE|22-lts"), ("20-lts", "NODE|20-lts")]),
    ("dotnet", ".NET", &[("10", "DOTNETCORE|10.0"), ("9", "DOTNETCORE|9.0"), ("8", "DOTNETCORE|8.0")]),
    ("php", "PHP", &[("8.4", "PHP|8.4"), ("8.3", "PHP|8.3")]),
    ("java", "Java", &[("21", "JAVA|21-java21"), ("17", "JAVA|17-java17")]),
];

pub(crate) fn stacks() -> Vec<Value> {
    STACKS
        .iter()
        .map(|(name, shown, versions)| {
            let majors: Vec<Value> = versions
                .iter()
                .map(|(version, runtime)| {
                    let minor = json!({
                        "displayText": format!("{shown} {version}"),
                        "value": version,
                        "stackSettings": { "linuxRuntimeSettings": {
                            "runtimeVersion": runtime, "isHidden": false, "isDeprecated": false, "isPreview": false,
                            "remoteDebuggingSupported": false,
                            "appInsightsSettings": { "isSupported": false },
                            "gitHubActionSettings": { "isSupported": true, "supportedVersion": version },
                            "supportedFeatures": { "disableSsh": false },
                            "endOfLifeDate": "2035-12-31T00:00:00Z",
                        } },
                    });
                    json!({ "displayText": format!("{shown} {version}"), "value": version, "minorVersions": [minor] })
                })
                .collect();
            json!({
                "id": null, "name": name, "type": "Microsoft.Web/webAppStacks?stackOsType=All",
                "properties": { "displayText": shown, "value": name, "preferredOs": "linux", "majorVersions": majors },
            })
        })
        .collect()
}
