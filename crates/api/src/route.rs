//! The table of routes: one entry is both the handler and its documentation, so neither can exist without the other.

pub mod apps;
pub mod exec;
pub mod images;
pub mod principals;
pub mod streams;
pub mod system;

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Request, State},
    http::{Method, StatusCode},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::MethodRouter,
};

use crate::{Failure, Services, wire::MAX_BODY};

/// One route.
pub struct Endpoint {
    pub method: Method,
    pub path: &'static str,
    /// The operation's id in the OpenAPI document.
    pub id: &'static str,
    pub summary: &'static str,
    /// Query parameters and headers: name, place, JSON type, meaning.
    pub parameters: &'static [Parameter],
    /// The schema of the request's body.
    pub request: Option<&'static str>,
    pub answer: Answer,
    /// Statuses of the failures it can have, beside 500.
    pub failures: &'static [u16],
    pub handler: MethodRouter<Services>,
}

/// A query parameter or header.
pub struct Parameter {
    pub name: &'static str,
    pub place: &'static str,
    pub kind: &'static str,
    pub meaning: &'static str,
}

/// What a route answers with when it succeeds.
#[derive(Debug, Clone, Copy)]
pub enum Answer {
    /// One JSON value of this schema.
    One(&'static str),
    /// A JSON array of this schema.
    Many(&'static str),
    /// One JSON value of this schema a line, until the stream ends.
    Lines(&'static str),
    /// 101 and then exec frames.
    Frames,
}

/// Returns every route.
pub fn endpoints() -> Vec<Endpoint> {
    let mut all = apps::endpoints();
    all.extend(streams::endpoints());
    all.extend(exec::endpoints());
    all.extend(images::endpoints());
    all.extend(principals::endpoints());
    all.extend(system::endpoints());
    all
}

/// Builds the router over every route.
pub fn router(services: Services) -> Router {
    let mut router = Router::new().route("/v1/openapi.json", axum::routing::get(|| async { Json(crate::openapi()) }));
    for endpoint in endpoints() {
        router = router.route(endpoint.path, endpoint.handler);
    }
    router
        .fallback(|| async {
            Failure::new(StatusCode::NOT_FOUND, "RouteNotFound", "there is no such path in this API")
                .hint("GET /v1/openapi.json describes every path")
        })
        .method_not_allowed_fallback(|| async {
            Failure::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", "this path does not take that method")
                .hint("GET /v1/openapi.json describes every path")
        })
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn_with_state(services.clone(), refuse_when_stopping))
        .with_state(services)
}

/// A wish that is taken by a server on its way out would be acknowledged and then wait for the next one.
async fn refuse_when_stopping(State(services): State<Services>, request: Request, next: Next) -> Response {
    // To stop is what it does already, and to end an app without courtesy helps it to.
    let path = request.uri().path();
    let helps = path == "/v1/system/stop" || path.ends_with("/kill");
    if helps || request.method().is_safe() || !services.system.is_stopping() {
        return next.run(request).await;
    }
    Failure::new(StatusCode::SERVICE_UNAVAILABLE, "ServerStopping", "the server is stopping and takes no changes any more")
        .hint("ask again once a server runs")
        .into_response()
}
