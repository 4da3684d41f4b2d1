//! Web apps: made, shown, updated, started, stopped, scaled and removed, with the containers that run behind them.

use pillion_e2e::{NOT_FOUND, get};
use serde_json::json;

use crate::stage::{Stage, names};

#[test]
fn an_app_with_a_sidecar_is_made_by_az_and_answers() {
    let stage = Stage::shop();
    stage.container("cache", 6379, false, "serve 6379");
    let answer = stage.until_answers("shop", "/peer/6379/", |answer| answer.body.starts_with("hello"));
    assert_eq!(answer.status, 200);
    let shown = stage.az.json("webapp show -g rg1 -n shop");
    assert_eq!(shown["kind"], "app,linux", "{shown}");
    assert_eq!(shown["state"], "Running", "{shown}");
    assert_eq!(shown["siteConfig"]["linuxFxVersion"].as_str().map(str::to_lowercase).as_deref(), Some("sitecontainers"));
    assert_eq!(names(&stage.az.json("webapp list")), ["shop"]);
    assert_eq!(names(&stage.az.json("webapp list -g rg1")), ["shop"]);
}

#[test]
fn a_single_container_app_runs_its_image_on_the_port_its_settings_name() {
    let stage = Stage::new();
    let az = &stage.az;
    az.ok(["webapp", "create", "-g", "rg1", "-p", "plan1", "-n", "solo", "--container-image-name", &stage.puppet]);
    az.ok("webapp config appsettings set -g rg1 -n solo --settings WEBSITES_PORT=8000".split(' '));
    az.ok(["webapp", "config", "set", "-g", "rg1", "-n", "solo", "--startup-file", "serve 8000"]);
    stage.until_answers("solo", "/", |answer| answer.status == 200);
    let config = az.json("webapp config show -g rg1 -n solo");
    assert_eq!(config["linuxFxVersion"], format!("DOCKER|{}", stage.puppet));
}

#[test]
fn the_image_of_a_single_container_app_is_changed_and_shown() {
    let stage = Stage::new();
    let az = &stage.az;
    az.ok(["webapp", "create", "-g", "rg1", "-p", "plan1", "-n", "solo", "--container-image-name", "127.0.0.1:1/nothing:1"]);
    az.ok("webapp config appsettings set -g rg1 -n solo --settings WEBSITES_PORT=8000".split(' '));
    az.ok(["webapp", "config", "set", "-g", "rg1", "-n", "solo", "--startup-file", "serve 8000"]);
    az.ok(["webapp", "config", "container", "set", "-g", "rg1", "-n", "solo", "--container-image-name", &stage.puppet]);
    stage.until_answers("solo", "/", |answer| answer.status == 200);
    let shown = az.json("webapp config container show -g rg1 -n solo").to_string();
    assert!(shown.contains(&format!("DOCKER|{}", stage.puppet)), "{shown}");
}

#[test]
fn stop_start_and_restart_do_what_they_say() {
    let stage = Stage::shop();
    let az = &stage.az;
    let url = stage.url("shop");
    let pid = get(&format!("{url}/count")).expect("it answers").body;
    assert_eq!(pid.trim(), "1");
    az.ok("webapp stop -g rg1 -n shop".split(' '));
    assert_eq!(az.json("webapp show -g rg1 -n shop")["state"], "Stopped");
    let answer = get(&url).expect("the gateway answers");
    assert_eq!(answer.status, 503, "{}", answer.body);
    az.ok("webapp start -g rg1 -n shop".split(' '));
    stage.until_answers_at(&url, "/", |answer| answer.status == 200);
    assert_eq!(az.json("webapp show -g rg1 -n shop")["state"], "Running");
    get(&format!("{url}/count")).expect("it answers");
    az.ok("webapp restart -g rg1 -n shop".split(' '));
    stage.until_answers_at(&url, "/count", |answer| answer.status == 200 && answer.body.trim() == "1");
}

