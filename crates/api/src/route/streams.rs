//! Routes that answer line by line: roll-outs, events, logs.

use std::time::{Duration, SystemTime};

use axum::{
    body::Body,
    extract::State,
    http::{Method, header},
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::{BufMut, Bytes, BytesMut};
use futures::{Stream, StreamExt};
use pillion_control::LogSelection;
use pillion_model::InstanceId;
use serde::{Deserialize, Serialize};

use super::{Answer, Endpoint, Parameter};
use crate::{
    Failure, Services,
    extract::{Behind, Query},
    wire::NDJSON,
};

const FOLLOW: Parameter = Parameter { name: "follow", place: "query", kind: "boolean", meaning: "go on with what comes" };

/// Returns this file's routes.
pub fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint {
            method: Method::GET,
            path: "/v1/apps/{app}/rollout",
            id: "followRollout",
            summary: "Follows a revision to its end: what is already known first, then news",
            parameters: &[Parameter {
                name: "revision",
                place: "query",
                kind: "integer",
                meaning: "which revision; the newest where absent",
            }],
            request: None,
            answer: Answer::Lines("RolloutEvent"),
            failures: &[400, 404],
            handler: get(rollout),
        },
        Endpoint {
            method: Method::GET,
            path: "/v1/apps/{app}/events",
            id: "appEvents",
            summary: "Gives what happened to an app, oldest first",
            parameters: &[FOLLOW],
            request: None,
            answer: Answer::Lines("Event"),
            failures: &[400, 404],
            handler: get(events),
        },
        Endpoint {
            method: Method::GET,
            path: "/v1/apps/{app}/logs",
            id: "appLogs",
            summary: "Gives what an app's containers wrote",
            parameters: &[
                FOLLOW,
                Parameter { name: "container", place: "query", kind: "string", meaning: "only this container" },
                Parameter { name: "instance", place: "query", kind: "string", meaning: "only this instance" },
                Parameter {
                    name: "sinceMs",
                    place: "query",
                    kind: "integer",
                    meaning: "only lines from this time on, in milliseconds since the epoch",
                },
                Parameter {
                    name: "tail",
                    place: "query",
                    kind: "integer",
                    meaning: "only so many of the last lines of each container",
                },
            ],
            request: None,
            answer: Answer::Lines("LogLine"),
            failures: &[400, 404],
            handler: get(logs),
        },
    ]
}

#[derive(Deserialize)]
struct RolloutQuery {
    revision: Option<u64>,
}

async fn rollout(
    State(services): State<Services>,
    Behind { app, .. }: Behind,
    Query(query): Query<RolloutQuery>,
) -> Result<Response, Failure> {
    let revision = match query.revision {
        Some(revision) => revision,
        None => services.control.show(&app).await?.revision,
    };
    Ok(lines(services.control.wait(&app, revision).await?))
}

#[derive(Deserialize)]
struct EventsQuery {
    #[serde(default)]
    follow: bool,
}

async fn events(
    State(services): State<Services>,
    Behind { app, .. }: Behind,
    Query(query): Query<EventsQuery>,
) -> Result<Response, Failure> {
    Ok(lines(services.control.events(&app, query.follow).await?))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogsQuery {
    #[serde(default)]
    follow: bool,
    container: Option<String>,
    instance: Option<InstanceId>,
    since_ms: Option<u64>,
    tail: Option<usize>,
}

async fn logs(
    State(services): State<Services>,
    Behind { app, .. }: Behind,
    Query(query): Query<LogsQuery>,
) -> Result<Response, Failure> {
    let selection = LogSelection {
        container: query.container,
        instance: query.instance,
        follow: query.follow,
        since: query.since_ms.and_then(|ms| SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(ms))),
        tail: query.tail,
    };
    Ok(lines(services.control.logs(&app, selection).await?))
}

/// Answers with one JSON value a line. Lines that are ready together travel together; nothing is queued beyond that, so
/// a slow reader slows the source.
pub(super) fn lines<T>(stream: impl Stream<Item = T> + Send + 'static) -> Response
where
    T: Serialize + Send + 'static,
{
    let chunks = stream.ready_chunks(64).map(|values| {
        let mut bytes = BytesMut::new();
        for value in values {
            serde_json::to_writer((&mut bytes).writer(), &value).map_err(std::io::Error::other)?;
            bytes.put_u8(b'\n');
        }
        Ok::<Bytes, std::io::Error>(bytes.freeze())
    });
    ([(header::CONTENT_TYPE, NDJSON)], Body::from_stream(chunks)).into_response()
}
