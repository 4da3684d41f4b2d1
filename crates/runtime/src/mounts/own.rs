//! What every container has: `/dev`, and its own control group, read-only, so that language runtimes size themselves
//! by it. The rest (`/proc`, `/sys`, …) can only be mounted inside the container's namespaces, by libcontainer.

use std::{
    fs,
    os::fd::{AsFd, BorrowedFd},
    path::{Path, PathBuf},
};

use pillion_fault::Fault;
use rustix::{
    fs::CWD,
    io::Errno,
    mount::{MountAttrFlags, MoveMountFlags, OpenTreeFlags, move_mount, open_tree},
};

use super::{refused, tmpfs};
use crate::{
    rootfs::{Stage, set_attributes, tree},
    spec::IdRange,
};

/// The controllers whose files language runtimes read.
const TELLING_CONTROLLERS: &[&str] = &["memory", "cpu", "cpuacct", "cpuset", "pids"];

/// How a container gets to see its control group.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum CgroupView {
    /// v1: this directory of the stage, to be bound.
    Staged(PathBuf),
    /// v2: a mount in the container's own cgroup namespace.
    Unified,
    Nothing,
}

/// One mounted cgroup hierarchy.
#[derive(Debug, PartialEq, Eq)]
struct Mounted {
    point: PathBuf,
    /// The controllers of a v1 hierarchy; none for v2.
    controllers: Option<Vec<String>>,
}

/// Mounts `/dev`, still without devices, and `/dev/shm` of `shm_size` bytes.
pub(crate) fn attach_devices(root: BorrowedFd<'_>, shm_size: u64, ids: Option<IdRange>) -> Result<(), Fault> {
    let attach = |path: &Path, mode: &str, size: u64, attributes: MountAttrFlags| -> Result<(), Errno> {
        let attributes = attributes | MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        let made = tmpfs::make(mode, Some(size), ids, attributes)?;
        let place = tree::make_directory(root, path, ids)?;
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        move_mount(made, "", place, "", flags)
    };
    for (path, mode, size, attributes) in [
        // Without a user namespace the devices are nodes on it.
        ("/dev", "755", 64 << 20, MountAttrFlags::empty()),
        ("/dev/shm", "1777", shm_size, MountAttrFlags::MOUNT_ATTR_NODEV),
    ] {
        attach(Path::new(path), mode, size, attributes).map_err(|e| refused(Path::new(path), e))?;
    }
    Ok(())
}

/// Prepares what the container sees of its control group.
///
/// On v1 only with a user namespace: without one, root in the container rewrote its own limit through it.
pub(crate) fn stage_cgroup(stage: &Stage, cgroup: &Path) -> Result<CgroupView, Fault> {
    let known = parse(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default());
    if known.is_empty() {
        return Ok(CgroupView::Nothing);
    }
    if known.iter().all(|hierarchy| hierarchy.controllers.is_none()) {
        return Ok(CgroupView::Unified);
    }
    if stage.ids().is_none() {
        return Ok(CgroupView::Nothing);
    }
    let view = stage.base().join("cgroup");
    let relative = cgroup.strip_prefix("/").unwrap_or(cgroup);
    for Mounted { point, controllers } in &known {
        let telling = controllers.iter().flatten().any(|c| TELLING_CONTROLLERS.contains(&c.as_str()));
        let Some(name) = point.file_name().filter(|_| telling) else { continue };
        bind_read_only(&point.join(relative), &view.join(name)).map_err(|e| refused(Path::new("/sys/fs/cgroup"), e))?;
    }
    Ok(CgroupView::Staged(view))
}

fn bind_read_only(source: &Path, place: &Path) -> std::io::Result<()> {
    fs::create_dir_all(place)?;
    let tree = open_tree(CWD, source, OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC)?;
    let attributes = libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NODEV | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NOEXEC;
    set_attributes(tree.as_fd(), attributes, None, 0)?;
    Ok(move_mount(tree, "", CWD, place, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?)
}

/// proc_pid_mountinfo(5): `id parent dev root mountpoint options [optional…] - type source super-options`.
fn parse(mountinfo: &str) -> Vec<Mounted> {
    let mut found: Vec<Mounted> = Vec::new();
    for line in mountinfo.lines() {
        let Some((mount, filesystem)) = line.split_once(" - ") else { continue };
        let mut filesystem = filesystem.split(' ');
        let (kind, super_options) = (filesystem.next(), filesystem.nth(1).unwrap_or_default());
        let mut mount = mount.split(' ').skip(3);
        let (Some("/"), Some(point)) = (mount.next(), mount.next()) else { continue };
        let controllers = match kind {
            Some("cgroup") => {
                Some(super_options.split(',').filter(|o| !matches!(*o, "rw" | "ro" | "xattr")).map(str::to_owned).collect())
            }
            Some("cgroup2") => None,
            Some(_) | None => continue,
        };
        let mounted = Mounted { point: PathBuf::from(point), controllers };
        if !found.iter().any(|known| known.point == mounted.point) {
            found.push(mounted);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounted_hierarchies_are_read_from_mountinfo() {
        let text = "30 23 0:26 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n\
                    31 23 0:27 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n\
                    32 23 0:28 / /proc rw - proc proc rw\n\
                    33 23 0:26 /deep /mnt/part rw - cgroup cgroup rw,memory\n";
        assert_eq!(
            parse(text),
            [
                Mounted { point: "/sys/fs/cgroup/memory".into(), controllers: Some(vec!["memory".into()]) },
                Mounted { point: "/sys/fs/cgroup/unified".into(), controllers: None },
            ]
        );
    }
}