#[test]
fn the_number_of_instances_follows_the_plan() {
    let stage = Stage::shop();
    stage.az.ok("appservice plan update -g rg1 -n plan1 --number-of-workers 2".split(' '));
    pillion_e2e::eventually("two instances are ready", || stage.copy.json(&["status", "shop"])["ready"].as_u64() == Some(2));
    let instances = stage.az.json("webapp list-instances -g rg1 -n shop");
    assert_eq!(instances.as_array().map(Vec::len), Some(2), "{instances}");
    stage.az.ok("appservice plan update -g rg1 -n plan1 --number-of-workers 1".split(' '));
    pillion_e2e::eventually("one instance is left", || {
        stage.copy.json(&["status", "shop"])["instances"].as_array().map(Vec::len) == Some(1)
    });
}

#[test]
fn an_update_of_one_field_keeps_settings_and_containers() {
    let stage = Stage::shop();
    let az = &stage.az;
    az.ok("webapp config appsettings set -g rg1 -n shop --settings A=1".split(' '));
    stage.until_answers("shop", "/env", |answer| answer.body.contains("\nA=1"));
    let before = stage.copy.json(&["status", "shop"])["current"].clone();
    az.ok("webapp update -g rg1 -n shop --https-only true".split(' '));
    az.ok("webapp update -g rg1 -n shop --set tags.team=web".split(' '));
    let shown = az.json("webapp show -g rg1 -n shop");
    assert_eq!((&shown["httpsOnly"], &shown["tags"]["team"]), (&json!(true), &json!("web")));
    assert_eq!(names(&az.json("webapp sitecontainers list -g rg1 -n shop")), ["main"]);
    assert_eq!(names(&az.json("webapp config appsettings list -g rg1 -n shop")), ["A"]);
    assert_eq!(stage.copy.json(&["status", "shop"])["current"], before, "no container had to change");
}

#[test]
fn a_taken_name_and_a_missing_app_and_a_missing_plan_are_told_apart() {
    let stage = Stage::new();
    stage.create_shop();
    let az = &stage.az;
    let (code, said) = az.refused("webapp show -g rg1 -n nothing");
    assert_eq!(code, NOT_FOUND, "{said}");
    let (code, _) = az.refused("webapp delete -g rg1 -n nothing");
    assert_eq!(code, NOT_FOUND);
    let (_, said) = az.refused("webapp create -g rg1 -p nothing -n other --sitecontainers-app");
    assert!(said.contains("nothing"), "{said}");
    let (_, said) = az.refused("webapp create -g rg1 -p plan1 -n no_good! --sitecontainers-app");
    assert!(said.contains("no_good!"), "{said}");
    let subscription = az.json("account show")["id"].as_str().expect("an id").to_owned();
    let body = json!({ "name": "Shop", "type": "Site" }).to_string();
    let url = format!("/subscriptions/{subscription}/providers/Microsoft.Web/checknameavailability?api-version=2024-11-01");
    let taken = az.ok(["rest", "--method", "post", "--url", &url, "--body", &body]);
    assert!(taken.contains("AlreadyExists"), "{taken}");
}

#[test]
fn deleting_the_last_app_of_a_plan_deletes_the_plan_unless_it_is_to_be_kept() {
    let stage = Stage::shop();
    let az = &stage.az;
    az.ok("webapp create -g rg1 -p plan1 -n other --sitecontainers-app".split(' '));
    az.ok("webapp delete -g rg1 -n other".split(' '));
    assert_eq!(names(&az.json("appservice plan list -g rg1")), ["plan1"], "shop still uses it");
    az.ok("webapp delete -g rg1 -n shop --keep-empty-plan".split(' '));
    assert_eq!(names(&az.json("appservice plan list -g rg1")), ["plan1"]);
    assert_eq!(stage.copy.json(&["list"]), json!([]), "nothing runs any more");
    az.ok("webapp create -g rg1 -p plan1 -n last --sitecontainers-app".split(' '));
    az.ok("webapp delete -g rg1 -n last".split(' '));
    assert_eq!(az.json("appservice plan list -g rg1"), json!([]));
}

