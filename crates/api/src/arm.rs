//! The resource manager over HTTP: every path that ARM's clients ask for, in whatever spelling they ask.
//!
//! ```text
//! request ──path──▶ Call { id, rest } ──dispatch──▶ Azure ──▶ Answer ──headers──▶ response
//! ```

mod answer;
mod call;
mod catalogue;
mod deployments;
mod dispatch;
mod group;
mod logs;
mod metrics;
mod paging;
mod provider;
mod resource;
mod site;
mod subscription;

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::Response,
};
use pillion_azure::{Azure, correlated, deployment::Deployments};
use pillion_identity::Identity;

pub(crate) use answer::Answer;
pub(crate) use call::Call;

/// What the resource manager's pages need.
pub(crate) struct Arm {
    pub(crate) azure: Azure,
    pub(crate) identity: Identity,
    pub(crate) deployments: Deployments,
}

/// Builds the router. Its requests carry their caller as an extension; those without are answered 401.
pub fn router(azure: Azure, identity: Identity, deployments: Deployments) -> Router {
    Router::new().fallback(answer).with_state(Arc::new(Arm { azure, identity, deployments }))
}

async fn answer(State(arm): State<Arc<Arm>>, request: Request<Body>) -> Response {
    let head = answer::Head::of(&request, &arm.azure.settings().endpoint);
    let without_body = request.method() == axum::http::Method::HEAD;
    let answered = match Call::read(request).await {
        Ok(call) => {
            let (arm, correlation) = (arm.clone(), head.correlation.clone());
            // A client that hangs up ends this future, and must not end a write between the store and what is known of it.
            let done = tokio::spawn(correlated(correlation, async move { dispatch::dispatch(&arm, &call).await })).await;
            done.unwrap_or_else(|_| {
                Err(pillion_arm::ArmError::new(500, "InternalServerError", "The request ended unexpectedly."))
            })
        }
        Err(refused) => Err(refused),
    };
    answer::respond(&head, answered, without_body)
}
