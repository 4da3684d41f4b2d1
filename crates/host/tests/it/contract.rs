//! The contract that every engine keeps.

use std::sync::Arc;

use pillion_engine::{
    Engine,
    contract::{Open, run_all},
};
use pillion_host::HostEngine;

use crate::world::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_engine_on_this_machine_keeps_the_contract() {
    let world = World::new();
    let given = world.given().await;
    let settings = world.settings.clone();
    let open: Open = Arc::new(move || {
        let settings = settings.clone();
        Box::pin(async move {
            let engine: Arc<dyn Engine> = Arc::new(HostEngine::open(settings).await.expect("the engine opens"));
            engine
        })
    });
    run_all(open, given).await;
}
