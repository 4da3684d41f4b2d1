//! Sites and slots beyond what every resource takes: actions, credentials, instances, status, metrics.

use axum::http::Method;
use pillion_arm::{ArmError, ResourceId, ResourceKind};
use pillion_azure::{Action, SwapAction};
use serde_json::{Value, json};

use super::{Answer, Arm, Call, answer::page, logs, metrics, paging::paged, provider, resource};

pub(crate) async fn answer(arm: &Arm, call: &Call, id: &ResourceId) -> Result<Answer, ArmError> {
    let azure = &arm.azure;
    let caller = &call.caller;
    match (&call.method, call.rest().as_slice()) {
        (_, []) => resource::itself(arm, call, id).await,
        (&Method::POST, [word]) if Action::parse(word).is_some() => {
            let Some(action) = Action::parse(word) else { return Err(call.no_such_path()) };
            azure.action(caller, id, action).await?;
            Ok(Answer::empty(200))
        }
        (&Method::POST, [word]) if SwapAction::parse(word).is_some() => {
            let Some(action) = SwapAction::parse(word) else { return Err(call.no_such_path()) };
            let operation = azure.swap(caller, id, action, &call.json()?).await?;
            let subscription = id.subscription_name().unwrap_or_default();
            Ok(operation.map_or_else(|| Answer::empty(200), |operation| Answer::accepted(subscription, &operation)))
        }
        (&Method::POST, ["publishxml"]) => azure.publish_profile(caller, &arm.identity, id).map(Answer::xml),
        (&Method::POST, ["publishingcredentials", "list"]) => {
            azure.publishing_credentials(caller, &arm.identity, id).map(Answer::ok)
        }
        (&Method::GET, ["sitecontainers"]) => paged(call, azure.list(caller, id, &ResourceKind::SiteContainer).await?),
        (&Method::GET, ["slots"]) => paged(call, azure.list(caller, id, &ResourceKind::Slot).await?),
        (&Method::GET, ["basicpublishingcredentialspolicies"]) => {
            let mut policies = Vec::new();
            for name in ["ftp", "scm"] {
                policies.push(azure.get(caller, &id.child("basicPublishingCredentialsPolicies", name)).await?.0);
            }
            Ok(page(policies, None))
        }
        (&Method::GET, ["config"]) => {
            let web = azure.get(caller, &id.config(pillion_arm::ConfigName::Web)).await?;
            Ok(page(vec![web.0], None))
        }
        (&Method::GET, ["instances"]) => Ok(page(azure.instances(caller, id).await?, None)),
        (&Method::GET, ["sitestatus"]) => {
            let all = azure.site_status(caller, id).await?;
            Ok(Answer::ok(document(id, "siteStatus", Value::Array(all))))
        }
        (
            &Method::GET,
            [
                "deployments" | "processes" | "webjobs" | "triggeredwebjobs" | "continuouswebjobs" | "backups"
                | "publiccertificates",
            ],
        ) => {
            azure.status_of(caller, id).await?;
            Ok(page(Vec::new(), None))
        }
        (&Method::GET, ["hostnamebindings"]) => {
            let (body, _) = azure.get(caller, id).await?;
            let name = body["properties"]["defaultHostName"].as_str().unwrap_or_default().to_owned();
            let binding = json!({
                "id": format!("{id}/hostNameBindings/{name}"), "name": format!("{}/{name}", id.full_name()),
                "type": format!("{}/hostNameBindings", id.type_name()),
                "properties": { "siteName": id.full_name(), "hostNameType": "Verified", "sslState": null, "thumbprint": null },
            });
            Ok(page(vec![binding], None))
        }
        (&Method::GET, ["providers", "microsoft.insights", "metrics"]) => metrics::values(arm, call, id).await,
        (&Method::GET, ["providers", "microsoft.insights", "metricdefinitions"]) => metrics::definitions(arm, call, id),
        (&Method::POST, ["containerlogs"]) => logs::text(arm, caller, id).await,
        (
            _,
            [
                "start"
                | "stop"
                | "restart"
                | "slotsswap"
                | "applyslotconfig"
                | "resetslotconfig"
                | "publishxml"
                | "sitecontainers"
                | "slots"
                | "basicpublishingcredentialspolicies"
                | "config"
                | "instances"
                | "sitestatus"
                | "deployments"
                | "hostnamebindings",
            ],
        ) => Err(call.method_not_allowed()),
        (_, _) => Err(call.no_such_path()),
    }
}

