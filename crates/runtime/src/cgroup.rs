//! Control groups: one for an instance, a child of it for each container; v1 (and hybrid) and v2 alike.
//!
//! ```text
//! v2:  /sys/fs/cgroup/<instance>/<container>               one tree
//! v1:  /sys/fs/cgroup/{memory,cpu,pids,…}/<instance>/<container>   the same path in the tree of each controller
//! ```

mod device_program;
mod devices;
mod hierarchy;
mod limits;
mod oom;
mod stop;
mod usage;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

pub use hierarchy::{Hierarchy, Mode, delegated_base};
pub use oom::OomWatch;
pub use usage::Usage;

/// A control group, existing or not, in every tree that matters.
#[derive(Debug, Clone)]
pub struct Cgroup {
    hierarchy: Hierarchy,
    path: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    #[error("no control groups are mounted under /sys/fs/cgroup")]
    NotMounted,
    #[error("cannot {doing} of control group {}", path.display())]
    Io {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("control group {} still has processes {pids:?}", path.display())]
    NotEmpty { path: PathBuf, pids: Vec<i32> },
    #[error("the kernel offers no {controller} controller for control group {}", path.display())]
    ControllerMissing { controller: &'static str, path: PathBuf },
}

impl Cgroup {
    /// Names the control group `path`, relative to the root of each tree, without making it.
    pub fn at(path: &Path) -> Result<Self, CgroupError> {
        Ok(Self { hierarchy: Hierarchy::detect()?, path: path.strip_prefix("/").unwrap_or(path).to_path_buf() })
    }

    /// Makes the control group and its missing parents; on v2 with the controllers its children need. Idempotent.
    pub fn create(path: &Path) -> Result<Self, CgroupError> {
        let cgroup = Self::at(path)?;
        cgroup.make(Role::Parent)?;
        Ok(cgroup)
    }

    /// Names the group above.
    pub(crate) fn parent(&self) -> Self {
        Self { hierarchy: self.hierarchy.clone(), path: self.path.parent().map(Path::to_path_buf).unwrap_or_default() }
    }

    /// Names the child `name` without making it.
    pub fn child(&self, name: &str) -> Self {
        Self { hierarchy: self.hierarchy.clone(), path: self.path.join(name) }
    }

    /// Makes the child `name`, which processes go into.
    pub fn create_child(&self, name: &str) -> Result<Self, CgroupError> {
        let child = self.child(name);
        child.make(Role::Leaf)?;
        Ok(child)
    }

    /// The path from the root of each tree, absolute: an OCI `cgroupsPath`.
    pub fn path(&self) -> PathBuf {
        Path::new("/").join(&self.path)
    }

    pub fn mode(&self) -> Mode {
        self.hierarchy.mode()
    }

    /// Moves a process in.
    pub fn add(&self, pid: i32) -> Result<(), CgroupError> {
        move_into(self.dirs(), pid)
    }

    /// Opens the list of processes in the tree of `controller`; none if there is no such tree.
    pub(crate) fn procs(&self, controller: &str) -> Result<Option<fs::File>, CgroupError> {
        let Some(dir) = self.dir(controller) else { return Ok(None) };
        fs::OpenOptions::new().write(true).open(dir.join("cgroup.procs")).map(Some).at("open the list of processes", &dir)
    }

    /// Moves a process in, in every tree but that of `controller`.
    pub(crate) fn add_but(&self, controller: &str, pid: i32) -> Result<(), CgroupError> {
        let left_out = self.dir(controller);
        move_into(self.dirs().into_iter().filter(|dir| Some(dir) != left_out.as_ref()), pid)
    }

    /// This control group's directory in the unified tree of a hybrid host.
    pub(crate) fn unified_dir(&self) -> Option<PathBuf> {
        Some(self.hierarchy.unified()?.join(&self.path))
    }

    pub fn exists(&self) -> bool {
        self.dirs().iter().any(|dir| dir.is_dir())
    }

    /// Names the control groups directly below, in whatever tree they are.
    pub fn children(&self) -> Vec<String> {
        let directories = self.dirs().into_iter().filter_map(|dir| fs::read_dir(dir).ok()).flatten().flatten();
        let named = directories.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        let names: std::collections::BTreeSet<_> = named.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.into_iter().collect()
    }

    fn make(&self, role: Role) -> Result<(), CgroupError> {
        for root in self.hierarchy.trees() {
            let mut dir = root.clone();
            // A container's control group is made in its instance's, which is there and passes its controllers on.
            if role == Role::Leaf && fs::create_dir(dir.join(&self.path)).is_ok() {
                self.hierarchy.inherit_cpuset(&dir.join(&self.path));
                continue;
            }
            for part in self.path.components() {
                self.hierarchy.enable_controllers(&dir)?;
                dir.push(part);
                match fs::create_dir(&dir) {
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                    other => {
                        other.at("make the directory", &dir)?;
                        self.hierarchy.inherit_cpuset(&dir);
                    }
                }
            }
            if role == Role::Parent {
                self.hierarchy.enable_controllers(&dir)?;
            }
        }
        Ok(())
    }

    /// This control group's directory in each tree.
    fn dirs(&self) -> Vec<PathBuf> {
        self.hierarchy.trees().iter().map(|root| root.join(&self.path)).collect()
    }

    /// This control group's directory in the tree of `controller`; none if the kernel does not have it.
    fn dir(&self, controller: &str) -> Option<PathBuf> {
        Some(self.hierarchy.tree(controller)?.join(&self.path))
    }
}

fn move_into(dirs: impl IntoIterator<Item = PathBuf>, pid: i32) -> Result<(), CgroupError> {
    for dir in dirs {
        fs::write(dir.join("cgroup.procs"), pid.to_string()).at("move a process into", &dir)?;
    }
    Ok(())
}

/// On v2 only leaves may have processes, only others pass controllers on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Parent,
    Leaf,
}

/// Adds what was tried, and where, to an I/O error.
trait At<T> {
    fn at(self, doing: &'static str, path: &Path) -> Result<T, CgroupError>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, doing: &'static str, path: &Path) -> Result<T, CgroupError> {
        self.map_err(|source| CgroupError::Io { doing, path: path.to_path_buf(), source })
    }
}
