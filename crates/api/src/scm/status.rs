//! How a site's containers are, and how it is configured.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use pillion_control::{AppDocument, ControlError, InstanceView};
use pillion_model::{ContainerPhase, ContainerStatus};
use serde_json::{Value, json};

use super::{
    Scm,
    answer::{Refusal, time},
    settings,
    site::Call,
};

/// What a person sees who opens the address of these pages.
pub(super) fn welcome(call: &Call) -> Response {
    let base = call.base();
    Json(json!({
        "site": call.site.to_string(),
        "containers": format!("{base}/api/sitecontainers"),
        "logs": format!("{base}/api/logs/docker"),
        "logStream": format!("{base}/logstream"),
        "files": format!("{base}/api/vfs/"),
        "settings": format!("{base}/api/settings"),
    }))
    .into_response()
}

/// `GET /api/sitecontainers[/{name}]`: every container of every instance.
pub(super) async fn containers(scm: &Scm, call: &Call, only: Option<&String>) -> Result<Response, Refusal> {
    let status = call.status(scm).await?;
    let instance = call.instance(status.as_ref())?;
    let document = document(scm, call).await?;
    let mut all = Vec::new();
    for one in status.iter().flat_map(|status| &status.instances) {
        if instance.as_ref().is_some_and(|id| one.status.id != *id) {
            continue;
        }
        let wanted = |container: &&ContainerStatus| only.is_none_or(|name| container.name.as_str().eq_ignore_ascii_case(name));
        all.extend(one.status.containers.iter().filter(wanted).map(|container| shown(one, container, document.as_ref())));
    }
    let Some(name) = only else { return Ok(Json(all).into_response()) };
    let known = document.is_some_and(|d| d.definition.containers.keys().any(|key| key.as_str().eq_ignore_ascii_case(name)));
    if all.is_empty() && !known {
        let message = format!("the site has no container `{name}`");
        return Err(Refusal::new(StatusCode::NOT_FOUND, "ContainerNotFound", message));
    }
    Ok(Json(all).into_response())
}

/// `GET /api/troubleshoot/config`: what the running revision was made of.
pub(super) async fn configuration(scm: &Scm, call: &Call) -> Result<Response, Refusal> {
    let Some(status) = call.status(scm).await? else {
        return Err(Refusal::new(StatusCode::NOT_FOUND, "NoRevision", "the site has no main container yet"));
    };
    let instance = call.instance(Some(&status))?.or_else(|| status.instances.first().map(|one| one.status.id.clone()));
    let mut rows = Vec::new();
    let mut row = |setting: &str, value: String, details: String| {
        rows.push(json!({ "Setting": setting, "Value": value, "Details": details }));
    };
    if let Some(document) = document(scm, call).await? {
        row("Revision", document.revision.to_string(), String::new());
        for (name, container) in &document.definition.containers {
            let port = container.port.map(|port| format!("listens on {port}")).unwrap_or_default();
            let role = if container.main { "main" } else { "sidecar" };
            row(&format!("Container {name} ({role})"), container.image.to_string(), port);
        }
        row("Instances", status.wanted.to_string(), format!("{} ready", status.ready));
    }
    for name in settings::read(scm, call).await?.0.keys() {
        row(name, "set".to_owned(), "application setting; its value is not shown here".to_owned());
    }
    if let Some(diagnosis) = &status.diagnosis {
        row("Last error", diagnosis.fault.code().to_string(), diagnosis.to_string());
    }
    Ok(Json(json!({
        "InstanceId": instance.map(|id| id.to_string()),
        "WrittenAt": time(scm.identity.now_ms()),
        "Settings": rows,
    }))
    .into_response())
}

/// The newest definition; none where the site has none yet.
pub(super) async fn document(scm: &Scm, call: &Call) -> Result<Option<AppDocument>, Refusal> {
    match scm.azure.control().show(&call.app).await {
        Ok(document) => Ok(Some(document)),
        Err(ControlError::AppNotFound { .. }) => Ok(None),
        Err(other) => Err(other.into()),
    }
}

fn shown(instance: &InstanceView, status: &ContainerStatus, document: Option<&AppDocument>) -> Value {
    let defined = document.and_then(|document| document.definition.containers.get(status.name.as_str()));
    let told = instance.diagnoses.iter().find(|told| told.container.as_deref() == Some(status.name.as_str()));
    let (state, ready) = match &status.phase {
        ContainerPhase::Waiting { .. } => ("Waiting", false),
        ContainerPhase::Starting => ("Starting", false),
        ContainerPhase::Running { ready, .. } => ("Running", *ready),
        ContainerPhase::BackOff { .. } => ("BackOff", false),
        ContainerPhase::Completed => ("Completed", true),
        ContainerPhase::Failed { .. } => ("Failed", false),
        ContainerPhase::Stopped => ("Stopped", false),
    };
    json!({
        "name": status.name,
        "instanceId": instance.status.id,
        "isMain": defined.is_some_and(|container| container.main),
        "image": defined.map(|container| container.image.to_string()),
        "state": state,
        "ready": ready,
        "restarts": status.restarts,
        "startedAt": status.started_at_ms.map(time),
        "lastExit": status.last_exit,
        "listeners": status.listeners,
        "memoryBytes": status.memory_bytes,
        "memoryLimitBytes": status.memory_limit_bytes,
        "cpuMicroseconds": status.cpu_usec,
        "lastError": told.map(|told| told.fault.code()),
        "lastErrorDetails": told.map(ToString::to_string),
    })
}
