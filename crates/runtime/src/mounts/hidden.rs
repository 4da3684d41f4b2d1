//! A program that the image brings and a mount hides: the commonest cause of "command not found" with volumes.

use std::{os::fd::BorrowedFd, path::PathBuf};

use pillion_fault::Fault;
use rustix::fs::OFlags;

use super::target;
use crate::{
    exec::candidates,
    rootfs::tree,
    spec::{ContainerSpec, MountSpec},
};

/// Where the image itself has the container's command; taken before anything is mounted over it.
#[derive(Debug)]
pub(crate) struct Command {
    candidates: Vec<PathBuf>,
    in_image: Option<PathBuf>,
}

impl Command {
    pub fn of(root: BorrowedFd<'_>, container: &ContainerSpec) -> Self {
        let Some(command) = container.argv.first().filter(|_| !container.mounts.is_empty()) else {
            return Self { candidates: Vec::new(), in_image: None };
        };
        let cwd = PathBuf::from("/").join(&container.cwd);
        let candidates: Vec<_> = candidates(command, &container.env).into_iter().map(|c| cwd.join(c)).collect();
        let in_image = first_in(root, &candidates);
        Self { candidates, in_image }
    }

    /// Says which mount hides the command, now that everything is mounted.
    pub fn check(&self, root: BorrowedFd<'_>, container: &ContainerSpec) -> Result<(), Fault> {
        let Some(path) = &self.in_image else { return Ok(()) };
        if first_in(root, &self.candidates).is_some() {
            return Ok(());
        }
        let above = container.mounts.iter().filter(|mount| path.starts_with(target(mount)));
        let Some(mount) = above.max_by_key(|mount| target(mount).components().count()) else { return Ok(()) };
        let volume = match mount {
            MountSpec::Volume { source, .. } => source.file_name().unwrap_or(source.as_os_str()).to_string_lossy().into_owned(),
            MountSpec::Host { source, .. } => source.display().to_string(),
            MountSpec::File { .. } => "a file".to_owned(),
            MountSpec::Tmpfs { .. } => "tmpfs".to_owned(),
        };
        Err(Fault::VolumeHidesFiles { path: path.display().to_string(), mount: target(mount).display().to_string(), volume })
    }
}

fn first_in(root: BorrowedFd<'_>, candidates: &[PathBuf]) -> Option<PathBuf> {
    candidates.iter().find(|path| tree::open(root, path, OFlags::PATH).is_ok()).cloned()
}
