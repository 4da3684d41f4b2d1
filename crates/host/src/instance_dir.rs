//! The directories of one instance: what lives where, and their making and removal.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

use pillion_model::{AppName, InstanceId};
use pillion_supervisor::spec::InstanceSpec;

use crate::{HostSettings, ids::replace_file};

/// Paths of one instance.
#[derive(Debug, Clone)]
pub(crate) struct InstanceDir {
    /// `<run>/i/<id>`: spec, sockets, namespaces. Secrets live here, so 0700.
    pub(crate) run: PathBuf,
    /// `<state>/instances/<id>`: overlay scratch and the volumes that die with the instance.
    pub(crate) state: PathBuf,
    /// `<run>/gates/<id>.sock`: the one thing of an instance that the gateway may reach.
    pub(crate) gate: PathBuf,
    pub(crate) logs: PathBuf,
}

impl InstanceDir {
    pub(crate) fn of(settings: &HostSettings, app: &AppName, id: &InstanceId) -> Self {
        InstanceDir {
            run: runs(settings).join(id.as_str()),
            state: states(settings).join(id.as_str()),
            gate: settings.run.join("gates").join(format!("{id}.sock")),
            logs: app_logs(settings, app).join(id.as_str()),
        }
    }

    pub(crate) fn make(&self) -> io::Result<()> {
        make_private(&self.run)?;
        make_private(&self.state)?;
        make_private(&self.logs)
    }

    pub(crate) fn spec_file(&self) -> PathBuf {
        self.run.join("spec.json")
    }

    pub(crate) fn write_spec(&self, spec: &InstanceSpec) -> io::Result<()> {
        replace_file(&self.spec_file(), &serde_json::to_vec(spec)?, 0o600)
    }

    pub(crate) fn read_spec(run: &Path) -> io::Result<InstanceSpec> {
        Ok(serde_json::from_slice(&fs::read(run.join("spec.json"))?)?)
    }

    /// The overlay scratch directory of one container.
    pub(crate) fn scratch(&self, container: &str) -> PathBuf {
        self.state.join("scratch").join(container)
    }

    /// Removes everything but the logs.
    pub(crate) fn remove(&self) -> io::Result<()> {
        remove_tree(&self.state)?;
        remove_tree(&self.run)?;
        match fs::remove_file(&self.gate) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

pub(crate) fn runs(settings: &HostSettings) -> PathBuf {
    settings.run.join("i")
}

pub(crate) fn states(settings: &HostSettings) -> PathBuf {
    settings.state.join("instances")
}

pub(crate) fn app_logs(settings: &HostSettings, app: &AppName) -> PathBuf {
    settings.state.join("logs").join(app.as_str())
}

pub(crate) fn app_state(settings: &HostSettings, app: &AppName) -> PathBuf {
    settings.state.join("apps").join(app.as_str())
}

/// Makes the engine's own directories; the gates are reachable by the gateway's group and nobody else.
pub(crate) fn make_roots(settings: &HostSettings) -> io::Result<()> {
    for dir in [states(settings), settings.state.join("apps"), settings.state.join("logs"), runs(settings)] {
        make_private(&dir)?;
    }
    let gates = settings.run.join("gates");
    make_private(&gates)?;
    std::os::unix::fs::chown(&gates, Some(0), Some(settings.gateway_owner.1))?;
    fs::set_permissions(&gates, fs::Permissions::from_mode(0o710))?;
    // Searchable, not readable: what lies inside guards itself.
    fs::set_permissions(&settings.run, fs::Permissions::from_mode(0o711))
}

pub(crate) fn make_private(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

pub(crate) fn remove_tree(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
