//! `az webapp sitecontainers`: every command, what is refused, and what happens to the containers that run.

use pillion_e2e::{Az, Copy, Images, Packed, Part, Registry, Users, part};
use serde_json::json;

use crate::stage::{Stage, names, variable};

#[test]
fn a_sidecar_is_added_changed_and_removed_while_main_goes_on() {
    let stage = Stage::shop();
    let az = &stage.az;
    stage.until_answers("shop", "/count", |answer| answer.body.trim() == "1");
    stage.container("side", 9000, false, "serve 9000");
    stage.until_answers("shop", "/peer/9000/", |answer| answer.body.starts_with("hello"));
    let shown = az.json("webapp sitecontainers show -g rg1 -n shop --container-name side");
    assert_eq!((&shown["targetPort"], &shown["isMain"]), (&json!("9000"), &json!(false)), "{shown}");
    az.ok(["webapp", "sitecontainers", "update", "-g", "rg1", "-n", "shop", "--container-name", "side"].into_iter().chain([
        "--image",
        stage.puppet.as_str(),
        "--target-port",
        "9001",
        "--startup-cmd",
        "serve 9001",
    ]));
    stage.until_answers("shop", "/peer/9001/", |answer| answer.body.starts_with("hello"));
    let mut listed = az.json("webapp sitecontainers list -g rg1 -n shop");
    assert_eq!(names(&listed).len(), 2, "{listed}");
    az.ok("webapp sitecontainers delete -g rg1 -n shop --container-name side".split(' '));
    stage.until_answers("shop", "/peer/9001/", |answer| answer.body.starts_with("nobody"));
    listed = az.json("webapp sitecontainers list -g rg1 -n shop");
    assert_eq!(names(&listed), ["main"]);
    let count = stage.until_answers("shop", "/count", |answer| answer.status == 200).body;
    assert_eq!(count.trim(), "2", "main was never restarted");
}

#[test]
fn containers_come_from_a_spec_file_with_environment_and_volumes() {
    let stage = Stage::new();
    stage.create_shop();
    stage.az.ok("webapp config appsettings set -g rg1 -n shop --settings GREETING=hello TOKEN=s3cret".split(' '));
    let spec = json!([
        { "name": "main", "properties": {
            "image": stage.puppet, "isMain": true, "targetPort": "8080", "startUpCommand": "serve 8080",
            "environmentVariables": [{ "name": "WORD", "value": "GREETING" }],
            "volumeMounts": [{ "volumeSubPath": "/share", "containerMountPath": "/mnt/share", "readOnly": true }] } },
        { "name": "writer", "properties": {
            "image": stage.puppet, "isMain": false, "targetPort": "9000", "startUpCommand": "write /data/note written serve 9000",
            "volumeMounts": [{ "volumeSubPath": "/share", "containerMountPath": "/data", "readOnly": false }] } },
    ]);
    let file = stage.copy.file("containers.json", &spec.to_string());
    let path = file.to_str().expect("a path");
    stage.az.ok(["webapp", "sitecontainers", "create", "-g", "rg1", "-n", "shop", "--sitecontainers-spec-file", path]);
    stage.until_answers("shop", "/file/mnt/share/note", |answer| answer.body == "written");
    let main = stage.environment(None);
    assert_eq!(variable(&main, "WORD"), Some("hello"), "its value names a setting");
    assert_eq!(variable(&main, "APPSETTING_TOKEN"), Some("s3cret"), "settings are inherited");
    assert_eq!(variable(&main, "WEBSITE_SITE_NAME"), Some("shop"));
    let writer = stage.environment(Some(9000));
    assert_eq!(variable(&writer, "GREETING"), Some("hello"));
    assert_eq!(variable(&writer, "WORD"), None);
}

