//! Resource groups, and lists of what is in one.

use axum::http::Method;
use pillion_arm::{ArmError, ResourceId};

use super::{Answer, Arm, Call, paging::paged, provider, resource};

pub(crate) async fn answer(arm: &Arm, call: &Call, id: &ResourceId) -> Result<Answer, ArmError> {
    match (&call.method, call.rest().as_slice()) {
        (_, []) => resource::itself(arm, call, id).await,
        (&Method::GET, ["resources"]) => {
            let filter = call.parameter("$filter").unwrap_or_default();
            paged(call, arm.azure.resources(&call.caller, id, filter).await?)
        }
        (&Method::GET, ["providers", namespace, kind]) => match provider::listed(namespace, kind) {
            Some(kind) => paged(call, arm.azure.list(&call.caller, id, &kind).await?),
            None => Err(call.no_such_path()),
        },
        (_, ["resources"] | ["providers", _, _]) => Err(call.method_not_allowed()),
        (_, _) => Err(call.no_such_path()),
    }
}
