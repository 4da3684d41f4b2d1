//! From a request to the site it is about: its path taken apart, its caller proven, its app found.

use std::collections::HashMap;

use axum::{body::Body, extract::Request, http::header::UPGRADE};
use pillion_arm::ResourceId;
use pillion_control::AppStatus;
use pillion_identity::Caller;
use pillion_model::{AppName, InstanceId};

use super::{Scm, answer::Refusal, gate};
use crate::front::{Origin, Peer};

/// One request, understood.
pub(super) struct Call {
    pub(super) site: ResourceId,
    /// The site's name in the path.
    pub(super) name: String,
    /// The control plane's app; after a swap its name is not the site's.
    pub(super) app: AppName,
    pub(super) caller: Caller,
    /// What follows the site's name, decoded; a trailing slash is gone.
    pub(super) rest: Vec<String>,
    /// Whether the path ended with a slash.
    pub(super) trailing: bool,
    pub(super) origin: String,
    query: HashMap<String, String>,
    /// Named by the `ARRAffinity` cookie.
    affinity: Option<String>,
}

impl Call {
    pub(super) async fn read(scm: &Scm, request: Request<Body>) -> Result<(Call, Request<Body>), Refusal> {
        let headers = request.headers();
        gate::same_origin(request.method(), headers, headers.contains_key(UPGRADE))?;
        let path = request.uri().path();
        let below = path.get("/_scm/".len()..).unwrap_or_default();
        let (name, rest) = below.split_once('/').unwrap_or((below, ""));
        let name = name.to_ascii_lowercase();
        let site = scm.azure.scm_site(&name);
        let address = request.extensions().get::<Peer>().map(|peer| peer.0.ip().to_string()).unwrap_or_default();
        let origin = request.extensions().get::<Origin>().map(|origin| origin.0.clone()).unwrap_or_default();
        let caller = gate::admit(scm, headers, &name, site.as_ref(), &address, &origin).await?;
        let Some(site) = site else { return Err(Refusal::bad_request("SiteNotFound", format!("there is no site `{name}`"))) };
        let app = scm.azure.app_of(&site).await?;
        let trailing = rest.ends_with('/');
        let rest = rest.trim_end_matches('/');
        let mut parts = Vec::new();
        for part in rest.split('/').filter(|part| !part.is_empty()) {
            parts.push(decoded(part).ok_or_else(|| Refusal::bad_request("PathInvalid", "the path is not UTF-8"))?);
        }
        let query = request.uri().query().unwrap_or_default();
        let query = form_urlencoded::parse(query.as_bytes())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.into_owned()))
            .collect();
        let affinity = affinity(&request);
        Ok((Call { site, name, app, caller, rest: parts, trailing, origin, query, affinity }, request))
    }

    pub(super) fn query(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    /// The address of these pages.
    pub(super) fn base(&self) -> String {
        format!("{}/_scm/{}", self.origin, self.name)
    }

    /// The instance that was asked for, in the query or by the cookie. A cookie of one that is gone asks for nothing.
    pub(super) fn instance(&self, status: Option<&AppStatus>) -> Result<Option<InstanceId>, Refusal> {
        let runs = |id: &str| status.is_some_and(|status| status.instances.iter().any(|one| one.status.id.as_str() == id));
        match self.query("instance") {
            Some(id) if runs(id) => Ok(id.parse().ok()),
            Some(id) => Err(Refusal::new(
                axum::http::StatusCode::NOT_FOUND,
                "InstanceNotFound",
                format!("the site has no instance `{id}`"),
            )),
            None => Ok(self.affinity.as_deref().filter(|id| runs(id)).and_then(|id| id.parse().ok())),
        }
    }

    /// How the app stands; none where the site has none yet.
    pub(super) async fn status(&self, scm: &Scm) -> Result<Option<AppStatus>, Refusal> {
        match scm.azure.control().status(&self.app).await {
            Ok(status) => Ok(Some(status)),
            Err(pillion_control::ControlError::AppNotFound { .. }) => Ok(None),
            Err(other) => Err(other.into()),
        }
    }
}

fn affinity(request: &Request<Body>) -> Option<String> {
    let cookies = request.headers().get("cookie")?.to_str().ok()?;
    let found = cookies.split(';').find_map(|cookie| cookie.trim().strip_prefix("ARRAffinity="));
    found.map(str::to_owned)
}

fn decoded(part: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
        bytes.push(u8::try_from(digit(rest.next())? * 16 + digit(rest.next())?).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::decoded;

    #[test]
    fn parts_of_a_path_are_decoded() {
        assert_eq!(decoded("a%20b%C3%A9"), Some("a bé".into()));
        assert_eq!(decoded("%2e%2E"), Some("..".into()));
        for broken in ["%", "%2", "%zz", "%ff"] {
            assert_eq!(decoded(broken), None, "{broken}");
        }
    }
}
