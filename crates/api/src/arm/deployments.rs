//! Template deployments over HTTP.

use pillion_arm::ArmError;

use super::{Answer, Arm, Call};

/// Answers what is about deployments; none where the path is about something else.
pub(crate) async fn answer(_arm: &Arm, _call: &Call) -> Option<Result<Answer, ArmError>> {
    None
}
