//! The one subscription, and lists of what is in it.

use axum::http::Method;
use pillion_arm::{ArmError, Operator, ResourceId, ResourceKind, check_tag, conditions};
use pillion_azure::{LOCATION, OperationId, OperationState, providers};
use pillion_identity::Access;
use serde_json::{Value, json};

use super::{Answer, Arm, Call, answer::page, catalogue, paging::paged, provider};

pub(crate) async fn answer(arm: &Arm, call: &Call, id: &ResourceId) -> Result<Answer, ArmError> {
    let azure = &arm.azure;
    if !id.name().eq_ignore_ascii_case(&azure.settings().subscription) {
        let message = format!("The subscription '{}' could not be found.", id.name());
        return Err(ArmError::new(404, "SubscriptionNotFound", message));
    }
    match (&call.method, call.rest().as_slice()) {
        (&Method::GET | &Method::HEAD, []) => Ok(Answer::ok(shown(arm))),
        (&Method::GET, ["locations"]) => Ok(page(vec![location(id)], None)),
        (&Method::GET, ["resourcegroups"]) => {
            let groups = azure.list(&call.caller, id, &ResourceKind::Group).await?;
            let tag = TagFilter::read(call.parameter("$filter").unwrap_or_default())?;
            paged(call, groups.into_iter().filter(|group| tag.admits(group)).collect())
        }
        (&Method::GET, ["resources"]) => {
            let filter = call.parameter("$filter").unwrap_or_default();
            paged(call, azure.resources(&call.caller, id, filter).await?)
        }
        (&Method::GET, ["operationresults", operation]) => operation_result(arm, call, operation),
        (&Method::GET, ["providers"]) => Ok(page(providers::all(id), None)),
        (&Method::GET, ["providers", namespace]) => {
            providers::of_namespace(id, namespace).map(Answer::ok).ok_or_else(|| no_such_namespace(call))
        }
        (&Method::POST, ["providers", namespace, "register"]) => {
            providers::of_namespace(id, namespace).map(Answer::ok).ok_or_else(|| no_such_namespace(call))
        }
        (&Method::POST, ["providers", "microsoft.web", "checknameavailability"]) => {
            azure.name_available(&call.caller, id, &call.json()?).map(Answer::ok)
        }
        (&Method::GET, ["providers", "microsoft.web", "georegions"]) => Ok(page(vec![catalogue::region(id)], None)),
        (&Method::GET, ["providers", "microsoft.web", "webappstacks"]) => Ok(page(catalogue::stacks(), None)),
        (&Method::GET, ["providers", namespace, kind]) => match provider::listed(namespace, kind) {
            Some(kind) => paged(call, azure.list(&call.caller, id, &kind).await?),
            None => Err(call.no_such_path()),
        },
        (_, [] | ["locations" | "resourcegroups" | "resources" | "providers"] | ["providers", _] | ["providers", _, _]) => {
            Err(call.method_not_allowed())
        }
        (_, _) => Err(call.no_such_path()),
    }
}

/// How `GET /subscriptions` shows it.
pub(crate) fn shown(arm: &Arm) -> Value {
    let settings = arm.azure.settings();
    json!({
        "id": format!("/subscriptions/{}", settings.subscription),
        "subscriptionId": settings.subscription,
        "tenantId": settings.tenant,
        "displayName": "pillion",
        "state": "Enabled",
        "authorizationSource": "RoleBased",
        "managedByTenants": [],
        "subscriptionPolicies": { "locationPlacementId": "Public_2014-09-01", "quotaId": "Pillion", "spendingLimit": "Off" },
    })
}

fn location(id: &ResourceId) -> Value {
    json!({
        "id": format!("{id}/locations/{LOCATION}"),
        "name": LOCATION,
        "type": "Region",
        "displayName": "Local",
        "regionalDisplayName": "Local",
        "metadata": {
            "regionType": "Physical", "regionCategory": "Recommended", "geographyGroup": "Local", "geography": "Local",
            "longitude": "0", "latitude": "0", "physicalLocation": "This machine", "pairedRegion": [],
        },
    })
}

fn no_such_namespace(call: &Call) -> ArmError {
    let name = call.rest_as_given.get(1).map(String::as_str).unwrap_or_default();
    ArmError::new(404, "InvalidResourceNamespace", format!("The resource namespace '{name}' is invalid."))
}

/// `tagName eq 'a' and tagValue eq 'b'`, the only filter that groups take.
#[derive(Default)]
struct TagFilter {
    name: Option<String>,
    value: Option<String>,
}

impl TagFilter {
    fn read(filter: &str) -> Result<TagFilter, ArmError> {
        let mut tag = TagFilter::default();
        for condition in conditions(filter)? {
            match (condition.field.as_str(), condition.operator) {
                ("tagname", Operator::Equal) => tag.name = Some(condition.value),
                ("tagvalue", Operator::Equal) => tag.value = Some(condition.value),
                (_, _) => return Err(condition.refused("groups are filtered by tagName and tagValue with eq")),
            }
        }
        check_tag(tag.name.as_ref(), tag.value.as_ref())?;
        Ok(tag)
    }

    fn admits(&self, group: &Value) -> bool {
        let Some(name) = &self.name else { return true };
        let mut tags = group["tags"].as_object().into_iter().flatten();
        tags.any(|(tag, found)| {
            tag.eq_ignore_ascii_case(name) && self.value.as_ref().is_none_or(|value| found.as_str() == Some(value.as_str()))
        })
    }
}

fn operation_result(arm: &Arm, call: &Call, id: &str) -> Result<Answer, ArmError> {
    let absent = || ArmError::new(404, "OperationNotFound", "There is no such operation, or it ended long ago.");
    let operation = arm.azure.operation(&OperationId(id.to_owned())).ok_or_else(absent)?;
    // Whoever asked for it may follow it, though the scope be gone.
    let own = operation.principal == call.caller.principal;
    if !own && !call.caller.may(Access::Read, operation.scope().key()) {
        return Err(absent());
    }
    match operation.progress {
        OperationState::Running => Ok(Answer::accepted(&arm.azure.settings().subscription, &operation.id)),
        OperationState::Succeeded { body: None } => Ok(Answer::empty(200)),
        OperationState::Succeeded { body: Some(body) } => Ok(Answer::ok(body)),
        OperationState::Failed { status, code, message } => Err(ArmError::new(status, code, message)),
    }
}
