//! Deployments over the real service, on a bench with two groups and a plan.

use pillion_arm::ResourceId;
use pillion_azure::deployment::{Deployments, LinkSettings, Settings};
use pillion_identity::{Caller, Identity};
use serde_json::{Value, json};

use crate::bench::{Bench, SUBSCRIPTION, group};

pub struct Real {
    pub bench: Bench,
    pub deployments: Deployments,
    pub caller: Caller,
    _keys: tempfile::TempDir,
}

impl Real {
    pub async fn new(links: LinkSettings) -> Real {
        let bench = Bench::new().await;
        for name in ["rg1", "rg2"] {
            bench.must(&group(name), json!({ "location": "local" })).await;
        }
        let plan = json!({ "location": "local", "sku": { "name": "P1v3" }, "kind": "linux", "properties": { "reserved": true } });
        bench.must(&ResourceId::plan(SUBSCRIPTION, "rg1", "shared"), plan).await;
        let keys = tempfile::tempdir().expect("a directory");
        let identity = Identity::open(bench.store.clone(), keys.path()).await.expect("identities");
        let settings = Settings { links, ..Settings::new(SUBSCRIPTION, "tenant", "https://127.0.0.1:8443/") };
        let deployments = Deployments::over(&bench.azure, identity, settings).await.expect("deployments");
        Real { bench, deployments, caller: Caller::machine(), _keys: keys }
    }

    pub async fn deploy(&self, scope: &ResourceId, name: &str, body: &[u8]) -> Value {
        let begun = self.deployments.begin(&self.caller, scope, name, body.to_vec()).await;
        begun.unwrap_or_else(|error| panic!("{name} is accepted: {error}"));
        let ended = self.bench.until(async || {
            let shown = self.deployments.show(&self.caller, scope, name).expect("it is there");
            let state = shown["properties"]["provisioningState"].as_str()?.to_owned();
            (!["Accepted", "Running"].contains(&state.as_str())).then_some(shown)
        });
        ended.await.unwrap_or_else(|| panic!("{name} ends"))
    }

    /// Every app with the revision that it is asked to be.
    pub async fn revisions(&self) -> Vec<String> {
        let all = self.bench.control.list().await.expect("apps");
        let mut told = Vec::new();
        for app in all {
            let status = self.bench.control.status(&app.name).await.expect("a status");
            told.push(format!("{} {}", app.name, status.target));
        }
        told
    }
}
