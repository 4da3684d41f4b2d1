//! The server and its machine, for the API: info, prune, reload, stop.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use hyper::StatusCode;
use pillion_api::{
    Failure, Images, System,
    wire::{EndpointInfo, Pruned, Reloaded, StopRequest, SystemInfo, Warning},
};
use pillion_control::Control;
use pillion_engine::Engine;
use pillion_host::HostEngine;
use pillion_model::AppName;
use pillion_runtime::host_checks::{Verdict, host_checks};
use pillion_supervisor::{Client, protocol::Request};
use tokio::sync::{Mutex, mpsc, oneshot, watch};

use super::{
    endpoint::TlsEndpoint,
    gateway::{GatewayFacts, Mover},
    images::HostImages,
    settings::{Settings, SettingsError},
    shutdown::{Apps, StopAsked},
};
use crate::layout::Layout;

/// What the API may ask of the server as a whole.
pub struct Machine {
    pub(super) layout: Layout,
    pub(super) engine: Arc<HostEngine>,
    pub(super) control: Control,
    pub(super) images: Arc<HostImages>,
    pub(super) endpoint: Arc<TlsEndpoint>,
    pub(super) gateway: watch::Receiver<GatewayFacts>,
    /// What is in force.
    pub(super) settings: Mutex<Settings>,
    /// Where the gateway listens whatever the settings say, because the command line said so.
    pub(super) listen_given: bool,
    /// The gateway's port where nothing says another.
    pub(super) port: u16,
    pub(super) mover: Mover,
    /// Set once the server is on its way out.
    pub(super) stopping: AtomicBool,
    pub(super) ask_stop: mpsc::Sender<StopAsked>,
}

impl Machine {
    /// Takes no wishes from now on.
    pub fn begin_to_stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Reads the settings again because of a signal; nobody waits for the answer but the log.
    pub async fn reload_on_signal(&self) {
        match self.reload().await {
            Ok(reloaded) => tracing::info!(?reloaded, "settings read again"),
            Err(failure) => tracing::warn!(why = %failure.into_body().message, "settings not read again"),
        }
    }
}

#[async_trait]
impl System for Machine {
    async fn info(&self) -> Result<SystemInfo, Failure> {
        let gateway = self.gateway.borrow().clone();
        let instances = self.engine.observe().borrow().instances.len();
        let kernel = rustix::system::uname().release().to_string_lossy().into_owned();
        let mut warnings: Vec<Warning> =
            gateway.troubles.iter().map(|message| Warning { message: message.clone(), fix: None }).collect();
        warnings.extend(self.endpoint.warning());
        let bridge = self.engine.settings().bridge.clone();
        // Reads the packet filter and many files: not on a thread that answers others.
        let found = tokio::task::spawn_blocking(move || host_checks(&bridge)).await.unwrap_or_default();
        let amiss = found.into_iter().filter(|finding| finding.verdict != Verdict::Fine);
        warnings.extend(amiss.map(|finding| Warning { message: finding.found, fix: finding.fix }));
        Ok(SystemInfo {
            version: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            state_dir: self.layout.state().display().to_string(),
            run_dir: self.layout.run().display().to_string(),
            settings_file: self.layout.settings().display().to_string(),
            gateway: gateway.listen.iter().map(ToString::to_string).collect(),
            gateway_pid: gateway.pid,
            kernel,
            cgroup: cgroup_version().into(),
            apps: u32::try_from(self.control.list().await?.len()).unwrap_or(u32::MAX),
            instances: u32::try_from(instances).unwrap_or(u32::MAX),
            warnings,
        })
    }

