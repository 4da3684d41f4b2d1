//! Namespaces kept alive by bind mounts of their files, and the unmounting of all that is below a directory.

use std::{
    ffi::OsString,
    fs, io,
    os::unix::ffi::OsStringExt,
    path::{Path, PathBuf},
};

use rustix::mount::{UnmountFlags, mount_bind, unmount};

use super::{Doing, SandboxError};

/// `NSFS_MAGIC` of linux/magic.h.
const NSFS: i64 = 0x6e73_6673;

/// The namespaces that the containers of a sandbox share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Namespace {
    Net,
    Ipc,
    Uts,
    User,
}

impl Namespace {
    const ALL: [Namespace; 4] = [Namespace::Net, Namespace::Ipc, Namespace::Uts, Namespace::User];

    /// Its name under `/proc/PID/ns`.
    pub fn name(self) -> &'static str {
        match self {
            Namespace::Net => "net",
            Namespace::Ipc => "ipc",
            Namespace::Uts => "uts",
            Namespace::User => "user",
        }
    }

    /// The file that pins it in a sandbox's directory.
    pub(super) fn pin(self, dir: &Path) -> PathBuf {
        dir.join("ns").join(self.name())
    }
}

/// Makes the directory of the pins.
pub(super) fn prepare(dir: &Path) -> Result<(), SandboxError> {
    let pins = dir.join("ns");
    fs::create_dir_all(&pins).doing("make the directory", &pins)
}

/// Pins the namespaces of the process `pid`.
pub(super) fn pin(dir: &Path, pid: u32, with_user: bool) -> Result<(), SandboxError> {
    for namespace in Namespace::ALL {
        if namespace == Namespace::User && !with_user {
            continue;
        }
        let pin = namespace.pin(dir);
        fs::File::create(&pin).doing("make", &pin)?;
        mount_bind(format!("/proc/{pid}/ns/{}", namespace.name()), &pin)
            .map_err(io::Error::from)
            .doing("pin the namespace", &pin)?;
    }
    Ok(())
}

/// Whether a namespace is mounted on `pin`.
pub(super) fn is_pinned(pin: &Path) -> bool {
    rustix::fs::statfs(pin).is_ok_and(|stat| stat.f_type == NSFS)
}

/// Unmounts everything below `dir`, the newest first. The mounts vanish from the tree at once, busy or not.
pub(super) fn unmount_below(dir: &Path) -> Result<(), SandboxError> {
    // Twice: propagation can bring a mount while the first look is worked off. A third would wait for a bug.
    for _ in 0..3 {
        let mounts = mounts_below(dir)?;
        if mounts.is_empty() {
            return Ok(());
        }
        for mount in mounts.iter().rev() {
            match unmount(mount, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW).map_err(io::Error::from) {
                // It went with its parent.
                Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOENT)) => {}
                other => other.doing("unmount", mount)?,
            }
        }
    }
    match mounts_below(dir)?.first() {
        None => Ok(()),
        Some(mount) => Err(io::Error::from(io::ErrorKind::ResourceBusy)).doing("unmount", mount),
    }
}

fn mounts_below(dir: &Path) -> Result<Vec<PathBuf>, SandboxError> {
    let file = Path::new("/proc/self/mountinfo");
    // The kernel shows resolved paths.
    let dir = match fs::canonicalize(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.doing("resolve", dir)?,
    };
    let text = fs::read(file).doing("read", file)?;
    let points = text.split(|byte| *byte == b'\n').filter_map(|line| line.split(|byte| *byte == b' ').nth(4));
    Ok(points.map(unescape).filter(|point| point.starts_with(&dir) && *point != dir).collect())
}

/// Undoes the kernel's octal escapes of blanks and backslashes.
fn unescape(field: &[u8]) -> PathBuf {
    let (mut bytes, mut rest) = (Vec::with_capacity(field.len()), field);
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..3).filter(|_| *first == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[3..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn escaped_blanks_and_backslashes_of_mount_points_are_read() {
        assert_eq!(unescape(br"/run/a\040b\134c"), Path::new("/run/a b\\c"));
        assert_eq!(unescape(b"/run/plain").as_os_str().as_bytes(), b"/run/plain");
    }
}
