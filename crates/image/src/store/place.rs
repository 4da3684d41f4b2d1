//! Where the store keeps what, and how files get there: written beside, then renamed.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use serde::{Serialize, de::DeserializeOwned};

use super::StoreError;
use crate::Digest;

/// The paths below `<root>/images`.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    root: PathBuf,
}

static COUNTER: AtomicU64 = AtomicU64::new(0);

impl Place {
    pub(crate) fn make(root: PathBuf) -> Result<Place, StoreError> {
        let place = Place { root };
        for dir in
            [place.root.clone(), place.blobs(), place.layers(), place.images(), place.names(), place.staging(), place.trash()]
        {
            DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(failed("create", &dir))?;
        }
        Ok(place)
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn blobs(&self) -> PathBuf {
        self.root.join("blobs")
    }

    pub(crate) fn layers(&self) -> PathBuf {
        self.root.join("layers")
    }

    pub(crate) fn images(&self) -> PathBuf {
        self.root.join("images")
    }

    pub(crate) fn names(&self) -> PathBuf {
        self.root.join("names")
    }

    pub(crate) fn staging(&self) -> PathBuf {
        self.root.join("staging")
    }

    pub(crate) fn trash(&self) -> PathBuf {
        self.root.join("trash")
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    pub(crate) fn blob(&self, digest: &Digest) -> PathBuf {
        self.blobs().join(digest.algorithm()).join(digest.hex())
    }

    /// The directory of a layer: its record, and its content in `root`.
    pub(crate) fn layer(&self, diff_id: &Digest) -> PathBuf {
        self.layers().join(diff_id.algorithm()).join(diff_id.hex())
    }

    pub(crate) fn image(&self, digest: &Digest) -> PathBuf {
        self.images().join(format!("{}-{}.json", digest.algorithm(), digest.hex()))
    }

    /// A name's record; the name itself may hold slashes and be long, so its digest is the file's name.
    pub(crate) fn name(&self, name: &str) -> PathBuf {
        self.names().join(format!("{}.json", Digest::of(name.as_bytes()).hex()))
    }

    /// Returns a path in the staging area that nobody else uses; nothing is made there yet.
    pub(crate) fn fresh(&self) -> PathBuf {
        let random: [u8; 8] = {
            let mut bytes = [0; 8];
            // Uniqueness comes from process id and counter already; chance covers process ids used again.
            let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
            bytes
        };
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        self.staging().join(format!("{}-{count}-{:016x}", std::process::id(), u64::from_ne_bytes(random)))
    }

    /// Puts a file in place in one step: a reader sees the old content or the new one, never a part.
    pub(crate) fn write(&self, path: &Path, bytes: &[u8], durability: Durability) -> Result<(), StoreError> {
        let temporary = self.fresh();
        let written = (|| {
            let mut file = File::create_new(&temporary).map_err(failed("create", &temporary))?;
            file.write_all(bytes).map_err(failed("write", path))?;
            if durability == Durability::Now {
                file.sync_all().map_err(failed("sync", path))?;
            }
            let parent = path.parent().unwrap_or(&self.root);
            fs::create_dir_all(parent).map_err(failed("create", parent))?;
            fs::rename(&temporary, path).map_err(failed("rename to", path))?;
            if durability == Durability::Now {
                File::open(parent).and_then(|dir| dir.sync_all()).map_err(failed("sync", parent))?;
            }
            Ok(())
        })();
        if written.is_err() {
            // The error at hand matters more; the next sweep removes the file.
            drop(fs::remove_file(&temporary));
        }
        written
    }

    pub(crate) fn write_json(&self, path: &Path, value: &impl Serialize, durability: Durability) -> Result<(), StoreError> {
        let bytes = serde_json::to_vec_pretty(value).map_err(|source| StoreError::Corrupt { path: path.to_owned(), source })?;
        self.write(path, &bytes, durability)
    }

    /// Moves a file or directory out of the way; [`Place::empty_trash`] removes it for good.
    pub(crate) fn discard(&self, path: &Path) -> Result<(), StoreError> {
        let name = self.fresh();
        let target = self.trash().join(name.file_name().unwrap_or_default());
        match fs::rename(path, target) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    pub(crate) fn empty_trash(&self) -> Result<(), StoreError> {
        empty(&self.trash())
    }
}

/// When a file must survive a power failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    Now,
    /// With the next settling of the store.
    Later,
}

/// Reads a record; none if it is missing or was cut off by a power failure.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StoreError> {
    match fs::read(path) {
        Ok(bytes) => match serde_json::from_slice(&bytes) {
            Ok(value) => Ok(Some(value)),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "a record of the image store is broken and ignored");
                Ok(None)
            }
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", path)(error)),
    }
}

/// Lists a directory; nothing if it does not exist.
pub(crate) fn list(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed("read", dir)(error)),
    };
    let mut paths =
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>().map_err(failed("read", dir))?;
    paths.sort();
    Ok(paths)
}

/// Removes everything in a directory.
pub(crate) fn empty(dir: &Path) -> Result<(), StoreError> {
    for path in list(dir)? {
        let removed = match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(&path),
            Ok(_) => fs::remove_file(&path),
            Err(error) => Err(error),
        };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("remove", &path)(error)),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

pub(crate) fn failed<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> StoreError + 'a {
    move |source| StoreError::Io { doing, path: path.to_owned(), source }
}
