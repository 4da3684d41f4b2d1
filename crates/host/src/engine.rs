//! [`HostEngine`]: the engine's calls, and what it remembers between them.

mod books;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::Duration,
};

use async_trait::async_trait;
use futures::stream::BoxStream;
use pillion_engine::{
    Action, Engine, ExecRequest, ExecSession, Instance, LogLine, LogQuery, Observed, Prepare, Prepared, Progress,
};
use pillion_fault::{Diagnosis, Fault};
use pillion_image::{Digest, Store};
use pillion_model::{AppName, Check, InstanceId};
use pillion_supervisor::{protocol::Request, spec::InstanceSpec};
use tokio::sync::{mpsc, watch};

use self::books::Books;
pub(crate) use self::books::Live;
use crate::{
    HostSettings, Tuning,
    addresses::Addresses,
    adopt, connection, exec,
    faults::internal,
    ids::IdRanges,
    instance_dir::{self, InstanceDir},
    leftovers, logs,
    observed::Facts,
    prepare, supervisor_process,
    translate::translate_check,
};

/// What a supervisor may take to stop beyond its containers' own graces, before it counts as hung.
const STOP_SLACK: Duration = Duration::from_secs(15);

/// Runs instances on this machine. Cheap to clone; all clones are one engine.
#[derive(Clone)]
pub struct HostEngine {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    /// What holds for the life of the engine; `tuning` is what may change.
    pub(crate) settings: HostSettings,
    tuning: Mutex<Tuning>,
    pub(crate) store: Arc<Store>,
    pub(crate) facts: Facts,
    books: Mutex<Books>,
    /// What was cleared away when the engine was opened, until somebody asks.
    cleared: Mutex<Vec<String>>,
    /// Shared by those who start instances; alone, nothing is half there.
    pub(crate) starting: tokio::sync::RwLock<()>,
}

impl HostEngine {
    /// Opens the engine: makes its directories and its bridge, adopts every supervisor that is still alive and clears
    /// away what dead ones left.
    ///
    /// # Errors
    /// A directory, the image store or the network cannot be made.
    pub async fn open(settings: HostSettings) -> io::Result<HostEngine> {
        instance_dir::make_roots(&settings)?;
        let store = Store::open(&settings.state, settings.images.clone()).map_err(io::Error::other)?;
        let books = Books {
            addresses: Addresses::new(settings.subnet),
            ids: IdRanges::open(&settings.state, settings.first_id)?,
            live: BTreeMap::new(),
        };
        let tuning = Mutex::new(Tuning { allowed_host_paths: settings.allowed_host_paths.clone(), logs: settings.logs });
        let inner = Inner {
            settings,
            tuning,
            store,
            facts: Facts::new(),
            books: Mutex::new(books),
            cleared: Mutex::default(),
            starting: tokio::sync::RwLock::default(),
        };
        let engine = HostEngine { inner: Arc::new(inner) };
        adopt::ensure_network(&engine.inner.settings).await?;
        adopt::adopt_all(&engine).await;
        engine.inner.facts.set_complete();
        Ok(engine)
    }

    /// Returns the images of this machine.
    pub fn images(&self) -> &Arc<Store> {
        &self.inner.store
    }

    pub fn settings(&self) -> &HostSettings {
        &self.inner.settings
    }

    /// Makes changed settings hold for what is started or changed from now on; what runs goes on as it is.
    pub fn tune(&self, tuning: Tuning) {
        *self.inner.tuning.lock().unwrap_or_else(PoisonError::into_inner) = tuning;
    }

    /// Returns the digests of the images that instances run from.
    pub fn images_in_use(&self) -> BTreeSet<Digest> {
        let books = self.inner.books();
        let digests = |live: &Arc<Live>| live.digests.lock().unwrap_or_else(PoisonError::into_inner).clone();
        books.live.values().flat_map(digests).collect()
    }

