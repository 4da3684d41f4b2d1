//! The image's file tree in the making: sorted entries, symbolic links kept as links.

use std::{
    collections::{BTreeMap, VecDeque},
    ffi::OsString,
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Component, Path, PathBuf},
};

use super::{Add, PackError};

/// The kernel's own limit (path_resolution(7)).
const MAX_LINKS: usize = 40;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    Directory {
        mode: u32,
    },
    Link {
        target: PathBuf,
    },
    /// A file of this host.
    File {
        source: PathBuf,
        mode: u32,
    },
    Inline {
        content: Vec<u8>,
        mode: u32,
    },
}

/// Entries by absolute path. Every entry's parents are directories of the tree.
#[derive(Debug, Default)]
pub(super) struct Tree {
    entries: BTreeMap<PathBuf, Entry>,
}

impl Tree {
    pub(super) fn entries(&self) -> impl ExactSizeIterator<Item = (&Path, &Entry)> {
        self.entries.iter().map(|(path, entry)| (path.as_path(), entry))
    }

    /// Returns files of this host in the tree: where they are in the image, and where here.
    pub(super) fn host_files(&self) -> impl Iterator<Item = (&Path, &Path)> {
        self.entries.iter().filter_map(|(path, entry)| match entry {
            Entry::File { source, .. } => Some((path.as_path(), source.as_path())),
            Entry::Directory { .. } | Entry::Link { .. } | Entry::Inline { .. } => None,
        })
    }

    /// Returns the entry at a path, its links followed within the image.
    pub(super) fn get(&self, path: &Path) -> Option<&Entry> {
        self.entries.get(&self.resolve(path, Last::Followed).ok()?)
    }

    /// Adds a file or a directory with all it holds.
    pub(super) fn add(&mut self, add: &Add) -> Result<(), PackError> {
        if !add.destination.is_absolute() {
            return Err(PackError::AddInvalid(format!("{}:{}", add.source.display(), add.destination.display())));
        }
        let source = read(&add.source, fs::canonicalize)?;
        let meta = read(&source, fs::metadata)?;
        if meta.is_dir() {
            return self.add_directory(&source, &add.destination);
        }
        let into = add.destination.as_os_str().as_encoded_bytes().ends_with(b"/");
        let destination = match (into, add.source.file_name()) {
            (true, Some(name)) => add.destination.join(name),
            (true, None) | (false, _) => add.destination.clone(),
        };
        self.put_file(&destination, &source, meta.permissions().mode())
    }

    fn add_directory(&mut self, source: &Path, destination: &Path) -> Result<(), PackError> {
        let mode = read(source, fs::metadata)?.permissions().mode() & 0o7777;
        // The image's own root keeps its mode: a private directory of the builder would lock other users out.
        if destination != Path::new("/") {
            self.put(destination, Entry::Directory { mode })?;
        }
        let mut waiting = VecDeque::from([(source.to_owned(), destination.to_owned())]);
        while let Some((from, to)) = waiting.pop_front() {
            let mut names: Vec<OsString> = Vec::new();
            for item in read(&from, fs::read_dir)? {
                names.push(item.map_err(|source| PackError::Read { path: from.clone(), source })?.file_name());
            }
            names.sort();
            for name in names {
                let (from, to) = (from.join(&name), to.join(&name));
                let meta = read(&from, fs::symlink_metadata)?;
                let kind = meta.file_type();
                if kind.is_symlink() {
                    self.put(&to, Entry::Link { target: read(&from, fs::read_link)? })?;
                } else if kind.is_dir() {
                    self.put(&to, Entry::Directory { mode: meta.permissions().mode() & 0o7777 })?;
                    waiting.push_back((from, to));
                } else if kind.is_file() {
                    self.put_file(&to, &from, meta.permissions().mode())?;
                } else {
                    return Err(PackError::Unfit { path: from, reason: "it is neither file, directory nor symbolic link" });
                }
            }
        }
        Ok(())
    }

