//! An app from its first apply to its deletion.

use std::collections::BTreeMap;

use futures::StreamExt;
use pillion_control::{AppState, ApplyOptions, ControlError, PreviewStep, REDACTED, RolloutEvent, RouteState};
use pillion_engine::{Credential, scripted::Call};
use pillion_fault::Fault;
use pillion_model::{EnvValue, Setting};

use crate::world::{PATIENCE, World, app, shop};

#[tokio::test]
async fn an_applied_app_becomes_ready_and_gets_routes() {
    let world = World::new().await;
    let ending = world.roll(&shop("web:1", "cache:1", 2)).await;
    assert!(matches!(ending, RolloutEvent::Ready { revision: 1, .. }), "{ending:?}");
    let status = world.rest("shop").await;
    assert_eq!((status.state, status.ready, status.wanted, status.current), (AppState::Running, 2, 2, Some(1)));
    let mut routes = world.control.routes();
    let routes = routes
        .wait_for(|routes| routes.apps.first().is_some_and(|route| route.instances.len() == 2))
        .await
        .expect("routes")
        .clone();
    let route = &routes.apps[0];
    assert_eq!(route.hosts, ["shop.localhost"]);
    assert_eq!(route.state, RouteState::Serving);
    assert!(route.instances.iter().all(|one| one.port == 8080 && !one.draining), "{route:?}");
}

#[tokio::test]
async fn apps_applied_at_one_moment_get_ports_of_their_own() {
    let world = World::new().await;
    let named = |number: usize| app(&shop("web:1", "cache:1", 1).replace("name: shop", &format!("name: shop{number}")));
    let applied = (0..20).map(|number| world.control.apply(named(number), BTreeMap::new(), ApplyOptions::default()));
    for outcome in futures::future::join_all(applied).await {
        outcome.expect("it is applied");
    }
    let mut ports: Vec<u16> = world.control.ports().await.expect("ports").into_iter().map(|(_, port)| port).collect();
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), 20, "{ports:?}");
}

#[tokio::test]
async fn applying_the_same_again_does_nothing() {
    let world = World::new().await;
    let file = shop("web:1", "cache:1", 1);
    world.roll(&file).await;
    let before = world.engine.history();
    let again = world.apply(&file).await;
    assert_eq!((again.revision, again.steps), (1, vec![]));
    world.rest("shop").await;
    assert_eq!(world.engine.history(), before);
}

#[tokio::test]
async fn a_dry_run_tells_the_steps_and_does_none() {
    let world = World::new().await;
    let dry = ApplyOptions { dry_run: true, ..ApplyOptions::default() };
    let outcome =
        world.control.apply(app(&shop("web:1", "cache:1", 1)), BTreeMap::new(), dry.clone()).await.expect("it is computed");
    assert_eq!(outcome.steps.first(), Some(&PreviewStep::CreateApp));
    assert!(world.control.list().await.expect("a list").is_empty());

    world.roll(&shop("web:1", "cache:1", 1)).await;
    let outcome = world.control.apply(app(&shop("web:1", "cache:2", 1)), BTreeMap::new(), dry).await.expect("it is computed");
    let told: Vec<_> = outcome.steps.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["pull cache:2 for container cache", "replace container cache in each instance (image changed)"]);
    assert_eq!(world.engine.calls(Call::Update), 0);
}

