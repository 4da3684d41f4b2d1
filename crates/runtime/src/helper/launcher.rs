//! Which executable is started again as a helper.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use super::VERB;
use crate::container::Spares;

/// Starts helpers: an executable whose `main` calls [`super::door`] first.
#[derive(Debug, Clone)]
pub struct Launcher {
    exe: PathBuf,
    pub(crate) spares: Arc<Spares>,
}

impl Launcher {
    /// Starts `exe` again; for tests, whose own executable has no door.
    pub fn new(exe: impl Into<PathBuf>) -> Self {
        Self { exe: exe.into(), spares: Arc::default() }
    }

    pub fn exe(&self) -> &Path {
        &self.exe
    }

    /// Returns the command of the helper `role`, its environment empty; stdio and arguments are the caller's.
    ///
    /// It starts in `/`: a helper mounts over directories of its own namespace, and libcontainer wants to return to
    /// where it was.
    pub fn command(&self, role: &str) -> Command {
        let mut command = Command::new(&self.exe);
        command.env_clear().current_dir("/").arg(VERB).arg(role);
        command
    }
}

impl Default for Launcher {
    /// This process's own executable, even if its file was replaced since.
    fn default() -> Self {
        Self::new("/proc/self/exe")
    }
}
