//! Answers with the headers that ARM's clients rely on; errors in both shapes, never plain text.

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::Response,
};
use pillion_arm::ArmError;
use pillion_azure::{Etag, OperationId, fresh_uuid};
use serde_json::{Map, Value};

/// A success.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Content,
    pub(crate) etag: Option<Etag>,
    /// Where to ask how far it is: a path to which the endpoint's address is added.
    pub(crate) location: Option<String>,
    pub(crate) async_operation: Option<String>,
}

#[derive(Debug)]
pub(crate) enum Content {
    None,
    Json(Value),
    Xml(String),
    /// A file of this type.
    File(&'static str, Body),
}

impl Answer {
    pub(crate) fn ok(body: Value) -> Answer {
        Answer::json(200, body)
    }

    pub(crate) fn json(status: u16, body: Value) -> Answer {
        Answer { status, body: Content::Json(body), etag: None, location: None, async_operation: None }
    }

    pub(crate) fn empty(status: u16) -> Answer {
        Answer { status, body: Content::None, etag: None, location: None, async_operation: None }
    }

    pub(crate) fn file(kind: &'static str, body: Body) -> Answer {
        Answer { body: Content::File(kind, body), ..Answer::empty(200) }
    }

    pub(crate) fn xml(text: String) -> Answer {
        Answer { body: Content::Xml(text), ..Answer::empty(200) }
    }

    /// 202 with where to ask.
    pub(crate) fn accepted(subscription: &str, operation: &OperationId) -> Answer {
        let location = format!("/subscriptions/{subscription}/operationresults/{}?api-version=2024-11-01", operation.0);
        Answer { location: Some(location), ..Answer::empty(202) }
    }

    pub(crate) fn etag(mut self, etag: Option<Etag>) -> Answer {
        self.etag = etag;
        self
    }
}

/// What an answer says of its request.
pub(crate) struct Head {
    pub(crate) correlation: String,
    client: Option<String>,
    /// `https://host:port`, as the client called.
    origin: String,
}

impl Head {
    pub(crate) fn of(request: &Request<Body>, endpoint: &str) -> Head {
        let plain = |name: &str| {
            let text = request.headers().get(name)?.to_str().ok()?;
            let plain = (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            plain.then(|| text.to_owned())
        };
        let origin = request.extensions().get::<crate::front::Origin>().map(|origin| origin.0.clone());
        Head {
            correlation: plain("x-ms-correlation-request-id").unwrap_or_else(fresh_uuid),
            client: plain("x-ms-client-request-id"),
            origin: origin.unwrap_or_else(|| format!("https://{endpoint}")),
        }
    }
}

pub(crate) fn respond(head: &Head, answered: Result<Answer, ArmError>, without_body: bool) -> Response {
    let (answer, challenge) = match answered {
        Ok(answer) => (answer, None),
        Err(refused) => {
            let challenge = (refused.status == 401).then(|| {
                format!(
                    "Bearer authorization_uri=\"{}/adfs\", error=\"invalid_token\", error_description=\"{}\"",
                    head.origin, refused.code
                )
            });
            (Answer::json(refused.status, refused.to_body()), challenge)
        }
    };
    let (body, kind) = match answer.body {
        Content::None => (Body::empty(), None),
        Content::Json(value) => (serde_json::to_vec(&value).unwrap_or_default().into(), Some("application/json; charset=utf-8")),
        Content::Xml(text) => (text.into(), Some("application/xml")),
        Content::File(kind, body) => (body, Some(kind)),
    };
    let mut status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    // HEAD of what exists is 204: there is nothing to read.
    if without_body && status == StatusCode::OK {
        status = StatusCode::NO_CONTENT;
    }
    let mut response = Response::new(if without_body { Body::empty() } else { body });
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    if let Some(kind) = kind.filter(|_| !without_body) {
        set(header::CONTENT_TYPE, kind);
    }
    set(header::CACHE_CONTROL, "no-cache");
    set(HeaderName::from_static("x-content-type-options"), "nosniff");
    set(HeaderName::from_static("x-ms-request-id"), &fresh_uuid());
    set(HeaderName::from_static("x-ms-correlation-request-id"), &head.correlation);
    if let Some(client) = &head.client {
        set(HeaderName::from_static("x-ms-client-request-id"), client);
    }
    if let Some(etag) = answer.etag {
        set(header::ETAG, &format!("\"{etag}\""));
    }
    if let Some(challenge) = challenge {
        set(header::WWW_AUTHENTICATE, &challenge);
    }
    if let Some(location) = answer.location {
        set(header::LOCATION, &format!("{}{location}", head.origin));
    }
    let polled = answer.async_operation.is_some();
    if let Some(poll) = answer.async_operation {
        set(HeaderName::from_static("azure-asyncoperation"), &format!("{}{poll}", head.origin));
    }
    if polled || matches!(answer.status, 201 | 202 | 429) {
        // Without it, and with 0, azure-core waits 30 s between its questions.
        set(header::RETRY_AFTER, "1");
    }
    response
}

/// One page of a list.
pub(crate) fn page(value: Vec<Value>, next: Option<String>) -> Answer {
    // `json!` would copy what may be thousands of resources.
    let mut body = Map::with_capacity(2);
    body.insert("value".into(), Value::Array(value));
    body.insert("nextLink".into(), next.map_or(Value::Null, Value::from));
    Answer::ok(Value::Object(body))
}
