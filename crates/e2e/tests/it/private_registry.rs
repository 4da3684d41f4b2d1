//! A registry that asks who is there.

use pillion_e2e::{Copy, Packed, Registry, Users, built, get};
use std::{fs, process::Command};

const USERS: Users = Users::One { name: "shop", password: "correct horse" };
/// `shop:correct horse`, base64.
const AUTH: &str = "c2hvcDpjb3JyZWN0IGhvcnNl";

/// Writes a Docker configuration and returns its directory.
fn docker_config(copy: &Copy, registry: &Registry, auth: &str) -> std::path::PathBuf {
    let dir = copy.root().join("docker");
    fs::create_dir_all(&dir).expect("a directory");
    let text = format!("{{\"auths\":{{\"{}\":{{\"auth\":\"{auth}\"}}}}}}", registry.host());
    fs::write(dir.join("config.json"), text).expect("the file is written");
    dir
}

fn pillion(copy: &Copy, docker: &std::path::Path, args: &[&str]) -> (i32, String) {
    let output = Command::new(built("pillion"))
        .args(args)
        .env("PILLION_ROOT", copy.root())
        .env("DOCKER_CONFIG", docker)
        .output()
        .expect("pillion runs");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.code().unwrap_or(-1), said)
}

#[test]
fn the_callers_docker_login_opens_a_private_registry_and_without_it_the_message_says_to_log_in() {
    let registry = Registry::start(USERS);
    let copy = Copy::serving();
    let good = docker_config(&copy, &registry, AUTH);
    let image = format!("{}/web:1", registry.host());
    let packed = Packed::program(&built("puppet"));
    let mut args = vec!["image", "pack", "--push", &image];
    args.extend(packed.args());
    let (code, said) = pillion(&copy, &good, &args);
    assert_eq!(code, 0, "{said}");
    let text =
        format!("name: shop\ncontainers: {{ web: {{ main: true, image: '{image}', port: 8080, command: [serve, '8080'] }} }}\n");
    let file = copy.file("shop.yaml", &text);
    let apply = ["apply", "-f", file.to_str().expect("text")];

    let nowhere = copy.root().join("empty");
    let (code, said) = pillion(&copy, &nowhere, &apply);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("docker login"), "{said}");

    let (code, said) = pillion(&copy, &docker_config(&copy, &registry, "c2hvcDp3cm9uZw=="), &apply);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("web") && said.contains(&registry.host()), "{said}");

    let (code, said) = pillion(&copy, &docker_config(&copy, &registry, AUTH), &apply);
    assert_eq!(code, 0, "{said}");
    assert_eq!(get(&copy.url("shop")).expect("an answer").status, 200);
}
