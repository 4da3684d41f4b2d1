//! [`HostEngine`]: the engine's calls, and what it remembers between them.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures::stream::BoxStream;
use pillion_engine::{
    Action, Engine, ExecRequest, ExecSession, Instance, LogLine, LogQuery, Observed, Prepare, Prepared, Progress,
};
use pillion_fault::{Diagnosis, Fault};
use pillion_image::{Digest, Image, Store};
use pillion_model::{AppName, ContainerName, InstanceId, Network, UserNamespace};
use pillion_supervisor::{
    protocol::Request,
    spec::{ContainerSpec, InstanceSpec},
};
use tokio::sync::{mpsc, watch};

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
    translate::{self, Labels, Surroundings},
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

/// What is handed out, and who runs. Held for moments only, never across an await.
struct Books {
    addresses: Addresses,
    ids: IdRanges,
    live: BTreeMap<InstanceId, Arc<Live>>,
}

/// One instance this engine is in charge of.
pub(crate) struct Live {
    pub(crate) id: InstanceId,
    pub(crate) app: AppName,
    pub(crate) dir: InstanceDir,
    /// The newest spec its supervisor was given. Calls on one instance go one after another under this lock.
    pub(crate) spec: tokio::sync::Mutex<InstanceSpec>,
    /// Memory limits by container, for the status; beside `spec` because a reader must not wait for a call under way.
    memory_limits: Mutex<BTreeMap<String, u64>>,
    stopping: AtomicBool,
    /// The serial of the newest state its supervisor told.
    pub(crate) heard: watch::Sender<u64>,
    /// Leases: what the instance runs from cannot be pruned.
    images: Mutex<BTreeMap<ContainerName, Image>>,
    /// The same by digest, and as its spec has it: an adopted instance may run from an image that is leased no more.
    digests: Mutex<BTreeSet<Digest>>,
}

impl Live {
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    pub(crate) fn memory_limits(&self) -> BTreeMap<String, u64> {
        self.memory_limits.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn becomes(&self, spec: &InstanceSpec, images: BTreeMap<ContainerName, Image>) {
        *self.memory_limits.lock().unwrap_or_else(PoisonError::into_inner) = limits_of(spec);
        *self.digests.lock().unwrap_or_else(PoisonError::into_inner) = digests_of(spec);
        *self.images.lock().unwrap_or_else(PoisonError::into_inner) = images;
    }
}

fn digests_of(spec: &InstanceSpec) -> BTreeSet<Digest> {
    let labels = serde_json::from_value::<Labels>(spec.labels.clone());
    labels.map(|labels| labels.images.values().filter_map(|digest| digest.parse().ok()).collect()).unwrap_or_default()
}

fn limits_of(spec: &InstanceSpec) -> BTreeMap<String, u64> {
    let limit = |container: &ContainerSpec| Some((container.run.name.clone(), container.run.limits.memory?));
    spec.containers.iter().filter_map(limit).collect()
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
        match supervisor_process::start(&inner.settings.exe, &live.dir).await {
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

impl Inner {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn live(&self, id: &InstanceId) -> Result<Arc<Live>, Diagnosis> {
        self.books()
            .live
            .get(id)
            .cloned()
            .ok_or_else(|| internal(format!("finding instance {id}"), "it does not run on this machine"))
    }

    fn images_of(&self, instance: &Instance) -> Result<BTreeMap<ContainerName, Image>, Diagnosis> {
        let find = |name: &ContainerName| {
            prepare::prepared_image(&self.store, &instance.prepared, name).map_err(|fault| Diagnosis {
                container: Some(name.to_string()),
                fault,
                log_tail: Vec::new(),
            })
        };
        instance.definition.containers.keys().map(|name| Ok((name.clone(), find(name)?))).collect()
    }

    fn spec_of(
        &self,
        instance: &Instance,
        dir: &InstanceDir,
        images: &BTreeMap<ContainerName, Image>,
        generation: u64,
    ) -> Result<InstanceSpec, Diagnosis> {
        let ids = match instance.definition.user_namespace {
            UserNamespace::Required => {
                Some(self.books().ids.take(&instance.app).map_err(|error| internal("reserving user ids", error))?)
            }
            UserNamespace::Off => None,
        };
        let address = match instance.definition.network {
            Network::Outbound => {
                let address = self.books().addresses.take(&instance.id);
                Some(address.ok_or_else(|| internal("giving the instance an address", "the subnet is full"))?)
            }
            Network::None => None,
        };
        let network = translate::network(instance.definition.network, &self.settings, address, adopt::nameservers());
        let Tuning { allowed_host_paths, logs } = self.tuning.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let settings = HostSettings { allowed_host_paths, logs, ..self.settings.clone() };
        let around = Surroundings { settings: &settings, dir, ids, network, images, generation };
        translate::instance(instance, &around)
    }

    pub(crate) fn register(
        &self,
        id: InstanceId,
        app: AppName,
        dir: InstanceDir,
        spec: InstanceSpec,
        images: BTreeMap<ContainerName, Image>,
    ) -> Arc<Live> {
        if let Ok(labels) = serde_json::from_value::<Labels>(spec.labels.clone()) {
            self.facts.announce(&spec, &labels, &id, dir.gate.clone());
        }
        let digests = digests_of(&spec);
        let live = Arc::new(Live {
            id: id.clone(),
            app,
            dir,
            memory_limits: Mutex::new(limits_of(&spec)),
            spec: tokio::sync::Mutex::new(spec),
            stopping: AtomicBool::new(false),
            heard: watch::Sender::new(0),
            images: Mutex::new(images),
            digests: Mutex::new(digests),
        });
        self.books().live.insert(id, live.clone());
        live
    }

    pub(crate) fn adopt_address(&self, address: std::net::Ipv4Addr, id: &InstanceId) {
        self.books().addresses.adopt(address, id.clone());
    }

    pub(crate) fn note_cleared(&self, what: String) {
        self.cleared.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }

    pub(crate) fn take_cleared(&self) -> Vec<String> {
        std::mem::take(&mut *self.cleared.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn held_addresses(&self) -> BTreeSet<std::net::Ipv4Addr> {
        self.books().addresses.held()
    }

    pub(crate) fn deregister(&self, id: &InstanceId) {
        let mut books = self.books();
        books.addresses.release(id);
        books.live.remove(id);
        drop(books);
        self.facts.forget(id);
    }

    /// Whether this very instance (not a later one of the same id) is still in the engine's charge.
    pub(crate) fn is_live(&self, live: &Arc<Live>) -> bool {
        self.books().live.get(&live.id).is_some_and(|known| Arc::ptr_eq(known, live))
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
