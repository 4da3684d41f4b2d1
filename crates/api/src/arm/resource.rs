//! What every resource takes: GET, HEAD, PUT, PATCH and DELETE, with the exact status that az accepts for its type.

use axum::http::Method;
use pillion_arm::{ArmError, ConfigName, ResourceId, ResourceKind};
use pillion_azure::Removal;

use super::{Answer, Arm, Call, metrics, paging::paged};

pub(crate) async fn answer(arm: &Arm, call: &Call, id: &ResourceId) -> Result<Answer, ArmError> {
    match (&call.method, id.kind(), call.rest().as_slice()) {
        (_, _, []) => itself(arm, call, id).await,
        (&Method::GET, ResourceKind::Plan, ["sites"]) => paged(call, arm.azure.sites_on(&call.caller, id).await?),
        (&Method::GET, ResourceKind::Plan, ["providers", "microsoft.insights", "metrics"]) => {
            metrics::values(arm, call, id).await
        }
        (&Method::GET, ResourceKind::Plan, ["providers", "microsoft.insights", "metricdefinitions"]) => {
            metrics::definitions(arm, call, id)
        }
        (&Method::POST, ResourceKind::SiteConfig(name), ["list"]) if name.listed() => {
            arm.azure.list_values(&call.caller, id).await.map(Answer::ok)
        }
        (_, ResourceKind::Plan, ["sites"]) | (_, ResourceKind::SiteConfig(_), ["list"]) => Err(call.method_not_allowed()),
        (_, _, _) => Err(call.no_such_path()),
    }
}

/// The resource itself, whatever its type.
pub(crate) async fn itself(arm: &Arm, call: &Call, id: &ResourceId) -> Result<Answer, ArmError> {
    let if_match = call.header("if-match");
    match call.method {
        Method::GET | Method::HEAD => {
            let (body, etag) = arm.azure.get(&call.caller, id).await?;
            Ok(Answer::ok(body).etag(etag))
        }
        Method::PUT => {
            if call.header("if-none-match").is_some_and(|given| given.trim() == "*") && arm.azure.peek(id).is_some() {
                return Err(ArmError::new(412, "PreconditionFailed", "The resource exists, and If-None-Match says it must not."));
            }
            let written = arm.azure.put(&call.caller, id, call.json()?, if_match).await?;
            let status = if written.created { created_status(id) } else { 200 };
            Ok(Answer::json(status, written.body).etag(Some(written.etag)))
        }
        Method::PATCH => {
            let written = arm.azure.patch(&call.caller, id, call.json()?, if_match).await?;
            Ok(Answer::json(200, written.body).etag(Some(written.etag)))
        }
        Method::DELETE => delete(arm, call, id).await,
        _ => Err(call.method_not_allowed()),
    }
}

/// 201 is an error to az for plans, sites and slots, and unknown to `config/*`.
fn created_status(id: &ResourceId) -> u16 {
    match id.kind() {
        ResourceKind::Group | ResourceKind::SiteContainer | ResourceKind::UserIdentity | ResourceKind::Autoscale => 201,
        ResourceKind::Plan
        | ResourceKind::Site
        | ResourceKind::Slot
        | ResourceKind::SiteConfig(
            ConfigName::Web
            | ConfigName::AppSettings
            | ConfigName::ConnectionStrings
            | ConfigName::SlotConfigNames
            | ConfigName::Logs
            | ConfigName::AzureStorageAccounts
            | ConfigName::Metadata,
        )
        | ResourceKind::PublishingPolicy
        | ResourceKind::Subscription
        | ResourceKind::Deployment
        | ResourceKind::Unknown(_) => 200,
    }
}

async fn delete(arm: &Arm, call: &Call, id: &ResourceId) -> Result<Answer, ArmError> {
    let keep_empty_plan = call.parameter("deleteemptyserverfarm").is_some_and(|text| text.eq_ignore_ascii_case("false"));
    let how = Removal { if_match: call.header("if-match").map(str::to_owned), keep_empty_plan };
    let deleted = arm.azure.delete(&call.caller, id, &how).await?;
    if let Some(operation) = &deleted.operation {
        return Ok(Answer::accepted(&arm.azure.settings().subscription, operation));
    }
    match (deleted.existed, id.kind()) {
        (true, _) => Ok(Answer::empty(200)),
        // az takes 404 as "there was none", which for a site is an error to show.
        (false, ResourceKind::Site | ResourceKind::Slot) => Err(ArmError::not_found(id)),
        (false, _) => Ok(Answer::empty(204)),
    }
}