    /// Adds a path of this host as it is: each symbolic link on the way as a link, and what it leads to.
    /// What is there already stays. Returns where the file itself is.
    pub(super) fn add_host_path(&mut self, path: &Path) -> Result<PathBuf, PackError> {
        let mut rest: VecDeque<OsString> = names(path);
        let mut at = PathBuf::from("/");
        let mut links = 0;
        while let Some(name) = rest.pop_front() {
            if name == ".." {
                at.pop();
                continue;
            }
            let here = at.join(&name);
            let meta = read(&here, fs::symlink_metadata)?;
            if meta.is_symlink() {
                links += 1;
                if links > MAX_LINKS {
                    return Err(PackError::Loop { path: path.to_owned() });
                }
                if matches!(self.entries.get(&here), Some(Entry::Directory { .. })) {
                    // An added tree has a directory where this host has a link: the file goes in there.
                    let literal = rest.iter().fold(here, |path, name| path.join(name));
                    let source = read(path, fs::canonicalize)?;
                    let mode = read(&source, fs::metadata)?.permissions().mode();
                    self.put_file(&literal, &source, mode)?;
                    return Ok(literal);
                }
                let target = read(&here, fs::read_link)?;
                self.entries.entry(here).or_insert_with(|| Entry::Link { target: target.clone() });
                if target.is_absolute() {
                    at = PathBuf::from("/");
                }
                for name in names(&target).into_iter().rev() {
                    rest.push_front(name);
                }
            } else if meta.is_dir() {
                let mode = meta.permissions().mode() & 0o7777;
                self.entries.entry(here.clone()).or_insert(Entry::Directory { mode });
                at = here;
            } else if meta.is_file() && rest.is_empty() {
                let mode = meta.permissions().mode() & 0o7777;
                self.entries.entry(here.clone()).or_insert_with(|| Entry::File { source: here.clone(), mode });
                return Ok(here);
            } else {
                return Err(PackError::Unfit { path: path.to_owned(), reason: "it is no file" });
            }
        }
        Err(PackError::Unfit { path: path.to_owned(), reason: "it is a directory; add it with a destination" })
    }

    /// Puts an entry unless something is there.
    pub(super) fn put_missing(&mut self, path: &Path, entry: Entry) -> Result<(), PackError> {
        if self.get(path).is_some() || self.entries.contains_key(path) { Ok(()) } else { self.put(path, entry) }
    }

    fn put_file(&mut self, path: &Path, source: &Path, mode: u32) -> Result<(), PackError> {
        self.put(path, Entry::File { source: source.to_owned(), mode: mode & 0o7777 })
    }

    fn put(&mut self, path: &Path, entry: Entry) -> Result<(), PackError> {
        let last = match entry {
            Entry::Directory { .. } => Last::Followed,
            Entry::Link { .. } | Entry::File { .. } | Entry::Inline { .. } => Last::Kept,
        };
        let place = self.resolve(path, last)?;
        let mut parent = PathBuf::from("/");
        let above = place.parent().unwrap_or(Path::new("/")).to_owned();
        for name in names(&above) {
            parent.push(name);
            match self.entries.entry(parent.clone()).or_insert(Entry::Directory { mode: 0o755 }) {
                Entry::Directory { .. } => {}
                Entry::Link { .. } | Entry::File { .. } | Entry::Inline { .. } => {
                    return Err(PackError::Unfit {
                        path: place,
                        reason: "something in the image that is no directory stands in its way",
                    });
                }
            }
        }
        match (self.entries.get(&place), &entry) {
            (Some(Entry::Directory { .. }), Entry::Link { .. } | Entry::File { .. } | Entry::Inline { .. }) => {
                Err(PackError::Unfit { path: place, reason: "a directory of the image stands in its place" })
            }
            (_, _) => {
                self.entries.insert(place, entry);
                Ok(())
            }
        }
    }

    /// Follows the image's own links, never this host's; parts that do not exist stay as they are.
    fn resolve(&self, path: &Path, last: Last) -> Result<PathBuf, PackError> {
        let mut rest = names(path);
        let mut at = PathBuf::from("/");
        let mut links = 0;
        while let Some(name) = rest.pop_front() {
            if name == ".." {
                at.pop();
                continue;
            }
            let here = at.join(name);
            match self.entries.get(&here) {
                Some(Entry::Link { target }) if last == Last::Followed || !rest.is_empty() => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(PackError::Loop { path: path.to_owned() });
                    }
                    if target.is_absolute() {
                        at = PathBuf::from("/");
                    }
                    for name in names(target).into_iter().rev() {
                        rest.push_front(name);
                    }
                }
                Some(_) | None => at = here,
            }
        }
        Ok(at)
    }
}

/// What becomes of a link at a path's end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    Followed,
    Kept,
}

fn names(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some("..".into()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        })
        .collect()
}

pub(super) fn read<T>(path: &Path, how: impl FnOnce(PathBuf) -> io::Result<T>) -> Result<T, PackError> {
    how(path.to_owned()).map_err(|source| PackError::Read { path: path.to_owned(), source })
}
