//! Changing a running app: the least that has to change changes, and nobody outside notices.

use pillion_e2e::{Copy, Images, Load, Registry, Users, eventually, get};

fn app(image: &str, main: &str, sidecar: &str, scale: u32) -> String {
    format!(
        "name: shop
scale: {scale}
containers:
  web: {{ main: true, image: '{image}', port: 8080, command: {main} }}
  side: {{ image: '{image}', port: 9000, command: {sidecar} }}
"
    )
}

/// The app of these tests, running: its registry, the image of its containers, and the copy it runs on.
fn running() -> (Registry, String, Copy) {
    let registry = Registry::start(Users::Anyone);
    let image = Images::new(&registry).puppet();
    let copy = Copy::serving();
    let first = copy.apply(&app(&image, "[serve, '8080']", "[serve, '9000']", 1));
    assert_eq!(first.code, 0, "{}", first.said());
    (registry, image, copy)
}

/// The process of a container in the first instance, as the host numbers it.
fn pid(copy: &Copy, container: &str) -> i64 {
    let status = copy.json(&["status", "shop"]);
    let containers = status["instances"][0]["containers"].as_array().cloned().unwrap_or_default();
    let found = containers.iter().find(|c| c["name"] == container).and_then(|c| c["pid"].as_i64());
    found.unwrap_or_else(|| panic!("{container} does not run: {status:#}"))
}

#[test]
fn changing_one_sidecar_under_load_fails_no_request_and_leaves_mains_process_alone() {
    let (_registry, image, copy) = running();
    let (main, side) = (pid(&copy, "web"), pid(&copy, "side"));
    let load = Load::on(&copy.url("shop"));
    let changed = copy.apply(&app(&image, "[serve, '8080']", "[print, changed, serve, '9000']", 1));
    let (made, failed) = load.end();
    assert_eq!(changed.code, 0, "{}", changed.said());
    assert_eq!(failed, 0, "of {made} requests");
    assert!(made > 0);
    assert_eq!(pid(&copy, "web"), main);
    assert_ne!(pid(&copy, "side"), side);
    assert!(copy.ok(["logs", "shop", "-c", "side"]).contains("changed"));
}

#[test]
fn a_new_main_takes_over_under_load_without_a_failed_request() {
    let (_registry, image, copy) = running();
    let load = Load::on(&copy.url("shop"));
    let changed = copy.apply(&app(&image, "[print, second, serve, '8080']", "[serve, '9000']", 1));
    let (made, failed) = load.end();
    assert_eq!(changed.code, 0, "{}", changed.said());
    assert_eq!(failed, 0, "of {made} requests");
    eventually("only the new instance is left", || {
        let status = copy.json(&["status", "shop"]);
        status["instances"].as_array().is_some_and(|all| all.len() == 1 && all[0]["revision"] == 2)
    });
}

#[test]
fn a_revision_that_fails_leaves_the_old_one_serving_and_names_container_and_cause() {
    let (_registry, image, copy) = running();
    let main = pid(&copy, "web");
    for (main_command, side_command, culprit) in
        [("[exit, '3']", "[serve, '9000']", "web"), ("[serve, '8080']", "[exit, '4']", "side")]
    {
        let failed = copy.apply(&app(&image, main_command, side_command, 1));
        assert_eq!(failed.code, 1, "{}", failed.said());
        let first_lines: String = failed.stderr.lines().filter(|line| line.contains("error")).collect();
        assert!(failed.said().contains(culprit), "{}", failed.said());
        assert!(failed.said().contains("exit code") || failed.said().contains("ended with"), "{first_lines}\n{}", failed.said());
        assert_eq!(get(&copy.url("shop")).expect("the old one answers").status, 200);
        eventually("the old one is whole again", || {
            let status = copy.json(&["status", "shop"]);
            status["ready"] == 1 && status["instances"].as_array().is_some_and(|all| all.len() == 1)
        });
        assert_eq!(pid(&copy, "web"), main);
    }
}

#[test]
fn scaling_out_and_in_under_load_fails_no_request() {
    let (_registry, _image, copy) = running();
    let load = Load::on(&copy.url("shop"));
    for count in ["4", "1"] {
        copy.ok(["scale", "shop", count]);
        eventually("as many instances as asked for are ready, and no others", || {
            let status = copy.json(&["status", "shop"]);
            let all = status["instances"].as_array().map_or(0, Vec::len);
            all.to_string() == count && status["ready"] == all
        });
    }
    let (made, failed) = load.end();
    assert_eq!(failed, 0, "of {made} requests");
}

#[test]
fn a_dry_run_prints_the_steps_and_applying_the_same_file_again_takes_none() {
    let (_registry, image, copy) = running();
    let text = app(&image, "[serve, '8080']", "[serve, '9000']", 1);
    let file = copy.file("pillion.yaml", &text.replace("'9000']", "'9000', '201']"));
    let dry = copy.ok(["apply".as_ref(), "--dry-run".as_ref(), "-f".as_ref(), file.as_os_str()]);
    assert!(dry.contains("side") && !dry.contains("web"), "{dry}");
    let (main, side) = (pid(&copy, "web"), pid(&copy, "side"));
    let again = copy.apply(&text);
    assert_eq!(again.code, 0, "{}", again.said());
    assert_eq!((pid(&copy, "web"), pid(&copy, "side")), (main, side));
    let shown = copy.file("shown.yaml", &copy.ok(["show", "shop", "--output", "yaml"]));
    let steps = copy.json(&["apply", "--dry-run", "-f", shown.to_str().expect("text")]);
    assert_eq!(steps["steps"].as_array().map(Vec::len), Some(0), "{steps:#}");
}
