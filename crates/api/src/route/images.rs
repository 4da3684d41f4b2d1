//! Routes for the images on this machine.

use axum::{
    Json,
    extract::State,
    http::{Method, StatusCode},
    response::Response,
    routing::{get, post},
};

use super::{Answer, Endpoint, streams::lines};
use crate::{
    Failure, Services,
    extract::Body,
    wire::{Done, ImageSummary, Pruned, PullRequest, RemoveImageRequest},
};

/// Returns this file's routes.
pub fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint {
            method: Method::GET,
            path: "/v1/images",
            id: "listImages",
            summary: "Lists the images on this machine",
            parameters: &[],
            request: None,
            answer: Answer::Many("ImageSummary"),
            failures: &[422],
            handler: get(list),
        },
        Endpoint {
            method: Method::POST,
            path: "/v1/images/pull",
            id: "pullImage",
            summary: "Pulls an image; the last line says how it ended",
            parameters: &[],
            request: Some("PullRequest"),
            answer: Answer::Lines("PullLine"),
            failures: &[400, 413],
            handler: post(pull),
        },
        Endpoint {
            method: Method::POST,
            path: "/v1/images/remove",
            id: "removeImage",
            summary: "Forgets an image's name; its layers go with the next prune",
            parameters: &[],
            request: Some("RemoveImageRequest"),
            answer: Answer::One("Done"),
            failures: &[400, 404, 413, 422],
            handler: post(remove),
        },
        Endpoint {
            method: Method::POST,
            path: "/v1/images/prune",
            id: "pruneImages",
            summary: "Removes what no app, revision or instance needs",
            parameters: &[],
            request: None,
            answer: Answer::One("Pruned"),
            failures: &[422],
            handler: post(prune),
        },
    ]
}

async fn list(State(services): State<Services>) -> Result<Json<Vec<ImageSummary>>, Failure> {
    Ok(Json(services.images.list().await?))
}

async fn pull(State(services): State<Services>, Body(request): Body<PullRequest>) -> Response {
    lines(services.images.pull(request).await)
}

async fn remove(State(services): State<Services>, Body(request): Body<RemoveImageRequest>) -> Result<Json<Done>, Failure> {
    if services.images.remove(&request.image).await? {
        return Ok(Json(Done {}));
    }
    let message = format!("there is no image `{}` on this machine", request.image);
    Err(Failure::new(StatusCode::NOT_FOUND, "ImageNotFound", message).hint("`pillion image list` shows those there are"))
}

async fn prune(State(services): State<Services>) -> Result<Json<Pruned>, Failure> {
    Ok(Json(services.images.prune().await?))
}
