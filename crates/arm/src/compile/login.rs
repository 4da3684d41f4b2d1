//! Who pulls the images: registry logins of containers, and the old settings of `DOCKER|image`.

use std::collections::BTreeMap;

use pillion_fault::Fault;
use serde_json::Value;

use super::{
    RegistryCredential, SiteParts, SiteProblem,
    environment::Settings,
    fails,
    mode::{Mode, Program},
};

pub(super) fn add(
    site: &SiteParts,
    settings: &Settings,
    program: &Program,
    mode: &Mode,
    credentials: &mut BTreeMap<String, RegistryCredential>,
    warnings: &mut Vec<String>,
    problems: &mut Vec<SiteProblem>,
) {
    let found = match mode {
        Mode::SiteContainers(_) => of_container(site, settings, program, problems),
        Mode::Docker(_) => of_settings(site, settings, program, warnings, problems),
    };
    let Some(found) = found else { return };
    let host = registry(&program.image);
    match credentials.get(&host) {
        Some(other) if *other != found => warnings.push(format!(
            "container '{}' logs in to {host} as '{}', but another container of the site does so as '{}': one login a registry \
             counts, the first",
            program.name, found.username, other.username
        )),
        Some(_) => {}
        None => drop(credentials.insert(host, found)),
    }
}

fn of_container(
    site: &SiteParts,
    settings: &Settings,
    program: &Program,
    problems: &mut Vec<SiteProblem>,
) -> Option<RegistryCredential> {
    let text = |name: &str| program.properties.get(name).and_then(Value::as_str);
    let mut unavailable = |identity: String| {
        let fault = Fault::IdentityPullNotAvailable { image: program.image.clone(), identity };
        problems.push(fails(Some(&program.name), fault));
    };
    match text("authType") {
        Some("SystemIdentity") => unavailable("the system-assigned identity".to_owned()),
        Some("UserAssigned") => {
            let client = text("userManagedIdentityClientId").unwrap_or_default();
            let known = site.identities.iter().find(|identity| identity.text("clientId") == Some(client));
            unavailable(match known {
                Some(identity) => format!("the user-assigned identity '{}'", identity.id.name()),
                None => format!("the user-assigned identity with client id '{client}'"),
            });
        }
        Some("UserCredentials") => {
            let given = text("passwordSecret")?;
            // Two readings of the documents: the name of a setting that holds the password, or the password itself.
            let password = settings.get(given).unwrap_or(given).to_owned();
            return Some(RegistryCredential { username: text("userName")?.to_owned(), password });
        }
        Some(_) | None => {}
    }
    None
}

fn of_settings(
    site: &SiteParts,
    settings: &Settings,
    program: &Program,
    warnings: &mut Vec<String>,
    problems: &mut Vec<SiteProblem>,
) -> Option<RegistryCredential> {
    let flag = site.web.as_ref().and_then(|web| web.property("acrUseManagedIdentityCreds"));
    if flag.and_then(Value::as_bool) == Some(true) {
        let identity = "a managed identity (acrUseManagedIdentityCreds)".to_owned();
        let fault = Fault::IdentityPullNotAvailable { image: program.image.clone(), identity };
        problems.push(fails(Some(&program.name), fault));
        return None;
    }
    let text = |name: &str| settings.get(name).filter(|text| !text.trim().is_empty());
    let username = text("DOCKER_REGISTRY_SERVER_USERNAME")?.to_owned();
    let password = text("DOCKER_REGISTRY_SERVER_PASSWORD")?.to_owned();
    let host = registry(&program.image);
    // A password is for the registry it was given for.
    if let Some(url) = text("DOCKER_REGISTRY_SERVER_URL") {
        let bare = url.trim().trim_start_matches("https://").trim_start_matches("http://");
        let named = hub(bare.split('/').next().unwrap_or_default());
        if named != host {
            warnings.push(format!(
                "the login for registry '{named}' (DOCKER_REGISTRY_SERVER_URL) is not used for image '{}', which lies at {host}",
                program.image
            ));
            return None;
        }
    }
    Some(RegistryCredential { username, password })
}

/// Returns the registry of an image name: what stands before the first slash, if it looks like a host.
fn registry(image: &str) -> String {
    match image.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => hub(host),
        Some(_) | None => "docker.io".to_owned(),
    }
}

fn hub(host: &str) -> String {
    match host.to_ascii_lowercase().as_str() {
        "index.docker.io" | "registry-1.docker.io" | "registry.hub.docker.com" => "docker.io".to_owned(),
        other => other.to_owned(),
    }
}
