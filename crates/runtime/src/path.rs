//! Opening and making files below a directory that strangers can write, without ever leaving it.
//!
//! A container may replace any part of a path by a symbolic link at any moment; `openat2(2)` with
//! `RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS` makes the kernel resolve links as if the directory were `/`, at the
//! moment of opening. What was opened is then used by descriptor, never again by name.

use std::{
    io::{self, Read},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Component, Path, PathBuf},
};

use rustix::fs::{Gid, Mode, OFlags, ResolveFlags, Uid, fchmod, fchown, mkdirat, openat2};

/// Links resolve inside the root; `/proc/PID/fd`-like links, which jump anywhere, not at all.
const INSIDE: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS);

#[derive(Debug, thiserror::Error)]
pub enum PathError {
    /// `..` is refused rather than clamped to the root: whoever writes it means something else.
    #[error("the path {} leads upwards", path.display())]
    Climbs { path: PathBuf },
    #[error("the file {} is larger than {limit} bytes", path.display())]
    TooLarge { path: PathBuf, limit: u64 },
    #[error("cannot {doing} {}", path.display())]
    Io {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Opens `path` as if `root` were the root directory; absolute and relative paths mean the same.
pub fn open_in_root(root: BorrowedFd<'_>, path: &Path, flags: OFlags) -> Result<OwnedFd, PathError> {
    let path = checked(path)?;
    resolve(root, &path, flags, INSIDE).doing("open", &path)
}

/// Makes the directories of `path` that are missing below `root` and returns the last one, opened with `O_PATH`.
///
/// Those it makes get `mode`, whatever the umask, and `owner` (user, group); those it finds stay as they are.
pub fn make_dirs_in_root(root: BorrowedFd<'_>, path: &Path, mode: u32, owner: Option<(u32, u32)>) -> Result<OwnedFd, PathError> {
    let path = checked(path)?;
    let directory = OFlags::PATH | OFlags::DIRECTORY;
    let mut reached = PathBuf::from(".");
    let mut parent = resolve(root, &reached, directory, INSIDE).doing("open", &reached)?;
    for part in path.components() {
        reached.push(part);
        parent = match resolve(root, &reached, directory, INSIDE) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => make_dir(parent.as_fd(), part, &reached, mode, owner)?,
            Err(error) => return Err(error).doing("open", &reached),
        };
    }
    Ok(parent)
}

/// Reads the file `path` below `root`, at most `limit` bytes; a fifo or device there cannot block or act.
pub fn read_in_root(root: BorrowedFd<'_>, path: &Path, limit: u64) -> Result<Vec<u8>, PathError> {
    let clean = checked(path)?;
    // Opening a device can have effects; O_PATH has none, and tells what is there.
    let found = resolve(root, &clean, OFlags::PATH, INSIDE).doing("open", &clean)?;
    let kind = rustix::fs::fstat(&found).map_err(io::Error::from).doing("read", &clean)?;
    if rustix::fs::FileType::from_raw_mode(kind.st_mode) != rustix::fs::FileType::RegularFile {
        return Err(io::Error::from(io::ErrorKind::InvalidInput)).doing("read", &clean);
    }
    // The same inode again, whatever happened to its name since.
    let file = std::fs::File::open(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&found))).doing("open", &clean)?;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).doing("read", &clean)?;
    if bytes.len() as u64 > limit {
        return Err(PathError::TooLarge { path: clean, limit });
    }
    Ok(bytes)
}

/// Makes one directory in `parent`. What stands under its name afterwards is not trusted to be it: it is opened
/// without following links, and if someone was faster it is used as found.
fn make_dir(
    parent: BorrowedFd<'_>,
    name: Component<'_>,
    reached: &Path,
    mode: u32,
    owner: Option<(u32, u32)>,
) -> Result<OwnedFd, PathError> {
    let name = Path::new(name.as_os_str());
    let made = match mkdirat(parent, name, Mode::from_raw_mode(0o700)) {
        Ok(()) => true,
        Err(rustix::io::Errno::EXIST) => false,
        Err(error) => return Err(io::Error::from(error)).doing("make the directory", reached),
    };
    let only_here = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let readable = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
    let dir = resolve(parent, name, readable, only_here).doing("open", reached)?;
    if made {
        if let Some((user, group)) = owner {
            fchown(&dir, Some(Uid::from_raw(user)), Some(Gid::from_raw(group)))
                .map_err(io::Error::from)
                .doing("set the owner of", reached)?;
        }
        fchmod(&dir, Mode::from_raw_mode(mode)).map_err(io::Error::from).doing("set the mode of", reached)?;
    }
    resolve(dir.as_fd(), Path::new("."), OFlags::PATH | OFlags::DIRECTORY, only_here).doing("open", reached)
}

fn resolve(root: BorrowedFd<'_>, path: &Path, flags: OFlags, how: ResolveFlags) -> io::Result<OwnedFd> {
    // The kernel answers EAGAIN when a rename raced with a `..` of a link; a few more tries are its own advice.
    for _ in 0..16 {
        match openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), how) {
            Err(rustix::io::Errno::AGAIN) => {}
            other => return Ok(other?),
        }
    }
    Err(rustix::io::Errno::AGAIN.into())
}

