//! Apps follow their resources: after a pause, after a crash, and never half.

use pillion_azure::{Action, ConfigName, Removal, ResourceKind};
use pillion_control::AppState;
use pillion_identity::Caller;
use pillion_model::Access;
use pillion_store::Kind;
use serde_json::{Value, json};

use crate::bench::{Bench, container, container_body, plan, site, site_body};

#[tokio::test]
async fn a_site_gets_its_app_once_it_has_a_main_container() {
    let bench = Bench::new().await;
    let shop = bench.shop().await;
    bench.must(&container(&shop, "side"), container_body("cache:1", 6379, false)).await;
    bench.azure.settled(&shop).await;
    assert!(bench.control.list().await.expect("a list").is_empty(), "an app without a main container was made");
    let before = bench.get(&shop).await.expect("the site is there");
    bench.must(&container(&shop, "main"), container_body("web:1", 8080, true)).await;
    let status = bench.state("shop", "runs", |status| status.state == AppState::Running).await;
    assert_eq!((status.current, status.instances.len()), (Some(1), 1));
    let after = bench.get(&shop).await.expect("the site is there");
    assert_eq!(before["properties"]["enabledHostNames"], after["properties"]["enabledHostNames"], "the address stays");
    assert!(status.urls.iter().any(|url| url.contains(after["properties"]["enabledHostNames"][0].as_str().expect("a host"))));
}

#[tokio::test]
async fn many_writes_in_a_row_become_one_revision() {
    let bench = Bench::new().await;
    let shop = bench.shop().await;
    let hold = bench.azure.hold(&shop).expect("a site can be held");
    bench.must(&container(&shop, "main"), container_body("web:1", 8080, true)).await;
    for number in 0..5 {
        bench.must(&container(&shop, &format!("side{number}")), container_body("cache:1", 7000 + number, false)).await;
    }
    drop(hold);
    let status = bench.state("shop", "runs", |status| status.state == AppState::Running).await;
    assert_eq!(status.target, 1, "one revision for all writes");
    assert_eq!(status.instances[0].status.containers.len(), 6);
}

#[tokio::test]
async fn what_was_written_before_a_crash_is_followed_after_it() {
    let bench = Bench::new().await.return_without_settler().await;
    let shop = bench.shop().await;
    bench.must(&container(&shop, "main"), container_body("web:1", 8080, true)).await;
    assert!(bench.control.list().await.expect("a list").is_empty());
    assert_eq!(bench.store.documents::<Value>(Kind::Dirty).await.expect("marks").len(), 1, "the wish to follow is stored");
    let bench = bench.crash_and_return().await;
    bench.state("shop", "runs", |status| status.state == AppState::Running).await;
    bench.azure.settled(&shop).await;
    assert!(bench.store.documents::<Value>(Kind::Dirty).await.expect("marks").is_empty(), "the mark is gone");
}

#[tokio::test]
async fn a_deletion_before_a_crash_takes_the_app_along_after_it() {
    let bench = Bench::new().await;
    let shop = bench.running_shop().await;
    bench.azure.settled(&shop).await;
    let bench = bench.return_without_settler().await;
    let azure = bench.azure.clone();
    let deletion = tokio::spawn({
        let shop = shop.clone();
        async move { azure.delete(&Caller::machine(), &shop, &Removal::default()).await }
    });
    bench.until(async || bench.get(&shop).await.is_err().then_some(())).await.expect("the documents go first");
    assert!(bench.control.status(&"shop".parse().expect("a name")).await.is_ok(), "nobody has removed the app yet");
    deletion.abort();
    let bench = bench.crash_and_return().await;
    bench.gone("shop").await;
}

#[tokio::test]
async fn a_site_made_again_right_after_its_deletion_is_a_new_app() {
    let bench = Bench::new().await;
    let shop = bench.running_shop().await;
    let plan_stays = Removal { keep_empty_plan: true, ..Removal::default() };
    let first = bench.state("shop", "runs", |_| true).await.instances[0].status.id.clone();
    // The answer to the deletion is not waited for: the name is taken again at once.
    let machine = Caller::machine();
    let (deleted, made) = tokio::join!(bench.azure.delete(&machine, &shop, &plan_stays), async {
        bench.until(async || bench.get(&shop).await.is_err().then_some(())).await.expect("it goes");
        bench.must(&shop, site_body()).await;
        bench.must(&container(&shop, "main"), container_body("web:2", 8080, true)).await
    });
    deleted.expect("it is deleted");
    assert_eq!(made["name"].as_str().and_then(|name| name.rsplit('/').next()), Some("main"));
    let status = bench
        .state("shop", "runs anew", |status| {
            status.state == AppState::Running && status.instances.iter().all(|one| one.status.id != first)
        })
        .await;
    assert_eq!(status.current, Some(1), "its revisions begin anew");
}

