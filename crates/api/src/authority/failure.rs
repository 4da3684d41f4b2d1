//! A login's refusal in the words that Azure's programs know (RFC 6749 §5.2, with Entra ID's codes).

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use pillion_identity::{IdentityError, LoginError, new_id};
use serde_json::json;

/// Why a login is refused.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    #[error("the request body must contain the parameter '{0}'")]
    Missing(&'static str),
    #[error("the grant type '{0}' is not supported")]
    GrantType(String),
    #[error("the resource '{0}' was not found; this server gives tokens for itself only")]
    Resource(String),
    #[error("the body is not a form")]
    Form,
    #[error("the body did not come whole within {0} s")]
    Slow(u64),
    #[error(transparent)]
    Login(#[from] LoginError),
}

impl From<IdentityError> for GrantError {
    fn from(error: IdentityError) -> Self {
        GrantError::Login(error.into())
    }
}

impl IntoResponse for GrantError {
    fn into_response(self) -> Response {
        let (status, error, code) = words(&self);
        let (trace, correlation) = (new_id(), new_id());
        let now = jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M:%SZ").to_string();
        let sentence = sentence(&self);
        let description = format!("AADSTS{code}: {sentence} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {now}");
        let body = json!({
            "error": error,
            "error_description": description,
            "error_codes": [code],
            "timestamp": now,
            "trace_id": trace,
            "correlation_id": correlation,
        });
        let mut response = (status, Json(body)).into_response();
        if let GrantError::Login(LoginError::Throttled { seconds }) = self
            && let Ok(seconds) = HeaderValue::try_from(seconds.to_string())
        {
            response.headers_mut().insert(RETRY_AFTER, seconds);
        }
        response
    }
}

fn words(error: &GrantError) -> (StatusCode, &'static str, u32) {
    let bad = StatusCode::BAD_REQUEST;
    match error {
        GrantError::Missing(_) => (bad, "invalid_request", 900_144),
        GrantError::Form => (bad, "invalid_request", 90_014),
        GrantError::Slow(_) => (StatusCode::REQUEST_TIMEOUT, "invalid_request", 90_014),
        GrantError::GrantType(_) => (bad, "unsupported_grant_type", 70_003),
        GrantError::Resource(_) => (bad, "invalid_resource", 500_011),
        GrantError::Login(error) => match error {
            LoginError::Client => (StatusCode::UNAUTHORIZED, "invalid_client", 7_000_215),
            LoginError::User => (bad, "invalid_grant", 50_126),
            LoginError::Throttled { .. } => (StatusCode::TOO_MANY_REQUESTS, "temporarily_unavailable", 90_055),
            LoginError::Pending => (bad, "authorization_pending", 70_016),
            LoginError::SlowDown => (bad, "slow_down", 70_016),
            LoginError::DeviceCode => (bad, "expired_token", 70_020),
            LoginError::Refresh => (bad, "invalid_grant", 700_082),
            LoginError::Identity(_) => (StatusCode::INTERNAL_SERVER_ERROR, "server_error", 90_033),
        },
    }
}

/// One sentence for people, with what to do where that is known.
fn sentence(error: &GrantError) -> String {
    match error {
        GrantError::Login(LoginError::Client) => {
            "Invalid client secret provided: the client id or the secret is not right, or the \
             principal was revoked. `pillion principal list` shows those there are, `pillion principal create` makes one."
                .to_owned()
        }
        GrantError::Login(LoginError::User) => "Error validating credentials due to invalid username or password.".to_owned(),
        GrantError::Login(LoginError::Identity(error)) => {
            tracing::error!(error = error as &dyn std::error::Error, "a login failed for a reason of the server's own");
            "The server could not complete the login; its log says why.".to_owned()
        }
        GrantError::Missing(_)
        | GrantError::GrantType(_)
        | GrantError::Resource(_)
        | GrantError::Form
        | GrantError::Slow(_)
        | GrantError::Login(
            LoginError::Throttled { .. }
            | LoginError::Pending
            | LoginError::SlowDown
            | LoginError::DeviceCode
            | LoginError::Refresh,
        ) => capitalised(&error.to_string()),
    }
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    let first: String = letters.next().map(|letter| letter.to_uppercase().collect()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}
