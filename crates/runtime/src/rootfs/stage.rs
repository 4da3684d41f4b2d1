//! The stage: a small tmpfs, seen by the helper alone, on which root, bundle and state of one start are put.
//!
//! It is world-readable so that the container's root, who is nobody outside, can reach the root to pivot into; it
//! vanishes with the helper, and with it the bundle, which holds secrets.

use std::path::{Path, PathBuf};

use pillion_fault::Fault;
use rustix::mount::{MountFlags, mount};

use crate::{container::failed, spec::IdRange};

/// Directories that every Linux has and that nothing in the helper needs once its sources are open.
const PLACES: &[&str] = &["/mnt", "/media", "/srv", "/tmp"];

#[derive(Debug)]
pub(crate) struct Stage {
    base: PathBuf,
    root: PathBuf,
    bundle: PathBuf,
    state: PathBuf,
    ids: Option<IdRange>,
}

impl Stage {
    /// Mounts the stage over a directory whose contents are hidden from here on.
    pub fn make(ids: Option<IdRange>) -> Result<Self, Fault> {
        let base = PLACES.iter().map(Path::new).find(|p| p.is_dir());
        let base = base.ok_or_else(|| failed("staging the container", format!("none of {PLACES:?} exists")))?.to_owned();
        mount("pillion", &base, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, c"mode=0755")
            .map_err(|e| failed("staging the container", e))?;
        let stage = Self { root: base.join("root"), bundle: base.join("bundle"), state: base.join("state"), base, ids };
        for directory in [&stage.root, &stage.bundle, &stage.state, &stage.layers(), &stage.files()] {
            std::fs::create_dir(directory).map_err(|e| failed("staging the container", e))?;
        }
        Ok(stage)
    }

    pub fn base(&self) -> &Path {
        &self.base
    }

    /// Where the container's root is mounted.
    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn bundle(&self) -> &Path {
        &self.bundle
    }

    pub fn state(&self) -> &Path {
        &self.state
    }

    /// Where lower layers are attached, by number.
    pub fn layers(&self) -> PathBuf {
        self.base.join("l")
    }

    /// Where the contents of file mounts are written.
    pub fn files(&self) -> PathBuf {
        self.base.join("files")
    }

    pub fn ids(&self) -> Option<IdRange> {
        self.ids
    }
}
