//! The token endpoint: each grant type, from its form to its tokens.

use std::collections::HashMap;

use axum::{
    Extension, Json,
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::{HeaderValue, header::CACHE_CONTROL},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use pillion_identity::{Identity, Principal};
use serde_json::{Value, json};

use super::{AZ_CLIENT, failure::GrantError, resource::audience_of};
use crate::front::{Origin, Peer};

const DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// `POST …/token`.
pub async fn token(
    State(identity): State<Identity>,
    Extension(Peer(peer)): Extension<Peer>,
    Extension(Origin(origin)): Extension<Origin>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let answered = async {
        let form = Form::read(body)?;
        let address = peer.ip().to_string();
        grant(&identity, &form, &origin, &address).await
    };
    private(answered.await.map(Json))
}

/// `POST …/devicecode`.
pub async fn device_code(
    State(identity): State<Identity>,
    Extension(Origin(origin)): Extension<Origin>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let answered = Form::read(body).and_then(|form| {
        audience_of(form.get("scope"), form.get("resource"), &origin)?;
        let code = identity.begin_device_login();
        let page = format!("{origin}/adfs/oauth2/deviceauth");
        Ok(Json(json!({
            "user_code": code.user_code,
            "device_code": code.device_code,
            "verification_uri": page,
            "expires_in": code.expires_in,
            "interval": code.interval,
            "message": format!(
                "To let this login in, run on the machine itself: pillion principal approve {} --as NAME", code.user_code,
            ),
        })))
    });
    private(answered)
}

async fn grant(identity: &Identity, form: &Form, origin: &str, address: &str) -> Result<Value, GrantError> {
    let audience = audience_of(form.get("scope"), form.get("resource"), origin)?;
    let kind = form.need("grant_type")?;
    let (principal, refresh) = match kind {
        "client_credentials" => {
            let (id, secret) = (form.need("client_id")?, form.need("client_secret")?);
            (identity.log_in_service(id, secret, address).await?, None)
        }
        "password" => {
            let (user, password) = (form.need("username")?, form.need("password")?);
            let principal = identity.log_in_user(user, password, address).await?;
            let refresh = identity.begin_session(&principal).await?;
            (principal, Some(refresh))
        }
        DEVICE => {
            // Microsoft's libraries send it twice, once under the older name.
            let code = form.get("device_code").map_or_else(|| form.need("code"), Ok)?;
            let principal = identity.ask_device_login(code, address).await?;
            let refresh = identity.begin_session(&principal).await?;
            (principal, Some(refresh))
        }
        "refresh_token" => {
            let token = form.need("refresh_token")?;
            (identity.refresh(token).await?, Some(token.to_owned()))
        }
        other => return Err(GrantError::GrantType(other.chars().take(64).collect())),
    };
    let access = identity.issue(&principal, audience)?;
    let mut answer = json!({
        "token_type": "Bearer",
        "scope": form.get("scope").unwrap_or_default(),
        "expires_in": access.expires_in,
        "ext_expires_in": access.expires_in,
        "access_token": access.token,
    });
    if let Some(refresh) = refresh {
        let client = form.get("client_id").unwrap_or(AZ_CLIENT);
        answer["refresh_token"] = refresh.into();
        answer["id_token"] = identity.issue_id(&principal, &format!("{origin}/adfs"), client)?.into();
        answer["client_info"] = client_info(identity, &principal).into();
    }
    Ok(answer)
}

/// Where Microsoft's libraries look for the account's id.
fn client_info(identity: &Identity, principal: &Principal) -> String {
    URL_SAFE_NO_PAD.encode(json!({ "uid": principal.id, "utid": identity.tenant() }).to_string())
}

/// Tokens are for whoever asked, not for caches on the way.
fn private(answered: impl IntoResponse) -> Response {
    let mut response = answered.into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The fields of a form; the first of a name counts.
struct Form(HashMap<String, String>);

impl Form {
    fn read(body: Result<Bytes, BytesRejection>) -> Result<Form, GrantError> {
        let body = body.map_err(|_| GrantError::Form)?;
        let mut fields = HashMap::new();
        for (name, value) in form_urlencoded::parse(&body) {
            fields.entry(name.into_owned()).or_insert_with(|| value.into_owned());
        }
        Ok(Form(fields))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn need(&self, name: &'static str) -> Result<&str, GrantError> {
        self.get(name).filter(|value| !value.is_empty()).ok_or(GrantError::Missing(name))
    }
}
