//! What most tests here begin with: a registry, a copy of Pillion, a CLI that is logged in, a group and a plan.

use std::time::Duration;

use pillion_e2e::{Answer, Az, Copy, Images, Registry, Users, get, until};
use serde_json::Value;

pub struct Stage {
    pub az: Az,
    pub copy: Copy,
    pub registry: Registry,
    /// The image of the test program.
    pub puppet: String,
}

impl Stage {
    /// A CLI logged in as owner, the group `rg1` and the plan `plan1`.
    pub fn new() -> Stage {
        let registry = Registry::start(Users::Anyone);
        let puppet = Images::new(&registry).puppet();
        let copy = Copy::serving();
        let az = Az::logged_in(&copy, "owner", None);
        az.ok(["group", "create", "-n", "rg1", "-l", "local"]);
        az.ok(["appservice", "plan", "create", "-g", "rg1", "-n", "plan1", "--is-linux", "--sku", "P1V3"]);
        Stage { az, copy, registry, puppet }
    }

    /// Makes the app `shop` for site containers, without any yet.
    pub fn create_shop(&self) {
        self.az.ok(["webapp", "create", "-g", "rg1", "-p", "plan1", "-n", "shop", "--sitecontainers-app"]);
    }

    /// Makes `shop` with a main container on 8080 that answers, and waits until it does.
    pub fn shop() -> Stage {
        let stage = Stage::new();
        stage.create_shop();
        stage.main_container("serve 8080");
        stage.until_answers("shop", "/", |answer| answer.status == 200);
        stage
    }

    /// Gives `shop` a main container that runs the test program with this command line.
    pub fn main_container(&self, command: &str) {
        self.container("main", 8080, true, command);
    }

    pub fn container(&self, name: &str, port: u16, main: bool, command: &str) {
        let startup = command;
        let port = port.to_string();
        let mut words = vec!["webapp", "sitecontainers", "create", "-g", "rg1", "-n", "shop", "--container-name", name];
        words.extend(["--image", &self.puppet, "--target-port", &port, "--startup-cmd", startup]);
        if main {
            words.extend(["--is-main", "true"]);
        } else {
            words.extend(["--is-main", "false"]);
        }
        self.az.ok(words);
    }

    /// The URL at which `az` says that a site is reached.
    pub fn url(&self, site: &str) -> String {
        let hosts = self.az.json(&format!("webapp show -g rg1 -n {site} --query enabledHostNames"));
        format!("http://{}", hosts[0].as_str().unwrap_or_else(|| panic!("no host in {hosts}")))
    }

    /// Asks the app until the answer is as wanted.
    pub fn until_answers(&self, site: &str, path: &str, wanted: impl Fn(&Answer) -> bool) -> Answer {
        let url = self.url(site);
        self.until_answers_at(&url, path, wanted)
    }

    pub fn until_answers_at(&self, url: &str, path: &str, wanted: impl Fn(&Answer) -> bool) -> Answer {
        let mut last = String::new();
        let within = Duration::from_secs(40);
        let began = std::time::Instant::now();
        until("the app answers as wanted", within + Duration::from_secs(5), || {
            let answer = get(&format!("{url}{path}"));
            if let Ok(answer) = answer {
                if wanted(&answer) {
                    return Some(answer);
                }
                last = format!("{} {}", answer.status, answer.body);
            } else if let Err(error) = answer {
                last = error;
            }
            assert!(began.elapsed() < within, "{url}{path} did not answer as wanted; at last: {last}");
            None
        })
    }

    /// The environment that a container of `shop` sees, by asking it (or its main for a neighbour on `port`).
    pub fn environment(&self, port: Option<u16>) -> Vec<(String, String)> {
        let path = port.map_or("/env".to_owned(), |port| format!("/peer/{port}/env"));
        let answer = self.until_answers("shop", &path, |answer| answer.status == 200 && answer.body.contains('='));
        answer.body.lines().filter_map(|line| line.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
    }
}

/// Returns a variable's value.
pub fn variable<'a>(environment: &'a [(String, String)], name: &str) -> Option<&'a str> {
    environment.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// Returns the names of a list of resources.
pub fn names(list: &Value) -> Vec<&str> {
    let list = list.as_array().unwrap_or_else(|| panic!("{list} is no list"));
    list.iter().filter_map(|one| one["name"].as_str()).collect()
}