#[tokio::test]
async fn an_unresolved_reference_fails_a_revision_by_name_while_the_old_one_serves() {
    let bench = Bench::new().await;
    let shop = bench.running_shop().await;
    let mut body = container_body("web:2", 8080, true);
    body["properties"]["environmentVariables"] = json!([{ "name": "GREETING", "value": "NO_SUCH_SETTING" }]);
    bench.must(&container(&shop, "main"), body).await;
    let status = bench.state("shop", "tells what is missing", |status| status.diagnosis.is_some()).await;
    let told = status.diagnosis.expect("a diagnosis").to_string();
    assert!(told.contains("NO_SUCH_SETTING"), "{told}");
    assert_eq!((status.current, status.ready), (Some(1), 1), "the old revision serves");
    let shown = bench.azure.site_status(&Caller::machine(), &shop).await.expect("a status");
    assert!(shown[0]["lastErrorDetails"].as_str().is_some_and(|text| text.contains("NO_SUCH_SETTING")), "{shown:?}");

    let settings = shop.config(pillion_azure::ConfigName::AppSettings);
    bench.must(&settings, json!({ "properties": { "NO_SUCH_SETTING": "hello" } })).await;
    bench
        .state("shop", "recovers", |status| {
            status.state == AppState::Running && status.diagnosis.is_none() && status.current > Some(1)
        })
        .await;
}

#[tokio::test]
async fn the_plans_capacity_is_how_many_instances_its_apps_have() {
    let bench = Bench::new().await;
    bench.running_shop().await;
    let sku = |capacity: u32| json!({ "location": "local", "sku": { "name": "P1V3", "capacity": capacity }, "properties": { "reserved": true } });
    for capacity in [3, 1] {
        bench.must(&plan(), sku(capacity)).await;
        let status = bench
            .state("shop", "has as many instances", |status| {
                status.state == AppState::Running && status.instances.len() == capacity as usize
            })
            .await;
        assert_eq!(status.wanted, capacity);
    }
}

#[tokio::test]
async fn https_only_of_a_site_and_of_a_slot_are_in_the_routes_of_their_apps() {
    let bench = Bench::new().await;
    let shop = bench.running_shop().await;
    let slot = shop.child("slots", "blue");
    let demand = |https_only: Value| {
        let mut body = site_body();
        body["properties"]["httpsOnly"] = https_only;
        body
    };
    bench.must(&slot, demand(json!(true))).await;
    bench.must(&container(&slot, "main"), container_body("web:1", 8080, true)).await;
    let routes = bench.control.routes();
    let routed = async |app: &str, wanted: bool| {
        let has = bench.until(async || {
            let table = routes.borrow().clone();
            let route = table.apps.iter().find(|route| route.app.as_str() == app)?;
            (route.site.as_ref()?.https_only == wanted).then_some(())
        });
        assert!(has.await.is_some(), "the route of {app} never says {wanted}");
    };
    routed("shop", false).await;
    routed("shop--blue", true).await;
    bench.must(&shop, demand(json!("true"))).await;
    routed("shop", true).await;
    routed("shop--blue", true).await;
    bench.must(&shop, demand(json!(false))).await;
    routed("shop", false).await;
}

#[tokio::test]
async fn a_stopped_site_stays_stopped_and_a_started_one_runs() {
    let bench = Bench::new().await;
    let shop = bench.running_shop().await;
    let caller = Caller::machine();
    bench.azure.action(&caller, &shop, Action::Stop).await.expect("it is taken");
    bench.state("shop", "stops", |status| status.state == AppState::Stopped).await;
    let shown = bench.until(async || {
        let shown = bench.get(&shop).await.expect("the site is there");
        (shown["properties"]["state"] == "Stopped").then_some(())
    });
    shown.await.expect("the site shows it");
    bench.must(&container(&shop, "main"), container_body("web:2", 8080, true)).await;
    bench.azure.settled(&shop).await;
    let status = bench.state("shop", "has the new revision", |status| status.target == 2).await;
    assert_eq!(status.state, AppState::Stopped);
    bench.azure.action(&caller, &shop, Action::Start).await.expect("it is taken");
    bench.state("shop", "runs", |status| status.state == AppState::Running && status.current == Some(2)).await;
}

