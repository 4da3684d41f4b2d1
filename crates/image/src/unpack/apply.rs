//! Turning a layer's entries, one after the other, into a tree in overlayfs form, within limits.

use std::{
    io::{self, BufRead},
    os::fd::OwnedFd,
};

use rustix::fs::{self, FileType};

use super::{
    archive::{Archive, Entry, Kind},
    error::UnpackError,
    metadata::{Metadata, times},
    path::{LayerPath, Meaning, meaning},
    tree::{Dir, Tree, TreeError},
};
use crate::Limits;

/// What was unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Applied {
    /// Bytes of file content.
    pub(crate) bytes: u64,
    pub(crate) entries: u64,
    /// The layer hides everything below it: overlayfs ignores the mark on a layer's root, so it must be mounted without them.
    pub(crate) opaque_root: bool,
}

/// Unpacks a whole archive into the empty directory `root` and reads the stream to its end.
pub(super) fn apply<R: BufRead>(archive: &mut Archive<R>, root: OwnedFd, limits: &Limits) -> Result<Applied, UnpackError> {
    let mut applier = Applier { tree: Tree::new(root), limits, done: Applied::default(), directories: Vec::new() };
    while let Some(entry) = archive.next().map_err(stream)? {
        applier.entry(archive, &entry)?;
    }
    archive.drain().map_err(stream)?;
    applier.directory_times()?;
    Ok(applier.done)
}

struct Applier<'a> {
    tree: Tree,
    limits: &'a Limits,
    done: Applied,
    /// Directories and their times, set last because every entry made in a directory changes its time.
    directories: Vec<(LayerPath, (i64, u32))>,
}

impl Applier<'_> {
    fn entry<R: BufRead>(&mut self, archive: &mut Archive<R>, entry: &Entry) -> Result<(), UnpackError> {
        let refuse = |reason: String| UnpackError::Refused { entry: shown(&entry.path), reason };
        self.done.entries += 1;
        if self.done.entries + self.tree.implied() > self.limits.layer_entries {
            return Err(refuse(format!("its layer has more than {} entries", self.limits.layer_entries)));
        }
        let path = LayerPath::parse(&entry.path, self.limits.path_bytes).map_err(refuse)?;
        let metadata = Metadata::of(entry, self.limits.xattr_bytes).map_err(refuse)?;
        let Some((parent, name)) = path.split() else {
            return match entry.kind {
                Kind::Directory => {
                    metadata.to_open(&self.tree.root()).map_err(|error| failed("set attributes of", entry, error))?;
                    self.directories.push((path, entry.mtime));
                    Ok(())
                }
                Kind::File
                | Kind::Symlink(_)
                | Kind::HardLink(_)
                | Kind::CharDevice(..)
                | Kind::BlockDevice(..)
                | Kind::Fifo
                | Kind::Unknown(_) => Err(refuse("it takes the place of the root directory".to_owned())),
            };
        };
        if is_bookkeeping(parent) {
            return Ok(());
        }
        let meaning = meaning(name).map_err(refuse)?;
        if meaning == Meaning::Ignored {
            return Ok(());
        }
        let dir = self.tree.directory(parent).map_err(|error| failed("open the directory of", entry, error))?;
        match meaning {
            Meaning::Plain => self.create(archive, entry, &path, &dir, name, &metadata),
            Meaning::Whiteout(hidden) => self.tree.whiteout(&dir, hidden).map_err(|error| failed("hide", entry, error)),
            Meaning::Opaque => {
                self.done.opaque_root |= parent.is_empty();
                self.tree.opaque(&dir).map_err(|error| failed("hide what is under", entry, error))
            }
            Meaning::Ignored => Ok(()),
        }
    }

    fn create<R: BufRead>(
        &mut self,
        archive: &mut Archive<R>,
        entry: &Entry,
        path: &LayerPath,
        dir: &Dir,
        name: &[u8],
        metadata: &Metadata<'_>,
    ) -> Result<(), UnpackError> {
        let refuse = |reason: &str| UnpackError::Refused { entry: shown(&entry.path), reason: reason.to_owned() };
        match &entry.kind {
            Kind::File => {
                if entry.size > self.limits.layer_bytes.saturating_sub(self.done.bytes) {
                    return Err(refuse(&format!("its layer unpacks to more than {} bytes", self.limits.layer_bytes)));
                }
                self.done.bytes += entry.size;
                let file = self.tree.file(dir, name).map_err(|error| failed("create", entry, error))?;
                write(archive, entry, &file)?;
                metadata.to_open(&file).map_err(|error| failed("set attributes of", entry, error))
            }
            Kind::Directory => {
                let made = self.tree.make_directory(dir, name).map_err(|error| failed("create", entry, error))?;
                metadata.to_open(&made).map_err(|error| failed("set attributes of", entry, error))?;
                self.directories.push((path.clone(), entry.mtime));
                Ok(())
            }
            Kind::Symlink(target) => {
                if target.is_empty() || target.len() > 4095 || target.contains(&0) {
                    return Err(refuse("it is a symlink with an impossible target"));
                }
                self.tree.symlink(dir, name, target).map_err(|error| failed("create", entry, error))?;
                metadata.to_symlink(dir, name).map_err(|error| failed("set attributes of", entry, error))
            }
            Kind::HardLink(target) => {
                let target = LayerPath::parse(target, self.limits.path_bytes)
                    .map_err(|reason| refuse(&format!("it is a hard link with a refused target: {reason}")))?;
                self.tree.hard_link(dir, name, &target).map_err(|error| failed("link", entry, error))
            }
            Kind::CharDevice(major, minor) => self.node(entry, dir, name, FileType::CharacterDevice, (*major, *minor), metadata),
            Kind::BlockDevice(major, minor) => self.node(entry, dir, name, FileType::BlockDevice, (*major, *minor), metadata),
            Kind::Fifo => self.node(entry, dir, name, FileType::Fifo, (0, 0), metadata),
            Kind::Unknown(flag) => Err(refuse(&format!("its type {:?} is unknown", char::from(*flag)))),
        }
    }

    fn node(
        &mut self,
        entry: &Entry,
        dir: &Dir,
        name: &[u8],
        kind: FileType,
        device: (u32, u32),
        metadata: &Metadata<'_>,
    ) -> Result<(), UnpackError> {
        self.tree.node(dir, name, kind, device).map_err(|error| failed("create", entry, error))?;
        metadata.to_node(dir, name).map_err(|error| failed("set attributes of", entry, error))
    }

    fn directory_times(&self) -> Result<(), UnpackError> {
        for (path, mtime) in &self.directories {
            // A later entry may have replaced the directory by something else, which has times of its own.
            let Ok(dir) = self.tree.existing(path) else { continue };
            fs::futimens(&dir, &times(*mtime)).map_err(|errno| UnpackError::Io {
                doing: "set times of",
                entry: shown(path.as_bytes()),
                source: errno.into(),
            })?;
        }
        Ok(())
    }
}

