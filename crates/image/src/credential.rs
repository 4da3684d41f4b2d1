//! Credentials for registries: plain values, never looked up by this crate on its own.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

/// What proves to a registry who is asking.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Credential {
    /// User and password; also what a token server is asked with.
    Password { user: String, password: String },
    /// A bearer token sent to the registry as it is.
    Bearer { token: String },
}

impl Credential {
    /// Returns the user's name, where there is one.
    pub fn user(&self) -> Option<&str> {
        match self {
            Credential::Password { user, .. } => Some(user),
            Credential::Bearer { .. } => None,
        }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Credential::Password { user, .. } => write!(f, "Password {{ user: {user:?}, password: … }}"),
            Credential::Bearer { .. } => f.write_str("Bearer { token: … }"),
        }
    }
}

/// Credentials by registry host (`registry.example`, `127.0.0.1:5000`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Credentials(BTreeMap<String, Credential>);

impl Credentials {
    pub fn insert(&mut self, registry: &str, credential: Credential) {
        self.0.insert(canonical_host(registry).to_owned(), credential);
    }

    /// Returns the credential for a registry host; Docker Hub's several names are one.
    pub fn get(&self, registry: &str) -> Option<&Credential> {
        self.0.get(canonical_host(registry))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Docker Hub answers to three names; everything else is itself.
pub(crate) fn canonical_host(registry: &str) -> &str {
    match registry {
        "index.docker.io" | "registry-1.docker.io" => "docker.io",
        other => other,
    }
}
