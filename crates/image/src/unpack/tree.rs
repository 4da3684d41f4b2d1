//! The directory a layer is unpacked into: every change is made through a file descriptor below its root.
//!
//! The kernel resolves each parent with `RESOLVE_IN_ROOT` (or `RESOLVE_BENEATH` without symlinks), and the last part of a
//! path is only ever created, replaced or linked without following it. So a symlink that a layer plants can lead
//! somewhere inside the layer at most.

use std::{
    ffi::OsStr,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    rc::Rc,
};

use rustix::{
    fs::{self, AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat, XattrFlags},
    io::Errno,
};

use super::path::{DEPTH, LayerPath};

const OPAQUE: &str = "trusted.overlay.opaque";

/// Why a path inside the tree cannot be used.
#[derive(Debug)]
pub(super) enum TreeError {
    Refused(String),
    Errno(Errno),
}

impl From<Errno> for TreeError {
    fn from(errno: Errno) -> TreeError {
        TreeError::Errno(errno)
    }
}

/// A directory's descriptor, shared with the tree's memory of the last one used.
pub(super) type Dir = Rc<OwnedFd>;

pub(super) struct Tree {
    root: Dir,
    /// The directory of the last entry: an archive lists a directory's files one after the other.
    last: Option<(Vec<u8>, Dir)>,
    /// Directories made because an entry's parent was missing.
    implied: u64,
}

impl Tree {
    pub(super) fn new(root: OwnedFd) -> Tree {
        Tree { root: Rc::new(root), last: None, implied: 0 }
    }

    pub(super) fn root(&self) -> Dir {
        Rc::clone(&self.root)
    }

    /// Returns how many directories were made that the archive did not list.
    pub(super) fn implied(&self) -> u64 {
        self.implied
    }

