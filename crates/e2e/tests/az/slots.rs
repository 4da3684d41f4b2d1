//! Deployment slots: made, listed, swapped under load, previewed, and shared traffic.

use pillion_e2e::{SteadyLoad, eventually, get, request};
use serde_json::json;

use crate::stage::{Stage, names, variable};

/// `shop` with a slot `staging`, whose main container says another word.
pub fn with_slot() -> Stage {
    let stage = Stage::new();
    stage.create_shop();
    let az = &stage.az;
    az.ok("webapp config appsettings set -g rg1 -n shop --settings VERSION=one --slot-settings PLACE=production".split(' '));
    stage.main_container("serve 8080");
    stage.until_answers("shop", "/env", |answer| answer.body.contains("VERSION=one"));
    az.ok("webapp deployment slot create -g rg1 -n shop --slot staging --configuration-source shop".split(' '));
    az.ok("webapp config appsettings set -g rg1 -n shop --slot staging --settings VERSION=two --slot-settings PLACE=staging"
        .split(' '));
    az.ok("webapp config set -g rg1 -n shop --slot staging --linux-fx-version SITECONTAINERS".split(' '));
    az.ok(["webapp", "sitecontainers", "create", "-g", "rg1", "-n", "shop", "--slot", "staging", "--container-name", "main"]
        .into_iter()
        .chain(["--image", stage.puppet.as_str(), "--target-port", "8080", "--startup-cmd", "serve 8080", "--is-main", "true"]));
    let staging = slot_url(&stage);
    stage.until_answers_at(&staging, "/env", |answer| answer.body.contains("VERSION=two"));
    stage
}

pub fn slot_url(stage: &Stage) -> String {
    let hosts = stage.az.json("webapp show -g rg1 -n shop --slot staging --query enabledHostNames");
    format!("http://{}", hosts[0].as_str().unwrap_or_else(|| panic!("no host in {hosts}")))
}