    async fn prune(&self) -> Result<Pruned, Failure> {
        let cleared = self.engine.clear_leftovers().await;
        let mut removed = cleared.map_err(|error| {
            Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "PruneFailed", format!("not everything could be removed: {error}"))
        })?;
        let images = self.images.prune().await?;
        removed.extend(images.removed);
        Ok(Pruned { removed, freed_bytes: images.freed_bytes })
    }

    async fn endpoint(&self) -> Result<EndpointInfo, Failure> {
        self.endpoint.info()
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    async fn reload(&self) -> Result<Reloaded, Failure> {
        let mut in_force = self.settings.lock().await;
        let path = self.layout.settings();
        let read = Settings::read(path).map_err(|error| refused(&error))?;
        let certificates = read.certificates(path).map_err(|error| refused(&error))?;
        if read.access_log != in_force.access_log {
            read.try_access_log(path).map_err(|error| refused(&error))?;
        }
        let changed = read.changed(&in_force);
        // What can fail comes first, so that a refusal leaves everything as it was.
        if read.endpoint != in_force.endpoint || read.endpoint.is_some() {
            // Read again even where the settings are the same: the files they name may be new.
            self.endpoint.reload(&read).map_err(|failure| failure.hint(UNCHANGED))?;
        }
        if !self.listen_given && read.listen != in_force.listen {
            let moved = self.mover.listen(read.listen_or(self.port)).await;
            moved.map_err(|complaint| Failure::bad_request("SettingsInvalid", complaint.to_string()).hint(UNCHANGED))?;
        }
        self.engine.tune(read.tuning());
        self.engine.images().trust(read.insecure_registries.clone(), certificates);
        let port = self.gateway.borrow().listen.first().map(std::net::SocketAddr::port);
        self.control.tune(read.max_instances(), read.drain_within(), port.unwrap_or_default());
        if let Err(error) = self.engine.repair_network().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "the network is not whole");
        }
        let address = |settings: &Settings| settings.endpoint.as_ref().and_then(|endpoint| endpoint.listen);
        let moves = address(&read) != address(&in_force);
        let waits = |key: &String| {
            NEED_RESTART.contains(&key.as_str()) || (self.listen_given && key == "listen") || (moves && key == "endpoint")
        };
        let (needs_restart, applied) = changed.into_iter().partition(waits);
        let access_log = in_force.access_log.take();
        let trusted_proxies = std::mem::take(&mut in_force.trusted_proxies);
        *in_force = Settings { access_log, trusted_proxies, ..read };
        Ok(Reloaded { applied, needs_restart })
    }

    async fn kill(&self, app: &AppName) -> Result<(), Failure> {
        let observed = self.engine.observe().borrow().clone();
        let ids = observed.instances.iter().filter(|(_, instance)| instance.app == *app).map(|(id, _)| id);
        for id in ids {
            // Past the engine: its calls on one instance wait for each other, and the stop in order is under way.
            let dir = self.layout.instance(id.as_str());
            let killed = match Client::connect(&dir).await {
                Ok(client) => client.request(&Request::Kill).await,
                Err(error) => Err(error),
            };
            if let Err(error) = killed {
                tracing::info!(dir = %dir.display(), error = &error as &dyn std::error::Error, "instance was ending already");
            }
        }
        Ok(())
    }

    async fn stop(&self, request: StopRequest) -> Result<(), Failure> {
        self.begin_to_stop();
        let apps = if request.keep_apps { Apps::Keep } else { Apps::Stop };
        let (stopped, wait) = oneshot::channel();
        // Full or closed: the server is ending already, and this call waits for the same end.
        if self.ask_stop.send(StopAsked { apps, stopped }).await.is_ok() {
            let _ = wait.await;
        }
        Ok(())
    }
}

/// The gateway is told these once, when it starts.
const NEED_RESTART: &[&str] = &["accessLog", "trustedProxies"];

const UNCHANGED: &str = "the settings in force are still the old ones";

fn refused(error: &SettingsError) -> Failure {
    let mut message = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        message.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    Failure::bad_request("SettingsInvalid", message).hint(UNCHANGED)
}

fn cgroup_version() -> &'static str {
    let unified = |path: &str| Path::new(path).join("cgroup.controllers").exists();
    if unified("/sys/fs/cgroup") {
        "v2"
    } else if unified("/sys/fs/cgroup/unified") {
        "hybrid"
    } else {
        "v1"
    }
}