    /// Makes the network whole again where somebody removed part of it, such as `nft flush ruleset`.
    ///
    /// # Errors
    /// The bridge or the rules cannot be made.
    pub async fn repair_network(&self) -> io::Result<()> {
        adopt::ensure_network(&self.inner.settings).await?;
        let lives: Vec<_> = self.inner.books().live.values().cloned().collect();
        for live in lives {
            let network = live.spec.lock().await.sandbox.network.clone();
            adopt::repair_network(network).await?;
        }
        Ok(())
    }

    /// Removes what instances left behind that are gone: directories, sockets, control groups, mounts, links. Nothing that
    /// lives is touched. Returns what was removed, one line each.
    ///
    /// # Errors
    /// Something cannot be looked at.
    pub async fn clear_leftovers(&self) -> io::Result<Vec<String>> {
        leftovers::clear(self).await
    }

    pub(crate) fn live_ids(&self) -> BTreeSet<String> {
        self.inner.books().live.keys().map(ToString::to_string).collect()
    }

    /// Takes the network and the parent control group down if no instance is left; for an orderly end of the server.
    pub async fn close(&self) {
        if self.inner.books().live.is_empty() {
            adopt::remove_network(&self.inner.settings).await;
            adopt::remove_parent_group(&self.inner.settings).await;
        }
    }

    async fn start_instance(&self, instance: &Instance) -> Result<(), Diagnosis> {
        let inner = &self.inner;
        if inner.books().live.contains_key(&instance.id) {
            return Ok(());
        }
        let _not_cleared_away = inner.starting.read().await;
        let dir = InstanceDir::of(&inner.settings, &instance.app, &instance.id);
        dir.make().map_err(|error| disk(error, &dir))?;
        let images = inner.images_of(instance)?;
        let spec = inner.spec_of(instance, &dir, &images, 1)?;
        dir.write_spec(&spec).map_err(|error| disk(error, &dir))?;
        let live = inner.register(instance.id.clone(), instance.app.clone(), dir, spec, images);
        let spec = live.spec.lock().await;
        match supervisor_process::start(&inner.settings.supervisor, &live.dir).await {
            Ok(()) => {
                drop(spec);
                connection::follow(self.clone(), live);
                Ok(())
            }
            Err(error) => {
                adopt::clear_remains(&live.dir, &spec).await;
                inner.deregister(&live.id);
                Err(internal(format!("starting instance {}", live.id), error))
            }
        }
    }

    async fn update_instance(&self, instance: &Instance) -> Result<(), Diagnosis> {
        let inner = &self.inner;
        let live = inner.live(&instance.id)?;
        let images = inner.images_of(instance)?;
        let mut current = live.spec.lock().await;
        let spec = inner.spec_of(instance, &live.dir, &images, current.generation + 1)?;
        if (InstanceSpec { generation: current.generation, ..spec.clone() }) == *current {
            return Ok(());
        }
        connection::ask(&live.dir, Request::Update { spec: Box::new(spec.clone()) }).await?;
        live.becomes(&spec, images);
        *current = spec;
        Ok(())
    }

    async fn stop_instance(&self, id: &InstanceId) -> Result<(), Diagnosis> {
        let Ok(live) = self.inner.live(id) else { return Ok(()) };
        let spec = live.spec.lock().await;
        live.stopping.store(true, Ordering::Relaxed);
        // One container after another at worst, each with its whole grace.
        let graces: u64 = spec.containers.iter().map(|container| container.stop_grace_ms).sum();
        let within = Duration::from_millis(graces) + STOP_SLACK;
        // A supervisor that is gone or does not answer: the end is the same, without the courtesy.
        match tokio::time::timeout(within, connection::ask(&live.dir, Request::Stop)).await {
            Ok(Ok(())) => {}
            Ok(Err(diagnosis)) => {
                tracing::warn!(instance = %id, cause = %diagnosis.fault, "instance could not be stopped in order; removing it");
            }
            Err(_) => tracing::warn!(instance = %id, "instance did not stop within {within:?}; removing it"),
        }
        adopt::clear_remains(&live.dir, &spec).await;
        logs::keep_newest(&self.inner.settings, &live.app);
        self.inner.deregister(id);
        Ok(())
    }

