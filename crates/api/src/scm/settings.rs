//! `/api/settings`: the site's app settings, changed as `az webapp config appsettings` changes them.

use axum::{
    Json,
    body::Body,
    extract::Request,
    http::{Method, StatusCode},
    response::{IntoResponse, Response},
};
use pillion_arm::ConfigName;
use pillion_azure::Etag;
use pillion_identity::{Caller, Grant, Role, Scope};
use serde_json::{Map, Value, json};

use super::{Scm, answer::Refusal, site::Call};

const MOST_BODY: usize = 4 << 20;
/// Tries of a change that others come before.
const TRIES: usize = 10;

pub(super) async fn answer(scm: &Scm, call: &Call, request: Request<Body>) -> Result<Response, Refusal> {
    let method = request.method().clone();
    match (method, call.rest.get(2..).unwrap_or_default()) {
        (Method::GET | Method::HEAD, []) => Ok(Json(read(scm, call).await?.0).into_response()),
        (Method::GET | Method::HEAD, [name]) => {
            let (settings, _) = read(scm, call).await?;
            settings.get(name).map(|value| Json(value).into_response()).ok_or_else(|| absent(name))
        }
        (Method::POST, []) => {
            let mut given = given(request).await?;
            // Null is not given.
            given.retain(|_, value| !value.is_null());
            change(scm, call, |settings| {
                settings.extend(given.clone());
                Ok(())
            })
            .await
        }
        (Method::DELETE, [name]) => {
            change(scm, call, |settings| match settings.shift_remove(name) {
                Some(_) => Ok(()),
                None => Err(absent(name)),
            })
            .await
        }
        (_, []) => Err(Refusal::NotAllowed { message: "the settings take GET and POST".to_owned(), allowed: "GET, HEAD, POST" }),
        (_, _) => Err(Refusal::NotAllowed { message: "a setting takes GET and DELETE".to_owned(), allowed: "GET, HEAD, DELETE" }),
    }
}

/// Reads the app settings and their etag.
pub(super) async fn read(scm: &Scm, call: &Call) -> Result<(Map<String, Value>, Option<Etag>), Refusal> {
    // The caller was let in by the site's own credential or role, which is enough for its own settings.
    let id = call.site.config(ConfigName::AppSettings);
    let (listed, etag) = scm.azure.values(&Caller::machine(), &id).await?;
    Ok((listed["properties"].as_object().cloned().unwrap_or_default(), etag))
}

/// Reads what is to be merged in: an object of texts, or of what is written as one.
async fn given(request: Request<Body>) -> Result<Map<String, Value>, Refusal> {
    let bytes = axum::body::to_bytes(request.into_body(), MOST_BODY).await;
    let bytes = bytes.map_err(|_| Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "BodyTooLarge", "the settings are too long"))?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Refusal::bad_request("BodyInvalid", format!("not an object of settings: {error}")))
}

async fn change(
    scm: &Scm,
    call: &Call,
    change: impl Fn(&mut Map<String, Value>) -> Result<(), Refusal>,
) -> Result<Response, Refusal> {
    let id = call.site.config(ConfigName::AppSettings);
    let caller = writer(call);
    let mut tries = 0;
    loop {
        let (mut settings, etag) = read(scm, call).await?;
        change(&mut settings)?;
        // Settings that nobody has written yet have the etag 0.
        let etag = etag.map_or("0".to_owned(), |etag| etag.to_string());
        match scm.azure.put(&caller, &id, json!({ "properties": settings }), Some(&etag)).await {
            Ok(_) => return Ok(StatusCode::NO_CONTENT.into_response()),
            Err(error) if error.status == 412 && tries < TRIES => tries += 1,
            Err(error) => return Err(error.into()),
        }
    }
}

/// The caller, as one who may write what belongs to the site: whoever was let in here may.
fn writer(call: &Call) -> Caller {
    let scope = Scope::of_path(&call.site.to_string());
    Caller { grants: vec![Grant { role: Role::Contributor, scope }], ..call.caller.clone() }
}

fn absent(name: &str) -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "SettingNotFound", format!("the site has no setting `{name}`"))
}
