//! The scripted engine keeps the contract that real ones are held to.

use std::{sync::Arc, time::Duration};

use pillion_engine::{
    Engine,
    contract::{Given, Open, run_all},
    scripted::Scripted,
};
use pillion_fault::Fault;

#[tokio::test]
async fn the_scripted_engine_keeps_the_contract() {
    let engine = Scripted::new();
    let absent = Fault::ImageNotFound { image: "absent".into(), registry: "nowhere".into() };
    engine.unpreparable("absent", Some(absent));
    let open: Open = Arc::new(move || {
        let engine: Arc<dyn Engine> = Arc::new(engine.clone());
        Box::pin(async move { engine })
    });
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let given = Given {
        image: "programs:1".into(),
        other_image: "programs:2".into(),
        server: words("server"),
        port: 8080,
        idle: words("idle"),
        ends_well: words("true"),
        echo: words("echo $GREETING"),
        echoed: "good day".into(),
        cat: words("cat"),
        absent_image: "absent".into(),
        prefix: "contract".into(),
        patience: Duration::from_secs(10),
    };
    run_all(open, given).await;
}
