//! How a refusal or failure becomes an answer: status, stable code, sentence, hint.

use axum::{
    Json,
    extract::rejection::{JsonRejection, PathRejection, QueryRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use pillion_control::ControlError;
use pillion_fault::Diagnosis;

use crate::wire::{ErrorBody, ProblemView};

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
        let status = match &error {
            ControlError::AppNotFound { .. }
            | ControlError::RevisionNotFound { .. }
            | ControlError::ContainerNotFound { .. }
            | ControlError::InstanceNotFound { .. } => StatusCode::NOT_FOUND,
            ControlError::NothingRuns { .. }
            | ControlError::BeingDeleted { .. }
            | ControlError::Owned { .. }
            | ControlError::Taken { .. }
            | ControlError::Stopped { .. } => StatusCode::CONFLICT,
            ControlError::Conflict { .. } => StatusCode::PRECONDITION_FAILED,
            ControlError::Invalid { .. } | ControlError::ScaleOutOfRange { .. } => StatusCode::BAD_REQUEST,
            ControlError::Engine { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            ControlError::PortsExhausted { .. } => StatusCode::SERVICE_UNAVAILABLE,
            ControlError::NotInTime { .. } => StatusCode::GATEWAY_TIMEOUT,
            ControlError::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let mut failure = Self::new(status, error.code(), error.to_string());
        failure.body.hint = error.hint();
        match error {
            ControlError::Invalid { problems, .. } => {
                failure.body.problems =
                    problems.into_iter().map(|p| ProblemView { path: p.path, message: p.message, hint: p.hint }).collect();
            }
            ControlError::Engine { diagnosis } => {
                failure.body.message = diagnosis.to_string();
                failure.body.hint = diagnosis.hint();
                failure.body.diagnosis = Some(diagnosis);
            }
            // The cause may name files of the server: it goes to the log, where an operator looks for it.
            ControlError::Store(source) => {
                tracing::error!(error = &source as &dyn std::error::Error, "the store failed");
                failure.body.hint = Some("the server's log says why".into());
            }
            ControlError::AppNotFound { .. }
            | ControlError::RevisionNotFound { .. }
            | ControlError::ContainerNotFound { .. }
            | ControlError::InstanceNotFound { .. }
            | ControlError::NothingRuns { .. }
            | ControlError::BeingDeleted { .. }
            | ControlError::Owned { .. }
            | ControlError::Taken { .. }
            | ControlError::Stopped { .. }
            | ControlError::Conflict { .. }
            | ControlError::ScaleOutOfRange { .. }
            | ControlError::PortsExhausted { .. }
            | ControlError::NotInTime { .. } => {}
        }
        failure
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
