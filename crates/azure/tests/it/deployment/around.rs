//! What a template is told of the world around it.

use pillion_azure::{cloud, deployment::LinkSettings};
use serde_json::{Value, json};

use super::{
    real::Real,
    world::{body, template},
};
use crate::bench::group;

/// Deploys these expressions as outputs to a group without tags.
async fn outputs(expressions: &[(&str, &str)]) -> Value {
    let real = Real::new(LinkSettings::default()).await;
    let mut whole = template(Vec::new());
    for (name, expression) in expressions {
        // An output of a text and an object alike: what the expression gives, as JSON.
        whole["outputs"][name] = json!({ "type": "string", "value": format!("[string({expression})]") });
    }
    let ended = real.deploy(&group("rg1"), "main", &body(&whole)).await;
    assert_eq!(ended["properties"]["provisioningState"], "Succeeded", "{ended}");
    ended["properties"]["outputs"].clone()
}

#[tokio::test]
async fn a_template_is_told_of_providers_and_their_types() {
    let told = outputs(&[
        ("version", "providers('microsoft.web', 'sites').apiVersions[0]"),
        ("location", "providers('Microsoft.Web', 'serverfarms').locations[0]"),
        ("namespace", "providers('Microsoft.Web').namespace"),
        ("many", "greater(length(providers('Microsoft.Resources').resourceTypes), 1)"),
    ])
    .await;
    assert_eq!(told["version"]["value"], "2025-05-01");
    assert_eq!(told["location"]["value"], "local");
    assert_eq!(told["namespace"]["value"], "Microsoft.Web");
    assert_eq!(told["many"]["value"], "True");
}

#[tokio::test]
async fn a_template_is_told_of_the_cloud_what_its_metadata_says() {
    let suffixes = ["storage", "keyvaultDns", "acrLoginServer", "sqlServerHostname"];
    let asked: Vec<(&str, String)> = suffixes.iter().map(|name| (*name, format!("environment().suffixes.{name}"))).collect();
    let asked: Vec<(&str, &str)> = asked.iter().map(|(name, expression)| (*name, expression.as_str())).collect();
    let told = outputs(&asked).await;
    let metadata = cloud::metadata("https://127.0.0.1:8443");
    for (name, of_metadata) in suffixes.iter().zip(["storage", "keyVaultDns", "acrLoginServer", "sqlServerHostname"]) {
        let suffix = metadata["suffixes"][of_metadata].as_str().expect("a suffix");
        let dotted = if *name == "storage" { suffix.to_owned() } else { format!(".{suffix}") };
        assert_eq!(told[name]["value"], dotted, "{name}");
    }
}

#[tokio::test]
async fn a_group_without_tags_has_none_and_can_be_asked_for_one() {
    let told = outputs(&[
        ("tags", "resourceGroup().tags"),
        ("team", "if(contains(resourceGroup().tags, 'team'), resourceGroup().tags.team, 'nobody')"),
    ])
    .await;
    assert_eq!((&told["tags"]["value"], &told["team"]["value"]), (&json!("{}"), &json!("nobody")));
}

#[tokio::test]
async fn an_operation_that_a_resource_has_not_is_told_from_one_that_is_yet_to_come() {
    let real = Real::new(LinkSettings::default()).await;
    let plan = json!({
        "type": "Microsoft.Web/serverfarms", "apiVersion": "2024-11-01", "name": "fresh", "location": "local",
        "sku": { "name": "P1v3" }, "kind": "linux",
        "properties": { "reserved": true },
    });
    let mut whole = template(vec![plan]);
    whole["outputs"] = json!({ "keys": { "type": "object", "value": "[listKeys('fresh', '2024-11-01')]" } });
    let ended = real.deploy(&group("rg1"), "main", &body(&whole)).await;
    let error = ended["properties"]["error"].to_string();
    assert!(error.contains("has no operation 'listKeys'"), "{error}");
    assert!(!error.contains("not deployed yet"), "{error}");
}
