//! Metrics of sites and plans.

use pillion_arm::{ArmError, ResourceId};

use super::{Answer, Arm, Call, answer::page};

pub(crate) async fn values(arm: &Arm, call: &Call, id: &ResourceId) -> Result<Answer, ArmError> {
    let asked = |name: &str| call.parameter(name).unwrap_or_default();
    let (names, span, interval) = (asked("metricnames"), asked("timespan"), asked("interval"));
    arm.azure.metrics(&call.caller, id, names, span, interval, asked("aggregation")).await.map(Answer::ok)
}

pub(crate) fn definitions(arm: &Arm, call: &Call, id: &ResourceId) -> Result<Answer, ArmError> {
    arm.azure.metric_definitions(&call.caller, id).map(|all| page(all, None))
}
