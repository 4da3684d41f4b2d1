//! The OpenAPI document: complete, current, and true.

use std::{collections::BTreeSet, path::Path};

use serde_json::{Value, json};

use crate::{
    schema::fits,
    world::{World, shop},
};

const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/openapi.json");

#[test]
fn the_committed_document_is_the_one_that_is_served() {
    let current = format!("{:#}\n", pillion_api::openapi());
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(COMMITTED, &current).unwrap();
    }
    let committed = std::fs::read_to_string(Path::new(COMMITTED)).unwrap_or_default();
    assert!(committed == current, "docs/reference/openapi.json is old: run this test with UPDATE_GOLDEN=1");
}

#[test]
fn every_reference_in_the_document_leads_somewhere_and_every_operation_has_its_own_id() {
    let document = pillion_api::openapi();
    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(references.len() > 100);
    for reference in references {
        assert!(document.pointer(&reference[1..]).is_some(), "{reference}");
    }
    let mut ids = BTreeSet::new();
    for operation in operations(&document) {
        let id = operation.2["operationId"].as_str().unwrap().to_owned();
        assert!(ids.insert(id.clone()), "{id} twice");
    }
}

#[tokio::test]
async fn every_operation_of_the_document_is_answered() {
    let world = World::new().await;
    world.roll(shop("web:1", "cache:1")).await;
    let document = pillion_api::openapi();
    for (path, method, operation) in operations(&document) {
        let path = path.replace("{app}", "nobody");
        let answer = world.ask(&method.to_uppercase(), &path, json!({})).await;
        assert_ne!(answer.body["code"], "RouteNotFound", "{method} {path}");
        assert_ne!(answer.body["code"], "MethodNotAllowed", "{method} {path}");
        let known = operation["responses"].as_object().unwrap();
        assert!(
            known.contains_key(&answer.status.to_string()),
            "{method} {path} answered {}, which is not described",
            answer.status
        );
    }
}

#[tokio::test]
async fn answers_about_images_and_the_system_are_as_described() {
    let world = World::new().await;
    fits("SystemInfo", &world.get("/v1/system/info").await.body);
    fits("ImageSummary", &world.get("/v1/images").await.body[0]);
    fits("Pruned", &world.ask("POST", "/v1/system/prune", Value::Null).await.body);
    fits("Reloaded", &world.ask("POST", "/v1/system/reload", Value::Null).await.body);
    assert_eq!(world.get("/v1/openapi.json").await.body, pillion_api::openapi());
    let removed = world.ask("POST", "/v1/images/remove", json!({ "image": "nothing" })).await;
    assert_eq!((removed.status, removed.body["code"].as_str()), (404, Some("ImageNotFound")));
}

fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().expect("an object of paths");
    let of = |(path, methods): (&String, &Value)| {
        let methods = methods.as_object().expect("an object of methods").clone();
        let path = path.clone();
        methods.into_iter().map(move |(method, operation)| (path.clone(), method, operation)).collect::<Vec<_>>()
    };
    paths.iter().flat_map(of).collect()
}

fn collect(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            references.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|field| collect(field, references));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, references)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
