//! `sidecar add|update|remove|list`, end to end.

use serde_json::Value;

use crate::shop::Shop;

fn names(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(|one| one["name"].as_str().map(str::to_owned)).collect()
}

#[test]
fn sidecars_are_added_changed_and_removed_while_the_others_keep_their_processes() {
    let shop = Shop::open();
    let (web, side) = (shop.pid("web"), shop.pid("side"));
    let image = shop.image.clone();
    shop.copy.ok(["sidecar", "add", "shop", "extra", "--image", &image, "--command", "serve 9100", "--port", "9100"]);
    assert_eq!(names(&shop.copy.json(&["sidecar", "list", "shop"])), ["side", "extra"]);
    let extra = shop.pid("extra");
    assert!(extra.is_some());

    shop.copy.ok(["sidecar", "update", "shop", "extra", "--memory", "64Mi", "--env", "COLOUR=red"]);
    assert_ne!(shop.pid("extra"), extra);
    assert_eq!(shop.container("extra")["memoryLimitBytes"], 64 << 20);
    assert_eq!((shop.pid("web"), shop.pid("side")), (web, side));

    shop.copy.ok(["sidecar", "remove", "shop", "extra"]);
    assert_eq!(names(&shop.copy.json(&["sidecar", "list", "shop"])), ["side"]);
    assert_eq!((shop.pid("web"), shop.pid("side")), (web, side));

    let taken = shop.copy.run(["sidecar", "add", "shop", "side", "--image", &image]);
    assert_eq!(taken.code, 4, "{}", taken.said());
    let absent = shop.copy.run(["sidecar", "remove", "shop", "nobody"]);
    assert_eq!(absent.code, 3, "{}", absent.said());
}