/// Returns the path relative to the root.
fn checked(path: &Path) -> Result<PathBuf, PathError> {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
            Component::ParentDir => return Err(PathError::Climbs { path: path.to_path_buf() }),
        }
    }
    if clean.as_os_str().is_empty() {
        clean.push(".");
    }
    Ok(clean)
}

trait Doing<T> {
    fn doing(self, doing: &'static str, path: &Path) -> Result<T, PathError>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, doing: &'static str, path: &Path) -> Result<T, PathError> {
        self.map_err(|source| PathError::Io { doing, path: path.to_path_buf(), source })
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    };

    use super::*;

    fn root() -> (tempfile::TempDir, fs::File) {
        let dir = tempfile::tempdir().expect("a directory");
        let file = fs::File::open(dir.path()).expect("opened");
        (dir, file)
    }

    #[test]
    fn missing_directories_are_made_with_mode_and_owner_and_found_ones_stay() {
        let (dir, root) = root();
        fs::create_dir(dir.path().join("a")).expect("made");
        fs::set_permissions(dir.path().join("a"), fs::Permissions::from_mode(0o711)).expect("set");

        make_dirs_in_root(root.as_fd(), Path::new("/a/b/c"), 0o775, Some((4242, 4243))).expect("made");

        let meta = |path: &str| fs::metadata(dir.path().join(path)).expect("there");
        assert_eq!((meta("a").uid(), meta("a").mode() & 0o7777), (0, 0o711));
        for made in ["a/b", "a/b/c"] {
            assert_eq!((meta(made).uid(), meta(made).gid(), meta(made).mode() & 0o7777), (4242, 4243, 0o775), "{made}");
        }
    }

    #[test]
    fn links_lead_nowhere_outside_whether_absolute_climbing_or_dangling() {
        let (dir, root) = root();
        let outside = tempfile::tempdir().expect("a directory");
        fs::write(outside.path().join("secret"), "s").expect("written");
        symlink(outside.path(), dir.path().join("absolute")).expect("linked");
        symlink("../../../../../../../..", dir.path().join("climbing")).expect("linked");
        symlink("/proc/self/root", dir.path().join("magic")).expect("linked");

        for link in ["absolute", "absolute/made", "magic/tmp"] {
            assert!(make_dirs_in_root(root.as_fd(), Path::new(link), 0o755, None).is_err(), "{link}");
        }
        // Climbing ends at the root, as it does at `/`.
        make_dirs_in_root(root.as_fd(), Path::new("climbing/made"), 0o755, None).expect("made inside");
        assert!(dir.path().join("made").is_dir());
        assert!(read_in_root(root.as_fd(), Path::new("absolute/secret"), 100).is_err());
        assert_eq!(fs::read_dir(outside.path()).expect("read").count(), 1);
        assert!(matches!(open_in_root(root.as_fd(), Path::new("../x"), OFlags::PATH), Err(PathError::Climbs { .. })));
    }

    #[test]
    fn links_inside_are_followed() {
        let (dir, root) = root();
        fs::create_dir(dir.path().join("real")).expect("made");
        fs::write(dir.path().join("real/file"), "text").expect("written");
        symlink("/real", dir.path().join("link")).expect("linked");

        assert_eq!(read_in_root(root.as_fd(), Path::new("link/file"), 100).expect("read"), b"text");
        assert!(matches!(read_in_root(root.as_fd(), Path::new("link/file"), 3), Err(PathError::TooLarge { .. })));
    }

    #[test]
    fn reading_a_fifo_is_an_error_and_does_not_wait() {
        let (dir, root) = root();
        rustix::fs::mknodat(rustix::fs::CWD, dir.path().join("fifo"), rustix::fs::FileType::Fifo, Mode::RUSR, 0).expect("made");
        assert!(read_in_root(root.as_fd(), Path::new("fifo"), 10).is_err());
    }

    #[test]
    fn a_directory_swapped_for_a_link_all_the_time_never_lets_anything_out() {
        let (dir, root) = root();
        let outside = tempfile::tempdir().expect("a directory");
        let (real, link) = (dir.path().join("real"), dir.path().join("swapped"));
        fs::create_dir(&real).expect("made");
        symlink(outside.path(), &link).expect("linked");
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    rustix::fs::renameat_with(rustix::fs::CWD, &real, rustix::fs::CWD, &link, rustix::fs::RenameFlags::EXCHANGE)
                        .expect("exchanged");
                }
            });
            for round in 0..3000 {
                // Both outcomes are right, depending on what stood there.
                let _ = make_dirs_in_root(root.as_fd(), Path::new(&format!("swapped/{round}/deep")), 0o755, Some((1, 1)));
            }
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        assert_eq!(fs::read_dir(outside.path()).expect("read").count(), 0, "something was made outside");
    }
}
