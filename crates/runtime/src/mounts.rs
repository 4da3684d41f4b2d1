//! What is mounted into a container's root beside what every container has: volumes, host directories, files, tmpfs.

mod hidden;
mod own;
mod tmpfs;

use std::{
    fs,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::{PermissionsExt, chown},
    },
    path::{Path, PathBuf},
};

use pillion_fault::Fault;
use rustix::{
    fs::{CWD, FileType, Mode, OFlags, fstat},
    io::Errno,
    mount::{MountAttrFlags, MoveMountFlags, OpenTreeFlags, move_mount, open_tree},
};

pub(crate) use hidden::Command;
pub(crate) use own::{CgroupView, attach_devices, stage_cgroup};

use crate::{
    rootfs::{Stage, set_attributes, tree},
    spec::{ContainerSpec, IdRange, MountSpec, SandboxSpec},
};

/// Places whose mounts are the runtime's own.
const OWN_PLACES: &[&str] = &["proc", "sys", "dev"];

/// Sources opened while the host's paths can still be named, in the order in which they are attached.
#[derive(Debug)]
pub(crate) struct Sources {
    entries: Vec<Source>,
}

#[derive(Debug)]
struct Source {
    path: PathBuf,
    what: What,
}

#[derive(Debug)]
enum What {
    /// A detached copy of a mount, ready to be attached.
    Tree {
        tree: OwnedFd,
        kind: FileType,
    },
    File {
        content: String,
        mode: u32,
    },
    Tmpfs {
        size: Option<u64>,
    },
}

