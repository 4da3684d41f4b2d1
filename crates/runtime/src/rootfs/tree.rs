//! Making and opening names inside a tree that strangers may have written: nothing outside it is ever touched.
//!
//! Every name is resolved by openat2(2) with `RESOLVE_IN_ROOT`: absolute and climbing links stay inside.

use std::{
    ffi::OsStr,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Component, Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, Gid, Mode, OFlags, ResolveFlags, Uid, chownat, mkdirat, openat, openat2, readlinkat},
    io::Errno,
};

use crate::spec::IdRange;

/// Dangling links followed while making a directory, as the kernel's own limit.
const MAX_LINKS: u32 = 40;

/// Opens `path` inside `root`.
pub(crate) fn open(root: BorrowedFd<'_>, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let inside = path.strip_prefix("/").unwrap_or(path);
    let inside = if inside.as_os_str().is_empty() { Path::new(".") } else { inside };
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    loop {
        match openat2(root, inside, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            // A rename anywhere on the host raced a `..`; the kernel asks to try again.
            Err(Errno::AGAIN) => {}
            result => return result,
        }
    }
}

/// Opens the directory `path` inside `root`, making what is missing for the container's root.
pub(crate) fn make_directory(root: BorrowedFd<'_>, path: &Path, ids: Option<IdRange>) -> Result<OwnedFd, Errno> {
    make(root, &plain(path), ids, MAX_LINKS)
}

fn make(root: BorrowedFd<'_>, path: &Path, ids: Option<IdRange>, links: u32) -> Result<OwnedFd, Errno> {
    match open(root, path, OFlags::PATH | OFlags::DIRECTORY) {
        Err(Errno::NOENT) => {}
        result => return result,
    }
    let (Some(parent_path), Some(name)) = (path.parent(), path.file_name()) else { return Err(Errno::NOENT) };
    let parent = make(root, parent_path, ids, links)?;
    match mkdirat(&parent, name, Mode::from_raw_mode(0o755)) {
        Ok(()) => {
            let made =
                openat(&parent, name, OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
            give(made.as_fd(), ids)?;
            Ok(made)
        }
        Err(Errno::EXIST) => match link_target(parent.as_fd(), parent_path, name)? {
            // A link that leads nowhere yet, such as /var/run → /run in a bare image.
            Some(target) if links > 0 => make(root, &target, ids, links - 1),
            Some(_) => Err(Errno::LOOP),
            // Someone else made it between our look and our attempt.
            None => open(root, path, OFlags::PATH | OFlags::DIRECTORY),
        },
        Err(error) => Err(error),
    }
}

/// Opens the file `path` inside `root`, making it empty where it is missing.
pub(crate) fn make_file(root: BorrowedFd<'_>, path: &Path, ids: Option<IdRange>) -> Result<OwnedFd, Errno> {
    let mut path = plain(path);
    for _ in 0..MAX_LINKS {
        match open(root, &path, OFlags::PATH) {
            Err(Errno::NOENT) => {}
            result => return result,
        }
        let (Some(parent_path), Some(name)) = (path.parent(), path.file_name()) else { return Err(Errno::ISDIR) };
        let parent = make(root, parent_path, ids, MAX_LINKS)?;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match openat(&parent, name, flags, Mode::from_raw_mode(0o644)) {
            Ok(made) => {
                give(made.as_fd(), ids)?;
                return openat(&parent, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
            }
            // A link that leads nowhere yet: many images have one at /etc/resolv.conf.
            Err(Errno::EXIST) => {
                if let Some(target) = link_target(parent.as_fd(), parent_path, name)? {
                    path = target;
                }
            }
            Err(error) => return Err(error),
        }
    }
    Err(Errno::LOOP)
}

/// Where the link `name` in `parent` leads, inside the root; none if it is no link.
fn link_target(parent: BorrowedFd<'_>, parent_path: &Path, name: &OsStr) -> Result<Option<PathBuf>, Errno> {
    match readlinkat(parent, name, Vec::new()) {
        Ok(target) => Ok(Some(plain(&parent_path.join(Path::new(OsStr::from_bytes(target.as_bytes())))))),
        Err(Errno::INVAL | Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes the container's root the owner of what is open.
fn give(file: BorrowedFd<'_>, ids: Option<IdRange>) -> Result<(), Errno> {
    let Some(ids) = ids else { return Ok(()) };
    chownat(file, "", Some(Uid::from_raw(ids.start)), Some(Gid::from_raw(ids.start)), AtFlags::EMPTY_PATH)
}

/// The path without `.` and `..`, as a relative one; climbing stops at the root.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => plain.push(name),
            Component::ParentDir => {
                plain.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> (tempfile::TempDir, OwnedFd) {
        let dir = tempfile::tempdir().expect("a directory");
        let fd = rustix::fs::open(dir.path(), OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).expect("an open directory");
        (dir, fd)
    }

    #[test]
    fn a_directory_below_an_absolute_link_is_made_inside() {
        let (dir, fd) = root();
        let outside = tempfile::tempdir().expect("a directory");
        std::os::unix::fs::symlink(outside.path(), dir.path().join("link")).expect("a link");
        make_directory(fd.as_fd(), Path::new("/link/deep"), None).expect("a directory inside");
        assert_eq!(std::fs::read_dir(outside.path()).expect("listing").count(), 0, "nothing was made outside");
        assert!(dir.path().join(outside.path().strip_prefix("/").expect("absolute")).join("deep").is_dir());
    }

    #[test]
    fn climbing_links_stop_at_the_root() {
        let (dir, fd) = root();
        std::os::unix::fs::symlink("../../../../../../etc", dir.path().join("up")).expect("a link");
        make_file(fd.as_fd(), Path::new("/up/planted"), None).expect("a file inside");
        assert!(dir.path().join("etc/planted").is_file());
        assert!(!Path::new("/etc/planted").exists());
    }

    #[test]
    fn a_dangling_relative_link_is_given_its_directory() {
        let (dir, fd) = root();
        std::fs::create_dir(dir.path().join("var")).expect("a directory");
        std::os::unix::fs::symlink("../run", dir.path().join("var/run")).expect("a link");
        make_directory(fd.as_fd(), Path::new("/var/run/app"), None).expect("a directory");
        assert!(dir.path().join("run/app").is_dir());
    }

    #[test]
    fn a_dangling_link_in_a_files_place_is_followed_inside() {
        let (dir, fd) = root();
        std::fs::create_dir(dir.path().join("etc")).expect("a directory");
        std::os::unix::fs::symlink("/run/none/resolv.conf", dir.path().join("etc/resolv.conf")).expect("a link");
        make_file(fd.as_fd(), Path::new("/etc/resolv.conf"), None).expect("a file");
        assert!(dir.path().join("run/none/resolv.conf").is_file());
        assert!(!Path::new("/run/none").exists());
    }

    #[test]
    fn links_in_a_circle_are_refused() {
        let (dir, fd) = root();
        std::os::unix::fs::symlink("b", dir.path().join("a")).expect("a link");
        std::os::unix::fs::symlink("a", dir.path().join("b")).expect("a link");
        assert_eq!(make_directory(fd.as_fd(), Path::new("/a/x"), None).expect_err("a circle"), Errno::LOOP);
    }
}