#[test]
fn a_native_app_is_seen_by_az_and_changed_only_where_it_is_owned() {
    let stage = Stage::new();
    let file = format!(
        "name: native\ncontainers:\n  web: {{ main: true, image: {}, port: 8080, command: [serve, '8080'], probe: {{ http: / }} }}\n",
        stage.puppet
    );
    let applied = stage.copy.apply(&file);
    assert_eq!(applied.code, 0, "{}", applied.said());
    let shown = stage.az.json("webapp show -g pillion -n native");
    assert_eq!(shown["state"], "Running", "{shown}");
    assert_eq!(names(&stage.az.json("webapp sitecontainers list -g pillion -n native")), ["web"]);
    let (_, said) = stage.az.refused("webapp config appsettings set -g pillion -n native --settings A=1");
    assert!(said.contains("app file"), "{said}");
}

#[test]
fn apps_of_code_and_of_compose_say_that_they_do_not_run_yet_and_compose_is_converted() {
    let stage = Stage::new();
    let az = &stage.az;
    // Code: the app is made, and what it lacks is said where people look.
    az.ok("webapp create -g rg1 -p plan1 -n code --runtime PYTHON:3.12".split(' '));
    assert_eq!(az.json("webapp config show -g rg1 -n code")["linuxFxVersion"], "PYTHON|3.12");
    pillion_e2e::eventually("its revision is refused", || {
        stage.copy.run(["status", "code", "--output", "json"]).stdout.contains("CodeNotYetSupported")
    });
    let (_, said) = az.refused("webapp deploy -g rg1 -n code --src-url https://example.invalid/app.zip --type zip");
    assert!(said.contains("run the code as a container image"), "{said}");
    assert_eq!(az.json("webapp log deployment show -g rg1 -n code"), json!([]));
    let ran = az.run("webapp troubleshoot deployment -g rg1 -n code".split(' '));
    assert!(ran.code == 0 && !ran.said().contains("Traceback"), "{}", ran.said());
    // Compose.
    let compose = format!(
        "services:\n  web:\n    image: {image}\n    command: serve 8080\n    ports: ['8080:8080']\n    environment:\n      WORD: hello\n  \
         side:\n    image: {image}\n    command: serve 9000\n    ports: ['9000:9000']\n",
        image = stage.puppet
    );
    let file = stage.copy.file("compose.yml", &compose);
    let create = "webapp create -g rg1 -p plan1 -n shop --multicontainer-config-type COMPOSE --multicontainer-config-file";
    az.ok(create.split(' ').chain([file.to_str().expect("a path")]));
    pillion_e2e::eventually("its revision is refused", || {
        stage.copy.run(["status", "shop", "--output", "json"]).stdout.contains("ComposeNotYetSupported")
    });
    let said = az.run("webapp troubleshoot status -g rg1 -n shop -o json".split(' ')).said();
    assert!(said.contains("ComposeNotYetSupported") || said.contains("Compose"), "{said}");
    az.ok("webapp sitecontainers convert -g rg1 -n shop --mode sitecontainers --yes".split(' '));
    let mut converted = az.json("webapp sitecontainers list -g rg1 -n shop");
    let converted = converted.as_array_mut().expect("a list");
    converted.sort_by_key(|one| one["name"].to_string());
    let told: Vec<_> = converted.iter().map(|one| (&one["name"], &one["isMain"], &one["targetPort"])).collect();
    assert_eq!(told, [(&json!("side"), &json!(false), &json!("9000")), (&json!("web"), &json!(true), &json!("8080"))]);
    stage.until_answers("shop", "/peer/9000/", |answer| answer.body.starts_with("hello"));
    stage.until_answers("shop", "/env", |answer| answer.body.contains("\nWORD=hello"));
}