#[test]
fn what_az_would_check_itself_is_refused_by_the_server_too() {
    let stage = Stage::shop();
    let az = &stage.az;
    let site = az.json("webapp show -g rg1 -n shop --query id");
    let put = |name: &str, properties: serde_json::Value| {
        let url = format!("{}/sitecontainers/{name}?api-version=2025-05-01", site.as_str().expect("an id"));
        let body = json!({ "properties": properties }).to_string();
        let ran = az.run(["rest", "--method", "put", "--url", &url, "--body", &body]);
        (ran.code, ran.said())
    };
    let image = stage.puppet.as_str();
    for (name, properties, named) in [
        ("second", json!({ "image": image, "isMain": true, "targetPort": "8081" }), "isMain"),
        ("same", json!({ "image": image, "isMain": false, "targetPort": "8080" }), "targetPort"),
        ("far", json!({ "image": image, "isMain": false, "targetPort": "70000" }), "targetPort"),
        ("none", json!({ "isMain": false, "targetPort": "9000" }), "image"),
        ("bad_name!", json!({ "image": image, "isMain": false }), "name"),
        ("auth", json!({ "image": image, "isMain": false, "authType": "Sesame" }), "authType"),
        (
            "user",
            json!({ "image": image, "isMain": false, "authType": "UserAssigned", "userManagedIdentityClientId": "x" }),
            "userManagedIdentityClientId",
        ),
        (
            "mount",
            json!({ "image": image, "isMain": false, "volumeMounts": [{ "volumeSubPath": "/a", "containerMountPath": "b" }] }),
            "containerMountPath",
        ),
    ] {
        let (code, said) = put(name, properties);
        assert_eq!(code, 1, "{name}: {said}");
        assert!(said.contains(named), "{name} should name {named}: {said}");
    }
    assert_eq!(names(&az.json("webapp sitecontainers list -g rg1 -n shop")), ["main"], "nothing was half done");
    // A number is as good as text for a port.
    let (code, said) =
        put("nine", json!({ "image": image, "isMain": false, "targetPort": 9009, "startUpCommand": "serve 9009" }));
    assert_eq!(code, 0, "{said}");
    stage.until_answers("shop", "/peer/9009/", |answer| answer.body.starts_with("hello"));
}

#[test]
fn nine_sidecars_are_taken_and_a_tenth_is_refused() {
    let stage = Stage::new();
    stage.create_shop();
    let container = |name: &str, port: u16, main: bool| {
        json!({ "name": name, "properties": { "image": stage.puppet, "isMain": main, "targetPort": port.to_string(),
            "startUpCommand": format!("serve {port}") } })
    };
    let mut all = vec![container("main", 8080, true)];
    all.extend((1..=9).map(|n| container(&format!("side{n}"), 9000 + n, false)));
    let file = stage.copy.file("containers.json", &json!(all).to_string());
    let path = file.to_str().expect("a path");
    stage.az.ok(["webapp", "sitecontainers", "create", "-g", "rg1", "-n", "shop", "--sitecontainers-spec-file", path]);
    stage.until_answers("shop", "/peer/9009/", |answer| answer.body.starts_with("hello"));
    let (_, said) = stage.az.refused(&format!(
        "webapp sitecontainers create -g rg1 -n shop --container-name tenth --image {} --target-port 9100 --is-main false",
        stage.puppet
    ));
    assert!(said.contains("nine") || said.contains('9'), "{said}");
}

#[test]
fn an_unknown_setting_name_fails_by_name_and_heals_when_the_setting_comes() {
    let stage = Stage::new();
    stage.create_shop();
    let site = stage.az.json("webapp show -g rg1 -n shop --query id");
    let url = format!("{}/sitecontainers/main?api-version=2025-05-01", site.as_str().expect("an id"));
    let body = json!({ "properties": { "image": stage.puppet, "isMain": true, "targetPort": "8080", "startUpCommand": "serve 8080",
        "environmentVariables": [{ "name": "WORD", "value": "NO_SUCH_SETTING" }] } });
    stage.az.ok(["rest", "--method", "put", "--url", &url, "--body", &body.to_string()]);
    pillion_e2e::eventually("status names the setting", || {
        let status = stage.copy.run(["status", "shop"]);
        status.said().contains("NO_SUCH_SETTING") && status.said().contains("WORD")
    });
    stage.az.ok("webapp config appsettings set -g rg1 -n shop --settings NO_SUCH_SETTING=found".split(' '));
    stage.until_answers("shop", "/env", |answer| answer.body.contains("WORD=found"));
}

#[test]
fn a_docker_app_is_converted_to_site_containers_and_back() {
    let stage = Stage::new();
    let az = &stage.az;
    az.ok(["webapp", "create", "-g", "rg1", "-p", "plan1", "-n", "shop", "--container-image-name", &stage.puppet]);
    az.ok("webapp config appsettings set -g rg1 -n shop --settings WEBSITES_PORT=8000".split(' '));
    az.ok(["webapp", "config", "set", "-g", "rg1", "-n", "shop", "--startup-file", "serve 8000"]);
    stage.until_answers("shop", "/", |answer| answer.status == 200);
    az.agree("webapp sitecontainers convert -g rg1 -n shop --mode sitecontainers");
    let listed = az.json("webapp sitecontainers list -g rg1 -n shop");
    assert_eq!(names(&listed), ["main"], "{listed}");
    assert_eq!(listed[0]["targetPort"], "8000", "{listed}");
    stage.until_answers("shop", "/", |answer| answer.status == 200);
    az.agree("webapp sitecontainers convert -g rg1 -n shop --mode docker");
    assert_eq!(az.json("webapp sitecontainers list -g rg1 -n shop"), json!([]));
    stage.until_answers("shop", "/", |answer| answer.status == 200);
}

