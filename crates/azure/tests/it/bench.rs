//! The services over a real store and control plane, with a scripted engine behind: what tests here stand on.

use std::{sync::Arc, time::Duration};

use pillion_arm::{ArmError, ResourceId};
use pillion_azure::{Azure, Removal, Settings, Written};
use pillion_control::{AppState, AppStatus, Control, NoGateway, Settings as ControlSettings};
use pillion_engine::scripted::Scripted;
use pillion_identity::Caller;
use pillion_store::Store;
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinHandle};

pub const SUBSCRIPTION: &str = "0f5e0a5c-0000-4000-8000-000000000001";
/// Only ends a test that would hang.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct Bench {
    pub azure: Azure,
    pub control: Control,
    pub store: Store,
    pub engine: Scripted,
    directory: Arc<tempfile::TempDir>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

pub fn group(name: &str) -> ResourceId {
    ResourceId::group(SUBSCRIPTION, name)
}

pub fn plan() -> ResourceId {
    ResourceId::plan(SUBSCRIPTION, "rg1", "plan1")
}

pub fn site(name: &str) -> ResourceId {
    ResourceId::site(SUBSCRIPTION, "rg1", name)
}

pub fn container(site: &ResourceId, name: &str) -> ResourceId {
    site.child("sitecontainers", name)
}

pub fn site_body() -> Value {
    json!({ "location": "local", "properties": { "serverFarmId": plan().to_string(),
        "siteConfig": { "linuxFxVersion": "SITECONTAINERS", "appSettings": [] } } })
}

pub fn container_body(image: &str, port: u16, main: bool) -> Value {
    json!({ "properties": { "image": image, "isMain": main, "targetPort": port.to_string() } })
}

impl Bench {
    pub async fn new() -> Bench {
        Bench::open(Arc::new(tempfile::tempdir().expect("a directory")), Scripted::new(), true).await
    }

    async fn open(directory: Arc<tempfile::TempDir>, engine: Scripted, settling: bool) -> Bench {
        let store = Store::open(directory.path()).expect("the store opens");
        let settings = ControlSettings { drain_within: Duration::from_secs(2), ..ControlSettings::default() };
        let (control, reconciler) =
            Control::new(store.clone(), Arc::new(engine.clone()), Arc::new(NoGateway), settings).await.expect("control starts");
        let settings = Settings {
            endpoint: "127.0.0.1:8443".into(),
            gateway_port: 8080,
            subscription: SUBSCRIPTION.into(),
            tenant: "11111111-0000-4000-8000-000000000001".into(),
            max_instances: 30,
        };
        let (azure, settler) = Azure::open(store.clone(), control.clone(), settings).await.expect("the services open");
        let (stop, stopped) = watch::channel(false);
        let mut tasks = vec![tokio::spawn(reconciler.settling(Duration::from_millis(20)).run(stopped.clone()))];
        if settling {
            tasks.push(tokio::spawn(settler.run(stopped)));
        }
        Bench { azure, control, store, engine, directory, stop, tasks }
    }

    /// Ends everything in the middle of whatever it does, and starts it again on what it left behind.
    pub async fn crash_and_return(self) -> Bench {
        let (directory, engine) = self.end().await;
        Bench::open(directory, engine, true).await
    }

    /// As [`Bench::crash_and_return`], with nobody who settles: marks stay.
    pub async fn return_without_settler(self) -> Bench {
        let (directory, engine) = self.end().await;
        Bench::open(directory, engine, false).await
    }

    async fn end(self) -> (Arc<tempfile::TempDir>, Scripted) {
        for task in self.tasks {
            task.abort();
            drop(task.await);
        }
        drop(self.stop);
        (self.directory, self.engine)
    }

    pub async fn put(&self, id: &ResourceId, body: Value) -> Result<Written, ArmError> {
        self.azure.put(&Caller::machine(), id, body, None).await
    }

    pub async fn must(&self, id: &ResourceId, body: Value) -> Value {
        self.put(id, body).await.unwrap_or_else(|refused| panic!("{id} is refused: {refused}")).body
    }

    pub async fn get(&self, id: &ResourceId) -> Result<Value, ArmError> {
        self.azure.get(&Caller::machine(), id).await.map(|(body, _)| body)
    }

    pub async fn delete(&self, id: &ResourceId) -> Result<pillion_azure::Deleted, ArmError> {
        self.azure.delete(&Caller::machine(), id, &Removal::default()).await
    }

    /// The group, the plan and the site `Shop` without containers.
    pub async fn shop(&self) -> ResourceId {
        self.must(&group("rg1"), json!({ "location": "local" })).await;
        self.must(
            &plan(),
            json!({ "location": "local", "sku": { "name": "P1V3", "capacity": 1 }, "properties": { "reserved": true } }),
        )
        .await;
        self.must(&site("Shop"), site_body()).await;
        site("Shop")
    }

    /// The same with a main container, at rest.
    pub async fn running_shop(&self) -> ResourceId {
        let shop = self.shop().await;
        self.must(&container(&shop, "main"), container_body("web:1", 8080, true)).await;
        self.state("shop", "runs", |status| status.state == AppState::Running).await;
        shop
    }

    /// Waits until an app is so.
    pub async fn state(&self, app: &str, what: &str, so: impl Fn(&AppStatus) -> bool) -> AppStatus {
        let name = app.parse().expect("a name");
        let mut last = None;
        let found = self.until(async || match self.control.status(&name).await {
            Ok(status) if so(&status) => Some(status),
            other => {
                last = Some(format!("{other:?}"));
                None
            }
        });
        match found.await {
            Some(status) => status,
            None => panic!("{app} never {what}: {last:?}"),
        }
    }

    pub async fn gone(&self, app: &str) {
        let name = app.parse().expect("a name");
        let found = self.until(async || self.control.status(&name).await.is_err().then_some(())).await;
        assert!(found.is_some(), "{app} is still there");
    }

    /// Polls: what is waited for here has no event of its own.
    pub async fn until<T>(&self, mut so: impl AsyncFnMut() -> Option<T>) -> Option<T> {
        let end = tokio::time::Instant::now() + PATIENCE;
        while tokio::time::Instant::now() < end {
            if let Some(found) = so().await {
                return Some(found);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        None
    }

    /// Everything stored about resources, to see that nothing changed.
    pub async fn snapshot(&self) -> Vec<(String, String, Value)> {
        let all = self.store.documents::<Value>(pillion_store::Kind::Resource).await.expect("the resources are read");
        all.into_iter().map(|document| (document.key, document.etag.to_string(), document.body)).collect()
    }
}