#[tokio::test]
async fn a_secret_reaches_the_container_and_is_never_shown() {
    let world = World::new().await;
    let file = "name: shop\ncontainers:\n  web: { main: true, image: web:1, port: 80, env: { DB: { fromSetting: DB } } }\nsettings: { DB: { secret: hunter2 } }\n";
    world.roll(file).await;
    let running = world.engine.instances();
    assert_eq!(running[0].env["web"], [("DB".to_owned(), "hunter2".to_owned())]);
    assert!(!format!("{:?}", running[0].definition).contains("hunter2"));

    let shown = world.control.show(&world.name()).await.expect("a document");
    assert_eq!(shown.definition.settings["DB"], Setting::Secret { secret: REDACTED.into() });
    let again =
        world.control.apply(shown.definition.clone(), BTreeMap::new(), ApplyOptions::default()).await.expect("it is applied");
    assert_eq!(again.steps, []);

    // A new value is a new revision, and main reads it.
    let ending = world.roll(&file.replace("hunter2", "hunter3")).await;
    assert!(matches!(ending, RolloutEvent::Ready { revision: 2, .. }), "{ending:?}");
    world.rest("shop").await;
    assert_eq!(world.engine.instances()[0].env["web"], [("DB".to_owned(), "hunter3".to_owned())]);
    assert!(matches!(shown.definition.containers["web"].env["DB"], EnvValue::FromSetting { .. }));
}

#[tokio::test]
async fn scaling_up_and_down_keeps_what_need_not_go() {
    let world = World::new().await;
    world.roll(&shop("web:1", "cache:1", 1)).await;
    let first = world.rest("shop").await.instances[0].status.id.clone();
    world.control.scale(&world.name(), 3).await.expect("it scales");
    let three = world.rest("shop").await;
    assert_eq!(three.ready, 3);
    assert!(three.instances.iter().any(|one| one.status.id == first));
    // What is shown says the number in force, and applying it changes nothing.
    let shown = world.control.show(&world.name()).await.expect("a document").definition;
    assert_eq!(shown.scale, 3);
    let again = world.control.apply(shown, BTreeMap::new(), ApplyOptions::default()).await.expect("it is applied");
    assert_eq!(again.steps, []);
    world.control.scale(&world.name(), 1).await.expect("it scales");
    assert_eq!(world.rest("shop").await.instances.len(), 1);
    // An instance is gone before its event is written.
    let events = world
        .control
        .events(&world.name(), true)
        .await
        .expect("events")
        .filter(|event| std::future::ready(event.kind == "stopped"));
    let events: Vec<_> = tokio::time::timeout(PATIENCE, events.take(2).collect()).await.expect("two are stopped");
    let why: Vec<_> = events.iter().filter_map(|event| event.text.split(" stopped: ").nth(1)).collect();
    assert_eq!(why, ["fewer instances are wanted"; 2]);
}

#[tokio::test]
async fn a_stopped_app_stays_stopped_until_it_is_started() {
    let world = World::new().await;
    world.roll(&shop("web:1", "cache:1", 2)).await;
    world.control.stop(&world.name(), None).await.expect("it stops");
    assert!(world.engine.instances().is_empty());
    let world = world.crash_and_return().await;
    assert_eq!(world.rest("shop").await.state, AppState::Stopped);
    let mut routes = world.control.routes();
    routes.wait_for(|routes| routes.apps.first().is_some_and(|route| route.state == RouteState::Stopped)).await.expect("a route");
    world.control.start(&world.name(), None).await.expect("it starts");
    assert_eq!(world.rest("shop").await.ready, 2);
}

#[tokio::test]
async fn deleting_leaves_nothing() {
    let world = World::new().await;
    world.roll(&shop("web:1", "cache:1", 2)).await;
    world.control.delete(&world.name(), None).await.expect("it is deleted");
    assert!(world.engine.instances().is_empty());
    assert!(world.engine.forgotten(&world.name()));
    assert!(matches!(world.control.status(&world.name()).await, Err(ControlError::AppNotFound { .. })));
    let again = world.apply(&shop("web:1", "cache:1", 1)).await;
    assert_eq!(again.revision, 1);
}

#[tokio::test]
async fn a_control_plane_that_returns_adopts_what_runs() {
    let world = World::new().await;
    world.roll(&shop("web:1", "cache:1", 3)).await;
    world.rest("shop").await;
    let before = world.engine.history();
    let world = world.crash_and_return().await;
    world.rest("shop").await;
    assert_eq!(world.engine.history(), before);
}

