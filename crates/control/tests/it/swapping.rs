//! Fronts: what leads to an app changes from one moment to the next, and what runs goes on running.

use pillion_control::{AppState, Share, Side, SiteFront};
use pillion_model::AppName;
use pillion_store::Batch;

use crate::world::{World, pids, shop};

fn name(text: &str) -> AppName {
    text.parse().expect("a name")
}

fn blue(file: &str) -> String {
    file.replace("name: shop", "name: shop--blue")
}

async fn both() -> World {
    let world = World::new().await;
    world.roll(&shop("web:1", "cache:1", 2)).await;
    world.roll(&blue(&shop("web:2", "cache:1", 1))).await;
    world.rest("shop").await;
    world.rest("shop--blue").await;
    world
}

async fn exchange(world: &World) {
    let (one, other) = (name("shop"), name("shop--blue"));
    let sides = (Side { name: &one, owner: "/sites/shop" }, Side { name: &other, owner: "/sites/shop/slots/blue" });
    world.control.exchange(sides.0, sides.1, Batch::new()).await.expect("the fronts are exchanged");
}

/// Which app's instances serve a public name.
async fn serving(world: &World, public: &str, app: &str) {
    let mut routes = world.control.routes();
    let prefix = format!("{app}-1-");
    let moved = routes.wait_for(|routes| {
        let route = routes.apps.iter().find(|route| route.app.as_str() == public);
        route.is_some_and(|route| {
            !route.instances.is_empty() && route.instances.iter().all(|one| one.instance.as_str().starts_with(&prefix))
        })
    });
    tokio::time::timeout(crate::world::PATIENCE, moved).await.expect("the routes follow").expect("routes");
}

#[tokio::test]
async fn an_exchange_moves_names_ports_and_owners_and_touches_no_process() {
    let world = both().await;
    let (old, new) = (world.rest("shop").await, world.rest("shop--blue").await);
    exchange(&world).await;
    serving(&world, "shop", "shop--blue").await;
    serving(&world, "shop--blue", "shop").await;
    assert_eq!(world.control.resolve(&name("shop")).await.expect("an app"), name("shop--blue"));
    assert_eq!(world.control.resolve(&name("shop--blue")).await.expect("an app"), name("shop"));
    let (after_old, after_new) = (world.rest("shop").await, world.rest("shop--blue").await);
    assert_eq!((after_new.name.as_str(), &after_new.urls), ("shop", &old.urls), "the address is the name's");
    assert_eq!((pids(&after_old, "web"), pids(&after_new, "web")), (pids(&old, "web"), pids(&new, "web")));
    let owners = world.control.owners().await.expect("owners");
    assert_eq!(owners[&name("shop--blue")].as_deref(), Some("/sites/shop"));
    exchange(&world).await;
    serving(&world, "shop", "shop").await;
    assert_eq!(world.rest("shop").await.state, AppState::Running);
}

#[tokio::test]
async fn fronts_outlive_the_server_and_a_deleted_app_frees_its_name() {
    let world = both().await;
    exchange(&world).await;
    let world = world.crash_and_return().await;
    assert_eq!(world.control.resolve(&name("shop")).await.expect("an app"), name("shop--blue"));
    // The slot goes, and with it the app that production once was.
    world.control.delete(&name("shop"), None).await.expect("it is deleted");
    let fresh = world.control.resolve(&name("shop--blue")).await.expect("a name");
    assert_eq!(fresh, name("shop--blue-2"), "the app of this name is production");
    assert_eq!(world.control.resolve(&name("shop--blue")).await.expect("a name"), fresh, "it stays");
    world.roll(&shop("web:3", "cache:1", 1).replace("name: shop", "name: shop--blue-2")).await;
    serving(&world, "shop--blue", "shop--blue-2").await;
    let names: Vec<_> = world.control.list().await.expect("a list").into_iter().map(|one| one.name.to_string()).collect();
    assert_eq!(names, ["shop", "shop--blue"]);
}

#[tokio::test]
async fn an_app_can_move_to_a_name_that_has_none() {
    let world = World::new().await;
    world.roll(&blue(&shop("web:2", "cache:1", 1))).await;
    let port = world.control.reserve_port(&name("shop")).await.expect("a port");
    exchange(&world).await;
    serving(&world, "shop", "shop--blue").await;
    let status = world.rest("shop--blue").await;
    assert!(status.urls.contains(&format!("http://127.0.0.1:{port}/")), "{:?}", status.urls);
}

#[tokio::test]
async fn what_holds_for_a_name_stays_with_it() {
    let world = both().await;
    let share = Share { slot: "blue".into(), app: name("shop--blue"), share: 1_000 };
    let front = SiteFront { affinity: true, https_only: true, shares: vec![share], ..SiteFront::default() };
    // An exchange gives both an owner, and only that one sets what holds.
    exchange(&world).await;
    serving(&world, "shop", "shop--blue").await;
    let behind = name("shop--blue");
    world.control.set_site_front(&behind, "/sites/shop", front.clone()).await.expect("it is stored");
    world.control.set_site_front(&behind, "/sites/other", SiteFront::default()).await.expect("nothing is changed");
    exchange(&world).await;
    serving(&world, "shop", "shop").await;
    let routes = world.control.routes().borrow().clone();
    let of = |public: &str| routes.apps.iter().find(|route| route.app.as_str() == public).expect("a route").site.clone();
    assert_eq!((of("shop"), of("shop--blue")), (Some(front), None));
}
