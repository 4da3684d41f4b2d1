//! Where an app's volumes are on this machine.

use std::{
    fs, io,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
};

use pillion_fault::Fault;
use pillion_model::{App, VolumeName};
use pillion_runtime::spec::IdRange;

use crate::{
    HostSettings,
    instance_dir::{InstanceDir, app_state, make_private},
};

/// Where a volume's files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// A directory of Pillion's, owned by the app's ids.
    Own(PathBuf),
    /// A directory of the host's, as it is.
    Host(PathBuf),
}

/// Finds (and makes) the directory of a volume.
///
/// # Errors
/// [`Fault::HostPathRefused`] for a host directory that the settings do not allow, [`Fault::MountFailed`] where
/// a directory cannot be made.
pub(crate) fn place(
    settings: &HostSettings,
    app: &App,
    dir: &InstanceDir,
    name: &VolumeName,
    ids: Option<IdRange>,
) -> Result<Place, Fault> {
    let volume = app.volumes.get(name).cloned().unwrap_or_default();
    if let Some(path) = &volume.host_path {
        return allowed(settings, Path::new(path)).map(Place::Host);
    }
    let parent = if volume.persistent { app_state(settings, &app.name).join("volumes") } else { dir.state.join("volumes") };
    let path = parent.join(name.as_str());
    make_private(&parent)
        .and_then(|()| make_open(&path, ids.map_or(0, |range| range.start)))
        .map_err(|error| Fault::MountFailed { path: path.display().to_string(), reason: error.to_string() })?;
    Ok(Place::Own(path))
}

/// Makes a volume's root writable for every user of the app's containers, as Kubernetes' `emptyDir` is: its parents
/// are private, so nobody else reaches it.
fn make_open(path: &Path, owner: u32) -> io::Result<()> {
    match fs::create_dir(path) {
        Ok(()) => {
            chown(path, Some(owner), Some(owner))?;
            fs::set_permissions(path, fs::Permissions::from_mode(0o777))
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Compares real paths, so that a link below an allowed directory does not lead out of it.
fn allowed(settings: &HostSettings, path: &Path) -> Result<PathBuf, Fault> {
    let real = fs::canonicalize(path)
        .map_err(|error| Fault::MountFailed { path: path.display().to_string(), reason: error.to_string() })?;
    let inside = |allowed: &PathBuf| fs::canonicalize(allowed).is_ok_and(|allowed| real.starts_with(allowed));
    if settings.allowed_host_paths.iter().any(inside) {
        Ok(real)
    } else {
        Err(Fault::HostPathRefused { path: path.display().to_string() })
    }
}
