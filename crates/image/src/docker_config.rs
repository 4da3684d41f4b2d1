//! Docker's `config.json`: decodes content that the caller has read, and asks credential helpers as the caller.
//!
//! For the command line only. The server never reads such a file and never runs a helper: it takes
//! [`crate::Credentials`] as values.

use std::{collections::BTreeMap, process::Stdio, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use tokio::io::AsyncWriteExt;

use crate::{Credential, Credentials, credential::canonical_host};

/// Docker Hub's key in files and helpers, from the days of its first API.
const HUB_KEY: &str = "https://index.docker.io/v1/";
/// The user that a helper names when the secret is an identity token.
const TOKEN_USER: &str = "<token>";
/// What Azure's and other token servers take as the user of an identity token.
const IDENTITY_USER: &str = "00000000-0000-0000-0000-000000000000";
/// Helpers may ask the person for a key ring's password.
const HELPER_PATIENCE: Duration = Duration::from_secs(60);

/// A decoded `config.json`.
#[derive(Debug, Clone, Default)]
pub struct DockerConfig {
    stored: Credentials,
    /// Helper for each registry host, and the one for all others.
    helpers: BTreeMap<String, String>,
    default_helper: Option<String>,
}

/// Why a `config.json` could not be used.
#[derive(Debug, thiserror::Error)]
pub enum DockerConfigError {
    #[error("Docker's config.json is not valid")]
    Syntax(#[from] serde_json::Error),
    #[error("the login for {registry} in Docker's config.json is not base64 of user:password")]
    Auth { registry: String },
    #[error("`{helper}` is not a credential helper's name")]
    HelperName { helper: String },
    #[error("the credential helper docker-credential-{helper} cannot be run")]
    HelperStart { helper: String, source: std::io::Error },
    #[error("the credential helper docker-credential-{helper} failed for {registry}: {reason}")]
    HelperFailed { helper: String, registry: String, reason: String },
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct File {
    auths: BTreeMap<String, Auth>,
    creds_store: Option<String>,
    cred_helpers: BTreeMap<String, String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Auth {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HelperAnswer {
    username: String,
    secret: String,
}

impl DockerConfig {
    /// Decodes the file's content.
    ///
    /// # Errors
    /// It is not JSON of the expected shape, or a stored login is damaged.
    pub fn parse(content: &str) -> Result<DockerConfig, DockerConfigError> {
        let file: File = serde_json::from_str(content)?;
        let mut stored = Credentials::default();
        for (key, auth) in file.auths {
            let registry = host_of(&key);
            if let Some(credential) = decode(registry, auth)? {
                stored.insert(registry, credential);
            }
        }
        let helpers =
            file.cred_helpers.into_iter().map(|(key, helper)| (canonical_host(host_of(&key)).to_owned(), helper)).collect();
        Ok(DockerConfig { stored, helpers, default_helper: file.creds_store.filter(|helper| !helper.is_empty()) })
    }

    /// Looks up the login for a registry as Docker does: its own helper, else the general one, else the file.
    ///
    /// # Errors
    /// A helper is configured but cannot be run or fails otherwise than by not knowing the registry.
    pub async fn credential(&self, registry: &str) -> Result<Option<Credential>, DockerConfigError> {
        let registry = canonical_host(registry);
        if let Some(helper) = self.helpers.get(registry).or(self.default_helper.as_ref())
            && let Some(credential) = ask(helper, registry).await?
        {
            return Ok(Some(credential));
        }
        Ok(self.stored.get(registry).cloned())
    }
}

/// Takes scheme and path off a key: `https://registry.example/v2/` is `registry.example`.
fn host_of(key: &str) -> &str {
    let rest = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    rest.split('/').next().unwrap_or(rest)
}

fn decode(registry: &str, auth: Auth) -> Result<Option<Credential>, DockerConfigError> {
    let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
    if let Some(token) = filled(auth.registrytoken) {
        return Ok(Some(Credential::Bearer { token }));
    }
    let damaged = || DockerConfigError::Auth { registry: registry.to_owned() };
    let (mut user, mut password) = (filled(auth.username), filled(auth.password));
    if let Some(encoded) = filled(auth.auth) {
        let decoded = STANDARD.decode(encoded.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(damaged)?;
        let (first, rest) = decoded.split_once(':').ok_or_else(damaged)?;
        // Docker pads some of them with NULs.
        (user, password) = (filled(Some(first.to_owned())), filled(Some(rest.trim_end_matches('\0').to_owned())));
    }
    if let Some(token) = filled(auth.identitytoken) {
        return Ok(Some(identity(user, token)));
    }
    Ok(user.zip(password).map(|(user, password)| Credential::Password { user, password }))
}

/// An identity token is good as a password at the token servers that hand them out.
fn identity(user: Option<String>, token: String) -> Credential {
    let user = user.filter(|user| user != TOKEN_USER).unwrap_or_else(|| IDENTITY_USER.to_owned());
    Credential::Password { user, password: token }
}

/// Runs `docker-credential-HELPER get`; none if it does not know the registry.
async fn ask(helper: &str, registry: &str) -> Result<Option<Credential>, DockerConfigError> {
    if helper.is_empty() || !helper.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')) {
        return Err(DockerConfigError::HelperName { helper: helper.to_owned() });
    }
    let start = |source| DockerConfigError::HelperStart { helper: helper.to_owned(), source };
    let failed =
        |reason: String| DockerConfigError::HelperFailed { helper: helper.to_owned(), registry: registry.to_owned(), reason };
    let mut child = tokio::process::Command::new(format!("docker-credential-{helper}"))
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(start)?;
    let key = if registry == "docker.io" { HUB_KEY } else { registry };
    let conversation = async {
        if let Some(mut stdin) = child.stdin.take() {
            // A helper that does not read has its say in its exit code.
            drop(stdin.write_all(key.as_bytes()).await);
        }
        child.wait_with_output().await
    };
    let output = match tokio::time::timeout(HELPER_PATIENCE, conversation).await {
        Ok(output) => output.map_err(start)?,
        Err(_) => return Err(failed(format!("no answer in {} s", HELPER_PATIENCE.as_secs()))),
    };
    if !output.status.success() {
        let said = [&output.stdout[..], &output.stderr[..]].map(|bytes| String::from_utf8_lossy(bytes).trim().to_owned());
        // The protocol's own words for "I do not know this registry".
        if said.iter().any(|text| text.contains("credentials not found")) {
            return Ok(None);
        }
        return Err(failed(said.into_iter().find(|text| !text.is_empty()).unwrap_or_else(|| output.status.to_string())));
    }
    let answer: HelperAnswer =
        serde_json::from_slice(&output.stdout).map_err(|error| failed(format!("its answer cannot be read: {error}")))?;
    Ok(Some(match answer.username.as_str() {
        TOKEN_USER => identity(None, answer.secret),
        _ => Credential::Password { user: answer.username, password: answer.secret },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(user: &str, password: &str) -> Option<Credential> {
        Some(Credential::Password { user: user.to_owned(), password: password.to_owned() })
    }

    #[tokio::test]
    async fn logins_are_found_under_every_way_to_write_their_registry() {
        let auth = STANDARD.encode("ada:s:e:cret");
        let config = DockerConfig::parse(&format!(
            r#"{{"auths": {{"https://index.docker.io/v1/": {{"auth": "{auth}"}}, "registry.example:5000": {{"auth": "{auth}"}},
                "https://other.example/v2/": {{"username": "bob", "password": "x"}}, "empty.example": {{}},
                "token.example": {{"registrytoken": "t"}},
                "acr.example": {{"auth": "{}", "identitytoken": "refresh"}}}}, "HttpHeaders": {{}}}}"#,
            STANDARD.encode(format!("{IDENTITY_USER}:"))
        ))
        .expect("valid");
        assert_eq!(config.credential("docker.io").await.expect("no helper"), password("ada", "s:e:cret"));
        assert_eq!(config.credential("registry.example:5000").await.expect("no helper"), password("ada", "s:e:cret"));
        assert_eq!(config.credential("other.example").await.expect("no helper"), password("bob", "x"));
        assert_eq!(
            config.credential("token.example").await.expect("no helper"),
            Some(Credential::Bearer { token: "t".to_owned() })
        );
        assert_eq!(config.credential("acr.example").await.expect("no helper"), password(IDENTITY_USER, "refresh"));
        for unknown in ["empty.example", "registry.example", "nowhere.example"] {
            assert_eq!(config.credential(unknown).await.expect("no helper"), None, "{unknown}");
        }
    }

    #[test]
    fn a_damaged_login_names_its_registry_and_no_secret() {
        let error = DockerConfig::parse(r#"{"auths": {"r.example": {"auth": "c2VjcmV0"}}}"#).expect_err("no colon");
        assert!(error.to_string().contains("r.example"));
        assert!(!format!("{error:?}").contains("c2VjcmV0"));
    }

    #[tokio::test]
    async fn a_helper_must_be_a_plain_name_and_installed() {
        let config =
            DockerConfig::parse(r#"{"credHelpers": {"a.example": "../../bin/sh"}, "credsStore": "surely-not-installed"}"#)
                .expect("valid");
        assert!(matches!(config.credential("a.example").await, Err(DockerConfigError::HelperName { .. })));
        assert!(matches!(config.credential("b.example").await, Err(DockerConfigError::HelperStart { .. })));
    }
}