/// Copies the entry's content into the file, leaving holes where a sparse file has them.
fn write<R: BufRead>(archive: &mut Archive<R>, entry: &Entry, file: &OwnedFd) -> Result<(), UnpackError> {
    let io = |doing, source| UnpackError::Io { doing, entry: shown(&entry.path), source };
    let whole = [(0, entry.size)];
    for (offset, length) in entry.sparse.as_deref().unwrap_or(&whole) {
        let (mut at, end) = (*offset, offset + length);
        while at < end {
            let chunk = archive.chunk().map_err(stream)?;
            let take = chunk.len().min(usize::try_from(end - at).unwrap_or(usize::MAX));
            let written = rustix::io::retry_on_intr(|| rustix::io::pwrite(file, &chunk[..take], at))
                .map_err(|errno| io("write", errno.into()))?;
            if written == 0 {
                return Err(io("write", io::ErrorKind::WriteZero.into()));
            }
            archive.consume(written);
            at += written as u64;
        }
    }
    if entry.sparse.is_some() {
        fs::ftruncate(file, entry.size).map_err(|errno| io("resize", errno.into()))?;
    }
    Ok(())
}

/// AUFS kept its own files in directories of the layer's root.
fn is_bookkeeping(parent: &[u8]) -> bool {
    parent.starts_with(b".wh..wh.")
}

/// An entry's path as people may see it.
fn shown(path: &[u8]) -> String {
    let text = String::from_utf8_lossy(path);
    match text.char_indices().nth(200) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into_owned(),
    }
}

fn failed(doing: &'static str, entry: &Entry, error: TreeError) -> UnpackError {
    match error {
        TreeError::Refused(reason) => UnpackError::Refused { entry: shown(&entry.path), reason },
        TreeError::Errno(errno) => UnpackError::Io { doing, entry: shown(&entry.path), source: errno.into() },
    }
}

/// The stream's own faults travel inside an I/O error, since they pass through decompressors.
pub(super) fn stream(error: io::Error) -> UnpackError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<super::pipe::StreamFault>()) {
        Some(super::pipe::StreamFault::Interrupted) => UnpackError::Interrupted,
        Some(super::pipe::StreamFault::TooLarge(limit)) => {
            UnpackError::Refused { entry: "the layer".to_owned(), reason: format!("it unpacks to more than {limit} bytes") }
        }
        None => UnpackError::Archive { source: error },
    }
}
