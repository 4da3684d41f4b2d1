//! One control plane with a scripted engine, in a directory of its own.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::StreamExt;
use pillion_control::{AppStatus, ApplyOptions, ApplyOutcome, Control, NoGateway, RolloutEvent, Settings};
use pillion_engine::{Engine, scripted::Scripted};
use pillion_model::{App, AppFile, AppName};
use pillion_store::Store;
use tokio::{sync::watch, task::JoinHandle};

/// Nothing in these tests takes a tenth of this; it only ends a test that would hang.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct World {
    pub control: Control,
    pub engine: Scripted,
    pub store: Store,
    directory: Arc<tempfile::TempDir>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl World {
    pub async fn new() -> World {
        World::open(Arc::new(tempfile::tempdir().expect("a temporary directory")), Scripted::new()).await
    }

    async fn open(directory: Arc<tempfile::TempDir>, engine: Scripted) -> World {
        let store = Store::open(directory.path()).expect("the store opens");
        let settings = Settings { drain_within: Duration::from_secs(5), ..Settings::default() };
        let (control, reconciler) =
            Control::new(store.clone(), Arc::new(engine.clone()), Arc::new(NoGateway), settings).await.expect("control starts");
        let (stop, stopped) = watch::channel(false);
        World {
            control,
            engine,
            store,
            directory,
            stop,
            task: tokio::spawn(reconciler.settling(Duration::from_millis(20)).run(stopped)),
        }
    }

    /// Ends the control plane in the middle of whatever it does, and starts it again on what it left behind.
    pub async fn crash_and_return(self) -> World {
        self.task.abort();
        drop(self.task.await);
        drop(self.stop);
        drop((self.control, self.store));
        World::open(self.directory, self.engine).await
    }

    pub async fn apply(&self, file: &str) -> ApplyOutcome {
        self.control.apply(app(file), BTreeMap::new(), ApplyOptions::default()).await.expect("it is applied")
    }

    /// Applies and follows to the end; returns the last event.
    pub async fn roll(&self, file: &str) -> RolloutEvent {
        let outcome = self.apply(file).await;
        self.ending(file, outcome.revision).await
    }

    pub async fn ending(&self, file: &str, revision: u64) -> RolloutEvent {
        let mut news = self.control.wait(&app(file).name, revision).await.expect("the revision is known");
        let last = async {
            let mut last = None;
            while let Some(event) = news.next().await {
                last = Some(event);
            }
            last
        };
        tokio::time::timeout(PATIENCE, last).await.expect("the rollout ends in time").expect("a rollout has an ending")
    }

    pub async fn rest(&self, name: &str) -> AppStatus {
        self.control.await_rest(&name.parse().expect("a name"), PATIENCE).await.expect("it comes to rest")
    }

    /// Waits until the facts are so.
    pub async fn until(&self, what: impl Fn(&pillion_engine::Observed) -> bool) {
        let mut facts = self.engine.observe();
        tokio::time::timeout(PATIENCE, facts.wait_for(|observed| what(observed)))
            .await
            .expect("it happens in time")
            .expect("the engine lives");
    }

    pub fn name(&self) -> AppName {
        "shop".parse().expect("a name")
    }
}

pub fn app(file: &str) -> App {
    AppFile::parse(file).unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// An app with a main container, a sidecar and a scale.
pub fn shop(main: &str, sidecar: &str, scale: u32) -> String {
    format!(
        "name: shop\nscale: {scale}\ncontainers:\n  web: {{ main: true, image: {main}, port: 8080 }}\n  cache: {{ image: {sidecar}, port: 6379 }}\n"
    )
}

/// Each container's pid, by instance.
pub fn pids(status: &AppStatus, container: &str) -> Vec<(String, i32)> {
    let mut found = Vec::new();
    for instance in &status.instances {
        for one in instance.status.containers.iter().filter(|one| one.name.as_str() == container) {
            if let pillion_model::ContainerPhase::Running { pid, .. } = one.phase {
                found.push((instance.status.id.to_string(), pid));
            }
        }
    }
    found
}
