//! The sites' own pages, below `/_scm/{site}`.

use axum::{Router, http::StatusCode};
use pillion_azure::Azure;
use pillion_identity::Identity;

use crate::front::refuse;

/// Routes of the sites' own pages.
pub fn router(_azure: Azure, _identity: Identity) -> Router {
    Router::new().fallback(|| async { refuse(StatusCode::NOT_FOUND, "NotFound", "there is no such path") })
}
