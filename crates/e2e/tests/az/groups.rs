//! Groups, plans and what is listed across them.

use pillion_e2e::NOT_FOUND;
use serde_json::json;

use crate::stage::{Stage, names};

#[test]
fn a_group_is_made_tagged_listed_and_found() {
    let stage = Stage::new();
    let az = &stage.az;
    let shown = az.json("group show -n rg1");
    assert_eq!((&shown["name"], &shown["location"]), (&json!("rg1"), &json!("local")));
    assert_eq!(shown["properties"]["provisioningState"], "Succeeded");
    az.ok(["group", "update", "-n", "rg1", "--set", "tags.team=web"]);
    assert_eq!(az.json("group show -n RG1")["tags"]["team"], "web");
    assert!(names(&az.json("group list")).contains(&"rg1"));
    assert_eq!(az.json("group exists -n rg1"), json!(true));
    assert_eq!(az.json("group exists -n rg2"), json!(false));
    let (code, said) = az.refused("group show -n rg2");
    assert_eq!(code, NOT_FOUND, "{said}");
    assert!(said.contains("ResourceGroupNotFound"), "{said}");
}

#[test]
fn a_plan_is_made_again_unchanged_scaled_and_removed() {
    let stage = Stage::new();
    let az = &stage.az;
    let again = az.json("appservice plan create -g rg1 -n plan1 --is-linux --sku P1V3");
    assert_eq!(again["sku"]["name"], "P1v3", "{again}");
    assert_eq!(again["reserved"], json!(true), "{again}");
    let scaled = az.json("appservice plan update -g rg1 -n plan1 --number-of-workers 3");
    assert_eq!(scaled["sku"]["capacity"], 3, "{scaled}");
    assert_eq!(names(&az.json("appservice plan list")), ["plan1"]);
    assert_eq!(names(&az.json("appservice plan list -g rg1")), ["plan1"]);
    let (code, _) = az.refused("appservice plan show -g rg1 -n nothing --query id");
    assert_eq!(code, NOT_FOUND);
    az.ok("appservice plan delete -g rg1 -n plan1 --yes".split(' '));
    assert_eq!(az.json("appservice plan list -g rg1"), json!([]));
}

#[test]
fn deleting_a_group_stops_and_removes_everything_in_it() {
    let stage = Stage::shop();
    let url = stage.url("shop");
    stage.az.ok(["group", "delete", "-n", "rg1", "--yes"]);
    assert_eq!(stage.az.json("group exists -n rg1"), json!(false));
    assert_eq!(stage.az.json("webapp list"), json!([]));
    assert!(!stage.copy.json(&["list"]).to_string().contains("shop"));
    pillion_e2e::eventually("nothing answers for the app any more", || {
        pillion_e2e::get(&url).map_or(true, |answer| answer.status != 200)
    });
}

#[test]
fn resources_are_listed_with_filters_and_shown_by_id() {
    let stage = Stage::new();
    stage.create_shop();
    let az = &stage.az;
    let all = az.json("resource list -g rg1");
    let mut found = names(&all);
    found.sort_unstable();
    assert_eq!(found, ["plan1", "shop"]);
    assert_eq!(names(&az.json("resource list --resource-type Microsoft.Web/sites")), ["shop"]);
    let shown = az.json("resource show -g rg1 -n shop --resource-type Microsoft.Web/sites");
    assert_eq!(shown["name"], "shop");
    assert_eq!(az.json("provider show -n Microsoft.Web")["registrationState"], "Registered");
    let activity = az.json("monitor activity-log list -g rg1 --offset 1h");
    assert!(activity.as_array().is_some_and(|list| !list.is_empty()), "{activity}");
    let certificates = format!("{}/publicCertificates?api-version=2024-11-01", shown["id"].as_str().expect("an id"));
    assert_eq!(az.json(&format!("rest --url {certificates}"))["value"], json!([]));
    az.ok("resource delete -g rg1 -n shop --resource-type Microsoft.Web/sites".split(' '));
    assert_eq!(az.json("webapp list"), json!([]));
}

#[test]
fn providers_locations_and_runtimes_are_told() {
    let az = &Stage::new().az;
    az.ok(["provider", "register", "-n", "Microsoft.Web"]);
    let locations = az.json("appservice list-locations --sku P1V3 --linux-workers-enabled");
    assert!(!names(&locations).is_empty(), "{locations}");
    let runtimes = az.ok("webapp list-runtimes --os linux -o tsv".split(' '));
    assert!(runtimes.contains("PYTHON"), "{runtimes}");
    assert!(runtimes.contains("NODE"), "{runtimes}");
}
