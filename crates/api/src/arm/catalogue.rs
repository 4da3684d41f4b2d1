//! What there is to choose from: runtime stacks, the one region.

use pillion_arm::ResourceId;
use pillion_azure::LOCATION;
use serde_json::{Value, json};

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
