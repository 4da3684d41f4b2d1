//! How a refusal or failure becomes an answer: status, stable code, sentence, hint.

use axum::{
    Json,
    extract::rejection::{JsonRejection, PathRejection, QueryRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use pillion_control::{ControlError, ErrorKind};
use pillion_fault::Diagnosis;

use crate::{
    definition::view,
    wire::{ErrorBody, ProblemView},
};

/// An answer that is not a success.
#[derive(Debug)]
pub struct Failure {
    status: StatusCode,
    body: Box<ErrorBody>,
}

impl Failure {
    /// Makes one with a stable code and a sentence.
    pub fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        let body =
            ErrorBody { code: code.to_owned(), message: message.into(), hint: None, problems: Vec::new(), diagnosis: None };
        Self { status, body: Box::new(body) }
    }

    pub fn bad_request(code: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// A definition with everything that is wrong with it.
    pub fn invalid(message: impl Into<String>, problems: Vec<ProblemView>) -> Self {
        let mut failure = Self::bad_request("DefinitionInvalid", message);
        failure.body.problems = problems;
        failure
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.body.hint = Some(hint.into());
        self
    }

    /// Gives the body alone, for streams whose status is already sent.
    pub fn into_body(self) -> Box<ErrorBody> {
        self.body
    }
}

impl From<Diagnosis> for Failure {
    fn from(diagnosis: Diagnosis) -> Self {
        let mut failure = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "EngineFailed", diagnosis.to_string());
        failure.body.hint = diagnosis.hint();
        failure.body.diagnosis = Some(Box::new(diagnosis));
        failure
    }
}

impl From<ControlError> for Failure {
    fn from(error: ControlError) -> Self {
        let failure = |status| {
            let mut failure = Self::new(status, error.code(), error.to_string());
            failure.body.hint = error.hint();
            failure
        };
        match error.kind() {
            ErrorKind::NotFound => failure(StatusCode::NOT_FOUND),
            ErrorKind::InTheWay => failure(StatusCode::CONFLICT),
            ErrorKind::Stale => failure(StatusCode::PRECONDITION_FAILED),
            ErrorKind::Invalid(problems) => {
                let mut failure = failure(StatusCode::BAD_REQUEST);
                failure.body.problems = problems.iter().map(view).collect();
                failure
            }
            ErrorKind::Engine(diagnosis) => diagnosis.clone().into(),
            ErrorKind::Exhausted => failure(StatusCode::SERVICE_UNAVAILABLE),
            ErrorKind::Late => failure(StatusCode::GATEWAY_TIMEOUT),
            // The cause may name files of the server: it goes to the log, where an operator looks for it.
            ErrorKind::Store(source) => {
                tracing::error!(error = source as &dyn std::error::Error, "the store failed");
                failure(StatusCode::INTERNAL_SERVER_ERROR).hint("the server's log says why")
            }
        }
    }
}

impl From<JsonRejection> for Failure {
    fn from(rejection: JsonRejection) -> Self {
        let status = rejection.status();
        let code = match status {
            StatusCode::PAYLOAD_TOO_LARGE => "BodyTooLarge",
            StatusCode::UNSUPPORTED_MEDIA_TYPE => "MediaTypeUnsupported",
            _ => "BodyInvalid",
        };
        let status = if status == StatusCode::UNPROCESSABLE_ENTITY { StatusCode::BAD_REQUEST } else { status };
        Self::new(status, code, rejection.body_text())
    }
}

impl From<QueryRejection> for Failure {
    fn from(rejection: QueryRejection) -> Self {
        Self::bad_request("QueryInvalid", rejection.body_text())
    }
}

impl From<PathRejection> for Failure {
    fn from(rejection: PathRejection) -> Self {
        Self::bad_request("NameInvalid", rejection.body_text())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.status, Json(self.body)).into_response()
    }
}
