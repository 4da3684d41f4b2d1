//! What the API says no to, and how.

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use serde_json::{Value, json};

use crate::{
    schema::fits,
    world::{World, read, shop},
};

#[tokio::test]
async fn a_definition_with_several_mistakes_is_told_all_of_them() {
    let world = World::new().await;
    let definition = json!({ "name": "shop", "containers": {
        "web": { "image": "web:1", "prot": 80 },
        "cache": { "image": "cache:1", "dependsOn": { "nobody": "started" }, "volume": [] },
    }});
    let answer = world.ask("PUT", "/v1/apps/shop", json!({ "definition": definition })).await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.body["code"], "DefinitionInvalid");
    fits("ErrorBody", &answer.body);
    let problems = answer.body["problems"].as_array().unwrap();
    let paths: Vec<&str> = problems.iter().map(|problem| problem["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["containers.web.prot", "containers.cache.volume"]);
    assert!(problems[0]["hint"].as_str().unwrap().contains("port"), "{problems:?}");
}

#[tokio::test]
async fn what_is_not_there_is_404_with_a_way_on() {
    let world = World::new().await;
    for (method, path, code) in [
        ("GET", "/v1/apps/nobody", "AppNotFound"),
        ("GET", "/v1/apps/nobody/status", "AppNotFound"),
        ("DELETE", "/v1/apps/nobody", "AppNotFound"),
        ("GET", "/v1/apps/nobody/logs", "AppNotFound"),
        ("GET", "/v1/apps/nobody/events", "AppNotFound"),
        ("POST", "/v1/apps/nobody/kill", "AppNotFound"),
        ("GET", "/v1/nothing", "RouteNotFound"),
    ] {
        let answer = world.ask(method, path, Value::Null).await;
        assert_eq!((answer.status, answer.body["code"].as_str()), (404, Some(code)), "{method} {path}: {answer:?}");
        assert!(answer.body["hint"].is_string(), "{method} {path} has no hint");
        fits("ErrorBody", &answer.body);
    }
    world.roll(shop("web:1", "cache:1")).await;
    let answer = world.ask("POST", "/v1/apps/shop/restart", json!({ "container": "chache" })).await;
    assert_eq!((answer.status, answer.body["code"].as_str()), (404, Some("ContainerNotFound")));
}

#[tokio::test]
async fn malformed_requests_are_refused_in_the_apis_own_words() {
    let world = World::new().await;
    let send = async |method: &str, path: &str, media: &str, body: Bytes| {
        let request = Request::builder().method(method).uri(path).header("host", "pillion").header("content-type", media);
        read(world.send(request.body(Full::new(body)).unwrap()).await).await
    };
    let json_type = "application/json";
    for (method, path, media, body, status, code) in [
        ("PUT", "/v1/apps/shop", json_type, "{", 400, "BodyInvalid"),
        ("PUT", "/v1/apps/shop", json_type, "{}", 400, "BodyInvalid"),
        ("PUT", "/v1/apps/shop", "text/plain", "{}", 415, "MediaTypeUnsupported"),
        ("PUT", "/v1/apps/shop?dryRun=perhaps", json_type, "{}", 400, "QueryInvalid"),
        ("GET", "/v1/apps/Shop!", json_type, "", 400, "NameInvalid"),
        ("PATCH", "/v1/apps/shop", json_type, "{}", 405, "MethodNotAllowed"),
        ("POST", "/v1/apps/shop/scale", json_type, "{\"count\":-1}", 400, "BodyInvalid"),
    ] {
        let answer = send(method, path, media, Bytes::from_static(body.as_bytes())).await;
        assert_eq!((answer.status, answer.body["code"].as_str()), (status, Some(code)), "{method} {path} {body}: {answer:?}");
        fits("ErrorBody", &answer.body);
    }
    let other = json!({ "definition": shop("web:1", "cache:1") }).to_string();
    let answer = send("PUT", "/v1/apps/other", json_type, other.into()).await;
    assert_eq!((answer.status, answer.body["code"].as_str()), (400, Some("NameDiffers")));
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_413() {
    let world = World::new().await;
    let mut definition = shop("web:1", "cache:1");
    definition["settings"] = json!({ "BIG": "x".repeat(5 << 20) });
    let answer = world.ask("PUT", "/v1/apps/shop", json!({ "definition": definition })).await;
    assert_eq!((answer.status, answer.body["code"].as_str()), (413, Some("BodyTooLarge")));
}

#[tokio::test]
async fn exec_without_an_upgrade_is_426() {
    let world = World::new().await;
    let answer = world.ask("POST", "/v1/apps/shop/exec", json!({ "command": ["true"] })).await;
    assert_eq!((answer.status, answer.body["code"].as_str()), (426, Some("UpgradeRequired")));
}

#[tokio::test]
async fn a_count_that_no_app_can_have_is_refused() {
    let world = World::new().await;
    world.roll(shop("web:1", "cache:1")).await;
    let answer = world.ask("POST", "/v1/apps/shop/scale", json!({ "count": 100_000 })).await;
    assert_eq!((answer.status, answer.body["code"].as_str()), (400, Some("ScaleOutOfRange")));
}
