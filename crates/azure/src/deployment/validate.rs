//! `validate`: whether a deployment could begin, with every resource checked as a PUT of it would be.

use std::sync::Arc;

use pillion_arm::{ArmError, ResourceId};
use pillion_identity::Caller;
use serde_json::Value;

use super::{foresee::foresee, prepare::Prepared, service::Inner, shapes};

/// Answers with the deployment as it would be shown.
///
/// # Errors
/// Everything that is wrong, in the details of one error.
pub(crate) async fn validate(inner: &Arc<Inner>, caller: &Caller, prepared: &Prepared) -> Result<Value, ArmError> {
    let foresight = foresee(inner, caller, prepared).await?;
    let record = &prepared.record;
    let mut wrong = Vec::new();
    let mut valid: Vec<ResourceId> = Vec::new();
    for write in foresight.writes {
        match write.outcome {
            Ok(_) => valid.push(write.id),
            // What is wrong may be the expression that stands where its value will.
            Err(_) if !write.known => valid.push(write.id),
            Err(error) => wrong.push(error),
        }
    }
    if wrong.is_empty() {
        return Ok(shapes::validated(record, &valid));
    }
    let message = format!(
        "The template deployment '{}' is not valid according to the validation procedure. The tracking id is '{}'. See inner errors for details.",
        record.id.name(),
        record.correlation,
    );
    Err(ArmError::new(400, "InvalidTemplateDeployment", message).because(wrong))
}