#[tokio::test]
async fn an_app_comes_back_after_its_instances_are_gone() {
    let world = World::new().await;
    world.roll(&shop("web:1", "cache:1", 2)).await;
    let status = world.rest("shop").await;
    // A reboot: nothing runs, the state is there.
    for one in &status.instances {
        world.engine.lose(&one.status.id);
    }
    let world = world.crash_and_return().await;
    assert_eq!(world.rest("shop").await.ready, 2);
}

#[tokio::test]
async fn a_lost_instance_is_replaced_and_its_like_left_alone() {
    let world = World::new().await;
    world.roll(&shop("web:1", "cache:1", 2)).await;
    let status = world.rest("shop").await;
    let (lost, kept) = (status.instances[0].status.id.clone(), status.instances[1].status.id.clone());
    world.engine.lose(&lost);
    world.until(|observed| observed.instances.len() == 2).await;
    let after = world.rest("shop").await;
    assert!(after.instances.iter().any(|one| one.status.id == kept) && after.instances.iter().all(|one| one.status.id != lost));
}

#[tokio::test]
async fn an_app_whose_images_are_gone_gets_them_again() {
    let world = World::new().await;
    world.roll(&shop("web:1", "cache:1", 1)).await;
    let lost = world.rest("shop").await.instances[0].status.id.clone();
    let gone = Fault::Internal { doing: "finding the image".into(), reason: "it is not in the store any more".into() };
    world.engine.fail(Call::Start, 1, gone);
    world.engine.lose(&lost);
    world.until(|observed| observed.instances.len() == 1).await;
    assert_eq!(world.rest("shop").await.current, Some(1));
    assert_eq!((world.engine.calls(Call::Prepare), world.engine.calls(Call::Start)), (2, 3));
}

#[tokio::test]
async fn an_etag_that_is_not_the_newest_is_refused() {
    let world = World::new().await;
    let first = world.apply(&shop("web:1", "cache:1", 1)).await;
    world.apply(&shop("web:2", "cache:1", 1)).await;
    let options = ApplyOptions { if_match: first.etag, ..ApplyOptions::default() };
    let refused = world.control.apply(app(&shop("web:3", "cache:1", 1)), BTreeMap::new(), options).await;
    assert!(matches!(refused, Err(ControlError::Conflict { .. })), "{refused:?}");
}

#[tokio::test]
async fn everything_that_happens_stands_in_the_event_log() {
    let world = World::new().await;
    world.roll(&shop("web:1", "cache:1", 1)).await;
    world.control.scale(&world.name(), 2).await.expect("it scales");
    world.rest("shop").await;
    world.control.restart(&world.name(), Some(&"cache".parse().expect("a name"))).await.expect("it restarts");
    let kinds: Vec<_> = world.control.events(&world.name(), false).await.expect("events").map(|event| event.kind).collect().await;
    for kind in ["applied", "started", "deployed", "scaled", "restartRequested"] {
        assert!(kinds.iter().any(|found| found == kind), "{kind} is not in {kinds:?}");
    }
}

#[tokio::test]
async fn credentials_outlive_the_process_and_are_used_again() {
    let world = World::new().await;
    let credential = Credential { username: "ann".into(), password: "secret".into() };
    let credentials = BTreeMap::from([("registry.example".to_owned(), credential)]);
    let file = shop("registry.example/web:1", "cache:1", 1);
    let outcome = world.control.apply(app(&file), credentials, ApplyOptions::default()).await.expect("it is applied");
    world.ending(&file, outcome.revision).await;
    assert_eq!(world.engine.users_seen(), ["ann"]);
    let world = world.crash_and_return().await;
    world.roll(&shop("registry.example/web:2", "cache:1", 1)).await;
    assert_eq!(world.engine.users_seen(), ["ann", "ann"]);
}
