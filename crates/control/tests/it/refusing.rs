//! What cannot be written down as a definition: refused, told, and forgotten in time.

use std::collections::BTreeMap;

use pillion_control::{AppState, ApplyOptions};
use pillion_engine::scripted::Behaviour;
use pillion_fault::{Diagnosis, Fault};
use pillion_store::Outcome;

use crate::world::{World, app, shop};

const OWNER: &str = "a site";

async fn apply(world: &World, file: &str) -> u64 {
    let options = ApplyOptions { owner: Some(OWNER.into()), ..ApplyOptions::default() };
    world.control.apply(app(file), BTreeMap::new(), options).await.expect("it is applied").revision
}

async fn refuse(world: &World, reasons: std::ops::Range<u32>) {
    for nth in reasons {
        let fault = Fault::Internal { doing: "make an app of the site".into(), reason: format!("reason {nth}") };
        let diagnosis = Diagnosis { container: None, fault, log_tail: Vec::new() };
        world.control.refuse(&world.name(), OWNER, diagnosis).await.expect("it is written down");
    }
}

async fn revisions(world: &World) -> Vec<(u64, Outcome)> {
    let revisions = world.store.revisions(&world.name()).await.expect("revisions");
    revisions.into_iter().map(|one| (one.number, one.outcome)).collect()
}

#[tokio::test]
async fn the_last_refusals_are_kept_and_the_revision_that_serves() {
    let world = World::new().await;
    apply(&world, &shop("web:1", "cache:1", 1)).await;
    world.rest("shop").await;
    refuse(&world, 0..25).await;
    let kept = revisions(&world).await;
    assert_eq!(kept.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [1].into_iter().chain(16..=26).collect::<Vec<_>>());
    assert_eq!(kept[0].1, Outcome::Ready);
    let told = |outcome: &Outcome| matches!(outcome, Outcome::Failed { diagnosis } if diagnosis.to_string().contains("reason"));
    assert!(kept[1..].iter().all(|(_, outcome)| told(outcome)), "{kept:?}");
    let status = world.control.status(&world.name()).await.expect("a status");
    assert_eq!((status.current, status.target, status.ready), (Some(1), 26, 1));
    assert!(status.diagnosis.is_some_and(|diagnosis| diagnosis.to_string().contains("reason 24")));

    // What serves is found again by a control plane that knows nothing, and what comes next is served.
    let world = world.crash_and_return().await;
    assert_eq!(world.control.status(&world.name()).await.expect("a status").current, Some(1));
    assert_eq!(apply(&world, &shop("web:2", "cache:1", 1)).await, 27);
    let status = world.rest("shop").await;
    assert_eq!((status.state, status.current), (AppState::Running, Some(27)));
}

#[tokio::test]
async fn a_refusal_overtakes_what_is_on_its_way_and_what_serves_stays() {
    let world = World::new().await;
    apply(&world, &shop("web:1", "cache:1", 1)).await;
    world.rest("shop").await;
    refuse(&world, 0..25).await;
    world.engine.behave("web:2", Behaviour::Hang);
    assert_eq!(apply(&world, &shop("web:2", "cache:1", 1)).await, 27);
    world.until(|observed| observed.instances.values().any(|one| one.status.revision == 27)).await;
    let (first, last) = (revisions(&world).await[0].0, revisions(&world).await.pop().expect("a revision"));
    assert_eq!((first, last), (1, (27, Outcome::Pending)));
    refuse(&world, 25..26).await;
    let superseded = revisions(&world).await.into_iter().find(|(number, _)| *number == 27);
    assert_eq!(superseded, Some((27, Outcome::Superseded { by: 28 })));
    world.until(|observed| observed.instances.values().all(|one| one.status.revision == 1)).await;
    refuse(&world, 26..50).await;
    let numbers: Vec<_> = revisions(&world).await.into_iter().map(|(number, _)| number).collect();
    assert_eq!(numbers, [1].into_iter().chain(42..=52).collect::<Vec<_>>());
    assert_eq!(world.control.status(&world.name()).await.expect("a status").ready, 1);
}

#[tokio::test]
async fn an_app_that_never_was_keeps_the_last_refusals_only() {
    let world = World::new().await;
    refuse(&world, 0..15).await;
    let numbers: Vec<_> = revisions(&world).await.into_iter().map(|(number, _)| number).collect();
    assert_eq!(numbers, (5..=15).collect::<Vec<_>>());
}
