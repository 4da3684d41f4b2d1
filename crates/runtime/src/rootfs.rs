//! A container's root: idmapped layers under an overlay, assembled on a stage that only this process sees.

mod layers;
mod stage;
pub(crate) mod tree;
pub(crate) mod user;

use pillion_fault::Fault;
use rustix::mount::{MountPropagationFlags, mount_change};

pub(crate) use layers::{open, set_attributes};
pub(crate) use stage::Stage;

use crate::container::failed;

/// Gives this process mounts of its own: what it mounts from here on nobody else sees, and it ends with its users.
pub(crate) fn enter_private_mounts() -> Result<(), Fault> {
    // SAFETY: the helper is single-threaded; nothing in it relies on a shared mount namespace.
    if unsafe { libc::unshare(libc::CLONE_NEWNS) } != 0 {
        return Err(failed("making private mounts", std::io::Error::last_os_error()));
    }
    mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)
        .map_err(|e| failed("making mounts private", e))
}