    fn forget_app(&self, app: &AppName) -> io::Result<()> {
        let settings = &self.inner.settings;
        instance_dir::remove_tree(&instance_dir::app_state(settings, app))?;
        instance_dir::remove_tree(&instance_dir::app_logs(settings, app))?;
        self.inner.books().ids.release(app)
    }
}

fn disk(error: io::Error, dir: &InstanceDir) -> Diagnosis {
    let path = dir.state.display().to_string();
    let fault = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Fault::DiskFull { path, doing: "starting an instance".to_owned() }
        }
        _ => Fault::Internal { doing: format!("making the directories of an instance under {path}"), reason: error.to_string() },
    };
    Diagnosis { container: None, fault, log_tail: Vec::new() }
}

/// Runs a call to its end even if whoever asked goes away in the middle: half a start would be nobody's.
async fn whole<T: Send + 'static>(call: impl Future<Output = Result<T, Diagnosis>> + Send + 'static) -> Result<T, Diagnosis> {
    match tokio::spawn(call).await {
        Ok(result) => result,
        Err(error) => Err(internal("carrying out a step", error)),
    }
}

#[async_trait]
impl Engine for HostEngine {
    async fn prepare(&self, what: Prepare, progress: mpsc::Sender<Progress>) -> Result<Prepared, Diagnosis> {
        prepare::prepare(&self.inner.store, &what, &progress).await
    }

    async fn start(&self, instance: Instance) -> Result<(), Diagnosis> {
        let engine = self.clone();
        whole(async move { engine.start_instance(&instance).await }).await
    }

    async fn update(&self, instance: Instance) -> Result<(), Diagnosis> {
        let engine = self.clone();
        whole(async move { engine.update_instance(&instance).await }).await
    }

    async fn act(&self, id: &InstanceId, container: Option<&str>, action: Action) -> Result<(), Diagnosis> {
        let live = self.inner.live(id)?;
        let containers = || match container {
            Some(name) => vec![name.to_owned()],
            None => self.container_names(id),
        };
        match action {
            Action::Restart => connection::ask(&live.dir, Request::Restart { container: container.map(str::to_owned) }).await,
            Action::Stop => {
                for container in containers().into_iter().rev() {
                    connection::ask(&live.dir, Request::StopContainer { container }).await?;
                }
                Ok(())
            }
            Action::Start => {
                for container in containers() {
                    connection::ask(&live.dir, Request::StartContainer { container }).await?;
                }
                Ok(())
            }
        }
    }

    async fn stop(&self, id: &InstanceId) -> Result<(), Diagnosis> {
        let (engine, id) = (self.clone(), id.clone());
        whole(async move { engine.stop_instance(&id).await }).await
    }

    async fn forget(&self, app: &AppName) -> Result<(), Diagnosis> {
        self.forget_app(app).map_err(|error| internal(format!("removing what `{app}` kept"), error))
    }

    fn observe(&self) -> watch::Receiver<Arc<Observed>> {
        self.inner.facts.watch()
    }

    async fn refresh(&self, app: &AppName) {
        let lives = self.inner.books().live.values().filter(|live| live.app == *app).cloned().collect();
        connection::refresh(lives).await;
    }

    async fn logs(&self, query: LogQuery) -> Result<BoxStream<'static, LogLine>, Diagnosis> {
        logs::stream(self, query).await
    }

    async fn check(&self, id: &InstanceId, container: &str, check: &Check, within: Duration) -> Result<(), Diagnosis> {
        let live = self.inner.live(id)?;
        let Some(check) = translate_check(check, None) else { return Ok(()) };
        let timeout_ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        connection::ask(&live.dir, Request::Check { container: container.to_owned(), check, timeout_ms }).await
    }

    async fn exec(&self, id: &InstanceId, container: &str, request: ExecRequest) -> Result<ExecSession, Diagnosis> {
        exec::open(&self.inner.live(id)?.dir, container, request).await
    }
}

impl HostEngine {
    fn container_names(&self, id: &InstanceId) -> Vec<String> {
        let observed = self.inner.facts.watch();
        let observed = observed.borrow();
        observed.instances.get(id).map(|i| i.status.containers.iter().map(|c| c.name.to_string()).collect()).unwrap_or_default()
    }
}
