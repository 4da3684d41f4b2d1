//! The twenty templates of the kind that people publish, deployed to the real service: what comes of each, and that the same
//! again changes nothing.

use std::path::PathBuf;

use pillion_arm::ResourceId;
use pillion_arm_template::read;
use pillion_azure::deployment::LinkSettings;
use serde_json::{Value, json};

use super::{
    library::{Library, page},
    real::Real,
};
use crate::bench::{SUBSCRIPTION, group};

/// What becomes of a template.
enum Comes {
    /// It succeeds, and what-if after it finds nothing to change.
    Same,
    /// It succeeds; it says the time, so that the next one differs.
    Differs,
    /// A resource of it is refused, for this: another provider's, or not what App Service takes.
    Refused(&'static str),
}

const TEMPLATES: [(&str, Comes); 20] = [
    ("01-container-app", Comes::Same),
    ("02-sidecar", Comes::Same),
    ("03-sidecar-loop", Comes::Same),
    ("04-slot", Comes::Same),
    ("05-settings", Comes::Differs),
    ("06-connection-strings", Comes::Refused("ResourceNotFound")),
    ("07-identity", Comes::Refused("InvalidResourceType")),
    ("08-autoscale", Comes::Same),
    ("09-conditions", Comes::Same),
    ("10-nested-inner", Comes::Same),
    ("11-nested-outer", Comes::Same),
    ("12-linked", Comes::Same),
    ("13-symbolic", Comes::Same),
    ("14-lambdas", Comes::Same),
    ("15-functions", Comes::Same),
    ("16-regions", Comes::Same),
    ("17-compose", Comes::Same),
    ("18-storage", Comes::Refused("InvalidResourceType")),
    ("19-types", Comes::Refused("volumeSubPath")),
    ("20-subscription", Comes::Same),
];

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../arm-template/tests/templates"))
}

fn file(name: &str) -> Value {
    let text = std::fs::read(folder().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    read(&text).unwrap_or_else(|error| panic!("{name}: {error}")).root().clone()
}

/// Every site of a template runs on a plan; the files leave that out where it is not what they are about.
fn with_plans(value: &mut Value) {
    match value {
        Value::Object(members) => {
            if members.get("type").and_then(Value::as_str) == Some("Microsoft.Web/sites") {
                let plan = ResourceId::plan(SUBSCRIPTION, "rg1", "shared").to_string();
                let properties = members.entry("properties").or_insert_with(|| json!({}));
                if let Some(properties) = properties.as_object_mut() {
                    properties.entry("serverFarmId").or_insert(json!(plan));
                }
            }
            members.values_mut().for_each(with_plans);
        }
        Value::Array(items) => items.iter_mut().for_each(with_plans),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

async fn library() -> Library {
    let part = |name: &str| {
        let mut part = file(&format!("linked/{name}"));
        with_plans(&mut part);
        page(&part.to_string())
    };
    let mut main = file("12-linked.json");
    with_plans(&mut main);
    let pages = vec![
        ("/main/azuredeploy.json", page(&main.to_string())),
        ("/main/modules/plan.json", part("plan.json")),
        ("/main/modules/app.json", part("app.json")),
    ];
    Library::open(pages).await
}

#[tokio::test]
async fn every_published_template_comes_to_what_it_says_and_the_same_again_changes_nothing() {
    let library = library().await;
    let mut wrong = Vec::new();
    for (name, comes) in TEMPLATES {
        if let Err(what) = try_one(name, &comes, &library).await {
            wrong.push(format!("{name}: {what}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

async fn try_one(name: &str, comes: &Comes, library: &Library) -> Result<(), String> {
    let real = Real::new(library.settings()).await;
    let given = file(&format!("{name}.expected.json"))["given"].clone();
    let scope = match given["level"].as_str() {
        Some("subscription") => ResourceId::subscription(SUBSCRIPTION),
        _ => group("rg1"),
    };
    let mut template = file(&format!("{name}.json"));
    with_plans(&mut template);
    if name == "05-settings" {
        // Settings are text here, as in App Service.
        template["variables"]["base"]["FEATURES"] = json!("plain");
    }
    let mut properties = json!({ "mode": "Incremental", "parameters": given["parameters"] });
    if name == "05-settings" {
        properties["parameters"]["extra"] = json!({ "value": { "FEATURES": "beta" } });
    }
    match name {
        "12-linked" => {
            properties["templateLink"] = json!({ "uri": library.at("/main/azuredeploy.json") });
            // The names of sites have two characters at least.
            properties["parameters"] = json!({ "apps": { "value": ["one", "two"] } });
        }
        _ => properties["template"] = template,
    }
    let body = json!({ "location": "local", "properties": properties }).to_string().into_bytes();
    let first = real.deploy(&scope, name, &body).await["properties"].clone();
    match comes {
        Comes::Refused(code) => {
            let error = first["error"].to_string();
            return if first["provisioningState"] == "Failed" && error.contains(code) { Ok(()) } else { Err(format!("{first}")) };
        }
        Comes::Same | Comes::Differs if first["provisioningState"] != "Succeeded" => return Err(first["error"].to_string()),
        Comes::Same | Comes::Differs => {}
    }
    let told = real.deployments.what_if(&real.caller, &scope, name, body.clone()).await.map_err(|error| error.to_string())?;
    let changes = told["properties"]["changes"].as_array().ok_or_else(|| told.to_string())?;
    let changed =
        changes.iter().filter(|change| !["NoChange", "Ignore"].contains(&change["changeType"].as_str().unwrap_or_default()));
    let changed: Vec<String> = changed.map(Value::to_string).collect();
    if matches!(comes, Comes::Same) && !changed.is_empty() {
        return Err(format!("what-if finds changes: {}", changed.join("\n  ")));
    }
    let before = real.revisions().await;
    let second = real.deploy(&scope, name, &body).await["properties"].clone();
    if second["provisioningState"] != "Succeeded" {
        return Err(format!("the second time: {}", second["error"]));
    }
    let after = real.revisions().await;
    if before != after {
        return Err(format!("running apps changed: {before:?} became {after:?}"));
    }
    Ok(())
}

#[tokio::test]
async fn a_deployment_is_one_revision_of_each_site_and_a_group_takes_its_deployments_along() {
    let real = Real::new(LinkSettings::default()).await;
    let mut template = file("02-sidecar.json");
    with_plans(&mut template);
    let parameters = json!({ "appName": { "value": "shop" }, "registryPassword": { "value": "pa$$word" } });
    let body = json!({ "properties": { "mode": "Incremental", "template": template, "parameters": parameters } });
    let ended = real.deploy(&group("rg1"), "main", body.to_string().as_bytes()).await;
    assert_eq!(ended["properties"]["provisioningState"], "Succeeded", "{ended}");
    assert_eq!(real.revisions().await, ["shop 1"], "the app is asked for when the deployment has ended, once");
    let gone = real.bench.delete(&group("rg1")).await.expect("the group goes").operation.expect("an operation");
    let ended = real.bench.until(async || {
        let operation = real.bench.azure.operation(&gone).expect("it is there");
        (operation.ended_ms.is_some()).then_some(operation)
    });
    ended.await.expect("it ends");
    real.bench.must(&group("rg1"), json!({ "location": "local" })).await;
    assert!(real.deployments.list(&real.caller, &group("rg1")).await.expect("a list").is_empty());
}
