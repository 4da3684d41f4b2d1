//! An app's `/home` on this machine, and the way to what lies in it.
//!
//! The app's containers can write this tree, so every path is resolved by the kernel inside it, links included
//! (`openat2(2)` with `RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS`), and what was opened is used by descriptor, never again by
//! name.

use std::{
    fs::File,
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use pillion_model::AppName;
use rustix::{
    fs::{
        AtFlags, Dir, FileType, Gid, Mode, OFlags, ResolveFlags, Stat, Uid, fstat, mkdirat, openat2, renameat, statat, unlinkat,
    },
    io::Errno,
};

const INSIDE: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS);
/// Entries of one directory that are listed.
const MOST_ENTRIES: usize = 10_000;

/// The tree of one app.
pub(super) struct Home {
    root: OwnedFd,
}

/// One entry of a directory.
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) facts: Facts,
}

/// What is told of a file or directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) directory: bool,
    pub(super) size: u64,
    pub(super) changed: SystemTime,
    /// Changes whenever the file does.
    pub(super) etag: String,
}

/// What was found at a path.
pub(super) enum Found {
    File(File, Facts),
    Directory(Vec<Entry>),
}

impl Home {
    /// Opens the tree; none where the app has none (yet).
    pub(super) fn open(apps: &Path, app: &AppName) -> io::Result<Option<Home>> {
        let path = apps.join(app.as_str()).join("volumes/home");
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::open(&path, flags, Mode::empty()) {
            Ok(root) => Ok(Some(Home { root })),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens what is at `path` for reading.
    pub(super) fn read(&self, path: &[String]) -> io::Result<Found> {
        // Without O_NONBLOCK a fifo that a container made would hold this thread for ever.
        let fd = self.resolve(path, OFlags::RDONLY | OFlags::NONBLOCK)?;
        let stat = fstat(&fd)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Ok(Found::File(File::from(fd), facts(&stat))),
            FileType::Directory => Ok(Found::Directory(entries(fd)?)),
            _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is neither a file nor a directory")),
        }
    }

    /// Tells of what is at `path`; none where nothing is.
    pub(super) fn facts(&self, path: &[String]) -> io::Result<Option<Facts>> {
        match self.resolve(path, OFlags::PATH) {
            Ok(fd) => Ok(Some(facts(&fstat(&fd)?))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Begins a new content for the file at `path`, beside it; missing directories are made.
    pub(super) fn begin(&self, path: &[String]) -> io::Result<Writing> {
        let (name, parents) = path.split_last().ok_or(io::ErrorKind::IsADirectory)?;
        let parent = self.make_directories(parents)?;
        let hidden = format!(".{}.new", pillion_identity::new_id());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&parent, hidden.as_str(), flags, Mode::from_raw_mode(0o644))?;
        own_like(&parent, &fd)?;
        Ok(Writing { parent, hidden, name: name.clone(), file: Some(File::from(fd)) })
    }

    /// Makes the directory at `path`, and those above it.
    pub(super) fn make_directories(&self, path: &[String]) -> io::Result<OwnedFd> {
        let mut at = self.resolve(&[], OFlags::PATH | OFlags::DIRECTORY)?;
        for depth in 1..=path.len() {
            let part = &path[..depth];
            at = match self.resolve(part, OFlags::PATH | OFlags::DIRECTORY) {
                Ok(found) => found,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let name = part.last().map(String::as_str).unwrap_or_default();
                    match mkdirat(&at, name, Mode::from_raw_mode(0o755)) {
                        Ok(()) | Err(Errno::EXIST) => {}
                        Err(error) => return Err(error.into()),
                    }
                    let made = self.resolve(part, OFlags::RDONLY | OFlags::DIRECTORY)?;
                    own_like(&at, &made)?;
                    made
                }
                Err(error) => return Err(error),
            };
        }
        Ok(at)
    }

    /// Removes a file, a link (not what it leads to) or an empty directory.
    pub(super) fn remove(&self, path: &[String]) -> io::Result<()> {
        let (name, parents) = path.split_last().ok_or(io::ErrorKind::PermissionDenied)?;
        let parent = self.resolve(parents, OFlags::PATH | OFlags::DIRECTORY)?;
        let stat = statat(&parent, name.as_str(), AtFlags::SYMLINK_NOFOLLOW)?;
        let how = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => AtFlags::REMOVEDIR,
            _ => AtFlags::empty(),
        };
        Ok(unlinkat(&parent, name.as_str(), how)?)
    }

    fn resolve(&self, path: &[String], flags: OFlags) -> io::Result<OwnedFd> {
        let inside = if path.is_empty() { PathBuf::from(".") } else { path.iter().collect() };
        loop {
            match openat2(&self.root, &inside, flags | OFlags::CLOEXEC, Mode::empty(), INSIDE) {
                // Somebody renamed a part of the path meanwhile.
                Err(Errno::AGAIN) => {}
                done => return Ok(done?),
            }
        }
    }
}

/// A file being written; it is not there before [`Writing::finish`], and is gone if that never comes.
pub(super) struct Writing {
    parent: OwnedFd,
    hidden: String,
    name: String,
    file: Option<File>,
}

impl Writing {
    pub(super) fn file(&self) -> io::Result<File> {
        self.file.as_ref().ok_or(io::ErrorKind::BrokenPipe)?.try_clone()
    }