/// Opens everything that `container` mounts and the files of the sandbox's own `/etc`.
pub(crate) fn open(container: &ContainerSpec, sandbox: &SandboxSpec) -> Result<Sources, Fault> {
    let mut entries = Vec::new();
    for name in ["hosts", "resolv.conf", "hostname"] {
        let source = sandbox.dir.join("etc").join(name);
        let path = Path::new("/etc").join(name);
        if source.is_file() && !container.mounts.iter().any(|m| target(m) == path) {
            let file = rustix::fs::open(&source, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).map_err(|e| refused(&path, e))?;
            entries.push(Source { what: bind(file.as_fd(), &path, Access::ReadOnly, Depth::One)?, path });
        }
    }
    for mount in &container.mounts {
        let path = target(mount).to_owned();
        check_target(&path)?;
        let what = match mount {
            MountSpec::Volume { source, sub_path, read_only, .. } => {
                let part = open_volume(source, sub_path.as_deref(), sandbox.ids)
                    .map_err(|e| refused(&path, format!("its volume directory cannot be opened: {e}")))?;
                bind(part.as_fd(), &path, Access::of(*read_only), Depth::One)?
            }
            MountSpec::Host { source, read_only, .. } => {
                let part = rustix::fs::open(source, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
                    .map_err(|e| refused(&path, format!("{} on the host: {e}", source.display())))?;
                bind(part.as_fd(), &path, Access::of(*read_only), Depth::All)?
            }
            MountSpec::File { content, mode, .. } => What::File { content: content.clone(), mode: *mode },
            MountSpec::Tmpfs { size, .. } => What::Tmpfs { size: *size },
        };
        entries.push(Source { path, what });
    }
    // A mount inside another's directory comes after it, whatever the order of the file that asked for them.
    entries.sort_by_key(|entry| entry.path.components().count());
    Ok(Sources { entries })
}

impl Sources {
    /// Attaches every source inside `root`, in order.
    pub fn attach(self, stage: &Stage, root: BorrowedFd<'_>) -> Result<(), Fault> {
        for (index, Source { path, what }) in self.entries.into_iter().enumerate() {
            let (mounted, kind) = match what {
                What::Tree { tree, kind } => (tree, kind),
                What::File { content, mode } => {
                    let file = write_file(stage, index, &content, mode).map_err(|e| refused(&path, e))?;
                    let What::Tree { tree, kind } = bind(file.as_fd(), &path, Access::ReadOnly, Depth::One)? else { continue };
                    (tree, kind)
                }
                What::Tmpfs { size } => {
                    let attributes = MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOSUID;
                    let made = tmpfs::make("1777", size, stage.ids(), attributes).map_err(|e| refused(&path, e))?;
                    (made, FileType::Directory)
                }
            };
            // A file in a directory's place is told below, in words.
            let place = if kind == FileType::Directory {
                tree::make_directory(root, &path, stage.ids()).or_else(|e| tree::open(root, &path, OFlags::PATH).map_err(|_| e))
            } else {
                tree::make_file(root, &path, stage.ids())
            };
            let place = place.map_err(|e| refused(&path, format!("its place in the image cannot be made: {e}")))?;
            let there = fstat(&place).map(|s| FileType::from_raw_mode(s.st_mode)).map_err(|e| refused(&path, e))?;
            if (kind == FileType::Directory) != (there == FileType::Directory) {
                let reason = match there {
                    FileType::Directory => "a file cannot be mounted over a directory of the image",
                    _ => "a directory cannot be mounted over a file of the image",
                };
                return Err(refused(&path, reason));
            }
            let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
            move_mount(mounted, "", place, "", flags).map_err(|e| refused(&path, e))?;
        }
        Ok(())
    }
}

/// Makes the working directory where it is missing, as Docker does.
pub(crate) fn make_working_directory(root: BorrowedFd<'_>, cwd: &str, ids: Option<IdRange>) -> Result<(), Fault> {
    if Path::new(cwd).components().nth(1).is_some_and(|first| OWN_PLACES.iter().any(|own| first.as_os_str() == *own)) {
        return Ok(());
    }
    match tree::make_directory(root, Path::new(cwd), ids) {
        Ok(_) => Ok(()),
        Err(_) => Err(Fault::WorkingDirectoryMissing { path: cwd.to_owned() }),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    ReadOnly,
    ReadWrite,
}

impl Access {
    fn of(read_only: bool) -> Self {
        if read_only { Access::ReadOnly } else { Access::ReadWrite }
    }
}

/// Whether mounts below the source come along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    One,
    All,
}

fn target(mount: &MountSpec) -> &Path {
    match mount {
        MountSpec::Volume { path, .. }
        | MountSpec::Host { path, .. }
        | MountSpec::File { path, .. }
        | MountSpec::Tmpfs { path, .. } => path,
    }
}

fn check_target(path: &Path) -> Result<(), Fault> {
    if !path.is_absolute() {
        return Err(refused(path, "the path must be absolute"));
    }
    let mut names = path.components().skip(1);
    match names.next() {
        None => Err(refused(path, "nothing can be mounted over the root itself")),
        Some(first) if OWN_PLACES.iter().any(|own| first.as_os_str() == *own) => {
            Err(refused(path, "/proc, /sys and /dev are the runtime's own"))
        }
        Some(_) => Ok(()),
    }
}

/// Opens a volume, or the part of it below `sub_path`, never leaving it: containers can write links there.
fn open_volume(source: &Path, sub_path: Option<&Path>, ids: Option<IdRange>) -> std::io::Result<OwnedFd> {
    if !source.exists() {
        fs::create_dir_all(source)?;
        if let Some(ids) = ids {
            chown(source, Some(ids.start), Some(ids.start))?;
        }
    }
    let volume = rustix::fs::open(source, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let Some(sub_path) = sub_path else { return Ok(volume) };
    match tree::open(volume.as_fd(), sub_path, OFlags::PATH) {
        Err(Errno::NOENT) => Ok(tree::make_directory(volume.as_fd(), sub_path, ids)?),
        result => Ok(result?),
    }
}

fn bind(source: BorrowedFd<'_>, path: &Path, access: Access, depth: Depth) -> Result<What, Fault> {
    let kind = FileType::from_raw_mode(fstat(source).map_err(|e| refused(path, e))?.st_mode);
    if !matches!(kind, FileType::Directory | FileType::RegularFile) {
        return Err(refused(path, "only directories and regular files can be mounted"));
    }
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    let mut reach = 0;
    if depth == Depth::All {
        flags |= OpenTreeFlags::AT_RECURSIVE;
        reach = libc::AT_RECURSIVE;
    }
    let tree = open_tree(source, "", flags).map_err(|e| refused(path, e))?;
    let mut attributes = libc::MOUNT_ATTR_NODEV | libc::MOUNT_ATTR_NOSUID;
    if access == Access::ReadOnly {
        attributes |= libc::MOUNT_ATTR_RDONLY;
    }
    set_attributes(tree.as_fd(), attributes, None, reach).map_err(|e| refused(path, e))?;
    Ok(What::Tree { tree, kind })
}

fn write_file(stage: &Stage, index: usize, content: &str, mode: u32) -> std::io::Result<OwnedFd> {
    let path = stage.files().join(index.to_string());
    fs::write(&path, content)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(mode & 0o777))?;
    if let Some(ids) = stage.ids() {
        chown(&path, Some(ids.start), Some(ids.start))?;
    }
    Ok(rustix::fs::openat(CWD, &path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?)
}

fn refused(path: &Path, reason: impl std::fmt::Display) -> Fault {
    Fault::MountFailed { path: path.display().to_string(), reason: reason.to_string() }
}
