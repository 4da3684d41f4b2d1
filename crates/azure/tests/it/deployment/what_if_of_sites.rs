//! what-if of sites, whose configuration is stored in documents of its own.

use pillion_arm::ResourceId;
use pillion_azure::deployment::LinkSettings;
use serde_json::{Value, json};

use super::{
    real::Real,
    world::{body, template},
};
use crate::bench::{SUBSCRIPTION, group};

/// A site `shop` on the bench's plan with this configuration.
fn site(config: Value) -> Value {
    let plan = ResourceId::plan(SUBSCRIPTION, "rg1", "shared").to_string();
    json!({
        "type": "Microsoft.Web/sites", "apiVersion": "2024-11-01", "name": "shop", "location": "local",
        "properties": { "serverFarmId": plan, "siteConfig": config },
    })
}

/// The settings of `shop`, written by themselves.
fn settings(values: Value) -> Value {
    json!({
        "type": "Microsoft.Web/sites/config", "apiVersion": "2024-11-01", "name": "shop/appsettings",
        "dependsOn": ["[resourceId('Microsoft.Web/sites', 'shop')]"], "properties": values,
    })
}

/// The changes but for what the template does not touch.
async fn changes(real: &Real, request: Vec<u8>) -> Vec<Value> {
    let answer = real.deployments.what_if(&real.caller, &group("rg1"), "main", request).await.expect("an answer");
    assert_eq!(answer["status"], "Succeeded", "{answer}");
    let changes = answer["properties"]["changes"].as_array().expect("changes").clone();
    changes.into_iter().filter(|change| change["changeType"] != "Ignore").collect()
}

#[tokio::test]
async fn a_new_site_is_shown_with_its_configuration_and_without_its_secrets() {
    let real = Real::new(LinkSettings::default()).await;
    let config = json!({
        "linuxFxVersion": "SITECONTAINERS", "alwaysOn": true,
        "appSettings": [{ "name": "WORD", "value": "plain-but-private" }, { "name": "TOKEN", "value": "[parameters('token')]" }],
        "connectionStrings": [{ "name": "main", "type": "PostgreSQL", "connectionString": "Host=db;Password=hush-hush" }],
        "metadata": [{ "name": "CURRENT_STACK", "value": "whatever" }],
        "appCommandLine": "[concat('run --token ', parameters('token'))]",
    });
    let mut whole = template(vec![site(config)]);
    whole["parameters"] = json!({ "token": { "type": "secureString" } });
    let request = json!({ "properties": { "template": whole, "parameters": { "token": { "value": "very-secret" } } } });
    let changes = changes(&real, request.to_string().into_bytes()).await;
    assert_eq!(changes.len(), 1, "{changes:?}");
    assert_eq!(changes[0]["changeType"], "Create");
    let shown = &changes[0]["after"]["properties"]["siteConfig"];
    assert_eq!((&shown["linuxFxVersion"], &shown["alwaysOn"]), (&json!("SITECONTAINERS"), &json!(true)), "{shown}");
    let hidden = json!([{ "name": "WORD", "value": "(secure)" }, { "name": "TOKEN", "value": "(secure)" }]);
    assert_eq!(shown["appSettings"], hidden);
    assert_eq!(shown["connectionStrings"], json!([{ "name": "main", "type": "PostgreSQL", "connectionString": "(secure)" }]));
    assert_eq!(shown["metadata"], json!([{ "name": "CURRENT_STACK", "value": "(secure)" }]));
    assert_eq!(shown["appCommandLine"], "(secure)");
    for secret in ["very-secret", "hush-hush", "plain-but-private"] {
        assert!(!changes[0].to_string().contains(secret), "{}", changes[0]);
    }
}

#[tokio::test]
async fn settings_that_a_site_and_a_document_both_write_are_shown_as_they_will_be() {
    let real = Real::new(LinkSettings::default()).await;
    let inline = json!({ "linuxFxVersion": "SITECONTAINERS", "appSettings": [{ "name": "ONE", "value": "1" }] });
    let whole = body(&template(vec![site(inline), settings(json!({ "TWO": "2" }))]));
    let first = changes(&real, whole.clone()).await;
    let kinds: Vec<_> = first.iter().map(|change| change["changeType"].as_str().unwrap_or_default()).collect();
    assert_eq!(kinds, ["Create", "Create"], "{first:?}");
    assert_eq!(first[0]["after"]["properties"]["siteConfig"], json!({ "linuxFxVersion": "SITECONTAINERS" }));
    assert_eq!(first[1]["after"]["properties"], json!({ "TWO": "(secure)" }));
    let ended = real.deploy(&group("rg1"), "main", &whole).await;
    assert_eq!(ended["properties"]["provisioningState"], "Succeeded", "{ended}");
    let second = changes(&real, whole).await;
    let changed: Vec<_> = second.iter().filter(|change| change["changeType"] != "NoChange").collect();
    assert!(changed.is_empty(), "the same again changes nothing: {changed:?}");
}
