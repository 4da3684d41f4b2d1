//! Swaps of slots: what moves, what stays, what a preview does, and that a crash leaves nothing half done.

use std::sync::Arc;

use pillion_arm::{ConfigName, ResourceId};
use pillion_azure::{OperationState, SwapAction};
use pillion_control::{AppState, AppStatus};
use pillion_engine::scripted::Call;
use pillion_fault::{Fault, ProbeKind};
use pillion_identity::Caller;
use serde_json::{Value, json};

use crate::bench::{Bench, container, container_body, site_body};

fn settings(site: &ResourceId) -> ResourceId {
    site.config(ConfigName::AppSettings)
}

/// A site on `web:1` and its slot on `web:2`, both at rest; `WHO` stays with each, `COLOUR` moves.
async fn blue_and_green(bench: &Bench) -> (ResourceId, ResourceId) {
    let shop = bench.running_shop().await;
    let slot = shop.child("slots", "Blue");
    bench.must(&slot, site_body()).await;
    bench.must(&container(&slot, "main"), container_body("web:2", 8080, true)).await;
    bench.must(&container(&slot, "extra"), container_body("cache:2", 6379, false)).await;
    let sticky = json!({ "properties": { "appSettingNames": ["WHO"] } });
    bench.must(&shop.config(ConfigName::SlotConfigNames), sticky).await;
    bench.must(&settings(&shop), json!({ "properties": { "WHO": "production", "COLOUR": "green" } })).await;
    bench.must(&settings(&slot), json!({ "properties": { "WHO": "blue", "COLOUR": "blue" } })).await;
    at_rest(bench, &shop, "shop").await;
    at_rest(bench, &slot, "shop--blue").await;
    (shop, slot)
}

async fn at_rest(bench: &Bench, site: &ResourceId, app: &str) -> AppStatus {
    bench.azure.settled(site).await;
    bench.state(app, "comes to rest", |status| status.state == AppState::Running && status.current == Some(status.target)).await
}

async fn swap(bench: &Bench, from: &ResourceId, to: &str, action: SwapAction) -> Option<OperationState> {
    let body = json!({ "targetSlot": to, "preserveVnet": true });
    let operation = bench.azure.swap(&Caller::machine(), from, action, &body).await.expect("it is taken")?;
    bench
        .until(async || {
            bench.azure.operation(&operation).map(|one| one.progress).filter(|state| *state != OperationState::Running)
        })
        .await
        .map(Some)
        .expect("the swap ends")
}

async fn values(bench: &Bench, site: &ResourceId) -> Value {
    let stored = bench.azure.peek(&settings(site)).expect("settings");
    json!(stored.properties)
}

async fn image(bench: &Bench, app: &str) -> String {
    let shown = bench.control.show(&app.parse().expect("a name")).await.expect("an app");
    shown.definition.main().expect("a main").1.image.clone()
}

fn instances(bench: &Bench, name: &str) -> Vec<String> {
    let routes = bench.control.routes().borrow().clone();
    let route = routes.apps.iter().find(|route| route.app.as_str() == name);
    route.into_iter().flat_map(|route| &route.instances).map(|one| one.instance.to_string()).collect()
}

#[tokio::test]
async fn a_swap_moves_the_version_and_leaves_what_is_the_slots() {
    let bench = Bench::new().await;
    let (shop, slot) = blue_and_green(&bench).await;
    let addresses = |body: &Value| body["properties"]["enabledHostNames"].clone();
    let before = addresses(&bench.get(&shop).await.expect("the site"));
    let ended = swap(&bench, &slot, "production", SwapAction::Swap).await;
    assert!(matches!(ended, Some(OperationState::Succeeded { .. })), "{ended:?}");
    // The apps behind have exchanged their fronts.
    let behind = async |site: &ResourceId| bench.azure.app_of(site).await.expect("an app");
    assert_eq!(behind(&shop).await.as_str(), "shop--blue");
    assert_eq!(behind(&slot).await.as_str(), "shop");
    assert_eq!(image(&bench, "shop--blue").await, "web:2");
    assert_eq!(values(&bench, &shop).await, json!({ "COLOUR": "blue", "WHO": "production" }));
    assert_eq!(values(&bench, &slot).await, json!({ "COLOUR": "green", "WHO": "blue" }));
    assert!(bench.azure.peek(&container(&shop, "extra")).is_some() && bench.azure.peek(&container(&slot, "extra")).is_none());
    assert_eq!(addresses(&bench.get(&shop).await.expect("the site")), before, "the address is production's");
    // Nothing is started anew for production: it was ready before it took the traffic.
    let promoted = bench.control.status(&"shop--blue".parse().expect("a name")).await.expect("a status").target;
    at_rest(&bench, &shop, "shop--blue").await;
    at_rest(&bench, &slot, "shop").await;
    let after = bench.control.status(&"shop--blue".parse().expect("a name")).await.expect("a status");
    assert_eq!((after.name.as_str(), after.target), ("shop", promoted));
    // The other way round is an instant return.
    let back = swap(&bench, &slot, "production", SwapAction::Swap).await;
    assert!(matches!(back, Some(OperationState::Succeeded { .. })), "{back:?}");
    assert_eq!(behind(&shop).await.as_str(), "shop");
    assert_eq!(values(&bench, &shop).await, json!({ "COLOUR": "green", "WHO": "production" }));
    assert_eq!(image(&bench, "shop").await, "web:1");
}

