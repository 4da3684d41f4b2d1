//! What proves the caller of a request: the access token in `Authorization: Bearer`.

use axum::{
    Router,
    extract::{Request, State},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE},
    },
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use pillion_identity::{Audience, AuthError, Identity};

use crate::front::{Origin, refuse};

/// Lets requests through whose token for the resource manager is good, with their `Caller` as an extension.
pub fn require_caller(identity: Identity, router: Router) -> Router {
    router.layer(from_fn_with_state(identity, check))
}

/// Returns the token of `Authorization: Bearer TOKEN`.
pub fn bearer_of(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// Makes the answer to a request whose caller is not proven; it says where to log in.
pub fn unauthorised(error: &AuthError, origin: &str) -> Response {
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::UNAUTHORIZED);
    let mut response = refuse(status, error.code(), &format!("{error}."));
    if let AuthError::Throttled { seconds } = error
        && let Ok(seconds) = HeaderValue::try_from(seconds.to_string())
    {
        response.headers_mut().insert(RETRY_AFTER, seconds);
        return response;
    }
    let reason = match error {
        AuthError::Missing => String::new(),
        AuthError::Invalid
        | AuthError::Expired
        | AuthError::Audience
        | AuthError::Unknown(_)
        | AuthError::Credentials
        | AuthError::Throttled { .. } => {
            format!(", error=\"invalid_token\", error_description=\"{}\"", plain(&error.to_string()))
        }
    };
    let challenge = format!("Bearer authorization_uri=\"{origin}/adfs\"{reason}");
    if let Ok(challenge) = HeaderValue::try_from(challenge) {
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    response
}

async fn check(State(identity): State<Identity>, mut request: Request, next: Next) -> Response {
    let proven =
        bearer_of(request.headers()).ok_or(AuthError::Missing).and_then(|token| identity.authenticate(token, Audience::Arm));
    match proven {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(error) => {
            let origin = request.extensions().get::<Origin>().map(|origin| origin.0.clone()).unwrap_or_default();
            unauthorised(&error, &origin)
        }
    }
}

/// Text fit for a quoted string of a header.
fn plain(text: &str) -> String {
    text.chars().filter(|letter| letter.is_ascii() && !letter.is_ascii_control() && !matches!(letter, '"' | '\\')).collect()
}
