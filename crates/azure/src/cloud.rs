//! The cloud that this server is to its clients: what `az` registers, and what `environment()` says in a template.

use serde_json::{Map, Value, json};

/// The cloud's name in its metadata.
const CLOUD: &str = "pillion";

/// A suffix of names: how the cloud's metadata calls it, how templates call it, the suffix, and whether templates get a dot before it.
type Suffix = (&'static str, &'static str, &'static str, bool);

/// Nothing answers there: clients and templates want names to build others from.
const SUFFIXES: [Suffix; 4] = [
    ("storage", "storage", "storage.pillion.localhost", false),
    ("keyVaultDns", "keyvaultDns", "vault.pillion.localhost", true),
    ("acrLoginServer", "acrLoginServer", "acr.pillion.localhost", true),
    ("sqlServerHostname", "sqlServerHostname", "sql.pillion.localhost", true),
];

/// Returns the cloud's metadata as `/metadata/endpoints` serves it. `origin` is `https://host:port`.
pub fn metadata(origin: &str) -> Value {
    let suffixes = SUFFIXES.iter().map(|(name, _, suffix, _)| ((*name).to_owned(), json!(suffix)));
    json!({
        "name": CLOUD,
        "portal": origin,
        "authentication": authentication(origin),
        "resourceManager": format!("{origin}/"),
        "appServiceResourceId": format!("{origin}/appservice"),
        "graphAudience": format!("{origin}/graph/"),
        "microsoftGraphResourceId": format!("{origin}/msgraph/"),
        "suffixes": suffixes.collect::<Map<_, _>>(),
    })
}

/// Returns what `environment()` says in a template: the same, with most suffixes beginning with a dot.
pub(crate) fn environment(origin: &str) -> Value {
    let dotted = |suffix: &str, dot: bool| if dot { format!(".{suffix}") } else { suffix.to_owned() };
    let suffixes = SUFFIXES.iter().map(|(_, name, suffix, dot)| ((*name).to_owned(), json!(dotted(suffix, *dot))));
    json!({
        "name": CLOUD,
        "portal": origin,
        "authentication": authentication(origin),
        "resourceManager": format!("{origin}/"),
        "graphAudience": format!("{origin}/graph/"),
        "suffixes": suffixes.collect::<Map<_, _>>(),
    })
}

fn authentication(origin: &str) -> Value {
    json!({
        "loginEndpoint": format!("{origin}/adfs"),
        "audiences": [origin],
        "tenant": "common",
        "identityProvider": "AAD",
    })
}
