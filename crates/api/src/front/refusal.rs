//! A refusal of the endpoint in both shapes that Azure's programs read.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::json;

/// Makes one; never text, which `az` would print as an object of Python's.
pub fn refuse(status: StatusCode, code: &str, message: &str) -> Response {
    let body = json!({
        "error": { "code": code, "message": message, "details": [] },
        "Code": code, "Message": message, "Target": null, "Details": [], "Innererror": null,
    });
    (status, Json(body)).into_response()
}
