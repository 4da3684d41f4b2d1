//! What clients learn before they log in: the cloud's endpoints, the authority's endpoints.

use axum::{
    Extension, Json,
    extract::{Query, State},
    http::StatusCode,
    response::Response,
};
use pillion_azure::cloud;
use pillion_identity::Identity;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::front::{Origin, refuse};

#[derive(Deserialize)]
pub struct Version {
    #[serde(rename = "api-version")]
    api_version: Option<String>,
}

/// Answers `az cloud register` (an object) and `ARM_CLOUD_METADATA_URL` (an array, by its older version).
pub async fn metadata(Extension(Origin(origin)): Extension<Origin>, Query(version): Query<Version>) -> Json<Value> {
    let cloud = cloud::metadata(&origin);
    Json(if version.api_version.as_deref() == Some("2019-05-01") { json!([cloud]) } else { cloud })
}

/// Answers OpenID Connect's discovery.
pub async fn openid(Extension(Origin(origin)): Extension<Origin>) -> Json<Value> {
    Json(json!({
        "issuer": format!("{origin}/adfs"),
        "authorization_endpoint": format!("{origin}/adfs/oauth2/authorize"),
        "token_endpoint": format!("{origin}/adfs/oauth2/token"),
        "device_authorization_endpoint": format!("{origin}/adfs/oauth2/devicecode"),
        "token_endpoint_auth_methods_supported": ["client_secret_post"],
        "grant_types_supported": [
            "client_credentials", "password", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code",
        ],
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "scopes_supported": ["openid", "profile", "offline_access"],
    }))
}

/// Answers `az login --tenant NAME`: it reads the tenant's id out of the issuer's path.
pub async fn tenant_openid(State(identity): State<Identity>, Extension(origin): Extension<Origin>) -> Json<Value> {
    let issuer = format!("{}/{}/v2.0", origin.0, identity.tenant());
    let Json(mut document) = openid(Extension(origin)).await;
    document["issuer"] = issuer.into();
    Json(document)
}

/// There is no page to log in on: `az login` without a flag ends here.
pub async fn authorize() -> Response {
    let message = "there is no page to log in on; use `az login --use-device-code`, `az login --service-principal`, or \
                   `az login -u USER -p PASSWORD`";
    refuse(StatusCode::NOT_IMPLEMENTED, "InteractiveLoginNotAvailable", message)
}

/// What a person sees who opens the address that a device login names.
pub async fn device_page() -> &'static str {
    "To approve this login, run on the machine itself:\n\n    pillion principal approve CODE --as NAME\n\n\
     with the code that the program shows, and the principal that it is to act as.\n"
}