    /// Opens a directory for what is created in it, making missing parts of its path.
    pub(super) fn directory(&mut self, path: &[u8]) -> Result<Dir, TreeError> {
        if path.is_empty() {
            return Ok(self.root());
        }
        if let Some((last, dir)) = &self.last
            && last == path
        {
            return Ok(Rc::clone(dir));
        }
        let dir = match self.open(path, ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS) {
            Ok(dir) => dir,
            Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR) => self.walk(path)?,
            Err(errno) => return Err(errno.into()),
        };
        let dir = Rc::new(dir);
        self.last = Some((path.to_vec(), Rc::clone(&dir)));
        Ok(dir)
    }

    /// Opens an existing directory; symlinks on the way, but not at its end, are followed inside the root.
    pub(super) fn existing(&self, path: &LayerPath) -> Result<OwnedFd, Errno> {
        match path.split() {
            None => self.root.try_clone().map_err(|_| Errno::MFILE),
            Some(_) => fs::openat2(
                &self.root,
                OsStr::from_bytes(path.as_bytes()),
                DIRECTORY | OFlags::NOFOLLOW,
                Mode::empty(),
                ResolveFlags::IN_ROOT | ALWAYS,
            ),
        }
    }

    /// Creates a new, empty file, replacing what has its name.
    pub(super) fn file(&mut self, dir: &Dir, name: &[u8]) -> Result<OwnedFd, TreeError> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        self.replacing(dir, name, |dir, name| fs::openat(dir, name, flags, Mode::RUSR | Mode::WUSR))
    }

    /// Makes a directory, or keeps the one that is there; anything else of that name is replaced.
    pub(super) fn make_directory(&mut self, dir: &Dir, name: &[u8]) -> Result<OwnedFd, TreeError> {
        let os_name = OsStr::from_bytes(name);
        if let Err(errno) = fs::mkdirat(dir, os_name, Mode::RWXU) {
            if errno != Errno::EXIST {
                return Err(errno.into());
            }
            let there = fs::statat(dir, os_name, AtFlags::SYMLINK_NOFOLLOW)?;
            if FileType::from_raw_mode(there.st_mode) != FileType::Directory {
                self.clear(dir, name)?;
                fs::mkdirat(dir, os_name, Mode::RWXU)?;
                if is_whiteout(&there) {
                    let made = fs::openat(dir, os_name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?;
                    set_opaque(&made)?;
                    return Ok(made);
                }
            }
        }
        Ok(fs::openat(dir, os_name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?)
    }

    pub(super) fn symlink(&mut self, dir: &Dir, name: &[u8], target: &[u8]) -> Result<(), TreeError> {
        self.replacing(dir, name, |dir, name| fs::symlinkat(OsStr::from_bytes(target), dir, name))
    }

    pub(super) fn node(&mut self, dir: &Dir, name: &[u8], kind: FileType, device: (u32, u32)) -> Result<(), TreeError> {
        let device = fs::makedev(device.0, device.1);
        self.replacing(dir, name, |dir, name| fs::mknodat(dir, name, kind, Mode::empty(), device))
    }

    /// Links `target`, an entry of this same layer, to a further name.
    pub(super) fn hard_link(&mut self, dir: &Dir, name: &[u8], target: &LayerPath) -> Result<(), TreeError> {
        let missing = || TreeError::Refused("it links to a file that is not in its layer".to_owned());
        let (target_dir, target_name) = target.split().ok_or_else(missing)?;
        let parent = match target_dir {
            b"" => self.root(),
            path => Rc::new(self.open(path, ResolveFlags::IN_ROOT).map_err(|_| missing())?),
        };
        let os_target = OsStr::from_bytes(target_name);
        let there = fs::statat(&parent, os_target, AtFlags::SYMLINK_NOFOLLOW).map_err(|_| missing())?;
        if FileType::from_raw_mode(there.st_mode) == FileType::Directory {
            return Err(TreeError::Refused("it is a hard link to a directory".to_owned()));
        }
        let linked = fs::statat(dir, OsStr::from_bytes(name), AtFlags::SYMLINK_NOFOLLOW)
            .is_ok_and(|old| (old.st_dev, old.st_ino) == (there.st_dev, there.st_ino));
        if linked {
            return Ok(());
        }
        self.replacing(dir, name, |dir, name| fs::linkat(&parent, os_target, dir, name, AtFlags::empty())).map_err(|error| {
            match error {
                // What the new name replaced contained the target.
                TreeError::Errno(Errno::NOENT) => missing(),
                other => other,
            }
        })
    }

    /// Hides the lower layers' `name`. What this layer itself has of that name stays, as the specification says.
    pub(super) fn whiteout(&mut self, dir: &Dir, name: &[u8]) -> Result<(), TreeError> {
        let os_name = OsStr::from_bytes(name);
        match fs::statat(dir, os_name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => Ok(fs::mknodat(dir, os_name, FileType::CharacterDevice, Mode::empty(), 0)?),
            Err(errno) => Err(errno.into()),
            Ok(there) if FileType::from_raw_mode(there.st_mode) == FileType::Directory => {
                set_opaque(&fs::openat(dir, os_name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?)?;
                Ok(())
            }
            Ok(_) => Ok(()),
        }
    }

    /// Hides everything the lower layers have in this directory.
    pub(super) fn opaque(&mut self, dir: &Dir) -> Result<(), TreeError> {
        Ok(set_opaque(dir)?)
    }

    fn replacing<T>(
        &mut self,
        dir: &Dir,
        name: &[u8],
        make: impl Fn(BorrowedFd<'_>, &OsStr) -> Result<T, Errno>,
    ) -> Result<T, TreeError> {
        let os_name = OsStr::from_bytes(name);
        match make(dir.as_fd(), os_name) {
            Err(Errno::EXIST) => {
                self.clear(dir, name)?;
                Ok(make(dir.as_fd(), os_name)?)
            }
            done => Ok(done?),
        }
    }

    /// Removes whatever has this name, with everything below it.
    fn clear(&mut self, dir: &Dir, name: &[u8]) -> Result<(), TreeError> {
        self.last = None;
        let os_name = OsStr::from_bytes(name);
        let there = fs::statat(dir, os_name, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(there.st_mode) != FileType::Directory {
            return Ok(fs::unlinkat(dir, os_name, AtFlags::empty())?);
        }
        // Below the descriptor's own link in /proc the path has one part, and std removes without following symlinks.
        let path = std::path::Path::new("/proc/self/fd").join(dir.as_raw_fd().to_string()).join(os_name);
        std::fs::remove_dir_all(path).map_err(|error| TreeError::Errno(Errno::from_io_error(&error).unwrap_or(Errno::IO)))
    }

    /// Opens a directory part by part, following symlinks inside the root and making what is missing.
    fn walk(&mut self, path: &[u8]) -> Result<OwnedFd, TreeError> {
        let mut current = self.root();
        let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at).chain([path.len()]);
        let mut start = 0;
        for end in ends {
            let (prefix, name) = (&path[..end], &path[start..end]);
            start = end + 1;
            let opened = match self.open(prefix, ResolveFlags::IN_ROOT) {
                Ok(dir) => dir,
                Err(Errno::NOENT | Errno::NOTDIR) => self.imply(&current, name)?,
                Err(Errno::LOOP) => return Err(TreeError::Refused("its path leads through a loop of symlinks".to_owned())),
                Err(errno) => return Err(errno.into()),
            };
            current = Rc::new(opened);
        }
        self.check_depth(&current)?;
        current.try_clone().map_err(|_| TreeError::Errno(Errno::MFILE))
    }

    /// Makes a directory that the archive uses without listing it; a whiteout of its name becomes an opaque directory.
    fn imply(&mut self, dir: &Dir, name: &[u8]) -> Result<OwnedFd, TreeError> {
        let os_name = OsStr::from_bytes(name);
        match fs::statat(dir, os_name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno.into()),
            Ok(there) if is_whiteout(&there) => {}
            Ok(there) if FileType::from_raw_mode(there.st_mode) == FileType::Symlink => {
                return Err(TreeError::Refused("its path leads through a symlink to nowhere".to_owned()));
            }
            Ok(_) => return Err(TreeError::Refused("its path leads through something that is not a directory".to_owned())),
        }
        self.implied += 1;
        let made = self.make_directory(dir, name)?;
        fs::fchmod(&made, Mode::from_raw_mode(0o755))?;
        Ok(made)
    }

    /// Symlinks inside a layer can add up to a nesting that no path of it shows.
    fn check_depth(&self, dir: &Dir) -> Result<(), TreeError> {
        let place =
            |fd: &OwnedFd| std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).map_err(|_| Errno::NAMETOOLONG);
        let depth = place(dir)?.components().count().saturating_sub(place(&self.root)?.components().count());
        if depth > DEPTH {
            return Err(TreeError::Refused(format!("its path leads deeper than {DEPTH} directories")));
        }
        Ok(())
    }

    fn open(&self, path: &[u8], resolve: ResolveFlags) -> Result<OwnedFd, Errno> {
        fs::openat2(&self.root, OsStr::from_bytes(path), DIRECTORY, Mode::empty(), resolve | ALWAYS)
    }
}

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const ALWAYS: ResolveFlags = ResolveFlags::NO_MAGICLINKS.union(ResolveFlags::NO_XDEV);

/// overlayfs takes a character device 0:0 for "nothing here".
fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

fn set_opaque(dir: &OwnedFd) -> Result<(), Errno> {
    fs::fsetxattr(dir, OPAQUE, b"y", XattrFlags::empty())
}
