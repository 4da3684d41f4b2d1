//! What the resource manager costs in the server: lists of many sites, and templates of many sites validated. For `cargo xtask
//! bench`: the real store and services behind the real router; no TLS and no socket. Prints one figure a line, in milliseconds.

use std::{sync::Arc, time::Instant};

use axum::body::{Body, to_bytes};
use pillion_arm::ResourceId;
use pillion_azure::{
    Azure, Settings,
    deployment::{Deployments, Settings as DeploymentSettings},
};
use pillion_control::{Control, NoGateway, Settings as ControlSettings};
use pillion_engine::scripted::Scripted;
use pillion_identity::{Caller, Identity};
use pillion_store::Store;
use serde_json::{Value, json};
use tower::ServiceExt;

const SITES: usize = 1_000;
const OF_THE_TEMPLATE: usize = 100;
const LISTS: usize = 300;
const VALIDATIONS: usize = 9;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = tempfile::tempdir()?;
    let store = Store::open(root.path())?;
    // One copy on a machine has fewer ports for apps than this has sites.
    let settings = ControlSettings { app_ports: 20_000..=24_999, ..ControlSettings::default() };
    let (control, _reconciler) = Control::new(store.clone(), Arc::new(Scripted::new()), Arc::new(NoGateway), settings).await?;
    let identity = Identity::open(store.clone(), &root.path().join("keys")).await?;
    let (subscription, tenant) = (identity.subscription().to_owned(), identity.tenant().to_owned());
    let settings = Settings {
        endpoint: "127.0.0.1:8443".into(),
        gateway_port: 8080,
        subscription: subscription.clone(),
        tenant: tenant.clone(),
        max_instances: 30,
    };
    let (azure, _settler) = Azure::open(store, control, settings).await?;
    let deployments = DeploymentSettings::new(&subscription, &tenant, "https://127.0.0.1:8443/");
    let deployments = Deployments::over(&azure, identity.clone(), deployments).await?;
    let router = pillion_api::arm::router(azure.clone(), identity, deployments);

    let group = ResourceId::group(&subscription, "rg1");
    let plan = ResourceId::plan(&subscription, "rg1", "plan1");
    let owner = Caller::machine();
    azure.put(&owner, &group, json!({ "location": "local" }), None).await?;
    let sku = json!({ "location": "local", "sku": { "name": "P1v3" }, "properties": { "reserved": true } });
    azure.put(&owner, &plan, sku, None).await?;
    for number in 0..SITES {
        let body = json!({ "location": "local", "properties": { "serverFarmId": plan.to_string(), "siteConfig": {
            "linuxFxVersion": "SITECONTAINERS", "appSettings": [{ "name": "NUMBER", "value": number.to_string() }] } } });
        azure.put(&owner, &ResourceId::site(&subscription, "rg1", &format!("site-{number:04}")), body, None).await?;
    }
    let list = format!("/subscriptions/{subscription}/providers/Microsoft.Web/sites?api-version=2025-05-01");
    for _ in 0..LISTS {
        let (took, body) = ask(&router, "GET", &list, Vec::new()).await?;
        let found = body["value"].as_array().map_or(0, Vec::len);
        if found != SITES {
            return Err(format!("{found} of {SITES} sites were listed: {body}").into());
        }
        println!("list {took:.3}");
    }
    let validate = format!("{group}/providers/Microsoft.Resources/deployments/many/validate?api-version=2025-04-01");
    for _ in 0..VALIDATIONS {
        let (took, body) = ask(&router, "POST", &validate, template(&plan).to_string().into_bytes()).await?;
        let valid = body["properties"]["validatedResources"].as_array().map_or(0, Vec::len);
        if valid != OF_THE_TEMPLATE * 3 {
            return Err(format!("{valid} resources are valid: {body}").into());
        }
        println!("validate {took:.3}");
    }
    Ok(())
}

/// A hundred sites, each with a main and a sidecar.
fn template(plan: &ResourceId) -> Value {
    let container = |name: &str, image: &str, port: u16| {
        json!({
            "type": "Microsoft.Web/sites/sitecontainers", "apiVersion": "2024-11-01",
            "name": format!("[concat(parameters('prefix'), copyIndex(), '/{name}')]"),
            "copy": { "name": name, "count": "[parameters('count')]" },
            "dependsOn": ["[resourceId('Microsoft.Web/sites', concat(parameters('prefix'), copyIndex()))]"],
            "properties": { "image": image, "isMain": name == "main", "targetPort": format!("[string({port})]") },
        })
    };
    let sites = json!({
        "type": "Microsoft.Web/sites", "apiVersion": "2024-11-01", "name": "[concat(parameters('prefix'), copyIndex())]",
        "location": "[resourceGroup().location]", "kind": "app,linux,container",
        "copy": { "name": "sites", "count": "[parameters('count')]" },
        "properties": { "serverFarmId": plan.to_string(), "siteConfig": { "linuxFxVersion": "sitecontainers",
            "appSettings": [{ "name": "NAME", "value": "[toUpper(format('{0}-{1}', parameters('prefix'), copyIndex()))]" }] } },
    });
    json!({ "properties": { "mode": "Incremental",
        "parameters": { "prefix": { "value": "fresh-" }, "count": { "value": OF_THE_TEMPLATE } },
        "template": {
            "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#", "contentVersion": "1.0.0.0",
            "parameters": { "prefix": { "type": "string" }, "count": { "type": "int" } },
            "resources": [sites, container("main", "nginx:1.27", 80), container("cache", "redis:7", 6379)],
        } } })
}

/// Asks the router, and says how long the whole answer took.
async fn ask(router: &axum::Router, method: &str, uri: &str, body: Vec<u8>) -> Result<(f64, Value), Box<dyn std::error::Error>> {
    let mut request = axum::http::Request::builder().method(method).uri(uri).body(Body::from(body))?;
    request.extensions_mut().insert(Caller::machine());
    let began = Instant::now();
    let response = router.clone().oneshot(request).await?;
    let status = response.status();
    let text = to_bytes(response.into_body(), usize::MAX).await?;
    let took = began.elapsed().as_secs_f64() * 1000.0;
    if !status.is_success() {
        return Err(format!("{method} {uri}: {status} {}", String::from_utf8_lossy(&text)).into());
    }
    Ok((took, serde_json::from_slice(&text)?))
}
