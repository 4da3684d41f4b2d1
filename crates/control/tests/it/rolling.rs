//! From one revision to the next: in place, beside, failing, rolled back, overtaken.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use pillion_control::{AppState, RolloutEvent};
use pillion_engine::{
    Engine,
    scripted::{Behaviour, Call},
};
use pillion_fault::{Exit, Fault};
use pillion_model::InstancePhase;

use crate::world::{World, pids, shop};

fn exits() -> Fault {
    Fault::Exited { exit: Exit::Code { code: 1 }, after_ms: 3 }
}

fn missing() -> Fault {
    Fault::CommandMissing { command: "/bin/absent".into(), searched: vec![] }
}

#[tokio::test]
async fn a_changed_sidecar_is_replaced_alone() {
    let world = World::new().await;
    world.roll(&shop("web:1", "cache:1", 2)).await;
    let before = world.rest("shop").await;
    let ending = world.roll(&shop("web:1", "cache:2", 2)).await;
    assert!(matches!(ending, RolloutEvent::Ready { revision: 2, .. }), "{ending:?}");
    let after = world.rest("shop").await;
    assert_eq!(pids(&before, "web"), pids(&after, "web"));
    assert!(pids(&before, "cache").iter().all(|pid| !pids(&after, "cache").contains(pid)));
    assert_eq!((world.engine.calls(Call::Start), world.engine.calls(Call::Stop)), (2, 0));
}

#[tokio::test]
async fn a_sidecar_that_fails_is_rolled_back_in_place() {
    let world = World::new().await;
    world.roll(&shop("web:1", "cache:1", 2)).await;
    let before = world.rest("shop").await;
    world.engine.behave("cache:bad", Behaviour::CrashLoop(exits()));
    let ending = world.roll(&shop("web:1", "cache:bad", 2)).await;
    let RolloutEvent::Failed { diagnosis, serving, .. } = ending else { panic!("{ending:?}") };
    assert_eq!((diagnosis.container.as_deref(), &diagnosis.fault, serving), (Some("cache"), &exits(), Some(1)));
    world.until(|observed| observed.instances.values().all(|one| one.status.revision == 1)).await;
    let after = world.rest("shop").await;
    assert_eq!(pids(&before, "web"), pids(&after, "web"));
    assert_eq!((after.state, after.current, after.target), (AppState::Running, Some(1), 2));
    assert_eq!(after.diagnosis.map(|diagnosis| diagnosis.fault), Some(exits()));
    // The fix heals, and so does going back to what was.
    let ending = world.roll(&shop("web:1", "cache:3", 2)).await;
    assert!(matches!(ending, RolloutEvent::Ready { revision: 3, .. }), "{ending:?}");
}

#[tokio::test]
async fn a_changed_main_proves_itself_beside_the_old() {
    let world = World::new().await;
    world.roll(&shop("web:1", "cache:1", 2)).await;
    world.rest("shop").await;
    let short = Arc::new(AtomicBool::new(false));
    let watched = short.clone();
    let mut facts = world.engine.observe();
    let watch = tokio::spawn(async move {
        while facts.changed().await.is_ok() {
            let ready = facts
                .borrow_and_update()
                .instances
                .values()
                .filter(|one| matches!(one.status.phase, InstancePhase::Ready))
                .count();
            if ready < 2 {
                watched.store(true, Ordering::Relaxed);
            }
        }
    });
    let ending = world.roll(&shop("web:2", "cache:1", 2)).await;
    assert!(matches!(ending, RolloutEvent::Ready { revision: 2, .. }), "{ending:?}");
    let after = world.rest("shop").await;
    assert!(after.instances.iter().all(|one| one.status.revision == 2) && after.instances.len() == 2);
    assert!(!short.load(Ordering::Relaxed), "fewer than two were ready at some time");
    watch.abort();
}

#[tokio::test]
async fn a_main_that_fails_leaves_the_old_one_serving() {
    let world = World::new().await;
    world.roll(&shop("web:1", "cache:1", 2)).await;
    let before = world.rest("shop").await;
    world.engine.behave("web:bad", Behaviour::CrashLoop(missing()));
    let ending = world.roll(&shop("web:bad", "cache:1", 2)).await;
    let RolloutEvent::Failed { diagnosis, serving, .. } = ending else { panic!("{ending:?}") };
    assert_eq!((diagnosis.container.as_deref(), &diagnosis.fault, serving), (Some("web"), &missing(), Some(1)));
    world.until(|observed| observed.instances.len() == 2).await;
    let after = world.rest("shop").await;
    assert_eq!(pids(&before, "web"), pids(&after, "web"));
    assert_eq!(after.instances.len(), 2);
}

