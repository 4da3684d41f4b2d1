//! What `status` says of an app that runs.

use crate::shop::Shop;

#[test]
fn a_status_shows_ports_and_usage_as_soon_as_the_app_is_ready() {
    let shop = Shop::open();
    for (name, port) in [("web", 8080), ("side", 9000)] {
        let container = shop.container(name);
        assert!(container["memoryBytes"].as_u64().is_some_and(|bytes| bytes > 0), "{container:#}");
        assert!(container["cpuUsec"].as_u64().is_some(), "{container:#}");
        let listeners = container["listeners"].as_array().cloned().unwrap_or_default();
        assert!(listeners.iter().any(|one| one.to_string().contains(&port.to_string())), "{container:#}");
    }
    let text = shop.copy.ok(["status", "shop"]);
    let row = text.lines().find(|line| line.trim_start().starts_with("side")).unwrap_or_else(|| panic!("{text}"));
    assert!(row.contains("9000") && !row.contains(" -  "), "{text}");
}