    /// Puts it in the place of what was there.
    pub(super) fn finish(mut self) -> io::Result<Facts> {
        let file = self.file.take().ok_or(io::ErrorKind::BrokenPipe)?;
        file.sync_all()?;
        if let Err(error) = renameat(&self.parent, self.hidden.as_str(), &self.parent, self.name.as_str()) {
            let _ = unlinkat(&self.parent, self.hidden.as_str(), AtFlags::empty());
            return Err(error.into());
        }
        Ok(facts(&fstat(&file)?))
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        if self.file.is_some() {
            // Best effort: a hidden file of a broken upload harms nobody.
            let _ = unlinkat(&self.parent, self.hidden.as_str(), AtFlags::empty());
        }
    }
}

/// Returns true if the parts can be a path here: nothing climbs, nothing is hidden in a part.
pub(super) fn is_plain(path: &[String]) -> bool {
    path.len() <= 64
        && path.iter().all(|part| !matches!(part.as_str(), "." | "..") && !part.contains(['/', '\0']) && part.len() < 256)
}

/// The app's containers run as other users than the server: what it makes for them belongs to whom the directory does.
fn own_like(parent: &OwnedFd, made: &OwnedFd) -> io::Result<()> {
    let stat = fstat(parent)?;
    rustix::fs::fchown(made, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))?;
    Ok(())
}

fn entries(fd: OwnedFd) -> io::Result<Vec<Entry>> {
    let mut all = Vec::new();
    for entry in Dir::read_from(&fd)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if matches!(name.as_str(), "." | "..") {
            continue;
        }
        // Links are told as what they are: what they lead to may be gone.
        let Ok(stat) = statat(&fd, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW) else { continue };
        all.push(Entry { name, facts: facts(&stat) });
        if all.len() == MOST_ENTRIES {
            break;
        }
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

fn facts(stat: &Stat) -> Facts {
    let seconds = u64::try_from(stat.st_mtime).unwrap_or(0);
    let nanos = u32::try_from(stat.st_mtime_nsec).unwrap_or(0);
    Facts {
        directory: FileType::from_raw_mode(stat.st_mode) == FileType::Directory,
        size: u64::try_from(stat.st_size).unwrap_or(0),
        changed: SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos),
        etag: format!("\"{:x}-{seconds:x}{nanos:08x}-{:x}\"", stat.st_ino, stat.st_size),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write, os::unix::fs::symlink};

    use super::*;

    fn parts(path: &str) -> Vec<String> {
        path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect()
    }

    fn home(apps: &Path) -> (Home, PathBuf) {
        let path = apps.join("shop/volumes/home");
        fs::create_dir_all(&path).unwrap();
        (Home::open(apps, &"shop".parse().unwrap()).unwrap().unwrap(), path)
    }

    #[test]
    fn links_that_lead_out_stay_inside() {
        let apps = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret"), "x").unwrap();
        let (home, path) = home(apps.path());
        symlink(outside.path(), path.join("out")).unwrap();
        symlink("../../../../../../etc", path.join("up")).unwrap();
        symlink("/proc/self/root", path.join("magic")).unwrap();
        for hostile in ["out/secret", "up/passwd", "magic/etc/passwd"] {
            assert!(home.read(&parts(hostile)).is_err(), "{hostile}");
        }
        assert!(home.begin(&parts("out/new")).is_err());
        assert!(home.begin(&parts("up/new")).is_err());
        assert!(!outside.path().join("new").exists() && !Path::new("/etc/new").exists());
        home.remove(&parts("out")).unwrap();
        assert!(outside.path().join("secret").exists(), "a link is removed, not what it leads to");
    }

    #[test]
    fn a_file_is_written_whole_or_not_at_all() {
        let apps = tempfile::tempdir().unwrap();
        let (home, path) = home(apps.path());
        let writing = home.begin(&parts("site/wwwroot/a.txt")).unwrap();
        writing.file().unwrap().write_all(b"one").unwrap();
        assert_eq!(home.facts(&parts("site/wwwroot/a.txt")).unwrap(), None, "it is not there yet");
        let first = writing.finish().unwrap();
        let broken = home.begin(&parts("site/wwwroot/a.txt")).unwrap();
        broken.file().unwrap().write_all(b"half").unwrap();
        drop(broken);
        assert_eq!(fs::read(path.join("site/wwwroot/a.txt")).unwrap(), b"one");
        assert_eq!(fs::read_dir(path.join("site/wwwroot")).unwrap().count(), 1, "nothing is left of the broken one");
        let again = home.begin(&parts("site/wwwroot/a.txt")).unwrap();
        again.file().unwrap().write_all(b"two").unwrap();
        assert_ne!(again.finish().unwrap().etag, first.etag);
        assert!(home.begin(&[]).is_err());
        assert!(home.remove(&parts("site")).is_err(), "it is not empty");
    }

    #[test]
    fn a_fifo_holds_nobody_up() {
        let apps = tempfile::tempdir().unwrap();
        let (home, path) = home(apps.path());
        rustix::fs::mknodat(rustix::fs::CWD, path.join("fifo"), FileType::Fifo, Mode::from_raw_mode(0o644), 0).unwrap();
        assert!(home.read(&parts("fifo")).is_err());
    }

    #[test]
    fn parts_that_climb_are_no_path() {
        assert!(is_plain(&parts("a/b c/.d")));
        for part in [".", "..", "a/b", "a\0"] {
            assert!(!is_plain(&[part.to_owned()]), "{part:?}");
        }
    }
}
