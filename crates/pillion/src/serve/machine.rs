//! The server and its machine, for the API: info, prune, reload, stop.

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use pillion_api::{
    Failure, Images, System,
    wire::{Pruned, Reloaded, StopRequest, SystemInfo, Warning},
};
use pillion_control::Control;
use pillion_engine::Engine;
use pillion_host::HostEngine;
use pillion_model::AppName;
use pillion_supervisor::{Client, protocol::Request};
use tokio::sync::{Mutex, mpsc, oneshot, watch};

use super::{
    gateway::GatewayFacts,
    images::HostImages,
    settings::Settings,
    shutdown::{Apps, StopAsked},
};
use crate::layout::Layout;

/// What the API may ask of the server as a whole.
pub struct Machine {
    layout: Layout,
    engine: Arc<HostEngine>,
    control: Control,
    images: Arc<HostImages>,
    gateway: watch::Receiver<GatewayFacts>,
    /// What was read last.
    settings: Mutex<Settings>,
    ask_stop: mpsc::Sender<StopAsked>,
}

impl Machine {
    pub fn new(
        layout: Layout,
        engine: Arc<HostEngine>,
        control: Control,
        images: Arc<HostImages>,
        gateway: watch::Receiver<GatewayFacts>,
        settings: Settings,
        ask_stop: mpsc::Sender<StopAsked>,
    ) -> Self {
        Self { layout, engine, control, images, gateway, settings: Mutex::new(settings), ask_stop }
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
        warnings.extend(kernel_too_old(&kernel));
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
        // What dead supervisors left was cleared when this server opened its engine; images are what piles up.
        Ok(self.images.prune().await?)
    }

    async fn reload(&self) -> Result<Reloaded, Failure> {
        let read = Settings::read(self.layout.settings()).map_err(|error| {
            let mut message = error.to_string();
            let mut source = std::error::Error::source(&error);
            while let Some(cause) = source {
                message.push_str(&format!(": {cause}"));
                source = cause.source();
            }
            Failure::bad_request("SettingsInvalid", message).hint("the settings in force are still the old ones")
        })?;
        let changed = read.changed(&*self.settings.lock().await);
        Ok(Reloaded { applied: Vec::new(), needs_restart: changed })
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
        let apps = if request.keep_apps { Apps::Keep } else { Apps::Stop };
        let (stopped, wait) = oneshot::channel();
        // Full or closed: the server is ending already, and this call waits for the same end.
        if self.ask_stop.send(StopAsked { apps, stopped }).await.is_ok() {
            let _ = wait.await;
        }
        Ok(())
    }
}

fn kernel_too_old(release: &str) -> Option<Warning> {
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    let version = (numbers.next()?, numbers.next()?);
    (version < (6, 1)).then(|| Warning {
        message: format!("the kernel is {release}: containers cannot have user namespaces of their own before 6.1"),
        fix: Some("install a newer kernel, or set `userNamespace: off` in the app file".into()),
    })
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