pub fn environment_at(url: &str) -> Vec<(String, String)> {
    let answer = get(&format!("{url}/env")).expect("it answers");
    answer.body.lines().filter_map(|line| line.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

#[test]
fn a_slot_has_its_own_settings_containers_and_address() {
    let stage = with_slot();
    let (production, staging) = (stage.url("shop"), slot_url(&stage));
    assert_ne!(production, staging);
    assert_eq!(variable(&environment_at(&production), "VERSION"), Some("one"));
    assert_eq!(variable(&environment_at(&staging), "PLACE"), Some("staging"));
    let listed = stage.az.json("webapp deployment slot list -g rg1 -n shop");
    assert!(listed.to_string().contains("staging"), "{listed}");
    stage.az.ok("webapp deployment slot delete -g rg1 -n shop --slot staging".split(' '));
    assert_eq!(stage.az.json("webapp deployment slot list -g rg1 -n shop"), json!([]));
    assert_eq!(names(&stage.az.json("webapp list")), ["shop"]);
    assert!(get(&staging).map_or(true, |answer| answer.status != 200), "the slot is gone");
}

#[test]
fn a_swap_under_load_fails_no_request_moves_what_moves_and_leaves_what_is_sticky() {
    let stage = with_slot();
    let (production, staging) = (stage.url("shop"), slot_url(&stage));
    let host = production.trim_start_matches("http://");
    let load = SteadyLoad::begin(host.parse().expect("an address"), host, 500);
    stage.az.ok("webapp deployment slot swap -g rg1 -n shop --slot staging --target-slot production".split(' '));
    stage.until_answers_at(&production, "/env", |answer| answer.body.contains("VERSION=two"));
    stage.until_answers_at(&staging, "/env", |answer| answer.body.contains("VERSION=one"));
    let account = load.end();
    assert_eq!(account.failed, 0, "of {} requests", account.made);
    assert!(account.made > 500, "only {} requests were made", account.made);
    assert_eq!(variable(&environment_at(&production), "PLACE"), Some("production"));
    stage.until_answers_at(&staging, "/env", |answer| answer.body.contains("PLACE=staging"));
    let settings = stage.az.json("webapp config appsettings list -g rg1 -n shop").to_string();
    assert!(settings.contains("two"), "{settings}");
    // And back.
    stage.az.ok("webapp deployment slot swap -g rg1 -n shop --slot staging".split(' '));
    stage.until_answers_at(&production, "/env", |answer| answer.body.contains("VERSION=one"));
}

#[test]
fn a_swap_is_previewed_and_cancelled() {
    let stage = with_slot();
    let (production, staging) = (stage.url("shop"), slot_url(&stage));
    stage.az.ok("webapp deployment slot swap -g rg1 -n shop --slot staging --action preview".split(' '));
    stage.until_answers_at(&staging, "/env", |answer| answer.body.contains("PLACE=production"));
    assert_eq!(variable(&environment_at(&production), "VERSION"), Some("one"), "no traffic has moved");
    stage.az.ok("webapp deployment slot swap -g rg1 -n shop --slot staging --action reset".split(' '));
    stage.until_answers_at(&staging, "/env", |answer| answer.body.contains("PLACE=staging"));
    assert_eq!(variable(&environment_at(&production), "VERSION"), Some("one"));
}

#[test]
fn traffic_is_shared_by_percentage_and_a_client_stays_where_it_was_sent() {
    let stage = with_slot();
    let production = stage.url("shop");
    stage.az.ok("webapp traffic-routing set -g rg1 -n shop --distribution staging=100".split(' '));
    stage.until_answers_at(&production, "/env", |answer| answer.body.contains("VERSION=two"));
    let own = request("GET", &format!("{production}/env"), &[("Cookie", "x-ms-routing-name=self")], "").expect("it answers");
    assert!(own.body.contains("VERSION=one"), "the cookie keeps a client in production: {}", own.body);
    let asked = get(&format!("{production}/env?x-ms-routing-name=self")).expect("it answers");
    assert!(!asked.body.contains("VERSION=two"), "{}", asked.body);
    let shown = stage.az.json("webapp traffic-routing show -g rg1 -n shop");
    assert_eq!(shown[0]["reroutePercentage"].as_f64(), Some(100.0), "{shown}");
    stage.az.ok("webapp traffic-routing clear -g rg1 -n shop".split(' '));
    stage.until_answers_at(&production, "/env", |answer| answer.body.contains("VERSION=one"));
}

#[test]
fn a_previewed_swap_is_completed() {
    let stage = with_slot();
    let (production, staging) = (stage.url("shop"), slot_url(&stage));
    stage.az.ok("webapp deployment slot swap -g rg1 -n shop --slot staging --action preview".split(' '));
    stage.until_answers_at(&staging, "/env", |answer| answer.body.contains("PLACE=production"));
    stage.az.ok("webapp deployment slot swap -g rg1 -n shop --slot staging --action swap".split(' '));
    stage.until_answers_at(&production, "/env", |answer| {
        answer.body.contains("VERSION=two") && answer.body.contains("PLACE=production")
    });
    stage.until_answers_at(&staging, "/env", |answer| {
        answer.body.contains("VERSION=one") && answer.body.contains("PLACE=staging")
    });
}

#[test]
fn every_instance_is_warmed_up_before_it_takes_productions_traffic() {
    let stage = with_slot();
    let az = &stage.az;
    az.ok("appservice plan update -g rg1 -n plan1 --number-of-workers 2".split(' '));
    // Without the cookie that names an instance nobody could choose one from outside.
    for slot in ["", " --slot staging"] {
        az.ok(format!("webapp update -g rg1 -n shop{slot} --client-affinity-enabled false").split(' '));
    }
    let warm_up = "WEBSITE_SWAP_WARMUP_PING_PATH=/count WEBSITE_SWAP_WARMUP_PING_STATUSES=200";
    az.ok(format!("webapp config appsettings set -g rg1 -n shop --slot staging --settings {warm_up}").split(' '));
    eventually("both slots have two instances", || {
        ["shop", "shop--staging"].iter().all(|app| stage.copy.json(&["status", app])["ready"].as_u64() == Some(2))
    });
    az.ok("webapp deployment slot swap -g rg1 -n shop --slot staging --target-slot production".split(' '));
    let production = stage.url("shop");
    stage.until_answers_at(&production, "/env", |answer| answer.body.contains("VERSION=two"));
    for _ in 0..40 {
        let count = get(&format!("{production}/count")).expect("it answers").body;
        assert_ne!(count.trim(), "1", "an instance was asked for the first time by a client");
    }
}

#[test]
fn a_swap_whose_warm_up_is_answered_badly_says_so_and_moves_nothing() {
    let stage = with_slot();
    let az = &stage.az;
    let warm_up = "WEBSITE_SWAP_WARMUP_PING_PATH=/status/503 WEBSITE_SWAP_WARMUP_PING_STATUSES=200,202";
    az.ok(format!("webapp config appsettings set -g rg1 -n shop --slot staging --settings {warm_up}").split(' '));
    let (_, said) = az.refused("webapp deployment slot swap -g rg1 -n shop --slot staging --target-slot production");
    assert!(said.contains("/status/503 answered 503"), "{said}");
    assert_eq!(variable(&environment_at(&stage.url("shop")), "VERSION"), Some("one"), "no traffic has moved");
    let staging = slot_url(&stage);
    stage.until_answers_at(&staging, "/env", |answer| {
        answer.body.contains("VERSION=two") && answer.body.contains("PLACE=staging")
    });
}
