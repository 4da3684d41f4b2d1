//! Routes that read and change apps.

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, Method, header},
    response::{IntoResponse, Response},
    routing::{delete, get, post, put},
};
use pillion_control::{AppDocument, AppStatus, AppSummary, ApplyOptions, ApplyOutcome, ControlError, Etag};
use pillion_model::{App, AppName, ContainerName};
use serde::Deserialize;

use super::{Answer, Endpoint, Parameter};
use crate::{
    Failure, Services, definition,
    extract::{Behind, Body, Query},
    wire::{ApplyRequest, Done, FaultView, ScaleRequest, StatusAnswer, TargetRequest},
};

/// In seconds.
const LONGEST_WAIT: u64 = 600;

const IF_MATCH: Parameter =
    Parameter { name: "If-Match", place: "header", kind: "string", meaning: "refuse with 412 unless the app's etag is this one" };

const WAIT: Parameter = Parameter {
    name: "waitSeconds",
    place: "query",
    kind: "integer",
    meaning: "answer once the app is at rest, or after so many seconds (600 at most); at once where absent",
};

/// Returns this file's routes.
pub fn endpoints() -> Vec<Endpoint> {
    let app = "/v1/apps/{app}";
    let act = |path, id, summary, handler| Endpoint {
        method: Method::POST,
        path,
        id,
        summary,
        parameters: &[WAIT],
        request: Some("TargetRequest"),
        answer: Answer::One("StatusAnswer"),
        failures: &[400, 404, 409, 413, 422],
        handler,
    };
    vec![
        Endpoint {
            method: Method::GET,
            path: "/v1/apps",
            id: "listApps",
            summary: "Lists all apps by name",
            parameters: &[],
            request: None,
            answer: Answer::Many("AppSummary"),
            failures: &[],
            handler: get(list),
        },
        Endpoint {
            method: Method::PUT,
            path: app,
            id: "applyApp",
            summary: "Asks an app to be as the definition says, whole; creates it if there is none of that name",
            parameters: &[
                Parameter {
                    name: "dryRun",
                    place: "query",
                    kind: "boolean",
                    meaning: "only answer with the steps; store and run nothing",
                },
                IF_MATCH,
            ],
            request: Some("ApplyRequest"),
            answer: Answer::One("ApplyOutcome"),
            failures: &[400, 409, 412, 413, 503],
            handler: put(apply),
        },
        Endpoint {
            method: Method::GET,
            path: app,
            id: "showApp",
            summary: "Gives an app's definition, defaults spelled out, secrets left out",
            parameters: &[],
            request: None,
            answer: Answer::One("AppDocument"),
            failures: &[400, 404],
            handler: get(show),
        },
        Endpoint {
            method: Method::DELETE,
            path: app,
            id: "deleteApp",
            summary: "Stops an app and removes it with its volumes and logs; answers when it is gone",
            parameters: &[IF_MATCH],
            request: None,
            answer: Answer::One("Done"),
            failures: &[400, 404, 412],
            handler: delete(remove),
        },
        Endpoint {
            method: Method::GET,
            path: "/v1/apps/{app}/status",
            id: "appStatus",
            summary: "Gives an app's instances and containers as they are now",
            parameters: &[],
            request: None,
            answer: Answer::One("StatusAnswer"),
            failures: &[400, 404],
            handler: get(status),
        },
        Endpoint {
            method: Method::POST,
            path: "/v1/apps/{app}/scale",
            id: "scaleApp",
            summary: "Sets how many instances run",
            parameters: &[WAIT],
            request: Some("ScaleRequest"),
            answer: Answer::One("StatusAnswer"),
            failures: &[400, 404, 409, 413],
            handler: post(scale),
        },
        Endpoint {
            method: Method::POST,
            path: "/v1/apps/{app}/kill",
            id: "killApp",
            summary: "Ends every instance of an app at once; for after a stop was asked",
            parameters: &[],
            request: None,
            answer: Answer::One("Done"),
            failures: &[400, 404],
            handler: post(kill),
        },
        act("/v1/apps/{app}/start", "startApp", "Starts an app, or one container in each instance", post(start)),
        act("/v1/apps/{app}/stop", "stopApp", "Stops an app, or one container in each instance", post(stop)),
        act("/v1/apps/{app}/restart", "restartApp", "Restarts an app, or one container in each instance", post(restart)),
    ]
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ApplyQuery {
    #[serde(default)]
    dry_run: bool,
}

async fn list(State(services): State<Services>) -> Result<Json<Vec<AppSummary>>, Failure> {
    Ok(Json(services.control.list().await?))
}

async fn apply(
    State(services): State<Services>,
    Behind { app, public }: Behind,
    Query(query): Query<ApplyQuery>,
    headers: HeaderMap,
    Body(request): Body<ApplyRequest>,
) -> Result<Response, Failure> {
    let mut definition: App = definition::decode(&request.definition)?;
    if definition.name != public {
        return Err(Failure::bad_request(
            "NameDiffers",
            format!("the definition names the app `{}`, the path names `{public}`", definition.name),
        ));
    }
    definition.name = app;
    let options = ApplyOptions { dry_run: query.dry_run, if_match: if_match(&headers)?, ..ApplyOptions::default() };
    let outcome: ApplyOutcome = services.control.apply(definition, request.credentials, options).await?;
    Ok(with_etag(outcome.etag, Json(outcome)))
}

async fn show(State(services): State<Services>, Behind { app, public }: Behind) -> Result<Response, Failure> {
    let mut document: AppDocument = services.control.show(&app).await?;
    document.definition.name = public;
    Ok(with_etag(Some(document.etag), Json(document)))
}

async fn remove(State(services): State<Services>, Behind { app, .. }: Behind, headers: HeaderMap) -> Result<Json<Done>, Failure> {
    services.control.delete(&app, if_match(&headers)?).await?;
    Ok(Json(Done {}))
}

async fn status(State(services): State<Services>, Behind { app, .. }: Behind) -> Result<Json<StatusAnswer>, Failure> {
    services.control.refresh(&app).await;
    Ok(answer(services.control.status(&app).await?))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WaitQuery {
    wait_seconds: Option<u64>,
}

async fn scale(
    State(services): State<Services>,
    Behind { app, .. }: Behind,
    Query(wait): Query<WaitQuery>,
    Body(request): Body<ScaleRequest>,
) -> Result<Json<StatusAnswer>, Failure> {
    services.control.scale(&app, request.count).await?;
    rest(&services, &app, wait).await
}

async fn start(
    State(services): State<Services>,
    Behind { app, .. }: Behind,
    Query(wait): Query<WaitQuery>,
    Body(request): Body<TargetRequest>,
) -> Result<Json<StatusAnswer>, Failure> {
    services.control.start(&app, container(request)?.as_ref()).await?;
    rest(&services, &app, wait).await
}

async fn stop(
    State(services): State<Services>,
    Behind { app, .. }: Behind,
    Body(request): Body<TargetRequest>,
) -> Result<Json<StatusAnswer>, Failure> {
    services.control.stop(&app, container(request)?.as_ref()).await?;
    Ok(answer(services.control.status(&app).await?))
}

async fn restart(
    State(services): State<Services>,
    Behind { app, .. }: Behind,
    Query(wait): Query<WaitQuery>,
    Body(request): Body<TargetRequest>,
) -> Result<Json<StatusAnswer>, Failure> {
    services.control.restart(&app, container(request)?.as_ref()).await?;
    rest(&services, &app, wait).await
}

async fn kill(State(services): State<Services>, Behind { app, .. }: Behind) -> Result<Json<Done>, Failure> {
    // Known, so that a wrong name is told apart from an app that has nothing running.
    services.control.status(&app).await?;
    services.system.kill(&app).await?;
    Ok(Json(Done {}))
}

/// Gives the status once the app is at rest, or when the wait is over: an app that takes longer is no failure of the request.
async fn rest(services: &Services, app: &AppName, wait: WaitQuery) -> Result<Json<StatusAnswer>, Failure> {
    if let Some(seconds) = wait.wait_seconds {
        match services.control.await_rest(app, Duration::from_secs(seconds.min(LONGEST_WAIT))).await {
            Ok(status) => return Ok(answer(status)),
            Err(ControlError::NotInTime { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(answer(services.control.status(app).await?))
}

fn answer(status: AppStatus) -> Json<StatusAnswer> {
    let problem = status.diagnosis.clone().map(|d| Box::new(FaultView::new(d, status.words())));
    Json(StatusAnswer { status, problem })
}

/// Checks the name of a container that a request gives.
pub(super) fn container(request: TargetRequest) -> Result<Option<ContainerName>, Failure> {
    let name = request.container.map(|name| name.parse::<ContainerName>()).transpose();
    name.map_err(|error| Failure::bad_request("NameInvalid", error.to_string()))
}

fn if_match(headers: &HeaderMap) -> Result<Option<Etag>, Failure> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let etag = value.to_str().ok().and_then(|text| text.parse().ok());
    etag.map(Some).ok_or_else(|| Failure::bad_request("EtagInvalid", "`If-Match` does not hold an etag of this server"))
}

fn with_etag(etag: Option<Etag>, body: impl IntoResponse) -> Response {
    let mut response = body.into_response();
    let value = etag.and_then(|etag| format!("\"{etag}\"").parse().ok());
    if let Some(value) = value {
        response.headers_mut().insert(header::ETAG, value);
    }
    response
}
