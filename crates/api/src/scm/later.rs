//! What comes with deployment of code, which is not there yet: said clearly, so that nobody waits for it.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::site::Call;
use crate::front::refuse;

/// Refuses a deployment.
pub(super) fn not_yet(path: &[&str]) -> Response {
    let what = match path {
        ["api", "zip" | "command", ..] => "this way of changing files is not available yet; /api/vfs is",
        _ => {
            "deploying code (zip, war, static files) is not available yet and comes in a later version; deploy a container image \
             instead: `az webapp sitecontainers create --image …`"
        }
    };
    refuse(StatusCode::NOT_IMPLEMENTED, "CodeDeploymentNotAvailable", what)
}

/// There are no deployments of code: an empty list, and no latest one.
pub(super) fn deployments(call: &Call, path: &[&str]) -> Response {
    match path {
        ["api", "deployments"] | ["deployments"] => Json(json!([])).into_response(),
        _ => refuse(StatusCode::NOT_FOUND, "NotFound", &format!("no code was ever deployed to {}", call.name)),
    }
}
