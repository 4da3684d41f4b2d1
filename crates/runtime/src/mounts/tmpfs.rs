//! Making a tmpfs that belongs to the container's root.

use std::os::fd::{AsFd, OwnedFd};

use rustix::{
    io::Errno,
    mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_string, fsmount, fsopen},
};

use crate::spec::IdRange;

/// Makes a detached tmpfs; `size` in bytes, none for the kernel's default.
pub(super) fn make(mode: &str, size: Option<u64>, ids: Option<IdRange>, attributes: MountAttrFlags) -> Result<OwnedFd, Errno> {
    let tmpfs = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(tmpfs.as_fd(), "source", "tmpfs")?;
    fsconfig_set_string(tmpfs.as_fd(), "mode", mode)?;
    if let Some(size) = size {
        fsconfig_set_string(tmpfs.as_fd(), "size", size.to_string())?;
    }
    if let Some(ids) = ids {
        fsconfig_set_string(tmpfs.as_fd(), "uid", ids.start.to_string())?;
        fsconfig_set_string(tmpfs.as_fd(), "gid", ids.start.to_string())?;
    }
    fsconfig_create(tmpfs.as_fd())?;
    fsmount(tmpfs.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}
