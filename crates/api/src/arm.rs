//! The resource manager's facade: ARM over HTTP. Every request comes with its proven `Caller` as an extension.

use axum::{Extension, Json, Router, extract::State, http::StatusCode, routing::get};
use pillion_azure::Azure;
use pillion_identity::{Caller, Identity};
use serde_json::{Value, json};

use crate::front::refuse;

#[derive(Clone)]
struct Behind {
    #[allow(dead_code)]
    azure: Azure,
    identity: Identity,
}

/// Routes of the resource manager.
pub fn router(azure: Azure, identity: Identity) -> Router {
    Router::new()
        .route("/subscriptions", get(subscriptions))
        .route("/tenants", get(tenants))
        .fallback(|| async { refuse(StatusCode::NOT_FOUND, "NotFound", "there is no such path") })
        .with_state(Behind { azure, identity })
}

async fn subscriptions(State(behind): State<Behind>, Extension(caller): Extension<Caller>) -> Json<Value> {
    let id = behind.identity.subscription();
    let path = format!("/subscriptions/{id}");
    let seen = caller.may_see_below(&path).then(|| {
        json!({
            "id": path, "subscriptionId": id, "tenantId": behind.identity.tenant(), "displayName": "pillion",
            "state": "Enabled", "authorizationSource": "RoleBased", "managedByTenants": [],
            "subscriptionPolicies": { "locationPlacementId": "local", "quotaId": "local", "spendingLimit": "Off" },
        })
    });
    Json(json!({ "value": seen.into_iter().collect::<Vec<_>>(), "nextLink": null }))
}

async fn tenants(State(behind): State<Behind>) -> Json<Value> {
    let id = behind.identity.tenant();
    let tenant =
        json!({ "id": format!("/tenants/{id}"), "tenantId": id, "displayName": "pillion", "defaultDomain": "pillion.localhost" });
    Json(json!({ "value": [tenant], "nextLink": null }))
}
