//! What cannot be done: the exit code, what is wrong, and what to do.

use std::process::Command;

use pillion_e2e::{Copy, Running, built};

use crate::shop::Shop;

#[test]
fn exit_codes_tell_usage_absence_and_conflict_apart() {
    let shop = Shop::open();
    for (code, args, says) in [
        (2, &["status"][..], "APP"),
        (2, &["status", "Not A Name"], "error"),
        (2, &["frobnicate"], "frobnicate"),
        (2, &["logs", "shop", "--since", "soon"], "30s"),
        (3, &["status", "nobody"], "nobody"),
        (3, &["logs", "shop", "-c", "nobody"], "web"),
        (3, &["exec", "shop", "-c", "nobody", "--", "true"], "nobody"),
        (3, &["exec", "shop", "-i", "shop-9-aaaaaa", "--", "true"], "shop-9-aaaaaa"),
        (3, &["delete", "nobody", "--yes"], "nobody"),
        (3, &["image", "remove", "127.0.0.1:1/never:1"], "never"),
        (1, &["scale", "shop", "0"], "1 to 30"),
        (2, &["exec", "shop", "-t", "--", "true"], "terminal"),
    ] {
        let ran = shop.copy.run(args);
        assert_eq!(ran.code, code, "{args:?}: {}", ran.said());
        assert!(ran.stderr.contains(says), "{args:?}: {}", ran.stderr);
        assert_eq!(ran.stdout, "", "{args:?}");
    }
    let wrong = shop.copy.apply("name: shop\ncontainers: { web: { main: true, image: x, prot: 1 } }\n");
    assert_eq!(wrong.code, 1, "{}", wrong.said());
    assert!(wrong.stderr.contains("prot") && wrong.stderr.contains("port"), "{}", wrong.stderr);
}

#[test]
fn a_second_server_on_the_same_root_is_refused_by_name() {
    let copy = Copy::serving();
    let second = copy.run(["serve"]);
    assert_eq!(second.code, 4, "{}", second.said());
    assert!(second.stderr.contains("already runs") && second.stderr.contains("system stop"), "{}", second.stderr);
    copy.ok(["list"]);
}

#[test]
fn without_a_server_every_verb_says_so_and_how_to_start_one() {
    let copy = Copy::new();
    for args in [&["list"][..], &["status", "shop"], &["system", "info"]] {
        let ran = copy.run(args);
        assert_eq!(ran.code, 1, "{}", ran.said());
        assert!(ran.stderr.contains("no Pillion server is running") && ran.stderr.contains("hint:"), "{}", ran.stderr);
    }
}

/// Runs the program as the user `nobody`.
fn as_nobody(copy: &Copy, args: &[&str]) -> pillion_e2e::Ran {
    // Where `nobody` may read it.
    let exe = copy.root().join("pillion");
    std::fs::copy(built("pillion"), &exe).expect("the program is copied");
    let open = |path: &std::path::Path| {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("permissions are set");
    };
    open(&exe);
    open(copy.root());
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(&exe).args(args);
    Running::start(command.env("PILLION_ROOT", copy.root()).env("NO_COLOR", "1").current_dir("/")).finish()
}

#[test]
fn without_the_rights_it_says_what_it_needs_and_why() {
    let copy = Copy::serving();
    let list = as_nobody(&copy, &["list"]);
    assert_eq!(list.code, 1, "{}", list.said());
    assert!(list.stderr.contains("may not talk to") && list.stderr.contains("hint:"), "{}", list.stderr);
    let serve = as_nobody(&copy, &["serve"]);
    assert_eq!(serve.code, 1, "{}", serve.said());
    assert!(serve.stderr.contains("needs root") && serve.stderr.contains("namespaces"), "{}", serve.stderr);
}
