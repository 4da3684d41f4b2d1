//! Who may see a site's own pages.

use axum::http::{
    HeaderMap, Method, StatusCode,
    header::{AUTHORIZATION, HOST, ORIGIN},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use pillion_arm::ResourceId;
use pillion_identity::{Access, Audience, AuthError, Caller};

use super::{Scm, answer::Refusal};
use crate::authority::bearer_of;

/// Refuses what a page of another origin sends: browsers add a site's Basic credential by themselves once they have it.
pub(super) fn same_origin(method: &Method, headers: &HeaderMap, upgrade: bool) -> Result<(), Refusal> {
    let Some(origin) = headers.get(ORIGIN) else { return Ok(()) };
    if method.is_safe() && !upgrade {
        return Ok(());
    }
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let own = origin.to_str().ok().and_then(|origin| origin.strip_prefix("https://"));
    if own.is_some_and(|own| own.eq_ignore_ascii_case(host)) {
        return Ok(());
    }
    Err(Refusal::new(StatusCode::FORBIDDEN, "OriginRefused", "a page of another origin may not ask this"))
}

/// Proves the caller. `name` is the site's as in the path; a site that does not exist is refused like a wrong password.
pub(super) async fn admit(
    scm: &Scm,
    headers: &HeaderMap,
    name: &str,
    site: Option<&ResourceId>,
    address: &str,
    origin: &str,
) -> Result<Caller, Refusal> {
    let unproven = |error| Refusal::Unproven { error, origin: origin.to_owned() };
    if let Some(token) = bearer_of(headers) {
        let caller = scm.identity.authenticate(token, Audience::Scm).map_err(unproven)?;
        let Some(site) = site else {
            return Err(Refusal::new(StatusCode::NOT_FOUND, "SiteNotFound", format!("there is no site `{name}`")));
        };
        // These pages show secrets and open shells: looking is not enough.
        if !caller.may(Access::Write, &site.to_string()) {
            let message = format!("{} may not use the pages of {site}", caller.display_name);
            return Err(Refusal::new(StatusCode::FORBIDDEN, "AuthorizationFailed", message));
        }
        return Ok(caller);
    }
    let (given, password) = basic(headers).ok_or_else(|| unproven(AuthError::Missing))?;
    let epoch = site.map(|site| scm.azure.publishing_epoch(site)).unwrap_or_default();
    let right = scm.identity.check_publishing(name, &epoch, (&given, &password), address);
    let Some(site) = site else { return Err(unproven(right.err().unwrap_or(AuthError::Credentials))) };
    let user = right.map_err(unproven)?;
    if !password_allowed(scm, site).await? {
        let message = "logging in with the publishing password is switched off for this site; use an access token";
        return Err(Refusal::new(StatusCode::UNAUTHORIZED, "BasicAuthenticationOff", message));
    }
    Ok(Caller { principal: user.clone(), display_name: user, grants: Vec::new() })
}

async fn password_allowed(scm: &Scm, site: &ResourceId) -> Result<bool, Refusal> {
    let policy = site.child("basicPublishingCredentialsPolicies", "scm");
    let (policy, _) = scm.azure.get(&Caller::machine(), &policy).await?;
    Ok(policy["properties"]["allow"].as_bool().unwrap_or(false))
}

fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let (scheme, encoded) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_origin_may_neither_change_nor_open_sockets() {
        let headers = |origin: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, "127.0.0.1:8443".parse().unwrap());
            headers.insert(ORIGIN, origin.parse().unwrap());
            headers
        };
        let refused = |method: &Method, origin: &str, upgrade| same_origin(method, &headers(origin), upgrade).is_err();
        assert!(refused(&Method::POST, "https://evil.example", false));
        assert!(refused(&Method::GET, "https://evil.example", true));
        assert!(refused(&Method::PUT, "null", false));
        assert!(refused(&Method::PUT, "http://127.0.0.1:8443", false), "without TLS it is another origin");
        assert!(!refused(&Method::POST, "https://127.0.0.1:8443", false));
        assert!(!refused(&Method::GET, "https://evil.example", false), "reading is for the browser to refuse");
        assert!(same_origin(&Method::POST, &HeaderMap::new(), false).is_ok(), "programs send none");
    }

    #[test]
    fn a_basic_credential_is_read_with_every_colon_of_the_password() {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, format!("basic {}", STANDARD.encode("$shop:a:b")).parse().unwrap());
        assert_eq!(basic(&headers), Some(("$shop".into(), "a:b".into())));
        headers.insert(AUTHORIZATION, "Basic !".parse().unwrap());
        assert_eq!(basic(&headers), None);
    }
}
