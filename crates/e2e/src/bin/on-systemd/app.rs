//! The app that has to come through: two containers that share a persistent volume, a secret, a limit.

use std::{fs, time::Duration};

use pillion_e2e::{Ran, get, until};
use serde_json::Value;

use super::machine::pillion;

pub const APP: &str = "shop";
const FILE: &str = "/root/pillion.yaml";

/// What a version of the app differs in.
pub struct Version {
    pub image: &'static str,
    pub secret: &'static str,
}

pub const FIRST: Version = Version { image: "127.0.0.1:5000/puppet:1", secret: "first" };
/// Its image is not on the machine before it is applied.
pub const LAST: Version = Version { image: "127.0.0.1:5000/puppet:2", secret: "last" };

/// Each container writes its name into the shared volume when it is told to stop.
fn text(version: &Version) -> String {
    let Version { image, secret } = version;
    format!(
        "name: {APP}
containers:
  web:
    main: true
    image: '{image}'
    port: 8080
    command: [farewell, /data/farewells, web, serve, '8080']
    env: {{ SECRET: {{ fromSetting: SECRET }} }}
    dependsOn: {{ cache: started }}
    resources: {{ memory: 96Mi, cpu: 0.5, pids: 40 }}
    volumes: [{{ volume: data, path: /data }}]
  cache:
    image: '{image}'
    command: [farewell, /data/farewells, cache, sleep]
    volumes: [{{ volume: data, path: /data }}]
volumes: {{ data: {{ persistent: true }} }}
settings: {{ SECRET: {{ secret: {secret} }} }}
"
    )
}

pub fn try_to_apply(version: &Version) -> Ran {
    fs::write(FILE, text(version)).expect("the app file is written");
    pillion(&["apply", "-f", FILE])
}

/// Applies a version, which has to be acknowledged.
pub fn apply(version: &Version) {
    let applied = try_to_apply(version);
    assert_eq!(applied.code, 0, "{}", applied.said());
}

/// Asks the app what it was told, which it answers if it is well.
pub fn environment() -> Option<String> {
    // The port that everybody uses, by the app's name.
    let answer = pillion_e2e::request("GET", "http://127.0.0.1:8080/env", &[("Host", "shop.localhost")], "").ok()?;
    (answer.status == 200).then_some(answer.body)
}

/// Waits until the app answers by itself as this version.
pub fn answers_as(version: &Version) {
    let secret = format!("SECRET={}\n", version.secret);
    until("the app answers", Duration::from_secs(20), || environment().filter(|text| text.contains(&secret)));
}

/// Insists that the app answers now.
pub fn answers_now() {
    let answer = get(&format!("http://127.0.0.1:{}/pid", own_port())).expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(environment().is_some(), "the gateway's own port");
}

fn own_port() -> u64 {
    // Fixed for the first app of a machine, and known without a server.
    static PORT: std::sync::OnceLock<u64> = std::sync::OnceLock::new();
    *PORT.get_or_init(|| {
        let status = status();
        let urls = status["urls"].as_array().cloned().unwrap_or_default();
        let own = urls.iter().filter_map(Value::as_str).find_map(|url| url.strip_prefix("http://127.0.0.1:"));
        own.and_then(|rest| rest.trim_end_matches('/').parse().ok()).unwrap_or_else(|| panic!("no own port in {status:#}"))
    })
}

pub fn status() -> Value {
    json(&["status", APP])
}

pub fn json(args: &[&str]) -> Value {
    let ran = pillion(&[args, &["--output", "json"]].concat());
    assert_eq!(ran.code, 0, "{}", ran.said());
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{args:?}: {error} in {}", ran.stdout))
}

/// The process id of a container's first process.
pub fn pid(name: &str) -> i64 {
    let status = status();
    let containers = status["instances"][0]["containers"].as_array().cloned().unwrap_or_default();
    let pid = containers.iter().find(|container| container["name"] == name).and_then(|container| container["pid"].as_i64());
    pid.unwrap_or_else(|| panic!("{name} does not run: {status:#}"))
}

/// Runs the test program in a container.
pub fn in_container(container: &str, words: &[&str]) -> String {
    let ran = pillion(&[&["exec", APP, "-c", container, "--", "/bin/puppet"], words].concat());
    assert_eq!(ran.code, 0, "{}", ran.said());
    ran.stdout
}
