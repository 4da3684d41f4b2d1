//! Images on this machine: what is in use stays, what is not can go.

use pillion_e2e::{Images, Packed, built, get};
use serde_json::Value;

use crate::shop::{MAIN, SIDE, Shop};

/// Whether the listed image is said to be in use; none if it is not listed.
fn in_use(shop: &Shop, image: &str) -> Option<bool> {
    let listed = shop.copy.json(&["image", "list"]);
    let all = listed.as_array().cloned().unwrap_or_default();
    all.iter().find(|one| one["reference"] == image).and_then(|one| one["inUse"].as_bool())
}

#[test]
fn what_runs_is_in_use_and_survives_remove_and_prune_even_after_the_server_came_back() {
    let mut shop = Shop::open();
    let other = Images::new(&shop.registry).push("other:1", &Packed::program(&built("puppet")).with(&["--env", "OTHER=1"]));
    shop.copy.ok(["image", "pull", &other]);
    assert_eq!(in_use(&shop, &shop.image), Some(true));
    assert_eq!(in_use(&shop, &other), Some(false));
    let text = shop.copy.ok(["image", "list"]);
    assert!(text.lines().any(|line| line.starts_with(&shop.image) && line.trim_end().ends_with("yes")), "{text}");

    shop.copy.kill_server();
    shop.copy.serve();
    assert_eq!(in_use(&shop, &shop.image), Some(true));
    for image in [&shop.image, &other] {
        shop.copy.ok(["image", "remove", image]);
    }
    let pruned = shop.copy.json(&["image", "prune"]);
    assert_eq!(
        pruned["removed"].as_array().map(|all| all.iter().filter(|one| one.to_string().contains("image")).count()),
        Some(1)
    );

    // Its layers are needed now, by a new process of each container and by a new instance.
    shop.copy.ok(["restart", "shop"]);
    shop.copy.ok(["scale", "shop", "2"]);
    assert_eq!(get(&shop.copy.url("shop")).expect("an answer").status, 200);
    // A copy that crashed before may have left things of its own where this one has its share of the machine.
    let again = shop.copy.ok(["system", "prune"]);
    assert!(!again.contains("image") && !again.contains("shop"), "{again}");
}

#[test]
fn an_image_of_a_kept_revision_is_not_pruned_and_one_of_a_deleted_app_is() {
    let shop = Shop::open();
    let newer = Images::new(&shop.registry).push("puppet:2", &Packed::program(&built("puppet")).with(&["--env", "NEW=1"]));
    let changed = shop.copy.apply(&shop.file(MAIN, SIDE).replace(&shop.image, &newer));
    assert_eq!(changed.code, 0, "{}", changed.said());
    shop.copy.ok(["image", "remove", &shop.image]);
    let kept = shop.copy.json(&["image", "prune"]);
    assert_eq!(kept["removed"], Value::Array(Vec::new()), "the first revision is kept, and needs it");
    shop.copy.ok(["delete", "shop", "--yes"]);
    shop.copy.ok(["image", "remove", &newer]);
    let pruned = shop.copy.json(&["image", "prune"]);
    assert!(pruned["freedBytes"].as_u64().is_some_and(|bytes| bytes > 0), "{pruned:#}");
    assert_eq!(shop.copy.json(&["image", "list"]), Value::Array(Vec::new()));
}
