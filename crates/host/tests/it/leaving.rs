//! What is left of instances, and what is done about it.

use std::{collections::BTreeMap, fs, os::unix::net::UnixListener, process::Command, sync::Arc};

use pillion_engine::{Engine, Instance, Prepare};
use pillion_host::HostEngine;
use pillion_model::{App, ContainerPhase, InstanceId, InstancePhase};
use pillion_runtime::{cgroup::Cgroup, network};
use tokio::sync::mpsc;

use crate::world::World;

/// Starts one instance of an app with one container that listens on 8080, and waits until it is ready.
async fn start(engine: &HostEngine, image: &str, app: &str) -> InstanceId {
    let definition: App = serde_json::from_value(serde_json::json!({
        "name": app,
        "containers": { "web": { "main": true, "image": image, "port": 8080, "command": ["serve", "8080"] } },
    }))
    .expect("an app");
    let definition = Arc::new(definition);
    let (tell, _told) = mpsc::channel(64);
    let (name, credentials) = (definition.name.clone(), BTreeMap::new());
    let what = Prepare { app: name.clone(), revision: 1, definition: definition.clone(), credentials, proven: None };
    let prepared = engine.prepare(what, tell).await.expect("the image is there");
    let id: InstanceId = format!("{app}-1-abc123").parse().expect("an id");
    let instance = Instance { id: id.clone(), app: name, revision: 1, index: 0, definition, prepared, env: BTreeMap::new() };
    engine.start(instance).await.expect("it starts");
    let mut facts = engine.observe();
    let ready = facts.wait_for(|all| all.instances.get(&id).is_some_and(|one| one.status.phase == InstancePhase::Ready));
    tokio::time::timeout(std::time::Duration::from_secs(30), ready).await.expect("in time").expect("the engine lives");
    id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leftovers_of_dead_instances_go_and_what_lives_is_left_alone() {
    let world = World::new();
    let image = world.push("door:1").await;
    let engine = world.open().await;
    let id = start(&engine, &image, "left").await;
    assert_eq!(engine.clear_leftovers().await.expect("looked"), Vec::<String>::new());

    let settings = &world.settings;
    fs::create_dir_all(settings.run.join("i/dead-1-aaaaaa/sandbox")).expect("a directory");
    fs::create_dir_all(settings.state.join("instances/dead-2-aaaaaa/scratch")).expect("a directory");
    drop(UnixListener::bind(settings.run.join("gates/dead-3-aaaaaa.sock")).expect("a socket"));
    let group = Cgroup::create(&settings.cgroup_parent.join("dead-4-aaaaaa")).expect("a control group");
    let mut process = Command::new("sleep").arg("1000").spawn().expect("a process");
    group.create_child("web").and_then(|web| web.add(process.id() as i32)).expect("it is in there");

    let removed = engine.clear_leftovers().await.expect("cleared");
    assert_eq!(removed.len(), 4, "{removed:#?}");
    process.wait().expect("the process was ended");
    assert!(!group.exists());
    assert!(!settings.run.join("i/dead-1-aaaaaa").exists() && !settings.state.join("instances/dead-2-aaaaaa").exists());
    assert_eq!(engine.clear_leftovers().await.expect("looked"), Vec::<String>::new());
    let facts = engine.observe();
    let alive = facts.borrow().instances[&id].status.phase.clone();
    assert_eq!(alive, InstancePhase::Ready);
    assert!(engine.images_in_use().len() == 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_that_is_asked_for_has_fresh_numbers() {
    let world = World::new();
    let image = world.push("door:1").await;
    let engine = world.open().await;
    let id = start(&engine, &image, "fresh").await;
    engine.refresh(&"fresh".parse().expect("a name")).await;
    let facts = engine.observe();
    let web = facts.borrow().instances[&id].status.containers[0].clone();
    assert!(matches!(web.phase, ContainerPhase::Running { .. }));
    assert!(web.memory_bytes.is_some_and(|bytes| bytes > 0) && web.cpu_usec.is_some(), "{web:?}");
    assert_eq!(web.listeners.iter().map(|listener| listener.address.port()).collect::<Vec<_>>(), [8080], "{web:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_that_somebody_deleted_are_made_anew() {
    let world = World::new();
    let image = world.push("door:1").await;
    let engine = world.open().await;
    start(&engine, &image, "rules").await;
    let bridge = world.settings.bridge.clone();
    assert!(network::has_rules(&bridge).expect("looked"));
    for family in ["inet", "bridge", "ip", "netdev"] {
        // Which families have a table of this name is the network's own matter.
        let _ = Command::new("nft").args(["delete", "table", family, &bridge]).output().expect("nft runs");
    }
    assert!(!network::has_rules(&bridge).expect("looked"));
    engine.repair_network().await.expect("repaired");
    assert!(network::has_rules(&bridge).expect("looked"));
}
