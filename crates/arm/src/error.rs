//! What an ARM call answers when it refuses: one body that both ARM's clients and App Service's read.

use std::{borrow::Cow, fmt};

use serde_json::{Value, json};

use crate::ResourceId;

/// A refusal with its HTTP status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArmError {
    pub status: u16,
    pub code: Cow<'static, str>,
    pub message: String,
    /// The field, such as `properties.targetPort`.
    pub target: Option<String>,
    pub details: Vec<ArmError>,
}

impl ArmError {
    pub fn new(status: u16, code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { status, code: code.into(), message: message.into(), target: None, details: Vec::new() }
    }

    /// A field that cannot be so: 400 `BadRequest`.
    pub fn bad_request(target: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message).at(target)
    }

    /// What is asked for contradicts what is there: 409 `Conflict`.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(409, "Conflict", message)
    }

    /// The id names nothing that is there: 404 `ResourceNotFound`, for a group `ResourceGroupNotFound`.
    pub fn not_found(id: &ResourceId) -> Self {
        if id.kind() == crate::ResourceKind::Group {
            return Self::group_not_found(id.name());
        }
        let group = id.group_name().map(|group| format!(" under resource group '{group}'")).unwrap_or_default();
        Self::new(404, "ResourceNotFound", format!("The Resource '{}/{}'{group} was not found.", id.type_name(), id.full_name()))
    }

    pub fn group_not_found(group: &str) -> Self {
        Self::new(404, "ResourceGroupNotFound", format!("Resource group '{group}' could not be found."))
    }

    /// The body is no object, or no JSON: 400 `InvalidRequestContent`.
    pub fn content(message: impl Into<String>) -> Self {
        Self::new(400, "InvalidRequestContent", message)
    }

    /// Names the field.
    #[must_use]
    pub fn at(mut self, target: impl Into<String>) -> Self {
        self.target = Some(target.into());
        self
    }

    /// Adds what lies behind it.
    #[must_use]
    pub fn because(mut self, details: Vec<ArmError>) -> Self {
        self.details = details;
        self
    }

    /// Returns the body: ARM's shape and App Service's in one.
    pub fn to_body(&self) -> Value {
        let details: Vec<Value> = self.details.iter().map(ArmError::to_arm).collect();
        let own: Vec<Value> = self
            .details
            .iter()
            .map(|detail| json!({ "Code": detail.code, "Message": detail.message, "Target": detail.target }))
            .collect();
        json!({
            "error": { "code": self.code, "message": self.message, "target": self.target, "details": details },
            "Code": self.code,
            "Message": self.message,
            "Target": self.target,
            "Details": own,
            "Innererror": null,
        })
    }

    /// Reads what [`ArmError::to_arm`] wrote; the status was not.
    pub fn from_arm(shown: &Value) -> ArmError {
        let text = |name: &str| shown[name].as_str().unwrap_or_default().to_owned();
        let error = Self::new(409, text("code"), text("message"));
        let error = match shown["target"].as_str() {
            Some(target) => error.at(target),
            None => error,
        };
        error.because(shown["details"].as_array().into_iter().flatten().map(Self::from_arm).collect())
    }

    /// Returns ARM's shape alone, as it stands in a deployment's `details`.
    pub fn to_arm(&self) -> Value {
        let details: Vec<Value> = self.details.iter().map(ArmError::to_arm).collect();
        json!({ "code": self.code, "message": self.message, "target": self.target, "details": details })
    }
}

impl fmt::Display for ArmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}) {}", self.code, self.message)
    }
}

impl std::error::Error for ArmError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_read_back_from_what_is_shown_of_it() {
        let cause = ArmError::new(409, "Inner", "It is so.").at("properties.a");
        let error = ArmError::new(409, "Outer", "It failed.").because(vec![cause]);
        assert_eq!(ArmError::from_arm(&error.to_arm()), error);
    }
}
