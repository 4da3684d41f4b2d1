//! Registry credentials: read from the caller's Docker configuration, as the caller; only those an app file needs are sent.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::PathBuf,
};

use pillion_api::wire::Credential;
use pillion_image::{Credential as Stored, ImageName, docker_config::DockerConfig};
use pillion_model::App;

use crate::complaint::Complaint;

/// Gives the credentials for the registries that an app's images are on.
pub async fn for_app(app: &App) -> Result<BTreeMap<String, Credential>, Complaint> {
    for_images(app.containers.values().map(|container| container.image.as_str())).await
}

/// Gives the credentials for the registries that these images are on, by registry host.
pub async fn for_images<'a>(images: impl IntoIterator<Item = &'a str>) -> Result<BTreeMap<String, Credential>, Complaint> {
    // A name that is none is the server's to refuse, with its container.
    let names = images.into_iter().filter_map(|image| image.parse::<ImageName>().ok());
    let registries: BTreeSet<String> = names.map(|name| name.registry().to_owned()).collect();
    let Some((path, config)) = read()? else { return Ok(BTreeMap::new()) };
    let mut found = BTreeMap::new();
    for registry in registries {
        let credential = config.credential(&registry).await.map_err(|error| {
            Complaint::new(format!("could not find the login for {registry}"))
                .because(Some(&error))
                .hint(format!("{} says where logins are; `docker login {registry}` writes it", path.display()))
        })?;
        match credential {
            Some(Stored::Password { user, password }) => {
                found.insert(registry, Credential { username: user, password });
            }
            Some(Stored::Bearer { .. }) => {
                return Err(Complaint::new(format!("the login for {registry} is a bare token, which cannot be passed on"))
                    .hint(format!("log in with a user and a password: `docker login {registry}`")));
            }
            None => {}
        }
    }
    Ok(found)
}

fn read() -> Result<Option<(PathBuf, DockerConfig)>, Complaint> {
    let Some(path) = config_path() else { return Ok(None) };
    let content = match std::fs::read_to_string(&path) {
        Ok(content) => content,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(Complaint::new(format!("could not read {}", path.display())).because(Some(&error)));
        }
    };
    let config = DockerConfig::parse(&content).map_err(|error| {
        Complaint::new(format!("could not use {}", path.display()))
            .because(Some(&error))
            .hint("correct it, or move it away if no image needs a login")
    })?;
    Ok(Some((path, config)))
}

/// Where Docker's configuration is: `$DOCKER_CONFIG/config.json`, else `~/.docker/config.json`.
fn config_path() -> Option<PathBuf> {
    if let Some(dir) = std::env::var_os("DOCKER_CONFIG").filter(|dir| !dir.is_empty()) {
        return Some(PathBuf::from(dir).join("config.json"));
    }
    std::env::home_dir().map(|home| home.join(".docker/config.json"))
}
