//! `/AppServiceTunnel/Tunnel.ashx`: raw bytes over a WebSocket to the SSH server of a container.

use std::sync::Arc;

use axum::{
    Json,
    body::Body,
    extract::Request,
    response::{IntoResponse, Response},
};
use pillion_control::AppState;
use serde_json::json;

use super::{Scm, answer::Refusal, session::Place, site::Call, socket};

/// Bytes on their way; beyond that the sender waits.
const PIPE: usize = 64 * 1024;

pub(super) async fn answer(scm: &Arc<Scm>, call: Call, request: Request<Body>) -> Result<Response, Refusal> {
    if call.query("getstatus").is_some() || !socket::is_upgrade(request.headers()) {
        return status(scm, &call).await;
    }
    let place = Place::of(scm, &call).await?;
    let (azure, tunnels) = (scm.azure.clone(), scm.tunnels.clone());
    tracing::info!(site = %call.site, caller = %call.caller.display_name, "a tunnel was opened");
    socket::open(request, move |socket| async move {
        let (near, far) = tokio::io::duplex(PIPE);
        // The SSH server ends with its stream.
        let serving = tokio::spawn(tunnels.serve(far, azure, place));
        socket::carry(socket, near).await;
        let _ = serving.await;
    })
}

async fn status(scm: &Scm, call: &Call) -> Result<Response, Refusal> {
    let status = call.status(scm).await?;
    let (state, reached) = match status.map(|status| (status.state, status.ready)) {
        Some((AppState::Running | AppState::Updating | AppState::Degraded, 1..)) => ("STARTED", true),
        Some((AppState::Starting | AppState::Running | AppState::Updating | AppState::Degraded, _)) => ("STARTING", false),
        Some((AppState::Failed | AppState::Stopping | AppState::Stopped | AppState::Deleting, _)) | None => ("STOPPED", false),
    };
    let message = if reached { "" } else { "no instance of the site is ready" };
    Ok(Json(json!({ "state": state, "port": 2222, "canReachPort": reached, "msg": message })).into_response())
}