/// What lies below a site and is no resource that is stored.
pub(crate) async fn beside(arm: &Arm, call: &Call, id: &ResourceId, kind: &str) -> Result<Answer, ArmError> {
    let azure = &arm.azure;
    let caller = &call.caller;
    let Some(site) = id.site_or_slot() else { return other(arm, call, id, kind).await };
    let below = kind.trim_start_matches("microsoft.web/sites/").trim_start_matches("slots/");
    match (&call.method, below, call.rest().as_slice()) {
        (&Method::POST, "config", ["list"]) if id.name().eq_ignore_ascii_case("publishingcredentials") => {
            azure.publishing_credentials(caller, &arm.identity, &site).map(Answer::ok)
        }
        (&Method::POST, "config", ["list"]) if id.name().eq_ignore_ascii_case("backup") => Err(ArmError::not_found(id)),
        (&Method::GET, "instances", []) => {
            let found = azure.instances(caller, &site).await?.into_iter().find(|one| one["name"].as_str() == Some(id.name()));
            found.map(Answer::ok).ok_or_else(|| ArmError::not_found(id))
        }
        (&Method::GET, "instances", ["deployments"]) => {
            azure.status_of(caller, &site).await?;
            Ok(page(Vec::new(), None))
        }
        (&Method::POST, "containerlogs", ["download"]) if id.name().eq_ignore_ascii_case("zip") => {
            logs::archive(arm, caller, &site).await
        }
        (&Method::GET, "sitestatus", []) => {
            let found =
                azure.site_status(caller, &site).await?.into_iter().find(|one| one["instanceId"].as_str() == Some(id.name()));
            found.map(|one| Answer::ok(document(&site, "siteStatus", one))).ok_or_else(|| ArmError::not_found(id))
        }
        (&Method::GET, "deploymentstatus", []) => azure.deployment_status(caller, &site, id.name()).await.map(Answer::ok),
        (&Method::GET, "sourcecontrols", []) => {
            azure.status_of(caller, &site).await?;
            Ok(Answer::ok(json!({
                "id": id.to_string(), "name": site.full_name(), "type": id.type_name(),
                "properties": { "repoUrl": null, "branch": null, "isManualIntegration": false, "isGitHubAction": false,
                    "deploymentRollbackEnabled": false, "isMercurial": false, "provisioningState": "Succeeded" },
            })))
        }
        (&Method::PUT, "extensions" | "instances/extensions", []) => {
            if !caller.may(pillion_identity::Access::Write, site.key()) {
                return Err(ArmError::new(403, "AuthorizationFailed", "The client may not deploy to this site."));
            }
            azure.status_of(caller, &site).await?;
            let message = "Deployments of code are not there yet: run the code as a container image.";
            Err(ArmError::new(501, "NotImplemented", message))
        }
        (&Method::GET, "deployments" | "hostnamebindings" | "privateaccess" | "virtualnetworkconnections" | "backups", []) => {
            azure.status_of(caller, &site).await?;
            Err(ArmError::not_found(id))
        }
        (_, _, _) => {
            // Whether there is such a site is not for everybody to know.
            azure.status_of(caller, &site).await?;
            Err(call.no_such_path())
        }
    }
}

/// What belongs to no site.
async fn other(arm: &Arm, call: &Call, id: &ResourceId, kind: &str) -> Result<Answer, ArmError> {
    match (&call.method, kind, call.rest().as_slice()) {
        (&Method::GET, "microsoft.insights/eventtypes", ["values"]) => {
            let filter = call.parameter("$filter").unwrap_or_default();
            paged(call, arm.azure.activity(&call.caller, filter).await?)
        }
        (&Method::GET, "microsoft.web/publishingusers", []) => Ok(provider::publishing_user()),
        (_, _, _) => {
            arm.azure.known(&call.caller, id)?;
            Err(call.no_such_path())
        }
    }
}

fn document(site: &ResourceId, name: &str, properties: Value) -> Value {
    json!({ "id": format!("{site}/{name}"), "name": name, "type": format!("{}/{name}", site.type_name()), "properties": properties })
}
