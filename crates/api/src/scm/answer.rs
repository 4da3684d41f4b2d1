//! Refusals and answers of the sites' own pages.

use axum::{
    body::Body,
    http::{
        HeaderValue, StatusCode,
        header::{ALLOW, CONTENT_TYPE, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};
use futures::stream::BoxStream;
use pillion_arm::ArmError;
use pillion_control::{ControlError, ErrorKind};
use pillion_fault::Words;
use pillion_identity::AuthError;

pub(super) use crate::container_logs::time;
use crate::{authority::unauthorised, container_logs::LogsError, front::refuse};

/// An answer that is not a success.
#[derive(Debug)]
pub(super) enum Refusal {
    Said {
        status: StatusCode,
        code: String,
        message: String,
    },
    /// What is there does not take the request's method.
    NotAllowed {
        message: String,
        allowed: &'static str,
    },
    /// Who asks has not proven who they are.
    Unproven {
        error: AuthError,
        origin: String,
    },
}

impl Refusal {
    pub(super) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Refusal {
        Refusal::Said { status, code: code.to_owned(), message: message.into() }
    }

    pub(super) fn bad_request(code: &str, message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// The sentence alone, for where a stream has begun already.
    pub(super) fn message(&self) -> String {
        match self {
            Refusal::Said { message, .. } | Refusal::NotAllowed { message, .. } => message.clone(),
            Refusal::Unproven { error, .. } => error.to_string(),
        }
    }
}

impl From<ArmError> for Refusal {
    fn from(error: ArmError) -> Refusal {
        let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Refusal::Said { status, code: error.code.to_string(), message: error.message }
    }
}

impl From<ControlError> for Refusal {
    fn from(error: ControlError) -> Refusal {
        let status = match error.kind() {
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::InTheWay | ErrorKind::Stale | ErrorKind::Exhausted | ErrorKind::Late => StatusCode::CONFLICT,
            ErrorKind::Invalid(_) | ErrorKind::Engine(_) => StatusCode::BAD_REQUEST,
            ErrorKind::Store(source) => {
                tracing::error!(error = source as &dyn std::error::Error, "the store failed");
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        let message = match error.hint_in(Words::AppService) {
            Some(hint) => format!("{error}; {hint}"),
            None => error.to_string(),
        };
        Refusal::new(status, error.code(), message)
    }
}

impl From<LogsError> for Refusal {
    fn from(error: LogsError) -> Refusal {
        match error {
            LogsError::Busy => Refusal::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", error.to_string()),
            LogsError::Control(error) => error.into(),
            LogsError::Pack(ref source) => {
                tracing::error!(error = source as &dyn std::error::Error, "the logs could not be packed");
                Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "ArchiveFailed", error.to_string())
            }
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Refusal::Said { status, code, message } => refuse(status, &code, &message),
            Refusal::NotAllowed { message, allowed } => {
                let mut response = refuse(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", &message);
                response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
                response
            }
            Refusal::Unproven { error, origin } => {
                let mut response = unauthorised(&error, &origin);
                if response.status() == StatusCode::UNAUTHORIZED {
                    response.headers_mut().append(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"site\""));
                }
                response
            }
        }
    }
}

/// Text as it comes.
pub(super) fn text_stream(lines: BoxStream<'static, String>) -> Response {
    use futures::StreamExt;
    let body = Body::from_stream(lines.map(Ok::<_, std::convert::Infallible>));
    let mut response = body.into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
