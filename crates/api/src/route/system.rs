//! Routes for the server itself and its machine.

use axum::{
    Json,
    extract::State,
    http::Method,
    routing::{get, post},
};

use super::{Answer, Endpoint};
use crate::{
    Failure, Services,
    extract::Body,
    wire::{Done, Pruned, Reloaded, StopRequest, SystemInfo},
};

/// Returns this file's routes.
pub fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint {
            method: Method::GET,
            path: "/v1/system/ping",
            id: "ping",
            summary: "Answers",
            parameters: &[],
            request: None,
            answer: Answer::One("Done"),
            failures: &[],
            handler: get(|| async { Json(Done {}) }),
        },
        Endpoint {
            method: Method::GET,
            path: "/v1/system/info",
            id: "systemInfo",
            summary: "Says what the server is, what its machine can do, and what is in the way",
            parameters: &[],
            request: None,
            answer: Answer::One("SystemInfo"),
            failures: &[],
            handler: get(info),
        },
        Endpoint {
            method: Method::POST,
            path: "/v1/system/prune",
            id: "systemPrune",
            summary: "Removes what crashed or deleted apps left behind",
            parameters: &[],
            request: None,
            answer: Answer::One("Pruned"),
            failures: &[422],
            handler: post(prune),
        },
        Endpoint {
            method: Method::POST,
            path: "/v1/system/reload",
            id: "reloadSettings",
            summary: "Reads the settings again",
            parameters: &[],
            request: None,
            answer: Answer::One("Reloaded"),
            failures: &[400],
            handler: post(reload),
        },
        Endpoint {
            method: Method::POST,
            path: "/v1/system/stop",
            id: "stopServer",
            summary: "Stops every app in order, then the server; answers when the apps have stopped",
            parameters: &[],
            request: Some("StopRequest"),
            answer: Answer::One("Done"),
            failures: &[400, 413],
            handler: post(stop),
        },
    ]
}

async fn info(State(services): State<Services>) -> Result<Json<SystemInfo>, Failure> {
    Ok(Json(services.system.info().await?))
}

async fn prune(State(services): State<Services>) -> Result<Json<Pruned>, Failure> {
    Ok(Json(services.system.prune().await?))
}

async fn reload(State(services): State<Services>) -> Result<Json<Reloaded>, Failure> {
    Ok(Json(services.system.reload().await?))
}

async fn stop(State(services): State<Services>, Body(request): Body<StopRequest>) -> Result<Json<Done>, Failure> {
    services.system.stop(request).await?;
    Ok(Json(Done {}))
}
