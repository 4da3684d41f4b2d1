//! From the scope that a client asks for to the audience of its token.

use pillion_identity::Audience;

use super::failure::GrantError;

/// What libraries ask for where nobody told them of this server: Azure's own resource managers.
const PUBLIC: [&str; 2] = ["https://management.azure.com", "https://management.core.windows.net"];

/// Scopes that name no resource (OpenID Connect).
const PLAIN: [&str; 4] = ["openid", "profile", "offline_access", "email"];

/// Reads `scope` (or the older `resource`); without a resource it is the resource manager.
///
/// # Errors
/// The resource is none of this server's.
pub(super) fn audience_of(scope: Option<&str>, resource: Option<&str>, origin: &str) -> Result<Audience, GrantError> {
    let named = scope.into_iter().flat_map(str::split_whitespace).find(|scope| !PLAIN.contains(scope));
    let Some(named) = named.or(resource) else { return Ok(Audience::Arm) };
    let plain = named.strip_suffix("/.default").or_else(|| named.strip_suffix("/user_impersonation")).unwrap_or(named);
    let plain = plain.trim_end_matches('/').to_ascii_lowercase();
    if plain == origin || PUBLIC.contains(&plain.as_str()) {
        Ok(Audience::Arm)
    } else if plain.strip_prefix(origin) == Some("/appservice") || plain == "https://appservice.azure.com" {
        Ok(Audience::Scm)
    } else {
        Err(GrantError::Resource(named.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scope_has_its_audience_and_a_strange_one_none() {
        let origin = "https://127.0.0.1:8443";
        let of = |scope: &str| audience_of(Some(scope), None, origin).ok();
        for scope in [
            "https://127.0.0.1:8443/.default",
            "https://127.0.0.1:8443//.default offline_access openid profile",
            "openid profile",
            "https://management.azure.com/.default",
            "https://management.core.windows.net//.default",
        ] {
            assert_eq!(of(scope), Some(Audience::Arm), "{scope}");
        }
        assert_eq!(of("https://127.0.0.1:8443/appservice/.default"), Some(Audience::Scm));
        for scope in
            ["https://127.0.0.1:8443/graph//.default", "https://127.0.0.1:9/.default", "https://vault.azure.net/.default"]
        {
            assert_eq!(of(scope), None, "{scope}");
        }
        assert_eq!(audience_of(None, Some("https://management.core.windows.net/"), origin).ok(), Some(Audience::Arm));
        assert_eq!(audience_of(None, None, origin).ok(), Some(Audience::Arm));
    }
}