#[tokio::test]
async fn a_first_revision_that_fails_is_taken_down_with_its_cause_in_the_route() {
    let world = World::new().await;
    world.engine.behave("web:bad", Behaviour::CrashLoop(missing()));
    let ending = world.roll(&shop("web:bad", "cache:1", 1)).await;
    assert!(matches!(ending, RolloutEvent::Failed { serving: None, .. }), "{ending:?}");
    world.until(|observed| observed.instances.is_empty()).await;
    let mut routes = world.control.routes();
    let told = |route: &pillion_control::AppRoute| matches!(&route.state, pillion_control::RouteState::Down { reason, .. } if reason.contains("web"));
    routes.wait_for(|routes| routes.apps.first().is_some_and(told)).await.expect("a route");
    assert_eq!(world.rest("shop").await.state, AppState::Failed);
    // What lay outside the file was put right: the same file tries again.
    world.engine.behave("web:bad", Behaviour::Ready);
    let ending = world.roll(&shop("web:bad", "cache:1", 1)).await;
    assert!(matches!(ending, RolloutEvent::Ready { revision: 2, .. }), "{ending:?}");
}

#[tokio::test]
async fn an_image_that_cannot_be_had_fails_the_revision_by_name() {
    let world = World::new().await;
    let absent = Fault::ImageTagNotFound { image: "web:2".into(), tag: "2".into() };
    world.engine.unpreparable("web:2", Some(absent.clone()));
    world.roll(&shop("web:1", "cache:1", 1)).await;
    let ending = world.roll(&shop("web:2", "cache:1", 1)).await;
    let RolloutEvent::Failed { diagnosis, serving: Some(1), .. } = ending else { panic!("{ending:?}") };
    assert_eq!((diagnosis.container.as_deref(), diagnosis.fault), (Some("web"), absent));
}

#[tokio::test]
async fn a_revision_that_is_never_ready_fails_at_its_deadline() {
    let world = World::new().await;
    world.engine.behave("web:1", Behaviour::Hang);
    let file = format!("{}readyWithin: 1\n", shop("web:1", "cache:1", 1));
    let ending = world.roll(&file).await;
    let RolloutEvent::Failed { diagnosis, .. } = ending else { panic!("{ending:?}") };
    assert!(matches!(diagnosis.fault, Fault::NotReadyInTime { waited_ms } if waited_ms >= 1000), "{diagnosis:?}");
}

#[tokio::test]
async fn a_newer_apply_overtakes_one_on_its_way() {
    let world = World::new().await;
    world.roll(&shop("web:1", "cache:1", 2)).await;
    world.engine.behave("web:2", Behaviour::Hang);
    let stuck = shop("web:2", "cache:1", 2);
    let outcome = world.apply(&stuck).await;
    world.until(|observed| observed.instances.values().any(|one| one.status.revision == 2)).await;
    let newest = world.apply(&shop("web:3", "cache:1", 2)).await;
    assert_eq!(world.ending(&stuck, outcome.revision).await, RolloutEvent::Superseded { by: 3 });
    let ending = world.ending(&stuck, newest.revision).await;
    assert!(matches!(ending, RolloutEvent::Ready { revision: 3, .. }), "{ending:?}");
    world
        .until(|observed| observed.instances.len() == 2 && observed.instances.values().all(|one| one.status.revision == 3))
        .await;
}

#[tokio::test]
async fn a_rollout_goes_on_after_the_control_plane_died_in_it() {
    let world = World::new().await;
    world.roll(&shop("web:1", "cache:1", 2)).await;
    world.engine.behave("web:2", Behaviour::Hang);
    let file = shop("web:2", "cache:1", 2);
    let outcome = world.apply(&file).await;
    world.until(|observed| observed.instances.values().filter(|one| one.status.revision == 2).count() == 2).await;
    let world = world.crash_and_return().await;
    world.engine.behave("web:2", Behaviour::Ready);
    let ending = world.ending(&file, outcome.revision).await;
    assert!(matches!(ending, RolloutEvent::Ready { revision: 2, .. }), "{ending:?}");
    let after = world.rest("shop").await;
    assert_eq!((after.instances.len(), world.engine.calls(Call::Start)), (2, 4));
}

#[tokio::test]
async fn a_start_that_fails_once_is_tried_again() {
    let world = World::new().await;
    world.engine.fail(Call::Start, 1, Fault::Internal { doing: "start".into(), reason: "a passing fault".into() });
    let ending = world.roll(&shop("web:1", "cache:1", 1)).await;
    assert!(matches!(ending, RolloutEvent::Ready { .. }), "{ending:?}");
    assert_eq!(world.engine.calls(Call::Start), 2);
}
