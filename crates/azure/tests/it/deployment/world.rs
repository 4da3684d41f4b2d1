//! A store in its own directory, the stand-in, and deployments over both.

use std::{sync::Arc, time::Duration};

use pillion_arm::{ArmError, ResourceId};
use pillion_azure::deployment::{Begun, Deployments, LinkSettings, Settings};
use pillion_identity::Caller;
use pillion_store::Store;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::fake::Fake;

pub const SUBSCRIPTION: &str = "0f5e0a5c-0000-4000-8000-000000000001";

pub struct World {
    pub root: TempDir,
    pub fake: Arc<Fake>,
    pub deployments: Deployments,
    pub caller: Caller,
}

pub fn group() -> ResourceId {
    ResourceId::group(SUBSCRIPTION, "shop")
}

pub fn other_group() -> ResourceId {
    ResourceId::group(SUBSCRIPTION, "other")
}

pub fn site(name: &str) -> ResourceId {
    ResourceId::site(SUBSCRIPTION, "shop", name)
}

/// A resource of a template: a site of this name, and those that it waits for.
pub fn item(name: &str, after: &[&str]) -> Value {
    let after: Vec<String> = after.iter().map(|name| format!("Microsoft.Web/sites/{name}")).collect();
    json!({
        "type": "Microsoft.Web/sites", "apiVersion": "2024-11-01", "name": name, "location": "local",
        "dependsOn": after, "properties": { "httpsOnly": false },
    })
}

pub fn template(resources: Vec<Value>) -> Value {
    json!({
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
        "contentVersion": "1.0.0.0", "resources": resources,
    })
}

pub fn body(template: &Value) -> Vec<u8> {
    json!({ "properties": { "mode": "Incremental", "template": template } }).to_string().into_bytes()
}

impl World {
    pub async fn new() -> World {
        World::with(LinkSettings::default()).await
    }

    pub async fn with(links: LinkSettings) -> World {
        let root = tempfile::tempdir().expect("a directory");
        let fake = Arc::new(Fake::new(&[group(), other_group()]));
        let deployments = open(&root, &fake, links).await;
        World { root, fake, deployments, caller: Caller::machine() }
    }

    /// The server goes and another one comes.
    pub async fn again(self) -> World {
        let World { root, fake, deployments, caller } = self;
        deployments.close().await;
        drop(deployments);
        let deployments = open(&root, &fake, LinkSettings::default()).await;
        World { root, fake, deployments, caller }
    }

    pub async fn begin(&self, name: &str, body: Vec<u8>) -> Result<Begun, ArmError> {
        self.deployments.begin(&self.caller, &group(), name, body).await
    }

    /// Deploys and waits for the ending; gives the deployment's properties.
    pub async fn deploy(&self, name: &str, body: Vec<u8>) -> Value {
        self.begin(name, body).await.unwrap_or_else(|error| panic!("{name} is accepted: {error}"));
        self.ended(name).await
    }

    pub async fn ended(&self, name: &str) -> Value {
        self.ended_at(&group(), name).await
    }

    pub async fn ended_at(&self, scope: &ResourceId, name: &str) -> Value {
        let ended = async {
            loop {
                let shown = self.deployments.show(&self.caller, scope, name).expect("it is there");
                let state = shown["properties"]["provisioningState"].as_str().expect("a state").to_owned();
                if !["Accepted", "Running"].contains(&state.as_str()) {
                    return shown["properties"].clone();
                }
                // The state is polled, as clients do.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), ended).await.unwrap_or_else(|_| panic!("{name} ends"))
    }

    pub fn operations(&self, name: &str) -> Vec<Value> {
        self.deployments.operations(&self.caller, &group(), name).expect("it is there")
    }
}

async fn open(root: &TempDir, fake: &Arc<Fake>, links: LinkSettings) -> Deployments {
    let store = Store::open(root.path()).expect("a store");
    let settings = Settings { links, ..Settings::new(SUBSCRIPTION, "tenant", "https://127.0.0.1:8443/") };
    Deployments::open(store, fake.clone(), settings).await.expect("deployments")
}
