//! The authority: where clients learn of it, how they log in, and what proves a caller afterwards.

mod bearer;
mod discovery;
mod failure;
mod grant;
mod patience;
mod resource;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::StatusCode,
    middleware::from_fn,
    routing::{get, post},
};
use pillion_identity::Identity;

pub use bearer::{bearer_of, require_caller, unauthorised};

use crate::front::refuse;

/// The client id of the Azure CLI; a login without another is its.
pub(crate) const AZ_CLIENT: &str = "04b07795-8ddb-461a-bbee-02f9e1bf7b46";

/// A login's form is small.
const MOST_BODY: usize = 64 * 1024;

/// Routes of the authority, in the style of ADFS (`/adfs`) and, for libraries that insist, of Entra ID (`/{tenant}`).
pub fn router(identity: Identity) -> Router {
    let nothing = || async { refuse(StatusCode::NOT_FOUND, "NotFound", "the authority has no such path") };
    Router::new()
        .route("/metadata/endpoints", get(discovery::metadata))
        .route("/adfs/.well-known/openid-configuration", get(discovery::openid))
        .route("/adfs/oauth2/token", post(grant::token))
        .route("/adfs/oauth2/devicecode", post(grant::device_code))
        .route("/adfs/oauth2/authorize", get(discovery::authorize))
        .route("/adfs/oauth2/deviceauth", get(discovery::device_page))
        .route("/adfs/{tenant}/v2.0/.well-known/openid-configuration", get(discovery::tenant_openid))
        .route("/{tenant}/v2.0/.well-known/openid-configuration", get(discovery::tenant_openid))
        .route("/{tenant}/oauth2/v2.0/token", post(grant::token))
        .route("/{tenant}/oauth2/v2.0/devicecode", post(grant::device_code))
        .fallback(nothing)
        .method_not_allowed_fallback(|| async {
            refuse(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", "this path does not take that method")
        })
        .layer(DefaultBodyLimit::max(MOST_BODY))
        .layer(from_fn(patience::whole_form))
        .with_state(identity)
}

/// Returns true if the path (lower-case) is the authority's.
pub fn is_of_authority(path: &str) -> bool {
    let rest = path.get(1..).and_then(|path| path.split_once('/')).map(|(_, rest)| rest);
    path == "/metadata/endpoints"
        || path.starts_with("/adfs/")
        || rest.is_some_and(|rest| rest.starts_with("oauth2/v2.0/") || rest == "v2.0/.well-known/openid-configuration")
}

#[cfg(test)]
mod tests {
    use super::is_of_authority;

    #[test]
    fn paths_of_the_authority_are_known_in_both_styles() {
        for path in
            ["/metadata/endpoints", "/adfs/oauth2/token", "/common/oauth2/v2.0/token", "/t/v2.0/.well-known/openid-configuration"]
        {
            assert!(is_of_authority(path), "{path}");
        }
        for path in ["/", "", "/subscriptions", "/subscriptions/s/resourcegroups", "/adfs", "/metadata"] {
            assert!(!is_of_authority(path), "{path}");
        }
    }
}
