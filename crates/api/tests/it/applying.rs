//! Applying, reading back, changing and deleting.

use pillion_engine::scripted::Behaviour;
use serde_json::{Value, json};

use crate::{
    schema::fits,
    world::{World, shop},
};

#[tokio::test]
async fn an_app_that_was_applied_is_listed_shown_and_running() {
    let world = World::new().await;
    assert_eq!(world.roll(shop("web:1", "cache:1")).await["event"], "ready");
    let listed = world.get("/v1/apps").await;
    assert_eq!(listed.body[0]["name"], "shop");
    fits("AppSummary", &listed.body[0]);
    let shown = world.get("/v1/apps/shop").await;
    assert_eq!(shown.body["definition"]["containers"]["cache"]["image"], "cache:1");
    assert_eq!(shown.etag, Some(format!("\"{}\"", shown.body["etag"].as_str().unwrap())));
    fits("AppDocument", &shown.body);
    let status = world.get("/v1/apps/shop/status").await;
    assert_eq!(status.body["state"], "running");
    assert_eq!(status.body["instances"][0]["phase"], "ready");
    fits("StatusAnswer", &status.body);
}

#[tokio::test]
async fn applying_what_show_gave_takes_no_step() {
    let world = World::new().await;
    world.roll(shop("web:1", "cache:1")).await;
    let shown = world.get("/v1/apps/shop").await.body;
    let again = world.ask("PUT", "/v1/apps/shop", json!({ "definition": shown["definition"] })).await;
    assert_eq!(again.body["steps"], json!([]));
    assert_eq!(again.body["revision"], shown["revision"]);
}

#[tokio::test]
async fn a_dry_run_answers_with_the_steps_and_changes_nothing() {
    let world = World::new().await;
    let dry = world.ask("PUT", "/v1/apps/shop?dryRun=true", json!({ "definition": shop("web:1", "cache:1") })).await;
    assert_eq!(dry.status, 200);
    assert_eq!(dry.body["steps"][0]["step"], "createApp");
    fits("ApplyOutcome", &dry.body);
    assert_eq!(world.get("/v1/apps/shop").await.status, 404);

    world.roll(shop("web:1", "cache:1")).await;
    let dry = world.ask("PUT", "/v1/apps/shop?dryRun=true", json!({ "definition": shop("web:1", "cache:2") })).await;
    let steps = dry.body["steps"].as_array().unwrap();
    assert!(steps.iter().any(|step| step["step"] == "replaceContainer" && step["container"] == "cache"), "{steps:?}");
    assert!(!steps.iter().any(|step| step["step"] == "replaceInstances"), "{steps:?}");
}

#[tokio::test]
async fn a_stale_etag_is_refused_and_a_fresh_one_is_not() {
    let world = World::new().await;
    world.roll(shop("web:1", "cache:1")).await;
    let etag = world.get("/v1/apps/shop").await.etag.unwrap();
    let second = json!({ "definition": shop("web:1", "cache:2") });
    assert_eq!(world.ask_if("PUT", "/v1/apps/shop", second, Some(&etag)).await.status, 200);
    let third = json!({ "definition": shop("web:1", "cache:3") });
    let stale = world.ask_if("PUT", "/v1/apps/shop", third, Some(&etag)).await;
    assert_eq!(stale.status, 412);
    assert_eq!(stale.body["code"], "Conflict");
    assert!(stale.body["hint"].as_str().unwrap().contains("pillion show shop"));
}

#[tokio::test]
async fn a_failed_revision_says_container_and_cause_and_leaves_the_old_one_serving() {
    let world = World::new().await;
    world.roll(shop("web:1", "cache:1")).await;
    let fault = pillion_fault::Fault::Exited { exit: pillion_fault::Exit::Code { code: 3 }, after_ms: 5 };
    world.engine.behave("web:broken", Behaviour::CrashLoop(fault));
    let mut broken = shop("web:broken", "cache:1");
    broken["readyWithin"] = json!(1);
    let last = world.roll(broken).await;
    assert_eq!(last["event"], "failed", "{last}");
    assert_eq!(last["diagnosis"]["container"], "web");
    assert_eq!(last["serving"], 1);
    fits("RolloutEvent", &last);
    let status = world.get("/v1/apps/shop/status").await.body;
    fits("StatusAnswer", &status);
    assert!(status["problem"]["message"].as_str().is_some(), "{status}");
}

#[tokio::test]
async fn scale_stop_start_and_delete_answer_once_the_app_is_at_rest() {
    let world = World::new().await;
    world.roll(shop("web:1", "cache:1")).await;
    let scaled = world.ask("POST", "/v1/apps/shop/scale?waitSeconds=20", json!({ "count": 3 })).await;
    assert_eq!((scaled.status, &scaled.body["ready"]), (200, &json!(3)));
    let stopped = world.ask("POST", "/v1/apps/shop/stop", json!({})).await;
    assert_eq!((stopped.status, &stopped.body["state"]), (200, &json!("stopped")));
    assert_eq!(world.engine.instances().len(), 0);
    let started = world.ask("POST", "/v1/apps/shop/start?waitSeconds=20", json!({})).await;
    assert_eq!((started.status, &started.body["ready"]), (200, &json!(3)));
    let restarted = world.ask("POST", "/v1/apps/shop/restart", json!({ "container": "cache" })).await;
    assert_eq!(restarted.status, 200, "{restarted:?}");
    assert_eq!(world.ask("DELETE", "/v1/apps/shop", Value::Null).await.status, 200);
    assert_eq!(world.get("/v1/apps").await.body, json!([]));
}
