//! The OpenAPI 3.1 document, made from the table of routes and the schemas of the wire types.

mod schemas;

use serde_json::{Map, Value, json};

use crate::{
    route::{self, Answer, Endpoint},
    wire::{EXEC_PROTOCOL, NDJSON},
};

/// Returns the document that `GET /v1/openapi.json` serves and `docs/reference/openapi.json` records.
pub fn openapi() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for endpoint in route::endpoints() {
        let path = paths.entry(endpoint.path).or_insert_with(|| json!({}));
        path[endpoint.method.as_str().to_ascii_lowercase()] = operation(&endpoint);
    }
    paths.insert(
        "/v1/openapi.json".into(),
        json!({ "get": {
            "operationId": "openapi",
            "summary": "Gives this document",
            "responses": { "200": content("application/json", json!({ "type": "object" }), "This document") },
        }}),
    );
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Pillion native API",
            "version": "1",
            "description": "Served on a Unix socket (`/run/pillion/pillion.sock`), which only root and the group `pillion` may open. \
                Every failure has an `ErrorBody`. Streams are JSON, one value a line.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "http://pillion", "description": "the Unix socket; any Host is taken" }],
        "paths": paths,
        "components": { "schemas": schemas::all() },
    })
}

fn operation(endpoint: &Endpoint) -> Value {
    let mut parameters: Vec<Value> = Vec::new();
    if endpoint.path.contains("{app}") {
        parameters.push(json!({
            "name": "app", "in": "path", "required": true,
            "schema": { "$ref": "#/components/schemas/Name" }, "description": "the app's name",
        }));
    }
    parameters.extend(
        endpoint
            .parameters
            .iter()
            .map(|p| json!({ "name": p.name, "in": p.place, "schema": { "type": p.kind }, "description": p.meaning })),
    );
    let mut operation = json!({ "operationId": endpoint.id, "summary": endpoint.summary });
    if !parameters.is_empty() {
        operation["parameters"] = Value::Array(parameters);
    }
    if let Some(schema) = endpoint.request {
        operation["requestBody"] =
            json!({ "required": true, "content": { "application/json": { "schema": reference(schema) } } });
    }
    let mut responses = Map::new();
    let (status, answer) = success(endpoint.answer);
    responses.insert(status.into(), answer);
    for status in endpoint.failures.iter().chain(&[500]) {
        let meaning = axum::http::StatusCode::from_u16(*status).ok().and_then(|s| s.canonical_reason());
        responses.insert(status.to_string(), content("application/json", reference("ErrorBody"), meaning.unwrap_or("A failure")));
    }
    operation["responses"] = Value::Object(responses);
    operation
}

fn success(answer: Answer) -> (&'static str, Value) {
    match answer {
        Answer::One(schema) => ("200", content("application/json", reference(schema), schema)),
        Answer::Many(schema) => (
            "200",
            content("application/json", json!({ "type": "array", "items": reference(schema) }), &format!("Every {schema}")),
        ),
        Answer::Lines(schema) => ("200", content(NDJSON, reference(schema), &format!("One {schema} a line"))),
        Answer::Frames => (
            "101",
            json!({ "description": format!(
                "The connection now speaks `{EXEC_PROTOCOL}`: frames of one type byte, a big-endian u32 length (at most 1 MiB) \
                 and that many bytes. From the client: 0 bytes for standard input; 1 standard input ends; 2 the terminal's size \
                 (u16 columns, u16 rows, big-endian). From the server: 16 standard output; 17 standard error; 18 how the command \
                 ended (JSON `Exit`), last; 19 an `ErrorBody`, last."
            ) }),
        ),
    }
}

fn content(media: &str, schema: Value, description: &str) -> Value {
    json!({ "description": description, "content": { media: { "schema": schema } } })
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}
