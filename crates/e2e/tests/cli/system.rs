//! `system`: what it says of the machine, what it removes, what it leaves.

use std::{fs, os::unix::fs::symlink, path::Path};

use pillion_e2e::{Copy, eventually};
use serde_json::Value;

use crate::shop::Shop;

#[test]
fn a_stop_leaves_nothing_on_the_machine_and_the_next_server_finds_its_state() {
    let mut shop = Shop::open();
    let run = shop.copy.run_dir();
    let root = shop.copy.root().display().to_string();
    let claimed = || {
        let claims = fs::read_dir("/run/pillion-copies").into_iter().flatten().flatten();
        claims.filter(|claim| fs::read_to_string(claim.path()).is_ok_and(|holder| holder == root)).count()
    };
    assert!(run.exists() && claimed() == 1);
    shop.copy.ok(["system", "stop"]);
    assert!(!run.exists(), "{:?}", fs::read_dir(&run).map(|all| all.flatten().map(|one| one.path()).collect::<Vec<_>>()));
    assert_eq!(claimed(), 0);
    shop.copy.serve();
    eventually("the app is back", || shop.copy.json(&["status", "shop"])["state"] == "running");
}

#[test]
fn system_prune_removes_what_is_dead_says_so_and_touches_nothing_that_lives() {
    let shop = Shop::open();
    let pid = shop.pid("web");
    let run = shop.copy.run_dir();
    fs::create_dir_all(run.join("i/dead-1-aaaaaa/sandbox")).expect("a directory");
    let outside = shop.copy.root().join("outside");
    fs::write(&outside, "stay").expect("a file");
    symlink(&outside, run.join("i/dead-2-aaaaaa")).expect("a link");
    fs::create_dir_all(shop.copy.root().join("lib/instances/dead-3-aaaaaa")).expect("a directory");
    let pruned = shop.copy.ok(["system", "prune"]);
    for dead in ["dead-1-aaaaaa", "dead-2-aaaaaa", "dead-3-aaaaaa"] {
        assert!(pruned.contains(dead), "{pruned}");
    }
    assert!(!run.join("i/dead-1-aaaaaa").exists() && outside.exists());
    assert_eq!(shop.pid("web"), pid);
    assert_eq!(shop.copy.ok(["system", "prune"]), "nothing to remove\n", "once is enough");
}

#[test]
fn system_prune_works_without_a_server_too() {
    let copy = Copy::serving();
    copy.ok(["system", "stop"]);
    fs::create_dir_all(copy.run_dir().join("i/dead-1-aaaaaa")).expect("a directory");
    let pruned = copy.ok(["system", "prune"]);
    assert!(pruned.contains("dead-1-aaaaaa"), "{pruned}");
    assert!(!copy.run_dir().exists());
}

#[test]
fn info_names_this_copy_and_every_warning_has_a_fix() {
    let copy = Copy::serving();
    let info = copy.json(&["system", "info"]);
    assert_eq!(info["runDir"], copy.run_dir().display().to_string());
    assert_eq!(info["pid"], copy.server_pid().expect("it runs"));
    for warning in info["warnings"].as_array().cloned().unwrap_or_default() {
        assert!(warning["fix"].as_str().is_some_and(|fix| !fix.is_empty()), "{warning:#}");
    }
    assert!(copy.ok(["system", "info"]).contains("gateway"));
}

#[test]
fn supervisors_inherit_no_descriptor_of_the_server() {
    let shop = Shop::open();
    let id = shop.copy.json(&["status", "shop"])["instances"][0]["id"].as_str().expect("an id").to_owned();
    let supervisor = fs::read_to_string(shop.copy.run_dir().join("i").join(id).join("supervisor.pid")).expect("its pid file");
    let targets = |pid: &str| -> Vec<String> {
        let entries = fs::read_dir(Path::new("/proc").join(pid).join("fd")).expect("its descriptors").flatten();
        entries.filter_map(|entry| Some(fs::read_link(entry.path()).ok()?.display().to_string())).collect()
    };
    let server = targets(&shop.copy.server_pid().expect("it runs").to_string());
    let shared: Vec<_> = targets(supervisor.trim())
        .into_iter()
        .filter(|target| target.contains("state.db") || target.contains("serve.lock"))
        .chain(targets(supervisor.trim()).into_iter().filter(|target| target.starts_with("socket:") && server.contains(target)))
        .collect();
    assert_eq!(shared, Vec::<String>::new());
    assert_ne!(Value::Null, shop.container("web"));
}