#[test]
fn a_private_image_is_pulled_with_the_users_password_which_is_never_shown() {
    let registry = Registry::start(Users::One { name: "ann", password: "open-sesame" });
    let copy = Copy::serving();
    // Packing pushes with the login of the caller's own configuration.
    let docker = copy.root().join("docker");
    std::fs::create_dir_all(&docker).expect("a directory");
    let auth = json!({ "auths": { registry.host(): { "username": "ann", "password": "open-sesame" } } });
    std::fs::write(docker.join("config.json"), auth.to_string()).expect("a login");
    let image = format!("{}/puppet:1", registry.host());
    let packed = std::process::Command::new(pillion_e2e::built("pillion"))
        .args(["image", "pack", "--push", &image])
        .args(Packed::program(&pillion_e2e::built("puppet")).args())
        .env("DOCKER_CONFIG", &docker)
        .output()
        .expect("it runs");
    assert!(packed.status.success(), "{}", String::from_utf8_lossy(&packed.stderr));
    let az = Az::logged_in(&copy, "owner", None);
    az.ok("group create -n rg1 -l local".split(' '));
    az.ok("appservice plan create -g rg1 -n plan1 --is-linux --sku P1V3".split(' '));
    az.ok("webapp create -g rg1 -p plan1 -n shop --sitecontainers-app".split(' '));
    let create = |password: &str| {
        az.ok(["webapp", "sitecontainers", "create", "-g", "rg1", "-n", "shop", "--container-name", "main", "--is-main", "true"]
            .into_iter()
            .chain(["--image", image.as_str(), "--target-port", "8080", "--startup-cmd", "serve 8080"])
            .chain(["--registry-username", "ann", "--registry-password", password]));
    };
    create("wrong");
    pillion_e2e::eventually("status says that the registry refused the login", || {
        let said = copy.run(["status", "shop"]).said();
        said.contains("login") || said.contains("credentials") || said.contains("refused")
    });
    create("open-sesame");
    let hosts = az.json("webapp show -g rg1 -n shop --query enabledHostNames");
    let url = format!("http://{}", hosts[0].as_str().expect("a host"));
    pillion_e2e::eventually("the app answers", || pillion_e2e::get(&url).is_ok_and(|answer| answer.status == 200));
    let shown = az.json("webapp sitecontainers show -g rg1 -n shop --container-name main");
    assert_eq!(shown["userName"], "ann");
    assert!(!shown.to_string().contains("open-sesame"), "{shown}");
    // An update echoes what it was shown; the password it was not shown must stay.
    az.ok(["webapp", "sitecontainers", "update", "-g", "rg1", "-n", "shop", "--container-name", "main"].into_iter().chain([
        "--target-port",
        "8081",
        "--startup-cmd",
        "serve 8081",
        "--is-main",
        "true",
    ]));
    pillion_e2e::eventually("the changed app answers", || {
        pillion_e2e::get(&url).is_ok_and(|answer| answer.status == 200) && copy.run(["status", "shop"]).stdout.contains("8081")
    });
}

#[test]
fn a_real_redis_runs_beside_the_app() {
    let stage = Stage::shop();
    let redis = Images::new(&stage.registry).redis();
    assert!(part(Part::Redis).exists());
    stage.az.ok(["webapp", "sitecontainers", "create", "-g", "rg1", "-n", "shop", "--container-name", "cache"]
        .into_iter()
        .chain(["--image", redis.as_str(), "--target-port", "6379", "--is-main", "false", "--startup-cmd", "--dir /tmp"]));
    pillion_e2e::eventually("redis answers inside the instance", || stage.copy.run(["status", "shop"]).stdout.contains("6379"));
    pillion_e2e::eventually("redis says that it is ready", || {
        stage.copy.run(["logs", "shop", "-c", "cache"]).stdout.contains("Ready to accept connections")
    });
}
