//! `stop`, `start`, `restart`, `scale`, `delete`, on an app and on one of its containers.

use pillion_e2e::get;

use crate::shop::Shop;

#[test]
fn one_container_is_stopped_started_and_restarted_while_the_other_keeps_its_process() {
    let shop = Shop::open();
    let (web, side) = (shop.pid("web"), shop.pid("side"));
    // Each command returns when it is so, not when it was asked for.
    shop.copy.ok(["restart", "shop", "-c", "side"]);
    assert!(shop.pid("side").is_some_and(|pid| Some(pid) != side), "the sidecar has a new process");
    shop.copy.ok(["stop", "shop", "-c", "side"]);
    assert_eq!(shop.pid("side"), None);
    assert_eq!(get(&shop.copy.url("shop")).expect("main answers").status, 200);
    shop.copy.ok(["start", "shop", "-c", "side"]);
    assert!(shop.pid("side").is_some(), "the sidecar runs again");
    assert_eq!(shop.pid("web"), web);
}

#[test]
fn a_stopped_app_stays_stopped_over_a_restart_of_the_server_until_it_is_started() {
    let mut shop = Shop::open();
    shop.copy.ok(["stop", "shop"]);
    assert_eq!(shop.copy.json(&["status", "shop"])["state"], "stopped");
    shop.copy.kill_server();
    shop.copy.serve();
    assert_eq!(shop.copy.json(&["status", "shop"])["state"], "stopped");
    shop.copy.ok(["start", "shop"]);
    assert_eq!(get(&shop.copy.url("shop")).expect("it answers").status, 200);
}

#[test]
fn what_show_prints_applies_with_zero_steps_and_shows_no_secret() {
    let shop = Shop::empty();
    let image = &shop.image;
    let file = format!(
        "name: shop\ncontainers:\n  web:\n    main: true\n    image: '{image}'\n    port: 8080\n    command: [serve, '8080']\n    \
         env: {{ KEY: {{ fromSetting: KEY }} }}\nsettings: {{ KEY: {{ secret: hush-hush }} }}\n"
    );
    let applied = shop.copy.apply(&file);
    assert_eq!(applied.code, 0, "{}", applied.said());
    let pid = shop.pid("web");
    let shown = shop.copy.ok(["show", "shop", "--output", "yaml"]);
    assert!(!shown.contains("hush-hush") && shown.contains("***"), "{shown}");
    let path = shop.copy.file("shown.yaml", &shown);
    let path = path.to_str().expect("text");
    let steps = shop.copy.json(&["apply", "--dry-run", "-f", path]);
    assert_eq!(steps["steps"].as_array().map(Vec::len), Some(0), "{steps:#}");
    shop.copy.ok(["apply", "-f", path]);
    assert_eq!(shop.pid("web"), pid);
    let env = get(&format!("{}/env", shop.copy.url("shop"))).expect("an answer").body;
    assert!(env.contains("KEY=hush-hush"), "{env}");
}
