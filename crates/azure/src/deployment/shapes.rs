//! What clients are shown of a deployment: its object, its operations, its status.

use std::collections::BTreeMap;

use pillion_arm::ResourceId;
use serde_json::{Map, Value, json};

use super::{
    moment::{duration, instant, now_ms},
    record::{OnFailure, Operation, Record, State},
};

/// The deployment object of GET, PUT and lists.
pub(crate) fn deployment(record: &Record) -> Value {
    let mut properties = json!({
        "templateHash": record.template_hash,
        "parameters": record.parameters,
        "mode": record.mode.word(),
        "provisioningState": record.state.word(),
        "timestamp": instant(record.ended_ms.unwrap_or(record.accepted_ms)),
        "duration": duration(record.ended_ms.unwrap_or_else(now_ms).saturating_sub(record.accepted_ms)),
        "correlationId": record.correlation,
        "providers": providers(record),
        "dependencies": record.dependencies.iter().map(|dependency| {
            let mut shown = target(&dependency.id);
            shown.insert("dependsOn".into(), dependency.on.iter().map(|on| Value::Object(target(on))).collect());
            Value::Object(shown)
        }).collect::<Vec<_>>(),
    });
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            properties[name] = value;
        }
    };
    set("templateLink", record.template_link.clone());
    set("parametersLink", record.parameters_link.clone());
    set("outputs", record.outputs.clone());
    // On the way back it is known already, and has not ended anything yet.
    set("error", record.error.clone().filter(|_| record.state.is_over()));
    set("onErrorDeployment", record.on_failure.as_ref().map(on_failure));
    match record.state {
        State::Succeeded => set("outputResources", Some(ids(&record.output_resources))),
        State::Accepted | State::Running | State::Failed | State::Canceled => {}
    }
    around(record, properties)
}

fn on_failure(on_failure: &OnFailure) -> Value {
    let mut shown = json!({ "type": on_failure.back.word(), "deploymentName": on_failure.deployment });
    if let Some(state) = on_failure.state {
        shown["provisioningState"] = json!(state.word());
    }
    shown
}

/// What `validate` answers where nothing is wrong.
pub(crate) fn validated(record: &Record, resources: &[ResourceId]) -> Value {
    let mut shown = deployment(&Record { state: State::Succeeded, ..record.clone() });
    if let Some(properties) = shown["properties"].as_object_mut() {
        properties.remove("outputResources");
        properties.insert("validatedResources".into(), ids(resources));
    }
    shown
}

/// `{"status": …}`, as `Azure-AsyncOperation` is polled.
pub(crate) fn status(record: &Record) -> Value {
    match record.error.as_ref().filter(|_| record.state.is_over()) {
        Some(error) => json!({ "status": record.state.word(), "error": error }),
        None => json!({ "status": record.state.word() }),
    }
}

/// The operations, in the order in which they began.
pub(crate) fn operations(record: &Record) -> Vec<Value> {
    record.operations.iter().map(|one| operation(record, one)).collect()
}

pub(crate) fn operation(record: &Record, operation: &Operation) -> Value {
    let ended = operation.ended_ms.unwrap_or_else(now_ms);
    let mut properties = json!({
        "provisioningOperation": operation.doing.word(),
        "provisioningState": operation.state.word(),
        "timestamp": instant(ended),
        "duration": duration(ended.saturating_sub(operation.started_ms)),
        "trackingId": record.correlation,
        "serviceRequestId": null,
        "statusCode": operation.status.map(status_word),
    });
    properties["statusMessage"] = match &operation.error {
        Some(error) => json!({ "status": operation.state.word(), "error": error }),
        None => Value::Null,
    };
    if let Some(id) = &operation.target {
        let mut target = target(id);
        if let Some(name) = &operation.symbolic_name {
            target.insert("symbolicName".into(), json!(name));
        }
        properties["targetResource"] = Value::Object(target);
    }
    json!({ "id": format!("{}/operations/{}", record.id, operation.id), "operationId": operation.id, "properties": properties })
}

fn around(record: &Record, properties: Value) -> Value {
    let mut shown = Map::new();
    shown.insert("id".into(), json!(record.id.to_string()));
    shown.insert("name".into(), json!(record.id.name()));
    shown.insert("type".into(), json!("Microsoft.Resources/deployments"));
    if let Some(location) = &record.location {
        shown.insert("location".into(), json!(location));
    }
    if let Some(tags) = &record.tags {
        shown.insert("tags".into(), tags.clone());
    }
    shown.insert("properties".into(), properties);
    Value::Object(shown)
}

fn target(id: &ResourceId) -> Map<String, Value> {
    Map::from_iter([
        ("id".to_owned(), json!(id.to_string())),
        ("resourceType".to_owned(), json!(id.type_name())),
        ("resourceName".to_owned(), json!(id.full_name())),
    ])
}

fn ids(ids: &[ResourceId]) -> Value {
    ids.iter().map(|id| json!({ "id": id.to_string() })).collect()
}

/// The namespaces with the types that the template has of each.
fn providers(record: &Record) -> Value {
    let mut namespaces: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for (kind, location) in &record.types {
        let (namespace, rest) = kind.split_once('/').unwrap_or((kind, ""));
        let locations: Vec<&str> = [location.as_str()].into_iter().filter(|location| !location.is_empty()).collect();
        namespaces.entry(namespace).or_default().push(json!({ "resourceType": rest, "locations": locations }));
    }
    namespaces.into_iter().map(|(namespace, types)| json!({ "namespace": namespace, "resourceTypes": types })).collect()
}

/// HTTP's words for a status, joined: what operations show.
fn status_word(status: u16) -> String {
    match status {
        200 => "OK".into(),
        201 => "Created".into(),
        202 => "Accepted".into(),
        204 => "NoContent".into(),
        400 => "BadRequest".into(),
        401 => "Unauthorized".into(),
        403 => "Forbidden".into(),
        404 => "NotFound".into(),
        408 => "RequestTimeout".into(),
        409 => "Conflict".into(),
        412 => "PreconditionFailed".into(),
        413 => "RequestEntityTooLarge".into(),
        429 => "TooManyRequests".into(),
        500 => "InternalServerError".into(),
        501 => "NotImplemented".into(),
        503 => "ServiceUnavailable".into(),
        other => other.to_string(),
    }
}
