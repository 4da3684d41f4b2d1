//! The overlay: read-only, id-mapped layers under a directory of the container's own.

use std::{
    fs,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::fs::{PermissionsExt, chown},
    },
};

use pillion_fault::Fault;
use rustix::{
    fs::{CWD, Mode, OFlags},
    io::Errno,
    mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
        fsconfig_set_string, fsmount, fsopen, mount, move_mount, open_tree,
    },
};

use super::Stage;
use crate::{
    container::failed,
    spec::{IdRange, RootSpec},
};

/// The pieces of a root, opened while the host's paths can still be named.
#[derive(Debug)]
pub(crate) struct Layers {
    /// Lowest first; detached copies of the layers' mounts.
    trees: Vec<OwnedFd>,
    scratch: OwnedFd,
}

/// Opens every layer and makes the directories that the overlay writes to.
pub(crate) fn open(root: &RootSpec, ids: Option<IdRange>) -> Result<Layers, Fault> {
    let mut trees = Vec::with_capacity(root.layers.len());
    for layer in &root.layers {
        let tree = open_tree(CWD, layer, OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC)
            .map_err(|e| failed(format!("opening the image layer {}", layer.display()), e))?;
        trees.push(tree);
    }
    let upper = root.scratch.join("upper");
    let scratch = || -> std::io::Result<OwnedFd> {
        fs::create_dir_all(root.scratch.join("work"))?;
        if !upper.is_dir() {
            // Made under another name first: a half-made upper directory would stay root's own.
            let fresh = root.scratch.join("upper.new");
            fs::create_dir_all(&fresh)?;
            fs::set_permissions(&fresh, fs::Permissions::from_mode(0o755))?;
            if let Some(ids) = ids {
                chown(&fresh, Some(ids.start), Some(ids.start))?;
            }
            fs::rename(&fresh, &upper)?;
        }
        Ok(rustix::fs::open(&root.scratch, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
    };
    let scratch = scratch().map_err(|e| match e.raw_os_error() {
        Some(libc::ENOSPC | libc::EDQUOT) => {
            Fault::DiskFull { path: root.scratch.display().to_string(), doing: "making the container's directory".to_owned() }
        }
        _ => failed(format!("making the container's directory {}", root.scratch.display()), e),
    })?;
    Ok(Layers { trees, scratch })
}

impl Layers {
    /// Mounts the overlay at the stage's root and returns that root.
    pub fn mount(self, stage: &Stage, user_namespace: Option<BorrowedFd<'_>>) -> Result<OwnedFd, Fault> {
        for (index, tree) in self.trees.iter().enumerate() {
            if let Some(namespace) = user_namespace {
                map_ids(tree.as_fd(), namespace).map_err(|reason| Fault::HostUnsupported {
                    feature: "id-mapped image layers".to_owned(),
                    reason: reason.to_string(),
                    fix: "keep the store on ext4, xfs or btrfs, with Linux 6.1 or newer".to_owned(),
                })?;
            }
            // Older kernels refuse a detached mount as a lower layer.
            let place = stage.layers().join(index.to_string());
            fs::create_dir(&place).map_err(|e| failed("staging the image's layers", e))?;
            move_mount(tree, "", CWD, &place, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
                .map_err(|e| failed("staging the image's layers", e))?;
        }
        if self.trees.is_empty() {
            fs::create_dir(stage.layers().join("0")).map_err(|e| failed("staging the image's layers", e))?;
        }
        let count = self.trees.len().max(1);
        match self.by_steps(stage, count) {
            Ok(()) => {}
            // Before 6.12 `lowerdir+` is unknown (before 6.5, the whole way is).
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                self.by_options(stage, count).map_err(|e| failed("mounting the container's root", e))?;
            }
            Err(error) => return Err(failed("mounting the container's root", error)),
        }
        rustix::fs::open(stage.root(), OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|e| failed("opening the container's root", e))
    }

    /// fsopen(2): one call per layer, so neither length nor characters of the options matter.
    fn by_steps(&self, stage: &Stage, count: usize) -> Result<(), Errno> {
        let overlay = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_set_string(overlay.as_fd(), "source", "pillion")?;
        for index in (0..count).rev() {
            fsconfig_set_string(overlay.as_fd(), "lowerdir+", stage.layers().join(index.to_string()))?;
        }
        fsconfig_set_string(overlay.as_fd(), "upperdir", self.scratch_path("upper"))?;
        fsconfig_set_string(overlay.as_fd(), "workdir", self.scratch_path("work"))?;
        fsconfig_create(overlay.as_fd())?;
        let attributes = MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOSUID;
        let mounted = fsmount(overlay.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
        move_mount(mounted, "", CWD, stage.root(), MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
    }

    /// mount(2): all options in one page, so layers go by short names relative to the stage.
    fn by_options(&self, stage: &Stage, count: usize) -> std::io::Result<()> {
        std::env::set_current_dir(stage.base())?;
        let lower: Vec<_> = (0..count).rev().map(|index| format!("l/{index}")).collect();
        let options =
            format!("lowerdir={},upperdir={},workdir={}", lower.join(":"), self.scratch_path("upper"), self.scratch_path("work"));
        let options = std::ffi::CString::new(options)?;
        mount("pillion", stage.root(), "overlay", MountFlags::NODEV | MountFlags::NOSUID, options.as_c_str())?;
        std::env::set_current_dir("/")
    }

    fn scratch_path(&self, name: &str) -> String {
        format!("/proc/self/fd/{}/{name}", self.scratch.as_raw_fd())
    }
}

/// Makes ids of files in a detached mount appear as the user namespace maps them (mount_setattr(2)), and makes it
/// read-only.
fn map_ids(tree: BorrowedFd<'_>, namespace: BorrowedFd<'_>) -> std::io::Result<()> {
    set_attributes(tree, libc::MOUNT_ATTR_IDMAP | libc::MOUNT_ATTR_RDONLY, Some(namespace), 0)
}

/// Adds attributes to a detached mount.
pub(crate) fn set_attributes(
    tree: BorrowedFd<'_>,
    attributes: u64,
    namespace: Option<BorrowedFd<'_>>,
    flags: libc::c_int,
) -> std::io::Result<()> {
    let wanted = libc::mount_attr {
        attr_set: attributes,
        attr_clr: 0,
        propagation: 0,
        userns_fd: namespace.map_or(0, |n| n.as_raw_fd() as u64),
    };
    // SAFETY: a descriptor, an empty NUL-terminated path and a struct of the size given, all alive during the call.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | flags,
            &wanted,
            size_of::<libc::mount_attr>(),
        )
    };
    if done == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs in a thread whose mounts are its own: unshare(2) is per thread, and mounts go with it.
    fn with_private_mounts(body: impl FnOnce() + Send + 'static) {
        std::thread::spawn(|| {
            super::super::enter_private_mounts().expect("private mounts");
            body();
        })
        .join()
        .expect("the thread");
    }

    #[test]
    fn the_way_of_older_kernels_gives_the_same_root() {
        let dir = tempfile::Builder::new().prefix("pillion-overlay-").tempdir_in("/run").expect("a directory");
        let root = RootSpec {
            layers: (0..127).map(|n| dir.path().join(format!("layer-{n}"))).collect(),
            scratch: dir.path().join("scratch"),
            read_only: false,
        };
        for (number, layer) in root.layers.iter().enumerate() {
            fs::create_dir(layer).expect("a directory");
            fs::write(layer.join("top"), number.to_string()).expect("a file");
            fs::write(layer.join(number.to_string()), "").expect("a file");
        }
        with_private_mounts(move || {
            let layers = open(&root, None).expect("open layers");
            let stage = Stage::make(None).expect("a stage");
            for (index, tree) in layers.trees.iter().enumerate() {
                let place = stage.layers().join(index.to_string());
                fs::create_dir(&place).expect("a directory");
                move_mount(tree, "", CWD, &place, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH).expect("an attached layer");
            }
            layers.by_options(&stage, root.layers.len()).expect("an overlay");
            assert_eq!(fs::read_to_string(stage.root().join("top")).expect("the file"), "126");
            assert_eq!(fs::read_dir(stage.root()).expect("listing").count(), 128);
            fs::write(stage.root().join("new"), "").expect("a write");
            assert!(root.scratch.join("upper/new").exists());
        });
    }
}