#[tokio::test]
async fn traffic_moves_in_one_table_and_both_versions_go_on_running() {
    let bench = Bench::new().await;
    let (_, slot) = blue_and_green(&bench).await;
    let old = instances(&bench, "shop");
    let mut routes = bench.control.routes();
    let watched = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = watched.clone();
    let watcher = tokio::spawn(async move {
        while routes.changed().await.is_ok() {
            let table = routes.borrow_and_update().clone();
            let of = |name: &str| {
                let route = table.apps.iter().find(|route| route.app.as_str() == name);
                route.into_iter().flat_map(|route| &route.instances).filter(|one| !one.draining).count()
            };
            seen.lock().expect("a list").push((of("shop"), of("shop--blue")));
        }
    });
    let ended = swap(&bench, &slot, "production", SwapAction::Swap).await;
    assert!(matches!(ended, Some(OperationState::Succeeded { .. })), "{ended:?}");
    let moved = bench.until(async || (!instances(&bench, "shop").iter().any(|one| old.contains(one))).then_some(())).await;
    assert!(moved.is_some(), "production is not served by the other app");
    watcher.abort();
    let seen = watched.lock().expect("a list").clone();
    assert!(seen.iter().all(|(production, _)| *production > 0), "production had nobody who answers: {seen:?}");
}

#[tokio::test]
async fn a_preview_shows_productions_settings_and_a_cancel_takes_them_back() {
    let bench = Bench::new().await;
    let (shop, slot) = blue_and_green(&bench).await;
    assert_eq!(swap(&bench, &slot, "production", SwapAction::Preview).await, None);
    at_rest(&bench, &slot, "shop--blue").await;
    let reads = async || {
        let shown = bench.control.show(&"shop--blue".parse().expect("a name")).await.expect("an app");
        serde_json::to_value(&shown.definition.main().expect("a main").1.env).expect("JSON")["WEBSITE_SLOT_NAME"].clone()
    };
    assert_eq!(reads().await, "Production");
    assert_eq!(
        values(&bench, &slot).await,
        json!({ "WHO": "blue", "COLOUR": "blue" }),
        "the slot's own settings stay as they are"
    );
    assert_eq!(bench.get(&slot).await.expect("the slot")["properties"]["targetSwapSlot"], "production");
    assert_eq!(swap(&bench, &slot, "production", SwapAction::Reset).await, None);
    at_rest(&bench, &slot, "shop--blue").await;
    assert_eq!(reads().await, "Blue");
    assert_eq!(bench.azure.app_of(&shop).await.expect("an app").as_str(), "shop");
}

#[tokio::test]
async fn a_slot_that_never_gets_warm_is_not_swapped_and_goes_back() {
    let bench = Bench::new().await;
    let (shop, slot) = blue_and_green(&bench).await;
    for nth in 1..=6 {
        let url = "http://localhost:8080/".to_owned();
        bench.engine.fail(Call::Check, nth, Fault::ProbeStatus { probe: ProbeKind::Readiness, url, status: 503 });
    }
    let ended = swap(&bench, &slot, "production", SwapAction::Swap).await;
    let Some(OperationState::Failed { code, message, .. }) = ended else { panic!("{ended:?}") };
    assert_eq!(code, "SwapWarmUpFailed", "{message}");
    assert!(message.ends_with("as it should: GET http://localhost:8080/ answered 503."), "{message}");
    at_rest(&bench, &slot, "shop--blue").await;
    assert_eq!(bench.azure.app_of(&shop).await.expect("an app").as_str(), "shop");
    assert_eq!(bench.get(&slot).await.expect("the slot")["properties"]["targetSwapSlot"], Value::Null);
    assert_eq!(values(&bench, &shop).await, json!({ "WHO": "production", "COLOUR": "green" }));
}

#[tokio::test]
async fn a_swap_that_was_cut_goes_on_after_a_crash() {
    let bench = Bench::new().await;
    let (shop, slot) = blue_and_green(&bench).await;
    let body = json!({ "targetSlot": "production" });
    let operation =
        bench.azure.swap(&Caller::machine(), &slot, SwapAction::Swap, &body).await.expect("it is taken").expect("long");
    let bench = bench.crash_and_return().await;
    let ended = bench
        .until(async || {
            bench.azure.operation(&operation).map(|one| one.progress).filter(|state| *state != OperationState::Running)
        })
        .await;
    assert!(matches!(ended, Some(OperationState::Succeeded { .. })), "{ended:?}");
    assert_eq!(bench.azure.app_of(&shop).await.expect("an app").as_str(), "shop--blue");
    let bench = bench.crash_and_return().await;
    assert_eq!(bench.azure.app_of(&shop).await.expect("an app").as_str(), "shop--blue", "the front is stored");
    at_rest(&bench, &shop, "shop--blue").await;
}

#[tokio::test]
async fn what_cannot_be_swapped_is_refused() {
    let bench = Bench::new().await;
    let shop = bench.running_shop().await;
    let slot = shop.child("slots", "blue");
    bench.must(&slot, site_body()).await;
    let refused = async |from: &ResourceId, body: Value| {
        bench.azure.swap(&Caller::machine(), from, SwapAction::Swap, &body).await.expect_err("it is refused").status
    };
    assert_eq!(refused(&slot, json!({})).await, 400);
    assert_eq!(refused(&slot, json!({ "targetSlot": "blue" })).await, 400);
    assert_eq!(refused(&slot, json!({ "targetSlot": "green" })).await, 404);
    assert_eq!(refused(&slot, json!({ "targetSlot": "production" })).await, 409, "it has nothing that runs");
}
