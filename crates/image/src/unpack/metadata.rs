//! Owner, mode, times and extended attributes of what was unpacked.

use std::{
    ffi::OsStr,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
};

use rustix::{
    fs::{self, AtFlags, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags},
    io::Errno,
};

use super::{archive::Entry, tree::TreeError};

/// An entry's metadata, checked.
pub(super) struct Metadata<'a> {
    uid: Uid,
    gid: Gid,
    mode: Mode,
    times: Timestamps,
    xattrs: Vec<(&'a OsStr, &'a [u8])>,
}

impl<'a> Metadata<'a> {
    /// # Errors
    /// Says what is out of range.
    pub(super) fn of(entry: &'a Entry, xattr_limit: usize) -> Result<Metadata<'a>, String> {
        // The last id means "leave as it is" to chown(2).
        let id = |value: i64| {
            u32::try_from(value).ok().filter(|id| *id != u32::MAX).ok_or_else(|| "its owner is out of range".to_owned())
        };
        let total: usize = entry.xattrs.iter().map(|(name, value)| name.len() + value.len()).sum();
        if total > xattr_limit {
            return Err(format!("its extended attributes are larger than {xattr_limit} bytes"));
        }
        if entry.xattrs.iter().any(|(name, _)| name.contains(&0)) {
            return Err("an extended attribute's name contains a NUL byte".to_owned());
        }
        Ok(Metadata {
            uid: Uid::from_raw(id(entry.uid)?),
            gid: Gid::from_raw(id(entry.gid)?),
            mode: Mode::from_raw_mode(entry.mode),
            times: times(entry.mtime),
            xattrs: entry
                .xattrs
                .iter()
                .filter(|(name, _)| is_kept(name))
                .map(|(name, value)| (OsStr::from_bytes(name), value.as_slice()))
                .collect(),
        })
    }

    /// Applies everything to an open file or directory; the owner first, since changing it drops capabilities and set-id bits.
    pub(super) fn to_open(&self, file: &OwnedFd) -> Result<(), TreeError> {
        fs::fchown(file, Some(self.uid), Some(self.gid))?;
        for (name, value) in &self.xattrs {
            settled(fs::fsetxattr(file, *name, value, XattrFlags::empty()), value)?;
        }
        fs::fchmod(file, self.mode)?;
        Ok(fs::futimens(file, &self.times)?)
    }

    /// Applies what a symlink can have.
    pub(super) fn to_symlink(&self, dir: &OwnedFd, name: &[u8]) -> Result<(), TreeError> {
        let name = OsStr::from_bytes(name);
        fs::chownat(dir, name, Some(self.uid), Some(self.gid), AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(fs::utimensat(dir, name, &self.times, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Applies everything to a device node or fifo just made; opening one would have effects.
    pub(super) fn to_node(&self, dir: &OwnedFd, name: &[u8]) -> Result<(), TreeError> {
        let os_name = OsStr::from_bytes(name);
        fs::chownat(dir, os_name, Some(self.uid), Some(self.gid), AtFlags::SYMLINK_NOFOLLOW)?;
        let path = std::path::Path::new("/proc/self/fd").join(dir.as_raw_fd().to_string()).join(os_name);
        for (attribute, value) in &self.xattrs {
            match fs::lsetxattr(&path, *attribute, value, XattrFlags::empty()) {
                // `user.` attributes are for files and directories only.
                Err(Errno::PERM) => {}
                done => settled(done, value)?,
            }
        }
        // Nobody else works in this directory, so the name is still the node made a moment ago.
        fs::chmodat(dir, os_name, self.mode, AtFlags::empty())?;
        Ok(fs::utimensat(dir, os_name, &self.times, AtFlags::SYMLINK_NOFOLLOW)?)
    }
}

pub(super) fn times((seconds, nanos): (i64, u32)) -> Timestamps {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanos.into() };
    Timestamps { last_access: time, last_modification: time }
}

/// Attributes of the overlay itself would let a layer redirect its directories; those of a security module are the host's.
fn is_kept(name: &[u8]) -> bool {
    let overlay = name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.");
    !overlay
        && (name.starts_with(b"user.")
            || name.starts_with(b"trusted.")
            || matches!(name, b"security.capability" | b"system.posix_acl_access" | b"system.posix_acl_default"))
}

fn settled(result: Result<(), Errno>, value: &[u8]) -> Result<(), TreeError> {
    match result {
        // A file system without this kind of attribute loses it, as with every other tool.
        Err(Errno::OPNOTSUPP) => Ok(()),
        // ext4 says "no space" when a value does not fit into its one block, whatever the disk has left.
        Err(Errno::NOSPC | Errno::TOOBIG | Errno::RANGE) if value.len() > 1024 => {
            Err(TreeError::Refused("an extended attribute does not fit into the store's file system".to_owned()))
        }
        Err(Errno::INVAL) => Err(TreeError::Refused("an extended attribute has no meaning to this kernel".to_owned())),
        result => Ok(result?),
    }
}