#[tokio::test]
async fn a_site_stopped_before_it_has_an_app_begins_stopped() {
    let bench = Bench::new().await;
    let shop = bench.shop().await;
    bench.azure.action(&Caller::machine(), &shop, Action::Stop).await.expect("it is taken");
    bench.must(&container(&shop, "main"), container_body("web:1", 8080, true)).await;
    let status = bench.state("shop", "is there", |status| status.target == 1).await;
    assert_eq!(status.state, AppState::Stopped);
    assert!(bench.engine.history().iter().all(|call| !call.starts_with("start")), "{:?}", bench.engine.history());
}

#[tokio::test]
async fn deleting_a_site_takes_its_app_its_slots_and_its_empty_plan() {
    let bench = Bench::new().await;
    let shop = bench.running_shop().await;
    let slot = shop.child("slots", "staging");
    bench.must(&slot, site_body()).await;
    bench.must(&container(&slot, "main"), container_body("web:1", 8080, true)).await;
    bench.state("shop--staging", "runs", |status| status.state == AppState::Running).await;
    assert!(bench.delete(&shop).await.expect("it is deleted").existed);
    assert!(bench.control.list().await.expect("a list").is_empty(), "apps are left");
    for id in [&shop, &slot, &plan(), &container(&shop, "main")] {
        assert_eq!(bench.get(id).await.expect_err("it is gone").status, 404, "{id}");
    }
    let left = bench.azure.peek_within(&crate::bench::group("rg1"));
    assert_eq!(left.iter().map(|one| one.id.kind()).collect::<Vec<_>>(), [ResourceKind::Group]);
    assert!(!bench.delete(&shop).await.expect("again is no error").existed);
}

#[tokio::test]
async fn a_plan_with_sites_is_not_deleted_and_one_that_is_to_be_kept_stays() {
    let bench = Bench::new().await;
    let shop = bench.shop().await;
    assert_eq!(bench.delete(&plan()).await.expect_err("it has a site").status, 409);
    let keep = Removal { keep_empty_plan: true, ..Removal::default() };
    bench.azure.delete(&Caller::machine(), &shop, &keep).await.expect("it is deleted");
    assert!(bench.get(&plan()).await.is_ok());
    assert!(bench.delete(&plan()).await.expect("it is empty").existed);
}

#[tokio::test]
async fn an_app_of_a_site_is_not_taken_by_a_file_nor_the_other_way_round() {
    let bench = Bench::new().await;
    let shop = bench.running_shop().await;
    let file = |image: &str| {
        pillion_model::AppFile::parse(&format!("name: shop\ncontainers:\n  main: {{ main: true, image: {image}, port: 8080 }}\n"))
            .expect("an app")
    };
    let options = pillion_control::ApplyOptions::default();
    let refused = bench.control.apply(file("other:1"), Default::default(), options.clone()).await.expect_err("it is the site's");
    assert_eq!(refused.code(), "ManagedByResource");
    assert!(refused.to_string().contains(&shop.to_string()), "{refused}");

    let mut native = file("web:1");
    native.name = "filed".parse().expect("a name");
    bench.control.apply(native, Default::default(), options).await.expect("it is applied");
    assert_eq!(bench.put(&site("filed"), site_body()).await.expect_err("the name is taken").status, 409);
}

#[tokio::test]
async fn who_may_send_requests_holds_though_the_newest_definition_is_refused() {
    let bench = Bench::new().await;
    let shop = bench.running_shop().await;
    let others = || {
        let routes = bench.control.routes().borrow().clone();
        let route = routes.apps.iter().find(|route| route.app.as_str() == "shop").cloned();
        route.and_then(|route| Some(route.site?.access.others))
    };
    assert_eq!(others(), Some(Access::Allow));
    bench
        .must(&shop.config(ConfigName::AppSettings), json!({ "properties": { "WEBSITES_CONTAINER_START_TIME_LIMIT": "soon" } }))
        .await;
    bench.state("shop", "the setting is refused", |status| status.diagnosis.is_some() && status.current == Some(1)).await;
    bench.must(&shop.config(ConfigName::Web), json!({ "properties": { "ipSecurityRestrictionsDefaultAction": "Deny" } })).await;
    let denied = bench.until(async || (others() == Some(Access::Deny)).then_some(())).await;
    assert!(denied.is_some(), "the restriction waits for another setting to be repaired");
}
