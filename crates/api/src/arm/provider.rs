//! Providers: which of their types are listed, and what stands above every subscription.

use axum::http::Method;
use pillion_arm::{ArmError, ResourceKind};
use serde_json::json;

use super::{Answer, Arm, Call, answer::page, catalogue, subscription};

/// Reads a namespace and a type as the kind of resource that is listed.
pub(crate) fn listed(namespace: &str, kind: &str) -> Option<ResourceKind> {
    match (namespace, kind) {
        ("microsoft.web", "sites") => Some(ResourceKind::Site),
        ("microsoft.web", "serverfarms") => Some(ResourceKind::Plan),
        ("microsoft.managedidentity", "userassignedidentities") => Some(ResourceKind::UserIdentity),
        ("microsoft.insights", "autoscalesettings") => Some(ResourceKind::Autoscale),
        _ => None,
    }
}

/// The user of publishing by user rather than by site: nobody.
pub(crate) fn publishing_user() -> Answer {
    Answer::ok(json!({
        "id": null, "name": "web", "type": "Microsoft.Web/publishingUsers/web",
        "properties": { "name": null, "publishingUserName": null, "publishingPassword": null, "publishingPasswordHash": null,
            "publishingPasswordHashSalt": null, "scmUri": null },
    }))
}

/// Paths without a subscription.
pub(crate) fn at_tenant(arm: &Arm, call: &Call) -> Result<Answer, ArmError> {
    let settings = arm.azure.settings();
    match (&call.method, call.rest().as_slice()) {
        (&Method::GET, ["subscriptions"]) => {
            let path = format!("/subscriptions/{}", settings.subscription);
            Ok(page(call.caller.may_see_below(&path).then(|| subscription::shown(arm)).into_iter().collect(), None))
        }
        (&Method::GET, ["tenants"]) => {
            let tenant = json!({
                "id": format!("/tenants/{}", settings.tenant), "tenantId": settings.tenant, "displayName": "pillion",
                "defaultDomain": "pillion.localhost", "tenantType": "AAD", "countryCode": "", "domains": ["pillion.localhost"],
            });
            Ok(page(vec![tenant], None))
        }
        (&Method::GET, ["providers", "microsoft.web", "webappstacks"]) => Ok(page(catalogue::stacks(), None)),
        (_, ["subscriptions" | "tenants"] | ["providers", "microsoft.web", "webappstacks"]) => Err(call.method_not_allowed()),
        (_, _) => Err(call.no_such_path()),
    }
}
